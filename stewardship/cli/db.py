"""``stewardship db``: the schema of the database, and copies of it that can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from stewardship.config import Settings


@click.group()
def db() -> None:
    """Bring the database's schema up or down; back it up and put it back, verified.

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


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Copy the database to FILE while the service works, and verify the copy.

    Beside it stands a manifest: digest, schema, and how far each audit trail had come.
    """
    from datetime import UTC, datetime

    from stewardship.backup import back_up

    made = back_up(_settings(), file, now=datetime.now(UTC))
    click.echo(f"{file}: schema {made.schema}, verified, sha256 {made.sha256[:16]}")
    for organisation, entries in made.entries.items():
        click.echo(f"  {organisation}: {entries} audit entries, all as written")


@db.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(file: Path) -> None:
    """Put the copy FILE back into a database without any table, verify it, and say what it lacks.

    Exit code 1: it was put back, and is behind what the checkpoints remember.
    """
    from stewardship.backup import restore as put_back

    restored = put_back(_settings(), file)
    click.echo(f"put back: schema {restored.copy.schema}, of {restored.copy.made_at}, verified")
    for organisation, missing in restored.behind.items():
        click.secho(f"  {organisation}: {missing} witnessed audit entries came after it", fg="yellow")
    if restored.behind:
        raise SystemExit(1)


def _settings() -> Settings:
    import os

    from stewardship.config import Settings

    return Settings.from_env(os.environ)


def _engine() -> Engine:
    from stewardship.db.engine import make_engine

    return make_engine(_settings().database_url)
