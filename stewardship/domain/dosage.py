"""Dose instructions and dispensed quantities -> milligrams a day; says when it cannot tell.

Two roads lead to a daily dose: the signature (as written) and the supply (quantity divided by days'
supply, as dispensed). Both are computed where both are known, because the written and the dispensed dose
often differ; ``gap`` reports it.

What is read, and what is refused:

* A dose with a unit that does not fit the product (a patch of a tablet) is ``unit-ambiguous``; a unit
  that is not in the table is ``unit-unknown``. Neither is converted by guess.
* A missing frequency is never once a day. The one way round it is a stated maximum a day, which is then
  the high end of a range that starts at zero.
* As needed: the low end is zero, the high end is what the instruction allows at its shortest interval.
* A medicine that is not taken every day has its average as the low end and what is taken on a day of
  use as the high end, for the body has no week to average over.
* Instructions with the same sequence number, or none, are taken together and add up. Numbered steps that
  say how long each lasts (the last may stay open) are a taper: the range spans all its steps. Numbered
  steps that do not say it are added up, which is the highest reading.

Arithmetic is ``decimal`` at 28 digits with division last; a result that is not finite in decimals is
rounded once, at the 15th decimal place of a milligram, so that three thirds are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from stewardship.domain.drugs import Drug
from stewardship.domain.units import EACH, PATCH, Untold, counted_in, mg_in_one, product_units
from stewardship.domain.use import Use, use_of, wear_days
from stewardship.domain.values import quick


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount and its unit. Units are UCUM where they exist (``mg``, ``ug``, ``g``, ``mL``, ``L``,
    ``[tsp_m]``, ``[tbs_m]``, ``ug/h``, ``mg/h``), otherwise the counted thing in singular lower case
    (``tablet``, ``capsule``, ``patch``, ``actuation``, ``film``, ``lozenge``, ``suppository``; ``each``
    is one of whatever the product is counted in). ``""`` means that no unit was written."""

    value: Decimal
    unit: str = ""


@quick
@dataclass(frozen=True, slots=True)
class DosageInstruction:
    """One FHIR Dosage, translated at the edge. ``None`` always means: not stated.

    ``dose_low``/``dose_high`` are equal for a doseQuantity and differ for a doseRange; both carry
    ``dose_unit``. A rate is an amount per time: ``rate_low``/``rate_high`` in ``rate_unit`` per
    ``rate_hours`` hours. ``frequency`` to ``frequency_max`` times per ``period`` to ``period_max``
    ``period_unit`` (``s min h d wk mo``). ``times_of_day`` counts timeOfDay entries, ``when`` counts
    event timings (HS, ACM ...), ``days_of_week`` counts the days named.
    ``duration_days`` bounds this step, for tapers written as a sequence of instructions.
    ``max_per_day`` is maxDosePerPeriod brought to one day. ``problems`` names what the reader met and
    could not translate (e.g. ``timing.code``): a dosage with problems cannot tell.
    """

    sequence: int | None = None
    text: str = ""
    dose_low: Decimal | None = None
    dose_high: Decimal | None = None
    dose_unit: str = ""
    rate_low: Decimal | None = None
    rate_high: Decimal | None = None
    rate_unit: str = ""
    rate_hours: Decimal | None = None
    frequency: Decimal | None = None
    frequency_max: Decimal | None = None
    period: Decimal | None = None
    period_max: Decimal | None = None
    period_unit: str = ""
    times_of_day: int = 0
    when: int = 0
    days_of_week: int = 0
    as_needed: bool = False
    duration_days: Decimal | None = None
    max_per_day: Quantity | None = None
    problems: tuple[str, ...] = ()


