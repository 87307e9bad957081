"""Holds and retention over the API and on pages: placed once, lifted once, with a reason and an entry."""

from __future__ import annotations

import json as plain
import re
from datetime import timedelta

import pytest
from sqlalchemy import insert, text

from stewardship.db import job_tables, transaction
from stewardship.declarations.places import REFERENCE
from stewardship.declarations.retention import read_retention
from stewardship.domain.people import Principal, Role
from stewardship.services import holds, retention
from tests.api.conftest import HERE, a_case, json
from tests.builders import NOW
from tests.web.conftest import client, form_token, signed_in

__all__ = ["client"]

HOLDS = "/api/v1/legal-holds"
LETTER = "letter of a court, 4 November"


@pytest.fixture
def patient(caller):
    """Somebody with a decision on record, as the EHR calls him."""
    return json(caller(Role.PRESCRIBER).post("/api/v1/orders", a_case()))["patient_id"]


@pytest.fixture
def nothing_held(app):
    """Other tests of this database may have left a hold over everything."""
    by = Principal("officer", HERE, Role.COMPLIANCE)
    with transaction(app.extensions["stewardship"].sessions) as session:
        for one in holds.listed(session, by=by):
            holds.lift(session, one.id, reason="closed", by=by, now=NOW)


def entries(app, subject):
    """What the trail says of a hold."""
    with transaction(app.extensions["stewardship"].sessions, write=False) as session:
        asked = text("SELECT action, detail FROM audit_events WHERE subject = :subject ORDER BY seq")
        return [(row.action, plain.loads(row.detail)) for row in session.execute(asked, {"subject": subject})]


def pointers(response):
    return [one["pointer"] for one in json(response)["errors"]]


def test_a_hold_is_placed_read_lifted_and_on_record_without_its_words(app, caller, patient):
    officer = caller(Role.COMPLIANCE)
    made = officer.post(HOLDS, {"scope": "patient", "patient": patient, "reason": LETTER})
    assert made.status_code == 201
    held = json(made)
    assert (held["patient"], held["reason"], held["lifted_at"]) == (patient, LETTER, None)
    assert json(officer.get(made.headers["Location"])) == held
    assert held in json(officer.get(HOLDS))["holds"]
    ended = json(officer.post(f"{made.headers['Location']}/lift", {"reason": "closed"}))
    assert ended["lifted_why"] == "closed"
    assert held["id"] not in {one["id"] for one in json(officer.get(HOLDS))["holds"]}
    assert ended in json(officer.get(f"{HOLDS}?status=all"))["holds"]
    said = entries(app, held["id"])
    assert [action for action, _ in said] == ["hold.placed", "hold.lifted"]
    assert LETTER not in str(said)
    assert patient not in str(said)
    again = officer.post(f"{made.headers['Location']}/lift", {"reason": "closed"})
    assert (again.status_code, json(again)["code"]) == (409, "already-lifted")


def test_sent_twice_a_hold_is_one_and_its_id_is_nobody_elses(app, caller):
    officer, own = caller(Role.COMPLIANCE), "0198f00dcafe" + "1" * 20
    said = {"scope": "everything", "reason": LETTER, "id": own}
    assert [officer.post(HOLDS, said).status_code for _ in range(2)] == [201, 201]
    assert [action for action, _ in entries(app, own)] == ["hold.placed"]
    other = officer.post(HOLDS, {**said, "reason": "another letter"})
    assert (other.status_code, json(other)["code"]) == (409, "id-taken")
    officer.post(f"{HOLDS}/{own}/lift", {"reason": "closed"})
    # What was lifted does not stand again because a form was sent once more.
    late = officer.post(HOLDS, said)
    assert (late.status_code, json(late)["code"]) == (409, "already-lifted")


