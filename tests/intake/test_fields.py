"""Each field takes one spelling; everything else is a fault with a code and a place."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from marshmallow import fields as mm
from marshmallow import validate

from stewardship.domain.errors import Fault, InvalidInput
from stewardship.intake.fields import (
    Choice,
    Day,
    ExactDecimal,
    Flag,
    Instant,
    StrictSchema,
    Text,
    Token,
    WholeNumber,
    read,
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def load(field: mm.Field[Any], value: object) -> object:
    schema = StrictSchema.from_dict({"it": field})()
    return read(schema, {"it": value})["it"]


def code(field: mm.Field[Any], value: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        load(field, value)
    (fault,) = caught.value.faults
    assert fault.pointer == "/it"
    return fault.code


def amount(**bounds: Any) -> ExactDecimal:
    return ExactDecimal(**{"least": 0, "most": 1000, **bounds})


@pytest.mark.parametrize("value", [Decimal("2.50"), 0, 7, 1000, Decimal("0.000000001"), Decimal("1E+3")])
def test_a_decimal_is_taken_as_written(value: Decimal | int) -> None:
    loaded = load(amount(), value)
    assert (str(loaded), type(loaded)) == (str(value), Decimal)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2.5", "not-a-number"),
        ("1_000", "not-a-number"),
        (" 10 ", "not-a-number"),
        (True, "not-a-number"),
        (2.5, "not-a-number"),
        ([1], "not-a-number"),
        (None, "null"),
        (Decimal("NaN"), "not-a-number"),
        (Decimal("Infinity"), "not-a-number"),
        (Decimal("-0.0"), "not-plain"),
        (Decimal("0.0000000001"), "too-precise"),
        (-1, "out-of-range"),
        (Decimal("1000.1"), "out-of-range"),
    ],
)
def test_what_is_no_decimal_in_range_is_refused(value: object, expected: str) -> None:
    assert code(amount(), value) == expected


def test_a_bound_may_be_exclusive() -> None:
    assert code(amount(above=True), 0) == "out-of-range"


@pytest.mark.parametrize("value", ["7", True, Decimal("7.0"), Decimal("7"), 7.0, None])
def test_a_whole_number_is_digits_only(value: object) -> None:
    assert code(WholeNumber(least=0, most=9), value) in {"not-whole", "null"}


def test_a_whole_number_has_bounds() -> None:
    field = WholeNumber(least=0, most=9)
    assert load(field, 9) == 9
    assert code(field, 10) == "out-of-range"


@pytest.mark.parametrize("value", ["true", 1, 0, "yes", "on"])
def test_a_flag_is_true_or_false(value: object) -> None:
    assert load(Flag(), True) is True
    assert code(Flag(), value) == "not-a-flag"


@pytest.mark.parametrize("value", ["2026-11-21", date(2026, 11, 21)])
def test_a_day_is_read(value: object) -> None:
    assert load(Day(), value) == date(2026, 11, 21)


@pytest.mark.parametrize(
    "value",
    ["2026-W44-7", "20261121", "2026-02-30", "2026-11-21T00:00:00Z", "2026-11-2\uff11", "26-11-21", 20261121,
     "2026-11-21\n", datetime(2026, 11, 21, tzinfo=UTC)],
)  # fmt: skip
def test_a_day_has_one_spelling(value: object) -> None:
    assert code(Day(), value) == "not-a-day"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-21T12:00:00Z", datetime(2026, 11, 21, 12, tzinfo=UTC)),
        ("2026-11-21T12:00:00+05:00", datetime(2026, 11, 21, 7, tzinfo=UTC)),
        ("2026-11-21T12:00:00.250-01:30", datetime(2026, 11, 21, 13, 30, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_an_instant_becomes_utc(value: str, expected: datetime) -> None:
    loaded = load(Instant(), value)
    assert (loaded, loaded.utcoffset().total_seconds()) == (expected, 0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "value",
    ["2026-11-21T12:00:00", "2026-11-21", "2026-11-21 12:00:00Z", "9999-12-31T23:59:59-23:59",
     "0001-01-01T00:00:00+23:59", "2026-13-01T00:00:00Z", "2026-11-21T12:00:00+25:00", 1_700_000_000],
)  # fmt: skip
def test_a_local_or_impossible_time_is_no_instant(value: object) -> None:
    assert code(Instant(), value) == "not-an-instant"


@pytest.mark.parametrize("value", ["", "   ", "\u200b", "\n\t", "\u2060\ufeff \u00a0"])
def test_a_text_that_must_be_read_has_something_to_read(value: str) -> None:
    assert code(Text(longest=50, blank=False), value) == "blank"
    assert load(Text(longest=50), value) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\x1b[2J", "hidden-characters"),
        ("a\x00", "hidden-characters"),
        ("abc\u202edcba", "hidden-characters"),
        ("\u2066x\u2069", "hidden-characters"),
        ("x" * 51, "too-long"),
        (5, "not-text"),
    ],
)
def test_a_text_hides_nothing(value: object, expected: str) -> None:
    assert code(Text(longest=50), value) == expected


def test_a_text_may_have_lines_and_any_script() -> None:
    words = "Tour de reins\u00a0:\nбольно, 痛い, كسر"
    assert load(Text(longest=50), words) == words


@pytest.mark.parametrize("value", ["", "a b", "a\n", "m\u0433", "mg\u200b", 7, "x" * 65])
def test_a_token_is_visible_ascii(value: object) -> None:
    assert code(Token(), value) in {"not-a-token", "too-long"}


def test_a_choice_names_the_words_there_are() -> None:
    with pytest.raises(InvalidInput) as caught:
        load(Choice(Colour), "RED")
    assert caught.value.faults == (Fault("/it", "not-a-choice", "Not one of: red, blue."),)
    assert load(Choice(Colour), "red") is Colour.RED


def test_a_further_validator_applies_beside_the_bound() -> None:
    field = Token(longest=4, validate=validate.OneOf(["mg", "tablet"]))
    assert load(field, "mg") == "mg"
    assert code(field, "mL") == "not-a-choice"
    with pytest.raises(InvalidInput):
        load(field, "tablet")


class Leg(StrictSchema):
    length = amount(required=True)


class Animal(StrictSchema):
    name = Text(longest=10, required=True)
    legs = mm.List(mm.Nested(Leg))


def test_faults_point_at_the_place() -> None:
    with pytest.raises(InvalidInput) as caught:
        read(
            Animal(),
            {"legs": [{"length": 1}, {"length": "2"}, {"wings": 1, "length": 3}, 5], "role": "admin"},
        )
    assert {(fault.pointer, fault.code) for fault in caught.value.faults} == {
        ("/name", "required"),
        ("/legs/1/length", "not-a-number"),
        ("/legs/2/wings", "unknown-field"),
        ("/legs/3", "not-an-object"),
        ("/role", "unknown-field"),
    }


@pytest.mark.parametrize("document", [None, [], 5, "x"])
def test_a_document_of_another_shape_is_refused(document: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(Animal(), document)
    assert [(fault.pointer, fault.code) for fault in caught.value.faults] == [("", "not-an-object")]


def test_a_fault_repeats_no_value_and_no_odd_key() -> None:
    with pytest.raises(InvalidInput) as caught:
        read(Animal(), {"name": "ZZQCANARY far too long", "ZZQ CANARY": 1})
    assert "CANARY" not in str(caught.value.faults) + caught.value.message