class Basis(StrEnum):
    """What a daily dose was computed from."""

    SIGNATURE = "signature"  # the dosage instruction, as written
    SUPPLY = "supply"  # quantity divided by days' supply, as dispensed


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something could not be told: a code for programs and the thing it is about for people.

    Codes: ``drug-unknown``, ``strength-unknown``, ``dose-missing``, ``frequency-missing``,
    ``unit-unknown``, ``unit-ambiguous``, ``wear-time-missing``, ``factor-missing``, ``quantity-missing``,
    ``days-supply-missing``, ``instruction-not-understood``.

    As a note beside an answer: ``unit-assumed`` (a bare number was read as tablets or capsules),
    ``ceiling-used`` (only the maximum a day was stated), ``steps-added`` (numbered steps without lengths).
    """

    code: str
    about: str


@quick
@dataclass(frozen=True, slots=True)
class DailyDose:
    """Milligrams of each ingredient in a day, from low to high.

    ``amounts`` maps nothing silently to zero: an ingredient whose amount cannot be told is absent
    from it and named in ``reasons``. When one of several instructions could not be read, ``amounts``
    holds what the others come to: with ``reasons``, everything here is a lower bound.
    ``units_low``/``units_high`` are product units a day (tablets, mL, patches worn, actuations), ``None``
    when nothing is told. ``notes`` say what was assumed.
    """

    basis: Basis
    units_low: Decimal | None
    units_high: Decimal | None
    amounts: tuple[IngredientDose, ...] = ()
    reasons: tuple[Reason, ...] = ()
    notes: tuple[Reason, ...] = ()

    @property
    def told(self) -> bool:
        """Whether every ingredient's amount is known."""
        return not self.reasons


@quick
@dataclass(frozen=True, slots=True)
class IngredientDose:
    """Milligrams of one ingredient a day (for a patch: mg released in 24 hours at its stated rate)."""

    ingredient: str
    rxcui: str
    mg_low: Decimal
    mg_high: Decimal
    opioid: bool = False


@dataclass(frozen=True, slots=True)
class TaperStep:
    """One step of a taper: its number as written, how many days it lasts if that is stated, its dose."""

    sequence: int | None
    duration_days: Decimal | None
    dose: DailyDose


@dataclass(frozen=True, slots=True)
class DoseGap:
    """The dispensed dose lies outside the written range by more than the tolerance.

    Product units a day. ``percent`` is how far outside the nearer end, in percent of that end; ``None``
    when that end is zero.
    """

    signature_low: Decimal
    signature_high: Decimal
    supply: Decimal
    percent: Decimal | None


_ZERO = Decimal(0)
_ONE = Decimal(1)
_DAY_HOURS = Decimal(24)
_MG_PLACES = Decimal("1e-15")


def settled(value: Decimal, places: Decimal) -> Decimal:
    """The value, or its nearest neighbour at ``places`` when it has more digits than that."""
    nearest = value.quantize(places)
    return value if nearest == value else nearest


def _reasons(untold: Untold, drug: Drug) -> tuple[Reason, ...]:
    about = drug.name if untold.unit is None else f"{untold.written}: {drug.name}"
    return tuple(Reason(code, about) for code in untold.codes)


# --- all instructions of a prescription ------------------------------------------------------------


def _steps(instructions: Sequence[DosageInstruction]) -> list[list[DosageInstruction]]:
    """Instructions taken together, one list for each step of a taper."""
    numbers = {i.sequence for i in instructions}
    if len(numbers) == 1 or None in numbers:
        return [list(instructions)]
    steps = [
        [i for i in instructions if i.sequence == n] for n in sorted(n for n in numbers if n is not None)
    ]
    if all(_duration(step) is not None for step in steps[:-1]):
        return steps
    return [list(instructions)]


def _duration(step: Sequence[DosageInstruction]) -> Decimal | None:
    """How long a step lasts: as long as the longest of what is taken together in it."""
    longest = _ZERO
    for instruction in step:
        days = instruction.duration_days
        if days is None or not days.is_finite() or days <= 0:
            return None
        longest = max(longest, days)
    return longest


