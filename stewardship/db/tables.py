"""The tables. Every row belongs to one organisation, and its key begins with it.

Foreign keys carry the organisation too, so that no row can point into another's. What the domain asks
of a fact is kept as its canonical document; a column of its own gets what a query or a constraint asks
for. Lengths, words and pairs are checked by the database, alike on SQLite and PostgreSQL. Findings,
decisions, what people did about them, and audit events are insert-only by trigger (see the migrations).
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from stewardship.db.columns import ID_LENGTH, Document, ExactDecimal, Instant, Words
from stewardship.domain.orders import Setting, SupplyKind
from stewardship.domain.people import Role
from stewardship.domain.policy import Disposition, Enforcement, Outcome, Severity

#: Names for every constraint, or SQLite could not drop one in a later migration.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

#: Tables whose rows are never changed and never removed.
INSERT_ONLY = (
    "policy_versions",
    "decisions",
    "findings",
    "overrides",
    "countersignatures",
    "audit_events",
    "snoozes",
    "snooze_ends",
    "cards",
    "card_feedback",
    "dispensing_reports",
    "report_sources",
    "identity_links",
    "flag_events",
    "flag_messages",
    "flag_answers",
    "plan_acts",
    "patient_preferences",
    "coverage_facts",
    "pain_assessments",
    "alternative_offers",
    "pain_follow_ups",
    "match_settlements",
    "function_goals",
    "function_goal_events",
    "measurements",
    "measurement_errors",
    "reassessment_measurements",
    "legal_holds",
    "legal_hold_ends",
    "erasures",
)

Id = Annotated[str, mapped_column(Words(ID_LENGTH))]
Key = Annotated[str, mapped_column(Words(ID_LENGTH), primary_key=True)]
Code = Annotated[str, mapped_column(Words(64))]
Line = Annotated[str, mapped_column(Words(500))]
Prose = Annotated[str, mapped_column(Words(4000))]
Hash = Annotated[str, mapped_column(Words(64))]
Json = Annotated[str, mapped_column(Document)]


class ExceptionStatus(StrEnum):
    """Where a request for an exception stands."""

    OPEN = "open"
    APPROVED = "approved"
    DECLINED = "declined"


class CardOutcome(StrEnum):
    """What a prescriber did about a card, as an EHR reports it."""

    ACCEPTED = "accepted"
    OVERRIDDEN = "overridden"


class Base(DeclarativeBase):
    """The registry of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: Instant, Decimal: ExactDecimal}  # noqa: RUF012 - SQLAlchemy's way


def one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    """The column holds one of the words of an enumeration."""
    # Not IN (...): SQLite would make a table of the words for every statement, and look each row up in it.
    listed = " OR ".join(f"{column} = '{word.value}'" for word in words)
    return CheckConstraint(listed, name=column)


def together(*columns: str) -> CheckConstraint:
    """The columns are all set, or none of them is."""
    first, *rest = columns
    same = " AND ".join(f"({first} IS NULL) = ({other} IS NULL)" for other in rest)
    return CheckConstraint(same, name="_and_".join(columns))


def between(column: str, low: int, high: int) -> CheckConstraint:
    """The number is in a range that both databases can hold and that means something."""
    return CheckConstraint(f"{column} BETWEEN {low} AND {high}", name=column)


def belongs_to(table: str, *columns: str, to: tuple[str, ...] = ("id",)) -> ForeignKeyConstraint:
    """A reference that stays within the organisation."""
    return ForeignKeyConstraint(
        ["organisation_id", *columns], [f"{table}.organisation_id", *(f"{table}.{name}" for name in to)]
    )


class Organisation(Base):
    """A hospital or practice; everything else belongs to one.

    Its calendar: the zone of its days, whose holidays it keeps, and its weekend, days from Monday, 1, with
    commas between. What is not set is as in the reference.
    """

    __tablename__ = "organisations"

    id: Mapped[Key]
    name: Mapped[Line]
    created_at: Mapped[datetime]
    time_zone: Mapped[str | None] = mapped_column(Words(64))
    holiday_country: Mapped[str | None] = mapped_column(Words(64))
    holiday_region: Mapped[str | None] = mapped_column(Words(64))
    weekend: Mapped[str | None] = mapped_column(Words(64))


class OfOrganisation:
    """A row of one organisation."""

    organisation_id: Mapped[str] = mapped_column(
        Words(ID_LENGTH), ForeignKey("organisations.id"), primary_key=True, sort_order=-2
    )


