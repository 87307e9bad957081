"""``reference/retention.toml`` -> how long records are kept."""

from __future__ import annotations

import tomllib
from pathlib import Path

from marshmallow import fields

from stewardship.declarations.policy_schema import refused
from stewardship.domain.errors import DeclarationError, InvalidInput
from stewardship.domain.retention import Kept, Retention, Source, Term
from stewardship.intake.fields import Day, Flag, StrictSchema, Text, Token, WholeNumber, read

FILE = "retention.toml"
#: The kinds of record that can be removed; each has a term, and no term is for anything else.
KINDS = ("decisions", "dispensings", "job-runs", "letters", "sessions", "links")


class _Source(StrictSchema):
    title = Text(required=True, longest=500, blank=False)
    publisher = Text(required=True, longest=200, blank=False)
    date = Day(required=True)
    url = Text(required=True, longest=300, blank=False)
    verified = Flag(required=True)


class _Kind(StrictSchema):
    id = Token(required=True)
    title = Text(required=True, longest=200, blank=False)
    what = Text(required=True, longest=500, blank=False)
    years = WholeNumber(required=True, least=1, most=100)
    until_age = WholeNumber(least=18, most=120, load_default=None, allow_none=True)
    source = fields.List(fields.Nested(_Source), required=True)


class _Kept(StrictSchema):
    id = Token(required=True)
    title = Text(required=True, longest=200, blank=False)
    why = Text(required=True, longest=500, blank=False)


class _Provenance(StrictSchema):
    title = Text(required=True, longest=300, blank=False)
    date = Day(required=True)
    review_by = Day(required=True)
    licence = Text(required=True, longest=300, blank=False)


class _File(StrictSchema):
    provenance = fields.Nested(_Provenance, required=True)
    kind = fields.List(fields.Nested(_Kind), required=True)
    kept = fields.List(fields.Nested(_Kept), required=True)


def read_retention(reference: Path) -> Retention:
    """The terms of retention; raises ``DeclarationError``."""
    try:
        said = read(_File(), tomllib.loads((reference / FILE).read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as cause:
        raise DeclarationError(f"{FILE}: {cause}") from None
    except InvalidInput as cause:
        raise refused(FILE, cause.faults) from None
    if sorted(entry["id"] for entry in said["kind"]) != sorted(KINDS):
        raise DeclarationError(f"{FILE}: there is one kind each of {', '.join(KINDS)}, and no other")
    terms = {
        entry["id"]: Term(
            entry["id"],
            entry["title"],
            entry["what"],
            entry["years"],
            tuple(Source(**source) for source in entry["source"]),
            entry["until_age"],
        )
        for entry in said["kind"]
    }
    if any(not term.sources for term in terms.values()):
        raise DeclarationError(f"{FILE}: every kind names what its term rests on ([[kind.source]])")
    return Retention(terms, tuple(Kept(**entry) for entry in said["kept"]))
