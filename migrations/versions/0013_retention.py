"""What is kept no longer than it has to be: legal holds, what was removed when its time was over, and the one
way in which a row of a table that only grows may go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import Instant, Words
from stewardship.domain.errors import Conflict

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ROLES = ("prescriber", "pharmacist", "compliance", "ehr", "admin")
TABLES = ("erasures", "legal_hold_ends", "legal_holds")

# Of which record a row is a part: it may go when the removal of that record was written down before.
DECISION, DISPENSING = "decision", "dispensing"
_OF_DECISION = "OLD.decision_id"
_SIGNED = "SELECT decision_id FROM exception_requests"
_RESTED = "SELECT decision_id FROM snoozes"
_SHOWN = "SELECT decision_id FROM cards"
_OWN = "organisation_id = OLD.organisation_id"
PARTS = {
    "decisions": (DECISION, "OLD.id"),
    "findings": (DECISION, _OF_DECISION),
    "overrides": (DECISION, _OF_DECISION),
    "countersignatures": (DECISION, f"({_SIGNED} WHERE {_OWN} AND id = OLD.exception_id)"),
    "snoozes": (DECISION, _OF_DECISION),
    "snooze_ends": (DECISION, f"({_RESTED} WHERE {_OWN} AND id = OLD.snooze_id)"),
    "cards": (DECISION, _OF_DECISION),
    "card_feedback": (DECISION, f"({_SHOWN} WHERE {_OWN} AND id = OLD.card_id)"),
    "dispensing_reports": (DISPENSING, "OLD.dispensing_id"),
}
HELD = (
    "EXISTS (SELECT 1 FROM legal_holds h WHERE h.organisation_id = NEW.organisation_id "
    "AND (h.patient_id IS NULL OR h.patient_id = NEW.patient_id) AND NOT EXISTS ("
    "SELECT 1 FROM legal_hold_ends e WHERE e.organisation_id = h.organisation_id AND e.hold_id = h.id))"
)


def words(name: str, length: int = 200, *, null: bool = False) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    return (
        sa.Column(name, Words(length), nullable=null),
        sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length"),
    )


def one_of(name: str, *listed: str) -> sa.CheckConstraint:
    """The column holds one of these words."""
    return sa.CheckConstraint(" OR ".join(f"{name} = '{word}'" for word in listed), name=name)


def of_organisation() -> tuple[sa.schema.SchemaItem, ...]:
    """Whose row it is."""
    return (*words("organisation_id"), sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"]))


def of_patient() -> sa.ForeignKeyConstraint:
    """A reference that stays within the organisation."""
    return sa.ForeignKeyConstraint(
        ["organisation_id", "patient_id"], ["patients.organisation_id", "patients.id"]
    )


def upgrade() -> None:
    """Create the tables, guard them, and let a row go whose removal is on record."""
    op.create_table(
        "legal_holds",
        *of_organisation(),
        *words("id"),
        *words("patient_id", null=True),
        *words("reason", 4000),
        *words("by_user"),
        *words("by_role", 64),
        sa.Column("at", Instant(), nullable=False),
        of_patient(),
        one_of("by_role", *ROLES),
        sa.CheckConstraint("length(reason) > 0", name="reason_given"),
        sa.PrimaryKeyConstraint("organisation_id", "id"),
    )
    op.create_index(
        op.f("ix_legal_holds_organisation_id_patient_id"), "legal_holds", ["organisation_id", "patient_id"]
    )
    op.create_table(
        "legal_hold_ends",
        *of_organisation(),
        *words("hold_id"),
        *words("reason", 4000),
        *words("by_user"),
        *words("by_role", 64),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id", "hold_id"], ["legal_holds.organisation_id", "legal_holds.id"]
        ),
        one_of("by_role", *ROLES),
        sa.CheckConstraint("length(reason) > 0", name="reason_given"),
        sa.PrimaryKeyConstraint("organisation_id", "hold_id"),
    )
    op.create_table(
        "erasures",
        *of_organisation(),
        *words("kind", 64),
        *words("record_id"),
        *words("portion"),
        *words("patient_id", null=True),
        *words("sha256", 64),
        sa.Column("kept", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        of_patient(),
        one_of("kind", DECISION, DISPENSING),
        sa.CheckConstraint("length(sha256) = 64", name="sha256"),
        sa.PrimaryKeyConstraint("organisation_id", "kind", "record_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_erasures_organisation_id_portion"), "erasures", ["organisation_id", "portion"])
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _removed(table: str) -> str:
    """Whether it is on record that the row's record is removed."""
    kind, record = PARTS[table]
    return f"EXISTS (SELECT 1 FROM erasures WHERE {_OWN} AND kind = '{kind}' AND record_id = {record})"  # noqa: S608


