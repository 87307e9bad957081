"""Matches that a person settles: two are one, or they are not; and a wrong match is undone.

Each of these is an entry in the identity's history and in the audit chain, with who did it and why.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from stewardship.db import import_tables, tables
from stewardship.db.import_tables import CandidateStatus
from stewardship.db.patients import insert_once
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.domain.feeds import FeedTerms
from stewardship.domain.matching import Match
from stewardship.domain.people import Principal
from stewardship.services import audit, dispensed
from stewardship.services.matching import UNNAMED, give

#: The rules by which a person settles a match.
BY_HAND, PARTED = Match("by-hand", Decimal(1)), Match("parted", Decimal(1))

_candidates: Any = import_tables.MatchCandidate.__table__
_identities: Any = import_tables.Identity.__table__
_links: Any = import_tables.IdentityLink.__table__
_patients: Any = tables.Patient.__table__
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Candidate:
    """An identity that may be a patient's: ids, the rule and how sure it is."""

    identity_id: str
    patient_id: str
    rule: str
    confidence: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of an identity's history: whose it became, by which rule, by whom and why."""

    patient_id: str
    rule: str
    confidence: Decimal
    reason: str
    by_user: str
    at: datetime


def waiting(session: Session, *, by: Principal, limit: int = 1000) -> list[Candidate]:
    """The matches that somebody has to settle, the oldest first."""
    asked = (
        select(_candidates)
        .where(
            _candidates.c.organisation_id == by.organisation_id,
            _candidates.c.status == CandidateStatus.OPEN.value,
        )
        .order_by(_candidates.c.at, _candidates.c.identity_id, _candidates.c.patient_id)
        .limit(limit)
    )
    return [
        Candidate(row.identity_id, row.patient_id, row.rule, row.confidence, row.at)
        for row in session.connection().execute(asked)
    ]


def accept(
    session: Session,
    identity_id: str,
    patient_id: str,
    *,
    reason: str,
    terms: FeedTerms,
    by: Principal,
    now: datetime,
) -> int:
    """They are one person: the identity, and what was dispensed under it, is the patient's. How many
    dispensings moved. Every other candidate of the identity is declined."""
    said = _reason(reason)
    _settle(session, identity_id, patient_id, CandidateStatus.ACCEPTED, by=by, now=now)
    _close_others(session, identity_id, by=by, now=now)
    give(session, identity_id, patient_id, BY_HAND, reason=said, by=by, now=now)
    moved = dispensed.move(session, identity_id, to=patient_id, terms=terms, by=by, now=now)
    detail = {"patient": patient_id, "moved": moved, "reason": audit.keyed_hash(session, said)}
    audit.record(session, "match.accepted", subject=identity_id, by=by, now=now, detail=detail)
    return moved


def decline(
    session: Session, identity_id: str, patient_id: str, *, reason: str, by: Principal, now: datetime
) -> None:
    """They are two."""
    said = _reason(reason)
    _settle(session, identity_id, patient_id, CandidateStatus.DECLINED, by=by, now=now)
    detail = {"patient": patient_id, "reason": audit.keyed_hash(session, said)}
    audit.record(session, "match.declined", subject=identity_id, by=by, now=now, detail=detail)


