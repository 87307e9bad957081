"""``reference/reports.toml`` -> from how many people on a number is shown, and what is compared with what."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
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


class _CaseMix(StrictSchema):
    older_from = WholeNumber(required=True, least=18, most=100)
    source = fields.Nested(_Source, required=True)


class _Reports(StrictSchema):
    provenance = fields.Nested(_Provenance, required=True)
    small_numbers = fields.Nested(_SmallNumbers, required=True)
    case_mix = fields.Nested(_CaseMix, required=True)


@dataclass(frozen=True, slots=True)
class ReportTerms:
    """``fewest_shown`` is the least number of people that a report shows; fewer, but for nobody, are
    withheld. ``older_from`` parts patients by age where prescribers are compared."""

    fewest_shown: int
    older_from: int


def read_report_terms(reference: Path) -> ReportTerms:
    """The terms of reports; raises ``DeclarationError``."""
    try:
        written = read(_Reports(), tomllib.loads((reference / FILE).read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as cause:
        raise DeclarationError(f"{FILE}: {cause}") from None
    except InvalidInput as cause:
        first = cause.faults[0]
        raise DeclarationError(f"{FILE}: {first.pointer}: {first.message}") from None
    return ReportTerms(written["small_numbers"]["fewest"], written["case_mix"]["older_from"])
