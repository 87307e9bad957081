"""Checks that were not made, written down afterwards: when the database can be used again, each of them once.

The prescriber has read that the order was not checked, and may have signed it; a pharmacist closes the gap.
What is still to be written waits in this process, in the order in which it came, for as long as the database
is away, and no answer waits for it. What a process that dies takes with it, and what found no room or waited
too long, is in the log, which has a line for each check that was not made.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from stewardship.db import Sessions, transaction
from stewardship.domain.errors import Unavailable
from stewardship.observability import frames_of, log

#: How many may wait, and how long one is tried for, in seconds.
_MOST, _LONGEST = 10_000, 24 * 3600.0
#: How long to wait before another try, in seconds: at first, and at the most.
_SOON, _LATE = 0.2, 15.0


@dataclass(frozen=True, slots=True)
class _Unwritten:
    """What writes, where, and since when it waits, of ``time.monotonic``."""

    sessions: Sessions
    write: Callable[[Session], None]
    since: float


class Afterwards:
    """What a process still has to write, and the one thread that does."""

    def __init__(self) -> None:
        self._waiting: deque[_Unwritten] = deque()
        self._changed = threading.Condition()
        self._works = False

    def add(self, sessions: Sessions, write: Callable[[Session], None]) -> None:
        """Have it written, in a transaction of its own, as soon as the database lets it."""
        with self._changed:
            if len(self._waiting) >= _MOST:
                log.error("not written down", why="too many wait")
                return
            self._waiting.append(_Unwritten(sessions, write, time.monotonic()))
            if not self._works:
                self._works = True
                threading.Thread(target=self._work, daemon=True).start()

    def written(self, within: float) -> bool:
        """Wait until nothing waits any more, for so many seconds at the most; whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._works, within)

    def _work(self) -> None:
        pause = _SOON
        while (one := self._next()) is not None:
            try:
                with transaction(one.sessions) as session:
                    one.write(session)
            except Unavailable as cause:
                if time.monotonic() - one.since < _LONGEST:
                    time.sleep(pause)
                    pause = min(2 * pause, _LATE)
                    continue
                _lost(cause)
            except Exception as cause:  # noqa: BLE001 - it is told, and the others are still to be written
                _lost(cause)
            pause = _SOON
            with self._changed:
                self._waiting.popleft()

    def _next(self) -> _Unwritten | None:
        with self._changed:
            if self._waiting:
                return self._waiting[0]
            self._works = False
            self._changed.notify_all()
            return None


def _lost(cause: Exception) -> None:
    """Say why something was not written down; here is no request that could be named."""
    log.error("not written down", fault=type(cause).__qualname__, frames=frames_of(cause))
