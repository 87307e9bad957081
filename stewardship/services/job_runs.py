"""What the scheduler did and what it has to do now: a row for each moment that a job was looked after.

Whether a moment has been looked after is asked of the rows alone, never of a process's memory. A run whose
process ended before it did is taken up again; so is one that failed, after a while. The caller holds the
claim on the job, so an unfinished run that is found is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from stewardship.db import documents, job_tables
from stewardship.db.job_tables import Outcome
from stewardship.db.patients import insert_once
from stewardship.domain.cadence import Cadence, Every
from stewardship.domain.people import Principal, Role
from stewardship.services import audit

#: How long after a failure the same moment is tried again, and how many times in all.
RETRY_AFTER = timedelta(minutes=10)
MOST_ATTEMPTS = 20

#: A clock that is this far behind what is on record was set back.
SET_BACK = timedelta(seconds=5)

_runs: Any = job_tables.JobRun.__table__


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was begun. ``since`` is the first moment that nobody had looked after (the slot itself when
    none was missed, ``None`` at the first run of all), ``looked`` the last moment before the slot at which
    the job ought to have been done."""

    job: str
    slot: datetime
    attempts: int
    started_at: datetime
    since: datetime | None
    looked: datetime
    grace: timedelta

    @property
    def is_late(self) -> bool:
        """Whether a moment was missed, or this one was begun too long after it."""
        if self.since is None:
            return False
        return self.since < self.slot or self.started_at - self.slot > self.grace

    @property
    def late_seconds(self) -> int:
        """How long after the first moment that was missed it began; 0 when it is in time."""
        if self.since is None or not self.is_late:
            return 0
        return max(0, int((self.started_at - self.since).total_seconds()))

    def is_late_for(self, due_at: datetime) -> bool:
        """Whether something that was due then ought to have been done at an earlier moment than this."""
        return due_at <= self.looked


@dataclass(frozen=True, slots=True)
class Done:
    """What a run did: items, how many of them late, and what it found in ids, codes and counts."""

    done: int = 0
    late: int = 0
    found: Mapping[str, Any] = field(default_factory=dict)


def scheduler(organisation_id: str) -> Principal:
    """The scheduler, as it acts for an organisation."""
    return Principal("scheduler", organisation_id, Role.ADMIN)


def begin(
    session: Session,
    job: str,
    cadence: Cadence,
    *,
    zone: tzinfo,
    by: Principal,
    now: datetime,
    at_once: bool = False,
) -> Run | None:
    """Begin the run that is due, or ``None`` when its moment has been looked after.

    ``at_once`` begins one in any case: whoever asks for it does not wait for a moment to come.
    """
    _give_up(session, job, by=by, now=now)
    slot = cadence.latest(now, zone)
    held = _row(session, job, slot, by=by)
    if held is not None and not _may_try(held, now):
        ahead = _newest(session, job, by=by)
        # Moments that were looked after while the clock was ahead are no reason to look away until it is
        # there again. Once a day stays once a day.
        again = isinstance(cadence, Every) and ahead is not None and ahead > now
        if not (at_once or again):
            return None
        slot, held = _free(session, job, now, by=by), None
    run = _run(session, job, cadence, slot, held, zone=zone, by=by, now=now)
    if held is None:
        row = {"organisation_id": by.organisation_id, "job": job, "slot": slot, **_fresh(run)}
        return run if insert_once(session, _runs, row) else None
    taken = session.connection().execute(
        update(_runs).where(*_key(by, job, slot), _runs.c.attempts == held.attempts).values(**_fresh(run))
    )
    return run if taken.rowcount == 1 else None


def finish(session: Session, run: Run, done: Done, *, by: Principal, now: datetime, took: timedelta) -> None:
    """The run is over, and this is what it did. ``took`` is by a clock that nobody sets."""
    _close(
        session,
        run,
        {
            "outcome": Outcome.DONE.value,
            "done": done.done,
            "late": done.late,
            "document": documents.encode_shown(dict(done.found)),
        },
        by=by,
        now=now,
        took=took,
    )


