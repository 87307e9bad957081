"""The outbox: what is to be sent is written together with what caused it, and sent afterwards.

A message is written once (``dedupe_key``), and sent at least once: between the moment at which a server
took it and the moment at which that is written down, a process can die. It is then sent again under the same
id. Whoever sends holds the claim on sending, so a message that is being sent by nobody is known as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from stewardship.db import documents, outreach_tables
from stewardship.db.engine import new_id
from stewardship.db.outreach_tables import MessageStatus
from stewardship.db.patients import insert_once
from stewardship.domain.errors import Conflict, NotFound
from stewardship.domain.people import Principal
from stewardship.services import audit, contacts

#: How long to wait after each failure. After the last one, somebody has to look: some two days in all.
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 480, 720, 1440))
#: While it is the server that fails, and not the message: how long between two tries, and for how long.
SERVER_WAIT, SERVER_FOR = timedelta(hours=1), timedelta(days=7)

_outbox: Any = outreach_tables.OutboxMessage.__table__


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that is to be sent now. ``to`` is ``""`` when nobody knows where its recipient gets mail."""

    id: str
    kind: str
    recipient: str
    to: str
    about: Mapping[str, Any]
    attempts: int
    created_at: datetime


def put(
    session: Session,
    *,
    kind: str,
    recipient: str,
    dedupe_key: str,
    about: Mapping[str, Any],
    by: Principal,
    now: datetime,
) -> bool:
    """Write a message; whether it is new. ``about`` holds ids, days and counts, never a patient's."""
    row = {
        "organisation_id": by.organisation_id,
        "id": new_id(now),
        "kind": kind,
        "recipient": recipient,
        "dedupe_key": dedupe_key,
        "document": documents.encode(dict(about)),
        "status": MessageStatus.PENDING.value,
        "attempts": 0,
        "created_at": now,
        "next_at": now,
        "sent_at": None,
        "error": "",
    }
    if not insert_once(session, _outbox, row):
        return False
    detail = {"kind": kind, "recipient": recipient}
    audit.record(session, "message.written", subject=str(row["id"]), by=by, now=now, detail=detail)
    return True


def waiting(session: Session, *, by: Principal, now: datetime, limit: int) -> list[str]:
    """The ids of messages that are to be sent now, those that wait longest first.

    One that somebody was sending when they died is among them: the caller holds the claim on sending.
    """
    # No wait is longer than the longest: a moment that lies further ahead was set by a clock that was wrong.
    ready = or_(_outbox.c.next_at <= now, _outbox.c.next_at > now + WAITS[-1])
    asked = (
        select(_outbox.c.id)
        .where(
            _outbox.c.organisation_id == by.organisation_id,
            or_(
                _outbox.c.status == MessageStatus.SENDING.value,
                and_(_outbox.c.status == MessageStatus.PENDING.value, ready),
            ),
        )
        .order_by(_outbox.c.next_at, _outbox.c.id)
        .limit(limit)
    )
    return list(session.connection().execute(asked).scalars())


def take(session: Session, message_id: str, *, by: Principal) -> Waiting | None:
    """Take a message to send it; ``None`` when it need not be sent any more."""
    taken = session.connection().execute(
        update(_outbox)
        .where(
            *_mine(message_id, by),
            _outbox.c.status.in_([MessageStatus.PENDING.value, MessageStatus.SENDING.value]),
        )
        .values(status=MessageStatus.SENDING.value, attempts=_outbox.c.attempts + 1)
    )
    if taken.rowcount != 1:
        return None
    row = session.connection().execute(select(_outbox).where(*_mine(message_id, by))).one()
    return Waiting(
        row.id,
        row.kind,
        row.recipient,
        contacts.address_of(session, row.recipient, by=by),
        documents.decode_shown(row.document),
        row.attempts,
        row.created_at,
    )


