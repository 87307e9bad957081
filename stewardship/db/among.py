"""A column's value is one of many: one statement and one bound value, however many there are.

``IN (?, ?, …)`` is another statement for each number of values, and is put together anew each time: for
a portion of an import that takes longer than the question itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Dialect, Text, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.types import TypeDecorator, TypeEngine


class _Several(TypeDecorator[Iterable[str]]):
    """Texts: an array on PostgreSQL, a JSON array on SQLite. NUL is refused, as in any other text."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """What the driver is handed."""
        kind: TypeEngine[Any] = ARRAY(Text) if dialect.name == "postgresql" else Text()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> Any:
        """The texts as the driver takes them."""
        texts = list(value or ())
        if any("\x00" in text for text in texts):
            raise ValueError("text with a NUL character cannot be stored, and is not asked for")
        return texts if dialect.name == "postgresql" else json.dumps(texts, ensure_ascii=False)


class Among(ColumnElement[bool]):
    """``column`` is one of the texts that are bound as ``name`` when the statement runs."""

    inherit_cache = False

    def __init__(self, column: Any, name: str) -> None:
        self.column = column
        self.values = bindparam(name, type_=_Several())


@compiles(Among, "postgresql")
def _on_postgresql(element: Among, compiler: Any, **more: Any) -> str:
    column, values = (compiler.process(part, **more) for part in (element.column, element.values))
    return f"{column} = ANY ({values})"


@compiles(Among, "sqlite")
def _on_sqlite(element: Among, compiler: Any, **more: Any) -> str:
    column, values = (compiler.process(part, **more) for part in (element.column, element.values))
    # Both parts are compiled SQL: a column's name and a placeholder.
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608
