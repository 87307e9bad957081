"""What was read is kept by its exact text, and apart for each set of reference data."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from stewardship.intake.fhir_r4.kept import ByText


class Reader:
    """Counts what it is asked to read."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def __call__(self, part: Any) -> str:
        self.parts.append(part)
        return f"reading {len(self.parts)}"


def test_the_same_text_is_read_once():
    kept, read, by = ByText[object, str](), Reader(), object()
    assert kept.of({"code": "1"}, by, read) == kept.of({"code": "1"}, by, read) == "reading 1"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"value": 1}, {"value": "1"}),
        ({"value": Decimal("1.0")}, {"value": Decimal(1)}),
        ({"value": True}, {"value": 1}),
        ({"value": None}, {}),
        ([{"a": 1}], {"a": 1}),
    ],
    ids=["number and text", "digits as written", "flag and number", "null and nothing", "list and object"],
)
def test_what_reads_differently_is_read_by_itself(one: Any, other: Any):
    kept, read, by = ByText[object, str](), Reader(), object()
    kept.of(one, by, read)
    kept.of(other, by, read)
    assert read.parts == [one, other]


def test_other_reference_data_read_for_themselves():
    kept, read, here, there = ByText[object, str](), Reader(), object(), object()
    assert kept.of("x", here, read) == "reading 1"
    assert kept.of("x", there, read) == "reading 2"
    assert kept.of("x", here, read) == "reading 1"


def test_what_is_very_long_is_not_kept():
    kept, read, by = ByText[object, str](), Reader(), object()
    long = {"text": "x" * 3_000}
    kept.of(long, by, read)
    kept.of(long, by, read)
    assert len(read.parts) == 2


def test_libraries_that_were_replaced_do_not_stay():
    kept, read = ByText[object, str](), Reader()
    libraries = [object() for _ in range(50)]
    for by in libraries:
        kept.of("x", by, read)
    assert len(kept._kept) <= 8
