"""What a patient wants and does not want, and what a payer allows: written down as said, never changed.

A newer word stands beside the older one and counts. The same word again changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from stewardship.db import charts, documents, plan_tables
from stewardship.db.engine import new_id
from stewardship.domain.care import Coverage, Preference, SaidBy, Stance, latest, newest
from stewardship.domain.errors import Fault, InvalidInput, NotFound
from stewardship.domain.pain_plan import PlanTerms
from stewardship.domain.people import Principal
from stewardship.services import audit

_preferences: Any = plan_tables.Preference.__table__
_coverage: Any = plan_tables.Coverage.__table__


class Library(Protocol):
    """The part of the library that says what may be preferred, and which disciplines there are."""

    @property
    def plans(self) -> PlanTerms:
        """What plans hold to."""
        ...


def prefer(
    session: Session, library: Library, patient_id: str, said: Preference, *, by: Principal, now: datetime
) -> None:
    """Write down what a patient, or who speaks for the patient, said of a kind of treatment."""
    kinds = library.plans.preferences
    if said.about not in kinds:
        _refuse("/about", "unknown", f"one of: {', '.join(kinds)}")
    if said.said_on > now.astimezone(UTC).date():
        _refuse("/said_on", "in-the-future", "name a day up to today")
    patient = known_id(session, patient_id, by=by)
    if latest(preferences_of(session, patient, by=by)).get(said.about) == said:
        return
    row = _said(patient, by, now) | {
        "about": said.about,
        "stance": said.stance.value,
        "said_on": said.said_on,
        "said_by": said.said_by.value,
        "note": said.note,
    }
    session.connection().execute(insert(_preferences), row)
    detail = {"about": said.about, "stance": said.stance.value, "said_by": said.said_by.value}
    audit.record(session, "preference.said", subject=patient, by=by, now=now, detail=detail)


def cover(
    session: Session, library: Library, patient_id: str, facts: Coverage, *, by: Principal, now: datetime
) -> None:
    """Write down what a payer asks for and allows in a discipline."""
    if facts.discipline not in library.plans.disciplines:
        _refuse("/discipline", "unknown", f"one of: {', '.join(library.plans.disciplines)}")
    if facts.on > now.astimezone(UTC).date():
        _refuse("/on", "in-the-future", "name a day up to today")
    if facts.referral_needed is None and facts.visits_left is None:
        _refuse("/visits_left", "required", "say whether a referral is needed, or how many visits are left")
    patient = known_id(session, patient_id, by=by)
    if newest(coverage_of(session, patient, by=by)).get(facts.discipline) == facts:
        return
    document = documents.encode(facts)
    row = _said(patient, by, now) | {"discipline": facts.discipline, "document": document}
    session.connection().execute(insert(_coverage), row)
    detail = {"discipline": facts.discipline, "digest": documents.digest(document)}
    audit.record(session, "coverage.found", subject=patient, by=by, now=now, detail=detail)


def preferences_of(session: Session, patient: str, *, by: Principal) -> tuple[Preference, ...]:
    """All that was said, in the order in which it was written down; ``patient`` is our own id."""
    return tuple(
        Preference(row.about, Stance(row.stance), row.said_on, SaidBy(row.said_by), row.note)
        for row in _rows(session, _preferences, patient, by)
    )


def coverage_of(session: Session, patient: str, *, by: Principal) -> tuple[Coverage, ...]:
    """All that was found, in the order in which it was written down."""
    return tuple(documents.decode(row.document, Coverage) for row in _rows(session, _coverage, patient, by))


def known_id(session: Session, patient_id: str, *, by: Principal) -> str:
    """Our own id of the patient whom the EHR calls so; ``NotFound`` when nothing is known of one."""
    known = charts.known_patient(session, organisation_id=by.organisation_id, patient_id=patient_id)
    if known.id is None:
        raise NotFound("there is no such patient")
    return known.id


def _said(patient: str, by: Principal, now: datetime) -> dict[str, Any]:
    return {
        "organisation_id": by.organisation_id,
        "id": new_id(now),
        "patient_id": patient,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }


def _rows(session: Session, table: Any, patient: str, by: Principal) -> Any:
    asked = (
        select(table)
        .where(table.c.organisation_id == by.organisation_id, table.c.patient_id == patient)
        .order_by(table.c.at, table.c.id)
    )
    return session.connection().execute(asked)


def _refuse(pointer: str, code: str, message: str) -> None:
    raise InvalidInput(message, faults=(Fault(pointer, code, message),))
