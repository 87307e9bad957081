"""What a patient was exposed to: MME of each supply, MME of each day, and daily MME by four definitions.

"Daily MME" has four published definitions (Dasgupta and others, 2021, doi 10.1097/AJP.0000000000000948),
which differ two- or threefold for the same patient. A figure here names its definition, its factor set and
its days, and says when it is only a lower bound.

A supply counts as published: from its first day for as many days as it lasts, with nothing carried over.
What the house carries over from fill to fill (``episodes.spans``) is in the timeline's episodes and gaps.

Amounts are exact to a billionth of an MME, and daily amounts to the twelfth place, so that sums are exact
and do not depend on their order. Quotients are kept as numerator and denominator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from stewardship.domain.dosage import Basis, Reason, settled
from stewardship.domain.episodes import Exposure, Span, days_within, union
from stewardship.domain.mme import MME, FactorSet, daily_mme, total
from stewardship.domain.orders import Supply
from stewardship.domain.therapy import counts_towards_mme

_ZERO = Decimal(0)
_ONE_DAY = Decimal(1)
#: The last place of an amount and of a daily total, and of one supply's daily amount.
AMOUNT_PLACES = Decimal("1e-9")
DAILY_PLACES = Decimal("1e-12")


# --- each dispensing once ---------------------------------------------------------------------------


def once(supplies: Iterable[Supply]) -> tuple[tuple[Supply, ...], int]:
    """Each dispensing once, and how many further rows of the same dispensing were left out.

    The same pharmacy, prescription number, fill, part of the fill, day and product are one dispensing,
    however many views of a database report it; of rows that differ in quantity the largest stays, of equal
    ones the one with the first id. A row that lacks one of these is never taken for another one's copy.
    """
    kept: dict[object, Supply] = {}
    dropped = 0
    for supply in supplies:
        key = _same_dispensing(supply)
        other = kept.get(key)
        if other is None:
            kept[key] = supply
            continue
        dropped += 1
        if (_size(supply), other.id) > (_size(other), supply.id):
            kept[key] = supply
    return tuple(kept.values()), dropped


def _same_dispensing(supply: Supply) -> object:
    named = supply.pharmacy and supply.prescription and supply.fill is not None and supply.start_on
    if not named:
        return id(supply)
    product = supply.drug.code.code if supply.drug is not None else supply.medication.label
    return supply.pharmacy, supply.prescription, supply.fill, supply.partial or 0, supply.start_on, product


def _size(supply: Supply) -> tuple[Decimal, Decimal]:
    quantity = supply.quantity.value if supply.quantity is not None else _ZERO
    return quantity, supply.days_supply or _ZERO


# --- one supply -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stretch:
    """One exposure with its days and its MME under one factor set.

    ``first`` and ``last`` are ordinals; ``last`` is ``first`` when the length is not known. ``amount`` is
    the MME of the whole supply, ``daily`` of each of its days; both ``None`` when they cannot be told and
    for what the factor set leaves out. Not ``complete``: they are lower bounds, or missing, for ``reasons``.
    """

    exposure: Exposure
    first: int
    last: int
    days: int | None
    amount: Decimal | None
    daily: Decimal | None
    complete: bool
    whole: bool
    reasons: tuple[Reason, ...]
    mme: MME

    @property
    def counted(self) -> bool:
        """Whether it belongs in a total: the factor set does not leave it out."""
        return not (self.mme.excluded and self.mme.high is None)

    def reaches(self, first: int, *, unknown_days: int) -> bool:
        """Whether it covers, or may cover, a day from ``first`` on."""
        return (self.last if self.days is not None else self.first + unknown_days - 1) >= first


def stretches(exposures: Iterable[Exposure], factor_set: FactorSet) -> tuple[Stretch, ...]:
    """The exposures that count towards MME, in order of their first day; medicines that nobody recognises
    are among them."""
    return tuple(_stretch(e, factor_set) for e in exposures if counts_towards_mme(e.drug))


def _stretch(exposure: Exposure, factor_set: FactorSet) -> Stretch:
    supply, days = exposure.supply, exposure.days
    first = exposure.start.toordinal()
    last = first if exposure.last is None else exposure.last.toordinal()
    stated = supply.days_supply
    if stated is None and days is not None:
        stated = Decimal(days)
    mme = daily_mme(exposure.drug, supply.dosage, supply.quantity, stated, factor_set)
    amount, whole = _amount(mme, exposure, factor_set)
    daily = mme.high
    if amount is not None and days is not None:
        daily = settled(amount / days, DAILY_PLACES)
    reasons = mme.reasons
    if days is None and not any(r.code == "days-supply-missing" for r in reasons):
        reasons += (Reason("days-supply-missing", supply.medication.label),)
    complete = mme.complete and days is not None
    return Stretch(exposure, first, last, days, amount, daily, complete, whole, reasons, mme)


def _amount(mme: MME, exposure: Exposure, factor_set: FactorSet) -> tuple[Decimal | None, bool]:
    """MME of the whole supply, and whether that is all of it. What was dispensed has an amount whether or
    not anybody wrote how long it lasts, unless the factor depends on the daily dose."""
    supply, days = exposure.supply, exposure.days
    dispensed = daily_mme(exposure.drug, (), supply.quantity, _ONE_DAY, factor_set)
    by_quantity = dispensed.high is not None and not any(c.factor.sliding for c in dispensed.counted)
    dispensed_first = days is None or (mme.dose is not None and mme.dose.basis is Basis.SUPPLY)
    if by_quantity and dispensed_first and dispensed.high is not None:
        return settled(dispensed.high, AMOUNT_PLACES), dispensed.complete
    if days is None or mme.high is None:
        return None, False
    return settled(mme.high * days, AMOUNT_PLACES), mme.complete


# --- each day ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """Consecutive days with the same total. Not ``complete``: at least so much."""

    first: date
    last: date
    mme: Decimal
    complete: bool
    medicines: int

    @property
    def days(self) -> int:
        """How many days it lasts."""
        return (self.last - self.first).days + 1


def daily_steps(
    taken: Sequence[Stretch], factor_set: FactorSet, *, last_days: Sequence[int] | None = None
) -> tuple[Step, ...]:
    """MME a day as steps in order, days without any supply left out; supplies add up.

    A supply of unknown length counts on the one day on which it certainly began. ``last_days`` are other
    ends for the same supplies, as ``continued`` gives them.
    """
    ends = [t.last for t in taken] if last_days is None else list(last_days)
    parts = [(t, end) for t, end in zip(taken, ends, strict=True) if t.counted and end >= t.first]
    starting: dict[int, list[int]] = {}
    ending: dict[int, list[int]] = {}
    for index, (stretch, end) in enumerate(parts):
        starting.setdefault(stretch.first, []).append(index)
        ending.setdefault(end + 1, []).append(index)
    edges = sorted(starting.keys() | ending.keys())
    here: set[int] = set()
    steps = []
    for position, edge in enumerate(edges):
        here.difference_update(ending.get(edge, ()))
        here.update(starting.get(edge, ()))
        if here:
            now = [parts[index][0] for index in sorted(here)]
            steps.append(
                Step(
                    date.fromordinal(edge),
                    date.fromordinal(edges[position + 1] - 1),
                    _together(now, factor_set),
                    all(s.complete for s in now),
                    len(now),
                )
            )
    return tuple(steps)


def _together(now: Sequence[Stretch], factor_set: FactorSet) -> Decimal:
    daily = sum((s.daily for s in now if s.daily is not None), _ZERO)
    sliding = [s.mme for s in now if any(c.factor.sliding for c in s.mme.counted)]
    if len(sliding) > 1:
        # Two bottles of methadone are one dose: the factor is that of their sum.
        known = sum((m.high for m in sliding if m.high is not None), _ZERO)
        daily += (total(sliding, factor_set).high or _ZERO) - known
    return settled(daily, AMOUNT_PLACES)


def continued(taken: Sequence[Stretch], *, carry_days: int) -> tuple[int, ...]:
    """The last day of each supply when a fill that runs out within ``carry_days`` of the next one of the
    same product is taken as what the next one continues: it ends on the day before."""
    starts: dict[object, list[int]] = {}
    for stretch in taken:
        starts.setdefault(_product(stretch), []).append(stretch.first)
    ends = []
    for stretch in taken:
        earliest = max(stretch.first + 1, stretch.last - carry_days + 1)
        later = (s for s in starts[_product(stretch)] if earliest <= s <= stretch.last)
        ends.append(min(later, default=stretch.last + 1) - 1)
    return tuple(ends)


def _product(stretch: Stretch) -> object:
    drug = stretch.exposure.drug
    return stretch.exposure.supply.medication.label if drug is None else drug.strengths


# --- the four definitions ---------------------------------------------------------------------------


class Definition(StrEnum):
    """The four published definitions of daily MME when supplies overlap."""

    TOTAL_DAYS_SUPPLY = "total-days-supply"  # all MME by all days' supply: days that overlap count twice
    ON_THERAPY_DAYS = "on-therapy-days"  # all MME by the calendar days covered
    FIXED_WINDOW = "fixed-window"  # all MME by the days of a window that was set in advance
    MAXIMUM_DAILY_DOSE = "maximum-daily-dose"  # the highest total of any day


@dataclass(frozen=True, slots=True)
class Figure:
    """Daily MME by one definition, under one factor set, over ``first`` to ``until``.

    ``amount`` MME by ``days``; of the maximum daily dose, that of the one day. ``value`` is ``None`` when
    there is nothing to tell it from: no day of supply to divide by, or no supply that could be counted.
    Not ``complete``: at least so much, for ``reasons``. ``excluded`` names what the factor set leaves out.
    """

    definition: Definition
    factor_set: str
    first: date
    until: date
    amount: Decimal
    days: int
    value: Decimal | None
    complete: bool
    supplies: int
    reasons: tuple[Reason, ...] = ()
    excluded: tuple[str, ...] = ()

    @property
    def exact(self) -> Fraction | None:
        """The value as a fraction, before it is rounded to a billionth."""
        return None if self.value is None else Fraction(self.amount) / self.days


def daily_mme_figures(
    taken: Sequence[Stretch], first: date, until: date, factor_set: FactorSet, *, unknown_days: int
) -> dict[Definition, Figure]:
    """All four definitions over one window, both days included.

    The first three take the supplies that begin within the window, whole; the maximum daily dose looks at
    every day of the window, whenever its supplies began. A supply of unknown dose counts with its days and
    no MME, one of unknown length with ``unknown_days``, so that what remains is a lower bound.
    """
    window = (first.toordinal(), until.toordinal())
    inside = [t for t in taken if t.counted and window[0] <= t.first <= window[1]]
    amount = sum((t.amount for t in inside if t.amount is not None), _ZERO)
    supplied = sum(unknown_days if t.days is None else t.days for t in inside)
    covered = union(_covered(t, unknown_days) for t in inside)
    unique = sum(last - start + 1 for start, last in covered)
    told = not inside or any(t.amount is not None for t in inside)
    excluded = tuple(dict.fromkeys(name for t in taken for name in t.mme.excluded if _within(t, window)))
    doubtful = [t for t in inside if not t.complete]

    def figure(definition: Definition, days: int, doubtful: Sequence[Stretch]) -> Figure:
        value = settled(amount / days, AMOUNT_PLACES) if told and days else None
        return Figure(
            definition,
            factor_set.id,
            first,
            until,
            amount,
            days,
            value,
            not doubtful,
            len(inside),
            _reasons(doubtful),
            excluded,
        )

    # Without its length a supply still has its amount, and the fixed window needs no other length.
    unweighed = [t for t in doubtful if not t.whole]
    return {
        Definition.TOTAL_DAYS_SUPPLY: figure(Definition.TOTAL_DAYS_SUPPLY, supplied, doubtful),
        Definition.ON_THERAPY_DAYS: figure(Definition.ON_THERAPY_DAYS, unique, doubtful),
        Definition.FIXED_WINDOW: figure(Definition.FIXED_WINDOW, window[1] - window[0] + 1, unweighed),
        Definition.MAXIMUM_DAILY_DOSE: _maximum(taken, window, factor_set, excluded, unknown_days),
    }


def _covered(stretch: Stretch, unknown_days: int) -> Span:
    return stretch.first, stretch.last if stretch.days is not None else stretch.first + unknown_days - 1


def _within(stretch: Stretch, window: Span) -> bool:
    return stretch.first <= window[1] and stretch.last >= window[0]


def _maximum(
    taken: Sequence[Stretch],
    window: Span,
    factor_set: FactorSet,
    excluded: tuple[str, ...],
    unknown_days: int,
) -> Figure:
    steps = [
        s
        for s in daily_steps(taken, factor_set)
        if s.first.toordinal() <= window[1] and s.last.toordinal() >= window[0]
    ]
    doubtful = [
        t
        for t in taken
        if t.counted
        and not t.complete
        and t.first <= window[1]
        and t.reaches(window[0], unknown_days=unknown_days)
    ]
    told = any(t.daily is not None and _within(t, window) for t in taken)
    highest = max((s.mme for s in steps), default=_ZERO)
    return Figure(
        Definition.MAXIMUM_DAILY_DOSE,
        factor_set.id,
        date.fromordinal(window[0]),
        date.fromordinal(window[1]),
        highest,
        1,
        highest if told or not doubtful else None,
        not doubtful,
        sum(1 for t in taken if t.counted and _within(t, window)),
        _reasons(doubtful),
        excluded,
    )


def _reasons(doubtful: Iterable[Stretch]) -> tuple[Reason, ...]:
    return tuple(dict.fromkeys(reason for t in doubtful for reason in t.reasons))


def days_at_or_over(steps: Iterable[Step], limit: Decimal, first: date, until: date) -> int:
    """On how many days of a window the total is at least the limit."""
    over = [(s.first.toordinal(), s.last.toordinal()) for s in steps if s.mme >= limit]
    return days_within(over, first.toordinal(), until.toordinal())
