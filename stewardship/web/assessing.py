"""The pain, as somebody looked at it on a day: what was found, and what was tried before.

Only what was looked at is kept; what is left open stays unknown. What was said before stands beside each
question with its day, and the newest word about each counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.suitability import Response as Effect
from stewardship.domain.triggers import Change, Limit
from stewardship.runtime import runtime
from stewardship.services import care
from stewardship.services.care import Assessed, TriedBefore
from stewardship.web.pages import page
from stewardship.web.patient_forms import (
    acting,
    chart_of,
    day,
    done,
    library,
    needed_day,
    one_of,
    patient,
    typed,
    wrong,
    yes_or_no,
)
from stewardship.web.patient_forms import today as organisations_day

room = Blueprint("assessing", __name__)

#: The questions that are answered with yes or no, in the order of a conversation.
QUESTIONS: Mapping[str, str] = {
    "conservative": "Care without needles was tried",
    "active_rehab": "Exercise or physical therapy is part of care now",
    "prevents_exercise": "The pain keeps the patient from exercising",
    "adequate_relief": "The relief is enough",
    "imaging_agrees": "History and examination fit what the image shows",
    "neurological_deficit": "There is a neurological deficit",
    "low_mood_or_fear": "Low mood, or fear of moving",
    "wants_to_reduce": "The patient wants to take less of the opioid",
    "surgical_candidate": "Surgery is an option",
    "declines_surgery": "The patient does not want surgery",
    "residual_after_surgery": "Pain in the operated region of the spine is left",
}
LIMITS = {
    Limit.WORK: "work",
    Limit.SLEEP: "sleep",
    Limit.DAILY_ACTIVITY: "daily activities",
}
CHANGES = {Change.BETTER: "better", Change.SAME: "the same", Change.WORSE: "worse"}
EFFECTS = {
    Effect.MEANINGFUL: "helped",
    Effect.PARTIAL: "helped in part",
    Effect.NONE: "did not help",
    Effect.HARM: "did harm",
    Effect.DECLINED: "the patient did not want it",
}
#: Things that were tried which one form takes; the next form takes the next ones.
_ROWS = 3
_MOST_ALLERGIES = 50
_FIELDS = ("on", "onset_on", "change", "limits_none", "surgery_on", "allergies", "allergies_none", *QUESTIONS)
_TRIED = tuple(f"tried-{n}-{part}" for n in range(_ROWS) for part in ("what", "response", "on", "note"))
_PLACES = {
    f"/tried/{n}/{part}": f"tried-{n}-{part}" for n in range(_ROWS) for part in ("what", "response", "on")
}


@room.get("/patients/<patient_id>/assessment")
@requires(Permission.RECORD_CARE)
def form(patient_id: str) -> Response:
    """The questions, each with what was said before."""
    return _page(patient_id, {}, {})


@room.post("/patients/<patient_id>/assessment")
@requires(Permission.RECORD_CARE)
def assess(patient_id: str) -> Response | WSGIResponse:
    """Keep what was found."""
    _, known_as = patient(patient_id)
    said = typed(*_FIELDS, *_TRIED)

    def act(session: Session) -> str:
        stated = _stated(said)
        on = needed_day(said["on"], "/on")
        care.assess(session, library(), known_as, Assessed(**stated), on=on, **acting())
        return "The assessment is on record; what else could help is told by it."

    return done(act, lambda faults: _page(patient_id, said, faults), to=chart_of(patient_id), places=_PLACES)


def _stated(said: Mapping[str, str]) -> dict[str, Any]:
    """What was looked at. Raises ``InvalidInput`` when that is nothing."""
    stated: dict[str, Any] = {name: yes_or_no(said[name]) for name in QUESTIONS}
    stated |= {name: day(said[name], f"/{name}") for name in ("onset_on", "surgery_on")}
    if said["change"]:
        stated["change"] = one_of(said["change"], Change, "/change", "Say better, the same or worse.")
    limits = [one for one in Limit if one.value in request.form.getlist("limits")]
    if limits or said["limits_none"]:
        stated["limits"] = tuple(limits)
    names = [name.strip() for name in said["allergies"].replace("\n", ",").split(",") if name.strip()]
    if len(names) > _MOST_ALLERGIES:
        raise wrong("/allergies", "too-many", f"At most {_MOST_ALLERGIES}.")
    if names or said["allergies_none"]:
        stated["allergies"] = tuple(names)
    rows = [one for n in range(_ROWS) if (one := _tried(said, n)) is not None]
    if rows:
        stated["tried"] = tuple(rows)
    stated = {name: value for name, value in stated.items() if value is not None}
    if not stated:
        raise wrong("/form", "required", "Nothing is filled in: answer what you looked at.")
    return stated


def _tried(said: Mapping[str, str], n: int) -> TriedBefore | None:
    """One row of what was tried, if it says anything."""
    what, response, on, note = (said[f"tried-{n}-{part}"] for part in ("what", "response", "on", "note"))
    if not any((what, response, on, note)):
        return None
    if not what:
        raise wrong(f"/tried/{n}/what", "required", "Say what was tried.")
    effect = one_of(response, Effect, f"/tried/{n}/response", "Say what it did.")
    return TriedBefore(what, effect, day(on, f"/tried/{n}/on"), note[:500])


def _page(patient_id: str, said: dict[str, str], faults: dict[str, str]) -> Response:
    who, _ = patient(patient_id, "" if faults else "assessment")
    with transaction(runtime().sessions, write=False) as session:
        before = care.beside(session, library(), patient_id, by=principal()).assessed
        today = organisations_day(session)
    treatments = library().alternatives.treatments.values()
    return page(
        "assessment.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK,
        who=who,
        today=today,
        typed=said,
        faults=faults,
        limits=request.form.getlist("limits"),
        before=_latest(before),
        questions=QUESTIONS,
        limit_words=LIMITS,
        changes=CHANGES,
        effects=EFFECTS,
        rows=range(_ROWS),
        treatments=sorted(((one.id, one.title) for one in treatments), key=lambda pair: pair[1]),
    )


def _latest(assessed: tuple[tuple[date, Assessed], ...]) -> dict[str, tuple[date, Any]]:
    """The last word about each fact, with its day."""
    found: dict[str, tuple[date, Any]] = {}
    for on, one in sorted(assessed, key=lambda pair: pair[0]):
        for name in one.__struct_fields__:
            value = getattr(one, name)
            if value is not None:
                found[name] = (on, value)
    return found
