"""Signing in with a name and a password: counted before it is judged, and as slow for nobody as for somebody.

An attempt takes three steps, for the slow one in the middle must not hold up the database:
``admit`` counts it (or says how long to wait), ``fits`` compares the password, and ``succeed`` or ``fail``
writes down what came of it. What was counted beforehand cannot be outrun by attempts at the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, delete, select, update
from sqlalchemy.orm import Session

from stewardship.db import identity_tables, tables
from stewardship.db.patients import insert_once
from stewardship.domain.errors import TooManyAttempts
from stewardship.domain.identity import (
    AttemptKind,
    HashTerms,
    IdentityTerms,
    Method,
    SecondFactorTerms,
    Stage,
    Throttle,
)
from stewardship.domain.people import Principal, Role
from stewardship.services import audit, browser_sessions, passwords
from stewardship.services.users import folded

_accounts: Any = identity_tables.Account.__table__
_attempts: Any = identity_tables.SignInAttempt.__table__
_users: Any = tables.User.__table__

#: What attempts are counted by, each with the keyed hash of what it is about.
Counted = tuple[tuple[AttemptKind, str], ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was counted. Without an account, nobody has that name, or he may not sign in."""

    counted: Counted
    principal: Principal | None
    kept: str | None
    must_change: bool = False
    has_second_factor: bool = False


def admit(session: Session, login: str, *, address: str, terms: IdentityTerms, now: datetime) -> Attempt:
    """Count an attempt and find the account. Raises ``TooManyAttempts``, which says how long to wait."""
    name = folded(login)
    counted = (
        (AttemptKind.ACCOUNT_AND_ADDRESS, _about(session, "both", name, address)),
        (AttemptKind.ACCOUNT, _about(session, "account", name)),
        (AttemptKind.ADDRESS, _about(session, "address", address)),
    )
    count(session, counted, terms=terms, now=now)
    row = session.connection().execute(_ACCOUNT.where(_accounts.c.login == name)).first()
    if row is None:
        return Attempt(counted, None, None)
    who = Principal(row.user_id, row.organisation_id, Role(row.role))
    if not row.active:
        # Refused like a wrong password, and as slowly.
        return Attempt(counted, who, None)
    return Attempt(counted, who, row.password_hash, row.must_change, row.totp_confirmed_at is not None)


def fits(attempt: Attempt, password: str, *, terms: HashTerms) -> bool:
    """Whether the password is the account's. Needs no database, and takes its time."""
    return passwords.fits(attempt.kept, password, terms=terms)


def succeed(
    session: Session,
    attempt: Attempt,
    password: str,
    *,
    agent: str,
    terms: IdentityTerms,
    demanded: frozenset[Role],
    now: datetime,
) -> tuple[str, Stage]:
    """Begin a session for whoever knew the password: what the browser keeps, and what is still asked for.

    ``demanded`` are the roles of which a second factor is asked. A password that was kept at another cost
    than today's is kept anew.
    """
    who, kept = attempt.principal, attempt.kept
    assert who is not None  # noqa: S101 - nobody's password fits
    assert kept is not None  # noqa: S101
    forgive(session, attempt.counted, now=now)
    if passwords.is_outdated(kept, terms=terms.hashing):
        # Only the one that was compared: another may have been set in between.
        session.connection().execute(
            update(_accounts)
            .where(*_is(who), _accounts.c.password_hash == kept)
            .values(password_hash=passwords.hashed(password, terms=terms.hashing))
        )
    stage = first_stage(who, attempt.has_second_factor, attempt.must_change, demanded)
    token = browser_sessions.begin(
        session, who, stage=stage, method=Method.PASSWORD, agent=agent, terms=terms.session, now=now
    )
    if stage is Stage.WHOLE:
        signed_in(session, who, now=now)
    return token, stage


def fail(session: Session, attempt: Attempt, *, now: datetime) -> None:
    """Write down that somebody tried to be this person. A name that nobody has is in no record."""
    if attempt.principal is not None:
        refused(session, attempt.principal, reason="password" if attempt.kept else "no-password", now=now)


def refused(session: Session, who: Principal, *, reason: str, now: datetime) -> None:
    """Write down that somebody who said to be this person was not let in."""
    audit.record(session, "session.refused", subject=who.user_id, by=who, now=now, detail={"reason": reason})


