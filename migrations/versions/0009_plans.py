"""Plans for pain, referrals, what patients decided, coverage, tapers, prescribers: and every act on them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import Instant, Words
from stewardship.domain.errors import Conflict

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ROLES = ("prescriber", "pharmacist", "compliance", "ehr", "admin")
MOST = 1_000_000
INSERT_ONLY = ("plan_acts", "patient_preferences", "coverage_facts")

# In the order in which they can be removed.
TABLES = (
    "plan_acts",
    "coverage_facts",
    "patient_preferences",
    "tapers",
    "referrals",
    "pain_plans",
    "prescribers",
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
    said = " OR ".join(f"{name} = '{word}'" for word in listed)
    return (sa.CheckConstraint(said, name=name),)


def check(name: str, rule: str) -> tuple[sa.CheckConstraint]:
    """A rule of the row."""
    return (sa.CheckConstraint(rule, name=name),)


def counted(name: str, least: int = 1) -> tuple[sa.Column, sa.CheckConstraint]:
    """A number from ``least``."""
    return sa.Column(name, sa.Integer(), nullable=False), sa.CheckConstraint(
        f"{name} BETWEEN {least} AND {MOST}", name=name
    )


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


def kept() -> tuple[tuple[sa.schema.SchemaItem, ...], ...]:
    """What every record has that people act on: its version, how it stands, and when that was."""
    return (
        counted("version"),
        column("document", sa.Text()),
        column("created_at", Instant()),
        column("changed_at", Instant()),
        words("changed_by"),
    )


def by() -> tuple[sa.schema.SchemaItem, ...]:
    """Who did it, and when."""
    return (*words("by_user"), *words("by_role", 64), *column("at", Instant()), *one_of("by_role", *ROLES))


def upgrade() -> None:
    """Create the tables, and guard those that only grow."""
    create_plans()
    create_tapers()
    create_words()
    create_prescribers()
    create_acts()
    guard()


def create_plans() -> None:
    """Plans, and the referrals that belong to them."""
    create(
        "pain_plans",
        ("id",),
        words("id"),
        words("patient_id"),
        words("status", 64),
        column("review_on", sa.Date(), null=True),
        *kept(),
        belongs_to("patients", "patient_id"),
        one_of("status", "active", "completed", "stopped"),
    )
    index("pain_plans", "patient_id")
    create(
        "referrals",
        ("id",),
        words("id"),
        words("patient_id"),
        words("plan_id"),
        words("status", 64),
        column("due_on", sa.Date(), null=True),
        *kept(),
        belongs_to("patients", "patient_id"),
        belongs_to("pain_plans", "plan_id"),
        one_of("status", "sent", "accepted", "seen", "reported", "declined", "cancelled"),
        check("due_while_open", "(status IN ('sent', 'accepted', 'seen')) = (due_on IS NOT NULL)"),
    )
    index("referrals", "patient_id")
    index("referrals", "due_on")


def create_tapers() -> None:
    """Tapers: at most one of a patient at a time is under way."""
    create(
        "tapers",
        ("id",),
        words("id"),
        words("patient_id"),
        words("plan_id", null=True),
        words("status", 64),
        column("next_step_on", sa.Date(), null=True),
        *kept(),
        belongs_to("patients", "patient_id"),
        belongs_to("pain_plans", "plan_id"),
        one_of("status", "active", "paused", "completed", "stopped"),
        check("next_step_while_active", "status = 'active' OR next_step_on IS NULL"),
    )
    index("tapers", "patient_id")
    index("tapers", "next_step_on")
    under_way = sa.text("status = 'active' OR status = 'paused'")
    op.create_index(
        "uq_tapers_under_way",
        "tapers",
        ["organisation_id", "patient_id"],
        unique=True,
        sqlite_where=under_way,
        postgresql_where=under_way,
    )


def create_words() -> None:
    """What a patient does not want, and what a payer wants: each word kept, the newest counts."""
    create(
        "patient_preferences",
        ("id",),
        words("id"),
        words("patient_id"),
        words("about", 64),
        words("stance", 64),
        column("said_on", sa.Date()),
        words("said_by", 64),
        words("note", 2000),
        by(),
        belongs_to("patients", "patient_id"),
        one_of("stance", "declined", "wanted", "open"),
        one_of("said_by", "patient", "representative"),
    )
    index("patient_preferences", "patient_id")
    create(
        "coverage_facts",
        ("id",),
        words("id"),
        words("patient_id"),
        words("discipline", 64),
        column("document", sa.Text()),
        by(),
        belongs_to("patients", "patient_id"),
    )
    index("coverage_facts", "patient_id")


def create_prescribers() -> None:
    """Who prescribes, and with which certifications; one row a National Provider Identifier."""
    create(
        "prescribers",
        ("id",),
        words("id"),
        words("npi", 64),
        words("user_id", null=True),
        *kept(),
        (sa.UniqueConstraint("organisation_id", "npi"),),
        (sa.UniqueConstraint("organisation_id", "user_id"),),
        check("npi_whole", "length(npi) = 10"),
    )


def create_acts() -> None:
    """Every version of every record: what was done, what it came to, by whom."""
    create(
        "plan_acts",
        ("kind", "subject_id", "version"),
        words("kind", 64),
        words("subject_id"),
        counted("version"),
        words("act", 64),
        words("digest", 64),
        column("document", sa.Text()),
        by(),
        one_of("kind", "plan", "referral", "taper", "prescriber"),
        check("digest_whole", "length(digest) = 64"),
        rowid=False,
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
