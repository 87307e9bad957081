"""The tables of who signs in: accounts, browser sessions, and what slows guessing down.

Nothing here lets anybody in who reads it: passwords, session ids, recovery codes and used tokens are
hashes, and the secret of a second factor is encrypted under a key that the database does not hold.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from stewardship.db.columns import Words
from stewardship.db.tables import (
    Base,
    Code,
    Hash,
    Id,
    Key,
    Line,
    OfOrganisation,
    belongs_to,
    between,
    check_lengths,
    one_of,
    together,
)
from stewardship.domain.identity import AttemptKind, Method, Stage
from stewardship.domain.people import Role

#: More failures than anybody can make; both databases can hold it.
_MOST = 1_000_000_000


class Account(OfOrganisation, Base):
    """How a person proves who he is: a password of ours, an identity provider, or both.

    ``login`` is unique over all organisations, for whoever signs in says no organisation. ``email`` is for
    what is sent, and may be empty. ``totp_step`` is the last time step whose code was used.
    """

    __tablename__ = "accounts"
    __table_args__ = (
        belongs_to("users", "user_id"),
        UniqueConstraint("login"),
        UniqueConstraint("issuer", "subject"),
        CheckConstraint("length(login) > 0", name="login_given"),
        together("password_hash", "password_set_at"),
        together("issuer", "subject"),
        CheckConstraint("totp_confirmed_at IS NULL OR totp_secret IS NOT NULL", name="confirmed_what"),
    )

    user_id: Mapped[Key]
    login: Mapped[Id]
    email: Mapped[Id]
    password_hash: Mapped[Id | None]
    password_set_at: Mapped[datetime | None]
    must_change: Mapped[bool]
    totp_secret: Mapped[Line | None]
    totp_confirmed_at: Mapped[datetime | None]
    totp_step: Mapped[int | None] = mapped_column(BigInteger)
    issuer: Mapped[Line | None]
    subject: Mapped[Line | None]
    created_at: Mapped[datetime]
    signed_in_at: Mapped[datetime | None]


class RecoveryCode(OfOrganisation, Base):
    """What stands in for a second factor that was lost: once each."""

    __tablename__ = "recovery_codes"
    __table_args__ = (
        belongs_to("accounts", "user_id", to=("user_id",)),
        CheckConstraint("length(code_hash) = 64", name="hash_only"),
    )

    user_id: Mapped[Key]
    code_hash: Mapped[str] = mapped_column(Words(64), primary_key=True)
    made_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class BrowserSession(OfOrganisation, Base):
    """Somebody signed in with a browser: only the SHA-256 of what the cookie holds.

    ``id`` is the name by which it is listed and ended. Only a session whose ``stage`` is ``whole`` lets
    anybody in; the other stages say what is still asked of him.
    """

    __tablename__ = "browser_sessions"
    __table_args__ = (
        belongs_to("users", "user_id"),
        UniqueConstraint("token_hash"),
        one_of("role", Role),
        one_of("stage", Stage),
        one_of("method", Method),
        CheckConstraint("length(token_hash) = 64", name="hash_only"),
        CheckConstraint("expires_at > began_at", name="expires"),
        together("ended_at", "ended_by"),
        Index(None, "organisation_id", "user_id"),
    )

    id: Mapped[Key]
    token_hash: Mapped[Hash]
    user_id: Mapped[Id]
    role: Mapped[Code]
    stage: Mapped[Code]
    method: Mapped[Code]
    agent: Mapped[Line]
    began_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[Code | None]


class SignInAttempt(Base):
    """How often somebody failed to sign in of late, by keyed hashes of the name and the address.

    It belongs to no organisation: whoever has not signed in yet is nobody's, and a name may be unknown.
    """

    __tablename__ = "sign_in_attempts"
    __table_args__ = (
        one_of("kind", AttemptKind),
        between("failures", 0, _MOST),
        CheckConstraint("length(about) = 64", name="hash_only"),
    )

    kind: Mapped[str] = mapped_column(Words(64), primary_key=True)
    about: Mapped[str] = mapped_column(Words(64), primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(index=True)
    not_before: Mapped[datetime]


class Refusal(OfOrganisation, Base):
    """How often somebody asked, within one hour, for what he may not have or what is not there."""

    __tablename__ = "refusals"
    __table_args__ = (between("count", 1, _MOST),)

    user_id: Mapped[Key]
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    count: Mapped[int]


class UsedHookToken(OfOrganisation, Base):
    """A token that an EHR made was used: its id, hashed, until it would have expired anyway."""

    __tablename__ = "used_hook_tokens"
    __table_args__ = (CheckConstraint("length(token_hash) = 64", name="hash_only"),)

    client: Mapped[Key]
    token_hash: Mapped[str] = mapped_column(Words(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


for _table in (Account, RecoveryCode, BrowserSession, SignInAttempt, Refusal, UsedHookToken):
    check_lengths(_table.__table__)  # type: ignore[arg-type]
