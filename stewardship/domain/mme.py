"""Morphine milligram equivalents a day, under a named factor set, with the arithmetic shown.

A number of MME means nothing without its factor set, so every value carries one. What has no factor is
``factor-missing`` and makes a total "at least", never zero. What a set leaves out on purpose
(buprenorphine under the CDC sets) is ``excluded``: named, not zero, and not a gap either.

MME are for judging risk. They do not convert one opioid into another, and nothing here does.

Values are exact decimals; those that are not finite are rounded once, at the 12th decimal place for one
medicine and the 9th for a total, so that comparing with a limit is exact. ``shown`` rounds for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import NamedTuple

from stewardship.domain.dosage import (
    DailyDose,
    DosageInstruction,
    IngredientDose,
    Quantity,
    Reason,
    highest_dose,
    settled,
)
from stewardship.domain.drugs import Drug, DrugClass, Ingredient
from stewardship.domain.units import mg_in_one, unit_word
from stewardship.domain.values import quick

_ZERO = Decimal(0)
_ONE_PLACES = Decimal("1e-12")
_TOTAL_PLACES = Decimal("1e-9")


class Per(StrEnum):
    """What a factor multiplies."""

    MG = "mg"  # milligrams a day
    UG = "ug"  # micrograms a day
    UG_PER_HOUR = "ug/h"  # micrograms an hour given off by the patches worn
    UG_PER_HOUR_APPLIED = "ug/h applied"  # strength in ug/h times patches applied a day

    @property
    def of_a_patch(self) -> bool:
        """Whether the factor is for what a patch gives off by the hour (not for a device that is pressed)."""
        return self is Per.UG_PER_HOUR or self is Per.UG_PER_HOUR_APPLIED


@dataclass(frozen=True, slots=True)
class Band:
    """A factor for daily doses above the band before, up to and including ``up_to`` mg (``None``: all)."""

    up_to: Decimal | None
    value: Decimal


@dataclass(frozen=True, slots=True)
class Factor:
    """The factor of one ingredient in some dose forms. ``bands`` slide with the milligrams a day and
    cover the half-open line; a single band is a plain factor. ``lasts_days`` is how long the published
    factor takes one patch to be worn, for factors per patch applied. ``title`` names the row for people."""

    ingredient: str
    rxcui: str
    per: Per
    bands: tuple[Band, ...]
    lasts_days: Decimal | None = None
    verified: bool = True

    @property
    def sliding(self) -> bool:
        """Whether the factor depends on the dose."""
        return len(self.bands) > 1

    def at(self, mg: Decimal) -> Decimal:
        """The published factor that holds at so many milligrams a day."""
        for band in self.bands:
            if band.up_to is None or mg <= band.up_to:
                return band.value
        raise ValueError(f"the bands of {self.ingredient} end below {mg} mg")

    def amount(self, mg: Decimal) -> Decimal:
        """Milligrams a day in the measure that the factor multiplies."""
        if self.per is Per.MG:
            return mg
        if self.per is Per.UG:
            return mg * 1000
        if self.per is Per.UG_PER_HOUR or self.lasts_days is None:
            return mg * 1000 / 24
        return mg * 1000 / (24 * self.lasts_days)

    def mme(self, mg: Decimal) -> Decimal:
        """MME a day of so many milligrams a day."""
        return self.amount(mg) * (self.bands[0].value if len(self.bands) == 1 else self.at(mg))


@dataclass(frozen=True, slots=True)
class FactorSet:
    """A published table of factors. ``factors`` is keyed by (ingredient RxCUI, dose form in lower case):
    a form that the table does not speak of has no factor (a tablet's factor is not an injection's).
    ``excluded`` ingredients are left out of MME by the set; ``excludes_oud_treatment`` leaves out products
    approved for opioid use disorder only. ``verified`` is ``False`` when a row was not read in a source."""

    id: str
    title: str
    publisher: str
    date: date
    url: str
    factors: Mapping[tuple[str, str], Factor]
    excluded: frozenset[str] = frozenset()
    excludes_oud_treatment: bool = False
    verified: bool = True
    note: str = ""

    def factor(self, rxcui: str, form: str) -> Factor | None:
        """The factor of an ingredient in a dose form; ``None`` when the set has none."""
        return self.factors.get((rxcui, form))


class Counted(NamedTuple):
    """One ingredient's share: its milligrams a day, the factor, the MME that they make."""

    dose: IngredientDose
    factor: Factor
    low: Decimal
    high: Decimal


