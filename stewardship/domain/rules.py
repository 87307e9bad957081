"""The kinds of rule that a policy file can name, one small class each.

The annotated fields of a class are the parameters that its policy files set: no threshold is written
here. A rule takes facts and returns an answer; who is exempt and what a breach does to the order is the
policy's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from stewardship.domain.chart import Chart
from stewardship.domain.drugs import Drug, DrugClass, Schedule
from stewardship.domain.episodes import (
    DAY,
    Covered,
    Exposure,
    days_of,
    is_of,
    most_days_in_window,
    same_strength,
    spans,
)
from stewardship.domain.orders import Order, Supply, SupplyKind
from stewardship.domain.policy import (
    Answer,
    Breach,
    CannotTell,
    FactValue,
    Met,
    NotApplicable,
)
from stewardship.domain.tolerance import Tolerance, tolerance_evidence

KINDS: dict[str, type[OrderRule]] = {}


class OrderRule(ABC):
    """Base of the rules about an order: registers the kind and sets aside a missing order or drug."""

    kind: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        KINDS[cls.kind] = cls

    def check(self, order: Order | None, chart: Chart) -> Answer:
        """Judge the order by its facts and the chart's."""
        if order is None:
            return NotApplicable("asked about an order only")
        if order.drug is None:
            return CannotTell(("order.drug",), {"medicine": order.medication.label})
        return self.judge(order, order.drug, chart)

    @abstractmethod
    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        """The rule itself, for an order whose drug is recognised."""


@dataclass(frozen=True, slots=True)
class MaxDaysSupply(OrderRule):
    """At most ``max_days`` an order, and at most that many days of opioid in any ``window_days``
    together with what came before; more than ``notice_above_days`` informs.

    Earlier supply that is marked as for chronic pain does not count towards the window.
    """

    kind: ClassVar[str] = "max-days-supply"
    max_days: int
    window_days: int
    notice_above_days: int
    chronic_sets: tuple[str, ...]
    chronic_treatment_types: tuple[str, ...] = ()

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        days = days_of(drug, order)
        first = order.starts_on.toordinal()
        earlier = [
            e
            for e in chart.exposures
            if is_of(e, DrugClass.OPIOID_ANALGESIC) and not self._is_chronic(e) and e.supply.id != order.id
        ]
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
        }
        if (days is not None and days > self.max_days) or in_window > self.max_days:
            return Breach(facts)
        if days is None:
            return CannotTell(("order.days_supply",), facts)
        unmeasured = [e for e in earlier if e.days is None and self._may_touch(e, first)]
        if unmeasured:
            return CannotTell(("history.days_supply",), facts)
        unknown = _unknown_within(chart, first - self.window_days + 1, touching[1])
        if unknown:
            return CannotTell(("history.drug",), {**facts, "not_recognised": unknown})
        if chart.history_gaps:
            return CannotTell(("history",), {**facts, "history_gaps": chart.history_gaps})
        if days > self.notice_above_days:
            return Breach({**facts, "notice_above_days": self.notice_above_days}, notice=True)
        return Met(facts)

    def _is_chronic(self, exposure: Exposure) -> bool:
        supply = exposure.supply
        return (
            not supply.reason_sets.isdisjoint(self.chronic_sets)
            or supply.treatment_type in self.chronic_treatment_types
        )

    def _may_touch(self, exposure: Exposure, first: int) -> bool:
        """An earlier supply of unknown length that began within the window before the order."""
        return first - self.window_days < exposure.start.toordinal()


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
class NoLostRefills(OrderRule):
    """A lost, stolen or destroyed prescription is not replaced; a repeat within ``repeat_days`` is named."""

    kind: ClassVar[str] = "no-lost-refills"
    repeat_days: int

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        if order.replaces is None:
            return Met({"replaces": None})
        since = order.written_on - self.repeat_days * DAY
        earlier = [
            e.start
            for e in chart.exposures
            if e.supply.replaces is not None
            and e.supply.id != order.id
            and since <= e.start <= order.written_on
        ]
        times = len(earlier)
        repeat = (
            f"{times} earlier replacement{'s' if times > 1 else ''} in {self.repeat_days} days"
            if times
            else ""
        )
        return Breach(
            {
                "loss": order.replaces.loss.value,
                "reported_on": order.replaces.reported_on,
                "police_report": order.replaces.police_report or None,
                "earlier_replacements": times,
                "repeat": repeat or "no earlier replacement on record",
                "history_gaps": chart.history_gaps,
            }
        )


