"""Who might benefit: every night the patients whose opioid therapy goes on are asked about, and those for
whom suitable alternatives are untried are flagged; what was offered or declined lately rests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from stewardship.db import charts, flag_tables, tables
from stewardship.db.charts import KnownPatient
from stewardship.domain.benefit import UNTRIED, flag
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.flags import Flags
from stewardship.domain.people import Principal
from stewardship.services import care, flag_raising
from stewardship.services.flag_raising import Changes

_patients: Any = tables.Patient.__table__
_supplies: Any = tables.Supply.__table__
_orders: Any = tables.Order.__table__
_flags: Any = flag_tables.Flag.__table__


class Library(care.Library, Protocol):
    """What is declared of alternatives, and of flags."""

    @property
    def flags(self) -> Flags:
        """All flags, and the work on them."""
        ...


@dataclass(frozen=True)
class Passed:
    """How many patients were asked about, how many flags that changed, and where the next portion begins;
    ``None`` at the end."""

    patients: int
    changed: int
    position: str | None


def look(
    session: Session, library: Library, *, by: Principal, now: datetime, after: str = "", limit: int = 100
) -> Passed:
    """Ask about the patients behind ``after``, up to ``limit`` of them, who were supplied or ordered anything
    lately, or have such a flag: of others no therapy can go on. A portion is one transaction, and the same
    portion twice changes nothing."""
    organisation = by.organisation_id
    since = now.astimezone(UTC) - timedelta(library.alternatives.terms.unknown_days)

    def of(table: Any, *which: Any) -> Any:
        return _patients.c.id.in_(
            select(table.c.patient_id).where(table.c.organisation_id == organisation, *which)
        )

    asked = (
        select(_patients)
        .where(
            _patients.c.organisation_id == organisation,
            _patients.c.id > after,
            or_(
                of(_supplies, _supplies.c.start_on >= since.date()),
                of(_orders, _orders.c.submitted_at >= since),
                of(_flags, _flags.c.kind == UNTRIED),
            ),
        )
        .order_by(_patients.c.id)
        .limit(limit)
    )
    rows: Sequence[Any] = session.connection().execute(asked).all()
    changed = 0
    for row in rows:
        patient = Patient(row.ehr_id, row.birth_date, row.sex, row.deceased)
        known = KnownPatient(row.id, patient, row.data_as_of)
        chart = charts.chart_of(session, library, known, organisation_id=organisation, as_of=now)
        changes = bring_up(session, library, known, chart, by=by, now=now)
        changed += len(changes.opened) + len(changes.gone)
    return Passed(len(rows), changed, rows[-1].id if len(rows) == limit else None)


def bring_up(
    session: Session, library: Library, known: KnownPatient, chart: Chart, *, by: Principal, now: datetime
) -> Changes:
    """Bring a patient's flag up to what fits him today; ``chart`` is his, as of now."""
    advice = care.advise_known(session, library, known, chart, by=by)
    found = flag(advice.benefits, chart, library.triggers)
    return flag_raising.reconcile(
        session,
        library,
        known.id or "",
        [] if found is None else [found],
        kinds=[UNTRIED],
        source="alternatives",
        by=by,
        now=now,
    )
