"""How the patient does: answers to an instrument recorded, goals set and closed, reviews completed."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, flash, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import Fault, InvalidInput, NotFound
from stewardship.domain.instruments import Instrument
from stewardship.domain.measurements import Reporter
from stewardship.runtime import runtime
from stewardship.services import calendars, goals, measurements, reassessments
from stewardship.services.patients import Found
from stewardship.web.pages import page
from stewardship.web.patient_forms import chart_of, day, done, form_page, library, patient
from stewardship.web.patient_forms import typed as typed_in
from stewardship.web.questions import answers, question

room = Blueprint("function_pages", __name__)

#: Measurements that can be looked at in a review: as many as a person reads through.
_RECENT = 12


# --- measuring -----------------------------------------------------------------------------------


@room.get("/patients/<patient_id>/measurements/<instrument_id>")
@requires(Permission.RECORD_FUNCTION)
def measure(patient_id: str, instrument_id: str) -> Response:
    """The questions of an instrument."""
    who, _ = patient(patient_id, "measurement")
    instrument = _instrument(instrument_id)
    return _questions(who, instrument, [question(item, instrument) for item in instrument.items])


@room.post("/patients/<patient_id>/measurements/<instrument_id>")
@requires(Permission.RECORD_FUNCTION)
def record(patient_id: str, instrument_id: str) -> Response | WSGIResponse:
    """Keep the answers, and say what they score."""
    who, known_as = patient(patient_id)
    instrument = _instrument(instrument_id)
    asked = [question(item, instrument, request.form.get(item.id, "")) for item in instrument.items]
    given = answers(asked)
    if any(q.wrong for q in asked) or not given:
        return _questions(who, instrument, asked, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    running, by = runtime(), principal()
    with transaction(running.sessions) as session:
        kept = measurements.record(
            session,
            library(),
            known_as,
            instrument.id,
            given,
            taken_at=running.clock(),
            source=Reporter.CLINICIAN,
            by=by,
            now=running.clock(),
        )
    score = kept.score.value if kept.score is not None else None
    said = f"score {score}" if score is not None else "without a score: too few answers"
    flash(f"{instrument.title} is on record, {said}.", "success")
    return redirect(chart_of(patient_id), HTTPStatus.SEE_OTHER)


def _questions(
    who: Found, instrument: Instrument, asked: Any, *, status: HTTPStatus = HTTPStatus.OK
) -> Response:
    return page(
        "measure.html",
        status=status,
        who=who,
        instrument=instrument,
        questions=asked,
        others=[one for one in library().instruments.values() if one.satisfies_review],
        nothing=status is not HTTPStatus.OK and not any(q.wrong for q in asked),
    )


# --- goals ---------------------------------------------------------------------------------------


@room.get("/patients/<patient_id>/goals/new")
@requires(Permission.WORK_ON_FUNCTION)
def goal_form(patient_id: str) -> Response:
    """An empty goal."""
    who, _ = patient(patient_id, "goals")
    return form_page("goal.html", who, {}, {}, goal=None)


@room.post("/patients/<patient_id>/goals/new")
@requires(Permission.WORK_ON_FUNCTION)
def set_goal(patient_id: str) -> Response | WSGIResponse:
    """Set a goal: what the patient wants to do again, from where, to where, by when."""
    who, known_as = patient(patient_id)
    typed = typed_in("activity", "baseline", "target", "due_on")

    def act(session: Session) -> str:
        goals.set_goal(
            session,
            library(),
            known_as,
            activity=typed["activity"],
            baseline=typed["baseline"],
            target=typed["target"],
            due_on=day(typed["due_on"], "/due_on"),
            by=principal(),
            now=runtime().clock(),
        )
        return "The goal is set."

    def again(faults: dict[str, str]) -> Response:
        return form_page("goal.html", who, typed, faults, goal=None)

    return done(act, again, to=chart_of(patient_id))


@room.get("/patients/<patient_id>/goals/<goal_id>")
@requires(Permission.WORK_ON_FUNCTION)
def goal(patient_id: str, goal_id: str) -> Response:
    """A goal with its history, and how it may be closed."""
    who, known_as = patient(patient_id, "goals")
    return form_page("goal.html", who, {}, {}, goal=_goal(goal_id, known_as))


@room.post("/patients/<patient_id>/goals/<goal_id>/<act>")
@requires(Permission.WORK_ON_FUNCTION)
def close_goal(patient_id: str, goal_id: str, act: str) -> Response | WSGIResponse:
    """The goal is reached, or given up with a reason."""
    who, known_as = patient(patient_id)
    held = _goal(goal_id, known_as)
    if act not in {"reached", "given-up"}:
        raise NotFound("a goal is reached or given up")
    typed = typed_in("reason", "version")
    version = int(typed["version"]) if typed["version"].isascii() and typed["version"].isdigit() else 0
    stated: dict[str, Any] = {"version": version, "by": principal(), "now": runtime().clock()}

    def do(session: Session) -> str:
        if act == "reached":
            goals.reach(session, library(), goal_id, reason=typed["reason"], **stated)
            return "The goal is reached."
        goals.give_up(session, library(), goal_id, reason=typed["reason"], **stated)
        return "The goal is given up, with your reason on record."

    def again(faults: dict[str, str]) -> Response:
        return form_page("goal.html", who, typed, faults, goal=held)

    return done(do, again, to=chart_of(patient_id))


# --- reviews -------------------------------------------------------------------------------------


@room.get("/patients/<patient_id>/reviews/<review_id>")
@requires(Permission.WORK_ON_FUNCTION)
def review(patient_id: str, review_id: str) -> Response:
    """A review, with the measurements that it can rest on."""
    return _review_page(patient_id, review_id, {}, {})


@room.post("/patients/<patient_id>/reviews/<review_id>")
@requires(Permission.WORK_ON_FUNCTION)
def close_review(patient_id: str, review_id: str) -> Response | WSGIResponse:
    """Complete a review on measurements, or cancel it with a reason."""
    _, known_as = patient(patient_id)
    typed = typed_in("on", "note", "reason", "do")
    looked_at = request.form.getlist("measurement")[:_RECENT]
    stated: dict[str, Any] = {"by": principal(), "now": runtime().clock()}

    def act(session: Session) -> str:
        held = reassessments.read(session, review_id, by=principal())
        if held.patient_id != known_as:
            raise NotFound("there is no such review")
        if typed["do"] == "cancel":
            if not typed["reason"]:
                fault = Fault("/reason", "required", "Say why the review is not needed.")
                raise InvalidInput("a review is cancelled with a reason", faults=(fault,))
            reassessments.cancel(session, library(), review_id, reason=typed["reason"], **stated)
            return "The review is cancelled; the clock runs on from today."
        on = day(typed["on"], "/on")
        if on is None:
            fault = Fault("/on", "required", "Give the day of the review.")
            raise InvalidInput("a review has a day", faults=(fault,))
        reassessments.complete(
            session, library(), review_id, measurements=looked_at, note=typed["note"], on=on, **stated
        )
        return "The review is done; the next one is planned."

    return done(
        act,
        lambda faults: _review_page(patient_id, review_id, typed, faults),
        to=chart_of(patient_id),
    )


def _review_page(patient_id: str, review_id: str, typed: dict[str, str], faults: dict[str, str]) -> Response:
    who, known_as = patient(patient_id, "" if faults else "review")
    running, by, now = runtime(), principal(), runtime().clock()
    with transaction(running.sessions, write=False) as session:
        held = reassessments.read(session, review_id, by=by)
        if held.patient_id != known_as:
            raise NotFound("there is no such review")
        taken = measurements.of_patient(session, library(), known_as, by=by)
        today = calendars.today(session, library(), by.organisation_id, now=now)
    found = [m for m in reversed(taken) if not m.in_error and m.taken_on > held.review.since][:_RECENT]
    return form_page(
        "review.html",
        who,
        typed,
        faults,
        held=held,
        measured=found,
        titles={one.id: one.title for one in library().instruments.values()},
        today=today,
        chosen=request.form.getlist("measurement"),
    )


# --- what they are about ---------------------------------------------------------------------------


def _goal(goal_id: str, known_as: str) -> goals.GoalRecord:
    with transaction(runtime().sessions, write=False) as session:
        held = goals.read(session, goal_id, by=principal())
    if held.patient_id != known_as:
        raise NotFound("there is no such goal")
    return held


def _instrument(instrument_id: str) -> Instrument:
    found = library().instruments.get(instrument_id)
    if found is None:
        raise NotFound("there is no such instrument")
    return found
