"""Flags are tested on both databases, in a clinic with one patient and a few people."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from stewardship.db import Sessions, tables, transaction
from stewardship.services import history, organisations
from tests import builders
from tests.builders import NOW
from tests.flags.raising import ANOTHER, PATIENT, add_patients, add_users
from tests.services.declared import ELSEWHERE, PHARMACIST, PRESCRIBER


def _peopled(sessions: Sessions) -> Sessions:
    with transaction(sessions) as session:
        organisations.ensure(session, PRESCRIBER.organisation_id, name="One", by=PRESCRIBER, now=NOW)
        organisations.ensure(session, ELSEWHERE.organisation_id, name="Two", by=ELSEWHERE, now=NOW)
    add_patients(sessions, PATIENT)
    add_patients(sessions, PATIENT, organisation=ELSEWHERE.organisation_id)
    add_users(sessions, PRESCRIBER, PHARMACIST, ANOTHER)
    return sessions


@pytest.fixture
def clinic(database: Sessions) -> Sessions:
    """A database with two organisations, a patient and people: of each kind."""
    return _peopled(database)


@pytest.fixture
def small_clinic(sqlite_database: Sessions) -> Sessions:
    """The same on one kind of database, for what no database has a part in."""
    return _peopled(sqlite_database)


@pytest.fixture
def stored(clinic: Sessions):
    """What a table of the clinic holds, in order of its key."""

    def ask(table: str, *columns: str) -> list[tuple]:
        held = tables.Base.metadata.tables[table]
        asked = select(*(held.c[name] for name in columns)).order_by(*held.primary_key)
        with transaction(clinic, write=False) as session:
            return [tuple(row) for row in session.connection().execute(asked)]

    return ask


@pytest.fixture
def a_supply_of(clinic: Sessions):
    """Puts a supply on a patient's record."""

    def put(patient: str, supply_id: str) -> None:
        row = history.supply_row(builders.a_supply(id=supply_id))
        row |= {"organisation_id": PRESCRIBER.organisation_id, "patient_id": patient, "recorded_at": NOW}
        with transaction(clinic) as session:
            session.execute(insert(tables.Supply.__table__), row)

    return put
