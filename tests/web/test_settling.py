"""Exceptions, messages and matches on pages: never one's own, once each, and undone with a reason."""

from __future__ import annotations

from itertools import count

import pytest

from stewardship import importing
from stewardship.db import transaction
from stewardship.domain.people import Principal, Role
from stewardship.services import candidates, decisions
from tests.api.conftest import ELSEWHERE, HERE, NOW, a_case, caller, json
from tests.intake.asap.files import PRESCRIBER, a_file, dispensing, patient
from tests.services.feeding import TERMS, a_feed
from tests.web.conftest import running_of, signed_in
from tests.web.test_queue import a_flag, send

__all__ = ["a_flag", "caller"]
BY = Principal("u-pharmacist", HERE, Role.PHARMACIST)
_numbers = count(700)


@pytest.fixture
def asked(caller):
    """An exception that a prescriber has asked for: its id, and the prescriber's."""
    who = caller(Role.PRESCRIBER)
    decided = json(who.post("/api/v1/orders", a_case(days=30, refills=2, quantity=120)))
    (stopped,) = [f for f in decided["findings"] if f["policy"] == "short-course"]
    where = f"/api/v1/decisions/{decided['id']}/findings/short-course/exception"
    said = {"reason": stopped["override_reasons"][0]["code"], "note": "the wound is open"}
    return json(who.post(where, said))["id"], json(who.get("/api/v1/whoami"))["user"]


def test_an_exception_is_countersigned_by_another(client, asked):
    signed_in(client, Role.PHARMACIST)
    exception_id, requester = asked
    page = client.get("/exceptions").text
    assert f"/exceptions/{exception_id}/countersignatures" in page
    assert requester in page
    assert "the wound is open" in page
    done = send(
        client, f"/exceptions/{exception_id}/countersignatures", approve="no", note="not without <tests>"
    )
    assert done.status_code == 303
    assert "not without &lt;tests&gt;" in client.get("/exceptions").text


def test_an_order_whose_stop_was_lifted_on_the_page_is_looked_at_for_the_pharmacist(
    client, asked, monkeypatch
):
    looked = []
    monkeypatch.setattr(
        "stewardship.services.watch.after_order",
        lambda session, library, decision, **_: looked.append(decision),
    )
    signed_in(client, Role.PHARMACIST)
    at = f"/exceptions/{asked[0]}/countersignatures"
    assert send(client, at, approve="yes", note="seen").status_code == 303
    with transaction(running_of(client.application).sessions, write=False) as session:
        assert looked == [decisions.read_exception(session, asked[0], by=BY).decision_id]


def test_ones_own_request_is_shown_and_cannot_be_signed(client, asked):
    exception_id, requester = asked
    signed_in(client, Role.PRESCRIBER, user=requester)
    page = client.get("/exceptions").text
    assert "You asked for this one. Somebody else has to sign it." in page
    assert f"/exceptions/{exception_id}/countersignatures" not in page
    refused = send(client, f"/exceptions/{exception_id}/countersignatures", approve="yes")
    assert refused.status_code == 403
    assert "nobody countersigns a request of their own" in refused.text


def test_a_second_signature_is_refused_and_the_note_kept(client, asked):
    signed_in(client, Role.PHARMACIST)
    at = f"/exceptions/{asked[0]}/countersignatures"
    send(client, at, approve="no")
    refused = send(client, at, approve="yes", note="I thought again")
    assert refused.status_code == 409
    assert "I thought again" in refused.text


def test_a_signature_says_yes_or_no(client, asked):
    signed_in(client, Role.PHARMACIST)
    refused = send(client, f"/exceptions/{asked[0]}/countersignatures", approve="perhaps", note="kept words")
    assert refused.status_code == 422
    assert "kept words</textarea>" in refused.text


def test_requests_of_another_organisation_are_not_there(client, asked):
    signed_in(client, Role.PHARMACIST, ELSEWHERE)
    assert asked[0] not in client.get("/exceptions").text


