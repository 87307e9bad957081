"""How much is on record of each patient, and the moment of the newest of it: from that it is told whether
anything is new, without reading any of it.

A count beside a moment: what is taken back, or committed late under an earlier moment, changes the count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Table, and_, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session


@dataclass(frozen=True)
class OnRecord:
    """How much is on record of a patient, and the moment of the newest of it."""

    facts: int = 0
    newest_at: datetime | None = None


#: The patients from ``first`` to ``last``, these included.
BETWEEN: dict[str, Any] = {"first": bindparam("first"), "last": bindparam("last")}


def counted(patient: Any, at: Any, source: Any, *which: Any) -> Any:
    """How many rows of a source each patient has, and when the newest was recorded."""
    return (
        select(patient.label("patient_id"), func.count().label("facts"), func.max(at).label("newest_at"))
        .select_from(source)
        .where(
            patient.table.c.organisation_id == bindparam("organisation"),
            patient >= BETWEEN["first"],
            patient <= BETWEEN["last"],
            *which,
        )
        .group_by(patient)
    )


def whole(table: Any, at: str = "recorded_at", *which: Any) -> Any:
    """Rows that name the patient."""
    return counted(table.c.patient_id, table.c[at], table, *which)


def joined(owner: Any, table: Any, at: str, mine: str, its: str) -> Any:
    """Rows that belong to a patient through another table's."""
    same = and_(table.c.organisation_id == owner.c.organisation_id, table.c[its] == owner.c[mine])
    return counted(owner.c.patient_id, table.c[at], owner.join(table, same))


def by_patient(rows: Iterable[Row[Any]]) -> Mapping[str, OnRecord]:
    """What a union of the above comes to for each patient."""
    found: dict[str, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.patient_id, []).append(row)
    return {patient: _together(known) for patient, known in found.items()}


def _together(rows: Sequence[Row[Any]]) -> OnRecord:
    newest = max((row.newest_at for row in rows if row.newest_at is not None), default=None)
    return OnRecord(sum(row.facts for row in rows), newest)


def mark(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down on what patients were looked at, each in place of the look before."""
    if not rows:
        return
    make = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    put = make(table).values(list(rows))
    own = {column.name for column in table.primary_key}
    again = {name: put.excluded[name] for name in rows[0] if name not in own}
    session.connection().execute(
        put.on_conflict_do_update(index_elements=list(table.primary_key), set_=again)
    )
