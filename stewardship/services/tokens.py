"""API tokens: shown once, kept as a hash, good for a while, for one role and what its scopes name.

The token is 256 random bits, so a plain SHA-256 of it cannot be turned back; it is looked up by its hash.
One may be bound to networks and to a number of uses a minute (``token_limits``).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import and_, bindparam, insert, or_, select, update
from sqlalchemy.orm import Session

from stewardship.db import documents, tables, token_tables
from stewardship.db.engine import new_id
from stewardship.db.patients import insert_once
from stewardship.db.prepared import Prepared
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.domain.people import Principal, Role
from stewardship.services import audit, token_limits
from stewardship.services.token_limits import NO_LIMITS, Limits

#: No token lives longer: a forgotten one goes out by itself.
LONGEST_LIFE = timedelta(days=90)
#: "Last used" is told to the hour, so that using a token does not write each time.
_USE_NOTED_EVERY = timedelta(hours=1)
#: What a token begins with, so that scanners of leaked secrets know one.
_PREFIX = "stw_"

_tokens: Any = tables.ApiToken.__table__
_users: Any = tables.User.__table__
_limits: Any = token_tables.TokenLimit.__table__


@dataclass(frozen=True, slots=True)
class Listed:
    """What is known of a token; the token itself is not. ``last_used_at`` is told to the hour."""

    id: str
    user_id: str
    role: Role
    scopes: tuple[str, ...]
    issued_at: datetime
    issued_by: str
    expires_at: datetime
    last_used_at: datetime | None
    good: bool
    limits: Limits = NO_LIMITS


@dataclass(frozen=True, slots=True)
class Known:
    """A token that is good: whose it is, and what it is bound to."""

    id: str
    principal: Principal
    limits: Limits


def issue(
    session: Session,
    *,
    organisation_id: str,
    role: Role,
    scopes: Iterable[str],
    expires_at: datetime,
    by: Principal,
    now: datetime,
    user_id: str | None = None,
    limits: Limits = NO_LIMITS,
) -> str:
    """Make a token for a user (a new one when none is named) and return it: it cannot be shown again.

    Two tokens of one user act as one person. Empty ``scopes`` allow everything that the role may.
    """
    _refuse_life(now, expires_at)
    if by.organisation_id != organisation_id:
        raise NotFound("there is no such organisation")
    user = user_id or f"{role.value}-{secrets.token_hex(6)}"
    row = {
        "organisation_id": organisation_id,
        "id": user,
        "role": role.value,
        "active": True,
        "created_at": now,
    }
    if not insert_once(session, _users, row):
        _refuse_other_role(session, organisation_id, user, role)
    token = _PREFIX + secrets.token_urlsafe(32)
    token_id = new_id(now)
    session.connection().execute(
        insert(_tokens),
        {
            "organisation_id": organisation_id,
            "id": token_id,
            "token_hash": _hash(token),
            "user_id": user,
            "role": role.value,
            "scopes": documents.encode(sorted(set(scopes))),
            "issued_at": now,
            "issued_by": by.user_id,
            "expires_at": expires_at,
        },
    )
    token_limits.keep(session, token_id, limits, organisation_id=organisation_id)
    detail: dict[str, Any] = {
        "user": user,
        "role": role.value,
        "expires_at": expires_at,
        "scopes": sorted(set(scopes)),
    }
    if limits != NO_LIMITS:
        networks = [str(network) for network in limits.networks]
        detail |= {"networks": networks, "per_minute": limits.per_minute}
    audit.record(session, "token.issued", subject=token_id, by=by, now=now, detail=detail)
    return token


def authenticate(session: Session, token: str, *, now: datetime) -> Principal | None:
    """Whose token it is; ``None`` for one that is unknown, expired or revoked, or whose user is inactive."""
    found = known(session, token, now=now)
    return found.principal if found is not None else None


def known(session: Session, token: str, *, now: datetime) -> Known | None:
    """The same with what the token is bound to, which is for the caller to hold it to."""
    row = _BY_HASH.first(session, {"hash": _hash(token)})
    if (
        row is None
        or row.revoked_at is not None
        or not row.active
        or not row.issued_at <= now < row.expires_at
    ):
        return None
    if session.info.get("writes"):
        note_use(session, token, now=now)
    scopes = frozenset(documents.decode(row.scopes, list[str]))
    principal = Principal(row.user_id, row.organisation_id, Role(row.role), scopes)
    return Known(row.id, principal, token_limits.read(row.addresses, row.per_minute))


def note_use(session: Session, token: str, *, now: datetime) -> None:
    """Write down that the token was used, if that was not done within the hour. Needs a writer's session."""
    session.connection().execute(
        _NOTE_USE, {"hash": _hash(token), "now": now, "before": now - _USE_NOTED_EVERY}
    )


