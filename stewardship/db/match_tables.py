"""What people said about matches of patients: every word of it stays."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from stewardship.db.tables import (
    Base,
    Code,
    Id,
    Key,
    Line,
    OfOrganisation,
    belongs_to,
    between,
    check_lengths,
    one_of,
)
from stewardship.domain.people import Role

_MOST = 2_000_000_000


class Settlement(StrEnum):
    """What somebody did about a match. ``passed-over``: another patient was accepted for the identity;
    ``reopened``: what was said before does not hold, and somebody has to say again."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    PASSED_OVER = "passed-over"
    PARTED = "parted"
    REOPENED = "reopened"


class MatchSettlement(OfOrganisation, Base):
    """One thing that was done about an identity and a patient whose it may be: by whom, when and why."""

    __tablename__ = "match_settlements"
    __table_args__ = (
        belongs_to("patient_identities", "identity_id"),
        belongs_to("patients", "patient_id"),
        one_of("act", Settlement),
        one_of("by_role", Role),
        between("seq", 1, _MOST),
        Index(None, "organisation_id", "patient_id"),
        {"sqlite_with_rowid": False},
    )

    identity_id: Mapped[Key]
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    patient_id: Mapped[Id]
    act: Mapped[Code]
    reason: Mapped[Line]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


check_lengths(MatchSettlement.__table__)  # type: ignore[arg-type]
