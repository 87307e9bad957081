"""Asking the clock about a whole organisation: of each patient when something new is on record, or when a
day has come on which time alone may change the answer.

Most patients are passed over on most days. A pass goes through the patients in portions, each a transaction;
one that was killed begins anew, and passes over those that it had asked about. The flags about function
are brought up with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Integer, Row, and_, bindparam, select, union_all
from sqlalchemy.orm import Session

from stewardship.db import documents, function_tables, tables
from stewardship.db.charts import FACTS, KnownPatient
from stewardship.db.engine import begin_writing
from stewardship.db.patients import hold_patient, insert_once
from stewardship.db.prepared import Prepared
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.flags.function import Function
from stewardship.domain.people import Principal
from stewardship.domain.reassessment import ClockAnswer, ask_again_on
from stewardship.services import function_flags, reassessments
from stewardship.services.function_flags import FlagsOfFunction
from stewardship.services.on_record import BETWEEN, OnRecord, by_patient, joined, whole

_readings: Any = function_tables.ClockReading.__table__
_reviews: Any = function_tables.Reassessment.__table__
_measurements: Any = function_tables.Measurement.__table__
_errors: Any = function_tables.MeasurementError.__table__
_goals: Any = function_tables.FunctionGoal.__table__
_goal_events: Any = function_tables.FunctionGoalEvent.__table__
_patients: Any = tables.Patient.__table__
_orders: Any = tables.Order.__table__


@dataclass(frozen=True)
class Passed:
    """How many patients of a portion were looked at, of how many the clock was asked, of how many that
    changed a review, and how many flags changed. ``position`` is where the next portion begins; ``None`` at
    the end."""

    patients: int
    asked: int
    changed: int
    position: str | None
    flags: int = 0


@dataclass(frozen=True)
class _Asked:
    """What the clock and the flags say of one patient, on what was on record."""

    row: Row[Any]
    seen: OnRecord
    chart: Chart
    answer: ClockAnswer
    function: Function


def ask_portion(
    session: Session,
    library: FlagsOfFunction,
    organisation_id: str,
    *,
    today: date,
    now: datetime,
    by: Principal,
    after: str = "",
    limit: int = 100,
) -> Passed:
    """Ask the clock about the patients behind ``after``, up to ``limit`` of them, where it may answer
    differently than it did. ``today`` is the organisation's day; ``by`` acts for the organisation.

    It looks first and writes then: in a ``late`` transaction others need not wait for the looking."""
    rows = _PORTION.rows(session, {"organisation": organisation_id, "after": after, "most": limit})
    if not rows:
        return Passed(0, 0, 0, None)
    between = {"organisation": organisation_id, "first": rows[0].id, "last": rows[-1].id}
    on_record = _on_record(session, between)
    readings = {row.patient_id: row for row in _READINGS.rows(session, between)}
    asked = [
        _ask(session, library, row, seen, by=by, now=now)
        for row in rows
        if _may_differ(seen := _of(row, on_record), readings.get(row.id), today)
    ]
    if not asked:
        return Passed(len(rows), 0, 0, rows[-1].id)
    # What was looked at is written now; whoever has changed something meanwhile is asked about next time.
    begin_writing(session)
    for one in asked:
        hold_patient(session, one.row.id, organisation_id=organisation_id)
    on_record = _on_record(session, between)
    asked = [one for one in asked if _of(one.row, on_record) == one.seen]
    kept = [
        reassessments.keep(session, library, one.row.id, one.chart, one.answer, by=by, now=now)
        for one in asked
    ]
    for one in asked:
        _note(session, readings.get(one.row.id), one, library, by=by, now=now)
    looked = {
        one.row.id: function_flags.looked_at(session, library, one.row.id, one.function, by=by)
        for one in asked
    }
    flagged = function_flags.bring_up(session, library, looked, by=by, now=now)
    for changes in kept:
        reassessments.note(session, changes, by=by, now=now)
    flags = len([*flagged.opened, *flagged.updated, *flagged.gone, *flagged.merged])
    return Passed(len(rows), len(kept), sum(map(bool, kept)), rows[-1].id, flags)


def _ask(
    session: Session,
    library: FlagsOfFunction,
    row: Row[Any],
    seen: OnRecord,
    *,
    by: Principal,
    now: datetime,
) -> _Asked:
    """Look at one patient; nothing is written."""
    known = KnownPatient(row.id, Patient(row.ehr_id, row.birth_date, row.sex, row.deceased), row.data_as_of)
    chart, answer = reassessments.ask(session, library, known, organisation_id=by.organisation_id, now=now)
    function = function_flags.seen_of(session, library, known, chart, by=by)
    return _Asked(row, seen, chart, answer, function)


def untold(session: Session, organisation_id: str) -> dict[str, tuple[str, ...]]:
    """What the clock could not tell when it was last asked, by the EHR's ids of the patients."""
    asked = (
        select(_patients.c.ehr_id, _readings.c.missing)
        .join(
            _readings,
            and_(
                _readings.c.organisation_id == _patients.c.organisation_id,
                _readings.c.patient_id == _patients.c.id,
            ),
        )
        .where(_patients.c.organisation_id == organisation_id, _readings.c.missing != "[]")
    )
    rows = session.connection().execute(asked)
    return {row.ehr_id: documents.decode(row.missing, tuple[str, ...]) for row in rows}


