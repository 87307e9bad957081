"""The audit trail as people look for something in it: by what was done, to what, by whom, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.domain.people import Principal

#: The most entries that are told at once.
MOST_FOUND = 10_000

_events: Any = tables.AuditEvent.__table__


@dataclass(frozen=True, slots=True)
class Sought:
    """What to look for; what is empty does not narrow it. ``action`` is one, or what several begin with up
    to a dot (``finding``). ``since`` is included, ``until`` is not; ``before`` is an entry's number: what
    is older than it."""

    action: str = ""
    subject: str = ""
    user: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: ids, codes, counts and hashes, no names."""

    seq: int
    at: datetime
    action: str
    subject: str
    by_user: str
    by_role: str
    detail: Mapping[str, Any]


def found(session: Session, sought: Sought, *, by: Principal, limit: int) -> tuple[Entry, ...]:
    """The entries of the caller's organisation, the newest first."""
    c = _events.c
    where = [c.organisation_id == by.organisation_id]
    if sought.action:
        where.append(
            or_(c.action == sought.action, c.action.startswith(f"{sought.action}.", autoescape=True))
        )
    if sought.subject:
        where.append(c.subject == sought.subject)
    if sought.user:
        where.append(c.by_user == sought.user)
    if sought.since is not None:
        where.append(c.at >= sought.since)
    if sought.until is not None:
        where.append(c.at < sought.until)
    if sought.before is not None:
        where.append(c.seq < sought.before)
    asked = select(_events).where(*where).order_by(c.seq.desc()).limit(min(limit, MOST_FOUND))
    return tuple(
        Entry(
            row.seq, row.at, row.action, row.subject, row.by_user, row.by_role,
            documents.decode_shown(row.detail),
        )
        for row in session.connection().execute(asked)
    )  # fmt: skip
