"""A copy of the database that can be trusted: made while the service works, verified before it is called one,
and put back only where nothing is, with the gap since it was made said by size.

SQLite is copied by its own backup interface, PostgreSQL by ``pg_dump`` and ``pg_restore``. Beside the copy
stands a manifest: its digest, its schema, and how far each organisation's audit trail had come.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import URL, Engine, inspect, select
from sqlalchemy.engine import make_url

from stewardship.config import Settings
from stewardship.db import Sessions, connect, migrate, tables, transaction
from stewardship.domain.errors import Conflict, Unavailable
from stewardship.services import verification
from stewardship.services.notes import Signed, found_in
from stewardship.services.verification import Verified
from stewardship.witness import audit_keys_of, witness_of

#: Where the manifest of a copy stands.
MANIFEST = ".manifest.json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Copy:
    """A verified copy: its digest, its schema, and the entries of each organisation's trail."""

    sha256: str
    schema: str
    kind: str
    made_at: str
    entries: Mapping[str, int]


@dataclass(frozen=True)
class Restored:
    """What was put back. ``behind`` says for each organisation how many witnessed entries the copy lacks."""

    copy: Copy
    behind: Mapping[str, int]


def back_up(settings: Settings, to: Path, *, now: datetime) -> Copy:
    """Copy the database to a file that is not there yet, and verify the copy. Raises ``Conflict`` for a file
    that is there, ``Unavailable`` when the copy is not whole; then nothing is left behind."""
    if to.exists() or _manifest(to).exists():
        raise Conflict("the file is there already; a copy never replaces another")
    sessions = connect(settings.database_url)
    engine = _engine(sessions)
    migrate.require_current(engine)
    try:
        kind = _copy(engine, to)
        with _opened(settings, to, kind) as copied:
            entries = _verified(settings, copied)
    except BaseException:
        to.unlink(missing_ok=True)
        raise
    finally:
        engine.dispose()
    made = Copy(_digest(to), migrate.newest(), kind, now.isoformat(), entries)
    _manifest(to).write_text(json.dumps(vars(made), indent=2) + "\n", encoding="utf-8")
    return made


def restore(settings: Settings, source: Path) -> Restored:
    """Put a copy back into a database without any table, verify it, and say what it lacks."""
    made = _read(source)
    if _digest(source) != made.sha256:
        raise Unavailable("the copy is not what its manifest says: it was altered, or cut off")
    sessions = connect(settings.database_url)
    engine = _engine(sessions)
    try:
        if inspect(engine).get_table_names():
            raise Conflict("the database has tables; a copy is put back only where nothing is")
        _put_back(engine, source, made.kind)
        migrate.require_current(engine)
        reached = _verified(settings, connect(settings.database_url, audit_keys=audit_keys_of(settings)))
    finally:
        engine.dispose()
    if reached != made.entries:
        raise Unavailable("what was put back is not what was copied; do not use it")
    return Restored(made, _behind(settings, reached))


# --- the two databases ------------------------------------------------------------------------------------


