"""A measure over what is on record: from the database to the terminal, the totals and FHIR."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from stewardship.cli import main
from stewardship.config import Settings
from stewardship.db import tables, transaction
from stewardship.declarations import load
from stewardship.domain.chart import Chart, Condition, Patient
from stewardship.domain.codes import RXNORM, Coding
from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Medication
from stewardship.domain.errors import InvalidInput, NotFound
from stewardship.domain.measures import as_fhir
from stewardship.domain.measures.told import run_told
from stewardship.domain.people import Principal, Role
from stewardship.services import history, measures
from stewardship.witness import open_database
from tests.measures.claiming import YEAR, claim

NOW = datetime(YEAR + 1, 2, 1, tzinfo=UTC)
STORED = datetime(YEAR - 1, 6, 1, tzinfo=UTC)  # before any clock of whoever runs this
BY = Principal("operator", "our-hospital", Role.ADMIN)
#: Oxycodone 5 mg as the catalogue knows it.
CODE = Medication((Coding(RXNORM, "1049621"),), "oxycodone 5 MG Oral Tablet")
CANCER = Condition("k", (Coding("icd-10-cm", "C50.911"),), active=True, recorded_on=date(YEAR, 3, 1))


def dispensed(on: int, a_day: int):
    given = claim(on, 60, a_day=a_day, medication=CODE, prescriber="p", pharmacy="s")
    return replace(given, drug=None, quantity=Quantity(given.quantity.value, "tablet"))


def a_person(name: str, a_day: int, born: date | None = date(1980, 5, 1), **more) -> Chart:
    return Chart(Patient(name, born), NOW, (dispensed(0, a_day), dispensed(60, a_day)), **more)


@pytest.fixture(scope="module")
def library():
    return load()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    monkeypatch = pytest.MonkeyPatch()
    url = f"sqlite:///{tmp_path_factory.mktemp('measures') / 'house.db'}"
    monkeypatch.setenv("STEWARDSHIP_DATABASE_URL", url)
    monkeypatch.setenv("STEWARDSHIP_AUDIT_KEY", "k" * 16 + "0123456789abcdef")
    assert CliRunner().invoke(main, ["db", "upgrade"]).exit_code == 0
    made = CliRunner().invoke(main, ["tokens", "issue", "ehr", "--organisation", "our-hospital"])
    assert made.exit_code == 0
    yield url
    monkeypatch.undo()


@pytest.fixture(scope="module")
def sessions(url, library):
    sessions = open_database(Settings.from_env(os.environ))
    people = [
        a_person("high", 12),  # 90 MME a day
        a_person("near", 10),  # 75
        a_person("ill", 12, conditions=(CANCER,)),
        a_person("ageless", 12, None),
        a_person("child", 12, date(YEAR - 10, 1, 1)),
    ]
    with transaction(sessions) as session:
        history.store(session, people, source="test", by=BY, now=STORED)
    yield sessions
    sessions.kw["bind"].dispose()


@pytest.fixture(scope="module")
def found(sessions, library):
    with transaction(sessions) as session:
        return measures.measure(session, library, "hedis-hdo", YEAR, by=BY, now=NOW)


def test_everybody_stands_somewhere(found):
    told = run_told(found, patients=True)
    assert told["population"] == {"cannot-tell": 1, "excluded": 1, "in": 2, "out": 1}
    assert (told["excluded"], told["cannot_tell"]) == ({"cancer": 1}, {"birth-date-missing": 1})
    (rate,) = (r for r in told["rates"] if r["rate"] == "90-mme")
    assert (rate["denominator"], rate["numerator"], rate["near"], float(rate["percent"])) == (2, 1, 1, 50.0)


def test_what_stands_in_for_enrolment_goes_with_the_answer(found):
    assert any("Enrolment" in said for said in run_told(found, patients=False)["measure"]["assumptions"])


def test_a_patient_is_told_with_claims_and_days(found):
    (high,) = (a for a in run_told(found, patients=True)["answers"] if a["rates"] and a["rates"][0]["met"])
    rate = high["rates"][0]
    assert len(rate["claims"]) == 2
    assert (rate["first"], rate["last"]) == ("2026-01-01", "2026-04-30")


def test_the_summary_adds_up_in_fhir(found):
    report = as_fhir.summary(found, now=NOW, organisation="our-hospital")
    counts = {
        p["code"]["coding"][0]["code"]: p["count"]
        for p in next(g for g in report["group"] if g["code"]["text"] == "90-mme")["population"]
    }
    assert counts == {
        "initial-population": 3,
        "denominator": 3,
        "denominator-exclusion": 1,
        "numerator": 1,
        "cannot-tell": 1,
    }
    assert (report["type"], report["period"]) == ("summary", {"start": "2026-01-01", "end": "2026-12-31"})


def test_each_who_is_in_or_excluded_has_a_report_of_his_own(found):
    reports = as_fhir.individuals(found, now=NOW, organisation="our-hospital")
    assert len(reports) == 3
    assert all(len(r["evaluatedResource"]) == 2 for r in reports)


def test_that_it_was_run_is_on_record(sessions, found):
    event = tables.AuditEvent
    with transaction(sessions, write=False) as session:
        asked = select(event.subject).where(event.action == "measure.run")
        assert session.scalars(asked).first() == found.measure.id


@pytest.mark.parametrize(
    ("measure", "year", "refusal"), [("nothing", YEAR, NotFound), ("hedis-hdo", 2300, InvalidInput)]
)
def test_what_there_is_not_is_refused(sessions, library, measure, year, refusal):
    with transaction(sessions) as session, pytest.raises(refusal):
        measures.measure(session, library, measure, year, by=BY, now=NOW)


def test_the_terminal_lists_and_runs(sessions):
    assert "pqa-cob" in CliRunner().invoke(main, ["measures", "list"]).stdout
    asked = ["measures", "run", "hedis-hdo", "--period", str(YEAR)]
    said = CliRunner().invoke(main, asked)
    assert said.exit_code == 0
    assert "90-mme: 1 of 2 = 50.00 %, cannot tell 0, near 1" in said.stdout
    assert "Enrolment is not on record" in said.stdout
    bundle = json.loads(CliRunner().invoke(main, [*asked, "--fhir"]).stdout)
    assert [e["resource"]["type"] for e in bundle["entry"]] == ["summary", *["individual"] * 3]
    whole = json.loads(CliRunner().invoke(main, [*asked, "--json"]).stdout)
    assert len(whole["answers"]) == 4
