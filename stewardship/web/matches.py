"""Whether two descriptions are of one person: side by side, settled with a reason, and undone.

Until somebody says, both histories may be incomplete, and say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import Conflict, InvalidInput, StewardshipError
from stewardship.runtime import runtime
from stewardship.services import candidates, matches, patients
from stewardship.web.pages import page

room = Blueprint("matches_settled", __name__)

_SHOWN = 200
_LONGEST_FIELD = 4_000
_ACCEPTED = "accepted"
STATUSES: Mapping[str, str] = {"open": "To settle", "accepted": "One person", "declined": "Two people"}


@room.get("/matches")
@requires(Permission.READ_MATCHES)
def listing() -> Response:
    """The matches that somebody has to settle, the oldest first; or those that were."""
    status = request.args.get("status", "open")
    status = status if status in STATUSES else "open"
    with transaction(runtime().sessions, write=False) as session:
        found = candidates.listed(session, status=status, by=principal(), limit=_SHOWN)
    return page("matches.html", found=found, status_shown=status, statuses=STATUSES, most=_SHOWN)


@room.get("/matches/<identity_id>/<patient_id>")
@requires(Permission.READ_MATCHES)
def show(identity_id: str, patient_id: str) -> Response:
    """Both sides, in which respects they agree, and what was said before."""
    return _page(identity_id, patient_id)


@room.post("/matches/<identity_id>/<patient_id>/accept")
@requires(Permission.SETTLE_MATCHES)
def accept(identity_id: str, patient_id: str) -> Response | WSGIResponse:
    """They are one."""
    done, terms = "They are one person now.", runtime().library.feeds
    return _settled(identity_id, patient_id, done, candidates.accept, patient_id, terms=terms)


@room.post("/matches/<identity_id>/<patient_id>/decline")
@requires(Permission.SETTLE_MATCHES)
def decline(identity_id: str, patient_id: str) -> Response | WSGIResponse:
    """They are two."""
    return _settled(identity_id, patient_id, "They stay two people.", candidates.decline, patient_id)


@room.post("/matches/<identity_id>/<patient_id>/open-again")
@requires(Permission.SETTLE_MATCHES)
def open_again(identity_id: str, patient_id: str) -> Response | WSGIResponse:
    """That they are two does not hold."""
    return _settled(identity_id, patient_id, "The match is open again.", candidates.reopen, patient_id)


@room.post("/matches/<identity_id>/<patient_id>/part")
@requires(Permission.SETTLE_MATCHES)
def part(identity_id: str, patient_id: str) -> Response | WSGIResponse:
    """That they are one was wrong."""
    done, terms = "They are parted: each has what was dispensed to it.", runtime().library.feeds
    return _settled(identity_id, patient_id, done, candidates.part, terms=terms)


def _settled(
    identity_id: str, patient_id: str, done: str, act: Callable[..., object], *whom: str, **more: Any
) -> Response | WSGIResponse:
    """Do it and show the match again; when refused, with the reason and what was typed."""
    by, now = principal(), runtime().clock()
    try:
        with transaction(runtime().sessions) as session:
            # What is undone has to be this match, and not what became of the identity since.
            match = candidates.one(session, identity_id, patient_id, by=by)
            if not whom and match.status.value != _ACCEPTED:
                raise Conflict("these two are not one person")
            said = request.form.get("reason", "")[:_LONGEST_FIELD]
            act(session, identity_id, *whom, reason=said, by=by, now=now, **more)
    except (InvalidInput, Conflict) as refused:
        return _page(identity_id, patient_id, refused)
    flash(done, "success")
    where = url_for("matches_settled.show", identity_id=identity_id, patient_id=patient_id)
    return redirect(where, HTTPStatus.SEE_OTHER)


def _page(identity_id: str, patient_id: str, refused: StewardshipError | None = None) -> Response:
    running, by = runtime(), principal()
    with transaction(running.sessions, late=True) as session:
        found = matches.side_by_side(session, identity_id, patient_id, running.library.feeds.matching, by=by)
        patients.note_read(session, patient_id, what="match", by=by, now=running.clock())
    status = HTTPStatus.CONFLICT if isinstance(refused, Conflict) else HTTPStatus.UNPROCESSABLE_ENTITY
    return page(
        "match.html",
        status=HTTPStatus.OK if refused is None else status,
        told=matches.side_by_side_json(found),
        statuses=STATUSES,
        refused=refused,
        reason=request.form.get("reason", "") if refused is not None else "",
    )
