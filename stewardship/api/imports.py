"""Files of dispensings and of records: sent at once, taken in beside the requests, asked about meanwhile."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from http import HTTPStatus
from typing import IO, Any, BinaryIO

from flask import Response, current_app, request, url_for
from werkzeug.exceptions import UnsupportedMediaType

from stewardship import importing
from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.api.import_schemas import CsvQuery, PreviewAnswer
from stewardship.api.schemas import ImportAnswer, ImportQuery, PharmaciesAnswer
from stewardship.auth import Permission, principal, requires
from stewardship.domain.errors import InvalidInput, TooLarge, Unavailable
from stewardship.intake.csv_files import MOST_OF_MAPPING
from stewardship.intake.feeds import Described, Opener, csv_feed, feeds_of
from stewardship.observability import report_fault
from stewardship.runtime import runtime
from stewardship.services import imports, pharmacies

room = Room("imports", __name__, description="Files of what was dispensed, and of records, in bulk.")

#: Files that one process takes in at a time; whoever comes then is asked to come again.
_MOST_AT_ONCE = 3
_places = threading.BoundedSemaphore(_MOST_AT_ONCE)
#: Few items a transaction at the most: what is got ready for it is got ready beside order checks.
_PORTION = 200
_BLOCK = 1 << 18
_MEDIA_TYPE = "application/octet-stream"
_FORM = "multipart/form-data"
_FORM_DOC = {
    "required": True,
    "description": "The CSV file, and the TOML file that says which of its columns holds what.",
    "content": {
        _FORM: {
            "schema": {
                "type": "object",
                "required": ["file", "mapping"],
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "mapping": {"type": "string", "format": "binary"},
                },
            }
        }
    },
}
_BODY_DOC = {
    "required": True,
    "description": "The file as it is: ASAP, FHIR NDJSON, or a FHIR Bundle. CSV goes to `/imports/csv`.",
    "content": {_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
}


@room.route("/imports", methods=["POST"])
@requires(Permission.IMPORT_FILES)
@room.arguments(ImportQuery, location="query")
@room.response(
    HTTPStatus.ACCEPTED,
    ImportAnswer,
    headers={"Location": {"schema": {"type": "string"}, "description": "Where to ask how far it is."}},
)
@room.doc(
    requestBody=_BODY_DOC,
    responses={400: "BAD_REQUEST", 413: "REQUEST_ENTITY_TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"},
)
def import_file(query: Mapping[str, Any]) -> Response:
    """Send a file.

    Answers when the file has arrived; what is in it is stored afterwards. A content that was imported
    before changes nothing, and the report names the first import as `same_as`.
    """
    if request.mimetype != _MEDIA_TYPE:
        raise UnsupportedMediaType(f"send the file as {_MEDIA_TYPE}")
    described = Described(kind=query["format"], state=query["state"] or "")
    with ExitStack() as until:
        spooled = _place(until)
        _spool(spooled)
        return _begin(spooled, query["name"], described, until)


@room.route("/imports/csv", methods=["POST"])
@requires(Permission.IMPORT_FILES)
@room.arguments(CsvQuery, location="query")
@room.response(
    HTTPStatus.ACCEPTED,
    ImportAnswer,
    headers={"Location": {"schema": {"type": "string"}, "description": "Where to ask how far it is."}},
)
@room.doc(
    requestBody=_FORM_DOC,
    responses={400: "BAD_REQUEST", 413: "REQUEST_ENTITY_TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"},
)
def import_csv(query: Mapping[str, Any]) -> Response:
    """Send a CSV file with its mapping.

    The mapping says which column holds what; look at `/imports/csv/preview` first. The same content read
    by another mapping is another import: rows that were stored are known by pharmacy, prescription number
    and day, and are corrected.
    """
    with ExitStack() as until:
        spooled = _place(until)
        described = Described(kind="csv", mapping=_form(spooled))
        return _begin(spooled, query["name"], described, until)


@room.route("/imports/csv/preview", methods=["POST"])
@requires(Permission.IMPORT_FILES)
@room.response(HTTPStatus.OK, PreviewAnswer)
@room.doc(
    requestBody=_FORM_DOC,
    responses={
        400: "BAD_REQUEST",
        413: "REQUEST_ENTITY_TOO_LARGE",
        415: "UNSUPPORTED_MEDIA_TYPE",
        422: "UNPROCESSABLE_ENTITY",
    },
)
def preview_csv() -> Response:
    """See how the first rows would be read.

    Nothing is stored. The beginning of the file is enough. Of what says who a patient is, only the shape
    is shown.
    """
    with ExitStack() as until:
        spooled = _place(until)
        feed = csv_feed(_opener(spooled), "", _form(spooled), now=runtime().clock())
        shown = list(feed.sample())
    return answer(
        {
            "rows": [
                {
                    "line": row.line,
                    "fields": [{"name": name, "value": value} for name, value in row.fields.items()],
                    "rejected": [importing.fault_json(fault) for fault in row.faults],
                }
                for row in shown
            ]
        }
    )


@room.route("/imports/<import_id>")
@requires(Permission.READ_IMPORTS)
@room.response(HTTPStatus.OK, ImportAnswer)
def read_import(import_id: str) -> Response:
    """Read how far an import is.

    While it is `running`, the counts grow. `interrupted`: nobody goes on with it; send the file again, and
    it is continued where it stopped.
    """
    with reading() as session:
        report = imports.read(session, import_id, by=principal())
    return answer(importing.report_json(importing.Imported(report, same_as=report.same_as)))


@room.route("/pharmacies")
@requires(Permission.READ_PHARMACIES)
@room.response(HTTPStatus.OK, PharmaciesAnswer)
def list_pharmacies() -> Response:
    """List the pharmacies that report.

    With the moment up to which each one's dispensings are known; those that are silent for too long first.
    """
    with reading() as session:
        found = pharmacies.listed(session, by=principal(), now=runtime().clock())
    return answer({"pharmacies": [pharmacies.pharmacy_json(one) for one in found]})


def _place(until: ExitStack) -> BinaryIO:
    """One of the few places at which files are taken in: a file without a name, which is gone when it is
    closed, or when the process ends. Both are given back with the stack."""
    if not _places.acquire(blocking=False):
        raise Unavailable("other files are being taken in; send it again later", code="busy")
    until.callback(_places.release)
    return until.enter_context(tempfile.TemporaryFile())


def _spool(spooled: BinaryIO) -> None:
    """Keep the body in the file."""
    most = runtime().settings.import_bytes
    # One more than allowed: a body that was cut off there must be seen to be too large.
    request.max_content_length = most + 1
    _copy(request.stream, spooled, most)


def _form(spooled: BinaryIO) -> bytes:
    """Keep the form's file; its mapping."""
    if request.mimetype != _FORM:
        raise UnsupportedMediaType(f"send the file and its mapping as {_FORM}")
    most = runtime().settings.import_bytes
    request.max_content_length = most + MOST_OF_MAPPING + _BLOCK
    parts = request.files
    missing = [name for name in ("file", "mapping") if name not in parts]
    if missing or request.form:
        raise InvalidInput("the form has two parts, each a file: file and mapping", code="form")
    mapping: bytes = parts["mapping"].stream.read(MOST_OF_MAPPING + 1)
    if len(mapping) > MOST_OF_MAPPING:
        raise TooLarge(f"the mapping is larger than {MOST_OF_MAPPING} bytes")
    _copy(parts["file"].stream, spooled, most)
    return mapping


