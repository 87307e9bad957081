"""Rows -> ``Chart``: the one place that joins what is known of a patient.

A chart is as of a moment: what was recorded later is not seen. What codes mean is looked up when rows are
read, so that a corrected code set or a newer catalogue holds for old histories too; a decision keeps its
own chart as it was used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from operator import attrgetter
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import (
    and_,
    bindparam,
    cast,
    exists,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from stewardship.db import documents, function_facts, import_tables, tables
from stewardship.db.columns import Instant
from stewardship.db.prepared import Prepared
from stewardship.domain.chart import (
    Chart,
    Condition,
    Encounter,
    Gap,
    Goal,
    Observation,
    Patient,
    Plan,
    Procedure,
    Snooze,
)
from stewardship.domain.codes import CodeSets, Coding
from stewardship.domain.dosage import DosageInstruction, Quantity
from stewardship.domain.drugs import Drug, Medication
from stewardship.domain.instruments import Instrument
from stewardship.domain.orders import Areas, Order, Paid, Replacement, Setting, Supply, SupplyKind
from stewardship.domain.policy import Enforcement
from stewardship.domain.signing import as_supply


class Recogniser(Protocol):
    """What knows which product a medication's codings name."""

    def recognise(self, medication: Medication) -> Drug | None:
        """The product; ``None`` when no coding is known, or they contradict each other."""
        ...


class Meanings(Protocol):
    """What codes mean: the part of the library that reading a chart needs."""

    @property
    def catalogue(self) -> Recogniser:
        """The products."""
        ...

    @property
    def code_sets(self) -> CodeSets:
        """The named code sets."""
        ...

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The instruments, which make scores of answers."""
        ...


#: A supply that names no place; left out of documents as this very object.
NOWHERE = Areas()


class WrittenSupply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of a supply that is kept as a document, without what is not stated."""

    medication: Medication
    dosage: tuple[DosageInstruction, ...] = ()
    reasons: tuple[Coding, ...] = ()
    replaces: Replacement | None = None
    partial: int | None = None
    written_on: date | None = None
    prescribed: Quantity | None = None
    paid: Paid = Paid.UNKNOWN
    areas: Areas = NOWHERE


@dataclass(frozen=True, slots=True)
class KnownPatient:
    """The patient's row: our own id for it, or ``None`` when it is not known yet."""

    id: str | None
    patient: Patient
    data_as_of: datetime | None = None


#: The kinds of fact that are kept as whole documents, by their field in a chart.
FACTS: dict[str, tuple[type[tables.Fact], type[Any]]] = {
    "conditions": (tables.Condition, Condition),
    "observations": (tables.Observation, Observation),
    "procedures": (tables.Procedure, Procedure),
    "plans": (tables.Plan, Plan),
    "goals": (tables.Goal, Goal),
    "encounters": (tables.Encounter, Encounter),
}


def known_patient(session: Session, *, organisation_id: str, patient_id: str) -> KnownPatient:
    """The patient that the organisation calls by this id."""
    row = _PATIENT.first(session, {"organisation": organisation_id, "patient": patient_id})
    if row is None:
        return KnownPatient(None, Patient(patient_id))
    patient = Patient(row.ehr_id, row.birth_date, row.sex, row.deceased)
    return KnownPatient(row.id, patient, row.data_as_of)


def load_chart(
    session: Session, library: Meanings, *, organisation_id: str, patient_id: str, as_of: datetime
) -> Chart:
    """Everything that the organisation's database knew of this patient at ``as_of``.

    ``patient_id`` is the id that the organisation's EHR uses; an unknown patient has an empty chart.
    """
    known = known_patient(session, organisation_id=organisation_id, patient_id=patient_id)
    return chart_of(session, library, known, organisation_id=organisation_id, as_of=as_of)


def chart_of(
    session: Session, library: Meanings, known: KnownPatient, *, organisation_id: str, as_of: datetime
) -> Chart:
    """The chart of a patient whose row was read already."""
    if known.id is None:
        return Chart(known.patient, as_of)
    asked = {"organisation": organisation_id, "patient": known.id, "as_of": as_of, "today": as_of.date()}
    supplies: list[Supply] = []
    snoozes: list[Snooze] = []
    facts: dict[str, list[Any]] = {}
    own: list[Any] = []
    # In an order that does not depend on the database, for it may show in what a policy says.
    feed = feed_of(session, asked)
    for row in sorted(_HISTORY.rows(session, asked), key=_KIND_AND_ID):
        if row.kind == _ORDERED_KIND:
            supplies.append(as_supply(documents.decode(row.document, Order), SupplyKind.PRESCRIPTION))
        elif row.kind in FACTS:
            facts.setdefault(row.kind, []).append(fact_of(row.kind, row.document, library))
        elif row.kind == _SNOOZE_KIND:
            snoozes.append(_snooze(row))
        elif row.kind in function_facts.KINDS:
            own.append(row)
        else:
            supplies.append(supply_of(row, library))
    for field, found in _of_function(own, library, known, as_of).items():
        facts.setdefault(field, []).extend(found)
    return Chart(
        known.patient,
        as_of,
        tuple(supplies),
        gaps=feed.gaps,
        snoozes=tuple(snoozes),
        data_as_of=_older(known.data_as_of, feed.data_as_of),
        **{field: tuple(found) for field, found in facts.items()},
    )


