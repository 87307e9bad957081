"""Prescribers beside their peers: how often soft stops are overridden, for the stops that each one met.

Each is held against what peers of the same specialty did about stops of the same policy for like patients
(indirect standardisation by policy, phase of pain, and age), with an interval around the share (Wilson's
score interval, 95 %). It is sorted by id: a rank would say more than the numbers can.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from math import sqrt
from statistics import NormalDist, quantiles
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import documents, plan_tables, tables
from stewardship.domain.policy import Enforcement
from stewardship.reports.decided import Decided, decided, period
from stewardship.reports.reporting import (
    Asked,
    Column,
    Kind,
    Listed,
    Picture,
    Report,
    Table,
    Value,
    share,
)

_overrides: Any = tables.Override.__table__
_patients: Any = tables.Patient.__table__
_registry: Any = plan_tables.Prescriber.__table__

#: How sure an interval is meant to be.
_CONFIDENCE = 0.95
NOT_ON_RECORD = "not on record"
DEFINITION = (
    "Soft stops of orders that were last checked in the period, by the prescriber whom the order names. "
    "Expected is the share that would have been overridden had each of these stops been answered as peers "
    "answered stops of the same policy, for patients in the same phase of pain and on the same side of the "
    "age that is named below. Peers are other prescribers of the same specialty; of somebody whose specialty "
    "is not in the registry, all others. Stops that no peer met are not compared. The interval is Wilson's, "
    "95 %, around the share of the stops that are compared: where expected lies within it, the prescriber "
    "does not differ from his peers by more than chance explains."
)
COLUMNS = (
    Column("prescriber", "Prescriber", Kind.ID),
    Column("specialty", "Specialty", Kind.ID),
    Column("stops", "Soft stops", Kind.COUNT),
    Column("overridden", "Overridden", Kind.COUNT),
    Column("compared", "Stops compared", Kind.COUNT),
    Column("rate", "Share of these", Kind.SHARE),
    Column("low", "Interval from", Kind.SHARE),
    Column("high", "Interval to", Kind.SHARE),
    Column("expected", "Expected", Kind.SHARE),
    Column("differs", "Against the peers"),
)
SPECIALTIES = (
    Column("specialty", "Specialty", Kind.ID),
    Column("prescribers", "Prescribers", Kind.COUNT),
    Column("stops", "Soft stops", Kind.COUNT),
    Column("overridden", "Overridden", Kind.COUNT),
    Column("rate", "Share", Kind.SHARE),
    Column("low", "Interval from", Kind.SHARE),
    Column("high", "Interval to", Kind.SHARE),
    Column("lower", "Lower quartile", Kind.SHARE),
    Column("median", "Median", Kind.SHARE),
    Column("upper", "Upper quartile", Kind.SHARE),
)
SPREAD = (Column("share", "Share overridden", Kind.ID), Column("prescribers", "Prescribers", Kind.COUNT))
_TENTHS = 10

#: What makes stops comparable: policy, phase of pain, and on which side of the age the patient is.
Case = tuple[str, str, str]


@dataclass
class _Met:
    """The stops that somebody met, by what makes them comparable, and how many of them he overrode."""

    stops: Counter[Case] = field(default_factory=Counter)
    overridden: Counter[Case] = field(default_factory=Counter)

    def add(self, case: Case, *, overridden: bool) -> None:
        self.stops[case] += 1
        self.overridden[case] += overridden

    @property
    def share(self) -> tuple[int, int]:
        """How many were overridden, of how many."""
        return self.overridden.total(), self.stops.total()


def peers(session: Session, library: Any, asked: Asked) -> Report:
    """The report."""
    made, born = _made(session, asked), _born(session, asked)
    registry = _registry_by_name(session, asked)
    met: defaultdict[str, _Met] = defaultdict(_Met)
    for order in decided(session, asked):
        name = order.ordered.prescriber
        who = registry[name].npi if name in registry else name
        for said in order.findings:
            if who and said.enforcement is Enforcement.SOFT_STOP and asked.policy in ("", said.policy):
                case = _case(order, said.policy, born.get(order.patient_id), library.older_from)
                met[who].add(case, overridden=(order.id, said.policy) in made)
    special = {who: registry[who].specialty if who in registry else NOT_ON_RECORD for who in met}
    rows = [_row(who, met, special) for who in sorted(met)]
    spread = Counter(_tenth(one) for one in met.values())
    bands = [(f"{n * 10} to {n * 10 + 10} %", spread[n]) for n in range(_TENTHS)] if rows else []
    return Report(
        id="peers",
        title="Prescribers beside their peers",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table("prescribers", "Each prescriber", COLUMNS, rows),
            Table(
                "specialties", "Each specialty, as a distribution", SPECIALTIES, _by_specialty(met, special)
            ),
            Table("spread", "How the shares are spread", SPREAD, bands),
        ),
        picture=Picture(
            "How the shares overridden are spread",
            tuple(label for label, _ in bands),
            {"Prescribers": tuple(Decimal(count) for _, count in bands)},
        )
        if bands
        else None,
        limits=(
            _case_mix(library.older_from),
            _unknown(special),
            "Of many prescribers about one in twenty lies outside by chance alone.",
        ),
    )


def _case_mix(older_from: int) -> str:
    return (
        f"Case mix is the policy, the phase of pain, and age below {older_from} or not; how ill patients are "
        "beyond that is not taken into account."
    )


def _unknown(special: Mapping[str, str]) -> str:
    lacking = sum(one == NOT_ON_RECORD for one in special.values())
    return f"The specialty of {lacking} of {len(special)} prescribers is not in the registry; they say so."


def _case(order: Decided, policy: str, born: date | None, older_from: int) -> Case:
    day = order.at.date()
    if born is None:
        return policy, order.ordered.pain.phase, "age not known"
    age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return policy, order.ordered.pain.phase, "older" if age >= older_from else "younger"


def _row(who: str, met: Mapping[str, _Met], special: Mapping[str, str]) -> tuple[Value, ...]:
    mine, own = met[who], special[who]
    others = [
        theirs
        for name, theirs in met.items()
        if name != who and (own == NOT_ON_RECORD or special[name] == own)
    ]
    expected, compared, over = Decimal(0), 0, 0
    for case, n in mine.stops.items():
        stops = sum(theirs.stops[case] for theirs in others)
        if stops:
            expected += Decimal(n) * sum(theirs.overridden[case] for theirs in others) / stops
            compared += n
            over += mine.overridden[case]
    overridden, count = mine.share
    head = (who, own, count, overridden, compared)
    if not compared:
        return *head, None, None, None, None, "no peers"
    low, high = wilson(over, compared)
    rate = (expected * 100 / compared).quantize(Decimal("0.1"))
    told = "within chance" if low <= rate <= high else "above" if rate < low else "below"
    whom = "; all prescribers" if own == NOT_ON_RECORD else ""
    return *head, share(over, compared), low, high, rate, f"{told}{whom}"


def _by_specialty(met: Mapping[str, _Met], special: Mapping[str, str]) -> list[tuple[Value, ...]]:
    rows: list[tuple[Value, ...]] = []
    for specialty in sorted(set(special.values())):
        shares = [met[who].share for who, own in special.items() if own == specialty]
        over, stops = sum(one for one, _ in shares), sum(count for _, count in shares)
        low, high = wilson(over, stops)
        rates = [one * 100 / count for one, count in shares]
        lower, median, upper = quantiles(rates, n=4, method="inclusive") if len(rates) > 1 else rates * 3
        spread = (Decimal(str(round(each, 1))) for each in (lower, median, upper))
        rows.append((specialty, len(shares), stops, over, share(over, stops), low, high, *spread))
    return rows


def _tenth(one: _Met) -> int:
    over, count = one.share
    return min(over * _TENTHS // count, _TENTHS - 1)


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


class _Document(msgspec.Struct, frozen=True):
    """The part of a registered prescriber that is read here."""

    specialty: str = ""


@dataclass(frozen=True, slots=True)
class _Registered:
    npi: str
    specialty: str


def _registry_by_name(session: Session, asked: Asked) -> dict[str, _Registered]:
    """Orders name a prescriber by National Provider Identifier or as a user: both are the same person."""
    c = _registry.c
    mine = select(c.npi, c.user_id, c.document).where(c.organisation_id == asked.organisation_id)
    found: dict[str, _Registered] = {}
    for row in session.connection().execute(mine):
        known = _Registered(row.npi, documents.decode(row.document, _Document).specialty or NOT_ON_RECORD)
        found |= {name: known for name in (row.npi, row.user_id) if name}
    return found


def _born(session: Session, asked: Asked) -> dict[str, date | None]:
    c = _patients.c
    mine = select(c.id, c.birth_date).where(c.organisation_id == asked.organisation_id)
    return {row.id: row.birth_date for row in session.connection().execute(mine)}


LISTED = Listed(
    "peers",
    "Prescribers beside their peers",
    "Overrides of each prescriber against peers of the same specialty and case mix, with intervals.",
    peers,
    frozenset({"unit", "policy"}),
)
