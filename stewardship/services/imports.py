"""Imports: a file's items are stored in portions, each with its progress and its audit event.

One content is imported once, whatever its files are called. Each portion is one transaction of the caller:
a process that is killed has stored whole portions and nothing else, and whoever comes next goes on behind
the last one. ``claim_of`` names the claim under which an import is worked on; a stored ``running`` whose
claim nobody holds was interrupted, and is said to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.orm import Session

from stewardship.db import claims, import_tables
from stewardship.db.engine import new_id, transaction
from stewardship.db.patients import insert_once
from stewardship.db.prepared import Prepared
from stewardship.domain.dispensings import Pharmacy, RowFault
from stewardship.domain.errors import Conflict, NotFound
from stewardship.domain.feeds import (
    UNREADABLE,
    Broken,
    Brought,
    FeedTerms,
    Format,
    Heard,
    ImportStatus,
    Item,
    Refusal,
    Remark,
    Row,
)
from stewardship.domain.people import Principal
from stewardship.services import audit, dispensed, history, matching, pharmacies, since

#: Faults that a report lists; the count of rejected rows is always whole.
MOST_LISTED = 10_000
_LONGEST_SOURCE = 500

_imports: Any = import_tables.Import.__table__
_faults: Any = import_tables.ImportFault.__table__
_INSERT_FAULT = Prepared.insert(_faults)
# The first of several reasons why a file is not whole says enough.
_ADVANCE = (
    update(_imports)
    .where(
        _imports.c.organisation_id == bindparam("organisation"),
        _imports.c.id == bindparam("import_id"),
        _imports.c.position == bindparam("at"),
        _imports.c.status == ImportStatus.RUNNING.value,
    )
    .values(
        position=bindparam("to"),
        seen_at=bindparam("now"),
        reason=func.coalesce(
            func.nullif(_imports.c.reason, ""), bindparam("broken", type_=_imports.c.reason.type)
        ),
        **{
            name: _imports.c[name] + bindparam(f"more_{name}")
            for name in ("rows", "stored", "unchanged", "rejected")
        },
    )
)
# What is done to orders changes nothing that an import looks at before it writes. Of any other entry of the
# trail it is not known, and the import looks again.
_OF_ORDERS = frozenset({"order.checked", "order.submitted"})
# A connection that checked references while the tables were small goes on reading them from end to end: with
# a file of a million rows, from a quick import to one that never ends.
_FORGET_PLANS = text("DISCARD PLANS")

# Ids are random, so that new rows go everywhere in an index: of a large one too little is at hand otherwise.
# 32 MB of the connection, whatever the size of the file.
_ROOM = text("PRAGMA cache_size = -32768")


@dataclass(frozen=True, slots=True)
class Begun:
    """An import to be worked on, behind ``position`` items. ``ended`` when nothing is left to do."""

    id: str
    position: int
    ended: bool


@dataclass(frozen=True)
class Report:
    """How far an import is and what became of its rows. ``faults`` are of rows, ``remarks`` of the file."""

    id: str
    status: ImportStatus
    reason: str
    format: Format
    source: str
    rows: int
    stored: int
    unchanged: int
    rejected: int
    position: int
    started_at: datetime
    ended_at: datetime | None
    same_as: str | None = None
    faults: tuple[RowFault, ...] = ()
    remarks: tuple[RowFault, ...] = ()
    pending: tuple[Mapping[str, Any], ...] = field(default=())


def claim_of(organisation_id: str, digest: str) -> str:
    """The name of the claim under which a content is imported."""
    return f"import\x1f{organisation_id}\x1f{digest}"


def begin(session: Session, *, digest: str, kind: Format, source: str, by: Principal, now: datetime) -> Begun:
    """The import of this content: a new one, or the one that there is. The caller holds its claim."""
    row = _new_row(new_id(now), digest, kind, source, by=by, now=now)
    if insert_once(session, _imports, row):
        detail = {"format": row["format"], "sha256": digest}
        audit.record(session, "import.begun", subject=row["id"], by=by, now=now, detail=detail)
        return Begun(row["id"], 0, ended=False)
    return _resume(session, digest, by=by, now=now)


def resume(session: Session, import_id: str, *, by: Principal, now: datetime) -> Begun:
    """Go on with an import, wherever it stopped. The caller holds its claim."""
    return _resume(session, _row(session, import_id, by).digest, by=by, now=now)


def _resume(session: Session, digest: str, *, by: Principal, now: datetime) -> Begun:
    known = (
        session.connection()
        .execute(
            select(_imports).where(
                _imports.c.organisation_id == by.organisation_id, _imports.c.digest == digest
            )
        )
        .one()
    )
    if known.status in {ImportStatus.COMPLETE, ImportStatus.INCOMPLETE}:
        return Begun(known.id, known.position, ended=True)
    _change(session, known.id, {"status": ImportStatus.RUNNING.value, "ended_at": None, "seen_at": now}, by)
    detail = {"position": known.position}
    audit.record(session, "import.resumed", subject=known.id, by=by, now=now, detail=detail)
    return Begun(known.id, known.position, ended=False)


def _new_row(
    import_id: str, digest: str, kind: Format, source: str, *, by: Principal, now: datetime
) -> dict[str, Any]:
    return {
        "organisation_id": by.organisation_id,
        "id": import_id,
        "digest": digest,
        "format": kind.value,
        "source": "".join(c for c in source if c.isprintable())[:_LONGEST_SOURCE],
        "status": ImportStatus.RUNNING.value,
        "reason": "",
        **dict.fromkeys(("rows", "stored", "unchanged", "rejected", "position"), 0),
        "same_as": None,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "started_at": now,
        "seen_at": now,
        "ended_at": None,
    }


@dataclass(frozen=True, slots=True)
class Announced:
    """An import whose content is not known yet. ``digest`` stands in for the content's until then."""

    id: str
    digest: str


