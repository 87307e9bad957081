"""``reference/taper.toml`` -> how a taper is planned."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from stewardship.declarations.drugs import checked
from stewardship.domain.errors import DeclarationError
from stewardship.domain.taper_schedule import Note, Pace, TaperTerms
from stewardship.domain.treatments import Source

FILE = "taper.toml"
_SOME = validate.Length(min=1)
_ID = validate.Regexp(r"\A[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
#: What may be so, for a note that is not always said.
_WHEN = ("benzodiazepine", "benzodiazepine-unknown", "exempt", "use-disorder")


class _Strict(Schema):
    class Meta:
        unknown = RAISE


def _number(least: int, most: int, **given: Any) -> fields.Integer:
    return fields.Integer(strict=True, validate=validate.Range(least, most), **given)


class SourceRow(_Strict):
    """Where statements come from, and when somebody looks at them again."""

    id = fields.String(required=True, validate=_ID)
    title = fields.String(required=True, validate=_SOME)
    publisher = fields.String(required=True, validate=_SOME)
    published = fields.Raw(required=True)
    url = fields.Url(load_default="")
    review_by = fields.Raw(required=True)


class SourcedRow(_Strict):
    """On what a row stands, and whether that was confirmed."""

    sources = fields.List(fields.String(validate=_ID), required=True, validate=_SOME)
    verified = fields.Boolean(required=True, truthy={True}, falsy={False})


class _Pace(SourcedRow):
    id = fields.String(required=True, validate=_ID)
    title = fields.String(required=True, validate=_SOME)
    from_days = _number(1, 3_660, required=True)
    until_days = _number(1, 3_660, load_default=None)
    percent = _number(1, 50, required=True)
    step_days = _number(1, 366, required=True)
    remainder_from = _number(0, 100, required=True)


class _Products(SourcedRow):
    forms = fields.List(fields.String(validate=_SOME), required=True, validate=_SOME)
    split_forms = fields.List(fields.String(validate=_SOME), required=True)
    most_pieces = _number(1, 40, required=True)
    most_strengths = _number(1, 3, required=True)
    never = fields.List(fields.String(validate=_SOME), required=True)
    for_pain_only = fields.List(fields.String(validate=_SOME), required=True)


class _Ending(SourcedRow):
    last_per_week = _number(1, 6, required=True)


class _Review(SourcedRow):
    days = _number(1, 90, required=True)


class _Use(SourcedRow):
    gap_days = _number(0, 365, required=True)
    unknown_supply_days = _number(1, 3_660, required=True)


class _Alarm(SourcedRow):
    tolerance_percent = _number(0, 50, required=True)
    early_days = _number(0, 60, required=True)
    missing_days = _number(1, 60, required=True)


class _Note(SourcedRow):
    id = fields.String(required=True, validate=_ID)
    text = fields.String(required=True, validate=_SOME)
    when = fields.String(load_default="", validate=validate.OneOf(("", *_WHEN)))


class _File(_Strict):
    provenance = fields.Dict(required=True)
    source = fields.List(fields.Nested(SourceRow), required=True, validate=_SOME)
    pace = fields.List(fields.Nested(_Pace), required=True, validate=_SOME)
    products = fields.Nested(_Products, required=True)
    ending = fields.Nested(_Ending, required=True)
    review = fields.Nested(_Review, required=True)
    use = fields.Nested(_Use, required=True)
    alarm = fields.Nested(_Alarm, required=True)
    note = fields.List(fields.Nested(_Note), required=True, validate=_SOME)


def read_taper_terms(reference: Path) -> TaperTerms:
    """The terms; raises ``DeclarationError`` naming what is wrong."""
    said = checked(reference / FILE, _File())
    known = sources_of(FILE, said["source"])
    paces = tuple(
        Pace(
            row["id"],
            row["title"],
            row["from_days"],
            row["until_days"],
            Decimal(row["percent"]),
            row["step_days"],
            Decimal(row["remainder_from"]),
            cited(FILE, row, known),
            row["verified"],
        )
        for row in said["pace"]
    )
    _refuse_gaps(paces)
    for part in ("products", "ending", "review", "use", "alarm"):
        cited(FILE, said[part], known)
    products, alarm = said["products"], said["alarm"]
    return TaperTerms(
        paces=paces,
        forms=frozenset(products["forms"]),
        split_forms=frozenset(products["split_forms"]),
        most_pieces=products["most_pieces"],
        most_strengths=products["most_strengths"],
        never=frozenset(products["never"]),
        for_pain_only=frozenset(products["for_pain_only"]),
        last_per_week=said["ending"]["last_per_week"],
        review_days=said["review"]["days"],
        use_gap_days=said["use"]["gap_days"],
        unknown_supply_days=said["use"]["unknown_supply_days"],
        tolerance_percent=Decimal(alarm["tolerance_percent"]),
        early_days=alarm["early_days"],
        missing_days=alarm["missing_days"],
        notes=tuple(
            Note(row["id"], row["text"], row["when"], cited(FILE, row, known), row["verified"])
            for row in said["note"]
        ),
    )


def sources_of(file: str, rows: list[Mapping[str, Any]]) -> dict[str, Source]:
    """Sources by id, each once, reviewed after it was published."""
    made: dict[str, Source] = {}
    for row in rows:
        dates = (row["published"], row["review_by"])
        if row["id"] in made or not all(isinstance(day, date) for day in dates) or dates[1] <= dates[0]:
            raise DeclarationError(
                f"{file}: source {row['id']} stands there once, with dates, review_by the later one"
            )
        made[row["id"]] = Source(**row)
    return made


def cited(file: str, row: Mapping[str, Any], known: Mapping[str, Source]) -> tuple[Source, ...]:
    """The sources that a row names."""
    unknown = [name for name in row["sources"] if name not in known]
    if unknown:
        raise DeclarationError(f"{file}: there is no source {', '.join(unknown)}")
    return tuple(known[name] for name in row["sources"])


def _refuse_gaps(paces: tuple[Pace, ...]) -> None:
    """Every length of use from the first pace on has exactly one, and the last has no end."""
    for before, after in pairwise(paces):
        if before.until_days is None or after.from_days != before.until_days + 1:
            raise DeclarationError(f"{FILE}: pace {after.id} begins on the day after {before.id} ends")
    if paces[-1].until_days is not None:
        raise DeclarationError(f"{FILE}: the last pace, {paces[-1].id}, has no until_days")
