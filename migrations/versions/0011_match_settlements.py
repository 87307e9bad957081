"""What people said about matches of patients, and why: every word of it stays."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import Instant, Words
from stewardship.domain.errors import Conflict

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLE = "match_settlements"
ROLES = ("prescriber", "pharmacist", "compliance", "ehr", "admin")
ACTS = ("accepted", "declined", "passed-over", "parted", "reopened")


def words(name: str, length: int = 200) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    return (
        sa.Column(name, Words(length), nullable=False),
        sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length"),
    )


def one_of(name: str, *listed: str) -> sa.CheckConstraint:
    """The column holds one of these words."""
    quoted = ", ".join(f"'{word}'" for word in listed)
    return sa.CheckConstraint(f"{name} IN ({quoted})", name=name)


def upgrade() -> None:
    """Create the table, and guard it: it only grows. What was said before it is in the audit chain."""
    op.create_table(
        TABLE,
        *words("organisation_id"),
        *words("identity_id"),
        sa.Column("seq", sa.Integer(), nullable=False),
        *words("patient_id"),
        *words("act", 64),
        *words("reason", 500),
        *words("by_user"),
        *words("by_role", 64),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"]),
        sa.ForeignKeyConstraint(
            ["organisation_id", "identity_id"],
            ["patient_identities.organisation_id", "patient_identities.id"],
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "patient_id"], ["patients.organisation_id", "patients.id"]
        ),
        one_of("act", *ACTS),
        one_of("by_role", *ROLES),
        sa.CheckConstraint("seq BETWEEN 1 AND 2000000000", name="seq"),
        sa.PrimaryKeyConstraint("organisation_id", "identity_id", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_match_settlements_organisation_id_patient_id"), TABLE, ["organisation_id", "patient_id"]
    )
    guard()


def guard() -> None:
    """Refuse UPDATE, DELETE and TRUNCATE, as of the tables that came before."""
    if op.get_bind().dialect.name == "postgresql":
        for name, when, each in (
            ("insert_only", "UPDATE OR DELETE", "ROW"),
            ("no_truncate", "TRUNCATE", "STATEMENT"),
        ):
            op.execute(
                f"CREATE TRIGGER {TABLE}_{name} BEFORE {when} ON {TABLE} "
                f"FOR EACH {each} EXECUTE FUNCTION stewardship_insert_only()"
            )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {TABLE}_no_{change.lower()} BEFORE {change} ON {TABLE} "
            f"BEGIN SELECT RAISE(ABORT, '{TABLE} is insert-only'); END"
        )


def downgrade() -> None:
    """Remove the table; refused while there are rows, unless they may be discarded."""
    used = sa.text(f"SELECT 1 FROM {TABLE} LIMIT 1")  # noqa: S608
    if not context.config.attributes.get("discard") and op.get_bind().execute(used).first():
        raise Conflict(f"rows would be lost in {TABLE}: say that they may be discarded")
    op.drop_table(TABLE)
