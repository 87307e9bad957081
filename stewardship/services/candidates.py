"""Matches that a person settles: two are one, or they are not; and a wrong match is undone.

Whatever somebody says about a match is kept with who said it and why (``match_settlements``), whose the
identity became by it stands in the identity's history, and both are entries of the audit chain.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from stewardship.db import import_tables, match_tables, tables
from stewardship.db.import_tables import CandidateStatus
from stewardship.db.match_tables import Settlement
from stewardship.db.patients import insert_once
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.domain.feeds import FeedTerms
from stewardship.domain.matching import Match
from stewardship.domain.people import Principal
from stewardship.services import audit, dispensed
from stewardship.services.matching import OWN_RECORD, UNNAMED, give, hold_identities

#: The rules by which a person settles a match.
BY_HAND, PARTED = Match("by-hand", Decimal(1)), Match("parted", Decimal(1))

_candidates: Any = import_tables.MatchCandidate.__table__
_identities: Any = import_tables.Identity.__table__
_links: Any = import_tables.IdentityLink.__table__
_patients: Any = tables.Patient.__table__
_settlements: Any = match_tables.MatchSettlement.__table__
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Candidate:
    """An identity that may be a patient's: ids, the rule and how sure it is, and whether anybody said."""

    identity_id: str
    patient_id: str
    rule: str
    confidence: Decimal
    at: datetime
    status: CandidateStatus = CandidateStatus.OPEN
    closed_at: datetime | None = None
    closed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of an identity's history: whose it became, by which rule, by whom and why."""

    patient_id: str
    rule: str
    confidence: Decimal
    reason: str
    by_user: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Said:
    """Something that somebody did about an identity and a patient, and why."""

    patient_id: str
    act: Settlement
    reason: str
    by_user: str
    by_role: str
    at: datetime


def listed(
    session: Session,
    *,
    status: str = CandidateStatus.OPEN,
    by: Principal,
    limit: int = 1000,
) -> list[Candidate]:
    """The matches of that status (``open``, ``accepted``, ``declined``): those that somebody has to settle
    with the oldest first, the settled ones with the one settled last first."""
    wanted = CandidateStatus(status)
    order = _candidates.c.at if wanted is CandidateStatus.OPEN else _candidates.c.closed_at.desc()
    asked = (
        select(_candidates)
        .where(_candidates.c.organisation_id == by.organisation_id, _candidates.c.status == wanted.value)
        .order_by(order, _candidates.c.identity_id, _candidates.c.patient_id)
        .limit(limit)
    )
    return [_candidate(row) for row in session.connection().execute(asked)]


def waiting(session: Session, *, by: Principal, limit: int = 1000) -> list[Candidate]:
    """The matches that somebody has to settle, the oldest first."""
    return listed(session, by=by, limit=limit)


def one(session: Session, identity_id: str, patient_id: str, *, by: Principal) -> Candidate:
    """One match; ``NotFound`` when these two were never thought to be one."""
    asked = select(_candidates).where(*_is(identity_id, patient_id, by))
    row = session.connection().execute(asked).first()
    if row is None:
        raise NotFound("there is no such match")
    return _candidate(row)