@dataclass(frozen=True, slots=True)
class EarlyRefill(OrderRule):
    """Same ingredient and strength while ``min_percent_left`` or more of the last fill's days remain.

    Supply in hand is carried over from fill to fill, at most one whole fill of it.
    """

    kind: ClassVar[str] = "early-refill"
    min_percent_left: Decimal
    unknown_supply_days: int

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        if order.replaces is not None:
            return NotApplicable("a declared replacement is judged as such")
        start = order.starts_on
        fills = [
            e
            for e in chart.exposures
            if e.drug is not None
            and e.supply.id != order.id
            and e.supply.kind is not SupplyKind.DRAFT
            and e.start <= start
            and same_strength(e.drug, drug)
        ]
        runs_out, last = _runs_out(fills)
        if last is not None and last.days:
            left = (runs_out - start).days
            percent = Decimal(left * 100) / last.days
            facts: dict[str, FactValue] = {
                "last_fill": last.start,
                "last_days_supply": last.days,
                "runs_out_on": runs_out,
                "days_left": max(0, left),
                "percent_left": max(Decimal(0), percent).quantize(Decimal("0.1")),
                "min_percent_left": self.min_percent_left,
            }
            if percent >= self.min_percent_left:
                return Breach(facts)
        else:
            facts = {"last_fill": None}
        for fill in fills:
            reached = fill.reaches(start, start, unknown_days=self.unknown_supply_days)
            if fill.days is None and reached is not Covered.NO:
                return CannotTell(("history.days_supply",), {**facts, "earlier_supply": fill.start})
        if chart.history_gaps:
            return CannotTell(("history",), {**facts, "history_gaps": chart.history_gaps})
        return Met(facts)


def _runs_out(fills: Iterable[Exposure]) -> tuple[date, Exposure | None]:
    """The first day without supply, and the last fill of known length that led to it."""
    runs_out = date.min
    last: Exposure | None = None
    for fill in fills:
        if fill.days is None:
            continue
        if fill.stopped_on is not None:
            runs_out = min(runs_out, fill.stopped_on) if last else runs_out
            continue
        carried = max(0, min((runs_out - fill.start).days, fill.days)) if last else 0
        runs_out = fill.start + (carried + fill.days) * DAY
        last = fill
    return runs_out, last


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
        days = days_of(drug, order)
        plan = _latest(
            day
            for p in chart.plans
            if p.active and not p.sets.isdisjoint(self.plan_sets)
            for day in (p.reviewed_on or p.from_on,)
        )
        plan = _later(
            plan, _latest(p.on for p in chart.procedures if p.done and not p.sets.isdisjoint(self.plan_sets))
        )
        review = _latest(o.on for o in chart.observations if not o.sets.isdisjoint(self.function_sets))
        wanting = []
        if not self._current(plan, order):
            wanting.append("a current pain treatment plan")
        if not self._current(review, order):
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
            return Breach(
                {**facts, "what": " and ".join(wanting) + f" is not on record in {self.review_days} days"}
            )
        if days is None:
            return CannotTell(("order.days_supply",), facts)
        return Met(facts)

    def _current(self, day: date | None, order: Order) -> bool:
        return day is not None and 0 <= (order.written_on - day).days <= self.review_days


