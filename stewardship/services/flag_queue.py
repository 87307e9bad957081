"""The queue of flags as it is read: listed, filtered, sorted and counted, one flag with all that happened,
a prescriber's messages, and how long flags took to resolve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any, Literal

from sqlalchemy import Row, Select, and_, case, func, select
from sqlalchemy.orm import Session

from stewardship.db import documents, flag_tables, tables
from stewardship.domain.errors import NotFound
from stewardship.domain.flags.kinds import GONE, MERGED, Event, Status
from stewardship.domain.people import Principal
from stewardship.services.answers import instant_json
from stewardship.services.flag_raising import Library

#: The most flags that one page lists.
MOST_LISTED = 200
UNRESOLVED = (Status.OPEN, Status.CLAIMED)

_flags: Any = flag_tables.Flag.__table__
_events: Any = flag_tables.FlagEvent.__table__
_messages: Any = flag_tables.FlagMessage.__table__
_answers: Any = flag_tables.FlagAnswer.__table__
_patients: Any = tables.Patient.__table__


@dataclass(frozen=True, slots=True)
class Asked:
    """Which flags to list, and in which order: ``weight`` (the heaviest, then the oldest), ``age`` (the
    oldest), ``due`` (the next due), ``newest``. ``mine`` are those that the caller has claimed; ``patient``
    is our own id."""

    status: Sequence[Status] = UNRESOLVED
    kinds: Sequence[str] = ()
    least_weight: int = 1
    opened_before: datetime | None = None
    mine: bool = False
    overdue: bool = False
    patient: str = ""
    sort: Literal["weight", "age", "due", "newest"] = "weight"
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened to a flag."""

    seq: int
    event: Event
    code: str
    words: str
    detail: Mapping[str, Any]
    by_user: str
    by_role: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """A word to a prescriber about a flag, and that he has seen it."""

    id: str
    flag_id: str
    kind: str
    title: str
    patient: str
    to_user: str
    words: str
    by_user: str
    at: datetime
    answered_at: datetime | None
    answer: str


@dataclass(frozen=True, slots=True)
class FlagRecord:
    """A flag as it stands. ``patient`` is our own id, for addresses; ``patient_id`` the EHR's. ``gone`` says
    that the record no longer shows the problem, which somebody is working on. ``history`` and ``messages``
    are there when one flag is read."""

    id: str
    patient: str
    patient_id: str
    kind: str
    title: str
    source: str
    label: str
    first_on: date
    last_on: date
    weight: int
    status: Status
    raised_by: str
    supplies: tuple[str, ...]
    facts: Mapping[str, Any]
    complete: bool
    gone: bool
    opened_at: datetime
    due_at: datetime
    claimed_by: str | None
    claimed_at: datetime | None
    resolution: str | None
    resolved_by: str | None
    resolved_at: datetime | None
    again_of: str | None
    merged_into: str | None
    version: int
    history: tuple[Happened, ...] = ()
    messages: tuple[Message, ...] = ()

    def overdue(self, now: datetime) -> bool:
        """Whether it should have been resolved by now."""
        return self.status is not Status.RESOLVED and self.due_at < now

    @property
    def took(self) -> timedelta | None:
        """How long it took from being raised to its resolution."""
        return None if self.resolved_at is None else self.resolved_at - self.opened_at


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the flags that were asked for, and how many there are."""

    flags: tuple[FlagRecord, ...]
    total: int


def listed(session: Session, library: Library, asked: Asked, *, by: Principal, now: datetime) -> Page:
    """The flags of the caller's organisation that were asked for."""
    where = _where(asked, by=by, now=now)
    found = _joined().where(*where).order_by(*_ORDERS[asked.sort])
    page = found.limit(min(asked.limit, MOST_LISTED)).offset(asked.offset)
    rows = session.connection().execute(page).all()
    total = session.connection().execute(select(func.count()).select_from(_flags).where(*where)).scalar_one()
    return Page(tuple(_record(row, library) for row in rows), total)


def _where(asked: Asked, *, by: Principal, now: datetime) -> list[Any]:
    where = [
        _flags.c.organisation_id == by.organisation_id,
        _flags.c.status.in_([status.value for status in asked.status]),
    ]
    if asked.kinds:
        where.append(_flags.c.kind.in_([str(kind) for kind in asked.kinds]))
    if asked.least_weight > 1:
        where.append(_flags.c.weight >= asked.least_weight)
    if asked.opened_before is not None:
        where.append(_flags.c.opened_at < asked.opened_before)
    if asked.mine:
        where.append(_flags.c.claimed_by == by.user_id)
    if asked.overdue:
        where += [_flags.c.due_at < now, _flags.c.status != Status.RESOLVED.value]
    if asked.patient:
        where.append(_flags.c.patient_id == asked.patient)
    return where


