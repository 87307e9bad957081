"""What happened since somebody looked: every change has its entry in the trail, so the trail can tell.

Whoever prepares a long piece of writing beside others looks first, and asks here, once nobody else can write,
whether what was seen still stands.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from stewardship.db import tables
from stewardship.db.prepared import Prepared

_events: Any = tables.AuditEvent.__table__
_MINE = _events.c.organisation_id == bindparam("organisation")
_LAST = Prepared(select(func.coalesce(func.max(_events.c.seq), 0).label("seq")).where(_MINE))
_ACTIONS = Prepared(select(_events.c.action).distinct().where(_MINE, _events.c.seq > bindparam("seen")))


def last_entry(session: Session, *, organisation_id: str) -> int:
    """The number of the last entry of the organisation's trail; 0 while there is none."""
    found = _LAST.first(session, {"organisation": organisation_id})
    return 0 if found is None else int(found.seq)


def happened(session: Session, seen: int, *, organisation_id: str) -> AbstractSet[str]:
    """What was done in the organisation behind that entry, as the actions of its trail."""
    return {row.action for row in _ACTIONS.rows(session, {"organisation": organisation_id, "seen": seen})}
