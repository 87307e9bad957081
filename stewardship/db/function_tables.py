"""The tables of function: goals, measurements, and the reviews that the clock asks for.

What was measured and what was set as a goal only grows: a change is a further event, a mistake is a row that
says so. A review is one row that goes from planned to done; at most one of a patient is open.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, Index, or_
from sqlalchemy.orm import Mapped, mapped_column

from stewardship.db.columns import Words
from stewardship.db.tables import (
    Base,
    Code,
    Id,
    Json,
    Key,
    Line,
    OfOrganisation,
    Prose,
    belongs_to,
    between,
    check_lengths,
    one_of,
)
from stewardship.domain.goals import GoalEvent
from stewardship.domain.measurements import Reporter
from stewardship.domain.people import Role
from stewardship.domain.reviews import OPEN, State

_MOST_DAYS = 100_000


class FunctionGoal(OfOrganisation, Base):
    """A goal of a patient. What it says, and whether it stands, is in its events."""

    __tablename__ = "function_goals"
    __table_args__ = (belongs_to("patients", "patient_id"), Index(None, "organisation_id", "patient_id"))

    id: Mapped[Key]
    patient_id: Mapped[Id]
    set_at: Mapped[datetime]


class FunctionGoalEvent(OfOrganisation, Base):
    """A goal was set, changed, reached or given up: the whole goal as it is since then, by whom and why.
    The first event has ``seq`` 1; of two who change the same one, one is first."""

    __tablename__ = "function_goal_events"
    __table_args__ = (
        belongs_to("function_goals", "goal_id"),
        one_of("event", GoalEvent),
        one_of("by_role", Role),
        between("seq", 1, 10_000),
    )

    goal_id: Mapped[Key]
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event: Mapped[Code]
    activity: Mapped[Line]
    baseline: Mapped[Line]
    target: Mapped[Line]
    due_on: Mapped[date]
    reason: Mapped[Line]
    on_day: Mapped[date]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class Measurement(OfOrganisation, Base):
    """Answers to one version of an instrument. The score is made from them again whenever it is read.

    ``answers`` is a JSON object of decimals by item, without those left open. ``taken_on`` is the day of
    ``taken_at`` where the organisation is. ``satisfies_review``: function or goals were
    measured, not pain alone. ``reported_by`` is who gave the answers: a clinician with the patient, the
    patient alone, or a system.
    """

    __tablename__ = "measurements"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        one_of("reported_by", Reporter),
        one_of("by_role", Role),
        between("version", 1, 1_000_000),
        Index(None, "organisation_id", "patient_id", "taken_at"),
    )

    id: Mapped[Key]
    patient_id: Mapped[Id]
    instrument_id: Mapped[Code]
    version: Mapped[int]
    answers: Mapped[Json]
    satisfies_review: Mapped[bool]
    reported_by: Mapped[Code]
    taken_at: Mapped[datetime]
    taken_on: Mapped[date]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    recorded_at: Mapped[datetime]


class MeasurementError(OfOrganisation, Base):
    """A measurement was entered in error: it counts for nothing from then on, and stays to be seen."""

    __tablename__ = "measurement_errors"
    __table_args__ = (
        belongs_to("measurements", "measurement_id"),
        one_of("by_role", Role),
        CheckConstraint("length(reason) > 0", name="reason_given"),
    )

    measurement_id: Mapped[Key]
    reason: Mapped[Line]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class Reassessment(OfOrganisation, Base):
    """A look at a patient that the clock asks for: planned, due, missed, done or cancelled.

    ``interval`` and ``exact_on`` say for which line of the clock and which day; ``due_on`` is the working day
    for it. ``clinician`` is on whose worklist it stands, ``assigned`` when a person put it there.
    ``opened_late_days`` is how long after its time it was opened. ``closed_by`` is null when the clock closed
    it: a measure of function was on record, or it was no longer asked for. A cancellation by a person is
    ``excused``: the clock runs on from that day.
    """

    __tablename__ = "reassessments"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        one_of("state", State),
        between("opened_late_days", 0, _MOST_DAYS),
        CheckConstraint("(state = 'done') = (done_on IS NOT NULL)", name="done_when"),
        CheckConstraint("(state IN ('done', 'cancelled')) = (closed_at IS NOT NULL)", name="closed_when"),
        CheckConstraint("state != 'cancelled' OR length(reason) > 0", name="reason_given"),
        CheckConstraint("state NOT IN ('due', 'missed') OR opened_at IS NOT NULL", name="opened_when"),
        CheckConstraint("state != 'missed' OR missed_at IS NOT NULL", name="missed_when"),
        CheckConstraint("NOT excused OR state = 'cancelled'", name="excused_when"),
        Index(None, "organisation_id", "patient_id"),
    )

    id: Mapped[Key]
    patient_id: Mapped[Id]
    interval: Mapped[Code]
    exact_on: Mapped[date]
    due_on: Mapped[date]
    since: Mapped[date]
    state: Mapped[Code]
    clinician: Mapped[Id]
    assigned: Mapped[bool]
    planned_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]
    opened_late_days: Mapped[int]
    missed_at: Mapped[datetime | None]
    done_on: Mapped[date | None]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None] = mapped_column(Words(200))
    excused: Mapped[bool]
    reason: Mapped[Line]
    note: Mapped[Prose]


_state = Reassessment.__table__.c.state
_open = or_(*(_state == state.value for state in State if state in OPEN))
Index(
    "uq_reassessments_open",
    Reassessment.organisation_id,
    Reassessment.patient_id,
    unique=True,
    sqlite_where=_open,
    postgresql_where=_open,
)
# What is due is looked for every few minutes, and is few of the rows.
Index(
    "ix_reassessments_open_due",
    Reassessment.organisation_id,
    Reassessment.due_on,
    sqlite_where=_open,
    postgresql_where=_open,
)


class ReassessmentMeasurement(OfOrganisation, Base):
    """A measurement that a review looked at."""

    __tablename__ = "reassessment_measurements"
    __table_args__ = (
        belongs_to("reassessments", "reassessment_id"),
        belongs_to("measurements", "measurement_id"),
        Index(None, "organisation_id", "measurement_id"),
    )

    reassessment_id: Mapped[Key]
    measurement_id: Mapped[Key]


class ClockReading(OfOrganisation, Base):
    """When the clock was last asked about a patient, and when it has to be asked again though nothing new
    is on record. ``facts`` and ``newest_at`` are how much was on record then; ``missing`` is a JSON list of
    what could not be told."""

    __tablename__ = "clock_readings"
    __table_args__ = (belongs_to("patients", "patient_id"), between("facts", 0, 2_000_000_000))

    patient_id: Mapped[Key]
    asked_at: Mapped[datetime]
    ask_on: Mapped[date | None]
    facts: Mapped[int]
    newest_at: Mapped[datetime | None]
    missing: Mapped[Json]


for _table in (
    FunctionGoal,
    FunctionGoalEvent,
    Measurement,
    MeasurementError,
    Reassessment,
    ReassessmentMeasurement,
    ClockReading,
):
    check_lengths(_table.__table__)  # type: ignore[arg-type]
