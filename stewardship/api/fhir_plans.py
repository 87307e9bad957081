"""Plans for pain as FHIR R4, out and in: a Bundle of CarePlan, Goal and ServiceRequest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from hashlib import sha256
from http import HTTPStatus
from re import compile as pattern
from typing import Any

from flask import Response

from stewardship.api.exchange import Room, answer, writing
from stewardship.api.plan_schemas import PlanPatientRequest, PlansAnswer
from stewardship.api.plans import note_reading, plan_json
from stewardship.auth import Permission, principal, requires
from stewardship.bodies import json_body
from stewardship.domain.alternatives import Alternatives
from stewardship.domain.codes import Coding
from stewardship.domain.goals import FunctionGoal
from stewardship.domain.pain_plan import Contact, PainPlan
from stewardship.domain.plan_referrals import Referral
from stewardship.domain.plan_steps import Outcome, Step
from stewardship.intake.fhir_r4 import plan_words
from stewardship.intake.fhir_r4.plans import read_plans
from stewardship.intake.strict_json import dumps
from stewardship.runtime import runtime
from stewardship.services import plans

room = Room("fhir-plans", __name__, description="Plans for pain as FHIR R4.")

_FHIR = "application/fhir+json"
_FHIR_ID = pattern(r"[A-Za-z0-9\-.]{1,64}\Z")
Json = dict[str, Any]


@room.route("/plans/fhir/search", methods=["POST"])
@requires(Permission.READ_PLANS)
@room.arguments(PlanPatientRequest)
@room.response(HTTPStatus.OK, content_type=_FHIR)
@room.doc(responses={404: "NOT_FOUND"})
def plans_as_fhir(said: Mapping[str, Any]) -> Response:
    """Read a patient's plans as FHIR.

    A Bundle of type collection: a CarePlan for each plan, its Goals, its referrals as ServiceRequests. That
    somebody looked is on record.
    """
    running = runtime()
    by, now = principal(), running.clock()
    with writing() as session:
        library = running.library_of(by.organisation_id)
        found = plans.of_patient(session, library, said["patient"], by=by, now=now)
        note_reading(session, said["patient"], "fhir")
    base = f"{running.settings.public_url or plan_words.BASE}/fhir"
    told = [(read.plan, [r.referral for r in read.referrals]) for read in found]
    body = dumps(bundle(told, running.library.alternatives, base=base))
    return Response(body, content_type=_FHIR)


@room.route("/plans/fhir", methods=["POST"])
@requires(Permission.WORK_ON_PLANS)
@room.response(HTTPStatus.OK, PlansAnswer)
@room.doc(
    responses={400: "BAD_REQUEST", 404: "NOT_FOUND", 409: "CONFLICT", 422: "UNPROCESSABLE_ENTITY"},
    requestBody={"required": True, "content": {_FHIR: {"schema": {"type": "object"}}}},
)
def take_in_fhir() -> Response:
    """Take in plans as FHIR.

    A Bundle of CarePlans, Goals and ServiceRequests of one patient on record. Taken in again it changes
    nothing; a plan that is known under its id is changed by acts, and not by another document.
    """
    running = runtime()
    settings = running.settings
    document = json_body(max_bytes=settings.order_bytes, max_keys=settings.order_keys)
    by, now = principal(), running.clock()
    library = running.library_of(by.organisation_id)
    brought = read_plans(document, alternatives=library.alternatives, terms=library.plans)
    with writing() as session:
        made = [
            plans.take_in(session, library, one.plan, one.referrals, by=by, now=now) for one in brought.plans
        ]
        found = [plans.read(session, library, plan_id, by=by, now=now) for plan_id in made]
    return answer({"plans": [plan_json(read) for read in found]})


# --- the writer ---------------------------------------------------------------------------------------


def bundle(told: Iterable[tuple[PainPlan, Iterable[Referral]]], declared: Alternatives, *, base: str) -> Json:
    """A Bundle of all plans of a patient with what belongs to them; no element is empty."""
    entries: list[Json] = []
    for plan, referrals in told:
        goals = [_goal(plan, goal, number) for number, goal in enumerate(plan.goals, 1)]
        requests = [_service_request(referral) for referral in referrals]
        resources = [_care_plan(plan, declared, goals, requests), *goals, *requests]
        entries += [{"fullUrl": f"{base}/{r['resourceType']}/{r['id']}", "resource": r} for r in resources]
    made: Json = {"resourceType": "Bundle", "type": "collection"}
    return made | {"entry": entries} if entries else made


def _care_plan(plan: PainPlan, declared: Alternatives, goals: list[Json], requests: list[Json]) -> Json:
    conditions = [
        {
            "resourceType": "Condition",
            "id": f"condition-{number}",
            "subject": _subject(plan.patient_id),
            "code": {"coding": [_coding(coding)]},
        }
        for number, coding in enumerate(plan.codings, 1)
    ]
    by_referral = [{"reference": {"reference": f"ServiceRequest/{r['id']}"}} for r in requests]
    by_step = [_activity(step, declared) for step in plan.steps]
    return _whole(
        {
            "resourceType": "CarePlan",
            "id": fhir_id(plan.id),
            "identifier": [{"system": plan_words.IDENTIFIERS, "value": plan.id}],
            "contained": conditions,
            "extension": [
                _extension(plan_words.PLAN, {"owner": plan.owner, "chronic": plan.chronic}),
                *(_contact(contact) for contact in plan.contacts),
            ],
            "status": plan_words.PLAN_STATUS[plan.status],
            "intent": "plan",
            "category": [
                {"coding": [{"system": plan_words.SYSTEMS["snomed-ct"], "code": "408957008",
                             "display": "Chronic pain control management"}]}
            ] if plan.chronic else [],
            "subject": _subject(plan.patient_id),
            "period": {"start": _day(plan.started_on), "end": _day(plan.ended_on)},
            "addresses": [{"reference": f"#{condition['id']}"} for condition in conditions],
            "goal": [{"reference": f"Goal/{goal['id']}"} for goal in goals],
            "activity": [*by_step, *by_referral],
            "note": [{"text": plan.note}] if plan.note else [],
        }
    )  # fmt: skip


def _activity(step: Step, declared: Alternatives) -> Json:
    treatment = declared.treatments[step.treatment]
    own = {"system": plan_words.TREATMENTS, "code": treatment.id, "display": treatment.title}
    told = {
        "id": step.id,
        "discipline": step.discipline,
        "planned_on": step.planned_on,
        "review_on": step.review_on,
        "after": step.after,
        "basis": " ".join(step.basis),
        "skipped": step.skipped,
        "visits": step.visits,
        "target": step.target,
        "note": step.note,
    }
    outcomes = [o.response.value for o in step.outcomes]
    return _whole(
        {
            "extension": [_extension(plan_words.STEP, told), *(_response(o) for o in step.outcomes)],
            "outcomeCodeableConcept": [
                {"coding": [{"system": plan_words.RESPONSES, "code": code}]} for code in outcomes[-1:]
            ],
            "progress": [{"time": _day(o.on), "text": o.note} for o in step.outcomes if o.note],
            "detail": {
                "code": {"coding": [*(_coding(c) for c in treatment.codes), own], "text": treatment.title},
                "status": plan_words.STEP_STATUS[step.status],
                "scheduledPeriod": {"start": _day(step.started_on), "end": _day(step.ended_on)},
                "description": step.note,
            },
        }
    )


def _response(outcome: Outcome) -> Json:
    told = {
        "on": outcome.on,
        "response": outcome.response.value,
        "computed": outcome.computed.value if outcome.computed else "",
        "relief_percent": outcome.relief_percent,
        "lasted_hours": outcome.lasted_hours,
        "function": outcome.function.value if outcome.function else "",
        "target": outcome.target,
        "anaesthetic": outcome.anaesthetic,
        "attended": outcome.attended,
        "note": outcome.note,
    }
    return _extension(plan_words.RESPONSE, told)


def _contact(contact: Contact) -> Json:
    told = {
        "discipline": contact.discipline,
        "who": contact.who,
        "does": contact.does,
        "last_contact_on": contact.last_contact_on,
        "reported_on": contact.reported_on,
    }
    return _extension(plan_words.CONTACT, told)


def _goal(plan: PainPlan, goal: FunctionGoal, number: int) -> Json:
    return _whole(
        {
            "resourceType": "Goal",
            "id": fhir_id(f"{plan.id}-goal-{number}"),
            "extension": [_extension(plan_words.GOAL, {"baseline": goal.baseline})],
            "lifecycleStatus": "active" if plan.status.value == "active" else "completed",
            "description": {"text": goal.activity},
            "subject": _subject(plan.patient_id),
            "target": [{"detailString": goal.target, "dueDate": _day(goal.due_on)}],
        }
    )


def _service_request(referral: Referral) -> Json:
    told = {"plan": referral.plan_id, "source": referral.source, "urgency": referral.urgency}
    told |= {"step": referral.step, "to": referral.to}
    events = [
        _extension(plan_words.EVENT, {"status": one.status.value, "on": one.on, "note": one.note})
        for one in referral.happened
    ]
    return _whole(
        {
            "resourceType": "ServiceRequest",
            "id": fhir_id(referral.id),
            "identifier": [{"system": plan_words.IDENTIFIERS, "value": referral.id}],
            "extension": [_extension(plan_words.REFERRAL, told), *events],
            "status": plan_words.REFERRAL_STATUS[referral.status],
            "intent": "order",
            "priority": "urgent" if referral.urgency in plan_words.URGENT else "routine",
            "code": {"coding": [{"system": plan_words.DISCIPLINES, "code": referral.discipline}]},
            "subject": _subject(referral.patient_id),
            "authoredOn": _day(referral.happened[0].on),
            "reasonCode": [{"text": referral.reason}],
        }
    )


def fhir_id(own: str) -> str:
    """The id itself where FHIR allows it, else one that is made of it."""
    return own if _FHIR_ID.match(own) else sha256(own.encode()).hexdigest()


def _subject(patient_id: str) -> Json:
    return {"reference": f"Patient/{patient_id}"}


def _coding(coding: Coding) -> Json:
    return _whole(
        {
            "system": plan_words.SYSTEMS.get(coding.system, coding.system),
            "code": coding.code,
            "display": coding.display,
        }
    )


def _extension(url: str, values: Mapping[str, Any]) -> Json:
    """Named values, each with its type; what is not known is left out."""
    known = {name: value for name, value in values.items() if value is not None and value != ""}
    return {"url": url, "extension": [{"url": name, **_value(value)} for name, value in known.items()]}


def _value(value: Any) -> Json:
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, int):
        return {"valueInteger": value}
    if isinstance(value, Decimal):
        return {"valueDecimal": value}
    if isinstance(value, date):
        return {"valueDate": value.isoformat()}
    return {"valueString": value}


def _whole(resource: Mapping[str, Any]) -> Json:
    """Without what is empty, at every level: FHIR has no empty elements."""
    made: Json = {}
    for name, value in resource.items():
        kept = _whole(value) if isinstance(value, Mapping) else value
        if isinstance(kept, list):
            kept = [part for part in kept if not _hollow(part)]
        if kept is not None and kept not in ("", [], {}):
            made[name] = kept
    return made


def _hollow(part: Any) -> bool:
    """An extension that says nothing."""
    return isinstance(part, Mapping) and set(part) == {"url", "extension"} and not part["extension"]


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
