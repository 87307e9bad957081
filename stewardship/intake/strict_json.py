"""JSON as this service reads and writes it: exact numbers, no ambiguity, bounded size and depth.

Stock readers take what two programs may understand differently: the last of two equal keys, ``NaN``
(which passes every limit), numbers rounded to binary, text that no database stores. Here each of
these is refused with its place, and never with the value that stood there. Numbers become ``int``
or ``Decimal`` exactly as written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from stewardship.domain.errors import Fault, MalformedInput, TooLarge

#: Digits of an IEEE 754 decimal128: enough for every clinical quantity, and a bound on arithmetic.
MOST_DIGITS = 34

_INTEGER_LIMIT = 10**MOST_DIGITS
#: Without an exponent, a number of this many characters, its point included, has few enough digits.
_SURELY_SHORT = MOST_DIGITS + 1
_KEY = re.compile(rb'"[ \t\r\n]*:')
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.$-]{1,64}")
_BYTE = re.compile(r"\(byte (\d+)\)")


def loads(body: bytes, *, max_bytes: int, max_depth: int = 32, max_keys: int = 10_000) -> object:
    """Read one JSON document from UTF-8 bytes.

    Raises ``TooLarge`` when the body is over ``max_bytes``, and ``MalformedInput`` when it is not
    strict JSON, nests deeper than ``max_depth`` or holds more than ``max_keys`` object members.
    """
    if len(body) > max_bytes:
        raise TooLarge(f"the body is larger than {max_bytes} bytes")
    try:
        document: object = _DECODER.decode(body)
    except RecursionError:
        raise _too_deep(max_depth) from None
    except UnicodeDecodeError:
        raise MalformedInput("the body is not UTF-8 text", code="not-utf-8") from None
    except (msgspec.DecodeError, ValueError) as fault:
        raise _not_json(body, fault) from None
    keys = _check_tree(document, max_depth=max_depth, max_keys=max_keys)
    # Every member has a quote and a colon after it in the text, so equal counts prove that no key
    # was dropped as a repetition. Texts may hold quote and colon too: only then look closely.
    if len(_KEY.findall(body)) != keys:
        _refuse_repeated_keys(body)
    if b"\\u0000" in body:
        _refuse_nul(document)
    return document


def dumps(value: object) -> bytes:
    """Write JSON; a ``Decimal`` becomes a JSON number with exactly its digits, never text.

    Raises ``ValueError`` for a number that JSON does not have (NaN, infinity).
    """
    body = _ENCODER.encode(value)
    if b"NaN" in body or b"Infinity" in body:
        # Perhaps only a word in a text: a strict reader tells, and nobody else should have to.
        try:
            _DECODER.decode(body)
        except msgspec.DecodeError:
            raise ValueError("JSON has no NaN and no infinity") from None
    return body


def _decimal(text: str) -> Decimal:
    """A number with a point or an exponent, exactly; refuses more digits or places than can be meant."""
    if len(text) <= _SURELY_SHORT and "e" not in text and "E" not in text:
        return Decimal(text)
    if len(text) <= 2 * MOST_DIGITS:
        number = Decimal(text)
        _, digits, exponent = number.as_tuple()
        if (
            isinstance(exponent, int)
            and len(digits) <= MOST_DIGITS
            and abs(exponent) <= MOST_DIGITS
            and abs(number.adjusted()) <= MOST_DIGITS
        ):
            return number
    raise _too_long_a_number()


_DECODER = msgspec.json.Decoder(float_hook=_decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def _check_tree(document: Any, *, max_depth: int, max_keys: int) -> int:
    """Walk the document level by level; answer how many object members it has."""
    keys = depth = 0
    level = [document]
    while level:
        below: list[Any] = []
        containers = 0
        for value in level:
            kind = type(value)
            if kind is str:
                continue  # most values are texts
            if kind is dict:
                keys += len(value)
                below.extend(value.values())
                containers += 1
            elif kind is list:
                below.extend(value)
                containers += 1
            elif kind is int and not -_INTEGER_LIMIT < value < _INTEGER_LIMIT:
                raise _too_long_a_number()
        if containers:
            depth += 1
            if depth > max_depth:
                raise _too_deep(max_depth)
            if keys > max_keys:
                raise MalformedInput(
                    f"the body has more than {max_keys} object members", code="too-many-keys"
                )
        level = below
    return keys


def _refuse_repeated_keys(body: bytes) -> None:
    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        seen: dict[str, object] = {}
        for key, value in pairs:
            if key in seen:
                name = key if _PLAIN_KEY.fullmatch(key) else "?"
                raise MalformedInput(
                    f"an object has the key {name!r} twice; write it once",
                    code="duplicate-key",
                    faults=(Fault("", "duplicate-key", f"the key {name!r} appears twice in one object"),),
                )
            seen[key] = value
        return seen

    json.loads(body, object_pairs_hook=members, parse_float=Decimal)


def _refuse_nul(document: object) -> None:
    for pointer, text in _texts(document, ""):
        if "\x00" in text:
            raise MalformedInput(
                "a text holds the character NUL, which no record can keep",
                code="nul-in-text",
                faults=(Fault(pointer, "nul-in-text", "texts may not hold NUL"),),
            )


def _texts(value: object, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{pointer}/{index}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield pointer, key
            yield from _texts(item, f"{pointer}/{pointer_token(key)}")


def pointer_token(key: object) -> str:
    """One step of a JSON pointer. A key that is no plain name is not repeated: it may be anything."""
    text = str(key)
    return text.replace("~", "~0").replace("/", "~1") if _PLAIN_KEY.fullmatch(text) else "?"


def _not_json(body: bytes, fault: Exception) -> MalformedInput:
    if body[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in body[:4]:
        return MalformedInput("the body is not UTF-8 text", code="not-utf-8")
    if body[:3] == b"\xef\xbb\xbf":
        return MalformedInput("the body begins with a byte order mark; leave it out", code="byte-order-mark")
    place = _BYTE.search(str(fault))
    where = f" at byte {place[1]}" if place else ""
    return MalformedInput(f"the body is not JSON{where}", code="not-json")


def _too_deep(max_depth: int) -> MalformedInput:
    return MalformedInput(f"the body nests deeper than {max_depth} levels", code="too-deep")


def _too_long_a_number() -> MalformedInput:
    return MalformedInput(
        f"a number has more than {MOST_DIGITS} digits, or an exponent beyond {MOST_DIGITS}",
        code="number-too-long",
    )