@quick
@dataclass(frozen=True, slots=True)
class MME:
    """MME a day of one medicine, from low to high; policies use ``high``.

    ``low``/``high`` are ``None`` when nothing of it could be counted; with ``complete`` false they are
    a lower bound. A medicine without opioids is complete at zero. ``excluded`` names opioid ingredients
    that the set leaves out. ``dose`` is what it was computed from; ``arithmetic`` shows the lines.
    """

    factor_set: str
    low: Decimal | None
    high: Decimal | None
    complete: bool
    reasons: tuple[Reason, ...] = ()
    excluded: tuple[str, ...] = ()
    counted: tuple[Counted, ...] = ()
    dose: DailyDose | None = None


@quick
@dataclass(frozen=True, slots=True)
class Total:
    """MME a day of several medicines taken together; ``None`` and ``complete`` as for one (``MME``).
    ``uncounted`` is how many of the ``medicines`` could not be counted, in whole or in part. ``together``
    are the sums that only the total can make: a sliding factor at the sum of several medicines."""

    factor_set: str
    low: Decimal | None
    high: Decimal | None
    complete: bool
    medicines: int
    uncounted: int
    reasons: tuple[Reason, ...] = ()
    excluded: tuple[str, ...] = ()
    together: tuple[str, ...] = ()

    def exceeds(self, limit: Decimal) -> bool | None:
        """Whether the highest daily total is over the limit; ``None`` when that cannot be told."""
        return self._beyond(self.high is not None and self.high > limit)

    def reaches(self, limit: Decimal) -> bool | None:
        """Whether the highest daily total is at or over the limit; ``None`` when that cannot be told."""
        return self._beyond(self.high is not None and self.high >= limit)

    def _beyond(self, beyond: bool) -> bool | None:
        # A lower bound over the limit is over it; under it, an incomplete total says nothing.
        return True if beyond else (False if self.complete else None)

    @property
    def words(self) -> str:
        """The total for people: ``30 to 60 MME/day``, ``at least 30 MME/day, incomplete``; what the set
        leaves out is named."""
        if self.high is None or self.low is None:
            words = "MME/day cannot be told"
        elif self.complete:
            words = f"{span(self.low, self.high)} MME/day"
        else:
            words = f"at least {span(self.low, self.high)} MME/day, incomplete"
        return f"{words}, {' and '.join(self.excluded)} left out" if self.excluded else words


