"""Links with which a patient fills in one instrument, once, without an account.

The link is a random token and its signature: nothing in it says whom or what it is about, and one that was
made up is refused without asking the database, where only the token's hash is kept. Looking at a link uses
nothing up, for mail scanners look at links too; answering does.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Any, Protocol

from itsdangerous import BadSignature, Signer
from sqlalchemy import Row, and_, insert, select, update
from sqlalchemy.orm import Session

from stewardship.db import outreach_tables, tables
from stewardship.db.charts import known_patient
from stewardship.db.engine import new_id
from stewardship.domain.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound, Unavailable
from stewardship.domain.instruments import Instrument, Measures, Wording
from stewardship.domain.measurements import Measured, Reporter
from stewardship.domain.people import Principal, Role
from stewardship.domain.reviews import OPEN
from stewardship.services import audit, measurements, reassessments
from stewardship.services.measurements import Measures as Measuring

#: How long a link is good when nothing is said, and at most.
LIFE, LONGEST_LIFE = timedelta(days=14), timedelta(days=60)

_MAY_ISSUE = (Role.PRESCRIBER, Role.PHARMACIST)
#: What the signature is for: one made for anything else is none here.
_PURPOSE = "questionnaire-link"

_links: Any = outreach_tables.QuestionnaireLink.__table__
_patients: Any = tables.Patient.__table__
_organisations: Any = tables.Organisation.__table__


class LinkState(StrEnum):
    """Whether a link can be answered."""

    OPEN = "open"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Forms(Protocol):
    """The part of the library that knows instruments."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """All of them, by id."""
        ...


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it stands. ``patient_id`` is the EHR's; ``organisation`` the name that the patient knows."""

    id: str
    organisation_id: str
    organisation: str
    patient_id: str
    instrument: str
    review_id: str | None
    issued_at: datetime
    issued_by: str
    issued_role: str
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None

    def state(self, now: datetime) -> LinkState:
        """Whether it can be answered at a moment."""
        if self.used_at is not None:
            return LinkState.USED
        if self.revoked_at is not None:
            return LinkState.REVOKED
        return LinkState.OPEN if now < self.expires_at else LinkState.EXPIRED


def issue(
    session: Session,
    library: Forms,
    patient_id: str,
    instrument_id: str,
    *,
    secret: str,
    review_id: str | None = None,
    life: timedelta = LIFE,
    by: Principal,
    now: datetime,
) -> tuple[Link, str]:
    """Make a link for a patient on record (the EHR's id) and return it with its token, which cannot be
    shown again. Raises ``InvalidInput`` for an instrument that is not for patients to fill in alone,
    ``NotFound`` for a patient or a review of theirs that is not known."""
    if by.role not in _MAY_ISSUE:
        raise Forbidden(f"a link is made by: {', '.join(_MAY_ISSUE)}", code="role")
    form(library, instrument_id)
    if not timedelta(0) < life <= LONGEST_LIFE:
        raise _invalid("/days", "range", f"A link is good for 1 to {LONGEST_LIFE.days} days.")
    known = known_patient(session, organisation_id=by.organisation_id, patient_id=patient_id)
    if known.id is None:
        raise NotFound("there is no such patient on record")
    if review_id is not None:
        review = reassessments.read(session, review_id, by=by)
        if review.patient_id != patient_id:
            raise NotFound("there is no such review")
        if review.review.state not in OPEN:
            raise Conflict(f"the review is {review.review.state}", code="closed")
    token = secrets.token_urlsafe(32)
    row = {
        "organisation_id": by.organisation_id,
        "id": new_id(now),
        "token_hash": _hash(token),
        "patient_id": known.id,
        "instrument": instrument_id,
        "review_id": review_id,
        "issued_at": now,
        "issued_by": by.user_id,
        "issued_role": by.role.value,
        "expires_at": now + life,
    }
    signed = _signer(secret).sign(token).decode()
    session.connection().execute(insert(_links), row)
    detail = {"instrument": instrument_id, "review": review_id, "expires_at": row["expires_at"]}
    audit.record(session, "questionnaire-link.issued", subject=str(row["id"]), by=by, now=now, detail=detail)
    return read(session, str(row["id"]), by=by), signed


def form(library: Forms, instrument_id: str) -> Instrument:
    """The instrument, if a patient may be shown its items. Licensed items are never printed, and a tool of
    risk is for talking about."""
    instrument = library.instruments.get(instrument_id)
    if instrument is None:
        raise _invalid("/instrument", "unknown", "There is no such instrument.")
    if instrument.wording is Wording.NONE:
        raise _invalid("/instrument", "licensed", "Its items are licensed: only its result is entered here.")
    if instrument.measures is Measures.RISK:
        raise _invalid("/instrument", "not-alone", "It is filled in together with a clinician.")
    return instrument


