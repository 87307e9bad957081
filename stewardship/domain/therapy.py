"""Opioid therapy over time: naive or not, on how many days, at how many MME a day around an order.

Every answer can be "cannot tell": a supply of unknown length, a medicine nobody recognises or a history
with gaps makes a count a lower bound, never a smaller number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from stewardship.domain.chart import Chart
from stewardship.domain.dosage import Reason
from stewardship.domain.drugs import Drug, DrugClass
from stewardship.domain.episodes import (
    DAY,
    Covered,
    Exposure,
    days_within,
    is_of,
    same_strength,
)
from stewardship.domain.mme import MME, FactorSet, Total, daily_mme, total
from stewardship.domain.orders import Order, PhaseBounds, SupplyKind
from stewardship.domain.values import quick

_ZERO = Decimal(0)
# A member is looked up in its enumeration slowly, and these are asked for once an exposure.
_NO, _DRAFT = Covered.NO, SupplyKind.DRAFT
_OPIOID, _OPIOID_ANALGESIC = DrugClass.OPIOID, DrugClass.OPIOID_ANALGESIC
_OUD_TREATMENT = DrugClass.OUD_TREATMENT


@dataclass(frozen=True, slots=True)
class Told:
    """An answer with what it rests on: ``yes``, ``no`` or ``maybe`` (cannot tell, for ``missing``)."""

    answer: Covered
    because: str = ""
    missing: tuple[str, ...] = ()


def exposed(
    chart: Chart, classes: Iterable[DrugClass], first: date, until: date, *, unknown_days: int
) -> Told:
    """Whether the patient had any product of the classes on any day from ``first`` to ``until``.

    Active, completed and stopped prescriptions count, and dispensings: a patient who finished half a
    year of opioids yesterday was exposed yesterday. ``unknown_days`` bounds supplies of unknown length.
    """
    wanted = frozenset(classes)
    key = ("exposed", wanted, first, until, unknown_days)
    known: Told | None = chart.kept.get(key)
    if known is None:
        known = chart.kept[key] = _exposed(chart, wanted, first, until, unknown_days)
    return known


def _exposed(chart: Chart, wanted: frozenset[DrugClass], first: date, until: date, unknown_days: int) -> Told:
    maybe: Told | None = None
    for exposure, reached in reversed(reaching(chart, first, until, unknown_days=unknown_days)):
        if exposure.supply.kind is _DRAFT:
            continue
        if exposure.drug is None:
            maybe = maybe or Told(Covered.MAYBE, exposure.supply.medication.label, ("history.drug",))
        elif not wanted.isdisjoint(exposure.drug.classes):
            because = f"{exposure.drug.name}, {exposure.start:%d %b %Y}"
            if reached is Covered.YES:
                return Told(Covered.YES, because)
            maybe = maybe or Told(Covered.MAYBE, because, ("history.days_supply",))
    if maybe is not None:
        return maybe
    if chart.history_gaps:
        return Told(Covered.MAYBE, ", ".join(chart.history_gaps), ("history",))
    return Told(Covered.NO)


@quick
@dataclass(frozen=True, slots=True)
class DaysOn:
    """Days covered in a window. Not ``complete``: at least so many, for what is ``missing``."""

    days: int
    complete: bool
    missing: tuple[str, ...] = ()


def opioid_days(chart: Chart, first: date, until: date, *, unknown_days: int) -> DaysOn:
    """On how many of the days the patient had an opioid analgesic in hand."""
    days = days_within(chart.opioid_spans, first.toordinal(), until.toordinal())
    doubtful = uncertain(chart)
    if not doubtful and not chart.history_gaps:
        return DaysOn(days, complete=True)
    missing = set()
    for exposure in doubtful:
        if exposure.reaches(first, until, unknown_days=unknown_days) is not _NO:
            missing.add("history.drug" if exposure.drug is None else "history.days_supply")
    if chart.history_gaps:
        missing.add("history")
    return DaysOn(days, not missing, tuple(sorted(missing)))


def uncertain(chart: Chart) -> tuple[Exposure, ...]:
    """The exposures that make a count of opioid days a lower bound: to a medicine nobody recognises, or
    to an opioid for pain of unknown length."""
    known: tuple[Exposure, ...] | None = chart.kept.get(("uncertain",))
    if known is None:
        known = tuple(
            e for e in chart.exposures if e.drug is None or (e.days is None and is_of(e, _OPIOID_ANALGESIC))
        )
        chart.kept[("uncertain",)] = known
    return known


def of_strength(chart: Chart, drug: Drug) -> tuple[Exposure, ...]:
    """The exposures to the same opioid ingredients in the same strengths as the drug's."""
    # The drug is kept beside the answer, so that its identity is not given to another one.
    key = ("of strength", id(drug))
    known: tuple[Drug, tuple[Exposure, ...]] | None = chart.kept.get(key)
    if known is None:
        found = tuple([e for e in chart.exposures if e.drug is not None and same_strength(e.drug, drug)])
        known = chart.kept[key] = (drug, found)
    return known[1]


