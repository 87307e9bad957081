"""Reports of ten rows and of many, in every form that is written row by row: how long, and the most memory.

Each is written in a process of its own; what is told is the growth of that process over one that writes ten
rows, so that what a format needs in any case is not counted.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from stewardship import exporting
from stewardship.exporting import Format
from stewardship.reports.reporting import Asked, Column, Kind, Made, Report, Stamp, Table

Say = Callable[[str], None]
_FEW = 10
_FORMS = (Format.JSON, Format.CSV, Format.XLSX)
_MB = 1024
#: What a process may grow by for a million rows and still be said to take constant memory.
_MOST_MB = 20
_COLUMNS = (
    Column("id", "Claim", Kind.ID),
    Column("on", "Day", Kind.DATE),
    Column("mme", "Daily dose", Kind.NUMBER, "MME"),
    Column("count", "Fills", Kind.COUNT),
    Column("what", "What"),
)


def benchmark(*, rows: int, say: Say) -> None:
    """Write ``rows`` rows in each form; ends with a message when memory grew with them."""
    say(f"{rows:,} rows of {len(_COLUMNS)} columns")
    for form in _FORMS:
        few, _, _ = _alone(form, _FEW)
        many, seconds, size = _alone(form, rows)
        grown = (many - few) / _MB
        say(
            f"{form.value:5} {seconds:7.1f} s {size / 1_000_000:8.1f} MB written, memory grew {grown:6.1f} MB"
        )
        if grown > _MOST_MB:
            raise SystemExit(f"{form.value}: memory grows with the rows")


def _alone(form: Format, rows: int) -> tuple[int, float, int]:
    """The most memory in KB, the seconds and the bytes of one export in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        told: tuple[int, float, int] = pool.apply(_export, (form.value, rows))
    return told


def _export(form: str, rows: int) -> tuple[int, float, int]:
    made = report(rows)
    started = time.perf_counter()
    with tempfile.TemporaryFile() as to:
        written = exporting.write(made, Format(form), to)
        size = to.seek(0, 2)
    if written.rows != rows:
        raise SystemExit(f"{form}: {written.rows} rows were written, not {rows}")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter() - started, size


def report(rows: int) -> Made:
    """A report whose rows are made one by one as they are asked for."""
    day = date(2026, 11, 1)
    table = Table("claims", "Claims", _COLUMNS, _rows(rows))
    asked = Asked("org-1", day, date(2026, 12, 1))
    made: Any = Report("claims", "Claims", "Generated for the benchmark.", asked, (table,))
    return Made(made, Stamp("benchmark", datetime(2026, 12, 1, tzinfo=UTC)))


def _rows(rows: int) -> Iterator[tuple[Any, ...]]:
    day = date(2026, 11, 1)
    for number in range(rows):
        yield (
            f"claim-{number:09}",
            day,
            Decimal(number % 9_000) / 10,
            number % 12,
            "oxycodone 5 MG Oral Tablet",
        )