def revoke(session: Session, link_id: str, *, by: Principal, now: datetime) -> Link:
    """End a link at once. Raises ``Conflict`` for one that was answered; twice is as once."""
    known = read(session, link_id, by=by)
    if by.role not in _MAY_ISSUE:
        raise Forbidden(f"a link is revoked by: {', '.join(_MAY_ISSUE)}", code="role")
    ended = session.connection().execute(
        update(_links)
        .where(*_mine(link_id, by), _links.c.used_at.is_(None), _links.c.revoked_at.is_(None))
        .values(revoked_at=now, revoked_by=by.user_id)
    )
    if ended.rowcount == 1:
        audit.record(session, "questionnaire-link.revoked", subject=link_id, by=by, now=now)
    elif known.used_at is not None:
        raise Conflict("the link was answered", code="used")
    return read(session, link_id, by=by)


def read(session: Session, link_id: str, *, by: Principal) -> Link:
    """One link of the caller's organisation."""
    asked = _asked().where(*_mine(link_id, by))
    row = session.connection().execute(asked).first()
    if row is None:
        raise NotFound("there is no such link")
    return _link(row)


def of_patient(session: Session, patient: str, *, by: Principal, limit: int = 50) -> tuple[Link, ...]:
    """The links of a patient (our own id), the newest first; their tokens are not kept."""
    asked = (
        _asked()
        .where(_links.c.organisation_id == by.organisation_id, _links.c.patient_id == patient)
        .order_by(_links.c.issued_at.desc(), _links.c.id.desc())
        .limit(limit)
    )
    return tuple(_link(row) for row in session.connection().execute(asked))


def find(session: Session, signed: str, *, secret: str) -> Link | None:
    """The link of a token; ``None`` for one that was never issued."""
    token = _opened(signed, secret)
    if token is None:
        return None
    row = session.connection().execute(_asked().where(_links.c.token_hash == _hash(token))).first()
    return None if row is None else _link(row)


def answer(
    session: Session,
    library: Measuring,
    signed: str,
    answers: Mapping[str, Decimal | None],
    *,
    secret: str,
    now: datetime,
) -> Measured:
    """Keep a patient's answers and use the link up: one transaction, so that either both happen or neither.

    Raises ``NotFound`` for a token that was never issued, ``Conflict`` when the link is used (also by
    somebody who was quicker), expired or revoked, ``InvalidInput`` for answers that are none.
    """
    link = find(session, signed, secret=secret)
    if link is None:
        raise NotFound("there is no such link")
    used = session.connection().execute(
        update(_links)
        .where(
            _links.c.organisation_id == link.organisation_id,
            _links.c.id == link.id,
            _links.c.used_at.is_(None),
            _links.c.revoked_at.is_(None),
            _links.c.expires_at > now,
        )
        .values(used_at=now)
    )
    if used.rowcount != 1:
        again = find(session, signed, secret=secret) or link
        raise Conflict("the link cannot be answered any more", code=again.state(now).value)
    # Nobody is signed in: the link acts, with the role of whoever gave it out.
    by = Principal(f"link-{link.id}", link.organisation_id, Role(link.issued_role))
    measured = measurements.record(
        session,
        library,
        link.patient_id,
        link.instrument,
        answers,
        taken_at=now,
        source=Reporter.PATIENT,
        by=by,
        now=now,
    )
    detail = {"measurement": measured.id, "instrument": link.instrument, "issued_by": link.issued_by}
    audit.record(session, "questionnaire-link.answered", subject=link.id, by=by, now=now, detail=detail)
    return measured


def link_json(link: Link, *, now: datetime) -> dict[str, Any]:
    """A link for whoever looks after the patient; its token is nowhere in it."""

    def instant(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat()

    return {
        "id": link.id,
        "patient_id": link.patient_id,
        "instrument": link.instrument,
        "review": link.review_id,
        "state": link.state(now).value,
        "issued_at": instant(link.issued_at),
        "issued_by": link.issued_by,
        "expires_at": instant(link.expires_at),
        "used_at": instant(link.used_at),
        "revoked_at": instant(link.revoked_at),
        "revoked_by": link.revoked_by,
    }


def _signer(secret: str) -> Signer:
    if not secret:
        raise Unavailable(
            "links cannot be made: STEWARDSHIP_SECRET_KEY is not set", code="secret-key-missing"
        )
    return Signer(secret, salt=_PURPOSE, key_derivation="hmac", digest_method=sha256)


def _opened(signed: str, secret: str) -> str | None:
    try:
        return _signer(secret).unsign(signed).decode()
    except (BadSignature, UnicodeError):
        return None


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _asked() -> Any:
    return (
        select(_links, _patients.c.ehr_id, _organisations.c.name.label("organisation"))
        .join(
            _patients,
            and_(
                _patients.c.organisation_id == _links.c.organisation_id,
                _patients.c.id == _links.c.patient_id,
            ),
        )
        .join(_organisations, _organisations.c.id == _links.c.organisation_id)
    )


def _link(row: Row[Any]) -> Link:
    return Link(
        id=row.id,
        organisation_id=row.organisation_id,
        organisation=row.organisation,
        patient_id=row.ehr_id,
        instrument=row.instrument,
        review_id=row.review_id,
        issued_at=row.issued_at,
        issued_by=row.issued_by,
        issued_role=row.issued_role,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
    )


def _mine(link_id: str, by: Principal) -> list[Any]:
    return [_links.c.organisation_id == by.organisation_id, _links.c.id == link_id]


def _invalid(pointer: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(message, faults=(Fault(pointer, code, message),))
