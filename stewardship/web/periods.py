"""Days that somebody typed into a form that asks for a period."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from stewardship.domain.errors import Fault, InvalidInput

#: Days before and after have to exist, in every zone.
_YEARS = range(1900, 9000)


def typed_day(said: Mapping[str, str], name: str) -> date | None:
    """The day of a field, ``None`` when it is empty; ``InvalidInput`` at the field for what is no day."""
    if name not in said:
        return None
    try:
        on = date.fromisoformat(said[name])
    except ValueError:
        on = date.max
    if on.year not in _YEARS:
        fault = Fault(f"/{name}", "not-a-day", "Give a day, such as 2026-11-30.")
        raise InvalidInput("the day cannot be read", faults=(fault,))
    return on
