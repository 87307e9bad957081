"""From where and how often a token may be used; and overrides, to be counted by person and time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import Instant, Words
from stewardship.domain.errors import Conflict

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLE = "token_limits"
OVERRIDES_BY_PERSON = "ix_overrides_organisation_id_by_user_at"


def words(name: str, length: int = 200) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    return (
        sa.Column(name, Words(length), nullable=False),
        sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length"),
    )


def upgrade() -> None:
    """Create the table, and the index."""
    op.create_table(
        TABLE,
        *words("organisation_id"),
        *words("token_id"),
        *words("addresses", 2000),
        sa.Column("per_minute", sa.Integer(), nullable=True),
        sa.Column("minute", Instant(), nullable=True),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"]),
        sa.ForeignKeyConstraint(
            ["organisation_id", "token_id"], ["api_tokens.organisation_id", "api_tokens.id"]
        ),
        sa.CheckConstraint("per_minute BETWEEN 1 AND 1000000", name="per_minute"),
        sa.CheckConstraint("used BETWEEN 0 AND 1000000000", name="used"),
        sa.PrimaryKeyConstraint("organisation_id", "token_id"),
    )
    op.create_index(op.f(OVERRIDES_BY_PERSON), "overrides", ["organisation_id", "by_user", "at"])


def downgrade() -> None:
    """Remove both; refused while there are rows, unless they may be discarded: tokens would be let in from
    everywhere again."""
    used = sa.text(f"SELECT 1 FROM {TABLE} LIMIT 1")  # noqa: S608
    if not context.config.attributes.get("discard") and op.get_bind().execute(used).first():
        raise Conflict(f"rows would be lost in {TABLE}: say that they may be discarded")
    op.drop_index(op.f(OVERRIDES_BY_PERSON), "overrides")
    op.drop_table(TABLE)