def announce(session: Session, *, kind: Format, source: str, by: Principal, now: datetime) -> Announced:
    """A file has come whose content nobody has looked at; ``identify`` says what it is."""
    import_id = new_id(now)
    digest = sha256(f"announced\x1f{import_id}".encode()).hexdigest()
    row = _new_row(import_id, digest, kind, source, by=by, now=now)
    session.connection().execute(insert(_imports), row)
    audit.record(
        session, "import.announced", subject=import_id, by=by, now=now, detail={"format": kind.value}
    )
    return Announced(import_id, digest)


def identify(
    session: Session, announced: Announced, digest: str, *, by: Principal, now: datetime
) -> str | None:
    """Say which content an announced import has. The import that the content had before, if there is one:
    then this one is nothing but a reference to it. The caller holds the content's claim."""
    known = known_as(session, digest, by=by)
    if known is None:
        _change(session, announced.id, {"digest": digest, "seen_at": now}, by)
    else:
        _change(session, announced.id, {"same_as": known, "seen_at": now}, by)
    detail = {"sha256": digest, "same_as": known}
    audit.record(session, "import.identified", subject=announced.id, by=by, now=now, detail=detail)
    return known


@dataclass(frozen=True, slots=True)
class Portion:
    """Items that are stored together. ``rows`` are those of them that are rows, by number: with the digest
    of the patient's wording, and as they are kept."""

    items: Sequence[Item]
    rows: Mapping[int, tuple[Row, str, dispensed.Written]]


def ready(items: Sequence[Item], terms: FeedTerms) -> Portion:
    """A portion to be stored. What can be worked out without the database is worked out here, so that
    others do not wait for it."""
    digests: dict[int, str] = {}
    rows = {}
    for number, item in enumerate(items):
        if isinstance(item, Row):
            # Rows of one patient that follow each other share the object.
            digest = digests.get(id(item.patient))
            if digest is None:
                digest = digests[id(item.patient)] = matching.digest_of(item.patient)
            zip_code = item.patient.address.zip
            rows[number] = item, digest, dispensed.written(item.dispensed, zip_code=zip_code, terms=terms)
    return Portion(items, rows)


@dataclass(frozen=True, slots=True)
class Look:
    """What a portion comes to by what is on record up to the entry ``seen`` of the trail: whose its patients
    are, which of its pharmacies are not ours, and what its rows say that is new. Nothing of it is written."""

    seen: int
    foreign: frozenset[str]
    weighed: matching.Weighed
    compared: dispensed.Compared


def look(
    session: Session,
    import_id: str,
    portion: Portion,
    *,
    at: int,
    terms: FeedTerms,
    by: Principal,
    now: datetime,
) -> Look:
    """Look at what is on record for a portion, so that ``take`` only has to write, and others wait for the
    writing alone."""
    matching.hold_identities(session, organisation_id=by.organisation_id)
    if session.get_bind().dialect.name == "postgresql":
        session.connection().execute(_FORGET_PLANS)
    else:
        session.connection().execute(_ROOM)
    seen = since.last_entry(session, organisation_id=by.organisation_id)
    foreign = pharmacies.foreign(session, _named(portion), by=by)
    ours = {n: one for n, one in portion.rows.items() if one[0].dispensed.pharmacy.key not in foreign}
    described = {digest: row.patient for row, digest, _ in ours.values()}
    weighed = matching.weigh(session, described, terms.matching, by=by, now=now)
    arrived = [
        dispensed.Arrived(at + 1 + number, row.line, written, weighed.whose[digest])
        for number, (row, digest, written) in ours.items()
    ]
    compared = dispensed.compare(session, arrived, terms, import_id=import_id, by=by, now=now)
    return Look(seen, foreign, weighed, compared)


