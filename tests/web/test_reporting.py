"""Reports on pages: every one is shown and given out in each form, and that it was given out is on record."""

from __future__ import annotations

import pytest

from stewardship.db import transaction
from stewardship.domain.people import Role
from stewardship.reports.listed import REPORTS
from stewardship.services import trail_search
from stewardship.services.trail_search import Sought
from tests.api.conftest import a_case, caller, json
from tests.web.conftest import running_of, signed_in
from tests.web.test_queue import send

__all__ = ["caller"]
BEGINS = {"pdf": b"%PDF", "xlsx": b"PK", "csv": b"", "json": b"{"}


@pytest.mark.parametrize("report_id", sorted(REPORTS))
def test_every_report_is_shown_with_its_tables(client, report_id):
    signed_in(client, Role.COMPLIANCE)
    assert f"/reports/{report_id}" in client.get("/reports").text
    shown = client.get(f"/reports/{report_id}")
    assert shown.status_code == 200
    assert REPORTS[report_id].title in shown.text
    assert "<h2" in shown.text


def test_what_was_decided_is_counted_on_the_page(client, caller):
    signed_in(client, Role.COMPLIANCE)
    for _ in range(2):
        json(caller(Role.PRESCRIBER).post("/api/v1/orders", a_case(days=30, refills=2, quantity=120)))
    page = client.get("/reports/overrides").text
    assert ">pdmp-check</th>" in page
    assert ">pdmp-check</th>" not in client.get("/reports/overrides?since=2020-01-01&until=2020-02-01").text


@pytest.mark.parametrize("form", sorted(BEGINS))
def test_a_download_is_a_file_and_an_entry_with_its_rows(client, app, form):
    who = signed_in(client, Role.COMPLIANCE)
    given = send(client, "/reports/overrides/download", format=form, since="2026-11-01", until="2026-11-21")
    assert given.status_code == 200
    assert given.data.startswith(BEGINS[form])
    assert f"overrides-2026-11-01-2026-11-22.{form}" in given.headers["Content-Disposition"]
    with transaction(running_of(app).sessions, write=False) as session:
        (entry,) = trail_search.found(
            session, Sought(action="export.made", user=who.user_id), by=who, limit=5
        )
    assert (entry.subject, entry.detail["format"], entry.detail["until"]) == ("overrides", form, "2026-11-22")
    assert entry.detail["rows"] >= 0


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("since=soon", "Give a day, such as"),
        ("since=2026-11-30&until=2026-11-01", "a period ends after it begins"),
        ("since=1700-01-01", "Give a day, such as"),
        ("since=2001-01-01", "a period ends after it begins"),
    ],
    ids=["no-day", "backwards", "too-early", "too-long"],
)
def test_a_period_that_is_none_is_said_and_kept(client, asked, words):
    signed_in(client, Role.COMPLIANCE)
    refused = client.get(f"/reports/overrides?{asked}")
    assert refused.status_code == 422
    assert words in refused.text
    assert f'value="{asked.partition("since=")[2].partition("&")[0]}"' in refused.text


def test_there_is_no_other_report_and_no_other_form(client):
    signed_in(client, Role.COMPLIANCE)
    assert client.get("/reports/nothing").status_code == 404
    assert send(client, "/reports/overrides/download", format="exe").status_code == 422
