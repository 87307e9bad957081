"""One dosage instruction -> how much of the product is used in a day.

In product units (tablets, mL, patches, actuations), from low to high, or the reasons why that cannot be
told. A missing frequency is never once a day; the one way round it is a stated maximum a day.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from stewardship.domain.drugs import Drug
from stewardship.domain.units import PATCH, Untold, product_units

if TYPE_CHECKING:
    from stewardship.domain.dosage import DosageInstruction

_ZERO = Decimal(0)
_ONE = Decimal(1)
_DAY_HOURS = Decimal(24)
_DAY = Decimal(86_400)
_WEEK = 7

#: Seconds of a period, shortest and longest: months and years are as long as the calendar makes them.
_SECONDS: dict[str, tuple[Decimal, Decimal]] = {
    **{
        unit: (Decimal(seconds), Decimal(seconds))
        for unit, seconds in (("s", 1), ("min", 60), ("h", 3_600), ("d", 86_400), ("wk", 604_800))
    },
    "mo": (28 * _DAY, 31 * _DAY),
    "a": (365 * _DAY, 366 * _DAY),
}


class Use(NamedTuple):
    """Product units: ``low`` to ``high`` acting in a day, ``spent_low`` to ``spent_high`` used up a day
    on average. They differ for patches (worn for days) and for medicines not taken every day.
    ``of_ceiling``: nothing but a maximum a day was stated."""

    low: Decimal
    high: Decimal
    spent_low: Decimal
    spent_high: Decimal
    of_ceiling: bool = False

    def plus(self, other: Use) -> Use:
        """Both taken together."""
        return Use(
            self.low + other.low,
            self.high + other.high,
            self.spent_low + other.spent_low,
            self.spent_high + other.spent_high,
        )


class _Times(NamedTuple):
    """Doses a day: average ``low`` to ``high`` over the whole time, and on a day of use at most."""

    low: Decimal
    high: Decimal
    on_a_day: Decimal


def _times(instruction: DosageInstruction) -> _Times | None:
    """How often; ``None`` when it is not stated."""
    named = max(instruction.times_of_day, instruction.when)
    frequency, most = instruction.frequency, instruction.frequency_max
    if frequency is None and most is None:
        if not named:
            return None
        low = high = Decimal(named)
    else:
        # Only a maximum: anything up to it. Named times beside a frequency: whichever is more, or less.
        low = frequency if frequency is not None else _ZERO
        high = most if most is not None else low
        if named:
            low, high = min(low, Decimal(named)), max(high, Decimal(named))
        elif instruction.period is None:
            return None
    if low > high or high <= 0:
        raise Untold("instruction-not-understood")
    period = instruction.period
    if period is not None:
        seconds = _SECONDS.get(instruction.period_unit)
        longest = period if instruction.period_max is None else instruction.period_max
        if seconds is None or not longest.is_finite() or not 0 < period <= longest:
            raise Untold("instruction-not-understood")
        if instruction.period_unit != "d" or longest != 1:
            once = low == high and period == longest and seconds[0] == seconds[1]
            high = high * _DAY / (period * seconds[0])
            low = high if once else low * _DAY / (longest * seconds[1])
    at_least = Decimal(named) if named else _ONE
    if 0 < instruction.days_of_week < _WEEK:
        weekly = period is not None and period * _SECONDS[instruction.period_unit][0] >= _WEEK * _DAY
        return _on_named_days(low, high, instruction.days_of_week, at_least, weekly=weekly)
    return _Times(low, high, high if high >= at_least else at_least)


def _on_named_days(low: Decimal, high: Decimal, days: int, at_least: Decimal, *, weekly: bool) -> _Times:
    """Spread over the days of the week that are named; on a day of use there are ``at_least`` so many."""
    if not weekly:
        return _Times(low * days / _WEEK, high * days / _WEEK, max(high, at_least))
    # "Three times a week, on Monday, Wednesday and Friday" names its days, it does not thin them out;
    # "once a week, on Monday and Friday" may mean twice.
    high = max(high, days * at_least / _WEEK)
    return _Times(low, high, max(high * _WEEK / days, at_least))


def _amount_of(instruction: DosageInstruction) -> tuple[Decimal, Decimal] | None:
    low, high = instruction.dose_low, instruction.dose_high
    if low is None and high is None:
        return None
    if low is None:
        low = _ZERO
    # "At least one" has no most: there is no telling.
    if high is None or not 0 <= low <= high or high == 0:
        raise Untold("instruction-not-understood")
    return low, high


def use_of(instruction: DosageInstruction, drug: Drug, counted: str) -> Use:
    """What one instruction comes to a day; raises ``Untold``."""
    if instruction.problems:
        raise Untold("instruction-not-understood")
    wear = wear_days(drug, counted)
    cap = instruction.max_per_day
    ceiling = None if cap is None else product_units(cap.value, cap.unit, drug, counted)
    if ceiling is not None and ceiling <= 0:
        raise Untold("instruction-not-understood")
    amount = _amount_of(instruction)
    if amount is None and instruction.rate_high is not None:
        return _infused(instruction, drug, counted, ceiling)
    times = _times(instruction)
    if amount is None or times is None:
        if ceiling is not None:
            return Use(_ZERO, ceiling * wear, _ZERO, ceiling, of_ceiling=True)
        raise Untold(
            *(["dose-missing"] if amount is None else []), *(["frequency-missing"] if times is None else [])
        )
    dose_high = product_units(amount[1], instruction.dose_unit, drug, counted)
    dose_low = dose_high
    if amount[0] != amount[1]:
        dose_low = product_units(amount[0], instruction.dose_unit, drug, counted)
    spent_high = dose_high * times.high
    # One patch every 12 days is worn for 3 of them: a quarter on average, one while it is worn.
    high = max(spent_high * wear, dose_high) if counted == PATCH else dose_high * times.on_a_day
    if instruction.as_needed:
        spent_low = low = _ZERO
    else:
        spent_low = dose_low * times.low
        low = spent_low * wear
    if ceiling is not None:
        # A ceiling below one dose was stated for a longer time than a day: a day of use has the dose.
        spent_high = min(spent_high, ceiling)
        high = min(high, max(ceiling * wear, dose_high))
        spent_low, low = min(spent_low, spent_high), min(low, high)
    return Use(low, high, spent_low, spent_high)


def _infused(instruction: DosageInstruction, drug: Drug, counted: str, ceiling: Decimal | None) -> Use:
    """A rate runs all day; how long it runs is not stated, so this is the highest reading."""
    low, high, hours = instruction.rate_low, instruction.rate_high, instruction.rate_hours
    if high is None or hours is None or hours <= 0:
        raise Untold("frequency-missing")
    if low is None:
        low = _ZERO
    if not 0 <= low <= high or high == 0:
        raise Untold("instruction-not-understood")
    if instruction.as_needed:
        low = _ZERO
    units_low = product_units(low * _DAY_HOURS, instruction.rate_unit, drug, counted) / hours
    units_high = product_units(high * _DAY_HOURS, instruction.rate_unit, drug, counted) / hours
    if ceiling is not None:
        units_low, units_high = min(units_low, ceiling), min(units_high, ceiling)
    return Use(units_low, units_high, units_low, units_high)


def wear_days(drug: Drug, counted: str) -> Decimal:
    """For how many days one unit acts: 1, except for a patch."""
    if counted != PATCH:
        return _ONE
    if drug.wear_hours is None or drug.wear_hours <= 0:
        raise Untold("wear-time-missing")
    return drug.wear_hours / _DAY_HOURS