def _guard_postgresql() -> None:
    for table in TABLES:
        _insert_only_postgresql(table, "UPDATE OR DELETE")
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION stewardship_insert_only()"
        )
    op.execute(
        "CREATE FUNCTION stewardship_not_held() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF {HELD} THEN RAISE EXCEPTION 'a legal hold keeps this record'; END IF; "
        "RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER erasures_not_held BEFORE INSERT ON erasures "
        "FOR EACH ROW EXECUTE FUNCTION stewardship_not_held()"
    )
    for table in PARTS:
        op.execute(f"DROP TRIGGER {table}_insert_only ON {table}")
        _insert_only_postgresql(table, "UPDATE")
        op.execute(
            f"CREATE FUNCTION stewardship_{table}_removed() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF NOT {_removed(table)} THEN RAISE EXCEPTION '% is insert-only', TG_TABLE_NAME; "
            "END IF; RETURN OLD; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION stewardship_{table}_removed()"
        )


def _insert_only_postgresql(table: str, changes: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_insert_only BEFORE {changes} ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION stewardship_insert_only()"
    )


def _guard_sqlite() -> None:
    for table in TABLES:
        for change in ("UPDATE", "DELETE"):
            _refuse_sqlite(table, change)
    op.execute(
        f"CREATE TRIGGER erasures_not_held BEFORE INSERT ON erasures WHEN {HELD} "
        "BEGIN SELECT RAISE(ABORT, 'a legal hold keeps this record'); END"
    )
    for table in PARTS:
        op.execute(f"DROP TRIGGER {table}_no_delete")
        _refuse_sqlite(table, "DELETE", f"WHEN NOT {_removed(table)} ")


def _refuse_sqlite(table: str, change: str, when: str = "") -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} {when}"
        f"BEGIN SELECT RAISE(ABORT, '{table} is insert-only'); END"
    )


def downgrade() -> None:
    """Remove the tables, and guard the others as before; refused while there are rows, unless they may be
    discarded: what is gone would then look as if somebody had altered the record."""
    bind = op.get_bind()
    if not context.config.attributes.get("discard"):
        kept = [name for name in TABLES if bind.execute(sa.text(f"SELECT 1 FROM {name} LIMIT 1")).first()]  # noqa: S608
        if kept:
            raise Conflict(f"rows would be lost in {', '.join(kept)}: say that they may be discarded")
    postgresql = bind.dialect.name == "postgresql"
    for table in PARTS:
        if postgresql:
            for name in ("insert_only", "no_delete"):
                op.execute(f"DROP TRIGGER {table}_{name} ON {table}")
            op.execute(f"DROP FUNCTION stewardship_{table}_removed()")
            _insert_only_postgresql(table, "UPDATE OR DELETE")
        else:
            op.execute(f"DROP TRIGGER {table}_no_delete")
            _refuse_sqlite(table, "DELETE")
    for name in TABLES:
        op.drop_table(name)
    if postgresql:
        op.execute("DROP FUNCTION stewardship_not_held()")
