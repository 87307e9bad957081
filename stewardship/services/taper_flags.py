"""Tapers as days go by: the next step is kept up to date, and a fall faster than planned is flagged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from stewardship.db import charts, plan_tables, tables
from stewardship.domain.flags import Flags
from stewardship.domain.people import Principal
from stewardship.domain.taper import Taper, TaperStatus
from stewardship.domain.taper_watch import KIND
from stewardship.services import flag_raising, plan_acts, tapers

_tapers: Any = plan_tables.Taper.__table__
_patients: Any = tables.Patient.__table__


class Library(tapers.Library, Protocol):
    """What is declared of tapers, and of flags."""

    @property
    def flags(self) -> Flags:
        """All flags, and the work on them."""
        ...


@dataclass(frozen=True)
class Passed:
    """Of how many patients the tapers were looked at, how many flags that changed, and where the next portion
    begins; ``None`` at the end."""

    patients: int
    changed: int
    position: str | None


def look(
    session: Session, library: Library, *, by: Principal, now: datetime, after: str = "", limit: int = 100
) -> Passed:
    """Look at the tapers of the patients behind ``after``, up to ``limit`` of them. A taper that is over
    has no flag any more."""
    asked = (
        select(_patients.c.id, _patients.c.ehr_id)
        .where(
            _patients.c.organisation_id == by.organisation_id,
            _patients.c.id > after,
            _patients.c.id.in_(
                select(_tapers.c.patient_id).where(_tapers.c.organisation_id == by.organisation_id)
            ),
        )
        .order_by(_patients.c.id)
        .limit(limit)
    )
    rows: Sequence[Any] = session.connection().execute(asked).all()
    changed = 0
    for row in rows:
        _advance(session, row.id, by=by, now=now)
        chart = charts.load_chart(
            session, library, organisation_id=by.organisation_id, patient_id=row.ehr_id, as_of=now
        )
        found, untold = tapers.flags_of(session, library, row.id, chart, by=by)
        changes = flag_raising.reconcile(
            session, library, row.id, found, untold, kinds=[KIND], source="watch", by=by, now=now
        )
        changed += len(changes.opened) + len(changes.gone)
    return Passed(len(rows), changed, rows[-1].id if len(rows) == limit else None)


def _advance(session: Session, patient: str, *, by: Principal, now: datetime) -> None:
    """The day of the next step is worked out from the taper; once it has come, it is the one after."""
    today = now.astimezone(UTC).date()
    mine = (_tapers.c.organisation_id == by.organisation_id, _tapers.c.patient_id == patient)
    asked = select(_tapers).where(
        *mine, _tapers.c.status == TaperStatus.ACTIVE.value, _tapers.c.next_step_on <= today
    )
    for row in session.connection().execute(asked).all():
        following = plan_acts.decoded(row, Taper).next_step(today)
        session.connection().execute(
            update(_tapers)
            .where(*mine, _tapers.c.id == row.id, _tapers.c.version == row.version)
            .values(next_step_on=following.starts_on if following else None)
        )
