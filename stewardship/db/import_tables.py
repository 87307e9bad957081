"""The tables of what arrives in files: imports, reports of dispensings, pharmacies, who patients are.

Names and addresses of patients stand in ``patient_identities`` alone (and their numbers in
``identity_identifiers``). Everything else speaks of a patient by our own random id.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
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
    Line,
    OfOrganisation,
    belongs_to,
    between,
    check_lengths,
    one_of,
)
from stewardship.domain.dispensings import Reporting
from stewardship.domain.feeds import ImportStatus
from stewardship.domain.people import Role

#: More rows, lines and bytes than any file has; both databases can hold it.
_MOST = 2_000_000_000


class CandidateStatus(StrEnum):
    """What somebody decided about a match that could not be made by rule."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"


class Import(OfOrganisation, Base):
    """One content that arrived, whatever its files were called: at most one import of each content.

    ``position`` counts the items of the file that are stored for good; a restart goes on behind it.
    ``same_as`` is the import that the same content had before; its own digest is then no content's.
    ``source`` is a file's name, kept as data and never used as one. ``reason`` says in a code why an import
    is not complete. ``format`` is ``asap``, ``fhir`` or ``csv``.
    """

    __tablename__ = "imports"
    __table_args__ = (
        one_of("status", ImportStatus),
        one_of("by_role", Role),
        belongs_to("imports", "same_as"),
        UniqueConstraint("organisation_id", "digest"),
        CheckConstraint("length(digest) = 64", name="digest_whole"),
        CheckConstraint("(status IN ('running', 'interrupted')) = (ended_at IS NULL)", name="ended_when"),
        *(between(name, 0, _MOST) for name in ("rows", "stored", "unchanged", "rejected", "position")),
    )

    id: Mapped[Key]
    digest: Mapped[Hash]
    format: Mapped[Code]
    source: Mapped[Line]
    status: Mapped[Code]
    reason: Mapped[Code]
    rows: Mapped[int]
    stored: Mapped[int]
    unchanged: Mapped[int]
    rejected: Mapped[int]
    position: Mapped[int]
    same_as: Mapped[str | None] = mapped_column(Words(200))
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class ImportFault(OfOrganisation, Base):
    """Something wrong with a row of a file, or with the file beside its rows: where, and a code. Never what
    was written there."""

    __tablename__ = "import_faults"
    __table_args__ = (
        belongs_to("imports", "import_id"),
        between("line", 0, _MOST),
        {"sqlite_with_rowid": False},
    )

    import_id: Mapped[Key]
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    of_row: Mapped[bool]
    line: Mapped[int]
    segment: Mapped[Code]
    element: Mapped[Code]
    code: Mapped[Code]


class ReportSource(OfOrganisation, Base):
    """A pharmacy as a transmission speaks of it: what many reports have in common, kept once."""

    __tablename__ = "report_sources"

    id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    document: Mapped[Json]


class Identity(OfOrganisation, Base):
    """Who a patient is, in the very words of one source; each wording once.

    ``match_key`` is the same for the same names and date of birth. ``patient_id`` is whose it is now, none
    for an animal; how it came to be is in ``identity_links``. ``document`` holds all that was written.
    """

    __tablename__ = "patient_identities"
    __table_args__ = (
        belongs_to("patients", "patient_id"),
        UniqueConstraint("organisation_id", "digest"),
        CheckConstraint("NOT animal OR patient_id IS NULL", name="animal_is_nobody"),
        Index(None, "organisation_id", "match_key"),
        Index(None, "organisation_id", "patient_id"),
    )

    id: Mapped[Key]
    digest: Mapped[Hash]
    match_key: Mapped[Hash]
    birth_date: Mapped[date | None]
    animal: Mapped[bool]
    patient_id: Mapped[str | None] = mapped_column(Words(200))
    document: Mapped[Json]
    first_seen_at: Mapped[datetime]