def test_a_prescriber_reads_and_answers_a_question_once(app, a_flag):
    pharmacist, prescriber = app.test_client(), app.test_client()
    signed_in(pharmacist, Role.PHARMACIST)
    to = signed_in(prescriber, Role.PRESCRIBER)
    at = f"/queue/{a_flag()}"
    assert to.user_id in pharmacist.get(at).text
    send(pharmacist, f"{at}/messages", to=to.user_id, words="Still needed at night?")
    page = prescriber.get("/messages").text
    assert "Still needed at night?" in page
    where = page.partition('action="/messages/')[2].partition('"')[0]
    assert send(prescriber, f"/messages/{where}", words="Stopped today.").status_code == 303
    assert "Nothing waits." in prescriber.get("/messages").text
    again = send(prescriber, f"/messages/{where}", words="and again")
    assert again.status_code == 409
    assert "and again" in again.text
    assert "Stopped today." in pharmacist.get(at).text


def test_a_message_to_nobody_here_is_refused_beside_the_field(client, a_flag):
    signed_in(client, Role.PHARMACIST)
    refused = send(client, f"/queue/{a_flag()}/messages", to="nobody", words="Hello?")
    assert refused.status_code == 422
    assert "name a prescriber who works here" in refused.text
    assert "Hello?</textarea>" in refused.text


@pytest.fixture
def match(app) -> str:
    """Where the page of two descriptions is that are perhaps of one person, who has moved."""
    number, sessions = next(_numbers), running_of(app).sessions
    before = set(open_matches(sessions))
    for which, zip_code in enumerate(("12207", "10001"), 1):
        who = patient(number, e01="", e02="", e03="", e16=zip_code)
        content = a_file(
            [who, dispensing(number * 10 + which), PRESCRIBER],
            control=f"w{number}-{which}",
            pharmacy=f"PHA**{7_000_000 + number}**TEST PHARMACY",
        )
        importing.take_in(sessions, TERMS, a_feed(content), by=BY, clock=lambda: NOW)
    ((identity, whose),) = set(open_matches(sessions)) - before
    return f"/matches/{identity}/{whose}"


def open_matches(sessions) -> list[tuple[str, str]]:
    with transaction(sessions, write=False) as session:
        return [(one.identity_id, one.patient_id) for one in candidates.waiting(session, by=BY)]


def test_a_match_is_read_side_by_side_and_the_list_names_nobody(client, match):
    signed_in(client, Role.PHARMACIST)
    page = client.get(match).text
    assert "12207" in page
    assert "10001" in page
    assert "<strong>different</strong>" in page
    listing = client.get("/matches").text
    assert match in listing
    assert "TESTPATIENT" not in listing


def test_a_match_is_settled_and_undone(client, match):
    signed_in(client, Role.PHARMACIST)
    send(client, f"{match}/accept", reason="asked the patient")
    page = client.get(match).text
    assert "One person" in page
    assert "asked the patient" in page
    send(client, f"{match}/part", reason="a twin")
    assert "a twin" in client.get(match).text
    send(client, f"{match}/open-again", reason="perhaps not")
    send(client, f"{match}/decline", reason="born in another year")
    assert match in client.get("/matches?status=declined").text


def test_whoever_settles_second_is_told_and_keeps_the_reason(client, match):
    signed_in(client, Role.PHARMACIST)
    send(client, f"{match}/decline", reason="two")
    refused = send(client, f"{match}/accept", reason="they are one, I called")
    assert refused.status_code == 409
    assert "they are one, I called</textarea>" in refused.text


def test_what_was_never_one_is_not_parted(client, match):
    signed_in(client, Role.PHARMACIST)
    assert send(client, f"{match}/part", reason="no").status_code == 409


def test_a_reason_is_asked_for(client, match):
    signed_in(client, Role.PHARMACIST)
    assert send(client, f"{match}/decline", reason=" ").status_code == 422


def test_compliance_reads_matches_and_settles_none(client, match):
    signed_in(client, Role.COMPLIANCE)
    assert "<textarea" not in client.get(match).text
    assert send(client, f"{match}/decline", reason="x").status_code == 403
