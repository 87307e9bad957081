"""Patients as people look them up: found by what they know of them, opened, and who looked is on record.

A page names a patient by our own random id. Names stand with the identities that pharmacies and records
gave; where no source has named a patient there is only the number of the EHR's record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from sqlalchemy import Row, func, or_, select
from sqlalchemy.orm import Session

from stewardship.db import charts, documents, import_tables, sparse, tables
from stewardship.db.engine import begin_writing
from stewardship.domain.chart import Chart, Gap
from stewardship.domain.dispensings import Identity
from stewardship.domain.errors import Fault, InvalidInput, NotFound
from stewardship.domain.matching import fold
from stewardship.domain.orders import Order
from stewardship.domain.people import Principal
from stewardship.domain.policy import Decision, Disposition, Policy
from stewardship.domain.signing import judge
from stewardship.services import audit
from stewardship.services.matching import UNNAMED

#: More than this nobody reads through: the search has to say more.
MOST_FOUND = 50
_SHORTEST_NUMBER = 2

_patients: Any = tables.Patient.__table__
_decisions: Any = tables.Decision.__table__
_identities: Any = import_tables.Identity.__table__
_numbers: Any = import_tables.IdentityNumber.__table__


class Policies(Protocol):
    """The part of the library that knows what is in force."""

    def in_force(self, on: date, /) -> tuple[Policy, ...]:
        """The policies in force on a day."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A patient as a list shows one. ``number`` is the EHR's, empty for one that only pharmacies know;
    ``names`` are the wordings of the sources."""

    id: str
    number: str
    names: tuple[str, ...]
    birth_date: date | None
    sex: str


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision about the patient as a list shows one; ``medicine`` is what was ordered."""

    id: str
    as_of: datetime
    channel: str
    disposition: Disposition
    medicine: str
    by_user: str


@dataclass(frozen=True)
class Opened:
    """A patient with everything that is known as of a moment. ``known_as`` is the EHR's id, by which
    other services call the patient."""

    who: Found
    known_as: str
    chart: Chart


def find(
    session: Session, *, number: str = "", name: str = "", birth_date: date | None = None, by: Principal
) -> tuple[Found, ...]:
    """The patients that fit everything that is given, at most ``MOST_FOUND``, by their numbers.

    ``number`` is the beginning of the EHR's number, or a whole number of an identity. A name is looked for
    among the people of a date of birth only, for names alone find too many. Raises ``InvalidInput`` for a
    search that says too little.
    """
    number, name = number.strip(), name.strip()
    _refuse_little(number, name, birth_date)
    asked = select(_patients).where(_patients.c.organisation_id == by.organisation_id)
    if number:
        asked = asked.where(or_(_begins_with(number), _patients.c.id.in_(_numbered(number, by))))
    if birth_date is not None:
        born = select(_identities.c.patient_id).where(
            _identities.c.organisation_id == by.organisation_id,
            _identities.c.birth_date == birth_date,
            _identities.c.patient_id.is_not(None),
        )
        asked = asked.where(or_(_patients.c.birth_date == birth_date, _patients.c.id.in_(born)))
    rows = session.connection().execute(asked.order_by(_patients.c.ehr_id).limit(_limit(name))).all()
    found = _described(session, rows, by)
    if name:
        found = tuple(one for one in found if any(_is_called(name, known) for known in one.names))
    return found[:MOST_FOUND]


def recent(session: Session, *, by: Principal, limit: int = 10) -> tuple[Found, ...]:
    """The patients about whose orders this person asked last, the latest first."""
    last = func.max(_decisions.c.as_of).label("last")
    asked = (
        select(_decisions.c.patient_id, last)
        .where(_decisions.c.organisation_id == by.organisation_id, _decisions.c.by_user == by.user_id)
        .group_by(_decisions.c.patient_id)
        .order_by(last.desc(), _decisions.c.patient_id)
        .limit(limit)
    )
    ids = [row.patient_id for row in session.connection().execute(asked)]
    rows = session.connection().execute(
        select(_patients).where(_patients.c.organisation_id == by.organisation_id, _patients.c.id.in_(ids))
    )
    known = {one.id: one for one in _described(session, rows.all(), by)}
    return tuple(known[one] for one in ids if one in known)


def first(session: Session, *, by: Principal, limit: int = MOST_FOUND) -> tuple[Found, ...]:
    """The first patients by their numbers, for a demonstration whose patients nobody knows by heart."""
    mine = select(_patients).where(_patients.c.organisation_id == by.organisation_id)
    rows = session.connection().execute(mine.order_by(_patients.c.ehr_id).limit(limit)).all()
    return _described(session, rows, by)


def known(session: Session, patient_id: str, *, by: Principal) -> tuple[Found, str]:
    """A patient by our id, and the EHR's id. Raises ``NotFound``, for another organisation's patient too."""
    row = _row(session, patient_id, by)
    return _described(session, [row], by)[0], row.ehr_id


def open_chart(
    session: Session, library: charts.Meanings, patient_id: str, *, what: str, by: Principal, now: datetime
) -> Opened:
    """Everything that is known of a patient now; that it was read, and for ``what``, goes on record.

    Runs well in a ``late`` transaction. Raises ``NotFound``.
    """
    who, known_as = known(session, patient_id, by=by)
    chart = charts.load_chart(
        session, library, organisation_id=by.organisation_id, patient_id=known_as, as_of=now
    )
    note_read(session, patient_id, what=what, by=by, now=now)
    return Opened(who, known_as, chart)


