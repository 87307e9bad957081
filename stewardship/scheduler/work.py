"""What the jobs do: each asks the database what is due, in portions that are a transaction each.

A portion does nothing the second time. So a job that is killed anywhere has done what it committed, and the
next run does the rest.
"""

from __future__ import annotations

from datetime import timedelta

from stewardship.db import claims, transaction
from stewardship.domain.errors import Unavailable
from stewardship.mail import Connection, Mailer, NotSent
from stewardship.scheduler.letters import letter
from stewardship.scheduler.running import Stopped, Turn, portions
from stewardship.services import (
    benefit_flags,
    clock_passes,
    outbox,
    reassessments,
    reminders,
    taper_flags,
    watch,
)
from stewardship.services.job_runs import Done
from stewardship.witness import witness_of

#: Items of one transaction: few enough that an order that is checked meanwhile hardly waits.
PORTION = 100
#: Messages of one run; what is left goes with the next, a minute later.
LETTERS = 500

#: Failures that say nothing about the message: the next one would fare alike.
_OF_SERVER = frozenset({"connection", "tls", "authentication"})


def ask_clock(turn: Turn) -> Done:
    """Ask the clock about patients of whom something new is on record, or for whom its day has come."""
    position: str | None = ""
    asked = changed = 0
    while position is not None:
        with transaction(turn.running.sessions, late=True) as session:
            passed = clock_passes.ask_portion(
                session,
                turn.library,
                turn.by.organisation_id,
                today=turn.today,
                now=turn.running.clock(),
                by=turn.by,
                after=position,
                limit=PORTION,
            )
        asked, changed, position = asked + passed.asked, changed + passed.changed, passed.position
        if position is not None and turn.stopping():
            raise Stopped
    return Done(changed, changed if turn.run.is_late else 0, {"asked": asked})


def open_due(turn: Turn) -> Done:
    """Open reviews whose time has come, and mark those whose day is over as missed."""
    late = 0

    def some() -> int:
        nonlocal late
        now = turn.running.clock()
        with transaction(turn.running.sessions) as session:
            moved = reassessments.open_due(
                session,
                turn.library,
                turn.by.organisation_id,
                today=turn.today,
                now=now,
                by=turn.by,
                limit=PORTION,
            )
            if moved:
                late += reminders.moved_late(
                    session,
                    turn.library.clock,
                    moved_at=now,
                    zone=turn.zone,
                    is_late=turn.run.is_late_for,
                    by=turn.by,
                )
        return moved

    return Done(portions(turn, some, of=PORTION), late)


def escalate(turn: Turn) -> Done:
    """Note reviews that were missed, and tell those who watch over that."""
    told = 0

    def some() -> int:
        nonlocal told
        now = turn.running.clock()
        with transaction(turn.running.sessions) as session:
            noted = reminders.escalate(session, today=turn.today, by=turn.by, now=now, limit=PORTION)
        return len(noted)

    noted = portions(turn, some, of=PORTION)
    with transaction(turn.running.sessions) as session:
        told = reminders.tell_missed(session, today=turn.today, by=turn.by, now=turn.running.clock())
        waiting = reminders.untold(session, by=turn.by)
    late = noted if turn.run.is_late else 0
    return Done(noted, late, {"told": told, "nobody_told": waiting})


def remind(turn: Turn) -> Done:
    """Write today's digest for each clinician who has something on the worklist."""
    with transaction(turn.running.sessions, write=False) as session:
        left = reminders.digests(session, by=turn.by, today=turn.today)
        nobody = reminders.unreachable(session, left, by=turn.by)
    written = 0
    while left:
        some, left = left[:PORTION], left[PORTION:]
        with transaction(turn.running.sessions) as session:
            written += reminders.remind(session, some, by=turn.by, now=turn.running.clock())
        if left and turn.stopping():
            raise Stopped
    return Done(written, written if turn.run.is_late else 0, {"without_address": len(nobody)})


