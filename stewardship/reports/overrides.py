"""Overrides and exceptions: what prescribers went ahead with, why, how often, and how long others took."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.domain.policy import Enforcement
from stewardship.reports.decided import Ordered, decided, fits, period
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Picture, Report, Table, Value, share

_overrides: Any = tables.Override.__table__
_requests: Any = tables.ExceptionRequest.__table__
_decisions: Any = tables.Decision.__table__

DEFINITION = (
    "Soft stops of orders that were last checked in the period, and what became of them: overridden with a "
    "coded reason, or not. Exceptions are requests made in the period to lift a hard stop. Times are medians "
    "from the check to the override, and from the request to its end."
)
BY_POLICY = (
    Column("policy", "Policy", Kind.ID),
    Column("stops", "Soft stops", Kind.COUNT),
    Column("overridden", "Overridden", Kind.COUNT),
    Column("rate", "Share", Kind.SHARE),
    Column("minutes", "Time to override", Kind.NUMBER, "min"),
)
BY_REASON = (
    Column("policy", "Policy", Kind.ID),
    Column("reason", "Coded reason", Kind.ID),
    Column("count", "Overrides", Kind.COUNT),
)
BY_PRESCRIBER = (
    Column("prescriber", "Prescriber", Kind.ID),
    Column("stops", "Soft stops", Kind.COUNT),
    Column("overridden", "Overridden", Kind.COUNT),
    Column("rate", "Share", Kind.SHARE),
)
EXCEPTIONS = (
    Column("policy", "Policy", Kind.ID),
    Column("requested", "Requested", Kind.COUNT),
    Column("approved", "Approved", Kind.COUNT),
    Column("declined", "Declined", Kind.COUNT),
    Column("open", "Open", Kind.COUNT),
    Column("hours", "Time to an end", Kind.NUMBER, "h"),
)


def overrides(session: Session, _library: Any, asked: Asked) -> Report:
    """The report."""
    made = _made(session, asked)
    stops: Counter[str] = Counter()
    by_whom: Counter[str] = Counter()
    overridden: Counter[str] = Counter()
    overridden_by: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    minutes: defaultdict[str, list[Decimal]] = defaultdict(list)
    for order in decided(session, asked):
        prescriber = order.ordered.prescriber or "not named"
        for found in order.findings:
            if found.enforcement is not Enforcement.SOFT_STOP or asked.policy not in ("", found.policy):
                continue
            stops[found.policy] += 1
            by_whom[prescriber] += 1
            override = made.get((order.id, found.policy))
            if override is not None:
                reason, at = override
                overridden[found.policy] += 1
                overridden_by[prescriber] += 1
                reasons[found.policy, reason] += 1
                minutes[found.policy].append(_span(order.at, at, 60))
    policies = [
        (p, stops[p], overridden[p], share(overridden[p], stops[p]), _median(minutes[p]))
        for p in sorted(stops)
    ]
    people = [(w, n, overridden_by[w], share(overridden_by[w], n)) for w, n in sorted(by_whom.items())]
    return Report(
        id="overrides",
        title="Overrides and exceptions",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table("policies", "Soft stops by policy", BY_POLICY, policies),
            Table(
                "reasons", "Coded reasons", BY_REASON, [(p, r, n) for (p, r), n in sorted(reasons.items())]
            ),
            Table("prescribers", "By prescriber", BY_PRESCRIBER, people),
            Table("exceptions", "Exceptions to hard stops", EXCEPTIONS, _exceptions(session, asked)),
        ),
        picture=Picture(
            "Soft stops, and those that were overridden",
            tuple(p for p, *_ in policies),
            {
                "Soft stops": tuple(Decimal(stops[p]) for p, *_ in policies),
                "Overridden": tuple(Decimal(overridden[p]) for p, *_ in policies),
            },
        )
        if policies
        else None,
        limits=(
            "A stop that was not overridden may have been heeded, or the order given up elsewhere.",
            "Prescribers see different patients; a rate alone says nothing about judgement.",
        ),
    )


def _made(session: Session, asked: Asked) -> dict[tuple[str, str], tuple[str, datetime]]:
    """The overrides of decisions of the period, with reason and moment."""
    since, until = period(asked)
    joined = and_(
        _decisions.c.organisation_id == _overrides.c.organisation_id,
        _decisions.c.id == _overrides.c.decision_id,
    )
    found = (
        select(_overrides.c.decision_id, _overrides.c.policy_id, _overrides.c.reason, _overrides.c.at)
        .join(_decisions, joined)
        .where(
            _overrides.c.organisation_id == asked.organisation_id,
            _decisions.c.as_of >= since,
            _decisions.c.as_of < until,
        )
    )
    rows = session.connection().execute(found)
    return {(row.decision_id, row.policy_id): (row.reason, row.at) for row in rows}


def _exceptions(session: Session, asked: Asked) -> list[tuple[Value, ...]]:
    since, until = period(asked)
    c = _requests.c
    of_order = and_(_decisions.c.organisation_id == c.organisation_id, _decisions.c.id == c.decision_id)
    found = (
        select(c.policy_id, c.status, c.at, c.closed_at, _decisions.c.order_document)
        .join(_decisions, of_order)
        .where(c.organisation_id == asked.organisation_id, c.at >= since, c.at < until)
    )
    counts: Counter[tuple[str, str]] = Counter()
    hours: defaultdict[str, list[Decimal]] = defaultdict(list)
    for row in session.connection().execute(found):
        if asked.policy in ("", row.policy_id) and _of(row.order_document, asked):
            counts[row.policy_id, row.status] += 1
            if row.closed_at is not None:
                hours[row.policy_id].append(_span(row.at, row.closed_at, 3_600))
    rows: list[tuple[Value, ...]] = []
    for policy in sorted({p for p, _ in counts}):
        approved, declined, waiting = (counts[policy, s] for s in ("approved", "declined", "open"))
        requested = approved + declined + waiting
        rows.append((policy, requested, approved, declined, waiting, _median(hours[policy])))
    return rows


def _of(order_document: str | None, asked: Asked) -> bool:
    """Whether a request is about an order of whom and where it is asked for; without an order, nobody's."""
    if order_document is None:
        return not asked.prescriber and not asked.unit
    return fits(documents.decode(order_document, Ordered), asked)


def _span(since: datetime, until: datetime, seconds: int) -> Decimal:
    return Decimal(round((until - since).total_seconds() * 10 / seconds)) / 10


def _median(values: list[Decimal]) -> Decimal | None:
    return None if not values else Decimal(median(values)).quantize(Decimal("0.1"))


LISTED = Listed(
    "overrides",
    "Overrides and exceptions",
    "What prescribers went ahead with, why, how often, and how long exceptions took.",
    overrides,
    frozenset({"unit", "prescriber", "policy"}),
)
