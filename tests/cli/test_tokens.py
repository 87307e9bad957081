"""``stewardship tokens``: the first token of an organisation, and those after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from stewardship.cli import main
from stewardship.db import connect, transaction
from stewardship.domain.people import Principal, Role
from stewardship.services.tokens import authenticate


@pytest.fixture
def url(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'house.db'}"
    monkeypatch.setenv("STEWARDSHIP_DATABASE_URL", url)
    monkeypatch.setenv("STEWARDSHIP_AUDIT_KEY", "k" * 16 + "0123456789abcdef")
    assert CliRunner().invoke(main, ["db", "upgrade"]).exit_code == 0
    return url


def issue(*arguments):
    return CliRunner().invoke(main, ["tokens", "issue", *arguments])


def owner(url, token, *, days=0):
    sessions = connect(url)
    with transaction(sessions, write=False) as session:
        found = authenticate(session, token, now=datetime.now(UTC) + timedelta(days=days))
    sessions.kw["bind"].dispose()
    return found


def test_a_token_lets_its_role_in_and_nothing_else_is_printed(url):
    token = issue("pharmacist", "--organisation", "our-hospital", "--user", "u-7").stdout.strip()
    assert owner(url, token) == Principal("u-7", "our-hospital", Role.PHARMACIST)


def test_a_second_token_needs_no_new_organisation(url):
    assert issue("ehr", "--organisation", "our-hospital").exit_code == 0
    assert issue("ehr", "--organisation", "our-hospital").exit_code == 0


def test_a_token_ends_when_it_was_said_to(url):
    token = issue("ehr", "--organisation", "our-hospital", "--days", "2").stdout.strip()
    assert owner(url, token, days=1)
    assert owner(url, token, days=2) is None


def test_a_user_keeps_one_role(url):
    issue("pharmacist", "--organisation", "our-hospital", "--user", "u-7")
    assert issue("prescriber", "--organisation", "our-hospital", "--user", "u-7").exit_code == 1


def test_nothing_is_done_that_cannot_be_recorded(url, monkeypatch):
    monkeypatch.delenv("STEWARDSHIP_AUDIT_KEY")
    assert issue("ehr", "--organisation", "our-hospital").exit_code == 3


@pytest.mark.parametrize(
    "wrong",
    [("--from", "192.0.2.1/24"), ("--from", "our-office"), ("--per-minute", "0")],
    ids=["bits", "word", "none"],
)
def test_a_limit_that_means_nothing_makes_no_token(url, wrong):
    done = issue("ehr", "--organisation", "our-hospital", *wrong)
    assert (done.exit_code, done.stdout) == (2, "")


def test_what_a_token_is_bound_to_is_listed(url):
    issue("ehr", "--organisation", "our-hospital", "--from", "192.0.2.0/24", "--per-minute", "600")
    issue("ehr", "--organisation", "our-hospital")
    listed = CliRunner().invoke(main, ["tokens", "list", "--organisation", "our-hospital"]).stdout
    assert "from 192.0.2.0/24 · 600 a minute" in listed
    assert "from everywhere" in listed
