"""On which facts it was last asked who might benefit from what was never tried, and when to ask again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stewardship.db.columns import Instant, Words

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLE = "benefit_looks"


def words(name: str, length: int = 200) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    check = sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length")
    return sa.Column(name, Words(length), nullable=False), check


def upgrade() -> None:
    """Create the table. Nobody was asked about yet, so the next night asks about everybody."""
    here = "organisation_id"
    op.create_table(
        TABLE,
        *words(here),
        *words("patient_id"),
        *words("facts", 64),
        sa.Column("next_on", sa.Date(), nullable=True),
        sa.Column("on_day", sa.Date(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint([here], ["organisations.id"]),
        sa.ForeignKeyConstraint([here, "patient_id"], ["patients.organisation_id", "patients.id"]),
        sa.PrimaryKeyConstraint(here, "patient_id"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Remove the table: what it held can be worked out again."""
    op.drop_table(TABLE)
