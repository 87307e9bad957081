"""What pharmacists asked a prescriber: read and answered here, once each."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from flask import Blueprint, Response, flash, redirect, request
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import Conflict, InvalidInput, StewardshipError
from stewardship.runtime import runtime
from stewardship.services import flags
from stewardship.web.pages import page

room = Blueprint("messages_read", __name__)

_ANSWERED_SHOWN = 50
_LONGEST_FIELD = 4_000


@room.get("/messages")
@requires(Permission.READ_MESSAGES)
def messages() -> Response:
    """Those that wait for an answer, then those that were answered."""
    return _page()


@room.post("/messages/<message_id>")
@requires(Permission.READ_MESSAGES)
def answer(message_id: str) -> Response | WSGIResponse:
    """Say that it was seen, and what to it."""
    words = request.form.get("words", "")[:_LONGEST_FIELD]
    try:
        with transaction(runtime().sessions) as session:
            flags.answer(session, message_id, words, by=principal(), now=runtime().clock())
    except (InvalidInput, Conflict) as refused:
        return _page(refused, message_id, request.form)
    flash("The pharmacist is told.", "success")
    return redirect("/messages", HTTPStatus.SEE_OTHER)


def _page(
    refused: StewardshipError | None = None, at: str = "", typed: Mapping[str, str] | None = None
) -> Response:
    running, by = runtime(), principal()
    with transaction(running.sessions, write=False) as session:
        found = flags.messages_for(session, running.library_of(by.organisation_id), by=by)
    status = HTTPStatus.CONFLICT if isinstance(refused, Conflict) else HTTPStatus.UNPROCESSABLE_ENTITY
    return page(
        "messages.html",
        status=HTTPStatus.OK if refused is None else status,
        waiting=[one for one in found if one.answered_at is None],
        answered=[one for one in found if one.answered_at is not None][:_ANSWERED_SHOWN],
        refused=refused,
        at=at,
        typed=typed or {},
    )