def revoke(session: Session, token_id: str, *, by: Principal, now: datetime) -> None:
    """End a token at once. Raises ``NotFound`` for one that is not the organisation's, or ended already."""
    done = session.connection().execute(
        update(_tokens)
        .where(
            _tokens.c.organisation_id == by.organisation_id,
            _tokens.c.id == token_id,
            _tokens.c.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    )
    if done.rowcount != 1:
        raise NotFound("there is no such token that is still good")
    audit.record(session, "token.revoked", subject=token_id, by=by, now=now)


def listed(session: Session, *, by: Principal, now: datetime, every: bool = False) -> list[Listed]:
    """The organisation's tokens that are good, or every one that there was; the newest first."""
    query = (
        select(_tokens, _users.c.active, _limits.c.addresses, _limits.c.per_minute)
        .join(
            _users,
            and_(_users.c.organisation_id == _tokens.c.organisation_id, _users.c.id == _tokens.c.user_id),
        )
        .outerjoin(_limits, _ITS_LIMITS)
        .where(_tokens.c.organisation_id == by.organisation_id)
        .order_by(_tokens.c.issued_at.desc(), _tokens.c.id)
    )
    found = [
        Listed(
            id=row.id,
            user_id=row.user_id,
            role=Role(row.role),
            scopes=tuple(documents.decode(row.scopes, list[str])),
            issued_at=row.issued_at,
            issued_by=row.issued_by,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
            good=row.revoked_at is None and row.active and row.issued_at <= now < row.expires_at,
            limits=token_limits.read(row.addresses, row.per_minute),
        )
        for row in session.connection().execute(query)
    ]
    return [one for one in found if every or one.good]


_ITS_LIMITS = and_(_limits.c.organisation_id == _tokens.c.organisation_id, _limits.c.token_id == _tokens.c.id)
_BY_HASH = Prepared(
    select(
        _tokens.c.id,
        _tokens.c.organisation_id,
        _tokens.c.user_id,
        _tokens.c.role,
        _tokens.c.scopes,
        _tokens.c.issued_at,
        _tokens.c.expires_at,
        _tokens.c.revoked_at,
        _users.c.active,
        _limits.c.addresses,
        _limits.c.per_minute,
    )
    .join(
        _users, and_(_users.c.organisation_id == _tokens.c.organisation_id, _users.c.id == _tokens.c.user_id)
    )
    .outerjoin(_limits, _ITS_LIMITS)
    .where(_tokens.c.token_hash == bindparam("hash"))
)
_NOTE_USE = (
    update(_tokens)
    .where(
        _tokens.c.token_hash == bindparam("hash"),
        or_(
            _tokens.c.last_used_at.is_(None),
            _tokens.c.last_used_at < bindparam("before", type_=_tokens.c.last_used_at.type),
        ),
    )
    .values(last_used_at=bindparam("now"))
)


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _refuse_life(now: datetime, expires_at: datetime) -> None:
    if not now < expires_at <= now + LONGEST_LIFE:
        raise InvalidInput(f"a token is good for at most {LONGEST_LIFE.days} days from now")


def _refuse_other_role(session: Session, organisation_id: str, user: str, role: Role) -> None:
    known = (
        session.connection()
        .execute(
            select(_users.c.role).where(_users.c.organisation_id == organisation_id, _users.c.id == user)
        )
        .scalar_one()
    )
    if known != role.value:
        raise Conflict(f"user {user} has the role {known}; a token cannot give another")
