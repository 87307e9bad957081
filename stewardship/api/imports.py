"""Files of dispensings and of records: sent at once, taken in beside the requests, asked about meanwhile."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, BinaryIO

from flask import Response, current_app, request, url_for
from werkzeug.exceptions import UnsupportedMediaType

from stewardship import importing
from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.api.schemas import ImportAnswer, ImportQuery, PharmaciesAnswer
from stewardship.auth import Permission, principal, requires
from stewardship.domain.errors import InvalidInput, TooLarge, Unavailable
from stewardship.intake.feeds import Described, Opener, feeds_of
from stewardship.observability import report_fault
from stewardship.runtime import runtime
from stewardship.services import imports, pharmacies

room = Room("imports", __name__, description="Files of what was dispensed, and of records, in bulk.")

#: Files that one process takes in at a time; whoever comes then is asked to come again.
_MOST_AT_ONCE = 3
_places = threading.BoundedSemaphore(_MOST_AT_ONCE)
#: Few items a transaction: orders are checked meanwhile, and wait for no more than this.
_PORTION = 200
_BLOCK = 1 << 18
_MEDIA_TYPE = "application/octet-stream"
_BODY_DOC = {
    "required": True,
    "description": "The file as it is: ASAP, FHIR NDJSON, or a FHIR Bundle.",
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
    running, by = runtime(), principal()
    if not _places.acquire(blocking=False):
        raise Unavailable("other files are being taken in; send it again later", code="busy")
    try:
        spooled = _spool(running.settings.import_bytes)
    except BaseException:
        _places.release()
        raise
    try:
        library = running.library_of(by.organisation_id)
        described = Described(kind=query.get("format"), state=query["state"] or "")
        files: list[tuple[str, Opener]] = [(query["name"], _opener(spooled))]
        (feed,) = feeds_of(files, described, library, now=running.clock())
        with writing() as session:
            upload = imports.announce(session, kind=feed.format, source=feed.name, by=by, now=running.clock())
        job = importing.Upload(running.sessions, library.feeds, feed, upload, by=by, clock=running.clock)
        job.claim()
    except BaseException:
        spooled.close()
        _places.release()
        raise

    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Flask's own way

    def work() -> None:
        try:
            with app.app_context():
                try:
                    job.run(portion=_PORTION)
                except Exception as fault:  # noqa: BLE001 - nobody waits: it is logged, and the import says so
                    report_fault(fault)
        finally:
            spooled.close()
            _places.release()

    threading.Thread(target=work, name="import", daemon=True).start()
    with reading() as session:
        report = imports.read(session, upload.id, by=by)
    where = url_for("imports.read_import", import_id=upload.id)
    return answer(importing.report_json(importing.Imported(report)), HTTPStatus.ACCEPTED, Location=where)


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


def _spool(most: int) -> BinaryIO:
    """The body in a file without a name, which is gone when it is closed, or when the process ends."""
    # One more than allowed: a body that was cut off there must be seen to be too large.
    request.max_content_length = most + 1
    spooled = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives the request
    size = 0
    while block := request.stream.read(_BLOCK):
        size += len(block)
        if size > most:
            spooled.close()
            raise TooLarge(f"the file is larger than {most} bytes")
        spooled.write(block)
    if not size:
        spooled.close()
        raise InvalidInput("the body is empty: send the file", code="empty")
    spooled.flush()
    return spooled


def _opener(spooled: BinaryIO) -> Opener:
    """Opens the file from its beginning, again and again, one reader at a time."""

    def open_again() -> BinaryIO:
        spooled.seek(0)
        return io.BufferedReader(io.FileIO(os.dup(spooled.fileno())))

    return open_again
