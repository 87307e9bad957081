"""The tables of flags: what was raised, what people did about it, what could not be told, how far the
watch is.

A flag is about one patient's record and labels a supply, an order or a review; it holds ids and numbers,
never names. Its row says where it stands now; ``flag_events`` says how it came to that, and only grows.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from stewardship.db.columns import Words
from stewardship.db.tables import (
    Base,
    Code,
    Hash,
    Id,
    Json,
    Key,
    Line,
    OfOrganisation,
    Prose,
    belongs_to,
    between,
    check_lengths,
    one_of,
    together,
)
from stewardship.domain.flags.kinds import Event, Status
from stewardship.domain.people import Role

_MOST = 2_000_000_000


class Flag(OfOrganisation, Base):
    """A problem to look at. While it is not resolved it is the only one of its ``key``.

    ``label`` is the id of the supply, order or review that it labels. ``first_on`` to ``last_on`` are the
    days of the problem, ``seen_on`` the day on which it was last seen. ``evidence`` is a document of ids and
    facts. ``again_of`` is the flag of the same problem that was resolved before, ``merged_into`` the one
    that it turned out to be part of. ``version`` counts changes.
    """

    __tablename__ = "flags"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        belongs_to("flags", "again_of"),
        belongs_to("flags", "merged_into"),
        one_of("status", Status),
        together("claimed_by", "claimed_at"),
        together("resolution", "resolved_by", "resolved_at"),
        CheckConstraint("(status = 'claimed') = (claimed_by IS NOT NULL)", name="claimed_when"),
        CheckConstraint("(status = 'resolved') = (resolved_at IS NOT NULL)", name="resolved_when"),
        CheckConstraint("last_on >= first_on", name="days_in_order"),
        between("weight", 1, 9),
        between("version", 1, _MOST),
        Index(None, "organisation_id", "patient_id"),
        Index(None, "organisation_id", "status", "weight", "opened_at"),
    )

    id: Mapped[Key]
    patient_id: Mapped[Id]
    kind: Mapped[Code]
    key: Mapped[Line]
    label: Mapped[Id]
    first_on: Mapped[date]
    last_on: Mapped[date]
    seen_on: Mapped[date]
    weight: Mapped[int]
    evidence: Mapped[Json]
    source: Mapped[Code]
    status: Mapped[Code]
    opened_at: Mapped[datetime]
    due_at: Mapped[datetime]
    claimed_by: Mapped[str | None] = mapped_column(Words(200))
    claimed_at: Mapped[datetime | None]
    resolution: Mapped[str | None] = mapped_column(Words(64))
    resolved_by: Mapped[str | None] = mapped_column(Words(200))
    resolved_at: Mapped[datetime | None]
    again_of: Mapped[str | None] = mapped_column(Words(200))
    merged_into: Mapped[str | None] = mapped_column(Words(200))
    version: Mapped[int]


_unresolved = Flag.__table__.c.status != Status.RESOLVED.value
Index(
    "uq_flags_unresolved",
    Flag.organisation_id,
    Flag.patient_id,
    Flag.key,
    unique=True,
    sqlite_where=_unresolved,
    postgresql_where=_unresolved,
)


class FlagEvent(OfOrganisation, Base):
    """One thing that happened to a flag. ``code`` is a resolution's, ``words`` what somebody wrote."""

    __tablename__ = "flag_events"
    __table_args__ = (
        belongs_to("flags", "flag_id"),
        one_of("event", Event),
        one_of("by_role", Role),
        between("seq", 1, _MOST),
        {"sqlite_with_rowid": False},
    )

    flag_id: Mapped[Key]
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event: Mapped[Code]
    code: Mapped[Code]
    words: Mapped[Prose]
    detail: Mapped[Json]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class FlagMessage(OfOrganisation, Base):
    """A pharmacist's question or word to a prescriber about a flag."""

    __tablename__ = "flag_messages"
    __table_args__ = (
        belongs_to("flags", "flag_id"),
        belongs_to("users", "to_user"),
        one_of("by_role", Role),
        CheckConstraint("length(words) > 0", name="words_given"),
        Index(None, "organisation_id", "to_user"),
        Index(None, "organisation_id", "flag_id"),
    )

    id: Mapped[Key]
    flag_id: Mapped[Id]
    to_user: Mapped[Id]
    words: Mapped[Prose]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class FlagAnswer(OfOrganisation, Base):
    """That the prescriber has seen a message, and what he says to it: once."""

    __tablename__ = "flag_answers"
    __table_args__ = (belongs_to("flag_messages", "message_id"), one_of("by_role", Role))

    message_id: Mapped[Key]
    words: Mapped[Prose]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class Untold(OfOrganisation, Base):
    """A flag that cannot be ruled out for a supply, and a JSON list of the facts that are missing."""

    __tablename__ = "flags_untold"
    __table_args__ = (belongs_to("patients", "patient_id"), {"sqlite_with_rowid": False})

    patient_id: Mapped[Key]
    kind: Mapped[str] = mapped_column(Words(64), primary_key=True)
    label: Mapped[Key]
    missing: Mapped[Json]
    since: Mapped[datetime]


class Watched(OfOrganisation, Base):
    """On which facts a patient was last looked at, and from which day on the passing of time alone may
    change the answer."""

    __tablename__ = "watched"
    __table_args__ = (belongs_to("patients", "patient_id"), {"sqlite_with_rowid": False})

    patient_id: Mapped[Key]
    facts: Mapped[Hash]
    next_on: Mapped[date | None]
    at: Mapped[datetime]


class Watch(OfOrganisation, Base):
    """One watch over all patients of an organisation, in portions. ``position`` is the last patient whose
    portion is stored. At most one is not ended.

    ``known_from`` and ``terms`` are what all patients are looked at with: the first day of which dispensings
    are on record; as a document the prescribers whose orders are, and what the products and rules come to.
    """

    __tablename__ = "watches"
    __table_args__ = (
        one_of("by_role", Role),
        *(between(name, 0, _MOST) for name in ("patients", "looked", "opened", "closed", "failed")),
        Index(None, "organisation_id", "started_at"),
    )

    id: Mapped[Key]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    known_from: Mapped[date | None]
    terms: Mapped[Json]
    position: Mapped[Id]
    patients: Mapped[int]
    looked: Mapped[int]
    opened: Mapped[int]
    closed: Mapped[int]
    failed: Mapped[int]
    by_user: Mapped[Id]
    by_role: Mapped[Code]


_going_on = Watch.__table__.c.ended_at.is_(None)
Index(
    "uq_watches_going_on",
    Watch.organisation_id,
    unique=True,
    sqlite_where=_going_on,
    postgresql_where=_going_on,
)

for _table in (Flag, FlagEvent, FlagMessage, FlagAnswer, Untold, Watched, Watch):
    check_lengths(_table.__table__)  # type: ignore[arg-type]
