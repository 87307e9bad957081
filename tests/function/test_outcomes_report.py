"""Function against dose, counted over three patients whose answers and supplies are known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stewardship.db import transaction
from stewardship.reports.function_outcomes import function_outcomes
from stewardship.reports.reporting import Asked
from tests.function.acting import Acting
from tests.services.declared import PRESCRIBER


@pytest.fixture
def acting(clinic, library):
    return Acting(clinic, library)


def report(acting, *, since=0, until=60):
    asked = Asked(
        PRESCRIBER.organisation_id, acting.today + timedelta(since), acting.today + timedelta(until)
    )
    with transaction(acting.sessions, write=False) as session:
        found = function_outcomes(session, acting.library, asked)
    return {table.name: list(table.rows) for table in found.tables}


def measured_twice(acting, patient, after):
    """A PEG of 7, 7, 7 now, and another thirty days later."""
    acting.measure(patient)
    answers = dict.fromkeys(("pain", "enjoyment", "activity"), after)
    acting.later(30).measure(patient, **answers)


def test_function_is_counted_by_what_the_dose_did(acting):
    acting.takes("p-1", acting.oxycodone(60, id="a"))
    measured_twice(acting, "p-1", 3)
    acting.takes(
        "p-2",
        acting.oxycodone(60, id="b"),
        acting.oxycodone(30, ago=-30, per_day=8, id="c", prescriber="dr-2"),
    )
    measured_twice(acting, "p-2", 7)
    measured_twice(acting, "p-3", 9)
    assert report(acting)["doses"] == [
        ("rose", 0, 1, 0, 0),
        ("stayed", 1, 0, 0, 0),
        ("no opioid", 0, 0, 1, 0),
    ]


def test_who_was_measured_once_or_before_the_period_is_not_in_it(acting):
    acting.measure("p-1")
    measured_twice(acting, "p-2", 3)
    assert report(acting, since=31, until=60)["doses"] == []
