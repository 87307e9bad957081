"""The pharmacist's work on flags: claim, note, message, resolve with a code, reopen with a reason.

A flag is one person's at a time; whoever comes second is told who has it and since when. Every act goes by
the version of the flag that somebody looked at, is an event that stays, and leaves an audit entry. What is
raised, and when a problem that was settled comes back, is the business of ``flag_raising``; how the queue is
read, of ``flag_queue``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.orm import Session

from stewardship.db import flag_tables, tables
from stewardship.db.engine import new_id
from stewardship.db.patients import insert_once
from stewardship.domain.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound
from stewardship.domain.flags import Flag, FlagKind
from stewardship.domain.flags.kinds import Event, Status
from stewardship.domain.people import Principal, Role
from stewardship.services import audit
from stewardship.services.answers import instant_json
from stewardship.services.flag_queue import (
    Asked,
    FlagRecord,
    Message,
    Page,
    counts,
    flag_json,
    listed,
    message_json,
    messages_for,
    read,
    resolution_times,
)
from stewardship.services.flag_raising import (
    EVERYTHING,
    Changes,
    Library,
    event_row,
    flag_row,
    hold,
    reconcile,
)

__all__ = [
    "EVERYTHING",
    "LONGEST_WORDS",
    "Asked",
    "Changes",
    "FlagRecord",
    "Library",
    "Message",
    "Page",
    "answer",
    "claim",
    "counts",
    "flag_json",
    "listed",
    "message",
    "message_json",
    "messages_for",
    "note",
    "raise_by_hand",
    "read",
    "reconcile",
    "release",
    "reopen",
    "resolution_times",
    "resolve",
]

#: The longest note, message or reason.
LONGEST_WORDS = 2_000

_flags: Any = flag_tables.Flag.__table__
_events: Any = flag_tables.FlagEvent.__table__
_messages: Any = flag_tables.FlagMessage.__table__
_answers: Any = flag_tables.FlagAnswer.__table__
_users: Any = tables.User.__table__
_patients: Any = tables.Patient.__table__
_supplies: Any = tables.Supply.__table__
_orders: Any = tables.Order.__table__


def claim(
    session: Session,
    library: Library,
    flag_id: str,
    *,
    version: int | None = None,
    by: Principal,
    now: datetime,
) -> FlagRecord:
    """Take a flag to work on. Taking one's own again changes nothing.

    Raises ``Conflict`` naming who has it and since when; a claim that is older than the terms allow is taken
    over.
    """
    _only_pharmacists(by, "work on flags")
    row = _row(session, flag_id, by)
    _refuse_resolved(row)
    if row.status == Status.CLAIMED and row.claimed_by == by.user_id:
        return read(session, library, flag_id, by=by)
    _refuse_claimed(row, library, by=by, now=now)
    _refuse_stale(session, row, version)
    values = {"status": Status.CLAIMED.value, "claimed_by": by.user_id, "claimed_at": now}
    detail = {"from": row.claimed_by} if row.claimed_by else {}
    _act(session, row, values, Event.CLAIMED, detail=detail, by=by, now=now)
    return read(session, library, flag_id, by=by)


def release(
    session: Session,
    library: Library,
    flag_id: str,
    *,
    version: int | None = None,
    by: Principal,
    now: datetime,
) -> FlagRecord:
    """Give a flag back to the queue; by whoever has it."""
    _only_pharmacists(by, "work on flags")
    row = _row(session, flag_id, by)
    _refuse_resolved(row)
    if row.claimed_by is None:
        raise Conflict("nobody has this flag", code="not-claimed")
    if row.claimed_by != by.user_id:
        raise _claimed_by(row)
    _refuse_stale(session, row, version)
    _act(session, row, _UNCLAIMED | {"status": Status.OPEN.value}, Event.RELEASED, by=by, now=now)
    return read(session, library, flag_id, by=by)


def note(
    session: Session, library: Library, flag_id: str, words: str, *, by: Principal, now: datetime
) -> FlagRecord:
    """Write down what was found out: by any pharmacist, at any time, whoever has the flag."""
    _only_pharmacists(by, "write a note")
    said = _words(words, "/words")
    row = _row(session, flag_id, by)
    _act(session, row, {}, Event.NOTED, words=said, by=by, now=now)
    return read(session, library, flag_id, by=by)


def message(
    session: Session,
    library: Library,
    flag_id: str,
    words: str,
    *,
    to_user: str,
    by: Principal,
    now: datetime,
) -> FlagRecord:
    """Ask or tell a prescriber; it waits on his worklist until he has seen it.

    Raises ``InvalidInput`` when no prescriber of that id works here.
    """
    _only_pharmacists(by, "write to a prescriber")
    said = _words(words, "/words")
    row = _row(session, flag_id, by)
    known = session.connection().execute(
        select(_users.c.role, _users.c.active).where(
            _users.c.organisation_id == by.organisation_id, _users.c.id == to_user
        )
    )
    user = known.first()
    if user is None or user.role != Role.PRESCRIBER or not user.active:
        raise _invalid("/to", "prescriber", "name a prescriber who works here")
    message_id = new_id(now)
    _act(
        session,
        row,
        {},
        Event.MESSAGED,
        words=said,
        detail={"to": to_user, "message": message_id},
        by=by,
        now=now,
    )
    written = {
        "organisation_id": by.organisation_id,
        "id": message_id,
        "flag_id": flag_id,
        "to_user": to_user,
        "words": said,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }
    session.connection().execute(insert(_messages), written)
    return read(session, library, flag_id, by=by)


def answer(session: Session, message_id: str, words: str = "", *, by: Principal, now: datetime) -> Message:
    """The prescriber has seen a message that was written to him, and says this to it: once.

    Raises ``NotFound`` for anybody else's message, ``Conflict`` when it was answered before.
    """
    said = _words(words, "/words", blank=True)
    mine = (_messages.c.organisation_id == by.organisation_id, _messages.c.id == message_id)
    asked = session.connection().execute(select(_messages).where(*mine, _messages.c.to_user == by.user_id))
    written = asked.first()
    if written is None:
        raise NotFound("there is no such message")
    given = {
        "organisation_id": by.organisation_id,
        "message_id": message_id,
        "words": said,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }
    if not insert_once(session, _answers, given):
        raise Conflict("this message was answered before", code="answered")
    row = _row(session, written.flag_id, by)
    _act(session, row, {}, Event.ANSWERED, words=said, detail={"message": message_id}, by=by, now=now)
    (found,) = messages_for(session, by=by, message_id=message_id)
    return found


def resolve(
    session: Session,
    library: Library,
    flag_id: str,
    code: str,
    *,
    words: str = "",
    version: int | None = None,
    by: Principal,
    now: datetime,
) -> FlagRecord:
    """End the work on a flag with one of the declared codes, and a note where the code asks for one.

    By whoever has it, or by anybody when nobody has. Raises ``Conflict`` when somebody else has it or has
    ended it, and when it changed since ``version``: what was looked at then is not what is settled.
    """
    _only_pharmacists(by, "resolve a flag")
    codes = {c: r for c, r in library.flags.work.resolutions.items() if r.by_hand}
    if code not in codes:
        raise _invalid("/code", "resolution", f"give one of the codes: {', '.join(codes)}")
    said = _words(words, "/words", blank=not codes[code].needs_note)
    row = _row(session, flag_id, by)
    _refuse_resolved(row)
    _refuse_claimed(row, library, by=by, now=now)
    _refuse_stale(session, row, version)
    values = {
        "status": Status.RESOLVED.value,
        "resolution": code,
        "resolved_by": by.user_id,
        "resolved_at": now,
    }
    seconds = int((now - row.opened_at).total_seconds())
    detail = {"seconds": seconds, "late": now > row.due_at}
    _act(
        session,
        row,
        _UNCLAIMED | values,
        Event.RESOLVED,
        code=code,
        words=said,
        detail=detail,
        by=by,
        now=now,
    )
    return read(session, library, flag_id, by=by)


def reopen(
    session: Session,
    library: Library,
    flag_id: str,
    reason: str,
    *,
    version: int | None = None,
    by: Principal,
    now: datetime,
) -> FlagRecord:
    """Take a resolution back, with the reason; the flag is open again, and due as if it were new.

    Raises ``Conflict`` when it is not resolved, or when the problem has another flag since.
    """
    _only_pharmacists(by, "reopen a flag")
    said = _words(reason, "/reason")
    row = _row(session, flag_id, by)
    if row.status != Status.RESOLVED:
        raise Conflict("this flag is not resolved", code="not-resolved")
    _refuse_stale(session, row, version)
    hold(session, [row.patient_id], by=by)
    other = session.connection().execute(
        select(_flags.c.id).where(
            _flags.c.organisation_id == by.organisation_id,
            _flags.c.patient_id == row.patient_id,
            _flags.c.key == row.key,
            _flags.c.status != Status.RESOLVED.value,
        )
    )
    if (newer := other.scalar()) is not None:
        raise Conflict(f"the same problem has the flag {newer} since: work on that one", code="newer-flag")
    values = {
        "status": Status.OPEN.value,
        "due_at": _due(library, row, now),
        **dict.fromkeys(("resolution", "resolved_by", "resolved_at", "merged_into")),
    }
    _act(session, row, values, Event.REOPENED, code=row.resolution, words=said, by=by, now=now)
    return read(session, library, flag_id, by=by)


def raise_by_hand(
    session: Session,
    library: Library,
    patient_id: str,
    kind: str,
    label: str,
    words: str,
    *,
    on: date | None = None,
    by: Principal,
    now: datetime,
) -> FlagRecord:
    """Flag what no record shows: a prescription's face, its presentation. It labels the supply or order
    ``label`` of the patient (our id), never the patient; the words are its evidence.

    Raises ``Conflict`` when the same problem is flagged already, ``NotFound`` for a label that is not his.
    """
    _only_pharmacists(by, "raise a flag")
    work = library.flags.work
    if (declared := work.kinds.get(kind)) is None or not declared.by_hand:
        raise _invalid("/kind", "kind", f"give one of: {', '.join(_by_hand(library))}")
    said = _words(words, "/words")
    hold(session, [patient_id], by=by)
    if not _is_his(session, patient_id, label, by):
        raise NotFound("the patient has no such supply and no such order")
    day = on or now.date()
    if day > now.date():
        raise _invalid("/on", "day", "give a day that has come")
    flag = Flag(kind, label, day, day, (label,), {})
    row = flag_row(work, patient_id, flag, source="hand", by=by, now=now)
    if not insert_once(session, _flags, row):
        raise Conflict("the same problem is flagged already", code="flagged")
    flag_id = row["id"]
    event = event_row(flag_id, 1, Event.OPENED, words=said, detail={"source": "hand"}, by=by, now=now)
    session.connection().execute(insert(_events), event)
    detail = {"kind": kind, "words": audit.keyed_hash(session, said)}
    audit.record(session, "flag.opened", subject=flag_id, by=by, now=now, detail=detail)
    return read(session, library, flag_id, by=by)


def _by_hand(library: Library) -> list[str]:
    kinds: Mapping[str, FlagKind] = library.flags.work.kinds
    return [kind.kind for kind in kinds.values() if kind.by_hand]


def _is_his(session: Session, patient_id: str, label: str, by: Principal) -> bool:
    for table, name in ((_supplies, "source_id"), (_orders, "id")):
        asked = select(table.c.patient_id).where(
            table.c.organisation_id == by.organisation_id,
            table.c.patient_id == patient_id,
            table.c[name] == label,
        )
        if session.connection().execute(asked).first() is not None:
            return True
    return False


# --- one act -------------------------------------------------------------------------------------

_UNCLAIMED: dict[str, Any] = {"claimed_by": None, "claimed_at": None}


def _act(
    session: Session,
    row: Row[Any],
    values: Mapping[str, Any],
    event: Event,
    *,
    code: str = "",
    words: str = "",
    detail: Mapping[str, Any] | None = None,
    by: Principal,
    now: datetime,
) -> None:
    """Change a flag as it was read, and write down what happened, here and in the audit."""
    changed = session.connection().execute(
        update(_flags)
        .where(*_is(row.id, by), _flags.c.version == row.version)
        .values(**values, version=row.version + 1)
    )
    if changed.rowcount != 1:
        raise _changed(session, _row(session, row.id, by))
    made = event_row(row.id, row.version + 1, event, code=code, words=words, detail=detail, by=by, now=now)
    session.connection().execute(insert(_events), made)
    told: dict[str, Any] = {"kind": row.kind, **(detail or {})}
    if code:
        told["code"] = code
    if words:
        told["words"] = audit.keyed_hash(session, words)
    audit.record(session, f"flag.{event.value}", subject=row.id, by=by, now=now, detail=told)


def _row(session: Session, flag_id: str, by: Principal) -> Row[Any]:
    # Two who act at once are taken one after the other, so that the second sees what the first did.
    row = session.connection().execute(select(_flags).where(*_is(flag_id, by)).with_for_update()).first()
    if row is None:
        raise NotFound("there is no such flag")
    return row


def _is(flag_id: str, by: Principal) -> tuple[Any, ...]:
    return _flags.c.organisation_id == by.organisation_id, _flags.c.id == flag_id


def _due(library: Library, row: Row[Any], now: datetime) -> datetime:
    if row.kind in library.flags.work.kinds:
        return library.flags.work.due(row.kind, now)
    # A kind that is no longer declared has the time that it had.
    given: timedelta = row.due_at - row.opened_at
    return now + given


# --- what is refused -----------------------------------------------------------------------------


def _only_pharmacists(by: Principal, what: str) -> None:
    if by.role is not Role.PHARMACIST:
        raise Forbidden(f"only a pharmacist may {what}", code="role")


def _refuse_resolved(row: Row[Any]) -> None:
    if row.status == Status.RESOLVED:
        words = f"{row.resolved_by} resolved this flag at {instant_json(row.resolved_at)}: {row.resolution}"
        raise Conflict(words, code="resolved")


def _refuse_claimed(row: Row[Any], library: Library, *, by: Principal, now: datetime) -> None:
    lapsed = timedelta(hours=library.flags.work.claim_hours)
    if row.claimed_by not in {None, by.user_id} and now < row.claimed_at + lapsed:
        raise _claimed_by(row)


def _claimed_by(row: Row[Any]) -> Conflict:
    return Conflict(f"{row.claimed_by} has this flag since {instant_json(row.claimed_at)}", code="claimed")


def _refuse_stale(session: Session, row: Row[Any], version: int | None) -> None:
    if version is not None and version != row.version:
        raise _changed(session, row)


def _changed(session: Session, row: Row[Any]) -> Conflict:
    """Who changed it last, and when."""
    asked = select(_events).where(
        _events.c.organisation_id == row.organisation_id, _events.c.flag_id == row.id
    )
    last = session.connection().execute(asked.order_by(_events.c.seq.desc()).limit(1)).one()
    return Conflict(
        f"this flag was {last.event} by {last.by_user} at {instant_json(last.at)}: look at it again",
        code="changed",
    )


def _words(text: str, pointer: str, *, blank: bool = False) -> str:
    """Free text as it is kept: trimmed, not too long, and something to read unless it may be blank."""
    trimmed = text.strip()
    if len(trimmed) > LONGEST_WORDS or "\x00" in trimmed:
        raise _invalid(pointer, "text", f"write at most {LONGEST_WORDS} characters, none of them NUL")
    if not blank and not any(unicodedata.category(c)[0] not in "CZM" for c in trimmed):
        raise _invalid(pointer, "words-required", "say it in words: what is not written down did not happen")
    return trimmed


def _invalid(pointer: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(message, faults=(Fault(pointer, code, message),))
