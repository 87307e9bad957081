"""Who might benefit: the flag that suitable alternatives are untried, brought up to what is on record."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from stewardship.db.charts import KnownPatient
from stewardship.domain.benefit import UNTRIED, flag
from stewardship.domain.chart import Chart
from stewardship.domain.flags import Flags
from stewardship.domain.people import Principal
from stewardship.services import care, flag_raising
from stewardship.services.flag_raising import Changes


class Library(care.Library, Protocol):
    """What is declared of alternatives, and of flags."""

    @property
    def flags(self) -> Flags:
        """All flags, and the work on them."""
        ...


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
