"""A decision for the patient, on paper: what was checked, what it means, what to do, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.declarations.explanations import Explanations, Meaning
from stewardship.domain.directions import directions
from stewardship.domain.errors import NotFound
from stewardship.domain.policy import Disposition
from stewardship.domain.problems import NOT_CHECKED
from stewardship.runtime import runtime
from stewardship.services import care, decisions, patients
from stewardship.web.pages import page

room = Blueprint("explaining", __name__)

#: As many other ways as fit on the page and can be talked about in one visit.
_MOST_OFFERED = 6


@room.get("/patients/<patient_id>/explanation/<decision_id>")
@requires(Permission.READ_DECISIONS)
def explanation(patient_id: str, decision_id: str) -> Response:
    """The page to print and to go through together."""
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    with transaction(running.sessions, late=True) as session:
        who, known_as = patients.known(session, patient_id, by=by)
        stored = decisions.read(session, decision_id, by=by)
        made = patients.made_on(session, decision_id, by=by)
        if made.patient_id != patient_id:
            raise NotFound("there is no such decision of this patient")
        advice = care.advise(session, library, known_as, by=by, now=now)
        patients.note_read(session, patient_id, what="explanation", by=by, now=now)
    told = decisions.stored_json(stored)
    words = library.explanations
    return page(
        "explanation.html",
        who=who,
        order=made.order,
        reads=directions(made.order.dosage) if made.order is not None else "",
        decided=stored.as_of,
        decision_id=decision_id,
        standing=words.standing[Disposition(told["effective"])],
        meanings=_meanings(told, words),
        others=[option.treatment.title for option in advice.recommendation.offered][:_MOST_OFFERED],
        words=words,
        opioid=made.order is not None and (made.order.drug is None or bool(made.order.drug.opioids)),
    )


def _meanings(told: Mapping[str, Any], words: Explanations) -> list[Meaning]:
    """What each problem means, each once and in the order of the problems. A topic without words of its own
    is told as something to talk about: it is never left out."""
    found = [
        words.not_checked
        if one["topic"] == NOT_CHECKED
        else words.topics.get(one["topic"], words.not_checked)
        for one in told["problems"]
    ]
    return list(dict.fromkeys(found))
