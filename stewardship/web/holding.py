"""How long records are kept, and legal holds: placed and lifted with a reason, by compliance.

What retention would remove is told here; to remove it is the terminal's, for it cannot be undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from flask import Blueprint, Response, flash, redirect, url_for
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import Conflict, Fault, InvalidInput, NotFound
from stewardship.runtime import runtime
from stewardship.services import holds, removals, retention
from stewardship.web.pages import page
from stewardship.web.patient_forms import faults_of, own_id, typed

room = Blueprint("holding", __name__)

_REMOVALS_SHOWN = 20
_SCOPES = {"patient": "One patient", "everything": "Everything of the organisation"}


@room.get("/retention")
@requires(Permission.READ_RETENTION)
def overview() -> Response:
    """The holds, what is past its time, and what was removed last."""
    return _overview({}, {})


@room.post("/retention/holds")
@requires(Permission.KEEP_HOLDS)
def place() -> Response | WSGIResponse:
    """Place a hold over a patient, or over everything."""
    said = typed("scope", "patient", "reason", "id")
    try:
        with transaction(runtime().sessions) as session:
            made = holds.place(
                session,
                patient=_whom(said),
                reason=said["reason"],
                hold_id=own_id(said["id"]),
                by=principal(),
                now=runtime().clock(),
            )
    except (InvalidInput, NotFound, Conflict) as refused:
        answer = _overview(said, faults_of(refused, {}))
        if isinstance(refused, Conflict):
            answer.status_code = HTTPStatus.CONFLICT
        return answer
    held = "one patient" if made.patient_id else "everything"
    flash(f"The hold stands over {held}; nothing of that is removed until it is lifted.", "success")
    return redirect(url_for("holding.overview"), HTTPStatus.SEE_OTHER)


@room.get("/retention/holds/<hold_id>")
@requires(Permission.READ_RETENTION)
def show(hold_id: str) -> Response:
    """One hold, and the form to lift it."""
    return _hold(hold_id, {}, {})


@room.post("/retention/holds/<hold_id>/lift")
@requires(Permission.KEEP_HOLDS)
def lift(hold_id: str) -> Response | WSGIResponse:
    """End the hold."""
    said = typed("reason")
    try:
        with transaction(runtime().sessions) as session:
            holds.lift(session, hold_id, reason=said["reason"], by=principal(), now=runtime().clock())
    except InvalidInput as refused:
        return _hold(hold_id, said, faults_of(refused, {}))
    except Conflict as refused:
        answer = _hold(hold_id, said, faults_of(refused, {}))
        answer.status_code = HTTPStatus.CONFLICT
        return answer
    flash("The hold is lifted.", "success")
    return redirect(url_for("holding.show", hold_id=hold_id), HTTPStatus.SEE_OTHER)


def _whom(said: Mapping[str, str]) -> str | None:
    """Whom the form holds; ``None`` for everything, which has to be said."""
    if said["scope"] not in _SCOPES:
        fault = Fault("/scope", "not-a-choice", "say what is to be held")
        raise InvalidInput("a hold has a scope", faults=(fault,))
    if said["scope"] == "everything":
        if said["patient"]:
            fault = Fault("/patient", "scope", "leave it empty: everything is held")
            raise InvalidInput("scope and patient say two things", faults=(fault,))
        return None
    if not said["patient"]:
        fault = Fault("/patient", "missing", "write the patient's record number")
        raise InvalidInput("a hold over a patient names him", faults=(fault,))
    return said["patient"]


def _overview(said: Mapping[str, str], faults: Mapping[str, str]) -> Response:
    running, by = runtime(), principal()
    declared = running.library.retention
    with transaction(running.sessions, write=False) as session:
        every = holds.listed(session, by=by, standing=False)
        past = retention.past(session, declared, by=by, now=running.clock())
        removed = removals.listed(session, by=by, limit=_REMOVALS_SHOWN)
    return page(
        "retention.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK,
        standing=[one for one in every if one.stands],
        lifted=[one for one in reversed(every) if not one.stands],
        past=past,
        why_it_stays=retention.WHY_IT_STAYS,
        removed=removed,
        terms=declared.terms,
        kept=declared.kept,
        scopes=list(_SCOPES.items()),
        new_id=own_id(said.get("id", "")),
        typed=said,
        faults=faults,
    )


def _hold(hold_id: str, said: Mapping[str, str], faults: Mapping[str, str]) -> Response:
    with transaction(runtime().sessions, write=False) as session:
        found = holds.read(session, hold_id, by=principal())
    status = HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK
    return page("hold.html", status=status, hold=found, typed=said, faults=faults)
