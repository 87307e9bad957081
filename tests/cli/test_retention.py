"""``stewardship retention``: what would go is said first, goes when asked, and stays under a hold."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest
from click.testing import CliRunner

from stewardship.cli import main
from stewardship.config import Settings
from stewardship.db import transaction
from stewardship.domain.policy import Breach
from stewardship.services import orders, organisations
from stewardship.witness import open_database
from tests.builders import NOW, a_chart, an_order
from tests.services.declared import ORGANISATION, PRESCRIBER, Declared, a_policy

#: Longer ago than any term, by whatever clock.
LONG_AGO = NOW.replace(year=2009)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retention")
    return {
        "STEWARDSHIP_DATABASE_URL": f"sqlite:///{folder / 'house.db'}",
        "STEWARDSHIP_AUDIT_KEY": "k" * 16 + "0123456789abcdef",
    }


@pytest.fixture(scope="module")
def run(environment):
    def running(*words):
        done = CliRunner().invoke(main, ["retention", *words], env=environment)
        assert done.exit_code == 0, done.output
        return done.output

    assert CliRunner().invoke(main, ["db", "upgrade"], env=environment).exit_code == 0
    sessions = open_database(Settings.from_env(environment))
    chart = a_chart()
    chart = replace(chart, patient=replace(chart.patient, birth_date=date(1960, 5, 1)))
    with transaction(sessions) as session:
        organisations.ensure(session, ORGANISATION, name="One", by=PRESCRIBER, now=LONG_AGO)
        library = Declared([a_policy("soft", Breach())])
        orders.submit(session, library, an_order(), chart, by=PRESCRIBER, now=LONG_AGO)
    sessions.kw["bind"].dispose()
    return running


def due(run):
    kinds = json.loads(run("report", ORGANISATION, "--json"))["kinds"]
    return next(kind for kind in kinds if kind["kind"] == "decisions")


def test_terms_say_on_what_they_rest_and_what_is_not_verified(run):
    said = run("terms")
    assert "21 CFR 1304.04(a)" in said
    assert "[not verified]" in said
    assert "The audit trail" in said


def test_what_would_go_is_said_held_and_removed_only_when_asked(run, environment):
    found = due(run)
    assert (found["would_go"], found["by_year"]) == (1, {"2009": 1})
    assert "1 would go" in run("apply", ORGANISATION)
    patient = an_order().patient_id
    held = run("hold", ORGANISATION, "--patient", patient, "--reason", "Letter of a court").split()[0]
    assert "decisions: 0 removed" in run("apply", ORGANISATION, "--yes")
    assert due(run)["stay"]["a legal hold stands"] == 1
    assert "Letter of a court" in run("holds", ORGANISATION)
    run("lift", ORGANISATION, held, "--reason", "The case is closed")
    assert "decisions: 1 removed" in run("apply", ORGANISATION, "--yes")
    assert due(run)["would_go"] == 0
    assert "The case is closed" in run("holds", ORGANISATION, "--all")
    verified = CliRunner().invoke(main, ["audit", "verify", ORGANISATION], env=environment)
    assert verified.exit_code == 0, verified.output


def test_nothing_is_done_in_an_organisation_that_is_not_there(environment, run):
    done = CliRunner().invoke(main, ["retention", "report", "elsewhere"], env=environment)
    assert done.exit_code == 2
    assert "there is no such organisation" in done.output
