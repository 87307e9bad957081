"""What the audit trail says of removals, for verification: which records went with which entry, and that the
list of them is what was written.

A record that is gone is as it should be when an entry of the trail names the portion that it went with, and
its digest is the one that the entry about the record itself holds. Entries that claim a portion are read
first; that they are genuine is found when the walk along the chain comes to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from stewardship.db import documents, retention_tables, tables
from stewardship.db.retention_tables import Erased
from stewardship.domain.people import Principal
from stewardship.services import audit, holds, trail_search
from stewardship.services.retention import portion_digest
from stewardship.services.trail_search import Sought

_events: Any = tables.AuditEvent.__table__
_erasures: Any = retention_tables.Erasure.__table__
_holds: Any = retention_tables.LegalHold.__table__
_ends: Any = retention_tables.LegalHoldEnd.__table__

PURGED = "retention.purged"


@dataclass(frozen=True, slots=True)
class Removal:
    """A portion that was removed: what it was of, how many records, from before which day, and by whom."""

    seq: int
    at: datetime
    kind: str
    rows: int
    before: date
    by_user: str


def listed(session: Session, *, by: Principal, limit: int) -> tuple[Removal, ...]:
    """What was removed last, as the trail has it. Raises ``Forbidden`` for anybody but compliance."""
    holds.only_compliance(by, "see what was removed")
    entries = trail_search.found(session, Sought(action=PURGED), by=by, limit=limit)
    return tuple(
        Removal(
            one.seq,
            one.at,
            one.subject,
            int(one.detail["rows"]),
            date.fromisoformat(one.detail["before"]),
            one.by_user,
        )
        for one in entries
    )


def removal_json(one: Removal) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "entry": one.seq,
        "at": one.at,
        "kind": one.kind,
        "rows": one.rows,
        "before": one.before,
        "by": one.by_user,
    }


@dataclass
class Removals:
    """Decisions that are gone by an entry: their digests, and what is still known of them. ``seen`` are the
    portions whose entries the walk has come to, ``holds`` and ``ends`` the same of legal holds."""

    decisions: dict[str, str] = field(default_factory=dict)
    cards: set[str] = field(default_factory=set)
    policies: dict[str, list[tuple[str, int, str]]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    ends: set[str] = field(default_factory=set)

    def decided(self, decision_id: str, sha256: str) -> str | None:
        """What is wrong with a decision that is gone by an entry, given the digest of the day it was made."""
        if self.decisions[decision_id] != sha256:
            return f"decision {decision_id} was removed, and was not what was decided"
        return None


def read(session: Session, organisation_id: str) -> Removals:
    """What is gone by entries of the organisation's trail."""
    found = Removals()
    claimed = _claimed(session, organisation_id)
    if not claimed:
        return found
    c = _erasures.c
    asked = select(c.record_id, c.portion, c.sha256, c.kept).where(
        c.organisation_id == organisation_id, c.kind == Erased.DECISION.value
    )
    for row in session.connection().execute(asked):
        if row.portion in claimed:
            kept = documents.decode_shown(row.kept)
            found.decisions[row.record_id] = row.sha256
            found.cards.update(kept["cards"])
            found.policies[row.record_id] = [(p, v, s) for p, v, s in kept["policies"]]
    return found


def _claimed(session: Session, organisation_id: str) -> set[str]:
    asked = select(_events.c.detail).where(
        _events.c.organisation_id == organisation_id, _events.c.action == PURGED
    )
    details = map(documents.decode_shown, session.connection().execute(asked).scalars())
    return {str(detail["portion"]) for detail in details if "portion" in detail}


def purged(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: Removals) -> str | None:
    """Whether the list of a portion is what was written with its entry."""
    portion = detail.get("portion")
    if portion is None:
        return None
    seen.seen.add(str(portion))
    asked = select(_erasures).where(
        _erasures.c.organisation_id == entry.organisation_id, _erasures.c.portion == portion
    )
    rows = [audit.named(row) for row in session.connection().execute(asked)]
    if portion_digest(rows) != detail["sha256"]:
        return f"the list of what was removed with portion {portion} is not what was written"
    return None


def placed(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: Removals) -> str | None:
    """Whether a legal hold is there as it was placed."""
    seen.holds.add(entry.subject)
    row = _row(session, _holds, entry.organisation_id, "id", entry.subject)
    if row is None:
        return f"legal hold {entry.subject} was placed by {entry.by_user}; that is gone"
    same = row.patient_id == detail["patient"] and audit.fits(session, detail["reason"], row.reason)
    return None if same else f"legal hold {entry.subject} is not what {entry.by_user} placed"


def lifted(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: Removals) -> str | None:
    """Whether the end of a legal hold is there as it was written."""
    seen.ends.add(entry.subject)
    row = _row(session, _ends, entry.organisation_id, "hold_id", entry.subject)
    if row is None or not audit.fits(session, detail["reason"], row.reason):
        return f"legal hold {entry.subject} was lifted by {entry.by_user}; that is gone, or not as written"
    return None


def unspoken(session: Session, organisation_id: str, seen: Removals) -> str | None:
    """A row about a removal or a hold that no entry speaks of."""
    for table, column, spoken_of, words in (
        (_erasures, "portion", seen.seen, "removal {0}"),
        (_holds, "id", seen.holds, "legal hold {0}"),
        (_ends, "hold_id", seen.ends, "the end of legal hold {0}"),
    ):
        asked = select(table.c[column]).where(table.c.organisation_id == organisation_id).distinct()
        for name in session.connection().execute(asked).scalars():
            if name not in spoken_of:
                return f"{words.format(name)} is in no entry"
    return None


def _row(session: Session, table: Any, organisation_id: str, column: str, name: str) -> Row[Any] | None:
    asked = select(table).where(table.c.organisation_id == organisation_id, table.c[column] == name)
    return session.connection().execute(asked).first()
