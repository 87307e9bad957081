"""What a patient takes now and since when, as far as the record tells.

Supplies of the same product with no longer break between them than the caller allows are one therapy. A
supply of unknown length "may" still be taken for so many days: that is said, and never counted as not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from stewardship.domain.chart import Chart
from stewardship.domain.drugs import Drug, DrugClass
from stewardship.domain.episodes import Covered, Exposure
from stewardship.domain.orders import Supply, SupplyKind


@dataclass(frozen=True, slots=True)
class Taking:
    """One medicine that is taken now. ``sure`` is false when its length is not known. ``since`` is the first
    day of its supplies without a longer break, ``until`` the last day in hand; ``latest`` the newest supply.
    ``now`` are the ids of the supplies in hand."""

    name: str
    drug: Drug | None
    sure: bool
    since: date
    until: date | None
    latest: Supply
    now: tuple[str, ...]

    @property
    def opioid(self) -> bool:
        """Whether it is an opioid for pain."""
        return self.drug is not None and self.drug.is_a(DrugClass.OPIOID_ANALGESIC)

    @property
    def sedative(self) -> bool:
        """Whether it slows breathing beside an opioid, and is none itself."""
        return not self.opioid and self.drug is not None and self.drug.is_a(DrugClass.CNS_DEPRESSANT)


def taking(chart: Chart, *, unknown_days: int, gap_days: int) -> tuple[Taking, ...]:
    """What is in hand on the chart's day: opioids first, then sedatives, then what nobody recognises, and the
    rest by name."""
    products: dict[object, list[Exposure]] = {}
    for exposure in chart.exposures:
        if exposure.supply.kind is not SupplyKind.DRAFT:
            products.setdefault(_product(exposure), []).append(exposure)
    found = [
        one
        for group in products.values()
        if (one := _now(group, chart.today, unknown_days=unknown_days, gap_days=gap_days)) is not None
    ]
    return tuple(sorted(found, key=lambda t: (not t.opioid, not t.sedative, t.drug is not None, t.name)))


def _product(exposure: Exposure) -> object:
    drug = exposure.drug
    return exposure.supply.medication.label if drug is None else drug.strengths


def _now(group: list[Exposure], today: date, *, unknown_days: int, gap_days: int) -> Taking | None:
    reached = [(e, e.reaches(today, today, unknown_days=unknown_days)) for e in group]
    here = [e for e, covered in reached if covered is not Covered.NO]
    if not here:
        return None
    latest = max(here, key=lambda e: (e.start, e.supply.id))
    ends = [e.last for e in here]
    known = [end for end in ends if end is not None]
    return Taking(
        name=latest.drug.name if latest.drug is not None else latest.supply.medication.label,
        drug=latest.drug,
        sure=any(covered is Covered.YES for _, covered in reached),
        since=_since(group, latest, gap_days),
        until=max(known) if len(known) == len(ends) else None,
        latest=latest.supply,
        now=tuple(e.supply.id for e in here),
    )


def _since(group: Iterable[Exposure], latest: Exposure, gap_days: int) -> date:
    """The first day of the run without a longer break that leads to the latest supply."""
    since = latest.start
    for earlier in sorted(group, key=lambda e: e.start, reverse=True):
        if earlier.start >= since:
            continue
        end = earlier.last or earlier.start
        if (since - end).days - 1 > gap_days:
            break
        since = earlier.start
    return since
