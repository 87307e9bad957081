"""A report as plain text for a terminal: columns as wide as their values, numbers to the right."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from stewardship.reports.rendering.shown import MOST_ROWS, RIGHT, shown
from stewardship.reports.reporting import Column, Made, Table

_WIDTH = 100
_WIDEST = 60


def as_text(made: Made) -> Iterator[bytes]:
    """The report, line by line."""
    return (f"{line}\n".encode() for line in _lines(made))


def _lines(made: Made) -> Iterator[str]:
    report, stamp = made.report, made.stamp
    narrowed = "".join(f", {name} {value}" for name, value in report.asked.filters.items())
    yield report.title
    yield "=" * len(report.title)
    yield f"From {report.asked.since:%d %B %Y} to before {report.asked.until:%d %B %Y}{narrowed}."
    yield ""
    yield from textwrap.wrap(report.definition, _WIDTH)
    for table in report.tables:
        yield ""
        yield from _table(table)
    yield ""
    for limit in report.limits:
        yield from textwrap.wrap(f"- {limit}", _WIDTH, subsequent_indent="  ")
    if report.withheld:
        yield f"- {report.withheld} values are withheld: they would point at a few people."
    yield from textwrap.wrap(f"- {stamp.currency}", _WIDTH, subsequent_indent="  ")
    yield f"Made by {stamp.made_by}, {stamp.made_at:%d %B %Y, %H:%M} UTC."
    if stamp.checkpoint:
        yield ""
        yield stamp.checkpoint


def _table(table: Table) -> Iterator[str]:
    yield table.title
    if table.note:
        yield from textwrap.wrap(table.note, _WIDTH)
    rows: list[list[str]] = []
    more = 0
    for row in table.rows:
        if len(rows) < MOST_ROWS:
            rows.append([_printable(shown(v, c)) for v, c in zip(row, table.columns, strict=True)])
        else:
            more += 1
    if not rows:
        yield f"  {table.empty}"
        return
    heads = [f"{c.title} ({c.unit})" if c.unit else c.title for c in table.columns]
    widths = [
        min(_WIDEST, max(len(heads[n]), *(len(row[n]) for row in rows))) for n in range(len(table.columns))
    ]
    yield _line(heads, widths, table.columns)
    yield "  " + "  ".join("-" * width for width in widths)
    for shown_row in rows:
        yield _line(shown_row, widths, table.columns)
    if more:
        yield f"  {more} more rows are in the spreadsheet and the JSON of this report."


def _line(values: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> str:
    placed = (
        value.rjust(width) if column.kind in RIGHT else value.ljust(width)
        for value, width, column in zip(values, widths, columns, strict=True)
    )
    return f"  {'  '.join(placed)}".rstrip()


def _printable(value: str) -> str:
    """Nothing that a terminal would take for a command of its own."""
    return "".join(character if character.isprintable() else " " for character in value)
