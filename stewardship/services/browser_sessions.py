"""Sessions of browsers: random, kept as a hash, short, and over the moment that somebody says so.

A session that asks for more (a second factor, a new password) is one of its own; what it turns into has a
new id, so that an id that was known before somebody proved who he is, is worth nothing afterwards.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import and_, bindparam, insert, select, update
from sqlalchemy.orm import Session

from stewardship.db import identity_tables, tables
from stewardship.db.engine import new_id
from stewardship.db.prepared import Prepared
from stewardship.domain.errors import NotFound
from stewardship.domain.identity import Method, SessionTerms, SignedIn, Stage
from stewardship.domain.people import Principal, Role
from stewardship.services import audit

#: "Last seen" is told to the minute, so that not every page that is looked at is written down here.
_SEEN_EVERY = timedelta(minutes=1)
_LONGEST_AGENT = 200

_sessions: Any = identity_tables.BrowserSession.__table__
_users: Any = tables.User.__table__


@dataclass(frozen=True, slots=True)
class Found:
    """A session that is good: whose it is, what it still asks for, and whether it is time to say ``seen``."""

    id: str
    principal: Principal
    stage: Stage
    method: Method
    unnoted: bool


def begin(
    session: Session,
    who: Principal,
    *,
    stage: Stage,
    method: Method,
    agent: str,
    terms: SessionTerms,
    now: datetime,
) -> str:
    """Begin a session and return what the browser keeps of it: it cannot be shown again."""
    token = secrets.token_urlsafe(32)
    session_id = new_id(now)
    session.connection().execute(
        insert(_sessions),
        {
            "organisation_id": who.organisation_id,
            "id": session_id,
            "token_hash": _hash(token),
            "user_id": who.user_id,
            "role": who.role.value,
            "stage": stage.value,
            "method": method.value,
            "agent": _readable(agent),
            "began_at": now,
            "seen_at": now,
            "expires_at": now + (terms.longest if stage is Stage.WHOLE else terms.unfinished),
        },
    )
    if stage is Stage.WHOLE:
        audit.record(
            session, "session.began", subject=session_id, by=who, now=now, detail={"method": method.value}
        )
    return token


def find(session: Session, token: str, *, terms: SessionTerms, now: datetime) -> Found | None:
    """Whose session it is; ``None`` for one that is unknown, ended, idle for too long or too old, whose user
    is inactive, or whose user has another role now."""
    row = _BY_HASH.first(session, {"hash": _hash(token)})
    if row is None or row.ended_at is not None or not row.active or row.role != row.role_now:
        return None
    # A clock that went back must not make a session live longer.
    if not row.seen_at - _SEEN_EVERY <= now < min(row.expires_at, row.seen_at + terms.idle):
        return None
    return Found(
        row.id,
        Principal(row.user_id, row.organisation_id, Role(row.role)),
        Stage(row.stage),
        Method(row.method),
        unnoted=now - row.seen_at >= _SEEN_EVERY,
    )


def whose(session: Session, token: str) -> Principal | None:
    """Whose session it is or was, good or not; for nothing that asks who may do something."""
    row = _BY_HASH.first(session, {"hash": _hash(token)})
    return None if row is None else Principal(row.user_id, row.organisation_id, Role(row.role))


def seen(session: Session, found: Found, *, now: datetime) -> None:
    """Write down that the session was used. Needs a writer's session."""
    session.connection().execute(
        update(_sessions)
        .where(*_is(found.principal, found.id), _sessions.c.seen_at < now)
        .values(seen_at=now)
    )


def advance(
    session: Session, found: Found, *, to: Stage, agent: str, terms: SessionTerms, now: datetime
) -> str:
    """Turn a session into the next one, under a new id; what the browser keeps of it is returned.

    Raises ``NotFound`` when it was ended meanwhile.
    """
    _end_one(session, found.principal, found.id, "advanced", now)
    return begin(session, found.principal, stage=to, method=found.method, agent=agent, terms=terms, now=now)


def sign_out(session: Session, found: Found, *, now: datetime) -> None:
    """End a session because its owner says so."""
    _end_one(session, found.principal, found.id, "signed-out", now)
    audit.record(session, "session.ended", subject=found.id, by=found.principal, now=now)


def end_own(session: Session, session_id: str, *, by: Principal, now: datetime) -> None:
    """End one of the caller's sessions. Raises ``NotFound`` for another's, and for one that is over."""
    _end_one(session, by, session_id, "revoked", now)
    audit.record(session, "session.revoked", subject=session_id, by=by, now=now)


def end_all(
    session: Session, user_id: str, reason: str, *, by: Principal, now: datetime, but: str | None = None
) -> int:
    """End all sessions of a user of the caller's organisation, ``but`` one; how many there were.

    The caller records why: this is part of a change of the account.
    """
    mine = (
        _sessions.c.organisation_id == by.organisation_id,
        _sessions.c.user_id == user_id,
        _sessions.c.id != (but or ""),
    )
    done = session.connection().execute(
        update(_sessions)
        .where(
            *mine, _sessions.c.ended_at.is_(None), _sessions.c.expires_at > now, _sessions.c.id != (but or "")
        )
        .values(ended_at=now, ended_by=reason)
    )
    return int(done.rowcount)


def listed(
    session: Session, *, by: Principal, terms: SessionTerms, now: datetime, this: str = ""
) -> list[SignedIn]:
    """The caller's sessions that are good now, the last used first."""
    rows = session.connection().execute(
        select(_sessions)
        .where(
            _sessions.c.organisation_id == by.organisation_id,
            _sessions.c.user_id == by.user_id,
            _sessions.c.stage == Stage.WHOLE.value,
            _sessions.c.ended_at.is_(None),
            _sessions.c.expires_at > now,
            _sessions.c.seen_at > now - terms.idle,
        )
        .order_by(_sessions.c.seen_at.desc(), _sessions.c.id)
    )
    return [
        SignedIn(row.id, row.agent, Method(row.method), row.began_at, row.seen_at, this=row.id == this)
        for row in rows
    ]


_BY_HASH = Prepared(
    select(
        _sessions.c.organisation_id,
        _sessions.c.id,
        _sessions.c.user_id,
        _sessions.c.role,
        _sessions.c.stage,
        _sessions.c.method,
        _sessions.c.seen_at,
        _sessions.c.expires_at,
        _sessions.c.ended_at,
        _users.c.active,
        _users.c.role.label("role_now"),
    )
    .join(
        _users,
        and_(_users.c.organisation_id == _sessions.c.organisation_id, _users.c.id == _sessions.c.user_id),
    )
    .where(_sessions.c.token_hash == bindparam("hash"))
)


def _is(who: Principal, session_id: str) -> tuple[Any, ...]:
    return (
        _sessions.c.organisation_id == who.organisation_id,
        _sessions.c.user_id == who.user_id,
        _sessions.c.id == session_id,
    )


def _end_one(session: Session, who: Principal, session_id: str, reason: str, now: datetime) -> None:
    done = session.connection().execute(
        update(_sessions)
        .where(*_is(who, session_id), _sessions.c.ended_at.is_(None))
        .values(ended_at=now, ended_by=reason)
    )
    if done.rowcount != 1:
        raise NotFound("there is no such session, or it has ended")


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _readable(agent: str) -> str:
    """What a browser calls itself, cut down to what may be shown and stored."""
    return "".join(c for c in agent if c.isprintable())[:_LONGEST_AGENT]
