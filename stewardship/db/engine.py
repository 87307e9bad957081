"""The two databases, made to behave alike, and the transaction that every caller opens."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, InvalidatePoolError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from stewardship.db.turns import Turns
from stewardship.domain.errors import Unavailable

#: How long a writer waits for its turn on SQLite, in seconds, before it says that it cannot.
BUSY_SECONDS = 10

_BEGUN, _LAST_USED = "stewardship_begun", "stewardship_last_used"
_ADDRESSES = "the database address (STEWARDSHIP_DATABASE_URL) begins with sqlite:/// or postgresql://"


@dataclass(frozen=True)
class AuditKeys:
    """The secret keys of the audit chain, by name, and which of them signs now. They live outside the
    database, so that whoever can write its rows cannot write believable ones."""

    current: str
    keys: Mapping[str, bytes]

    @classmethod
    def single(cls, key: bytes, name: str = "k1") -> AuditKeys:
        """One key, the usual case; older ones are kept beside it after a change of keys."""
        return cls(current=name, keys={name: key})


Sessions = sessionmaker[Session]


class Bears(Protocol):
    """What bears witness outside the database to how far the audit trail has come."""

    def ready(self) -> None:
        """Raise ``Unavailable`` when it could not."""
        ...

    def bear(self, sessions: Sessions, organisations: Iterable[str]) -> None:
        """Do so now, for what is committed."""
        ...


#: As on SQLite: a server that does not answer, or a lock that does not come free, is said and not waited for.
_POSTGRESQL = {
    "options": f"-c timezone=UTC -c lock_timeout={BUSY_SECONDS}s",
    "connect_timeout": 5,
}


def connect(
    url: str | URL,
    *,
    audit_keys: AuditKeys | None = None,
    witness: Bears | None = None,
    **options: Any,
) -> Sessions:
    """Sessions on the database of that address; ``options`` go to SQLAlchemy's engine.

    Without audit keys it can be read and migrated, and every change that has to be audited is refused.
    Without a witness a tail of the audit trail can vanish unseen.
    """
    engine = make_engine(url, **options)
    info = {"audit_keys": audit_keys, "witness": witness}
    return sessionmaker(engine, expire_on_commit=False, info=info)


def make_engine(url: str | URL, **options: Any) -> Engine:
    """An engine on SQLite (WAL, full synchronisation, foreign keys on) or PostgreSQL (psycopg 3, UTC).

    ``Unavailable`` for an address that is neither's; the address is not repeated, for it may hold a password.
    """
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise Unavailable(_ADDRESSES, code="database-address") from None
    # A message about a failed statement names no values: they are patients'.
    options.setdefault("hide_parameters", True)
    if address.drivername in {"sqlite", "sqlite+pysqlite"}:
        engine = create_engine(address, connect_args={"timeout": BUSY_SECONDS}, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if address.get_backend_name() != "postgresql":
        raise Unavailable(_ADDRESSES, code="database-address")
    address = address.set(drivername="postgresql+psycopg")
    options.setdefault("pool_use_lifo", True)
    engine = create_engine(address, connect_args=_POSTGRESQL, **options)
    _ask_whether_they_live(engine)
    return engine


#: A connection of the pool that was used so few seconds ago is taken to answer still: no server is stopped
#: and started again in less.
_ALIVE = 0.05


def _ask_whether_they_live(engine: Engine) -> None:
    """Before a connection is used that lay idle, ask whether its server is still there; a busy service would
    else ask twice for every order."""

    @event.listens_for(engine, "checkin")
    def note(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_LAST_USED] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: DBAPIConnection, record: ConnectionPoolEntry, _fairy: object) -> None:
        used = record.info.get(_LAST_USED)
        if used is None or time.monotonic() - used < _ALIVE:
            return
        driver: Any = engine.dialect.loaded_dbapi
        try:
            engine.dialect.do_ping(connection)
        except driver.Error as cause:
            # It, and all that were opened before now.
            raise InvalidatePoolError from cause


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transactions begin too late and as readers, which then fail to become writers.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        # Rarer than the default 1000: a commit that also tidies up takes many times as long as another.
        "wal_autocheckpoint=4000",
        "foreign_keys=ON",
        # INSERT OR REPLACE deletes rows; only so does that fire the triggers of insert-only tables.
        "recursive_triggers=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # Of a transaction of ``transaction`` the beginning is already made.
    if not connection.get_execution_options().get(_BEGUN, False):
        _begin(connection.connection, writes=True)


def _begin(pooled: PoolProxiedConnection, *, writes: bool) -> None:
    # A writer takes its turn at once: a reader that turns into a writer fails when another was quicker.
    dbapi: Any = pooled.dbapi_connection
    dbapi.execute("BEGIN IMMEDIATE" if writes else "BEGIN").close()


def _take_turn(engine: Engine, until: ExitStack) -> None:
    """Queue with the other writers: of an SQLite file beside it; PostgreSQL sees to it itself."""
    if engine.dialect.name != "sqlite":
        return
    turns = _TURNS.get(engine)
    if turns is None:
        file = engine.url.database
        if not file or file == ":memory:" or file.startswith("file:"):
            return
        turns = _TURNS.setdefault(engine, Turns(file))
    until.enter_context(turns.turn(BUSY_SECONDS))


_TURNS: WeakKeyDictionary[Engine, Turns] = WeakKeyDictionary()


def _is_operational(engine: Engine, cause: Exception) -> bool:
    """Whether it is the driver's own word for a database that is away, full or busy."""
    driver: Any = engine.dialect.loaded_dbapi
    return isinstance(cause, driver.OperationalError)


