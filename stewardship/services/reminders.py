"""Who is told what: a digest a day for each clinician, and what was missed for those who watch over that.

Messages hold ids of reviews, days and counts. They are written in the transaction of what caused them, under
a key that a second process would write too: nobody is told the same thing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from hashlib import sha256
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from stewardship.db import function_tables, outreach_tables
from stewardship.db.patients import insert_once
from stewardship.domain.cadence import midnight
from stewardship.domain.people import Principal
from stewardship.domain.reassessment import ClockTerms
from stewardship.domain.reviews import State
from stewardship.services import audit, contacts, outbox, reassessments, worklists
from stewardship.services.reassessments import Item
from stewardship.services.worklists import PainLine

DIGEST = "digest"
MISSED = "missed"

_reviews: Any = function_tables.Reassessment.__table__
_escalations: Any = outreach_tables.Escalation.__table__


@dataclass(frozen=True, slots=True)
class Digest:
    """What one clinician has to look at on a day: reviews, and the patients whose pain an assessment asks to
    be looked at again. ``known_as`` are the ids of ``clinician`` in those records."""

    clinician: str
    known_as: tuple[str, ...]
    day: date
    items: tuple[Item, ...]
    pain: tuple[PainLine, ...] = ()


def digests(session: Session, *, by: Principal, today: date) -> list[Digest]:
    """A digest for each clinician who has something on the worklist. What is nobody's is in none; who is
    known under several ids, by the registry of prescribers, gets one."""
    users = worklists.users(session, by=by)
    reviews: dict[str, list[Item]] = {}
    pain: dict[str, list[PainLine]] = {}
    names: dict[str, dict[str, None]] = {}
    for item in reassessments.worklist(session, by.organisation_id, today=today):
        if item.clinician:
            who = users.get(item.clinician, item.clinician)
            names.setdefault(who, {})[item.clinician] = None
            reviews.setdefault(who, []).append(item)
    for line in worklists.follow_ups(session, clinicians=None, today=today, by=by):
        who = users.get(line.clinician, line.clinician)
        names.setdefault(who, {})[line.clinician] = None
        pain.setdefault(who, []).append(line)
    return [
        Digest(who, tuple(sorted(known_as)), today, tuple(reviews.get(who, ())), tuple(pain.get(who, ())))
        for who, known_as in sorted(names.items())
    ]


def remind(session: Session, some: Sequence[Digest], *, by: Principal, now: datetime) -> int:
    """Write the digests of those whom mail reaches, once a day each; how many are new."""
    written = 0
    for one in some:
        recipient = _reached(session, one, by)
        if recipient is None:
            continue
        written += outbox.put(
            session,
            kind=DIGEST,
            recipient=recipient,
            dedupe_key=_key(DIGEST, one.day, one.clinician),
            about={
                "day": one.day,
                "due": sum(item.state is State.DUE for item in one.items),
                "missed": sum(item.state is State.MISSED for item in one.items),
                "reviews": [item.review_id for item in one.items],
                "pain": len(one.pain),
                "pain_late": sum(line.late_days > 0 for line in one.pain),
            },
            by=by,
            now=now,
        )
    return written


def unreachable(session: Session, some: Sequence[Digest], *, by: Principal) -> list[str]:
    """The clinicians who have something on the worklist, and whom no mail reaches."""
    return [one.clinician for one in some if _reached(session, one, by) is None]


def _reached(session: Session, one: Digest, by: Principal) -> str | None:
    """The first of a clinician's ids that mail reaches."""
    return next((name for name in one.known_as if contacts.address_of(session, name, by=by)), None)


def escalate(session: Session, *, today: date, by: Principal, now: datetime, limit: int) -> list[str]:
    """Note reviews that were missed and not noted before, up to ``limit``; their ids. Each once."""
    noted = []
    for row in _not_noted(session, by, limit):
        late = {"clinician": row.clinician, "due_on": row.due_on, "late_days": (today - row.due_on).days}
        whole = {"organisation_id": by.organisation_id, "review_id": row.id, "at": now, "told_on": None}
        if insert_once(session, _escalations, whole | late):
            audit.record(session, "review.escalated", subject=row.id, by=by, now=now, detail=late)
            noted.append(row.id)
    return noted


