"""Flags about function, raised of what is on record of a patient: supplies, reviews, measurements, goals.

They are looked for whenever the clock is asked about a patient, in the same transaction, so that what is
planned and what is flagged rest on one chart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Protocol

from sqlalchemy.orm import Session

from stewardship.db.charts import KnownPatient
from stewardship.domain.chart import Chart
from stewardship.domain.flags import Flag, Flags, Untold, history
from stewardship.domain.flags.function import (
    KINDS,
    Function,
    FunctionTerms,
    MissedReview,
    ReachedGoal,
    look,
    next_on,
)
from stewardship.domain.goals import GoalEvent
from stewardship.domain.measurements import trends
from stewardship.domain.people import Principal
from stewardship.domain.reassessment import reviews_on_record
from stewardship.domain.reviews import State
from stewardship.services import audit, flag_raising, goals, measurements, reassessments
from stewardship.services.flag_raising import Changes, Looked
from stewardship.services.reassessments import Clockwork


class FlagsOfFunction(Clockwork, Protocol):
    """The part of the library that these flags need."""

    @property
    def flags(self) -> Flags:
        """All flags, and the work on them."""
        ...

    @property
    def function_flags(self) -> FunctionTerms:
        """The parameters of those about function."""
        ...


def seen_of(
    session: Session, library: FlagsOfFunction, known: KnownPatient, chart: Chart, *, by: Principal
) -> Function:
    """What is on record of a patient's function, beside the supplies of the chart; but for his reviews."""
    common = library.flags.common
    measured = measurements.of_known(session, library, known, organisation_id=by.organisation_id)
    return Function(
        history=history(chart.supplies, common, as_of=chart.today, areas=library.flags.areas),
        trends=trends(library.instruments, (m for m in measured if m.taken_on <= chart.today)),
        measured_on=reviews_on_record(chart, library.clock),
        reached=tuple(
            ReachedGoal(g.id, g.steps[-1].on)
            for g in goals.of_patient(session, known.patient.id, by=by)
            if g.state is GoalEvent.REACHED
        ),
    )


def looked_at(
    session: Session, library: FlagsOfFunction, patient: str, seen: Function, *, by: Principal
) -> Looked:
    """What is to be flagged of a patient (our own id), with the review that is open now."""
    held = reassessments.open_of(session, patient, by=by)
    if held is not None and held[1].state is State.MISSED:
        seen = replace(seen, missed=(MissedReview(held[0], held[1].interval, held[1].due_on),))
    found = list(look(seen, library.function_flags))
    return Looked(
        [one for one in found if isinstance(one, Flag)], [one for one in found if isinstance(one, Untold)]
    )


def look_again_on(library: FlagsOfFunction, seen: Function) -> date | None:
    """On which day time alone may raise a flag, though nothing new is on record."""
    return next_on(seen, library.function_flags)


def bring_up(
    session: Session,
    library: FlagsOfFunction,
    looked: Mapping[str, Looked],
    *,
    by: Principal,
    now: datetime,
) -> Changes:
    """Bring the flags about function of several patients (our own ids) up to what was seen."""
    if not looked:
        return Changes()
    changes = flag_raising.bring_up(
        session, library.flags.work, looked, kinds=KINDS, source="review", by=by, now=now
    )
    if changes:
        detail = {"source": "review", **changes.counts(), "flags": changes.digest()}
        audit.record(session, "flags.reconciled", subject="function", by=by, now=now, detail=detail)
    return changes
