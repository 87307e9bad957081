"""Copies of the database, on both: verified when made, put back only where nothing is, the gap named."""

from __future__ import annotations

import json

import pytest
from sqlalchemy.engine import make_url

from stewardship.backup import back_up, restore
from stewardship.config import Environment, Settings
from stewardship.db import migrate, transaction
from stewardship.domain.errors import Conflict, Unavailable
from stewardship.domain.people import Principal, Role
from stewardship.services import audit, organisations
from stewardship.witness import open_database
from tests.builders import NOW

BY = Principal("u-1", "org-1", Role.ADMIN)


@pytest.fixture
def settings(empty_url, tmp_path):
    """An empty database with keys and a witness."""
    return Settings(
        environment=Environment.TEST,
        database_url=empty_url,
        audit_key="an-audit-key-that-was-drawn-0123456789",
        checkpoint_file=tmp_path / "checkpoints.txt",
        checkpoint_key="q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA",
    )


@pytest.fixture
def sessions(settings):
    """A database with two entries, one of them witnessed."""
    made = open_database(settings)
    migrate.upgrade(made.kw["bind"])
    with transaction(made) as session:
        organisations.ensure(session, "org-1", name="One", by=BY, now=NOW)
        audit.record(session, "export.made", subject="d-1", by=BY, now=NOW)
    yield made
    made.kw["bind"].dispose()


@pytest.fixture
def copy(settings, sessions, tmp_path):
    file = tmp_path / "copy"
    back_up(settings, file, now=NOW)
    return file


def emptied(settings, sessions):
    """The same database, without any table."""
    migrate.downgrade(sessions.kw["bind"], "base", discard=True)
    with sessions.kw["bind"].begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")


def test_a_copy_says_what_it_holds(copy):
    said = json.loads(copy.with_name("copy.manifest.json").read_text())
    assert (said["entries"], said["schema"]) == ({"org-1": 2}, migrate.newest())
    assert copy.stat().st_mode & 0o077 == 0


def test_a_copy_is_put_back_whole(settings, sessions, copy):
    emptied(settings, sessions)
    restored = restore(settings, copy)
    assert (restored.copy.entries, restored.behind) == ({"org-1": 2}, {})
    with transaction(sessions) as session:
        audit.record(session, "report.printed", subject="r-1", by=BY, now=NOW)


def test_what_came_after_the_copy_is_named_by_size(settings, sessions, copy):
    for number in range(3):
        with transaction(sessions) as session:
            audit.record(session, "export.made", subject=f"d-{number}", by=BY, now=NOW)
    emptied(settings, sessions)
    assert restore(settings, copy).behind == {"org-1": 3}


def test_a_copy_is_not_put_over_a_database(settings, sessions, copy):
    with pytest.raises(Conflict, match="has tables"):
        restore(settings, copy)


def test_an_altered_copy_is_refused(settings, sessions, copy):
    emptied(settings, sessions)
    with copy.open("r+b") as content:
        content.seek(2000)
        content.write(b"x")
    with pytest.raises(Unavailable, match="not what its manifest says"):
        restore(settings, copy)


def test_a_trail_that_is_not_whole_is_not_copied(settings, sessions, tmp_path):
    with transaction(sessions) as session:
        run = session.connection().exec_driver_sql
        if make_url(settings.database_url).get_backend_name() == "sqlite":
            run("DROP TRIGGER audit_events_no_update")
        else:
            run("ALTER TABLE audit_events DISABLE TRIGGER USER")
        run("UPDATE audit_events SET subject = 'other' WHERE seq = 2")
    with pytest.raises(Unavailable, match="not whole"):
        back_up(settings, tmp_path / "bad", now=NOW)
    assert not (tmp_path / "bad").exists()


def test_a_copy_never_replaces_another(settings, sessions, copy):
    with pytest.raises(Conflict):
        back_up(settings, copy, now=NOW)
