"""Statements of the one path that has to be quick: an order checked, stored and audited.

SQLAlchemy writes the SQL and says how each value is bound and read, once for each kind of database; after
that a statement goes straight to the driver, which costs a tenth of the usual way. Everything else in the
service goes the usual way.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, Executable, Table, insert
from sqlalchemy.orm import Session

from stewardship.db.engine import cursor_of, engine_of

Processor = Callable[[Any], Any] | None

#: Rows that one statement inserts; SQLite takes some ten thousand values in one.
_ROWS = 200
#: So few rows are inserted one by one on any database.
_FEW = 5


@dataclass(slots=True)
class _Compiled:
    sql: str
    #: Names of the values in the order in which they are numbered.
    names: tuple[str, ...]
    #: Whether the database takes many rows by COPY; else it takes them in one INSERT.
    copies: bool
    given: Mapping[str, Any]
    #: The values that are not sent as they are.
    processed: tuple[tuple[str, Callable[[Any], Any]], ...]
    types: tuple[Any, ...]
    make: Callable[[Iterable[Any]], Any]
    #: How each column is read; the driver says what it sends when it is first asked.
    reading: tuple[Processor, ...] | None = None

    def values(self, row: Mapping[str, Any]) -> list[Any]:
        """A row's values as the driver takes them."""
        bound = {**self.given, **row}
        for name, process in self.processed:
            bound[name] = process(bound[name])
        return [bound[name] for name in self.names]

    def table(self, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[tuple[Any, ...]]:
        """The values of many rows, in the order of the names, as the driver takes them.

        Column by column: what all rows have in common, such as the moment of storing, is made ready once.
        """
        processes = dict(self.processed)
        columns: list[list[Any]] = []
        for name in names:
            otherwise = self.given.get(name)
            column = [row.get(name, otherwise) for row in rows]
            process = processes.get(name)
            if process is not None:
                first = column[0]
                if all(value is first for value in column):
                    column = [process(first)] * len(column)
                else:
                    column = [process(value) for value in column]
            columns.append(column)
        return list(zip(*columns, strict=True))


class Prepared:
    """A query or an insert, compiled once for each kind of database."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}
        self._columns: tuple[str, ...] = ()
        self._copy = ""

    @classmethod
    def insert(cls, table: Table) -> Prepared:
        """The insert of whole rows: every column is given."""
        made = cls(insert(table).inline().values({column.name: None for column in table.columns}))
        made._columns = tuple(column.name for column in table.columns)
        made._copy = f"COPY {table.name} ({', '.join(made._columns)}) FROM STDIN"
        return made

    def rows(self, session: Session, given: Mapping[str, Any]) -> list[Any]:
        """All rows of a query, their columns by name."""
        compiled, cursor = self._ready(session)
        try:
            cursor.execute(compiled.sql, compiled.values(given))
            found = cursor.fetchall()
            if compiled.reading is None:
                compiled.reading = _readers(compiled.types, cursor.description, engine_of(session).dialect)
        finally:
            cursor.close()
        reading, make = compiled.reading, compiled.make
        return [
            make(value if read is None else read(value) for read, value in zip(reading, row, strict=True))
            for row in found
        ]

    def first(self, session: Session, given: Mapping[str, Any]) -> Any | None:
        """The first row of a query, if it has any."""
        found = self.rows(session, given)
        return found[0] if found else None

    def run(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows."""
        if not rows:
            return
        compiled, cursor = self._ready(session)
        try:
            if len(rows) == 1:
                cursor.execute(compiled.sql, compiled.values(rows[0]))
            elif compiled.copies:
                cursor.executemany(compiled.sql, [compiled.values(row) for row in rows])
            else:
                # One statement: what the table's checks need is set up once, not again for every row.
                _, _, places = compiled.sql.rpartition("VALUES ")
                values = compiled.table(rows, compiled.names)
                for some in (values[n : n + _ROWS] for n in range(0, len(values), _ROWS)):
                    sql = compiled.sql + f", {places}" * (len(some) - 1)
                    cursor.execute(sql, [value for row in some for value in row])
        finally:
            cursor.close()

    def load(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows, by the quickest way that the database has: COPY, where it has it."""
        compiled, cursor = self._ready(session)
        if not compiled.copies or len(rows) <= _FEW:
            cursor.close()
            self.run(session, rows)
            return
        try:
            with cursor.copy(self._copy) as copy:
                for values in compiled.table(rows, self._columns):
                    copy.write_row(values)
        finally:
            cursor.close()

    def _ready(self, session: Session) -> tuple[_Compiled, Any]:
        dialect = engine_of(session).dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _compile(self._statement, dialect)
        return compiled, cursor_of(session)


def _compile(statement: Any, dialect: Dialect) -> _Compiled:
    copies = dialect.name == "postgresql"
    # With values by number, as the server takes them: the driver would look for names in it again each time.
    kind: Any = type(dialect)
    writer = kind(paramstyle="numeric_dollar") if copies else dialect
    compiled = statement.compile(dialect=writer)
    columns = list(getattr(statement, "selected_columns", ()))
    # A value that stands in several places has one name there, and is bound once.
    binders = {name: _binder(bind.type, dialect) for bind, name in compiled.bind_names.items()}
    names = [str(column.name) for column in columns]
    return _Compiled(
        sql=str(compiled),
        names=tuple(compiled.positiontup or ()),
        copies=copies,
        given=dict(compiled.params),
        processed=tuple((name, process) for name, process in binders.items() if process is not None),
        types=tuple(column.type for column in columns),
        make=_maker(names),
    )


def _maker(names: list[str]) -> Callable[[Iterable[Any]], Any]:
    named: Any = collections.namedtuple  # the names are the query's, and unknown to a type checker
    maker: Callable[[Iterable[Any]], Any] = named("Row", names)._make
    return maker


def _binder(kind: Any, dialect: Dialect) -> Processor:
    process: Processor = kind.dialect_impl(dialect).bind_processor(dialect)
    return process


def _readers(kinds: Iterable[Any], sent: Iterable[Any], dialect: Dialect) -> tuple[Processor, ...]:
    pairs = zip(kinds, sent, strict=True)
    return tuple(kind.dialect_impl(dialect).result_processor(dialect, code[1]) for kind, code in pairs)
