"""The daily self-check: whether what everybody relies on is still as it should be.

Each check answers with how many things are wrong, in a code and a number. What is found is kept with the run
and told to whoever watches; a day without a self-check is itself found by the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine

from stewardship.db import migrate, transaction
from stewardship.declarations import places
from stewardship.declarations.policies import unlike_lock
from stewardship.domain.cadence import Cadence
from stewardship.scheduler.letters import SELF_CHECK
from stewardship.scheduler.running import Turn
from stewardship.services import audit, contacts, job_runs, outbox, pharmacies, reminders, verification
from stewardship.services.job_runs import Done
from stewardship.services.notes import found_in
from stewardship.witness import witness_of

#: How far back days without a self-check are looked for.
_LOOK_BACK = timedelta(days=7)


@dataclass(frozen=True)
class Check:
    """What one check found: ``wrong`` things, and a ``code`` for what they are."""

    name: str
    wrong: int
    code: str = ""


def run(turn: Turn, jobs: Sequence[tuple[str, Cadence]]) -> Done:
    """Make every check, keep what was found, and tell those who watch when something is wrong."""
    found = [_made(name, check, turn, jobs) for name, check in CHECKS.items()]
    failing = [check.name for check in found if check.wrong]
    told: dict[str, Any] = {"checks": [vars(check) for check in found], "failing": failing}
    now = turn.running.clock()
    with transaction(turn.running.sessions) as session:
        detail = {"day": turn.today, "wrong": {check.name: check.wrong for check in found if check.wrong}}
        audit.record(session, "self-check.done", subject=SELF_CHECK, by=turn.by, now=now, detail=detail)
        if failing:
            for recipient in contacts.told_of_escalations(session, by=turn.by):
                outbox.put(
                    session,
                    kind=SELF_CHECK,
                    recipient=recipient,
                    dedupe_key=f"{SELF_CHECK} {turn.today} {recipient}"[:200],
                    about={"day": turn.today, "failing": failing},
                    by=turn.by,
                    now=now,
                )
    return Done(len(found), 0, told)


def _made(name: str, check: _Check, turn: Turn, jobs: Sequence[tuple[str, Cadence]]) -> Check:
    try:
        wrong, code = check(turn, jobs)
    except Exception as fault:  # noqa: BLE001 - a check that cannot be made is a finding, and the others go on
        return Check(name, 1, f"could-not-check: {type(fault).__qualname__}")
    return Check(name, wrong, code)


def _audit(turn: Turn, _: object) -> tuple[int, str]:
    witness = witness_of(turn.running.settings)
    signed = []
    if witness is not None and witness.file.exists():
        signed = found_in(witness.file.read_text(encoding="utf-8", errors="replace"), witness.keys)
    with transaction(turn.running.sessions, write=False) as session:
        found = verification.verify(session, organisation_id=turn.by.organisation_id, checkpoints=signed)
    if found.fault is None:
        return 0, f"{found.entries} entries, {found.witnessed} witnessed"
    return 1, f"{found.fault.kind} at {found.fault.seq}"


def _policies(turn: Turn, _: object) -> tuple[int, str]:
    folder = turn.running.settings.policies_dir or places.POLICIES
    unlike = unlike_lock(folder)
    return len(unlike), ", ".join(unlike)


def _schema(turn: Turn, _: object) -> tuple[int, str]:
    engine = turn.running.sessions.kw["bind"]
    assert isinstance(engine, Engine)  # noqa: S101 - ``connect`` binds one
    found, needed = migrate.current(engine), migrate.newest()
    return int(found != needed), f"{found} of {needed}"


def _pharmacies(turn: Turn, _: object) -> tuple[int, str]:
    with transaction(turn.running.sessions, write=False) as session:
        rows = pharmacies.listed(session, by=turn.by, now=turn.running.clock())
    return sum(row["silent"] for row in rows), "silent"


def _jobs(turn: Turn, jobs: Sequence[tuple[str, Cadence]]) -> tuple[int, str]:
    with transaction(turn.running.sessions, write=False) as session:
        told = job_runs.health(session, jobs, zone=turn.zone, by=turn.by, now=turn.running.clock())
    # This run is one of them, and is not late while it runs.
    wrong = [
        row["job"]
        for row in told
        if row["job"] != turn.run.job
        and row["state"] != "never"
        and (row["overdue"] or row["state"] == "failed")
    ]
    return len(wrong), ", ".join(wrong)


def _mail(turn: Turn, _: object) -> tuple[int, str]:
    with transaction(turn.running.sessions, write=False) as session:
        counts = outbox.counts(session, by=turn.by)
    return counts["dead"], "given-up"


def _missed(turn: Turn, _: object) -> tuple[int, str]:
    with transaction(turn.running.sessions, write=False) as session:
        return reminders.untold(session, by=turn.by), "nobody-told"


def _clock(turn: Turn, _: object) -> tuple[int, str]:
    with transaction(turn.running.sessions, write=False) as session:
        seconds = job_runs.behind_record(session, by=turn.by, now=turn.running.clock())
    return int(seconds > 0), f"{seconds} s behind the record"


def _days(turn: Turn, jobs: Sequence[tuple[str, Cadence]]) -> tuple[int, str]:
    """Days without a self-check since the first one, of the last week."""
    slot, cadence = turn.run.slot, dict(jobs)[turn.run.job]
    with transaction(turn.running.sessions, write=False) as session:
        done = job_runs.days_done(session, turn.run.job, since=slot - _LOOK_BACK, by=turn.by)
        first = job_runs.first(session, turn.run.job, by=turn.by)
    had = {moment.astimezone(turn.zone).date() for moment in done}
    missing = []
    day = max(slot - _LOOK_BACK, first) if first else slot
    while (day := cadence.after(day, turn.zone)) < slot:
        if day.astimezone(turn.zone).date() not in had:
            missing.append(str(day.astimezone(turn.zone).date()))
    return len(missing), ", ".join(missing)


_Check = Callable[[Turn, Sequence[tuple[str, Cadence]]], tuple[int, str]]

CHECKS: dict[str, _Check] = {
    "audit-chain": _audit,
    "published-policies": _policies,
    "schema": _schema,
    "pharmacies": _pharmacies,
    "jobs": _jobs,
    "mail": _mail,
    "missed-reviews": _missed,
    "clock": _clock,
    "days-without-self-check": _days,
}