def tell_missed(session: Session, *, today: date, by: Principal, now: datetime) -> int:
    """Write to those who watch over missed reviews about those that they were not told of and that are
    still missed; how many reviews they are told of. Without anybody to tell, they stay to be told."""
    recipients = contacts.told_of_escalations(session, by=by)
    waiting = list(session.connection().execute(_not_told(by)).scalars())
    if not recipients or not waiting:
        return 0
    written = [
        outbox.put(
            session,
            kind=MISSED,
            recipient=recipient,
            dedupe_key=_key(MISSED, today, recipient),
            about={"day": today, "missed": len(waiting), "reviews": waiting},
            by=by,
            now=now,
        )
        for recipient in recipients
    ]
    # Somebody has had today's mail already: what came after it is in tomorrow's.
    if not all(written):
        return 0
    session.connection().execute(
        update(_escalations)
        .where(_escalations.c.organisation_id == by.organisation_id, _escalations.c.review_id.in_(waiting))
        .values(told_on=today)
    )
    return len(waiting)


def untold(session: Session, *, by: Principal) -> int:
    """How many missed reviews nobody was told of by mail."""
    asked = select(func.count()).select_from(_not_told(by).subquery())
    return int(session.connection().execute(asked).scalar_one())


def moved_late(
    session: Session,
    terms: ClockTerms,
    *,
    moved_at: datetime,
    zone: tzinfo,
    is_late: Callable[[datetime], bool],
    by: Principal,
) -> int:
    """How many of the reviews that were opened or missed at a moment ought to have been so before: of each
    the time is known at which it was due, and ``is_late`` says whether that is too long ago."""
    asked = select(_reviews.c.due_on, _reviews.c.state, _reviews.c.opened_at, _reviews.c.planned_at).where(
        _reviews.c.organisation_id == by.organisation_id,
        or_(_reviews.c.opened_at == moved_at, _reviews.c.missed_at == moved_at),
    )
    late = 0
    for row in session.connection().execute(asked):
        if row.opened_at == moved_at:
            day = row.due_on - timedelta(terms.opens_days_before)
        else:
            day = row.due_on + timedelta(terms.missed_days_after + 1)
        late += is_late(max(midnight(day, zone), row.planned_at))
    return late


def _not_noted(session: Session, by: Principal, limit: int) -> Sequence[Any]:
    asked = (
        select(_reviews.c.id, _reviews.c.clinician, _reviews.c.due_on)
        .outerjoin(
            _escalations,
            and_(
                _escalations.c.organisation_id == _reviews.c.organisation_id,
                _escalations.c.review_id == _reviews.c.id,
            ),
        )
        .where(
            _reviews.c.organisation_id == by.organisation_id,
            _reviews.c.state == State.MISSED.value,
            _escalations.c.review_id.is_(None),
        )
        .order_by(_reviews.c.due_on, _reviews.c.id)
        .limit(limit)
    )
    return session.connection().execute(asked).all()


def _not_told(by: Principal) -> Any:
    return (
        select(_escalations.c.review_id)
        .join(
            _reviews,
            and_(
                _reviews.c.organisation_id == _escalations.c.organisation_id,
                _reviews.c.id == _escalations.c.review_id,
            ),
        )
        .where(
            _escalations.c.organisation_id == by.organisation_id,
            _escalations.c.told_on.is_(None),
            _reviews.c.state == State.MISSED.value,
        )
        .order_by(_escalations.c.due_on, _escalations.c.review_id)
    )


def _key(kind: str, day: date, recipient: str) -> str:
    # An id may be as long as the key.
    return f"{kind} {day} {sha256(recipient.encode()).hexdigest()[:32]}"