def _together(
    step: Sequence[DosageInstruction], drug: Drug, counted: str
) -> tuple[Use | None, tuple[Reason, ...], tuple[Reason, ...]]:
    """The sum of what is taken together; what could not be read; what was assumed."""
    total: Use | None = None
    reasons: tuple[Reason, ...] = ()
    notes: tuple[Reason, ...] = ()
    for instruction in step:
        try:
            use = use_of(instruction, drug, counted)
            total = use if total is None else total.plus(use)
        except Untold as untold:
            reasons += _reasons(untold, drug)
            continue
        except ArithmeticError:
            reasons += (Reason("instruction-not-understood", drug.name),)
            continue
        if use.of_ceiling:
            notes += (Reason("ceiling-used", drug.name),)
        elif instruction.dose_unit == "" and instruction.dose_high is not None:
            notes += (Reason("unit-assumed", drug.name),)
    return total, reasons, notes


class _Road(NamedTuple):
    """What one road comes to: product units acting in a day, or ``None`` and the reasons."""

    basis: Basis
    low: Decimal | None
    high: Decimal | None
    reasons: tuple[Reason, ...] = ()
    notes: tuple[Reason, ...] = ()


def _written(instructions: Sequence[DosageInstruction], drug: Drug | None) -> _Road:
    """The signature's road."""
    if drug is None:
        return _Road(Basis.SIGNATURE, None, None, _UNKNOWN_DRUG)
    if not instructions:
        missing = (Reason("dose-missing", drug.name), Reason("frequency-missing", drug.name))
        return _Road(Basis.SIGNATURE, None, None, missing)
    try:
        counted = counted_in(drug)
    except Untold as untold:
        return _Road(Basis.SIGNATURE, None, None, _reasons(untold, drug))
    if len(instructions) == 1:
        use, reasons, notes = _together(instructions, drug, counted)
        return _Road(Basis.SIGNATURE, use and use.low, use and use.high, reasons, notes)
    steps = _steps(instructions)
    uses: list[Use] = []
    reasons, notes = (), ()
    for step in steps:
        use, why, how = _together(step, drug, counted)
        uses += [use] if use is not None else []
        reasons += why
        notes += how
    if len(steps) == 1 and len({i.sequence for i in instructions}) > 1:
        notes += (Reason("steps-added", drug.name),)
    if not uses:
        return _Road(Basis.SIGNATURE, None, None, reasons, notes)
    # A step that could not be read may be lower than all others.
    low = _ZERO if reasons and len(steps) > 1 else min(use.low for use in uses)
    return _Road(Basis.SIGNATURE, low, max(use.high for use in uses), reasons, notes)


def _dispensed(drug: Drug | None, quantity: Quantity | None, days_supply: Decimal | None) -> _Road:
    """The supply's road."""
    if drug is None:
        return _Road(Basis.SUPPLY, None, None, _UNKNOWN_DRUG)
    if quantity is None or days_supply is None:
        missing = [] if quantity else [Reason("quantity-missing", drug.name)]
        missing += [] if days_supply is not None else [Reason("days-supply-missing", drug.name)]
        return _Road(Basis.SUPPLY, None, None, tuple(missing))
    try:
        counted = counted_in(drug)
        wear = wear_days(drug, counted)
        units = _dispensed_units(quantity, drug, counted)
        if not days_supply.is_finite() or days_supply <= 0:
            raise Untold("days-supply-missing")
        a_day = units * wear / days_supply
        return _Road(Basis.SUPPLY, a_day, a_day)
    except Untold as untold:
        return _Road(Basis.SUPPLY, None, None, _reasons(untold, drug))
    except ArithmeticError:
        return _Road(Basis.SUPPLY, None, None, (Reason("quantity-missing", drug.name),))


