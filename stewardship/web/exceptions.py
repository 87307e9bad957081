"""Exceptions to countersign: what stands against the order, why it is asked for, and who has yet to sign.

Nobody signs a request of their own; the page says so, and hides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from flask import Blueprint, Response, flash, redirect, request
from werkzeug.wrappers import Response as WSGIResponse

from stewardship import after_orders
from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import Conflict, Fault, Forbidden, InvalidInput, StewardshipError
from stewardship.runtime import runtime
from stewardship.services import decisions, exception_queue, standing
from stewardship.web.pages import page

room = Blueprint("exceptions_asked", __name__)

_SETTLED_SHOWN = 20
_LONGEST_NOTE = 4_000
_ANSWERS = {"yes": True, "no": False}
_STATUSES = {
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    Conflict: HTTPStatus.CONFLICT,
    Forbidden: HTTPStatus.FORBIDDEN,
}


@room.get("/exceptions")
@requires(Permission.COUNTERSIGN_EXCEPTIONS)
def exceptions() -> Response:
    """The requests that wait, and those that were settled last."""
    return _page()


@room.post("/exceptions/<exception_id>/countersignatures")
@requires(Permission.COUNTERSIGN_EXCEPTIONS)
def countersign(exception_id: str) -> Response | WSGIResponse:
    """Say yes or no to another person's request."""
    running, by, said = runtime(), principal(), request.form.get("approve", "")
    try:
        with transaction(running.sessions) as session:
            standing.read_exception(session, exception_id, by=by)
            if said not in _ANSWERS:
                fault = Fault("/approve", "not-a-choice", "Say yes or no.")
                raise InvalidInput("a countersignature says yes or no", faults=(fault,))
            state = decisions.countersign(
                session,
                exception_id,
                approve=_ANSWERS[said],
                note=request.form.get("note", "")[:_LONGEST_NOTE],
                by=by,
                now=running.clock(),
            )
    except (InvalidInput, Conflict, Forbidden) as refused:
        return _page(refused, exception_id, request.form)
    # An order that nothing stops any more counts from now on.
    library = running.library_of(by.organisation_id)
    after_orders.look_again(running.sessions, library, state.decision_id, by=by, now=running.clock())
    flash(f"You have signed; the request is {state.status.value} now.", "success")
    return redirect("/exceptions", HTTPStatus.SEE_OTHER)


def _page(
    refused: StewardshipError | None = None, at: str = "", typed: Mapping[str, str] | None = None
) -> Response:
    by = principal()
    with transaction(runtime().sessions, write=False) as session:
        waiting = exception_queue.listed(session, waiting=True, by=by)
        settled = exception_queue.listed(session, waiting=False, by=by, limit=_SETTLED_SHOWN)
    return page(
        "exceptions.html",
        status=HTTPStatus.OK if refused is None else _STATUSES[type(refused)],
        waiting=waiting,
        settled=settled,
        bars={one.state.id: one.bar(by) for one in waiting},
        refused=refused,
        at=at,
        typed=typed or {},
    )
