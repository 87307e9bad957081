"""The audit trail on pages: looked through, verified, given out; and decisions explained and made again."""

from __future__ import annotations

import re
import threading

import pytest
from sqlalchemy import text

from stewardship.db import transaction
from stewardship.domain.errors import Unavailable
from stewardship.domain.people import Role
from stewardship.services import audit, verification
from tests.api.conftest import a_case, caller, json
from tests.web.conftest import form_token, running_of, signed_in
from tests.web.test_queue import send

__all__ = ["caller"]


@pytest.fixture
def decided(caller):
    """A decision with a stop that was overridden."""
    prescriber = caller(Role.PRESCRIBER)
    made = json(prescriber.post("/api/v1/orders", a_case(days=30, refills=2, quantity=120)))
    (late,) = [f for f in made["findings"] if f["policy"] == "pdmp-check"]
    where = f"/api/v1/decisions/{made['id']}/findings/pdmp-check/override"
    prescriber.post(where, {"reason": late["override_reasons"][0]["code"], "comment": "the registry is down"})
    return made["id"]


def test_entries_are_found_by_subject_and_action(client, decided):
    signed_in(client, Role.COMPLIANCE)
    page = client.get(f"/audit?subject={decided}").text
    assert "order.submitted" in page
    assert "finding.overridden" in page
    narrowed = client.get(f"/audit?subject={decided}&action=finding").text
    assert "order.submitted" not in narrowed
    assert "finding.overridden" in narrowed
    assert "No entry is like this." in client.get(f"/audit?subject={decided}&until=2026-11-20").text
    assert "finding.overridden" in client.get(f"/audit?subject={decided}&since=2026-11-21").text


def test_a_day_that_is_none_is_said_beside_the_field(client):
    signed_in(client, Role.COMPLIANCE)
    refused = client.get("/audit?since=soon")
    assert refused.status_code == 422
    assert 'value="soon"' in refused.text
    assert "Give a day, such as" in refused.text


def test_older_entries_are_a_page_away(client, app):
    who = signed_in(client, Role.COMPLIANCE)
    with transaction(running_of(app).sessions) as session:
        for number in range(101):
            audit.record(session, "test.noted", subject=f"n-{number}", by=who, now=running_of(app).clock())
    page = client.get(f"/audit?user={who.user_id}&action=test").text
    assert "n-100<" in page
    assert "n-0<" not in page
    older = re.search(r'href="(/audit\?[^"]*before=\d+)"', page)
    assert older is not None
    assert "n-0<" in client.get(older[1].replace("&amp;", "&")).text


def test_a_whole_trail_is_said_to_be_whole(client, decided):
    signed_in(client, Role.COMPLIANCE)
    page = send(client, "/audit/verify").text
    assert ">Whole</h2>" in page
    assert "a tail that was cut off whole would not show" in page


def test_an_altered_entry_is_named(client, app, decided):
    who = signed_in(client, Role.COMPLIANCE)
    mine = {"o": who.organisation_id, "s": decided}
    with transaction(running_of(app).sessions) as session:
        names = session.execute(
            text("SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name='audit_events'")
        )
        kept = []
        for (name,) in names.all():
            kept.append(
                session.execute(text("SELECT sql FROM sqlite_master WHERE name=:n"), {"n": name}).scalar_one()
            )
            session.execute(text(f"DROP TRIGGER {name}"))
        changed = "UPDATE audit_events SET by_user = :u WHERE organisation_id = :o AND subject = :s"
        was = session.execute(
            text("SELECT DISTINCT by_user FROM audit_events WHERE organisation_id=:o AND subject=:s"), mine
        ).scalar_one()
        session.execute(text(changed), mine | {"u": "somebody-else"})
    page = send(client, "/audit/verify").text
    with transaction(running_of(app).sessions) as session:
        session.execute(text(changed), mine | {"u": was})
        for sql in kept:
            session.execute(text(sql))
    assert ">Altered</h2>" in page
    assert "is not what was written: its MAC does not fit" in page


def test_giving_the_trail_out_is_an_entry_with_its_rows(client, decided):
    signed_in(client, Role.COMPLIANCE)
    given = send(client, "/audit/export", subject=decided)
    assert given.content_type.startswith("text/csv")
    assert len(given.text.splitlines()) == 1 + given.text.count(f'"{decided}"')
    page = client.get("/audit?action=export.made&subject=audit-trail").text
    assert "rows: <code>2</code>" in page


def test_a_decision_made_again_is_the_same(client, decided):
    signed_in(client, Role.COMPLIANCE)
    page = client.get(f"/decisions/{decided}/replay").text
    assert ">The same</h2>" in page


def test_a_decision_whose_text_is_gone_is_not_the_same(client, app, decided, monkeypatch):
    signed_in(client, Role.COMPLIANCE)
    library = type(running_of(app).library)
    found = library.policy
    monkeypatch.setattr(
        library, "policy", lambda self, i, v: None if i == "short-course" else found(self, i, v)
    )
    page = client.get(f"/decisions/{decided}/replay").text
    assert ">Not the same</h2>" in page
    assert "No file here holds <code>short-course</code> version 1" in page


def test_why_names_who_lifted_what_and_what_still_stands(client, decided):
    signed_in(client, Role.COMPLIANCE)
    page = client.get(f"/decisions/{decided}/why").text
    assert "the registry is down" in page
    assert "<strong>Lifted.</strong>" in page
    assert "<strong>Stands.</strong>" in page
    assert "It is still stopped" in page or "It was stopped" in page
    assert "finding.overridden" in page


