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
from stewardship.db.charts import FACTS, NOWHERE, WrittenSupply
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
        _, stored, _ = _store_portion(session, portion, by.organisation_id, now)
        total += stored
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


def keep(
    session: Session, charts: Sequence[Chart], *, organisation_id: str, now: datetime
) -> tuple[dict[str, str], list[bool]]:
    """Keep what a few charts say, each perhaps a part of what is known of its patient; the caller records it.

    Our ids of the patients by their ids in the charts, and of each chart whether it told something new.
    """
    ids, _, told = _store_portion(session, charts, organisation_id, now)
    return ids, told


def _store_portion(
    session: Session, charts: Sequence[Chart], organisation_id: str, now: datetime
) -> tuple[dict[str, str], Stored, list[bool]]:
    ids, told_new = _patients(session, charts, organisation_id, now)
    total = Stored(patients=len(ids))
    rows: dict[str, list[dict[str, Any]]] = {"supplies": [], **{field: [] for field in FACTS}}
    tellers: dict[str, list[int]] = {name: [] for name in rows}
    for number, chart in enumerate(charts):
        of_patient = {
            "organisation_id": organisation_id,
            "patient_id": ids[chart.patient.id],
            "recorded_at": now,
        }
        made = {
            "supplies": [supply_row(s) for s in chart.supplies if s.kind is not SupplyKind.DRAFT],
            **{field: [_fact_row(fact) for fact in getattr(chart, field)] for field in FACTS},
        }
        for name, some in made.items():
            rows[name] += (of_patient | row for row in some)
            tellers[name] += [number] * len(some)
    told = [chart.patient.id in told_new for chart in charts]
    for name, some in rows.items():
        table = tables.Base.metadata.tables[name]
        stored, new = _write(session, table, some, ids.values(), organisation_id)
        total += stored
        for number, is_new in zip(tellers[name], new, strict=True):
            told[number] |= is_new
    return ids, total, told


def _patients(
    session: Session, charts: Sequence[Chart], organisation_id: str, now: datetime
) -> tuple[dict[str, str], set[str]]:
    """Our ids of the charts' patients by the EHR's, after making the rows that are missing; and of whom
    something was not known. What a chart leaves out stays as it is known."""
    table: Any = tables.Patient.__table__
    asked = select(table).where(
        table.c.organisation_id == organisation_id,
        table.c.ehr_id.in_({chart.patient.id for chart in charts}),
    )
    known = {row["ehr_id"]: dict(row) for row in session.connection().execute(asked).mappings()}
    rows: dict[str, dict[str, Any]] = {}
    for chart in charts:
        patient = chart.patient
        row = rows.get(patient.id) or dict(known.get(patient.id) or _NOBODY | {"ehr_id": patient.id})
        row["organisation_id"] = organisation_id
        row["id"] = row["id"] or secrets.token_hex(16)
        row["birth_date"] = patient.birth_date or row["birth_date"]
        row["sex"] = patient.sex or row["sex"]
        row["deceased"] = patient.deceased or row["deceased"]
        row["data_as_of"] = chart.data_as_of or row["data_as_of"]
        row["recorded_at"] = row["recorded_at"] or now
        rows[patient.id] = row
    new = [row for name, row in rows.items() if name not in known]
    said = [row for name, row in rows.items() if name in known and row != known[name]]
    if new:
        session.connection().execute(insert(table), new)
    _update(session, table, ("organisation_id", "id"), said, keep=("ehr_id", "recorded_at"))
    return {name: row["id"] for name, row in rows.items()}, {row["ehr_id"] for row in (*new, *said)}


_NOBODY: dict[str, Any] = {
    "id": None,
    "birth_date": None,
    "sex": "",
    "deceased": False,
    "data_as_of": None,
    "recorded_at": None,
}


def supply_row(supply: Supply) -> dict[str, Any]:
    """A supply as the columns of its row, without organisation, patient and time."""
    written = WrittenSupply(
        supply.medication,
        supply.dosage,
        supply.reasons,
        supply.replaces,
        supply.partial,
        supply.written_on,
        supply.prescribed,
        supply.paid,
        NOWHERE if supply.areas == NOWHERE else supply.areas,
    )
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
) -> tuple[Stored, list[bool]]:
    """Add what is new, replace what changed, leave the rest alone; and which rows were not known so."""
    if not rows:
        return Stored(), []
    key = tuple(column.name for column in table.primary_key)
    known = _known(session, table, key, patients, organisation_id)
    names = [tuple(row[name] for name in key) for row in rows]
    latest = dict(zip(names, rows, strict=True))
    new, changed = {}, {}
    for name, row in latest.items():
        before = known.get(name)
        if before is None:
            new[name] = row
        elif any(before[column] != value for column, value in row.items() if column != "recorded_at"):
            changed[name] = row
    if new:
        session.connection().execute(insert(table), list(new.values()))
    _update(session, table, key, list(changed.values()))
    stored = Stored(0, len(new), len(changed), len(latest) - len(new) - len(changed))
    return stored, [name in new or name in changed for name in names]


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
