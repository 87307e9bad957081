"""The tables of function: up and down, and what the database itself refuses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert, inspect, text
from sqlalchemy.exc import IntegrityError

from stewardship.db import function_tables, migrate, tables, transaction
from stewardship.db.engine import make_engine
from stewardship.domain.errors import Conflict
from tests.builders import NOW, TODAY

OWN = {
    "function_goals",
    "function_goal_events",
    "measurements",
    "measurement_errors",
    "reassessments",
    "reassessment_measurements",
    "clock_readings",
}


@pytest.fixture
def engine(empty_url):
    made = make_engine(empty_url)
    migrate.upgrade(made, "0008")
    yield made
    made.dispose()


def test_down_takes_the_tables_and_the_calendars_and_up_brings_them_back(engine):
    def seen():
        looked = inspect(engine)
        return set(looked.get_table_names()), {c["name"] for c in looked.get_columns("organisations")}

    before = seen()
    migrate.downgrade(engine, "0007")
    gone = seen()
    assert before[0] - gone[0] == OWN
    assert before[1] - gone[1] == {"time_zone", "holiday_country", "holiday_region", "weekend"}
    migrate.upgrade(engine, "0008")
    assert seen() == before


def test_a_calendar_is_not_lost_without_being_asked(engine):
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO organisations (id, name, created_at, time_zone) "
                "VALUES ('org-1', 'One', '2026-11-21 12:00:00+00:00', 'America/New_York')"
            )
        )
    with pytest.raises(Conflict, match="calendar"):
        migrate.downgrade(engine, "0007")
    migrate.downgrade(engine, "0007", discard=True)


@pytest.fixture
def patient(database):
    with transaction(database) as session:
        session.execute(insert(tables.Organisation.__table__), {"id": "org-1", "name": "", "created_at": NOW})
        row = {"organisation_id": "org-1", "id": "1", "ehr_id": "p-1", "sex": "", "deceased": False}
        session.execute(insert(tables.Patient.__table__), row | {"recorded_at": NOW})
    return database


def review(name, state="planned", **more):
    opened = {"opened_at": NOW} if state in ("due", "missed") else {}
    missed = {"missed_at": NOW} if state == "missed" else {}
    closed = {"closed_at": NOW} if state in ("done", "cancelled") else {}
    done = {"done_on": TODAY} if state == "done" else {}
    reason = "r" if state == "cancelled" else ""
    return {
        "organisation_id": "org-1",
        "id": name,
        "patient_id": "1",
        "interval": "long-term",
        "exact_on": TODAY,
        "due_on": TODAY,
        "since": TODAY - timedelta(90),
        "state": state,
        "clinician": "",
        "assigned": False,
        "planned_at": NOW,
        "opened_late_days": 0,
        "excused": False,
        "reason": reason,
        "note": "",
        **opened,
        **missed,
        **closed,
        **done,
        **more,
    }


def keep(database, *rows):
    with transaction(database) as session:
        for row in rows:
            session.execute(insert(function_tables.Reassessment.__table__), row)


@pytest.mark.parametrize("state", ["planned", "due", "missed"])
def test_a_patient_has_one_open_review(patient, state):
    keep(patient, review("r-1", state))
    with pytest.raises(IntegrityError):
        keep(patient, review("r-2"))


def test_closed_reviews_of_a_patient_may_be_many(patient):
    keep(patient, *(review(f"r-{n}", s) for n, s in enumerate(["done", "done", "cancelled", "due"])))


@pytest.mark.parametrize(
    ("state", "wrong"),
    [
        ("done", {"done_on": None}),
        ("planned", {"done_on": TODAY}),
        ("cancelled", {"reason": ""}),
        ("cancelled", {"closed_at": None}),
        ("due", {"opened_at": None}),
        ("missed", {"missed_at": None}),
        ("due", {"excused": True}),
        ("waiting", {}),
    ],
    ids=[
        "done-no-day",
        "day-not-done",
        "no-reason",
        "not-closed",
        "not-opened",
        "not-missed",
        "excused",
        "state",
    ],
)
def test_a_review_that_contradicts_itself_is_refused(patient, state, wrong):
    with pytest.raises(IntegrityError):
        keep(patient, review("r-1", state, **wrong))
