"""What makes an overdose more likely, and what protects: naloxone, sedating medicines, sleep-disordered
breathing, treatment of opioid use disorder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from stewardship.domain.chart import Chart, Condition
from stewardship.domain.drugs import Drug, DrugClass
from stewardship.domain.episodes import (
    DAY,
    Covered,
    Exposure,
    is_of,
)
from stewardship.domain.mme import FactorSet
from stewardship.domain.orders import Order, SupplyKind
from stewardship.domain.policy import Answer, Breach, CannotTell, Met, NotApplicable
from stewardship.domain.rules.kinds import ChartRule, OrderRule
from stewardship.domain.therapy import exposed, mme_around, mme_on, on_opioids_since, reaching
from stewardship.domain.wording import FactValue


@dataclass(frozen=True, slots=True)
class NaloxoneOffer(ChartRule):
    """A patient with opioids at hand and a risk factor for overdose has naloxone, or declined it, within
    ``look_back_days``. Asked at any order and when the chart is opened."""

    kind: ClassVar[str] = "naloxone-offer"
    mme_per_day: Decimal
    factor_set: FactorSet
    carry_days: int
    look_back_days: int
    lost_tolerance_days: int
    long_use_days: int
    history_sets: tuple[str, ...]
    active_sets: tuple[str, ...]
    refusal_sets: tuple[str, ...]
    unknown_supply_days: int

    def check(self, order: Order | None, chart: Chart) -> Answer:
        day = order.starts_on if order is not None else chart.today
        ordered = order is not None and order.drug is not None and order.drug.is_a(DrugClass.OPIOID)
        if order is not None and order.drug is not None and order.drug.is_a(DrugClass.OPIOID_REVERSAL):
            return NotApplicable("naloxone or nalmefene is being ordered")
        at_hand = reaching(chart, day, day, unknown_days=self.unknown_supply_days)
        if not ordered and not any(is_of(e, DrugClass.OPIOID) for e, _ in at_hand):
            return NotApplicable("no opioid is ordered or at hand")
        since = day - self.look_back_days * DAY
        covered = self._covered(chart, since)
        if covered:
            return Met({"covered_by": covered})
        risks, unsure = self._risks(order if ordered else None, chart, day)
        facts: dict[str, FactValue] = {"risks": tuple(risks), "look_back_days": self.look_back_days}
        if risks:
            return Breach(facts)
        if unsure:
            return CannotTell(unsure, facts)
        return Met(facts)

    def look(self, chart: Chart) -> Answer:
        return self.check(None, chart)

    def _covered(self, chart: Chart, since: date) -> str:
        for exposure in chart.exposures_to(DrugClass.OPIOID_REVERSAL):
            if exposure.start >= since:
                return f"{exposure.drug.name if exposure.drug else ''}, {exposure.start:%d %b %Y}"
        for procedure in chart.procedures:
            refused = bool(procedure.sets & set(self.refusal_sets))
            if refused and procedure.on is not None and procedure.on >= since:
                return f"offered and declined, {procedure.on:%d %b %Y}"
        return ""

    def _risks(self, order: Order | None, chart: Chart, day: date) -> tuple[list[str], tuple[str, ...]]:
        risks: list[str] = []
        if order is not None:
            total = mme_around(
                order,
                chart,
                self.factor_set,
                unknown_days=self.unknown_supply_days,
                carry_days=self.carry_days,
            ).after
        else:
            total = mme_on(
                chart,
                day,
                self.factor_set,
                unknown_days=self.unknown_supply_days,
                carry_days=self.carry_days,
            )
        over = total.reaches(self.mme_per_day)
        if over:
            risks.append(total.words)
        sedative = exposed(
            chart, (DrugClass.BENZODIAZEPINE,), day, day, unknown_days=self.unknown_supply_days
        )
        drafted = any(e.supply.kind is SupplyKind.DRAFT for e in chart.exposures_to(DrugClass.BENZODIAZEPINE))
        if sedative.answer is Covered.YES or drafted:
            risks.append(f"benzodiazepine ({sedative.because or 'in the same signing'})")
        for condition in chart.conditions:
            ever = condition.sets & set(self.history_sets)
            now = condition.sets & set(self.active_sets) and condition.active is not False
            if ever or now:
                risks.append(_named(condition))
        if self._lost_tolerance(chart, day):
            risks.append("tolerance may be lost after a break")
        unsure = ("mme",) if over is None else sedative.missing if sedative.answer is Covered.MAYBE else ()
        return risks, unsure

    def _lost_tolerance(self, chart: Chart, day: date) -> bool:
        """Long use that ended ``lost_tolerance_days`` ago or more, within the look-back, and no use since."""
        before = day.toordinal() - 1
        used = next(
            (min(last, before) for first, last in reversed(chart.opioid_spans) if first <= before), None
        )
        if used is None:
            return False
        last_use = date.fromordinal(used)
        if not self.lost_tolerance_days <= (day - last_use).days <= self.look_back_days:
            return False
        began = on_opioids_since(chart, last_use, max_gap_days=self.lost_tolerance_days)
        return began is not None and (last_use - began).days + 1 >= self.long_use_days


@dataclass(frozen=True, slots=True)
class SedativeOverlap(OrderRule):
    """Days on which an opioid and a product of the classes are both at hand, whichever is ordered."""

    kind: ClassVar[str] = "sedative-overlap"
    classes: tuple[DrugClass, ...]
    unknown_supply_days: int
    order_days_if_unstated: int

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        sedatives = frozenset(self.classes)
        opioid = drug.is_a(DrugClass.OPIOID_ANALGESIC)
        if not opioid and sedatives.isdisjoint(drug.classes):
            return NotApplicable("neither an opioid nor a sedating medicine")
        others = sedatives if opioid else frozenset({DrugClass.OPIOID_ANALGESIC})
        days = order.days
        first = order.starts_on
        last = first + ((days or self.order_days_if_unstated) - 1) * DAY
        found: list[tuple[str, int]] = []
        missing: set[str] = set()
        for exposure, reached in reaching(chart, first, last, unknown_days=self.unknown_supply_days):
            if exposure.supply.id == order.id:
                continue
            if exposure.drug is None:
                missing.add("history.drug")
            elif not others.isdisjoint(exposure.drug.classes):
                if reached is Covered.MAYBE:
                    missing.add("history.days_supply")
                else:
                    found.append((exposure.drug.name, _shared_days(exposure, first, last)))
        facts: dict[str, FactValue] = {
            "ordered": drug.name,
            "beside": tuple(sorted({name for name, _ in found})),
            "overlap_days": (shared := max((n for _, n in found), default=0)),
            "overlap": f"{shared} day{'' if shared == 1 else 's'}",
        }
        if found:
            return Breach(facts)
        if missing:
            return CannotTell(tuple(sorted(missing)), facts)
        if chart.history_gaps:
            return CannotTell(("history",), {**facts, "history_gaps": chart.history_gaps})
        return Met(facts)


def _shared_days(exposure: Exposure, first: date, last: date) -> int:
    until = last if exposure.last is None else min(exposure.last, last)
    return max(1, (until - max(exposure.start, first)).days + 1)


@dataclass(frozen=True, slots=True)
class ConditionPresent(OrderRule):
    """An active condition of the sets makes the order one to think about."""

    kind: ClassVar[str] = "condition-present"
    condition_sets: tuple[str, ...]

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        sets = frozenset(self.condition_sets)
        for condition in chart.conditions:
            if condition.active is not False and condition.abated_on is None and condition.sets & sets:
                return Breach({"condition": _named(condition), "recorded_on": condition.recorded_on})
        if any(gap.about.startswith("Condition") for gap in chart.gaps):
            return CannotTell(("record.conditions",))
        return Met({"condition": None})


@dataclass(frozen=True, slots=True)
class OudTreatment(ChartRule):
    """An opioid use disorder, however old the diagnosis, is treated: a product for it, or methadone, at
    hand within ``look_back_days``."""

    kind: ClassVar[str] = "oud-treatment"
    condition_sets: tuple[str, ...]
    treatment_ingredients: tuple[str, ...]
    look_back_days: int
    unknown_supply_days: int

    def check(self, order: Order | None, chart: Chart) -> Answer:
        sets = frozenset(self.condition_sets)
        disorder = next((c for c in chart.conditions if c.sets & sets and c.active is not False), None)
        if disorder is None:
            return NotApplicable("no opioid use disorder on record")
        if order is not None and order.drug is not None and self._treats(order.drug):
            return Met({"treated_with": order.drug.name})
        since = chart.today - self.look_back_days * DAY
        for exposure in chart.exposures:
            treats = exposure.drug is not None and self._treats(exposure.drug)
            draft = exposure.supply.kind is SupplyKind.DRAFT
            reached = exposure.reaches(since, chart.today, unknown_days=self.unknown_supply_days)
            if treats and (draft or reached is not Covered.NO):
                return Met({"treated_with": exposure.drug.name if exposure.drug else ""})
        return Breach(
            {
                "condition": _named(disorder),
                "recorded_on": disorder.recorded_on or disorder.onset,
                "look_back_days": self.look_back_days,
                "history_gaps": chart.history_gaps,
            }
        )

    def look(self, chart: Chart) -> Answer:
        return self.check(None, chart)

    def _treats(self, drug: Drug) -> bool:
        return drug.is_a(DrugClass.OUD_TREATMENT) or any(
            i.rxcui in self.treatment_ingredients for i in drug.opioids
        )


def _named(condition: Condition) -> str:
    first = condition.codings[0] if condition.codings else None
    return (first.display or f"{first.system} {first.code}") if first else condition.text or "a condition"