def reaching(
    chart: Chart, first: date, until: date, *, unknown_days: int
) -> tuple[tuple[Exposure, Covered], ...]:
    """The exposures that reach, or may reach, a day from ``first`` to ``until``, and which of the two."""
    key = ("reaching", first, until, unknown_days)
    known: tuple[tuple[Exposure, Covered], ...] | None = chart.kept.get(key)
    if known is None:
        day = first.toordinal()
        near = [
            e for e in chart.exposures if e.start <= until and (e.ends is None or e.refilled_until >= day)
        ]
        all_ = [(e, e.reaches(first, until, unknown_days=unknown_days)) for e in near]
        known = chart.kept[key] = tuple([one for one in all_ if one[1] is not _NO])
    return known


def on_opioids_since(chart: Chart, on: date, *, max_gap_days: int) -> date | None:
    """The first day of the therapy episode that reaches a day, gaps of up to ``max_gap_days`` bridged;
    ``None`` when no episode does."""
    since: int | None = None
    reach = on.toordinal()
    for first, last in reversed(chart.opioid_spans):
        if first > reach:
            continue
        if last < reach - max_gap_days - 1:
            break
        since = first
        reach = first
    return None if since is None else date.fromordinal(since)


def established_pain(order: Order, chart: Chart, bounds: PhaseBounds) -> str:
    """From what it can be told that an order of unstated phase is for chronic pain: opioids for
    ``use_days`` until now, and a condition on record since before that; empty when it cannot."""
    if not bounds.condition_sets:
        return ""
    start = order.starts_on
    since = on_opioids_since(chart, start - DAY, max_gap_days=bounds.max_gap_days)
    if since is None or (start - since).days < bounds.use_days:
        return ""
    for condition in chart.conditions:
        recorded = condition.onset or condition.recorded_on
        if (
            condition.active is not True
            or recorded is None
            or condition.sets.isdisjoint(bounds.condition_sets)
        ):
            continue
        if (start - recorded).days > bounds.subacute_until:
            code = f"{condition.codings[0].system} {condition.codings[0].code}" if condition.codings else ""
            return f"opioids since {since:%d %b %Y} and condition {code} since {recorded:%d %b %Y}"
    return ""


# --- dose -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AroundOrder:
    """MME a day without and with the order, on the order's fullest day."""

    before: Total
    after: Total
    order: MME


def mme_of(chart: Chart, exposure: Exposure, factor_set: FactorSet) -> MME:
    """MME a day of one exposure of the chart."""
    key = ("mme", id(exposure), factor_set.id)
    known: MME | None = chart.kept.get(key)
    if known is None:
        supply = exposure.supply
        known = chart.kept[key] = daily_mme(
            exposure.drug, supply.dosage, supply.quantity, supply.days_supply, factor_set
        )
    return known


def counts_towards_mme(drug: Drug | None) -> bool:
    """Whether a medicine may add to a total: an opioid for pain or cough, or one nobody recognises."""
    return drug is None or (drug.is_a(_OPIOID) and not drug.is_a(_OUD_TREATMENT))


