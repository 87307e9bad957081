"""How long records are kept, and from when on one of them may go.

A term counts whole years back from a day. What is about somebody who was young is kept until he is of an age;
somebody whose birth date is not known cannot be told to be of it, and what is about him stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Source:
    """What a term rests on; ``verified`` when its text was read."""

    title: str
    publisher: str
    date: date
    url: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Term:
    """How long one kind of record is kept. ``until_age``: not removed while its patient is younger."""

    kind: str
    title: str
    what: str
    years: int
    sources: tuple[Source, ...]
    until_age: int | None = None

    def before(self, today: date) -> date:
        """Records from before this day are past their time."""
        return years_before(today, self.years)

    def over_on(self, day: date) -> date:
        """The first day on which a record of that day is past its time."""
        after = day + timedelta(days=1)
        try:
            return after.replace(year=after.year + self.years)
        except ValueError:
            # The 29th of February, in a year that has none.
            return date(after.year + self.years, 3, 1)

    def born_by(self, today: date) -> date | None:
        """Whoever was born on this day or before is old enough; ``None`` where age does not matter."""
        return None if self.until_age is None else years_before(today, self.until_age)


@dataclass(frozen=True, slots=True)
class Kept:
    """What no term removes, and why."""

    id: str
    title: str
    why: str


@dataclass(frozen=True, slots=True)
class Retention:
    """All terms by kind, and what stays (``reference/retention.toml``)."""

    terms: Mapping[str, Term]
    kept: tuple[Kept, ...]


def years_before(day: date, years: int) -> date:
    """The same day so many years before; the 29th of February is the 28th where there is none."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)
