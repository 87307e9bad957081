"""Writers of an SQLite database take turns in good order.

SQLite lets one writer in at a time, and lets the others ask again after ever longer naps: under load some
wait for a second while others overtake them. Here the processes of one machine queue for two locks on a
file beside the database. Whoever holds the first is next, and waits for the second, which is the turn
itself; nobody overtakes the one who is next. The locks are the kernel's, so a process that dies leaves
none behind. A writer that takes no part in this is still kept out by SQLite itself.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from stewardship.domain.errors import Unavailable

#: How often the one who is next looks whether the turn is free, in seconds.
_LOOK_EVERY = 0.0002


class Turns:
    """The queue of one database file, as one process sees it."""

    def __init__(self, database: str) -> None:
        self._path = f"{database}-turns"
        self._local = threading.Lock()
        self._files: tuple[int, int] | None = None
        self._process = 0

    @contextmanager
    def turn(self, patience: float) -> Iterator[None]:
        """Wait for the turn, hold it for the block; ``Unavailable`` after ``patience`` seconds."""
        until = time.monotonic() + patience
        if not self._local.acquire(timeout=patience):
            raise _busy()
        try:
            locked = self._lock(until)
            try:
                yield
            finally:
                fcntl.flock(locked, fcntl.LOCK_UN)
        finally:
            self._local.release()

    def _lock(self, until: float) -> int:
        following, turn = self._open()
        _wait(following, until)
        try:
            _wait(turn, until)
        finally:
            fcntl.flock(following, fcntl.LOCK_UN)
        return turn

    def _open(self) -> tuple[int, int]:
        # A lock belongs to the opened file: after a fork the child opens its own.
        if self._files is None or self._process != os.getpid():
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            try:
                turn, following = (os.open(f"{self._path}{part}", flags, 0o660) for part in ("", "-next"))
            except OSError as cause:
                words = "the folder of the database cannot be written to; nothing was changed"
                raise Unavailable(words, code="database") from cause
            self._files, self._process = (following, turn), os.getpid()
        return self._files


def _wait(file: int, until: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise _busy() from None
            time.sleep(_LOOK_EVERY)
        else:
            return


def _busy() -> Unavailable:
    return Unavailable("the database is busy; nothing was changed, try again", code="database")
