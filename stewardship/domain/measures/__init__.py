"""Quality measures: who belongs in a population, whom it excludes, and whom each rate counts.

A measure is data (``reference/measures``); its kinds are here. Claims are dispensings, each once. A criterion
is met, not met, or cannot be told: a number that is a lower bound may meet a limit and can never be said to
miss it. Every answer names the claims, days and records on which it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction


class Kind(StrEnum):
    """What a measure looks at."""

    PERIOD = "period"  # all claims of the period
    FIRST_START = "first-start"  # the first claim of the period with none for some time before
    ANY_START = "any-start"  # every such claim of the period
    DISCHARGE = "discharge"  # what patients are given when they leave hospital


class Counting(StrEnum):
    """How days of supply that overlap are counted."""

    CALENDAR = "calendar"  # each day once
    SUMMED = "summed"  # the days' supply of every claim


class Over(StrEnum):
    """What an average dose is an average over."""

    COVERED = "covered-days"  # calendar days with an opioid in hand
    SUPPLIED = "days-supply"  # the days' supply of every claim
    EPISODE = "episode"  # from the first day to the last, with the gaps between


class AgeOn(StrEnum):
    """On which day somebody has to be old enough."""

    PERIOD_START = "period-start"
    PERIOD_END = "period-end"
    START = "start"  # the claim or the stay that is looked at


@dataclass(frozen=True, slots=True)
class Window:
    """The days of a measurement year whose claims are looked at: months and days, the first perhaps of the
    year before."""

    from_month: int = 1
    from_day: int = 1
    from_year_before: bool = False
    until_month: int = 12
    until_day: int = 31

    def of(self, year: int) -> tuple[date, date]:
        """First and last day, both included."""
        first = date(year - int(self.from_year_before), self.from_month, self.from_day)
        return first, date(year, self.until_month, self.until_day)


@dataclass(frozen=True, slots=True)
class Medicines:
    """Which claims count: opioids for pain that are in none of these dose forms and were not reported with
    one of these treatment types (ASAP DSP24). ``schedules`` narrow a measure of discharges; empty: any."""

    excluded_forms: frozenset[str] = frozenset()
    excluded_treatment_types: frozenset[str] = frozenset()
    opioid_schedules: frozenset[str] = frozenset()
    benzodiazepine_schedules: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Population:
    """Whom a measure looks at. ``min_dispensings`` are on different days; ``min_days`` counted as ``days``;
    ``episode_days`` from the first claim to its last day of supply; ``start_before_end`` how many days the
    first claim's day and all after it must be, to the end of the period. ``lookback_days``: none for so many
    days before a start. ``longest_stay`` in days."""

    min_age: int
    age_on: AgeOn
    min_dispensings: int = 1
    min_days: int = 0
    days: Counting = Counting.CALENDAR
    episode_days: int = 0
    start_before_end: int = 0
    lookback_days: int = 0
    longest_stay: int = 0


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What takes somebody out of the population: a condition, procedure or encounter of these sets, or a
    treatment type reported with a claim, from ``days_before`` before the period to its end."""

    kind: str
    title: str
    sets: frozenset[str] = frozenset()
    treatment_types: frozenset[str] = frozenset()
    days_before: int = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """One numerator: all limits that are set have to be reached. ``official`` is the published one; others
    stand beside it with another threshold or another definition. ``window_days`` is how many days from a
    start its claims and days are looked at; ``within_days`` bounds in which prescribers and pharmacies are
    counted together (0: the whole period)."""

    id: str
    title: str
    official: bool
    mme: int | None = None
    over: Over = Over.COVERED
    prescribers: int | None = None
    pharmacies: int | None = None
    within_days: int = 0
    benzodiazepines: int | None = None
    overlap_days: int | None = None
    min_days: int | None = None
    days: Counting = Counting.CALENDAR
    window_days: int = 0
    long_acting: int | None = None
    opioids: int | None = None
    beside_benzodiazepine: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Where a definition comes from."""

    title: str
    publisher: str
    date: date
    url: str


@dataclass(frozen=True)
class Measure:
    """A measure as it is declared. ``verified`` is false when a rule of it was not read in the steward's own
    specification; ``unverified`` says which. ``assumptions`` are what stands in for data that the service
    does not have, and go with every answer."""

    id: str
    version: int
    effective: date
    title: str
    steward: str
    identifiers: Mapping[str, str]
    lower_is_better: bool
    kind: Kind
    window: Window
    medicines: Medicines
    population: Population
    exclusions: tuple[Exclusion, ...]
    rates: tuple[Rate, ...]
    factor_set: str
    near_percent: int
    assumptions: tuple[str, ...]
    source: Source
    verified: bool
    unverified: str = ""
    stratum_ages: tuple[int, ...] = ()


# --- answers ----------------------------------------------------------------------------------------------


class Standing(StrEnum):
    """Where somebody stands in a measure."""

    OUT = "out"
    EXCLUDED = "excluded"
    UNTOLD = "cannot-tell"
    IN = "in"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One limit beside what was found. ``value`` is ``None`` when there is nothing to tell it from; ``met``
    is ``None`` when it cannot be told, and ``why`` then says for want of what."""

    name: str
    value: Fraction | None
    limit: Fraction
    met: bool | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A record on which somebody is excluded."""

    kind: str
    record: str
    said: str
    on: date | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """One rate's answer for one patient or stay. ``near``: not met, and everything it takes is within reach
    of its limit. ``claims`` are the ids of the claims that it was told from, ``first`` to ``last`` their
    days."""

    rate: str
    met: bool | None
    criteria: tuple[Criterion, ...]
    near: bool = False
    claims: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One patient, or one stay of a patient, in one measure and period."""

    measure: str
    version: int
    patient: str
    standing: Standing
    reason: str
    criteria: tuple[Criterion, ...] = ()
    exclusions: tuple[Evidence, ...] = ()
    rates: tuple[Counted, ...] = ()
    claims: tuple[str, ...] = ()
    age: int | None = None
    stay: str = ""
    caveats: tuple[str, ...] = field(default=())


def every(found: tuple[bool | None, ...]) -> bool | None:
    """All of them: one that is not so settles it, one that cannot be told leaves it open."""
    if False in found:
        return False
    return None if None in found else True


def either(found: tuple[bool | None, ...]) -> bool | None:
    """Any of them: one that is so settles it."""
    if True in found:
        return True
    return None if None in found else False


def reached(name: str, value: int | Fraction, limit: int, lacking: str) -> Criterion:
    """A number beside a limit that has to be reached; ``lacking`` says why it is only a lower bound."""
    enough = value >= limit
    return Criterion(
        name,
        Fraction(value),
        Fraction(limit),
        True if enough else (None if lacking else False),
        "" if enough else lacking,
    )


def age_on(born: date, day: date) -> int:
    """Whole years of age."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def adult(population: Population, born: date | None, day: date) -> Criterion:
    """Whether somebody is old enough on a day."""
    if born is None:
        return Criterion("age", None, Fraction(population.min_age), None, "birth-date-missing")
    return reached("age", age_on(born, day), population.min_age, "")


def is_near(criteria: tuple[Criterion, ...], met: bool | None, percent: int) -> bool:
    """Whether everything that a rate takes is at least so many per cent of its limit, and it is not met."""
    return (
        met is not True
        and bool(criteria)
        and all(c.value is not None and c.value * 100 >= c.limit * percent for c in criteria)
    )