_ORDERS: Mapping[str, tuple[Any, ...]] = {
    "weight": (_flags.c.weight.desc(), _flags.c.opened_at, _flags.c.id),
    "age": (_flags.c.opened_at, _flags.c.id),
    "due": (_flags.c.due_at, _flags.c.id),
    "newest": (_flags.c.opened_at.desc(), _flags.c.id.desc()),
}


def read(session: Session, library: Library, flag_id: str, *, by: Principal) -> FlagRecord:
    """One flag of the caller's organisation, with everything that happened to it."""
    mine = (_flags.c.organisation_id == by.organisation_id, _flags.c.id == flag_id)
    row = session.connection().execute(_joined().where(*mine)).first()
    if row is None:
        raise NotFound("there is no such flag")
    asked = select(_events).where(
        _events.c.organisation_id == by.organisation_id, _events.c.flag_id == flag_id
    )
    happened = tuple(
        Happened(
            e.seq,
            Event(e.event),
            e.code,
            e.words,
            documents.decode_shown(e.detail),
            e.by_user,
            e.by_role,
            e.at,
        )
        for e in session.connection().execute(asked.order_by(_events.c.seq))
    )
    written = _asked_messages(by).where(_messages.c.flag_id == flag_id)
    messages = tuple(_message(m, library) for m in session.connection().execute(written))
    return _record(row, library, happened, messages)


def counts(session: Session, *, by: Principal, now: datetime) -> dict[str, Any]:
    """How many flags wait: by kind, by weight, overdue, claimed, and the caller's own."""
    late = func.sum(case((_flags.c.due_at < now, 1), else_=0))
    own = func.sum(case((_flags.c.claimed_by == by.user_id, 1), else_=0))
    claimed = func.sum(case((_flags.c.status == Status.CLAIMED.value, 1), else_=0))
    asked = (
        select(
            _flags.c.kind,
            _flags.c.weight,
            func.count().label("flags"),
            late.label("overdue"),
            own.label("mine"),
            claimed.label("claimed"),
        )
        .where(_flags.c.organisation_id == by.organisation_id, _flags.c.status != Status.RESOLVED.value)
        .group_by(_flags.c.kind, _flags.c.weight)
    )
    told: dict[str, Any] = {"total": 0, "overdue": 0, "mine": 0, "claimed": 0, "kinds": {}, "weights": {}}
    for row in session.connection().execute(asked):
        told["total"] += row.flags
        for name in ("overdue", "mine", "claimed"):
            told[name] += int(getattr(row, name))
        told["kinds"][row.kind] = told["kinds"].get(row.kind, 0) + row.flags
        told["weights"][str(row.weight)] = told["weights"].get(str(row.weight), 0) + row.flags
    return told


def messages_for(
    session: Session,
    library: Library | None = None,
    *,
    by: Principal,
    unanswered: bool = False,
    message_id: str | None = None,
) -> tuple[Message, ...]:
    """What was written to the caller, the newest first."""
    asked = _asked_messages(by).where(_messages.c.to_user == by.user_id)
    if message_id is not None:
        asked = asked.where(_messages.c.id == message_id)
    if unanswered:
        asked = asked.where(_answers.c.at.is_(None))
    rows = session.connection().execute(asked.order_by(_messages.c.at.desc(), _messages.c.id.desc())).all()
    return tuple(_message(row, library) for row in rows)


@dataclass(frozen=True, slots=True)
class Took:
    """How long flags of a kind took from being raised to their resolution by a person: how many, the median
    and the longest, and how many were late. ``codes`` counts the resolutions."""

    kind: str
    resolved: int
    median: timedelta
    longest: timedelta
    late: int
    codes: Mapping[str, int] = field(default_factory=dict)


def resolution_times(
    session: Session, *, since: datetime, until: datetime, by: Principal
) -> tuple[Took, ...]:
    """The time to resolution of the flags that people resolved from ``since`` until before ``until``."""
    asked = select(
        _flags.c.kind, _flags.c.opened_at, _flags.c.due_at, _flags.c.resolved_at, _flags.c.resolution
    ).where(
        _flags.c.organisation_id == by.organisation_id,
        _flags.c.status == Status.RESOLVED.value,
        _flags.c.resolution.not_in([GONE, MERGED]),
        _flags.c.resolved_at >= since,
        _flags.c.resolved_at < until,
    )
    by_kind: dict[str, list[Any]] = {}
    for row in session.connection().execute(asked.order_by(_flags.c.kind, _flags.c.resolved_at)):
        by_kind.setdefault(row.kind, []).append(row)
    told = []
    for kind, rows in by_kind.items():
        took = [row.resolved_at - row.opened_at for row in rows]
        codes: dict[str, int] = {}
        for row in rows:
            codes[row.resolution] = codes.get(row.resolution, 0) + 1
        late = sum(1 for row in rows if row.resolved_at > row.due_at)
        told.append(Took(kind, len(rows), median(took), max(took), late, codes))
    return tuple(told)


