"""Daily dose: crossing into high doses, falling too fast, stopping at once, acetaminophen in all products."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from stewardship.domain.chart import Chart
from stewardship.domain.dosage import Basis, DailyDose, daily_ingredient, doses, gap
from stewardship.domain.drugs import Drug
from stewardship.domain.episodes import (
    DAY,
    Covered,
)
from stewardship.domain.mme import FactorSet, Total, shown, span
from stewardship.domain.orders import Order, Supply
from stewardship.domain.policy import Answer, Breach, CannotTell, Met, NotApplicable
from stewardship.domain.rules.kinds import ChartRule, OrderRule
from stewardship.domain.therapy import mme_around, mme_on, on_opioids_since
from stewardship.domain.wording import FactValue

# A member is looked up in its enumeration slowly.
_SIGNATURE, _SUPPLY = Basis.SIGNATURE, Basis.SUPPLY


@dataclass(frozen=True, slots=True)
class HighDoseReview(OrderRule):
    """The order takes the daily total from below to at or above ``mme_per_day``; staying above informs.

    Parallel supply adds up; a fill that runs out within ``carry_days`` is continued by the order.
    """

    kind: ClassVar[str] = "high-dose-review"
    mme_per_day: Decimal
    factor_set: FactorSet
    carry_days: int
    unknown_supply_days: int

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        around = mme_around(
            order,
            chart,
            self.factor_set,
            unknown_days=self.unknown_supply_days,
            carry_days=self.carry_days,
        )
        facts: dict[str, FactValue] = {
            **_totals("after", around.after, chart),
            **_totals("before", around.before, chart),
            "mme_per_day": self.mme_per_day,
            "factor_set": self.factor_set.id,
            "dose_gap": _written_and_supplied(order),
        }
        over = around.after.reaches(self.mme_per_day)
        if over:
            return Breach(facts, notice=around.before.reaches(self.mme_per_day) is True)
        if over is None:
            return CannotTell(("mme",), facts)
        if chart.history_gaps:
            return CannotTell(("history",), {**facts, "history_gaps": chart.history_gaps})
        return Met(facts)


def _written_and_supplied(order: Order) -> str:
    """How the instructions and the quantity of the order disagree; the higher of the two was counted."""
    written = next((d for d in order.doses if d.basis is _SIGNATURE), None)
    supplied = next((d for d in order.doses if d.basis is _SUPPLY), None)
    if written is None or supplied is None:
        return ""
    found = gap(written, supplied, tolerance_percent=Decimal(0))
    if found is None:
        return ""
    instructed = span(found.signature_low, found.signature_high)
    return f"The instructions come to {instructed} units a day, the quantity to {shown(found.supply)}."


def _totals(name: str, total: Total, chart: Chart) -> dict[str, FactValue]:
    """A total as facts; with gaps in the history it is what is known of, and more may be taken."""
    words = total.words
    if chart.history_gaps and total.complete:
        words = f"at least {words}" if total.high else "not known"
    return {
        f"{name}": words,
        f"{name}_mme": total.high,
        f"{name}_complete": total.complete and not chart.history_gaps,
    }


@dataclass(frozen=True, slots=True)
class RapidTaper(ChartRule):
    """The daily total does not fall by more than ``percent`` in ``long_period_days`` after
    ``long_use_days`` on opioids, in ``period_days`` after at least ``min_use_days``; and long use does
    not simply end, which is asked, for ``stop_seen_days``, when the chart is opened."""

    kind: ClassVar[str] = "rapid-taper"
    percent: Decimal
    min_use_days: int
    period_days: int
    long_use_days: int
    long_period_days: int
    max_gap_days: int
    carry_days: int
    stop_seen_days: int
    unknown_supply_days: int
    factor_set: FactorSet

    def check(self, order: Order | None, chart: Chart) -> Answer:
        if order is None:
            return self.look(chart)
        start = order.starts_on
        since = on_opioids_since(chart, start - DAY, max_gap_days=self.max_gap_days)
        if since is None or (start - since).days < self.min_use_days:
            return NotApplicable(f"less than {self.min_use_days} days on opioids")
        used = (start - since).days
        period = self.long_period_days if used >= self.long_use_days else self.period_days
        after = mme_around(
            order,
            chart,
            self.factor_set,
            unknown_days=self.unknown_supply_days,
            carry_days=self.carry_days,
        ).after
        before = mme_on(
            chart,
            start - period * DAY,
            self.factor_set,
            unknown_days=self.unknown_supply_days,
            carry_days=self.carry_days,
        )
        facts: dict[str, FactValue] = {
            "days_on_opioids": used,
            **_totals("before", before, chart),
            **_totals("after", after, chart),
            "percent": self.percent,
            "period_days": period,
        }
        if before.high is None or after.high is None:
            return CannotTell(("mme",), facts)
        if not before.high:
            return Met(facts) if before.complete else CannotTell(("mme",), facts)
        fall = (before.high - after.high) * 100 / before.high
        facts["fall_percent"] = max(Decimal(0), fall).quantize(Decimal("0.1"))
        facts["what"] = f"Opioid dose falls by {facts['fall_percent']} % within {period} days"
        if fall <= self.percent:
            # Of a lower bound the true fall may be steeper.
            return Met(facts) if before.complete else CannotTell(("mme",), facts)
        # What could not be counted in the new total may make up for the fall.
        return Breach(facts) if after.complete else CannotTell(("mme",), facts)

    def look(self, chart: Chart) -> Answer:
        for gone in range(1, self.stop_seen_days + 1):
            day = chart.today - gone * DAY
            if on_opioids_since(chart, day, max_gap_days=0) is None:
                continue
            began = on_opioids_since(chart, day, max_gap_days=self.max_gap_days) or day
            used = (day - began).days + 1
            total = mme_on(
                chart,
                day,
                self.factor_set,
                unknown_days=self.unknown_supply_days,
                carry_days=self.carry_days,
            )
            facts: dict[str, FactValue] = {
                "days_on_opioids": used,
                **_totals("before", total, chart),
                "after": "no supply on record",
                "last_day": day,
                "what": f"Opioid supply ended on {day.day} {day:%b %Y} after {used} days",
            }
            now = on_opioids_since(chart, chart.today, max_gap_days=0)
            if now is not None or used < self.long_use_days:
                return Met(facts)
            # With gaps in the history the supply may go on where nobody here sees it.
            return CannotTell(("history",), facts) if chart.history_gaps else Breach(facts)
        return NotApplicable("no opioid supply ended lately")


@dataclass(frozen=True, slots=True)
class AcetaminophenTotal(OrderRule):
    """Acetaminophen of all products together stays at or below ``max_mg``; above ``notice_mg`` informs."""

    kind: ClassVar[str] = "acetaminophen-total"
    ingredient: str
    notice_mg: Decimal
    max_mg: Decimal
    carry_days: int
    unknown_supply_days: int

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        if not self._contains(drug):
            return NotApplicable("the ordered product contains no acetaminophen")
        first = order.starts_on
        last = first + ((order.days or 1) - 1) * DAY
        taken = [(drug, self._most(drug, order))]
        unsure = False
        for exposure in chart.exposures:
            product, ends = exposure.drug, exposure.last
            if product is None or exposure.supply.id == order.id or not self._contains(product):
                continue
            reached = exposure.reaches(first, last, unknown_days=self.unknown_supply_days)
            if product.name == drug.name and ends is not None and (ends - first).days < self.carry_days:
                continue  # the order continues this fill
            unsure = unsure or reached is Covered.MAYBE
            if reached is Covered.YES:
                taken.append((product, self._most(product, exposure.supply)))
        total = daily_ingredient(taken, self.ingredient)
        facts: dict[str, FactValue] = {
            "mg_per_day": total.mg_high,
            "products": len(taken),
            "max_mg": self.max_mg,
            "notice_mg": self.notice_mg,
            "complete": total.complete,
        }
        most = total.mg_high or Decimal(0)
        if most > self.max_mg:
            return Breach(facts)
        if not total.complete or unsure:
            return CannotTell(("acetaminophen",), facts)
        return Breach(facts, notice=True) if most > self.notice_mg else Met(facts)

    def _contains(self, drug: Drug) -> bool:
        return any(i.rxcui == self.ingredient for i in drug.ingredients)

    def _most(self, drug: Drug, source: Order | Supply) -> DailyDose:
        """Of what signature and supply come to, the one with most acetaminophen."""
        computed = doses(drug, source.dosage, source.quantity, source.days_supply)
        return max(
            computed,
            key=lambda d: sum((a.mg_high for a in d.amounts if a.rxcui == self.ingredient), Decimal(0)),
        )
