"""How people and record systems prove who they are: the terms, which are data, and the words for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from stewardship.domain.people import Role


class Stage(StrEnum):
    """What a browser's session still asks of whoever began it; only a whole one lets him in."""

    SECOND_FACTOR = "second-factor"
    ENROLMENT = "enrolment"
    NEW_PASSWORD = "new-password"  # noqa: S105 - a stage, not a password
    WHOLE = "whole"


class Method(StrEnum):
    """How somebody proved who he is."""

    PASSWORD = "password"  # noqa: S105 - a word for it, not one
    PROVIDER = "provider"


class AttemptKind(StrEnum):
    """By what failed attempts to sign in are counted."""

    ACCOUNT_AND_ADDRESS = "account-and-address"
    ACCOUNT = "account"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class PasswordTerms:
    """What a password must be: lengths in characters, and what is taken out before it is judged."""

    shortest: int
    longest: int
    least_left: int
    words: tuple[str, ...]
    rows: tuple[str, ...]
    replacements: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HashTerms:
    """What Argon2id may cost: memory in KiB, passes, lanes."""

    memory_kib: int
    passes: int
    lanes: int


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """How long a browser's session lasts without being used, at the most, and while it is not whole."""

    idle: timedelta
    longest: timedelta
    unfinished: timedelta


@dataclass(frozen=True, slots=True)
class SecondFactorTerms:
    """Whom a second factor is asked of, how far clocks may differ in steps, and how many codes recover it."""

    roles: frozenset[Role]
    neighbours: int
    recovery_codes: int


@dataclass(frozen=True, slots=True)
class Throttle:
    """So many failures are free; after that each doubles the wait, until nobody failed for a while."""

    free: int
    first: timedelta
    longest: timedelta
    forgotten: timedelta

    def wait(self, failures: int) -> timedelta:
        """How long to wait after so many failures in a row."""
        if failures <= self.free:
            return timedelta(0)
        # Doubling soon passes any bound; more than thirty doublings would pass that of timedelta too.
        doublings: int = 1 << min(failures - self.free - 1, 30)
        return min(self.longest, self.first * doublings)


@dataclass(frozen=True, slots=True)
class HookTokenTerms:
    """What a JSON Web Token of an EHR must keep to."""

    algorithms: tuple[str, ...]
    longest: timedelta
    skew: timedelta
    longest_id: int
    longest_bytes: int
    keys: timedelta
    keys_longest: timedelta
    look_again: timedelta
    fetch: timedelta


@dataclass(frozen=True, slots=True)
class OverrideTerms:
    """So many overrides of one person within that time are an incident."""

    incident: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class IdentityTerms:
    """All of it."""

    password: PasswordTerms
    hashing: HashTerms
    session: SessionTerms
    second_factor: SecondFactorTerms
    throttles: Mapping[AttemptKind, Throttle]
    hook_token: HookTokenTerms
    #: From so many refusals within an hour on, it is an incident.
    refusals: int
    overrides: OverrideTerms


@dataclass(frozen=True, slots=True)
class SignedIn:
    """One of somebody's sessions, as he is told of it; ``this`` is the one he asks from."""

    id: str
    agent: str
    method: Method
    began_at: datetime
    seen_at: datetime
    this: bool = False
