"""Legal holds: nothing of a patient, or of the whole organisation, is removed while one stands.

Compliance places and lifts them, each time with a reason. No hold ends by itself, however old its records
are: that somebody forgot it must not be how evidence goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select, text
from sqlalchemy.orm import Session

from stewardship.db import retention_tables, tables
from stewardship.db.engine import new_id
from stewardship.db.patients import insert_once
from stewardship.domain.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound
from stewardship.domain.people import Principal, Role
from stewardship.services import answers, audit

_holds: Any = retention_tables.LegalHold.__table__
_ends: Any = retention_tables.LegalHoldEnd.__table__
_patients: Any = tables.Patient.__table__

_LONGEST_REASON = 4_000
# Whoever places a hold and whoever removes take turns; released by the commit. The two numbers are the
# lock's name. On SQLite a writer is alone.
_LOCK = text("SELECT pg_advisory_xact_lock(7301828, hashtext(:organisation))")


@dataclass(frozen=True)
class Hold:
    """A hold: ``patient_id`` is the EHR's, ``None`` for the whole organisation."""

    id: str
    patient_id: str | None
    reason: str
    by_user: str
    at: datetime
    lifted_by: str | None = None
    lifted_at: datetime | None = None
    lifted_why: str | None = None

    @property
    def stands(self) -> bool:
        """Whether nobody has lifted it."""
        return self.lifted_at is None


def hold_json(one: Hold) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "id": one.id,
        "patient": one.patient_id,
        "reason": one.reason,
        "by": one.by_user,
        "at": one.at,
        "lifted_by": one.lifted_by,
        "lifted_at": one.lifted_at,
        "lifted_why": one.lifted_why,
    }


def place(
    session: Session,
    *,
    patient: str | None,
    reason: str,
    by: Principal,
    now: datetime,
    hold_id: str | None = None,
) -> Hold:
    """Keep everything about a patient (as the EHR calls him), or everything (``None``), until it is lifted.

    ``hold_id`` is the caller's own name for it, so that a form that is sent twice places one hold. Raises
    ``Forbidden`` for anybody but compliance, ``NotFound`` for a patient who is not on record,
    ``InvalidInput`` without a reason, ``Conflict`` when another hold has that id, or it was lifted.
    """
    only_compliance(by, "place a legal hold")
    words = _reason(reason)
    alone(session, by)
    known = None if patient is None else _patient(session, patient, by)
    row = {
        "organisation_id": by.organisation_id,
        "id": hold_id or new_id(now),
        "patient_id": known,
        "reason": words,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }
    if not insert_once(session, _holds, row):
        first = read(session, str(row["id"]), by=by)
        if (first.patient_id, first.reason, first.by_user) != (patient, words, by.user_id):
            raise Conflict("another hold was placed under this id", code="id-taken")
        if not first.stands:
            raise Conflict("the hold of this id was lifted; place a new one", code="already-lifted")
        return first
    detail = {"patient": known, "reason": audit.keyed_hash(session, words)}
    audit.record(session, "hold.placed", subject=str(row["id"]), by=by, now=now, detail=detail)
    return read(session, str(row["id"]), by=by)


def lift(session: Session, hold_id: str, *, reason: str, by: Principal, now: datetime) -> Hold:
    """End a hold. Raises ``Forbidden`` for anybody but compliance, ``NotFound``, ``InvalidInput`` without a
    reason, ``Conflict`` when it was lifted before."""
    only_compliance(by, "lift a legal hold")
    words = _reason(reason)
    alone(session, by)
    known = read(session, hold_id, by=by)
    row = {
        "organisation_id": by.organisation_id,
        "hold_id": hold_id,
        "reason": words,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }
    if not known.stands or not insert_once(session, _ends, row):
        first = read(session, hold_id, by=by)
        assert first.lifted_at is not None  # noqa: S101 - it was lifted before
        when = answers.instant_json(first.lifted_at)
        raise Conflict(f"the hold was lifted by {first.lifted_by} at {when}", code="already-lifted")
    detail = {"reason": audit.keyed_hash(session, words)}
    audit.record(session, "hold.lifted", subject=hold_id, by=by, now=now, detail=detail)
    return read(session, hold_id, by=by)


def read(session: Session, hold_id: str, *, by: Principal) -> Hold:
    """One hold of the caller's organisation; ``NotFound`` for any other."""
    found = _read(session, by, _holds.c.id == hold_id)
    if not found:
        raise NotFound("no such legal hold")
    return found[0]


def listed(session: Session, *, by: Principal, standing: bool = True) -> tuple[Hold, ...]:
    """The holds that stand, the oldest first; all there ever were unless ``standing``."""
    return tuple(hold for hold in _read(session, by) if hold.stands or not standing)


def holds(organisation_id: str, patient: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a hold stands over a patient (a column), or over everything."""
    lifted = exists().where(
        and_(_ends.c.organisation_id == _holds.c.organisation_id, _ends.c.hold_id == _holds.c.id)
    )
    return exists().where(
        _holds.c.organisation_id == organisation_id,
        or_(_holds.c.patient_id.is_(None), _holds.c.patient_id == patient),
        ~lifted,
    )


def only_compliance(by: Principal, what: str) -> None:
    """Refuse everybody else."""
    if by.role is not Role.COMPLIANCE:
        raise Forbidden(f"only compliance may {what}", code="role")


def alone(session: Session, by: Principal) -> None:
    """Keep everybody else of the organisation from placing holds and from removing, to the end of the
    transaction."""
    if session.get_bind().dialect.name == "postgresql":
        session.connection().execute(_LOCK, {"organisation": by.organisation_id})


def _read(session: Session, by: Principal, *conditions: ColumnElement[bool]) -> list[Hold]:
    of_hold = and_(_ends.c.organisation_id == _holds.c.organisation_id, _ends.c.hold_id == _holds.c.id)
    of_patient = and_(
        _patients.c.organisation_id == _holds.c.organisation_id, _patients.c.id == _holds.c.patient_id
    )
    asked = (
        select(
            _holds.c.id,
            _patients.c.ehr_id,
            _holds.c.reason,
            _holds.c.by_user,
            _holds.c.at,
            _ends.c.by_user.label("lifted_by"),
            _ends.c.at.label("lifted_at"),
            _ends.c.reason.label("lifted_why"),
        )
        .select_from(_holds.outerjoin(_ends, of_hold).outerjoin(_patients, of_patient))
        .where(_holds.c.organisation_id == by.organisation_id, *conditions)
        .order_by(_holds.c.at, _holds.c.id)
    )
    return [Hold(*row) for row in session.connection().execute(asked)]


def _patient(session: Session, ehr_id: str, by: Principal) -> str:
    c = _patients.c
    asked = select(c.id).where(c.organisation_id == by.organisation_id, c.ehr_id == ehr_id)
    found: str | None = session.connection().execute(asked).scalar_one_or_none()
    if found is None:
        fault = Fault("/patient", "not-on-record", "nobody on record has this record number")
        raise NotFound("no such patient is on record", faults=(fault,))
    return found


def _reason(words: str) -> str:
    # Marks that nobody sees are no reason.
    if not any(letter.isalnum() for letter in words) or len(words) > _LONGEST_REASON:
        fault = Fault("/reason", "reason", f"say why, in {_LONGEST_REASON} characters at the most")
        raise InvalidInput("a legal hold is placed and lifted with a reason", faults=(fault,))
    return words.strip()
