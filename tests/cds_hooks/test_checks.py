"""What is judged, and what the cards and the extension say about it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import text

from stewardship.db import transaction
from stewardship.domain.people import Role
from tests.cds_hooks.conftest import read
from tests.cds_hooks.requests import (
    FLURAZEPAM,
    IBUPROFEN,
    NOBODY_KNOWS,
    OXYCODONE_ER,
    a_draft,
    a_hook,
    a_new_patient,
    a_past,
    found,
    looked_after,
    topics,
)
from tests.intake.fhir import GONE, a_dispense, a_patient, bundle, other


@pytest.fixture
def patient() -> str:
    return a_new_patient()


def told(answer: dict[str, Any]) -> dict[str, Any]:
    return answer["extension"]["stewardship"]


def signing(patient: str, **draft: Any) -> dict[str, Any]:
    return a_hook(patient, a_draft(patient, **draft))


# --- cards --------------------------------------------------------------------------------------------


def test_a_short_course_without_a_history_says_nothing(ehr, patient):
    answer = ehr.ask(signing(patient))
    assert answer["cards"] == []
    assert told(answer)["disposition"] == "clear"
    assert {finding["outcome"] for finding in told(answer)["findings"]} == {"pass", "not-applicable"}


def test_a_card_has_what_the_specification_asks_for(ehr, patient):
    (card,) = ehr.ask(signing(patient, length=10))["cards"]
    assert set(card) == {
        "uuid", "summary", "detail", "indicator", "source", "overrideReasons", "suggestions",
        "selectionBehavior",
    }  # fmt: skip
    assert str(uuid.UUID(card["uuid"])) == card["uuid"]
    assert 0 < len(card["summary"]) < 140
    assert card["indicator"] == "critical"
    assert card["source"]["label"]
    assert card["source"]["url"].startswith("https://")
    assert set(card["source"]["topic"]) == {"system", "code", "display"}
    assert card["source"]["topic"]["code"] == "short-course"
    assert all(set(reason) == {"code", "system", "display"} for reason in card["overrideReasons"])


def test_no_card_prints_a_target_or_commands_a_taper_or_gives_an_all_clear(ehr, patient):
    cards = ehr.ask(signing(patient, length=40, medicationCodeableConcept=OXYCODONE_ER))["cards"]
    words = " ".join(card["summary"] + card["detail"] for card in cards).lower()
    assert words
    assert not [bad for bad in ("taper", "all clear", "safe to sign", "must ") if bad in words]


def test_each_problem_is_a_card_the_loudest_first(ehr, patient):
    answer = ehr.ask(signing(patient, length=10, dispenseRequest=two_refills(patient)))
    assert topics(answer) == ["schedule-ii-no-refills", "short-course"]
    assert [card["indicator"] for card in answer["cards"]] == ["critical"] * 2
    assert told(answer)["disposition"] == "blocked"


def two_refills(patient: str) -> dict[str, Any]:
    return {**a_draft(patient, length=10)["dispenseRequest"], "numberOfRepeatsAllowed": 2}


def test_findings_that_lack_a_fact_are_one_card_whatever_policy_they_are_of(ehr, patient):
    without_medicines = {"procedures": looked_after(patient)["procedures"], "conditions": None}
    answer = ehr.ask({**signing(patient), "prefetch": without_medicines})
    lacking = [f["policy"] for f in told(answer)["findings"] if f["missing"] == ["history"]]
    assert len(lacking) > 1
    (card,) = answer["cards"]
    assert card["summary"].startswith("The medication history is not complete. NOT checked: ")
    assert "No medication history was sent." in card["detail"]
    assert card["indicator"] == "warning"
    assert told(answer)["disposition"] == "needs-reason"
    (problem,) = told(answer)["problems"]
    assert sorted(problem["policies"]) == sorted(lacking)


def test_a_medicine_that_nobody_knows_is_one_warning_that_names_it(ehr, patient):
    answer = ehr.ask(signing(patient, medicationCodeableConcept=NOBODY_KNOWS))
    (card,) = answer["cards"]
    assert card["summary"].startswith(
        "Wonderdrug 5 MG Oral Tablet not recognised: opioid dose and course NOT checked"
    )
    assert card["indicator"] == "warning"
    unasked = {f["policy"] for f in told(answer)["findings"] if f["outcome"] != "cannot-tell"}
    # These two look at what the patient has, and this one has nothing.
    assert unasked == {"naloxone-offer", "oud-treatment"}


def test_free_text_alone_is_not_recognised(ehr, patient):
    answer = ehr.ask(signing(patient, medicationCodeableConcept={"text": "oxycodone 5 mg tablets"}))
    assert answer["cards"][0]["summary"].startswith("oxycodone 5 mg tablets not recognised")


def test_a_known_medicine_that_is_no_opioid_says_nothing(ehr, patient):
    answer = ehr.ask(signing(patient, medicationCodeableConcept=IBUPROFEN))
    assert answer["cards"] == []
    assert {f["outcome"] for f in told(answer)["findings"]} == {"not-applicable"}


def test_the_same_card_has_the_same_id_only_within_its_decision(ehr, patient):
    first, second = (ehr.ask(signing(patient, length=10))["cards"][0]["uuid"] for _ in range(2))
    assert first != second


# --- the decision -------------------------------------------------------------------------------------


def test_the_decision_is_at_its_address(ehr, patient, app, issued):
    answer = ehr.ask(signing(patient, length=10))
    assert told(answer)["decisions"] == [told(answer)["decision"]]
    client = app.test_client()
    stored = read(
        client.get(told(answer)["decision"], headers={"Authorization": f"Bearer {issued[Role.PHARMACIST]}"})
    )
    assert stored["disposition"] == told(answer)["disposition"] == "blocked"
    assert [f["policy"] for f in stored["findings"]] == [f["policy"] for f in told(answer)["findings"]]


def test_every_finding_is_told_whether_or_not_it_is_shown(ehr, library, patient):
    findings = told(ehr.ask(signing(patient, length=10)))["findings"]
    assert {f["policy"] for f in findings} == {policy.id for policy in library.policies}
    assert all(f["order"] == f"draft-of-{patient}" for f in findings)
    assert {"version", "outcome", "enforcement", "facts", "missing"} <= set(findings[0])


def test_a_draft_that_was_checked_is_not_history_afterwards(ehr, patient):
    for _ in range(2):
        answer = ehr.ask(signing(patient, length=5))
    assert found(answer, "short-course")["facts"]["days_in_window"] == 5


# --- the history --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        lambda past: {"item1": past},
        lambda past: {"anything": bundle(past)},
        lambda past: {"item1": {"response": {"status": "200"}, "resource": past}},
        lambda past: {"medicationRequests": bundle(past, total=1)},
        lambda past: {"a": bundle(past), "b": past},
    ],
)
def test_a_history_is_taken_from_any_key_in_any_wrapper_once(ehr, patient, wrap):
    answer = ehr.ask(
        a_hook(patient, a_draft(patient, length=5), prefetch=wrap(a_past(patient, days_ago=10, length=5)))
    )
    assert found(answer, "short-course")["facts"]["days_in_window"] == 10


def test_a_dispensing_and_its_prescription_are_one_exposure(ehr, patient):
    past = a_past(patient, days_ago=10, length=5)
    fill = a_dispense(
        subject={"reference": f"Patient/{patient}"},
        authorizingPrescription=[{"reference": f"MedicationRequest/{past['id']}"}],
        whenHandedOver="2026-11-12",
    )
    answer = ehr.ask(a_hook(patient, a_draft(patient, length=5), prefetch={"all": bundle(past, fill)}))
    assert found(answer, "short-course")["facts"]["days_in_window"] == 10


def test_the_draft_that_comes_again_in_the_history_counts_once(ehr, patient):
    draft = a_draft(patient, length=5)
    answer = ehr.ask(
        a_hook(patient, draft, prefetch={"medicationRequests": bundle({**draft, "status": "active"})})
    )
    assert found(answer, "short-course")["facts"]["days_in_window"] == 5


def missing(answer: dict[str, Any]) -> list[str]:
    return found(answer, "early-refill")["missing"]


def searched(kind: str, **said: Any) -> dict[str, Any]:
    """An empty Bundle that says what was searched for."""
    return bundle(link=[{"relation": "self", "url": f"https://ehr.example/fhir/{kind}?patient=1"}], **said)


OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
WARNING = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "information", "code": "informational"}],
}
NEXT = [{"relation": "next", "url": "https://ehr.example/fhir?page=2"}]


@pytest.mark.parametrize(
    ("history", "gap"),
    [
        ({}, "history-missing"),
        (None, "history-missing"),
        ({"item1": None}, "history-missing"),
        ({"medicationRequests": OUTCOME}, "history-error"),
        ({"medicationRequests": None, "item7": OUTCOME}, "history-error"),
        ({"medicationRequests": bundle(OUTCOME)}, "history-error"),
        ({"medicationRequests": "unavailable"}, "history-error"),
        ({"item1": {"resourceType": "Bundle", "entry": [{"response": {"status": "403"}}]}}, "history-error"),
        ({"medicationRequests": {}}, "history-error"),
        ({"medicationRequests": bundle(total=3)}, "history-incomplete"),
        ({"medicationRequests": bundle(link=NEXT)}, "history-incomplete"),
        ({"mine": searched("MedicationRequest", total=3)}, "history-incomplete"),
    ],
)  # fmt: skip
def test_a_history_that_is_not_whole_is_not_taken_for_none(ehr, patient, history, gap):
    request = {**signing(patient), "prefetch": history}
    answer = ehr.ask(request)
    assert missing(answer) == ["history"]
    assert found(answer, "early-refill")["facts"]["history_gaps"] == [gap]
    assert answer["cards"]


@pytest.mark.parametrize(
    "history",
    [
        {"medicationRequests": None},
        {"medicationDispenses": None},
        {"medicationRequests": bundle(total=0)},
        {"medicationRequests": bundle(WARNING, total=0)},
        {"medicationRequests": None, "goals": bundle(total=9)},
        {"mine": searched("MedicationRequest")},
    ],
)  # fmt: skip
def test_a_history_that_is_said_to_be_empty_is_none(ehr, patient, history):
    seen_to = {"done": looked_after(patient)["procedures"]}
    answer = ehr.ask({**signing(patient), "prefetch": history | seen_to | {"conditions": None}})
    assert missing(answer) == []
    assert answer["cards"] == []


def test_diagnoses_that_could_not_be_fetched_are_not_absent(ehr, patient):
    seen_to = {"done": looked_after(patient)["procedures"]}
    prefetch = {"medicationRequests": None, "conditions": OUTCOME} | seen_to
    answer = ehr.ask({**signing(patient), "prefetch": prefetch})
    (card,) = answer["cards"]
    assert "diagnoses" in card["summary"]
    assert found(answer, "sleep-disordered-breathing")["outcome"] == "cannot-tell"


def test_diagnoses_that_nobody_sent_are_not_absent(ehr, patient):
    request = signing(patient)
    del request["prefetch"]["conditions"]
    answer = ehr.ask(request)
    (card,) = answer["cards"]
    assert "diagnoses" in card["summary"]
    assert found(answer, "sleep-disordered-breathing")["outcome"] == "cannot-tell"


@pytest.mark.parametrize("sent", [None, bundle(total=0), searched("Condition")])
def test_diagnoses_that_are_said_to_be_none_are_none(ehr, patient, sent):
    request = signing(patient)
    request["prefetch"]["conditions"] = sent
    answer = ehr.ask(request)
    assert found(answer, "sleep-disordered-breathing")["outcome"] == "pass"
    assert answer["cards"] == []


def test_a_record_that_cannot_be_read_is_a_gap_and_not_a_crash(ehr, patient):
    past = a_past(patient, days_ago=10, authoredOn=["ZZQCANARY"])
    response = ehr.post(a_hook(patient, a_draft(patient), prefetch={"x": past}))
    answer = read(response)
    assert "resource-unreadable" in found(answer, "early-refill")["facts"]["history_gaps"]
    assert "ZZQCANARY" not in response.get_data(as_text=True)


def test_a_part_of_the_order_that_cannot_be_read_is_named(ehr, patient):
    dispense = {**a_draft(patient)["dispenseRequest"], "numberOfRepeatsAllowed": "5"}
    answer = ehr.ask(signing(patient, dispenseRequest=dispense))
    card = answer["cards"][0]
    assert card["summary"].startswith("Part of the order could not be read and was NOT checked")
    assert "dispenseRequest.numberOfRepeatsAllowed" in card["detail"]


# --- several drafts -----------------------------------------------------------------------------------


def two_drafts(patient: str) -> list[dict[str, Any]]:
    return [a_draft(patient, id=f"{patient}-a", length=5), a_draft(patient, id=f"{patient}-b", length=5)]


def test_every_draft_is_judged_with_the_others_beside_it(ehr, patient):
    answer = ehr.ask(a_hook(patient, *two_drafts(patient)))
    assert len(told(answer)["decisions"]) == 2
    of_course = [f for f in told(answer)["findings"] if f["policy"] == "short-course"]
    assert [(f["order"], f["facts"]["days_in_window"]) for f in of_course] == [
        (f"{patient}-a", 10),
        (f"{patient}-b", 10),
    ]
    assert topics(answer).count("short-course") == 2
    assert all("Order: " in card["detail"] for card in answer["cards"])


def test_only_the_selected_draft_is_judged_and_the_others_still_count(ehr, patient):
    selected = {"selections": [f"MedicationRequest/{patient}-b"]}
    answer = ehr.ask(a_hook(patient, *two_drafts(patient), hook="order-select", context=selected))
    assert {f["order"] for f in told(answer)["findings"]} == {f"{patient}-b"}
    assert found(answer, "short-course")["facts"]["days_in_window"] == 10


@pytest.mark.parametrize("selections", [GONE, [], ["MedicationRequest/another"]])
def test_when_it_is_not_told_which_draft_was_selected_all_are_judged(ehr, patient, selections):
    said = {} if selections is GONE else {"selections": selections}
    answer = ehr.ask(a_hook(patient, *two_drafts(patient), hook="order-select", context=said))
    assert len(told(answer)["decisions"]) == 2


def test_a_selection_of_another_type_leaves_nothing_to_judge(ehr, patient):
    selected = {"selections": ["ServiceRequest/x"]}
    answer = ehr.ask(a_hook(patient, a_draft(patient, length=30), hook="order-select", context=selected))
    assert answer["cards"] == []
    assert (told(answer)["decision"], told(answer)["findings"]) == (None, [])


def test_drafts_of_other_types_are_ignored(ehr, patient):
    about = {"subject": {"reference": f"Patient/{patient}"}}
    others = [other("ServiceRequest", **about), other("NutritionOrder", **about)]
    answer = ehr.ask(a_hook(patient, *others, a_draft(patient)))
    assert len(told(answer)["decisions"]) == 1
    assert ehr.ask(a_hook(patient, *others))["cards"] == []


def test_a_draft_of_an_earlier_release_is_not_passed_over_in_silence(ehr, patient):
    (card,) = ehr.ask(a_hook(patient, other("MedicationOrder")))["cards"]
    assert card["summary"].startswith(
        "MedicationOrder is not read by this service: this order was NOT checked"
    )


def test_a_draft_not_to_give_something_is_not_judged(ehr, patient):
    assert told(ehr.ask(signing(patient, doNotPerform=True)))["findings"] == []


# --- opening a chart ----------------------------------------------------------------------------------


def test_a_chart_is_looked_at_without_an_order(ehr, patient):
    answer = ehr.ask(a_hook(patient, hook="patient-view"))
    assert told(answer)["decision"].startswith("/api/v1/decisions/")
    assert {f["order"] for f in told(answer)["findings"]} == {None}


def test_a_chart_may_be_opened_for_a_patient_named_by_reference(ehr, patient):
    request = a_hook(patient, a_draft(patient), context={"patientId": f"Patient/{patient}"})
    assert ehr.ask(request)["cards"] == []


def test_a_benzodiazepine_is_judged_by_its_own_policies_only(ehr, patient):
    answer = ehr.ask(signing(patient, medicationCodeableConcept=FLURAZEPAM, length=30))
    assert "short-course" not in topics(answer)
    assert found(answer, "short-course")["outcome"] == "not-applicable"


def test_a_patient_who_is_said_twice_is_one(ehr, patient):
    both = {"a": a_patient(id=patient), "b": a_patient(id=patient), **looked_after(patient)}
    assert ehr.ask(a_hook(patient, prefetch=both))["cards"] == []


# --- what a pharmacist closes afterwards --------------------------------------------------------------


@pytest.mark.parametrize(("hook", "flags"), [("order-sign", 1), ("order-select", 0)])
def test_an_order_that_is_signed_unchecked_is_a_flag_for_the_pharmacist(ehr, sessions, patient, hook, flags):
    draft = a_draft(patient, medicationCodeableConcept=NOBODY_KNOWS)
    more = {"context": {"selections": [f"MedicationRequest/{draft['id']}"]}} if hook == "order-select" else {}
    for _ in range(2):
        ehr.ask(a_hook(patient, draft, hook=hook, **more))
    with transaction(sessions, write=False) as session:
        asked = text(
            "SELECT kind FROM flags JOIN patients ON patients.id = flags.patient_id WHERE ehr_id = :patient"
        )
        found = session.execute(asked, {"patient": patient}).scalars().all()
    assert found == ["unchecked-order"] * flags
