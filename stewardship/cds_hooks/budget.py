"""A check within its time: on a thread of its own, so that a database that hangs delays no prescriber.

A prescriber waits for the answer. When the time is over, the answer says that the check was not made, and
what the thread may still finish is rolled back: a decision that nobody saw must not be on record as shown.

A check looks first, in a transaction that waits for nobody, and then writes. Writers take turns: a commit
waits for the disk, and everybody else for the commit. Checks that come to write at the same moment therefore
share one transaction, and none is answered before it is committed. When one of them fails or is too late, all
of it is rolled back and each is written again in a transaction of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from stewardship.db import Sessions, transaction

T = TypeVar("T")
#: What writes, made by what looks.
Keep = Callable[[Session], T]

#: Checks at one time in one process, those that hang included; more wait, within their own time.
_AT_ONCE = 16
_WORKERS = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cds-check")
#: Checks in one transaction: the first of them waits for the last.
_TOGETHER = 8


class TooLate(Exception):
    """The time for a check is over."""


@dataclass(eq=False, slots=True)
class _Asked:
    """One check: how it looks, what it has to write, whether its time is over, where its answer goes."""

    sessions: Sessions
    look: Callable[[Session], Keep[Any]]
    keep: Keep[Any] | None = None
    over: bool = False
    answer: Future[Any] = field(default_factory=Future)


def within(deadline: float, sessions: Sessions, look: Callable[[Session], Keep[T]]) -> T:
    """Look, and do the writing that ``look`` answers with, each in a transaction, until the deadline (of
    ``time.monotonic``); after it ``TooLate``.

    The writing may be done again after a rollback, the looking is not.
    """
    asked = _Asked(sessions, look)
    _WORKERS.submit(_look, asked)
    try:
        answer: T = asked.answer.result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        _QUEUE.pass_by(asked)
        raise TooLate from None
    return answer


def _look(asked: _Asked) -> None:
    try:
        with transaction(asked.sessions, write=False) as session:
            asked.keep = asked.look(session)
    except Exception as cause:  # noqa: BLE001 - whoever asked is told of it
        asked.answer.set_exception(cause)
    else:
        _QUEUE.add(asked)


class _Queue:
    """Checks that wait to write, and the one thread that takes them, as many as there are, into a
    transaction."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Asked] = []
        self._leader: object | None = None

    def add(self, asked: _Asked) -> None:
        """Have it written with what waits already; when nobody takes that, by this thread."""
        with self._lock:
            if asked.over:
                return
            self._waiting.append(asked)
            if self._leader is not None:
                return
            self._leader = leader = object()
        self._work(leader)

    def pass_by(self, late: _Asked) -> None:
        """Leave behind a transaction that takes too long: what waits goes on without it."""
        with self._lock:
            late.over = True
            if late.keep is None:
                return
            if late in self._waiting:
                self._waiting.remove(late)
            self._leader = None
            if self._waiting:
                self._leader = leader = object()
                _WORKERS.submit(self._work, leader)

    def _work(self, leader: object) -> None:
        while group := self._next(leader):
            _transact(group)

    def _next(self, leader: object) -> list[_Asked]:
        """What goes into one transaction; nothing when there is nothing left, or another thread leads."""
        with self._lock:
            if self._leader is not leader:
                return []
            if not self._waiting:
                self._leader = None
                return []
            sessions = self._waiting[0].sessions
            group = [asked for asked in self._waiting if asked.sessions is sessions][:_TOGETHER]
            self._waiting = [asked for asked in self._waiting if asked not in group]
            return group


_QUEUE = _Queue()


def _transact(group: list[_Asked]) -> None:
    try:
        with transaction(group[0].sessions) as session:
            made = [asked.keep(session) for asked in group if asked.keep is not None]
            if any(asked.over for asked in group):
                raise TooLate
    except Exception as cause:  # noqa: BLE001 - whoever asked is told of it
        if len(group) == 1:
            group[0].answer.set_exception(cause)
            return
        for asked in group:
            if not asked.over:
                _transact([asked])
        return
    for asked, answer in zip(group, made, strict=True):
        asked.answer.set_result(answer)
