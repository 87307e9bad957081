"""The demonstration's plans: each at the stage that it is to show."""

from __future__ import annotations

import pytest

from stewardship.db import Sessions, transaction
from stewardship.demo import plans as demo_plans
from stewardship.demo import recipes
from stewardship.demo.clinic import Clinic, make
from stewardship.demo.opening import ORGANISATION, prescriber
from stewardship.domain.next_step import Kind
from stewardship.domain.taper import TaperStatus
from stewardship.services import history, organisations, plans, tapers
from tests.builders import NOW
from tests.plans.tapering import declared


@pytest.fixture
def shown(sqlite_database: Sessions) -> tuple[Sessions, Clinic]:
    clinic = make(recipes.read(), declared(), now=NOW)
    with transaction(sqlite_database) as session:
        organisations.ensure(session, ORGANISATION, name="Demonstration", by=prescriber(), now=NOW)
        history.store(session, clinic.charts.values(), source="demo", by=prescriber(), now=NOW)
        demo_plans.make(session, clinic, declared(), by=prescriber(), now=NOW)
    return sqlite_database, clinic


def test_each_plan_is_at_its_stage(shown: tuple[Sessions, Clinic]) -> None:
    sessions, clinic = shown
    kinds = {
        "knee-arthritis-tramadol": Kind.GO_ON,
        "chronic-low-back-unreviewed": Kind.REPLACE,
        "chronic-low-back-stable": Kind.PROCEED,
    }
    with transaction(sessions, write=False) as session:
        for kind, wanted in kinds.items():
            patients = [patient for patient, of in clinic.kinds.items() if of == kind]
            (found,) = (
                plan
                for patient in patients
                for plan in plans.of_patient(session, declared(), patient, by=prescriber(), now=NOW)
            )
            assert found.suggestion is not None
            assert found.suggestion.kind is wanted, found.suggestion.because
        late = plans.overdue(session, by=prescriber(), today=NOW.date())
        assert [r.referral.patient_id for r in late] == [clinic.patient("chronic-low-back-unreviewed")]


def test_one_taper_is_paused(shown: tuple[Sessions, Clinic]) -> None:
    sessions, clinic = shown
    with transaction(sessions, write=False) as session:
        found = [
            taper.taper.status
            for patient in clinic.charts
            for taper in tapers.of_patient(session, declared(), patient, by=prescriber(), now=NOW)
        ]
    assert found == [TaperStatus.PAUSED]
