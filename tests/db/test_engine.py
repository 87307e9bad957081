"""Engines and transactions: all or nothing, writers in turn, and what a failure says."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from stewardship.db import connect, engine, tables, transaction
from stewardship.db.engine import begin_writing, make_engine, new_id, sent_together
from stewardship.db.prepared import Prepared
from stewardship.domain.errors import Unavailable
from tests.builders import NOW

ROOT = Path(__file__).resolve().parents[2]
ADD = text(
    "INSERT INTO organisations (id, name, created_at) VALUES (:id, :name, '2026-11-21 12:00:00+00:00')"
)


def add(session, name):
    session.execute(ADD, {"id": name, "name": "0"})


def fail_in(session):
    begin_writing(session)
    add(session, "a")
    raise RuntimeError("half way")


def names(sessions):
    with transaction(sessions, write=False) as session:
        return set(session.execute(text("SELECT id FROM organisations")).scalars())


def test_a_block_that_ends_is_committed(database):
    with transaction(database) as session:
        add(session, "a")
    assert names(database) == {"a"}


def test_a_block_that_raises_leaves_nothing(database):
    def fails():
        with transaction(database) as session:
            add(session, "a")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fails()
    assert names(database) == set()


def test_a_transaction_opens_on_an_engine_too(database):
    with transaction(database.kw["bind"]) as session:
        add(session, "a")
    assert names(database) == {"a"}


def test_writers_that_read_first_take_turns_and_none_is_lost(database):
    with transaction(database) as session:
        add(session, "counter")
    start = Barrier(6)

    def count():
        start.wait()
        for _ in range(15):
            with transaction(database) as session:
                found = session.execute(counter).scalar_one()
                session.execute(text("UPDATE organisations SET name = :n"), {"n": str(int(found) + 1)})

    # SQLite has taken its turn already; PostgreSQL takes it here.
    counter = select(tables.Organisation.name).with_for_update()
    threads = [Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with transaction(database, write=False) as session:
        assert session.execute(text("SELECT name FROM organisations")).scalar_one() == "90"


def test_a_reader_waits_for_no_writer(database):
    with transaction(database) as writing:
        add(writing, "a")
        assert names(database) == set()


def test_a_late_writer_reads_without_a_turn_and_then_writes_as_one_unit(database):
    def half():
        with transaction(database, late=True) as session:
            assert session.execute(select(tables.Organisation.id)).all() == []
            with transaction(database) as other:
                add(other, "meanwhile")
            begin_writing(session)
            add(session, "late")
            assert set(session.execute(select(tables.Organisation.id)).scalars()) == {"meanwhile", "late"}
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        half()
    assert names(database) == {"meanwhile"}


def test_a_late_writer_that_forgot_its_turn_changes_all_or_nothing(database):
    with transaction(database, late=True) as session:
        add(session, "a")
    assert names(database) == {"a"}


def test_a_turn_ends_with_its_transaction_however_that_ends(sqlite_database, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.2)
    for late in (False, True):
        with (
            pytest.raises(RuntimeError, match="half way"),
            transaction(sqlite_database, late=late) as session,
        ):
            fail_in(session)
    with transaction(sqlite_database) as session:
        add(session, "after")


def test_a_process_that_dies_in_its_turn_holds_up_nobody(sqlite_database, tmp_path):
    dies = (
        "import os, sys; from stewardship.db import connect, transaction\n"
        "with transaction(connect(sys.argv[1])): os._exit(9)"
    )
    url = f"sqlite:///{tmp_path / 'test.db'}"
    assert subprocess.run([sys.executable, "-c", dies, url], cwd=ROOT, check=False).returncode == 9
    with transaction(sqlite_database) as session:
        add(session, "after")
    assert names(sqlite_database) == {"after"}


def test_sqlite_is_set_up_not_to_lose_what_was_acknowledged(sqlite_database):
    with transaction(sqlite_database, write=False) as session:
        asked = ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")
        found = [session.execute(text(f"PRAGMA {name}")).scalar_one() for name in asked]
    assert found == ["wal", 2, 1, 1]


def test_postgresql_answers_in_utc(postgres):
    made = make_engine(postgres.url())
    with made.connect() as connection:
        assert connection.execute(text("SHOW timezone")).scalar_one() == "UTC"
        assert connection.dialect.driver == "psycopg"
    made.dispose()


def test_a_server_that_was_away_is_used_again_without_a_restart(database):
    made = database.kw["bind"]
    if made.dialect.name != "postgresql":
        pytest.skip("SQLite has no server")
    with transaction(database) as session:
        add(session, "before")
    with made.connect() as first, made.connect() as second:
        victim = second.connection.dbapi_connection.info.backend_pid
        first.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": victim})
    time.sleep(2 * engine._ALIVE)
    # Both connections are used, the dead one too.
    with transaction(database) as session, transaction(database) as beside:
        add(session, "after")
        add(beside, "beside")
    assert names(database) == {"before", "after", "beside"}


def test_after_a_look_a_transaction_is_one_again(database):
    prepared = Prepared(select(tables.Organisation.__table__.c.id))
    for _ in range(3):
        with transaction(database, write=False) as session:
            assert prepared.rows(session, {}) == []
        with pytest.raises(RuntimeError, match="half way"), transaction(database) as session:
            fail_in(session)
        with pytest.raises(LookupError), transaction(database, write=False) as session:
            prepared.rows(session, {})
            raise LookupError
    assert names(database) == set()


def test_what_is_sent_together_is_all_there_or_nothing_is(database):
    prepared = Prepared.insert(tables.Organisation.__table__)
    columns = tables.Organisation.__table__.columns.keys()
    empty = dict.fromkeys(columns) | {"name": "0", "created_at": NOW}

    def store(*ids):
        with transaction(database) as session, sent_together(session):
            for each in ids:
                prepared.run(session, [empty | {"id": each}])

    store("a", "b")
    driver = database.kw["bind"].dialect.loaded_dbapi
    with pytest.raises(driver.IntegrityError):
        store("c", "a", "d")
    assert names(database) == {"a", "b"}
    store("e")
    assert names(database) == {"a", "b", "e"}


@pytest.mark.parametrize(
    "url",
    [
        "mysql://x/y",
        "oracle://x",
        "sqlite+aiosqlite:///x.db",
        "postgresql://u:hidden@h:port/x",
        "nonsense",
        "",
    ],
)
def test_other_databases_are_refused_with_words_and_without_the_address(url):
    with pytest.raises(Unavailable, match="sqlite:/// or postgresql://") as refused:
        connect(url)
    assert "hidden" not in str(refused.value)


def test_a_failed_statement_names_no_value(database):
    with transaction(database) as session:
        session.execute(ADD, {"id": "a", "name": "ZZQCANARY"})
    with pytest.raises(IntegrityError) as failed, transaction(database) as session:
        session.execute(ADD, {"id": "a", "name": "ZZQCANARY"})
    assert "ZZQCANARY" not in str(failed.value)


def test_a_database_that_is_away_is_unavailable(tmp_path):
    sessions = connect(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with pytest.raises(Unavailable, match="nothing was changed"), transaction(sessions):
        pass


def test_a_database_that_stays_busy_is_unavailable(sqlite_database, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    impatient = connect(f"sqlite:///{tmp_path / 'test.db'}")
    with transaction(sqlite_database) as session:
        add(session, "a")
        with pytest.raises(Unavailable), transaction(impatient) as waiting:
            add(waiting, "b")
    impatient.kw["bind"].dispose()
    assert names(sqlite_database) == {"a"}


def test_a_full_disk_is_unavailable_and_leaves_nothing(sqlite_database):
    many = [{"id": f"{number:0200d}", "name": "0"} for number in range(2000)]

    def fill():
        with transaction(sqlite_database) as session:
            session.execute(text("PRAGMA max_page_count = 1"))
            session.execute(ADD, many)

    with pytest.raises(Unavailable):
        fill()
    assert names(sqlite_database) == set()


def test_ids_are_random_and_in_the_order_of_time():
    made = [new_id(NOW.replace(microsecond=1000 * n)) for n in range(100)]
    assert made == sorted(made)
    assert len({new_id(NOW) for _ in range(1000)}) == 1000
    assert {len(one) for one in made} == {32}


def test_the_driver_is_the_one_that_was_tested():
    assert sqlite3.sqlite_version_info >= (3, 35), "RETURNING is needed"
