"""Flags about single fills: early, beyond what was authorised, partial too late, days that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from stewardship.domain.drugs import Schedule
from stewardship.domain.flags.history import Flag, History, Kind, Row, Seen, Untold


@dataclass(frozen=True, slots=True)
class EarlyRefill:
    """The next fill of the same opioid in the same strength while ``min_percent_left`` or more of the last
    fill's days remain. Supply in hand is carried over from fill to fill, one whole fill at the most."""

    kind: ClassVar[Kind] = Kind.EARLY_REFILL
    min_percent_left: int

    def look(self, history: History) -> Iterator[Seen]:
        chains: dict[object, tuple[Row, int]] = {}
        for row in history.opioids:
            product = row.drug.strengths if row.drug is not None else None
            before, runs_out = chains.get(product, (None, 0))
            length = row.last - row.first + 1
            if before is None:
                chains[product] = (row, row.first + length)
                continue
            if before.exposure.days is None:
                if before.possible >= row.first and not _completes(row):
                    yield Untold(self.kind, row.id, ("history.days_supply",))
                chains[product] = (row, row.first + length)
                continue
            left = runs_out - row.first
            if (
                left > 0
                and left * 100 >= self.min_percent_left * before.exposure.days
                and not _completes(row)
            ):
                yield Flag(
                    self.kind,
                    row.id,
                    row.on,
                    row.on,
                    (before.id, row.id),
                    {
                        "days_left": left,
                        "last_fill": before.on,
                        "last_days_supply": before.exposure.days,
                        "percent_left": (Decimal(left * 100) / before.exposure.days).quantize(Decimal("0.1")),
                    },
                )
            carried = max(0, min(left, row.exposure.days or 0))
            chains[product] = (row, row.first + carried + length)


def _completes(row: Row) -> bool:
    """Whether it is a further part of a fill that was begun: what is left of it was never handed over."""
    return (row.supply.partial or 0) > 1


@dataclass(frozen=True, slots=True)
class BeyondRefills:
    """A fill with a higher number than the prescription authorises. Schedule II has a flag of its own."""

    kind: ClassVar[Kind] = Kind.BEYOND_REFILLS

    def look(self, history: History) -> Iterator[Seen]:
        for row in history.rows:
            fill, refills = row.supply.fill, row.supply.refills
            if not row.dispensed or not row.controlled or fill is None or refills is None:
                continue
            if row.drug is not None and row.drug.schedule is not Schedule.II and fill > refills:
                yield Flag(
                    self.kind,
                    row.id,
                    row.on,
                    row.on,
                    (row.id,),
                    {"fill": fill, "refills_authorised": refills},
                )


@dataclass(frozen=True, slots=True)
class ScheduleTwoRefill:
    """A Schedule II prescription that was refilled or that authorises refills. A further part of a partial
    fill is not a refill, whatever number the pharmacy gave it."""

    kind: ClassVar[Kind] = Kind.SCHEDULE_II_REFILL

    def look(self, history: History) -> Iterator[Seen]:
        for row in history.rows:
            if row.drug is None or row.drug.schedule is not Schedule.II:
                continue
            fill, refills = row.supply.fill or 0, row.supply.refills or 0
            if refills > 0 or (fill > 0 and not _completes(row)):
                yield Flag(
                    self.kind,
                    row.id,
                    row.on,
                    row.on,
                    (row.id,),
                    {"fill": fill, "refills_authorised": refills},
                )


@dataclass(frozen=True, slots=True)
class PartialFills:
    """A part of a fill dispensed too long after the prescription was written, or more in all than it
    orders. Schedule II: within ``schedule_ii_days``, or ``long_term_care_days`` for the treatment types of
    ``long_term_care``; other schedules: ``other_days``."""

    kind: ClassVar[Kind] = Kind.PARTIAL_PAST_LIMIT
    schedule_ii_days: int
    long_term_care_days: int
    long_term_care: tuple[str, ...]
    other_days: int

    def look(self, history: History) -> Iterator[Seen]:
        sums: dict[object, Decimal] = {}
        for row in history.rows:
            supply = row.supply
            if not supply.partial or not row.dispensed or not row.controlled:
                continue
            over = self._over(row, sums)
            if supply.written_on is None:
                if not over:
                    yield Untold(self.kind, row.id, ("dispensing.written_on",))
                    continue
                late, limit = 0, 0
            else:
                late, limit = row.first - supply.written_on.toordinal(), self.limit(row)
            if late > limit or over:
                facts = {"part": supply.partial, "days_after_writing": late, "limit_days": limit}
                yield Flag(self.kind, row.id, row.on, row.on, (row.id,), {**facts, "more_than_ordered": over})

    def limit(self, row: Row) -> int:
        """Within how many days of writing the parts must be dispensed."""
        if row.drug is None or row.drug.schedule is not Schedule.II:
            return self.other_days
        longer = row.supply.treatment_type in self.long_term_care
        return self.long_term_care_days if longer else self.schedule_ii_days

    def _over(self, row: Row, sums: dict[object, Decimal]) -> bool:
        """Whether the parts up to this one are more than the prescription orders for a fill."""
        supply = row.supply
        ordered, given = supply.prescribed, supply.quantity
        if not supply.pharmacy or not supply.prescription or supply.fill is None or given is None:
            return False
        key = (supply.pharmacy, supply.prescription, supply.fill, given.unit)
        sums[key] = sums.get(key, Decimal(0)) + given.value
        return ordered is not None and ordered.unit == given.unit and sums[key] > ordered.value


@dataclass(frozen=True, slots=True)
class ImprobableDays:
    """A controlled dispensing with fewer than ``least_days`` or more than ``most_days`` stated: whatever
    was meant, every figure that rests on it is wrong."""

    kind: ClassVar[Kind] = Kind.IMPROBABLE_DAYS_SUPPLY
    least_days: int
    most_days: int

    def look(self, history: History) -> Iterator[Seen]:
        for row in history.rows:
            stated = row.supply.days_supply
            if row.controlled and stated is not None and not self.least_days <= stated <= self.most_days:
                yield Flag(self.kind, row.id, row.on, row.on, (row.id,), {"days_supply": stated})