def part(
    session: Session, identity_id: str, *, reason: str, terms: FeedTerms, by: Principal, now: datetime
) -> str:
    """The match was wrong: the identity gets a patient of its own, with what was dispensed under it. The id
    of that patient. The same two are not matched again."""
    said = _reason(reason)
    identity = _identity(session, identity_id, by)
    if identity.patient_id is None:
        raise InvalidInput("an animal is nobody's match", code="animal")
    patient_id = secrets.token_hex(16)
    patient = {
        "organisation_id": by.organisation_id,
        "id": patient_id,
        "ehr_id": UNNAMED + patient_id,
        "birth_date": _birth_date(identity),
        "sex": "",
        "deceased": False,
        "data_as_of": None,
        "recorded_at": now,
    }
    session.connection().execute(insert(_patients), patient)
    declined = {
        "organisation_id": by.organisation_id,
        "identity_id": identity_id,
        "patient_id": identity.patient_id,
        "rule": PARTED.rule,
        "confidence": PARTED.confidence,
        "status": CandidateStatus.DECLINED.value,
        "at": now,
        "closed_at": now,
        "closed_by": by.user_id,
    }
    if not insert_once(session, _candidates, declined):
        _set(session, identity_id, identity.patient_id, CandidateStatus.DECLINED, by=by, now=now)
    give(session, identity_id, patient_id, PARTED, reason=said, by=by, now=now)
    moved = dispensed.move(session, identity_id, to=patient_id, terms=terms, by=by, now=now)
    detail = {
        "from": identity.patient_id,
        "patient": patient_id,
        "moved": moved,
        "reason": audit.keyed_hash(session, said),
    }
    audit.record(session, "match.parted", subject=identity_id, by=by, now=now, detail=detail)
    return patient_id


def history(session: Session, identity_id: str, *, by: Principal) -> list[Link]:
    """Whose the identity was and is, in order."""
    _identity(session, identity_id, by)
    asked = (
        select(_links)
        .where(_links.c.organisation_id == by.organisation_id, _links.c.identity_id == identity_id)
        .order_by(_links.c.seq)
    )
    return [
        Link(row.patient_id, row.rule, row.confidence, row.reason, row.by_user, row.at)
        for row in session.connection().execute(asked)
    ]


def _settle(
    session: Session,
    identity_id: str,
    patient_id: str,
    status: CandidateStatus,
    *,
    by: Principal,
    now: datetime,
) -> None:
    """Close an open candidate; a ``Conflict`` when somebody was first."""
    asked = select(_candidates.c.status).where(*_is(identity_id, patient_id, by))
    found = session.connection().execute(asked).scalar()
    if found is None:
        raise NotFound("there is no such match to settle")
    if found != CandidateStatus.OPEN:
        raise Conflict(f"somebody else settled this match before: it is {found}")
    _set(session, identity_id, patient_id, status, by=by, now=now)


def _set(
    session: Session,
    identity_id: str,
    patient_id: str,
    status: CandidateStatus,
    *,
    by: Principal,
    now: datetime,
) -> None:
    session.connection().execute(
        update(_candidates)
        .where(*_is(identity_id, patient_id, by))
        .values(status=status.value, closed_at=now, closed_by=by.user_id)
    )


def _close_others(session: Session, identity_id: str, *, by: Principal, now: datetime) -> None:
    session.connection().execute(
        update(_candidates)
        .where(
            _candidates.c.organisation_id == by.organisation_id,
            _candidates.c.identity_id == identity_id,
            _candidates.c.status == CandidateStatus.OPEN.value,
        )
        .values(status=CandidateStatus.DECLINED.value, closed_at=now, closed_by=by.user_id)
    )


def _is(identity_id: str, patient_id: str, by: Principal) -> tuple[Any, ...]:
    return (
        _candidates.c.organisation_id == by.organisation_id,
        _candidates.c.identity_id == identity_id,
        _candidates.c.patient_id == patient_id,
    )


def _identity(session: Session, identity_id: str, by: Principal) -> Any:
    asked = select(_identities.c.id, _identities.c.patient_id, _identities.c.birth_date).where(
        _identities.c.organisation_id == by.organisation_id, _identities.c.id == identity_id
    )
    row = session.connection().execute(asked).first()
    if row is None:
        raise NotFound("there is no such identity")
    return row


def _birth_date(identity: Any) -> date | None:
    born: date | None = identity.birth_date
    return born


def _reason(reason: str) -> str:
    said = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    if not said or len(said) > _LONGEST_REASON:
        raise InvalidInput(f"say why, in 1 to {_LONGEST_REASON} characters", code="reason-required")
    return said
