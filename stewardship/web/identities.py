"""Whose descriptions a patient's history is made of, and how each was matched; a wrong match is undone.

A rule that was sure asked nobody. Here a pharmacist sees what it put together, with what was dispensed under
each description, and parts what is not this patient's.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import Conflict, NotFound
from stewardship.runtime import runtime
from stewardship.services import candidates, matches, patients
from stewardship.web.pages import page
from stewardship.web.patient_forms import acting, done, patient, typed, wrong

room = Blueprint("identities", __name__)


@room.get("/patients/<patient_id>/identities")
@requires(Permission.READ_MATCHES)
def listing(patient_id: str) -> Response:
    """Every description that counts as this patient."""
    running, by = runtime(), principal()
    with transaction(running.sessions, late=True) as session:
        who, _ = patients.known(session, patient_id, by=by)
        person = matches.person_of(session, patient_id, by=by)
        patients.note_read(session, patient_id, what="identities", by=by, now=running.clock())
    return page("identities.html", who=who, told=matches.person_json(person))


@room.get("/patients/<patient_id>/identities/<identity_id>")
@requires(Permission.READ_MATCHES)
def show(patient_id: str, identity_id: str) -> Response:
    """One description: by which rule or person it came here, and what was said about it."""
    return _page(patient_id, identity_id, {}, {})


@room.post("/patients/<patient_id>/identities/<identity_id>")
@requires(Permission.SETTLE_MATCHES)
def part(patient_id: str, identity_id: str) -> Response | WSGIResponse:
    """It is somebody else: the description gets a patient of its own, with what was dispensed under it."""
    patient(patient_id)
    said = typed("reason")

    def act(session: Session) -> str:
        if not said["reason"]:
            raise wrong("/reason", "required", "Say why; it stays on record.")
        # What is undone has to be what the page showed, and not what became of the description since.
        if matches.description(session, identity_id, by=principal()).patient_id != patient_id:
            raise Conflict("this description is no longer this patient's", code="moved")
        terms = runtime().library.feeds
        candidates.part(session, identity_id, reason=said["reason"], terms=terms, **acting())
        return "They are parted: each has what was dispensed to it."

    return done(
        act,
        lambda faults: _page(patient_id, identity_id, said, faults),
        to=url_for("identities.listing", patient_id=patient_id),
    )


def _page(patient_id: str, identity_id: str, said: dict[str, str], faults: dict[str, str]) -> Response:
    running, by = runtime(), principal()
    with transaction(running.sessions, late=True) as session:
        who, _ = patients.known(session, patient_id, by=by)
        described = matches.description(session, identity_id, by=by)
        if described.patient_id != patient_id and not faults:
            raise NotFound("there is no such description of this patient")
        links = candidates.history(session, identity_id, by=by)
        before = candidates.settlements(session, identity_id, by=by)
        whose = described.patient_id or patient_id
        patients.note_read(session, whose, what="identities", by=by, now=running.clock())
    return page(
        "identity.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK,
        who=who,
        here=described.patient_id == patient_id,
        **matches.identity_json(described, links, before),
        typed=said,
        faults=faults,
    )
