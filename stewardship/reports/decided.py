"""Decisions on record as reports read them: each order once, as it was last checked, with all its findings.

They come one after the other, so that a year of a hospital is never in memory at once. A prescriber is whom
the order names; a check of a chart without an order is about nobody's order and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from stewardship.db import documents, findings, tables
from stewardship.domain.policy import Disposition, Enforcement, Outcome
from stewardship.reports.reporting import Asked

_decisions: Any = tables.Decision.__table__
_findings: Any = tables.Finding.__table__
_PORTION = 500


class Product(msgspec.Struct, frozen=True):
    """The product of an order, as far as reports read it."""

    name: str
    release: str
    classes: frozenset[str]


class Replaced(msgspec.Struct, frozen=True):
    """What an order makes good."""

    loss: str


class Pain(msgspec.Struct, frozen=True):
    """What an order says about the pain that it is for."""

    phase: str = "unknown"


class Ordered(msgspec.Struct, frozen=True):
    """The part of an order's document that reports read."""

    written_on: date
    drug: Product | None = None
    days_supply: Decimal | None = None
    setting: str = "unknown"
    prescriber: str = ""
    replaces: Replaced | None = None
    pain: Pain = Pain()


@dataclass(frozen=True, slots=True)
class Said:
    """One finding of a decision."""

    policy: str
    version: int
    outcome: Outcome
    enforcement: Enforcement
    facts: Mapping[str, Any]
    topic: str
    missing: tuple[str, ...]

    @property
    def stops(self) -> bool:
        """Whether somebody had to do something about it."""
        return self.enforcement in {Enforcement.SOFT_STOP, Enforcement.HARD_STOP}


@dataclass(frozen=True, slots=True)
class Decided:
    """An order as it was last checked. ``patient_id`` is our own id."""

    id: str
    patient_id: str
    order_id: str
    at: datetime
    channel: str
    disposition: Disposition
    by_user: str
    ordered: Ordered
    findings: tuple[Said, ...]

    def of(self, policy: str) -> Said | None:
        """What one policy said."""
        return next((found for found in self.findings if found.policy == policy), None)


def decided(session: Session, asked: Asked) -> Iterator[Decided]:
    """The orders that were last checked in the period, the oldest first, narrowed as asked."""
    after = ""
    while True:
        rows = session.connection().execute(_portion(asked, after)).all()
        spoken = _spoken(session, asked.organisation_id, [row.id for row in rows])
        for row in rows:
            made = _decided(row, spoken.get(row.id, []))
            if fits(made.ordered, asked):
                yield made
        if len(rows) < _PORTION:
            return
        after = rows[-1].id


def period(asked: Asked) -> tuple[datetime, datetime]:
    """The first moment of the period, and the first one after it (UTC)."""
    return (
        datetime.combine(asked.since, time(), tzinfo=UTC),
        datetime.combine(asked.until, time(), tzinfo=UTC),
    )


def months(asked: Asked) -> tuple[str, ...]:
    """The months of the period, as 2026-03."""
    first, last = asked.since, asked.until
    named: list[str] = []
    year, month = first.year, first.month
    while date(year, month, 1) < last:
        named.append(f"{year:04d}-{month:02d}")
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return tuple(named)


def _portion(asked: Asked, after: str) -> Select[Any]:
    since, until = period(asked)
    c = _decisions.c
    # Ids are in the order of time: the largest of an order is its last check.
    last = (
        select(func.max(c.id))
        .where(
            c.organisation_id == asked.organisation_id,
            c.order_id.is_not(None),
            c.as_of >= since,
            c.as_of < until,
        )
        .group_by(c.patient_id, c.order_id)
    )
    return (
        select(
            c.id,
            c.patient_id,
            c.order_id,
            c.as_of,
            c.channel,
            c.disposition,
            c.by_user,
            c.order_document,
            c.silent_document,
        )
        .where(c.organisation_id == asked.organisation_id, c.id.in_(last), c.id > after)
        .order_by(c.id)
        .limit(_PORTION)
    )


def _spoken(session: Session, organisation_id: str, ids: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if ids:
        c = _findings.c
        asked = select(c.decision_id, c.document).where(
            c.organisation_id == organisation_id, c.decision_id.in_(ids)
        )
        for row in session.connection().execute(asked):
            found.setdefault(row.decision_id, []).append(row.document)
    return found


def _decided(row: Row[Any], spoken: list[str]) -> Decided:
    said = findings.all_of(row.silent_document, spoken)
    return Decided(
        id=row.id,
        patient_id=row.patient_id,
        order_id=row.order_id,
        at=row.as_of,
        channel=row.channel,
        disposition=Disposition(row.disposition),
        by_user=row.by_user,
        ordered=documents.decode(row.order_document, Ordered),
        findings=tuple(
            Said(
                one["policy"],
                one["version"],
                Outcome(one["outcome"]),
                Enforcement(one["enforcement"]),
                one["facts"],
                one["topic"],
                tuple(one["missing"]),
            )
            for one in said
        ),
    )


def fits(ordered: Ordered, asked: Asked) -> bool:
    """Whether an order is of the prescriber and the unit that is asked for."""
    if asked.prescriber and ordered.prescriber != asked.prescriber:
        return False
    return not asked.unit or ordered.setting == asked.unit