@pytest.mark.parametrize(
    ("said", "status", "pointer"),
    [
        ({"reason": LETTER}, 422, "/scope"),
        ({"scope": "everyone", "reason": LETTER}, 422, "/scope"),
        ({"scope": "patient", "reason": LETTER}, 422, "/patient"),
        ({"scope": "everything", "patient": "p-1", "reason": LETTER}, 422, "/patient"),
        ({"scope": "patient", "patient": "nobody", "reason": LETTER}, 404, "/patient"),
        ({"scope": "everything"}, 422, "/reason"),
        ({"scope": "everything", "reason": " "}, 422, "/reason"),
        ({"scope": "everything", "reason": "..."}, 422, "/reason"),
        ({"scope": "everything", "reason": LETTER, "id": "mine"}, 422, "/id"),
        ({"scope": "everything", "reason": LETTER, "until": "2027-01-01"}, 422, "/until"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_wrong_is_pointed_at(caller, said, status, pointer):
    officer = caller(Role.COMPLIANCE)
    before = json(officer.get(f"{HOLDS}?status=all"))
    refused = officer.post(HOLDS, said)
    assert (refused.status_code, pointers(refused)) == (status, [pointer])
    assert json(officer.get(f"{HOLDS}?status=all")) == before


def test_terms_what_is_past_its_time_and_what_was_removed(app, caller, clock, patient, nothing_held):
    officer, running = caller(Role.COMPLIANCE), app.extensions["stewardship"]
    terms = json(officer.get("/api/v1/retention/terms"))
    (of_decisions,) = [one for one in terms["terms"] if one["kind"] == "decisions"]
    assert {source["verified"] for source in of_decisions["sources"]} == {True, False}
    (now_,) = [
        one for one in json(officer.get("/api/v1/retention/past"))["kinds"] if one["kind"] == "job-runs"
    ]
    assert (now_["would_go"], now_["before"]) == (0, f"{NOW.year - 6}-11-21")
    # A run of nine years ago, removed by the terminal's service.
    by = Principal("terminal", HERE, Role.COMPLIANCE)
    with transaction(running.sessions) as session:
        at = NOW - timedelta(days=9 * 365)
        run = {"organisation_id": HERE, "job": "old", "slot": at, "started_at": at, "finished_at": at}
        run |= {"outcome": "done", "attempts": 1, "code": "", "document": "{}"}
        run |= dict.fromkeys(("done", "late", "late_seconds", "milliseconds"), 0)
        session.execute(insert(job_tables.JobRun).values(run))
        retention.remove(session, read_retention(REFERENCE), "job-runs", by=by, now=NOW)
    last = json(officer.get("/api/v1/retention/removals"))["removals"][0]
    assert (last["kind"], last["rows"], last["by"]) == ("job-runs", 1, "terminal")


def test_a_page_places_and_lifts_a_hold(app, client, patient):
    signed_in(client, Role.COMPLIANCE)
    shown = client.get("/retention").text
    own = re.search(r'name="id" value="([0-9a-f]{32})"', shown)[1]
    form = {"csrf_token": form_token(client), "id": own, "scope": "patient", "reason": "<b>letter</b>"}
    missing = client.post("/retention/holds", data=form)
    assert (missing.status_code, own in missing.text) == (422, True)
    assert "Write the patient&#39;s record number" in missing.text
    nobody = client.post("/retention/holds", data={**form, "patient": "nobody"})
    assert "Nobody on record has this record number" in nobody.text
    assert "&lt;b&gt;letter" in nobody.text
    for _ in range(2):
        placed = client.post("/retention/holds", data={**form, "patient": patient})
        assert placed.headers["Location"] == "/retention"
    shown = client.get("/retention").text
    assert shown.count(f"/retention/holds/{own}") == 1
    assert "&lt;b&gt;letter&lt;/b&gt;" in shown
    where = f"/retention/holds/{own}/lift"
    assert client.post(where, data={"csrf_token": form["csrf_token"], "reason": ""}).status_code == 422
    done = {"csrf_token": form["csrf_token"], "reason": "closed"}
    assert client.post(where, data=done).status_code == 303
    again = client.post(where, data={**done, "reason": "closed once more"})
    assert again.status_code == 409
    assert "closed once more" in again.text
    assert [action for action, _ in entries(app, own)] == ["hold.placed", "hold.lifted"]


def test_the_page_says_what_would_go_and_why_the_rest_stays(app, client, clock, patient, nothing_held):
    who = signed_in(client, Role.COMPLIANCE)
    running = app.extensions["stewardship"]
    with transaction(running.sessions) as session:
        holds.place(session, patient=patient, reason=LETTER, by=who, now=NOW)
    assert "a legal hold stands" not in client.get("/retention").text
    clock.at = NOW.replace(year=NOW.year + 11)
    signed_in(client, Role.COMPLIANCE, user=who.user_id)
    assert "a legal hold stands" in client.get("/retention").text
