"""Files into the database: what the terminal and the API do with a feed, portion by portion.

A file is read twice: once for what its content comes to, once for its items. The first tells whether the
content was imported before; the second goes on behind what is stored. Each portion is a transaction of its
own, so that orders are checked in between and a process that is killed has lost nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Engine

from stewardship.db import Sessions, claims, transaction
from stewardship.db.engine import begin_writing
from stewardship.db.tidying import Tidying
from stewardship.domain.dispensings import RowFault
from stewardship.domain.errors import StewardshipError, Unavailable
from stewardship.domain.feeds import Broken, Brought, FeedTerms, ImportStatus, Item, Refusal, Remark, Row
from stewardship.domain.people import Principal
from stewardship.intake.feeds import Feed
from stewardship.pacing import HOLD, HOLD_BESIDE, Pace
from stewardship.services import imports
from stewardship.services.imports import Report
from stewardship.services.rehearsal import Rehearsal, Repeated

#: Items of one transaction at the most: what is got ready beforehand is held in memory.
PORTION = 1000

#: How long an upload rests, by how long it worked: it shares its process with order checks, and one thread
#: of a process computes at a time.
_REST = 1.0

#: How often, and how long in seconds, to wait until an import that somebody else begins can be named.
_LOOKS, _PAUSE = 50, 0.1

#: Told before the first portion and after each how many items are stored.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file. ``same_as`` is the import that its content had before, if it had one."""

    report: Report
    same_as: str | None = None


def take_in(
    sessions: Sessions,
    terms: FeedTerms,
    feed: Feed,
    *,
    by: Principal,
    clock: Callable[[], datetime],
    progress: Progress = lambda _: None,
    portion: int = PORTION,
) -> Imported:
    """Import a file, or what is left of it; nothing when its content is imported or being imported now."""
    digest = feed.digest()
    with claims.claim(_engine(sessions), imports.claim_of(by.organisation_id, digest)) as mine:
        if not mine:
            return _at_work(sessions, digest, by=by)
        with transaction(sessions) as session:
            begun = imports.begin(
                session, digest=digest, kind=feed.format, source=feed.name, by=by, now=clock()
            )
        if not begun.ended:
            go_on(sessions, terms, feed, begun, by=by, clock=clock, progress=progress, portion=portion)
        with transaction(sessions, write=False) as session:
            report = imports.read(session, begun.id, by=by)
    return _again(report) if begun.ended else Imported(report)


def go_on(
    sessions: Sessions,
    terms: FeedTerms,
    feed: Feed,
    begun: imports.Begun,
    *,
    by: Principal,
    clock: Callable[[], datetime],
    progress: Progress = lambda _: None,
    portion: int = PORTION,
    rest: float = 0.0,
) -> None:
    """Store what is left of an import. The caller holds its claim. When something is in the way, the import
    is marked as interrupted, if that can still be said. After each portion it rests, for ``rest`` times as
    long as the portion took."""
    position = begun.position
    try:
        items = feed.items()
        for _ in islice(items, position):
            pass
        progress(position)
        alone = _engine(sessions).dialect.name == "sqlite"
        pace = Pace(portion, hold=HOLD if alone else HOLD_BESIDE)
        tidying, began = Tidying(_engine(sessions)), time.perf_counter()
        while some := list(islice(items, pace.items)):
            ready = imports.ready(some, terms)
            with transaction(sessions, late=True) as session:
                now = clock()
                looked = imports.look(session, begun.id, ready, at=position, terms=terms, by=by, now=now)
                begin_writing(session)
                since = time.perf_counter()
                position = imports.take(
                    session, begun.id, ready, looked, at=position, terms=terms, by=by, now=now
                )
            pace.took(time.perf_counter() - since, len(some))
            tidying.wrote(len(some))
            progress(position)
            if rest:
                time.sleep(rest * (time.perf_counter() - began))
                began = time.perf_counter()
        with transaction(sessions) as session:
            imports.end(session, begun.id, by=by, now=clock())
    except BaseException:
        with suppress(StewardshipError), transaction(sessions) as session:
            imports.interrupt(session, begun.id, by=by, now=clock())
        raise