def fail(session: Session, run: Run, code: str, *, by: Principal, now: datetime, took: timedelta) -> None:
    """The run could not be done. What it did before is done; the rest is tried again."""
    _close(session, run, {"outcome": Outcome.FAILED.value, "code": code}, by=by, now=now, took=took)


def leave(session: Session, run: Run, *, by: Principal, now: datetime, took: timedelta) -> None:
    """The process is to end before the run is over: whoever comes next goes on with it."""
    _close(session, run, {"outcome": Outcome.INTERRUPTED.value}, by=by, now=now, took=took)


def note_clock(session: Session, *, by: Principal, now: datetime, seconds: int, what: str) -> None:
    """Write down that the clock was set while somebody watched it (``jumped``), or that it is behind what
    is on record (``behind``)."""
    audit.record(session, f"clock.{what}", subject="clock", by=by, now=now, detail={"seconds": seconds})


def behind_record(session: Session, *, by: Principal, now: datetime) -> int:
    """By how many seconds the clock is behind the newest run on record; 0 when it is not."""
    asked = select(func.max(_runs.c.started_at)).where(_runs.c.organisation_id == by.organisation_id)
    newest = session.connection().execute(asked).scalar()
    return int((newest - now).total_seconds()) if newest and newest - now > SET_BACK else 0


# --- what was done ---------------------------------------------------------------------------------


def health(
    session: Session, jobs: Iterable[tuple[str, Cadence]], *, zone: tzinfo, by: Principal, now: datetime
) -> list[dict[str, Any]]:
    """For each job: when it was last looked after, how long that took, what it did, and whether it is late.

    A job is ``overdue`` when its moment has passed by more than its grace and nobody looked after it.
    """
    return [_health(session, job, cadence, zone=zone, by=by, now=now) for job, cadence in jobs]


def last_found(session: Session, job: str, *, by: Principal) -> tuple[datetime, Any] | None:
    """The moment of a job's last run that was done, and what it found."""
    row = _last(session, job, Outcome.DONE, by=by)
    return None if row is None else (row.slot, documents.decode_shown(row.document))


def days_done(session: Session, job: str, *, since: datetime, by: Principal) -> list[datetime]:
    """The moments since then at which a job was done, in their order."""
    asked = (
        select(_runs.c.slot)
        .where(*_key(by, job), _runs.c.slot >= since, _runs.c.outcome == Outcome.DONE.value)
        .order_by(_runs.c.slot)
    )
    return list(session.connection().execute(asked).scalars())


def first(session: Session, job: str, *, by: Principal) -> datetime | None:
    """The first moment at which a job was looked after."""
    moment: datetime | None = (
        session.connection().execute(select(func.min(_runs.c.slot)).where(*_key(by, job))).scalar()
    )
    return moment


def _health(
    session: Session, job: str, cadence: Cadence, *, zone: tzinfo, by: Principal, now: datetime
) -> dict[str, Any]:
    last = _last(session, job, None, by=by)
    done = _last(session, job, Outcome.DONE, by=by)
    slot = cadence.latest(now, zone)
    looked_after = done is not None and done.slot >= slot
    waiting = cadence.latest(now - cadence.grace, zone)
    overdue = not looked_after and (done is None or done.slot < waiting)
    told: dict[str, Any] = {
        "job": job,
        "state": "never" if last is None else last.outcome,
        "overdue": overdue,
        "next_at": _json(cadence.after(now, zone) if looked_after else slot),
        "last": None,
        "last_done_at": _json(done.finished_at) if done is not None else None,
    }
    if last is not None:
        told["last"] = {
            "due_at": _json(last.slot),
            "started_at": _json(last.started_at),
            "finished_at": _json(last.finished_at),
            "seconds": last.milliseconds / 1000,
            "done": last.done,
            "late": last.late,
            "late_seconds": last.late_seconds,
            "attempts": last.attempts,
            "code": last.code or None,
            "found": documents.decode_shown(last.document),
        }
    return told


