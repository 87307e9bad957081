"""``stewardship db``: the schema of the database, and whether its audit chain is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from stewardship.config import Settings


@click.group()
def db() -> None:
    """Bring the database's schema up or down; check its audit chain.

    The database is the one that STEWARDSHIP_DATABASE_URL names.
    """


@db.command()
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Bring the schema up to REVISION, the newest unless one is named."""
    from stewardship.db import migrate

    engine = _engine()
    before = migrate.current(engine)
    migrate.upgrade(engine, revision)
    after = migrate.current(engine)
    click.echo(f"schema {after}" if before == after else f"schema {before or 'none'} -> {after}")


@db.command()
@click.argument("revision")
@click.option("--discard-data", is_flag=True, help="Rows of tables that go may be lost.")
def downgrade(revision: str, discard_data: bool) -> None:
    """Bring the schema down to REVISION; `base` removes every table.

    A step that would lose rows is refused unless --discard-data is given.
    """
    from stewardship.db import migrate

    engine = _engine()
    before = migrate.current(engine)
    migrate.downgrade(engine, revision, discard=discard_data)
    click.echo(f"schema {before or 'none'} -> {migrate.current(engine) or 'none'}")


@db.command()
def current() -> None:
    """Say which schema the database has, and which one this version needs. Exit code 1 when they differ."""
    from stewardship.db import migrate

    found, needed = migrate.current(_engine()), migrate.newest()
    click.echo(f"schema {found or 'none'}, this version needs {needed}")
    if found != needed:
        raise SystemExit(1)


def _settings() -> Settings:
    import os

    from stewardship.config import Settings

    return Settings.from_env(os.environ)


def _engine() -> Engine:
    from stewardship.db.engine import make_engine

    return make_engine(_settings().database_url)
