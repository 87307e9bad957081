"""One job of one organisation, once: claimed, begun, done in portions, and written down.

The claim goes with the process, so that two processes never work on the same job side by side; the run's row
says what was looked after; and every portion's effect is a transaction that two processes could begin and
only one finish. Any one of the three is enough against doing something twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from stewardship.db import Sessions, claims, transaction
from stewardship.declarations import Library
from stewardship.domain.cadence import Cadence
from stewardship.domain.errors import StewardshipError
from stewardship.domain.people import Principal
from stewardship.observability import frames_of, log
from stewardship.runtime import Runtime
from stewardship.services import calendars, job_runs, organisations
from stewardship.services.job_runs import Done, Run

#: The claim that the leading process holds.
LEADER = "scheduler"

#: Asks whether the process is to end: work then stops after the portion that it is at.
Stopping = Callable[[], bool]


@dataclass(frozen=True)
class Turn:
    """What a job is given: whose turn it is, which run this is, and what day it is there."""

    running: Runtime
    library: Library
    by: Principal
    run: Run
    zone: ZoneInfo
    today: date
    stopping: Stopping


@dataclass(frozen=True)
class Job:
    """A line of the table: its name, how often, and what it does."""

    name: str
    cadence: Cadence
    work: Callable[[Turn], Done]


class Stopped(Exception):
    """The process is to end, and there is work left: the next one goes on with it."""


@dataclass(frozen=True)
class Ran:
    """What became of a job: ``outcome`` is ``done``, ``failed``, ``stopped``, ``elsewhere`` when another
    process is at it, or ``not-due``."""

    job: str
    outcome: str
    done: int = 0
    late: int = 0
    late_seconds: int = 0
    seconds: float = 0.0
    code: str = ""


def run(
    running: Runtime, job: Job, organisation: str, *, at_once: bool = False, stopping: Stopping = bool
) -> Ran:
    """Do a job for an organisation if its moment has come; ``at_once`` in any case."""
    by = job_runs.scheduler(organisation)
    began = time.monotonic()
    with claims.claim(_engine(running.sessions), f"job {organisation} {job.name}") as mine:
        if not mine:
            return Ran(job.name, "elsewhere")
        with transaction(running.sessions) as session:
            now = running.clock()
            calendar = calendars.of(session, running.library, organisation)
            zone = calendars.zone(calendar)
            begun = job_runs.begin(session, job.name, job.cadence, zone=zone, by=by, now=now, at_once=at_once)
        if begun is None:
            return Ran(job.name, "not-due")
        library = running.library_of(organisation)
        turn = Turn(running, library, by, begun, zone, now.astimezone(zone).date(), stopping)
        return _work(job, turn, began)


def run_all(
    running: Runtime,
    jobs: Iterable[Job],
    *,
    at_once: bool = False,
    stopping: Stopping = bool,
) -> list[Ran]:
    """Each job in turn, for every organisation; one line a job."""
    with transaction(running.sessions, write=False) as session:
        whose = organisations.listed(session)
    return [
        _together(job, [run(running, job, one, at_once=at_once, stopping=stopping) for one in whose])
        for job in jobs
    ]


def portions(turn: Turn, portion: Callable[[], int], *, of: int) -> int:
    """Call for portions of ``of`` items until one is not full; how many items there were in all.

    Raises ``Stopped`` between two of them when the process is to end.
    """
    total = 0
    while True:
        done = portion()
        total += done
        if done < of:
            return total
        if turn.stopping():
            raise Stopped


def _work(job: Job, turn: Turn, began: float) -> Ran:
    run, by = turn.run, turn.by
    sessions, clock = turn.running.sessions, turn.running.clock

    def took() -> timedelta:
        return timedelta(seconds=time.monotonic() - began)

    try:
        done = job.work(turn)
        with transaction(sessions) as session:
            job_runs.finish(session, run, done, by=by, now=clock(), took=took())
    except Stopped:
        with suppress(Exception), transaction(sessions) as session:
            job_runs.leave(session, run, by=by, now=clock(), took=took())
        return Ran(job.name, "stopped", seconds=took().total_seconds())
    except Exception as fault:  # noqa: BLE001 - one job's fault does not stop the others
        code = fault.code if isinstance(fault, StewardshipError) else "fault"
        log.error(
            "job failed",
            job=job.name,
            organisation=by.organisation_id,
            code=code,
            fault=type(fault).__qualname__,
            frames=frames_of(fault),
        )
        # When even that cannot be written, the run stays unfinished and is taken up again all the same.
        with suppress(Exception), transaction(sessions) as session:
            job_runs.fail(session, run, code, by=by, now=clock(), took=took())
        return Ran(job.name, "failed", seconds=took().total_seconds(), code=code)
    ran = Ran(job.name, "done", done.done, done.late, run.late_seconds, took().total_seconds())
    if ran.done or ran.late_seconds:
        log.info(
            "job done",
            job=job.name,
            organisation=by.organisation_id,
            done=ran.done,
            late=ran.late,
            late_seconds=ran.late_seconds,
            milliseconds=round(ran.seconds * 1000, 1),
        )
    return ran


def _together(job: Job, ran: list[Ran]) -> Ran:
    """What became of a job in all organisations; the worst outcome counts."""
    worst = ("failed", "stopped", "elsewhere", "done", "not-due")
    outcomes = [one.outcome for one in ran]
    return Ran(
        job.name,
        next((outcome for outcome in worst if outcome in outcomes), "done"),
        sum(one.done for one in ran),
        sum(one.late for one in ran),
        max((one.late_seconds for one in ran), default=0),
        sum(one.seconds for one in ran),
        next((one.code for one in ran if one.code), ""),
    )


def _engine(sessions: Sessions) -> Engine:
    engine = sessions.kw["bind"]
    assert isinstance(engine, Engine)  # noqa: S101 - ``connect`` binds one
    return engine
