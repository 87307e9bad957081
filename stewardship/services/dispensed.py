"""Reports of dispensings: every version is kept, and what they come to is the patient's supply.

The rows of one dispensing are read together, in whatever order and in however many files they came
(``domain.corrections``), so that the supply depends on the reports alone. A void leaves no supply. What is
dispensed to an animal is kept as a report, and is nobody's supply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice, pairwise
from typing import Any

from sqlalchemy import and_, bindparam, delete, select
from sqlalchemy.orm import Session

from stewardship.db import import_tables, sparse, tables
from stewardship.db.among import Among
from stewardship.db.prepared import Prepared
from stewardship.db.reported import as_reported, zip_of
from stewardship.domain.corrections import Standing, stands
from stewardship.domain.dispensings import Dispensed, DispensingReport, Pharmacy, Reporting
from stewardship.domain.feeds import FeedTerms
from stewardship.domain.fills import supply_of
from stewardship.domain.orders import SupplyKind
from stewardship.domain.people import Principal
from stewardship.services.history import supply_row
from stewardship.services.matching import Resolved

_reports: Any = import_tables.DispensingReport.__table__
_sources: Any = import_tables.ReportSource.__table__
_identities: Any = import_tables.Identity.__table__
_supplies: Any = tables.Supply.__table__

_INSERT_SOURCE = Prepared.insert(_sources)
_INSERT_REPORT = Prepared.insert(_reports)
_INSERT_SUPPLY = Prepared.insert(_supplies)
_APART = frozenset({"report", "pharmacy"})
# A reader makes each of them once, however many rows name it.
_SHARED = frozenset({"prescriber", "medication"})
_TOGETHER = 500


@dataclass(frozen=True, slots=True)
class Written:
    """A row as it is kept, which the database need not be asked for: the id of its dispensing, what it says
    apart from its source, and the supply that it comes to when nothing else is reported of the dispensing
    (none of a void), without whose and when."""

    row: Dispensed
    dispensing_id: str
    document: str
    alone: Mapping[str, Any] | None


def written(row: Dispensed, *, zip_code: str, terms: FeedTerms) -> Written:
    """The row as it is kept; ``zip_code`` is the patient's."""
    name = row.key.id
    standing = stands([row])
    alone = None if standing.void else _supply(name, standing, zip_code, terms)
    return Written(row, name, sparse.encode(row, without=_APART, shared=_SHARED), alone)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A row on its way in: where it stands in its import, whose it is, and what its report comes to."""

    seq: int
    line: int
    written: Written
    whose: Resolved


@dataclass(frozen=True, slots=True)
class Told:
    """A version of a row, and whose it is now. ``known`` versions are in the database already."""

    row: Dispensed
    whose: Resolved
    version: str


@dataclass(frozen=True, slots=True)
class Compared:
    """Rows held against what was told before: how many say something new, how many do not, what the new ones
    come to, and all that has to be written for it."""

    stored: int
    unchanged: int
    versions: str
    sources: Sequence[Mapping[str, Any]]
    reports: Sequence[Mapping[str, Any]]
    #: Supplies that no longer stand (patient, dispensing), and those that stand now.
    gone: Sequence[tuple[str, str]]
    new: Sequence[Mapping[str, Any]]


def compare(
    session: Session,
    arrived: Sequence[Arrived],
    terms: FeedTerms,
    *,
    import_id: str,
    by: Principal,
    now: datetime,
) -> Compared:
    """What becomes of these rows. Nothing is written yet: it stands while nobody else reports."""
    ids = [one.written.dispensing_id for one in arrived]
    before = _told(session, ids, organisation_id=by.organisation_id)
    after = {name: list(told) for name, told in before.items()}
    seen = {(name, told.version) for name, several in before.items() for told in several}
    sources = _Sources(session, by.organisation_id)
    reports: list[dict[str, Any]] = []
    fresh: dict[str, list[Arrived]] = {}
    for name, one in zip(ids, arrived, strict=True):
        row, document = one.written.row, one.written.document
        source_id = sources.id_of(row)
        version = _version(document, source_id, one.whose.identity_id)
        if (name, version) in seen:
            continue
        seen.add((name, version))
        after.setdefault(name, []).append(Told(row, one.whose, version))
        fresh.setdefault(name, []).append(one)
        reports.append(
            {
                "organisation_id": by.organisation_id,
                "import_id": import_id,
                "seq": one.seq,
                "dispensing_id": name,
                "version": version,
                "reporting": row.reporting.value,
                "source_id": source_id,
                "identity_id": one.whose.identity_id,
                "line": one.line,
                "document": document,
                "received_at": now,
            }
        )
    stored, gone, new = _brought_up(before, after, fresh, terms, by=by, now=now)
    said = sha256("".join(report["version"] for report in reports).encode()).hexdigest()
    return Compared(stored, len(arrived) - stored, said, sources.unknown(), reports, gone, new)


def keep(session: Session, compared: Compared, *, organisation_id: str) -> None:
    """Keep the rows, and bring the supplies of their patients up to them."""
    for statement, rows in ((_INSERT_SOURCE, compared.sources), (_INSERT_REPORT, compared.reports)):
        if rows:
            statement.load(session, rows)
    remove(session, compared.gone, organisation_id=organisation_id)
    if compared.new:
        _INSERT_SUPPLY.load(session, compared.new)


def _brought_up(
    before: Mapping[str, Sequence[Told]],
    after: Mapping[str, Sequence[Told]],
    fresh: Mapping[str, Sequence[Arrived]],
    terms: FeedTerms,
    *,
    by: Principal,
    now: datetime,
) -> tuple[int, list[tuple[str, str]], list[dict[str, Any]]]:
    """How many of the fresh rows changed something as they came, and the supplies that changed by it: those
    that go, and those that come."""
    new: list[dict[str, Any]] = []
    gone: list[tuple[str, str]] = []
    stored = 0
    for name, came in fresh.items():
        several = after[name]
        if len(several) == 1:
            # The first of its dispensing, as most are: what it comes to was worked out before.
            stored += 1
            supply, whose = came[0].written.alone, came[0].whose
            if supply is not None and whose.patient_id is not None:
                mine = {"patient_id": whose.patient_id, "organisation_id": by.organisation_id}
                new.append({**supply, **mine, "recorded_at": now})
            continue
        was, becomes = _state(name, before.get(name, ()), terms), _state(name, several, terms)
        stored += _said_something(name, several, len(came), was, becomes, terms)
        if was == becomes:
            continue
        if was is not None and was.supply is not None:
            gone.append((was.supply["patient_id"], name))
        if becomes is not None and becomes.supply is not None:
            new.append(becomes.supply | {"organisation_id": by.organisation_id, "recorded_at": now})
    return stored, gone, new


@dataclass(frozen=True, slots=True)
class _State:
    """What the reports of a dispensing come to. No supply: it is void, or an animal's."""

    void: bool
    unmatched: bool
    supply: dict[str, Any] | None


