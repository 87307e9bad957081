"""Function over the API: forms, responses, measurements, trends, goals, reviews, the calendar."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from stewardship.db import Sessions, transaction
from stewardship.declarations import Library
from stewardship.domain.chart import Patient
from stewardship.domain.people import Principal, Role
from stewardship.intake.strict_json import loads
from stewardship.services import history
from tests.api.conftest import HERE, Caller, Clock, json
from tests.builders import NOW, a_chart, a_supply

_numbers = count(1)
WALK = {
    "activity": "walk to the shop",
    "baseline": "ten minutes",
    "target": "twenty-five minutes",
    "due_on": "2027-03-31",
}


@pytest.fixture
def prescriber(caller: Callable[..., Caller]) -> Caller:
    return caller(Role.PRESCRIBER)


@pytest.fixture
def patient() -> str:
    """Somebody nobody knows yet."""
    return f"p-function-{next(_numbers)}"


def peg(patient: str, *answers: int | None, at: str = "2026-11-21T11:00:00Z", **more: Any) -> dict[str, Any]:
    given = dict(zip(("pain", "enjoyment", "activity"), answers, strict=True))
    return {"patient": patient, "instrument": "peg", "answers": given, "taken_at": at, **more}


def response(patient: str, *answers: int, **more: Any) -> dict[str, Any]:
    items = [
        {"linkId": name, "answer": [{"valueInteger": value}]}
        for name, value in zip(("pain", "enjoyment", "activity"), answers, strict=True)
    ]
    return {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": "https://opioid-stewardship.example/Questionnaire/peg|1",
        "subject": {"reference": f"Patient/{patient}"},
        "authored": "2026-11-20",
        "item": items,
        **more,
    }


# --- instruments and forms -----------------------------------------------------------------------------


def test_every_instrument_has_a_form_and_of_licensed_ones_only_results_are_asked(prescriber: Caller) -> None:
    listed = json(prescriber.get("/api/v1/instruments"))["instruments"]
    assert {"peg", "psfs", "odi", "opioid-risk-tool"} <= {one["id"] for one in listed}
    for one in listed:
        answered = prescriber.get(f"/api/v1/instruments/{one['id']}/questionnaire")
        assert answered.content_type == "application/fhir+json"
        form = loads(answered.get_data(), max_bytes=1_000_000)
        assert isinstance(form, dict)
        assert [item["linkId"] for item in form["item"]] == one["items"]
        if one["licensed"]:
            assert form["purpose"].startswith("Results of a licensed form")


def test_a_form_that_is_not_there(prescriber: Caller) -> None:
    assert prescriber.get("/api/v1/instruments/nothing/questionnaire").status_code == 404


@pytest.mark.parametrize("content_type", ["application/json", "application/fhir+json"])
def test_a_response_becomes_a_measurement_once(prescriber: Caller, patient: str, content_type: str) -> None:
    said = response(patient, 7, 7, 6, id=patient)
    where = "/api/v1/instruments/peg/questionnaire-response"
    first = prescriber.post(where, said, content_type=content_type)
    assert first.status_code == 201
    found = json(first)
    assert (found["score"], found["exact"], found["taken_on"]) == (Decimal("6.7"), "20/3", "2026-11-20")
    assert json(prescriber.post(where, said)) == found
    assert prescriber.post(where, response(patient, 1, 1, 1, id=patient)).status_code == 409


@pytest.mark.parametrize(
    ("source", "reporter"),
    [("Patient/x", "patient"), ("Practitioner/x", "clinician"), (None, "system"), ("Device/x", "system")],
    ids=["patient", "practitioner", "unsaid", "device"],
)
def test_who_gave_the_answers_is_kept(
    prescriber: Caller, patient: str, source: str | None, reporter: str
) -> None:
    more = {"source": {"reference": source}} if source else {}
    said = response(patient, 5, 5, 5, **more)
    found = json(prescriber.post("/api/v1/instruments/peg/questionnaire-response", said))
    assert found["reported_by"] == reporter


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"subject": None}, "/subject"),
        ({"authored": None}, "/authored"),
        ({"status": "in-progress"}, "/status"),
        (
            {"questionnaire": "https://opioid-stewardship.example/Questionnaire/odi|1", "item": []},
            "/questionnaire",
        ),
    ],
    ids=["nobody", "no-day", "unfinished", "another-form"],
)
def test_a_response_that_cannot_be_taken_says_why(
    prescriber: Caller, patient: str, wrong: dict[str, Any], pointer: str
) -> None:
    said = {
        name: value for name, value in {**response(patient, 5, 5, 5), **wrong}.items() if value is not None
    }
    refused = prescriber.post("/api/v1/instruments/peg/questionnaire-response", said)
    assert refused.status_code == 422
    assert [e["pointer"] for e in json(refused)["errors"]] == [pointer]


# --- measurements -----------------------------------------------------------------------------------------


def test_a_measurement_says_its_score_and_one_with_open_items_why_there_is_none(
    prescriber: Caller, patient: str
) -> None:
    found = json(prescriber.post("/api/v1/measurements", peg(patient, 8, 7, 6)))
    assert (found["outcome"], found["score"], found["parts"]["function"]) == (
        "scored", Decimal("7.0"), Decimal("6.5"),
    )  # fmt: skip
    short = json(prescriber.post("/api/v1/measurements", peg(patient, None, 7, 6)))
    assert (short["outcome"], short["score"], short["missing"]) == ("cannot-tell", None, ["pain"])
    listed = json(prescriber.post("/api/v1/measurements/search", {"patient": patient}))["measurements"]
    assert [one["id"] for one in listed] == sorted(one["id"] for one in (found, short))


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"answers": {"pain": "7"}}, "/answers/pain"),
        ({"answers": {"pain": 11}}, "/answers/pain"),
        ({"answers": {}}, "/answers"),
        ({"taken_at": "2026-11-21"}, "/taken_at"),
        ({"taken_at": "2027-11-21T12:00:00Z"}, "/taken_at"),
        ({"score": 3}, "/score"),
    ],
    ids=["text", "out-of-range", "empty", "a-day", "to-come", "unknown"],
)
def test_what_is_no_measurement(
    prescriber: Caller, patient: str, wrong: dict[str, Any], pointer: str
) -> None:
    refused = prescriber.post("/api/v1/measurements", {**peg(patient, 1, 1, 1), **wrong})
    assert refused.status_code == 422
    assert json(refused)["errors"][0]["pointer"].startswith(pointer)


def test_trends_judge_each_line_for_itself(prescriber: Caller, patient: str) -> None:
    prescriber.post("/api/v1/measurements", peg(patient, 7, 7, 7, at="2026-10-21T11:00:00Z"))
    prescriber.post("/api/v1/measurements", peg(patient, 7, 4, 4))
    (trend,) = json(prescriber.post("/api/v1/trends", {"patient": patient}))["trends"]
    verdicts = {line["part"]: line["since_first"]["verdict"] for line in trend["lines"]}
    assert verdicts == {"": "unchanged", "function": "better", "pain": "unchanged"}
    # 7.0 to 5.0 is two points, and not 30 % of seven.
    assert trend["lines"][0]["since_first"]["percent"] == Decimal("28.6")


def test_a_mistake_is_named_and_counts_for_nothing(prescriber: Caller, patient: str) -> None:
    found = json(prescriber.post("/api/v1/measurements", peg(patient, 7, 7, 7)))
    where = f"/api/v1/measurements/{found['id']}/entered-in-error"
    assert prescriber.post(where, {"reason": " "}).status_code == 422
    assert json(prescriber.post(where, {"reason": "another patient"}))["in_error"] == "another patient"
    assert json(prescriber.post("/api/v1/trends", {"patient": patient}))["trends"] == []


# --- goals -------------------------------------------------------------------------------------------------


def test_a_goal_from_set_to_reached(prescriber: Caller, patient: str) -> None:
    made = prescriber.post("/api/v1/goals", {"patient": patient, **WALK})
    assert made.status_code == 201
    goal = json(made)
    where = f"/api/v1/goals/{goal['id']}"
    changed = {**WALK, "target": "half an hour", "version": 1}
    assert json(prescriber.post(f"{where}/change", changed))["target"] == "half an hour"
    stale = prescriber.post(f"{where}/reach", {"version": 1})
    assert stale.status_code == 409
    done = json(prescriber.post(f"{where}/reach", {"version": 2}))
    assert (done["state"], done["stands"]) == ("reached", False)
    (listed,) = json(prescriber.post("/api/v1/goals/search", {"patient": patient}))["goals"]
    assert [step["event"] for step in listed["steps"]] == ["set", "changed", "reached"]


def test_pain_free_alone_is_no_goal(prescriber: Caller, patient: str) -> None:
    refused = prescriber.post("/api/v1/goals", {"patient": patient, **WALK, "activity": "be pain free"})
    assert refused.status_code == 422
    (error,) = json(refused)["errors"]
    assert (error["pointer"], error["code"]) == ("/activity", "pain-alone")
    assert "walk to the shop" in error["message"]


# --- reviews -----------------------------------------------------------------------------------------------


@pytest.fixture
def starts(sessions: Sessions, library: Library, patient: str) -> str:
    """A patient who started thirty days of oxycodone ten days ago."""
    supply = a_supply(
        drug=library.catalogue.by_rxcui("1049621"),
        start=NOW.date().replace(day=11),
        days=30,
        quantity=120,
        prescriber=f"dr-{patient}",
    )
    with transaction(sessions) as session:
        chart = a_chart(supply, patient=Patient(patient))
        history.record(session, chart, by=Principal("setup", HERE, Role.PRESCRIBER), now=NOW)
    return patient


def test_a_review_from_planned_to_done(prescriber: Caller, starts: str, clock: Clock) -> None:
    (planned,) = json(prescriber.post("/api/v1/reviews/plan", {"patient": starts}))["reviews"]
    assert (planned["state"], planned["exact_on"]) == ("planned", "2026-11-25")
    assert planned["because"] == "An opioid for acute pain is being continued"
    ahead = json(prescriber.get(f"/api/v1/reviews?state=planned&clinician=dr-{starts}"))
    assert [one["review"] for one in ahead["reviews"]] == [planned["id"]]
    where = f"/api/v1/reviews/{planned['id']}"
    pain = {"patient": starts, "instrument": "pain-intensity", "answers": {"pain": 2}}
    score = json(prescriber.post("/api/v1/measurements", {**pain, "taken_at": "2026-11-21T11:00:00Z"}))
    said = {"on": "2026-11-21", "measurements": [score["id"]]}
    refused = prescriber.post(f"{where}/complete", said)
    assert (refused.status_code, json(refused)["errors"][0]["code"]) == (422, "no-function")
    measured = json(prescriber.post("/api/v1/measurements", peg(starts, 6, 6, 6)))
    done = json(prescriber.post(f"{where}/complete", {**said, "measurements": [measured["id"]]}))
    assert (done["state"], done["done_on"], done["late_days"]) == ("done", "2026-11-21", 0)
    reviews = json(prescriber.post("/api/v1/reviews/search", {"patient": starts}))["reviews"]
    assert [one["state"] for one in reviews] == ["done", "planned"]


def test_a_review_is_cancelled_with_a_reason_and_put_on_a_worklist(prescriber: Caller, starts: str) -> None:
    (planned,) = json(prescriber.post("/api/v1/reviews/plan", {"patient": starts}))["reviews"]
    where = f"/api/v1/reviews/{planned['id']}"
    assert json(prescriber.post(f"{where}/assign", {"clinician": "dr-9"}))["clinician"] == "dr-9"
    assert prescriber.post(f"{where}/cancel", {}).status_code == 422
    assert json(prescriber.post(f"{where}/cancel", {"reason": "hospice"}))["state"] == "cancelled"
    assert json(prescriber.get(where))["reason"] == "hospice"


def test_a_list_of_another_state_is_refused(prescriber: Caller) -> None:
    assert prescriber.get("/api/v1/reviews?state=done").status_code == 422


# --- the calendar ------------------------------------------------------------------------------------------


def test_the_calendar_is_set_by_an_administrator(caller: Callable[..., Caller], prescriber: Caller) -> None:
    before = json(prescriber.get("/api/v1/calendar"))
    new_york = {"time_zone": "America/New_York", "country": "US", "region": "NY", "weekend": [6, 7]}
    assert prescriber.post("/api/v1/calendar", new_york).status_code == 403
    admin = caller(Role.ADMIN)
    try:
        assert json(admin.post("/api/v1/calendar", new_york))["today"] == "2026-11-21"
        assert json(prescriber.get("/api/v1/calendar"))["region"] == "NY"
        refused = admin.post("/api/v1/calendar", {**new_york, "time_zone": "Mars/Olympus"})
        assert (refused.status_code, json(refused)["errors"][0]["pointer"]) == (422, "/time_zone")
    finally:
        admin.post("/api/v1/calendar", {name: before[name] for name in new_york})


def test_function_is_drawn_beside_the_dose(prescriber: Caller, starts: str) -> None:
    nothing = prescriber.post("/api/v1/trends/picture", {"patient": starts, "instrument": "peg"})
    assert nothing.status_code == 404
    prescriber.post("/api/v1/measurements", peg(starts, 6, 6, 6))
    drawn = json(prescriber.post("/api/v1/trends/picture", {"patient": starts, "instrument": "peg"}))
    assert drawn["svg"].startswith("<svg ")
    assert drawn["rows"] == [
        {"on": "2026-11-21", "score": Decimal("6.0"), "verdict": None, "mme_per_day": Decimal("30.0")}
    ]
