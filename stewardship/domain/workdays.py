"""Working days: on which days somebody of an organisation can look at a patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from stewardship.domain.episodes import DAY

#: No calendar closes for longer; one that seems to is wrong, and the day itself is taken.
_LONGEST_CLOSURE = 31


def _none(_day: date) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Calendar:
    """Where an organisation is in time: its ``time_zone`` (a name of the IANA database) says which day it is
    there, country (ISO 3166) and region whose holidays it keeps. ``weekend`` are days from Monday, 1, to
    Sunday, 7."""

    time_zone: str
    country: str
    region: str = ""
    weekend: frozenset[int] = frozenset({6, 7})


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """``weekend`` are days of the week, Monday 0 to Sunday 6; ``is_holiday`` knows the others. Calendar
    days alone: no clock, no zone, nothing that daylight saving could move."""

    weekend: frozenset[int] = frozenset({5, 6})
    is_holiday: Callable[[date], bool] = field(default=_none)

    def works(self, day: date) -> bool:
        """Whether it is a working day."""
        return day.weekday() not in self.weekend and not self.is_holiday(day)

    def due(self, exact: date, *, after: date) -> date:
        """The working day for something due on a day at the latest: that day or the last one before it.
        Only when there is none after ``after``, the day from which it runs, the first one that follows."""
        day = exact
        while day > after and not self.works(day):
            day -= DAY
        if day > after:
            return day
        day = exact
        for _ in range(_LONGEST_CLOSURE):
            if self.works(day):
                return day
            day += DAY
        return exact
