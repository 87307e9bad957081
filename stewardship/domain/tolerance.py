"""Opioid tolerance as the FDA labels define it: a dose at or above a stated one, for a week or longer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from stewardship.domain.chart import Chart
from stewardship.domain.dosage import doses
from stewardship.domain.drugs import DrugClass
from stewardship.domain.episodes import DAY, Exposure, is_of


@dataclass(frozen=True, slots=True)
class ToleranceDose:
    """The daily dose of one ingredient that makes tolerant: ``mg_per_day`` by mouth, or released by a
    patch when ``form`` is ``transdermal system``."""

    ingredient: str
    rxcui: str
    mg_per_day: Decimal
    form: str = ""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A published definition of tolerance (``reference/tolerance.toml``)."""

    id: str
    days: int
    doses: tuple[ToleranceDose, ...]


@dataclass(frozen=True, slots=True)
class ToleranceEvidence:
    """``answer`` is ``yes``, ``no`` or ``cannot-tell``; ``because`` is for people."""

    answer: str
    because: str


def tolerance_evidence(definition: Tolerance, chart: Chart, *, before: date) -> ToleranceEvidence:
    """Whether the patient had a tolerance-making dose on each of the ``days`` before a day.

    Doses of different opioids count together as the sum of their shares of the defining dose (the
    label's "or equianalgesic"). The lower end of a dose range is what is certain to be taken; where
    only the higher end reaches the dose, the answer is ``cannot-tell``.
    """
    first = before - definition.days * DAY
    taken = [
        e
        for e in chart.exposures
        if is_of(e, DrugClass.OPIOID) and e.start < before and (e.last is None or e.last >= first)
    ]
    if not taken:
        if chart.history_gaps:
            return ToleranceEvidence("cannot-tell", "the medication history is not complete")
        return ToleranceEvidence("no", f"no opioid in the {definition.days} days before")
    low = high = None
    for offset in range(definition.days):
        day = first + offset * DAY
        day_low, day_high = _share_on(definition, taken, day)
        low = day_low if low is None else min(low, day_low)
        high = day_high if high is None else (None if day_high is None else min(high, day_high))
    if low is not None and low >= 1:
        return ToleranceEvidence(
            "yes", f"a tolerance-making dose on each of the {definition.days} days before"
        )
    if high is None or high >= 1:
        return ToleranceEvidence("cannot-tell", "the dose taken in the days before is not certain")
    return ToleranceEvidence("no", f"less than a tolerance-making dose in the {definition.days} days before")


def _share_on(definition: Tolerance, taken: Iterable[Exposure], day: date) -> tuple[Decimal, Decimal | None]:
    """The sum of shares of the defining dose on a day, low to high; high ``None`` when not told."""
    low, high = Decimal(0), Decimal(0)
    untold = False
    for exposure in taken:
        if (
            exposure.start > day
            or (exposure.last is not None and exposure.last < day)
            or exposure.drug is None
        ):
            continue
        supply, drug = exposure.supply, exposure.drug
        computed = doses(drug, supply.dosage, supply.quantity, supply.days_supply)
        lows, highs = [], []
        for dose in computed:
            if any(a.opioid for a in dose.amounts):
                shares = [
                    (a.mg_low / d.mg_per_day, a.mg_high / d.mg_per_day)
                    for a in dose.amounts
                    for d in definition.doses
                    if a.rxcui == d.rxcui and d.form in ("", drug.form)
                ]
                if shares:
                    lows.append(sum((s[0] for s in shares), Decimal(0)))
                    highs.append(sum((s[1] for s in shares), Decimal(0)))
        if not lows:
            untold = True
            continue
        if exposure.days is not None:
            low += min(lows)
        high += max(highs)
    return low, None if untold else high