def _said_something(
    name: str,
    several: Sequence[Told],
    fresh: int,
    was: _State | None,
    becomes: _State | None,
    terms: FeedTerms,
) -> int:
    """How many of the rows that came last changed something, one after the other: a row that is twice in a
    file says something new once, wherever the file was divided."""
    if fresh == 1:
        return int(was != becomes)
    states = [_state(name, several[:n], terms) for n in range(len(several) - fresh, len(several) + 1)]
    return sum(one != following for one, following in pairwise(states))


def differs(name: str, before: Sequence[Told], after: Sequence[Told], terms: FeedTerms) -> bool:
    """Whether a dispensing comes to something else by what was told of it since."""
    return _state(name, before, terms) != _state(name, after, terms)


def _state(name: str, told: Sequence[Told], terms: FeedTerms) -> _State | None:
    if not told:
        return None
    standing = stands(one.row for one in told)
    return _State(standing.void, standing.unmatched, standing_supply(name, standing, told, terms))


def standing_supply(
    name: str, standing: Standing, told: Sequence[Told], terms: FeedTerms
) -> dict[str, Any] | None:
    """The supply that stands, as a row without organisation and time."""
    whose = whose_is(standing, told)
    if standing.void or whose.patient_id is None:
        return None
    return _supply(name, standing, whose.zip_code, terms) | {"patient_id": whose.patient_id}


