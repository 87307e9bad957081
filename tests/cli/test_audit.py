"""``stewardship audit``: verify, sign, hand on the key, change keys; exit codes as documented."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime

import pytest
from click.testing import CliRunner

from stewardship import exporting
from stewardship.cli import main
from stewardship.config import Settings
from stewardship.db import migrate, transaction
from stewardship.declarations import load
from stewardship.domain.people import Principal, Role
from stewardship.reports.reporting import Asked, Made, Report, Stamp
from stewardship.services import audit, orders, organisations
from stewardship.witness import open_database
from tests.builders import NOW, a_chart, an_order
from tests.services.declared import PRESCRIBER

KEY = "an audit key that was drawn, 0123456789"
SEED = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA"
BY = Principal("u-1", "org-1", Role.ADMIN)


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A database with two entries, and a witness."""
    monkeypatch.setenv("STEWARDSHIP_ENV", "test")
    monkeypatch.setenv("STEWARDSHIP_DATABASE_URL", f"sqlite:///{tmp_path}/s.db")
    monkeypatch.setenv("STEWARDSHIP_AUDIT_KEY", KEY.replace(" ", "-"))
    monkeypatch.setenv("STEWARDSHIP_CHECKPOINT_FILE", str(tmp_path / "checkpoints.txt"))
    monkeypatch.setenv("STEWARDSHIP_CHECKPOINT_KEY", SEED)
    sessions = opened()
    migrate.upgrade(sessions.kw["bind"])
    with transaction(sessions) as session:
        organisations.ensure(session, "org-1", name="One", by=BY, now=NOW)
        audit.record(session, "report.printed", subject="r-1", by=BY, now=NOW)
    yield tmp_path
    sessions.kw["bind"].dispose()


def opened():
    return open_database(Settings.from_env(os.environ))


def run(*words):
    return CliRunner().invoke(main, ["audit", *words])


def test_a_whole_trail_is_said_to_be_whole(house):
    done = run("verify", "org-1")
    assert (done.exit_code, done.output[:9]) == (0, "2 entries")


def test_for_a_program(house):
    run("checkpoint", "org-1")
    said = json.loads(run("verify", "org-1", "--json").output)
    assert (said["entries"], said["witnessed"], said["fault"]) == (2, 2, None)


def test_a_trail_under_another_key_is_not_believed(house, monkeypatch):
    monkeypatch.setenv("STEWARDSHIP_AUDIT_KEY", KEY.replace(" ", "-")[::-1])
    done = run("verify", "org-1")
    assert done.exit_code == 1
    assert "first bad seq 1" in done.output


@pytest.mark.parametrize("unset", ["STEWARDSHIP_AUDIT_KEY", "STEWARDSHIP_DATABASE_URL"])
def test_what_cannot_be_verified_says_so(house, monkeypatch, unset, tmp_path):
    monkeypatch.setenv(unset, f"sqlite:///{tmp_path}/empty.db" if "DATABASE" in unset else "")
    done = run("verify", "org-1")
    assert done.exit_code == 2
    assert "cannot verify" in done.output


def test_a_report_of_any_format_bears_a_checkpoint_and_is_a_witness(house):
    note = run("checkpoint", "org-1").output
    asked = Asked("org-1", date(2026, 1, 1), date(2026, 4, 1))
    stamp = Stamp("u-1", datetime(2026, 11, 21, tzinfo=UTC), "", note)
    reports = [house / f"report.{form.value}" for form in exporting.Format]
    for form, report in zip(exporting.Format, reports, strict=True):
        with report.open("wb") as file:
            exporting.write(Made(Report("x", "A report", "Counted so.", asked, ()), stamp), form, file)
        assert run("verify", "org-1", "--against", str(report)).exit_code == 0, form
    with transaction(opened()) as session:
        if session.get_bind().dialect.name == "sqlite":
            session.connection().exec_driver_sql("DROP TRIGGER audit_events_no_delete")
        session.connection().exec_driver_sql("DELETE FROM audit_events WHERE seq = 2")
    for report in reports:
        done = run("verify", "org-1", "--against", str(report))
        assert (done.exit_code, "remembers 2" in done.output) == (1, True), report


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7 stream\nx\nendstream", b"PK\x03\x04 cut", b"\xff\x00"], ids=str
)
def test_a_file_that_bears_none_is_no_witness(house, content):
    other = house / "other"
    other.write_bytes(content)
    done = run("verify", "org-1", "--against", str(other))
    assert (done.exit_code, "there is no checkpoint in it" in done.output) == (2, True)


def test_an_outsider_needs_the_public_key_alone(house, monkeypatch):
    key = run("key").output.strip()
    run("checkpoint", "org-1")
    for name in ("STEWARDSHIP_AUDIT_KEY", "STEWARDSHIP_CHECKPOINT_KEY", "STEWARDSHIP_CHECKPOINT_FILE"):
        monkeypatch.delenv(name)
    words = ("verify", "org-1", "--public", "--against", str(house / "checkpoints.txt"))
    assert run(*words, "--key", key).exit_code == 0
    assert run(*words).exit_code == 2


def test_a_change_of_keys(house, monkeypatch):
    assert "k2 follows" in run("rotate", "k2").output
    old = os.environ["STEWARDSHIP_AUDIT_KEY"]
    monkeypatch.setenv("STEWARDSHIP_AUDIT_RETIRED_KEYS", f"k1:{old}")
    monkeypatch.setenv("STEWARDSHIP_AUDIT_KEY", f"k2:{KEY[::-1].replace(' ', '-')}")
    with transaction(opened()) as session:
        audit.record(session, "report.printed", subject="r-2", by=BY, now=NOW)
    assert run("verify", "org-1").exit_code == 0
    monkeypatch.delenv("STEWARDSHIP_AUDIT_RETIRED_KEYS")
    assert "not known here" in run("verify", "org-1").output


def test_a_stored_decision_is_decided_again(house):
    library = load()
    with transaction(opened()) as session:
        made = orders.submit(session, library, an_order(), a_chart(), by=PRESCRIBER, now=NOW).decision_id
    done = run("replay", "org-1", made)
    assert (done.exit_code, "all the same" in done.output) == (0, True)
    assert json.loads(run("replay", "org-1", "--json").output)["same"] is True


def test_a_decision_that_is_not_there_cannot_be_decided_again(house):
    assert run("replay", "org-1", "nothing").exit_code == 2
