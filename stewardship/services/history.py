"""Patients' histories: facts from a chart become rows, in bulk; the same source twice changes nothing.

A fact is known by its patient, its kind and the id that its source gives it. One that comes again as it
was is left alone; one that changed replaces the earlier wording.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Table, and_, bindparam, insert, select, update
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.db.charts import FACTS, WrittenSupply
from stewardship.domain.chart import Chart
from stewardship.domain.orders import Supply, SupplyKind
from stewardship.domain.people import Principal
from stewardship.services import audit

#: Patients whose rows are compared and written together.
_PORTION = 200


@dataclass(frozen=True)
class Stored:
    """How many patients were named, and how many facts were new, changed or known already."""

    patients: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0

    def __add__(self, other: Stored) -> Stored:
        return Stored(
            self.patients + other.patients,
            self.added + other.added,
            self.changed + other.changed,
            self.unchanged + other.unchanged,
        )


def store(session: Session, charts: Iterable[Chart], *, source: str, by: Principal, now: datetime) -> Stored:
    """Keep what these charts say of their patients. ``source`` names where they come from, for the audit.

    Drafts are not history and are left out. Everything counts as recorded ``now``: a chart as of an
    earlier moment does not show it.
    """
    total = Stored()
    waiting = iter(charts)
    while portion := list(islice(waiting, _PORTION)):
        total += _store_portion(session, portion, by.organisation_id, now)
    detail = {
        "source": source,
        "patients": total.patients,
        "added": total.added,
        "changed": total.changed,
        "unchanged": total.unchanged,
    }
    audit.record(session, "history.stored", subject=source, by=by, now=now, detail=detail)
    return total


def record(session: Session, chart: Chart, *, source: str = "chart", by: Principal, now: datetime) -> Stored:
    """Keep what one chart says of its patient; ``store`` is quicker for many."""
    return store(session, [chart], source=source, by=by, now=now)


def _store_portion(session: Session, charts: Sequence[Chart], organisation_id: str, now: datetime) -> Stored:
    ids = _patients(session, charts, organisation_id, now)
    total = Stored(patients=len(ids))
    supplies: list[dict[str, Any]] = []
    facts: dict[str, list[dict[str, Any]]] = {field: [] for field in FACTS}
    for chart in charts:
        of_patient = {
            "organisation_id": organisation_id,
            "patient_id": ids[chart.patient.id],
            "recorded_at": now,
        }
        supplies += (of_patient | _supply_row(s) for s in chart.supplies if s.kind is not SupplyKind.DRAFT)
        for field, collected in facts.items():
            collected.extend(of_patient | _fact_row(fact) for fact in getattr(chart, field))
    total += _write(session, tables.Supply.__table__, supplies, ids.values(), organisation_id)
    for field, rows in facts.items():
        table = tables.Base.metadata.tables[field]
        total += _write(session, table, rows, ids.values(), organisation_id)
    return total


def _patients(
    session: Session, charts: Sequence[Chart], organisation_id: str, now: datetime
) -> dict[str, str]:
    """Our ids of the charts' patients by the EHR's, after making the rows that are missing."""
    table: Any = tables.Patient.__table__
    wanted = {chart.patient.id: chart for chart in charts}
    asked = select(table.c.ehr_id, table.c.id).where(
        table.c.organisation_id == organisation_id, table.c.ehr_id.in_(wanted)
    )
    known = {row.ehr_id: row.id for row in session.connection().execute(asked)}
    said: list[dict[str, Any]] = []
    new: list[dict[str, Any]] = []
    for ehr_id, chart in wanted.items():
        row = {
            "organisation_id": organisation_id,
            "id": known.get(ehr_id) or secrets.token_hex(16),
            "ehr_id": ehr_id,
            "birth_date": chart.patient.birth_date,
            "sex": chart.patient.sex,
            "deceased": chart.patient.deceased,
            "data_as_of": chart.data_as_of,
            "recorded_at": now,
        }
        (said if ehr_id in known else new).append(row)
    if new:
        session.connection().execute(insert(table), new)
    _update(session, table, ("organisation_id", "id"), said, keep=("ehr_id", "recorded_at"))
    return {row["ehr_id"]: row["id"] for row in (*said, *new)}


def _supply_row(supply: Supply) -> dict[str, Any]:
    written = WrittenSupply(supply.medication, supply.dosage, supply.reasons, supply.replaces)
    return {
        "kind": supply.kind.value,
        "source_id": supply.id,
        "status": supply.status,
        "start_on": supply.start_on,
        "ended_on": supply.ended_on,
        "quantity_value": supply.quantity and supply.quantity.value,
        "quantity_unit": supply.quantity and supply.quantity.unit,
        "days_supply": supply.days_supply,
        "refills": supply.refills,
        "fill": supply.fill,
        "prescription": supply.prescription,
        "prescriber": supply.prescriber,
        "pharmacy": supply.pharmacy,
        "setting": supply.setting.value,
        "treatment_type": supply.treatment_type,
        "document": documents.encode(written),
    }


def _fact_row(fact: Any) -> dict[str, Any]:
    # What its codes mean is looked up when it is read.
    return {"source_id": fact.id, "document": documents.encode(replace(fact, sets=frozenset()))}


def _write(
    session: Session,
    table: Any,
    rows: Sequence[Mapping[str, Any]],
    patients: Iterable[str],
    organisation_id: str,
) -> Stored:
    """Add what is new, replace what changed, leave the rest alone."""
    if not rows:
        return Stored()
    key = tuple(column.name for column in table.primary_key)
    known = _known(session, table, key, patients, organisation_id)
    latest = {tuple(row[name] for name in key): row for row in rows}
    new, changed = [], []
    for name, row in latest.items():
        before = known.get(name)
        if before is None:
            new.append(row)
        elif any(before[column] != value for column, value in row.items() if column != "recorded_at"):
            changed.append(row)
    if new:
        session.connection().execute(insert(table), new)
    _update(session, table, key, changed)
    return Stored(0, len(new), len(changed), len(latest) - len(new) - len(changed))


def _known(
    session: Session, table: Any, key: tuple[str, ...], patients: Iterable[str], organisation_id: str
) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    asked = select(table).where(
        table.c.organisation_id == organisation_id, table.c.patient_id.in_(list(patients))
    )
    rows = (dict(row) for row in session.connection().execute(asked).mappings())
    return {tuple(row[name] for name in key): row for row in rows}


def _update(
    session: Session,
    table: Table,
    key: tuple[str, ...],
    rows: Sequence[Mapping[str, Any]],
    keep: tuple[str, ...] = (),
) -> None:
    if not rows:
        return
    columns = [name for name in rows[0] if name not in {*key, *keep}]
    statement = (
        update(table)
        .where(and_(*(table.c[name] == bindparam(f"key_{name}") for name in key)))
        .values({name: bindparam(f"new_{name}") for name in columns})
    )
    given = [
        {f"key_{name}": row[name] for name in key} | {f"new_{name}": row[name] for name in columns}
        for row in rows
    ]
    session.connection().execute(statement, given)
