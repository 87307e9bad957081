"""Alternatives over the API: the same answer as in the terminal, and nothing of a patient in an address."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from stewardship.domain.people import Role
from tests.api.conftest import a_case, json
from tests.builders import NOW, TODAY

PATIENT = "p-care"


def submitted(caller, patient=PATIENT):
    made = caller(Role.PRESCRIBER).post("/api/v1/orders", a_case(patient=patient))
    assert made.status_code in {HTTPStatus.OK, HTTPStatus.CREATED}


def test_a_patient_who_is_not_known_is_not_found(caller):
    asked = caller(Role.PRESCRIBER).post("/api/v1/alternatives", {"patient": "nobody"})
    assert asked.status_code == HTTPStatus.NOT_FOUND
    assert "nobody" not in asked.get_data(as_text=True)


def test_the_ladder_of_a_condition_with_its_reasons(caller):
    submitted(caller)
    asked = caller(Role.PHARMACIST).post(
        "/api/v1/alternatives", {"patient": PATIENT, "conditions": ["M17.11"]}
    )
    said = json(asked)
    assert asked.status_code == HTTPStatus.OK
    assert "osteoarthritis-knee" in {c["id"] for c in said["recommendation"]["conditions"]}
    assert {o["treatment"] for o in said["recommendation"]["offered"]} >= {"exercise", "weight-loss"}
    assert said["recommendation"]["asks"]
    assert all(b["ranked_by"]["strength"] for b in said["might_benefit"]["untried"])


def test_an_assessment_changes_what_is_advised(caller):
    submitted(caller)
    kept = caller(Role.PRESCRIBER).post(
        "/api/v1/assessments",
        {"patient": PATIENT, "on": TODAY.isoformat(), "neurological_deficit": True, "limits": ["work"]},
    )
    assert kept.status_code == HTTPStatus.CREATED
    said = json(caller(Role.PRESCRIBER).post("/api/v1/alternatives", {"patient": PATIENT}))
    assert said["triggers"]["fired"][0]["act"] == "urgent"
    assert said["assessed_on"] == TODAY.isoformat()


def test_pain_to_look_at_again_is_on_a_list_with_its_words(caller, clock):
    patient = "p-looked-at-again"
    submitted(caller, patient)
    doctor = caller(Role.PRESCRIBER)
    said = {"patient": patient, "on": TODAY.isoformat(), "onset_on": (TODAY - timedelta(3)).isoformat()}
    assert doctor.post("/api/v1/assessments", said).status_code == HTTPStatus.CREATED
    assert json(doctor.get("/api/v1/pain-follow-ups"))["follow_ups"] == []
    clock.at = NOW + timedelta(days=1)
    (line,) = json(doctor.get("/api/v1/pain-follow-ups"))["follow_ups"]
    assert (line["patient"], line["trigger"]) == (patient, "no-improvement-days")
    assert "seventh day" in line["say"]
    other = caller(Role.PHARMACIST)
    assert json(other.get("/api/v1/pain-follow-ups"))["follow_ups"] == []
    assert json(other.get("/api/v1/pain-follow-ups?whose=everybody"))["follow_ups"] == [line]


def test_an_evaluation_is_told_with_what_it_lacks(caller):
    patient = "p-evaluated"
    submitted(caller, patient)
    doctor = caller(Role.PRESCRIBER)
    said = {
        "patient": patient,
        "on": TODAY.isoformat(),
        "where": "low back, right",
        "pain_type": "neuropathic",
        "examined": [{"part": "reflexes", "finding": "abnormal", "note": "ankle"}],
        "documents": [{"kind": "imaging", "state": "outstanding"}],
        "studies": [{"kind": "mri", "region": "lumbar spine", "on": "2026-03-04"}],
        "tried": [{"what": "ibuprofen", "response": "partial", "relief_percent": 20, "dose": "as needed"}],
    }
    assert doctor.post("/api/v1/assessments", said).status_code == HTTPStatus.CREATED
    asked = {"patient": patient, "conditions": ["M54.16"], "helpful_studies": True}
    told = json(doctor.post("/api/v1/alternatives", asked))
    assert (told["evaluation"]["there"], told["evaluation"]["whole"]) == (5, False)
    assert told["evaluation"]["outstanding"] == ["imaging"]
    assert [s["kind"] for s in told["evaluation"]["studies"]] == ["mri"]
    assert {s["kind"] for s in told["evaluation"]["helpful"]} == {"mri", "nerve-conduction"}
    assert told["triggers"]["routing"]["straightforward"] is None
    assert "neurological-sign" in [t["trigger"] for t in told["triggers"]["fired"]]


def test_an_offer_of_nothing_known_names_the_place(caller):
    submitted(caller)
    refused = caller(Role.PRESCRIBER).post(
        "/api/v1/alternative-offers",
        {"patient": PATIENT, "treatment": "unheard-of", "reply": "offered", "on": TODAY.isoformat()},
    )
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert json(refused)["errors"][0]["pointer"] == "/treatment"


def test_a_pharmacist_reads_and_states_nothing(caller):
    refused = caller(Role.PHARMACIST).post(
        "/api/v1/assessments", {"patient": PATIENT, "on": TODAY.isoformat()}
    )
    assert refused.status_code == HTTPStatus.FORBIDDEN
