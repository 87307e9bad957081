"""Days on which somebody looks at an episode of pain again: asked by an assessment, answered by the next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import Instant, Words
from stewardship.domain.errors import Conflict

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLE = "pain_follow_ups"


def words(name: str, length: int = 200) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    check = sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length")
    return sa.Column(name, Words(length), nullable=False), check


def upgrade() -> None:
    """Create the table, whose rows are never changed."""
    here = "organisation_id"
    op.create_table(
        TABLE,
        *words(here),
        *words("assessment_id"),
        *words("trigger", 64),
        *words("patient_id"),
        sa.Column("opens_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True),
        *words("clinician"),
        sa.Column("at", Instant(), nullable=False),
        sa.CheckConstraint("due_on >= opens_on", name="due_after_it_opens"),
        sa.ForeignKeyConstraint([here], ["organisations.id"]),
        sa.ForeignKeyConstraint([here, "patient_id"], ["patients.organisation_id", "patients.id"]),
        sa.ForeignKeyConstraint(
            [here, "assessment_id"], ["pain_assessments.organisation_id", "pain_assessments.id"]
        ),
        sa.PrimaryKeyConstraint(here, "assessment_id", "trigger"),
    )
    op.create_index(op.f(f"ix_{TABLE}_organisation_id_opens_on"), TABLE, [here, "opens_on"])
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
    """Remove the table; refused while there are rows, unless they may be discarded: nobody would be asked to
    look again."""
    used = sa.text(f"SELECT 1 FROM {TABLE} LIMIT 1")  # noqa: S608
    if not context.config.attributes.get("discard") and op.get_bind().execute(used).first():
        raise Conflict(f"rows would be lost in {TABLE}: say that they may be discarded")
    op.drop_table(TABLE)
