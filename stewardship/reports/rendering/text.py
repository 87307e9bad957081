"""A report as JSON and as CSV, written piece by piece: a million rows take no more memory than ten.

A cell of text that a spreadsheet would run as a formula is made text by an apostrophe before it; numbers
are numbers, and JSON keeps the exact text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from stewardship.reports.reporting import Made, Table, Value, Withheld

#: What a spreadsheet takes for the beginning of a formula, the full-width forms among them.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_encoder = msgspec.json.Encoder(decimal_format="number")


def as_json(made: Made) -> Iterator[bytes]:
    """One JSON object: head, tables with their rows as arrays, stamp."""
    report = made.report
    head = {
        "id": report.id,
        "title": report.title,
        "definition": report.definition,
        "since": report.asked.since.isoformat(),
        "until": report.asked.until.isoformat(),
        "filters": report.asked.filters,
        "limits": list(report.limits),
        "withheld": report.withheld,
        "made_by": made.stamp.made_by,
        "made_at": made.stamp.made_at.isoformat(),
        "currency": made.stamp.currency,
        "checkpoint": made.stamp.checkpoint,
    }
    yield _encoder.encode(head)[:-1] + b',"tables":['
    for place, table in enumerate(report.tables):
        yield (b"," if place else b"") + _table_head(table)
        for number, row in enumerate(table.rows):
            yield (b"," if number else b"") + _encoder.encode([plain(value) for value in row])
        yield b"]}"
    yield b"]}"


def _table_head(table: Table) -> bytes:
    columns = [
        {"name": c.name, "title": c.title, "kind": c.kind.value, "unit": c.unit} for c in table.columns
    ]
    said = {"name": table.name, "title": table.title, "note": table.note, "columns": columns}
    return _encoder.encode(said)[:-1] + b',"rows":['


def plain(value: Value) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Withheld):
        return "withheld"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def as_csv(made: Made) -> Iterator[bytes]:
    """The tables one after the other, each under its title and its columns' titles; before them what the
    report is, after them who made it and the checkpoint, in lines that begin with #."""
    report, stamp = made.report, made.stamp
    yield _remarks(report.title, report.definition, _period(made), *report.limits)
    for table in report.tables:
        yield _remarks("", table.title, *([table.note] if table.note else []))
        yield _line([_titled(column.title, column.unit) for column in table.columns])
        for row in table.rows:
            yield _line(row)
    if report.withheld:
        yield _remarks("", f"{report.withheld} values are withheld: they would point at a few people.")
    yield _remarks("", f"Made by {stamp.made_by} at {stamp.made_at.isoformat()}.", stamp.currency)
    if stamp.checkpoint:
        # As it stands, so that it can be verified.
        yield b"\r\n" + stamp.checkpoint.encode().replace(b"\n", b"\r\n")


def _period(made: Made) -> str:
    asked = made.report.asked
    narrowed = "".join(f", {name} {value}" for name, value in asked.filters.items())
    return f"From {asked.since.isoformat()} to before {asked.until.isoformat()}{narrowed}."


def _remarks(*lines: str) -> bytes:
    return "".join(f"# {line}\r\n" if line else "#\r\n" for line in lines).encode()


def _titled(title: str, unit: str) -> str:
    return f"{title} ({unit})" if unit else title


def _line(row: Sequence[Value]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow([cell(value) for value in row])
    return written.getvalue().encode()


def cell(value: Value) -> str:
    """A value as a spreadsheet may see it: text never becomes a formula, a number stays one."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)
