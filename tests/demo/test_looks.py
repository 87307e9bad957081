"""A clinic at work: most were looked at in time, some are due, a few were missed, whatever day it begins."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stewardship.declarations import load
from stewardship.demo import function, looks, orders, recipes
from stewardship.demo.clinic import make
from stewardship.domain.reassessment import next_due


@pytest.fixture(scope="module")
def library():
    return load()


@pytest.mark.parametrize("day", ["2026-11-21", "2028-02-29"])
def test_most_are_looked_at_in_time_some_are_due_and_a_few_were_missed(library, day):
    now = datetime.fromisoformat(f"{day}T15:00").replace(tzinfo=UTC)
    made = make(recipes.read(), library, now=now)
    left = orders.shown_patients(made)
    found = [looks.looked_at(made, recipes.read(), library, function.CALENDAR, left=left) for _ in range(2)]
    assert found[0] == found[1]
    terms, days = library.clock, library.working_days(function.CALENDAR)
    answers = [next_due(chart, terms, calendar=days).due for chart in found[0].charts.values()]
    until = [(due.on - now.date()).days for due in answers if due is not None]
    late = [one for one in until if one < -terms.missed_days_after]
    soon = [one for one in until if -terms.missed_days_after <= one <= terms.opens_days_before]
    assert len(until) > 150
    assert 5 <= len(late) <= len(until) // 6
    assert 5 <= len(soon) <= len(until) // 5
    for patient, chart in found[0].charts.items():
        if patient in left:
            assert chart is made.charts[patient]
        written = {o.id for o in made.charts[patient].observations}
        added = [o for o in chart.observations if o.id not in written]
        assert all(o.on is not None and o.on < now.date() for o in added)
