"""Where people get mail: by the id under which orders and reviews know them, set by whoever runs the service.

An address is nobody's secret, and nobody's business either: it stands in one table, and in no audit entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from stewardship.db import outreach_tables
from stewardship.db.patients import insert_once
from stewardship.domain.errors import Fault, InvalidInput, NotFound
from stewardship.domain.people import Principal
from stewardship.services import audit, users, worklists

#: As many characters as an address may have (RFC 5321).
_LONGEST = 254

_contacts: Any = outreach_tables.Contact.__table__


def keep(
    session: Session, person: str, *, email: str, escalations: bool = False, by: Principal, now: datetime
) -> None:
    """Say where a person gets mail, and whether they are told of every review that was missed."""
    address = email.strip()
    if not is_address(address):
        raise InvalidInput(
            "that is no address for mail",
            faults=(Fault("/email", "format", "Write a bare address such as name@clinic.example."),),
        )
    row = {
        "organisation_id": by.organisation_id,
        "id": person,
        "email": address,
        "escalations": escalations,
        "updated_at": now,
        "updated_by": by.user_id,
    }
    if not insert_once(session, _contacts, row):
        session.connection().execute(update(_contacts).where(*_mine(person, by)).values(**row))
    detail = {"email": audit.keyed_hash(session, address), "escalations": escalations}
    audit.record(session, "contact.kept", subject=person, by=by, now=now, detail=detail)


def remove(session: Session, person: str, *, by: Principal, now: datetime) -> None:
    """Forget where a person gets mail. What waits for them stays in the outbox, and is given up on later."""
    gone = session.connection().execute(delete(_contacts).where(*_mine(person, by)))
    if gone.rowcount != 1:
        raise NotFound("there is no such contact")
    audit.record(session, "contact.removed", subject=person, by=by, now=now)


def listed(session: Session, *, by: Principal) -> list[Mapping[str, Any]]:
    """The organisation's contacts."""
    asked = select(_contacts).where(_contacts.c.organisation_id == by.organisation_id)
    return [dict(row) for row in session.connection().execute(asked.order_by(_contacts.c.id)).mappings()]


def address_of(session: Session, person: str, *, by: Principal) -> str:
    """Where to write to: the contact's address, else that of the active account of whoever is meant; ``""``
    for nobody whom mail would reach."""
    asked = select(_contacts.c.email).where(*_mine(person, by))
    known: str | None = session.connection().execute(asked).scalar()
    if known:
        return known
    user = worklists.user_of(session, person, by=by)
    return users.email_of(session, user, organisation_id=by.organisation_id) or ""


def told_of_escalations(session: Session, *, by: Principal) -> tuple[str, ...]:
    """Who is told of reviews that were missed."""
    asked = select(_contacts.c.id).where(
        _contacts.c.organisation_id == by.organisation_id, _contacts.c.escalations.is_(True)
    )
    return tuple(session.connection().execute(asked.order_by(_contacts.c.id)).scalars())


def is_address(text: str) -> bool:
    """Whether mail could go there: one address, nothing that a header could be made of."""
    name, at, host = text.rpartition("@")
    plain = text.isascii() and text.isprintable() and not set(text) & set(' ,;:<>()[]\\"')
    return bool(plain and name and at and host and len(text) <= _LONGEST and "@" not in name)


def _mine(person: str, by: Principal) -> list[Any]:
    return [_contacts.c.organisation_id == by.organisation_id, _contacts.c.id == person]