def kept_password(session: Session, *, by: Principal) -> str | None:
    """What is kept of the caller's own password, for what he has to show it again."""
    kept: str | None = (
        session.connection().execute(select(_accounts.c.password_hash).where(*_is(by))).scalar_one_or_none()
    )
    return kept


def first_stage(who: Principal, has_second: bool, must_change: bool, demanded: frozenset[Role]) -> Stage:
    """What is asked for after a password that fits."""
    if has_second:
        return Stage.SECOND_FACTOR
    if who.role in demanded:
        return Stage.ENROLMENT
    return Stage.NEW_PASSWORD if must_change else Stage.WHOLE


def demanded_roles(terms: SecondFactorTerms, *, second_factor: bool) -> frozenset[Role]:
    """The roles of which a second factor is asked; none where the operator asks none of anybody."""
    return terms.roles if second_factor else frozenset()


def signed_in(session: Session, who: Principal, *, now: datetime) -> None:
    """Note when somebody was let in last."""
    session.connection().execute(update(_accounts).where(*_is(who)).values(signed_in_at=now))


def count(session: Session, counted: Counted, *, terms: IdentityTerms, now: datetime) -> None:
    """Count one more attempt for each; raises ``TooManyAttempts`` when it comes too early for one of them.

    An attempt that comes too early is not counted: waiting is the price, and it does not grow by knocking.
    """
    waits = []
    for kind, about in counted:
        waits.append(_count_one(session, kind, about, terms.throttles[kind], now))
    longest = max(waits)
    if longest > timedelta(0):
        raise TooManyAttempts("there were too many attempts: wait before the next one", retry_after=longest)


def forgive(session: Session, counted: Counted, *, now: datetime) -> None:
    """Take back what was counted for an attempt that succeeded; failures of others stay."""
    for kind, about in counted:
        which = _attempts.c.kind == kind.value, _attempts.c.about == about
        if kind is AttemptKind.ACCOUNT_AND_ADDRESS:
            session.connection().execute(delete(_attempts).where(*which))
            continue
        fewer = case((_attempts.c.failures > 0, _attempts.c.failures - 1), else_=0)
        session.connection().execute(update(_attempts).where(*which).values(failures=fewer, not_before=now))


def second_factor_counter(session: Session, who: Principal) -> Counted:
    """By what guesses of somebody's second factor are counted."""
    about = _about(session, "second-factor", who.organisation_id, who.user_id)
    return ((AttemptKind.ACCOUNT_AND_ADDRESS, about),)


def _count_one(
    session: Session, kind: AttemptKind, about: str, throttle: Throttle, now: datetime
) -> timedelta:
    connection = session.connection()
    fresh = {"kind": kind.value, "about": about, "failures": 1, "last_at": now, "not_before": now}
    if insert_once(session, _attempts, fresh):
        connection.execute(
            delete(_attempts).where(
                _attempts.c.kind == kind.value, _attempts.c.last_at < now - throttle.forgotten
            )
        )
        return timedelta(0)
    which = _attempts.c.kind == kind.value, _attempts.c.about == about
    row = connection.execute(select(_attempts).where(*which).with_for_update()).one()
    if row.not_before > now:
        return timedelta(seconds=(row.not_before - now).total_seconds())
    failures = 1 if row.last_at + throttle.forgotten <= now else row.failures + 1
    connection.execute(
        update(_attempts)
        .where(*which)
        .values(failures=failures, last_at=now, not_before=now + throttle.wait(failures))
    )
    return timedelta(0)


def _about(session: Session, *words: str) -> str:
    """A keyed hash: people type passwords where a name is asked for."""
    return audit.keyed_hash(session, "\x1f".join(words)).rpartition(":")[2]


def _is(who: Principal) -> tuple[Any, ...]:
    return _accounts.c.organisation_id == who.organisation_id, _accounts.c.user_id == who.user_id


_ACCOUNT = select(
    _accounts.c.organisation_id,
    _accounts.c.user_id,
    _accounts.c.password_hash,
    _accounts.c.must_change,
    _accounts.c.totp_confirmed_at,
    _users.c.role,
    _users.c.active,
).select_from(
    _accounts.join(
        _users,
        and_(_users.c.organisation_id == _accounts.c.organisation_id, _users.c.id == _accounts.c.user_id),
    )
)
