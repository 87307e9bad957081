"""Small numbers: what would point at a few people is withheld, and cannot be worked out from the rest.

A count from one to ten is not shown (``reference/reports.toml``), nor a share that it could be worked out
from. Where a total stands beside its parts and one part alone is withheld, the next smallest is too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from stewardship.reports.reporting import WITHHELD, Kind, Picture, Report, Table, Value, Withheld


def without_small_numbers(report: Report, *, fewest: int) -> Report:
    """The report with small numbers of people withheld, in its tables and in its picture alike. Counts of
    orders, cards and alerts are shown: whoever may ask for a report may read each of those by itself."""
    tables: list[Table] = []
    picture, hidden = report.picture, report.withheld
    for table in report.tables:
        if table.people:
            shown, withheld = suppressed(table, fewest=fewest, totals=table.totals, parts=table.people)
            hidden += withheld
            if picture is not None and picture.of_table == table.name:
                picture = _drawn(picture, shown)
            tables.append(shown)
        else:
            tables.append(table)
    return replace(report, tables=tuple(tables), picture=picture, withheld=hidden)


def _drawn(picture: Picture, table: Table) -> Picture:
    """The picture of what the table still shows."""
    places = {column.title: place for place, column in enumerate(table.columns)}
    rows = {str(row[0]): row for row in table.rows}

    def value(label: str, name: str) -> Decimal | None:
        shown = rows[label][places[name]]
        return Decimal(shown) if isinstance(shown, int | Decimal) else None

    series = {name: tuple(value(label, name) for label in picture.labels) for name in picture.series}
    return replace(picture, series=series)


def suppressed(
    table: Table, *, fewest: int, totals: bool = False, parts: Sequence[str] | None = None
) -> tuple[Table, int]:
    """The table with counts below ``fewest`` withheld (zero is shown: it is about nobody), and how many
    were. ``parts`` names the columns of counts of people, all counts when not given. With ``totals`` the
    rows add up to a number that is shown somewhere, so that one gap alone could be filled in."""
    rows = [list(row) for row in table.rows]
    counts = [
        place
        for place, column in enumerate(table.columns)
        if column.kind is Kind.COUNT and (parts is None or column.name in parts)
    ]
    hidden = 0
    for place in counts:
        small = [row for row in rows if _is_small(row[place], fewest)]
        if totals and len(small) == 1:
            others = [(n, row) for row in rows if row is not small[0] and (n := _shown(row[place]))]
            small += [row for _, row in sorted(others, key=lambda each: each[0])[:1]]
        for row in small:
            row[place] = WITHHELD
            hidden += 1
    hidden += _without_rests(rows, table, fewest)
    for row in rows:
        hidden += _without_shares(row, table, counts)
    return replace(table, rows=tuple(tuple(row) for row in rows)), hidden


def _without_rests(rows: list[list[Value]], table: Table, fewest: int) -> int:
    """A part beside its whole tells how many are not in it: withheld where those are a few people."""
    names = [column.name for column in table.columns]
    hidden = 0
    for part, whole in table.parts:
        here, there = names.index(part), names.index(whole)
        for row in rows:
            some, every = row[here], row[there]
            # None of them, or all, tells nothing that the whole does not.
            if isinstance(some, int) and isinstance(every, int) and some and _is_small(every - some, fewest):
                row[here] = WITHHELD
                hidden += 1
    return hidden


def _is_small(value: Value, fewest: int) -> bool:
    return isinstance(value, int) and 0 < value < fewest


def _shown(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _without_shares(row: list[Value], table: Table, counts: Sequence[int]) -> int:
    """A share beside a withheld count that it is told from would give it away."""
    names = [column.name for column in table.columns]
    hidden = 0
    for place, column in enumerate(table.columns):
        if column.kind is not Kind.SHARE or row[place] is None or isinstance(row[place], Withheld):
            continue
        told_from = [names.index(name) for name in column.of] or counts
        if any(isinstance(row[each], Withheld) for each in told_from):
            row[place] = WITHHELD
            hidden += 1
    return hidden