class User(OfOrganisation, Base):
    """A person or a machine client, by id and role."""

    __tablename__ = "users"
    __table_args__ = (one_of("role", Role),)

    id: Mapped[Key]
    role: Mapped[Code]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class ApiToken(OfOrganisation, Base):
    """An API token: only its SHA-256. ``scopes`` is a JSON list, empty for all that the role may."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        belongs_to("users", "user_id"),
        UniqueConstraint("token_hash"),
        one_of("role", Role),
        CheckConstraint("length(token_hash) = 64", name="hash_only"),
        CheckConstraint("expires_at > issued_at", name="expires"),
    )

    id: Mapped[Key]
    token_hash: Mapped[Hash]
    user_id: Mapped[Id]
    role: Mapped[Code]
    scopes: Mapped[Json]
    issued_at: Mapped[datetime]
    issued_by: Mapped[Id]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class Patient(OfOrganisation, Base):
    """A patient: a random id of ours, and the id that the organisation's EHR uses. Never a name.

    ``data_as_of`` tells how current the dispensing history of this patient is.
    """

    __tablename__ = "patients"
    __table_args__ = (UniqueConstraint("organisation_id", "ehr_id"),)

    id: Mapped[Key]
    ehr_id: Mapped[Id]
    birth_date: Mapped[date | None]
    sex: Mapped[Code] = mapped_column(default="")
    deceased: Mapped[bool] = mapped_column(default=False)
    data_as_of: Mapped[datetime | None]
    recorded_at: Mapped[datetime]


class Supply(OfOrganisation, Base):
    """One prescription, dispensing or statement of a patient's history.

    ``document`` holds what was written: the medication's codings, the dosage, the reasons, the loss that
    it replaces. What those codes mean is looked up when the row is read.
    """

    __tablename__ = "supplies"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        one_of("kind", SupplyKind),
        one_of("setting", Setting),
        together("quantity_value", "quantity_unit"),
        between("refills", 0, 1000),
        between("fill", 0, 1000),
        {"sqlite_with_rowid": False},
    )

    patient_id: Mapped[Key]
    kind: Mapped[str] = mapped_column(Words(64), primary_key=True)
    source_id: Mapped[Key]
    status: Mapped[Code]
    start_on: Mapped[date | None]
    ended_on: Mapped[date | None]
    quantity_value: Mapped[Decimal | None]
    quantity_unit: Mapped[Code | None]
    days_supply: Mapped[Decimal | None]
    refills: Mapped[int | None]
    fill: Mapped[int | None]
    prescription: Mapped[Id]
    prescriber: Mapped[Id]
    pharmacy: Mapped[Id]
    setting: Mapped[Code]
    treatment_type: Mapped[Code]
    document: Mapped[Json]
    recorded_at: Mapped[datetime]


class Fact(OfOrganisation):
    """Something about a patient that policies ask for, as a canonical document of its domain type."""

    patient_id: Mapped[str] = mapped_column(Words(ID_LENGTH), primary_key=True, sort_order=-1)
    source_id: Mapped[Key]
    document: Mapped[Json]
    recorded_at: Mapped[datetime]


def _of_patient() -> tuple[Any, ...]:
    return (belongs_to("patients", "patient_id"), {"sqlite_with_rowid": False})


class Condition(Fact, Base):
    """A diagnosis or problem."""

    __tablename__ = "conditions"
    __table_args__ = _of_patient()


class Observation(Fact, Base):
    """A measurement or test result."""

    __tablename__ = "observations"
    __table_args__ = _of_patient()


class Procedure(Fact, Base):
    """Something done, planned or ordered."""

    __tablename__ = "procedures"
    __table_args__ = _of_patient()


class Plan(Fact, Base):
    """A care plan or a treatment plan for pain."""

    __tablename__ = "plans"
    __table_args__ = _of_patient()


class Goal(Fact, Base):
    """What the patient wants to be able to do."""

    __tablename__ = "goals"
    __table_args__ = _of_patient()


class Encounter(Fact, Base):
    """A visit."""

    __tablename__ = "encounters"
    __table_args__ = _of_patient()


class PolicyVersion(OfOrganisation, Base):
    """What a policy version adds to each of its findings: title, source, coded reasons, exception path.

    Written when the version first decides something, and never again. ``sha256`` is the document's own,
    so that a decision that names it says which words it meant; the document holds the SHA-256 of the
    policy's file.
    """

    __tablename__ = "policy_versions"
    __table_args__ = (
        between("version", 1, 1_000_000),
        CheckConstraint("length(sha256) = 64", name="sha256"),
        {"sqlite_with_rowid": False},
    )

    policy_id: Mapped[Key]
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sha256: Mapped[str] = mapped_column(Words(64), primary_key=True)
    document: Mapped[Json]


class Decision(OfOrganisation, Base):
    """What was decided about an order, with everything needed to decide it again.

    ``order_document`` and ``chart_document`` are the facts as used; ``policies_document`` lists the
    policies in force as [id, version, SHA-256], which name rows of ``policy_versions``;
    ``silent_document`` the findings that are no rows (see ``db.findings``). A decision about a chart alone
    has no order.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        one_of("disposition", Disposition),
        one_of("by_role", Role),
        together("order_id", "order_document"),
        {"sqlite_with_rowid": False},
    )

    id: Mapped[Key]
    patient_id: Mapped[Id]
    order_id: Mapped[Id | None]
    channel: Mapped[Code]
    disposition: Mapped[Code]
    as_of: Mapped[datetime]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    order_document: Mapped[str | None] = mapped_column(Document)
    chart_document: Mapped[Json]
    policies_document: Mapped[Json]
    silent_document: Mapped[str | None] = mapped_column(Document)