def nightly_watch(turn: Turn) -> Done:
    """Look at every patient for whom a look is due, and flag what is seen."""
    sessions, library, by, clock = turn.running.sessions, turn.library, turn.by, turn.running.clock
    engine = sessions.kw["bind"]
    with claims.claim(engine, watch.claim_of(by.organisation_id)) as mine:
        if not mine:
            raise Unavailable("somebody else is at the watch of this organisation", code="watched-elsewhere")
        while True:
            with transaction(sessions, late=True) as session:
                progress = watch.step(session, library, by=by, now=clock())
            if progress.done:
                break
            if turn.stopping():
                raise Stopped
    found = {name: getattr(progress, name) for name in ("patients", "opened", "closed", "failed")}
    return Done(progress.looked, progress.looked if turn.run.is_late else 0, found)


def watch_tapers(turn: Turn) -> Done:
    """Look at tapers: when the next step is, and whether what is dispensed falls faster."""
    position: str | None = ""
    looked = changed = 0
    while position is not None:
        with transaction(turn.running.sessions) as session:
            passed = taper_flags.look(
                session, turn.library, by=turn.by, now=turn.running.clock(), after=position, limit=PORTION
            )
        looked, changed, position = looked + passed.patients, changed + passed.changed, passed.position
        if position is not None and turn.stopping():
            raise Stopped
    return Done(changed, changed if turn.run.is_late else 0, {"looked": looked})


def watch_alternatives(turn: Turn) -> Done:
    """Ask whose opioid therapy goes on while suitable alternatives are untried."""
    position: str | None = ""
    asked = changed = 0
    with transaction(turn.running.sessions, write=False) as session:
        terms = benefit_flags.terms_of(session, turn.library, by=turn.by)
    while position is not None:
        with transaction(turn.running.sessions) as session:
            passed = benefit_flags.look(
                session,
                turn.library,
                terms=terms,
                by=turn.by,
                now=turn.running.clock(),
                after=position,
                limit=PORTION,
            )
        asked, changed, position = asked + passed.asked, changed + passed.changed, passed.position
        if position is not None and turn.stopping():
            raise Stopped
    return Done(changed, changed if turn.run.is_late else 0, {"asked": asked})


def checkpoint(turn: Turn) -> Done:
    """Sign how far the audit trail has come, where a file for that is named."""
    witness = witness_of(turn.running.settings)
    if witness is None:
        return Done(0, 0, {"witness": False})
    reached = witness.checkpoint(turn.running.sessions, turn.by.organisation_id)
    return Done(1, 0, {"witness": True, "entries": 0 if reached is None else reached.size})


def send(turn: Turn) -> Done:
    """Send what waits in the outbox. Without a server it waits."""
    mailer = Mailer.of(turn.running.settings)
    with transaction(turn.running.sessions, write=False) as session:
        waiting = outbox.waiting(session, by=turn.by, now=turn.running.clock(), limit=LETTERS)
    if mailer is None:
        return Done(0, 0, {"server": False, "waiting": len(waiting)})
    sent = late = failed = 0
    with mailer.connected() as connection:
        for message_id in waiting:
            outcome = _send(turn, connection, message_id)
            if outcome is None:
                continue
            sent += outcome.ok
            late += outcome.ok and outcome.late
            failed += not outcome.ok
            if outcome.of_server:
                break
            if turn.stopping():
                raise Stopped
    return Done(sent, late, {"server": True, "failed": failed})


class _Outcome:
    def __init__(self, *, ok: bool, late: bool = False, of_server: bool = False) -> None:
        self.ok, self.late, self.of_server = ok, late, of_server


def _send(turn: Turn, connection: Connection, message_id: str) -> _Outcome | None:
    sessions, clock, by = turn.running.sessions, turn.running.clock, turn.by
    with transaction(sessions) as session:
        message = outbox.take(session, message_id, by=by)
    if message is None:
        return None
    try:
        if not message.to:
            raise NotSent("no-address")
        connection.send(letter(message, public_url=turn.running.settings.public_url))
    except NotSent as why:
        of_server = why.code in _OF_SERVER
        with transaction(sessions) as session:
            outbox.failed(
                session,
                message,
                why.code,
                permanent=why.permanent,
                of_server=of_server,
                by=by,
                now=clock(),
            )
        return _Outcome(ok=False, of_server=of_server)
    with transaction(sessions) as session:
        outbox.sent(session, message, by=by, now=clock())
    first = message.attempts == 1
    # A message that is tried again is not late by ours.
    late = first and turn.run.is_late_for(message.created_at + timedelta(microseconds=1))
    return _Outcome(ok=True, late=late)
