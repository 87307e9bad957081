"""The page that a patient answers: it names nobody, loses nothing, and says kindly when it is too late."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from stewardship.domain.people import Role
from stewardship.intake.strict_json import loads
from tests.api.conftest import HERE, Caller, a_case
from tests.web.conftest import running_of, signed_in

PEG = {"pain": "7", "enjoyment": "6", "activity": "5"}


@pytest.fixture
def clinician(app, issued) -> Caller:
    return Caller(app, issued[HERE, Role.PRESCRIBER])


@pytest.fixture
def patient(clinician) -> str:
    """Somebody on record, whose number can be looked for."""
    case = a_case(patient="MRN-ZZQCANARY")
    assert clinician.post("/api/v1/orders", case).status_code in {200, 201}
    return "MRN-ZZQCANARY"


@pytest.fixture
def linked(clinician, patient):
    """A link's answer from the API, and its path."""

    def link(instrument: str = "peg", **more) -> tuple[dict, str]:
        body = {"patient": patient, "instrument": instrument, **more}
        made = clinician.post("/api/v1/questionnaire-links", body)
        assert made.status_code == 201, made.text
        told = loads(made.get_data(), max_bytes=10_000)
        return told, urlsplit(told["url"]).path

    return link


def test_the_form_shows_the_items_and_no_patient(client, linked, patient):
    _, path = linked()
    page = client.get(path)
    assert page.status_code == 200
    assert "How strong was your pain on average" in page.text
    assert page.text.count('type="radio"') == 3 * (11 + 1)
    assert patient not in page.text
    assert "1980" not in page.text
    assert "script" not in page.headers["Content-Security-Policy"].replace("script-src 'self'", "")
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "same-origin"


def test_answers_are_kept_and_the_link_is_used_up(client, linked, clinician):
    told, path = linked()
    sent = client.post(path, data=PEG)
    assert (sent.status_code, sent.headers["Location"]) == (303, "/questionnaire/thank-you")
    assert "Your answers have arrived" in client.get(sent.headers["Location"]).text
    again = clinician.get(f"/api/v1/questionnaire-links/{told['id']}")
    assert loads(again.get_data(), max_bytes=10_000)["state"] == "used"


@pytest.mark.parametrize("how", ["get", "post"])
def test_a_used_link_is_gone_and_says_so_kindly(client, linked, how):
    _, path = linked()
    client.post(path, data=PEG)
    page = client.get(path) if how == "get" else client.post(path, data=PEG)
    assert page.status_code == 410
    assert "nothing more to do. Thank you" in page.text


def test_looking_at_a_link_uses_nothing_up(client, linked):
    _, path = linked()
    for _ in range(3):
        assert client.get(path).status_code == 200
        assert client.head(path).status_code == 200
    assert client.post(path, data=PEG).status_code == 303


def test_an_expired_and_a_revoked_link_are_gone(client, linked, clinician, clock):
    told, path = linked(days=1)
    _, other = linked()
    clock.at += timedelta(days=1)
    page = client.get(path)
    assert page.status_code == 410
    assert "Ask your care team for a new one" in page.text
    assert client.post(path, data=PEG).status_code == 410
    clock.at -= timedelta(days=1)
    assert clinician.post(f"/api/v1/questionnaire-links/{told['id']}/revoke", {}).status_code == 200
    assert client.get(path).status_code == 410
    assert client.get(other).status_code == 200


@pytest.mark.parametrize("path", ["/questionnaire/x", "/questionnaire/a.b", "/questionnaire/" + "x" * 300])
def test_a_link_that_was_never_made_says_what_to_do(client, path):
    page = client.get(path)
    assert page.status_code == 404
    assert "copy all of it" in page.text
    assert client.post(path, data=PEG).status_code == 404


def test_a_question_without_an_answer_is_named_and_the_others_are_kept(client, linked):
    _, path = linked()
    page = client.post(path, data={"pain": "7", "enjoyment": "0"})
    assert page.status_code == 422
    assert re.search(r'value="7" checked', page.text)
    assert re.search(r'name="enjoyment" id="enjoyment-0" value="0" checked', page.text)
    assert 'href="#activity-0">Question 3:' in page.text
    assert page.text.count('aria-invalid="true"') == 1
    assert client.post(path, data=PEG).status_code == 303


def test_a_question_may_be_left_open_on_purpose(client, linked, clinician):
    _, path = linked()
    assert client.post(path, data=PEG | {"pain": "none"}).status_code == 303


def test_leaving_all_open_is_no_answer(client, linked):
    _, path = linked()
    page = client.post(path, data=dict.fromkeys(PEG, "none"))
    assert page.status_code == 422
    assert "Answer at least one question" in page.text


@pytest.mark.parametrize("odd", ["11", "-1", "7.5", "1e1", "\u0667", "<b>", "x" * 5000])
def test_what_is_no_answer_is_refused_and_not_repeated_as_it_stands(client, linked, odd):
    _, path = linked()
    page = client.post(path, data=PEG | {"pain": odd})
    assert page.status_code == 422
    assert "Give a number from 0 to 10" in page.text
    assert "<b>" not in page.text


def test_a_huge_form_is_refused(client, linked):
    _, path = linked()
    assert client.post(path, data=PEG | {"pain": "x" * 100_000}).status_code == 413


def test_what_the_patient_named_himself_may_be_fewer_than_the_form_has_room_for(client, linked):
    _, path = linked("psfs")
    assert (
        client.post(path, data={"activity-1": "3", "activity-2": "4", "activity-3": "6"}).status_code == 303
    )


@pytest.mark.parametrize(
    "instrument", ["goal-attainment", "graded-chronic-pain", "phq-2", "gad-2", "pain-intensity", "psfs"]
)
def test_every_instrument_that_may_be_printed_has_a_form(client, linked, instrument):
    _, path = linked(instrument)
    page = client.get(path)
    assert page.status_code == 200
    items = running_of(client.application).library.instruments[instrument].items
    assert page.text.count('class="usa-form-group question') == len(items)


def test_a_licensed_instrument_has_none(clinician, patient):
    body = {"patient": patient, "instrument": "promis-physical-function"}
    refused = clinician.post("/api/v1/questionnaire-links", body)
    assert refused.status_code == 422
    assert "licensed" in refused.text


def test_it_works_beside_a_session_too(client: FlaskClient, linked):
    _, path = linked()
    signed_in(client, Role.PRESCRIBER)
    page = client.get(path).text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    assert client.post(path, data=PEG | {"csrf_token": token}).status_code == 303


def test_another_site_cannot_send_the_form(client, linked):
    _, path = linked()
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert client.post(path, data=PEG, headers=foreign).status_code == 403


def test_neither_address_nor_log_says_whose_it_is(client, linked, patient, caplog, capsys):
    told, path = linked()
    client.get(path)
    client.post(path, data=PEG)
    said = caplog.text + capsys.readouterr().out
    assert patient not in told["url"]
    assert patient not in said
    assert path.rpartition("/")[2] not in said
