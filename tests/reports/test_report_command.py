"""``stewardship report``: over the stream, and over decisions on record."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from click.testing import CliRunner

from stewardship.cli import main
from stewardship.db import transaction
from stewardship.intake.strict_json import loads
from stewardship.reports.listed import REPORTS
from stewardship.services import feedback
from tests.builders import NOW
from tests.reports.test_alert_burden import check, plan
from tests.services.declared import EHR, ORGANISATION

KEY = "a-key-that-only-the-tests-know,-of-32+-bytes"
STREAM = ("--orders", "60", "--today", "2026-11-21")


def run(*words, database_url=""):
    environment = {"STEWARDSHIP_DATABASE_URL": database_url or None}
    return CliRunner().invoke(main, ["report", "alert-burden", *words], env=environment)


def test_the_stream_of_a_day_is_the_same_every_time():
    first, again = run(*STREAM, "--json"), run(*STREAM, "--json")
    assert first.exit_code == 0, first.output
    assert first.output == again.output
    assert loads(first.output.encode(), max_bytes=1_000_000)["orders"] == 60


def test_the_table_names_kinds_of_order_policies_and_topics():
    shown = run(*STREAM).output
    for words in ("60 opioid orders", "monthly-refill", "pdmp-check", "reviews"):
        assert words in shown


def test_decisions_on_record_are_counted_with_what_became_of_the_cards(clinic, database_url):
    decision = check(clinic, plan("a"))
    with transaction(clinic) as session:
        card = feedback.ShownCard("c-1", decision, ("a",), "soft-stop", "plan")
        feedback.cards_shown(session, [card], by=EHR, now=NOW)
    asked = ("--database", "--organisation", ORGANISATION)
    done = run(*asked, "--json", database_url=database_url)
    assert done.exit_code == 0, done.output
    said = loads(done.output.encode(), max_bytes=1_000_000)
    assert said["orders"] == 1
    assert said["answers"] == {"a": {"shown": 1, "accepted": 0, "overridden": 0, "ignored": 1}}
    table = run(*asked, "--since", "2026-11-22", database_url=database_url).output
    assert table.startswith("0 opioid orders")


@pytest.mark.parametrize(
    "words", [("--database",), ("--organisation", "o"), ("--since", "2026-11-21")], ids=str
)
def test_options_that_need_each_other_say_so(words):
    refused = run(*words)
    assert refused.exit_code == 2
    assert "--database" in refused.output


def test_a_database_that_was_not_brought_up_is_refused(empty_url):
    assert run("--database", "--organisation", "o", database_url=empty_url).exit_code == 3


# --- reports from the record --------------------------------------------------------------------------


def make(report, *words, database_url, **settings):
    environment = {"STEWARDSHIP_DATABASE_URL": database_url, "STEWARDSHIP_AUDIT_KEY": KEY, **settings}
    asked = ["report", report, "--organisation", ORGANISATION, "--since", "2026-11-01", *words]
    return CliRunner().invoke(main, asked, env=environment)


def test_every_report_is_listed_with_what_it_can_be_narrowed_to():
    listed = CliRunner().invoke(main, ["report", "list"])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines()] == list(REPORTS)
    assert "[policy, prescriber, unit]" in listed.output


def test_a_report_is_written_and_verifies_the_trail_that_it_was_drawn_from(clinic, database_url, tmp_path):
    check(clinic, plan("a"))
    out = tmp_path / "adherence.json"
    settings = {
        "STEWARDSHIP_CHECKPOINT_FILE": str(tmp_path / "checkpoints.txt"),
        "STEWARDSHIP_CHECKPOINT_KEY": f"stewardship:{urlsafe_b64encode(b'k' * 32).decode()}",
    }
    words = ("--until", "2026-12-01", "--format", "json", "--out", str(out))
    done = make("adherence", *words, database_url=database_url, **settings)
    assert done.exit_code == 0, done.output
    said = loads(out.read_bytes(), max_bytes=1_000_000)
    assert said["tables"][0]["rows"] == [["a", 1, 0, 1, 0, 0, 0]]
    assert said["checkpoint"].startswith("stewardship/audit/org-1\n")


def test_a_report_goes_to_standard_output_as_text(clinic, database_url):
    check(clinic, plan("a"))
    done = make("adherence", "--until", "2026-12-01", "--policy", "a", database_url=database_url)
    assert done.exit_code == 0, done.output
    assert "Policy adherence" in done.output
    assert "policy a." in done.output


def test_a_report_cannot_be_narrowed_by_what_it_does_not_count(database_url):
    refused = make("flags", "--prescriber", "u-1", database_url=database_url)
    assert refused.exit_code == 2
    assert "No such option" in refused.output


@pytest.mark.parametrize(
    "words",
    [("flags",), ("alert-burden", "--database")],
    ids=lambda w: w[0],
)
def test_an_organisation_that_is_not_there_is_said(clinic, database_url, words):
    environment = {"STEWARDSHIP_DATABASE_URL": database_url, "STEWARDSHIP_AUDIT_KEY": KEY}
    asked = ["report", *words, "--organisation", "elsewhere"]
    refused = CliRunner().invoke(main, asked, env=environment)
    assert refused.exit_code == 2, refused.output
    assert f"there is no such organisation: {ORGANISATION}" in refused.output
