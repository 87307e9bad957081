"""Whether anybody has altered the record: walks an organisation's chain, and what it bears witness to.

First every entry is checked against the one before it: the first bad one is named. Then every decision
with its findings and policy versions, override, exception, countersignature, snooze and report about a
card is compared with the entry that was written together with it, and rows that no entry speaks of are
named too. What the database alone cannot show is a tail that was cut off whole, or a chain that somebody
made anew with its key: for that every checkpoint that was signed is held against the entries under it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.services import audit, policy_versions, removals
from stewardship.services.growth import Grown, grow
from stewardship.services.notes import Signed
from stewardship.services.orders import content_digest

_events: Any = tables.AuditEvent.__table__
_decisions: Any = tables.Decision.__table__
_orders: Any = tables.Order.__table__
_findings: Any = tables.Finding.__table__
_versions: Any = tables.PolicyVersion.__table__
_overrides: Any = tables.Override.__table__
_requests: Any = tables.ExceptionRequest.__table__
_signatures: Any = tables.Countersignature.__table__
_snoozes: Any = tables.Snooze.__table__
_ends: Any = tables.SnoozeEnd.__table__
_feedback: Any = tables.CardFeedback.__table__


@dataclass(frozen=True)
class Fault:
    """The first thing found to be wrong. ``seq`` is the entry's number; ``None`` for a row that no entry
    speaks of. Kinds: ``gap``, ``edit``, ``order``, ``key`` (its key is not known here, or had been retired),
    ``record``, ``extra``; and against checkpoints ``tail`` (entries are gone while rows that they spoke of
    are there), ``rollback`` (everything after a moment is gone) and ``split`` (another history)."""

    seq: int | None
    kind: str
    what: str


@dataclass(frozen=True)
class Verified:
    """How many entries were read, the MAC of the last good one, and the first fault if there is any.
    ``witnessed`` is the size of the last checkpoint that fits, 0 for none."""

    entries: int
    head: str
    fault: Fault | None = None
    witnessed: int = 0


@dataclass
class _Witnessed:
    """What the entries spoke of: to be compared with the rows that exist."""

    decisions: set[str] = field(default_factory=set)
    versions: set[policy_versions.Reference] = field(default_factory=set)
    overrides: set[tuple[str, str]] = field(default_factory=set)
    requests: dict[str, str] = field(default_factory=dict)
    signatures: set[tuple[str, str]] = field(default_factory=set)
    snoozes: set[str] = field(default_factory=set)
    ends: set[str] = field(default_factory=set)
    feedback: set[tuple[str, datetime]] = field(default_factory=set)
    #: Lists of policy versions of which every one was found to be what it was.
    lists: set[str] = field(default_factory=set)
    #: What the entries of the portion at hand are about, read in one query each.
    decided: dict[str, Row[Any]] = field(default_factory=dict)
    said: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    submitted: set[tuple[str, str]] = field(default_factory=set)
    #: What is gone because its time was over.
    removed: removals.Removals = field(default_factory=removals.Removals)

    def read(self, session: Session, organisation_id: str, portion: Sequence[Row[Any]]) -> None:
        """Read the decisions that a portion of entries speaks of, with their findings and orders."""
        ids = [entry.subject for entry in portion if _WITNESSES.get(entry.action) is _decided]
        self.decided, self.said, self.submitted = {}, {name: [] for name in ids}, set()
        if not ids:
            return
        run = session.connection().execute

        def of(table: Any, column: str) -> Any:
            return select(table).where(table.c.organisation_id == organisation_id, table.c[column].in_(ids))

        self.decided = {row.id: row for row in run(of(_decisions, "id"))}
        for row in run(of(_findings, "decision_id").order_by(_findings.c.policy_id)):
            self.said[row.decision_id].append(audit.named(row))
        self.submitted = {(row.decision_id, row.id) for row in run(of(_orders, "decision_id"))}


def verify(
    session: Session,
    *,
    organisation_id: str,
    checkpoints: Sequence[Signed] = (),
    public: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Verified:
    """Check the organisation's chain from its first entry to its last, the checkpoints that were signed over
    it, and the rows that it speaks of. ``public`` is for outsiders who hold no secret key: the entries are
    held against the checkpoints alone. ``progress`` is told, portion by portion, how far it has come."""
    keys = {} if public else audit.audit_keys(session).keys
    trail = audit.Trail(session, organisation_id)
    walk = _Walk(keys, _Against.of(organisation_id, checkpoints), public)
    witnessed = _Witnessed()
    if not public:
        witnessed.removed = removals.read(session, organisation_id)
    for portion in trail.after(0):
        if not public:
            witnessed.read(session, organisation_id, portion)
        for row in portion:
            fault = walk.step(row) or (None if public else _record_fault(session, row, witnessed))
            if fault is not None:
                return Verified(walk.seq, walk.head, fault, walk.against.fitted)
            walk.seq, walk.head = row.seq, row.mac
        progress(walk.seq)
    extra = None if public else _extra(session, organisation_id, witnessed)
    cut = walk.against.cut(walk.seq, orphans=extra is not None)
    return Verified(walk.seq, walk.head, cut or extra, walk.against.fitted)


@dataclass
class _Against:
    """The checkpoints that are still to come, by size, and the tree as far as it has grown."""

    waiting: list[Signed]
    tree: Grown = field(default_factory=Grown)
    fitted: int = 0

    @classmethod
    def of(cls, organisation_id: str, checkpoints: Sequence[Signed]) -> _Against:
        """Those of one organisation, the smallest first."""
        mine = [s for s in checkpoints if s.checkpoint.organisation_id == organisation_id]
        return cls(sorted(mine, key=lambda s: s.checkpoint.size, reverse=True))

    def grow(self, seq: int, entry: bytes, mac: str) -> Fault | None:
        """Take in an entry, and hold every checkpoint that ends with it against the tree."""
        if not self.waiting:
            return None
        self.tree = grow(self.tree, (entry,))
        while self.waiting and self.waiting[-1].checkpoint.size == seq:
            signed = self.waiting.pop().checkpoint
            if signed.tree.root != self.tree.root or signed.mac != mac:
                words = f"the root at the checkpoint of {seq} entries differs: this is another history"
                return Fault(self.fitted + 1, "split", f"{words}; it is good up to {self.fitted}")
            self.fitted = seq
        return None

    def cut(self, entries: int, *, orphans: bool) -> Fault | None:
        """Entries that were witnessed and are gone."""
        if not self.waiting:
            return None
        largest = self.waiting[0].checkpoint.size
        if orphans:
            return Fault(entries + 1, "tail", f"size {entries} is below the checkpoint of {largest}: cut off")
        words = f"rollback: the checkpoint remembers {largest} entries, found {entries}"
        return Fault(entries + 1, "rollback", f"{words}; the tail was cut off, or an old copy put back")


@dataclass
class _Walk:
    """Where the walk along the chain is: the last good entry, and which keys have been retired."""

    keys: Mapping[str, bytes]
    against: _Against
    public: bool
    seq: int = 0
    head: str = audit.NOTHING_BEFORE
    current: str = ""
    retired: dict[str, int] = field(default_factory=dict)

    def step(self, row: Row[Any]) -> Fault | None:
        """What is wrong with the next entry, as far as the chain itself shows."""
        seq = self.seq + 1
        if row.seq != seq:
            return Fault(seq, "gap", f"entry {seq} is missing; the next one is {row.seq}")
        entry = audit.named(row)
        content = audit.canonical(entry)
        if not self.public:
            fault = self._mac_fault(row, seq, content) or self._key_fault(row, seq)
            if fault is not None:
                return fault
        return self.against.grow(seq, content, row.mac)

    def _mac_fault(self, row: Row[Any], seq: int, content: bytes) -> Fault | None:
        if row.key_id not in self.keys:
            return Fault(seq, "key", f"entry {seq} is under key {row.key_id}, which is not known here")
        expected = audit.mac_of(self.keys[row.key_id], self.head, content)
        if not hmac.compare_digest(expected, row.mac):
            return Fault(seq, "edit", f"entry {seq} is not what was written: its MAC does not fit")
        return None

    def _key_fault(self, row: Row[Any], seq: int) -> Fault | None:
        """Keys follow one another by entries that say so."""
        if row.key_id in self.retired:
            since = self.retired[row.key_id]
            return Fault(seq, "key", f"entry {seq} is under key {row.key_id}, retired with entry {since}")
        if self.current and row.key_id != self.current:
            return Fault(seq, "key", f"entry {seq} is under key {row.key_id}, and none says that it follows")
        self.current = row.key_id
        if row.action == "key.rotated":
            self.retired[row.key_id] = seq
            self.current = str(documents.decode_shown(row.detail)["to"])
        return None


# --- what the entries bear witness to ------------------------------------------------------------


def _record_fault(session: Session, entry: Row[Any], witnessed: _Witnessed) -> Fault | None:
    compare = _WITNESSES.get(entry.action)
    if entry.action in _OF_REMOVED and entry.subject in witnessed.removed.decisions:
        compare = _removed
    elif entry.action == "card.feedback" and entry.subject in witnessed.removed.cards:
        return None
    wrong = compare(session, entry, documents.decode_shown(entry.detail), witnessed) if compare else None
    return Fault(entry.seq, "record", wrong) if wrong else None


def _row(session: Session, table: Any, organisation_id: str, **mine: Any) -> Row[Any] | None:
    asked = select(table).where(
        table.c.organisation_id == organisation_id, *(table.c[name] == value for name, value in mine.items())
    )
    return session.connection().execute(asked).first()


def _decided(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: _Witnessed) -> str | None:
    seen.decisions.add(entry.subject)
    row = seen.decided.get(entry.subject)
    if row is None:
        return f"decision {entry.subject} is gone"
    if content_digest(audit.named(row), seen.said[entry.subject]) != detail["sha256"]:
        return f"decision {entry.subject} or its findings are not what was decided"
    if row.policies_document in seen.lists:
        return _submitted_is_there(entry, row, seen)
    for policy_id, version, sha256 in policy_versions.references(row.policies_document):
        if (policy_id, version, sha256) in seen.versions:
            continue
        of_policy = {"policy_id": policy_id, "version": version, "sha256": sha256}
        words = _row(session, _versions, entry.organisation_id, **of_policy)
        if words is None or documents.digest(words.document) != sha256:
            return f"{policy_id} version {version}, which made decision {entry.subject}, is not what it was"
        seen.versions.add((policy_id, version, sha256))
    seen.lists.add(row.policies_document)
    return _submitted_is_there(entry, row, seen)


def _removed(_session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: _Witnessed) -> str | None:
    """Of a decision whose time was over nothing is there but its digest; rows that are there after all are
    rows that no entry speaks of."""
    if _WITNESSES[entry.action] is not _decided:
        return None
    seen.versions.update(seen.removed.policies[entry.subject])
    return seen.removed.decided(entry.subject, detail["sha256"])


def _purged(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: _Witnessed) -> str | None:
    return removals.purged(session, entry, detail, seen.removed)


def _placed(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: _Witnessed) -> str | None:
    return removals.placed(session, entry, detail, seen.removed)


def _lifted(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: _Witnessed) -> str | None:
    return removals.lifted(session, entry, detail, seen.removed)


def _submitted_is_there(entry: Row[Any], row: Row[Any], seen: _Witnessed) -> str | None:
    if entry.action == "order.submitted" and (entry.subject, row.order_id) not in seen.submitted:
        return f"the order that decision {entry.subject} is about was submitted; that is gone"
    return None


def _overridden(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: _Witnessed) -> str | None:
    policy = detail["policy"]
    seen.overrides.add((entry.subject, policy))
    row = _row(session, _overrides, entry.organisation_id, decision_id=entry.subject, policy_id=policy)
    if row is None:
        return f"{policy} of decision {entry.subject} was overridden by {entry.by_user}; that is gone"
    same = row.reason == detail["reason"] and audit.fits(session, detail["comment"], row.comment)
    if not (same and _same_author(row, entry)):
        return f"the override of {policy} of decision {entry.subject} is not what {entry.by_user} wrote"
    return None


def _requested(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: _Witnessed) -> str | None:
    name = detail["exception"]
    seen.requests[name] = "open"
    row = _row(session, _requests, entry.organisation_id, id=name)
    if row is None:
        return f"exception {name} was requested by {entry.by_user}; that is gone"
    same = (row.decision_id, row.policy_id) == (entry.subject, detail["policy"])
    same = same and audit.fits(session, detail["reason"], row.reason)
    same = same and audit.fits(session, detail["note"], row.note)
    if not (same and _same_author(row, entry)):
        return f"exception {name} is not what {entry.by_user} asked for"
    return None


def _signed(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: _Witnessed) -> str | None:
    name = detail["exception"]
    seen.requests[name] = detail["status"]
    seen.signatures.add((name, entry.by_user))
    row = _row(session, _signatures, entry.organisation_id, exception_id=name, by_user=entry.by_user)
    if row is None:
        return f"{entry.by_user} signed exception {name}; that is gone"
    same = row.approve == detail["approve"] and audit.fits(session, detail["note"], row.note)
    if not (same and _same_author(row, entry)):
        return f"the signature of {entry.by_user} on exception {name} is not what was signed"
    return None


def _snoozed(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: _Witnessed) -> str | None:
    name = detail["snooze"]
    seen.snoozes.add(name)
    row = _row(session, _snoozes, entry.organisation_id, id=name)
    if row is None:
        return f"snooze {name} was made by {entry.by_user}; that is gone"
    same = (row.decision_id, row.policy_id) == (entry.subject, detail["policy"])
    same = same and all(getattr(row, part) == detail[part] for part in ("reason", "drug", "enforcement"))
    if not (same and row.until.isoformat() == detail["until"] and _same_author(row, entry)):
        return f"snooze {name} is not what {entry.by_user} made"
    return None


def _ended(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: _Witnessed) -> str | None:
    name = detail["snooze"]
    seen.ends.add(name)
    row = _row(session, _ends, entry.organisation_id, snooze_id=name)
    if row is None or not _same_author(row, entry):
        return f"snooze {name} was ended by {entry.by_user}; that is gone, or not what was written"
    return None


def _reported(session: Session, entry: Row[Any], detail: Mapping[str, Any], seen: _Witnessed) -> str | None:
    card, moment = entry.subject, datetime.fromisoformat(detail["reported_for"])
    seen.feedback.add((card, moment))
    row = _row(session, _feedback, entry.organisation_id, card_id=card, at=moment)
    if row is None:
        return f"a report about card {card} is gone"
    same = (row.outcome, row.reason_code) == (detail["outcome"], detail["reason"])
    same = same and documents.decode_shown(row.accepted) == detail["accepted"]
    same = same and (row.by_user, row.received_at) == (entry.by_user, entry.at)
    if not (same and audit.fits(session, detail["comment"], row.comment)):
        return f"a report about card {card} is not what {entry.by_user} reported"
    return None


def _same_author(row: Row[Any], entry: Row[Any]) -> bool:
    return bool((row.by_user, row.by_role, row.at) == (entry.by_user, entry.by_role, entry.at))


_Witness = Callable[[Session, Row[Any], Mapping[str, Any], _Witnessed], "str | None"]
_WITNESSES: dict[str, _Witness] = {
    "order.checked": _decided,
    "order.submitted": _decided,
    "finding.overridden": _overridden,
    "exception.requested": _requested,
    "exception.countersigned": _signed,
    "finding.snoozed": _snoozed,
    "snooze.ended": _ended,
    "card.feedback": _reported,
    removals.PURGED: _purged,
    "hold.placed": _placed,
    "hold.lifted": _lifted,
}
#: What is said about a decision, and goes with it.
_OF_REMOVED = frozenset(
    {
        "order.checked",
        "order.submitted",
        "finding.overridden",
        "exception.requested",
        "exception.countersigned",
        "finding.snoozed",
        "snooze.ended",
    }
)


def _extra(session: Session, organisation_id: str, seen: _Witnessed) -> Fault | None:
    """A row that no entry speaks of, or a request that does not stand where its last entry left it."""

    def rows(table: Any, *columns: str) -> Iterator[Any]:
        asked = select(*(table.c[name] for name in columns)).where(table.c.organisation_id == organisation_id)
        return iter(session.connection().execute(asked))

    kinds: tuple[tuple[Any, tuple[str, ...], Collection[Any], str], ...] = (
        (_decisions, ("id",), seen.decisions, "decision {0}"),
        (_versions, ("policy_id", "version", "sha256"), seen.versions, "version {1} of {0}"),
        (_overrides, ("decision_id", "policy_id"), seen.overrides, "the override of {1} of decision {0}"),
        (
            _signatures,
            ("exception_id", "by_user"),
            seen.signatures,
            "the signature of {1} on exception {0}",
        ),
        (_snoozes, ("id",), seen.snoozes, "snooze {0}"),
        (_ends, ("snooze_id",), seen.ends, "the end of snooze {0}"),
        (_feedback, ("card_id", "at"), seen.feedback, "a report about card {0}"),
    )
    for table, columns, spoken_of, words in kinds:
        for row in rows(table, *columns):
            if (tuple(row) if len(columns) > 1 else row[0]) not in spoken_of:
                return Fault(None, "extra", f"{words.format(*row)} is in no entry")
    for exception, status in rows(_requests, "id", "status"):
        if seen.requests.get(exception) != status:
            said = seen.requests.get(exception, "nothing")
            return Fault(None, "extra", f"exception {exception} is {status}; the chain says {said}")
    unheard = removals.unspoken(session, organisation_id, seen.removed)
    return None if unheard is None else Fault(None, "extra", unheard)
