"""The nightly watch over a whole population: the first night, a night without news, the day after.

The patients' dispensings are taken in as pharmacies report them, so that what is timed is the watch of a
running service: reading, judging, writing flags with their audit, in the portions that the scheduler uses.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from stewardship import importing
from stewardship.db import AuditKeys, Sessions, connect, migrate, transaction
from stewardship.declarations import Library, load
from stewardship.domain.people import Principal, Role
from stewardship.intake.feeds import AsapFeed
from stewardship.services import organisations, watch
from tests.population.asap_file import pieces
from tests.population.generator import LAST, population

Say = Callable[[str], None]
_BY = Principal("benchmark", "org-1", Role.ADMIN)
_ROWS_A_PATIENT = 10


def benchmark(database: str, *, patients: int, say: Say) -> None:
    """Take the population in, and watch over it three times."""
    library = load()
    sessions = connect(database, audit_keys=AuditKeys.single(b"only for the benchmark, of 32+ bytes"))
    migrate.upgrade(sessions.kw["bind"])
    rows = _taken_in(sessions, library, patients)
    say(f"{database.partition(':')[0]}: {patients:,} patients, {rows:,} dispensings")
    night = datetime.combine(LAST + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=2)
    for name, now in (
        ("first night", night),
        ("nothing new", night + timedelta(hours=1)),
        ("a day later", night + timedelta(days=1)),
    ):
        _night(sessions, library, name, now, rows, say)
    sessions.kw["bind"].dispose()


def _taken_in(sessions: Sessions, library: Library, patients: int) -> int:
    now = datetime.combine(LAST, datetime.min.time(), UTC) + timedelta(hours=12)
    with transaction(sessions) as session:
        organisations.ensure(session, _BY.organisation_id, name="Benchmark", by=_BY, now=now)
    made = population(library.flags, patients=patients, rows=patients * _ROWS_A_PATIENT)
    content = b"".join(pieces(made.columns))
    feed = AsapFeed(
        lambda: io.BytesIO(content), "population", date.fromordinal(LAST.toordinal() + 1), state=""
    )
    done = importing.take_in(sessions, library.feeds, feed, by=_BY, clock=lambda: now)
    return done.report.stored


def _night(sessions: Sessions, library: Library, name: str, now: datetime, rows: int, say: Say) -> None:
    wall, work, longest, done = time.perf_counter(), time.process_time(), 0.0, False
    while not done:
        began = time.perf_counter()
        with transaction(sessions, late=True) as session:
            progress = watch.step(session, library, by=_BY, now=now)
        longest = max(longest, time.perf_counter() - began)
        done = progress.done
    wall, work = time.perf_counter() - wall, time.process_time() - work
    assert not progress.failed, "somebody could not be looked at"
    say(
        f"  {name}: {progress.looked:,} looked at, {progress.opened:,} flags opened, in {wall:.1f} s "
        f"({work:.1f} s of processor): {rows / wall:,.0f} rows a second; longest portion {longest:.2f} s"
    )
