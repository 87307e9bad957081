"""Policies on pages: what is in force on a day, the whole of each, and what it did."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stewardship.db import transaction
from stewardship.domain.people import Role
from stewardship.services import policy_use
from stewardship.web import in_force
from tests.api.conftest import a_case, caller, json
from tests.web.conftest import running_of, signed_in

__all__ = ["caller"]


def test_every_policy_in_force_is_listed(client, library):
    signed_in(client, Role.COMPLIANCE)
    page = client.get("/policies").text
    for policy in library.in_force(datetime(2026, 11, 21, tzinfo=UTC).date()):
        assert f"/policies/{policy.id}?version={policy.version}" in page


def test_before_the_first_day_nothing_was_in_force(client):
    signed_in(client, Role.COMPLIANCE)
    page = client.get("/policies?on=2020-01-01").text
    assert "No policy was in force on that day." in page
    assert "in force later" in page


def test_a_day_that_is_none_is_said(client):
    signed_in(client, Role.COMPLIANCE)
    assert "That is not a day" in client.get("/policies?on=yesterday").text


def test_a_policy_shows_its_text_source_limits_and_tests(client, library):
    signed_in(client, Role.PHARMACIST)
    page = client.get("/policies/short-course").text
    for words in ("What it cannot see", "www.hss.edu", "max_days = 7", "All 28 hold", "max days</dt><dd>7"):
        assert words in page


@pytest.mark.parametrize("path", ["nothing", "short-course?version=99", "short-course?version=x"])
def test_what_is_not_there_is_not_found(client, path):
    signed_in(client, Role.COMPLIANCE)
    assert client.get(f"/policies/{path}").status_code == 404


def test_findings_and_overrides_are_counted_in_their_month(app, client, caller):
    who = signed_in(client, Role.COMPLIANCE)
    running = running_of(app)

    def november():
        with transaction(running.sessions, write=False) as session:
            told = policy_use.months_of(session, "pdmp-check", months=3, by=who, now=running.clock())
        assert [m.first.month for m in told] == [9, 10, 11]
        return told[-1]

    before, prescriber = november(), caller(Role.PRESCRIBER)
    decided = json(prescriber.post("/api/v1/orders", a_case(days=30, refills=2, quantity=120)))
    (late,) = [f for f in decided["findings"] if f["policy"] == "pdmp-check"]
    column = "untold" if late["outcome"] == "cannot-tell" else "objected"
    assert getattr(november(), column) == getattr(before, column) + 1
    where = f"/api/v1/decisions/{decided['id']}/findings/pdmp-check/override"
    said = prescriber.post(where, {"reason": late["override_reasons"][0]["code"], "comment": "asked"})
    assert said.status_code in {200, 201}
    assert november().overridden == before.overridden + 1
    assert 'class="bars"' in client.get("/policies/pdmp-check").text


def test_what_changed_between_versions_is_shown_line_by_line(library):
    text = in_force._text(library.policy("short-course", 1))
    said = in_force.difference(text, text.replace("max_days = 7", "max_days = 5"), "1", "2")
    assert "-max_days = 7" in said
    assert "+max_days = 5" in said


def test_a_role_that_reads_no_decisions_sees_no_counts(client):
    signed_in(client, Role.ADMIN)
    assert "Findings and overrides over time" not in client.get("/policies/short-course").text
