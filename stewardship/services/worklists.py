"""Worklists as people read them: on whose list a review stands, under which ids the records know a person.

An order names its prescriber by whatever id its source uses. The registry of prescribers says which user that
is; without an entry there, a user is known by the user's own id alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from stewardship.db import function_tables, plan_tables, tables
from stewardship.domain.people import Principal
from stewardship.domain.reviews import State

_reviews: Any = function_tables.Reassessment.__table__
_prescribers: Any = plan_tables.Prescriber.__table__
_patients: Any = tables.Patient.__table__


@dataclass(frozen=True, slots=True)
class Line:
    """A review that somebody has to look at. ``patient`` is our id, ``number`` the EHR's; ``late_days``
    counts from the day it was due."""

    review_id: str
    patient: str
    number: str
    clinician: str
    interval: str
    due_on: date
    state: State
    late_days: int


def known_as(session: Session, *, by: Principal) -> tuple[str, ...]:
    """The ids under which records may know the caller."""
    asked = select(_prescribers.c.id, _prescribers.c.npi).where(
        _prescribers.c.organisation_id == by.organisation_id, _prescribers.c.user_id == by.user_id
    )
    found = [name for row in session.connection().execute(asked) for name in row]
    return tuple(dict.fromkeys([by.user_id, *found]))


def user_of(session: Session, clinician: str, *, by: Principal) -> str:
    """The user whom a record means by an id; the id itself when the registry does not say."""
    asked = select(_prescribers.c.user_id).where(
        _prescribers.c.organisation_id == by.organisation_id,
        or_(_prescribers.c.id == clinician, _prescribers.c.npi == clinician),
        _prescribers.c.user_id.is_not(None),
    )
    return session.connection().execute(asked).scalar() or clinician


def lines(
    session: Session, *, clinicians: Collection[str] | None, today: date, by: Principal
) -> tuple[Line, ...]:
    """The reviews that are due or missed on a day, the longest overdue first: these clinicians', or all."""
    asked = (
        select(_reviews, _patients.c.ehr_id)
        .join(
            _patients,
            and_(
                _patients.c.organisation_id == _reviews.c.organisation_id,
                _patients.c.id == _reviews.c.patient_id,
            ),
        )
        .where(
            _reviews.c.organisation_id == by.organisation_id,
            _reviews.c.state.in_([State.DUE.value, State.MISSED.value]),
        )
        .order_by(_reviews.c.due_on, _reviews.c.id)
    )
    if clinicians is not None:
        asked = asked.where(_reviews.c.clinician.in_(list(clinicians)))
    return tuple(
        Line(
            row.id,
            row.patient_id,
            row.ehr_id,
            row.clinician,
            row.interval,
            row.due_on,
            State(row.state),
            max(0, (today - row.due_on).days),
        )
        for row in session.connection().execute(asked)
    )
