"""What stands around the steps of a plan, on pages: further goals, who does what, what the patient wants, and
what a payer asks for and allows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from flask import Blueprint, Response, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.care import Coverage, Preference, SaidBy, Stance, latest, newest
from stewardship.domain.goals import goal
from stewardship.domain.pain_plan import Contact
from stewardship.runtime import runtime
from stewardship.services import patient_wishes, plans
from stewardship.web.patient_forms import (
    acting,
    an_id,
    current_day,
    day,
    done,
    form_page,
    library,
    needed_day,
    one_of,
    patient,
    typed,
    version_seen,
    whole,
    wrong,
    yes_or_no,
)
from stewardship.web.plans_shown import address, read_plan, words

room = Blueprint("coordinating", __name__)

STANCES = {
    Stance.WANTED: "wants it",
    Stance.DECLINED: "does not want it",
    Stance.OPEN: "is open to it again",
}
SPEAKERS = {SaidBy.PATIENT: "the patient", SaidBy.REPRESENTATIVE: "who speaks for the patient"}
_GOAL = ("activity", "baseline", "target", "due_on", "version")
_CONTACT = ("discipline", "who", "does", "last_contact_on", "reported_on", "version")
_WISH = ("about", "stance", "said_on", "said_by", "note")
_COVERAGE = ("discipline", "on", "referral_needed", "visits_left", "until", "note")
_MOST_VISITS = 1_000


# --- goals -----------------------------------------------------------------------------------------


@room.get("/patients/<patient_id>/plans/<plan_id>/goals/new")
@requires(Permission.WORK_ON_PLANS)
def new_goal(patient_id: str, plan_id: str) -> Response:
    """An empty goal."""
    return _plan_page("plan_goal.html", patient_id, plan_id, {}, {})


@room.post("/patients/<patient_id>/plans/<plan_id>/goals/new")
@requires(Permission.WORK_ON_PLANS)
def add_goal(patient_id: str, plan_id: str) -> Response | WSGIResponse:
    """Add what else the patient wants to be able to do."""
    held = read_plan(plan_id, patient(patient_id)[1])
    said = typed(*_GOAL)

    def act(session: Session) -> str:
        terms, today = library().goals, runtime().clock().date()
        new = goal(
            activity=said["activity"],
            baseline=said["baseline"],
            target=said["target"],
            due_on=day(said["due_on"], "/due_on"),
            terms=terms,
            today=today,
        )
        plans.add_goal(session, held.plan.id, new, version=version_seen(said), **acting())
        return "The goal is in the plan."

    return done(
        act,
        lambda faults: _plan_page("plan_goal.html", patient_id, plan_id, said, faults),
        to=address(patient_id, plan_id),
    )


# --- who does what -----------------------------------------------------------------------------------


@room.get("/patients/<patient_id>/plans/<plan_id>/contacts/new")
@requires(Permission.WORK_ON_PLANS)
def new_contact(patient_id: str, plan_id: str) -> Response:
    """Who else works on the plan, or what is new of them."""
    return _plan_page("plan_contact.html", patient_id, plan_id, {}, {})


@room.post("/patients/<patient_id>/plans/<plan_id>/contacts/new")
@requires(Permission.WORK_ON_PLANS)
def coordinate(patient_id: str, plan_id: str) -> Response | WSGIResponse:
    """Keep who does what, when there was contact last, and whether a report came back."""
    held = read_plan(plan_id, patient(patient_id)[1])
    said = typed(*_CONTACT)

    def act(session: Session) -> str:
        if not said["who"]:
            raise wrong("/who", "required", "Give the id by which they are known here.")
        contact = Contact(
            discipline=said["discipline"],
            who=an_id(said["who"], "/who"),
            does=said["does"],
            last_contact_on=_past(said["last_contact_on"], "/last_contact_on"),
            reported_on=_past(said["reported_on"], "/reported_on"),
        )
        plans.coordinate(session, library(), held.plan.id, contact, version=version_seen(said), **acting())
        return "Who does what is on record."

    return done(
        act,
        lambda faults: _plan_page("plan_contact.html", patient_id, plan_id, said, faults),
        to=address(patient_id, plan_id),
    )


# --- what the patient wants, and what a payer allows --------------------------------------------------


@room.get("/patients/<patient_id>/wishes")
@requires(Permission.WORK_ON_PLANS)
def wishes(patient_id: str) -> Response:
    """What the patient said of each kind of treatment."""
    return _wishes_page(patient_id, {}, {}, what="wishes")


@room.post("/patients/<patient_id>/wishes")
@requires(Permission.WORK_ON_PLANS)
def prefer(patient_id: str) -> Response | WSGIResponse:
    """Write down what was said of a kind of treatment; the newest word counts."""
    known_as = patient(patient_id)[1]
    said = typed(*_WISH)

    def act(session: Session) -> str:
        word = Preference(
            about=said["about"],
            stance=one_of(said["stance"], STANCES, "/stance", "Say what was said of it."),
            said_on=needed_day(said["said_on"], "/said_on"),
            said_by=one_of(said["said_by"], SPEAKERS, "/said_by", "Say who said it."),
            note=said["note"],
        )
        patient_wishes.prefer(session, library(), known_as, word, **acting())
        return "What was said is on record."

    return done(
        act,
        lambda faults: _wishes_page(patient_id, said, faults),
        to=url_for("coordinating.wishes", patient_id=patient_id),
    )


@room.get("/patients/<patient_id>/coverage")
@requires(Permission.WORK_ON_PLANS)
def coverage(patient_id: str) -> Response:
    """What the payer was found to ask for and to allow."""
    return _coverage_page(patient_id, {}, {}, what="coverage")


@room.post("/patients/<patient_id>/coverage")
@requires(Permission.WORK_ON_PLANS)
def cover(patient_id: str) -> Response | WSGIResponse:
    """Write down what the payer asks for and allows in a discipline."""
    known_as = patient(patient_id)[1]
    said = typed(*_COVERAGE)

    def act(session: Session) -> str:
        facts = Coverage(
            discipline=said["discipline"],
            on=needed_day(said["on"], "/on"),
            referral_needed=yes_or_no(said["referral_needed"]),
            visits_left=whole(said["visits_left"], "/visits_left", most=_MOST_VISITS),
            until=day(said["until"], "/until"),
            note=said["note"],
        )
        patient_wishes.cover(session, library(), known_as, facts, **acting())
        return "What the payer said is on record."

    return done(
        act,
        lambda faults: _coverage_page(patient_id, said, faults),
        to=url_for("coordinating.coverage", patient_id=patient_id),
    )


# --- pages -----------------------------------------------------------------------------------------


def _plan_page(
    template: str, patient_id: str, plan_id: str, said: Mapping[str, str], faults: Mapping[str, str]
) -> Response:
    who, known_as = patient(patient_id)
    held = read_plan(plan_id, known_as)
    return form_page(template, who, said, faults, held=held, today=current_day(), **words())


def _wishes_page(
    patient_id: str, said: Mapping[str, str], faults: Mapping[str, str], *, what: str = ""
) -> Response:
    who, _ = patient(patient_id, what)
    with transaction(runtime().sessions, write=False) as session:
        found = patient_wishes.preferences_of(session, patient_id, by=principal())
    kinds = {one.id: one.title for one in library().plans.preferences.values()}
    return form_page(
        "wishes.html",
        who,
        said,
        faults,
        words=latest(found),
        kinds=kinds,
        stances=STANCES,
        speakers=SPEAKERS,
        today=current_day(),
    )


def _coverage_page(
    patient_id: str, said: Mapping[str, str], faults: Mapping[str, str], *, what: str = ""
) -> Response:
    who, _ = patient(patient_id, what)
    with transaction(runtime().sessions, write=False) as session:
        found = patient_wishes.coverage_of(session, patient_id, by=principal())
    return form_page(
        "coverage.html", who, said, faults, facts=newest(found), today=current_day(), gives=words()["gives"]
    )


def _past(text: str, pointer: str) -> date | None:
    """A day up to today, if one was given."""
    found = day(text, pointer)
    if found is not None and found > runtime().clock().date():
        raise wrong(pointer, "in-the-future", "Name a day up to today.")
    return found
