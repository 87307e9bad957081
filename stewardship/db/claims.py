"""Claims: something that one process at a time does, and that ends with the process, however it ends.

On PostgreSQL a claim is an advisory lock of a connection of its own, on SQLite a lock on a file beside the
database. Both go with the process that holds them, so a claim that is held is being worked on now, and one
that is not held is not: nobody has to guess from a clock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from stewardship.domain.errors import Unavailable

#: Claims on a database in memory, which only this process has.
_OWN: set[tuple[int, str]] = set()
_OWN_LOCK = threading.Lock()

_TAKE = text("SELECT pg_try_advisory_lock(:lock)")
_GIVE_BACK = text("SELECT pg_advisory_unlock(:lock)")
_IS_MINE = text(
    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND pid = pg_backend_pid() AND ((classid::bigint << 32) | objid::bigint) = :lock)"
)

#: Whether a claim that was taken is still held; ``None`` where it was not to be had.
Held = Callable[[], bool] | None

#: How often, and how long apart in seconds, to try: somebody may just be looking whether it is held.
_TRIES, _APART = 5, 0.02


@contextmanager
def claim(engine: Engine, name: str) -> Iterator[bool]:
    """Hold the claim of that name for the block, if nobody else does; whether it is held."""
    with hold(engine, name) as held:
        yield held is not None


@contextmanager
def hold(engine: Engine, name: str) -> Iterator[Held]:
    """As ``claim``, for what is held for long: a question to ask again and again, whether it still is.

    A server that was restarted, or a file that was taken away, ends a claim while its holder lives.
    """
    for left in reversed(range(_TRIES)):
        with _claim(engine, name) as held:
            if held or not left:
                yield held
                return
        time.sleep(_APART)


@contextmanager
def _claim(engine: Engine, name: str) -> Iterator[Held]:
    if engine.dialect.name == "postgresql":
        holding = _on_server(engine, name)
    elif file := _database_file(engine):
        holding = _on_file(Path(f"{file}-claim-{_short(name)}"))
    else:
        holding = _in_memory(engine, name)
    with holding as held:
        yield held


def is_held(engine: Engine, name: str) -> bool:
    """Whether somebody holds the claim now."""
    file = None if engine.dialect.name == "postgresql" else _database_file(engine)
    if file and not Path(f"{file}-claim-{_short(name)}").exists():
        return False
    with _claim(engine, name) as free:
        return free is None


@contextmanager
def _on_server(engine: Engine, name: str) -> Iterator[Held]:
    lock = {"lock": int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        held = bool(connection.execute(_TAKE, lock).scalar_one())

        def still() -> bool:
            try:
                return bool(connection.execute(_IS_MINE, lock).scalar_one())
            except SQLAlchemyError:
                return False

        try:
            yield still if held else None
        finally:
            if held and not connection.invalidated:
                # One that is gone with its connection has been given back already.
                with suppress(DBAPIError):
                    connection.execute(_GIVE_BACK, lock)


@contextmanager
def _on_file(path: Path) -> Iterator[Held]:
    opened = _locked(path)

    def still() -> bool:
        try:
            return opened is not None and os.fstat(opened).st_ino == path.stat().st_ino
        except OSError:
            return False

    try:
        yield None if opened is None else still
    finally:
        if opened is not None:
            # Removed while it is still locked: whoever opened it meanwhile sees that it is no longer there.
            path.unlink(missing_ok=True)
            os.close(opened)


def _locked(path: Path) -> int | None:
    while True:
        try:
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        except OSError as cause:
            words = "the folder of the database cannot be written to; nothing was changed"
            raise Unavailable(words, code="database") from cause
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(opened)
            return None
        try:
            if os.fstat(opened).st_ino == path.stat().st_ino:
                return opened
        except FileNotFoundError:
            pass
        os.close(opened)


@contextmanager
def _in_memory(engine: Engine, name: str) -> Iterator[Held]:
    key = (id(engine), name)
    with _OWN_LOCK:
        held = key not in _OWN
        _OWN.add(key)
    try:
        yield (lambda: True) if held else None
    finally:
        if held:
            with _OWN_LOCK:
                _OWN.discard(key)


def _database_file(engine: Engine) -> str | None:
    file = engine.url.database
    return None if not file or file == ":memory:" or file.startswith("file:") else file


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:24]