def _copy(stream: IO[bytes], spooled: BinaryIO, most: int) -> None:
    size = 0
    while block := stream.read(_BLOCK):
        size += len(block)
        if size > most:
            raise TooLarge(f"the file is larger than {most} bytes")
        spooled.write(block)
    if not size:
        raise InvalidInput("the file is empty", code="empty")
    spooled.flush()


def _begin(spooled: BinaryIO, name: str, described: Described, until: ExitStack) -> Response:
    """Announce the import, and take the file in beside this request; the thread gives the place back."""
    running, by = runtime(), principal()
    library = running.library_of(by.organisation_id)
    files: list[tuple[str, Opener]] = [(name, _opener(spooled))]
    (feed,) = feeds_of(files, described, library, now=running.clock())
    with writing() as session:
        upload = imports.announce(session, kind=feed.format, source=feed.name, by=by, now=running.clock())
    job = importing.Upload(running.sessions, library.feeds, feed, upload, by=by, clock=running.clock)
    job.claim()
    held = until.pop_all()
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Flask's own way

    def work() -> None:
        with held, app.app_context():
            try:
                job.run(portion=_PORTION)
            except Exception as fault:  # noqa: BLE001 - nobody waits: it is logged, and the import says so
                report_fault(fault)

    threading.Thread(target=work, name="import", daemon=True).start()
    with reading() as session:
        report = imports.read(session, upload.id, by=by)
    where = url_for("imports.read_import", import_id=upload.id)
    return answer(importing.report_json(importing.Imported(report)), HTTPStatus.ACCEPTED, Location=where)


def _opener(spooled: BinaryIO) -> Opener:
    """Opens the file from its beginning, again and again, one reader at a time."""

    def open_again() -> BinaryIO:
        spooled.seek(0)
        return io.BufferedReader(io.FileIO(os.dup(spooled.fileno())))

    return open_again
