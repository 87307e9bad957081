"""Plans for pain: started, added to, answered and closed; referrals; what patients want and payers allow.

Each act names the version that somebody looked at: sent again it is the same act, on an older version it is
refused with a 409 that says who was first.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.api.plan_schemas import (
    BeginRequest,
    CloseRequest,
    ContactRequest,
    CoverageRequest,
    EndStepRequest,
    LetterAnswer,
    PlanAnswer,
    PlanGoalRequest,
    PlanPatientRequest,
    PlanRequest,
    PlansAnswer,
    PreferenceRequest,
    ReferralAnswer,
    ReferralEventRequest,
    ReferralRequest,
    ReferralsAnswer,
    ResponseRequest,
    StepRequest,
    WishesAnswer,
)
from stewardship.auth import Permission, principal, requires
from stewardship.domain import bundles, plan_told
from stewardship.domain import letter as letters
from stewardship.domain.care import Coverage, Preference
from stewardship.domain.codes import Coding
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.goals import FunctionGoal, goal
from stewardship.domain.pain_plan import Contact, NewStep
from stewardship.runtime import runtime
from stewardship.services import audit, patient_wishes, plans
from stewardship.services.plans import Answered, NewPlan, NewReferral, PlanRead, ReferralRead

room = Room("plans", __name__, description="Plans for pain, and what each suggests next.")

_STALE = {409: "CONFLICT"}


@room.route("/plans", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(PlanRequest)
@room.response(HTTPStatus.CREATED, PlanAnswer)
@room.doc(responses={404: "NOT_FOUND", **_STALE})
def start_plan(said: Mapping[str, Any]) -> Response:
    """Start a plan.

    For a patient on record: for which condition, and what the patient wants to be able to do.
    """
    asked = NewPlan(
        codings=tuple(Coding(**c) for c in said["conditions"]),
        goals=tuple(_goal(g, f"/goals/{n}") for n, g in enumerate(said["goals"])),
        owner=said["owner"],
        on=said["on"],
        chronic=said["chronic"],
        note=said["note"],
        id=said["id"],
    )
    with writing() as session:
        plan_id = plans.start(session, _library(), said["patient"], asked, **_acting())
        read = plans.read(session, _library(), plan_id, **_acting())
    return answer(plan_json(read), HTTPStatus.CREATED)


@room.route("/plans/search", methods=["POST"])
@requires(Permission.READ_PLANS)
@room.arguments(PlanPatientRequest)
@room.response(HTTPStatus.OK, PlansAnswer)
@room.doc(responses={404: "NOT_FOUND"})
def plans_of_patient(said: Mapping[str, Any]) -> Response:
    """List the plans of a patient.

    Those that are open first, each with its next step. That somebody looked is on record.
    """
    with writing() as session:
        found = plans.of_patient(session, _library(), said["patient"], **_acting())
        note_reading(session, said["patient"], "plans")
    return answer({"plans": [plan_json(read) for read in found]})


@room.route("/plans/<plan_id>")
@requires(Permission.READ_PLANS)
@room.response(HTTPStatus.OK, PlanAnswer)
def read_plan(plan_id: str) -> Response:
    """Read a plan.

    Its steps and what they did, the next step that it suggests, and why.
    """
    with reading() as session:
        found = plans.read(session, _library(), plan_id, **_acting())
    return answer(plan_json(found))


@room.route("/plans/<plan_id>/steps", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(StepRequest)
@room.response(HTTPStatus.OK, PlanAnswer)
@room.doc(responses=_STALE)
def add_step(said: Mapping[str, Any], plan_id: str) -> Response:
    """Add a step.

    What needs a test or a trial first is refused without one, an intervention on imaging alone as well.
    """
    given = {**said, "basis": tuple(said["basis"])}
    version = given.pop("version")
    with writing() as session:
        plans.add_step(session, _library(), plan_id, NewStep(**given), version=version, **_acting())
        return _now(session, plan_id)


@room.route("/plans/<plan_id>/steps/<step_id>/begin", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(BeginRequest)
@room.response(HTTPStatus.OK, PlanAnswer)
@room.doc(responses=_STALE)
def begin_step(said: Mapping[str, Any], plan_id: str, step_id: str) -> Response:
    """Begin a step.

    Its first review is due after the treatment's own interval.
    """
    with writing() as session:
        plans.begin_step(session, _library(), plan_id, step_id, **said, **_acting())
        return _now(session, plan_id)


@room.route("/plans/<plan_id>/steps/<step_id>/respond", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(ResponseRequest)
@room.response(HTTPStatus.OK, PlanAnswer)
@room.doc(responses=_STALE)
def record_response(said: Mapping[str, Any], plan_id: str, step_id: str) -> Response:
    """Record what a step did.

    Its class may be left to relief and function; of a test the target and the duration are needed.
    """
    given = dict(said)
    version = given.pop("version")
    with writing() as session:
        plans.record_response(
            session, _library(), plan_id, step_id, Answered(**given), version=version, **_acting()
        )
        return _now(session, plan_id)


@room.route("/plans/<plan_id>/steps/<step_id>/end", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(EndStepRequest)
@room.response(HTTPStatus.OK, PlanAnswer)
@room.doc(responses=_STALE)
def end_step(said: Mapping[str, Any], plan_id: str, step_id: str) -> Response:
    """End a step.

    Completed, stopped, or declined by the patient.
    """
    with writing() as session:
        plans.end_step(session, plan_id, step_id, **said, **_acting())
        return _now(session, plan_id)


@room.route("/plans/<plan_id>/contacts", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(ContactRequest)
@room.response(HTTPStatus.OK, PlanAnswer)
@room.doc(responses=_STALE)
def coordinate(said: Mapping[str, Any], plan_id: str) -> Response:
    """Say who does what.

    One entry for each person of a discipline: what they do, when there was contact, whether they reported.
    """
    given = dict(said)
    version = given.pop("version")
    with writing() as session:
        plans.coordinate(session, _library(), plan_id, Contact(**given), version=version, **_acting())
        return _now(session, plan_id)


@room.route("/plans/<plan_id>/plan-goals", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(PlanGoalRequest)
@room.response(HTTPStatus.OK, PlanAnswer)
@room.doc(responses=_STALE)
def add_goal(said: Mapping[str, Any], plan_id: str) -> Response:
    """Add a goal to a plan.

    An activity, how it goes now, how it should go, and by when.
    """
    with writing() as session:
        plans.add_goal(session, plan_id, _goal(said, ""), version=said["version"], **_acting())
        return _now(session, plan_id)


@room.route("/plans/<plan_id>/close", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(CloseRequest)
@room.response(HTTPStatus.OK, PlanAnswer)
@room.doc(responses=_STALE)
def close_plan(said: Mapping[str, Any], plan_id: str) -> Response:
    """Close a plan.

    Steps that are open are stopped with it.
    """
    with writing() as session:
        plans.close(session, plan_id, **said, **_acting())
        return _now(session, plan_id)


# --- referrals --------------------------------------------------------------------------------------


@room.route("/plans/<plan_id>/referrals", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(ReferralRequest)
@room.response(HTTPStatus.CREATED, ReferralAnswer)
@room.doc(responses=_STALE)
def refer(said: Mapping[str, Any], plan_id: str) -> Response:
    """Send a referral.

    It stays open until its report is back.
    """
    with writing() as session:
        referral_id = plans.refer(session, _library(), plan_id, NewReferral(**said), **_acting())
        made = plans.read_referral(session, referral_id, by=principal())
    return answer(referral_json(made), HTTPStatus.CREATED)


@room.route("/referrals/<referral_id>")
@requires(Permission.READ_PLANS)
@room.response(HTTPStatus.OK, ReferralAnswer)
def read_referral(referral_id: str) -> Response:
    """Read a referral.

    What happened, what has to happen next, and by when.
    """
    with reading() as session:
        found = plans.read_referral(session, referral_id, by=principal())
    return answer(referral_json(found))


@room.route("/referrals/<referral_id>/events", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(ReferralEventRequest)
@room.response(HTTPStatus.OK, ReferralAnswer)
@room.doc(responses=_STALE)
def note_referral(said: Mapping[str, Any], referral_id: str) -> Response:
    """Note what happened to a referral.

    Accepted, seen, reported, declined or cancelled; nothing goes backwards.
    """
    given = dict(said)
    to = given.pop("status")
    with writing() as session:
        found = plans.note_referral(session, _library(), referral_id, to, **given, **_acting())
    return answer(referral_json(found))


@room.route("/referrals/<referral_id>/letter")
@requires(Permission.READ_PLANS)
@room.response(HTTPStatus.OK, LetterAnswer)
def letter(referral_id: str) -> Response:
    """Write the letter of a referral.

    What was tried and came of it, what tests showed, what the patient wants, and what is not on record.
    """
    with writing() as session:
        found = plans.letter_of(session, _library(), referral_id, **_acting())
        note_reading(session, found.referral.patient_id, "letter")
    return answer(letters.told(found))


@room.route("/overdue-referrals")
@requires(Permission.READ_PLANS)
@room.response(HTTPStatus.OK, ReferralsAnswer)
def overdue_referrals() -> Response:
    """List the referrals that are overdue.

    Those for which something should have happened before today, the longest overdue first.
    """
    with reading() as session:
        found = plans.overdue(session, by=principal(), today=runtime().clock().date())
    return answer({"referrals": [referral_json(one) for one in found]})


# --- what patients want and payers allow ---------------------------------------------------------------


@room.route("/preferences", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(PreferenceRequest)
@room.response(HTTPStatus.OK, WishesAnswer)
@room.doc(responses={404: "NOT_FOUND"})
def prefer(said: Mapping[str, Any]) -> Response:
    """Write down what a patient said of a kind of treatment.

    Declined, wanted, or open again; the newest word counts.
    """
    given = dict(said)
    patient = given.pop("patient")
    with writing() as session:
        patient_wishes.prefer(session, _library(), patient, Preference(**given), **_acting())
        return _wishes(session, patient)


@room.route("/coverage", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.arguments(CoverageRequest)
@room.response(HTTPStatus.OK, WishesAnswer)
@room.doc(responses={404: "NOT_FOUND"})
def cover(said: Mapping[str, Any]) -> Response:
    """Write down what a payer asks for and allows.

    Whether a referral is needed, and how many visits are left, in a discipline.
    """
    given = dict(said)
    patient = given.pop("patient")
    with writing() as session:
        patient_wishes.cover(session, _library(), patient, Coverage(**given), **_acting())
        return _wishes(session, patient)


# --- answers ----------------------------------------------------------------------------------------


def plan_json(read: PlanRead) -> dict[str, Any]:
    """A plan, its next step, and everything around it."""
    told = plan_told.plan_told(read.plan, runtime().library.alternatives, version=read.version)
    return told | {
        "next_step": plan_told.suggestion_told(read.suggestion),
        "whole": plan_told.whole_told(read.whole),
        "warnings": list(read.warnings),
        "bundles": bundles.told(read.bundles),
        "referrals": [referral_json(one) for one in read.referrals],
        "preferences": [plan_told.preference_told(one) for one in read.preferences],
        "coverage": [plan_told.coverage_told(one) for one in read.coverage],
    }


def referral_json(read: ReferralRead) -> dict[str, Any]:
    """A referral as it stands today."""
    today = runtime().clock().date()
    return plan_told.referral_told(read.referral, version=read.version, due_on=read.due_on, today=today)


def note_reading(session: Session, patient_id: str, what: str) -> None:
    """That somebody looked at what is kept of a patient."""
    patient = patient_wishes.known_id(session, patient_id, by=principal())
    audit.record(session, "plans.read", subject=patient, detail={"what": what}, **_acting())


def _now(session: Session, plan_id: str) -> Response:
    return answer(plan_json(plans.read(session, _library(), plan_id, **_acting())))


def _wishes(session: Session, patient_id: str) -> Response:
    patient = patient_wishes.known_id(session, patient_id, by=principal())
    said = patient_wishes.preferences_of(session, patient, by=principal())
    facts = patient_wishes.coverage_of(session, patient, by=principal())
    return answer(
        {
            "preferences": [plan_told.preference_told(one) for one in said],
            "coverage": [plan_told.coverage_told(one) for one in facts],
        }
    )


def _goal(said: Mapping[str, Any], pointer: str) -> FunctionGoal:
    words = {name: said[name] for name in ("activity", "baseline", "target", "due_on")}
    try:
        return goal(**words, terms=runtime().library.goals, today=runtime().clock().date())
    except InvalidInput as wrong:
        faults = tuple(Fault(f"{pointer}{f.pointer}", f.code, f.message) for f in wrong.faults)
        raise InvalidInput(wrong.message, faults=faults) from None


def _library() -> Any:
    running = runtime()
    return running.library_of(principal().organisation_id)


def _acting() -> dict[str, Any]:
    return {"by": principal(), "now": runtime().clock()}
