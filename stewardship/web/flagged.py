"""One flag: its evidence with the picture, what happened to it, and what may be done about it.

Each form carries the version of the flag that its reader saw. Whoever comes second is told who was first
and when, on a page that still holds what was typed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from http import HTTPStatus

from flask import Blueprint, Response, flash, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import Conflict, InvalidInput, StewardshipError
from stewardship.domain.exposure import Definition
from stewardship.domain.flags.kinds import Status
from stewardship.domain.people import Role
from stewardship.pictures.timeline import in_words, timeline_svg
from stewardship.runtime import runtime
from stewardship.services import flags, patients, timelines, users
from stewardship.services.flag_queue import UNRESOLVED, Asked, FlagRecord
from stewardship.services.timelines import Read
from stewardship.web.pages import may, page
from stewardship.web.queue import duration

room = Blueprint("flagged", __name__)

#: How many days before a flag's first its picture begins.
_BEFORE = timedelta(days=180)
_DEFINITION = Definition.MAXIMUM_DAILY_DOSE
_MOST_OTHERS = 50
_LONGEST_FIELD = 4_000


@room.get("/queue/<flag_id>")
@requires(Permission.READ_FLAGS)
def show(flag_id: str) -> Response:
    """The flag with everything about it. That it was read is kept."""
    return _page(flag_id)


@room.get("/queue/<flag_id>/timeline.svg")
@requires(Permission.READ_PATIENTS)
def picture(flag_id: str) -> Response:
    """The patient's timeline around the flag."""
    running, by = runtime(), principal()
    library = running.library_of(by.organisation_id)
    with transaction(running.sessions, late=True) as session:
        record = flags.read(session, library, flag_id, by=by)
        found = _timeline(session, record)
    return Response(timeline_svg(found.line, _DEFINITION), content_type="image/svg+xml")


@room.post("/queue/<flag_id>/claim")
@requires(Permission.WORK_FLAGS)
def claim(flag_id: str) -> Response | WSGIResponse:
    """Take the flag to work on."""
    return _acted(flag_id, "claim", "You have this flag now.", flags.claim, version=_version())


@room.post("/queue/<flag_id>/release")
@requires(Permission.WORK_FLAGS)
def release(flag_id: str) -> Response | WSGIResponse:
    """Give it back to the queue."""
    return _acted(flag_id, "release", "The flag is back in the queue.", flags.release, version=_version())


@room.post("/queue/<flag_id>/notes")
@requires(Permission.WORK_FLAGS)
def note(flag_id: str) -> Response | WSGIResponse:
    """Write down what was found out."""
    return _acted(flag_id, "note", "Your note is on record.", flags.note, _typed("words"))


@room.post("/queue/<flag_id>/messages")
@requires(Permission.WORK_FLAGS)
def message(flag_id: str) -> Response | WSGIResponse:
    """Ask or tell a prescriber."""
    done = "The message waits for the prescriber."
    return _acted(flag_id, "message", done, flags.message, _typed("words"), to_user=_typed("to").strip())


@room.post("/queue/<flag_id>/resolve")
@requires(Permission.WORK_FLAGS)
def resolve(flag_id: str) -> Response | WSGIResponse:
    """End the work on it with a code."""
    more = {"words": _typed("words"), "version": _version()}
    return _acted(flag_id, "resolve", "The flag is resolved.", flags.resolve, _typed("code"), **more)


@room.post("/queue/<flag_id>/reopen")
@requires(Permission.WORK_FLAGS)
def reopen(flag_id: str) -> Response | WSGIResponse:
    """Take a resolution back, with the reason."""
    said = _typed("reason")
    return _acted(flag_id, "reopen", "The flag is open again.", flags.reopen, said, version=_version())


def _typed(name: str) -> str:
    return request.form.get(name, "")[:_LONGEST_FIELD]


def _version() -> int:
    """The version that the form was made for; a form without one is stale."""
    said = request.form.get("version", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else 0


def _acted(
    flag_id: str, what: str, done: str, act: Callable[..., FlagRecord], *said: str, **more: object
) -> Response | WSGIResponse:
    """Do it and show the flag again; when refused, with the reason and everything that was typed."""
    running, by = runtime(), principal()
    library = running.library_of(by.organisation_id)
    try:
        with transaction(running.sessions) as session:
            act(session, library, flag_id, *said, by=by, now=running.clock(), **more)
    except (InvalidInput, Conflict) as refused:
        status = HTTPStatus.CONFLICT if isinstance(refused, Conflict) else HTTPStatus.UNPROCESSABLE_ENTITY
        return _page(flag_id, refused=refused, what=what, typed=request.form, status=status)
    flash(done, "success")
    return redirect(url_for("flagged.show", flag_id=flag_id), HTTPStatus.SEE_OTHER)


def _page(
    flag_id: str,
    *,
    refused: StewardshipError | None = None,
    what: str = "",
    typed: Mapping[str, str] | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    with transaction(running.sessions, late=True) as session:
        record = flags.read(session, library, flag_id, by=by)
        who, _ = patients.known(session, record.patient, by=by)
        seen = _timeline(session, record) if may(Permission.READ_PATIENTS) else None
        every = Asked(
            (*UNRESOLVED, Status.RESOLVED), patient=record.patient, sort="newest", limit=_MOST_OTHERS
        )
        others = flags.listed(session, library, every, by=by, now=now).flags
        people = users.listed(session, by=by) if may(Permission.WORK_FLAGS) else []
        patients.note_read(session, record.patient, what="flag", by=by, now=now)
    work = library.flags.work
    return page(
        "flag.html",
        status=status,
        flag=record,
        who=who,
        seen=seen,
        words=in_words(seen.line, _DEFINITION) if seen else (),
        supplies={s.id: s for s in seen.line.supplies} if seen else {},
        others=sorted((o for o in others if o.id != flag_id), key=lambda o: o.kind != record.kind),
        prescribers=[p for p in people if p.role is Role.PRESCRIBER and p.active],
        work=work,
        codes={code: r for code, r in work.resolutions.items() if r.by_hand},
        refused=refused,
        faults={f.pointer.lstrip("/"): f.message for f in refused.faults} if refused else {},
        what=what,
        typed=typed or {},
        now=now,
        duration=duration,
    )


def _timeline(session: Session, record: FlagRecord) -> Read:
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    return timelines.read(
        session,
        library,
        record.patient,
        factor_set=library.flags.common.factor_set,
        first=_first(record),
        until=max(now.date(), record.last_on),
        by=by,
        now=now,
    )


def _first(record: FlagRecord) -> date:
    return record.first_on - _BEFORE
