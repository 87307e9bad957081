"""Function against dose: of patients who were measured twice, what became of function while the dose rose,
fell or stayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import groupby
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from stewardship.db import function_tables, histories, tables
from stewardship.db.function_facts import measured_of
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.goals import GoalEvent
from stewardship.domain.instruments import Verdict
from stewardship.domain.measurements import Measured, trends
from stewardship.domain.therapy import mme_on
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Picture, Report, Table, Value

_measurements: Any = function_tables.Measurement.__table__
_errors: Any = function_tables.MeasurementError.__table__
_events: Any = function_tables.FunctionGoalEvent.__table__
_patients: Any = tables.Patient.__table__

DEFINITION = (
    "Patients of whom an instrument of function was taken at least twice, the last time in the period. The "
    "last score is judged against the first by the instrument's own important change and by 30 %; where an "
    "instrument mixes in pain, its part on function counts. The dose is the daily total (MME, the clock's "
    "factor set) on the two days: it rose or fell when the two differ by more than the clock calls a raise."
)
VERDICTS = (Verdict.BETTER, Verdict.UNCHANGED, Verdict.WORSE, Verdict.CANNOT_TELL)
COLUMNS = (
    Column("instrument", "Instrument"),
    Column("dose", "Dose meanwhile"),
    *(Column(v.value, v.value.replace("-", " ").capitalize(), Kind.COUNT) for v in VERDICTS),
)
GOALS = (Column("goal", "Goals of function"), Column("goals", "Goals", Kind.COUNT))
_DOSES = ("rose", "stayed", "fell", "no opioid", "cannot tell")


def function_outcomes(session: Session, library: Any, asked: Asked) -> Report:
    """The report."""
    counts: Counter[tuple[str, str, Verdict]] = Counter()
    for patient, measured in _measured(session, library, asked):
        for trend in trends(library.instruments, measured):
            line = trend.function
            if not trend.instrument.satisfies_review or line.since_first is None:
                continue
            if line.points[-1].on < asked.since:
                continue
            dose = _dose(session, library, asked, patient, line.points[0].on, line.points[-1].on)
            counts[trend.instrument.title, dose, line.since_first.verdict] += 1
    titles = sorted({title for title, _, _ in counts})
    rows: list[tuple[Value, ...]] = [
        (title, dose, *(counts[title, dose, verdict] for verdict in VERDICTS))
        for title in titles
        for dose in _DOSES
        if any(counts[title, dose, verdict] for verdict in VERDICTS)
    ]
    by_dose: list[tuple[Value, ...]] = [
        (dose, *(sum(counts[title, dose, verdict] for title in titles) for verdict in VERDICTS))
        for dose in _DOSES
        if any(counts[title, dose, verdict] for title in titles for verdict in VERDICTS)
    ]
    people = tuple(verdict.value for verdict in VERDICTS)
    return Report(
        id="function-outcomes",
        title="Function against dose",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table(
                "doses",
                "By what the dose did",
                COLUMNS[1:],
                by_dose,
                empty="Nobody was measured twice.",
                note="A patient counts once for every instrument.",
                people=people,
            ),
            Table("outcomes", "By instrument", COLUMNS, rows, people=people),
            Table("goals", "Goals", GOALS, _goals_of(session, asked)),
        ),
        picture=Picture(
            "What became of function, by what the dose did",
            tuple(str(row[0]) for row in by_dose),
            {
                column.title: tuple(Decimal(str(row[place])) for row in by_dose)
                for place, column in enumerate(COLUMNS[2:5], start=1)
            },
            of_table="doses",
        )
        if by_dose
        else None,
        limits=(
            "Function and dose stand side by side; neither is shown to cause the other.",
            "Who was measured once, or never, is not in it: see reassessments.",
            "Scores of different instruments are never put together.",
        ),
    )


def _measured(session: Session, library: Any, asked: Asked) -> Iterator[tuple[str, list[Measured]]]:
    """Each patient's measurements up to the end of the period, without those in error."""
    c = _measurements.c
    wrong = and_(_errors.c.organisation_id == c.organisation_id, _errors.c.measurement_id == c.id)
    found = (
        select(_measurements, _patients.c.sex)
        .join(
            _patients,
            and_(_patients.c.organisation_id == c.organisation_id, _patients.c.id == c.patient_id),
        )
        .outerjoin(_errors, wrong)
        .where(
            c.organisation_id == asked.organisation_id,
            c.taken_on < asked.until,
            _errors.c.measurement_id.is_(None),
        )
        .order_by(c.patient_id, c.taken_at)
    )
    rows = session.connection().execute(found)
    for patient, mine in groupby(rows, key=lambda row: str(row.patient_id)):
        yield patient, [measured_of(row, library.instruments, sex=row.sex) for row in mine]


def _dose(session: Session, library: Any, asked: Asked, patient: str, first: date, last: date) -> str:
    """What the daily total did between two days."""
    as_of = datetime.combine(asked.until, time(), tzinfo=UTC)
    supplies = histories.supplies_of(
        session, library, [patient], organisation_id=asked.organisation_id, as_of=as_of
    )
    chart = Chart(Patient(patient), as_of, tuple(supplies[patient]))
    clock = library.clock
    before, after = (
        mme_on(
            chart,
            day,
            clock.factor_set,
            unknown_days=clock.unknown_supply_days,
            carry_days=clock.carry_days,
        )
        for day in (first, last)
    )
    if not (before.complete and after.complete) or before.high is None or after.high is None:
        return "cannot tell"
    if not before.high and not after.high:
        return "no opioid"
    raised = 1 + clock.raise_percent / 100
    if after.high > before.high * raised:
        return "rose"
    return "fell" if before.high > after.high * raised else "stayed"


def _goals_of(session: Session, asked: Asked) -> list[tuple[Value, ...]]:
    """How goals stood at the end of the period, of those that were set or ended in it."""
    c = _events.c
    found = (
        select(c.goal_id, c.event, c.on_day)
        .where(c.organisation_id == asked.organisation_id, c.on_day < asked.until)
        .order_by(c.goal_id, c.seq)
    )
    last: dict[str, tuple[GoalEvent, date]] = {}
    for row in session.connection().execute(found):
        last[row.goal_id] = (GoalEvent(row.event), row.on_day)
    ended = Counter(
        event.value if event in {GoalEvent.REACHED, GoalEvent.GIVEN_UP} else "open"
        for event, day in last.values()
        if day >= asked.since or event not in {GoalEvent.REACHED, GoalEvent.GIVEN_UP}
    )
    return [(name.replace("-", " "), count) for name, count in sorted(ended.items())]


LISTED = Listed(
    "function-outcomes",
    "Function against dose",
    "What became of function while the dose rose, fell or stayed.",
    function_outcomes,
)