def join(known: Chart, brought: Chart) -> Chart:
    """What the database knows and what a request brought, as one chart as of the known one's moment.

    The same record is counted once, as the request brought it, for that is the newer word of the system
    that owns it. A gap in what was brought stays a gap; but that a request brings no history is none where
    pharmacies report of this patient, nor that it brings no diagnoses where some are on record.
    """
    return Chart(
        patient=_patient(known.patient, brought.patient),
        as_of=known.as_of,
        supplies=_merge_supplies(known.supplies, brought.supplies),
        conditions=_merge(known.conditions, brought.conditions),
        observations=_merge(known.observations, brought.observations),
        procedures=_merge(known.procedures, brought.procedures),
        plans=_merge(known.plans, brought.plans),
        goals=_merge(known.goals, brought.goals),
        encounters=_merge(known.encounters, brought.encounters),
        gaps=known.gaps
        + tuple(gap for gap in brought.gaps if gap not in known.gaps and not _filled(gap, known)),
        # Only what is on record here, with its owner, puts a finding to rest.
        snoozes=known.snoozes,
        data_as_of=_older(known.data_as_of, brought.data_as_of),
    )


def _filled(gap: Gap, known: Chart) -> bool:
    """Whether what a request does not bring is known here."""
    if gap.code == HISTORY_MISSING:
        return known.data_as_of is not None
    return gap.code == RECORD_MISSING and bool(known.conditions)


# --- reading rows --------------------------------------------------------------------------------


def _mine(table: Any) -> Any:
    return and_(
        table.organisation_id == bindparam("organisation"),
        table.patient_id == bindparam("patient"),
        table.recorded_at <= bindparam("as_of"),
    )


_PATIENT = Prepared(
    select(
        tables.Patient.id,
        tables.Patient.ehr_id,
        tables.Patient.birth_date,
        tables.Patient.sex,
        tables.Patient.deceased,
        tables.Patient.data_as_of,
    ).where(
        tables.Patient.organisation_id == bindparam("organisation"),
        tables.Patient.ehr_id == bindparam("patient"),
    )
)

_lifted_by_override = exists().where(
    tables.Override.organisation_id == tables.Finding.organisation_id,
    tables.Override.decision_id == tables.Finding.decision_id,
    tables.Override.policy_id == tables.Finding.policy_id,
    tables.Override.at <= bindparam("as_of"),
)
_lifted_by_exception = exists().where(
    tables.ExceptionRequest.organisation_id == tables.Finding.organisation_id,
    tables.ExceptionRequest.decision_id == tables.Finding.decision_id,
    tables.ExceptionRequest.policy_id == tables.Finding.policy_id,
    tables.ExceptionRequest.status == tables.ExceptionStatus.APPROVED.value,
    tables.ExceptionRequest.closed_at <= bindparam("as_of"),
)
STOPPED = exists().where(
    tables.Finding.organisation_id == tables.Order.organisation_id,
    tables.Finding.decision_id == tables.Order.decision_id,
    or_(
        and_(tables.Finding.enforcement == Enforcement.SOFT_STOP.value, ~_lifted_by_override),
        and_(tables.Finding.enforcement == Enforcement.HARD_STOP.value, ~_lifted_by_exception),
    ),
)
# Everything about a patient in one round trip: a supply in its columns, anything else as its document.
_ORDERED_KIND = "ordered"
SUPPLY_COLUMNS = [
    column
    for column in tables.Supply.__table__.c
    if column.name not in {"organisation_id", "patient_id", "recorded_at"}
]
_KIND_AND_ID = attrgetter("kind", "source_id")


def _like_a_supply(kind: str, **columns: Any) -> list[Any]:
    """The columns of a supply for something that is none; it says which of them it borrows."""
    filled = {"kind": literal_column(f"'{kind}'"), **columns}
    return [filled.get(column.name, null()).label(column.name) for column in SUPPLY_COLUMNS]