class Order(OfOrganisation, Base):
    """An order that was submitted; its document is in its decision."""

    __tablename__ = "orders"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        belongs_to("decisions", "decision_id"),
        UniqueConstraint("organisation_id", "decision_id"),
    )

    patient_id: Mapped[Key]
    id: Mapped[Key]
    decision_id: Mapped[Id]
    submitted_at: Mapped[datetime]
    by_user: Mapped[Id]


class Finding(OfOrganisation, Base):
    """What one policy said aloud: the document is the finding, without what its policy version adds to it."""

    __tablename__ = "findings"
    __table_args__ = (
        belongs_to("decisions", "decision_id"),
        one_of("outcome", Outcome),
        one_of("enforcement", Enforcement),
        one_of("severity", Severity),
        between("version", 1, 1_000_000),
        {"sqlite_with_rowid": False},
    )

    decision_id: Mapped[Key]
    policy_id: Mapped[Key]
    version: Mapped[int]
    outcome: Mapped[Code]
    enforcement: Mapped[Code]
    severity: Mapped[Code]
    document: Mapped[Json]


class Override(OfOrganisation, Base):
    """A soft stop was overridden: at most once, with a coded reason of that policy version."""

    __tablename__ = "overrides"
    __table_args__ = (
        belongs_to("findings", "decision_id", "policy_id", to=("decision_id", "policy_id")),
        one_of("by_role", Role),
        CheckConstraint("length(reason) > 0", name="reason_given"),
        Index(None, "organisation_id", "by_user", "at"),
    )

    decision_id: Mapped[Key]
    policy_id: Mapped[Key]
    reason: Mapped[Code]
    comment: Mapped[Prose]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class ExceptionRequest(OfOrganisation, Base):
    """A prescriber asks that a hard stop be lifted. One that is open or approved stands alone."""

    __tablename__ = "exception_requests"
    __table_args__ = (
        belongs_to("findings", "decision_id", "policy_id", to=("decision_id", "policy_id")),
        one_of("status", ExceptionStatus),
        CheckConstraint("(status = 'open') = (closed_at IS NULL)", name="closed_when"),
        CheckConstraint("length(reason) > 0", name="reason_given"),
    )

    id: Mapped[Key]
    decision_id: Mapped[Id]
    policy_id: Mapped[Id]
    reason: Mapped[Line]
    note: Mapped[Prose]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]
    status: Mapped[Code]
    closed_at: Mapped[datetime | None]


_standing = ExceptionRequest.__table__.c.status != ExceptionStatus.DECLINED.value
Index(
    "uq_exception_requests_standing",
    ExceptionRequest.organisation_id,
    ExceptionRequest.decision_id,
    ExceptionRequest.policy_id,
    unique=True,
    sqlite_where=_standing,
    postgresql_where=_standing,
)


class Countersignature(OfOrganisation, Base):
    """Another person's yes or no to an exception: once each."""

    __tablename__ = "countersignatures"
    __table_args__ = (belongs_to("exception_requests", "exception_id"), one_of("by_role", Role))

    exception_id: Mapped[Key]
    by_user: Mapped[Key]
    by_role: Mapped[Code]
    approve: Mapped[bool]
    note: Mapped[Prose]
    at: Mapped[datetime]


