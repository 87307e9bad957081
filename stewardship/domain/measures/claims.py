"""Dispensings as the claims of a measure: each once, with its day, its days and its MME a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from stewardship.domain.chart import Chart
from stewardship.domain.drugs import Drug, DrugClass
from stewardship.domain.episodes import Span, days_of, days_within, exposures, union
from stewardship.domain.exposure import once, stretches
from stewardship.domain.measures import Counting, Medicines, Over
from stewardship.domain.mme import FactorSet
from stewardship.domain.orders import SupplyKind

DAYS_MISSING = "days-supply-missing"
MME_MISSING = "mme-missing"
NOT_RECOGNISED = "product-not-recognised"


@dataclass(frozen=True, slots=True)
class Claim:
    """One dispensing. ``day`` is an ordinal; ``days`` is ``None`` when not known. ``daily`` is the MME of
    each of its days, zero for what the factor set leaves out; with ``whole`` false a lower bound."""

    id: str
    day: int
    days: int | None
    daily: Decimal
    whole: bool
    prescriber: str
    pharmacy: str
    long_acting: bool = False

    @property
    def last(self) -> int:
        """The last day that it certainly covers."""
        return self.day + (self.days or 1) - 1

    def within(self, last: int) -> int:
        """How many of its days lie no later than ``last``."""
        return max(0, min(self.last, last) - self.day + 1)


@dataclass(frozen=True)
class Claims:
    """One patient's claims in order of day and id; ``unknown`` are of products that nobody recognises."""

    opioids: tuple[Claim, ...]
    benzodiazepines: tuple[Claim, ...]
    unknown: tuple[Claim, ...]


def is_counted(drug: Drug, medicines: Medicines) -> bool:
    """Whether the product is an opioid that the measure counts."""
    return drug.is_a(DrugClass.OPIOID_ANALGESIC) and drug.form not in medicines.excluded_forms


def claims_of(chart: Chart, medicines: Medicines, factor_set: FactorSet) -> Claims:
    """The claims of a chart that a measure looks at. What was prescribed and not dispensed is none."""
    dispensed = (s for s in chart.supplies if s.kind is SupplyKind.DISPENSING and s.start_on is not None)
    kept, _ = once(s for s in dispensed if s.treatment_type not in medicines.excluded_treatment_types)
    taken = {s.exposure.supply.id: s for s in stretches(exposures(kept, as_of=chart.today), factor_set)}
    opioids, benzodiazepines, unknown = [], [], []
    for supply in kept:
        drug, stretch = supply.drug, taken.get(supply.id)
        counted = stretch is not None and stretch.counted
        daily = stretch.daily if counted and stretch is not None else None
        claim = Claim(
            supply.id,
            supply.start_on.toordinal() if supply.start_on else 0,
            days_of(supply),
            daily or Decimal(0),
            not counted or (daily is not None and stretch is not None and stretch.complete),
            supply.prescriber,
            supply.pharmacy,
            drug is not None and drug.is_a(DrugClass.LONG_ACTING_OPIOID),
        )
        if drug is None:
            unknown.append(claim)
        elif is_counted(drug, medicines):
            opioids.append(claim)
        elif drug.is_a(DrugClass.BENZODIAZEPINE):
            benzodiazepines.append(claim)
    return Claims(*(tuple(sorted(each, key=_in_order)) for each in (opioids, benzodiazepines, unknown)))


def _in_order(claim: Claim) -> tuple[int, str]:
    return claim.day, claim.id


def between(claims: Iterable[Claim], first: int, last: int) -> tuple[Claim, ...]:
    """The claims of these days, both included."""
    return tuple(c for c in claims if first <= c.day <= last)


def covered(claims: Sequence[Claim], last: int) -> list[Span]:
    """The days that claims cover, no later than ``last``, each once."""
    return union((c.day, min(c.last, last)) for c in claims)


def days_counted(claims: Sequence[Claim], counting: Counting, last: int) -> int:
    """Days of supply no later than ``last``; of a claim of unknown length the one on which it began."""
    if counting is Counting.SUMMED:
        return sum(c.within(last) for c in claims)
    return sum(b - a + 1 for a, b in covered(claims, last))


def average_mme(claims: Sequence[Claim], over: Over, last: int) -> Fraction | None:
    """MME a day of the days no later than ``last``; ``None`` without a claim."""
    if not claims:
        return None
    if over is Over.EPISODE:
        days = max(min(c.last, last) for c in claims) - claims[0].day + 1
    else:
        days = days_counted(claims, Counting.SUMMED if over is Over.SUPPLIED else Counting.CALENDAR, last)
    return sum((Fraction(c.daily) * c.within(last) for c in claims), Fraction(0)) / days


def overlap(one: Sequence[Claim], other: Sequence[Claim], last: int) -> int:
    """How many days both cover, no later than ``last``."""
    days = covered(other, last)
    return sum(days_within(days, a, b) for a, b in covered(one, last))


def lacks_days(claims: Iterable[Claim]) -> str:
    """Why days of supply are a lower bound; empty when they are not."""
    return DAYS_MISSING if any(c.days is None for c in claims) else ""


def first_named(*reasons: str) -> str:
    """The first reason there is."""
    return next((r for r in reasons if r), "")


def dates(claims: Iterable[Claim]) -> int:
    """On how many different days there were claims."""
    return len({c.day for c in claims})


def when(claims: Sequence[Claim], last: int) -> Mapping[str, date]:
    """The first and the last day of claims."""
    if not claims:
        return {}
    end = max(min(c.last, last) for c in claims)
    return {"first": date.fromordinal(claims[0].day), "last": date.fromordinal(end)}
