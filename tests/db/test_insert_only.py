"""Decisions and what people did about them only grow; the database itself refuses anything else."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from stewardship.db import tables, transaction


def count(session, table):
    return session.execute(select(func.count()).select_from(text(table))).scalar_one()


@pytest.mark.parametrize("table", tables.INSERT_ONLY)
@pytest.mark.parametrize("change", ["UPDATE {} SET organisation_id = organisation_id", "DELETE FROM {}"])
def test_rows_are_neither_changed_nor_removed(peopled, table, change):
    with transaction(peopled, write=False) as session:
        before = count(session, table)
    with pytest.raises(DBAPIError, match="insert-only"), transaction(peopled) as session:
        session.execute(text(change.format(table)))
    with transaction(peopled, write=False) as session:
        assert count(session, table) == before > 0


@pytest.mark.parametrize("table", tables.INSERT_ONLY)
def test_tables_are_not_emptied_behind_the_triggers_back(peopled, table):
    with transaction(peopled, write=False) as session:
        sqlite = session.get_bind().dialect.name == "sqlite"
    # What SQLite has instead of TRUNCATE is a replacing insert, which deletes the row that is in its way.
    replacing = "INSERT OR REPLACE INTO {0} SELECT * FROM {0}"
    statement = (replacing if sqlite else "TRUNCATE {0} CASCADE").format(table)
    with pytest.raises(DBAPIError, match="insert-only"), transaction(peopled) as session:
        session.execute(text(statement))


def test_the_models_know_which_tables_are_guarded(peopled):
    with transaction(peopled, write=False) as session:
        if session.get_bind().dialect.name == "sqlite":
            found = session.execute(
                text("SELECT DISTINCT tbl_name FROM sqlite_master WHERE type = 'trigger'")
            )
        else:
            found = session.execute(
                text(
                    "SELECT DISTINCT relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
                    "WHERE NOT tgisinternal"
                )
            )
        assert set(found.scalars()) == set(tables.INSERT_ONLY)
