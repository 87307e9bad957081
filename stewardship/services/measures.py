"""Quality measures over an organisation's records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from stewardship.db import histories, measured
from stewardship.db.charts import Meanings
from stewardship.domain.errors import InvalidInput, NotFound
from stewardship.domain.flags import Flags
from stewardship.domain.measures import Measure
from stewardship.domain.measures.totals import Run, answers, run
from stewardship.domain.mme import FactorSet
from stewardship.domain.people import Principal
from stewardship.services import audit

_FIRST_YEAR, _YEARS_AHEAD = 2000, 1


class Library(Meanings, Protocol):
    """What is declared: measures, and what they count with."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All versions of all measures."""
        ...

    @property
    def factor_sets(self) -> Mapping[str, FactorSet]:
        """Factor sets by id."""
        ...

    @property
    def flags(self) -> Flags:
        """Whose common terms say how far a supply of unknown length may reach."""
        ...


def of_year(library: Library, measure_id: str, year: int) -> Measure:
    """The version of a measure that counts for a year: the last that was in effect by its end, else the first
    there is. Raises ``NotFound`` and ``InvalidInput``."""
    versions = [m for m in library.measures if m.id == measure_id]
    if not versions:
        raise NotFound("there is no such measure")
    if year < _FIRST_YEAR:
        raise InvalidInput(f"the period is a year from {_FIRST_YEAR} on")
    return next((m for m in reversed(versions) if m.effective.year <= year), versions[0])


def measure(
    session: Session, library: Library, measure_id: str, year: int, *, by: Principal, now: datetime
) -> Run:
    """Run a measure over everybody, as of now; that it was run is on record. Raises as ``of_year`` does."""
    asked = of_year(library, measure_id, year)
    if year > now.year + _YEARS_AHEAD:
        raise InvalidInput("the period has not begun")
    own = by.organisation_id
    known_from = histories.first_dispensed(session, organisation_id=own)
    found = run(
        asked,
        answers(
            asked,
            measured.charts(session, library, organisation_id=own, as_of=now),
            year,
            library.factor_sets,
            known_from=known_from,
            unknown_days=library.flags.common.unknown_supply_days,
        ),
        year,
        known_from=known_from,
        today=now.date(),
    )
    standing = {name.value: count for name, count in sorted(found.totals.standing.items())}
    detail = {"version": asked.version, "period": year, **standing}
    audit.record(session, "measure.run", subject=asked.id, by=by, now=now, detail=detail)
    return found
