"""Links with which a patient answers an instrument alone: made, shown once, and ended.

The address is shown on the page that answers the form, and nowhere again: only its hash is kept.
"""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.domain.reviews import OPEN
from stewardship.runtime import runtime
from stewardship.services import links, reassessments
from stewardship.services.reassessments import ReviewRecord
from stewardship.web.pages import page
from stewardship.web.patient_forms import acting, faults_of, library, patient, typed, whole, wrong

room = Blueprint("asking", __name__)

_MOST_DAYS = links.LONGEST_LIFE.days
_PLACES = {"/life": "days"}


@room.get("/patients/<patient_id>/links")
@requires(Permission.ISSUE_LINKS)
def show(patient_id: str) -> Response:
    """The links that there are, and a form for another one."""
    return _page(patient_id)


@room.post("/patients/<patient_id>/links")
@requires(Permission.ISSUE_LINKS)
def issue(patient_id: str) -> Response:
    """Make a link and show its address, this once."""
    running, said = runtime(), typed("instrument", "days", "review")
    known_as = patient(patient_id)[1]
    try:
        with transaction(running.sessions) as session:
            days = whole(said["days"], "/days", most=_MOST_DAYS)
            if not days:
                raise wrong("/days", "required", f"Say for how many days, 1 to {_MOST_DAYS}.")
            _, token = links.issue(
                session,
                library(),
                known_as,
                said["instrument"],
                secret=running.settings.secret_key,
                review_id=said["review"] or None,
                life=timedelta(days=days),
                **acting(),
            )
    except InvalidInput as refused:
        return _page(patient_id, typed=said, faults=faults_of(refused, _PLACES))
    except Conflict as refused:
        answer = _page(patient_id, typed=said, faults={"form": f"{refused.message}."})
        answer.status_code = HTTPStatus.CONFLICT
        return answer
    base = running.settings.public_url or request.host_url.rstrip("/")
    return _page(patient_id, made=f"{base}{url_for('questionnaire.form', token=token)}")


@room.post("/patients/<patient_id>/links/<link_id>/revoke")
@requires(Permission.ISSUE_LINKS)
def revoke(patient_id: str, link_id: str) -> Response | WSGIResponse:
    """End a link at once."""
    known_as = patient(patient_id)[1]
    try:
        with transaction(runtime().sessions) as session:
            if links.read(session, link_id, by=principal()).patient_id != known_as:
                raise NotFound("there is no such link")
            links.revoke(session, link_id, **acting())
    except Conflict as refused:
        answer = _page(patient_id, faults={"form": f"{refused.message}."})
        answer.status_code = HTTPStatus.CONFLICT
        return answer
    flash("The link is ended: whoever opens it is told so.", "success")
    return redirect(url_for("asking.show", patient_id=patient_id), HTTPStatus.SEE_OTHER)


def _page(patient_id: str, **more: Any) -> Response:
    faults = more.get("faults", {})
    who, known_as = patient(patient_id, "" if faults or "made" in more else "links")
    running, by = runtime(), principal()
    with transaction(running.sessions, write=False) as session:
        found = links.of_patient(session, patient_id, by=by)
        reviews = reassessments.of_patient(session, known_as, by=by)
    return page(
        "links.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK,
        who=who,
        links=[(one, one.state(running.clock()).value) for one in found],
        reviews=_open(reviews),
        instruments=_instruments(),
        titles={one.id: one.title for one in library().instruments.values()},
        days=links.LIFE.days,
        most=_MOST_DAYS,
        made=more.get("made", ""),
        typed=more.get("typed", {}),
        faults=faults,
    )


def _instruments() -> list[tuple[str, str]]:
    """Those that a patient may fill in alone."""
    found = []
    for one in library().instruments.values():
        try:
            links.form(library(), one.id)
        except InvalidInput:
            continue  # licensed, or for talking about: it is not offered
        found.append((one.id, one.title))
    return found


def _open(reviews: tuple[ReviewRecord, ...] | list[ReviewRecord]) -> list[tuple[str, str]]:
    return [
        (one.id, f"{one.review.interval} due {one.review.due_on.isoformat()}")
        for one in reviews
        if one.review.state in OPEN
    ]
