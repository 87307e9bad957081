"""Suggestions on cards: FHIR R4 resources that a client can take as they are, and no dose among them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from stewardship.db import transaction
from stewardship.domain.benefit import Reply
from stewardship.domain.people import Principal, Role
from stewardship.domain.suitability import Response
from stewardship.services import care
from tests.builders import NOW
from tests.cds_hooks.conftest import ORGANISATION
from tests.cds_hooks.requests import (
    NOBODY_KNOWS,
    OXYCODONE_ER,
    a_draft,
    a_hook,
    a_new_patient,
    a_past,
    found,
    looked_after,
    nothing_before,
    topics,
)
from tests.intake.fhir import GONE, a_condition, concept, days, dosage, tablets

#: The elements that R4 requires, and the code lists that are bound to them.
REQUIRED = {
    "MedicationRequest": {"status", "intent", "subject", "medicationCodeableConcept"},
    "ServiceRequest": {"status", "intent", "subject"},
}
INTENTS = {"proposal", "plan", "order", "original-order", "reflex-order", "filler-order", "instance-order"}
#: Elements that say how much: nothing that we create may hold one.
DOSES = {"dosageInstruction", "dispenseRequest", "doseAndRate", "quantityQuantity", "initialFill"}
OUD = concept("F11.20", "http://hl7.org/fhir/sid/icd-10-cm", "Opioid dependence, uncomplicated")


PRESCRIBER = Principal("u-prescriber", ORGANISATION, Role.PRESCRIBER)


@pytest.fixture
def patient() -> str:
    return a_new_patient()


def the_card(answer: dict[str, Any], policy: str) -> dict[str, Any]:
    (card,) = (c for c in answer["cards"] if c["source"]["topic"]["code"] == policy)
    return card


def the_suggestion(answer: dict[str, Any], policy: str, label: str) -> dict[str, Any]:
    (one,) = (s for s in the_card(answer, policy)["suggestions"] if s["label"] == label)
    return one


def resources(answer: dict[str, Any], *kinds: str) -> Iterator[dict[str, Any]]:
    for card in answer["cards"]:
        for suggestion in card.get("suggestions", []):
            for action in suggestion["actions"]:
                if action["type"] in kinds:
                    yield action["resource"]


def oud_on_record(patient: str) -> dict[str, Any]:
    condition = a_condition(code=OUD, subject={"reference": f"Patient/{patient}"})
    return a_hook(patient, hook="patient-view", prefetch={**nothing_before(patient), "conditions": condition})


def everything(patient: str) -> list[dict[str, Any]]:
    """Requests that between them are answered with every kind of suggestion."""
    strong = [dosage(times=4, dose=4)]
    return [
        a_hook(
            patient, a_draft(patient, length=10, dosageInstruction=strong), prefetch=nothing_before(patient)
        ),
        a_hook(patient, a_draft(patient, medicationCodeableConcept=OXYCODONE_ER)),
        oud_on_record(patient),
    ]


def test_a_suggestion_has_what_the_specification_asks_for(ehr, patient):
    labels = set()
    for request in everything(patient):
        for card in ehr.ask(request)["cards"]:
            if "suggestions" not in card:
                assert "selectionBehavior" not in card
                continue
            assert card["selectionBehavior"] in ("at-most-one", "any")
            recommended = [s for s in card["suggestions"] if s.get("isRecommended")]
            assert len(recommended) <= 1 or card["selectionBehavior"] == "any"
            for suggestion in card["suggestions"]:
                labels.add(suggestion["label"])
                assert set(suggestion) - {"isRecommended"} == {"label", "uuid", "actions"}
                assert str(uuid.UUID(suggestion["uuid"])) == suggestion["uuid"]
                for action in suggestion["actions"]:
                    assert action["description"]
                    if action["type"] == "delete":
                        assert set(action) == {"type", "description", "resourceId"}
                    else:
                        assert action["type"] in ("create", "update")
                        assert set(action) == {"type", "description", "resource"}
    assert labels == {
        "Order naloxone nasal spray",
        "Shorten to 7 days",
        "Order immediate release instead",
        "Refer to physical therapy",
        "Refer for treatment with buprenorphine or methadone",
    }


def test_a_resource_has_what_r4_requires_and_is_the_patients(ehr, patient):
    for request in everything(patient):
        for resource in resources(ehr.ask(request), "create", "update"):
            assert set(resource) >= REQUIRED[resource["resourceType"]]
            assert resource["status"] == "draft"
            assert resource["intent"] in INTENTS
            assert resource["subject"] == {"reference": f"Patient/{patient}"}
            concept_ = resource.get("medicationCodeableConcept") or resource["code"]
            assert concept_["coding"]
            assert all(set(coding) <= {"system", "code", "display"} for coding in concept_["coding"])
            assert all(coding["system"].startswith("http://") for coding in concept_["coding"])


def test_what_is_created_says_nothing_of_a_dose_or_an_amount(ehr, patient):
    def keys(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key
                yield from keys(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from keys(inner)

    created = [r for request in everything(patient) for r in resources(ehr.ask(request), "create")]
    assert len(created) >= 4
    for resource in created:
        assert not set(keys(resource)) & DOSES
        assert "id" not in resource


def test_there_are_no_system_actions(ehr, patient):
    for request in everything(patient):
        assert set(ehr.ask(request)) == {"cards", "extension"}


# --- a shorter course -----------------------------------------------------------------------------------


def test_a_shorter_course_is_the_clients_own_draft_with_days_and_amount_changed(ehr, patient):
    draft = a_draft(patient, length=10, note=[{"text": "after the operation"}], text={"div": "<div/>"})
    one = the_suggestion(ehr.ask(a_hook(patient, draft)), "short-course", "Shorten to 7 days")
    (action,) = one["actions"]
    assert action["type"] == "update"
    expected = deepcopy(draft)
    del expected["text"]
    expected["dispenseRequest"]["expectedSupplyDuration"]["value"] = 7
    expected["dispenseRequest"]["quantity"]["value"] = 28
    assert action["resource"] == expected


def test_the_shorter_course_is_no_longer_stopped(ehr, patient):
    one = the_suggestion(
        ehr.ask(a_hook(patient, a_draft(patient, length=10))), "short-course", "Shorten to 7 days"
    )
    again = ehr.ask(a_hook(patient, one["actions"][0]["resource"]))
    assert found(again, "short-course")["enforcement"] == "inform"
    assert again["extension"]["stewardship"]["disposition"] == "advised"


def test_what_the_patient_had_before_counts_against_a_shorter_course(ehr, patient):
    past = a_past(patient, days_ago=10, length=5)
    request = a_hook(patient, a_draft(patient, length=10), prefetch=looked_after(patient, past))
    assert the_suggestion(ehr.ask(request), "short-course", "Shorten to 2 days")


def changed(patient: str, **dispense: Any) -> dict[str, Any]:
    draft = a_draft(patient, length=10)
    draft["dispenseRequest"] = {
        key: value for key, value in (draft["dispenseRequest"] | dispense).items() if value is not GONE
    }
    return draft


def test_a_draft_without_an_amount_gets_none(ehr, patient):
    answer = ehr.ask(a_hook(patient, changed(patient, quantity=GONE)))
    one = the_suggestion(answer, "short-course", "Shorten to 7 days")
    assert "quantity" not in one["actions"][0]["resource"]["dispenseRequest"]


@pytest.mark.parametrize("quantity", [{"value": "40"}, {"value": 40, "comparator": "<"}, "40"])
def test_a_draft_whose_amount_cannot_be_read_is_not_changed(ehr, patient, quantity):
    answer = ehr.ask(a_hook(patient, changed(patient, quantity=quantity)))
    assert "suggestions" not in the_card(answer, "short-course")


def test_a_draft_without_an_id_cannot_be_changed(ehr, patient):
    answer = ehr.ask(a_hook(patient, a_draft(patient, length=10, id=GONE)))
    assert "suggestions" not in the_card(answer, "short-course")


def test_of_two_drafts_each_gets_its_own_change(ehr, patient):
    answer = ehr.ask(a_hook(patient, a_draft(patient, id="a", length=4), a_draft(patient, id="b", length=6)))
    changes = {r["id"]: r["dispenseRequest"]["quantity"]["value"] for r in resources(answer, "update")}
    # Beside six days one is left, beside four three.
    assert changes == {"a": 4, "b": 12}


# --- another product ------------------------------------------------------------------------------------


def test_immediate_release_takes_the_place_of_the_draft_and_keeps_what_it_is_for(ehr, patient):
    reason = [concept("274663001", "http://snomed.info/sct", "Acute pain")]
    draft = a_draft(
        patient,
        medicationCodeableConcept=OXYCODONE_ER,
        reasonCode=reason,
        dispenseRequest={"quantity": tablets(12), "expectedSupplyDuration": days(3)},
    )
    answer = ehr.ask(a_hook(patient, draft))
    one = the_suggestion(answer, "no-long-acting", "Order immediate release instead")
    gone, made = one["actions"]
    assert gone["resourceId"] == f"MedicationRequest/{draft['id']}"
    assert made["resource"]["medicationCodeableConcept"]["coding"][0]["code"] == "1049621"
    assert made["resource"]["reasonCode"] == reason
    assert made["resource"]["category"] == draft["category"]
    assert the_card(answer, "no-long-acting")["selectionBehavior"] == "at-most-one"


def test_naloxone_is_offered_where_a_chart_is_opened(ehr, patient):
    past = a_past(patient, days_ago=2, length=30, dosageInstruction=[dosage(times=4, dose=4)])
    prefetch = looked_after(patient, past)
    answer = ehr.ask(a_hook(patient, hook="patient-view", prefetch=prefetch))
    (resource,) = resources(answer, "create")
    assert resource["medicationCodeableConcept"]["coding"][0]["code"] == "1725059"


def test_taking_naloxone_quietens_the_card(ehr, patient):
    strong = a_draft(patient, dosageInstruction=[dosage(times=4, dose=4)])
    first = ehr.ask(a_hook(patient, strong))
    (naloxone,) = (r for r in resources(first, "create") if r["resourceType"] == "MedicationRequest")
    again = ehr.ask(a_hook(patient, strong, {**naloxone, "id": "new"}))
    outcomes = {
        f["outcome"] for f in again["extension"]["stewardship"]["findings"] if f["policy"] == "naloxone-offer"
    }
    assert "breach" not in outcomes


def test_a_medicine_that_nobody_knows_is_answered_with_no_suggestion(ehr, patient):
    answer = ehr.ask(a_hook(patient, a_draft(patient, medicationCodeableConcept=NOBODY_KNOWS)))
    assert topics(answer)
    assert list(resources(answer, "create", "update")) == []


def test_a_card_carries_what_fits_this_patient_best(ehr, patient):
    knee = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M17.11"}]}
    strong = [dosage(times=4, dose=4)]
    draft = a_draft(patient, length=10, dosageInstruction=strong, reasonCode=[knee])
    answer = ehr.ask(a_hook(patient, draft, prefetch=nothing_before(patient)))
    found = [
        s for card in answer["cards"] for s in card.get("suggestions", ()) if s["label"].startswith("Offer: ")
    ]
    assert len(found) == 3
    assert len({s["uuid"] for s in found}) == 3
    texts = [action["resource"]["code"]["text"] for s in found for action in s["actions"]]
    assert len(set(texts)) == 3
    assert any(text.startswith("Exercise") for text in texts)
    assert all("Check first" in action["description"] for s in found for action in s["actions"])


# --- what is on record of earlier care -----------------------------------------------------------------


KNEE = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M17.11"}]}


def offers(ehr, patient: str) -> list[str]:
    """The ids of the alternatives on the card for ten days of an opioid for a painful knee."""
    draft = a_draft(patient, length=10, dosageInstruction=[dosage(times=4, dose=4)], reasonCode=[KNEE])
    answer = ehr.ask(a_hook(patient, draft, prefetch=nothing_before(patient)))
    made = [r.get("code") or r["medicationCodeableConcept"] for r in resources(answer, "create")]
    own = [c for concept in made for c in concept["coding"] if c["system"].endswith("/treatment")]
    return [c["code"] for c in own]


@pytest.mark.parametrize("response", [Response.HARM, Response.NONE])
def test_what_did_harm_or_failed_before_is_not_on_a_card(ehr, patient, sessions, library, response):
    first = offers(ehr, patient)[0]
    said = care.Assessed(tried=(care.TriedBefore(first, response),))
    with transaction(sessions) as session:
        care.assess(session, library, patient, said, on=NOW.date(), by=PRESCRIBER, now=NOW)
    assert first not in offers(ehr, patient)


def test_what_was_put_to_the_patient_lately_rests_on_cards_too(ehr, patient, sessions, library):
    first = offers(ehr, patient)[0]
    with transaction(sessions) as session:
        care.offer(
            session, library, patient, first, reply=Reply.DECLINED, on=NOW.date(), by=PRESCRIBER, now=NOW
        )
    assert first not in offers(ehr, patient)


def test_the_phase_that_an_order_states_chooses_what_is_offered(ehr, patient):
    def for_a_back(phase: str) -> set[str]:
        back = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M54.50"}]}
        draft = a_draft(patient, length=10, dosageInstruction=[dosage(times=4, dose=4)])
        draft["reasonCode"] = [back, concept(*phase.split("|"), "phase")]
        answer = ehr.ask(a_hook(patient, draft, prefetch=nothing_before(patient)))
        codes = [c for r in resources(answer, "create") for c in r.get("code", {}).get("coding", ())]
        return {c["code"] for c in codes if c["system"].endswith("/treatment")}

    acute, chronic = (
        for_a_back("274663001|http://snomed.info/sct"),
        for_a_back("82423001|http://snomed.info/sct"),
    )
    assert "heat" in acute
    assert "heat" not in chronic
