"""What the scheduler did, where people get mail and what is to be sent, links for patients."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import Instant, Words
from stewardship.domain.errors import Conflict

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ROLES = ("prescriber", "pharmacist", "compliance", "ehr", "admin")
MOST = 2_000_000_000

# In the order in which they can be removed.
TABLES = ("questionnaire_links", "escalations", "outbox", "contacts", "job_runs")


def words(name: str, length: int = 200, *, null: bool = False) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    check = sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length")
    return sa.Column(name, Words(length), nullable=null), check


def column(name: str, kind: sa.types.TypeEngine, *, null: bool = False) -> tuple[sa.Column]:
    """Any other column."""
    return (sa.Column(name, kind, nullable=null),)


def check(name: str, rule: str) -> tuple[sa.CheckConstraint]:
    """A rule of the row."""
    return (sa.CheckConstraint(rule, name=name),)


def one_of(name: str, *listed: str) -> tuple[sa.CheckConstraint]:
    """The column holds one of these words."""
    return check(name, " OR ".join(f"{name} = '{word}'" for word in listed))


def counted(name: str, least: int = 0, most: int = MOST) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of numbers in a range that both databases can hold."""
    rule = sa.CheckConstraint(f"{name} BETWEEN {least} AND {most}", name=name)
    return sa.Column(name, sa.Integer(), nullable=False), rule


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
    """Create the tables."""
    create(
        "job_runs",
        ("job", "slot"),
        words("job", 64),
        column("slot", Instant()),
        words("outcome", 64),
        counted("attempts", 1, 1_000_000),
        column("started_at", Instant()),
        column("finished_at", Instant(), null=True),
        counted("done"),
        counted("late"),
        counted("late_seconds"),
        counted("milliseconds"),
        words("code", 64),
        column("document", sa.Text()),
        one_of("outcome", "running", "done", "failed", "interrupted"),
        check("finished_when", "(outcome = 'running') = (finished_at IS NULL)"),
        check("failed_why", "(outcome = 'failed') = (length(code) > 0)"),
        rowid=False,
    )
    create(
        "contacts",
        ("id",),
        words("id"),
        words("email", 254),
        column("escalations", sa.Boolean()),
        column("updated_at", Instant()),
        words("updated_by"),
        check("email_shape", "email LIKE '%_@_%'"),
    )
    create(
        "outbox",
        ("id",),
        words("id"),
        words("kind", 64),
        words("recipient"),
        words("dedupe_key"),
        column("document", sa.Text()),
        words("status", 64),
        counted("attempts", 0, 1_000_000),
        column("created_at", Instant()),
        column("next_at", Instant()),
        column("sent_at", Instant(), null=True),
        words("error", 64),
        (sa.UniqueConstraint("organisation_id", "dedupe_key"),),
        one_of("status", "pending", "sending", "sent", "dead"),
        check("sent_when", "(status = 'sent') = (sent_at IS NOT NULL)"),
    )
    index("outbox", "status", "next_at")
    create(
        "escalations",
        ("review_id",),
        words("review_id"),
        words("clinician"),
        column("due_on", sa.Date()),
        counted("late_days", 0, 1_000_000),
        column("at", Instant()),
        column("told_on", sa.Date(), null=True),
    )
    index("escalations", "told_on")
    create_links()


def create_links() -> None:
    """Links with which a patient fills in one instrument."""
    create(
        "questionnaire_links",
        ("id",),
        words("id"),
        words("token_hash", 64),
        words("patient_id"),
        words("instrument", 64),
        words("review_id", null=True),
        column("issued_at", Instant()),
        words("issued_by"),
        words("issued_role", 64),
        column("expires_at", Instant()),
        column("used_at", Instant(), null=True),
        column("revoked_at", Instant(), null=True),
        words("revoked_by", null=True),
        (
            sa.ForeignKeyConstraint(
                ["organisation_id", "patient_id"], ["patients.organisation_id", "patients.id"]
            ),
        ),
        (sa.UniqueConstraint("token_hash"),),
        one_of("issued_role", *ROLES),
        check("hash_only", "length(token_hash) = 64"),
        check("expires", "expires_at > issued_at"),
        check("used_or_revoked", "used_at IS NULL OR revoked_at IS NULL"),
        check("revoked_at_and_revoked_by", "(revoked_at IS NULL) = (revoked_by IS NULL)"),
    )
    index("questionnaire_links", "patient_id")


def downgrade() -> None:
    """Remove the tables; refused while there are rows, unless they may be discarded."""
    bind = op.get_bind()
    if not context.config.attributes.get("discard"):
        kept = [name for name in TABLES if bind.execute(sa.text(f"SELECT 1 FROM {name} LIMIT 1")).first()]  # noqa: S608
        if kept:
            raise Conflict(f"rows would be lost in {', '.join(kept)}: say that they may be discarded")
    for name in TABLES:
        op.drop_table(name)
