"""Which schema a database has, and taking it up or down: Alembic, called by its Python interface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from stewardship import bundled
from stewardship.domain.errors import Unavailable


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema up to a revision; does nothing when it is there already."""
    with _migrating(engine) as (connection, config):
        _refuse_unknown(connection, config)
        command.upgrade(config, revision)


def downgrade(engine: Engine, revision: str, *, discard: bool = False) -> None:
    """Bring the schema down to a revision (``base`` removes all tables).

    A step that would lose rows is refused unless ``discard`` says that they may be lost.
    """
    with _migrating(engine) as (connection, config):
        _refuse_unknown(connection, config)
        config.attributes["discard"] = discard
        command.downgrade(config, revision)


def differences(engine: Engine) -> None:
    """Raise when the models and the migrated schema differ (``alembic check``)."""
    with _migrating(engine) as (_, config):
        command.check(config)


def current(engine: Engine) -> str | None:
    """The revision that the database has; ``None`` before the first migration."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The newest revision that this version of the service knows."""
    head = _scripts(_config()).get_current_head()
    assert head is not None  # noqa: S101 - there has been a first migration since the first release
    return head


def require_current(engine: Engine) -> None:
    """Raise ``Unavailable`` unless the database has exactly the schema that this version was made for.

    Called before serving: a service that runs on a newer schema would misread it.
    """
    with engine.connect() as connection:
        _refuse_unknown(connection, _config())
        found = MigrationContext.configure(connection).get_current_revision()
    if found != newest():
        raise Unavailable(
            f"the database has schema {found or 'none'} and this version needs {newest()}: "
            "run `stewardship db upgrade`",
            code="schema-outdated",
        )


def _refuse_unknown(connection: Connection, config: Config) -> None:
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in _scripts(config).walk_revisions()}
    if found is not None and found not in known:
        raise Unavailable(
            f"the database has schema {found}, which this version does not know (it knows up to "
            f"{newest()}): install the version that made it",
            code="schema-newer",
        )


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(bundled("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def _scripts(config: Config) -> ScriptDirectory:
    return ScriptDirectory.from_config(config)


@contextmanager
def _migrating(engine: Engine) -> Iterator[tuple[Connection, Config]]:
    with engine.connect() as connection:
        _check_foreign_keys(connection, "OFF")
        try:
            yield connection, _config(connection)
            connection.commit()
        finally:
            connection.rollback()
            _check_foreign_keys(connection, "ON")


def _check_foreign_keys(connection: Connection, state: str) -> None:
    # SQLite changes a table by copying it, and would follow its references while it is away. The setting
    # is ignored inside a transaction, so it is made on the driver's own connection.
    if connection.dialect.name == "sqlite":
        dbapi: Any = connection.connection.dbapi_connection
        dbapi.execute(f"PRAGMA foreign_keys={state}").close()
