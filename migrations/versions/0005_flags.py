"""Flags that were raised, what people did about them, and how far the watch is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import Instant, Words
from stewardship.domain.errors import Conflict

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ROLES = ("prescriber", "pharmacist", "compliance", "ehr", "admin")
EVENTS = (
    "opened", "updated", "claimed", "released", "noted", "messaged",
    "answered", "resolved", "reopened", "gone", "merged",
)  # fmt: skip
MOST = 2_000_000_000
INSERT_ONLY = ("flag_events", "flag_messages", "flag_answers")

# In the order in which they can be removed.
TABLES = (
    "flag_answers",
    "flag_messages",
    "flag_events",
    "flags",
    "flags_untold",
    "watched",
    "watches",
)


def words(name: str, length: int = 200, *, null: bool = False) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    check = sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length")
    return sa.Column(name, Words(length), nullable=null), check


def column(name: str, kind: sa.types.TypeEngine, *, null: bool = False) -> tuple[sa.Column]:
    """Any other column."""
    return (sa.Column(name, kind, nullable=null),)


def counted(name: str, least: int = 0, most: int = MOST) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of whole numbers within bounds."""
    check = sa.CheckConstraint(f"{name} BETWEEN {least} AND {most}", name=name)
    return sa.Column(name, sa.Integer(), nullable=False), check


def check(name: str, rule: str) -> tuple[sa.CheckConstraint]:
    """A rule of the row."""
    return (sa.CheckConstraint(rule, name=name),)


def one_of(name: str, *listed: str) -> tuple[sa.CheckConstraint]:
    """The column holds one of these words."""
    return check(name, " OR ".join(f"{name} = '{word}'" for word in listed))


def belongs_to(table: str, column_name: str) -> tuple[sa.ForeignKeyConstraint]:
    """A reference that stays within the organisation."""
    here = ["organisation_id", column_name]
    return (sa.ForeignKeyConstraint(here, [f"{table}.organisation_id", f"{table}.id"]),)


def by_somebody() -> tuple[sa.schema.SchemaItem, ...]:
    """Who did it, and when."""
    who = (*words("by_user"), *words("by_role", 64), *column("at", Instant()))
    return (*who, *one_of("by_role", *ROLES))


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
    create_flags()
    create_events()
    create_watch()
    guard()


def create_flags() -> None:
    """Flags, and what could not be ruled out."""
    create(
        "flags",
        ("id",),
        words("id"),
        words("patient_id"),
        words("kind", 64),
        words("key", 500),
        words("label"),
        column("first_on", sa.Date()),
        column("last_on", sa.Date()),
        column("seen_on", sa.Date()),
        counted("weight", 1, 9),
        column("evidence", sa.Text()),
        words("source", 64),
        words("status", 64),
        column("opened_at", Instant()),
        column("due_at", Instant()),
        words("claimed_by", null=True),
        column("claimed_at", Instant(), null=True),
        words("resolution", 64, null=True),
        words("resolved_by", null=True),
        column("resolved_at", Instant(), null=True),
        words("again_of", null=True),
        words("merged_into", null=True),
        counted("version", 1),
        belongs_to("patients", "patient_id"),
        belongs_to("flags", "again_of"),
        belongs_to("flags", "merged_into"),
        one_of("status", "open", "claimed", "resolved"),
        check("claimed_by_and_claimed_at", "(claimed_by IS NULL) = (claimed_at IS NULL)"),
        check(
            "resolution_and_resolved_by_and_resolved_at",
            "(resolution IS NULL) = (resolved_by IS NULL) AND (resolution IS NULL) = (resolved_at IS NULL)",
        ),
        check("claimed_when", "(status = 'claimed') = (claimed_by IS NOT NULL)"),
        check("resolved_when", "(status = 'resolved') = (resolved_at IS NOT NULL)"),
        check("days_in_order", "last_on >= first_on"),
    )
    index("flags", "patient_id")
    index("flags", "status", "weight", "opened_at")
    unresolved = sa.text("status != 'resolved'")
    op.create_index(
        "uq_flags_unresolved",
        "flags",
        ["organisation_id", "patient_id", "key"],
        unique=True,
        sqlite_where=unresolved,
        postgresql_where=unresolved,
    )
    create(
        "flags_untold",
        ("patient_id", "kind", "label"),
        words("patient_id"),
        words("kind", 64),
        words("label"),
        column("missing", sa.Text()),
        column("since", Instant()),
        belongs_to("patients", "patient_id"),
        rowid=False,
    )


def create_events() -> None:
    """What happened to flags, and what was said about them."""
    create(
        "flag_events",
        ("flag_id", "seq"),
        words("flag_id"),
        counted("seq", 1),
        words("event", 64),
        words("code", 64),
        words("words", 4000),
        column("detail", sa.Text()),
        by_somebody(),
        belongs_to("flags", "flag_id"),
        one_of("event", *EVENTS),
        rowid=False,
    )
    create(
        "flag_messages",
        ("id",),
        words("id"),
        words("flag_id"),
        words("to_user"),
        words("words", 4000),
        by_somebody(),
        belongs_to("flags", "flag_id"),
        belongs_to("users", "to_user"),
        check("words_given", "length(words) > 0"),
    )
    index("flag_messages", "to_user")
    index("flag_messages", "flag_id")
    create(
        "flag_answers",
        ("message_id",),
        words("message_id"),
        words("words", 4000),
        by_somebody(),
        belongs_to("flag_messages", "message_id"),
    )


def create_watch() -> None:
    """How far the watch is, and on what it looked."""
    create(
        "watched",
        ("patient_id",),
        words("patient_id"),
        words("facts", 64),
        column("next_on", sa.Date(), null=True),
        column("at", Instant()),
        belongs_to("patients", "patient_id"),
        rowid=False,
    )
    create(
        "watches",
        ("id",),
        words("id"),
        column("started_at", Instant()),
        column("seen_at", Instant()),
        column("ended_at", Instant(), null=True),
        column("known_from", sa.Date(), null=True),
        column("terms", sa.Text()),
        words("position"),
        *(counted(name) for name in ("patients", "looked", "opened", "closed", "failed")),
        words("by_user"),
        words("by_role", 64),
        one_of("by_role", *ROLES),
    )
    index("watches", "started_at")
    going_on = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_watches_going_on",
        "watches",
        ["organisation_id"],
        unique=True,
        sqlite_where=going_on,
        postgresql_where=going_on,
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
