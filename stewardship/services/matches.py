"""Two descriptions of perhaps one person, side by side: what somebody needs who has to say whether they are.

It shows names, which no other service does: only who may settle matches, or look after those who do, is to
be shown it. Of numbers that name a person only the end is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import documents, import_tables, sparse, tables
from stewardship.db.charts import WrittenSupply
from stewardship.domain.dispensings import Identity
from stewardship.domain.errors import NotFound
from stewardship.domain.matching import Agreement, MatchRules, agreements, traits
from stewardship.domain.orders import SupplyKind
from stewardship.domain.people import Principal
from stewardship.services import candidates
from stewardship.services.answers import instant_json
from stewardship.services.candidates import Candidate, Link, Said
from stewardship.services.matching import OWN_RECORD, UNNAMED

_identities: Any = import_tables.Identity.__table__
_reports: Any = import_tables.DispensingReport.__table__
_patients: Any = tables.Patient.__table__
_supplies: Any = tables.Supply.__table__
#: Dispensings shown of each side, the newest first.
_SHOWN = 20
_ENDS_IN = 4


@dataclass(frozen=True, slots=True)
class Fill:
    """A dispensing: enough of it to tell whether somebody's course goes on in somebody else's."""

    id: str
    on: str | None
    medicine: str
    quantity: str | None
    days: str | None
    pharmacy: str
    prescriber: str


@dataclass(frozen=True, slots=True)
class Description:
    """An identity: the words, whose it is now, and what is dispensed under it."""

    id: str
    patient_id: str | None
    first_seen_at: datetime
    words: Identity = field(repr=False)
    own_record: bool = False
    fills: tuple[Fill, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """A patient: the id that the EHR uses, if one has named him, and every identity that is his."""

    id: str
    ehr_id: str | None
    birth_date: str | None
    sex: str
    identities: tuple[Description, ...] = ()


@dataclass(frozen=True, slots=True)
class SideBySide:
    """A match to settle: the identity, the patient whose it may be, how each of his identities compares
    with it, and everything that was done and said before."""

    match: Candidate
    described: Description
    person: Person
    compared: Mapping[str, Mapping[str, Agreement]]
    links: tuple[Link, ...]
    said: tuple[Said, ...]


def side_by_side(
    session: Session, identity_id: str, patient_id: str, rules: MatchRules, *, by: Principal
) -> SideBySide:
    """What there is to compare; ``NotFound`` when these two were never thought to be one."""
    match = candidates.one(session, identity_id, patient_id, by=by)
    described = description(session, identity_id, by=by)
    person = person_of(session, patient_id, by=by)
    mine = traits(described.words, rules)
    return SideBySide(
        match,
        described,
        person,
        {one.id: agreements(mine, traits(one.words, rules)) for one in person.identities},
        tuple(candidates.history(session, identity_id, by=by)),
        tuple(candidates.settlements(session, identity_id, by=by)),
    )


def description(session: Session, identity_id: str, *, by: Principal) -> Description:
    """One identity; ``NotFound`` for one of another organisation."""
    found = _described(session, _identities.c.id == identity_id, by=by)
    if not found:
        raise NotFound("there is no such identity")
    return found[0]


def person_of(session: Session, patient_id: str, *, by: Principal) -> Person:
    """A patient with his identities, by our own id."""
    return _person(session, _patients.c.id == patient_id, by=by)


def person_called(session: Session, ehr_id: str, *, by: Principal) -> Person:
    """A patient with his identities, by the id that the EHR uses."""
    return _person(session, _patients.c.ehr_id == ehr_id, by=by)


def _person(session: Session, which: Any, *, by: Principal) -> Person:
    asked = select(_patients).where(_patients.c.organisation_id == by.organisation_id, which)
    row = session.connection().execute(asked).first()
    if row is None:
        raise NotFound("there is no such patient")
    return Person(
        row.id,
        None if row.ehr_id.startswith(UNNAMED) else row.ehr_id,
        row.birth_date and row.birth_date.isoformat(),
        row.sex,
        tuple(_described(session, _identities.c.patient_id == row.id, by=by)),
    )


def _described(session: Session, which: Any, *, by: Principal) -> list[Description]:
    asked = select(_identities).where(_identities.c.organisation_id == by.organisation_id, which)
    asked = asked.order_by(_identities.c.first_seen_at, _identities.c.id)
    return [
        Description(
            row.id,
            row.patient_id,
            row.first_seen_at,
            sparse.decode(row.document, Identity),
            _is_own_record(session, row.id, by=by),
            tuple(_fills(session, row.id, row.patient_id, by=by)),
        )
        for row in session.connection().execute(asked).all()
    ]


def _is_own_record(session: Session, identity_id: str, *, by: Principal) -> bool:
    links = candidates.history(session, identity_id, by=by)
    return bool(links) and links[-1].rule == OWN_RECORD.rule


def _fills(session: Session, identity_id: str, patient_id: str | None, *, by: Principal) -> list[Fill]:
    """The supplies that stand under an identity, the newest first."""
    under = select(_reports.c.dispensing_id).where(
        _reports.c.organisation_id == by.organisation_id, _reports.c.identity_id == identity_id
    )
    asked = (
        select(_supplies)
        .where(
            _supplies.c.organisation_id == by.organisation_id,
            _supplies.c.patient_id == patient_id,
            _supplies.c.kind == SupplyKind.DISPENSING.value,
            _supplies.c.source_id.in_(under),
        )
        .order_by(_supplies.c.start_on.desc(), _supplies.c.source_id)
        .limit(_SHOWN)
    )
    return [_fill(row) for row in session.connection().execute(asked)]


def _fill(row: Any) -> Fill:
    medication = documents.decode(row.document, WrittenSupply).medication
    return Fill(
        row.source_id,
        row.start_on and row.start_on.isoformat(),
        medication.label,
        None if row.quantity_value is None else f"{row.quantity_value} {row.quantity_unit}".strip(),
        None if row.days_supply is None else str(row.days_supply),
        row.pharmacy,
        row.prescriber,
    )


# --- telling -------------------------------------------------------------------------------------


def match_json(match: Candidate) -> dict[str, Any]:
    """A match as every face shows it: ids, and how sure the rule is."""
    return {
        "identity": match.identity_id,
        "patient": match.patient_id,
        "rule": match.rule,
        "confidence": match.confidence,
        "since": instant_json(match.at),
        "status": match.status.value,
        "closed_at": match.closed_at and instant_json(match.closed_at),
        "closed_by": match.closed_by,
    }


def side_by_side_json(found: SideBySide) -> dict[str, Any]:
    """A match with both sides of it and what was said before."""
    return {
        "match": match_json(found.match),
        "described": description_json(found.described),
        "person": person_json(found.person, found.compared),
        "history": [link_json(link) for link in found.links],
        "said": [said_json(said) for said in found.said],
    }


def person_json(
    person: Person, compared: Mapping[str, Mapping[str, Agreement]] | None = None
) -> dict[str, Any]:
    """A patient with his identities, each compared with the one in question where there is one."""
    told = [description_json(one) for one in person.identities]
    for one in told if compared is not None else ():
        one["compared"] = {respect: word.value for respect, word in (compared or {})[one["id"]].items()}
    return {
        "id": person.id,
        "ehr_id": person.ehr_id,
        "birth_date": person.birth_date,
        "sex": person.sex,
        "identities": told,
    }


def description_json(described: Description) -> dict[str, Any]:
    """An identity in its words. Of numbers only the end is told."""
    words = described.words
    return {
        "id": described.id,
        "patient": described.patient_id,
        "own_record": described.own_record,
        "since": instant_json(described.first_seen_at),
        "last": words.last,
        "first": words.first,
        "middle": words.middle,
        "suffix": words.suffix,
        "birth_date": words.birth_date and words.birth_date.isoformat(),
        "sex": words.sex,
        "street": " ".join(line for line in (words.address.line1, words.address.line2) if line),
        "city": words.address.city,
        "state": words.address.state,
        "zip": words.address.zip,
        "phone": words.phone,
        "animal": words.animal,
        "numbers": [
            {"kind": one.kind, "jurisdiction": one.jurisdiction, "ends_in": one.value[-_ENDS_IN:]}
            for one in words.ids
        ],
        "fills": [_fill_json(fill) for fill in described.fills],
    }


def _fill_json(fill: Fill) -> dict[str, Any]:
    return {
        "id": fill.id,
        "on": fill.on,
        "medicine": fill.medicine,
        "quantity": fill.quantity,
        "days": fill.days,
        "pharmacy": fill.pharmacy,
        "prescriber": fill.prescriber,
    }


def identity_json(described: Description, links: Sequence[Link], said: Sequence[Said]) -> dict[str, Any]:
    """An identity, whose it was and is, and what was said about it."""
    return {
        "identity": description_json(described),
        "history": [link_json(link) for link in links],
        "said": [said_json(one) for one in said],
    }


def link_json(link: Link) -> dict[str, Any]:
    """An entry of an identity's history."""
    return {
        "patient": link.patient_id,
        "rule": link.rule,
        "confidence": link.confidence,
        "reason": link.reason,
        "by": link.by_user,
        "at": instant_json(link.at),
    }


def said_json(said: Said) -> dict[str, Any]:
    """Something that was done about a match, and why."""
    return {
        "patient": said.patient_id,
        "act": said.act.value,
        "reason": said.reason,
        "by": said.by_user,
        "at": instant_json(said.at),
    }
