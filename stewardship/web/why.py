"""Why a decision stands as it does: on what, by which texts, lifted by whom; and decided again. And what was
on record about a patient, and in force, at an instant. All of it can be printed and filed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session

from stewardship import exporting
from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.declarations import Library
from stewardship.domain.errors import Fault, InvalidInput, NotFound
from stewardship.reports.rendering.shown import RIGHT
from stewardship.reports.reporting import Made
from stewardship.runtime import runtime
from stewardship.services import decisions, patients, replay, trail_search
from stewardship.services.trail_search import Entry, Sought
from stewardship.web import ordering
from stewardship.web.pages import may, page
from stewardship.web.reporting import FORMATS, MOST_ROWS, form_named, given_out, tables_of

room = Blueprint("why", __name__)

_MOST_ENTRIES = 200
_LONGEST_FIELD = 200


@room.get("/decisions/<decision_id>/replay")
@requires(Permission.READ_DECISIONS)
def replayed(decision_id: str) -> Response:
    """The decision made again from what it was made on; what came out otherwise, and why that can be."""
    running, by = runtime(), principal()
    library = running.library_of(by.organisation_id)
    with transaction(running.sessions, late=True) as session:
        again = replay.replay(session, library, decision_id, by=by)
        made = patients.made_on(session, decision_id, by=by)
        patients.note_read(session, made.patient_id, what="replay", by=by, now=running.clock())
    return page("replay.html", again=again, made=made, now=running.clock())


@room.get("/decisions/<decision_id>/why")
@requires(Permission.READ_DECISIONS)
def why(decision_id: str) -> Response:
    """Why an order was allowed, or was not: every finding, and what people did about it."""
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    with transaction(running.sessions, late=True) as session:
        stored = decisions.read(session, decision_id, by=by)
        made = patients.made_on(session, decision_id, by=by)
        who, _ = patients.known(session, made.patient_id, by=by)
        again = replay.replay(session, library, decision_id, by=by)
        entries: tuple[Entry, ...] = ()
        if may(Permission.READ_AUDIT):
            entries = trail_search.found(session, Sought(subject=decision_id), by=by, limit=_MOST_ENTRIES)
        patients.note_read(session, made.patient_id, what="decision", by=by, now=now)
    told = decisions.stored_json(stored)
    return page(
        "why.html",
        decision=told,
        objections=[f for f in told["findings"] if f["enforcement"] != "silent"],
        silent=[f for f in told["findings"] if f["enforcement"] == "silent"],
        overrides={one["policy"]: one for one in told["overrides"]},
        exceptions=told["exceptions"],
        files={p["id"]: p for p in told["policies"]},
        lifted={found.policy for found in stored.findings if found.lifted},
        made=made,
        reads=ordering.reads(made.order) if made.order is not None else "",
        who=who,
        again=again,
        entries=entries[::-1],
        now=now,
    )


@room.get("/audit/as-of")
@requires(Permission.READ_AUDIT)
def as_of() -> Response:
    """Ask whose chart, and of when."""
    return _as_of({"patient": "", "at": ""}, {}, None)


@room.post("/audit/as-of")
@requires(Permission.READ_AUDIT)
def show_as_of() -> Response:
    """A chart and the policies as they stood. That somebody looked is on record."""
    running, by, now = runtime(), principal(), runtime().clock()
    said, library = _typed(request.form), running.library_of(by.organisation_id)
    try:
        at = _instant(said["at"])
        with transaction(running.sessions, late=True) as session:
            made = exporting.as_of(session, library, said["patient"], at, by=by, now=now)
            patients.note_read(session, made.report.asked.patient, what="as-of", by=by, now=now)
    except InvalidInput as refused:
        return _as_of(said, {f.pointer.lstrip("/"): f.message for f in refused.faults}, None)
    except NotFound:
        return _as_of(said, {"patient": "No such patient is on record."}, None)
    return _as_of(said, {}, made)


@room.post("/audit/as-of/download")
@requires(Permission.READ_AUDIT)
def download_as_of() -> Response:
    """The same as a file."""
    by, now, said = principal(), runtime().clock(), _typed(request.form)
    at, form = _instant(said["at"]), form_named(request.form.get("format", ""))

    def make(session: Session, library: Library, note: str) -> Made:
        return exporting.as_of(session, library, said["patient"], at, by=by, now=now, checkpoint=note)

    return given_out(make, form)


def _as_of(said: Mapping[str, str], faults: Mapping[str, str], made: Made | None) -> Response:
    return page(
        "as_of.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK,
        said=said,
        faults=faults,
        made=made,
        tables=[] if made is None else tables_of(made),
        formats=FORMATS,
        right=RIGHT,
        most=MOST_ROWS,
    )


def _typed(form: Mapping[str, str]) -> dict[str, str]:
    return {name: form.get(name, "").strip()[:_LONGEST_FIELD] for name in ("patient", "at")}


def _instant(words: str) -> datetime:
    """The moment that was typed, in UTC unless it says otherwise."""
    try:
        said = datetime.fromisoformat(words)
        # One that no zone can hold is none.
        return (said if said.tzinfo else said.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        fault = Fault("/at", "at", "Give a day and a time, such as 2026-03-12T14:05.")
        raise InvalidInput("the instant cannot be read", faults=(fault,)) from None
