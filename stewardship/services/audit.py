"""The audit chain: every change leaves an entry that covers the one before it.

Each organisation has its own chain. An entry's MAC is HMAC-SHA256 over the MAC before it and the entry's
canonical bytes, under a key that the database does not hold: an edit, a gap, a change of order or a
forged row is found, and named by its number. Entries hold ids and codes, never names; free text is there
as a keyed hash. What the chain alone cannot show is a tail that was cut off; that takes a witness outside,
who signs how far the chain had come: after every so many entries, and at once after some.
"""

from __future__ import annotations

import binascii
import hmac
import unicodedata
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, bindparam, select, text
from sqlalchemy.orm import Session

from stewardship.db import AuditKeys, documents, tables
from stewardship.db.engine import engine_of
from stewardship.db.prepared import Prepared
from stewardship.domain.errors import Unavailable
from stewardship.domain.people import Principal

#: Entries read from the database at a time.
_PORTION = 1000

#: What stands for "the MAC before" in an organisation's first entry.
NOTHING_BEFORE = "0" * 64

#: What is witnessed before it is answered: it must not vanish with a tail that is cut off.
AT_ONCE = frozenset(
    {
        "finding.overridden",
        "exception.requested",
        "exception.countersigned",
        "policy.published",
        "key.rotated",
        "export.made",
        "hold.placed",
        "hold.lifted",
        "retention.purged",
    }
)
#: The same for all actions that begin so: accounts, roles, tokens.
AT_ONCE_ABOUT = ("user.", "account.", "token.")
#: How many entries may stand unwitnessed otherwise, besides those of the last minute.
WITNESSED_EVERY = 100

_events: Any = tables.AuditEvent.__table__
_INSERT = Prepared.insert(_events)
_HEAD = Prepared(
    select(_events.c.seq, _events.c.mac)
    .where(_events.c.organisation_id == bindparam("organisation"))
    .order_by(_events.c.seq.desc())
    .limit(1)
)
# One writer at a time for each organisation; released by the commit. The two numbers are the lock's name.
_LOCK = Prepared(text("SELECT pg_advisory_xact_lock(7301827, hashtext(:organisation))"))


def record(
    session: Session,
    action: str,
    *,
    subject: str,
    by: Principal,
    now: datetime,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append an entry: who did what to which subject, when. Belongs to the caller's transaction.

    ``detail`` holds ids, codes, counts and hashes. Raises ``Unavailable`` when there is no audit key: what
    cannot be audited is not done.
    """
    keys = audit_keys(session)
    at_once = action in AT_ONCE or action.startswith(AT_ONCE_ABOUT)
    witness = session.info.get("witness")
    if at_once and witness is not None:
        witness.ready()
    whose = {"organisation": by.organisation_id}
    if engine_of(session).dialect.name == "postgresql":
        _LOCK.run(session, [whose])
    head = _HEAD.first(session, whose)
    seq, before = (1, NOTHING_BEFORE) if head is None else (head.seq + 1, head.mac)
    entry = {
        "organisation_id": by.organisation_id,
        "seq": seq,
        "at": now.astimezone(UTC),
        "action": action,
        "subject": subject,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "detail": documents.encode(dict(detail or {})),
        "key_id": keys.current,
    }
    entry["mac"] = mac(keys.keys[keys.current], before, entry)
    _INSERT.run(session, [entry])
    if at_once or seq % WITNESSED_EVERY == 0:
        session.info.setdefault("to_witness", set()).add(by.organisation_id)


@dataclass(frozen=True)
class Trail:
    """An organisation's entries, to be read in their order."""

    session: Session
    organisation_id: str

    def entry(self, seq: int | None) -> Row[Any] | None:
        """The entry of that number, or the last one."""
        asked = select(_events).where(_events.c.organisation_id == self.organisation_id)
        if seq is not None:
            asked = asked.where(_events.c.seq == seq)
        return self.session.connection().execute(asked.order_by(_events.c.seq.desc()).limit(1)).first()

    def after(self, seq: int) -> Iterator[list[Row[Any]]]:
        """The entries after that number, in portions by number: one long read would hold its place in a busy
        database for minutes."""
        while True:
            asked = (
                select(_events)
                .where(_events.c.organisation_id == self.organisation_id, _events.c.seq > seq)
                .order_by(_events.c.seq)
                .limit(_PORTION)
            )
            rows = list(self.session.connection().execute(asked))
            if rows:
                yield rows
            if len(rows) < _PORTION:
                return
            seq = rows[-1].seq


def named(row: Row[Any]) -> dict[str, Any]:
    """A row's values by the names of their columns."""
    return {str(name): value for name, value in zip(row._fields, row, strict=True)}


def seed(words: str) -> bytes:
    """The 32 secret bytes that a setting writes as URL-safe base64; ``Unavailable`` for anything else."""
    try:
        made = urlsafe_b64decode(words + "=" * (-len(words) % 4))
    except (ValueError, binascii.Error):
        made = b""
    if len(made) != 32:
        raise Unavailable("the key that signs checkpoints is not 32 bytes in URL-safe base64")
    return made


def audit_keys(session: Session) -> AuditKeys:
    """The keys that the session was given; ``Unavailable`` without any."""
    keys = session.info.get("audit_keys")
    if not isinstance(keys, AuditKeys):
        raise Unavailable("nothing can be changed: no audit key is set", code="audit-key-missing")
    return keys


def keyed_hash(session: Session, words: str) -> str:
    """A fingerprint of free text for an entry's detail: it shows a change of the text, not the text."""
    return _keyed_hash(audit_keys(session), audit_keys(session).current, words)


def fits(session: Session, fingerprint: str, words: str) -> bool:
    """Whether the text is the one that the fingerprint was taken of, under whichever key that was."""
    keys, name = audit_keys(session), fingerprint.partition(":")[0]
    return name in keys.keys and hmac.compare_digest(fingerprint, _keyed_hash(keys, name, words))


def _keyed_hash(keys: AuditKeys, name: str, words: str) -> str:
    content = unicodedata.normalize("NFC", words).encode()
    return f"{name}:{hmac.new(keys.keys[name], content, 'sha256').hexdigest()}"


def canonical(row: Mapping[str, Any]) -> bytes:
    """The bytes that a MAC covers: fixed fields in a fixed order as JSON, NFC, the time in microseconds."""
    fields = [
        row["organisation_id"],
        row["seq"],
        row["at"].astimezone(UTC).isoformat(timespec="microseconds"),
        row["action"],
        row["subject"],
        row["by_user"],
        row["by_role"],
        row["detail"],
        row["key_id"],
    ]
    return unicodedata.normalize("NFC", documents.encode(fields)).encode()


def mac(key: bytes, before: str, entry: Mapping[str, Any]) -> str:
    """The MAC of an entry that follows the one whose MAC is ``before``."""
    return mac_of(key, before, canonical(entry))


def mac_of(key: bytes, before: str, content: bytes) -> str:
    """The same of an entry's canonical bytes."""
    return hmac.new(key, before.encode() + b"\x00" + content, "sha256").hexdigest()
