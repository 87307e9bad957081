"""What arrives in files: imports and their faults, reports of dispensings, pharmacies, who patients are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import ExactDecimal, Instant, Words
from stewardship.domain.errors import Conflict

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROLES = ("prescriber", "pharmacist", "compliance", "ehr", "admin")
MOST = 2_000_000_000
INSERT_ONLY = ("dispensing_reports", "report_sources", "identity_links")

# In the order in which they can be removed.
TABLES = (
    "pharmacies",
    "dispensing_reports",
    "match_candidates",
    "identity_links",
    "identity_identifiers",
    "patient_identities",
    "report_sources",
    "import_faults",
    "imports",
)


def words(name: str, length: int = 200, *, null: bool = False) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    check = sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length")
    return sa.Column(name, Words(length), nullable=null), check


def column(name: str, kind: sa.types.TypeEngine, *, null: bool = False) -> tuple[sa.Column]:
    """Any other column."""
    return (sa.Column(name, kind, nullable=null),)


def one_of(name: str, *listed: str) -> tuple[sa.CheckConstraint]:
    """The column holds one of these words."""
    quoted = ", ".join(f"'{word}'" for word in listed)
    return (sa.CheckConstraint(f"{name} IN ({quoted})", name=name),)


def counted(*names: str) -> tuple[sa.SchemaItem, ...]:
    """Columns of numbers from nothing to more than any file has."""
    made: list[sa.SchemaItem] = []
    for name in names:
        made.append(sa.Column(name, sa.Integer(), nullable=False))
        made.append(sa.CheckConstraint(f"{name} BETWEEN 0 AND {MOST}", name=name))
    return tuple(made)


def check(name: str, rule: str) -> tuple[sa.CheckConstraint]:
    """A rule of the row."""
    return (sa.CheckConstraint(rule, name=name),)


def belongs_to(table: str, column_name: str) -> tuple[sa.ForeignKeyConstraint]:
    """A reference that stays within the organisation."""
    here = ["organisation_id", column_name]
    return (sa.ForeignKeyConstraint(here, [f"{table}.organisation_id", f"{table}.id"]),)


def create(
    name: str, key: tuple[str, ...], *parts: tuple[sa.schema.SchemaItem, ...], rowid: bool = True
) -> None:
    """Create a table of rows that belong to an organisation; the key begins with it."""
    organisation = (
        *words("organisation_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"]),
    )
    items = [item for part in (organisation, *parts) for item in part]
    options = {} if rowid else {"sqlite_with_rowid": False}
    op.create_table(name, *items, sa.PrimaryKeyConstraint("organisation_id", *key), **options)


def index(table: str, *columns: str) -> None:
    """An index within the organisation."""
    name = op.f("_".join(("ix", table, "organisation_id", *columns)))
    op.create_index(name, table, ["organisation_id", *columns])


def upgrade() -> None:
    """Create the tables, and guard those that only grow."""
    create_imports()
    create_identities()
    create_reports()
    guard()


def create_imports() -> None:
    """Imports, what was wrong in them, and who reports."""
    create(
        "imports",
        ("id",),
        words("id"),
        words("digest", 64),
        words("format", 64),
        words("source", 500),
        words("status", 64),
        words("reason", 64),
        counted("rows", "stored", "unchanged", "rejected", "position"),
        words("same_as", null=True),
        words("by_user"),
        words("by_role", 64),
        column("started_at", Instant()),
        column("seen_at", Instant()),
        column("ended_at", Instant(), null=True),
        one_of("status", "running", "interrupted", "complete", "incomplete", "failed"),
        one_of("by_role", *ROLES),
        belongs_to("imports", "same_as"),
        (sa.UniqueConstraint("organisation_id", "digest"),),
        check("digest_whole", "length(digest) = 64"),
        check("ended_when", "(status IN ('running', 'interrupted')) = (ended_at IS NULL)"),
    )
    create(
        "import_faults",
        ("import_id", "seq", "number"),
        words("import_id"),
        column("seq", sa.Integer()),
        column("number", sa.Integer()),
        column("of_row", sa.Boolean()),
        counted("line"),
        words("segment", 64),
        words("element", 64),
        words("code", 64),
        belongs_to("imports", "import_id"),
        rowid=False,
    )
    create(
        "pharmacies",
        ("id",),
        words("id"),
        words("npi", 64),
        words("ncpdp", 64),
        words("dea", 64),
        words("name", 500),
        column("bound", sa.Boolean()),
        column("retired", sa.Boolean()),
        column("first_seen_at", Instant()),
        column("data_as_of", Instant(), null=True),
        column("expected_by", Instant(), null=True),
    )


def create_identities() -> None:
    """Who patients are, whose an identity is and was, and what somebody has to settle."""
    create(
        "patient_identities",
        ("id",),
        words("id"),
        words("digest", 64),
        words("match_key", 64),
        column("birth_date", sa.Date(), null=True),
        column("animal", sa.Boolean()),
        words("patient_id", null=True),
        column("document", sa.Text()),
        column("first_seen_at", Instant()),
        belongs_to("patients", "patient_id"),
        (sa.UniqueConstraint("organisation_id", "digest"),),
        check("animal_is_nobody", "NOT animal OR patient_id IS NULL"),
    )
    index("patient_identities", "match_key")
    index("patient_identities", "patient_id")
    create(
        "identity_identifiers",
        ("value", "kind", "jurisdiction", "identity_id"),
        words("value"),
        words("kind", 64),
        words("jurisdiction", 64),
        words("identity_id"),
        belongs_to("patient_identities", "identity_id"),
        rowid=False,
    )
    create(
        "identity_links",
        ("identity_id", "seq"),
        words("identity_id"),
        column("seq", sa.Integer()),
        words("patient_id"),
        words("rule", 64),
        column("confidence", ExactDecimal()),
        words("reason", 500),
        words("by_user"),
        words("by_role", 64),
        column("at", Instant()),
        belongs_to("patient_identities", "identity_id"),
        belongs_to("patients", "patient_id"),
        one_of("by_role", *ROLES),
        rowid=False,
    )
    create(
        "match_candidates",
        ("identity_id", "patient_id"),
        words("identity_id"),
        words("patient_id"),
        words("rule", 64),
        column("confidence", ExactDecimal()),
        words("status", 64),
        column("at", Instant()),
        column("closed_at", Instant(), null=True),
        words("closed_by", null=True),
        belongs_to("patient_identities", "identity_id"),
        belongs_to("patients", "patient_id"),
        one_of("status", "open", "accepted", "declined"),
        check("closed_when", "(status = 'open') = (closed_at IS NULL)"),
        check("closed_by_somebody", "(closed_at IS NULL) = (closed_by IS NULL)"),
    )
    index("match_candidates", "patient_id")


def create_reports() -> None:
    """Every version of every row, as it arrived."""
    create("report_sources", ("id",), words("id", 64), column("document", sa.Text()))
    create(
        "dispensing_reports",
        ("import_id", "seq"),
        words("import_id"),
        column("seq", sa.Integer()),
        words("dispensing_id", 64),
        words("version", 64),
        words("reporting", 64),
        words("source_id", 64),
        words("identity_id"),
        counted("line"),
        column("document", sa.Text()),
        column("received_at", Instant()),
        belongs_to("imports", "import_id"),
        belongs_to("report_sources", "source_id"),
        belongs_to("patient_identities", "identity_id"),
        one_of("reporting", "new", "revise", "void"),
        rowid=False,
    )
    index("dispensing_reports", "dispensing_id")
    index("dispensing_reports", "identity_id")
    corrections = sa.text("reporting != 'new'")
    op.create_index(
        "ix_dispensing_reports_corrections",
        "dispensing_reports",
        ["organisation_id", "dispensing_id"],
        sqlite_where=corrections,
        postgresql_where=corrections,
    )


def guard() -> None:
    """Refuse UPDATE, DELETE and TRUNCATE, as of the tables that came before."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in INSERT_ONLY:
        if postgresql:
            for name, when, each in (
                ("insert_only", "UPDATE OR DELETE", "ROW"),
                ("no_truncate", "TRUNCATE", "STATEMENT"),
            ):
                op.execute(
                    f"CREATE TRIGGER {table}_{name} BEFORE {when} ON {table} "
                    f"FOR EACH {each} EXECUTE FUNCTION stewardship_insert_only()"
                )
            continue
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
            )


def downgrade() -> None:
    """Remove the tables; refused while there are rows, unless they may be discarded."""
    bind = op.get_bind()
    if not context.config.attributes.get("discard"):
        kept = [name for name in TABLES if bind.execute(sa.text(f"SELECT 1 FROM {name} LIMIT 1")).first()]  # noqa: S608
        if kept:
            raise Conflict(f"rows would be lost in {', '.join(kept)}: say that they may be discarded")
    for name in TABLES:
        op.drop_table(name)
