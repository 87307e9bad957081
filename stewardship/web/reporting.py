"""Reports on pages: which there are, of which period, shown with table and picture, and taken away as a file.

A file that is given out is an entry of the audit trail, with its rows, before anything of it leaves. What is
looked at here shows the same values, small numbers withheld.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from itertools import islice
from typing import IO, Any

from flask import Blueprint, Response, request
from markupsafe import Markup
from sqlalchemy.orm import Session

from stewardship import exporting
from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.declarations import Library
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.exporting import MEDIA_TYPES, Format
from stewardship.pictures.bars import MOST_SERIES, bars_svg
from stewardship.reports.listed import REPORTS
from stewardship.reports.rendering.shown import RIGHT, shown
from stewardship.reports.reporting import Asked, Made, Picture, Table
from stewardship.runtime import runtime
from stewardship.web.pages import page
from stewardship.web.periods import typed_day

room = Blueprint("reporting", __name__)

#: Rows of a table on a page; the rest is in the files.
MOST_ROWS = 200
_BLOCK = 1 << 18
_IN_MEMORY = 4 << 20
_LONGEST_FIELD = 200
FORMATS = {Format.PDF: "PDF", Format.XLSX: "Excel (XLSX)", Format.CSV: "CSV", Format.JSON: "JSON"}
FILTERS = {"unit": "Setting", "prescriber": "Prescriber", "policy": "Policy", "measure": "Measure"}


@dataclass(frozen=True)
class Shown:
    """A table as the page shows it: the first rows in words, and whether there are more."""

    table: Table
    rows: list[list[str]]
    more: bool


@room.get("/reports")
@requires(Permission.READ_REPORTS)
def reports() -> Response:
    """Every report that can be asked for."""
    return page("reports.html", reports=REPORTS.values())


@room.get("/reports/<report_id>")
@requires(Permission.READ_REPORTS)
def report(report_id: str) -> Response:
    """A report of a period, with its tables and its picture."""
    running, by, now = runtime(), principal(), runtime().clock()
    listed, said, faults = exporting.listed(report_id), _said(request.args), {}
    made: Made | None = None
    tables: list[Shown] = []
    try:
        asked = _asked(said)
        with transaction(running.sessions, write=False) as session:
            library = running.library_of(by.organisation_id)
            made = exporting.made(session, library, report_id, asked, by=by, now=now)
            tables = tables_of(made)
    except InvalidInput as refused:
        faults = {f.pointer.lstrip("/"): f.message for f in refused.faults}
    since, until = exporting.period(None, None, now=now)
    return page(
        "report.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK,
        listed=listed,
        said={"since": since.isoformat(), "until": (until - timedelta(days=1)).isoformat()} | said,
        faults=faults,
        made=made,
        last=made.report.asked.until - timedelta(days=1) if made else None,
        tables=tables,
        picture=_drawn(made.report.picture) if made and made.report.picture else "",
        right=RIGHT,
        most=MOST_ROWS,
        formats=FORMATS,
        filters={name: words for name, words in FILTERS.items() if name in listed.filters},
        policies=running.library.policies,
        measures=running.library.measures,
    )


@room.post("/reports/<report_id>/download")
@requires(Permission.READ_REPORTS)
def download(report_id: str) -> Response:
    """The report as a file. That it is given out is on record before it leaves."""
    exporting.listed(report_id)
    by, now = principal(), runtime().clock()
    asked, form = _asked(_said(request.form)), form_named(request.form.get("format", ""))

    def make(session: Session, library: Library, note: str) -> Made:
        return exporting.made(session, library, report_id, asked, by=by, now=now, checkpoint=note)

    return given_out(make, form)


def given_out(make: Callable[[Session, Library, str], Made], form: Format) -> Response:
    """What is made, as a file; written and put on record before anything of it leaves."""
    running, by, now = runtime(), principal(), runtime().clock()
    note = exporting.checkpoint_note(running.sessions, by.organisation_id)
    spooled = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed when it has been sent
    try:
        with transaction(running.sessions, write=False) as session:
            made = make(session, running.library_of(by.organisation_id), note)
            written = exporting.write(made, form, spooled)
        with transaction(running.sessions) as session:
            exporting.record_export(session, made, form, written, by=by, now=now)
    except BaseException:
        spooled.close()
        raise
    size = spooled.seek(0, os.SEEK_END)
    spooled.seek(0)
    response = Response(_blocks(spooled), content_type=MEDIA_TYPES[form])
    response.call_on_close(spooled.close)
    response.content_length = size
    name = exporting.file_name(made, form)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def tables_of(made: Made) -> list[Shown]:
    """Its tables as a page shows them."""
    return [_shown(table) for table in made.report.tables]


def _said(wanted: Mapping[str, str]) -> dict[str, str]:
    names = ("since", "until", *FILTERS)
    typed = {name: wanted.get(name, "").strip()[:_LONGEST_FIELD] for name in names}
    return {name: words for name, words in typed.items() if words}


def _asked(said: Mapping[str, str]) -> Asked:
    """The period and what it is narrowed to. The form names the last day, reports the day after it."""
    last = typed_day(said, "until")
    since, until = exporting.period(
        typed_day(said, "since"), last + timedelta(days=1) if last else None, now=runtime().clock()
    )
    narrowed: dict[str, Any] = {name: said.get(name, "") for name in FILTERS}
    return Asked(principal().organisation_id, since, until, **narrowed)


def form_named(said: str) -> Format:
    """The form of that name; ``InvalidInput`` for another."""
    known = {form.value: form for form in FORMATS}
    if said not in known:
        fault = Fault("/format", "not-a-choice", f"Give one of: {', '.join(known)}.")
        raise InvalidInput("there is no such form of a report", faults=(fault,))
    return known[said]


def _shown(table: Table) -> Shown:
    rows = list(islice(iter(table.rows), MOST_ROWS + 1))
    words = [[shown(v, c) for v, c in zip(row, table.columns, strict=True)] for row in rows[:MOST_ROWS]]
    return Shown(table, words, len(rows) > MOST_ROWS)


def _drawn(picture: Picture) -> Markup:
    if len(picture.series) > MOST_SERIES:
        return Markup()
    series: dict[str, Any] = dict(picture.series)
    drawn = bars_svg(picture.title, picture.labels, series, unit=picture.unit)
    return Markup(drawn)  # noqa: S704 - our own elements; words in them are escaped


def _blocks(spooled: IO[bytes]) -> Iterator[bytes]:
    while block := spooled.read(_BLOCK):
        yield block
