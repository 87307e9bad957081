"""Column types that mean the same on SQLite and PostgreSQL, and refuse what one of them would bend.

SQLite drops the offset of a time, has no decimals, stores NaN as nothing and any length of text, and
keeps a NUL that PostgreSQL refuses. A value that would come back different is refused before it is sent.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import DateTime, Dialect, Numeric, String, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

#: Room for any identifier: FHIR ids have at most 64 characters, prefixed and URN forms some more.
ID_LENGTH = 200

#: More digits than any dose, strength or quantity has; keeps ``1e999999`` out of the database.
_MOST_DIGITS = 40


class Instant(TypeDecorator[datetime]):
    """A moment in UTC, to the microsecond. Naive times are refused; what comes back is aware.

    SQLite keeps it as text of fixed width, so that its order is the order of time.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite, ``timestamptz`` elsewhere."""
        kind: TypeEngine[Any] = String(32) if dialect.name == "sqlite" else DateTime(timezone=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """The same instant in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without an offset is not an instant: say which zone it is in")
        moment = value.astimezone(UTC)
        return moment.isoformat(timespec="microseconds") if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """An aware time in UTC."""
        if value is None:
            return None
        moment: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal that comes back digit for digit (``1.50`` stays ``1.50``). NaN and infinity are refused."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite, which would make it binary; ``numeric`` without limits elsewhere."""
        kind: TypeEngine[Any] = String(_MOST_DIGITS + 2) if dialect.name == "sqlite" else Numeric()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """The digits, written out without an exponent."""
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise TypeError(f"an exact number is a Decimal, not {type(value).__name__}")
        if not value.is_finite():
            raise ValueError("a number that is not finite cannot be stored")
        text = format(abs(value) if value == 0 else value, "f")
        if len(text) > _MOST_DIGITS:
            raise ValueError(f"a number of more than {_MOST_DIGITS} digits cannot be stored")
        return text if dialect.name == "sqlite" else Decimal(text)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """The same decimal."""
        return None if value is None else Decimal(value)


class Words(TypeDecorator[str]):
    """Text of at most ``length`` characters that both databases can hold: no NUL."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text; one with a NUL character is refused."""
        if value is not None and "\x00" in value:
            raise ValueError("text with a NUL character cannot be stored")
        return value


#: Canonical JSON as ``documents`` writes it: text, for what is hashed must come back byte for byte.
Document = Text
