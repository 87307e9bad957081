"""The second factor: a code of an authenticator app (RFC 6238), or a recovery code, each good once.

The app's secret is kept sealed, since it has to be read to check a code. A code that was used, and every
older one, is refused; so is what comes too often (see ``login``).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import pyotp
from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.orm import Session

from stewardship.db import identity_tables
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.domain.identity import SecondFactorTerms
from stewardship.domain.people import Principal
from stewardship.services import audit
from stewardship.services.sealing import Seals

_PURPOSE = "second factor"
_STEP_SECONDS = 30
_ISSUER = "Opioid stewardship"
#: Letters and digits that are not mistaken for each other, 16 of them: 80 bits.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_GROUPS, _OF = 4, 4

_accounts: Any = identity_tables.Account.__table__
_recovery: Any = identity_tables.RecoveryCode.__table__


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app needs: the address that its QR code holds, and the secret to type."""

    address: str
    secret: str


def begin(session: Session, *, by: Principal, login: str, seals: Seals, now: datetime) -> Enrolment:
    """Make a secret for the caller's app, or tell the one again that was not confirmed yet. Raises
    ``Conflict`` when there is a confirmed one: it has to be removed first."""
    row = _account(session, by)
    if row.totp_confirmed_at is not None:
        raise Conflict("there is a second factor already")
    secret = _opened(row, by, seals, now) if row.totp_secret else None
    if secret is None:
        secret = pyotp.random_base32()
        sealed = seals.seal(_purpose(by), secret, now=now)
        fresh = {"totp_secret": sealed, "totp_step": None}
        session.connection().execute(update(_accounts).where(*_is(by)).values(**fresh))
    totp = pyotp.TOTP(secret, interval=_STEP_SECONDS)
    address = totp.provisioning_uri(name=login, issuer_name=_ISSUER)
    return Enrolment(address, secret)


def confirm(
    session: Session, code: str, *, by: Principal, seals: Seals, terms: SecondFactorTerms, now: datetime
) -> list[str]:
    """Take the app into use, if it shows the right code; its recovery codes are returned, this once.

    Raises ``InvalidInput`` for a wrong code.
    """
    row = _account(session, by)
    if row.totp_secret is None or row.totp_confirmed_at is not None:
        raise Conflict("there is nothing to confirm: begin again")
    if not _take(session, row, code, by=by, seals=seals, terms=terms, now=now):
        raise InvalidInput("that is not the code which the app shows now")
    session.connection().execute(update(_accounts).where(*_is(by)).values(totp_confirmed_at=now))
    audit.record(session, "second-factor.confirmed", subject=by.user_id, by=by, now=now)
    return _new_recovery_codes(session, by=by, terms=terms, now=now)


def fits(
    session: Session, code: str, *, by: Principal, seals: Seals, terms: SecondFactorTerms, now: datetime
) -> bool:
    """Whether it is a code of the app that was not used yet, or an unused recovery code; it is used then."""
    row = _account(session, by)
    if row.totp_confirmed_at is None:
        return False
    if _take(session, row, code, by=by, seals=seals, terms=terms, now=now):
        return True
    return _take_recovery_code(session, code, by=by, now=now)


def new_recovery_codes(
    session: Session, *, by: Principal, terms: SecondFactorTerms, now: datetime
) -> list[str]:
    """Replace all recovery codes; the new ones are returned, this once."""
    codes = _new_recovery_codes(session, by=by, terms=terms, now=now)
    audit.record(session, "recovery-codes.made", subject=by.user_id, by=by, now=now)
    return codes


def recovery_codes_left(session: Session, *, by: Principal) -> int:
    """How many recovery codes the caller has not used."""
    mine = (
        _recovery.c.organisation_id == by.organisation_id,
        _recovery.c.user_id == by.user_id,
        _recovery.c.used_at.is_(None),
    )
    return len(session.connection().execute(select(_recovery.c.code_hash).where(*mine)).all())


def _take(
    session: Session,
    row: Any,
    code: str,
    *,
    by: Principal,
    seals: Seals,
    terms: SecondFactorTerms,
    now: datetime,
) -> bool:
    """Use a code of the app: its time step must be near, and later than the last one that was used."""
    digits = "".join(code.split())
    secret = _opened(row, by, seals, now)
    if secret is None or not (digits.isascii() and digits.isdigit()):
        return False
    totp = pyotp.TOTP(secret, interval=_STEP_SECONDS)
    step = int(now.timestamp()) // _STEP_SECONDS
    near = range(step - terms.neighbours, step + terms.neighbours + 1)
    matching = [s for s in near if hmac.compare_digest(totp.generate_otp(s), digits)]
    if not matching:
        return False
    # The condition is the check: of two requests with one code, one finds the step used.
    unused = or_(_accounts.c.totp_step.is_(None), _accounts.c.totp_step < matching[-1])
    done = session.connection().execute(
        update(_accounts).where(*_is(by), unused).values(totp_step=matching[-1])
    )
    return bool(done.rowcount == 1)


def _take_recovery_code(session: Session, code: str, *, by: Principal, now: datetime) -> bool:
    done = session.connection().execute(
        update(_recovery)
        .where(
            _recovery.c.organisation_id == by.organisation_id,
            _recovery.c.user_id == by.user_id,
            _recovery.c.code_hash == _hash(code),
            _recovery.c.used_at.is_(None),
        )
        .values(used_at=now)
    )
    if done.rowcount != 1:
        return False
    left = recovery_codes_left(session, by=by)
    audit.record(session, "recovery-code.used", subject=by.user_id, by=by, now=now, detail={"left": left})
    return True


def _new_recovery_codes(
    session: Session, *, by: Principal, terms: SecondFactorTerms, now: datetime
) -> list[str]:
    connection = session.connection()
    of: dict[str, Any] = {"organisation_id": by.organisation_id, "user_id": by.user_id}
    connection.execute(
        delete(_recovery).where(
            _recovery.c.organisation_id == by.organisation_id, _recovery.c.user_id == by.user_id
        )
    )
    codes = [
        "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_OF)) for _ in range(_GROUPS))
        for _ in range(terms.recovery_codes)
    ]
    connection.execute(
        insert(_recovery), [of | {"code_hash": _hash(c), "made_at": now, "used_at": None} for c in codes]
    )
    return codes


def _hash(code: str) -> str:
    # 80 random bits: a plain hash cannot be turned back.
    return sha256("".join(c for c in code.casefold() if c.isalnum()).encode()).hexdigest()


def _purpose(by: Principal) -> str:
    """Sealed for one person: a secret that was copied to another's row does not open there."""
    return f"{_PURPOSE}\x1f{by.organisation_id}\x1f{by.user_id}"


def _opened(row: Any, by: Principal, seals: Seals, now: datetime) -> str | None:
    return seals.open(_purpose(by), row.totp_secret, now=now) if row.totp_secret else None


def _is(by: Principal) -> tuple[Any, ...]:
    return _accounts.c.organisation_id == by.organisation_id, _accounts.c.user_id == by.user_id


def _account(session: Session, by: Principal) -> Any:
    columns = (_accounts.c.totp_secret, _accounts.c.totp_confirmed_at, _accounts.c.totp_step)
    row = session.connection().execute(select(*columns).where(*_is(by))).first()
    if row is None:
        raise NotFound("there is no such account in this organisation")
    return row