class IdentityNumber(OfOrganisation, Base):
    """A number that names a person: its kind, who issued it, and the identity that has it."""

    __tablename__ = "identity_identifiers"
    __table_args__ = (belongs_to("patient_identities", "identity_id"), {"sqlite_with_rowid": False})

    value: Mapped[Key]
    kind: Mapped[str] = mapped_column(Words(64), primary_key=True)
    jurisdiction: Mapped[str] = mapped_column(Words(64), primary_key=True)
    identity_id: Mapped[Key]


class IdentityLink(OfOrganisation, Base):
    """An identity was given to a patient: by which rule and how surely, or by whom and why."""

    __tablename__ = "identity_links"
    __table_args__ = (
        belongs_to("patient_identities", "identity_id"),
        belongs_to("patients", "patient_id"),
        one_of("by_role", Role),
        {"sqlite_with_rowid": False},
    )

    identity_id: Mapped[Key]
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    patient_id: Mapped[Id]
    rule: Mapped[Code]
    confidence: Mapped[Decimal]
    reason: Mapped[Line]
    by_user: Mapped[Id]
    by_role: Mapped[Code]
    at: Mapped[datetime]


class MatchCandidate(OfOrganisation, Base):
    """An identity that may be a patient's: somebody has to say. Until then they are two."""

    __tablename__ = "match_candidates"
    __table_args__ = (
        belongs_to("patient_identities", "identity_id"),
        belongs_to("patients", "patient_id"),
        one_of("status", CandidateStatus),
        CheckConstraint("(status = 'open') = (closed_at IS NULL)", name="closed_when"),
        CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name="closed_by_somebody"),
        Index(None, "organisation_id", "patient_id"),
    )

    identity_id: Mapped[Key]
    patient_id: Mapped[Key]
    rule: Mapped[Code]
    confidence: Mapped[Decimal]
    status: Mapped[Code]
    at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None] = mapped_column(Words(200))


class DispensingReport(OfOrganisation, Base):
    """One version of one row, as it arrived: never changed. ``dispensing_id`` is the dispensing that it
    speaks of, ``version`` the SHA-256 of everything that it says. ``document`` and ``source_id`` together
    are the whole row."""

    __tablename__ = "dispensing_reports"
    __table_args__ = (
        belongs_to("imports", "import_id"),
        belongs_to("report_sources", "source_id"),
        belongs_to("patient_identities", "identity_id"),
        one_of("reporting", Reporting),
        between("line", 0, _MOST),
        Index(None, "organisation_id", "dispensing_id"),
        Index(None, "organisation_id", "identity_id"),
        {"sqlite_with_rowid": False},
    )

    import_id: Mapped[Key]
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    dispensing_id: Mapped[str] = mapped_column(Words(64))
    version: Mapped[Hash]
    reporting: Mapped[Code]
    source_id: Mapped[str] = mapped_column(Words(64))
    identity_id: Mapped[Id]
    line: Mapped[int]
    document: Mapped[Json]
    received_at: Mapped[datetime]


_corrections = DispensingReport.__table__.c.reporting != Reporting.NEW.value
Index(
    "ix_dispensing_reports_corrections",
    DispensingReport.organisation_id,
    DispensingReport.dispensing_id,
    sqlite_where=_corrections,
    postgresql_where=_corrections,
)


class Pharmacy(OfOrganisation, Base):
    """A pharmacy that reports to an organisation.

    ``data_as_of`` is when its newest whole transmission was made; the next one is due by ``expected_by``.
    ``bound`` says that it reports to the organisations that it is bound to and to no other. One that is
    ``retired`` is not missed.
    """

    __tablename__ = "pharmacies"

    id: Mapped[Key]
    npi: Mapped[Code]
    ncpdp: Mapped[Code]
    dea: Mapped[Code]
    name: Mapped[Line]
    bound: Mapped[bool]
    retired: Mapped[bool]
    first_seen_at: Mapped[datetime]
    data_as_of: Mapped[datetime | None]
    expected_by: Mapped[datetime | None]


for _table in (
    Import,
    ImportFault,
    ReportSource,
    Identity,
    IdentityNumber,
    IdentityLink,
    MatchCandidate,
    DispensingReport,
    Pharmacy,
):
    check_lengths(_table.__table__)  # type: ignore[arg-type]