def mme_around(
    order: Order, chart: Chart, factor_set: FactorSet, *, unknown_days: int, carry_days: int
) -> AroundOrder:
    """The daily total that the patient has at the start of the order, and the total with it.

    A fill of the same product that runs out within ``carry_days`` of the order's start is what the order
    continues, so it is in the total before and not in the total after; identical orders add up.
    """
    # The order is kept beside the answer, so that its identity is not given to another one.
    key = ("around", id(order), factor_set.id, unknown_days, carry_days)
    known: tuple[Order, AroundOrder] | None = chart.kept.get(key)
    if known is not None:
        return known[1]
    start = order.starts_on
    end = start + ((order.days or 1) - 1) * DAY
    before = mme_on(
        chart,
        _comes_from(chart, start, carry_days),
        factor_set,
        unknown_days=unknown_days,
        carry_days=carry_days,
        without=order.id,
    )
    beside: list[tuple[Exposure, MME]] = []
    for exposure, reached in reaching(chart, start, end, unknown_days=unknown_days):
        if _beside(exposure, order) and not _continued(exposure, order, carry_days):
            beside.append((exposure, _certain(mme_of(chart, exposure, factor_set), reached)))
    own = daily_mme(order.drug, order.dosage, order.quantity, order.days_supply, factor_set)
    found = AroundOrder(before, total([own, *_fullest(beside, start, end)], factor_set), own)
    chart.kept[key] = (order, found)
    return found


def _beside(exposure: Exposure, order: Order) -> bool:
    return exposure.supply.id != order.id and counts_towards_mme(exposure.drug)


def _comes_from(chart: Chart, start: date, carry_days: int) -> date:
    """The last day with an opioid before the order starts, over a gap of up to ``carry_days``: a refill
    fetched two days late continues the dose of the fill before. Without one, the day before."""
    for first, last in reversed(chart.opioid_spans):
        if first < start.toordinal():
            day = date.fromordinal(min(last, start.toordinal() - 1))
            return day if (start - day).days <= carry_days else start - DAY
    return start - DAY


def mme_on(
    chart: Chart,
    day: date,
    factor_set: FactorSet,
    *,
    unknown_days: int,
    carry_days: int,
    without: str = "",
) -> Total:
    """The daily total on one day. A fill that another of the same product continues, with no more than
    ``carry_days`` of it left, is not added to it. ``without`` is the id of a supply to leave out."""
    taken = [
        (exposure, reached)
        for exposure, reached in reaching(chart, day, day, unknown_days=unknown_days)
        if exposure.supply.kind is not SupplyKind.DRAFT
        and exposure.supply.id != without
        and counts_towards_mme(exposure.drug)
    ]
    parts = [
        _certain(mme_of(chart, exposure, factor_set), reached)
        for exposure, reached in taken
        if not any(_continues(later, exposure, carry_days) for later, _ in taken)
    ]
    return total(parts, factor_set)


def _continues(later: Exposure, earlier: Exposure, carry_days: int) -> bool:
    if later.start <= earlier.start or earlier.last is None or later.drug is None or earlier.drug is None:
        return False
    left = (earlier.last - later.start).days
    return left < carry_days and same_strength(later.drug, earlier.drug)


def _certain(part: MME, reached: Covered) -> MME:
    """A supply that may have run out makes the total incomplete instead of larger."""
    if reached is Covered.YES:
        return part
    return MME(part.factor_set, None, None, False, (Reason("days-supply-missing", "an earlier supply"),))


def _continued(exposure: Exposure, order: Order, carry_days: int) -> bool:
    if exposure.supply.kind is SupplyKind.DRAFT or exposure.start >= order.starts_on:
        return False
    if exposure.drug is None or order.drug is None or not same_strength(exposure.drug, order.drug):
        return False
    last = exposure.last
    return last is not None and (last - order.starts_on).days < carry_days


def _fullest(beside: list[tuple[Exposure, MME]], start: date, end: date) -> list[MME]:
    """The parts that lie together on the day with the highest sum; totals change on first days only."""
    days = {start, *(e.start for e, _ in beside if start < e.start <= end)}
    best: list[MME] = []
    most = None
    for day in sorted(days):
        parts = [m for e, m in beside if e.start <= day and (e.last is None or e.last >= day)]
        score = (sum((m.high for m in parts if m.high is not None), start=_ZERO), len(parts))
        if most is None or score > most:
            best, most = parts, score
    return best