def _supply(name: str, standing: Standing, zip_code: str, terms: FeedTerms) -> dict[str, Any]:
    return supply_row(supply_of(standing.row, known_as=name, zip_code=zip_code, payments=terms.payments))


def whose_is(standing: Standing, told: Iterable[Told]) -> Resolved:
    """Whose the row is that stands."""
    return next(one.whose for one in told if one.row is standing.row)


def remove(session: Session, gone: Iterable[tuple[str, str]], *, organisation_id: str) -> None:
    """Take these supplies (patient, dispensing) out of the patients' histories."""
    waiting = iter(gone)
    while some := list(islice(waiting, _TOGETHER)):
        by_patient: dict[str, list[str]] = {}
        for patient, name in some:
            by_patient.setdefault(patient, []).append(name)
        for patient, names in by_patient.items():
            session.connection().execute(
                delete(_supplies).where(
                    _supplies.c.organisation_id == organisation_id,
                    _supplies.c.patient_id == patient,
                    _supplies.c.kind == SupplyKind.DISPENSING.value,
                    _supplies.c.source_id.in_(names),
                )
            )


# --- reading what was told -----------------------------------------------------------------------

_ORGANISATION: Any = bindparam("organisation")
# Most rows are the first of theirs: that is asked without a join, for it is asked of every row.
_KNOWN = Prepared(
    select(_reports.c.dispensing_id)
    .distinct()
    .where(_reports.c.organisation_id == _ORGANISATION, Among(_reports.c.dispensing_id, "dispensings"))
)
_TOLD = Prepared(
    select(
        _reports.c.dispensing_id,
        _reports.c.version,
        _reports.c.document,
        _reports.c.identity_id,
        _sources.c.document.label("source"),
        _identities.c.patient_id,
        _identities.c.document.label("identity"),
    )
    .join(
        _sources,
        and_(_sources.c.organisation_id == _reports.c.organisation_id, _sources.c.id == _reports.c.source_id),
    )
    .join(
        _identities,
        and_(
            _identities.c.organisation_id == _reports.c.organisation_id,
            _identities.c.id == _reports.c.identity_id,
        ),
    )
    .where(_reports.c.organisation_id == _ORGANISATION, Among(_reports.c.dispensing_id, "dispensings"))
)
_KNOWN_SOURCES = Prepared(
    select(_sources.c.id).where(_sources.c.organisation_id == _ORGANISATION, Among(_sources.c.id, "sources"))
)


def _told(session: Session, ids: Iterable[str], *, organisation_id: str) -> dict[str, list[Told]]:
    """Everything that was ever reported of these dispensings."""
    found: dict[str, list[Told]] = {}
    mine = {"organisation": organisation_id}
    known = [row.dispensing_id for row in _KNOWN.rows(session, mine | {"dispensings": set(ids)})]
    if not known:
        return found
    for row in _TOLD.rows(session, mine | {"dispensings": known}):
        whose = Resolved(row.identity_id, row.patient_id, zip_of(row))
        found.setdefault(row.dispensing_id, []).append(Told(as_reported(row), whose, row.version))
    return found


def _version(document: str, source_id: str, identity_id: str) -> str:
    return sha256(f"{source_id}\x1f{identity_id}\x1f{document}".encode()).hexdigest()


