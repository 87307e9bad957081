"""What the answers of everybody come to: who is in, who is out and why, and what each rate counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from stewardship.domain.chart import Chart
from stewardship.domain.measures import Answer, Kind, Measure, Standing
from stewardship.domain.measures.patients import answer
from stewardship.domain.measures.stays import stays
from stewardship.domain.mme import FactorSet


@dataclass
class Share:
    """One rate: how many it was asked of, counts, leaves open, and nearly counts."""

    asked: int = 0
    counted: int = 0
    untold: int = 0
    near: int = 0

    def add(self, met: bool | None, near: bool) -> None:
        """One more."""
        self.asked += 1
        self.counted += met is True
        self.untold += met is None
        self.near += near


@dataclass
class Totals:
    """Numbers of patients, or of stays. ``shares`` by rate and stratum of age (``""``: everybody)."""

    standing: Counter[Standing] = field(default_factory=Counter)
    out: Counter[str] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    untold: Counter[str] = field(default_factory=Counter)
    shares: dict[tuple[str, str], Share] = field(default_factory=dict)
    caveats: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Run:
    """A measure over an organisation and a year: the totals, and the answer of everybody who is not simply
    out. ``ended`` says whether the period was over. ``known_from`` is the first day of which dispensings are
    on record."""

    measure: Measure
    year: int
    first: date
    last: date
    totals: Totals
    answers: tuple[Answer, ...]
    known_from: date | None
    ended: bool


def answers(
    measure: Measure,
    charts: Iterable[Chart],
    year: int,
    factor_sets: Mapping[str, FactorSet],
    *,
    known_from: date | None,
    unknown_days: int,
) -> Iterator[Answer]:
    """The answer of everybody, or of every stay."""
    factor_set = factor_sets[measure.factor_set]
    for chart in charts:
        if measure.kind is Kind.DISCHARGE:
            yield from stays(measure, chart, year, unknown_days=unknown_days)
        else:
            yield answer(measure, chart, year, factor_set, known_from=known_from)


def run(
    measure: Measure,
    found: Iterable[Answer],
    year: int,
    *,
    known_from: date | None,
    today: date,
) -> Run:
    """Add the answers up."""
    totals, kept = Totals(), []
    for one in found:
        _add(totals, measure, one)
        if one.standing is not Standing.OUT:
            kept.append(one)
    first, last = measure.window.of(year)
    return Run(measure, year, first, last, totals, tuple(kept), known_from, today > last)


def _add(totals: Totals, measure: Measure, one: Answer) -> None:
    totals.standing[one.standing] += 1
    totals.caveats.update(one.caveats if one.standing is Standing.IN else ())
    reasons = {Standing.OUT: totals.out, Standing.EXCLUDED: totals.excluded, Standing.UNTOLD: totals.untold}
    if one.standing in reasons:
        reasons[one.standing][one.reason] += 1
    for rate in one.rates:
        for stratum in ("", stratum_of(measure, one.age)) if measure.stratum_ages else ("",):
            totals.shares.setdefault((rate.rate, stratum), Share()).add(rate.met, rate.near)


def stratum_of(measure: Measure, age: int | None) -> str:
    """The band of age: ``18-64``, ``65+``; ``age not known``."""
    if age is None:
        return "age not known"
    ages = measure.stratum_ages
    place = sum(age >= a for a in ages)
    if place == 0:
        return f"under {ages[0]}"
    return f"{ages[-1]}+" if place == len(ages) else f"{ages[place - 1]}-{ages[place] - 1}"
