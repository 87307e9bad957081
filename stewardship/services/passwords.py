"""Passwords: what one must be, and how it is kept (Argon2id, with the cost that the terms say)."""

from __future__ import annotations

import secrets
import unicodedata
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.identity import HashTerms, PasswordTerms
from stewardship.domain.passwords import why_not

_PLACE = "/password"


def refuse_weak(password: str, *, terms: PasswordTerms, about: tuple[str, ...] = ()) -> None:
    """Raise ``InvalidInput`` with what to write instead; ``about`` holds words of the account itself."""
    reason = why_not(normal(password), terms, about=about)
    if reason is not None:
        raise InvalidInput(reason.message, faults=(Fault(_PLACE, reason.code, reason.message),))


def hashed(password: str, *, terms: HashTerms) -> str:
    """What is kept of a password."""
    return _hasher(terms).hash(normal(password))


def fits(kept: str | None, password: str, *, terms: HashTerms) -> bool:
    """Whether it is the password of which this was kept. Takes as long when nothing was kept."""
    hasher = _hasher(terms)
    try:
        hasher.verify(kept or _dummy(terms), normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def is_outdated(kept: str, *, terms: HashTerms) -> bool:
    """Whether it was made at another cost than is asked for today."""
    return _hasher(terms).check_needs_rehash(kept)


def normal(password: str) -> str:
    """The same letters typed on another machine are the same password."""
    return unicodedata.normalize("NFKC", password)


@lru_cache(maxsize=4)
def _hasher(terms: HashTerms) -> PasswordHasher:
    return PasswordHasher(
        time_cost=terms.passes, memory_cost=terms.memory_kib, parallelism=terms.lanes, type=Type.ID
    )


@lru_cache(maxsize=4)
def _dummy(terms: HashTerms) -> str:
    """Nobody's password, at today's cost."""
    return _hasher(terms).hash(secrets.token_urlsafe(32))
