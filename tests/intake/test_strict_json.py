"""JSON is read exactly or refused with a reason; nothing in between."""

from __future__ import annotations

import json
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.errors import MalformedInput, TooLarge
from stewardship.intake.strict_json import dumps, loads


def read(text: str | bytes, **limits: int) -> object:
    body = text.encode() if isinstance(text, str) else text
    return loads(body, **{"max_bytes": 1_000_000, **limits})


def refusal(text: str | bytes, **limits: int) -> MalformedInput:
    with pytest.raises(MalformedInput) as caught:
        read(text, **limits)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72.50", Decimal("72.50")),
        ("0.1", Decimal("0.1")),
        ("1e2", Decimal("1E+2")),
        ("12", 12),
        ("-3", -3),
        ("9" * 34, int("9" * 34)),
        ("1." + "1" * 33, Decimal("1." + "1" * 33)),
    ],
)
def test_numbers_are_exactly_as_written(text: str, value: object) -> None:
    read_back = read(text)
    assert (type(read_back), str(read_back)) == (type(value), str(value))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("NaN", "not-json"),
        ("[Infinity]", "not-json"),
        ("-Infinity", "not-json"),
        ('{"mme": NaN}', "not-json"),
        ("01", "not-json"),
        (".5", "not-json"),
        ("5.", "not-json"),
        ("+5", "not-json"),
        ("1_000", "not-json"),
        ("\uff11\uff10", "not-json"),
        ("\u0661", "not-json"),
        ("0x10", "not-json"),
        ("1e9999", "number-too-long"),
        ("1e-400", "number-too-long"),
        ("1e35", "number-too-long"),
        ("9" * 35, "number-too-long"),
        ("-" + "9" * 35, "number-too-long"),
        ("[" + "1." + "1" * 34 + "]", "number-too-long"),
        ("1" * 5_000, "not-json"),
    ],
)
def test_number_tricks_are_refused(text: str, code: str) -> None:
    assert refusal(text).code == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not-json"),
        ("{", "not-json"),
        ("{} {}", "not-json"),
        ('{"a": 1,}', "not-json"),
        ("[1,]", "not-json"),
        ("{'a': 1}", "not-json"),
        ("// words\n1", "not-json"),
        ('"\ttab"', "not-json"),
        (b'"\xff"', "not-utf-8"),
        (b'"\xed\xa0\x80"', "not-utf-8"),
        ('{"a": 1}'.encode("utf-16"), "not-utf-8"),
        ('{"a": 1}'.encode("utf-16-be"), "not-utf-8"),
        ('{"a": 1}'.encode("utf-32-le"), "not-utf-8"),
        (b"\xef\xbb\xbf{}", "byte-order-mark"),
        (r'"\ud800"', "not-json"),
        (r'"\udc00\ud800"', "not-json"),
        (r'{"a": ["x\u0000y"]}', "nul-in-text"),
        (r'{"a\u0000": 1}', "nul-in-text"),
        ('"raw \x00"', "not-json"),
    ],
)
def test_what_is_not_strict_json_in_utf8_is_refused(text: str | bytes, code: str) -> None:
    assert refusal(text).code == code


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 1}',
        '{"a":1,"b":{"c":2,"c" : 3}}',
        '[{"note": "a \\"b\\": c", "a": 1, "a": 2}]',
        '{"a": 1, "\\u0061": 2}',
    ],
)
def test_a_key_written_twice_is_refused(text: str) -> None:
    assert refusal(text).code == "duplicate-key"


@pytest.mark.parametrize(
    "value",
    ['":', ':"', '": "', 'say "a": b', "\\u0000", '\\":', ["\":'", {":": ':"'}], "\U0001f600"],
)
def test_texts_that_look_like_structure_are_texts(value: object) -> None:
    document = {"a": value, "b": [value, value]}
    assert read(json.dumps(document)) == document


def test_a_key_that_is_no_plain_name_is_not_repeated_in_the_refusal() -> None:
    cause = refusal('{"Jane Doe": 1, "Jane Doe": 2}')
    assert "Jane" not in cause.message + str(cause.faults)


def test_depth_is_counted_to_the_limit() -> None:
    assert read("[" * 32 + "]" * 32)
    assert refusal("[" * 33 + "]" * 33).code == "too-deep"
    assert refusal('{"a":' * 33 + "1" + "}" * 33).code == "too-deep"
    assert read("[[[1]]]", max_depth=3) == [[[1]]]
    assert refusal("[[[1]]]", max_depth=2).code == "too-deep"


@pytest.mark.parametrize("body", ["[" * 100_000, '["]",' * 100_000, '{"a":' * 100_000])
def test_a_bottomless_body_is_refused_quickly(body: str) -> None:
    before = time.process_time()
    assert refusal(body).code == "too-deep"
    assert time.process_time() - before < 0.05


def test_the_number_of_keys_is_bounded() -> None:
    body = json.dumps([{"k": 1}] * 10)
    assert read(body, max_keys=10)
    assert refusal(body, max_keys=9).code == "too-many-keys"


def test_a_body_over_its_limit_is_not_read() -> None:
    with pytest.raises(TooLarge):
        read("[" * 100, max_bytes=99)


def test_numbers_are_written_with_exactly_their_digits() -> None:
    assert dumps({"dose": Decimal("2.50"), "n": 3}) == b'{"dose":2.50,"n":3}'


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_what_is_no_number_is_not_written(number: str) -> None:
    with pytest.raises(ValueError, match="NaN"):
        dumps([Decimal(number)])


def test_a_text_that_says_nan_is_written() -> None:
    assert dumps({"said": "NaN and Infinity"}) == b'{"said":"NaN and Infinity"}'


_decimals = st.decimals(
    allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12
)
_documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**33), 10**33)
    | _decimals
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(_documents)
def test_what_is_written_is_read_back_the_same(document: object) -> None:
    assert read(dumps(document)) == document


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_and_nothing_else(body: bytes) -> None:
    try:
        document = read(body)
    except MalformedInput:
        return
    # What was read is what the standard reader sees, apart from the exactness of its numbers.
    assert json.dumps(document, default=float) == json.dumps(json.loads(body.decode()))


@given(
    st.dictionaries(
        st.text(alphabet='a":\\ {}', max_size=4), st.text(alphabet='a":\\,{}', max_size=6), min_size=1
    )
)
def test_repeated_keys_are_found_whatever_the_texts_hold(members: dict[str, str]) -> None:
    pairs = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in members.items()]
    assert read("{" + ",".join(pairs) + "}") == members
    assert refusal("{" + ",".join([*pairs, pairs[0]]) + "}").code == "duplicate-key"
