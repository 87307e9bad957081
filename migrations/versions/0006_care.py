"""What is known of an episode of pain, and which alternatives were put to a patient."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import Document, Instant, Words
from stewardship.domain.errors import Conflict

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROLES = ("prescriber", "pharmacist", "compliance", "ehr", "admin")
TABLES = ("alternative_offers", "pain_assessments")


def words(name: str, length: int = 200) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    check = sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length")
    return sa.Column(name, Words(length), nullable=False), check


def one_of(name: str, *listed: str) -> sa.CheckConstraint:
    """The column holds one of these words."""
    quoted = ", ".join(f"'{word}'" for word in listed)
    return sa.CheckConstraint(f"{name} IN ({quoted})", name=name)


def create(name: str, *items: sa.schema.SchemaItem) -> None:
    """A table of statements about a patient, made on a day by somebody, never changed."""
    here = ["organisation_id", "patient_id"]
    op.create_table(
        name,
        *words("organisation_id"),
        *words("id"),
        *words("patient_id"),
        sa.Column("on_day", sa.Date(), nullable=False),
        *items,
        *words("by_user"),
        *words("by_role", 64),
        sa.Column("at", Instant(), nullable=False),
        one_of("by_role", *ROLES),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"]),
        sa.ForeignKeyConstraint(here, ["patients.organisation_id", "patients.id"]),
        sa.PrimaryKeyConstraint("organisation_id", "id"),
    )
    index = op.f(f"ix_{name}_organisation_id_patient_id_on_day")
    op.create_index(index, name, ["organisation_id", "patient_id", "on_day"])
    never_changed(name)


def never_changed(table: str) -> None:
    """Rows are added and nothing else."""
    if op.get_bind().dialect.name == "postgresql":
        for name, when, each in (
            ("insert_only", "UPDATE OR DELETE", "ROW"),
            ("no_truncate", "TRUNCATE", "STATEMENT"),
        ):
            op.execute(
                f"CREATE TRIGGER {table}_{name} BEFORE {when} ON {table} "
                f"FOR EACH {each} EXECUTE FUNCTION stewardship_insert_only()"
            )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
        )


def upgrade() -> None:
    """Create the tables."""
    create("pain_assessments", sa.Column("document", Document(), nullable=False))
    create(
        "alternative_offers",
        *words("treatment", 64),
        *words("reply", 64),
        *words("note", 4000),
        one_of("reply", "offered", "accepted", "declined"),
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
