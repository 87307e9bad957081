"""Prescribers beside their peers: how often soft stops are overridden, for the stops that each one met.

Each is held against what others did about stops of the same policies (indirect standardisation), with an
interval around the share (Wilson's score interval, 95 %). It is sorted by id: a rank would say more than the
numbers can.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from math import sqrt
from statistics import NormalDist
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import tables
from stewardship.domain.policy import Enforcement
from stewardship.reports.decided import decided, period
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Report, Table, Value, share

_overrides: Any = tables.Override.__table__

#: How sure an interval is meant to be.
_CONFIDENCE = 0.95
DEFINITION = (
    "Soft stops of orders that were last checked in the period, by the prescriber whom the order names. "
    "Expected is the share that would have been overridden had each of these stops been answered as all "
    "other prescribers answered stops of the same policy. The interval is Wilson's, 95 %: where expected "
    "lies within it, the prescriber does not differ from the others by more than chance explains."
)
COLUMNS = (
    Column("prescriber", "Prescriber", Kind.ID),
    Column("stops", "Soft stops", Kind.COUNT),
    Column("overridden", "Overridden", Kind.COUNT),
    Column("rate", "Share", Kind.SHARE),
    Column("low", "Interval from", Kind.SHARE),
    Column("high", "Interval to", Kind.SHARE),
    Column("expected", "Expected", Kind.SHARE),
    Column("differs", "Against the others"),
)
SPREAD = (Column("share", "Share overridden"), Column("prescribers", "Prescribers", Kind.COUNT))
_TENTHS = 10


def peers(session: Session, _library: Any, asked: Asked) -> Report:
    """The report."""
    stops: Counter[tuple[str, str]] = Counter()
    overridden: Counter[tuple[str, str]] = Counter()
    made = _made(session, asked)
    for order in decided(session, asked):
        who = order.ordered.prescriber
        for said in order.findings:
            if who and said.enforcement is Enforcement.SOFT_STOP and asked.policy in ("", said.policy):
                stops[who, said.policy] += 1
                overridden[who, said.policy] += (order.id, said.policy) in made
    people = sorted({who for who, _ in stops})
    rows = [_row(who, stops, overridden) for who in people]
    spread: Counter[int] = Counter(
        min(int(rate) // _TENTHS, _TENTHS - 1) for row in rows if isinstance(rate := row[3], Decimal)
    )
    bands = [(f"{n * 10} to {n * 10 + 10} %", spread[n]) for n in range(_TENTHS)] if rows else []
    return Report(
        id="peers",
        title="Prescribers beside their peers",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table("prescribers", "Each prescriber", COLUMNS, rows),
            Table("spread", "How the shares are spread", SPREAD, bands),
        ),
        limits=(
            "Stops are compared within a policy; how ill patients are beyond that is not taken into account.",
            "Specialties are not on record for all prescribers: peers are all who met the same policy.",
            "Of many prescribers about one in twenty lies outside by chance alone.",
        ),
    )


def _row(
    who: str, stops: Counter[tuple[str, str]], overridden: Counter[tuple[str, str]]
) -> tuple[Value, ...]:
    mine = {policy: n for (one, policy), n in stops.items() if one == who}
    count, over = sum(mine.values()), sum(overridden[who, policy] for policy in mine)
    expected = Decimal(0)
    compared = 0
    for policy, n in mine.items():
        others = sum(k for (one, p), k in stops.items() if p == policy and one != who)
        theirs = sum(k for (one, p), k in overridden.items() if p == policy and one != who)
        if others:
            expected += Decimal(n) * theirs / others
            compared += n
    low, high = wilson(over, count)
    if compared < count:
        # Somebody who alone met a policy has no peers for it.
        return who, count, over, share(over, count), low, high, None, "no peers for some of the stops"
    rate = (expected * 100 / count).quantize(Decimal("0.1"))
    told = "within chance" if low <= rate <= high else "above" if rate < low else "below"
    return who, count, over, share(over, count), low, high, rate, told


def wilson(part: int, whole: int) -> tuple[Decimal, Decimal]:
    """The score interval of a share, in per cent with one digit."""
    z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
    rate, square = part / whole, z * z / whole
    middle = (rate + square / 2) / (1 + square)
    half = z * sqrt(rate * (1 - rate) / whole + square / (4 * whole)) / (1 + square)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return tuple(Decimal(str(round(bound * 100, 1))) for bound in (low, high))  # type: ignore[return-value]


def _made(session: Session, asked: Asked) -> set[tuple[str, str]]:
    since, _ = period(asked)
    c = _overrides.c
    mine = select(c.decision_id, c.policy_id).where(c.organisation_id == asked.organisation_id, c.at >= since)
    return {(row.decision_id, row.policy_id) for row in session.connection().execute(mine)}


LISTED = Listed(
    "peers",
    "Prescribers beside their peers",
    "Overrides of each prescriber against what others did about the same stops, with intervals.",
    peers,
    frozenset({"unit", "policy"}),
)
