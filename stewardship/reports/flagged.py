"""Flags: how many were raised, how old those are that wait, and how those ended that were resolved."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import flag_tables
from stewardship.domain.flags.kinds import Status
from stewardship.reports.decided import period
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Picture, Report, Table

_flags: Any = flag_tables.Flag.__table__

DEFINITION = (
    "Flags that were opened in the period, by kind: how many wait, how many were resolved and with which "
    "code, and how long that took (median). A flag past its time is one that was not resolved by then. Ages "
    "are as of the end of the period, or as of now while it is not over."
)
KINDS = (
    Column("kind", "Kind", Kind.ID),
    Column("opened", "Opened", Kind.COUNT),
    Column("waiting", "Waiting", Kind.COUNT),
    Column("late", "Past their time", Kind.COUNT),
    Column("resolved", "Resolved", Kind.COUNT),
    Column("hours", "Time to resolution", Kind.NUMBER, "h"),
)
CODES = (
    Column("kind", "Kind", Kind.ID),
    Column("code", "Resolution", Kind.ID),
    Column("flags", "Flags", Kind.COUNT),
)
AGES = (Column("age", "Waiting for"), Column("flags", "Flags", Kind.COUNT))
#: Upper bounds of the ages, in days, and what they are called: a day, a week, a month.
_BANDS = ((1, "up to a day"), (7, "up to a week"), (30, "up to 30 days"))
_LONGER = "longer"


def flagged(session: Session, _library: Any, asked: Asked) -> Report:
    """The report."""
    since, until = period(asked)
    c = _flags.c
    found = select(c.kind, c.status, c.opened_at, c.due_at, c.resolution, c.resolved_at).where(
        c.organisation_id == asked.organisation_id, c.opened_at >= since, c.opened_at < until
    )
    opened: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    late: Counter[str] = Counter()
    codes: Counter[tuple[str, str]] = Counter()
    ages: Counter[str] = Counter()
    hours: defaultdict[str, list[Decimal]] = defaultdict(list)
    for row in session.connection().execute(found):
        opened[row.kind] += 1
        ended = row.resolved_at if row.status == Status.RESOLVED.value else None
        late[row.kind] += (ended or asked.as_of) > row.due_at
        if ended is None:
            waiting[row.kind] += 1
            ages[_age(row.opened_at, asked.as_of)] += 1
        else:
            codes[row.kind, row.resolution or ""] += 1
            hours[row.kind].append(Decimal(round((ended - row.opened_at).total_seconds() / 360)) / 10)
    rows = [
        (kind, n, waiting[kind], late[kind], n - waiting[kind], _median(hours[kind]))
        for kind, n in sorted(opened.items(), key=lambda each: (-each[1], each[0]))
    ]
    names = [name for _, name in _BANDS] + [_LONGER]
    return Report(
        id="flags",
        title="Flags by age and resolution",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table("kinds", "Flags by kind", KINDS, rows, empty="No flag was opened in this period."),
            Table("ages", "How long flags have waited", AGES, [(name, ages[name]) for name in names]),
            Table("codes", "How they ended", CODES, [(k, c_, n) for (k, c_), n in sorted(codes.items())]),
        ),
        picture=Picture(
            "Flags opened, and those that wait",
            tuple(str(row[0]) for row in rows),
            {
                "Opened": tuple(Decimal(opened[str(row[0])]) for row in rows),
                "Waiting": tuple(Decimal(waiting[str(row[0])]) for row in rows),
            },
        )
        if rows
        else None,
        limits=("A flag labels a prescription or a pattern of them, never a person.",),
    )


def _age(opened: datetime, until: datetime) -> str:
    days = (until - opened).days
    return next((name for most, name in _BANDS if days < most), _LONGER)


def _median(values: list[Decimal]) -> Decimal | None:
    return None if not values else Decimal(median(values)).quantize(Decimal("0.1"))


LISTED = Listed("flags", "Flags by age and resolution", "What waits, and how it ended.", flagged)
