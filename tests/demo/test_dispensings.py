"""What pharmacies report to the demonstration's clinic: real files, a silent pharmacy, a match to settle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stewardship.cli.render import standing
from stewardship.db import transaction
from stewardship.declarations import load
from stewardship.demo import dispensings, opening, recipes
from stewardship.demo.clinic import make
from stewardship.demo.house import House
from stewardship.demo.orders import cases
from stewardship.domain.chart import Chart, Patient
from stewardship.intake.asap import Closed, Rejected, Status, read
from stewardship.services import candidates, dispensed, orders, pharmacies

NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)  # a Wednesday
BY = opening.prescriber()


@pytest.fixture(scope="module")
def library():
    return load()


@pytest.fixture(scope="module")
def clinic(library):
    return make(recipes.read(), library, now=NOW)


@pytest.fixture
def opened(sqlite_database, library, tmp_path):
    opening.open_clinic(House.at(tmp_path / "house"), sqlite_database, library, now=NOW)
    return sqlite_database


def test_each_file_is_whole_and_names_only_products_that_are_known(clinic, library):
    written = dict(dispensings.files(clinic, made_at=NOW))
    assert len(written) == 6
    for name, content in written.items():
        if name.endswith(".asap"):
            found = list(read(content))
            assert not [event for event in found if isinstance(event, Rejected)]
            assert [event.status for event in found if isinstance(event, Closed)] == [Status.COMPLETE]
    said = dispensings.checked(dispensings._FILE, dispensings._Reports())
    assert all(library.catalogue.by_ndc(code) for code in said["product"].values())


def test_one_pharmacy_is_silent_one_match_waits_and_one_void_is_pending(opened):
    with transaction(opened, write=False) as session:
        listed = pharmacies.listed(session, by=BY, now=NOW)
        waiting = candidates.waiting(session, by=BY)
        pending = dispensed.unmatched(session, organisation_id=BY.organisation_id)
    assert [row["name"] for row in listed if row["silent"]] == ["DEMO PHARMACY IN THE VILLAGE"]
    assert len(listed) == 5
    assert [one.rule for one in waiting] == ["person-moved"]
    assert [one["reporting"] for one in pending] == ["void"]


def test_what_a_pharmacy_reported_changes_the_decision(opened, clinic, library):
    (reported,) = [case for case in cases(clinic, library, now=NOW) if case.reported]
    alone = Chart(Patient(reported.order.patient_id), NOW)
    charted = clinic.charts[reported.order.patient_id]
    with transaction(opened, write=False) as session:
        (checked,) = orders.screen(session, library, [reported.order], alone, by=BY, now=NOW)
    assert standing(checked.decision).word == reported.shows
    course = next(f for f in checked.decision.findings if f.policy == "short-course")
    assert not [s for s in charted.supplies if s.drug and s.drug.opioids]
    assert (course.outcome, course.facts["earlier_days"]) == ("breach", 7)
    assert checked.chart.pharmacy_data.in_words(NOW) == "Pharmacy data to 18 November, 13:00 UTC."


def test_a_start_on_a_later_day_brings_nothing_again(opened, library, tmp_path):
    def reports():
        with transaction(opened, write=False) as session:
            return session.connection().exec_driver_sql("SELECT count(*) FROM imports").scalar_one()

    before = reports()
    later = NOW + timedelta(days=3)
    opening.open_clinic(House.at(tmp_path / "house"), opened, library, now=later)
    assert reports() == before == 6


def test_an_interrupted_first_start_is_continued(opened, sqlite_database, library, clinic):
    again = dispensings.take_in(
        sqlite_database, library, clinic, by=opening.prescriber(), made_at=NOW, now=NOW + timedelta(minutes=1)
    )
    assert again == 0
