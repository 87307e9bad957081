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

from stewardship.domain.dosage import (
    Basis,
    DailyDose,
    DosageInstruction,
    IngredientDose,
    Quantity,
    Reason,
    doses,
    settled,
)
from stewardship.domain.drugs import Drug, DrugClass

_ZERO = Decimal(0)
_ONE_PLACES = Decimal("1e-12")
_TOTAL_PLACES = Decimal("1e-9")


class Per(StrEnum):
    """What a factor multiplies."""

    MG = "mg"  # milligrams a day
    UG = "ug"  # micrograms a day
    UG_PER_HOUR = "ug/h"  # micrograms an hour given off by the patches worn
    UG_PER_HOUR_APPLIED = "ug/h applied"  # strength in ug/h times patches applied a day


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


@dataclass(frozen=True, slots=True)
class Counted:
    """One ingredient's share: its milligrams a day, the factor, the MME that they make."""

    dose: IngredientDose
    factor: Factor
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class MME:
    """MME a day of one medicine, from low to high; policies use ``high``.

    ``low``/``high`` are ``None`` when nothing of it could be counted; with ``complete`` false they are
    a lower bound. A medicine without opioids is complete at zero. ``excluded`` names opioid ingredients
    that the set leaves out.
    """

    factor_set: str
    low: Decimal | None
    high: Decimal | None
    complete: bool
    reasons: tuple[Reason, ...] = ()
    excluded: tuple[str, ...] = ()
    counted: tuple[Counted, ...] = ()
    basis: Basis | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """MME a day of several medicines taken together; ``None`` and ``complete`` as for one (``MME``).
    ``uncounted`` is how many of the ``medicines`` could not be counted, in whole or in part."""

    factor_set: str
    low: Decimal | None
    high: Decimal | None
    complete: bool
    medicines: int
    uncounted: int
    reasons: tuple[Reason, ...] = ()
    excluded: tuple[str, ...] = ()

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
        """The total for people: ``30 to 60 MME/day``, ``at least 30 MME/day, incomplete``."""
        if self.high is None or self.low is None:
            return "MME/day cannot be told"
        amount = span(self.low, self.high)
        return f"{amount} MME/day" if self.complete else f"at least {amount} MME/day, incomplete"


def mme(dose: DailyDose, drug: Drug | None, factor_set: FactorSet) -> MME:
    """MME a day of one medicine at one daily dose."""
    if drug is None:
        return MME(factor_set.id, None, None, False, dose.reasons, basis=dose.basis)
    if not any(i.opioid for i in drug.ingredients):
        if drug.is_a(DrugClass.OPIOID) or not drug.ingredients:
            reason = Reason("strength-unknown", drug.name)
            return MME(factor_set.id, None, None, False, (*dose.reasons, reason), basis=dose.basis)
        return MME(factor_set.id, _ZERO, _ZERO, True, basis=dose.basis)
    told = {amount.rxcui: amount for amount in dose.amounts if amount.opioid}
    reasons = [r for r in dose.reasons if r.code != "strength-unknown"]
    excluded: list[str] = []
    counted: list[Counted] = []
    for ingredient in drug.ingredients:
        if not ingredient.opioid:
            continue
        if ingredient.rxcui in factor_set.excluded or (
            factor_set.excludes_oud_treatment and drug.is_a(DrugClass.OUD_TREATMENT)
        ):
            excluded.append(ingredient.name)
            continue
        factor = factor_set.factors.get((ingredient.rxcui, drug.form))
        if factor is None:
            reasons.append(Reason("factor-missing", f"{ingredient.name} ({drug.form}) in {factor_set.id}"))
            continue
        amount = told.get(ingredient.rxcui)
        if amount is None:
            reasons += [r for r in dose.reasons if r.code == "strength-unknown"]
            continue
        high = settled(factor.mme(amount.mg_high), _ONE_PLACES)
        low = high if amount.mg_low == amount.mg_high else settled(factor.mme(amount.mg_low), _ONE_PLACES)
        counted.append(Counted(amount, factor, low, high))
    if excluded and not counted and all(r.code != "factor-missing" for r in reasons):
        # What the set leaves out is left out whatever its dose.
        return MME(factor_set.id, None, None, True, (), tuple(excluded), basis=dose.basis)
    if not counted:
        return MME(factor_set.id, None, None, False, tuple(reasons), tuple(excluded), basis=dose.basis)
    return MME(
        factor_set.id,
        sum((c.low for c in counted), _ZERO),
        sum((c.high for c in counted), _ZERO),
        not reasons,
        tuple(reasons),
        tuple(excluded),
        tuple(counted),
        dose.basis,
    )


def highest(parts: Sequence[MME]) -> MME:
    """One medicine counted by several roads (signature and supply): of those that are complete, the one
    that comes to most, for policies use the maximum; without one, the one that comes to most so far."""
    complete = [part for part in parts if part.complete]
    return max(complete or parts, key=lambda part: _ZERO if part.high is None else part.high)


def daily_mme(
    drug: Drug | None,
    dosage: Sequence[DosageInstruction],
    quantity: Quantity | None,
    days_supply: Decimal | None,
    factor_set: FactorSet,
) -> MME:
    """MME a day of one order or supply: the highest that its signature or its supply comes to."""
    return highest([mme(dose, drug, factor_set) for dose in doses(drug, dosage, quantity, days_supply)])


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
    for shares in sliding.values():
        if len(shares) > 1:
            factor = shares[0].factor
            low += factor.mme(sum((s.dose.mg_low for s in shares), _ZERO)) - sum(
                (s.low for s in shares), _ZERO
            )
            high += factor.mme(sum((s.dose.mg_high for s in shares), _ZERO)) - sum(
                (s.high for s in shares), _ZERO
            )
    if nothing and uncounted:
        return Total(factor_set.id, None, None, False, medicines, uncounted, tuple(reasons), tuple(excluded))
    return Total(
        factor_set.id,
        settled(low, _TOTAL_PLACES),
        settled(high, _TOTAL_PLACES),
        not uncounted,
        medicines,
        uncounted,
        tuple(reasons),
        tuple(excluded),
    )


# --- for people ---------------------------------------------------------------------------------------


def shown(value: Decimal) -> str:
    """A number for people: at most two decimal places, rounded half up, no trailing zeros."""
    text = f"{value.quantize(Decimal('0.01'), ROUND_HALF_UP):f}"
    return text.rstrip("0").rstrip(".")


def span(low: Decimal, high: Decimal) -> str:
    """``4`` or ``0 to 12``."""
    return shown(high) if low == high else f"{shown(low)} to {shown(high)}"