def _dose(road: _Road, drug: Drug | None) -> DailyDose:
    """Milligrams of each ingredient in what a road comes to."""
    basis, low, high, reasons, notes = road
    if drug is None or low is None or high is None:
        return DailyDose(basis, None, None, (), reasons, notes)
    amounts = []
    try:
        # A number of units with few digits gives milligrams with few digits: nothing to round.
        units_low, units_high = settled(low, _MG_PLACES), settled(high, _MG_PLACES)
        endless = units_low is not low or units_high is not high
        for ingredient in drug.ingredients:
            mg = mg_in_one(ingredient)
            if mg is None:
                reasons += (Reason("strength-unknown", ingredient.name),)
                continue
            if ingredient.unit.endswith("/HR"):
                mg *= _DAY_HOURS
            mg_high = settled(mg * high, _MG_PLACES) if endless else mg * high
            mg_low = mg_high
            if low != high:
                mg_low = settled(mg * low, _MG_PLACES) if endless else mg * low
            amounts.append(
                IngredientDose(ingredient.name, ingredient.rxcui, mg_low, mg_high, ingredient.opioid)
            )
        return DailyDose(basis, units_low, units_high, tuple(amounts), reasons, notes)
    except ArithmeticError:
        return DailyDose(
            basis, None, None, (), (*reasons, Reason("instruction-not-understood", drug.name)), notes
        )


_UNKNOWN_DRUG = (Reason("drug-unknown", "medicine"),)


def signature_dose(instructions: Sequence[DosageInstruction], drug: Drug | None) -> DailyDose:
    """The daily dose as written. Of a taper, the range spans its steps; see ``taper_steps`` for each."""
    return _dose(_written(instructions, drug), drug)


def taper_steps(instructions: Sequence[DosageInstruction], drug: Drug | None) -> tuple[TaperStep, ...]:
    """Each step of a prescription in order, with its own daily dose; one step when it is no taper."""
    return tuple(
        TaperStep(step[0].sequence, _duration(step), signature_dose(step, drug))
        for step in (_steps(instructions) if instructions else [])
    )


def supply_dose(drug: Drug | None, quantity: Quantity | None, days_supply: Decimal | None) -> DailyDose:
    """The daily dose as dispensed: quantity divided by days' supply."""
    return _dose(_dispensed(drug, quantity, days_supply), drug)


def _dispensed_units(quantity: Quantity, drug: Drug, counted: str) -> Decimal:
    """A dispensed quantity in product units. A bare number of a counted product counts it; a mass is
    refused, for 240 g of a syrup are grams of the syrup."""
    if not quantity.value.is_finite() or quantity.value <= 0:
        raise Untold("quantity-missing")
    if quantity.unit == "" and counted in (EACH, PATCH):
        return quantity.value
    return product_units(quantity.value, quantity.unit, drug, counted, dispensed=True)


def doses(
    drug: Drug | None,
    dosage: Sequence[DosageInstruction],
    quantity: Quantity | None,
    days_supply: Decimal | None,
) -> tuple[DailyDose, ...]:
    """The daily dose by every road for which something is stated: signature first, then supply.

    At least one; when nothing is stated, the answer is the signature's, with its reasons."""
    return tuple(_dose(road, drug) for road in _roads(drug, dosage, quantity, days_supply))


def highest_dose(
    drug: Drug | None,
    dosage: Sequence[DosageInstruction],
    quantity: Quantity | None,
    days_supply: Decimal | None,
) -> DailyDose:
    """The one of ``doses`` that policies use: the one that comes to most as far as it can be told, and of
    equals the one that is wholly told. What is certain of half a signature outweighs a smaller supply."""
    roads = _roads(drug, dosage, quantity, days_supply)
    best = roads[0] if len(roads) == 1 else max(roads, key=_weight)
    return _dose(best, drug)


def _weight(road: _Road) -> tuple[Decimal, bool]:
    return (road.high if road.high is not None else -_ONE, not road.reasons)


