"""Whose a dispensing is: identities are given to patients by rule, and by a person where no rule is sure.

Each identity (the words in which one source describes somebody) belongs to exactly one patient at a time.
A new one goes to the patient whom it matches surely, if there is exactly one; else it gets a patient of
its own, and every patient whom it may be is put to a person as a candidate. So nothing is lost, nothing is
guessed, and two are one only when a rule or a person said so. What was done is kept in ``identity_links``
and can be undone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.orm import Session

from stewardship.db import import_tables, sparse, tables
from stewardship.db.among import Among
from stewardship.db.import_tables import CandidateStatus
from stewardship.db.patients import insert_once
from stewardship.db.prepared import Prepared
from stewardship.domain.dispensings import Identity
from stewardship.domain.matching import Match, MatchRules, Number, Traits, compare, traits
from stewardship.domain.people import Principal

#: What begins the id of a patient whom no system of records has named yet. The rest is random.
UNNAMED = "feed-"
#: The rule by which an identity that matches nobody becomes a patient of its own.
NEW = Match("new", Decimal(1))
#: The rule by which a system of records says who its own patient is.
OWN_RECORD = Match("own-record", Decimal(1))

_patients: Any = tables.Patient.__table__
_identities: Any = import_tables.Identity.__table__
_numbers: Any = import_tables.IdentityNumber.__table__
_links: Any = import_tables.IdentityLink.__table__
_candidates: Any = import_tables.MatchCandidate.__table__

# Whose identities are changes one at a time in an organisation: two files may tell of the same patient, and
# while somebody settles a match no file may go on as before. Not the audit's lock, for orders are checked
# meanwhile. On SQLite a writer is alone.
_LOCK = text("SELECT pg_advisory_xact_lock(7301828, hashtext(:organisation))")

_INSERT_PATIENT = Prepared.insert(_patients)
_INSERT_IDENTITY = Prepared.insert(_identities)
_INSERT_NUMBER = Prepared.insert(_numbers)
_INSERT_LINK = Prepared.insert(_links)
_ORGANISATION: Any = bindparam("organisation")
_KNOWN = Prepared(
    select(_identities.c.digest, _identities.c.id, _identities.c.patient_id).where(
        _identities.c.organisation_id == _ORGANISATION, Among(_identities.c.digest, "digests")
    )
)
# That an identity is somebody's is no condition here: SQLite would take it for one that an index answers, and
# read all identities of the organisation.
_NEAR = select(_identities.c.id, _identities.c.patient_id, _identities.c.document).where(
    _identities.c.organisation_id == _ORGANISATION
)
_SAME_KEY = Prepared(_NEAR.where(Among(_identities.c.match_key, "match_keys")))
_SAME_NUMBER = Prepared(
    _NEAR.where(
        _identities.c.id.in_(
            select(_numbers.c.identity_id).where(
                _numbers.c.organisation_id == _ORGANISATION, Among(_numbers.c.value, "numbers")
            )
        )
    )
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whose an identity is; an animal is nobody. ``zip_code`` is that of the identity."""

    identity_id: str
    patient_id: str | None
    zip_code: str


@dataclass(frozen=True, slots=True)
class Described:
    """A known identity as far as it is compared."""

    identity_id: str
    patient_id: str
    traits: Traits


@dataclass(slots=True)
class _Written:
    """Rows to be written together."""

    patients: list[dict[str, Any]] = field(default_factory=list)
    identities: list[dict[str, Any]] = field(default_factory=list)
    numbers: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    candidates: list[dict[str, Any]] = field(default_factory=list)


def hold_identities(session: Session, *, organisation_id: str) -> None:
    """Keep others from changing whose identities are until this transaction ends."""
    if session.get_bind().dialect.name == "postgresql":
        session.connection().execute(_LOCK, {"organisation": organisation_id})


