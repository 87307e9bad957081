"""The dedicated process: of any number that are started, one leads and the others stand by.

APScheduler says when to look, and nothing more: its jobs live in memory under fixed names, and what is due is
asked of the database. Beside it a watch looks every few moments whether the lead is still held, whether the
process is to end, and whether somebody has set the clock.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.base import BaseTrigger
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from stewardship.db import claims, transaction
from stewardship.domain.cadence import Every
from stewardship.domain.errors import StewardshipError
from stewardship.observability import log
from stewardship.runtime import Runtime
from stewardship.scheduler.running import LEADER, Job, run_all
from stewardship.services import job_runs, organisations

#: How often, in seconds, the watch looks, and one that stands by asks for the lead.
PULSE = 2.0
#: Jobs that are done side by side. Each holds up to three connections, and waits for its last while it holds
#: the others: together they may never need more than the pool has.
THREADS = 4
#: A clock that goes this much otherwise than the machine's own pace was set.
JUMP = timedelta(seconds=30)


class Process:
    """One scheduler process. ``leading`` is called when it takes the lead."""

    def __init__(
        self,
        running: Runtime,
        jobs: Sequence[Job],
        *,
        pulse: float = PULSE,
        leading: Callable[[], None] = lambda: None,
    ) -> None:
        self._running = running
        self._jobs = jobs
        self._pulse = pulse
        self._leading = leading
        self._stopping = threading.Event()
        self._engine: Engine = running.sessions.kw["bind"]

    def stop_on_signals(self) -> None:
        """End in good order when the process is told to: what is being worked on ends with its portion."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())

    def stop(self) -> None:
        """End in good order."""
        self._stopping.set()

    def run(self) -> None:
        """Lead, or wait for the lead, until told to stop."""
        while not self._stopping.is_set():
            try:
                with claims.hold(self._engine, LEADER) as held:
                    if held is not None:
                        _Lead(
                            self._running, self._jobs, held, self._stopping, self._pulse, self._leading
                        ).run()
            except (SQLAlchemyError, StewardshipError) as away:
                log.warning("scheduler waits for the database", fault=type(away).__qualname__)
            self._stopping.wait(self._pulse)


class _Lead:
    """The time during which this process leads."""

    def __init__(
        self,
        running: Runtime,
        jobs: Sequence[Job],
        held: Callable[[], bool],
        ending: threading.Event,
        pulse: float,
        leading: Callable[[], None],
    ) -> None:
        self._running = running
        self._jobs = jobs
        self._held = held
        self._ending = ending
        self._pulse = pulse
        self._leading = leading
        self._over = threading.Event()
        self._ended = threading.Event()
        self._scheduler = _scheduler(min(THREADS, len(jobs)))

    def run(self) -> None:
        """Until the lead is lost or the process is to end; work in progress ends with its portion."""
        log.info("scheduler leads")
        now = datetime.now(UTC)
        for job in self._jobs:
            self._scheduler.add_job(
                self._look, _Looks(job), args=[job], id=job.name, next_run_time=now, max_instances=1
            )
        watch = threading.Thread(target=self._watch, name="watch")
        watch.start()
        self._leading()
        try:
            self._scheduler.start()
        finally:
            self._over.set()
            self._ended.set()
            watch.join()
            log.info("scheduler no longer leads")

    def _look(self, job: Job) -> None:
        try:
            run_all(self._running, [job], stopping=self._over.is_set)
        except (SQLAlchemyError, StewardshipError) as away:
            # Nothing was begun: what is due stays due.
            log.warning("job waits for the database", job=job.name, fault=type(away).__qualname__)

    def _watch(self) -> None:
        clock, pace = self._running.clock(), time.monotonic()
        self._note_behind(clock)
        while not self._over.wait(self._pulse):
            if self._ending.is_set() or not self._held():
                self._over.set()
                break
            now, passed = self._running.clock(), time.monotonic() - pace
            jumped = now - clock - timedelta(seconds=passed)
            clock, pace = now, pace + passed
            if abs(jumped) >= JUMP:
                self._note("jumped", int(jumped.total_seconds()))
                self._look_again()
        self._end()

    def _end(self) -> None:
        # The main thread may be about to start it.
        while not self._scheduler.running:
            if self._ended.wait(0.01):
                return
        self._scheduler.shutdown(wait=True)

    def _look_again(self) -> None:
        """Whatever moment the jobs wait for was told by another clock: look now."""
        for job in self._jobs:
            with suppress(JobLookupError):
                self._scheduler.modify_job(job.name, next_run_time=datetime.now(UTC))

    def _note_behind(self, now: datetime) -> None:
        with suppress(SQLAlchemyError, StewardshipError):
            with transaction(self._running.sessions, write=False) as session:
                by_organisation = {
                    one: job_runs.behind_record(session, by=job_runs.scheduler(one), now=now)
                    for one in organisations.listed(session)
                }
            for one, seconds in by_organisation.items():
                if seconds >= JUMP.total_seconds():
                    self._write("behind", -seconds, one)

    def _note(self, what: str, seconds: int) -> None:
        with suppress(SQLAlchemyError, StewardshipError):
            with transaction(self._running.sessions, write=False) as session:
                whose = organisations.listed(session)
            for one in whose:
                self._write(what, seconds, one)

    def _write(self, what: str, seconds: int, organisation: str) -> None:
        log.warning("clock was set", organisation=organisation, seconds=seconds)
        with transaction(self._running.sessions) as session:
            job_runs.note_clock(
                session,
                by=job_runs.scheduler(organisation),
                now=self._running.clock(),
                seconds=seconds,
                what=what,
            )


class _Looks(BaseTrigger):  # type: ignore[misc]
    """When to look whether a job is due: at the moments of its cadence, in UTC, whatever went before."""

    def __init__(self, job: Job) -> None:
        self._every = Every(job.cadence.look_every)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The next moment after now."""
        return self._every.after(now.astimezone(UTC), UTC)


def _scheduler(threads: int) -> Any:
    return BlockingScheduler(
        jobstores={"default": MemoryJobStore()},
        executors={"default": ThreadPoolExecutor(threads)},
        job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        timezone=UTC,
    )
