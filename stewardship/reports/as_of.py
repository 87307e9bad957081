"""A patient's chart and the policies as they stood at an instant, on which an order would have been judged.

The chart is made of what is on record now and was by then. A record that was rewritten since (a corrected
dispensing, a diagnosis that was updated) is shown as it stood where its former words are still on record
(``rewritten``), and marked; how many records were written later is said in any case.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from stewardship.db import charts, tables
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.codes import Coding
from stewardship.domain.orders import Supply
from stewardship.domain.policy import Policy
from stewardship.reports import rewritten
from stewardship.reports.reporting import Asked, Column, Kind, Report, Table, Value

_patients: Any = tables.Patient.__table__
_decisions: Any = tables.Decision.__table__

ID = "as-of"
DEFINITION = (
    "What was on record about one patient at an instant, and which policy versions were in force then. "
    "An order of that moment would have been judged on this, joined with what its request brought."
)
FACTS = (Column("fact", "What was known"), Column("value", "As it stood"))
SUPPLIES = (
    Column("kind", "Known from", Kind.ID),
    Column("medication", "Medication"),
    Column("from", "From", Kind.DATE),
    Column("days", "Days", Kind.NUMBER),
    Column("quantity", "Quantity"),
    Column("status", "Status", Kind.ID),
    Column("record", "Record", Kind.ID),
    Column("written_since", "Written since"),
)
RECORDS = (
    Column("kind", "Kind", Kind.ID),
    Column("what", "What"),
    Column("on", "On", Kind.DATE),
    Column("record", "Record", Kind.ID),
    Column("written_since", "Written since"),
)
POLICIES = (
    Column("policy", "Policy", Kind.ID),
    Column("version", "Version", Kind.NUMBER),
    Column("effective", "In effect from", Kind.DATE),
    Column("enforcement", "Enforcement", Kind.ID),
    Column("title", "Title"),
    Column("sha256", "SHA-256 of its file", Kind.ID),
)
DECISIONS = (
    Column("at", "When", Kind.INSTANT),
    Column("decision", "Decision", Kind.ID),
    Column("order", "Order", Kind.ID),
    Column("disposition", "Disposition", Kind.ID),
)
LATER = (Column("kind", "Kind", Kind.ID), Column("records", "Written after the instant", Kind.COUNT))
_REWRITTEN = (
    "What was written here since, for the first time or again, is marked: a dispensing stands as it had been "
    "reported by then, any other record as the last decision until then had it. What no such decision knew "
    "is not shown as it was, and is counted among what was written since."
)
_AS_REPORTED = "yes; as it was reported by then"
_NOTHING = "Nothing was on record."
_LAST = 20
#: What is read by the moment at which it was recorded.
_RECORDED: tuple[Any, ...] = (tables.Supply, *(table for table, _ in charts.FACTS.values()))


def as_of(session: Session, library: Any, asked: Asked, *, patient: str, at: datetime) -> Report:
    """The report of a patient, by our own id or the EHR's; ``LookupError`` for one who is not on record."""
    row = _row(session, asked.organisation_id, patient)
    known = charts.KnownPatient(
        row.id, Patient(row.ehr_id, row.birth_date, row.sex, row.deceased), row.data_as_of
    )
    chart = charts.chart_of(session, library, known, organisation_id=asked.organisation_id, as_of=at)
    supplies, records = _supplies(chart.supplies), _records(chart)
    reported = rewritten.dispensings(session, library, row, at, known=chart.supplies)
    supplies += _supplies(reported, _AS_REPORTED)
    former = rewritten.of_last_decision(session, row, at)
    if former is not None:
        note = f"yes; as the decision of {former.made_at:%Y-%m-%d %H:%M} UTC had it"
        supplies += _supplies(former.chart.supplies, note)
        records += _records(former.chart, note)
    day = at.astimezone(UTC).date()
    return Report(
        id=ID,
        title="A chart and the policies as they stood",
        definition=DEFINITION,
        asked=Asked(asked.organisation_id, day, day + timedelta(days=1), patient=row.id),
        tables=(
            Table(
                "facts",
                f"As of {at:%d %B %Y, %H:%M:%S} UTC",
                FACTS,
                _facts(row, chart, at, former is not None),
            ),
            Table("supplies", "Prescribed and dispensed", SUPPLIES, _latest_first(supplies), _NOTHING),
            Table(
                "records",
                "Diagnoses, findings, procedures, plans, goals, visits",
                RECORDS,
                records,
                _NOTHING,
            ),
            Table("policies", "Policies in force", POLICIES, _policies(library.in_force(day))),
            Table(
                "decisions",
                "Decisions until then, the last first",
                DECISIONS,
                _decided(session, row, at),
                "There was none.",
            ),
            Table(
                "later",
                "Written since",
                LATER,
                _later(session, row, at),
                empty="Nothing was written about this patient since.",
            ),
        ),
        limits=(
            "It is what was known here at that instant, not what was true of the patient.",
            _REWRITTEN,
            "How current a pharmacy was, and whose a record is, are told as they are known today.",
        ),
    )


