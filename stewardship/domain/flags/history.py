"""What the flags look at: one patient's supplies, each once and in order, and what a flag is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from itertools import groupby
from math import isqrt
from typing import ClassVar, Protocol, TypeVar

from stewardship.domain.drugs import Drug, DrugClass, Schedule
from stewardship.domain.episodes import Exposure, Span, exposures, union
from stewardship.domain.exposure import Step, Stretch, continued, daily_steps, once, stretches
from stewardship.domain.mme import FactorSet
from stewardship.domain.orders import Supply, SupplyKind
from stewardship.domain.wording import FactValue

_ZERO = Decimal(0)
_Item = TypeVar("_Item")


class Kind(StrEnum):
    """What a flag says. Every one is about a prescription or a pattern of them, never about a person."""

    MULTIPLE_PROVIDERS = "multiple-providers"
    EARLY_REFILL = "early-refill"
    OVERLAPPING_PRESCRIBERS = "overlapping-prescribers"
    OPIOID_WITH_BENZODIAZEPINE = "opioid-with-benzodiazepine"
    WITH_CARISOPRODOL = "opioid-benzodiazepine-carisoprodol"
    HIGH_DAILY_MME = "high-daily-mme"
    DOSE_RISING_FAST = "dose-rising-fast"
    DOSE_FALLING_FAST = "dose-falling-fast"
    LONG_ACTING_IN_NAIVE = "long-acting-in-naive"
    BEYOND_REFILLS = "beyond-refills"
    SCHEDULE_II_REFILL = "schedule-ii-refill"
    PARTIAL_PAST_LIMIT = "partial-fill-past-limit"
    CASH_BESIDE_INSURANCE = "cash-beside-insurance"
    IMPROBABLE_DAYS_SUPPLY = "improbable-days-supply"
    NO_KNOWN_ORDER = "no-known-order"
    LONG_DISTANCE = "long-distance"
    NEW_LONG_TERM_USE = "new-long-term-use"


@dataclass(frozen=True, slots=True)
class Flag:
    """Something for a pharmacist to look at, with its evidence. ``kind`` is one of ``Kind``, or a word of the
    reference file for what other parts of the service see.

    ``supply`` is the id of the supply that it labels, of a pattern the one with which it began; ``key`` is
    made of both and stays the same while the pattern goes on, so that one problem is one flag. ``on`` is
    the day it began, ``until`` the last day on which it was so. ``supplies`` are the evidence, ``facts``
    the numbers. Not ``complete``: what is not known would make it more, never less.
    """

    kind: str
    supply: str
    on: date
    until: date
    supplies: tuple[str, ...]
    facts: Mapping[str, FactValue]
    complete: bool = True

    @property
    def key(self) -> str:
        """What is the same for the same problem."""
        return f"{self.kind}:{self.supply}"


@dataclass(frozen=True, slots=True)
class Untold:
    """A flag that cannot be ruled out for a supply, and the facts that are missing."""

    kind: str
    supply: str
    missing: tuple[str, ...]


Seen = Flag | Untold


@dataclass(frozen=True, slots=True)
class Common:
    """What several rules share. A supply of unknown length lasts ``unknown_supply_days`` at most; a fill
    that runs out within ``carry_days`` of the next of the same product is continued by it."""

    factor_set: FactorSet
    unknown_supply_days: int
    carry_days: int


@dataclass(frozen=True, slots=True)
class Area:
    """Where the ZIP codes with the same three digits lie: the middle of a sphere around their centres, in
    kilometres from the centre of the earth, and its radius."""

    x: int
    y: int
    z: int
    radius: int


def apart(one: Area, other: Area) -> int:
    """How many kilometres lie between two areas at the least, in a straight line; 0 when they touch."""
    square = (one.x - other.x) ** 2 + (one.y - other.y) ** 2 + (one.z - other.z) ** 2
    return max(0, isqrt(square) - one.radius - other.radius)


@dataclass(frozen=True)
class Row:
    """One exposure as the rules see it; ``first`` and ``last`` are ordinals, ``last`` is ``first`` when the
    length is not known, and ``possible`` is the last day that it may cover."""

    exposure: Exposure
    first: int
    last: int
    possible: int

    @cached_property
    def supply(self) -> Supply:
        """The supply itself."""
        return self.exposure.supply

    @cached_property
    def drug(self) -> Drug | None:
        """The product, if it is recognised."""
        return self.exposure.drug

    @property
    def id(self) -> str:
        """The supply's id."""
        return self.supply.id

    @property
    def on(self) -> date:
        """The first day."""
        return self.exposure.start

    def is_a(self, drug_class: DrugClass) -> bool:
        """Whether the product is recognised and of the class."""
        return self.drug is not None and drug_class in self.drug.classes

    @cached_property
    def opioid(self) -> bool:
        """Whether it is an opioid for pain."""
        return self.is_a(DrugClass.OPIOID_ANALGESIC)

    @cached_property
    def controlled(self) -> bool:
        """Whether the product is known to be in a schedule."""
        return self.drug is not None and self.drug.schedule not in (None, Schedule.NONE)

    @property
    def dispensed(self) -> bool:
        """Whether it was dispensed, and not only written or told."""
        return self.supply.kind is SupplyKind.DISPENSING