def _named(portion: Portion) -> list[Pharmacy]:
    named = [row.dispensed.pharmacy for row, _, _ in portion.rows.values()]
    return named + [p for item in portion.items if isinstance(item, Heard) for p in item.pharmacies]


def take(
    session: Session,
    import_id: str,
    portion: Portion,
    looked: Look,
    *,
    at: int,
    terms: FeedTerms,
    by: Principal,
    now: datetime,
) -> int:
    """Store the portion behind position ``at``; the position behind it. When something that was looked at may
    have changed since, it is looked at again first.

    Raises ``Conflict`` when somebody else stored them meanwhile.
    """
    foreign = pharmacies.meet(session, _named(portion), by=by, now=now)
    happened = since.happened(session, looked.seen, organisation_id=by.organisation_id)
    if foreign != looked.foreign or not happened <= _OF_ORDERS:
        looked = look(session, import_id, portion, at=at, terms=terms, by=by, now=now)
    tally = _Tally()
    faults: list[dict[str, Any]] = []

    def fault(seq: int, found: Sequence[RowFault], *, of_row: bool) -> None:
        faults.extend(
            {
                "organisation_id": by.organisation_id,
                "import_id": import_id,
                "seq": seq,
                "number": number,
                "of_row": of_row,
                "line": one.line,
                "segment": one.segment,
                "element": one.element,
                "code": one.code,
            }
            for number, one in enumerate(found, 1)
        )

    items = portion.items
    for number, item in enumerate(items):
        seq = at + 1 + number
        if isinstance(item, Row):
            if item.dispensed.pharmacy.key in foreign:
                tally.rejected += 1
                fault(seq, [RowFault(item.line, "PHA", "PHA", "pharmacy-of-another")], of_row=True)
        elif isinstance(item, Refusal):
            tally.rejected += 1
            fault(seq, item.faults, of_row=True)
        elif isinstance(item, Remark):
            fault(seq, [item.fault], of_row=False)
    if looked.weighed.whose:
        matching.keep(session, looked.weighed)
        dispensed.keep(session, looked.compared, organisation_id=by.organisation_id)
        tally.stored += looked.compared.stored
        tally.unchanged += looked.compared.unchanged
        tally.versions = looked.compared.versions
    _take_brought(
        session, [item for item in items if isinstance(item, Brought)], tally, terms, by=by, now=now
    )
    if faults:
        _INSERT_FAULT.load(session, faults)
    broken = next((item.reason for item in items if isinstance(item, Broken)), None)
    transmissions = [
        (pharmacy, item.created)
        for item in items
        if isinstance(item, Heard)
        for pharmacy in item.pharmacies
        if pharmacy.key not in foreign
    ]
    pharmacies.heard(session, transmissions, silence=terms.silence, by=by, now=now)
    position = at + len(items)
    _advance(session, import_id, at, position, tally, broken, by=by, now=now)
    detail = {"from": at, "to": position, **tally.counts(), "sha256": tally.versions}
    audit.record(session, "import.stored", subject=import_id, by=by, now=now, detail=detail)
    return position


def end(session: Session, import_id: str, *, by: Principal, now: datetime) -> None:
    """The file's last item is stored."""
    known = _row(session, import_id, by)
    status = ended_as(known.reason, known.rows)
    _change(session, import_id, {"status": status.value, "ended_at": now, "seen_at": now}, by)
    detail = {"status": status.value, "reason": known.reason, "rows": known.rows, "rejected": known.rejected}
    audit.record(session, "import.ended", subject=import_id, by=by, now=now, detail=detail)


def ended_as(reason: str, rows: int) -> ImportStatus:
    """What a file of so many rows is at its end, by what was wrong with it as a whole."""
    if not reason:
        return ImportStatus.COMPLETE
    return ImportStatus.FAILED if reason == UNREADABLE and not rows else ImportStatus.INCOMPLETE


def known_as(session: Session, digest: str, *, by: Principal) -> str | None:
    """The id of the import of this content, if there is one."""
    asked = select(_imports.c.id).where(
        _imports.c.organisation_id == by.organisation_id, _imports.c.digest == digest
    )
    return session.connection().execute(asked).scalar()


def interrupt(session: Session, import_id: str, *, by: Principal, now: datetime) -> None:
    """Say that nobody goes on with it for now."""
    known = _row(session, import_id, by)
    if known.status == ImportStatus.RUNNING:
        _change(session, import_id, {"status": ImportStatus.INTERRUPTED.value, "seen_at": now}, by)
        audit.record(session, "import.interrupted", subject=import_id, by=by, now=now)


