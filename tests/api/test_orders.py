"""From an order to its decision, and to what people do about it: two tokens, two roles, never one's own."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from stewardship.domain.people import Role
from tests.api.conftest import Caller, a_case, json, known

SCREEN, SUBMIT = "/api/v1/orders/screen", "/api/v1/orders"


@pytest.fixture
def prescriber(caller: Callable[..., Caller]) -> Caller:
    return caller(Role.PRESCRIBER)


def finding(decision: dict[str, Any], policy: str) -> dict[str, Any]:
    (found,) = [f for f in decision["findings"] if f["policy"] == policy]
    return found


def submitted(by: Caller, case: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = by.post(SUBMIT, case, **more)
    assert response.status_code == 201, response.text
    decision: dict[str, Any] = json(response)
    assert response.headers["Location"] == f"/api/v1/decisions/{decision['id']}"
    return decision


def too_long(**more: Any) -> dict[str, Any]:
    return a_case(days=10, quantity=40, **more)


def stopped_softly() -> dict[str, Any]:
    """The same tablets again while most of the last dispensing must still be there."""
    history = {
        "supplies": [
            {"medicine": {"rxcui": "1049621"}, "start_on": "2026-11-19", "days_supply": 6, "quantity": 24,
             "quantity_unit": "tablet", "status": "completed"}
        ]
    }  # fmt: skip
    return a_case(days=1, quantity=4, history=history)


def test_screening_answers_and_keeps_nothing(prescriber: Caller) -> None:
    case = a_case(days=2, quantity=8)
    for _ in range(2):
        response = prescriber.post(SCREEN, case)
        assert response.status_code == 200
        decision = json(response)
        assert decision["id"] is None
        assert finding(decision, "short-course")["outcome"] == "pass"
        assert finding(decision, "short-course")["facts"]["earlier_days"] == 0


def test_submitting_keeps_the_decision(prescriber: Caller, caller: Callable[..., Caller]) -> None:
    decision = submitted(prescriber, too_long())
    assert decision["disposition"] == "blocked"
    read = json(caller(Role.COMPLIANCE).get(f"/api/v1/decisions/{decision['id']}"))
    assert read | {"overrides": [], "exceptions": []} == read
    assert {k: v for k, v in read.items() if k in decision} == decision


def test_a_submitted_order_counts_in_the_next_chart(prescriber: Caller) -> None:
    case = a_case(days=5, quantity=20, history=known())
    submitted(prescriber, case)
    second = json(prescriber.post(SCREEN, case))
    assert finding(second, "short-course")["outcome"] == "breach"
    assert finding(second, "short-course")["facts"]["earlier_days"] == 5


def test_numbers_come_back_exactly(prescriber: Caller) -> None:
    response = prescriber.post(SCREEN, a_case(days=Decimal("2.50"), quantity=Decimal("10.0")))
    assert '"days_supply":2.50' in response.text or '"days_supply":3' in response.text


def test_a_history_that_is_not_brought_is_not_an_empty_one(prescriber: Caller) -> None:
    decision = json(prescriber.post(SCREEN, a_case(days=2, quantity=8, history=None)))
    assert finding(decision, "short-course")["outcome"] == "cannot-tell"
    assert finding(decision, "short-course")["missing"] == ["history"]
    assert decision["disposition"] != "clear"


def test_an_unknown_drug_is_said_to_be_unknown(prescriber: Caller) -> None:
    decision = json(prescriber.post(SCREEN, a_case(medicine={"rxcui": "99999999"})))
    assert decision["disposition"] not in {"clear", "advised"}
    assert "cannot-tell" in {f["outcome"] for f in decision["findings"]}


def test_an_order_sent_again_under_its_id_gets_its_first_answer(prescriber: Caller) -> None:
    case = too_long(id="rx-1")
    first, again = submitted(prescriber, case), submitted(prescriber, case)
    assert again["id"] == first["id"]
    case["order"]["quantity"] = 41
    other = prescriber.post(SUBMIT, case)
    assert (other.status_code, json(other)["code"]) == (409, "conflict")


def test_orders_without_an_id_are_orders_of_their_own(prescriber: Caller) -> None:
    case = too_long()
    assert submitted(prescriber, case)["id"] != submitted(prescriber, case)["id"]


def test_an_idempotency_key_makes_a_repetition_safe(prescriber: Caller) -> None:
    case = too_long()
    key = {"Idempotency-Key": "8a3e7b2c-1"}
    first, again = submitted(prescriber, case, headers=key), submitted(prescriber, case, headers=key)
    assert again == first
    case["order"]["quantity"] = 41
    other = prescriber.post(SUBMIT, case, headers=key)
    assert (other.status_code, json(other)["code"]) == (422, "idempotency-key-reused")


@pytest.mark.parametrize("key", ["", "a b", "x" * 65])
def test_an_unusable_idempotency_key_is_refused(prescriber: Caller, key: str) -> None:
    response = prescriber.post(SUBMIT, too_long(), headers={"Idempotency-Key": key})
    assert (response.status_code, json(response)["code"]) == (422, "idempotency-key-unusable")


def test_an_order_has_one_id(prescriber: Caller) -> None:
    response = prescriber.post(SUBMIT, too_long(id="rx-2"), headers={"Idempotency-Key": "other"})
    assert response.status_code == 422
    assert [(f["pointer"], f["code"]) for f in json(response)["errors"]] == [
        ("/order/id", "differs-from-key")
    ]


# --- a soft stop --------------------------------------------------------------------------------------


def test_a_soft_stop_is_overridden_once_with_a_coded_reason(
    prescriber: Caller, another: Callable[..., Caller]
) -> None:
    decision = submitted(prescriber, stopped_softly())
    stop = finding(decision, "early-refill")
    assert (decision["disposition"], stop["enforcement"]) == ("needs-reason", "soft-stop")
    where = f"/api/v1/decisions/{decision['id']}/findings/early-refill/override"

    unknown = prescriber.post(where, {"reason": "because"})
    assert unknown.status_code == 422

    reason = stop["override_reasons"][0]["code"]
    done = prescriber.post(where, {"reason": reason, "comment": "seen today"})
    assert done.status_code == 200
    (override,) = json(done)["overrides"]
    assert (override["policy"], override["reason"], override["comment"]) == (
        "early-refill",
        reason,
        "seen today",
    )

    second = another(Role.PRESCRIBER).post(where, {"reason": reason})
    assert second.status_code == 409
    assert override["by"] in json(second)["detail"]


def test_a_hard_stop_is_not_overridden(prescriber: Caller) -> None:
    decision = submitted(prescriber, too_long())
    response = prescriber.post(
        f"/api/v1/decisions/{decision['id']}/findings/short-course/override", {"reason": "other"}
    )
    assert response.status_code in {409, 422}


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/reason", "required"),
        ({"reason": "\u200b"}, "/reason", "not-a-token"),
        ({"reason": ""}, "/reason", "too-long"),
        ({"reason": "other", "comment": "x\u202ey"}, "/comment", "hidden-characters"),
        ({"reason": "other", "by": "somebody-else"}, "/by", "unknown-field"),
    ],
)
def test_an_override_says_why_and_nothing_else(
    prescriber: Caller, body: dict[str, Any], pointer: str, code: str
) -> None:
    response = prescriber.post("/api/v1/decisions/any/findings/early-refill/override", body)
    assert [(f["pointer"], f["code"]) for f in json(response)["errors"]] == [(pointer, code)]


# --- a hard stop --------------------------------------------------------------------------------------


def asked_for(by: Caller, decision: dict[str, Any], policy: str, note: str = "") -> dict[str, Any]:
    reason = finding(decision, policy)["override_reasons"][0]["code"]
    response = by.post(
        f"/api/v1/decisions/{decision['id']}/findings/{policy}/exception", {"reason": reason, "note": note}
    )
    assert response.status_code == 201, response.text
    asked: dict[str, Any] = json(response)
    assert response.headers["Location"] == f"/api/v1/exceptions/{asked['id']}"
    return asked


def test_a_hard_stop_is_lifted_by_another_person_of_the_named_role(
    prescriber: Caller, caller: Callable[..., Caller]
) -> None:
    decision = submitted(prescriber, too_long())
    asked = asked_for(prescriber, decision, "short-course")
    assert (asked["status"], asked["countersignatures"]) == ("open", [])
    where = f"/api/v1/exceptions/{asked['id']}"

    own = prescriber.post(f"{where}/countersignatures", {"approve": True})
    assert own.status_code in {403, 409}
    assert json(prescriber.get(where))["status"] == "open"

    pharmacist = caller(Role.PHARMACIST)
    signed = pharmacist.post(f"{where}/countersignatures", {"approve": True, "note": "agreed"})
    assert signed.status_code == 201
    assert json(signed)["status"] == "approved"
    (signature,) = json(signed)["countersignatures"]
    assert (signature["role"], signature["approve"], signature["note"]) == ("pharmacist", True, "agreed")
    assert json(caller(Role.COMPLIANCE).get(where)) == json(signed)
    read = json(prescriber.get(f"/api/v1/decisions/{decision['id']}"))
    assert [e["id"] for e in read["exceptions"]] == [asked["id"]]


def test_one_person_does_not_sign_twice(caller: Callable[..., Caller], prescriber: Caller) -> None:
    case = a_case(days=2, quantity=8, replaces={"loss": "lost", "prescription": "rx-old"})
    decision = submitted(prescriber, case)
    asked = asked_for(prescriber, decision, "no-lost-refills", note="tapering would be unsafe")
    where = f"/api/v1/exceptions/{asked['id']}/countersignatures"
    pharmacist = caller(Role.PHARMACIST)
    assert json(pharmacist.post(where, {"approve": True}))["status"] == "open"
    assert pharmacist.post(where, {"approve": True}).status_code == 409
    assert json(caller(Role.COMPLIANCE).post(where, {"approve": True}))["status"] == "approved"


def test_an_exception_can_be_declined(caller: Callable[..., Caller], prescriber: Caller) -> None:
    asked = asked_for(prescriber, submitted(prescriber, too_long()), "short-course")
    where = f"/api/v1/exceptions/{asked['id']}/countersignatures"
    assert (
        json(caller(Role.PHARMACIST).post(where, {"approve": False, "note": "taper first"}))["status"]
        == "declined"
    )


def test_an_approved_order_counts_in_the_next_chart(
    caller: Callable[..., Caller], prescriber: Caller
) -> None:
    case = too_long(history=known())
    decision = submitted(prescriber, case)
    before = json(prescriber.post(SCREEN, case))
    asked = asked_for(prescriber, decision, "short-course")
    caller(Role.PHARMACIST).post(f"/api/v1/exceptions/{asked['id']}/countersignatures", {"approve": True})
    after = json(prescriber.post(SCREEN, case))
    earlier = [finding(d, "short-course")["facts"]["earlier_days"] for d in (before, after)]
    assert earlier == [0, 10]


def test_an_exception_is_only_for_a_stop(prescriber: Caller) -> None:
    decision = submitted(prescriber, a_case(days=2, quantity=8))
    response = prescriber.post(
        f"/api/v1/decisions/{decision['id']}/findings/short-course/exception", {"reason": "because"}
    )
    assert response.status_code in {409, 422}
