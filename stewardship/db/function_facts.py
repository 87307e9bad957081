"""What the service itself knows of a patient's function, as facts of a chart.

A measurement of function becomes an observation, a review that somebody completed a procedure, a goal a
goal. They bear codes of our own, whose meaning stands in ``reference/code_sets`` like that of any other. What
a patient answered alone is no measure of function until a review has looked at it; a review looks at the plan
when a goal was standing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import and_, bindparam, case, exists, literal_column, or_, select

from stewardship.db import documents, function_tables
from stewardship.domain.chart import Goal, Observation, Procedure
from stewardship.domain.codes import LOINC, STEWARDSHIP, CodeSets, Coding
from stewardship.domain.goals import GoalEvent
from stewardship.domain.instruments import Instrument
from stewardship.domain.measurements import Measured, Reporter, scored
from stewardship.domain.reviews import State

FUNCTION = Coding(STEWARDSHIP, "function-measured", "Function or goals measured")
UNSEEN = Coding(STEWARDSHIP, "answered-by-patient", "Answered by the patient, not looked at yet")
REVIEWED = Coding(STEWARDSHIP, "function-reviewed", "Function reviewed")
PLAN_REVIEWED = Coding(STEWARDSHIP, "plan-reviewed", "Goals and plan reviewed")

MEASURED, DONE, GOAL = "measured", "reviewed", "function-goal"
KINDS = frozenset({MEASURED, DONE, GOAL})
_COUNTS, _UNSEEN, _OTHER = "counts", "unseen", "other"

_measurements: Any = function_tables.Measurement.__table__.c
_errors: Any = function_tables.MeasurementError.__table__.c
_links: Any = function_tables.ReassessmentMeasurement.__table__.c
_reviews: Any = function_tables.Reassessment.__table__.c
_goals: Any = function_tables.FunctionGoal.__table__.c
_events: Any = function_tables.FunctionGoalEvent.__table__.c


def measured_of(row: Any, instruments: Mapping[str, Instrument], *, sex: str) -> Measured:
    """A row of measurements as the domain knows it: a score is made of its answers again."""
    answers = documents.decode(row.answers, dict[str, Decimal])
    return Measured(
        id=row.id,
        instrument=row.instrument_id,
        version=row.version,
        taken_at=row.taken_at,
        taken_on=row.taken_on,
        answers=answers,
        reported_by=Reporter(row.reported_by),
        function=bool(row.satisfies_review),
        score=scored(instruments, row.instrument_id, row.version, answers, sex=sex),
    )


def selects(like_a_supply: Callable[..., list[Any]]) -> list[Any]:
    """The queries, in the columns of the one that reads a history; they ask for what that asks for."""
    looked_at = exists().where(
        _links.organisation_id == _measurements.organisation_id,
        _links.measurement_id == _measurements.id,
        _reviews.organisation_id == _links.organisation_id,
        _reviews.id == _links.reassessment_id,
        _reviews.closed_at <= bindparam("as_of"),
    )
    counts = case(
        (~_measurements.satisfies_review, _OTHER),
        (or_(_measurements.reported_by != Reporter.PATIENT.value, looked_at), _COUNTS),
        else_=_UNSEEN,
    )
    measured = select(
        *like_a_supply(
            MEASURED,
            source_id=_measurements.id,
            status=counts,
            start_on=_measurements.taken_on,
            prescription=_measurements.instrument_id,
            fill=_measurements.version,
            document=_measurements.answers,
        )
    ).where(
        _measurements.organisation_id == bindparam("organisation"),
        _measurements.patient_id == bindparam("patient"),
        _measurements.recorded_at <= bindparam("as_of"),
        ~exists().where(
            _errors.organisation_id == _measurements.organisation_id,
            _errors.measurement_id == _measurements.id,
            _errors.at <= bindparam("as_of"),
        ),
    )
    done = select(*like_a_supply(DONE, source_id=_reviews.id, start_on=_reviews.done_on)).where(
        _reviews.organisation_id == bindparam("organisation"),
        _reviews.patient_id == bindparam("patient"),
        # Written out: SQLite compares a bound word with its partial indexes, and plans the query each time.
        _reviews.state == literal_column(f"'{State.DONE.value}'"),
        _reviews.closed_by.is_not(None),
        _reviews.closed_at <= bindparam("as_of"),
    )
    goals = (
        select(
            *like_a_supply(
                GOAL,
                source_id=_events.goal_id,
                fill=_events.seq,
                status=_events.event,
                start_on=_events.on_day,
                ended_on=_events.due_on,
                document=_events.activity,
            )
        )
        .select_from(function_tables.FunctionGoal.__table__)
        .join(
            function_tables.FunctionGoalEvent.__table__,
            and_(_events.organisation_id == _goals.organisation_id, _events.goal_id == _goals.id),
        )
        .where(
            _goals.organisation_id == bindparam("organisation"),
            _goals.patient_id == bindparam("patient"),
            _events.at <= bindparam("as_of"),
        )
    )
    return [measured, done, goals]


def facts(
    rows: Iterable[Any],
    *,
    instruments: Mapping[str, Instrument],
    code_sets: CodeSets,
    sex: str,
    today: date,
) -> dict[str, list[Any]]:
    """The facts of these rows, by their field in a chart. No day of a chart lies after its own: where the
    organisation is, it may be the next day already."""
    goals: dict[str, list[Any]] = {}
    found: dict[str, list[Any]] = {"observations": [], "procedures": [], "goals": []}
    reviews = []
    for row in rows:
        if row.kind == MEASURED:
            found["observations"].append(_observation(row, instruments, code_sets, sex, today))
        elif row.kind == DONE:
            reviews.append(row)
        else:
            goals.setdefault(row.source_id, []).append(row)
    for events in goals.values():
        events.sort(key=lambda event: event.fill)
        found["goals"].append(_goal(events, today))
    for row in reviews:
        plan = any(_stood(events, row.start_on) for events in goals.values())
        codings = (REVIEWED, PLAN_REVIEWED) if plan else (REVIEWED,)
        found["procedures"].append(
            Procedure(
                row.source_id,
                codings,
                code_sets.of_any(codings),
                min(row.start_on, today),
                status="completed",
            )
        )
    return found


def _observation(
    row: Any, instruments: Mapping[str, Instrument], code_sets: CodeSets, sex: str, today: date
) -> Observation:
    answers = documents.decode(row.document, dict[str, Decimal])
    score = scored(instruments, row.prescription, row.fill, answers, sex=sex)
    instrument = instruments.get(row.prescription)
    codings: tuple[Coding, ...] = ()
    if row.status == _COUNTS:
        codings = (FUNCTION,)
    elif row.status == _UNSEEN:
        codings = (UNSEEN,)
    # The instrument's own code would say that function was measured, of what nobody has looked at too.
    if row.status != _UNSEEN and instrument is not None and instrument.loinc_verified and instrument.loinc:
        codings = (*codings, Coding(LOINC, instrument.loinc, instrument.title))
    return Observation(
        row.source_id,
        codings,
        code_sets.of_any(codings),
        min(row.start_on, today),
        None if score is None else score.value,
        "{score}",
        status="final",
        category="survey",
    )


def _goal(events: list[Any], today: date) -> Goal:
    last = events[-1]
    active = GoalEvent(last.status).stands
    said_on = max(e.start_on for e in events if GoalEvent(e.status).stands)
    return Goal(
        last.source_id, last.document, active=active, from_on=min(said_on, today), due_on=last.ended_on
    )


def _stood(events: list[Any], day: date) -> bool:
    """Whether the goal was on record on a day, its last day included."""
    closed = [e.start_on for e in events if not GoalEvent(e.status).stands]
    return events[0].start_on <= day and all(day <= end for end in closed)
