"""Imports and silent pharmacies: what arrived, what of it was refused, and who has not been heard of."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import import_tables
from stewardship.reports.decided import period
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Report, Table, Value, share

_imports: Any = import_tables.Import.__table__
_faults: Any = import_tables.ImportFault.__table__
_pharmacies: Any = import_tables.Pharmacy.__table__

DEFINITION = (
    "Files whose import began in the period: rows that were stored, that were known already, and that were "
    "refused, by format and by how the import ended. A pharmacy is silent when its next report is overdue, "
    "or when none was ever whole; retired ones are not expected to report."
)
FILES = (
    Column("format", "Format", Kind.ID),
    Column("status", "Ended", Kind.ID),
    Column("files", "Files", Kind.COUNT),
    Column("rows", "Rows", Kind.COUNT),
    Column("stored", "Stored", Kind.COUNT),
    Column("unchanged", "Known already", Kind.COUNT),
    Column("rejected", "Refused", Kind.COUNT),
    Column("share", "Refused of all", Kind.SHARE),
)
FAULTS = (Column("code", "What was wrong", Kind.ID), Column("count", "Times", Kind.COUNT))
SILENT = (
    Column("pharmacy", "Pharmacy", Kind.ID),
    Column("known", "Known up to", Kind.INSTANT),
    Column("expected", "Expected by", Kind.INSTANT),
    Column("hours", "Overdue", Kind.NUMBER, "h"),
)


def feeds(session: Session, _library: Any, asked: Asked) -> Report:
    """The report."""
    since, until = period(asked)
    c = _imports.c
    mine = (c.organisation_id == asked.organisation_id, c.started_at >= since, c.started_at < until)
    sums: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in session.connection().execute(select(_imports).where(*mine)):
        total = sums[row.format, row.status]
        total["files"] += 1
        for name in ("rows", "stored", "unchanged", "rejected"):
            total[name] += getattr(row, name)
    files: list[tuple[Value, ...]] = [
        (
            *key,
            *(n[name] for name in ("files", "rows", "stored", "unchanged", "rejected")),
            share(n["rejected"], n["rows"]),
        )
        for key, n in sorted(sums.items())
    ]
    same = (c.organisation_id == _faults.c.organisation_id) & (c.id == _faults.c.import_id)
    codes: Counter[str] = Counter(
        session.connection().execute(select(_faults.c.code).join(_imports, same).where(*mine)).scalars()
    )
    return Report(
        id="imports",
        title="Imports and silent pharmacies",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table("files", "Files", FILES, files, empty="No file arrived in this period."),
            Table("faults", "What was wrong with rows", FAULTS, codes.most_common()),
            Table("silent", "Silent pharmacies", SILENT, _silent(session, asked), empty="None is silent."),
        ),
        limits=("A pharmacy that never sent anything here is not known, and so not missed.",),
    )


def _silent(session: Session, asked: Asked) -> list[tuple[Value, ...]]:
    c = _pharmacies.c
    mine = select(c.id, c.data_as_of, c.expected_by).where(
        c.organisation_id == asked.organisation_id, c.retired.is_(False)
    )
    found: list[tuple[Value, ...]] = []
    for row in session.connection().execute(mine.order_by(c.id)):
        if row.expected_by is None:
            found.append((row.id, row.data_as_of, None, None))
        elif row.expected_by < asked.as_of:
            late = (asked.as_of - row.expected_by).total_seconds()
            found.append((row.id, row.data_as_of, row.expected_by, Decimal(round(late / 360)) / 10))
    return found


LISTED = Listed("imports", "Imports and silent pharmacies", "What arrived, and who is not heard of.", feeds)
