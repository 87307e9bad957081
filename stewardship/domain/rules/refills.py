"""Refills: of lost prescriptions, early ones, and what federal law allows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from stewardship.domain.chart import Chart
from stewardship.domain.drugs import Drug, Schedule
from stewardship.domain.episodes import (
    DAY,
    Covered,
    Exposure,
)
from stewardship.domain.orders import Order, SupplyKind
from stewardship.domain.policy import Answer, Breach, CannotTell, Met, NotApplicable
from stewardship.domain.rules.kinds import OrderRule
from stewardship.domain.therapy import of_strength
from stewardship.domain.wording import FactValue


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
            for e in of_strength(chart, drug)
            if e.start <= start and e.supply.kind is not SupplyKind.DRAFT and e.supply.id != order.id
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
            if fill.days is not None:
                continue
            if fill.reaches(start, start, unknown_days=self.unknown_supply_days) is not Covered.NO:
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
class MaxRefills(OrderRule):
    """At most ``max_refills`` for drugs of the schedules, none later than ``max_months`` after issue.

    A prescription that states no refills authorises none, so that is not missing data; one whose number
    of refills cannot be read is.
    """

    kind: ClassVar[str] = "max-refills"
    schedules: tuple[Schedule, ...]
    max_refills: int
    max_months: int | None = None

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        unread = order.refills is None and "refills" in order.unread
        if drug.schedule is None:
            if not order.refills and not unread:
                return Met({"refills": order.refills, "schedule": None})
            return CannotTell(("order.schedule",), {"drug": drug.name})
        if drug.schedule not in self.schedules:
            return NotApplicable(f"schedule {drug.schedule.value} is not what this policy is about")
        if unread:
            return CannotTell(("order.refills",), {"drug": drug.name, "schedule": drug.schedule.value})
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
        days = order.days
        if days is None:
            return CannotTell(("order.days_supply",), facts)
        # The last refill is due when all fills before it are used up.
        last_due = order.starts_on + refills * days * DAY
        limit = _months_after(order.written_on, self.max_months)
        facts |= {"last_refill_due": last_due, "no_refill_after": limit}
        if last_due > limit:
            return Breach({**facts, "what": f"the last refill falls after {limit.day} {limit:%b %Y}"})
        return Met(facts)


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


@dataclass(frozen=True, slots=True)
class MaxTotalSupply(OrderRule):
    """Prescriptions of one Schedule II product issued together supply at most ``max_days`` in all, and
    each but the first names its earliest fill date."""

    kind: ClassVar[str] = "max-total-supply"
    schedules: tuple[Schedule, ...]
    max_days: int

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        if drug.schedule is None:
            return CannotTell(("order.schedule",), {"drug": drug.name})
        if drug.schedule not in self.schedules:
            return NotApplicable(f"schedule {drug.schedule.value} is not what this policy is about")
        days = order.days
        # Two strengths side by side are one dose, not one supply after the other.
        together = [
            e
            for e in of_strength(chart, drug)
            if e.drug is not None
            and e.drug.release is drug.release
            and (e.supply.kind is SupplyKind.DRAFT or self._waits(e, order))
            and e.supply.id != order.id
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
            several = f" in {len(together) + 1} prescriptions" if together else ""
            return Breach({**facts, "what": f"{total} days{several}"})
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