# --- rows ----------------------------------------------------------------------------------------


def _joined() -> Select[Any]:
    return select(_flags, _patients.c.ehr_id).join(
        _patients,
        and_(_patients.c.organisation_id == _flags.c.organisation_id, _patients.c.id == _flags.c.patient_id),
    )


def _asked_messages(by: Principal) -> Select[Any]:
    return (
        select(
            _messages,
            _flags.c.kind,
            _flags.c.patient_id,
            _answers.c.at.label("answered_at"),
            _answers.c.words.label("answer"),
        )
        .join(
            _flags,
            and_(_flags.c.organisation_id == _messages.c.organisation_id, _flags.c.id == _messages.c.flag_id),
        )
        .outerjoin(
            _answers,
            and_(
                _answers.c.organisation_id == _messages.c.organisation_id,
                _answers.c.message_id == _messages.c.id,
            ),
        )
        .where(_messages.c.organisation_id == by.organisation_id)
    )


def _message(row: Row[Any], library: Library | None) -> Message:
    return Message(
        row.id,
        row.flag_id,
        row.kind,
        title_of(library, row.kind),
        row.patient_id,
        row.to_user,
        row.words,
        row.by_user,
        row.at,
        row.answered_at,
        row.answer or "",
    )


def title_of(library: Library | None, kind: str) -> str:
    """What a kind is called; one that is no longer declared is called by its word."""
    declared = None if library is None else library.flags.work.kinds.get(kind)
    return kind if declared is None else declared.title


def _record(
    row: Row[Any],
    library: Library,
    history: tuple[Happened, ...] = (),
    messages: tuple[Message, ...] = (),
) -> FlagRecord:
    evidence = documents.decode_shown(row.evidence)
    declared = library.flags.work.kinds.get(row.kind)
    return FlagRecord(
        id=row.id,
        patient=row.patient_id,
        patient_id=row.ehr_id,
        kind=row.kind,
        title=title_of(library, row.kind),
        source="" if declared is None else declared.source,
        label=row.label,
        first_on=row.first_on,
        last_on=row.last_on,
        weight=row.weight,
        status=Status(row.status),
        raised_by=row.source,
        supplies=tuple(evidence["supplies"]),
        facts=evidence["facts"],
        complete=evidence["complete"],
        gone=bool(evidence.get("gone")),
        opened_at=row.opened_at,
        due_at=row.due_at,
        claimed_by=row.claimed_by,
        claimed_at=row.claimed_at,
        resolution=row.resolution,
        resolved_by=row.resolved_by,
        resolved_at=row.resolved_at,
        again_of=row.again_of,
        merged_into=row.merged_into,
        version=row.version,
        history=history,
        messages=messages,
    )


# --- in words ------------------------------------------------------------------------------------


def flag_json(record: FlagRecord, *, now: datetime, whole: bool = False) -> dict[str, Any]:
    """A flag as the faces show it; ``whole`` with everything that happened to it."""
    told = {
        "id": record.id,
        "patient": record.patient,
        "patient_id": record.patient_id,
        "kind": record.kind,
        "title": record.title,
        "source": record.source,
        "label": record.label,
        "first_on": record.first_on.isoformat(),
        "last_on": record.last_on.isoformat(),
        "weight": record.weight,
        "status": record.status.value,
        "raised_by": record.raised_by,
        "supplies": list(record.supplies),
        "facts": dict(record.facts),
        "complete": record.complete,
        "gone": record.gone,
        "opened_at": instant_json(record.opened_at),
        "due_at": instant_json(record.due_at),
        "overdue": record.overdue(now),
        "claimed_by": record.claimed_by,
        "claimed_at": record.claimed_at and instant_json(record.claimed_at),
        "resolution": record.resolution,
        "resolved_by": record.resolved_by,
        "resolved_at": record.resolved_at and instant_json(record.resolved_at),
        "took_seconds": None if record.took is None else int(record.took.total_seconds()),
        "again_of": record.again_of,
        "merged_into": record.merged_into,
        "version": record.version,
    }
    if whole:
        told["history"] = [
            {
                "seq": one.seq,
                "event": one.event.value,
                "code": one.code,
                "words": one.words,
                "detail": dict(one.detail),
                "by": one.by_user,
                "role": one.by_role,
                "at": instant_json(one.at),
            }
            for one in record.history
        ]
        told["messages"] = [message_json(one) for one in record.messages]
    return told


def message_json(message: Message) -> dict[str, Any]:
    """A message as the faces show it."""
    return {
        "id": message.id,
        "flag": message.flag_id,
        "kind": message.kind,
        "title": message.title,
        "patient": message.patient,
        "to": message.to_user,
        "words": message.words,
        "by": message.by_user,
        "at": instant_json(message.at),
        "answered_at": message.answered_at and instant_json(message.answered_at),
        "answer": message.answer,
    }
