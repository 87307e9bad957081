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


@pytest.fixture
def clinic(database: Sessions) -> Sessions:
    """A database with two organisations, a patient and people."""
    with transaction(database) as session:
        organisations.ensure(session, PRESCRIBER.organisation_id, name="One", by=PRESCRIBER, now=NOW)
        organisations.ensure(session, ELSEWHERE.organisation_id, name="Two", by=ELSEWHERE, now=NOW)
    add_patients(database, PATIENT)
    add_patients(database, PATIENT, organisation=ELSEWHERE.organisation_id)
    add_users(database, PRESCRIBER, PHARMACIST, ANOTHER)
    return database


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