def read(session: Session, import_id: str, *, by: Principal, listed: int = MOST_LISTED) -> Report:
    """How far an import of the caller's organisation is; ``NotFound`` for any other."""
    own, row, status = _now(session, import_id, by)
    found = _faults_of(session, row.id, by.organisation_id, listed)
    pending = dispensed.unmatched(session, organisation_id=by.organisation_id)
    return Report(
        id=own.id,
        status=status,
        reason=row.reason,
        format=Format(own.format),
        source=own.source,
        rows=row.rows,
        stored=row.stored if own.same_as is None else 0,
        unchanged=row.unchanged if own.same_as is None else row.stored + row.unchanged,
        rejected=row.rejected,
        position=row.position,
        started_at=own.started_at,
        ended_at=row.ended_at,
        same_as=own.same_as,
        faults=tuple(fault for of_row, fault in found if of_row),
        remarks=tuple(fault for of_row, fault in found if not of_row),
        pending=tuple(one for one in pending if one["import_id"] == row.id),
    )


def _now(session: Session, import_id: str, by: Principal) -> tuple[Any, Any, ImportStatus]:
    """The import's row, the row of the import that tells of its content, and the status now.

    One that is called running, and that nobody works on, was interrupted. But whoever worked on it may have
    ended it since the rows were read: then they are read again, by a connection that sees what is new.
    """
    own, row = _rows(session, import_id, by)
    engine = session.get_bind().engine
    while row.status == ImportStatus.RUNNING:
        if claims.is_held(engine, claim_of(row.organisation_id, row.digest)):
            return own, row, ImportStatus.RUNNING
        before = (row.id, row.status, row.digest)
        with transaction(engine, write=False) as another:
            own, row = _rows(another, import_id, by)
        if (row.id, row.status, row.digest) == before:
            return own, row, ImportStatus.INTERRUPTED
    return own, row, ImportStatus(row.status)


def _rows(session: Session, import_id: str, by: Principal) -> tuple[Any, Any]:
    own = _row(session, import_id, by)
    # The same content again is told as the first import of it stands; it stored nothing itself.
    return own, own if own.same_as is None else _row(session, own.same_as, by)


# --- the portions' parts ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Tally:
    stored: int = 0
    unchanged: int = 0
    rejected: int = 0
    versions: str = ""

    def counts(self) -> dict[str, int]:
        rows = self.stored + self.unchanged + self.rejected
        return {
            "rows": rows,
            "stored": self.stored,
            "unchanged": self.unchanged,
            "rejected": self.rejected,
        }


def _take_brought(
    session: Session,
    brought: Sequence[Brought],
    tally: _Tally,
    terms: FeedTerms,
    *,
    by: Principal,
    now: datetime,
) -> None:
    if not brought:
        return
    ids, told = history.keep(
        session, [item.chart for item in brought], organisation_id=by.organisation_id, now=now
    )
    said = {ids[i.chart.patient.id]: i.patient for i in brought if i.patient is not None}
    for feed_patient, patient, match in matching.recorded(session, said, terms.matching, by=by, now=now):
        for identity in matching.identities_of(session, feed_patient, organisation_id=by.organisation_id):
            matching.give(session, identity, patient, match, by=by, now=now)
            dispensed.move(session, identity, to=patient, terms=terms, by=by, now=now)
    tally.stored += sum(told)
    tally.unchanged += len(told) - sum(told)


# --- rows ------------------------------------------------------------------------------------------


def _advance(
    session: Session,
    import_id: str,
    at: int,
    position: int,
    tally: _Tally,
    broken: str | None,
    *,
    by: Principal,
    now: datetime,
) -> None:
    given = {
        "organisation": by.organisation_id,
        "import_id": import_id,
        "at": at,
        "to": position,
        "now": now,
        "broken": broken or "",
        **{f"more_{name}": n for name, n in tally.counts().items()},
    }
    changed = session.connection().execute(_ADVANCE, given)
    if changed.rowcount != 1:
        raise Conflict("somebody else goes on with this import; nothing of this portion was stored twice")


def _change(session: Session, import_id: str, values: Mapping[str, Any], by: Principal) -> None:
    session.connection().execute(
        update(_imports)
        .where(_imports.c.organisation_id == by.organisation_id, _imports.c.id == import_id)
        .values(**values)
    )


def _row(session: Session, import_id: str, by: Principal) -> Any:
    asked = select(_imports).where(
        _imports.c.organisation_id == by.organisation_id, _imports.c.id == import_id
    )
    row = session.connection().execute(asked).first()
    if row is None:
        raise NotFound("there is no such import")
    return row


def _faults_of(
    session: Session, import_id: str, organisation_id: str, listed: int
) -> list[tuple[bool, RowFault]]:
    asked = (
        select(_faults)
        .where(_faults.c.organisation_id == organisation_id, _faults.c.import_id == import_id)
        .order_by(_faults.c.seq, _faults.c.number)
        .limit(listed)
    )
    return [
        (row.of_row, RowFault(row.line, row.segment, row.element, row.code))
        for row in session.connection().execute(asked)
    ]
