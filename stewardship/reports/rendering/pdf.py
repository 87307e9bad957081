"""A report as a PDF to hand to a board: tagged for screen readers, every value placed as content."""

from __future__ import annotations

import json
from decimal import Decimal
from math import isqrt
from pathlib import Path
from typing import Any

import typst

from stewardship.reports.rendering.shown import MOST_ROWS, RIGHT, shown
from stewardship.reports.reporting import Made, Picture, Table

_HERE = Path(__file__).parent
_FONTS = _HERE.parent / "fonts"
#: Characters that a page holds beside each other, upright and across, and what the room about a column takes.
_UPRIGHT, _ACROSS, _ABOUT = 122, 165, 3
#: A column of so few characters is never broken, and one cell does not claim more of a page than so many.
_NARROW, _MOST = 12, 400


def as_pdf(made: Made) -> bytes:
    """The report as PDF/UA-1."""
    written: bytes = typst.compile(
        str(_HERE / "report.typ"),
        font_paths=[str(_FONTS)],
        ignore_system_fonts=True,
        sys_inputs={"made": json.dumps(_values(made))},
        pdf_standards="ua-1",
    )
    return written


def _values(made: Made) -> dict[str, Any]:
    report, stamp = made.report, made.stamp
    asked = report.asked
    tables = [_table(table) for table in report.tables]
    wide = any(table["need"] > _UPRIGHT for table in tables)
    for table in tables:
        if table["need"] > (_ACROSS if wide else _UPRIGHT):
            _share_out(table)
    return {
        "title": report.title,
        "definition": report.definition,
        "organisation": asked.organisation_id,
        "period": f"{asked.since:%d %B %Y} to before {asked.until:%d %B %Y}",
        "filters": [f"{name} {value}" for name, value in asked.filters.items()],
        "limits": list(report.limits),
        "withheld": report.withheld,
        "made_by": stamp.made_by,
        "made_at": f"{stamp.made_at:%d %B %Y, %H:%M} UTC",
        "currency": stamp.currency,
        "checkpoint": stamp.checkpoint,
        "wide": wide,
        "picture": None if report.picture is None or not _shows(report.picture) else _picture(report.picture),
        "tables": tables,
    }


def _shows(picture: Picture) -> bool:
    """Whether there is a bar in it: all may be withheld, or nothing was counted."""
    return any(value for values in picture.series.values() for value in values)


def _picture(picture: Picture) -> dict[str, Any]:
    series = [
        {
            "name": name,
            "values": [None if v is None else float(v) for v in values],
            "shown": ["no figure" if v is None else _number(v, picture.unit) for v in values],
        }
        for name, values in picture.series.items()
    ]
    told = "; ".join(
        f"{label}: {', '.join(str(s['shown'][n]) for s in series)}" for n, label in enumerate(picture.labels)
    )
    return {
        "title": picture.title,
        "labels": list(picture.labels),
        "series": series,
        "alt": f"{picture.title}. {told}",
    }


def _number(value: Decimal, unit: str) -> str:
    return f"{value:f}{'' if unit == '%' else ' ' if unit else ''}{unit}"


def _table(table: Table) -> dict[str, Any]:
    rows: list[list[str]] = []
    more = 0
    for row in table.rows:
        if len(rows) < MOST_ROWS:
            rows.append([shown(v, c) for v, c in zip(row, table.columns, strict=True)])
        else:
            more += 1
    columns = [
        {"title": f"{c.title} ({c.unit})" if c.unit else c.title, "right": c.kind in RIGHT, "weight": 0}
        for c in table.columns
    ]
    return {
        "title": table.title,
        "need": sum(_longest(number, columns, rows) + _ABOUT for number in range(len(columns))),
        "note": table.note,
        "empty": table.empty,
        "cut": more,
        "rows": rows,
        "columns": columns,
    }


def _longest(number: int, columns: list[dict[str, Any]], rows: list[list[str]]) -> int:
    return max(len(columns[number]["title"]), *(len(row[number]) for row in rows), 0)


def _share_out(table: dict[str, Any]) -> None:
    """Let columns of words share what is left of the page, by the root of how much they hold. A column whose
    words cannot be broken, as ids cannot, takes what it needs."""
    for number, column in enumerate(table["columns"]):
        longest = max((len(row[number]) for row in table["rows"]), default=0)
        broken = any(" " in row[number] for row in table["rows"])
        if longest > _NARROW and broken:
            column["weight"] = isqrt(min(longest, _MOST))