# Submitted orders that nothing stops, or whose every stop was lifted by then.
_ORDERED = (
    select(*_like_a_supply(_ORDERED_KIND, source_id=tables.Order.id, document=tables.Decision.order_document))
    .join(
        tables.Decision,
        and_(
            tables.Order.organisation_id == tables.Decision.organisation_id,
            tables.Order.decision_id == tables.Decision.id,
        ),
    )
    .where(
        tables.Order.organisation_id == bindparam("organisation"),
        tables.Order.patient_id == bindparam("patient"),
        tables.Order.submitted_at <= bindparam("as_of"),
        ~STOPPED,
    )
)
# Snoozes that last on the day, unless they were ended by then.
_SNOOZE_KIND = "snoozed"
_SNOOZED = select(
    *_like_a_supply(
        _SNOOZE_KIND,
        source_id=tables.Snooze.id,
        prescription=tables.Snooze.policy_id,
        prescriber=tables.Snooze.drug,
        ended_on=tables.Snooze.until,
        setting=tables.Snooze.enforcement,
        status=tables.Snooze.reason,
    )
).where(
    tables.Snooze.organisation_id == bindparam("organisation"),
    tables.Snooze.patient_id == bindparam("patient"),
    tables.Snooze.at <= bindparam("as_of"),
    tables.Snooze.until >= bindparam("today"),
    ~exists().where(
        tables.SnoozeEnd.organisation_id == tables.Snooze.organisation_id,
        tables.SnoozeEnd.snooze_id == tables.Snooze.id,
        tables.SnoozeEnd.at <= bindparam("as_of"),
    ),
)
_HISTORY = Prepared(
    union_all(
        select(*SUPPLY_COLUMNS).where(_mine(tables.Supply)),
        _ORDERED,
        _SNOOZED,
        *function_facts.selects(_like_a_supply),
        *(
            select(*_like_a_supply(field, source_id=table.source_id, document=table.document)).where(
                _mine(table)
            )
            for field, (table, _) in FACTS.items()
        ),
    )
)


def supply_of(row: Any, library: Meanings) -> Supply:
    """A row of supplies as the domain knows it."""
    written = documents.decode(row.document, WrittenSupply)
    quantity = None if row.quantity_value is None else Quantity(row.quantity_value, row.quantity_unit)
    return Supply(
        id=row.source_id,
        kind=SupplyKind(row.kind),
        medication=written.medication,
        drug=library.catalogue.recognise(written.medication),
        start_on=row.start_on,
        dosage=written.dosage,
        quantity=quantity,
        days_supply=row.days_supply,
        refills=row.refills,
        fill=row.fill,
        status=row.status,
        ended_on=row.ended_on,
        prescription=row.prescription,
        prescriber=row.prescriber,
        pharmacy=row.pharmacy,
        replaces=written.replaces,
        setting=Setting(row.setting),
        reasons=written.reasons,
        reason_sets=library.code_sets.of_any(written.reasons),
        treatment_type=row.treatment_type,
        partial=written.partial,
        written_on=written.written_on,
        prescribed=written.prescribed,
        paid=written.paid,
        areas=written.areas,
    )


def _of_function(
    rows: Sequence[Any], library: Meanings, known: KnownPatient, as_of: datetime
) -> Mapping[str, list[Any]]:
    if not rows:
        return {}
    return function_facts.facts(
        rows,
        instruments=library.instruments,
        code_sets=library.code_sets,
        sex=known.patient.sex,
        today=as_of.date(),
    )


def _snooze(row: Any) -> Snooze:
    # In the columns that it borrows in the query.
    return Snooze(row.prescription, row.prescriber, row.ended_on, row.setting, row.status)


def fact_of(kind: str, document: str, library: Meanings) -> Any:
    """A fact of one of the kinds of ``FACTS``, with the sets that its codes are in."""
    fact = documents.decode(document, FACTS[kind][1])
    sets = library.code_sets.of_any(fact.codings)
    return replace(fact, sets=sets) if sets else fact


# --- pharmacies' feeds -----------------------------------------------------------------------------

HISTORY_MISSING, HISTORY_STALE, HISTORY_UNSETTLED = "history-missing", "history-stale", "history-unsettled"
RECORD_MISSING = "record-missing"


@dataclass(frozen=True, slots=True)
class Feed:
    """How current what pharmacies report of a patient is, and why it may be less than whole."""

    data_as_of: datetime | None = None
    gaps: tuple[Gap, ...] = ()


