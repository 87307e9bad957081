"""The tables of plans for pain: plans, referrals, tapers, prescribers, and every act on them.

A record holds how things stand now, with a version; ``plan_acts`` holds each version that it ever had,
what was done to get there, and who did it, and is never changed. What a patient does not want and what a
payer asks for are words of a day: a newer one stands beside the older.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from stewardship.db.columns import Words
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
)
from stewardship.domain.care import SaidBy, Stance
from stewardship.domain.people import Role
from stewardship.domain.plan_referrals import ReferralStatus
from stewardship.domain.plan_steps import PlanStatus
from stewardship.domain.taper import TaperStatus

_MOST = 1_000_000


class Subject(StrEnum):
    """What an act was done to."""

    PLAN = "plan"
    REFERRAL = "referral"
    TAPER = "taper"
    PRESCRIBER = "prescriber"


class Acted(OfOrganisation):
    """A record that people act on: how it stands as a document, and the version of that."""

    id: Mapped[Key]
    version: Mapped[int]
    document: Mapped[Json]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    changed_by: Mapped[Id]


class PainPlan(Acted, Base):
    """A plan for one patient's pain. ``review_on`` is the next day on which somebody looks at a step."""

    __tablename__ = "pain_plans"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        one_of("status", PlanStatus),
        between("version", 1, _MOST),
        Index(None, "organisation_id", "patient_id"),
    )

    patient_id: Mapped[Id]
    status: Mapped[Code]
    review_on: Mapped[date | None]


class Referral(Acted, Base):
    """A referral of a plan. ``due_on`` is the last day for what has to happen next, while it is open."""

    __tablename__ = "referrals"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        belongs_to("pain_plans", "plan_id"),
        one_of("status", ReferralStatus),
        between("version", 1, _MOST),
        CheckConstraint(
            "(status IN ('sent', 'accepted', 'seen')) = (due_on IS NOT NULL)", name="due_while_open"
        ),
        Index(None, "organisation_id", "patient_id"),
        Index(None, "organisation_id", "due_on"),
    )

    patient_id: Mapped[Id]
    plan_id: Mapped[Id]
    status: Mapped[Code]
    due_on: Mapped[date | None]


class Taper(Acted, Base):
    """A taper, at most one of a patient under way. ``next_step_on`` is when the dose next goes down."""

    __tablename__ = "tapers"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        belongs_to("pain_plans", "plan_id"),
        one_of("status", TaperStatus),
        between("version", 1, _MOST),
        CheckConstraint("status = 'active' OR next_step_on IS NULL", name="next_step_while_active"),
        Index(None, "organisation_id", "patient_id"),
        Index(None, "organisation_id", "next_step_on"),
    )

    patient_id: Mapped[Id]
    plan_id: Mapped[str | None] = mapped_column(Words(200))
    status: Mapped[Code]
    next_step_on: Mapped[date | None]


_under_way = (Taper.__table__.c.status == "active") | (Taper.__table__.c.status == "paused")
Index(
    "uq_tapers_under_way",
    Taper.organisation_id,
    Taper.patient_id,
    unique=True,
    sqlite_where=_under_way,
    postgresql_where=_under_way,
)


class Preference(OfOrganisation, Base):
    """What a patient, or who speaks for the patient, said of a kind of treatment on a day."""

    __tablename__ = "patient_preferences"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        one_of("stance", Stance),
        one_of("said_by", SaidBy),
        one_of("by_role", Role),
        Index(None, "organisation_id", "patient_id"),
    )

    id: Mapped[Key]
    patient_id: Mapped[Id]
    about: Mapped[Code]
    stance: Mapped[Code]
    said_on: Mapped[date]
    said_by: Mapped[Code]
    note: Mapped[str] = mapped_column(Words(2000))
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class Coverage(OfOrganisation, Base):
    """What a payer was found to ask for and to allow in a discipline, on a day."""

    __tablename__ = "coverage_facts"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        one_of("by_role", Role),
        Index(None, "organisation_id", "patient_id"),
    )

    id: Mapped[Key]
    patient_id: Mapped[Id]
    discipline: Mapped[Code]
    document: Mapped[Json]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class Prescriber(Acted, Base):
    """A prescriber by National Provider Identifier, and the user who that is, if it is one of ours."""

    __tablename__ = "prescribers"
    __table_args__ = (
        UniqueConstraint("organisation_id", "npi"),
        UniqueConstraint("organisation_id", "user_id"),
        between("version", 1, _MOST),
        CheckConstraint("length(npi) = 10", name="npi_whole"),
    )

    npi: Mapped[Code]
    user_id: Mapped[str | None] = mapped_column(Words(200))


class Act(OfOrganisation, Base):
    """One act on a record: what was done (``digest`` is of its words), and the record as it stood then."""

    __tablename__ = "plan_acts"
    __table_args__ = (
        one_of("kind", Subject),
        one_of("by_role", Role),
        between("version", 1, _MOST),
        CheckConstraint("length(digest) = 64", name="digest_whole"),
        {"sqlite_with_rowid": False},
    )

    kind: Mapped[str] = mapped_column(Words(64), primary_key=True)
    subject_id: Mapped[Key]
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    act: Mapped[Code]
    digest: Mapped[Hash]
    document: Mapped[Json]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


for _table in (PainPlan, Referral, Taper, Preference, Coverage, Prescriber, Act):
    check_lengths(_table.__table__)  # type: ignore[arg-type]
