"""A check within its time: on a thread of its own, so that a database that hangs delays no prescriber.

A prescriber waits for the answer. When the time is over, the answer says that the check was not made, and
what the thread may still finish is rolled back: a decision that nobody saw must not be on record as shown.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.orm import Session

from stewardship.db import Sessions, transaction

T = TypeVar("T")

#: Checks at one time in one process, those that hang included; more wait, within their own time.
_AT_ONCE = 16
_WORKERS = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cds-check")


class TooLate(Exception):
    """The time for a check is over."""


def within(deadline: float, sessions: Sessions, work: Callable[[Session], T]) -> T:
    """Do the work in one transaction, until the deadline (of ``time.monotonic``); after it ``TooLate``."""
    over = threading.Event()

    def transact() -> T:
        with transaction(sessions) as session:
            done = work(session)
            if over.is_set():
                raise TooLate
        return done

    task = _WORKERS.submit(transact)
    try:
        return task.result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        over.set()
        task.cancel()
        raise TooLate from None
