"""Rows -> the supplies of many patients at once, and what their facts come to without reading them.

What one patient's chart reads in one query is read here for a range of patients in a few. ``stamps`` tells
whether anything about a patient's supplies has changed: how many rows there are and when the last of them
was recorded. A row that is replaced is recorded anew and one that is taken away is missing, so nothing
changes without it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, func, literal, select
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.db.charts import STOPPED, SUPPLY_COLUMNS, Meanings, supply_of
from stewardship.db.tables import ExceptionStatus
from stewardship.domain.orders import Order, Supply, SupplyKind
from stewardship.domain.signing import as_supply

_patients: Any = tables.Patient.__table__
_supplies: Any = tables.Supply.__table__
_orders: Any = tables.Order.__table__
_decisions: Any = tables.Decision.__table__
_overrides: Any = tables.Override.__table__
_requests: Any = tables.ExceptionRequest.__table__


@dataclass(slots=True)
class Stamp:
    """What a patient's facts come to: rows and the last moment, of each kind that counts. ``named`` says that
    one of the prescribers who were asked for prescribed a supply."""

    parts: list[str]
    named: bool = False

    def __str__(self) -> str:
        return "|".join(self.parts)


def patients_after(session: Session, position: str, *, organisation_id: str, most: int) -> list[str]:
    """The next patients in order of their ids."""
    asked = select(_patients.c.id).where(
        _patients.c.organisation_id == organisation_id, _patients.c.id > position
    )
    return list(session.connection().execute(asked.order_by(_patients.c.id).limit(most)).scalars())


def stamps(
    session: Session,
    patients: Collection[str],
    *,
    organisation_id: str,
    as_of: datetime,
    prescribers: Collection[str] = (),
) -> dict[str, Stamp]:
    """What the facts of patients came to at ``as_of``; they are consecutive in order of their ids."""
    found = {patient: Stamp([]) for patient in patients}
    if not found:
        return found
    first, last = min(found), max(found)

    def within(table: Any) -> Any:
        return and_(
            table.c.organisation_id == organisation_id,
            table.c.patient_id >= first,
            table.c.patient_id <= last,
        )

    hit = _supplies.c.prescriber.in_(list(prescribers)) if prescribers else literal(0) == 1
    of_supplies = select(
        _supplies.c.patient_id,
        func.count().label("rows"),
        func.max(_supplies.c.recorded_at).label("last"),
        func.max(case((hit, 1), else_=0)).label("named"),
    ).where(within(_supplies), _supplies.c.recorded_at <= as_of)
    of_orders = select(
        _orders.c.patient_id,
        func.count().label("rows"),
        func.max(_orders.c.submitted_at).label("last"),
        literal(0).label("named"),
    ).where(within(_orders), _orders.c.submitted_at <= as_of)
    for name, asked in (
        ("supplies", of_supplies.group_by(_supplies.c.patient_id)),
        ("orders", of_orders.group_by(_orders.c.patient_id)),
        ("overrides", _lifts(_overrides, _overrides.c.at, as_of).where(within(_orders))),
        (
            "exceptions",
            _lifts(_requests, _requests.c.closed_at, as_of).where(
                within(_orders), _requests.c.status == ExceptionStatus.APPROVED.value
            ),
        ),
    ):
        for row in session.connection().execute(asked):
            if row.patient_id in found:
                stamp = found[row.patient_id]
                stamp.parts.append(f"{name}:{row.rows}:{row.last.isoformat()}")
                stamp.named |= bool(row.named)
    return found


def _lifts(table: Any, moment: Any, as_of: datetime) -> Any:
    """What people did that lets an order count."""
    return (
        select(
            _orders.c.patient_id,
            func.count().label("rows"),
            func.max(moment).label("last"),
            literal(0).label("named"),
        )
        .join(
            table,
            and_(
                table.c.organisation_id == _orders.c.organisation_id,
                table.c.decision_id == _orders.c.decision_id,
            ),
        )
        .where(moment <= as_of)
        .group_by(_orders.c.patient_id)
    )


def supplies_of(
    session: Session, library: Meanings, patients: Collection[str], *, organisation_id: str, as_of: datetime
) -> dict[str, list[Supply]]:
    """The supplies on record of each patient, in the order in which a chart has them: what was recorded by
    ``as_of``, and submitted orders that nothing stops."""
    found: dict[str, list[Supply]] = {patient: [] for patient in patients}
    wanted = list(found)
    recorded = (
        select(_supplies.c.patient_id, *SUPPLY_COLUMNS)
        .where(
            _supplies.c.organisation_id == organisation_id,
            _supplies.c.patient_id.in_(wanted),
            _supplies.c.recorded_at <= as_of,
        )
        .order_by(_supplies.c.patient_id, _supplies.c.kind, _supplies.c.source_id)
    )
    ordered = (
        select(_orders.c.patient_id, _decisions.c.order_document.label("document"))
        .join(
            _decisions,
            and_(
                _decisions.c.organisation_id == _orders.c.organisation_id,
                _decisions.c.id == _orders.c.decision_id,
            ),
        )
        .where(
            _orders.c.organisation_id == organisation_id,
            _orders.c.patient_id.in_(wanted),
            _orders.c.submitted_at <= bindparam("as_of"),
            ~STOPPED,
        )
        .order_by(_orders.c.patient_id, _orders.c.id)
    )
    for row in session.connection().execute(ordered, {"as_of": as_of}):
        order = documents.decode(row.document, Order)
        found[row.patient_id].append(as_supply(order, SupplyKind.PRESCRIPTION))
    for row in session.connection().execute(recorded):
        found[row.patient_id].append(supply_of(row, library))
    return found


def first_dispensed(session: Session, *, organisation_id: str) -> date | None:
    """The first day of which dispensings are on record; ``None`` when there are none."""
    asked = select(func.min(_supplies.c.start_on)).where(
        _supplies.c.organisation_id == organisation_id, _supplies.c.kind == SupplyKind.DISPENSING.value
    )
    first: date | None = session.connection().execute(asked).scalar()
    return first


def ordering_prescribers(
    session: Session, *, organisation_id: str, since: datetime | None = None
) -> Iterator[str]:
    """The prescribers whose orders are on record; of those submitted here, since a moment."""
    written = (
        select(_supplies.c.prescriber)
        .where(
            _supplies.c.organisation_id == organisation_id,
            _supplies.c.kind == SupplyKind.PRESCRIPTION.value,
            _supplies.c.prescriber != "",
        )
        .distinct()
    )
    yield from session.connection().execute(written).scalars()
    ordered = (
        select(_decisions.c.order_document)
        .join(
            _orders,
            and_(
                _decisions.c.organisation_id == _orders.c.organisation_id,
                _decisions.c.id == _orders.c.decision_id,
            ),
        )
        .where(_orders.c.organisation_id == organisation_id)
    )
    if since is not None:
        ordered = ordered.where(_orders.c.submitted_at >= since)
    for document in session.connection().execute(ordered).scalars():
        order = documents.decode(document, Order)
        if order.prescriber:
            yield order.prescriber