def _roads(
    drug: Drug | None,
    dosage: Sequence[DosageInstruction],
    quantity: Quantity | None,
    days_supply: Decimal | None,
) -> list[_Road]:
    if quantity is None or days_supply is None:
        return [_written(dosage, drug)]
    if not dosage:
        return [_dispensed(drug, quantity, days_supply)]
    return [_written(dosage, drug), _dispensed(drug, quantity, days_supply)]


def gap(signature: DailyDose, supply: DailyDose, *, tolerance_percent: Decimal) -> DoseGap | None:
    """How far the dispensed dose lies outside the written range; ``None`` within the tolerance, or when
    either cannot be told."""
    low, high, given = signature.units_low, signature.units_high, supply.units_high
    if low is None or high is None or given is None or signature.reasons or supply.reasons:
        return None
    end = low if given < low else high
    outside = abs(given - end)
    if low <= given <= high or outside * 100 <= tolerance_percent * end:
        return None
    return DoseGap(low, high, given, outside * 100 / end if end else None)


def expected_days_range(
    drug: Drug | None, dosage: Sequence[DosageInstruction], quantity: Quantity | None
) -> tuple[Decimal, Decimal | None] | None:
    """How many days a quantity lasts by the signature, from the highest use to the lowest.

    ``None`` when it cannot be told; the high end is ``None`` when the lowest use is none at all. The last
    step is taken to go on until the quantity is used up: what is left over is still in the house.
    """
    if drug is None or quantity is None or not dosage:
        return None
    try:
        counted = counted_in(drug)
        units = _dispensed_units(quantity, drug, counted)
        steps = []
        for step in _steps(dosage):
            use, reasons, _ = _together(step, drug, counted)
            if use is None or reasons:
                return None
            steps.append((_duration(step), use))
        shortest = _lasts(units, [(days, use.spent_high) for days, use in steps])
        longest = _lasts(units, [(days, use.spent_low) for days, use in steps])
    except (Untold, ArithmeticError):
        return None
    return None if shortest is None else (shortest, longest)


def _lasts(units: Decimal, steps: Sequence[tuple[Decimal | None, Decimal]]) -> Decimal | None:
    """Days until the units are used up; ``None`` when they never are."""
    days = _ZERO
    for duration, spent in steps[:-1]:
        if duration is None or spent * duration >= units:
            return settled(days + units / spent, _MG_PLACES) if spent else None
        units -= spent * duration
        days += duration
    spent = steps[-1][1]
    return settled(days + units / spent, _MG_PLACES) if spent else None


def expected_days(
    drug: Drug | None, dosage: Sequence[DosageInstruction], quantity: Quantity | None
) -> Decimal | None:
    """How many days a quantity lasts at the highest use that the signature allows."""
    implied = expected_days_range(drug, dosage, quantity)
    return None if implied is None else implied[0]


@dataclass(frozen=True, slots=True)
class IngredientTotal:
    """Milligrams a day of one ingredient over several medicines. Not ``complete``: at least so much, and
    ``None`` when nothing of it could be told."""

    mg_low: Decimal | None
    mg_high: Decimal | None
    complete: bool
    reasons: tuple[Reason, ...] = ()


def daily_ingredient(taken: Iterable[tuple[Drug | None, DailyDose]], rxcui: str) -> IngredientTotal:
    """One ingredient a day, by its RxNorm code, over all medicines, combination products included."""
    low = high = _ZERO
    reasons: tuple[Reason, ...] = ()
    for drug, dose in taken:
        names = {i.name for i in drug.ingredients if i.rxcui == rxcui} if drug is not None else set()
        if drug is not None and not names:
            continue
        reasons += tuple(
            r for r in dose.reasons if drug is None or r.code != "strength-unknown" or r.about in names
        )
        for amount in dose.amounts:
            if amount.rxcui == rxcui:
                low += amount.mg_low
                high += amount.mg_high
    if reasons and not high:
        return IngredientTotal(None, None, False, reasons)
    return IngredientTotal(settled(low, _MG_PLACES), settled(high, _MG_PLACES), not reasons, reasons)