def feed_of(session: Session, asked: Mapping[str, Any]) -> Feed:
    """The feed of a patient (``organisation``, ``patient``, ``as_of``).

    A patient has one when some source has said who he is, for else nothing that a pharmacy reports could
    be told to be his. His chart relies on the pharmacies that he goes to, and is as current as the one that
    reported longest ago; that of somebody who goes to none relies on the newest report of all. A pharmacy
    whose report is overdue makes it stale. While it is not settled whether somebody else's dispensings are
    his, they may be.
    """
    rows = _FEED.rows(session, asked)
    known = {row.kind for row in rows}
    gaps = [Gap(HISTORY_UNSETTLED, "match")] if "unsettled" in known else []
    if "identity" not in known:
        return Feed(None, tuple(gaps))
    reporting = [row for row in rows if row.kind == "pharmacy" and not row.retired]
    relied = [row for row in reporting if row.relied]
    if not relied:
        relied = sorted((row for row in reporting if row.data_as_of), key=attrgetter("data_as_of"))[-1:]
    if not relied:
        return Feed(None, tuple(gaps))
    gaps += (
        Gap(HISTORY_STALE, row.name)
        for row in sorted(relied, key=attrgetter("name"))
        if row.expected_by is None or row.expected_by < asked["as_of"]
    )
    return Feed(min((row.data_as_of for row in relied if row.data_as_of), default=None), tuple(gaps))


_pharmacy: Any = import_tables.Pharmacy.__table__.c
_identity: Any = import_tables.Identity.__table__.c
_candidate: Any = import_tables.MatchCandidate.__table__.c
_no_moment = cast(null(), Instant)
_his_pharmacies = select(tables.Supply.pharmacy).where(
    tables.Supply.organisation_id == bindparam("organisation"),
    tables.Supply.patient_id == bindparam("patient"),
    tables.Supply.kind == SupplyKind.DISPENSING.value,
)
_reporting = import_tables.Pharmacy.__table__.alias().c
_newest = (
    select(func.max(_reporting.data_as_of))
    .where(_reporting.organisation_id == bindparam("organisation"), ~_reporting.retired)
    .scalar_subquery()
)
_his_identities = select(_identity.id).where(
    _identity.organisation_id == bindparam("organisation"), _identity.patient_id == bindparam("patient")
)


def _word(kind: str) -> list[Any]:
    return [
        literal_column(f"'{kind}'").label("kind"),
        literal_column("''").label("name"),
        false().label("relied"),
        false().label("retired"),
        _no_moment.label("data_as_of"),
        _no_moment.label("expected_by"),
    ]


_FEED = Prepared(
    union_all(
        select(
            literal_column("'pharmacy'").label("kind"),
            _pharmacy.id.label("name"),
            _pharmacy.id.in_(_his_pharmacies).label("relied"),
            _pharmacy.retired,
            _pharmacy.data_as_of,
            _pharmacy.expected_by,
        ).where(
            _pharmacy.organisation_id == bindparam("organisation"),
            or_(_pharmacy.id.in_(_his_pharmacies), _pharmacy.data_as_of == _newest),
        ),
        select(*_word("identity")).where(_his_identities.exists()),
        select(*_word("unsettled")).where(
            exists().where(
                _candidate.organisation_id == bindparam("organisation"),
                _candidate.status == import_tables.CandidateStatus.OPEN.value,
                or_(
                    _candidate.patient_id == bindparam("patient"),
                    _candidate.identity_id.in_(_his_identities),
                ),
            )
        ),
    )
)


def _older(one: datetime | None, other: datetime | None) -> datetime | None:
    # Never claim to know more than the source that knows less.
    return min((moment for moment in (one, other) if moment is not None), default=None)


# --- joining -------------------------------------------------------------------------------------

T = TypeVar("T")


def _patient(known: Patient, brought: Patient) -> Patient:
    return Patient(
        id=brought.id,
        birth_date=brought.birth_date or known.birth_date,
        sex=brought.sex or known.sex,
        deceased=brought.deceased or known.deceased,
    )


def _merge(
    known: Sequence[T], brought: Sequence[T], key: Callable[[T], object] | None = None
) -> tuple[T, ...]:
    identity: Callable[[Any], object] = key or (lambda fact: fact.id)
    again = {identity(fact) for fact in brought}
    return (*(fact for fact in known if identity(fact) not in again), *brought)


def _merge_supplies(known: Sequence[Supply], brought: Sequence[Supply]) -> tuple[Supply, ...]:
    if not known or not brought:
        return (*known, *brought)
    again = {name for supply in brought for name in _names(supply)}
    return (*(supply for supply in known if not again.intersection(_names(supply))), *brought)


def _names(supply: Supply) -> Iterable[tuple[object, ...]]:
    """The names under which two sources may tell of one record.

    Its id; pharmacy and number of a prescription; pharmacy, number, fill and day of a dispensing. A
    prescription and its dispensings stay two records: the chart's exposures make one of them.
    """
    yield (supply.kind, supply.id)
    if not supply.prescription:
        return
    if supply.kind is SupplyKind.PRESCRIPTION:
        yield ("number", supply.pharmacy, supply.prescription)
    elif supply.kind is SupplyKind.DISPENSING and supply.fill is not None:
        yield ("fill", supply.pharmacy, supply.prescription, supply.fill, supply.start_on)
