"""Rows -> the charts that measures look at: everybody's supplies, and what may exclude them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import histories, tables
from stewardship.db.charts import FACTS, Meanings, fact_of
from stewardship.domain.chart import Chart, Patient

_patients: Any = tables.Patient.__table__
_KINDS = ("conditions", "procedures", "encounters")
#: Patients whose rows are in memory together.
_PORTION = 500


def charts(session: Session, library: Meanings, *, organisation_id: str, as_of: datetime) -> Iterator[Chart]:
    """The charts of all patients in order of our ids, by which they are called: without observations, plans
    and goals, at which no measure looks."""
    position = ""
    while portion := histories.patients_after(
        session, position, organisation_id=organisation_id, most=_PORTION
    ):
        position = portion[-1]
        asked = select(_patients.c.id, _patients.c.birth_date, _patients.c.sex, _patients.c.deceased).where(
            _patients.c.organisation_id == organisation_id, _patients.c.id.in_(portion)
        )
        known = {row.id: row for row in session.connection().execute(asked)}
        supplies = histories.supplies_of(
            session, library, portion, organisation_id=organisation_id, as_of=as_of
        )
        facts = {kind: _facts(session, library, kind, portion, organisation_id, as_of) for kind in _KINDS}
        for patient in portion:
            row = known[patient]
            yield Chart(
                Patient(row.id, row.birth_date, row.sex, row.deceased),
                as_of,
                tuple(supplies[patient]),
                conditions=tuple(facts["conditions"].get(patient, ())),
                procedures=tuple(facts["procedures"].get(patient, ())),
                encounters=tuple(facts["encounters"].get(patient, ())),
            )


def _facts(
    session: Session,
    library: Meanings,
    kind: str,
    patients: list[str],
    organisation_id: str,
    as_of: datetime,
) -> dict[str, list[Any]]:
    of: Any = FACTS[kind][0]
    table = of.__table__
    asked = (
        select(table.c.patient_id, table.c.document)
        .where(
            table.c.organisation_id == organisation_id,
            table.c.patient_id.in_(patients),
            table.c.recorded_at <= as_of,
        )
        .order_by(table.c.patient_id, table.c.source_id)
    )
    found: dict[str, list[Any]] = {}
    for row in session.connection().execute(asked):
        found.setdefault(row.patient_id, []).append(fact_of(kind, row.document, library))
    return found