class _Sources:
    """The pharmacies as transmissions speak of them: written once, and referred to."""

    def __init__(self, session: Session, organisation_id: str) -> None:
        self._session = session
        self._organisation_id = organisation_id
        self._ids: dict[tuple[int, int], str] = {}
        self._new: dict[str, str] = {}

    def id_of(self, row: Dispensed) -> str:
        """The id of the row's pharmacy in its transmission."""
        # Rows of one pharmacy share the object, which is compared by identity: it is much quicker.
        name = (id(row.report), id(row.pharmacy))
        known = self._ids.get(name)
        if known is None:
            document = sparse.encode(_Source(row.report, row.pharmacy))
            known = self._ids[name] = sha256(document.encode()).hexdigest()
            self._new[known] = document
        return known

    def unknown(self) -> list[dict[str, Any]]:
        """The rows of those that nobody has written yet."""
        given = {"organisation": self._organisation_id, "sources": list(self._new)}
        known = {row.id for row in _KNOWN_SOURCES.rows(self._session, given)}
        return [
            {"organisation_id": self._organisation_id, "id": source_id, "document": document}
            for source_id, document in self._new.items()
            if source_id not in known
        ]


@dataclass(frozen=True, slots=True)
class _Source:
    report: DispensingReport
    pharmacy: Pharmacy


# --- moving and listing --------------------------------------------------------------------------


def move(
    session: Session, identity_id: str, *, to: str, terms: FeedTerms, by: Principal, now: datetime
) -> int:
    """Bring to a patient what was reported under an identity that was just given to him; how many supplies.

    Only what stands under this identity moves: a dispensing whose newest row names somebody else is his.
    """
    asked = (
        select(_reports.c.dispensing_id)
        .where(_reports.c.organisation_id == by.organisation_id, _reports.c.identity_id == identity_id)
        .distinct()
        .order_by(_reports.c.dispensing_id)
    )
    names = session.connection().execute(asked).scalars().all()
    moved = 0
    for start in range(0, len(names), _TOGETHER):
        told = _told(session, names[start : start + _TOGETHER], organisation_id=by.organisation_id)
        new = []
        for name, several in told.items():
            standing = stands(one.row for one in several)
            if whose_is(standing, several).identity_id == identity_id:
                supply = standing_supply(name, standing, several, terms)
                if supply is not None:
                    new.append(supply | {"organisation_id": by.organisation_id, "recorded_at": now})
        _take_from_others(session, [row["source_id"] for row in new], by.organisation_id)
        assert all(row["patient_id"] == to for row in new)  # noqa: S101 - the identity is his by now
        if new:
            _INSERT_SUPPLY.load(session, new)
        moved += len(new)
    return moved


def _take_from_others(session: Session, names: Sequence[str], organisation_id: str) -> None:
    asked = select(_supplies.c.patient_id, _supplies.c.source_id).where(
        _supplies.c.organisation_id == organisation_id,
        _supplies.c.kind == SupplyKind.DISPENSING.value,
        _supplies.c.source_id.in_(names),
    )
    held = [(row.patient_id, row.source_id) for row in session.connection().execute(asked)]
    remove(session, held, organisation_id=organisation_id)


def unmatched(session: Session, *, organisation_id: str, limit: int = 1000) -> list[Mapping[str, Any]]:
    """Revisions and voids of dispensings that nobody has reported, the oldest first: id, what it is, and
    since when it waits."""
    corrections, news = _reports.alias(), _reports.alias()
    reported = (
        select(news.c.seq)
        .where(
            news.c.organisation_id == corrections.c.organisation_id,
            news.c.dispensing_id == corrections.c.dispensing_id,
            news.c.reporting == Reporting.NEW.value,
        )
        .exists()
    )
    asked = (
        select(
            corrections.c.dispensing_id,
            corrections.c.reporting,
            corrections.c.import_id,
            corrections.c.line,
            corrections.c.received_at,
        )
        .where(
            corrections.c.organisation_id == organisation_id,
            corrections.c.reporting != Reporting.NEW.value,
            ~reported,
        )
        .order_by(corrections.c.received_at, corrections.c.import_id, corrections.c.seq)
        .limit(limit)
    )
    return [dict(row) for row in session.connection().execute(asked).mappings()]
