"""What a long piece of writing tidies up behind itself, outside of everybody's way.

SQLite writes to a log first, and whoever's commit makes that log long enough carries it over into the
database, for as long as that takes. Beside an import that would be an order, again and again. So the import
carries over what it wrote after each of its portions, while nobody waits for it.

PostgreSQL plans by what it last counted, and counts by itself once a minute at the most. Until then tables
that an import fills are taken for empty and read from end to end for every row. So the import has them
counted, each time that it has doubled what it wrote.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from stewardship.db import import_tables, tables

_FILLED: tuple[Any, ...] = (
    import_tables.DispensingReport,
    import_tables.ReportSource,
    import_tables.Identity,
    import_tables.IdentityNumber,
    import_tables.IdentityLink,
    tables.Patient,
    tables.Supply,
    tables.AuditEvent,
)
#: After so many items the log of an SQLite database is tidied up: well before somebody else's commit would.
_CARRY_EVERY = 500
#: After so many items the tables of a PostgreSQL database are counted for the first time.
_COUNT_FIRST = 250


class Tidying:
    """What one import has written since it last tidied up."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._untidy, self._every = engine, 0, _CARRY_EVERY
        if engine.dialect.name == "postgresql":
            self._every = _COUNT_FIRST

    def wrote(self, items: int) -> None:
        """So many items more are stored: tidy up when it is time to."""
        self._untidy += items
        if self._untidy < self._every:
            return
        self._untidy = 0
        if self._engine.dialect.name == "postgresql":
            self._every *= 2
            names = ", ".join(one.__table__.name for one in _FILLED)
            self._run(f"ANALYZE {names}")
        else:
            # As far as it goes without waiting for anybody.
            self._run("PRAGMA wal_checkpoint(PASSIVE)")

    def _run(self, statement: str) -> None:
        connection = self._engine.raw_connection()
        try:
            driver: Any = connection.dbapi_connection
            driver.execute(statement).close()
            connection.commit()
        finally:
            connection.close()
