"""Migrations: up, down and up again on both databases, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import CheckConstraint, inspect, text

from stewardship.db import migrate, tables, transaction
from stewardship.db.engine import make_engine
from stewardship.domain.errors import Conflict, Unavailable

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def engine(empty_url):
    made = make_engine(empty_url)
    yield made
    made.dispose()


def names(engine):
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_up_makes_exactly_the_tables_of_the_models(engine):
    migrate.upgrade(engine)
    assert names(engine) == set(tables.Base.metadata.tables)
    migrate.differences(engine)


def test_the_checks_of_the_migrations_are_those_of_the_models(engine):
    migrate.upgrade(engine)
    made = inspect(engine)
    for name, table in tables.Base.metadata.tables.items():
        declared = {str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)}
        prefix = f"ck_{name}_"
        assert {c["name"] for c in made.get_check_constraints(name)} == {
            n if n.startswith(prefix) else prefix + n for n in declared
        }


def test_every_foreign_key_stays_within_the_organisation():
    for table in tables.Base.metadata.tables.values():
        for key in table.foreign_key_constraints:
            if key.referred_table.name != "organisations":
                assert key.column_keys[0] == "organisation_id"
                assert key.elements[0].column.name == "organisation_id"


def test_every_table_belongs_to_an_organisation_and_its_key_begins_with_it():
    # Whoever tries to sign in is nobody yet, and so nobody's.
    nobodys = {"organisations", "sign_in_attempts"}
    for name, table in tables.Base.metadata.tables.items():
        if name not in nobodys:
            assert next(iter(table.primary_key)).name == "organisation_id", name


def test_down_and_up_again(engine):
    migrate.upgrade(engine)
    migrate.downgrade(engine, "base")
    assert names(engine) == set()
    assert migrate.current(engine) is None
    migrate.upgrade(engine)
    assert migrate.current(engine) == migrate.newest()


def test_each_step_down_and_up_again(engine):
    migrate.upgrade(engine)
    migrate.downgrade(engine, "0003")
    before = names(engine)
    migrate.downgrade(engine, "0002")
    assert before - names(engine) == {
        "dispensing_reports", "identity_identifiers", "identity_links", "import_faults", "imports",
        "match_candidates", "patient_identities", "pharmacies", "report_sources",
    }  # fmt: skip
    before = names(engine)
    migrate.downgrade(engine, "0001")
    assert before - names(engine) == {"snoozes", "snooze_ends", "cards", "card_feedback"}
    migrate.upgrade(engine)
    migrate.differences(engine)


def test_the_foundation_alone_is_not_taken_down_with_rows_in_it(engine):
    migrate.upgrade(engine, "0001")
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO organisations VALUES ('org-1', 'One', '2026-11-21 12:00:00+00:00')")
        )
    with pytest.raises(Conflict, match="organisations"):
        migrate.downgrade(engine, "base")


def test_up_twice_does_nothing_the_second_time(engine):
    migrate.upgrade(engine)
    migrate.upgrade(engine)
    migrate.require_current(engine)


def test_down_is_refused_where_rows_would_be_lost(peopled):
    engine = peopled.kw["bind"]
    with pytest.raises(Conflict, match="rows would be lost"):
        migrate.downgrade(engine, "base")
    with transaction(peopled, write=False) as session:
        assert session.execute(text("SELECT count(*) FROM audit_events")).scalar_one() == 1
    migrate.downgrade(engine, "base", discard=True)
    assert names(engine) == set()


def test_a_failed_step_leaves_the_schema_as_it_was(engine):
    with engine.begin() as connection:
        # In the way of the last table that the migration makes.
        connection.execute(text("CREATE TABLE catalogue_products (id INTEGER)"))
    with pytest.raises(Exception, match="catalogue_products"):
        migrate.upgrade(engine)
    assert names(engine) == {"catalogue_products"}
    assert migrate.current(engine) is None


def test_a_newer_schema_than_this_version_knows_is_refused(engine):
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for attempt in (migrate.upgrade, migrate.require_current, lambda e: migrate.downgrade(e, "base")):
        with pytest.raises(Unavailable, match="9999") as refused:
            attempt(engine)
        assert refused.value.code == "schema-newer"


def test_a_database_that_was_not_brought_up_is_refused_with_what_to_do(engine):
    with pytest.raises(Unavailable, match="stewardship db upgrade"):
        migrate.require_current(engine)


def test_two_that_start_together_migrate_once(engine, empty_url):
    up = "from stewardship.db import engine, migrate; import sys\n"
    up += "migrate.upgrade(engine.make_engine(sys.argv[1]))"
    both = [subprocess.Popen([sys.executable, "-c", up, empty_url], cwd=ROOT) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert migrate.current(engine) == migrate.newest()


def test_foreign_keys_are_watched_again_after_a_migration(engine):
    migrate.upgrade(engine)
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
