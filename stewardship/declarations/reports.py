"""``reference/reports.toml`` -> from how many people on a number is shown."""

from __future__ import annotations

import tomllib
from pathlib import Path

from marshmallow import fields

from stewardship.domain.errors import DeclarationError, InvalidInput
from stewardship.intake.fields import Day, Flag, StrictSchema, Text, WholeNumber, read

FILE = "reports.toml"


class _Provenance(StrictSchema):
    title = Text(required=True, longest=300, blank=False)
    date = Day(required=True)
    review_by = Day(required=True)
    licence = Text(required=True, longest=300, blank=False)


class _Source(StrictSchema):
    title = Text(required=True, longest=300, blank=False)
    publisher = Text(required=True, longest=200, blank=False)
    date = Day(required=True)
    url = Text(required=True, longest=300, blank=False)
    verified = Flag(required=True)
    review_by = Day(required=True)


class _SmallNumbers(StrictSchema):
    fewest = WholeNumber(required=True, least=2, most=1_000)
    source = fields.Nested(_Source, required=True)


class _Reports(StrictSchema):
    provenance = fields.Nested(_Provenance, required=True)
    small_numbers = fields.Nested(_SmallNumbers, required=True)


def read_fewest_shown(reference: Path) -> int:
    """The least number of people that a report shows; fewer, but for nobody, are withheld."""
    try:
        written = read(_Reports(), tomllib.loads((reference / FILE).read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as cause:
        raise DeclarationError(f"{FILE}: {cause}") from None
    except InvalidInput as cause:
        first = cause.faults[0]
        raise DeclarationError(f"{FILE}: {first.pointer}: {first.message}") from None
    fewest: int = written["small_numbers"]["fewest"]
    return fewest
