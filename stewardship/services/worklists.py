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

from stewardship.db import care_tables, follow_up_tables, function_tables, plan_tables, tables
from stewardship.domain.people import Principal
from stewardship.domain.reviews import State

_reviews: Any = function_tables.Reassessment.__table__
_assessments: Any = care_tables.PainAssessment.__table__
_follow_ups: Any = follow_up_tables.PainFollowUp.__table__
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


@dataclass(frozen=True, slots=True)
class PainLine:
    """An episode of pain that somebody has to look at again. ``patient`` is our id, ``number`` the EHR's;
    ``trigger`` is the last one that opened, ``late_days`` counts from the first day that was due."""

    patient: str
    number: str
    clinician: str
    trigger: str
    opens_on: date
    due_on: date
    late_days: int


@dataclass(frozen=True, slots=True)
class PainLook:
    """A day on which the last assessment of a patient asks for another look: from ``opens_on``, by
    ``due_on``."""

    trigger: str
    opens_on: date
    due_on: date


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


def users(session: Session, *, by: Principal) -> dict[str, str]:
    """The user whom each id of the registry of prescribers means, where it says so."""
    asked = select(_prescribers.c.id, _prescribers.c.npi, _prescribers.c.user_id).where(
        _prescribers.c.organisation_id == by.organisation_id, _prescribers.c.user_id.is_not(None)
    )
    rows = session.connection().execute(asked).all()
    return {name: row.user_id for row in rows for name in (row.id, row.npi)}


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


def follow_ups(
    session: Session, *, clinicians: Collection[str] | None, today: date, by: Principal
) -> tuple[PainLine, ...]:
    """The episodes of pain to look at again on a day, one line a patient, the longest overdue first: these
    clinicians', or all. What the patient's last assessment asked for counts, until the day after which it
    can hold no more; the next assessment ends it."""
    c, later = _follow_ups.c, _assessments.alias("later")
    asked_by = _assessments.c
    newer = select(later.c.id).where(
        later.c.organisation_id == c.organisation_id,
        later.c.patient_id == c.patient_id,
        or_(later.c.at > asked_by.at, and_(later.c.at == asked_by.at, later.c.id > asked_by.id)),
    )
    asked = (
        select(_follow_ups, _patients.c.ehr_id)
        .join(
            _assessments,
            and_(asked_by.organisation_id == c.organisation_id, asked_by.id == c.assessment_id),
        )
        .join(
            _patients,
            and_(_patients.c.organisation_id == c.organisation_id, _patients.c.id == c.patient_id),
        )
        .where(
            c.organisation_id == by.organisation_id,
            c.opens_on <= today,
            or_(c.until_on.is_(None), c.until_on >= today),
            _patients.c.deceased.is_(False),
            ~newer.exists(),
        )
        .order_by(c.opens_on, c.trigger)
    )
    if clinicians is not None:
        asked = asked.where(c.clinician.in_(list(clinicians)))
    found: dict[str, PainLine] = {}
    for row in session.connection().execute(asked):
        before = found.get(row.patient_id)
        due_on = row.due_on if before is None else min(before.due_on, row.due_on)
        late = max(0, (today - due_on).days)
        found[row.patient_id] = PainLine(
            row.patient_id, row.ehr_id, row.clinician, row.trigger, row.opens_on, due_on, late
        )
    return tuple(sorted(found.values(), key=lambda line: (line.due_on, line.patient)))


def looks_at(session: Session, patient: str, *, today: date, by: Principal) -> tuple[PainLook, ...]:
    """The days that the last assessment of a patient (our own id) asked for and that can still hold, also
    those to come; the next one first."""
    last = (
        select(_assessments.c.id)
        .where(
            _assessments.c.organisation_id == by.organisation_id,
            _assessments.c.patient_id == patient,
        )
        .order_by(_assessments.c.at.desc(), _assessments.c.id.desc())
        .limit(1)
    )
    c = _follow_ups.c
    asked = (
        select(c.trigger, c.opens_on, c.due_on)
        .where(
            c.organisation_id == by.organisation_id,
            c.assessment_id == last.scalar_subquery(),
            or_(c.until_on.is_(None), c.until_on >= today),
        )
        .order_by(c.opens_on, c.trigger)
    )
    return tuple(PainLook(*row) for row in session.connection().execute(asked))