def _json(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")


def _last(session: Session, job: str, outcome: Outcome | None, *, by: Principal) -> Row[Any] | None:
    asked = select(_runs).where(*_key(by, job))
    if outcome is not None:
        asked = asked.where(_runs.c.outcome == outcome.value)
    return session.connection().execute(asked.order_by(_runs.c.slot.desc()).limit(1)).first()


# --- beginning and ending --------------------------------------------------------------------------


def _give_up(session: Session, job: str, *, by: Principal, now: datetime) -> None:
    """Mark what was begun and never ended: its process is gone, for the caller holds the claim."""
    session.connection().execute(
        update(_runs)
        .where(*_key(by, job), _runs.c.outcome == Outcome.RUNNING.value)
        .values(outcome=Outcome.INTERRUPTED.value, finished_at=now)
    )


def _may_try(held: Row[Any], now: datetime) -> bool:
    if held.outcome == Outcome.INTERRUPTED.value:
        return True
    if held.outcome != Outcome.FAILED.value or held.attempts >= MOST_ATTEMPTS:
        return False
    # A failure that lies ahead was written by a clock that has been set back since.
    return not held.finished_at <= now < held.finished_at + RETRY_AFTER


def _run(
    session: Session,
    job: str,
    cadence: Cadence,
    slot: datetime,
    held: Row[Any] | None,
    *,
    zone: tzinfo,
    by: Principal,
    now: datetime,
) -> Run:
    before = session.connection().execute(
        select(
            func.max(_runs.c.slot).filter(_runs.c.outcome == Outcome.DONE.value), func.min(_runs.c.slot)
        ).where(*_key(by, job), _runs.c.slot < slot)
    )
    done, first = before.one()
    # Never done before: what was begun first is what has been waiting longest.
    since = cadence.after(done, zone) if done is not None else first
    if since is None and held is not None:
        since = slot
    return Run(
        job=job,
        slot=slot,
        attempts=1 if held is None else held.attempts + 1,
        started_at=now,
        since=None if since is None else min(since, slot),
        looked=cadence.latest(slot - timedelta(microseconds=1), zone),
        grace=cadence.grace,
    )


def _fresh(run: Run) -> dict[str, Any]:
    return {
        "outcome": Outcome.RUNNING.value,
        "attempts": run.attempts,
        "started_at": run.started_at,
        "finished_at": None,
        "done": 0,
        "late": 0,
        "late_seconds": run.late_seconds,
        "milliseconds": 0,
        "code": "",
        "document": "{}",
    }


def _close(
    session: Session,
    run: Run,
    values: Mapping[str, Any],
    *,
    by: Principal,
    now: datetime,
    took: timedelta,
) -> None:
    session.connection().execute(
        update(_runs)
        .where(*_key(by, run.job, run.slot), _runs.c.attempts == run.attempts)
        .values(**values, finished_at=now, milliseconds=int(took / timedelta(milliseconds=1)))
    )


def _row(session: Session, job: str, slot: datetime, *, by: Principal) -> Row[Any] | None:
    return session.connection().execute(select(_runs).where(*_key(by, job, slot))).first()


def _free(session: Session, job: str, moment: datetime, *, by: Principal) -> datetime:
    """The moment, or the first after it that has no run: two may be asked for in one instant."""
    while _row(session, job, moment, by=by) is not None:
        moment += timedelta(microseconds=1)
    return moment


def _newest(session: Session, job: str, *, by: Principal) -> datetime | None:
    newest: datetime | None = (
        session.connection().execute(select(func.max(_runs.c.slot)).where(*_key(by, job))).scalar()
    )
    return newest


def _key(by: Principal, job: str, slot: datetime | None = None) -> list[Any]:
    key = [_runs.c.organisation_id == by.organisation_id, _runs.c.job == job]
    return key if slot is None else [*key, _runs.c.slot == slot]
