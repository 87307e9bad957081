"""Snoozes over HTTP: a finding put to rest, the list for compliance, an end before the day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from stewardship.declarations import Library
from stewardship.domain.people import Role
from tests.api.conftest import ELSEWHERE, Caller, Clock, a_case, json
from tests.builders import NOW, TODAY

SUBMIT = "/api/v1/orders"


@pytest.fixture
def prescriber(caller: Callable[..., Caller]) -> Caller:
    return caller(Role.PRESCRIBER)


def finding(decision: dict[str, Any], policy: str = "pdmp-check") -> dict[str, Any]:
    (found,) = [f for f in decision["findings"] if f["policy"] == policy]
    return found


def snooze(by: Caller, decision: dict[str, Any], policy: str = "pdmp-check", **more: Any) -> Any:
    found = finding(decision, policy)
    reason = found["override_reasons"][0]["code"] if found["override_reasons"] else "none"
    body = {"reason": reason, "until": "2026-12-21"} | more
    return by.post(f"/api/v1/decisions/{decision['id']}/findings/{policy}/snooze", body)


def test_a_snoozed_finding_is_silent_until_its_day(prescriber: Caller, clock: Clock) -> None:
    case = a_case(days=2, quantity=8)
    decision = json(prescriber.post(SUBMIT, case))
    assert finding(decision)["enforcement"] == "soft-stop"
    made = snooze(prescriber, decision)
    assert made.status_code == 201, made.text
    clock.at = NOW + timedelta(minutes=1)
    again = json(prescriber.post(SUBMIT, case))
    assert (finding(again)["enforcement"], finding(again)["snoozed_until"]) == ("silent", "2026-12-21")
    assert "pdmp-check" not in {policy for p in again["problems"] for policy in p["policies"]}


def test_compliance_lists_it_and_ends_it(
    prescriber: Caller, caller: Callable[..., Caller], clock: Clock
) -> None:
    case = a_case(days=2, quantity=8)
    made = json(snooze(prescriber, json(prescriber.post(SUBMIT, case))))
    compliance = caller(Role.COMPLIANCE)
    listed = json(compliance.get("/api/v1/snoozes?active_on=2026-12-21"))["snoozes"]
    assert made in listed
    assert (made["patient_id"], made["policy"]) == (case["patient"]["id"], "pdmp-check")
    clock.at = NOW + timedelta(minutes=1)
    ended = compliance.post(f"/api/v1/snoozes/{made['id']}/end", {})
    assert json(ended)["ended"]["at"] == "2026-11-21T12:01:00Z"
    assert finding(json(prescriber.post(SUBMIT, case)))["enforcement"] == "soft-stop"
    twice = compliance.post(f"/api/v1/snoozes/{made['id']}/end", {})
    assert (twice.status_code, json(twice)["code"]) == (409, "ended")


def test_another_organisation_lists_nothing_of_ours(
    prescriber: Caller, caller: Callable[..., Caller]
) -> None:
    made = json(snooze(prescriber, json(prescriber.post(SUBMIT, a_case(days=2, quantity=8)))))
    there = json(caller(Role.COMPLIANCE, ELSEWHERE).get("/api/v1/snoozes"))["snoozes"]
    assert made["id"] not in {one["id"] for one in there}


def test_a_hard_stop_is_not_put_to_rest(prescriber: Caller) -> None:
    decision = json(prescriber.post(SUBMIT, a_case(days=30, quantity=120)))
    refused = snooze(prescriber, decision, "short-course")
    assert (refused.status_code, json(refused)["code"]) == (409, "hard-stop")


def test_the_longest_snooze_is_that_of_the_reference_file(prescriber: Caller, library: Library) -> None:
    decision = json(prescriber.post(SUBMIT, a_case(days=2, quantity=8)))
    last = TODAY + timedelta(days=library.snooze_days)
    too_late = snooze(prescriber, decision, until=(last + timedelta(days=1)).isoformat())
    assert too_late.status_code == 422
    assert json(too_late)["errors"][0]["pointer"] == "/until"
    assert last.isoformat() in too_late.text
    assert snooze(prescriber, decision, until=last.isoformat()).status_code == 201


@pytest.mark.parametrize(
    "wrong", [{"reason": "because"}, {"until": "soon"}, {"until": "2026-11-21"}, {"until": None}], ids=str
)
def test_a_snooze_that_says_something_wrong_is_refused(prescriber: Caller, wrong: dict[str, Any]) -> None:
    decision = json(prescriber.post(SUBMIT, a_case(days=2, quantity=8)))
    assert snooze(prescriber, decision, **wrong).status_code == 422
    assert finding(json(prescriber.get(f"/api/v1/decisions/{decision['id']}")))["snoozed_until"] is None


def test_the_decision_groups_its_findings_into_problems(prescriber: Caller) -> None:
    decision = json(prescriber.post(SUBMIT, a_case(days=30, quantity=120)))
    shown = {f["policy"] for f in decision["findings"] if f["enforcement"] != "silent"}
    grouped = [policy for problem in decision["problems"] for policy in problem["policies"]]
    assert sorted(grouped) == sorted(shown)
    assert decision["problems"][0]["lead"] == "short-course"
    assert all(problem["policies"][0] == problem["lead"] for problem in decision["problems"])