class _Unit(Session):
    """A session in a transaction that its caller has begun on the driver's own connection, and ends.

    The order check, the one path that has to be quick, sends its statements straight to the driver
    (``Prepared``). SQLAlchemy's connection, and the session's own accounts of objects and transactions, which
    cost it more than the statements, are therefore only made when something asks for them.
    """

    def __init__(self, engine: Engine, pooled: PoolProxiedConnection, info: Mapping[Any, Any]) -> None:
        self.info = dict(info)
        self.engine, self.pooled = engine, pooled
        self.joined: Connection | None = None

    def __getattr__(self, name: str) -> Any:
        # Asked for what the constructor of a session makes, which ours has not called yet.
        if self._kept_accounts or name.startswith("__"):
            raise AttributeError(name)
        Session.__init__(self, self.connection(), expire_on_commit=False)
        return getattr(self, name)

    @property
    def _kept_accounts(self) -> bool:
        return "identity_map" in self.__dict__

    def connection(self, *_args: Any, **_kwargs: Any) -> Connection:
        """The one connection that it has, in the transaction that was begun."""
        if self.joined is None:
            self._by_itself(False)
            self.joined = Connection(self.engine, connection=self.pooled)
            self.joined.execution_options(**{_BEGUN: True})
            self.joined.begin()
        return self.joined

    def only_look(self) -> None:
        """Have PostgreSQL take each statement by itself, as long as nobody asks for the connection: in a
        transaction of its default isolation, too, each sees what is committed when it begins."""
        self._by_itself(True)

    def _by_itself(self, each: bool) -> None:
        dbapi: Any = self.pooled.dbapi_connection
        if self.engine.dialect.name == "postgresql" and dbapi.autocommit is not each:
            dbapi.autocommit = each

    def conclude(self) -> None:
        """Commit."""
        if self._kept_accounts and self.in_transaction():
            self.commit()
        if self.joined is None:
            self.pooled.commit()
        else:
            self.joined.commit()

    def let_go(self) -> None:
        """Give the connection back; what was not committed is rolled back."""
        if self._kept_accounts:
            self.close()
        if self.joined is not None:
            self.joined.close()
            return
        driver: Any = self.engine.dialect.loaded_dbapi
        try:
            self._by_itself(False)
        except driver.Error:
            # Whatever became of it, nobody else gets it.
            self.pooled.invalidate()
        else:
            self.pooled.close()


