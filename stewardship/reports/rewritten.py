"""Records of a patient that were rewritten after an instant, as they stood at it where that is on record.

Every version of what a pharmacy reported is kept, so a dispensing is told from what had arrived by then. Of
other records the last word alone is kept; what a record said before is known from the last decision until
then, which holds the chart that it was made on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from stewardship.db import charts, documents, import_tables, reported, tables
from stewardship.domain.chart import Chart
from stewardship.domain.corrections import stands
from stewardship.domain.dispensings import Dispensed
from stewardship.domain.fills import supply_of
from stewardship.domain.orders import Supply, SupplyKind

_reports: Any = import_tables.DispensingReport.__table__
_sources: Any = import_tables.ReportSource.__table__
_identities: Any = import_tables.Identity.__table__
_supplies: Any = tables.Supply.__table__
_decisions: Any = tables.Decision.__table__


@dataclass(frozen=True)
class Former:
    """The chart of the last decision until an instant, with those records alone that were rewritten since;
    ``made_at`` is the decision's moment."""

    chart: Chart
    made_at: datetime


def dispensings(
    session: Session, library: Any, patient: Any, at: datetime, *, known: Iterable[Supply]
) -> list[Supply]:
    """The patient's dispensings as they had been reported by then, without those that are ``known`` because
    nothing was reported of them since. Whose a report is, is told as it is known today."""
    unchanged = {one.id for one in known if one.kind is SupplyKind.DISPENSING}
    told: dict[str, list[tuple[Dispensed, Any]]] = {}
    for row in session.connection().execute(_reported(patient, at)):
        if row.dispensing_id not in unchanged:
            told.setdefault(row.dispensing_id, []).append((reported.as_reported(row), row))
    found = []
    for name, several in told.items():
        standing = stands(dispensed for dispensed, _ in several)
        row = next(row for dispensed, row in several if dispensed is standing.row)
        if standing.void or row.patient_id != patient.id:
            continue
        supply = supply_of(
            standing.row,
            known_as=name,
            zip_code=reported.zip_of(row),
            payments=library.feeds.payments,
        )
        found.append(replace(supply, drug=library.catalogue.recognise(supply.medication)))
    return found


def _reported(patient: Any, at: datetime) -> Any:
    """All that had arrived by then of each dispensing of which a row names the patient."""
    c, own = _reports.c, _reports.c.organisation_id
    his = (
        select(c.dispensing_id)
        .join(_identities, and_(_identities.c.organisation_id == own, _identities.c.id == c.identity_id))
        .where(own == patient.organisation_id, _identities.c.patient_id == patient.id, c.received_at <= at)
    )
    return (
        select(
            c.dispensing_id,
            c.document,
            _sources.c.document.label("source"),
            _identities.c.document.label("identity"),
            _identities.c.patient_id,
        )
        .join(_sources, and_(_sources.c.organisation_id == own, _sources.c.id == c.source_id))
        .join(_identities, and_(_identities.c.organisation_id == own, _identities.c.id == c.identity_id))
        .where(own == patient.organisation_id, c.dispensing_id.in_(his), c.received_at <= at)
        .order_by(c.dispensing_id, c.received_at, c.import_id, c.seq)
    )


def of_last_decision(session: Session, patient: Any, at: datetime) -> Former | None:
    """What was rewritten since, as the last decision until then had it; ``None`` when there was none."""
    c = _decisions.c
    asked = (
        select(c.as_of, c.chart_document)
        .where(c.organisation_id == patient.organisation_id, c.patient_id == patient.id, c.as_of <= at)
        .order_by(c.as_of.desc(), c.id.desc())
        .limit(1)
    )
    row = session.connection().execute(asked).first()
    if row is None:
        return None
    chart = documents.decode(row.chart_document, Chart)
    facts: dict[str, Any] = {}
    for kind, (model, _) in charts.FACTS.items():
        since = _written_since(session, model, patient, at)
        facts[kind] = tuple(one for one in getattr(chart, kind) if one.id in since)
    written = _supplies.c.kind != SupplyKind.DISPENSING.value
    since = _written_since(session, tables.Supply, patient, at, written)
    of_feeds = {SupplyKind.DISPENSING, SupplyKind.DRAFT}
    kept = tuple(one for one in chart.supplies if one.kind not in of_feeds and one.id in since)
    return Former(Chart(chart.patient, chart.as_of, kept, **facts), row.as_of)


def _written_since(session: Session, model: Any, patient: Any, at: datetime, *where: Any) -> set[str]:
    c = model.__table__.c
    asked = select(c.source_id).where(
        c.organisation_id == patient.organisation_id, c.patient_id == patient.id, c.recorded_at > at, *where
    )
    return set(session.connection().execute(asked).scalars())
