"""A report as a spreadsheet: a sheet for each table and one about the report, written row by row."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import IO, Any

import xlsxwriter

from stewardship.reports.rendering.text import cell
from stewardship.reports.reporting import Column, Kind, Made, Table, Value, Withheld

_LONGEST_NAME = 31
_WIDTH = {Kind.TEXT: 34, Kind.ID: 34, Kind.INSTANT: 20, Kind.DATE: 12}


def write_xlsx(made: Made, to: IO[bytes]) -> None:
    """Write the workbook. Text is text, never a formula and never a link; dates and numbers are typed."""
    settings = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(to, settings) as book:
        book.set_properties({"title": made.report.title, "author": made.stamp.made_by})
        _about(book, made)
        for table in made.report.tables:
            _sheet(book, table)


def as_xlsx(made: Made) -> bytes:
    """The workbook as bytes; for small ones."""
    to = io.BytesIO()
    write_xlsx(made, to)
    return to.getvalue()


def _about(book: Any, made: Made) -> None:
    sheet = book.add_worksheet("About")
    sheet.set_column(0, 0, 22)
    sheet.set_column(1, 1, 100)
    report, stamp, bold = made.report, made.stamp, book.add_format({"bold": True})
    lines: list[tuple[str, str]] = [
        ("Report", report.title),
        ("Definition", report.definition),
        ("From", report.asked.since.isoformat()),
        ("Before", report.asked.until.isoformat()),
        *((name.capitalize(), value) for name, value in report.asked.filters.items()),
        *(("It cannot say", limit) for limit in report.limits),
        ("Values withheld", str(report.withheld)),
        ("Made by", stamp.made_by),
        ("Made at", stamp.made_at.isoformat()),
        ("Data", stamp.currency),
        *(("Checkpoint" if not n else "", line) for n, line in enumerate(stamp.checkpoint.splitlines())),
    ]
    for row, (name, value) in enumerate(lines):
        sheet.write_string(row, 0, name, bold)
        sheet.write_string(row, 1, value)


def _sheet(book: Any, table: Table) -> None:
    sheet = book.add_worksheet(table.title[:_LONGEST_NAME].translate(str.maketrans("[]:*?/\\", "()    -")))
    sheet.freeze_panes(1, 0)
    bold = book.add_format({"bold": True, "text_wrap": True})
    for place, column in enumerate(table.columns):
        sheet.set_column(place, place, _WIDTH.get(column.kind, 14))
        sheet.write_string(0, place, f"{column.title} ({column.unit})" if column.unit else column.title, bold)
    formats = {
        Kind.DATE: book.add_format({"num_format": "yyyy-mm-dd"}),
        Kind.INSTANT: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
    }
    for number, row in enumerate(table.rows, start=1):
        _row(sheet, number, row, table.columns, formats)


def _row(
    sheet: Any, number: int, row: Sequence[Value], columns: Sequence[Column], formats: dict[Kind, Any]
) -> None:
    for place, (value, column) in enumerate(zip(row, columns, strict=True)):
        if value is None:
            continue
        if isinstance(value, datetime):
            sheet.write_datetime(
                number, place, value.astimezone(UTC).replace(tzinfo=None), formats[Kind.INSTANT]
            )
        elif isinstance(value, date):
            sheet.write_datetime(
                number,
                place,
                datetime(value.year, value.month, value.day),  # noqa: DTZ001 - cells know no zone
                formats[Kind.DATE],
            )
        elif isinstance(value, int | Decimal) and column.kind is not Kind.ID:
            # A spreadsheet's numbers are binary; what a report counts fits one.
            sheet.write_number(number, place, value)
        elif isinstance(value, Withheld):
            sheet.write_string(number, place, "withheld")
        else:
            sheet.write_string(number, place, value if isinstance(value, str) else cell(value))