def engine_of(session: Session) -> Engine:
    """Which database the session is on."""
    if isinstance(session, _Unit):
        return session.engine
    return session.connection().engine


def cursor_of(session: Session) -> Any:
    """A cursor of the driver, in the session's transaction, whose values are numbered."""
    pooled, dialect = _pooled(session), engine_of(session).dialect
    if dialect.name != "postgresql":
        return pooled.cursor()
    psycopg: Any = dialect.loaded_dbapi
    return psycopg.RawCursor(pooled.dbapi_connection)


def _pooled(session: Session) -> PoolProxiedConnection:
    return session.pooled if isinstance(session, _Unit) else session.connection().connection


def sent_together(session: Session) -> AbstractContextManager[object]:
    """Have what ``Prepared`` statements insert here sent on without waiting for each one's answer, as far as
    the database can: a query waits, and so does the end of the block, which raises what went wrong. Nothing
    else is asked of the session meanwhile."""
    if engine_of(session).dialect.name != "postgresql":
        return nullcontext()
    dbapi: Any = _pooled(session).dbapi_connection
    pipeline: AbstractContextManager[object] = dbapi.pipeline()
    return pipeline


def _parts(sessions: Sessions | Engine) -> tuple[Engine, Mapping[Any, Any]]:
    """The engine, and what each session is told."""
    if isinstance(sessions, sessionmaker):
        return sessions.kw["bind"], sessions.kw.get("info") or {}
    return sessions, {}


@contextmanager
def transaction(sessions: Sessions | Engine, *, write: bool = True, late: bool = False) -> Iterator[Session]:
    """One transaction: committed when the block ends, rolled back when it raises.

    ``write=False`` is for callers that only look: on SQLite it waits for nobody. ``late`` is for callers
    that look first, and whose writing stands whatever others wrote in between: the turn is taken
    when the service says ``begin_writing``, so that others need not wait for the looking. A database that
    is away, full or busy for too long raises ``Unavailable``, and nothing was changed.
    """
    engine, info = _parts(sessions)
    sqlite = engine.dialect.name == "sqlite"
    late = late and write and sqlite
    try:
        with ExitStack() as turn:
            if write and not late:
                _take_turn(engine, turn)
            session = _Unit(engine, engine.raw_connection(), info)
            try:
                if sqlite:
                    _begin(session.pooled, writes=write and not late)
                elif not write:
                    session.only_look()
                session.info["writes"] = write
                if late:
                    session.info["late"] = turn
                yield session
                session.conclude()
            finally:
                session.let_go()
    except Exception as cause:
        if isinstance(cause, OperationalError) or _is_operational(engine, cause):
            words = "the database cannot be used now; nothing was changed"
            raise Unavailable(words, code="database") from cause
        raise
    # After the turn was given back: what is signed is what everybody can read.
    due = session.info.pop("to_witness", None)
    if due and session.info.get("witness") is not None and isinstance(sessions, sessionmaker):
        session.info["witness"].bear(sessions, sorted(due))


def begin_writing(session: Session) -> None:
    """Take the turn of a ``late`` transaction: what was read is let go of, what follows is one unit.

    Nothing to do in any other transaction, for there the turn was taken at its beginning.
    """
    turn = session.info.pop("late", None)
    if turn is None:
        return
    connection = session.connection()
    dbapi: Any = connection.connection.dbapi_connection
    _take_turn(connection.engine, turn)
    dbapi.execute("ROLLBACK").close()
    dbapi.execute("BEGIN IMMEDIATE").close()


def new_id(now: datetime) -> str:
    """A random identifier whose order is roughly that of time, which keeps indexes compact.

    48 bits of milliseconds and 80 random bits: it says when, never whom.
    """
    return f"{int(now.timestamp() * 1000):012x}{secrets.token_hex(10)}"