def test_a_pharmacist_reads_why_and_not_the_trail(client, decided):
    signed_in(client, Role.PHARMACIST)
    assert f"/decisions/{decided}/why" in client.get(f"/decisions/{decided}").text
    assert "On the audit trail" not in client.get(f"/decisions/{decided}/why").text
    assert client.get("/audit").status_code == 403


def test_a_chart_as_it_stood_is_shown_given_out_and_both_are_entries(client, app, caller):
    decided = json(caller(Role.PRESCRIBER).post("/api/v1/orders", a_case(patient="p-as-of")))["id"]
    signed_in(client, Role.COMPLIANCE)
    at = running_of(app).clock().isoformat()
    shown = send(client, "/audit/as-of", patient="p-as-of", at=at)
    assert shown.status_code == 200
    assert decided in shown.text
    assert "short-course" in shown.text
    ours = re.search(r"Patient, by our own id</th><td>([0-9a-f]+)<", shown.text)[1]
    given = send(client, "/audit/as-of/download", patient=ours, at=at, format="json")
    assert given.json["filters"] == {"patient": ours}
    entries = client.get(f"/audit?subject={ours}&action=patient.read").text
    assert "what: <code>as-of</code>" in entries
    assert "as-of" in client.get("/audit?action=export.made&subject=as-of").text
    before = send(client, "/audit/as-of", patient="p-as-of", at="2026-11-20T12:30").text
    assert decided not in before


@pytest.mark.parametrize(
    ("patient", "at", "words"),
    [
        ("nobody", "2026-11-20T12:30", "No such patient"),
        ("nobody", "soon", "Give a day and a time"),
        ("nobody", "9999-12-31T23:59:59-23:59", "Give a day and a time"),
        ("nobody", "2126-11-20T12:30", "Give a moment that is over"),
    ],
)
def test_an_instant_or_a_patient_that_is_none_is_said_beside_its_field(client, patient, at, words):
    signed_in(client, Role.COMPLIANCE)
    refused = send(client, "/audit/as-of", patient=patient, at=at)
    assert refused.status_code == 422
    assert words in refused.text


# --- a long verification ----------------------------------------------------------------------------


def test_the_page_of_a_verification_begins_before_the_trail_was_read(client, app, decided, monkeypatch):
    """The reading waits until the first line has been seen: if the page came in one piece, it never would."""
    seen = threading.Event()
    whole = verification.verify

    def told_in_two(session, *, progress, **more):
        progress(1)
        assert seen.wait(60)
        return whole(session, progress=progress, **more)

    monkeypatch.setattr(verification, "verify", told_in_two)
    who = signed_in(client, Role.COMPLIANCE)
    with transaction(running_of(app).sessions) as session:
        for number in range(60):
            audit.record(session, "test.noted", subject=f"v-{number}", by=who, now=running_of(app).clock())
    # A line is due when a twentieth was read; one entry is that of a short trail alone.
    monkeypatch.setattr("stewardship.web.verifying._LINES", 10**9)
    answer = client.post("/audit/verify", data={"csrf_token": form_token(client)}, buffered=False)
    pieces = []
    for piece in answer.response:
        pieces.append(piece if isinstance(piece, str) else piece.decode())
        if "entries read" in "".join(pieces):
            seen.set()
    assert "entries read" not in pieces[-1]
    assert "</h2>" in "".join(pieces)
    assert ">Whole</h2>" in "".join(pieces)


def test_a_reading_that_breaks_off_is_not_taken_for_a_whole_trail(client, decided, monkeypatch):
    def away(*args, **more):
        raise Unavailable("the database cannot be used now")

    monkeypatch.setattr(verification, "verify", away)
    signed_in(client, Role.COMPLIANCE)
    page = send(client, "/audit/verify").text
    assert ">Could not be verified</h2>" in page
    assert ">Whole</h2>" not in page


# --- T18, T22: what somebody wrote is text, and what somebody asks for is a value --------------------

SCRIPT = "<img src=x onerror=alert(1)>"


def test_t18_what_an_entry_says_is_shown_as_text(client, app):
    who = signed_in(client, Role.COMPLIANCE)
    with transaction(running_of(app).sessions) as session:
        now = running_of(app).clock()
        detail = {"words": SCRIPT, "list": [SCRIPT], SCRIPT: "x" * 30 + SCRIPT}
        audit.record(session, "test.script", subject=f"s-{SCRIPT}", by=who, now=now, detail=detail)
    page = client.get("/audit?action=test.script").text
    assert SCRIPT not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 3
    found = client.get("/audit", query_string={"subject": SCRIPT, "user": SCRIPT, "since": SCRIPT}).text
    assert SCRIPT not in found
    assert 'value="&lt;img src=x' in found


@pytest.mark.parametrize("field", ["action", "subject", "user"])
@pytest.mark.parametrize("asked", ["' OR '1'='1", "x'; DROP TABLE audit_events; --", "%", "_", "\\"])
def test_t22_what_is_looked_for_in_the_trail_is_a_value(client, decided, field, asked):
    signed_in(client, Role.COMPLIANCE)
    answer = client.get("/audit", query_string={field: asked})
    assert answer.status_code == 200
    assert "No entry is like this." in answer.text
    assert decided in client.get(f"/audit?subject={decided}").text


def test_t22_a_place_in_the_trail_that_is_no_number_is_none(client, decided):
    signed_in(client, Role.COMPLIANCE)
    for before in ("1; DROP TABLE audit_events", "-1", "9" * 40, "\u0663"):
        answer = client.get("/audit", query_string={"before": before})
        assert answer.status_code == 200, before
        assert "order.submitted" in answer.text
