"""Snoozes and their ends, cards that were shown, and what was reported about them: all insert-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import Instant, Words
from stewardship.domain.errors import Conflict

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROLES = ("prescriber", "pharmacist", "compliance", "ehr", "admin")

# In the order in which they can be removed.
TABLES = ("card_feedback", "cards", "snooze_ends", "snoozes")


def words(name: str, length: int = 200, *, null: bool = False) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    check = sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length")
    return sa.Column(name, Words(length), nullable=null), check


def column(name: str, kind: sa.types.TypeEngine) -> tuple[sa.Column]:
    """Any other column."""
    return (sa.Column(name, kind, nullable=False),)


def one_of(name: str, *listed: str) -> tuple[sa.CheckConstraint]:
    """The column holds one of these words."""
    quoted = ", ".join(f"'{word}'" for word in listed)
    return (sa.CheckConstraint(f"{name} IN ({quoted})", name=name),)


def check(name: str, rule: str) -> tuple[sa.CheckConstraint]:
    """A rule of the row."""
    return (sa.CheckConstraint(rule, name=name),)


def belongs_to(table: str, *columns: str, to: tuple[str, ...] = ("id",)) -> tuple[sa.ForeignKeyConstraint]:
    """A reference that stays within the organisation."""
    here = ["organisation_id", *columns]
    return (sa.ForeignKeyConstraint(here, [f"{table}.organisation_id", *(f"{table}.{c}" for c in to)]),)


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


def upgrade() -> None:
    """Create the tables, and guard them."""
    create_snoozes()
    create_cards()
    guard()


def create_snoozes() -> None:
    """Findings put to rest until a day, and those that were ended earlier."""
    by = (*words("by_user"), *words("by_role", 64), *column("at", Instant()), *one_of("by_role", *ROLES))
    create(
        "snoozes",
        ("id",),
        words("id"),
        words("patient_id"),
        words("decision_id"),
        words("policy_id"),
        words("drug"),
        words("enforcement", 64),
        words("reason", 64),
        column("from_on", sa.Date()),
        column("until", sa.Date()),
        by,
        belongs_to("patients", "patient_id"),
        belongs_to("findings", "decision_id", "policy_id", to=("decision_id", "policy_id")),
        one_of("enforcement", "inform", "soft-stop"),
        check("reason_given", "length(reason) > 0"),
        check("ends", "until > from_on"),
        (sa.UniqueConstraint("organisation_id", "decision_id", "policy_id"),),
    )
    op.create_index(
        op.f("ix_snoozes_organisation_id_patient_id"), "snoozes", ["organisation_id", "patient_id"]
    )
    by = (*words("by_user"), *words("by_role", 64), *column("at", Instant()), *one_of("by_role", *ROLES))
    create("snooze_ends", ("snooze_id",), words("snooze_id"), by, belongs_to("snoozes", "snooze_id"))


def create_cards() -> None:
    """What was shown, and what an EHR reported about it."""
    create(
        "cards",
        ("id",),
        words("id", 64),
        words("decision_id", null=True),
        column("policies", sa.Text()),
        words("topic", 64),
        words("enforcement", 64),
        column("shown_at", Instant()),
        words("by_user"),
        belongs_to("decisions", "decision_id"),
        one_of("enforcement", "inform", "soft-stop", "hard-stop"),
        rowid=False,
    )
    create(
        "card_feedback",
        ("card_id", "at"),
        words("card_id", 64),
        column("at", Instant()),
        words("outcome", 64),
        column("accepted", sa.Text()),
        words("reason_code"),
        words("reason_system", 500),
        words("comment", 4000),
        words("service", 64),
        words("by_user"),
        words("by_role", 64),
        column("received_at", Instant()),
        belongs_to("cards", "card_id"),
        one_of("outcome", "accepted", "overridden"),
        one_of("by_role", *ROLES),
        rowid=False,
    )


def guard() -> None:
    """Refuse UPDATE, DELETE and TRUNCATE, as of the tables that came before."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in TABLES:
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
