"""``reference/reassessment.toml`` -> the intervals of the clock, and the working days of an organisation."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from marshmallow import fields, validate

from stewardship.declarations.policy_schema import refused
from stewardship.domain.drugs import DrugClass
from stewardship.domain.errors import DeclarationError, InvalidInput
from stewardship.domain.instruments import Source
from stewardship.domain.mme import FactorSet
from stewardship.domain.reassessment import ClockTerms, Interval, Trigger
from stewardship.domain.workdays import Calendar, WorkingDays
from stewardship.intake.fields import (
    Choice,
    Day,
    ExactDecimal,
    Flag,
    StrictSchema,
    Text,
    Token,
    WholeNumber,
    read,
)

FILE = "reassessment.toml"
_LONGEST_DAYS = 3_660


class _Source(StrictSchema):
    title = Text(required=True, longest=300, blank=False)
    publisher = Text(required=True, longest=200, blank=False)
    date = Day(required=True)
    url = Text(required=True, longest=300, blank=False)
    verified = Flag(required=True)
    review_by = Day(required=True)
    note = Text(longest=2_000, load_default="")


class _Terms(StrictSchema):
    factor_set = Token(required=True)
    max_gap_days = WholeNumber(required=True, least=0, most=365)
    carry_days = WholeNumber(required=True, least=0, most=365)
    unknown_supply_days = WholeNumber(required=True, least=1, most=_LONGEST_DAYS)
    raise_percent = ExactDecimal(required=True, least=0, most=1_000)
    evaluation_sets = fields.List(Token(), required=True, validate=validate.Length(min=1))
    opens_days_before = WholeNumber(required=True, least=0, most=365)
    missed_days_after = WholeNumber(required=True, least=0, most=365)
    source = fields.Nested(_Source, required=True)


class _Calendar(StrictSchema):
    time_zone = Token(required=True, longest=64)
    country = Token(required=True, longest=2)
    subdivision = Text(required=True, longest=6)
    weekend = fields.List(WholeNumber(least=1, most=7), required=True, validate=validate.Length(max=6))


class _Interval(StrictSchema):
    id = Token(required=True)
    reason = Text(required=True, longest=200, blank=False)
    trigger = Choice(Trigger, required=True)
    days = WholeNumber(required=True, least=1, most=_LONGEST_DAYS)
    source = fields.Nested(_Source, required=True)
    classes = fields.List(Choice(DrugClass), load_default=list)
    ingredients = fields.List(Token(), load_default=list)
    mme_from = ExactDecimal(least=0, most=10_000, above=True, load_default=None)
    condition_sets = fields.List(Token(), load_default=list)
    condition_codes = fields.List(Token(), load_default=list)
    beside_classes = fields.List(Choice(DrugClass), load_default=list)
    until_day = WholeNumber(least=1, most=_LONGEST_DAYS, load_default=None)
    unless_sets = fields.List(Token(), load_default=list)
    procedure_codes = fields.List(Token(), load_default=list)
    settled_from_days = WholeNumber(least=1, most=_LONGEST_DAYS, load_default=1)


class _Clock(StrictSchema):
    terms = fields.Nested(_Terms, required=True)
    calendar = fields.Nested(_Calendar, required=True)
    interval = fields.List(fields.Nested(_Interval), required=True, validate=validate.Length(min=1))


#: Which fields an interval takes besides those that all take.
_TAKES: Mapping[Trigger, frozenset[str]] = {
    Trigger.START_OR_RAISE: frozenset({"classes", "ingredients", "mme_from", "unless_sets"}),
    Trigger.WHILE_ON: frozenset(
        {
            "classes",
            "ingredients",
            "mme_from",
            "condition_sets",
            "condition_codes",
            "beside_classes",
            "until_day",
            "unless_sets",
        }
    ),
    Trigger.AFTER_PROCEDURE: frozenset({"procedure_codes", "settled_from_days"}),
}
_ALL = frozenset({"id", "reason", "trigger", "days", "source"})


def read_clock(reference: Path, factor_sets: Mapping[str, FactorSet]) -> ClockTerms:
    """The intervals; raises ``DeclarationError`` that names the place and what to write instead."""
    document = _document(reference)
    data = _read(document)
    terms = data["terms"]
    factor_set = factor_sets.get(terms["factor_set"])
    if factor_set is None:
        raise DeclarationError(f"{FILE}: terms.factor_set is one of {sorted(factor_sets)}")
    ids = [row["id"] for row in data["interval"]]
    if len(set(ids)) != len(ids):
        raise DeclarationError(f"{FILE}: two intervals have one id")
    return ClockTerms(
        intervals=tuple(
            _interval(row, written)
            for row, written in zip(data["interval"], document["interval"], strict=True)
        ),
        factor_set=factor_set,
        max_gap_days=terms["max_gap_days"],
        carry_days=terms["carry_days"],
        unknown_supply_days=terms["unknown_supply_days"],
        raise_percent=terms["raise_percent"],
        evaluation_sets=frozenset(terms["evaluation_sets"]),
        opens_days_before=terms["opens_days_before"],
        missed_days_after=terms["missed_days_after"],
    )


def read_calendar(reference: Path) -> Calendar:
    """The calendar of an organisation that has none of its own."""
    said = _read(_document(reference))["calendar"]
    return Calendar(said["time_zone"], said["country"], said["subdivision"], frozenset(said["weekend"]))


def read_working_days(reference: Path) -> WorkingDays:
    """The working days of an organisation that has no calendar of its own."""
    known = read_calendar(reference)
    return working_days(known.country, known.region, known.weekend)


def working_days(
    country: str, subdivision: str = "", weekend: frozenset[int] = frozenset({6, 7})
) -> WorkingDays:
    """The working days of a country (ISO 3166) or a part of it; ``weekend`` are days from Monday, 1, to
    Sunday, 7. Raises ``InvalidInput`` for a place whose holidays nobody knows."""
    import holidays

    try:
        known = holidays.country_holidays(country, subdiv=subdivision or None)
    except NotImplementedError:
        raise InvalidInput("the holidays of that country, or of that part of it, are not known") from None

    def is_holiday(day: date) -> bool:
        return day in known

    return WorkingDays(frozenset(day - 1 for day in weekend), is_holiday)


def _document(reference: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((reference / FILE).read_text(encoding="utf-8"), parse_float=Decimal)
    except tomllib.TOMLDecodeError as wrong:
        raise DeclarationError(f"{FILE}: {wrong}") from None


def _read(document: dict[str, Any]) -> dict[str, Any]:
    try:
        data: dict[str, Any] = read(_Clock(), document)
    except InvalidInput as wrong:
        raise refused(FILE, wrong.faults) from None
    return data


def _interval(row: Mapping[str, Any], written: Mapping[str, Any]) -> Interval:
    takes = _TAKES[row["trigger"]]
    strange = sorted(set(written) - takes - _ALL)
    if strange:
        raise DeclarationError(f"{FILE}: {row['id']}: {row['trigger']} takes {sorted(takes)}, not {strange}")
    if row["trigger"] is Trigger.AFTER_PROCEDURE and not row["procedure_codes"]:
        raise DeclarationError(f"{FILE}: {row['id']}: name the procedures in procedure_codes")
    about = {
        "mme_from": row["mme_from"] is not None,
        "classes or ingredients": bool(row["classes"] or row["ingredients"]),
        "conditions or beside_classes": bool(
            row["condition_sets"] or row["condition_codes"] or row["beside_classes"]
        ),
    }
    if sum(about.values()) > 1:
        raise DeclarationError(f"{FILE}: {row['id']}: one of {list(about)}, not several; write two intervals")
    source = row["source"]
    return Interval(
        id=row["id"],
        reason=row["reason"],
        trigger=row["trigger"],
        days=row["days"],
        source=Source(
            source["title"],
            source["publisher"],
            source["date"],
            source["url"],
            source["verified"],
            source["note"],
        ),
        classes=frozenset(row["classes"]),
        ingredients=frozenset(row["ingredients"]),
        mme_from=row["mme_from"],
        condition_sets=frozenset(row["condition_sets"]),
        condition_codes=tuple(row["condition_codes"]),
        beside_classes=frozenset(row["beside_classes"]),
        until_day=row["until_day"],
        unless_sets=frozenset(row["unless_sets"]),
        procedure_codes=frozenset(row["procedure_codes"]),
        settled_from_days=row["settled_from_days"],
    )
