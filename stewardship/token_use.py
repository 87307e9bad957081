"""A token is held to what it is bound to: where a request comes from, and how many came in this minute.

The database counts for all processes. A process tells it what came every half second, not at each request,
and at once when its own requests make it too many; so a flood costs no writing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from stewardship.db import Sessions, transaction
from stewardship.domain.errors import TooManyAttempts
from stewardship.services import token_limits
from stewardship.services.tokens import Known

_MINUTE = timedelta(minutes=1)
#: How long a process keeps to itself what it has counted.
TOLD_EVERY = timedelta(milliseconds=500)


@dataclass
class Meter:
    """The uses of one token in a minute: those of all processes as last heard, and ours since."""

    minute: datetime | None = None
    heard: int = 0
    untold: int = 0
    told_at: datetime | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Meters:
    """The meters of a process, by token."""

    def __init__(self) -> None:
        self._of: dict[str, Meter] = {}
        self._lock = threading.Lock()

    def note(self, sessions: Sessions, known: Known, *, now: datetime) -> None:
        """Count one use; raises ``TooManyAttempts`` until the minute is over when there were too many."""
        most = known.limits.per_minute
        if most is None:
            return
        with self._lock:
            meter = self._of.setdefault(known.id, Meter())
        with meter.lock:
            self._count(sessions, meter, known, most, now)

    def _count(self, sessions: Sessions, meter: Meter, known: Known, most: int, now: datetime) -> None:
        minute = now.replace(second=0, microsecond=0)
        if meter.minute != minute:
            meter.minute, meter.heard, meter.untold, meter.told_at = minute, 0, 0, None
        if meter.heard <= most:
            meter.untold += 1
            too_many = meter.heard + meter.untold > most
            if too_many or meter.told_at is None or not timedelta(0) <= now - meter.told_at < TOLD_EVERY:
                with transaction(sessions) as session:
                    by = known.principal
                    heard = token_limits.count(session, known.id, meter.untold, by=by, now=now)
                meter.heard, meter.untold, meter.told_at = heard, 0, now
        if meter.heard > most:
            raise TooManyAttempts(
                f"this token may be used {most} times a minute, and was", retry_after=minute + _MINUTE - now
            )
