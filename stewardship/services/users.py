"""People who sign in: added, listed, disabled, given a role, a password, an identity elsewhere.

Whatever takes something away from somebody ends his sessions in the same transaction; a new role also
revokes his API tokens, which were issued for the old one. Passwords arrive here hashed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from stewardship.db import identity_tables, tables
from stewardship.db.patients import insert_once
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.domain.people import Principal, Role
from stewardship.services import audit, browser_sessions

_LONGEST_LOGIN = 200

_accounts: Any = identity_tables.Account.__table__
_recovery: Any = identity_tables.RecoveryCode.__table__
_users: Any = tables.User.__table__
_tokens: Any = tables.ApiToken.__table__


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in, and what is known of how."""

    organisation_id: str
    user_id: str
    login: str
    email: str
    role: Role
    active: bool
    has_password: bool
    must_change: bool
    has_second_factor: bool
    issuer: str | None
    created_at: datetime
    signed_in_at: datetime | None

    @property
    def principal(self) -> Principal:
        """Who acts when this person does."""
        return Principal(self.user_id, self.organisation_id, self.role)


def folded(login: str) -> str:
    """The name by which somebody signs in, however it is typed."""
    return login.strip().casefold()


def add(
    session: Session,
    *,
    login: str,
    role: Role,
    by: Principal,
    now: datetime,
    email: str = "",
    password_hash: str | None = None,
    must_change: bool = False,
    user_id: str | None = None,
    issuer: str | None = None,
    subject: str | None = None,
) -> Account:
    """Let somebody sign in, in the caller's organisation. A user that exists may get an account; his role
    must be the one he has. Raises ``Conflict`` for a name or an identity that is taken."""
    name = folded(login)
    _refuse_login(name)
    user = user_id or f"{role.value}-{secrets.token_hex(6)}"
    of = {"organisation_id": by.organisation_id}
    row = of | {"id": user, "role": role.value, "active": True, "created_at": now}
    if not insert_once(session, _users, row):
        _refuse_other_role(session, by.organisation_id, user, role)
    account = of | {
        "user_id": user,
        "login": name,
        "email": email.strip(),
        "password_hash": password_hash,
        "password_set_at": now if password_hash else None,
        "must_change": must_change,
        "issuer": issuer,
        "subject": subject,
        "created_at": now,
    }
    try:
        with session.begin_nested():
            session.connection().execute(insert(_accounts), account)
    except IntegrityError:
        raise Conflict(f"somebody signs in as {name} already, or has an account already") from None
    detail = {"role": role.value, "password": password_hash is not None, "issuer": issuer}
    audit.record(session, "user.added", subject=user, by=by, now=now, detail=detail)
    return _one(session, _accounts.c.user_id == user, by)


def named(session: Session, login: str, *, by: Principal) -> Account:
    """The account of the caller's organisation with that name. Raises ``NotFound``."""
    return _one(session, _accounts.c.login == folded(login), by)


def known(session: Session, user_id: str, *, by: Principal) -> Account:
    """The account of a user of the caller's organisation. Raises ``NotFound``."""
    return _one(session, _accounts.c.user_id == user_id, by)


def of_identity(session: Session, issuer: str, subject: str) -> Account | None:
    """Whose account an identity provider means by that subject, in whichever organisation."""
    row = (
        session.connection()
        .execute(_QUERY.where(_accounts.c.issuer == issuer, _accounts.c.subject == subject))
        .first()
    )
    return None if row is None else _read(row)


def listed(session: Session, *, by: Principal) -> list[Account]:
    """Everybody who can, or could, sign in to the caller's organisation, by name."""
    rows = session.connection().execute(
        _QUERY.where(_accounts.c.organisation_id == by.organisation_id).order_by(_accounts.c.login)
    )
    return [_read(row) for row in rows]


def email_of(session: Session, user_id: str, *, organisation_id: str) -> str | None:
    """Where to write to a user who is active; ``None`` when he is not, or no address is known."""
    found = (
        session.connection()
        .execute(
            select(_accounts.c.email)
            .select_from(_JOINED)
            .where(
                _accounts.c.organisation_id == organisation_id,
                _accounts.c.user_id == user_id,
                _users.c.active.is_(True),
            )
        )
        .scalar_one_or_none()
    )
    return found or None


def set_email(session: Session, user_id: str, email: str, *, by: Principal, now: datetime) -> None:
    """Say where to write to somebody; empty for nowhere."""
    _change(session, user_id, by, email=email.strip())
    detail = {"given": bool(email.strip())}
    audit.record(session, "user.email-set", subject=user_id, by=by, now=now, detail=detail)


def disable(session: Session, user_id: str, *, by: Principal, now: datetime) -> int:
    """Let somebody in no longer, by any way; how many of his sessions were ended."""
    _set_user(session, user_id, by, active=False)
    ended = browser_sessions.end_all(session, user_id, "disabled", by=by, now=now)
    audit.record(session, "user.disabled", subject=user_id, by=by, now=now, detail={"sessions": ended})
    return ended


def enable(session: Session, user_id: str, *, by: Principal, now: datetime) -> None:
    """Let somebody in again who was disabled."""
    _set_user(session, user_id, by, active=True)
    audit.record(session, "user.enabled", subject=user_id, by=by, now=now)


