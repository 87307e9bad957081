"""Silent findings stand together in their decision; those that speak keep rows of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.domain.errors import Conflict

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. What was decided before keeps it empty, and all its findings as rows."""
    op.add_column("decisions", sa.Column("silent_document", sa.Text(), nullable=True))


def downgrade() -> None:
    """Remove the column; refused while a decision uses it, unless that may be discarded."""
    used = sa.text("SELECT 1 FROM decisions WHERE silent_document IS NOT NULL LIMIT 1")
    if not context.config.attributes.get("discard") and op.get_bind().execute(used).first():
        raise Conflict("silent findings would be lost in decisions: say that they may be discarded")
    op.drop_column("decisions", "silent_document")
