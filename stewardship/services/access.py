"""What somebody was refused: counted by the hour, on record up to a bound, and from a number on an incident.

Whoever tries many ids finds nothing, but must not do so unseen; and must not be able to fill the record.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from stewardship.db import identity_tables
from stewardship.db.patients import insert_once
from stewardship.domain.people import Principal
from stewardship.services import audit

_refusals: Any = identity_tables.Refusal.__table__


def refused(
    session: Session, reason: str, *, route: str, incident: int, by: Principal, now: datetime
) -> None:
    """Note that somebody known was refused: ``reason`` is a code, ``route`` the pattern of the address.

    The first ``incident`` refusals of an hour are on record; the last of them also as an incident.
    """
    count = _count(session, by, now.replace(minute=0, second=0, microsecond=0))
    if count > incident:
        return
    detail = {"reason": reason, "route": route}
    audit.record(session, "access.refused", subject=by.user_id, by=by, now=now, detail=detail)
    if count == incident:
        audit.record(
            session,
            "incident.access-refused-often",
            subject=by.user_id,
            by=by,
            now=now,
            detail={"within_an_hour": count},
        )


def _count(session: Session, by: Principal, hour: datetime) -> int:
    row = {"organisation_id": by.organisation_id, "user_id": by.user_id, "hour": hour, "count": 1}
    if insert_once(session, _refusals, row):
        return 1
    mine = (
        _refusals.c.organisation_id == by.organisation_id,
        _refusals.c.user_id == by.user_id,
        _refusals.c.hour == hour,
    )
    connection = session.connection()
    connection.execute(update(_refusals).where(*mine).values(count=_refusals.c.count + 1))
    return int(connection.execute(select(_refusals.c.count).where(*mine)).scalar_one())