def set_role(session: Session, user_id: str, role: Role, *, by: Principal, now: datetime) -> int:
    """Give somebody another role. His sessions end and his API tokens are revoked; how many sessions."""
    before = known(session, user_id, by=by).role
    if before is role:
        raise Conflict(f"that is the role already: {role.value}")
    _set_user(session, user_id, by, role=role.value)
    ended = browser_sessions.end_all(session, user_id, "role-changed", by=by, now=now)
    revoked = session.connection().execute(
        update(_tokens)
        .where(
            _tokens.c.organisation_id == by.organisation_id,
            _tokens.c.user_id == user_id,
            _tokens.c.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    )
    detail = {"from": before.value, "to": role.value, "sessions": ended, "tokens": revoked.rowcount}
    audit.record(session, "user.role-changed", subject=user_id, by=by, now=now, detail=detail)
    return ended


def set_password(
    session: Session,
    user_id: str,
    password_hash: str,
    *,
    by: Principal,
    now: datetime,
    must_change: bool = False,
    keep_session: str | None = None,
) -> int:
    """Replace a password. All sessions but ``keep_session`` end; how many did."""
    values = {"password_hash": password_hash, "password_set_at": now, "must_change": must_change}
    _change(session, user_id, by, **values)
    ended = browser_sessions.end_all(session, user_id, "password-changed", by=by, now=now, but=keep_session)
    detail = {"own": by.user_id == user_id, "sessions": ended}
    audit.record(session, "user.password-set", subject=user_id, by=by, now=now, detail=detail)
    return ended


def revoke_sessions(
    session: Session, user_id: str, *, by: Principal, now: datetime, keep_session: str | None = None
) -> int:
    """End everything that somebody is signed in to but ``keep_session``; how many sessions that were."""
    _user(session, user_id, by)
    ended = browser_sessions.end_all(session, user_id, "revoked", by=by, now=now, but=keep_session)
    audit.record(
        session, "user.sessions-revoked", subject=user_id, by=by, now=now, detail={"sessions": ended}
    )
    return ended


def remove_second_factor(session: Session, user_id: str, *, by: Principal, now: datetime) -> int:
    """Forget somebody's second factor and its recovery codes: he lost both. His sessions end."""
    _change(session, user_id, by, totp_secret=None, totp_confirmed_at=None, totp_step=None)
    session.connection().execute(
        delete(_recovery).where(
            _recovery.c.organisation_id == by.organisation_id, _recovery.c.user_id == user_id
        )
    )
    ended = browser_sessions.end_all(session, user_id, "second-factor-removed", by=by, now=now)
    detail = {"sessions": ended}
    audit.record(session, "user.second-factor-removed", subject=user_id, by=by, now=now, detail=detail)
    return ended


_JOINED = _accounts.join(
    _users,
    and_(_users.c.organisation_id == _accounts.c.organisation_id, _users.c.id == _accounts.c.user_id),
)
_QUERY = select(
    _accounts.c.organisation_id,
    _accounts.c.user_id,
    _accounts.c.login,
    _accounts.c.email,
    _accounts.c.password_hash,
    _accounts.c.must_change,
    _accounts.c.totp_confirmed_at,
    _accounts.c.issuer,
    _accounts.c.created_at,
    _accounts.c.signed_in_at,
    _users.c.role,
    _users.c.active,
).select_from(_JOINED)


def _one(session: Session, which: Any, by: Principal) -> Account:
    row = (
        session.connection()
        .execute(_QUERY.where(_accounts.c.organisation_id == by.organisation_id, which))
        .first()
    )
    if row is None:
        raise NotFound("there is no such account in this organisation")
    return _read(row)


def _read(row: Any) -> Account:
    return Account(
        organisation_id=row.organisation_id,
        user_id=row.user_id,
        login=row.login,
        email=row.email,
        role=Role(row.role),
        active=row.active,
        has_password=row.password_hash is not None,
        must_change=row.must_change,
        has_second_factor=row.totp_confirmed_at is not None,
        issuer=row.issuer,
        created_at=row.created_at,
        signed_in_at=row.signed_in_at,
    )


def _change(session: Session, user_id: str, by: Principal, **values: Any) -> None:
    mine = _accounts.c.organisation_id == by.organisation_id, _accounts.c.user_id == user_id
    if session.connection().execute(update(_accounts).where(*mine).values(**values)).rowcount != 1:
        raise NotFound("there is no such account in this organisation")


def _set_user(session: Session, user_id: str, by: Principal, **values: Any) -> None:
    known(session, user_id, by=by)
    mine = _users.c.organisation_id == by.organisation_id, _users.c.id == user_id
    session.connection().execute(update(_users).where(*mine).values(**values))


def _user(session: Session, user_id: str, by: Principal) -> None:
    mine = _users.c.organisation_id == by.organisation_id, _users.c.id == user_id
    if session.connection().execute(select(_users.c.id).where(*mine)).first() is None:
        raise NotFound("there is no such user in this organisation")


def _refuse_login(name: str) -> None:
    if not name or len(name) > _LONGEST_LOGIN or not name.isprintable() or any(c.isspace() for c in name):
        raise InvalidInput(
            f"a name to sign in with is 1 to {_LONGEST_LOGIN} characters without spaces, "
            "such as somebody@hospital.example"
        )


def _refuse_other_role(session: Session, organisation_id: str, user: str, role: Role) -> None:
    held = (
        session.connection()
        .execute(
            select(_users.c.role).where(_users.c.organisation_id == organisation_id, _users.c.id == user)
        )
        .scalar_one()
    )
    if held != role.value:
        raise Conflict(f"user {user} has the role {held}; an account cannot give another")
