"""Overrides that come too fast to have been thought about: from a number within minutes on, an incident.

Nobody is stopped: the patient before the prescriber may well need what is ordered. Somebody looks afterwards.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from stewardship.db import tables
from stewardship.domain.identity import OverrideTerms
from stewardship.domain.people import Principal
from stewardship.services import audit

ACTION = "incident.overrides-often"

_overrides: Any = tables.Override.__table__
_events: Any = tables.AuditEvent.__table__


def look(session: Session, *, terms: OverrideTerms, by: Principal, now: datetime) -> None:
    """Count what somebody has overridden lately, the last one included; too many are on record, once."""
    since = now - terms.within
    connection = session.connection()
    count = connection.execute(
        select(func.count()).where(
            _overrides.c.organisation_id == by.organisation_id,
            _overrides.c.by_user == by.user_id,
            _overrides.c.at > since,
            _overrides.c.at <= now,
        )
    ).scalar_one()
    if count < terms.incident:
        return
    # Reached once in a while: then the trail is asked, from its newest entry back.
    said = connection.execute(
        select(_events.c.seq)
        .where(
            _events.c.organisation_id == by.organisation_id,
            _events.c.action == ACTION,
            _events.c.subject == by.user_id,
            _events.c.at > since,
        )
        .order_by(_events.c.seq.desc())
        .limit(1)
    ).first()
    if said is None:
        detail = {"overrides": int(count), "within_minutes": int(terms.within.total_seconds()) // 60}
        audit.record(session, ACTION, subject=by.user_id, by=by, now=now, detail=detail)
