"""The tables of reaching people: where somebody gets mail, what is to be sent, and links for patients.

An address stands in ``contacts`` alone. A message holds ids and what kind it is; its words are made when it
is sent, and hold nothing about a patient.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from stewardship.db.columns import ID_LENGTH, Words
from stewardship.db.tables import (
    Base,
    Code,
    Hash,
    Id,
    Json,
    Key,
    OfOrganisation,
    belongs_to,
    between,
    check_lengths,
    one_of,
    together,
)
from stewardship.domain.people import Role


class MessageStatus(StrEnum):
    """Where a message stands."""

    PENDING = "pending"
    SENDING = "sending"  # somebody is at it; or was, when nobody holds the claim on the outbox
    SENT = "sent"  # a server took it, at least once
    DEAD = "dead"  # given up on: somebody has to look


class Contact(OfOrganisation, Base):
    """Where a clinician or another person gets mail, by the id under which orders and reviews know them.

    ``escalations`` says that the person is told of reviews that were missed, whoever's they are.
    """

    __tablename__ = "contacts"
    __table_args__ = (CheckConstraint("email LIKE '%_@_%'", name="email_shape"),)

    id: Mapped[Key]
    email: Mapped[str] = mapped_column(Words(254))
    escalations: Mapped[bool]
    updated_at: Mapped[datetime]
    updated_by: Mapped[Id]


class OutboxMessage(OfOrganisation, Base):
    """One message to one person, written together with what caused it; never two under one ``dedupe_key``.

    ``document`` holds the ids and counts that its words are made of. ``next_at`` is when it may be tried
    again, ``error`` a code for why the last try failed.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("organisation_id", "dedupe_key"),
        one_of("status", MessageStatus),
        CheckConstraint("(status = 'sent') = (sent_at IS NOT NULL)", name="sent_when"),
        between("attempts", 0, 1_000_000),
        Index(None, "organisation_id", "status", "next_at"),
    )

    id: Mapped[Key]
    kind: Mapped[Code]
    recipient: Mapped[Id]
    dedupe_key: Mapped[Id]
    document: Mapped[Json]
    status: Mapped[Code]
    attempts: Mapped[int]
    created_at: Mapped[datetime]
    next_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    error: Mapped[Code]


class Escalation(OfOrganisation, Base):
    """A review that was missed, and that somebody beside its clinician is told of: once each.

    ``told_on`` is the day of the mail that named it; ``None`` until there was one.
    """

    __tablename__ = "escalations"
    __table_args__ = (
        between("late_days", 0, 1_000_000),
        Index(None, "organisation_id", "told_on"),
    )

    review_id: Mapped[Key]
    clinician: Mapped[Id]
    due_on: Mapped[date]
    late_days: Mapped[int]
    at: Mapped[datetime]
    told_on: Mapped[date | None]


class QuestionnaireLink(OfOrganisation, Base):
    """A link with which a patient fills in one instrument, once. Only the hash of its token is kept."""

    __tablename__ = "questionnaire_links"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        UniqueConstraint("token_hash"),
        one_of("issued_role", Role),
        CheckConstraint("length(token_hash) = 64", name="hash_only"),
        CheckConstraint("expires_at > issued_at", name="expires"),
        CheckConstraint("used_at IS NULL OR revoked_at IS NULL", name="used_or_revoked"),
        together("revoked_at", "revoked_by"),
        Index(None, "organisation_id", "patient_id"),
    )

    id: Mapped[Key]
    token_hash: Mapped[Hash]
    patient_id: Mapped[Id]
    instrument: Mapped[Code]
    review_id: Mapped[Id | None]
    issued_at: Mapped[datetime]
    issued_by: Mapped[Id]
    issued_role: Mapped[Code]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None] = mapped_column(Words(ID_LENGTH))


for _table in (Contact, OutboxMessage, Escalation, QuestionnaireLink):
    check_lengths(_table.__table__)  # type: ignore[arg-type]
