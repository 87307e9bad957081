"""Assessments, plans and tapers on pages: what is kept, what is refused beside its field, who was first."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from stewardship.db import transaction
from stewardship.domain.chart import Condition
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.people import Principal, Role
from stewardship.services import care, patients, plans, tapers
from tests.api.conftest import ELSEWHERE, HERE
from tests.builders import NOW, TODAY, a_supply
from tests.web.conftest import running_of, signed_in
from tests.web.test_prescriber_pages import OXYCODONE, a_patient, id_in, main_of, send
from tests.web.test_threats import logged

__all__ = ["logged"]
BY = Principal("u-reader", HERE, Role.PRESCRIBER)
IBUPROFEN = "310965"
LATER = (TODAY + timedelta(days=90)).isoformat()


@pytest.fixture
def prescriber(client: FlaskClient) -> FlaskClient:
    """A browser in which a prescriber is signed in."""
    signed_in(client, Role.PRESCRIBER)
    return client


@pytest.fixture
def patient(app: Flask) -> str:
    """The path of a patient with low back pain who has taken oxycodone, 20 mg a day, for a year."""
    drug = running_of(app).library.catalogue.by_rxcui(OXYCODONE)
    fills = [
        a_supply(start=TODAY - timedelta(days=30 * n + 5), days=30, quantity=120, drug=drug)
        for n in range(13)
    ]
    code = Coding(ICD10CM, "M54.50", "Low back pain")
    pain = Condition("c-1", (code,), active=True, onset=TODAY - timedelta(days=800))
    return a_patient(app, *fills, conditions=(pain,))


def known_as(app: Flask, patient: str) -> str:
    with transaction(running_of(app).sessions, write=False) as session:
        return patients.known(session, id_in(patient), by=BY)[1]


def faults(page: str) -> dict[str, str]:
    """What is said beside each field."""
    return dict(re.findall(r'<span class="usa-error-message" id="([a-z0-9_-]+)-fault">([^<]+)</span>', page))


def a_plan(**changes: str) -> dict[str, str]:
    return {
        "condition": "M54.50",
        "owner": "primary-care",
        "on": TODAY.isoformat(),
        "chronic": "yes",
        "activity": "walk to the shop",
        "baseline": "to the corner",
        "target": "there and back",
        "due_on": LATER,
    } | changes


def started(client: FlaskClient, patient: str) -> str:
    answer = send(client, f"{patient}/plans/new", a_plan())
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


def version_on(page: str) -> str:
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found is not None
    return found[1]


def step_of(page: str) -> str:
    found = re.search(r"/steps/([0-9a-f]{32})/", page)
    assert found is not None
    return found[1]


def with_step(client: FlaskClient, plan: str, **changes: str) -> str:
    """A plan with exercise in it; the path of the step."""
    page = client.get(f"{plan}/steps/new").text
    said = {"treatment": "exercise", "on": TODAY.isoformat(), "version": version_on(page)} | changes
    answer = send(client, f"{plan}/steps/new", said)
    assert answer.status_code == 303, faults(answer.text)
    return f"{plan}/steps/{step_of(client.get(plan).text)}"


def act(client: FlaskClient, step: str, what: str, **said: Any) -> Any:
    page = client.get(f"{step}/{what}").text
    return send(client, f"{step}/{what}", {"on": TODAY.isoformat(), "version": version_on(page)} | said)


# --- assessments -----------------------------------------------------------------------------------


def test_an_assessment_keeps_what_was_looked_at_and_nothing_else(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    said = {
        "on": TODAY.isoformat(), "change": "worse", "limits": ["work", "sleep"], "conservative": "yes",
        "surgical_candidate": "no", "allergies": "ibuprofen, naproxen",
        "tried-1-what": "exercise", "tried-1-response": "partial", "tried-1-note": "six weeks",
    }  # fmt: skip
    assert send(prescriber, f"{patient}/assessment", said).status_code == 303
    with transaction(running_of(app).sessions, write=False) as session:
        ((on, kept),) = care.beside(session, running_of(app).library, id_in(patient), by=BY).assessed
    assert on == TODAY
    assert (kept.change, kept.limits, kept.conservative, kept.surgical_candidate) == (
        "worse", ("work", "sleep"), True, False,
    )  # fmt: skip
    assert kept.allergies == ("ibuprofen", "naproxen")
    assert [(one.what, one.response.value, one.note) for one in kept.tried or ()] == [
        ("exercise", "partial", "six weeks")
    ]
    assert kept.wants_to_reduce is None
    page = prescriber.get(f"{patient}/assessment").text
    assert "Last said: yes (21 Nov 2026)." in page
    assert "Last said: worse" in page


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "form"),
        ({"on": "2027-01-01", "change": "same"}, "on"),
        ({"on": "yesterday", "change": "same"}, "on"),
        ({"change": "worst"}, "change"),
        ({"tried-2-what": "exercise"}, "tried-2-response"),
        ({"tried-0-response": "harm"}, "tried-0-what"),
        ({"onset_on": "1961-02-30"}, "onset_on"),
    ],
    ids=["nothing", "future", "no day", "no word", "no effect", "no treatment", "no such day"],
)
def test_what_an_assessment_may_not_say_is_said_beside_its_field(
    prescriber: FlaskClient, patient: str, said: dict[str, str], field: str
) -> None:
    typed = {"on": TODAY.isoformat(), "tried-0-note": "typed words" if field != "form" else ""} | said
    if field != "tried-0-what" and field != "form":
        typed |= {"tried-0-what": "exercise", "tried-0-response": typed.get("tried-0-response", "partial")}
    answer = send(prescriber, f"{patient}/assessment", typed)
    assert answer.status_code == 422
    if field == "form":
        assert "Nothing is filled in" in answer.text
    else:
        assert set(faults(answer.text)) == {field}
        assert f'href="#{field}"' in answer.text
        assert "typed words" in answer.text


# --- plans -------------------------------------------------------------------------------------------


def test_a_plan_goes_from_its_start_to_its_end(app: Flask, prescriber: FlaskClient, patient: str) -> None:
    plan = started(prescriber, patient)
    assert "No step yet." in prescriber.get(plan).text
    step = with_step(prescriber, plan)
    assert act(prescriber, step, "begin").status_code == 303
    assert "Somebody looks" in prescriber.get(plan).text
    did = act(prescriber, step, "respond", relief="50", function="better", note="walks daily")
    assert did.status_code == 303
    page = prescriber.get(plan).text
    assert "<strong>meaningful</strong>" in page
    assert "relief 50&nbsp;%" in page
    assert "walks daily" in page
    assert act(prescriber, step, "end", status="completed").status_code == 303
    version = version_on(prescriber.get(f"{plan}/close").text)
    said = {"on": TODAY.isoformat(), "status": "completed", "version": version}
    assert send(prescriber, f"{plan}/close", said).status_code == 303
    with transaction(running_of(app).sessions, write=False) as session:
        held = plans.read(session, running_of(app).library, id_in(plan), by=BY, now=NOW)
    assert (held.plan.status.value, held.plan.steps[0].status.value) == ("completed", "completed")
    assert "Add a step" not in prescriber.get(plan).text
    assert f'href="{plan}"' not in prescriber.get(patient).text


def test_the_patients_page_leads_to_the_plan_and_its_next_step(prescriber: FlaskClient, patient: str) -> None:
    plan = started(prescriber, patient)
    page = prescriber.get(patient).text
    assert f'href="{plan}">Low back pain</a>' in page
    assert "Plan for Low back pain" in prescriber.get(plan).text


def test_sent_twice_a_plan_is_one(app: Flask, prescriber: FlaskClient, patient: str) -> None:
    form = prescriber.get(f"{patient}/plans/new").text
    own = re.search(r'name="id" value="([0-9a-f]{32})"', form)
    assert own is not None
    first, second = (send(prescriber, f"{patient}/plans/new", a_plan(id=own[1])) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    with transaction(running_of(app).sessions, write=False) as session:
        found = plans.of_patient(session, running_of(app).library, known_as(app, patient), by=BY, now=NOW)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"condition": ""}, "condition"),
        ({"other": "back"}, "other"),
        ({"owner": ""}, "owner"),
        ({"activity": ""}, "activity"),
        ({"target": "to the corner"}, "target"),
        ({"due_on": TODAY.isoformat()}, "due_on"),
        ({"on": "2027-01-01"}, "on"),
        ({"on": ""}, "on"),
    ],
    ids=["condition", "other", "owner", "activity", "target", "due", "future", "day"],
)
def test_a_plan_that_does_not_say_all_is_refused_beside_the_field_and_kept_as_typed(
    prescriber: FlaskClient, patient: str, changes: dict[str, str], field: str
) -> None:
    answer = send(prescriber, f"{patient}/plans/new", a_plan(note="what I typed") | changes)
    assert answer.status_code == 422
    assert field in faults(answer.text)
    assert "what I typed</textarea>" in answer.text


def test_an_intervention_asks_for_its_reasons_beside_the_fields(
    prescriber: FlaskClient, patient: str
) -> None:
    plan = started(prescriber, patient)
    version = version_on(prescriber.get(f"{plan}/steps/new").text)
    said = {
        "treatment": "nerve-root-block", "basis": "imaging", "on": TODAY.isoformat(),
        "note": "what I typed", "version": version,
    }  # fmt: skip
    refused = send(prescriber, f"{plan}/steps/new", said)
    assert refused.status_code == 422
    found = faults(refused.text)
    assert "Imaging alone never suffices" in found["basis"]
    assert {"target", "skipped"} <= set(found)
    assert "what I typed</textarea>" in refused.text
    assert re.search(r'value="nerve-root-block" selected', refused.text)


@pytest.mark.parametrize(
    ("said", "field"),
    [({"relief": "many"}, "relief"), ({"relief": "101"}, "relief"), ({"hours": "-1"}, "hours"), ({}, "form")],
    ids=["no number", "too much", "negative", "nothing"],
)
def test_a_response_that_says_nothing_is_refused(
    prescriber: FlaskClient, patient: str, said: dict[str, str], field: str
) -> None:
    step = with_step(prescriber, started(prescriber, patient))
    act(prescriber, step, "begin")
    refused = act(prescriber, step, "respond", note="what I typed", **said)
    assert refused.status_code == 422
    assert "what I typed</textarea>" in refused.text
    assert f'href="#{field}"' in refused.text or field == "form"


def test_whoever_comes_second_to_a_plan_is_told_who_was_first_and_keeps_what_was_typed(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    plan = started(prescriber, patient)
    step = with_step(prescriber, plan)
    seen = version_on(prescriber.get(f"{step}/begin").text)
    beside = app.test_client()
    first = signed_in(beside, Role.PRESCRIBER)
    assert act(beside, step, "begin").status_code == 303
    said = {"on": (TODAY - timedelta(days=1)).isoformat(), "version": seen}
    refused = send(prescriber, f"{step}/begin", said)
    assert refused.status_code == 409
    assert first.user_id in refused.text
    assert f'value="{said["on"]}"' in refused.text
    assert version_on(refused.text) != seen


def test_a_plan_of_another_patient_or_organisation_is_like_a_missing_one(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    plan = started(prescriber, patient)
    prescriber.get(plan)
    other = a_patient(app)
    absent = main_of(prescriber.get(f"{patient}/plans/{'0' * 32}").text)
    for path in (plan, f"{plan}/steps/new", f"{plan}/close"):
        moved = path.replace(patient, other)
        assert prescriber.get(moved).status_code == 404, moved
    assert main_of(prescriber.get(plan.replace(patient, other)).text) == absent
    stranger = app.test_client()
    signed_in(stranger, Role.PRESCRIBER, ELSEWHERE)
    assert stranger.get(plan).status_code == 404
    assert send(stranger, f"{plan}/close", {"status": "stopped", "on": TODAY.isoformat()}).status_code == 404


def test_a_pharmacist_reads_a_plan_and_changes_none(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    plan = started(prescriber, patient)
    pharmacist = app.test_client()
    signed_in(pharmacist, Role.PHARMACIST)
    page = pharmacist.get(plan)
    assert page.status_code == 200
    assert "Add a step" not in page.text
    assert pharmacist.get(f"{plan}/steps/new").status_code == 403


# --- tapers ------------------------------------------------------------------------------------------


def a_taper(**changes: str) -> dict[str, str]:
    return {
        "rxcui": OXYCODONE,
        "starts_on": (TODAY + timedelta(days=10)).isoformat(),
        "mg_per_day": "40",
        "days_on": "400",
        "asked_by": "patient",
        "for_pain": "yes",
        "decided_on": TODAY.isoformat(),
        "agreed": "yes",
        "words": "to drive again",
        "naloxone": "yes",
        "do": "begin",
    } | changes


def begun(client: FlaskClient, patient: str) -> str:
    answer = send(client, f"{patient}/tapers/new", a_taper())
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


def test_a_schedule_is_shown_and_nothing_is_kept(app: Flask, prescriber: FlaskClient, patient: str) -> None:
    shown = send(prescriber, f"{patient}/tapers/new", a_taper(do="preview"))
    assert shown.status_code == 200
    assert "from 40&nbsp;" in shown.text
    part = send(prescriber, f"{patient}/tapers/new", a_taper(do="preview"), headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert "Steps of the schedule" in part.text
    with transaction(running_of(app).sessions, write=False) as session:
        assert tapers.standing(session, id_in(patient), by=BY) == ()


def test_a_taper_is_begun_paused_taken_up_and_stopped(
    app: Flask, prescriber: FlaskClient, patient: str
) -> None:
    taper = begun(prescriber, patient)
    assert "to drive again" in prescriber.get(taper).text
    assert f'href="{taper}"' in prescriber.get(patient).text
    states = []
    for what in ("pause", "resume", "stop"):
        assert act(prescriber, taper, what, reason=f"because of {what}").status_code == 303
        with transaction(running_of(app).sessions, write=False) as session:
            (held,) = tapers.standing(session, id_in(patient), by=BY)
        states.append(held.taper.status.value)
    assert states == ["paused", "active", "stopped"]
    page = prescriber.get(taper).text
    assert "because of resume" in page
    assert "Pause" not in main_of(page)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rxcui": ""}, "rxcui"),
        ({"starts_on": ""}, "starts_on"),
        ({"asked_by": ""}, "asked_by"),
        ({"mg_per_day": "lots"}, "mg_per_day"),
        ({"agreed": ""}, "agreed"),
        ({"words": " "}, "words"),
        ({"naloxone": ""}, "naloxone"),
        ({"decided_on": "2027-06-01"}, "decided_on"),
    ],
    ids=["medicine", "start", "who", "dose", "agreed", "words", "naloxone", "future"],
)
def test_a_taper_begins_only_as_both_decided_and_says_beside_the_field_what_is_missing(
    app: Flask, prescriber: FlaskClient, patient: str, changes: dict[str, str], field: str
) -> None:
    refused = send(prescriber, f"{patient}/tapers/new", a_taper(days_on="401") | changes)
    assert refused.status_code == 422
    assert field in faults(refused.text)
    assert 'value="401"' in refused.text
    with transaction(running_of(app).sessions, write=False) as session:
        assert tapers.standing(session, id_in(patient), by=BY) == ()


def test_where_no_taper_is_planned_the_page_says_why(prescriber: FlaskClient, patient: str) -> None:
    shown = send(prescriber, f"{patient}/tapers/new", a_taper(do="preview", other=IBUPROFEN))
    assert "No taper is planned:" in shown.text
    refused = send(prescriber, f"{patient}/tapers/new", a_taper(other=IBUPROFEN))
    assert refused.status_code == 422
    assert "No taper is planned" in refused.text


def test_a_taper_is_slowed_and_never_made_faster(prescriber: FlaskClient, patient: str) -> None:
    taper = begun(prescriber, patient)
    refused = act(prescriber, taper, "slow", percent="50", step_days="7", reason="hurry")
    assert refused.status_code == 422
    assert "percent" in faults(refused.text)
    assert "hurry</textarea>" in refused.text
    assert (
        act(prescriber, taper, "slow", percent="5", step_days="42", reason="sleeps badly").status_code == 303
    )
    assert "5 % every 42 days" in prescriber.get(taper).text


def test_whoever_comes_second_to_a_taper_is_told(app: Flask, prescriber: FlaskClient, patient: str) -> None:
    taper = begun(prescriber, patient)
    seen = version_on(prescriber.get(f"{taper}/pause").text)
    beside = app.test_client()
    first = signed_in(beside, Role.PRESCRIBER)
    assert act(beside, taper, "pause", reason="a fall").status_code == 303
    said = {"on": TODAY.isoformat(), "reason": "what I typed", "version": seen}
    refused = send(prescriber, f"{taper}/pause", said)
    assert refused.status_code == 409
    assert first.user_id in refused.text
    assert "what I typed</textarea>" in refused.text


# --- T14, T18: what is typed stays where it was typed, and is text --------------------------------------

CANARY = "ZZQCANARY <img src=x onerror=alert(1)>"


def test_t14_t18_what_is_typed_about_a_patient_is_in_no_address_and_no_log_and_is_shown_as_text(
    prescriber: FlaskClient, patient: str, logged: io.StringIO
) -> None:
    answers = [
        send(prescriber, f"{patient}/plans/new", a_plan(activity=CANARY, on="")),
        send(prescriber, f"{patient}/plans/new", a_plan(activity=CANARY, note=CANARY)),
        send(prescriber, f"{patient}/tapers/new", a_taper(words=CANARY, agreed="")),
        send(prescriber, f"{patient}/tapers/new", a_taper(words=CANARY)),
        send(prescriber, f"{patient}/assessment", {"on": "", "allergies": CANARY}),
        send(prescriber, f"{patient}/assessment", {"on": TODAY.isoformat(), "allergies": CANARY}),
    ]
    assert [answer.status_code for answer in answers] == [422, 303, 422, 303, 422, 303]
    kept = [prescriber.get(answer.headers["Location"]).text for answer in answers[1:4:2]]
    kept.append(prescriber.get(f"{patient}/assessment").text)
    for page in (*kept, *(answer.text for answer in answers[::2])):
        assert "<img" not in page
        assert "ZZQCANARY &lt;img" in page
    assert not [answer for answer in answers if "ZZQCANARY" in str(answer.headers)]
    assert "ZZQCANARY" not in logged.getvalue()
