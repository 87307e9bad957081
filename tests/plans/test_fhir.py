"""Plans as FHIR R4: valid by the rules stated here, the same again after a round, and read from others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from stewardship.api.fhir_plans import bundle
from stewardship.app import create_app
from stewardship.db import Sessions, transaction
from stewardship.domain.errors import InvalidInput, PatientMismatch
from stewardship.domain.goals import FunctionGoal
from stewardship.domain.pain_plan import Contact, PainPlan
from stewardship.domain.people import Role
from stewardship.domain.plan_referrals import Happened, Referral, ReferralStatus
from stewardship.domain.plan_steps import Basis, Function, Outcome, PlanStatus, Step, StepStatus
from stewardship.domain.suitability import Response
from stewardship.intake.fhir_r4.plans import read_plans
from stewardship.intake.strict_json import dumps, loads
from tests.api.conftest import SETTINGS, Caller, a_token, json
from tests.builders import NOW, TODAY
from tests.plans.conftest import BACK_PAIN
from tests.plans.tapering import declared
from tests.services.declared import PRESCRIBER

BEFORE = TODAY - timedelta(60)
STEPS = (
    Step(
        "pt", "physical-therapy", "physical-therapy", StepStatus.ACTIVE, BEFORE, TODAY, BEFORE, visits=12,
        outcomes=(Outcome(BEFORE, Response.PARTIAL, Response.NONE, 5, None, Function.SAME, note="first"),),
    ),
    Step(
        "block 1", "facet-injection", "pain-medicine", StepStatus.COMPLETED, BEFORE, None, BEFORE, TODAY,
        after="pt", basis=(Basis.EXAMINATION, Basis.IMAGING), skipped="too much pain", target="L4/5 right",
        outcomes=(Outcome(TODAY, Response.MEANINGFUL, Response.MEANINGFUL, 80, Decimal("6.5"),
                          Function.BETTER, "L4/5 right", anaesthetic="lidocaine 1 %", attended=1),),
    ),
    Step("no", "cbt", "psychology", StepStatus.DECLINED, BEFORE, ended_on=TODAY, note="not now"),
)  # fmt: skip
PLAN = PainPlan(
    "plan-1", "p-1", (BACK_PAIN,), BEFORE, "primary-care",
    (FunctionGoal("walk to the shop", "ten minutes", "half an hour", TODAY + timedelta(60)),),
    True, STEPS, (Contact("psychology", "psy-1", "coping", BEFORE, None),), note="the patient's own words",
)  # fmt: skip
REFERRAL = Referral(
    "r-1", "plan-1", "p-1", "pain-medicine", "facet pain", "urgent", "primary-care",
    (Happened(ReferralStatus.SENT, BEFORE), Happened(ReferralStatus.SEEN, TODAY, "seen")), "block 1", "doc-1",
)  # fmt: skip


def written(plan: PainPlan = PLAN, *referrals: Referral) -> dict[str, Any]:
    document = bundle([(plan, referrals)], declared().alternatives, base="https://clinic.example/fhir")
    made: dict[str, Any] = loads(dumps(document), max_bytes=1_000_000)
    return made


def read(document: Any) -> Any:
    library = declared()
    return read_plans(document, alternatives=library.alternatives, terms=library.plans)


# --- the rules of FHIR R4 that the writer keeps ---------------------------------------------------------

REQUIRED = {
    "CarePlan": {"status", "intent", "subject"},
    "Goal": {"lifecycleStatus", "description", "subject"},
    "ServiceRequest": {"status", "intent", "subject"},
    "Condition": {"subject"},
}
#: The required bindings of R4: request-status, care-plan-intent, care-plan-activity-status, goal-status,
#: request-intent, request-priority.
REQUEST = {"draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"}
GOAL = "proposed planned accepted active on-hold completed cancelled entered-in-error rejected"
STATES = "not-started scheduled in-progress on-hold completed cancelled stopped unknown entered-in-error"
ACTIVITY = set(STATES.split())
WORDS = {
    ("CarePlan", "status"): REQUEST,
    ("CarePlan", "intent"): {"proposal", "plan", "order", "option"},
    ("Goal", "lifecycleStatus"): set(GOAL.split()),
    ("ServiceRequest", "status"): REQUEST,
    ("ServiceRequest", "intent"): {"proposal", "plan", "directive", "order"},
    ("ServiceRequest", "priority"): {"routine", "urgent", "asap", "stat"},
}


def elements(value: Any) -> Iterator[Any]:
    yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from elements(part)


def resources(document: Any) -> list[dict[str, Any]]:
    return [part for part in elements(document) if isinstance(part, dict) and "resourceType" in part][1:]


@pytest.mark.parametrize("status", list(PlanStatus))
def test_every_resource_has_what_it_must_in_the_words_of_the_standard(status: PlanStatus) -> None:
    for resource in resources(written(replace(PLAN, status=status), REFERRAL)):
        kind = resource["resourceType"]
        assert set(resource) >= REQUIRED[kind]
        assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", resource["id"])
        for (of, element), listed in WORDS.items():
            if of == kind and element in resource:
                assert resource[element] in listed
        for activity in resource.get("activity", ()):
            assert len({"reference", "detail"} & set(activity)) == 1  # cpl-3: one of the two
            assert activity.get("detail", {}).get("status", "unknown") in ACTIVITY


def test_nothing_is_empty_and_every_reference_is_in_the_document() -> None:
    document = written(PLAN, REFERRAL)
    known = {f"{r['resourceType']}/{r['id']}" for r in resources(document)}
    known |= {f"#{r['id']}" for r in resources(document) if r["resourceType"] == "Condition"}
    for part in elements(document):
        assert part not in (None, "", [], {})
        if isinstance(part, dict) and "reference" in part and isinstance(part["reference"], str):
            assert part["reference"] in known or part["reference"] == "Patient/p-1"


def test_an_extension_has_a_value_or_extensions_and_never_both() -> None:
    for part in elements(written(PLAN, REFERRAL)):
        if isinstance(part, dict) and "url" in part and "fullUrl" not in part:
            assert ("extension" in part) != any(name.startswith("value") for name in part)


def test_days_and_addresses_have_their_form() -> None:
    document = written(PLAN, REFERRAL)
    assert all(e["fullUrl"].startswith("https://clinic.example/fhir/") for e in document["entry"])
    for part in elements(document):
        for name in ("dueDate", "authoredOn", "start", "end", "time", "valueDate"):
            if isinstance(part, dict) and name in part:
                assert date.fromisoformat(part[name])


# --- a round ---------------------------------------------------------------------------------------------


def test_a_plan_comes_back_as_it_was() -> None:
    (brought,) = read(written(PLAN, REFERRAL)).plans
    assert brought.plan == PLAN
    assert brought.referrals == (REFERRAL,)


@pytest.mark.parametrize("odd", ["plan 1", "x" * 80, "plan/1", "plan_1"])
def test_an_id_that_fhir_does_not_allow_comes_back_as_well(odd: str) -> None:
    (brought,) = read(written(replace(PLAN, id=odd), replace(REFERRAL, plan_id=odd, id=odd))).plans
    assert (brought.plan.id, brought.referrals[0].id) == (odd, odd)


# --- what others write -----------------------------------------------------------------------------------


def foreign(**more: Any) -> dict[str, Any]:
    """A CarePlan as an EHR without our extensions writes one."""
    subject = {"reference": "Patient/p-1"}
    plan = {
        "resourceType": "CarePlan", "id": "ehr-7", "status": "active", "intent": "plan", "subject": subject,
        "period": {"start": "2026-10-01"}, "addresses": [{"reference": "Condition/c1"}],
        "goal": [{"reference": "Goal/g1"}],
        "activity": [
            {"detail": {"status": "in-progress", "code": {"coding": [
                {"system": "http://snomed.info/sct", "code": "91251008"}]}}},
        ],
    } | more  # fmt: skip
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M54.50"}]}
    goal = {"resourceType": "Goal", "id": "g1", "lifecycleStatus": "active", "subject": subject}
    goal |= {"description": {"text": "garden again"}, "target": [{"dueDate": "2027-01-31"}]}
    condition = {"resourceType": "Condition", "id": "c1", "subject": subject, "code": code}
    return {"resourceType": "Bundle", "type": "collection",
            "entry": [{"resource": r} for r in (plan, goal, condition)]}  # fmt: skip


def test_a_plan_of_another_system_is_read_as_far_as_it_tells() -> None:
    (brought,) = read(foreign()).plans
    plan = brought.plan
    assert (plan.id, plan.codings[0].code, plan.owner) == ("ehr-7", "M54.50", "primary-care")
    assert [(s.treatment, s.status, s.discipline) for s in plan.steps] == [
        ("physical-therapy", StepStatus.ACTIVE, "physical-therapy")
    ]
    assert (plan.goals[0].activity, plan.goals[0].baseline) == ("garden again", "not stated")


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"activity": [{"detail": {"status": "in-progress", "code": {"text": "something"}}}]},
         "/CarePlan[0].activity[0].detail.code"),
        ({"goal": []}, "/CarePlan[0].goal"),
        ({"period": {}}, "/CarePlan[0].period.start"),
        ({"addresses": []}, "/CarePlan[0].addresses"),
        ({"status": "odd"}, "/CarePlan[0].status"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_and_nothing_is_taken_in(more: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(foreign(**more))
    assert place in [f.pointer for f in refused.value.faults]


def test_two_patients_in_one_document_are_refused() -> None:
    with pytest.raises(PatientMismatch):
        read(foreign(subject={"reference": "Patient/p-2"}))


@pytest.mark.parametrize("document", [{}, [], {"resourceType": "Bundle"}, "text", None, 7])
def test_what_holds_no_plan_is_refused(document: Any) -> None:
    with pytest.raises(InvalidInput):
        read(document)


# --- over the API ---------------------------------------------------------------------------------------


@pytest.fixture
def who(clinic: Sessions) -> Callable[[Role], Caller]:
    app: Flask = create_app(SETTINGS, library=declared(), sessions=clinic, clock=lambda: NOW)

    def with_role(role: Role) -> Caller:
        with transaction(clinic) as session:
            return Caller(app, a_token(session, PRESCRIBER.organisation_id, role))

    return with_role


def test_what_was_taken_in_goes_out_and_taking_it_in_again_changes_nothing(
    who: Callable[[Role], Caller],
) -> None:
    ehr = who(Role.EHR)
    for _ in range(2):
        taken = ehr.post("/api/v1/plans/fhir", written(PLAN, REFERRAL))
        assert taken.status_code == 200, taken.get_data(as_text=True)
    (plan,) = json(taken)["plans"]
    # physical therapy was to be looked at today
    assert (plan["version"], len(plan["steps"]), plan["next_step"]["kind"]) == (1, 3, "record")
    out = ehr.post("/api/v1/plans/fhir/search", {"patient": "p-1"})
    assert out.content_type == "application/fhir+json"
    (brought,) = read(loads(out.get_data(), max_bytes=1_000_000)).plans
    assert (brought.plan, brought.referrals) == (PLAN, (REFERRAL,))


def test_another_document_under_a_known_id_is_refused(who: Callable[[Role], Caller]) -> None:
    ehr = who(Role.EHR)
    ehr.post("/api/v1/plans/fhir", written())
    assert ehr.post("/api/v1/plans/fhir", written(replace(PLAN, note="other"))).status_code == 409


def test_a_plan_of_nobody_on_record_is_not_taken_in(who: Callable[[Role], Caller]) -> None:
    assert (
        who(Role.EHR).post("/api/v1/plans/fhir", written(replace(PLAN, patient_id="p-9"))).status_code == 404
    )


def test_who_may_not_work_on_plans_brings_none(who: Callable[[Role], Caller]) -> None:
    assert who(Role.PHARMACIST).post("/api/v1/plans/fhir", written()).status_code == 403