@dataclass(frozen=True, slots=True)
class MaxRefills(OrderRule):
    """At most ``max_refills`` for drugs of the schedules, none later than ``max_months`` after issue.

    A prescription that states no refills authorises none, so that is not missing data.
    """

    kind: ClassVar[str] = "max-refills"
    schedules: tuple[Schedule, ...]
    max_refills: int
    max_months: int | None = None

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        if drug.schedule is None:
            if not order.refills:
                return Met({"refills": order.refills, "schedule": None})
            return CannotTell(("order.schedule",), {"drug": drug.name})
        if drug.schedule not in self.schedules:
            return NotApplicable(f"schedule {drug.schedule.value} is not what this policy is about")
        refills = order.refills or 0
        facts: dict[str, FactValue] = {
            "drug": drug.name,
            "schedule": drug.schedule.value,
            "refills": refills,
            "max_refills": self.max_refills,
        }
        if refills > self.max_refills:
            over = f"{refills} refills" if refills > 1 else "1 refill"
            allowed = f"at most {self.max_refills}" if self.max_refills else "none"
            return Breach({**facts, "what": f"{over} ordered, {allowed} allowed"})
        if self.max_months is None or refills == 0:
            return Met(facts)
        days = days_of(drug, order)
        if days is None:
            return CannotTell(("order.days_supply",), facts)
        # The last refill is due when all fills before it are used up.
        last_due = order.starts_on + refills * days * DAY
        limit = _months_after(order.written_on, self.max_months)
        facts |= {"last_refill_due": last_due, "no_refill_after": limit}
        if last_due > limit:
            return Breach({**facts, "what": f"the last refill falls after {limit.day} {limit:%b %Y}"})
        return Met(facts)


@dataclass(frozen=True, slots=True)
class MaxTotalSupply(OrderRule):
    """Prescriptions of one Schedule II drug issued together supply at most ``max_days`` in all, and
    each but the first names its earliest fill date."""

    kind: ClassVar[str] = "max-total-supply"
    schedules: tuple[Schedule, ...]
    max_days: int

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        if drug.schedule is None:
            return CannotTell(("order.schedule",), {"drug": drug.name})
        if drug.schedule not in self.schedules:
            return NotApplicable(f"schedule {drug.schedule.value} is not what this policy is about")
        days = days_of(drug, order)
        mine = {i.rxcui for i in drug.opioids}
        together = [
            e
            for e in chart.exposures
            if e.supply.id != order.id
            and e.drug is not None
            and mine & {i.rxcui for i in e.drug.opioids}
            and (e.supply.kind is SupplyKind.DRAFT or self._waits(e, order))
        ]
        known = [e.days for e in together if e.days is not None]
        total = sum(known) + (days or 0)
        facts: dict[str, FactValue] = {
            "days_supply": days,
            "prescriptions": len(together) + 1,
            "total_days": total,
            "max_days": self.max_days,
        }
        if total > self.max_days:
            return Breach({**facts, "what": f"{total} days in {len(together) + 1} prescription(s)"})
        same_start = [e for e in together if e.start == order.starts_on]
        if same_start and order.start_on is None:
            return Breach({**facts, "what": "several prescriptions without the earliest date to fill each"})
        if days is None:
            return CannotTell(("order.days_supply",), facts)
        if len(known) < len(together):
            return CannotTell(("history.days_supply",), facts)
        return Met(facts)

    def _waits(self, exposure: Exposure, order: Order) -> bool:
        """A prescription of the same day or later that nobody has dispensed yet."""
        return exposure.supply.kind is SupplyKind.PRESCRIPTION and exposure.start > order.written_on


# --- shared by several rules ------------------------------------------------------------------------


def _as_supply(order: Order) -> Supply:
    """The draft itself as a supply, so that it is counted by the same arithmetic as the others."""
    return Supply(order.id, SupplyKind.DRAFT, order.medication, order.drug, order.starts_on)


def _unknown_within(chart: Chart, first: int, last: int) -> tuple[str, ...]:
    """Medicines that the catalogue does not know and that may have been taken in the days given."""
    return tuple(
        sorted(
            {
                e.supply.medication.label
                for e in chart.exposures
                if e.drug is None and first <= e.start.toordinal() <= last
            }
        )
    )


def _latest(days: Iterable[date | None]) -> date | None:
    return max((d for d in days if d is not None), default=None)


def _later(one: date | None, other: date | None) -> date | None:
    return _latest((one, other))


def _months_after(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day."""
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month, last)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")