def sent(session: Session, message: Waiting, *, by: Principal, now: datetime) -> None:
    """A server took it."""
    _end(session, message, MessageStatus.SENT, {"sent_at": now, "error": ""}, by=by)
    detail = {"kind": message.kind, "recipient": message.recipient, "attempts": message.attempts}
    audit.record(session, "message.sent", subject=message.id, by=by, now=now, detail=detail)


def failed(
    session: Session,
    message: Waiting,
    code: str,
    *,
    permanent: bool = False,
    of_server: bool = False,
    by: Principal,
    now: datetime,
) -> MessageStatus:
    """No server took it: it is tried again later, or given up on, and then seen as such.

    ``of_server`` says that the failure is not this message's: it does not use up its tries.
    """
    wait = WAITS[min(message.attempts, len(WAITS)) - 1]
    if of_server:
        again = now - message.created_at < SERVER_FOR
        wait = min(wait, SERVER_WAIT)
    else:
        again = not permanent and message.attempts <= len(WAITS)
    if again:
        _end(session, message, MessageStatus.PENDING, {"next_at": now + wait, "error": code}, by=by)
        return MessageStatus.PENDING
    _end(session, message, MessageStatus.DEAD, {"error": code}, by=by)
    detail = {"kind": message.kind, "recipient": message.recipient, "code": code}
    audit.record(session, "message.given-up", subject=message.id, by=by, now=now, detail=detail)
    return MessageStatus.DEAD


def retry(session: Session, message_id: str, *, by: Principal, now: datetime) -> None:
    """Try a message again that was given up on."""
    again = session.connection().execute(
        update(_outbox)
        .where(*_mine(message_id, by), _outbox.c.status == MessageStatus.DEAD.value)
        .values(status=MessageStatus.PENDING.value, attempts=0, next_at=now)
    )
    if again.rowcount != 1:
        if session.connection().execute(select(_outbox.c.id).where(*_mine(message_id, by))).first() is None:
            raise NotFound("there is no such message")
        raise Conflict("the message was not given up on", code="not-dead")
    audit.record(session, "message.retried", subject=message_id, by=by, now=now)


def counts(session: Session, *, by: Principal) -> dict[str, Any]:
    """How many messages stand where, and since when the oldest of those that are not sent waits."""
    asked = (
        select(_outbox.c.status, func.count(), func.min(_outbox.c.created_at))
        .where(_outbox.c.organisation_id == by.organisation_id)
        .group_by(_outbox.c.status)
    )
    rows = {status: (number, first) for status, number, first in session.connection().execute(asked)}
    unsent = [
        first
        for status, (_, first) in rows.items()
        if status in {MessageStatus.PENDING.value, MessageStatus.SENDING.value}
    ]
    told: dict[str, Any] = {status.value: rows.get(status.value, (0, None))[0] for status in MessageStatus}
    told["waiting_since"] = min(unsent).isoformat(timespec="seconds") if unsent else None
    return told


def dead(session: Session, *, by: Principal, limit: int = 100) -> list[dict[str, Any]]:
    """Messages that were given up on, the newest first: to whom, and why."""
    asked = (
        select(_outbox)
        .where(_outbox.c.organisation_id == by.organisation_id, _outbox.c.status == MessageStatus.DEAD.value)
        .order_by(_outbox.c.created_at.desc(), _outbox.c.id.desc())
        .limit(limit)
    )
    return [
        {
            "id": row.id,
            "kind": row.kind,
            "recipient": row.recipient,
            "created_at": row.created_at.isoformat(timespec="seconds"),
            "attempts": row.attempts,
            "code": row.error,
        }
        for row in session.connection().execute(asked)
    ]


def _end(
    session: Session, message: Waiting, status: MessageStatus, values: Mapping[str, Any], *, by: Principal
) -> None:
    session.connection().execute(
        update(_outbox)
        .where(*_mine(message.id, by), _outbox.c.status == MessageStatus.SENDING.value)
        .values(status=status.value, **values)
    )


def _mine(message_id: str, by: Principal) -> list[Any]:
    return [_outbox.c.organisation_id == by.organisation_id, _outbox.c.id == message_id]