class Snooze(OfOrganisation, Base):
    """A finding put to rest for a patient and a drug, from the day of ``from_on`` to the end of ``until``;
    each finding at most once.

    ``drug`` is the ``opioid_codes`` of the order that the finding was about, ``""`` for every order.
    ``enforcement`` is the one of the finding; a hard stop is never put to rest.
    """

    __tablename__ = "snoozes"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        belongs_to("findings", "decision_id", "policy_id", to=("decision_id", "policy_id")),
        one_of("by_role", Role),
        CheckConstraint("enforcement IN ('inform', 'soft-stop')", name="enforcement"),
        CheckConstraint("length(reason) > 0", name="reason_given"),
        CheckConstraint("until > from_on", name="ends"),
        UniqueConstraint("organisation_id", "decision_id", "policy_id"),
        Index(None, "organisation_id", "patient_id"),
    )

    id: Mapped[Key]
    patient_id: Mapped[Id]
    decision_id: Mapped[Id]
    policy_id: Mapped[Id]
    drug: Mapped[Id]
    enforcement: Mapped[Code]
    reason: Mapped[Code]
    from_on: Mapped[date]
    until: Mapped[date]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class SnoozeEnd(OfOrganisation, Base):
    """A snooze was ended before its day: once."""

    __tablename__ = "snooze_ends"
    __table_args__ = (belongs_to("snoozes", "snooze_id"), one_of("by_role", Role))

    snooze_id: Mapped[Key]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class Card(OfOrganisation, Base):
    """A card that an EHR was sent, by its uuid. ``policies`` is a JSON list of those behind it, the leading
    one first. A card that is about no decision says that something was not checked."""

    __tablename__ = "cards"
    __table_args__ = (
        belongs_to("decisions", "decision_id"),
        CheckConstraint("enforcement IN ('inform', 'soft-stop', 'hard-stop')", name="enforcement"),
        {"sqlite_with_rowid": False},
    )

    id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    decision_id: Mapped[Id | None]
    policies: Mapped[Json]
    topic: Mapped[Code]
    enforcement: Mapped[Code]
    shown_at: Mapped[datetime]
    by_user: Mapped[Id]


class CardFeedback(OfOrganisation, Base):
    """What an EHR reported that somebody did about a card, and when (``at``, by the EHR's clock).

    ``accepted`` is a JSON list of the ids of suggestions. Reports of one card at different moments are all
    kept; the same report sent again is one row.
    """

    __tablename__ = "card_feedback"
    __table_args__ = (
        belongs_to("cards", "card_id"),
        one_of("outcome", CardOutcome),
        one_of("by_role", Role),
        {"sqlite_with_rowid": False},
    )

    card_id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    outcome: Mapped[Code]
    accepted: Mapped[Json]
    reason_code: Mapped[Id]
    reason_system: Mapped[Line]
    comment: Mapped[Prose]
    service: Mapped[Code]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    received_at: Mapped[datetime]


class AuditEvent(OfOrganisation, Base):
    """One link of an organisation's chain: ``mac`` covers the one before and the canonical entry."""

    __tablename__ = "audit_events"
    __table_args__ = (
        CheckConstraint("seq >= 1", name="seq"),
        CheckConstraint("length(mac) = 64", name="mac"),
        {"sqlite_with_rowid": False},
    )

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    action: Mapped[Code]
    subject: Mapped[Id]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    detail: Mapped[Json]
    key_id: Mapped[Code]
    mac: Mapped[Hash]


class CatalogueProduct(OfOrganisation, Base):
    """A product that a site loaded from a newer list than the one that ships."""

    __tablename__ = "catalogue_products"

    system: Mapped[str] = mapped_column(Words(64), primary_key=True)
    code: Mapped[str] = mapped_column(Words(64), primary_key=True)
    name: Mapped[Prose]
    document: Mapped[Json]
    source: Mapped[Line]
    loaded_at: Mapped[datetime]


def check_lengths(table: Table) -> None:
    """Add to a table the checks that keep texts to their lengths."""
    # SQLite takes text of any length for VARCHAR(n); the check makes it refuse what PostgreSQL refuses.
    column: Column[Any]
    for column in table.columns:
        length = None if isinstance(column.type, Text) else getattr(column.type, "length", None)
        if length is not None:
            check = CheckConstraint(f"length({column.name}) <= {length}", name=f"{column.name}_length")
            table.append_constraint(check)


for _table in Base.metadata.tables.values():
    check_lengths(_table)
