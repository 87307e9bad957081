"""Function on a clock: goals and their events, measurements, reviews, and an organisation's calendar."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import Instant, Words
from stewardship.domain.errors import Conflict

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ROLES = ("prescriber", "pharmacist", "compliance", "ehr", "admin")
INSERT_ONLY = (
    "function_goals",
    "function_goal_events",
    "measurements",
    "measurement_errors",
    "reassessment_measurements",
)

# In the order in which they can be removed.
TABLES = (
    "clock_readings",
    "reassessment_measurements",
    "reassessments",
    "measurement_errors",
    "measurements",
    "function_goal_events",
    "function_goals",
)
CALENDAR = (("time_zone", 64), ("holiday_country", 64), ("holiday_region", 64), ("weekend", 64))
OPEN = "state = 'planned' OR state = 'due' OR state = 'missed'"


def words(name: str, length: int = 200, *, null: bool = False) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    check = sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length")
    return sa.Column(name, Words(length), nullable=null), check


def column(name: str, kind: sa.types.TypeEngine, *, null: bool = False) -> tuple[sa.Column]:
    """Any other column."""
    return (sa.Column(name, kind, nullable=null),)


def one_of(name: str, *listed: str) -> tuple[sa.CheckConstraint]:
    """The column holds one of these words."""
    said = " OR ".join(f"{name} = '{word}'" for word in listed)
    return (sa.CheckConstraint(said, name=name),)


def number(name: str, low: int, high: int) -> tuple[sa.Column, sa.CheckConstraint]:
    """A whole number in a range."""
    kept = sa.CheckConstraint(f"{name} BETWEEN {low} AND {high}", name=name)
    return sa.Column(name, sa.Integer(), nullable=False, autoincrement=False), kept


def check(name: str, rule: str) -> tuple[sa.CheckConstraint]:
    """A rule of the row."""
    return (sa.CheckConstraint(rule, name=name),)


def belongs_to(table: str, column_name: str) -> tuple[sa.ForeignKeyConstraint]:
    """A reference that stays within the organisation."""
    here = ["organisation_id", column_name]
    return (sa.ForeignKeyConstraint(here, [f"{table}.organisation_id", f"{table}.id"]),)


def create(name: str, key: tuple[str, ...], *parts: tuple[sa.schema.SchemaItem, ...]) -> None:
    """Create a table of rows that belong to an organisation; the key begins with it."""
    organisation = (
        *words("organisation_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"]),
    )
    items = [item for part in (organisation, *parts) for item in part]
    op.create_table(name, *items, sa.PrimaryKeyConstraint("organisation_id", *key))


def index(table: str, *columns: str) -> None:
    """An index within the organisation."""
    name = op.f("_".join(("ix", table, "organisation_id", *columns)))
    op.create_index(name, table, ["organisation_id", *columns])


def upgrade() -> None:
    """Create the tables, guard those that only grow, and give organisations a calendar."""
    for name, length in CALENDAR:
        op.execute(
            f"ALTER TABLE organisations ADD COLUMN {name} VARCHAR({length}) "
            f"CONSTRAINT ck_organisations_{name}_length CHECK (length({name}) <= {length})"
        )
    create_goals()
    create_measurements()
    create_reviews()
    guard()


def create_goals() -> None:
    """Goals and what became of them."""
    create(
        "function_goals",
        ("id",),
        words("id"),
        words("patient_id"),
        column("set_at", Instant()),
        belongs_to("patients", "patient_id"),
    )
    index("function_goals", "patient_id")
    create(
        "function_goal_events",
        ("goal_id", "seq"),
        words("goal_id"),
        number("seq", 1, 10_000),
        words("event", 64),
        words("activity", 500),
        words("baseline", 500),
        words("target", 500),
        column("due_on", sa.Date()),
        words("reason", 500),
        column("on_day", sa.Date()),
        words("by_user"),
        words("by_role", 64),
        column("at", Instant()),
        belongs_to("function_goals", "goal_id"),
        one_of("event", "set", "changed", "reached", "given-up"),
        one_of("by_role", *ROLES),
    )


def create_measurements() -> None:
    """Answers, and which of them were entered in error."""
    create(
        "measurements",
        ("id",),
        words("id"),
        words("patient_id"),
        words("instrument_id", 64),
        number("version", 1, 1_000_000),
        column("answers", sa.Text()),
        column("satisfies_review", sa.Boolean()),
        words("reported_by", 64),
        column("taken_at", Instant()),
        column("taken_on", sa.Date()),
        words("by_user"),
        words("by_role", 64),
        column("recorded_at", Instant()),
        belongs_to("patients", "patient_id"),
        one_of("reported_by", "clinician", "patient", "system"),
        one_of("by_role", *ROLES),
    )
    index("measurements", "patient_id", "taken_at")
    create(
        "measurement_errors",
        ("measurement_id",),
        words("measurement_id"),
        words("reason", 500),
        words("by_user"),
        words("by_role", 64),
        column("at", Instant()),
        belongs_to("measurements", "measurement_id"),
        one_of("by_role", *ROLES),
        check("reason_given", "length(reason) > 0"),
    )


def create_reviews() -> None:
    """The reviews of the clock, and when it was last asked."""
    create(
        "reassessments",
        ("id",),
        words("id"),
        words("patient_id"),
        words("interval", 64),
        column("exact_on", sa.Date()),
        column("due_on", sa.Date()),
        column("since", sa.Date()),
        words("state", 64),
        words("clinician"),
        column("assigned", sa.Boolean()),
        column("planned_at", Instant()),
        column("opened_at", Instant(), null=True),
        number("opened_late_days", 0, 100_000),
        column("missed_at", Instant(), null=True),
        column("done_on", sa.Date(), null=True),
        column("closed_at", Instant(), null=True),
        words("closed_by", null=True),
        column("excused", sa.Boolean()),
        words("reason", 500),
        words("note", 4000),
        belongs_to("patients", "patient_id"),
        one_of("state", "planned", "due", "done", "missed", "cancelled"),
        check("done_when", "(state = 'done') = (done_on IS NOT NULL)"),
        check("closed_when", "(state IN ('done', 'cancelled')) = (closed_at IS NOT NULL)"),
        check("reason_given", "state != 'cancelled' OR length(reason) > 0"),
        check("opened_when", "state NOT IN ('due', 'missed') OR opened_at IS NOT NULL"),
        check("missed_when", "state != 'missed' OR missed_at IS NOT NULL"),
        check("excused_when", "NOT excused OR state = 'cancelled'"),
    )
    index("reassessments", "patient_id")
    still_open = sa.text(OPEN)
    for name, last, unique in (
        ("uq_reassessments_open", "patient_id", True),
        ("ix_reassessments_open_due", "due_on", False),
    ):
        op.create_index(
            name,
            "reassessments",
            ["organisation_id", last],
            unique=unique,
            sqlite_where=still_open,
            postgresql_where=still_open,
        )
    create(
        "reassessment_measurements",
        ("reassessment_id", "measurement_id"),
        words("reassessment_id"),
        words("measurement_id"),
        belongs_to("reassessments", "reassessment_id"),
        belongs_to("measurements", "measurement_id"),
    )
    index("reassessment_measurements", "measurement_id")
    create(
        "clock_readings",
        ("patient_id",),
        words("patient_id"),
        column("asked_at", Instant()),
        column("ask_on", sa.Date(), null=True),
        number("facts", 0, 2_000_000_000),
        column("newest_at", Instant(), null=True),
        column("missing", sa.Text()),
        belongs_to("patients", "patient_id"),
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
    """Remove the tables and the calendars; refused where something would be lost, unless it may be."""
    bind = op.get_bind()
    if not context.config.attributes.get("discard"):
        kept = [name for name in TABLES if bind.execute(sa.text(f"SELECT 1 FROM {name} LIMIT 1")).first()]  # noqa: S608
        named = " OR ".join(f"{name} IS NOT NULL" for name, _ in CALENDAR)
        if bind.execute(sa.text(f"SELECT 1 FROM organisations WHERE {named} LIMIT 1")).first():  # noqa: S608
            kept.append("organisations (calendar)")
        if kept:
            raise Conflict(f"rows would be lost in {', '.join(kept)}: say that they may be discarded")
    for name in TABLES:
        op.drop_table(name)
    for name, _ in CALENDAR:
        op.execute(f"ALTER TABLE organisations DROP COLUMN {name}")
