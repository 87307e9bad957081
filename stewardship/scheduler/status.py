"""How the jobs are doing, as the terminal and the API tell it: ids, counts and codes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from stewardship.db import claims, transaction
from stewardship.runtime import Runtime
from stewardship.scheduler import CADENCES
from stewardship.scheduler.running import LEADER
from stewardship.services import calendars, job_runs, organisations, outbox
from stewardship.services.job_runs import scheduler


def statuses(running: Runtime) -> list[dict[str, Any]]:
    """Of every organisation, for whoever runs the service."""
    leader = has_leader(running)
    with transaction(running.sessions, write=False) as session:
        return [
            status(session, running, one, leader=leader, now=running.clock())
            for one in organisations.listed(session)
        ]


def has_leader(running: Runtime) -> bool:
    """Whether a scheduler is at work on this database now."""
    engine = running.sessions.kw["bind"]
    assert isinstance(engine, Engine)  # noqa: S101 - ``connect`` binds one
    return claims.is_held(engine, LEADER)


def status(
    session: Session, running: Runtime, organisation: str, *, leader: bool, now: datetime
) -> dict[str, Any]:
    """Of one organisation: when each job was last done, what it did, what is late; mail that waits."""
    by = scheduler(organisation)
    zone = calendars.zone(calendars.of(session, running.library, organisation))
    return {
        "organisation": organisation,
        "leader": leader,
        "jobs": job_runs.health(session, CADENCES, zone=zone, by=by, now=now),
        "mail": outbox.counts(session, by=by) | {"given_up": outbox.dead(session, by=by)},
    }