def _of(row: Row[Any], on_record: Mapping[str, OnRecord]) -> OnRecord:
    """What is on record of one patient; that he has died is a fact too."""
    seen = on_record.get(row.id, OnRecord())
    return OnRecord(seen.facts + 1, seen.newest_at) if row.deceased else seen


def _may_differ(seen: OnRecord, reading: Row[Any] | None, today: date) -> bool:
    if reading is None:
        return seen.facts > 0
    known = (reading.facts, reading.newest_at)
    return known != (seen.facts, seen.newest_at) or (reading.ask_on is not None and reading.ask_on <= today)


#: Everything that the clock and the flags read of the patients between two, these included.
_ON_RECORD = Prepared(
    union_all(
        whole(tables.Supply.__table__),
        *(whole(tables.Base.metadata.tables[name]) for name in FACTS),
        whole(_orders, "submitted_at"),
        joined(_orders, tables.Override.__table__, "at", "decision_id", "decision_id"),
        joined(_orders, tables.ExceptionRequest.__table__, "closed_at", "decision_id", "decision_id"),
        whole(_measurements),
        joined(_measurements, _errors, "at", "id", "measurement_id"),
        joined(_goals, _goal_events, "at", "id", "goal_id"),
        # What the clock closes by itself follows from the rest.
        whole(_reviews, "closed_at", _reviews.c.closed_by.is_not(None)),
        whole(_reviews, "missed_at", _reviews.c.missed_at.is_not(None)),
    )
)
_PORTION = Prepared(
    select(_patients)
    .where(_patients.c.organisation_id == bindparam("organisation"), _patients.c.id > bindparam("after"))
    .order_by(_patients.c.id)
    .limit(bindparam("most", type_=Integer))
)
_READINGS = Prepared(
    select(_readings).where(
        _readings.c.organisation_id == bindparam("organisation"),
        _readings.c.patient_id >= BETWEEN["first"],
        _readings.c.patient_id <= BETWEEN["last"],
    )
)


def _on_record(session: Session, asked: Mapping[str, str]) -> Mapping[str, OnRecord]:
    return by_patient(_ON_RECORD.rows(session, asked))


def _note(
    session: Session,
    reading: Row[Any] | None,
    one: _Asked,
    library: FlagsOfFunction,
    *,
    by: Principal,
    now: datetime,
) -> None:
    """When the patient was asked about, on what, and when that has to be done again."""
    days = (
        ask_again_on(one.chart, library.clock),
        function_flags.look_again_on(library, one.function),
    )
    row = {
        "organisation_id": by.organisation_id,
        "patient_id": one.row.id,
        "asked_at": now,
        "ask_on": min((day for day in days if day is not None), default=None),
        "facts": one.seen.facts,
        "newest_at": one.seen.newest_at,
        "missing": documents.encode(list(one.answer.missing)),
    }
    if reading is None and insert_once(session, _readings, row):
        return
    changed = (
        _readings.update()
        .where(
            _readings.c.organisation_id == row["organisation_id"],
            _readings.c.patient_id == row["patient_id"],
        )
        .values({name: row[name] for name in row if name not in ("organisation_id", "patient_id")})
    )
    session.connection().execute(changed)