def _copy(engine: Engine, to: Path) -> str:
    if engine.dialect.name == "sqlite":
        file = engine.url.database or ""
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(to)) as target:
            source.backup(target)
            if target.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise Unavailable("the copy of the database is not whole")
        os.chmod(to, 0o600)  # noqa: PTH101
        return "sqlite"
    to.touch(mode=0o600)
    _run(engine.url, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={to}")
    return "postgresql"


def _put_back(engine: Engine, source: Path, kind: str) -> None:
    if kind != engine.dialect.name:
        raise Conflict(f"the copy is of a {kind} database, this one is {engine.dialect.name}")
    if kind == "sqlite":
        engine.dispose()
        with (
            closing(sqlite3.connect(source)) as copied,
            closing(sqlite3.connect(engine.url.database or "")) as db,
        ):
            copied.backup(db)
        return
    words = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
    _run(engine.url, "pg_restore", *words, f"--dbname={engine.url.database}", str(source))


def _run(address: URL, program: str, *words: str) -> None:
    """Run one of PostgreSQL's programs; the password goes by the environment, where others cannot read it."""
    found = shutil.which(program)
    if found is None:
        raise Unavailable(f"{program} is not installed; it is part of PostgreSQL's client programs")
    given = {
        "PGHOST": str(address.host or address.query.get("host") or ""),
        "PGPORT": str(address.port or ""),
        "PGUSER": address.username or "",
        "PGPASSWORD": str(address.password or ""),
        "PGDATABASE": address.database or "",
    }
    environ = {**os.environ, **{name: value for name, value in given.items() if value}}
    done = subprocess.run([found, *words], env=environ, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise Unavailable(f"{program} could not finish (exit code {done.returncode})")


@contextmanager
def _opened(settings: Settings, copy: Path, kind: str) -> Iterator[Sessions]:
    """The copy as a database of its own. PostgreSQL's is put back into a database that is made for it."""
    keys = audit_keys_of(settings)
    if kind == "sqlite":
        # Opening a database may write beside it: not beside the copy.
        with TemporaryDirectory(prefix="verify") as folder:
            other = Path(folder) / "copy.db"
            shutil.copyfile(copy, other)
            sessions = connect(f"sqlite:///{other}", audit_keys=keys)
            yield sessions
            _engine(sessions).dispose()
        return
    address = make_url(settings.database_url)
    name = f"verify_{sha256(os.urandom(16)).hexdigest()[:12]}"
    admin = _engine(connect(address)).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    sessions = connect(address.set(database=name), audit_keys=keys)
    try:
        _put_back(_engine(sessions), copy, kind)
        yield sessions
    finally:
        _engine(sessions).dispose()
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}")
        admin.dispose()


# --- whether it is whole ----------------------------------------------------------------------------------


def _verified(settings: Settings, sessions: Sessions) -> dict[str, int]:
    """The entries of each trail; ``Unavailable`` when one is not whole. Checkpoints that lie beyond are the
    gap, and no fault of a copy."""
    signed = _checkpoints(settings)
    found: dict[str, int] = {}
    with transaction(sessions, write=False) as session:
        organisations = session.connection().execute(select(tables.Organisation.id)).scalars().all()
        for organisation in organisations:
            here: Verified = verification.verify(session, organisation_id=organisation, checkpoints=signed)
            if here.fault is not None and here.fault.kind not in {"rollback", "tail"}:
                raise Unavailable(f"the trail of {organisation} is not whole: {here.fault.what}")
            found[organisation] = here.entries
    return found


def _behind(settings: Settings, reached: Mapping[str, int]) -> dict[str, int]:
    largest: dict[str, int] = {}
    for signed in _checkpoints(settings):
        name = signed.checkpoint.organisation_id
        largest[name] = max(largest.get(name, 0), signed.checkpoint.size)
    return {
        name: size - reached.get(name, 0) for name, size in largest.items() if size > reached.get(name, 0)
    }


def _checkpoints(settings: Settings) -> list[Signed]:
    witness = witness_of(settings)
    if witness is None or not witness.file.exists():
        return []
    text = witness.file.read_text(encoding="utf-8")
    return found_in(text, witness.keys) if text.strip() else []


def _engine(sessions: Sessions) -> Engine:
    engine = sessions.kw["bind"]
    assert isinstance(engine, Engine)  # noqa: S101 - ``connect`` binds one
    return engine


def _manifest(copy: Path) -> Path:
    return copy.with_name(copy.name + MANIFEST)


def _read(source: Path) -> Copy:
    try:
        return Copy(**json.loads(_manifest(source).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise Unavailable("the copy's manifest cannot be read; it stands beside the copy") from None


def _digest(file: Path) -> str:
    made = sha256()
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            made.update(chunk)
    return made.hexdigest()