@dataclass(frozen=True)
class History:
    """One patient's supplies, each dispensing once, in order of their first days.

    ``known_from`` is the first day on which anything would be on record (``None``: no such day is known,
    and silence counts as absence); ``own`` are the prescribers whose orders are on record here. ``dropped``
    counts further reports of the same dispensings.
    """

    rows: tuple[Row, ...]
    common: Common
    as_of: date
    written: tuple[Supply, ...] = ()
    known_from: date | None = None
    own: frozenset[str] = frozenset()
    dropped: int = 0
    areas: Mapping[str, Area] = field(default_factory=dict)

    @cached_property
    def opioids(self) -> tuple[Row, ...]:
        """The opioids for pain."""
        return tuple(r for r in self.rows if r.opioid)

    @cached_property
    def counted(self) -> tuple[Stretch, ...]:
        """What counts towards MME and is not left out by the factor set."""
        found = stretches((r.exposure for r in self.rows), self.common.factor_set)
        return tuple(s for s in found if s.counted)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The last days of ``counted``, continued fills ended."""
        return continued(self.counted, carry_days=self.common.carry_days)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """MME a day, continued fills counted once."""
        return daily_steps(self.counted, self.common.factor_set, last_days=self.ends)

    @cached_property
    def doubtful(self) -> tuple[Row, ...]:
        """What makes a total a lower bound: a medicine that nobody recognises, or an amount not known."""
        lacking = {s.exposure.supply.id for s in self.counted if not s.complete}
        return tuple(r for r in self.rows if r.id in lacking)

    def mme_on(self, day: int) -> Decimal:
        """MME on a day, by its ordinal; at least so many."""
        at = bisect_right(self.steps, day, key=lambda step: step.first.toordinal()) - 1
        if at < 0 or self.steps[at].last.toordinal() < day:
            return _ZERO
        return self.steps[at].mme

    def by_id(self, rows: Iterable[Row]) -> tuple[str, ...]:
        """The ids of rows."""
        return tuple(r.id for r in rows)


def history(
    supplies: Iterable[Supply],
    common: Common,
    *,
    as_of: date,
    known_from: date | None = None,
    own: frozenset[str] = frozenset(),
    areas: Mapping[str, Area] | None = None,
) -> History:
    """The supplies that began by ``as_of``, as the rules see them."""
    kept, dropped = once(s for s in supplies if s.start_on is None or s.start_on <= as_of)
    rows = tuple(_row(e, common.unknown_supply_days) for e in exposures(kept, as_of=as_of))
    written = tuple(s for s in kept if s.kind is SupplyKind.PRESCRIPTION)
    return History(rows, common, as_of, written, known_from, own, dropped, areas or {})


def _row(exposure: Exposure, unknown_days: int) -> Row:
    first = exposure.start.toordinal()
    if exposure.last is None:
        return Row(exposure, first, first, first + unknown_days - 1)
    last = exposure.last.toordinal()
    return Row(exposure, first, last, last)


class FlagRule(Protocol):
    """A rule: its fields are its parameters, ``look`` what it sees in one patient's history."""

    kind: ClassVar[Kind]

    def look(self, history: History) -> Iterator[Seen]:
        """The flags it raises, and those that it cannot rule out."""
        ...


# --- patterns in time -------------------------------------------------------------------------------


def runs(anchors: Iterable[tuple[int, _Item]], gap: int) -> list[list[tuple[int, _Item]]]:
    """Dated items in order, those that lie ``gap`` days or less after the one before taken together."""
    found: list[list[tuple[int, _Item]]] = []
    for day, item in anchors:
        if found and day - found[-1][-1][0] <= gap:
            found[-1].append((day, item))
        else:
            found.append([(day, item)])
    return found


def joined(parts: Sequence[Span], gap: int) -> list[tuple[Span, int]]:
    """Spans in order, those with ``gap`` days or less between them taken together: first and last day,
    and the days that they cover."""
    found: list[tuple[Span, int]] = []
    for first, last in parts:
        if found and first - found[-1][0][1] - 1 <= gap:
            (start, _), days = found[-1]
            found[-1] = ((start, last), days + last - first + 1)
        else:
            found.append(((first, last), last - first + 1))
    return found


def covered(rows: Iterable[Row]) -> list[Span]:
    """The days that rows certainly cover; supply of unknown length on its first day."""
    return union((r.first, r.last) for r in rows if r.last >= r.first)


def both(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """The days that are in both of two lists of disjoint spans in order."""
    found = []
    i = j = 0
    while i < len(one) and j < len(other):
        first, last = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if first <= last:
            found.append((first, last))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return found


def days(rows: Iterable[Row]) -> Iterator[tuple[int, list[Row]]]:
    """Rows in order, by their first day."""
    for day, group in groupby(rows, key=lambda r: r.first):
        yield day, list(group)
