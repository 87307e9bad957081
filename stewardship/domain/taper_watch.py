"""What is dispensed, held against the taper that was agreed on: does it fall faster?

Every fill is compared over the days that it lasts with what the plan asks for on those days, for a fill of a
month may hold several steps. A fill may come early for the step that follows. What cannot be compared for
want of a fact says so, and raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from stewardship.domain.chart import Chart
from stewardship.domain.dosage import highest_dose, supply_dose
from stewardship.domain.episodes import Exposure, same_strength
from stewardship.domain.flags import Flag, Untold
from stewardship.domain.orders import SupplyKind
from stewardship.domain.tablets import WEEK
from stewardship.domain.taper import Taper
from stewardship.domain.taper_schedule import TaperTerms, rounded
from stewardship.domain.wording import FactValue

#: The kind of flag that a pharmacist sees.
KIND = "taper-faster-than-planned"
_ZERO = Decimal(0)
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class FasterThanPlanned:
    """Milligrams dispensed and planned for the days from ``on`` to ``until``; nothing dispensed when a supply
    ran out and none followed. ``supply`` is the fill that it is about, ``supplies`` all the evidence. Not
    ``complete``: what is not on record may make up for it."""

    supply: str
    on: date
    until: date
    dispensed_mg: Decimal
    planned_mg: Decimal
    supplies: tuple[str, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class CannotCompare:
    """A fill that cannot be held against the plan, and the facts that are missing."""

    supply: str
    missing: tuple[str, ...]


def compare(taper: Taper, chart: Chart, terms: TaperTerms) -> tuple[FasterThanPlanned | CannotCompare, ...]:
    """Every fill since the taper began that holds less than the plan, and an end of supply before its time.
    Nothing of a taper that is over."""
    if not taper.under_way:
        return ()
    return tuple(_Comparison(taper, chart, terms).found())


def flagged(taper: Taper, chart: Chart, terms: TaperTerms) -> tuple[Flag | Untold, ...]:
    """The same for the pharmacist's queue: a flag labels the fill that fell."""
    made: list[Flag | Untold] = []
    for seen in compare(taper, chart, terms):
        if isinstance(seen, CannotCompare):
            made.append(Untold(KIND, seen.supply, seen.missing))
            continue
        facts: dict[str, FactValue] = {
            "taper": taper.id,
            "dispensed_mg": seen.dispensed_mg,
            "planned_mg": seen.planned_mg,
            "tolerance_percent": terms.tolerance_percent,
        }
        made.append(Flag(KIND, seen.supply, seen.on, seen.until, seen.supplies, facts, seen.complete))
    return tuple(made)


class _Comparison:
    def __init__(self, taper: Taper, chart: Chart, terms: TaperTerms) -> None:
        self.taper = taper
        self.terms = terms
        self.today = chart.today
        self.complete = not chart.history_gaps
        supplied = [e for e in chart.exposures if e.supply.kind is not SupplyKind.DRAFT]
        self.fills = [e for e in supplied if e.drug is not None and e.drug.opioid_codes == taper.opioid]
        self.unknown = [e for e in supplied if e.drug is None and e.start >= taper.starts_on]
        self.daily = {id(e): _daily_mg(e) for e in self.fills}

    def found(self) -> Iterator[FasterThanPlanned | CannotCompare]:
        """In the order of the fills; of several on one day, the first stands for them."""
        for day in sorted({e.start for e in self.fills if self.taper.starts_on <= e.start <= self.today}):
            here = [e for e in self.fills if e.start == day]
            untold = [e for e in here if self.daily[id(e)] is None]
            if untold:
                yield CannotCompare(untold[0].supply.id, ("history.days_supply",))
                continue
            fall = self._of_fill(day, here)
            if fall is not None:
                yield fall
        ended = self._ended()
        if ended is not None:
            yield ended

    def _of_fill(self, day: date, here: list[Exposure]) -> FasterThanPlanned | None:
        until = max(e.last for e in here if e.last is not None)
        days = (until - day).days + 1
        taken = [e for e in self.fills if e in here or self._beside(e, day, here)]
        had = sum((self._within(e, day, until) for e in taken), _ZERO)
        planned = min(
            self._planned(day + timedelta(early), days) for early in range(self.terms.early_days + 1)
        )
        if had * _HUNDRED >= planned * (_HUNDRED - self.terms.tolerance_percent):
            return None
        names = tuple(e.supply.id for e in taken)
        return FasterThanPlanned(
            here[0].supply.id, day, until, rounded(had), rounded(planned), names, self.complete
        )

    def _beside(self, exposure: Exposure, day: date, here: list[Exposure]) -> bool:
        """An earlier fill that lasts into these days, and is not merely what these fills continue."""
        if exposure.start >= day or exposure.last is None or exposure.drug is None:
            return False
        left = (exposure.last - day).days + 1
        again = any(e.drug is not None and same_strength(e.drug, exposure.drug) for e in here)
        return left > (self.terms.early_days if again else 0)

    def _within(self, exposure: Exposure, first: date, until: date) -> Decimal:
        daily = self.daily[id(exposure)]
        if daily is None or exposure.last is None:
            return _ZERO
        days = (min(exposure.last, until) - max(exposure.start, first)).days + 1
        return daily * max(0, days)

    def _planned(self, first: date, days: int) -> Decimal:
        weekly = (self.taper.mg_per_week_on(first + timedelta(n)) for n in range(days))
        return sum(weekly, _ZERO) / WEEK

    def _ended(self) -> FasterThanPlanned | CannotCompare | None:
        lasting = [e for e in self.fills if e.last is not None]
        if not lasting:
            return None
        newest = max(lasting, key=lambda e: (e.last or date.min, e.supply.id))
        end = (newest.last or date.min) + timedelta(1)
        if end < self.taper.starts_on or (self.today - end).days < self.terms.missing_days:
            return None
        planned = self._planned(end, (self.today - end).days + 1)
        if not planned:
            return None
        open_ended = [e for e in self.fills if e.last is None and e.stopped_on is None]
        if open_ended or self.unknown:
            doubtful = (open_ended or self.unknown)[0]
            return CannotCompare(
                doubtful.supply.id, ("history.days_supply" if open_ended else "history.drug",)
            )
        names = (newest.supply.id,)
        return FasterThanPlanned(
            newest.supply.id, end, self.today, _ZERO, rounded(planned), names, self.complete
        )


def _daily_mg(exposure: Exposure) -> Decimal | None:
    """Milligrams of the opioid a day over the days that a fill lasts; ``None`` when that cannot be told."""
    supply = exposure.supply
    if exposure.days is None or exposure.last is None:
        return None
    dose = supply_dose(supply.drug, supply.quantity, supply.days_supply)
    if not dose.told:
        dose = highest_dose(supply.drug, supply.dosage, supply.quantity, supply.days_supply)
    amounts = [a.mg_high for a in dose.amounts if a.opioid]
    return sum(amounts, _ZERO) if dose.told and amounts else None
