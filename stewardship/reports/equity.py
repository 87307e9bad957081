"""Equity: whether stops, overrides and denials fall on some groups of patients more than on others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.domain.orders import SupplyKind
from stewardship.domain.policy import Disposition
from stewardship.reports.decided import Decided, decided, period
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Report, Table, Value, share

_patients: Any = tables.Patient.__table__
_supplies: Any = tables.Supply.__table__
_overrides: Any = tables.Override.__table__
_requests: Any = tables.ExceptionRequest.__table__

DEFINITION = (
    "Patients with an order that was last checked in the period, by age on the day of the check, by sex, and "
    "by how the newest dispensing that says so was paid for; where none says so it cannot be told. "
    "Stopped: an order of theirs met a soft stop; overridden: one of those was overridden. Denied: an order "
    "was blocked and no exception was approved. Each patient counts once in each group and column."
)
COLUMNS = (
    Column("group", "Group"),
    Column("patients", "Patients", Kind.COUNT),
    Column("stopped", "Stopped", Kind.COUNT),
    Column("overridden", "Overridden", Kind.COUNT),
    Column("override_rate", "Overridden of stopped", Kind.SHARE, of=("stopped", "overridden")),
    Column("denied", "Denied", Kind.COUNT),
    Column("denial_rate", "Denied of all", Kind.SHARE, of=("patients", "denied")),
)
_PEOPLE = ("patients", "stopped", "overridden", "denied")
_PARTS = (("stopped", "patients"), ("overridden", "stopped"), ("denied", "patients"))
_CANNOT_TELL = "cannot tell"
#: Patients whose supplies are asked for together.
_TOGETHER = 500
#: The first ages of the bands.
_BANDS = (0, 18, 35, 50, 65, 80)


class _Paid(msgspec.Struct, frozen=True):
    """The part of a supply's document that says who paid."""

    paid: str = ""


@dataclass
class _Group:
    patients: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    overridden: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)


def equity(session: Session, _library: Any, asked: Asked) -> Report:
    """The report."""
    people = _people(session, asked)
    overridden, approved = _lifted(session, asked)
    ages: defaultdict[str, _Group] = defaultdict(_Group)
    sexes: defaultdict[str, _Group] = defaultdict(_Group)
    whole = _Group()
    for order in decided(session, asked):
        birth, sex = people.get(order.patient_id, (None, ""))
        for group in (ages[_band(birth, order.at.date())], sexes[sex or "not recorded"], whole):
            _count(group, order, overridden, approved)
    return Report(
        id="equity",
        title="Equity of stops and denials",
        definition=DEFINITION,
        asked=asked,
        tables=(
            *(
                Table(name, title, COLUMNS, _rows(groups), people=_PEOPLE, totals=True, parts=_PARTS)
                for name, title, groups in (
                    ("ages", "By age", ages),
                    ("sexes", "By sex", sexes),
                    ("payers", "By who paid", _by_payer(session, asked, whole)),
                )
            ),
        ),
        limits=(
            "Groups differ in what they are treated for; a difference is a reason to look, not a finding.",
            "Who pays is known from dispensings alone, and only whether it was the patient or a plan.",
        ),
    )


def _count(group: _Group, order: Decided, overridden: set[str], approved: set[str]) -> None:
    patient = order.patient_id
    group.patients.add(patient)
    if any(said.enforcement == "soft-stop" for said in order.findings):
        group.stopped.add(patient)
        if order.id in overridden:
            group.overridden.add(patient)
    if order.disposition is Disposition.BLOCKED and order.id not in approved:
        group.denied.add(patient)


def _by_payer(session: Session, asked: Asked, whole: _Group) -> dict[str, _Group]:
    """The same patients by who paid for the newest dispensing of each that says so."""
    paid = _payers(session, asked, sorted(whole.patients))
    groups: defaultdict[str, _Group] = defaultdict(_Group)
    for name in ("patients", "stopped", "overridden", "denied"):
        for patient in getattr(whole, name):
            getattr(groups[paid.get(patient, _CANNOT_TELL)], name).add(patient)
    return groups


def _payers(session: Session, asked: Asked, patients: Sequence[str]) -> dict[str, str]:
    c, found = _supplies.c, dict[str, str]()
    for start in range(0, len(patients), _TOGETHER):
        of_some = (
            select(c.patient_id, c.document)
            .where(
                c.organisation_id == asked.organisation_id,
                c.patient_id.in_(patients[start : start + _TOGETHER]),
                c.kind == SupplyKind.DISPENSING.value,
                c.start_on < asked.until,
            )
            .order_by(c.patient_id, c.start_on, c.source_id)
        )
        for row in session.connection().execute(of_some):
            # The oldest first, so that the newest that says so stays.
            if paid := documents.decode(row.document, _Paid).paid:
                found[row.patient_id] = paid
    return found


def _rows(groups: dict[str, _Group]) -> list[tuple[Value, ...]]:
    rows: list[tuple[Value, ...]] = []
    for name, group in sorted(groups.items()):
        whole, stopped = len(group.patients), len(group.stopped)
        over, denied = len(group.overridden), len(group.denied)
        rows.append((name, whole, stopped, over, share(over, stopped), denied, share(denied, whole)))
    return rows


def _people(session: Session, asked: Asked) -> dict[str, tuple[date | None, str]]:
    c = _patients.c
    mine = select(c.id, c.birth_date, c.sex).where(c.organisation_id == asked.organisation_id)
    return {row.id: (row.birth_date, row.sex) for row in session.connection().execute(mine)}


def _lifted(session: Session, asked: Asked) -> tuple[set[str], set[str]]:
    """Decisions with an override, and those with an approved exception."""
    since, _ = period(asked)
    o, r = _overrides.c, _requests.c
    made = select(o.decision_id).where(o.organisation_id == asked.organisation_id, o.at >= since)
    granted = select(r.decision_id).where(
        r.organisation_id == asked.organisation_id, r.status == "approved", r.at >= since
    )
    run = session.connection().execute
    return set(run(made).scalars()), set(run(granted).scalars())


def _band(birth: date | None, day: date) -> str:
    if birth is None:
        return "not recorded"
    age = day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
    first = max(low for low in _BANDS if low <= max(age, 0))
    after = [low for low in _BANDS if low > first]
    return f"{first:02d} to {after[0] - 1}" if after else f"{first} and older"


LISTED = Listed(
    "equity",
    "Equity of stops and denials",
    "Stops, overrides and denials by age, sex and payer of patients, small numbers withheld.",
    equity,
    frozenset({"unit", "prescriber"}),
)