def _row(session: Session, organisation_id: str, patient: str) -> Any:
    c = _patients.c
    asked = select(_patients).where(
        c.organisation_id == organisation_id, or_(c.id == patient, c.ehr_id == patient)
    )
    # Somebody else's number may be the same as an id of ours: ours is meant.
    rows = sorted(session.connection().execute(asked), key=lambda row: row.id != patient)
    if not rows:
        raise LookupError(patient)
    return rows[0]


def _facts(row: Any, chart: Chart, at: datetime, decided: bool) -> list[tuple[Value, ...]]:
    gaps = ", ".join(sorted({gap.code for gap in chart.gaps}))
    before = "what a decision of then was made on" if decided else "nothing"
    told = [
        ("Patient, by our own id", row.id),
        ("On record here since", f"{row.recorded_at:%d %B %Y, %H:%M} UTC"),
        (
            "Known at the instant",
            f"no: from before there is {before} on record" if row.recorded_at > at else "yes",
        ),
        ("Born", "not stated" if row.birth_date is None else row.birth_date.isoformat()),
        ("Sex", row.sex or "not stated"),
        (
            "Dispensings known up to",
            f"{chart.data_as_of:%d %B %Y, %H:%M} UTC" if chart.data_as_of else "not told",
        ),
        ("Gaps in what was known", gaps or "none was known of"),
        (
            "Findings at rest",
            ", ".join(sorted(f"{one.policy} until {one.until}" for one in chart.snoozes)) or "none",
        ),
    ]
    return [*told]


def _latest_first(rows: list[tuple[Value, ...]]) -> list[tuple[Value, ...]]:
    return sorted(rows, key=lambda row: (row[2] or date.min, row[6]), reverse=True)


def _supplies(found: Iterable[Supply], since: str = "") -> list[tuple[Value, ...]]:
    return [
        (
            one.kind.value,
            one.drug.name if one.drug else one.medication.label,
            one.start_on,
            one.days_supply,
            "" if one.quantity is None else f"{one.quantity.value:f} {one.quantity.unit or ''}".strip(),
            one.status,
            one.id,
            since,
        )
        for one in found
    ]


def _records(chart: Chart, since: str = "") -> list[tuple[Value, ...]]:
    rows: list[tuple[Value, ...]] = []
    for kind, several in (
        (
            "condition",
            [(one.id, one.codings, one.text, one.onset or one.recorded_on) for one in chart.conditions],
        ),
        ("observation", [(one.id, one.codings, _value(one), one.on) for one in chart.observations]),
        (
            "procedure",
            [(one.id, one.codings, "" if one.done else "not done", one.on) for one in chart.procedures],
        ),
        ("plan", [(one.id, one.codings, "", one.from_on) for one in chart.plans]),
        ("goal", [(one.id, one.codings, one.said, one.from_on) for one in chart.goals]),
        ("encounter", [(one.id, one.codings, one.setting, one.from_on) for one in chart.encounters]),
    ):
        rows += [(kind, _words(codings, more), on, record, since) for record, codings, more, on in several]
    return rows


def _value(one: Any) -> str:
    return one.said if one.value is None else f"{one.value:f} {one.unit}".strip()


def _words(codings: tuple[Coding, ...], more: str) -> str:
    codes = ", ".join(f"{coding.system} {coding.code}" for coding in codings)
    return ": ".join(part for part in (codes, more) if part)


def _policies(found: tuple[Policy, ...]) -> list[tuple[Value, ...]]:
    return [
        (one.id, one.version, one.effective_from, one.enforcement.value, one.title, one.sha256)
        for one in sorted(found, key=lambda one: one.id)
    ]


def _decided(session: Session, row: Any, at: datetime) -> list[tuple[Value, ...]]:
    c = _decisions.c
    asked = (
        select(c.as_of, c.id, c.order_id, c.disposition)
        .where(c.organisation_id == row.organisation_id, c.patient_id == row.id, c.as_of <= at)
        .order_by(c.as_of.desc(), c.id.desc())
        .limit(_LAST)
    )
    return [
        (one.as_of, one.id, one.order_id or "", one.disposition)
        for one in session.connection().execute(asked)
    ]


def _later(session: Session, row: Any, at: datetime) -> list[tuple[Value, ...]]:
    found: list[tuple[Value, ...]] = []
    for model in _RECORDED:
        table: Any = model.__table__
        asked = select(func.count()).where(
            table.c.organisation_id == row.organisation_id,
            table.c.patient_id == row.id,
            table.c.recorded_at > at,
        )
        count = session.connection().execute(asked).scalar_one()
        if count:
            found.append((table.name, count))
    return found