def visit(library: Policies, opened: Opened) -> Decision:
    """What the policies that look at a chart say of an opened one; nothing is asked of the database again.

    A page brings no history: where no pharmacy reports either, what is absent is not known to be.
    """
    brought = Chart(opened.chart.patient, opened.chart.as_of, gaps=(Gap(charts.HISTORY_MISSING, "history"),))
    chart = charts.join(opened.chart, brought)
    (judged,) = judge(library.in_force(chart.today), (), chart)
    return judged.decision


def note_read(session: Session, patient_id: str, *, what: str, by: Principal, now: datetime) -> None:
    """Put on record that somebody read of a patient, and what."""
    begin_writing(session)
    audit.record(session, "patient.read", subject=patient_id, by=by, now=now, detail={"what": what})


def note_search(session: Session, *, found: int, by: Principal, now: datetime) -> None:
    """Put on record that somebody looked for patients, and how many they saw; not what they typed."""
    audit.record(session, "patients.searched", subject=by.user_id, by=by, now=now, detail={"found": found})


def decisions_of(session: Session, patient_id: str, *, by: Principal, limit: int = 10) -> tuple[Decided, ...]:
    """The latest decisions about a patient, the newest first."""
    asked = (
        select(_decisions)
        .where(_decisions.c.organisation_id == by.organisation_id, _decisions.c.patient_id == patient_id)
        .order_by(_decisions.c.as_of.desc(), _decisions.c.id.desc())
        .limit(limit)
    )
    return tuple(
        Decided(
            row.id,
            row.as_of,
            row.channel,
            Disposition(row.disposition),
            _medicine(row.order_document),
            row.by_user,
        )
        for row in session.connection().execute(asked)
    )


@dataclass(frozen=True)
class MadeOn:
    """What a decision was made on, as it was then: the order (none when only the chart was looked at) and
    the chart; ``patient_id`` is our id."""

    patient_id: str
    order: Order | None
    chart: Chart


def made_on(session: Session, decision_id: str, *, by: Principal) -> MadeOn:
    """The order and the chart that a decision keeps. Raises ``NotFound``."""
    asked = select(_decisions).where(
        _decisions.c.organisation_id == by.organisation_id, _decisions.c.id == decision_id
    )
    row = session.connection().execute(asked).first()
    if row is None:
        raise NotFound("there is no such decision")
    order = None if row.order_document is None else documents.decode(row.order_document, Order)
    return MadeOn(row.patient_id, order, documents.decode(row.chart_document, Chart))


# --- rows ----------------------------------------------------------------------------------------


def _refuse_little(number: str, name: str, birth_date: date | None) -> None:
    faults = []
    if not number and birth_date is None:
        if name:
            words = "Give the date of birth as well: a name alone finds too many people."
            faults.append(Fault("/birth_date", "required", words))
        else:
            faults.append(Fault("/number", "required", "Give a record number, or a date of birth."))
    elif number and len(number) < _SHORTEST_NUMBER:
        words = f"Give at least {_SHORTEST_NUMBER} characters of the record number."
        faults.append(Fault("/number", "too-short", words))
    if faults:
        raise InvalidInput("the search says too little", faults=tuple(faults))


def _begins_with(number: str) -> Any:
    # Case does not matter to whoever reads a number from a card.
    return func.lower(_patients.c.ehr_id).startswith(number.lower(), autoescape=True)


def _numbered(number: str, by: Principal) -> Any:
    return (
        select(_identities.c.patient_id)
        .join(
            _numbers,
            (_numbers.c.organisation_id == _identities.c.organisation_id)
            & (_numbers.c.identity_id == _identities.c.id),
        )
        .where(_identities.c.organisation_id == by.organisation_id, _numbers.c.value == number)
    )


def _limit(name: str) -> int:
    """People of one day are compared by name one by one; without a name there is no need to read more."""
    return 10_000 if name else MOST_FOUND


def _row(session: Session, patient_id: str, by: Principal) -> Row[Any]:
    asked = select(_patients).where(
        _patients.c.organisation_id == by.organisation_id, _patients.c.id == patient_id
    )
    row = session.connection().execute(asked).first()
    if row is None:
        raise NotFound("there is no such patient")
    return row


def _described(session: Session, rows: Sequence[Row[Any]], by: Principal) -> tuple[Found, ...]:
    names = _names(session, [row.id for row in rows], by)
    return tuple(
        Found(
            row.id,
            "" if row.ehr_id.startswith(UNNAMED) else row.ehr_id,
            tuple(dict.fromkeys(names.get(row.id, ()))),
            row.birth_date,
            row.sex,
        )
        for row in rows
    )


def _names(session: Session, ids: Iterable[str], by: Principal) -> dict[str, list[str]]:
    wanted = list(ids)
    names: dict[str, list[str]] = {}
    for start in range(0, len(wanted), 500):
        asked = (
            select(_identities.c.patient_id, _identities.c.document)
            .where(
                _identities.c.organisation_id == by.organisation_id,
                _identities.c.patient_id.in_(wanted[start : start + 500]),
            )
            .order_by(_identities.c.first_seen_at, _identities.c.id)
        )
        for row in session.connection().execute(asked):
            named = sparse.decode(row.document, Identity)
            names.setdefault(row.patient_id, []).append(_name(named))
    return names


def _name(identity: Identity) -> str:
    return ", ".join(part for part in (identity.last, identity.first) if part)


def _is_called(wanted: str, name: str) -> bool:
    """Whether every word that was typed begins a word of the name; case and accents aside."""
    words = [fold(part) for part in name.replace(",", " ").split()]
    return all(any(word.startswith(fold(part)) for word in words) for part in wanted.split())


def _medicine(order_document: str | None) -> str:
    if order_document is None:
        return ""
    order = documents.decode(order_document, Order)
    return order.medication.label if order.drug is None else order.drug.name
