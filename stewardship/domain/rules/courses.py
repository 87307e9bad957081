"""How long, and what to start with: short courses, long-acting opioids, supply for chronic pain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from stewardship.domain.chart import Chart
from stewardship.domain.drugs import Drug, DrugClass
from stewardship.domain.episodes import (
    DAY,
    Covered,
    Exposure,
    is_of,
    most_days_in_window,
    spans,
)
from stewardship.domain.orders import Order, Supply, SupplyKind
from stewardship.domain.policy import Answer, Breach, CannotTell, Met, NotApplicable
from stewardship.domain.rules.kinds import OrderRule, latest, signed_on
from stewardship.domain.therapy import uncertain
from stewardship.domain.tolerance import Tolerance, tolerance_evidence
from stewardship.domain.wording import FactValue


@dataclass(frozen=True, slots=True)
class MaxDaysSupply(OrderRule):
    """At most ``max_days`` an order, and at most that many days of opioid in any ``window_days``
    together with what came before; more than ``notice_above_days`` informs.

    Earlier supply that is marked as for chronic pain does not count towards the window. One of unknown
    length, or of a medicine nobody recognises, may last ``unknown_supply_days`` and cannot be counted.
    """

    kind: ClassVar[str] = "max-days-supply"
    max_days: int
    window_days: int
    notice_above_days: int
    unknown_supply_days: int
    chronic_sets: tuple[str, ...]
    chronic_treatment_types: tuple[str, ...] = ()

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        days = order.days
        first = order.starts_on.toordinal()
        earlier = [e for e in self._not_chronic(chart) if e.supply.id != order.id]
        draft = Exposure(_as_supply(order), order.starts_on, days)
        covered = spans([*earlier, draft])
        length = days or 1
        touching = (first, first + length - 1)
        # Carry-over may push the draft's own days behind what is still in hand.
        pushed = max((b for _, b in covered), default=touching[1])
        in_window = most_days_in_window(covered, self.window_days, touching=(first, max(touching[1], pushed)))
        facts: dict[str, FactValue] = {
            "days_supply": days,
            "max_days": self.max_days,
            "days_in_window": in_window,
            "window_days": self.window_days,
            "earlier_days": max(0, in_window - length),
            "what": self._what(days, in_window, length),
        }
        if (days is not None and days > self.max_days) or in_window > self.max_days:
            return Breach(facts)
        if days is None:
            return CannotTell(("order.days_supply",), facts)
        since = order.starts_on - (self.window_days - 1) * DAY
        until = order.starts_on + (length - 1) * DAY
        unknown = set()
        for exposure in uncertain(chart):
            if exposure.supply.id == order.id or self._is_chronic(exposure):
                continue
            if not self._touches(exposure, since, until):
                continue
            if exposure.drug is not None:
                return CannotTell(("history.days_supply",), facts)
            unknown.add(exposure.supply.medication.label)
        if unknown:
            return CannotTell(("history.drug",), {**facts, "not_recognised": tuple(sorted(unknown))})
        if chart.history_gaps:
            return CannotTell(("history",), {**facts, "history_gaps": chart.history_gaps})
        if days > self.notice_above_days:
            return Breach({**facts, "notice_above_days": self.notice_above_days}, notice=True)
        return Met(facts)

    def _what(self, days: int | None, in_window: int, length: int) -> str:
        ordered = "days not stated" if days is None else f"{days} day{'' if days == 1 else 's'} ordered"
        serial = f", {in_window} within {self.window_days} days" if in_window > length else ""
        return f"{ordered}{serial}, limit {self.max_days}"

    def _not_chronic(self, chart: Chart) -> list[Exposure]:
        key = ("not chronic", self.chronic_sets, self.chronic_treatment_types)
        known: list[Exposure] | None = chart.kept.get(key)
        if known is None:
            known = chart.kept[key] = [e for e in chart.opioid_analgesics if not self._is_chronic(e)]
        return known

    def _is_chronic(self, exposure: Exposure) -> bool:
        supply = exposure.supply
        return (
            not supply.reason_sets.isdisjoint(self.chronic_sets)
            or supply.treatment_type in self.chronic_treatment_types
        )

    def _touches(self, exposure: Exposure, since: date, until: date) -> bool:
        reached = exposure.reaches(since, until, unknown_days=self.unknown_supply_days)
        return reached is not Covered.NO


def _as_supply(order: Order) -> Supply:
    """The draft itself as a supply, so that it is counted by the same arithmetic as the others."""
    return Supply(order.id, SupplyKind.DRAFT, order.medication, order.drug, order.starts_on)


@dataclass(frozen=True, slots=True)
class NoLongActingStart(OrderRule):
    """A long-acting opioid is not started; one taken until at most ``max_gap_days`` ago is continued.

    ``unknown_supply_days`` bounds an earlier supply of unknown length. Tolerance (FDA label) is shown
    either way: it is what an exception will be asked about.
    """

    kind: ClassVar[str] = "no-long-acting-start"
    max_gap_days: int
    unknown_supply_days: int
    tolerance: Tolerance

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        if not drug.is_a(DrugClass.LONG_ACTING_OPIOID):
            return NotApplicable("not an extended-release or long-acting opioid")
        tolerant = tolerance_evidence(self.tolerance, chart, before=order.starts_on)
        facts: dict[str, FactValue] = {
            "drug": drug.name,
            "release": drug.release.value,
            "tolerant": tolerant.answer,
            "tolerance_evidence": tolerant.because,
        }
        since = order.starts_on - (self.max_gap_days + 1) * DAY
        maybe: Exposure | None = None
        for exposure in chart.exposures:
            if not is_of(exposure, DrugClass.LONG_ACTING_OPIOID) or exposure.supply.id == order.id:
                continue
            if exposure.supply.kind is SupplyKind.DRAFT or exposure.start >= order.starts_on:
                continue
            reached = _before(exposure, since, order.starts_on, self.unknown_supply_days)
            if reached is Covered.YES:
                name = exposure.drug.name if exposure.drug else ""
                return Met({**facts, "established_therapy": name, "since": exposure.start})
            if reached is Covered.MAYBE:
                maybe = exposure
        if maybe is not None:
            return CannotTell(("history.days_supply",), {**facts, "earlier_supply": maybe.start})
        facts["established_therapy"] = None
        facts["history_gaps"] = chart.history_gaps
        return Breach(facts)


def _before(exposure: Exposure, since: date, start: date, unknown_days: int) -> Covered:
    """Whether an earlier exposure reached the days just before the order; starting there is not
    enough for one of unknown length, since it may have been a single dose."""
    if exposure.days is None and exposure.start >= since:
        return Covered.MAYBE
    return exposure.reaches(since, start, unknown_days=unknown_days)


@dataclass(frozen=True, slots=True)
class LongTermSupply(OrderRule):
    """Chronic pain: at most ``max_days`` an order, with a plan and a function review not older than
    ``review_days``."""

    kind: ClassVar[str] = "long-term-supply"
    max_days: int
    review_days: int
    plan_sets: tuple[str, ...]
    function_sets: tuple[str, ...]

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        days = order.days
        sets = frozenset(self.plan_sets)
        plan = latest(
            [p.reviewed_on or p.from_on for p in chart.plans if p.active and p.sets & sets]
            + [p.on for p in chart.procedures if p.done and p.sets & sets]
        )
        review = latest(o.on for o in chart.observations if not o.sets.isdisjoint(self.function_sets))
        wanting = []
        day = signed_on(order, chart)
        if not self._current(plan, day):
            wanting.append("a current pain treatment plan")
        if not self._current(review, day):
            wanting.append("a function review")
        facts: dict[str, FactValue] = {
            "days_supply": days,
            "max_days": self.max_days,
            "plan_reviewed_on": plan,
            "function_reviewed_on": review,
            "review_days": self.review_days,
            "wanting": tuple(wanting) or None,
        }
        if days is not None and days > self.max_days:
            over = f"{days} days' supply is over {self.max_days}"
            return Breach({**facts, "what": " and ".join([over, *(f"{w} is missing" for w in wanting)])})
        if wanting:
            verb = "is" if len(wanting) == 1 else "are"
            missing = f"{' and '.join(wanting)} {verb} not on record in {self.review_days} days"
            return Breach({**facts, "what": missing})
        if days is None:
            return CannotTell(("order.days_supply",), facts)
        return Met(facts)

    def _current(self, recorded: date | None, day: date) -> bool:
        return recorded is not None and 0 <= (day - recorded).days <= self.review_days
