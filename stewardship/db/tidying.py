"""What a long piece of writing tidies up behind itself, outside of everybody's way.

SQLite writes to a log first, and whoever's commit makes that log long enough carries it over into the
database, for as long as that takes. Beside an import that would be an order, again and again. So the import
carries over what it wrote after each of its portions, while nobody waits for it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine


def tidy(engine: Engine) -> None:
    """Carry the log over into the database as far as it goes without waiting for anybody; PostgreSQL has
    processes of its own for it."""
    if engine.dialect.name != "sqlite":
        return
    connection = engine.raw_connection()
    try:
        driver: Any = connection.dbapi_connection
        driver.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
    finally:
        connection.close()
