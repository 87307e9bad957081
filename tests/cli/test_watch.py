"""``stewardship watch``: once over everybody, and what its exit code says."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from stewardship.cli import main
from stewardship.db import claims, transaction
from stewardship.db.engine import make_engine
from stewardship.services import organisations, watch
from tests.builders import NOW
from tests.domain.flagging import OXYCODONE
from tests.flags.feeding import fill, put
from tests.flags.raising import PATIENT, WATCH, add_patients
from tests.services.declared import ELSEWHERE

KEY = "only-for-the-audit-0123456789abcdef"


@pytest.fixture
def run(sqlite_database, monkeypatch):
    url = str(sqlite_database.kw["bind"].url)
    monkeypatch.setenv("STEWARDSHIP_DATABASE_URL", url)
    monkeypatch.setenv("STEWARDSHIP_AUDIT_KEY", KEY)
    with transaction(sqlite_database) as session:
        organisations.ensure(session, WATCH.organisation_id, name="One", by=WATCH, now=NOW)
    add_patients(sqlite_database, PATIENT)

    def invoke(*args):
        return CliRunner().invoke(main, ["watch", *args])

    invoke.sessions = sqlite_database
    invoke.url = url
    return invoke


def test_it_says_how_many_were_looked_at(run):
    put(run.sessions, PATIENT, fill(20, drug=OXYCODONE))
    done = run("--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert (told["patients"], told["looked"], told["failed"], told["done"]) == (1, 1, 0, True)
    assert "1 patients passed, 0 looked at" in run().output


def test_an_organisation_has_to_be_named_where_there_are_several(run):
    with transaction(run.sessions) as session:
        organisations.ensure(session, ELSEWHERE.organisation_id, name="Two", by=ELSEWHERE, now=NOW)
    assert run().exit_code == 2
    assert run("--organisation", ELSEWHERE.organisation_id).exit_code == 0
    assert run("--organisation", "nobody").exit_code == 2


def test_two_do_not_watch_at_once(run):
    engine = make_engine(run.url)
    with claims.claim(engine, watch.claim_of(WATCH.organisation_id)) as held:
        assert held
        done = run()
    engine.dispose()
    assert done.exit_code == 5


def test_without_a_key_nothing_is_done(run, monkeypatch):
    monkeypatch.delenv("STEWARDSHIP_AUDIT_KEY")
    assert run().exit_code == 3
