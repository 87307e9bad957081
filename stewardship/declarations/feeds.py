"""``reference/feeds.toml`` -> the terms on which files are taken in."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from stewardship.declarations.drugs import checked
from stewardship.domain.currency import Silence
from stewardship.domain.errors import DeclarationError
from stewardship.domain.feeds import FeedTerms
from stewardship.domain.matching import Agreement, MatchRule, MatchRules
from stewardship.domain.orders import Paid

FILE = "feeds.toml"


class _Strict(Schema):
    class Meta:
        unknown = RAISE


class _Source(_Strict):
    title = fields.String(required=True)
    publisher = fields.String(required=True)
    date = fields.Raw(required=True)
    url = fields.Url(required=True)
    review_by = fields.Raw(required=True)
    verified = fields.Boolean(required=True)
    note = fields.String(load_default="")


class _Sourced(_Strict):
    source = fields.Nested(_Source, required=True)


def _agreements() -> fields.List[Any]:
    return fields.List(fields.Enum(Agreement, by_value=True), load_default=lambda: list(Agreement))


class _Rule(_Strict):
    id = fields.String(required=True)
    confidence = fields.Decimal(required=True, validate=validate.Range(Decimal(0), Decimal(1)))
    number = _agreements()
    person = _agreements()
    sex = _agreements()
    zip = _agreements()


class _Silence(_Sourced):
    business_days = fields.Integer(required=True, strict=True, validate=validate.Range(0, 30))
    hours = fields.Integer(required=True, strict=True, validate=validate.Range(0, 240))
    holidays = fields.List(fields.Raw(), required=True)


class _Matching(_Sourced):
    accept = fields.Decimal(required=True, validate=validate.Range(Decimal(0), Decimal(1)))
    numbers = fields.List(fields.String(), required=True)
    national = fields.List(fields.String(), required=True)
    sexes = fields.Dict(fields.String(), fields.String(), required=True)
    rule = fields.List(fields.Nested(_Rule), required=True, validate=validate.Length(min=1))


class _Payments(_Sourced):
    cash = fields.List(fields.String(), required=True)
    insurance = fields.List(fields.String(), required=True)


class _Feeds(_Strict):
    silence = fields.Nested(_Silence, required=True)
    matching = fields.Nested(_Matching, required=True)
    payments = fields.Nested(_Payments, required=True)
    numbers = fields.Dict(fields.String(), fields.Raw(), required=True)
    jurisdictions = fields.Dict(fields.String(), fields.Raw(), required=True)


def read_feed_terms(reference: Path) -> FeedTerms:
    """The terms; ``DeclarationError`` for a file that is wrong."""
    said = checked(reference / FILE, _Feeds())
    silence, matching, payments = said["silence"], said["matching"], said["payments"]
    if not all(type(day) is datetime.date for day in silence["holidays"]):
        raise DeclarationError(f"{FILE}: silence.holidays holds dates, such as 2026-12-25")
    return FeedTerms(
        silence=Silence(silence["business_days"], silence["hours"], frozenset(silence["holidays"])),
        matching=MatchRules(
            accept=matching["accept"],
            rules=tuple(_rule(entry) for entry in matching["rule"]),
            numbers=frozenset(matching["numbers"]),
            national=frozenset(matching["national"]),
            sexes=matching["sexes"],
        ),
        payments={code: paid for paid in (Paid.CASH, Paid.INSURANCE) for code in payments[paid.value]},
        numbers=_words(said["numbers"]),
        jurisdictions=_words(said["jurisdictions"]),
    )


def _words(table: Mapping[str, Any]) -> dict[str, str]:
    """A table without its source."""
    return {name: word for name, word in table.items() if isinstance(word, str)}


def _rule(entry: Mapping[str, Any]) -> MatchRule:
    return MatchRule(
        entry["id"],
        entry["confidence"],
        *(frozenset(entry[respect]) for respect in ("number", "person", "sex", "zip")),
    )
