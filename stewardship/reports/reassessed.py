"""Reassessments: which were due, done in time, done late, missed or called off."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import function_tables
from stewardship.domain.reviews import State
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Picture, Report, Table, Value, share

_reviews: Any = function_tables.Reassessment.__table__

DEFINITION = (
    "Reassessments that were due in the period, by the line of the clock that asked for them. Done in time "
    "is done on the day it was due or before. Overdue is neither done nor called off after that day, as of "
    "the end of the period, or of now while it is not over."
)
COLUMNS = (
    Column("interval", "Asked for by", Kind.ID),
    Column("due", "Due", Kind.COUNT),
    Column("in_time", "Done in time", Kind.COUNT),
    Column("late", "Done late", Kind.COUNT),
    Column("overdue", "Overdue", Kind.COUNT),
    Column("waiting", "Not yet due", Kind.COUNT),
    Column("cancelled", "Called off", Kind.COUNT),
    Column("done", "Done", Kind.SHARE),
)
BY_CLINICIAN = (
    Column("clinician", "Clinician", Kind.ID),
    Column("overdue", "Overdue", Kind.COUNT),
    Column("oldest", "Due since", Kind.DATE),
)


def reassessed(session: Session, _library: Any, asked: Asked) -> Report:
    """The report."""
    c = _reviews.c
    mine = select(c.interval, c.state, c.due_on, c.done_on, c.clinician).where(
        c.organisation_id == asked.organisation_id, c.due_on >= asked.since, c.due_on < asked.until
    )
    if asked.prescriber:
        mine = mine.where(c.clinician == asked.prescriber)
    counts: Counter[tuple[str, str]] = Counter()
    overdue: dict[str, list[Any]] = {}
    for row in session.connection().execute(mine.order_by(c.due_on)):
        ended = _ended(row, asked)
        counts[row.interval, ended] += 1
        if ended == "overdue":
            overdue.setdefault(row.clinician or "nobody", []).append(row.due_on)
    rows: list[tuple[Value, ...]] = []
    for interval in sorted({name for name, _ in counts}):
        numbers = [counts[interval, how] for how in ("in-time", "late", "overdue", "waiting", "cancelled")]
        done = numbers[0] + numbers[1]
        rows.append((interval, sum(numbers), *numbers, share(done, done + numbers[2])))
    people: list[tuple[Value, ...]] = [(who, len(days), days[0]) for who, days in sorted(overdue.items())]
    return Report(
        id="reassessments",
        title="Reassessments",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table("intervals", "By what asked for them", COLUMNS, rows),
            Table("clinicians", "Overdue, by worklist", BY_CLINICIAN, people, empty="None is overdue."),
        ),
        picture=Picture(
            "Reassessments due, and those overdue",
            tuple(str(row[0]) for row in rows),
            {
                "Due": tuple(Decimal(str(row[1])) for row in rows),
                "Overdue": tuple(Decimal(str(row[4])) for row in rows),
            },
        )
        if rows
        else None,
        limits=("Done says that function was looked at, not what was found.",),
    )


def _ended(row: Any, asked: Asked) -> str:
    if row.state == State.CANCELLED.value:
        return "cancelled"
    if row.state == State.DONE.value:
        return "in-time" if row.done_on <= row.due_on else "late"
    return "overdue" if row.due_on < asked.as_of.date() else "waiting"


LISTED = Listed(
    "reassessments",
    "Reassessments",
    "Due, done in time, done late, overdue.",
    reassessed,
    frozenset({"prescriber"}),
)
