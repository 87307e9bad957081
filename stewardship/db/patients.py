"""Patients' rows: found by the id that the EHR uses, made when first heard of."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from stewardship.db import tables
from stewardship.db.charts import KnownPatient, known_patient
from stewardship.db.engine import engine_of
from stewardship.domain.chart import Patient


def insert_once(session: Session, table: Table, values: dict[str, Any]) -> bool:
    """Insert a row unless one with its key is there, or is just being put there by somebody else.

    Whether it was inserted. A loser of a race waits for the winner to commit, and can then read its row.
    """
    make = postgresql.insert if engine_of(session).dialect.name == "postgresql" else sqlite.insert
    key = next(iter(table.primary_key))
    statement = make(table).values(values).on_conflict_do_nothing().returning(key)
    return session.connection().execute(statement).first() is not None


def ensure_patient(
    session: Session, known: KnownPatient, patient: Patient, *, organisation_id: str, now: datetime
) -> str:
    """Our id of the patient, after making its row if it has none."""
    if known.id is not None:
        return known.id
    row = {
        "organisation_id": organisation_id,
        "id": secrets.token_hex(16),
        "ehr_id": patient.id,
        "birth_date": patient.birth_date,
        "sex": patient.sex,
        "deceased": patient.deceased,
        "recorded_at": now,
    }
    if insert_once(session, tables.Patient.__table__, row):  # type: ignore[arg-type]
        return str(row["id"])
    again = known_patient(session, organisation_id=organisation_id, patient_id=patient.id)
    assert again.id is not None  # noqa: S101 - the insert was refused because the row is there
    return again.id


def hold_patient(session: Session, patient: str, *, organisation_id: str) -> None:
    """Keep others from holding the patient until this transaction ends. What only refers to the patient's row
    goes on meanwhile. On SQLite a writer is alone."""
    table: Any = tables.Patient.__table__
    mine = (table.c.organisation_id == organisation_id, table.c.id == patient)
    session.connection().execute(select(table.c.id).where(*mine).with_for_update(key_share=True)).one()
