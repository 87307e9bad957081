"""Goals of function: set with the patient, changed, reached or given up, each on record with who and why.

A goal is the last of its events. Two who change the same goal at once cannot both be right about what it
was: whoever says which state he saw is refused when it is no longer that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from sqlalchemy import Row, and_, bindparam, func, select
from sqlalchemy.orm import Session

from stewardship.db import function_tables, tables
from stewardship.db.charts import known_patient
from stewardship.db.engine import new_id
from stewardship.db.patients import ensure_patient, insert_once
from stewardship.db.prepared import Prepared
from stewardship.domain.chart import Patient
from stewardship.domain.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound
from stewardship.domain.goals import FunctionGoal, GoalEvent, GoalTerms, goal
from stewardship.domain.people import Principal, Role
from stewardship.services import audit, calendars
from stewardship.services.calendars import Calendars

_goals: Any = function_tables.FunctionGoal.__table__
_events: Any = function_tables.FunctionGoalEvent.__table__
_patients: Any = tables.Patient.__table__

_MAY_SET = (Role.PRESCRIBER, Role.PHARMACIST)


class GoalWords(Calendars, Protocol):
    """The part of the library that goals need."""

    @property
    def goals(self) -> GoalTerms:
        """What alone is no goal."""
        ...


@dataclass(frozen=True)
class GoalStep:
    """One event of a goal: what it said from then on, who did it, and why."""

    event: GoalEvent
    says: FunctionGoal
    on: date
    reason: str
    by_user: str
    by_role: str
    at: datetime


@dataclass(frozen=True)
class GoalRecord:
    """A goal as it stands: its last event, and all before. ``version`` counts them."""

    id: str
    patient_id: str
    version: int
    steps: tuple[GoalStep, ...]

    @property
    def says(self) -> FunctionGoal:
        """What it says now."""
        return self.steps[-1].says

    @property
    def state(self) -> GoalEvent:
        """What became of it last."""
        return self.steps[-1].event

    @property
    def stands(self) -> bool:
        """Whether somebody still works towards it."""
        return self.state.stands

    @property
    def set_on(self) -> date:
        """The day it was set."""
        return self.steps[0].on


def set_goal(
    session: Session,
    library: GoalWords,
    patient_id: str,
    *,
    activity: str,
    baseline: str,
    target: str,
    due_on: date | None,
    by: Principal,
    now: datetime,
    goal_id: str = "",
) -> GoalRecord:
    """Set a goal of a patient (the EHR's id). ``goal_id`` is the client's, for a retry.

    Raises ``InvalidInput`` with a fault for each thing that is missing, and for a goal that is about pain
    alone; ``Conflict`` when the id is another goal's.
    """
    _only_clinicians(by)
    today = calendars.today(session, library, by.organisation_id, now=now)
    says = goal(
        activity=activity, baseline=baseline, target=target, due_on=due_on, terms=library.goals, today=today
    )
    known = known_patient(session, organisation_id=by.organisation_id, patient_id=patient_id)
    row = {
        "organisation_id": by.organisation_id,
        "id": goal_id or new_id(now),
        "patient_id": ensure_patient(
            session, known, Patient(patient_id), organisation_id=by.organisation_id, now=now
        ),
        "set_at": now,
    }
    if not insert_once(session, _goals, row):
        first = read(session, str(row["id"]), by=by)
        if first.patient_id != patient_id or first.steps[0].says != says:
            raise Conflict("another goal has that id", code="goal-id")
        return first
    _add(session, str(row["id"]), 1, GoalEvent.SET, says, today, "", by, now)
    return read(session, str(row["id"]), by=by)


def change(
    session: Session,
    library: GoalWords,
    goal_id: str,
    *,
    version: int,
    activity: str,
    baseline: str,
    target: str,
    due_on: date | None,
    reason: str,
    by: Principal,
    now: datetime,
) -> GoalRecord:
    """Say the goal anew. ``version`` is the one that the caller saw; ``Conflict`` when it is another now."""
    today = calendars.today(session, library, by.organisation_id, now=now)
    says = goal(
        activity=activity, baseline=baseline, target=target, due_on=due_on, terms=library.goals, today=today
    )
    return _step(session, goal_id, version, GoalEvent.CHANGED, says, today, reason, by, now)


def reach(
    session: Session,
    library: GoalWords,
    goal_id: str,
    *,
    version: int,
    reason: str = "",
    on: date | None = None,
    by: Principal,
    now: datetime,
) -> GoalRecord:
    """The goal was reached, today or on an earlier day."""
    today = calendars.today(session, library, by.organisation_id, now=now)
    known = read(session, goal_id, by=by)
    day = on or today
    if not known.set_on <= day <= today:
        raise InvalidInput(
            "a goal is reached after it was set, and not on a day to come",
            faults=(Fault("/on", "day", f"Give a day from {known.set_on} to {today}."),),
        )
    return _step(session, goal_id, version, GoalEvent.REACHED, known.says, day, reason, by, now)


def give_up(
    session: Session,
    library: GoalWords,
    goal_id: str,
    *,
    version: int,
    reason: str,
    by: Principal,
    now: datetime,
) -> GoalRecord:
    """Nobody works towards the goal any more, for a reason."""
    if not reason.strip():
        raise InvalidInput(
            "a goal is given up with a reason", faults=(Fault("/reason", "required", "Say why."),)
        )
    today = calendars.today(session, library, by.organisation_id, now=now)
    says = read(session, goal_id, by=by).says
    return _step(session, goal_id, version, GoalEvent.GIVEN_UP, says, today, reason, by, now)


def read(session: Session, goal_id: str, *, by: Principal) -> GoalRecord:
    """One goal of the caller's organisation."""
    found = _records(session, by.organisation_id, _goals.c.id == goal_id)
    if not found:
        raise NotFound("there is no such goal")
    return found[0]


def of_patient(session: Session, patient_id: str, *, by: Principal) -> tuple[GoalRecord, ...]:
    """All goals of a patient (the EHR's id), the first that was set first."""
    asked = {"organisation": by.organisation_id, "patient": patient_id}
    return _read_records(_OF_PATIENT.rows(session, asked))


def standing(session: Session, *, by: Principal, due_by: date) -> tuple[GoalRecord, ...]:
    """The organisation's goals that nobody has closed and whose day is not after ``due_by``."""
    last = (
        select(_events.c.goal_id)
        .where(
            _events.c.organisation_id == by.organisation_id,
            _events.c.due_on <= due_by,
            _events.c.event.in_([GoalEvent.SET.value, GoalEvent.CHANGED.value]),
            _events.c.seq
            == select(func.max(_later.c.seq))
            .where(
                _later.c.organisation_id == _events.c.organisation_id, _later.c.goal_id == _events.c.goal_id
            )
            .scalar_subquery(),
        )
        .scalar_subquery()
    )
    return _records(session, by.organisation_id, _goals.c.id.in_(last))


_later = _events.alias("later")


def _step(
    session: Session,
    goal_id: str,
    version: int,
    event: GoalEvent,
    says: FunctionGoal,
    on: date,
    reason: str,
    by: Principal,
    now: datetime,
) -> GoalRecord:
    _only_clinicians(by)
    known = read(session, goal_id, by=by)
    if known.version == version + 1 and _is_same(known.steps[-1], event, says, on, reason, by):
        return known  # sent again
    if known.version != version:
        last = known.steps[-1]
        raise Conflict(f"{last.by_user} was first: the goal was {last.event} since", code="version")
    if not known.stands:
        raise Conflict(f"the goal is {known.state}", code="closed")
    _add(session, goal_id, version + 1, event, says, on, reason.strip(), by, now)
    return read(session, goal_id, by=by)


def _is_same(
    step: GoalStep, event: GoalEvent, says: FunctionGoal, on: date, reason: str, by: Principal
) -> bool:
    done = (step.event, step.says, step.on, step.reason, step.by_user)
    return done == (event, says, on, reason.strip(), by.user_id)


def _add(
    session: Session,
    goal_id: str,
    seq: int,
    event: GoalEvent,
    says: FunctionGoal,
    on: date,
    reason: str,
    by: Principal,
    now: datetime,
) -> None:
    row = {
        "organisation_id": by.organisation_id,
        "goal_id": goal_id,
        "seq": seq,
        "event": event.value,
        "activity": says.activity,
        "baseline": says.baseline,
        "target": says.target,
        "due_on": says.due_on,
        "reason": reason,
        "on_day": on,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }
    if not insert_once(session, _events, row):
        raise Conflict("somebody else changed the goal just now", code="version")
    detail = {
        "goal": goal_id,
        "version": seq,
        "due_on": says.due_on,
        "words": audit.keyed_hash(session, "\n".join((says.activity, says.baseline, says.target, reason))),
    }
    audit.record(session, f"goal.{event}", subject=goal_id, by=by, now=now, detail=detail)


def _records(session: Session, organisation_id: str, which: Any) -> tuple[GoalRecord, ...]:
    return _read_records(session.connection().execute(_asked(organisation_id, which)))


def _asked(organisation_id: Any, which: Any) -> Any:
    return (
        select(_events, _patients.c.ehr_id)
        .join(
            _goals,
            and_(_goals.c.organisation_id == _events.c.organisation_id, _goals.c.id == _events.c.goal_id),
        )
        .join(
            _patients,
            and_(
                _patients.c.organisation_id == _goals.c.organisation_id,
                _patients.c.id == _goals.c.patient_id,
            ),
        )
        .where(_events.c.organisation_id == organisation_id, which)
        .order_by(_goals.c.set_at, _events.c.goal_id, _events.c.seq)
    )


_OF_PATIENT = Prepared(_asked(bindparam("organisation"), _patients.c.ehr_id == bindparam("patient")))


def _read_records(steps: Iterable[Row[Any]]) -> tuple[GoalRecord, ...]:
    found: dict[str, list[Row[Any]]] = {}
    for row in steps:
        found.setdefault(row.goal_id, []).append(row)
    return tuple(
        GoalRecord(name, rows[0].ehr_id, len(rows), tuple(_read_step(row) for row in rows))
        for name, rows in found.items()
    )


def _read_step(row: Row[Any]) -> GoalStep:
    return GoalStep(
        GoalEvent(row.event),
        FunctionGoal(row.activity, row.baseline, row.target, row.due_on),
        row.on_day,
        row.reason,
        row.by_user,
        row.by_role,
        row.at,
    )


def _only_clinicians(by: Principal) -> None:
    if by.role not in _MAY_SET:
        raise Forbidden(f"goals are set by: {', '.join(_MAY_SET)}", code="role")
