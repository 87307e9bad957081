"""Reports: which there are, and each of them in the form that is asked for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import IO, Any

from flask import Response
from marshmallow import fields, validate
from sqlalchemy.orm import Session

from stewardship import exporting
from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.auth import Permission, principal, requires
from stewardship.declarations import Library
from stewardship.domain.people import Principal
from stewardship.exporting import MEDIA_TYPES, Format
from stewardship.intake.fields import Day, StrictSchema, Token
from stewardship.reports.listed import REPORTS
from stewardship.reports.reporting import Asked, Made
from stewardship.runtime import runtime

room = Room("reports", __name__, description="Reports drawn from the record.")

_BLOCK = 1 << 18
#: A report up to this size is not written to a file on its way out.
_IN_MEMORY = 4 << 20


class FormatQuery(StrictSchema):
    """In which form."""

    format = fields.String(load_default=Format.JSON.value, validate=validate.OneOf([f.value for f in Format]))


class ReportQuery(FormatQuery):
    """Of which period, narrowed to what, in which form."""

    since = Day(load_default=None, allow_none=True, metadata={"description": "From this day on (UTC)."})
    until = Day(load_default=None, allow_none=True, metadata={"description": "Before this day (UTC)."})
    unit = Token(metadata={"description": "A setting of orders."})
    prescriber = Token(longest=200, metadata={"description": "As orders name one."})
    policy = Token(metadata={"description": "The id of a policy."})
    measure = Token(metadata={"description": "The id of a quality measure."})


class ListedAnswer(StrictSchema):
    """A report that can be asked for."""

    id = fields.String(required=True)
    title = fields.String(required=True)
    about = fields.String(required=True)
    filters = fields.List(fields.String(), required=True, metadata={"description": "To narrow it by."})


class ReportsAnswer(StrictSchema):
    """All reports."""

    reports = fields.List(fields.Nested(ListedAnswer), required=True)


class ColumnAnswer(StrictSchema):
    """A column of a table."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    kind = fields.String(required=True)
    unit = fields.String(required=True)


class TableAnswer(StrictSchema):
    """A table: rows are arrays in the order of the columns."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    note = fields.String(required=True)
    columns = fields.List(fields.Nested(ColumnAnswer), required=True)
    rows = fields.List(fields.List(fields.Raw(allow_none=True)), required=True)


class ReportAnswer(StrictSchema):
    """A report. A value that would point at a few people is the word `withheld`."""

    id = fields.String(required=True)
    title = fields.String(required=True)
    definition = fields.String(required=True)
    since = fields.String(required=True)
    until = fields.String(required=True)
    filters = fields.Dict(required=True)
    limits = fields.List(fields.String(), required=True)
    withheld = fields.Integer(required=True)
    made_by = fields.String(required=True)
    made_at = fields.String(required=True)
    currency = fields.String(required=True, metadata={"description": "How current the data are."})
    checkpoint = fields.String(
        required=True, metadata={"description": "How far the audit trail had come, as a signed note."}
    )
    tables = fields.List(fields.Nested(TableAnswer), required=True)


@room.route("/reports")
@requires(Permission.READ_REPORTS)
@room.response(HTTPStatus.OK, ReportsAnswer)
def list_reports() -> Response:
    """List the reports that can be asked for."""
    return answer(
        {
            "reports": [
                {"id": one.id, "title": one.title, "about": one.about, "filters": sorted(one.filters)}
                for one in REPORTS.values()
            ]
        }
    )


@room.route("/reports/<report_id>")
@requires(Permission.READ_REPORTS)
@room.arguments(ReportQuery, location="query")
@room.response(HTTPStatus.OK, ReportAnswer)
def read_report(query: Mapping[str, Any], report_id: str) -> Response:
    """Make a report.

    Without a period: the last 92 days. Each report that is given out is an event of the audit trail. Forms
    other than `json` come as files: `csv`, `xlsx`, `pdf`, `text`.
    """
    by, now = principal(), runtime().clock()
    exporting.listed(report_id)
    since, until = exporting.period(query["since"], query["until"], now=now)
    narrowed = {name: query.get(name, "") for name in ("unit", "prescriber", "policy", "measure")}
    asked = Asked(by.organisation_id, since, until, **narrowed)

    def make(session: Session, library: Library, note: str) -> Made:
        return exporting.made(session, library, report_id, asked, by=by, now=now, checkpoint=note)

    return _given_out(make, Format(query["format"]), by=by, now=now)


@room.route("/decisions/<decision_id>/report")
@requires(Permission.READ_REPORTS)
@room.arguments(FormatQuery, location="query")
@room.response(HTTPStatus.OK, ReportAnswer)
def explain_decision(query: Mapping[str, Any], decision_id: str) -> Response:
    """Make the report of one decision.

    The order, the facts then known, the policy versions of that day and what each found, what people did
    about it, and whether deciding it again gives the same.
    """
    by, now = principal(), runtime().clock()

    def make(session: Session, library: Library, note: str) -> Made:
        return exporting.why(session, library, decision_id, by=by, now=now, checkpoint=note)

    return _given_out(make, Format(query["format"]), by=by, now=now)


def _given_out(
    make: Callable[[Session, Library, str], Made], form: Format, *, by: Principal, now: datetime
) -> Response:
    """Make a report, write it, write down that it is given out, and only then let anything of it leave."""
    running = runtime()
    note = exporting.checkpoint_note(running.sessions, by.organisation_id)
    spooled = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed when it has been sent
    try:
        with reading() as session:
            made = make(session, running.library_of(by.organisation_id), note)
            written = exporting.write(made, form, spooled)
        with writing() as session:
            exporting.record_export(session, made, form, written, by=by, now=now)
    except BaseException:
        spooled.close()
        raise
    size = spooled.seek(0, os.SEEK_END)
    spooled.seek(0)
    response = Response(_blocks(spooled), content_type=MEDIA_TYPES[form])
    response.call_on_close(spooled.close)
    response.content_length = size
    if form is not Format.JSON:
        name = exporting.file_name(made, form)
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _blocks(spooled: IO[bytes]) -> Iterator[bytes]:
    while block := spooled.read(_BLOCK):
        yield block
