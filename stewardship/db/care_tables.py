"""The tables of care besides opioids: what is known of an episode of pain, and what was put to the patient.

Both are rows that are never changed: a later statement stands beside the earlier one.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from stewardship.db.tables import (
    Base,
    Code,
    Id,
    Json,
    Key,
    OfOrganisation,
    Prose,
    belongs_to,
    check_lengths,
    one_of,
)
from stewardship.domain.benefit import Reply
from stewardship.domain.people import Role


class PainAssessment(OfOrganisation, Base):
    """What somebody found out about a patient's pain on a day: only the facts that were looked at.

    ``document`` holds them by name; the last statement of each fact counts.
    """

    __tablename__ = "pain_assessments"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        one_of("by_role", Role),
        Index(None, "organisation_id", "patient_id", "on_day"),
    )

    id: Mapped[Key]
    patient_id: Mapped[Id]
    on_day: Mapped[date]
    document: Mapped[Json]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class AlternativeOffer(OfOrganisation, Base):
    """That a treatment was put to the patient, and what the reply was; a new reply is a new row."""

    __tablename__ = "alternative_offers"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        one_of("reply", Reply),
        one_of("by_role", Role),
        Index(None, "organisation_id", "patient_id", "on_day"),
    )

    id: Mapped[Key]
    patient_id: Mapped[Id]
    treatment: Mapped[Code]
    reply: Mapped[Code]
    on_day: Mapped[date]
    note: Mapped[Prose] = mapped_column(default="")
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


for _table in (PainAssessment, AlternativeOffer):
    check_lengths(_table.__table__)  # type: ignore[arg-type]
