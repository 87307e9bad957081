"""When an episode of pain is looked at again: days that an assessment opens, and the next assessment ends."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from stewardship.db.columns import Words
from stewardship.db.tables import Base, Id, Key, OfOrganisation, belongs_to, check_lengths


class PainFollowUp(OfOrganisation, Base):
    """That a trigger will hold from a day on unless something changes, and whose list it is on.

    A row is never changed: it counts while the assessment that asked for it is the patient's last, and until
    ``until_on``, the last day on which its trigger can hold.
    """

    __tablename__ = "pain_follow_ups"
    __table_args__ = (
        belongs_to("pain_assessments", "assessment_id"),
        belongs_to("patients", "patient_id"),
        CheckConstraint("due_on >= opens_on", name="due_after_it_opens"),
        Index(None, "organisation_id", "opens_on"),
    )

    assessment_id: Mapped[Key]
    trigger: Mapped[str] = mapped_column(Words(64), primary_key=True)
    patient_id: Mapped[Id]
    opens_on: Mapped[date]
    due_on: Mapped[date]
    until_on: Mapped[date | None]
    clinician: Mapped[Id]
    at: Mapped[datetime]


check_lengths(PainFollowUp.__table__)  # type: ignore[arg-type]
