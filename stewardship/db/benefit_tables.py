"""Of whom it was asked whether what was never tried might help, on which facts, and when to ask again."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy.orm import Mapped

from stewardship.db.tables import Base, Hash, Key, OfOrganisation, belongs_to, check_lengths


class BenefitLook(OfOrganisation, Base):
    """The last look at a patient: what its facts came to, the day that it was made on, and from which day on
    the passing of time alone may change what it found."""

    __tablename__ = "benefit_looks"
    __table_args__ = (belongs_to("patients", "patient_id"), {"sqlite_with_rowid": False})

    patient_id: Mapped[Key]
    facts: Mapped[Hash]
    next_on: Mapped[date | None]
    on_day: Mapped[date]
    at: Mapped[datetime]


check_lengths(BenefitLook.__table__)  # type: ignore[arg-type]