def _candidate(row: Any) -> Candidate:
    return Candidate(
        row.identity_id,
        row.patient_id,
        row.rule,
        row.confidence,
        row.at,
        CandidateStatus(row.status),
        row.closed_at,
        row.closed_by,
    )


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
    dispensings moved. Every other candidate of the identity is passed over."""
    said = _reason(reason)
    hold_identities(session, organisation_id=by.organisation_id)
    _settle(session, identity_id, patient_id, CandidateStatus.ACCEPTED, by=by, now=now)
    _keep(session, identity_id, patient_id, Settlement.ACCEPTED, said, by=by, now=now)
    for other in _open_of(session, identity_id, by=by):
        _set(session, identity_id, other, CandidateStatus.DECLINED, by=by, now=now)
        _keep(session, identity_id, other, Settlement.PASSED_OVER, said, by=by, now=now)
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
    hold_identities(session, organisation_id=by.organisation_id)
    _settle(session, identity_id, patient_id, CandidateStatus.DECLINED, by=by, now=now)
    _keep(session, identity_id, patient_id, Settlement.DECLINED, said, by=by, now=now)
    detail = {"patient": patient_id, "reason": audit.keyed_hash(session, said)}
    audit.record(session, "match.declined", subject=identity_id, by=by, now=now, detail=detail)


def reopen(
    session: Session, identity_id: str, patient_id: str, *, reason: str, by: Principal, now: datetime
) -> None:
    """That they are two does not hold: somebody has to say again. What was accepted is undone by ``part``."""
    said = _reason(reason)
    hold_identities(session, organisation_id=by.organisation_id)
    known = one(session, identity_id, patient_id, by=by)
    if known.status is CandidateStatus.OPEN:
        raise Conflict("nobody has settled this match yet")
    if known.status is CandidateStatus.ACCEPTED:
        raise Conflict("this match was accepted: part the identity from the patient")
    _open_again(session, identity_id, patient_id, said, by=by, now=now)
    detail = {"patient": patient_id, "reason": audit.keyed_hash(session, said)}
    audit.record(session, "match.reopened", subject=identity_id, by=by, now=now, detail=detail)


def part(
    session: Session, identity_id: str, *, reason: str, terms: FeedTerms, by: Principal, now: datetime
) -> str:
    """The match was wrong: the identity gets a patient of its own, with what was dispensed under it. The id
    of that patient. The same two are not matched again; those who were passed over for it are asked about
    again."""
    said = _reason(reason)
    hold_identities(session, organisation_id=by.organisation_id)
    identity = _identity(session, identity_id, by)
    if identity.patient_id is None:
        raise InvalidInput("an animal is nobody's match", code="animal")
    if history(session, identity_id, by=by)[-1].rule == OWN_RECORD.rule:
        raise InvalidInput(
            "a system of records said so of its own patient: correct it there", code="own-record"
        )
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
    _keep(session, identity_id, identity.patient_id, Settlement.PARTED, said, by=by, now=now)
    for other in _passed_over(session, identity_id, by=by):
        _open_again(session, identity_id, other, said, by=by, now=now)
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


def settlements(session: Session, identity_id: str, *, by: Principal) -> list[Said]:
    """What was said about the identity and whose it may be, in order."""
    _identity(session, identity_id, by)
    asked = (
        select(_settlements)
        .where(
            _settlements.c.organisation_id == by.organisation_id, _settlements.c.identity_id == identity_id
        )
        .order_by(_settlements.c.seq)
    )
    return [
        Said(row.patient_id, Settlement(row.act), row.reason, row.by_user, row.by_role, row.at)
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
    known = one(session, identity_id, patient_id, by=by)
    if known.status is not CandidateStatus.OPEN:
        raise Conflict(f"{known.closed_by} settled this match before: it is {known.status}")
    _set(session, identity_id, patient_id, status, by=by, now=now)


def _keep(
    session: Session,
    identity_id: str,
    patient_id: str,
    act: Settlement,
    reason: str,
    *,
    by: Principal,
    now: datetime,
) -> None:
    """Write down what was done, and why."""
    latest = select(func.max(_settlements.c.seq)).where(
        _settlements.c.organisation_id == by.organisation_id, _settlements.c.identity_id == identity_id
    )
    row = {
        "organisation_id": by.organisation_id,
        "identity_id": identity_id,
        "seq": (session.connection().execute(latest).scalar() or 0) + 1,
        "patient_id": patient_id,
        "act": act.value,
        "reason": reason,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }
    session.connection().execute(insert(_settlements), row)


def _passed_over(session: Session, identity_id: str, *, by: Principal) -> list[str]:
    """The patients of whom nobody said that the identity is not theirs: another was accepted."""
    last = {said.patient_id: said.act for said in settlements(session, identity_id, by=by)}
    return sorted(patient for patient, act in last.items() if act is Settlement.PASSED_OVER)


def _open_again(
    session: Session, identity_id: str, patient_id: str, reason: str, *, by: Principal, now: datetime
) -> None:
    session.connection().execute(
        update(_candidates)
        .where(*_is(identity_id, patient_id, by))
        .values(status=CandidateStatus.OPEN.value, closed_at=None, closed_by=None)
    )
    _keep(session, identity_id, patient_id, Settlement.REOPENED, reason, by=by, now=now)


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


def _open_of(session: Session, identity_id: str, *, by: Principal) -> list[str]:
    """The patients whose the identity may still be."""
    asked = (
        select(_candidates.c.patient_id)
        .where(
            _candidates.c.organisation_id == by.organisation_id,
            _candidates.c.identity_id == identity_id,
            _candidates.c.status == CandidateStatus.OPEN.value,
        )
        .order_by(_candidates.c.patient_id)
    )
    return list(session.connection().execute(asked).scalars())


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
