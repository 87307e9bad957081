"""``stewardship db``: what an operator types, and what comes back."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from stewardship.cli import main
from stewardship.db import AuditKeys, connect, migrate, transaction
from stewardship.domain.people import Principal, Role
from stewardship.services import audit, organisations
from tests.builders import NOW

KEY = "of-thirty-two-characters-or-more-0123456789"


@pytest.fixture
def run(empty_url, monkeypatch):
    monkeypatch.setenv("STEWARDSHIP_DATABASE_URL", empty_url)
    monkeypatch.setenv("STEWARDSHIP_AUDIT_KEY", KEY)

    def running(*words):
        return CliRunner().invoke(main, ["db", *words])

    return running


@pytest.fixture
def audited(run, empty_url):
    run("upgrade")
    sessions = connect(empty_url, audit_keys=AuditKeys.single(KEY.encode()))
    by = Principal("u-1", "org-1", Role.ADMIN)
    with transaction(sessions) as session:
        organisations.ensure(session, "org-1", name="One", by=by, now=NOW)
        audit.record(session, "report.printed", subject="r-1", by=by, now=NOW)
    yield sessions
    sessions.kw["bind"].dispose()


def test_up_and_down(run):
    assert run("current").exit_code == 1
    assert f"none -> {migrate.newest()}" in run("upgrade").output
    assert run("current").exit_code == 0
    assert run("upgrade").output == f"schema {migrate.newest()}\n"
    assert f"{migrate.newest()} -> none" in run("downgrade", "base").output


def test_down_is_refused_while_there_are_rows(run, audited):
    refused = run("downgrade", "base")
    assert refused.exit_code == 1
    assert "audit_events" in refused.output
    assert run("downgrade", "base", "--discard-data").exit_code == 0
