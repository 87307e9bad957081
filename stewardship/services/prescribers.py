"""The registry of prescribers: certifications with their validity, by National Provider Identifier.

Policies may let an exception rest on a prescriber who is certified; whether somebody is, on a day, is asked
here, and whoever is not in the registry is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Protocol

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from stewardship.db import plan_tables
from stewardship.db.engine import new_id
from stewardship.db.plan_tables import Subject
from stewardship.domain.errors import Conflict, Forbidden
from stewardship.domain.people import Principal
from stewardship.domain.prescribers import (
    BoardTerms,
    CertificationKind,
    Prescriber,
    Qualification,
    checked,
    lacking,
)
from stewardship.services import plan_acts

_prescribers: Any = plan_tables.Prescriber.__table__


class Library(Protocol):
    """The part of the library that says which boards there are."""

    @property
    def boards(self) -> BoardTerms:
        """Boards and qualifications."""
        ...


@dataclass(frozen=True)
class PrescriberRead:
    """A prescriber, and the version of what is known."""

    prescriber: Prescriber
    version: int


def keep(
    session: Session, library: Library, stated: Prescriber, *, by: Principal, now: datetime
) -> tuple[PrescriberRead, bool]:
    """Keep what is known of a prescriber, found by NPI; and whether that was new. What is stated takes the
    place of what was known, of which every version stays."""
    prescriber = checked(stated, library.boards)
    row = _by(session, _prescribers.c.npi == prescriber.npi, by)
    if row is None:
        _refuse_taken(session, prescriber, "", by)
        made = replace(prescriber, id=new_id(now))
        columns = {"npi": made.npi, "user_id": made.user_id or None}
        plan_acts.begin(
            session, Subject.PRESCRIBER, made, record_id=made.id, columns=columns, said=made, by=by, now=now
        )
        return PrescriberRead(made, 1), True
    prescriber = replace(prescriber, id=row.id)
    if plan_acts.decoded(row, Prescriber) == prescriber:
        return PrescriberRead(prescriber, row.version), False
    _refuse_taken(session, prescriber, row.id, by)
    version = plan_acts.change(
        session,
        Subject.PRESCRIBER,
        row,
        prescriber,
        act="restate",
        said=prescriber,
        columns={"user_id": prescriber.user_id or None},
        by=by,
        now=now,
    )
    return PrescriberRead(prescriber, version), True


def keep_all(
    session: Session, library: Library, stated: Iterable[Prescriber], *, by: Principal, now: datetime
) -> tuple[int, int]:
    """Keep many; how many were new or changed, and how many were known so."""
    told = [keep(session, library, one, by=by, now=now)[1] for one in stated]
    return sum(told), len(told) - sum(told)


def read(session: Session, prescriber_id: str, *, by: Principal) -> PrescriberRead:
    """One prescriber of the caller's organisation."""
    row = plan_acts.row_of(session, Subject.PRESCRIBER, prescriber_id, by=by)
    return PrescriberRead(plan_acts.decoded(row, Prescriber), row.version)


def listed(session: Session, *, by: Principal) -> tuple[PrescriberRead, ...]:
    """All prescribers of the caller's organisation, by NPI."""
    asked = (
        select(_prescribers)
        .where(_prescribers.c.organisation_id == by.organisation_id)
        .order_by(_prescribers.c.npi)
    )
    rows = session.connection().execute(asked)
    return tuple(PrescriberRead(plan_acts.decoded(row, Prescriber), row.version) for row in rows)


def lacks(session: Session, qualification: Qualification, *, user: Principal, on: date) -> tuple[str, ...]:
    """What a user lacks for a qualification on a day, in words; nothing when it is there."""
    row = _by(session, _prescribers.c.user_id == user.user_id, user)
    known = None if row is None else plan_acts.decoded(row, Prescriber)
    return lacking(known, qualification, on)


def refuse_unqualified(
    session: Session, path: Mapping[str, Any], *, as_a: str, by: Principal, on: date
) -> None:
    """Refuse a requester or a countersigner who lacks what the exception path (``answers.policy_json``) asks
    of them. The registry is that of the day of the act."""
    asked = path.get("requires")
    if not asked or path["requires_of"] != as_a:
        return
    certifications = frozenset(CertificationKind(kind) for kind in asked["certifications"])
    needs = Qualification(asked["id"], asked["title"], certifications, asked["fellowship_months"])
    missing = lacks(session, needs, user=by, on=on)
    if missing:
        raise Forbidden(
            f"this exception needs a {as_a} who is {needs.title}: {'; '.join(missing)}", code="qualification"
        )


def _by(session: Session, condition: Any, by: Principal) -> Row[Any] | None:
    asked = select(_prescribers).where(_prescribers.c.organisation_id == by.organisation_id, condition)
    return session.connection().execute(asked.with_for_update()).first()


def _refuse_taken(session: Session, prescriber: Prescriber, own_id: str, by: Principal) -> None:
    if not prescriber.user_id:
        return
    row = _by(session, _prescribers.c.user_id == prescriber.user_id, by)
    if row is not None and row.id != own_id:
        raise Conflict("this user is in the registry under another identifier", code="user-taken")
