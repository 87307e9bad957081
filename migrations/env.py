"""How Alembic runs here: on the connection that ``stewardship.db.migrate`` gives it, in one transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from stewardship.db.tables import Base

#: Any number will do, as long as it stays: two replicas that start together migrate one after the other.
MIGRATION_LOCK = 7_301_826


def run() -> None:
    """Run the migrations that were asked for."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            # The other one may have much to do.
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        context.run_migrations()


run()
