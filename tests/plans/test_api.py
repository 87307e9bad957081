"""Plans, referrals, tapers and the registry over the API, from a first visit to the pharmacist's question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from stewardship.app import create_app
from stewardship.db import Sessions, transaction
from stewardship.domain.people import Role
from stewardship.services import history
from tests.api.conftest import ELSEWHERE, HERE, SETTINGS, Caller, a_token, json
from tests.builders import NOW
from tests.plans.conftest import a_history
from tests.plans.tapering import OXYCODONE_5, declared
from tests.services.declared import ELSEWHERE as OTHER
from tests.services.declared import PRESCRIBER

OF = {HERE: PRESCRIBER.organisation_id, ELSEWHERE: OTHER.organisation_id}
GOAL = {
    "activity": "walk to the shop",
    "baseline": "ten minutes",
    "target": "half an hour",
    "due_on": "2027-02-01",
}
PLAN = {"patient": "p-1", "conditions": [{"code": "M47.816"}], "goals": [GOAL], "owner": "primary-care"}
PLAN |= {"on": "2026-11-21"}


@pytest.fixture
def app(clinic: Sessions) -> Flask:
    return create_app(SETTINGS, library=declared(), sessions=clinic, clock=lambda: NOW)


@pytest.fixture
def who(app: Flask, clinic: Sessions) -> Callable[..., Caller]:
    def with_role(role: Role, organisation: str = HERE) -> Caller:
        with transaction(clinic) as session:
            return Caller(app, a_token(session, OF[organisation], role))

    return with_role


@pytest.fixture
def prescriber(who: Callable[..., Caller]) -> Caller:
    return who(Role.PRESCRIBER)


def made(response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.get_data(as_text=True)
    return json(response)


def test_from_a_plan_to_a_referral_that_comes_back(prescriber: Caller, who: Callable[..., Caller]) -> None:
    plan = made(prescriber.post("/api/v1/plans", PLAN), 201)
    assert (plan["next_step"]["kind"], plan["whole"]["opioid_only"]) == ("add", True)
    where = f"/api/v1/plans/{plan['id']}"
    step = {"id": "pt", "treatment": "physical-therapy", "on": "2026-11-21", "version": 1, "visits": 8}
    plan = made(prescriber.post(f"{where}/steps", step))
    plan = made(prescriber.post(f"{where}/steps/pt/begin", {"on": "2026-11-21", "version": 2}))
    assert plan["review_on"] == "2026-12-19"
    said = {"on": "2026-11-21", "version": 3, "relief_percent": 40, "function": "better"}
    plan = made(prescriber.post(f"{where}/steps/pt/respond", said))
    assert plan["steps"][0]["responses"][0]["response"] == "meaningful"
    letter = {"discipline": "pain-medicine", "reason": "facet pain", "urgency": "urgent", "on": "2026-11-10"}
    sent = made(prescriber.post(f"{where}/referrals", letter | {"source": "primary-care"}), 201)
    assert (sent["waits"], sent["due_on"], sent["overdue"]) == ("to be accepted", "2026-11-11", True)
    late = made(who(Role.PHARMACIST).get("/api/v1/overdue-referrals"))["referrals"]
    assert [one["id"] for one in late] == [sent["id"]]
    event = {"status": "reported", "on": "2026-11-21", "version": 1, "note": "block positive"}
    assert made(prescriber.post(f"/api/v1/referrals/{sent['id']}/events", event))["status"] == "reported"
    assert made(who(Role.COMPLIANCE).get("/api/v1/overdue-referrals"))["referrals"] == []


def test_the_letter_says_what_was_tried_what_a_test_showed_and_what_nobody_recorded(
    prescriber: Caller, who: Callable[..., Caller]
) -> None:
    plan = made(prescriber.post("/api/v1/plans", PLAN), 201)
    where = f"/api/v1/plans/{plan['id']}"
    letter = {"discipline": "surgery", "reason": "facet pain", "urgency": "routine", "on": "2026-11-21"}
    sent = made(prescriber.post(f"{where}/referrals", letter | {"source": "pain-medicine"}), 201)
    address = f"/api/v1/referrals/{sent['id']}/letter"
    empty = made(prescriber.get(address))
    assert (empty["conservative"], empty["tests"]) == ([], [])
    assert any(words.startswith("no care without needles") for words in empty["wanting"])
    assert any("diagnostic block" in words for words in empty["wanting"])
    tried = [{"what": "ibuprofen", "response": "none", "on": "2026-10-01"}]
    seen = {"patient": "p-1", "on": "2026-11-21", "imaging_agrees": True, "tried": tried}
    made(prescriber.post("/api/v1/assessments", seen), 201)
    block = {"id": "mb", "treatment": "facet-injection", "on": "2026-11-21", "version": 1}
    block |= {"basis": ["examination"], "target": "L4/5 right", "skipped": "physical therapy hurts too much"}
    made(prescriber.post(f"{where}/steps", block))
    made(prescriber.post(f"{where}/steps/mb/begin", {"on": "2026-11-21", "version": 2}))
    said = {"on": "2026-11-21", "version": 3, "relief_percent": 80, "lasted_hours": 6, "function": "better"}
    made(prescriber.post(f"{where}/steps/mb/respond", said | {"target": "L4/5 right"}))
    full = made(who(Role.PHARMACIST).get(address))
    assert [(c["treatment"], c["response"]) for c in full["conservative"]] == [("ibuprofen", "none")]
    (test,) = full["tests"]
    assert (test["target"], test["relief_percent"], test["lasted_hours"]) == ("L4/5 right", 80, 6)
    assert "facet joint" in test["reads"]
    assert full["wanting"] == []
    assert "Facet joint injection or medial branch block at L4/5 right" in full["text"]
    assert "For: Facet arthropathy or spondylosis (M47.816)" in full["text"]
    assert "p-1" not in full["text"]


def test_a_stale_version_is_a_409_that_names_who_was_first(prescriber: Caller) -> None:
    plan = made(prescriber.post("/api/v1/plans", PLAN), 201)
    where = f"/api/v1/plans/{plan['id']}/steps"
    for treatment, status in (("exercise", 200), ("cbt", 409)):
        answered = prescriber.post(where, {"treatment": treatment, "on": "2026-11-21", "version": 1})
        assert answered.status_code == status
    assert json(answered)["code"] == "stale"
    assert "version 2 was made by" in json(answered)["detail"]


def test_a_goal_that_is_pain_alone_is_sent_back_with_its_place(prescriber: Caller) -> None:
    refused = prescriber.post("/api/v1/plans", PLAN | {"goals": [GOAL, GOAL | {"activity": "no more pain"}]})
    assert refused.status_code == 422
    assert [e["pointer"] for e in json(refused)["errors"]] == ["/goals/1/activity"]


def test_a_patient_of_whom_nothing_is_known_has_no_plan(prescriber: Caller) -> None:
    assert prescriber.post("/api/v1/plans", PLAN | {"patient": "p-nobody"}).status_code == 404
    assert prescriber.post("/api/v1/plans/search", {"patient": "p-nobody"}).status_code == 404


def test_wishes_and_coverage_are_with_the_plan(prescriber: Caller) -> None:
    made(prescriber.post("/api/v1/plans", PLAN), 201)
    wish = {"patient": "p-1", "about": "surgery", "stance": "declined", "said_on": "2026-11-21"}
    made(prescriber.post("/api/v1/preferences", wish | {"said_by": "patient"}))
    payer = {"patient": "p-1", "discipline": "physical-therapy", "on": "2026-11-21", "visits_left": 3}
    made(prescriber.post("/api/v1/coverage", payer))
    (plan,) = made(prescriber.post("/api/v1/plans/search", {"patient": "p-1"}))["plans"]
    assert [p["about"] for p in plan["preferences"]] == ["surgery"]
    assert [c["visits_left"] for c in plan["coverage"]] == [3]


TAPER = {"patient": "p-1", "rxcui": OXYCODONE_5, "starts_on": "2026-12-01", "asked_by": "patient"}
DECISION = {"on": "2026-11-21", "agreed": True, "words": "To drive again", "naloxone": True}


def test_a_schedule_is_looked_at_and_nothing_is_kept(prescriber: Caller) -> None:
    seen = made(prescriber.post("/api/v1/tapers/preview", TAPER))
    assert (seen["planned"], seen["mg_per_day"], seen["steps"][0]["mg_per_day"]) == (True, 60, 55)
    assert made(prescriber.post("/api/v1/tapers/search", {"patient": "p-1"}))["tapers"] == []


def test_a_taper_begins_with_a_shared_decision_pauses_and_goes_on(prescriber: Caller) -> None:
    refused = prescriber.post("/api/v1/tapers", TAPER | {"decision": DECISION | {"agreed": False}})
    assert json(refused)["errors"][0]["pointer"] == "/decision/agreed"
    taper = made(prescriber.post("/api/v1/tapers", TAPER | {"decision": DECISION}), 201)
    assert taper["next_step_on"] == "2026-12-01"
    where = f"/api/v1/tapers/{taper['id']}/acts"
    paused = made(prescriber.post(where, {"act": "pause", "on": "2026-11-21", "reason": "flu", "version": 1}))
    assert (paused["status"], paused["next_step_on"]) == ("paused", None)
    assert made(prescriber.post(where, {"act": "resume", "on": "2026-11-21", "version": 2}))["version"] == 3
    slower = {"act": "slow", "on": "2026-11-21", "version": 3, "percent": 5, "step_days": 35}
    assert made(prescriber.post(where, slower))["pace"]["percent"] == 5
    assert prescriber.post(where, slower | {"version": 4, "percent": 20}).status_code == 422


def test_a_pharmacist_sees_a_taper_and_plans_none(prescriber: Caller, who: Callable[..., Caller]) -> None:
    taper = made(prescriber.post("/api/v1/tapers", TAPER | {"decision": DECISION}), 201)
    pharmacist = who(Role.PHARMACIST)
    assert made(pharmacist.get(f"/api/v1/tapers/{taper['id']}"))["status"] == "active"
    assert pharmacist.post("/api/v1/tapers/preview", TAPER).status_code == 403


def test_the_registry_says_what_is_missing(who: Callable[..., Caller]) -> None:
    since = {"board": "abpn", "from": "2010-01-01"}
    certified = [
        {"kind": "primary", "specialty": "neurology", "lifelong": True, **since},
        {"kind": "pain-medicine", "specialty": "pain-medicine", "until": "2020-01-01", **since},
    ]
    somebody = {"npi": "1234567893", "specialty": "neurology", "certifications": certified}
    keeper = who(Role.COMPLIANCE)
    kept = made(keeper.post("/api/v1/prescribers", somebody))
    assert kept["qualified"] == ["board-certified"]
    assert kept["lacking"]["pain-medicine-certified"] == ["pain-medicine certification ended on 2020-01-01"]
    assert made(who(Role.PRESCRIBER).get(f"/api/v1/prescribers/{kept['id']}")) == kept
    assert keeper.post("/api/v1/prescribers", somebody | {"npi": "1234567890"}).status_code == 422
    assert who(Role.PRESCRIBER).post("/api/v1/prescribers", somebody).status_code == 403


def test_what_another_organisation_has_is_not_there(prescriber: Caller, who: Callable[..., Caller]) -> None:
    plan = made(prescriber.post("/api/v1/plans", PLAN), 201)
    stranger = who(Role.PRESCRIBER, ELSEWHERE)
    assert stranger.get(f"/api/v1/plans/{plan['id']}").status_code == 404
    assert stranger.post("/api/v1/plans/search", {"patient": "p-1"}).status_code == 404


def test_looking_at_a_patients_plans_is_on_record(prescriber: Caller, clinic: Sessions) -> None:
    from sqlalchemy import text

    prescriber.post("/api/v1/plans/search", {"patient": "p-1"})
    with transaction(clinic, write=False) as session:
        actions = session.execute(text("SELECT action FROM audit_events")).scalars().all()
    assert "plans.read" in actions


def test_the_history_that_a_plan_rests_on_may_grow(prescriber: Caller, clinic: Sessions) -> None:
    with transaction(clinic) as session:
        history.record(session, a_history("p-2", sex="female"), by=PRESCRIBER, now=NOW)
    plan = made(prescriber.post("/api/v1/plans", PLAN | {"patient": "p-2"}), 201)
    assert plan["patient_id"] == "p-2"
