"""The rules of CDS Hooks 2.0 for what a service says and takes, each stated once.

The rules are those of https://cds-hooks.hl7.org/2.0/: discovery, request, response, feedback, extensions.
The requests at the end are of the forms that the specification shows, with data of our own.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from stewardship.domain.people import Role
from tests.cds_hooks.conftest import Ehr, read
from tests.cds_hooks.requests import (
    FLURAZEPAM,
    IBUPROFEN,
    NOBODY_KNOWS,
    OXYCODONE_ER,
    SERVICES,
    a_draft,
    a_hook,
    a_new_patient,
    a_past,
    looked_after,
    nothing_before,
)
from tests.intake.fhir import a_condition, bundle, concept, dosage, other

#: What may stand at each place of a response, by the specification.
CARD = {
    "uuid", "summary", "detail", "indicator", "source", "suggestions", "selectionBehavior",
    "overrideReasons", "links", "extension",
}  # fmt: skip
SOURCE = {"label", "url", "icon", "topic"}
SUGGESTION = {"label", "uuid", "isRecommended", "actions"}
ACTION = {"type", "description", "resource", "resourceId"}
SERVICE = {"hook", "title", "description", "id", "prefetch", "usageRequirements", "extension"}


@pytest.fixture(scope="module")
def services(app) -> list[dict[str, Any]]:
    response = app.test_client().get("/cds-services")
    assert response.status_code == 200
    assert response.content_type == "application/json"
    return read(response)["services"]


def many_requests() -> list[dict[str, Any]]:
    """Requests that between them bring out every kind of card."""
    strong = [dosage(times=4, dose=4)]
    made = []
    for medicine in (None, OXYCODONE_ER, NOBODY_KNOWS, IBUPROFEN, FLURAZEPAM):
        patient = a_new_patient()
        said = {} if medicine is None else {"medicationCodeableConcept": medicine}
        draft = a_draft(patient, length=40, dosageInstruction=strong, **said)
        draft["dispenseRequest"]["numberOfRepeatsAllowed"] = 9
        made.append(a_hook(patient, draft, prefetch=nothing_before(patient)))
        made.append(a_hook(patient, draft, a_draft(patient, id="other", length=9), prefetch={}))
    patient = a_new_patient()
    made.append(a_hook(patient, other("MedicationOrder"), a_draft(patient, dispenseRequest="?")))
    made.append(a_hook("p-mine", a_draft("p-stranger")))
    oud = a_condition(
        code=concept("F11.20", "http://hl7.org/fhir/sid/icd-10-cm"),
        subject={"reference": f"Patient/{patient}"},
    )
    made.append(a_hook(patient, hook="patient-view", prefetch=looked_after(patient, oud)))
    return made


@pytest.fixture(scope="module")
def answers(app, issued) -> list[dict[str, Any]]:
    ehr = Ehr(app, issued[Role.EHR])
    return [ehr.ask(request) for request in many_requests()]


@pytest.fixture(scope="module")
def cards(answers) -> list[dict[str, Any]]:
    found = [card for answer in answers for card in answer["cards"]]
    assert len(found) > 20
    return found


# --- discovery ------------------------------------------------------------------------------------------


def test_a_service_has_a_hook_a_description_and_an_id(services):
    for service in services:
        assert set(service) <= SERVICE
        assert all(isinstance(service[key], str) and service[key] for key in ("hook", "description", "id"))


def test_an_id_is_a_part_of_an_address(services):
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]+", service["id"]) for service in services)
    assert len({service["id"] for service in services}) == len(services)


def test_prefetch_is_an_object_of_queries_by_key(services):
    for service in services:
        assert all(
            isinstance(key, str) and isinstance(query, str) for key, query in service["prefetch"].items()
        )


def test_prefetch_tokens_name_fields_of_the_context_at_its_first_level(services):
    tokens = {
        token
        for service in services
        for query in service["prefetch"].values()
        for token in re.findall(r"\{\{(.*?)\}\}", query)
    }
    assert tokens == {"context.patientId"}


def test_prefetch_queries_keep_to_reads_searches_by_reference_and_tokens(services):
    for service in services:
        for query in service["prefetch"].values():
            path, _, parameters = query.partition("?")
            assert re.fullmatch(r"[A-Z][A-Za-z]+(/\{\{[a-zA-Z.]+\}\})?", path)
            names = {part.partition("=")[0] for part in parameters.split("&") if part}
            assert names <= {"patient", "category"}  # no modifiers, chains, includes


# --- the response ---------------------------------------------------------------------------------------


def test_a_response_is_an_object_with_an_array_of_cards(answers):
    for answer in answers:
        assert isinstance(answer["cards"], list)
        assert set(answer) <= {"cards", "systemActions", "extension"}


def test_extensions_are_objects(answers):
    assert all(isinstance(answer["extension"], dict) for answer in answers)


def test_a_card_has_only_what_the_specification_knows(cards):
    assert all(set(card) <= CARD for card in cards)


def test_a_summary_is_there_and_shorter_than_140_characters(cards):
    for card in cards:
        assert 0 < len(card["summary"]) < 140
        assert card["summary"].splitlines() == [card["summary"]]


def test_an_indicator_is_info_warning_or_critical(cards):
    assert {card["indicator"] for card in cards} <= {"info", "warning", "critical"}


def test_a_source_has_a_label_and_an_absolute_address(cards):
    for card in cards:
        assert set(card["source"]) <= SOURCE
        assert card["source"]["label"]
        assert card["source"].get("url", "https://").startswith("https://")


def test_a_topic_is_a_coding(cards):
    for card in cards:
        topic = card["source"]["topic"]
        assert set(topic) == {"system", "code", "display"}
        assert all(topic.values())


def test_a_cards_uuid_is_one_and_its_own(cards):
    assert all(str(uuid.UUID(card["uuid"])) == card["uuid"] for card in cards)
    assert len({card["uuid"] for card in cards}) == len(cards)


def test_every_override_reason_has_code_system_and_display(cards):
    reasons = [reason for card in cards for reason in card.get("overrideReasons", [])]
    assert reasons
    for reason in reasons:
        assert set(reason) == {"code", "system", "display"}
        assert all(reason.values())


def test_selection_behaviour_is_said_where_there_are_suggestions_and_only_there(cards):
    for card in cards:
        assert ("suggestions" in card) is ("selectionBehavior" in card)
        assert card.get("selectionBehavior", "any") in ("at-most-one", "any")


def test_a_suggestion_has_a_label_and_known_fields(cards):
    made = [s for card in cards for s in card.get("suggestions", [])]
    assert made
    for suggestion in made:
        assert set(suggestion) <= SUGGESTION
        assert suggestion["label"]


def test_several_suggestions_are_recommended_only_where_any_may_be_taken(cards):
    for card in cards:
        recommended = [s for s in card.get("suggestions", []) if s.get("isRecommended")]
        assert len(recommended) <= 1 or card["selectionBehavior"] == "any"


def test_an_action_says_its_type_and_describes_itself(cards):
    actions = [a for card in cards for s in card.get("suggestions", []) for a in s["actions"]]
    assert {action["type"] for action in actions} == {"create", "update", "delete"}
    for action in actions:
        assert set(action) <= ACTION
        assert action["description"]


def test_create_and_update_bring_a_whole_resource_and_delete_names_one(cards):
    for card in cards:
        for suggestion in card.get("suggestions", []):
            for action in suggestion["actions"]:
                if action["type"] == "delete":
                    assert re.fullmatch(r"[A-Z][A-Za-z]+/[^/]+", action["resourceId"])
                    assert "resource" not in action
                else:
                    assert action["resource"]["resourceType"]
                    assert ("id" in action["resource"]) is (action["type"] == "update")


def test_no_more_than_five_cards_and_the_rest_is_told(answers):
    assert max(len(answer["cards"]) for answer in answers) == 5
    for answer in answers:
        problems = answer["extension"]["stewardship"]["problems"]
        withheld = [p for p in problems if p["card"] is None]
        if withheld:
            assert len(answer["cards"]) == 5
            assert f"{len(withheld)} more in the decision" in answer["cards"][-1]["detail"]


def test_no_stop_is_withheld_behind_a_softer_card(answers):
    for answer in answers:
        told = answer["extension"]["stewardship"]
        loud = {f["policy"] for f in told["findings"] if f["enforcement"] == "hard-stop"}
        carded = [p["card"] is not None for p in told["problems"]]
        assert carded == sorted(carded, reverse=True)
        for problem in told["problems"]:
            if problem["card"] is None and problem["lead"] in loud:
                assert all(p["lead"] in loud for p in told["problems"] if p["card"])


def test_no_decision_support_is_an_empty_array(ehr):
    assert ehr.ask(a_hook(a_new_patient()))["cards"] == []


# --- prefetch -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left_out", ["medicationRequests", "medicationDispenses", "procedures", "patient"])
def test_a_service_works_when_a_client_does_not_satisfy_a_key(ehr, left_out):
    patient = a_new_patient()
    prefetch = {key: value for key, value in looked_after(patient).items() if key != left_out}
    answer = ehr.ask(a_hook(patient, prefetch=prefetch))
    assert answer["extension"]["stewardship"]["decision"]


def test_null_is_a_key_without_data_and_not_an_error(ehr):
    patient = a_new_patient()
    nothing = dict.fromkeys(("conditions", "observations", "carePlans", "goals", "encounters"))
    answer = ehr.ask(a_hook(patient, prefetch=looked_after(patient) | nothing))
    assert answer["cards"] == []


def test_a_service_that_lacks_data_answers_with_a_card_that_says_so(ehr):
    # The specification has 412 for this, which clients do not show to the prescriber.
    patient = a_new_patient()
    response = ehr.post(a_hook(patient, prefetch={}))
    assert response.status_code == 200
    assert any("NOT checked" in card["summary"] for card in read(response)["cards"])


# --- feedback -------------------------------------------------------------------------------------------


def report(ehr, **said: Any) -> int:
    patient = a_new_patient()
    (card,) = ehr.ask(a_hook(patient, a_draft(patient, length=10)))["cards"]
    entry = {"card": card["uuid"], "outcomeTimestamp": "2026-11-21T12:01:00.000Z"}
    if said.get("outcome") == "accepted":
        entry["acceptedSuggestions"] = [{"id": card["suggestions"][0]["uuid"]}]
    body = {"feedback": [entry | said]}
    return ehr.post(body, service=f"{SERVICES['order-sign']}/feedback").status_code


@pytest.mark.parametrize(
    "said",
    [
        {"outcome": "accepted"},
        {"outcome": "overridden"},
        {
            "outcome": "overridden",
            "overrideReason": {"reason": {"code": "d7", "system": "https://ehr.example/r"}},
        },
        {"outcome": "overridden", "overrideReason": {"userComment": "Spoken with the patient."}},
        {
            "outcome": "overridden",
            "overrideReason": {
                "reason": {"code": "d7", "system": "https://ehr.example/r"},
                "userComment": "Yes.",
            },
        },
    ],
    ids=["accepted", "overridden", "with a reason of the client's own", "with a comment", "with both"],
)
def test_every_form_of_feedback_that_the_specification_shows_is_taken(ehr, said):
    assert report(ehr, **said) == 200


# --- requests of the forms that the specification shows ---------------------------------------------------


def a_diet(patient: str) -> dict[str, Any]:
    return other("NutritionOrder", id="diet", status="draft", patient={"reference": f"Patient/{patient}"})


def an_antibiotic(patient: str) -> dict[str, Any]:
    """As the hook's page writes it: doseAndRate is an object where R4 has a list, and the time has bounds."""
    return a_draft(
        patient,
        id="antibiotic",
        medicationCodeableConcept=concept("617993", display="Amoxicillin / clavulanate Oral Suspension"),
        meta={"lastUpdated": "2026-10-30T13:25:40.845-04:00"},
        text={"status": "generated", "div": "<div>Amoxicillin</div>"},
        dosageInstruction=[
            {
                "text": "5 mL twice a day for 10 days",
                "timing": {
                    "repeat": {
                        "boundsPeriod": {"start": "2026-11-21"},
                        "frequency": 2,
                        "period": 1,
                        "periodUnit": "d",
                    }
                },
                "doseAndRate": {"doseQuantity": {"value": 5, "unit": "mL", "code": "mL"}},
            }
        ],
    )


