"""``stewardship matches``: the list, both sides, and what is done about them."""

from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner

from stewardship.cli import main
from tests.intake.asap.files import PRESCRIBER, a_file, dispensing, patient

ORGANISATION = "our-hospital"
NO_CARD = {"e01": "", "e02": "", "e03": ""}


def run(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def match(tmp_path, monkeypatch):
    """A match to settle: the ids of its identity and its patient."""
    monkeypatch.setenv("STEWARDSHIP_DATABASE_URL", f"sqlite:///{tmp_path / 'house.db'}")
    monkeypatch.setenv("STEWARDSHIP_AUDIT_KEY", "k" * 16 + "0123456789abcdef")
    # The process that runs the tests must not stand back: it cannot take that back.
    monkeypatch.setattr(os, "setpriority", lambda *_: None)
    assert run("db", "upgrade").exit_code == 0
    assert run("tokens", "issue", "ehr", "--organisation", ORGANISATION).exit_code == 0
    for number, zip_code in enumerate(("12207", "10001"), 1):
        who = patient(1, **NO_CARD, e16=zip_code)
        path = tmp_path / f"{number}.asap"
        path.write_bytes(a_file([who, dispensing(number), PRESCRIBER], control=str(number)))
        assert run("import", str(path)).exit_code == 0
    listed = run("matches", "list", ORGANISATION, "--json")
    assert listed.exit_code == 1
    (one,) = json.loads(listed.stdout)["matches"]
    return one["identity"], one["patient"]


SAYING = ("--reason", "asked the patient", "--as", "u-7")


def test_both_sides_are_shown(match):
    done = run("matches", "show", ORGANISATION, *match)
    assert done.exit_code == 0, done.output
    assert "TESTPATIENT1, TESTNAME" in done.output
    assert "compared: last same, first same, birth_date same, sex same, zip different" in done.output


def test_accepted_parted_and_told(match):
    assert run("matches", "accept", ORGANISATION, *match, *SAYING).exit_code == 0
    assert run("matches", "list", ORGANISATION).exit_code == 0
    twice = run("matches", "accept", ORGANISATION, *match, *SAYING)
    assert (twice.exit_code, "u-7 settled this match before" in twice.output) == (1, True)
    parted = run("matches", "part", ORGANISATION, match[0], "--reason", "a twin", "--as", "u-8")
    assert "now of patient " in parted.output
    told = json.loads(run("matches", "history", ORGANISATION, match[0], "--json").stdout)
    assert [(one["act"], one["by"]) for one in told["said"]] == [("accepted", "u-7"), ("parted", "u-8")]
    words = run("matches", "history", ORGANISATION, match[0]).output
    assert "by by-hand (u-7): asked the patient" in words


def test_declined_and_opened_again(match):
    assert run("matches", "decline", ORGANISATION, *match, *SAYING).exit_code == 0
    listed = run("matches", "list", ORGANISATION, "--status", "declined")
    assert "declined by u-7" in listed.output
    assert run("matches", "reopen", ORGANISATION, *match, *SAYING).exit_code == 0
    assert run("matches", "list", ORGANISATION).exit_code == 1


def test_a_match_that_is_not_there_is_said_to_be_not_there(match):
    done = run("matches", "show", ORGANISATION, "nobody", match[1])
    assert done.exit_code == 1
    assert "there is no such match" in done.output
