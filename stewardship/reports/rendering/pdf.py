"""A report as a PDF to hand to a board: tagged for screen readers, every value placed as content."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import typst

from stewardship.reports.rendering.shown import MOST_ROWS, RIGHT, shown
from stewardship.reports.reporting import Kind, Made, Picture, Table

_HERE = Path(__file__).parent
_FONTS = _HERE.parent / "fonts"
_WIDE_FROM = 7


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
    return {
        "title": report.title,
        "definition": report.definition,
        "period": f"{asked.since:%d %B %Y} to before {asked.until:%d %B %Y}",
        "filters": [f"{name} {value}" for name, value in asked.filters.items()],
        "limits": list(report.limits),
        "withheld": report.withheld,
        "made_by": stamp.made_by,
        "made_at": f"{stamp.made_at:%d %B %Y, %H:%M} UTC",
        "currency": stamp.currency,
        "checkpoint": stamp.checkpoint,
        "wide": any(len(table.columns) >= _WIDE_FROM for table in report.tables),
        "picture": None if report.picture is None else _picture(report.picture),
        "tables": [_table(table) for table in report.tables],
    }


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
    return {
        "title": table.title,
        "note": table.note,
        "empty": table.empty,
        "cut": more,
        "rows": rows,
        "columns": [
            {
                "title": f"{c.title} ({c.unit})" if c.unit else c.title,
                "right": c.kind in RIGHT,
                "wide": c.kind is Kind.TEXT,
            }
            for c in table.columns
        ],
    }