class Upload:
    """A file that was announced before anybody knew its content: taken in beside the request that brought it.

    The claim on the announcement is held from before the answer until the end, so that whoever asks meanwhile
    is told the truth, also when the process is killed.
    """

    def __init__(
        self,
        sessions: Sessions,
        terms: FeedTerms,
        feed: Feed,
        announced: imports.Announced,
        *,
        by: Principal,
        clock: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._terms = terms
        self._feed = feed
        self._announced = announced
        self._by = by
        self._clock = clock
        self._held = ExitStack()

    def claim(self) -> None:
        """Say that it is being worked on."""
        name = imports.claim_of(self._by.organisation_id, self._announced.digest)
        self._held.enter_context(claims.claim(_engine(self._sessions), name))

    def run(self, *, portion: int = PORTION) -> None:
        """Do the work."""
        with self._held:
            try:
                self._run(portion)
            except BaseException:
                with suppress(StewardshipError), transaction(self._sessions) as session:
                    imports.interrupt(session, self._announced.id, by=self._by, now=self._clock())
                raise

    def _run(self, portion: int) -> None:
        by, clock, sessions = self._by, self._clock, self._sessions
        digest = self._feed.digest()
        with claims.claim(_engine(sessions), imports.claim_of(by.organisation_id, digest)) as mine:
            if not mine:
                _known_as(sessions, digest, by=by)
            with transaction(sessions) as session:
                known = imports.identify(session, self._announced, digest, by=by, now=clock())
                begun = (
                    imports.resume(session, known or self._announced.id, by=by, now=clock()) if mine else None
                )
            if begun is not None and not begun.ended:
                go_on(
                    sessions, self._terms, self._feed, begun, by=by, clock=clock, portion=portion, rest=_REST
                )


def _at_work(sessions: Sessions, digest: str, *, by: Principal) -> Imported:
    """What somebody else is importing now."""
    import_id = _known_as(sessions, digest, by=by)
    with transaction(sessions, write=False) as session:
        return Imported(imports.read(session, import_id, by=by), same_as=import_id)


def _known_as(sessions: Sessions, digest: str, *, by: Principal) -> str:
    """The import of a content that somebody else has claimed; the first moments of it are waited for."""
    for _ in range(_LOOKS):
        with transaction(sessions, write=False) as session:
            import_id = imports.known_as(session, digest, by=by)
        if import_id is not None:
            return import_id
        time.sleep(_PAUSE)
    raise Unavailable("the same content is just being looked at by somebody else; try again")


def _again(report: Report) -> Imported:
    """The same content once more: it stored nothing."""
    known = report.stored + report.unchanged
    return Imported(replace(report, stored=0, unchanged=known), same_as=report.id)


def _engine(sessions: Sessions) -> Engine:
    engine: Engine = sessions.kw["bind"]
    return engine


# --- trying a file out ---------------------------------------------------------------------------


def rehearse(
    feed: Feed, terms: FeedTerms, *, now: datetime, show: Callable[[Item], None] = lambda _: None
) -> Imported:
    """What a file comes to by itself; nothing is stored, and what is on record is not asked. A row that says
    what another one of the file said before counts as unchanged; every record of a system of records counts
    as stored. ``show`` is given each item."""
    repeated = Repeated()
    for item in feed.items():
        if isinstance(item, Row):
            repeated.note(item.dispensed)
    trial = Rehearsal(repeated, terms)
    stored = unchanged = rejected = 0
    reason = ""
    faults: list[RowFault] = []
    remarks: list[RowFault] = []
    for item in feed.items():
        show(item)
        if isinstance(item, Row):
            changes = trial.changes(item)
            stored += changes
            unchanged += not changes
        elif isinstance(item, Brought):
            stored += 1
        elif isinstance(item, Refusal):
            rejected += 1
            faults += item.faults[: imports.MOST_LISTED - len(faults)]
        elif isinstance(item, Remark) and len(remarks) < imports.MOST_LISTED:
            remarks.append(item.fault)
        elif isinstance(item, Broken):
            reason = reason or item.reason
    rows = stored + unchanged + rejected
    report = Report(
        id="",
        status=imports.ended_as(reason, rows),
        reason=reason,
        format=feed.format,
        source=feed.name,
        rows=rows,
        stored=stored,
        unchanged=unchanged,
        rejected=rejected,
        position=0,
        started_at=now,
        ended_at=now,
        faults=tuple(faults),
        remarks=tuple(remarks),
    )
    return Imported(report)


# --- telling -------------------------------------------------------------------------------------

#: What the terminal says of a finished import by its exit code.
COMPLETE, WITH_REJECTIONS, UNREADABLE, INCOMPLETE, AT_WORK = 0, 1, 2, 4, 5


def exit_code(done: Imported) -> int:
    """0: all rows are stored; 1: some were rejected; 2: nothing could be read; 4: the file is not whole;
    5: it is being imported by somebody else, or was interrupted."""
    status = done.report.status
    if status is ImportStatus.COMPLETE:
        return WITH_REJECTIONS if done.report.rejected else COMPLETE
    return {ImportStatus.FAILED: UNREADABLE, ImportStatus.INCOMPLETE: INCOMPLETE}.get(status, AT_WORK)


def report_json(done: Imported) -> dict[str, Any]:
    """A report as every face shows it."""
    report = done.report
    return {
        "import": report.id or None,
        "same_as": done.same_as,
        "status": report.status.value,
        "reason": report.reason or None,
        "format": report.format.value,
        "source": report.source,
        "rows": report.rows,
        "stored": report.stored,
        "unchanged": report.unchanged,
        "rejected_rows": report.rejected,
        "rejected": [fault_json(fault) for fault in report.faults],
        "remarks": [fault_json(fault) for fault in report.remarks],
        "pending": [
            {
                "dispensing": one["dispensing_id"],
                "reporting": one["reporting"],
                "line": one["line"],
                "since": one["received_at"].isoformat(),
            }
            for one in report.pending
        ],
        "started_at": report.started_at.isoformat(),
        "ended_at": report.ended_at.isoformat() if report.ended_at else None,
    }


def fault_json(fault: RowFault) -> dict[str, Any]:
    """One thing that is wrong: where, and a code; never what was written there."""
    return {"line": fault.line, "segment": fault.segment, "element": fault.element, "code": fault.code}
