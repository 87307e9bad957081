"""T05: whoever asks for what is not his finds nothing, and does not do so unseen."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from sqlalchemy import select

from stewardship.db import identity_tables, tables, transaction
from stewardship.domain.people import Role
from tests.api.conftest import ELSEWHERE, HERE, Caller, a_case, a_token, json

MISSING = "0198f00dcafe" + "0" * 20


@pytest.fixture
def curious(app, sessions):
    """A prescriber nobody has heard of yet."""

    def make(name, *, role=Role.PRESCRIBER, organisation=HERE):
        with transaction(sessions) as session:
            return Caller(app, a_token(session, organisation, role, user_id=name))

    return make


def events(sessions, user):
    with transaction(sessions, write=False) as session:
        return session.execute(
            select(tables.AuditEvent.action, tables.AuditEvent.detail).where(
                tables.AuditEvent.by_user == user, tables.AuditEvent.action != "token.issued"
            )
        ).all()


def test_t05_another_organisations_patient_is_like_one_that_does_not_exist(caller, curious, sessions):
    patient = json(caller(Role.PRESCRIBER).post("/api/v1/orders", a_case()))["patient_id"]
    stranger = curious("curious-1", organisation=ELSEWHERE)
    for path in ("/patients/{}", "/api/v1/patients/{}/timeline"):
        theirs, missing = (stranger.get(path.format(one)) for one in (patient, MISSING))
        assert theirs.status_code == missing.status_code == 404
        assert _plain(theirs) == _plain(missing)
    assert Counter(action for action, _ in events(sessions, "curious-1")) == {"access.refused": 4}


def test_t05_what_was_refused_is_on_record_by_its_pattern_without_the_id(curious, sessions):
    curious("curious-2").get(f"/api/v1/decisions/{MISSING}")
    ((action, detail),) = events(sessions, "curious-2")
    assert action == "access.refused"
    assert "/api/v1/decisions/<decision_id>" in detail
    assert '"reason":"missing"' in detail
    assert MISSING not in detail


def test_t05_a_role_that_may_not_is_on_record(curious, sessions):
    assert curious("curious-3", role=Role.COMPLIANCE).post("/api/v1/orders", a_case()).status_code == 403
    ((action, detail),) = events(sessions, "curious-3")
    assert (action, '"reason":"role"' in detail) == ("access.refused", True)


def test_t05_twenty_within_an_hour_are_an_incident_and_the_record_is_not_filled(curious, sessions):
    who = curious("curious-4")
    for _ in range(30):
        assert who.get(f"/api/v1/decisions/{MISSING}").status_code == 404
    assert Counter(action for action, _ in events(sessions, "curious-4")) == {
        "access.refused": 20,
        "incident.access-refused-often": 1,
    }
    with transaction(sessions, write=False) as session:
        counted = session.execute(
            select(identity_tables.Refusal.count).where(identity_tables.Refusal.user_id == "curious-4")
        ).scalar_one()
    assert counted == 30


def test_t05_the_count_begins_again_with_the_hour(curious, sessions, clock):
    from datetime import timedelta

    who = curious("curious-5")
    for _ in range(19):
        who.get(f"/api/v1/decisions/{MISSING}")
    clock.at += timedelta(hours=1)
    who.get(f"/api/v1/decisions/{MISSING}")
    assert "incident.access-refused-often" not in {action for action, _ in events(sessions, "curious-5")}


def test_an_address_that_does_not_exist_is_no_refusal(curious, sessions):
    who = curious("curious-6")
    assert who.get("/api/v1/nothing").status_code == 404
    assert events(sessions, "curious-6") == []


def test_what_is_answered_does_not_depend_on_the_record(curious, monkeypatch):
    from stewardship.domain.errors import Unavailable

    def away(*_, **__):
        raise Unavailable("the record is away")

    who = curious("curious-7")
    monkeypatch.setattr("stewardship.auth.access.refused", away)
    assert who.get(f"/api/v1/decisions/{MISSING}").status_code == 404


def test_reading_a_decision_is_on_record(caller, curious, sessions):
    decided = json(caller(Role.PRESCRIBER).post("/api/v1/orders", a_case()))
    reader = curious("reader-1", role=Role.COMPLIANCE)
    assert reader.get(f"/api/v1/decisions/{decided['id']}").status_code == 200
    ((action, detail),) = events(sessions, "reader-1")
    assert (action, '"what":"decision"' in detail) == ("patient.read", True)


def test_what_cannot_be_recorded_is_not_read(caller, curious, monkeypatch):
    decided = json(caller(Role.PRESCRIBER).post("/api/v1/orders", a_case()))

    def away(*_, **__):
        raise KeyError("the record is away")

    reader = curious("reader-2", role=Role.COMPLIANCE)
    monkeypatch.setattr("stewardship.services.patients.audit.record", away)
    answer = reader.get(f"/api/v1/decisions/{decided['id']}")
    assert answer.status_code == 500
    assert decided["patient_id"] not in answer.get_data(as_text=True)


def _plain(answer):
    if answer.mimetype == "text/html":
        return re.sub(r'request [0-9a-f]{24}|value="/[^"]*"', "", answer.text)
    body = json(answer)
    del body["request_id"]
    return body