def digest_of(identity: Identity, *, record: str = "") -> str:
    """What a wording comes to. The wording of a system of records is its own: the same words from a pharmacy
    need not be about the same person."""
    return sha256(f"{record}\x1f{sparse.encode(identity)}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Weighed:
    """Whose identities are, each by its digest, and what has to be kept of those never seen before."""

    whose: Mapping[str, Resolved]
    written: _Written


def resolve(
    session: Session, identities: Mapping[str, Identity], rules: MatchRules, *, by: Principal, now: datetime
) -> Mapping[str, Resolved]:
    """Whose these identities are, each by its digest; those never seen before are matched now, in their
    order."""
    weighed = weigh(session, identities, rules, by=by, now=now)
    keep(session, weighed)
    return weighed.whose


def weigh(
    session: Session, identities: Mapping[str, Identity], rules: MatchRules, *, by: Principal, now: datetime
) -> Weighed:
    """As ``resolve``, without writing: what it says stands while nobody else changes whose identities are."""
    known = _known(session, identities, by.organisation_id)
    new = {digest: identity for digest, identity in identities.items() if digest not in known}
    written = _Written()
    if new:
        described = {
            digest: traits(identity, rules) for digest, identity in new.items() if not identity.is_animal
        }
        pool = near(session, described.values(), rules, organisation_id=by.organisation_id)
        for digest, identity in new.items():
            known[digest] = _match(
                identity, digest, described.get(digest), pool, rules, written, by=by, now=now
            )
    whose = {
        digest: Resolved(*known[digest], identity.address.zip) for digest, identity in identities.items()
    }
    return Weighed(whose, written)


def keep(session: Session, weighed: Weighed) -> None:
    """Write what was weighed."""
    _write(session, weighed.written)


def _known(
    session: Session, digests: Iterable[str], organisation_id: str
) -> dict[str, tuple[str, str | None]]:
    found = _KNOWN.rows(session, {"organisation": organisation_id, "digests": digests})
    return {row.digest: (row.id, row.patient_id) for row in found}


def _match(
    identity: Identity,
    digest: str,
    described: Traits | None,
    pool: Pool,
    rules: MatchRules,
    written: _Written,
    *,
    by: Principal,
    now: datetime,
) -> tuple[str, str | None]:
    """Give a new identity to a patient; its id and the patient's."""
    identity_id = secrets.token_hex(16)
    patient_id: str | None = None
    if described is not None:
        found = pool.matches(described)
        sure = [patient for patient, match in found.items() if match.confidence >= rules.accept]
        match = found[sure[0]] if len(sure) == 1 else NEW
        patient_id = sure[0] if len(sure) == 1 else secrets.token_hex(16)
        if match is NEW:
            written.patients.append(_patient_row(patient_id, identity, rules, by=by, now=now))
            unsure = sure or list(found)
            written.candidates += (
                candidate_row(identity_id, other, found[other], by=by, now=now) for other in unsure
            )
        written.links.append(link_row(identity_id, 1, patient_id, match, by=by, now=now))
        pool.add(Described(identity_id, patient_id, described))
    identity_rows(written, identity_id, identity, digest, described, patient_id, by=by, now=now)
    return identity_id, patient_id


# --- who is near ---------------------------------------------------------------------------------


class Pool:
    """Known identities, to be found by names with date of birth, and by number."""

    def __init__(self, rules: MatchRules) -> None:
        self._rules = rules
        self._by_key: dict[str, list[Described]] = {}
        self._by_number: dict[Number, list[Described]] = {}

    def add(self, known: Described) -> None:
        """Take one in."""
        self._by_key.setdefault(known.traits.key, []).append(known)
        for number in known.traits.numbers:
            self._by_number.setdefault(number, []).append(known)

    def near(self, described: Traits) -> list[Described]:
        """Those with the same names and date of birth, or a number in common."""
        found = list(self._by_key.get(described.key, ()))
        for number in described.numbers:
            found += self._by_number.get(number, ())
        return found

    def matches(self, described: Traits) -> dict[str, Match]:
        """The patients whom it may be, each with the surest match."""
        best: dict[str, Match] = {}
        for known in self.near(described):
            match = compare(described, known.traits, self._rules)
            if match and (
                known.patient_id not in best or match.confidence > best[known.patient_id].confidence
            ):
                best[known.patient_id] = match
        return best


def near(session: Session, described: Iterable[Traits], rules: MatchRules, *, organisation_id: str) -> Pool:
    """The known identities that any of these may be."""
    wanted = list(described)
    mine = {"organisation": organisation_id}
    found = _SAME_KEY.rows(session, mine | {"match_keys": {one.key for one in wanted}})
    numbers = {number.value for one in wanted for number in one.numbers}
    if numbers:
        found += _SAME_NUMBER.rows(session, mine | {"numbers": numbers})
    pool = Pool(rules)
    for row in {row.id: row for row in found if row.patient_id is not None}.values():
        pool.add(Described(row.id, row.patient_id, traits(sparse.decode(row.document, Identity), rules)))
    return pool


# --- rows ----------------------------------------------------------------------------------------


def _patient_row(
    patient_id: str, identity: Identity, rules: MatchRules, *, by: Principal, now: datetime
) -> dict[str, Any]:
    return {
        "organisation_id": by.organisation_id,
        "id": patient_id,
        "ehr_id": UNNAMED + patient_id,
        "birth_date": identity.birth_date,
        "sex": rules.sexes.get(identity.sex, ""),
        "deceased": False,
        "data_as_of": None,
        "recorded_at": now,
    }


def identity_rows(
    written: _Written,
    identity_id: str,
    identity: Identity,
    digest: str,
    described: Traits | None,
    patient_id: str | None,
    *,
    by: Principal,
    now: datetime,
) -> None:
    """The rows of a new identity."""
    written.identities.append(
        {
            "organisation_id": by.organisation_id,
            "id": identity_id,
            "digest": digest,
            "match_key": described.key if described is not None else "",
            "birth_date": identity.birth_date,
            "animal": identity.is_animal,
            "patient_id": patient_id,
            "document": sparse.encode(identity),
            "first_seen_at": now,
        }
    )
    written.numbers += (
        {"organisation_id": by.organisation_id, "identity_id": identity_id, **number._asdict()}
        for number in (described.numbers if described is not None else ())
    )


def link_row(
    identity_id: str,
    seq: int,
    patient_id: str,
    match: Match,
    *,
    reason: str = "",
    by: Principal,
    now: datetime,
) -> dict[str, Any]:
    """An entry of an identity's history."""
    return {
        "organisation_id": by.organisation_id,
        "identity_id": identity_id,
        "seq": seq,
        "patient_id": patient_id,
        "rule": match.rule,
        "confidence": match.confidence,
        "reason": reason,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }


def candidate_row(
    identity_id: str, patient_id: str, match: Match, *, by: Principal, now: datetime
) -> dict[str, Any]:
    """A match that somebody has to settle."""
    return {
        "organisation_id": by.organisation_id,
        "identity_id": identity_id,
        "patient_id": patient_id,
        "rule": match.rule,
        "confidence": match.confidence,
        "status": CandidateStatus.OPEN.value,
        "at": now,
        "closed_at": None,
        "closed_by": None,
    }


def _write(session: Session, written: _Written) -> None:
    for statement, rows in (
        (_INSERT_PATIENT, written.patients),
        (_INSERT_IDENTITY, written.identities),
        (_INSERT_NUMBER, written.numbers),
        (_INSERT_LINK, written.links),
    ):
        if rows:
            statement.load(session, rows)
    for row in written.candidates:
        insert_once(session, _candidates, row)


# --- patients of a system of records ---------------------------------------------------------------


def recorded(
    session: Session,
    said: Mapping[str, Identity],
    rules: MatchRules,
    *,
    by: Principal,
    now: datetime,
) -> list[tuple[str, str, Match]]:
    """A system of records says who its patients are (our ids -> identities).

    What pharmacies told of somebody who is surely one of them, and of nobody else on record, is to be his:
    the answer names each such patient of a feed, whose patient he is, and how that is known. The caller moves
    what belongs to him. What is not sure is put to a person.
    """
    digests = {patient: digest_of(identity, record=patient) for patient, identity in said.items()}
    known = _known(session, digests.values(), by.organisation_id)
    new = {patient: said[patient] for patient, digest in digests.items() if digest not in known}
    if not new:
        return []
    described = {patient: traits(identity, rules) for patient, identity in new.items()}
    pool = near(session, described.values(), rules, organisation_id=by.organisation_id)
    unnamed = _unnamed(session, pool, described.values(), by.organisation_id)
    written, joins = _Written(), []
    for patient, identity in new.items():
        found = {p: m for p, m in pool.matches(described[patient]).items() if p != patient}
        doubled = any(m.confidence >= rules.accept for p, m in found.items() if p not in unnamed)
        sure = [p for p, m in found.items() if p in unnamed and m.confidence >= rules.accept]
        if len(sure) == 1 and not doubled:
            joins.append((sure[0], patient, found[sure[0]]))
            unnamed.discard(sure[0])
        else:
            of_feeds = [k for k in pool.near(described[patient]) if k.patient_id in unnamed]
            written.candidates += (
                candidate_row(k.identity_id, patient, found[k.patient_id], by=by, now=now)
                for k in of_feeds
                if k.patient_id in found
            )
        identity_id = secrets.token_hex(16)
        identity_rows(
            written, identity_id, identity, digests[patient], described[patient], patient, by=by, now=now
        )
        written.links.append(link_row(identity_id, 1, patient, OWN_RECORD, by=by, now=now))
        pool.add(Described(identity_id, patient, described[patient]))
    _write(session, written)
    return joins


def _unnamed(session: Session, pool: Pool, described: Iterable[Traits], organisation_id: str) -> set[str]:
    """Which of the patients nearby are known from feeds alone."""
    nearby = {known.patient_id for one in described for known in pool.near(one)}
    asked = select(_patients.c.id).where(
        _patients.c.organisation_id == organisation_id,
        _patients.c.id.in_(nearby),
        _patients.c.ehr_id.startswith(UNNAMED, autoescape=True),
    )
    return set(session.connection().execute(asked).scalars())


def identities_of(session: Session, patient_id: str, *, organisation_id: str) -> Sequence[str]:
    """The identities that are this patient's now."""
    asked = select(_identities.c.id).where(
        _identities.c.organisation_id == organisation_id, _identities.c.patient_id == patient_id
    )
    return session.connection().execute(asked.order_by(_identities.c.id)).scalars().all()


def give(
    session: Session,
    identity_id: str,
    patient_id: str,
    match: Match,
    *,
    reason: str = "",
    by: Principal,
    now: datetime,
) -> None:
    """Make an identity a patient's from now on, and write it into its history."""
    session.connection().execute(
        update(_identities)
        .where(_identities.c.organisation_id == by.organisation_id, _identities.c.id == identity_id)
        .values(patient_id=patient_id)
    )
    latest = select(func.max(_links.c.seq)).where(
        _links.c.organisation_id == by.organisation_id, _links.c.identity_id == identity_id
    )
    seq = (session.connection().execute(latest).scalar() or 0) + 1
    row = link_row(identity_id, seq, patient_id, match, reason=reason, by=by, now=now)
    session.connection().execute(insert(_links), row)
