"""What else could help this patient: a ladder with every reason, what is missing, and what was offered."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, flash, redirect, request, url_for
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain import alternatives_told, triggers
from stewardship.domain.benefit import Reply
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.runtime import runtime
from stewardship.services import care, patients
from stewardship.web.pages import page

room = Blueprint("alternative_pages", __name__)

_LONGEST_NOTE = 2_000
_REPLIES = {
    Reply.ACCEPTED: "The patient wants it",
    Reply.DECLINED: "The patient does not want it",
    Reply.OFFERED: "Put to the patient, no answer yet",
}


@room.get("/patients/<patient_id>/alternatives")
@requires(Permission.READ_CARE)
def ladder(patient_id: str) -> Response:
    """Every option that fits, from the least to the most invasive, and why not the others."""
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    with transaction(running.sessions, late=True) as session:
        who, known_as = patients.known(session, patient_id, by=by)
        advice = care.advise(session, library, known_as, by=by, now=now)
        offered = sorted(care.offers(session, patient_id, by=by), key=lambda o: o.on)
        patients.note_read(session, patient_id, what="alternatives", by=by, now=now)
    found = advice.recommendation
    told = alternatives_told.told(found)
    options = {option["treatment"]: option for option in told["offered"]}
    return page(
        "alternatives.html",
        who=who,
        told=told,
        rungs=[(rung, [options[o.treatment.id] for o in rung.options]) for rung in found.ladder],
        triggers=triggers.told(advice.pulled, library.triggers),
        resting={r.treatment: r for r in advice.benefits.resting},
        offered={one.treatment: one for one in offered},
        assessed_on=advice.assessed_on,
        titles={t.id: t.title for t in library.alternatives.treatments.values()},
        replies=_REPLIES,
    )


@room.post("/patients/<patient_id>/alternatives/offers")
@requires(Permission.RECORD_CARE)
def offer(patient_id: str) -> WSGIResponse:
    """Keep that an option was put to the patient, and the reply."""
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    reply = request.form.get("reply", "")
    if reply not in set(Reply):
        fault = Fault("/reply", "not-a-choice", "Say what the patient answered.")
        raise InvalidInput("an offer has a reply", faults=(fault,))
    with transaction(running.sessions) as session:
        _, known_as = patients.known(session, patient_id, by=by)
        care.offer(
            session,
            library,
            known_as,
            request.form.get("treatment", ""),
            reply=Reply(reply),
            on=now.date(),
            note=request.form.get("note", "")[:_LONGEST_NOTE],
            by=by,
            now=now,
        )
    flash("That it was put to the patient is on record.", "success")
    return redirect(url_for("alternative_pages.ladder", patient_id=patient_id), HTTPStatus.SEE_OTHER)