def envelope(request: dict[str, Any]) -> dict[str, Any]:
    """With everything that the specification's example of a request carries."""
    authorization = {
        "access_token": "opaque",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "user/Patient.read user/Observation.read",
        "subject": "cds-service4",
    }
    more = {"fhirServer": "https://ehr.example/fhir", "fhirAuthorization": authorization}
    return request | more | {"extension": {"com.example.timestamp": "2026-11-21T12:00:00Z"}}


def test_signing_a_diet_and_an_antibiotic_is_answered(ehr):
    patient = a_new_patient()
    request = envelope(a_hook(patient, a_diet(patient), an_antibiotic(patient)))
    request["context"] |= {"userId": "PractitionerRole/123", "encounterId": "89284"}
    answer = ehr.ask(request)
    assert {f["order"] for f in answer["extension"]["stewardship"]["findings"]} == {"antibiotic"}
    assert answer["extension"]["stewardship"]["disposition"] != "not-checked"


def test_selecting_two_orders_is_answered(ehr):
    patient = a_new_patient()
    request = envelope(a_hook(patient, a_diet(patient), an_antibiotic(patient), hook="order-select"))
    request["context"]["selections"] = ["NutritionOrder/diet", "MedicationRequest/antibiotic"]
    answer = ehr.ask(request)
    assert {f["order"] for f in answer["extension"]["stewardship"]["findings"]} == {"antibiotic"}


def test_opening_a_chart_is_answered(ehr):
    patient = a_new_patient()
    request = envelope(a_hook(patient, hook="patient-view"))
    request["context"] |= {"userId": "PractitionerRole/123", "encounterId": "456"}
    assert ehr.ask(request)["extension"]["stewardship"]["decision"]


def test_prefetched_search_results_are_bundles_and_reads_are_resources(ehr):
    patient = a_new_patient()
    past = a_past(patient, days_ago=10, length=5)
    prefetch = looked_after(patient) | {"medicationRequests": bundle(past, total=1)}
    answer = ehr.ask(envelope(a_hook(patient, a_draft(patient, length=5), prefetch=prefetch)))
    (course,) = (f for f in answer["extension"]["stewardship"]["findings"] if f["policy"] == "short-course")
    assert course["facts"]["days_in_window"] == 10
