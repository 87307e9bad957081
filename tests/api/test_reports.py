"""Reports over the API: for compliance, in every form, each one an event that is written before it leaves."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from stewardship.db import tables, transaction
from stewardship.domain.people import Role
from stewardship.reports.listed import REPORTS
from tests.api.conftest import json

PATH = "/api/v1/reports"


def exports(sessions):
    event = tables.AuditEvent.__table__
    with transaction(sessions, write=False) as session:
        asked = select(event.c.subject).where(event.c.action == "export.made").order_by(event.c.seq)
        return list(session.connection().execute(asked).scalars())


def test_every_report_is_listed_and_can_be_made(caller):
    officer = caller(Role.COMPLIANCE)
    listed = json(officer.get(PATH))["reports"]
    assert [one["id"] for one in listed] == list(REPORTS)
    for one in listed:
        answered = officer.get(f"{PATH}/{one['id']}")
        assert answered.status_code == 200, answered.get_data()
        assert json(answered)["title"] == one["title"]


@pytest.mark.parametrize(
    ("form", "begins"), [("csv", b"# "), ("xlsx", b"PK"), ("pdf", b"%PDF"), ("text", b"Policy adherence")]
)
def test_other_forms_come_as_files(caller, form, begins):
    answered = caller(Role.COMPLIANCE).get(
        f"{PATH}/adherence?since=2026-01-01&until=2026-04-01&format={form}"
    )
    assert answered.status_code == 200
    body = answered.get_data()
    assert body.startswith(begins)
    assert answered.content_length == len(body)
    ending = "txt" if form == "text" else form
    said = f'attachment; filename="adherence-2026-01-01-2026-04-01.{ending}"'
    assert answered.headers["Content-Disposition"] == said
    assert answered.headers["Cache-Control"] == "no-store"


def test_each_report_that_is_given_out_is_an_event_and_a_refused_one_is_none(caller, sessions):
    officer = caller(Role.COMPLIANCE)
    before = exports(sessions)
    assert officer.get(f"{PATH}/overrides").status_code == 200
    assert officer.get(f"{PATH}/flags?prescriber=u-1").status_code == 422
    assert officer.get(f"{PATH}/league-table").status_code == 404
    assert caller(Role.PRESCRIBER).get(f"{PATH}/overrides").status_code == 403
    assert exports(sessions) == [*before, "overrides"]


@pytest.mark.parametrize(
    "query", ["since=2026-04-01&until=2026-01-01", "since=yesterday", "format=exe", "since=2026-01-01&x=1"]
)
def test_a_question_that_means_nothing_is_refused(caller, query):
    assert caller(Role.COMPLIANCE).get(f"{PATH}/adherence?{query}").status_code == 422
