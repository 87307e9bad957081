"""The demonstration's function: what a newcomer finds on the first day, whatever day that is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from stewardship.db import flag_tables, tables, transaction
from stewardship.declarations import load
from stewardship.demo import function, recipes
from stewardship.domain.instruments import Verdict
from stewardship.domain.people import Principal, Role
from stewardship.domain.reviews import State
from stewardship.services import goals, measurements, organisations, reassessments

SETUP = Principal("demo-setup", "org-1", Role.ADMIN)
PRESCRIBER = Principal("demo-prescriber", "org-1", Role.PRESCRIBER)


@pytest.fixture(params=["2026-11-21T15:00", "2028-02-29T23:30"], ids=["an-autumn-day", "a-leap-day"])
def house(request, database):
    now = datetime.fromisoformat(request.param).replace(tzinfo=UTC)
    library = load()
    with transaction(database) as session:
        organisations.ensure(session, "org-1", name="One", by=SETUP, now=now)
        function.make(session, library, recipes.read(), setup=SETUP, prescriber=PRESCRIBER, now=now)
    with transaction(database, write=False) as session:
        yield session, library, now


def test_a_newcomer_finds_what_is_shown(house):
    session, library, now = house
    trends = {
        person.id: measurements.trend(session, library, person.id, by=PRESCRIBER, now=now)
        for person in function.read()
    }
    judged = {name: found[0].function.since_first for name, found in trends.items()}
    assert judged["demo-better"].verdict is Verdict.BETTER
    assert judged["demo-flat"].verdict is Verdict.UNCHANGED
    assert judged["demo-worse"].verdict is Verdict.WORSE
    items = reassessments.worklist(session, "org-1", today=now.date())
    states = {item.patient_id: item.state for item in items}
    assert states == {"demo-better": State.DUE, "demo-worse": State.DUE, "demo-missed": State.MISSED}
    standing = {
        g.patient_id
        for g in goals.standing(session, by=PRESCRIBER, due_by=now.date().replace(year=2030, day=1))
    }
    assert standing == {"demo-better", "demo-flat", "demo-worse", "demo-goal"}
    asked = select(tables.Patient.ehr_id, flag_tables.Flag.kind).join(
        flag_tables.Flag, flag_tables.Flag.patient_id == tables.Patient.id
    )
    assert {tuple(row) for row in session.execute(asked)} == {
        ("demo-flat", "dose-up-function-flat"),
        ("demo-worse", "function-declining"),
        ("demo-goal", "goal-reached"),
        ("demo-missed", "review-missed"),
        ("demo-missed", "no-function-measure"),
    }
