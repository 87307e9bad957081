"""Legal holds, and what was removed when its time was over.

A row of a table that only grows may go when the removal of its record is written here before (a trigger
sees to it), and nothing is written here about a record that a hold keeps (another one). What stays of a
record is its id and the digest of what it was, so that the audit trail can still be verified.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index
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
    Prose,
    belongs_to,
    check_lengths,
    one_of,
)
from stewardship.domain.people import Role


class Erased(StrEnum):
    """What a removed record was."""

    DECISION = "decision"  # with its findings, and all that people did about them
    DISPENSING = "dispensing"  # every row that was reported of it, and the supply that they came to


class LegalHold(OfOrganisation, Base):
    """Nothing of this patient, or of the whole organisation, may be removed until somebody lifts the hold."""

    __tablename__ = "legal_holds"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        one_of("by_role", Role),
        CheckConstraint("length(reason) > 0", name="reason_given"),
        Index(None, "organisation_id", "patient_id"),
    )

    id: Mapped[Key]
    patient_id: Mapped[str | None] = mapped_column(Words(ID_LENGTH))
    reason: Mapped[Prose]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class LegalHoldEnd(OfOrganisation, Base):
    """A hold was lifted: once. No hold ends by itself."""

    __tablename__ = "legal_hold_ends"
    __table_args__ = (
        belongs_to("legal_holds", "hold_id"),
        one_of("by_role", Role),
        CheckConstraint("length(reason) > 0", name="reason_given"),
    )

    hold_id: Mapped[Key]
    reason: Mapped[Prose]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class Erasure(OfOrganisation, Base):
    """A record that is gone. ``portion`` is the removal that it went with, which is one audit event;
    ``sha256`` what the record was; ``kept`` what verification still needs of it, in ids and hashes."""

    __tablename__ = "erasures"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        one_of("kind", Erased),
        CheckConstraint("length(sha256) = 64", name="sha256"),
        Index(None, "organisation_id", "portion"),
        {"sqlite_with_rowid": False},
    )

    kind: Mapped[str] = mapped_column(Words(64), primary_key=True)
    record_id: Mapped[Key]
    portion: Mapped[Id]
    patient_id: Mapped[str | None] = mapped_column(Words(ID_LENGTH))
    sha256: Mapped[Hash]
    kept: Mapped[Json]
    at: Mapped[datetime]


for _table in (LegalHold, LegalHoldEnd, Erasure):
    check_lengths(_table.__table__)  # type: ignore[arg-type]