def mme(dose: DailyDose, drug: Drug | None, factor_set: FactorSet) -> MME:
    """MME a day of one medicine at one daily dose."""
    if drug is None:
        return MME(factor_set.id, None, None, False, dose.reasons, dose=dose)
    opioids = [ingredient for ingredient in drug.ingredients if ingredient.opioid]
    if not opioids:
        if drug.ingredients and not drug.is_a(DrugClass.OPIOID):
            return MME(factor_set.id, _ZERO, _ZERO, True, dose=dose)
        reason = Reason("strength-unknown", drug.name)
        return MME(factor_set.id, None, None, False, (*dose.reasons, reason), dose=dose)
    excluded: list[str] = []
    missing: list[Reason] = []
    counted: list[Counted] = []
    for ingredient in opioids:
        if _left_out(ingredient, drug, factor_set):
            excluded.append(ingredient.name)
            continue
        factor = factor_set.factors.get((ingredient.rxcui, drug.form))
        amount = _amount(dose, ingredient)
        if factor is None or factor.per.of_a_patch != ingredient.unit.endswith("/HR"):
            missing.append(Reason("factor-missing", f"{ingredient.name} ({drug.form}) in {factor_set.id}"))
        elif amount is not None:
            counted.append(_counted(amount, factor))
        elif not dose.reasons:
            missing.append(Reason("dose-missing", ingredient.name))
        else:
            missing += [r for r in dose.reasons if r.code == "strength-unknown"]
    if len(excluded) == len(opioids):
        # What the set leaves out is left out whatever its dose.
        return MME(factor_set.id, None, None, True, (), tuple(excluded), (), dose)
    if dose.reasons:
        missing += [reason for reason in dose.reasons if reason.code != "strength-unknown"]
    low: Decimal | None = None
    high: Decimal | None = None
    for one in counted:
        low = one.low if low is None else low + one.low
        high = one.high if high is None else high + one.high
    return MME(factor_set.id, low, high, not missing, tuple(missing), tuple(excluded), tuple(counted), dose)


def _amount(dose: DailyDose, ingredient: Ingredient) -> IngredientDose | None:
    for amount in dose.amounts:
        if amount.opioid and amount.rxcui == ingredient.rxcui and amount.ingredient == ingredient.name:
            return amount
    return None


def _left_out(ingredient: Ingredient, drug: Drug, factor_set: FactorSet) -> bool:
    return ingredient.rxcui in factor_set.excluded or (
        factor_set.excludes_oud_treatment and DrugClass.OUD_TREATMENT in drug.classes
    )


def _counted(amount: IngredientDose, factor: Factor) -> Counted:
    high = settled(factor.mme(amount.mg_high), _ONE_PLACES)
    low = high if amount.mg_low == amount.mg_high else settled(factor.mme(amount.mg_low), _ONE_PLACES)
    return Counted(amount, factor, low, high)


def daily_mme(
    drug: Drug | None,
    dosage: Sequence[DosageInstruction],
    quantity: Quantity | None,
    days_supply: Decimal | None,
    factor_set: FactorSet,
) -> MME:
    """MME a day of one order or supply, at the highest that its signature or its supply comes to."""
    return mme(highest_dose(drug, dosage, quantity, days_supply), drug, factor_set)


def total(parts: Iterable[MME], factor_set: FactorSet) -> Total:
    """The sum over medicines taken together, each of them once for every supply.

    A sliding factor is taken at the sum of its ingredient's milligrams: two bottles of methadone 20 mg a
    day are 40 mg a day.
    """
    low = high = _ZERO
    nothing = True
    medicines = uncounted = 0
    reasons: list[Reason] = []
    excluded: list[str] = []
    sliding: dict[str, list[Counted]] = {}
    for part in parts:
        if part.factor_set != factor_set.id:
            raise ValueError(f"MME of {part.factor_set} do not add to MME of {factor_set.id}")
        medicines += 1
        excluded += [name for name in part.excluded if name not in excluded]
        if not part.complete:
            uncounted += 1
            reasons += [reason for reason in part.reasons if reason not in reasons]
        if part.low is None or part.high is None:
            continue
        nothing = False
        low += part.low
        high += part.high
        for counted in part.counted:
            if counted.factor.sliding:
                sliding.setdefault(counted.factor.rxcui, []).append(counted)
    together = []
    for shares in sliding.values():
        if len(shares) > 1:
            sum_low, sum_high, line = _slid(shares)
            low += sum_low - sum((s.low for s in shares), _ZERO)
            high += sum_high - sum((s.high for s in shares), _ZERO)
            together.append(line)
    untold = nothing and uncounted > 0
    return Total(
        factor_set.id,
        None if untold else settled(low, _TOTAL_PLACES),
        None if untold else settled(high, _TOTAL_PLACES),
        not uncounted,
        medicines,
        uncounted,
        tuple(reasons),
        tuple(excluded),
        tuple(together),
    )


