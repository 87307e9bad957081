"""The causes for which a request can fail. Each edge maps them to its own form: problem+json, an exit
code, a card. Texts name the place and what to write instead, and never a value of a patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the input: where (a JSON pointer), a code for programs, words for people."""

    pointer: str
    code: str
    message: str


class StewardshipError(Exception):
    """Base of all causes. ``code`` is stable and for programs, the text is for the person who can fix it."""

    code = "error"

    def __init__(self, message: str, *, faults: tuple[Fault, ...] = (), code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.faults = faults
        if code is not None:
            self.code = code


class MalformedInput(StewardshipError):
    """The input cannot be read at all (not JSON, too deep, duplicate keys)."""

    code = "malformed"


class InvalidInput(StewardshipError):
    """The input was read, and says something that it may not say; ``faults`` point at the places."""

    code = "invalid"


class TooLarge(StewardshipError):
    """The input is over a stated limit of size."""

    code = "too-large"


class PatientMismatch(StewardshipError):
    """The parts of a request speak of different patients; nothing of either is shown."""

    code = "patient-mismatch"


class Unauthenticated(StewardshipError):
    """Nobody, or nobody known, is asking."""

    code = "unauthenticated"


class Forbidden(StewardshipError):
    """The role may not do this."""

    code = "forbidden"


class NotFound(StewardshipError):
    """There is no such thing in the caller's organisation (the same answer when it is another's)."""

    code = "not-found"


class Conflict(StewardshipError):
    """Somebody else was first, or the thing is no longer in the state that this needs."""

    code = "conflict"


class Unavailable(StewardshipError):
    """The service cannot do this now and says so; nothing was changed."""

    code = "unavailable"


class TooManyAttempts(StewardshipError):
    """Somebody tries too often; ``retry_after`` says how long to wait. It is the same for right and wrong."""

    code = "too-many-attempts"

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeclarationError(StewardshipError):
    """A policy or reference file is wrong; the text names file, place and what to write instead."""

    code = "declaration"
