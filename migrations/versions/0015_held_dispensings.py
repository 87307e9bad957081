"""A row about a dispensing stays while a hold stands over the patient whose it is: also where the dispensing
was removed before, and was reported again since."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# The list of removals names a dispensing once. What is reported of it later would go by that entry alone, so
# here the row itself is asked whose it is.
HELD = (
    "EXISTS (SELECT 1 FROM legal_holds h WHERE h.organisation_id = OLD.organisation_id "
    "AND (h.patient_id IS NULL OR h.patient_id = (SELECT i.patient_id FROM patient_identities i "
    "WHERE i.organisation_id = OLD.organisation_id AND i.id = OLD.identity_id)) "
    "AND NOT EXISTS (SELECT 1 FROM legal_hold_ends e "
    "WHERE e.organisation_id = h.organisation_id AND e.hold_id = h.id))"
)
TRIGGER = "dispensing_reports_not_held"
WORDS = "a legal hold keeps this record"


def upgrade() -> None:
    """Guard the rows, beside the guard that asks for their removal on record."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION stewardship_{TRIGGER}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF {HELD} THEN RAISE EXCEPTION '{WORDS}'; END IF; RETURN OLD; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {TRIGGER} BEFORE DELETE ON dispensing_reports "
            f"FOR EACH ROW EXECUTE FUNCTION stewardship_{TRIGGER}()"
        )
    else:
        op.execute(
            f"CREATE TRIGGER {TRIGGER} BEFORE DELETE ON dispensing_reports WHEN {HELD} "
            f"BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"
        )


def downgrade() -> None:
    """Leave it to the service, as before."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP TRIGGER {TRIGGER} ON dispensing_reports")
        op.execute(f"DROP FUNCTION stewardship_{TRIGGER}()")
    else:
        op.execute(f"DROP TRIGGER {TRIGGER}")
