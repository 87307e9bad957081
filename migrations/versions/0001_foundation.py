"""The foundation: organisations, people, patients' histories, decisions, and the audit chain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import ExactDecimal, Instant, Words
from stewardship.domain.errors import Conflict

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROLES = ("prescriber", "pharmacist", "compliance", "ehr", "admin")
INSERT_ONLY = ("policy_versions", "decisions", "findings", "overrides", "countersignatures", "audit_events")
FACTS = ("conditions", "observations", "procedures", "plans", "goals", "encounters")

# In the order in which they can be removed.
TABLES = (
    "countersignatures",
    "exception_requests",
    "overrides",
    "orders",
    "findings",
    "decisions",
    "policy_versions",
    *FACTS,
    "supplies",
    "patients",
    "api_tokens",
    "users",
    "audit_events",
    "catalogue_products",
    "organisations",
)


def words(name: str, length: int = 200, *, null: bool = False) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    check = sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length")
    return sa.Column(name, Words(length), nullable=null), check


def document(name: str, *, null: bool = False) -> tuple[sa.Column]:
    """A column of canonical JSON."""
    return (sa.Column(name, sa.Text(), nullable=null),)


def column(name: str, kind: sa.types.TypeEngine, *, null: bool = False) -> tuple[sa.Column]:
    """Any other column."""
    return (sa.Column(name, kind, nullable=null),)


def one_of(name: str, *listed: str) -> tuple[sa.CheckConstraint]:
    """The column holds one of these words."""
    # Not IN (...): SQLite would make a table of the words for every statement, and look each row up in it.
    return (sa.CheckConstraint(" OR ".join(f"{name} = '{word}'" for word in listed), name=name),)


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
    """Create everything, and guard what may never change."""
    instant, flag = Instant(), sa.Boolean()
    op.create_table(
        "organisations",
        *words("id"),
        *words("name", 500),
        *column("created_at", instant),
        sa.PrimaryKeyConstraint("id"),
    )
    create(
        "users",
        ("id",),
        words("id"),
        words("role", 64),
        column("active", flag),
        column("created_at", instant),
        one_of("role", *ROLES),
    )
    create(
        "api_tokens",
        ("id",),
        words("id"),
        words("token_hash", 64),
        words("user_id"),
        words("role", 64),
        document("scopes"),
        column("issued_at", instant),
        words("issued_by"),
        column("expires_at", instant),
        column("revoked_at", instant, null=True),
        column("last_used_at", instant, null=True),
        belongs_to("users", "user_id"),
        (sa.UniqueConstraint("token_hash"),),
        one_of("role", *ROLES),
        check("hash_only", "length(token_hash) = 64"),
        check("expires", "expires_at > issued_at"),
    )
    create(
        "patients",
        ("id",),
        words("id"),
        words("ehr_id"),
        column("birth_date", sa.Date(), null=True),
        words("sex", 64),
        column("deceased", flag),
        column("data_as_of", instant, null=True),
        column("recorded_at", instant),
        (sa.UniqueConstraint("organisation_id", "ehr_id"),),
    )
    create_history(instant)
    create_decisions(instant)
    create_answers_to_findings(instant, flag)
    create(
        "audit_events",
        ("seq",),
        (sa.Column("seq", sa.Integer(), nullable=False, autoincrement=False),),
        column("at", instant),
        words("action", 64),
        words("subject"),
        words("by_user"),
        words("by_role", 64),
        document("detail"),
        words("key_id", 64),
        words("mac", 64),
        check("seq", "seq >= 1"),
        check("mac", "length(mac) = 64"),
        rowid=False,
    )
    create(
        "catalogue_products",
        ("system", "code"),
        words("system", 64),
        words("code", 64),
        words("name", 4000),
        document("document"),
        words("source", 500),
        column("loaded_at", instant),
    )
    guard()


def create_history(instant: sa.types.TypeEngine) -> None:
    """What is known of each patient: supplies with the columns that reports ask for, facts as documents."""
    create(
        "supplies",
        ("patient_id", "kind", "source_id"),
        words("patient_id"),
        words("kind", 64),
        words("source_id"),
        words("status", 64),
        column("start_on", sa.Date(), null=True),
        column("ended_on", sa.Date(), null=True),
        column("quantity_value", ExactDecimal(), null=True),
        words("quantity_unit", 64, null=True),
        column("days_supply", ExactDecimal(), null=True),
        column("refills", sa.Integer(), null=True),
        column("fill", sa.Integer(), null=True),
        words("prescription"),
        words("prescriber"),
        words("pharmacy"),
        words("setting", 64),
        words("treatment_type", 64),
        document("document"),
        column("recorded_at", instant),
        belongs_to("patients", "patient_id"),
        one_of("kind", "dispensing", "prescription", "statement", "draft"),
        one_of("setting", "outpatient", "discharge", "inpatient", "unknown"),
        check("quantity_value_and_quantity_unit", "(quantity_value IS NULL) = (quantity_unit IS NULL)"),
        check("refills", "refills BETWEEN 0 AND 1000"),
        check("fill", "fill BETWEEN 0 AND 1000"),
        rowid=False,
    )
    for name in FACTS:
        create(
            name,
            ("patient_id", "source_id"),
            words("patient_id"),
            words("source_id"),
            document("document"),
            column("recorded_at", instant),
            belongs_to("patients", "patient_id"),
            rowid=False,
        )


def create_decisions(instant: sa.types.TypeEngine) -> None:
    """Decisions with the facts and policies they used, the orders that were submitted, and the findings."""
    create(
        "policy_versions",
        ("policy_id", "version", "sha256"),
        words("policy_id"),
        (sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),),
        words("sha256", 64),
        document("document"),
        check("version", "version BETWEEN 1 AND 1000000"),
        check("sha256", "length(sha256) = 64"),
        rowid=False,
    )
    create(
        "decisions",
        ("id",),
        words("id"),
        words("patient_id"),
        words("order_id", null=True),
        words("channel", 64),
        words("disposition", 64),
        column("as_of", instant),
        words("by_user"),
        words("by_role", 64),
        document("order_document", null=True),
        document("chart_document"),
        document("policies_document"),
        belongs_to("patients", "patient_id"),
        one_of("disposition", "clear", "advised", "needs-reason", "blocked"),
        one_of("by_role", *ROLES),
        check("order_id_and_order_document", "(order_id IS NULL) = (order_document IS NULL)"),
        rowid=False,
    )
    create(
        "orders",
        ("patient_id", "id"),
        words("patient_id"),
        words("id"),
        words("decision_id"),
        column("submitted_at", instant),
        words("by_user"),
        belongs_to("patients", "patient_id"),
        belongs_to("decisions", "decision_id"),
        (sa.UniqueConstraint("organisation_id", "decision_id"),),
    )
    create(
        "findings",
        ("decision_id", "policy_id"),
        words("decision_id"),
        words("policy_id"),
        column("version", sa.Integer()),
        words("outcome", 64),
        words("enforcement", 64),
        words("severity", 64),
        document("document"),
        belongs_to("decisions", "decision_id"),
        one_of("outcome", "pass", "breach", "exempt", "not-applicable", "cannot-tell"),
        one_of("enforcement", "silent", "inform", "soft-stop", "hard-stop"),
        one_of("severity", "info", "warning", "critical"),
        check("version", "version BETWEEN 1 AND 1000000"),
        rowid=False,
    )


def create_answers_to_findings(instant: sa.types.TypeEngine, flag: sa.types.TypeEngine) -> None:
    """What people did about findings: overrides, requests for an exception, countersignatures."""
    finding = belongs_to("findings", "decision_id", "policy_id", to=("decision_id", "policy_id"))
    create(
        "overrides",
        ("decision_id", "policy_id"),
        words("decision_id"),
        words("policy_id"),
        words("reason", 64),
        words("comment", 4000),
        words("by_user"),
        words("by_role", 64),
        column("at", instant),
        finding,
        one_of("by_role", *ROLES),
        check("reason_given", "length(reason) > 0"),
    )
    finding = belongs_to("findings", "decision_id", "policy_id", to=("decision_id", "policy_id"))
    create(
        "exception_requests",
        ("id",),
        words("id"),
        words("decision_id"),
        words("policy_id"),
        words("reason", 500),
        words("note", 4000),
        words("by_user"),
        words("by_role", 64),
        column("at", instant),
        words("status", 64),
        column("closed_at", instant, null=True),
        finding,
        one_of("status", "open", "approved", "declined"),
        check("closed_when", "(status = 'open') = (closed_at IS NULL)"),
        check("reason_given", "length(reason) > 0"),
    )
    standing = sa.text("status != 'declined'")
    op.create_index(
        "uq_exception_requests_standing",
        "exception_requests",
        ["organisation_id", "decision_id", "policy_id"],
        unique=True,
        sqlite_where=standing,
        postgresql_where=standing,
    )
    create(
        "countersignatures",
        ("exception_id", "by_user"),
        words("exception_id"),
        words("by_user"),
        words("by_role", 64),
        column("approve", flag),
        words("note", 4000),
        column("at", instant),
        belongs_to("exception_requests", "exception_id"),
        one_of("by_role", *ROLES),
    )


def guard() -> None:
    """Refuse UPDATE, DELETE and TRUNCATE on what may only grow.

    A tripwire for mistakes: who may change the schema can remove it, and the audit chain is there to show
    what went past it.
    """
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION stewardship_insert_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is insert-only', TG_TABLE_NAME; END $$"
        )
        for table in INSERT_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_insert_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION stewardship_insert_only()"
            )
            op.execute(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION stewardship_insert_only()"
            )
        return
    for table in INSERT_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
            )


def downgrade() -> None:
    """Remove everything; refused while there are rows, unless they may be discarded."""
    bind = op.get_bind()
    if not context.config.attributes.get("discard"):
        kept = [name for name in TABLES if bind.execute(sa.text(f"SELECT 1 FROM {name} LIMIT 1")).first()]  # noqa: S608
        if kept:
            raise Conflict(f"rows would be lost in {', '.join(kept)}: say that they may be discarded")
    for name in TABLES:
        op.drop_table(name)
    if bind.dialect.name == "postgresql":
        op.execute("DROP FUNCTION stewardship_insert_only()")
