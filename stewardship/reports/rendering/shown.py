"""How people read values, on paper and on a terminal alike."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from stewardship.reports.reporting import Column, Kind, Value, Withheld

#: More rows than anybody reads on paper; the rest is in the other formats, and that is said.
MOST_ROWS = 2_000
#: What stands to the right of its column.
RIGHT = frozenset({Kind.COUNT, Kind.NUMBER, Kind.SHARE})


def shown(value: Value, column: Column) -> str:
    """A value as a person reads it; nothing to tell is a dash, not a zero."""
    if value is None:
        return "\u2013"
    if isinstance(value, Withheld):
        return "withheld"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}" + (" %" if column.kind is Kind.SHARE else "")
    return f"{value:,}" if isinstance(value, int) and column.kind is Kind.COUNT else str(value)
