"""Self-checks and incidents: what each day's check found, days without one, and work that failed."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import documents, job_tables, tables
from stewardship.db.job_tables import Outcome
from stewardship.reports.decided import period
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Report, Table, Value

_runs: Any = job_tables.JobRun.__table__
_events: Any = tables.AuditEvent.__table__
_SELF_CHECK = "self-check"
#: How the actions of the trail begin that are incidents.
_INCIDENT = "incident."

DEFINITION = (
    "The daily self-checks whose moment lay in the period, with every check that found something wrong, and "
    "the days on which none was done. Incidents are runs of any job that failed or were interrupted; beside "
    "them stands what the trail notes as one: refusals, overrides, or uses of a token that came too often."
)
DAYS = (
    Column("day", "Day", Kind.DATE),
    Column("outcome", "Self-check", Kind.ID),
    Column("wrong", "Checks with something wrong", Kind.COUNT),
    Column("which", "Which"),
)
INCIDENTS = (
    Column("at", "Due", Kind.INSTANT),
    Column("job", "Job", Kind.ID),
    Column("outcome", "Ended", Kind.ID),
    Column("code", "Why", Kind.ID),
    Column("attempts", "Attempts", Kind.COUNT),
)
NOTED = (
    Column("at", "At", Kind.INSTANT),
    Column("incident", "What came too often", Kind.ID),
    Column("about", "Of whom, or of what", Kind.ID),
    Column("entry", "Entry of the trail", Kind.COUNT),
)
WORK = (
    Column("job", "Job", Kind.ID),
    Column("runs", "Runs", Kind.COUNT),
    Column("incidents", "Incidents", Kind.COUNT),
    Column("late", "Items done late", Kind.COUNT),
)


def self_checks(session: Session, _library: Any, asked: Asked) -> Report:
    """The report."""
    since, until = period(asked)
    c = _runs.c
    mine = select(_runs).where(c.organisation_id == asked.organisation_id, c.slot >= since, c.slot < until)
    days: dict[Any, tuple[Value, ...]] = {}
    incidents: list[tuple[Value, ...]] = []
    runs: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    late: Counter[str] = Counter()
    for row in session.connection().execute(mine.order_by(c.slot, c.job)):
        runs[row.job] += 1
        late[row.job] += row.late
        if row.outcome in {Outcome.FAILED.value, Outcome.INTERRUPTED.value}:
            failed[row.job] += 1
            incidents.append((row.slot, row.job, row.outcome, row.code, row.attempts))
        if row.job == _SELF_CHECK:
            failing = list(documents.decode_shown(row.document).get("failing", ()))
            days[row.slot.date()] = (row.slot.date(), row.outcome, len(failing), ", ".join(failing))
    last = min(asked.until, asked.as_of.date())
    every = [asked.since + timedelta(days=n) for n in range(max(0, (last - asked.since).days))]
    first = min(days, default=None)
    told = [
        days.get(day, (day, "none was done", None, ""))
        for day in sorted({*every, *days})
        # Before the first one nobody had set the scheduler to work.
        if first is not None and day >= first
    ]
    return Report(
        id="self-checks",
        title="Self-checks and incidents",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table(
                "days", "Day by day", DAYS, told, empty="No self-check was ever done: does a scheduler run?"
            ),
            Table("incidents", "Incidents", INCIDENTS, incidents, empty="No run failed or was interrupted."),
            Table(
                "noted", "Noted in the trail", NOTED, _noted(session, asked), empty="Nothing came too often."
            ),
            Table("work", "All work", WORK, [(j, n, failed[j], late[j]) for j, n in sorted(runs.items())]),
        ),
        limits=("A check finds what it looks for.",),
    )


def _noted(session: Session, asked: Asked) -> list[tuple[Value, ...]]:
    since, until = period(asked)
    c = _events.c
    found = select(c.at, c.action, c.subject, c.seq).where(
        c.organisation_id == asked.organisation_id,
        c.action.startswith(_INCIDENT, autoescape=True),
        c.at >= since,
        c.at < until,
    )
    return [
        (row.at, row.action.removeprefix(_INCIDENT), row.subject, row.seq)
        for row in session.connection().execute(found.order_by(c.seq))
    ]


LISTED = Listed(
    "self-checks",
    "Self-checks and incidents",
    "What each day's check found, work that failed, and what came too often.",
    self_checks,
)