def _slid(shares: Sequence[Counted]) -> tuple[Decimal, Decimal, str]:
    """A sliding factor at the sum of its ingredient's milligrams, and the line that shows it."""
    factor = shares[0].factor
    mg_low = sum((s.dose.mg_low for s in shares), _ZERO)
    mg_high = sum((s.dose.mg_high for s in shares), _ZERO)
    low, high = factor.mme(mg_low), factor.mme(mg_high)
    line = (
        f"{factor.ingredient} in all: {span(mg_low, mg_high)} mg/day x "
        f"{span(factor.at(mg_low), factor.at(mg_high))} = {span(low, high)} MME/day"
    )
    return low, high, line


# --- for people ---------------------------------------------------------------------------------------


def shown(value: Decimal) -> str:
    """A number for people: at most two decimal places, rounded half up, no trailing zeros."""
    return plain(value.quantize(Decimal("0.01"), ROUND_HALF_UP))


def plain(value: Decimal) -> str:
    """A number exactly, without exponent and trailing zeros (``5.0`` is misread as 50)."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def span(low: Decimal, high: Decimal) -> str:
    """``4`` or ``0 to 12``."""
    return shown(high) if low == high else f"{shown(low)} to {shown(high)}"


def arithmetic(part: MME, drug: Drug) -> tuple[str, ...]:
    """The sums of one medicine, a line for each opioid ingredient.

    ``oxycodone 5 mg x 4 tablets/day = 20 mg/day x 1.5 = 30 MME/day``
    """
    lines = [_line(counted, part, drug) for counted in part.counted]
    lines += [f"{name}: left out of MME by {part.factor_set}" for name in part.excluded]
    return tuple(lines)


def _line(counted: Counted, part: MME, drug: Drug) -> str:
    factor, dose = counted.factor, counted.dose
    strength = next(i for i in drug.ingredients if i.rxcui == dose.rxcui)
    mme_a_day = f"{span(counted.low, counted.high)} MME/day"
    times = span(factor.at(dose.mg_low), factor.at(dose.mg_high))
    begin = f"{dose.ingredient} {_strength(strength)} x {_units(part.dose, drug)}"
    if factor.per is Per.UG_PER_HOUR_APPLIED and factor.lasts_days is not None:
        applied = (
            f"{dose.ingredient} {_strength(strength)} x {_units(part.dose, drug)} / {factor.lasts_days} days"
        )
        return f"{applied} x {times} = {mme_a_day}"
    amounts = span(factor.amount(dose.mg_low), factor.amount(dose.mg_high))
    unit = {Per.MG: "mg/day", Per.UG: "mcg/day"}.get(factor.per, "mcg/h")
    return f"{begin} = {amounts} {unit} x {times} = {mme_a_day}"


def _strength(ingredient: Ingredient) -> str:
    """``5 mg``, ``1 mg/mL``, ``25 mcg/h``: micrograms below one milligram of a patch or a piece."""
    mg = mg_in_one(ingredient)
    per = {"HR": "/h", "ML": "/mL", "ACTUAT": "/actuation"}.get(ingredient.unit.partition("/")[2], "")
    if mg is None:
        return "of unknown strength"
    return f"{plain(mg * 1000)} mcg{per}" if mg < 1 else f"{plain(mg)} mg{per}"


def _units(dose: DailyDose | None, drug: Drug) -> str:
    """``4 tablets/day``, ``1 patch worn``."""
    if dose is None or dose.units_low is None or dose.units_high is None:
        return "an unknown number a day"
    amount = span(dose.units_low, dose.units_high)
    word = unit_word(drug)
    if word == "patch":
        return f"{amount} {'patch' if amount == '1' else 'patches'} worn"
    return f"{amount} {word if amount == '1' or word == 'mL' else word + 's'}/day"
