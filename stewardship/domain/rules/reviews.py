"""What is looked at and recorded: alternatives, plans, reassessments, PDMP reviews, urine drug tests.

The absence of a record is what these rules are about, so a gap in the history does not excuse it: the
cards say "on record".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from stewardship.domain.chart import Chart, Observation
from stewardship.domain.drugs import Drug, DrugClass
from stewardship.domain.episodes import (
    DAY,
    Covered,
    Exposure,
    is_of,
)
from stewardship.domain.orders import Order, Phase, SupplyKind
from stewardship.domain.policy import Answer, Breach, CannotTell, Met, NotApplicable
from stewardship.domain.rules.kinds import ChartRule, OrderRule, latest, recorded, signed_on
from stewardship.domain.therapy import exposed, on_opioids_since, opioid_days, reaching
from stewardship.domain.wording import FactValue

_OPIOIDS = frozenset({DrugClass.OPIOID_ANALGESIC})


@dataclass(frozen=True, slots=True)
class NonopioidFirst(OrderRule):
    """An opioid-naive patient has a non-opioid treatment tried, ordered, declined or contraindicated on
    record. No fail-first rule: one record of any kind is enough."""

    kind: ClassVar[str] = "nonopioid-first"
    naive_days: int
    unknown_supply_days: int
    look_back_days: int
    treatment_classes: tuple[DrugClass, ...]
    treatment_sets: tuple[str, ...]
    oud_sets: tuple[str, ...]

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        unclear = _indication_unclear(order, drug, chart, self.oud_sets)
        if unclear is not None:
            return unclear
        start = order.starts_on
        before = exposed(
            chart,
            _OPIOIDS,
            start - self.naive_days * DAY,
            start - DAY,
            unknown_days=self.unknown_supply_days,
        )
        if before.answer is Covered.YES:
            return Met({"naive": False, "earlier_opioid": before.because})
        tried = _nonopioid(self, order, chart)
        if tried:
            return Met({"naive": before.answer is Covered.NO, "nonopioid": tried})
        facts: dict[str, FactValue] = {
            "naive": True if before.answer is Covered.NO else None,
            "naive_days": self.naive_days,
            "look_back_days": self.look_back_days,
            "history_gaps": chart.history_gaps,
        }
        if "history.days_supply" in before.missing or "history.drug" in before.missing:
            return CannotTell(before.missing, facts)
        return Breach(facts)


def _nonopioid(rule: NonopioidFirst, order: Order, chart: Chart) -> str:
    """The first record of a non-opioid treatment in the look-back or beside the order; empty if none."""
    since = order.starts_on - rule.look_back_days * DAY
    classes = frozenset(rule.treatment_classes)
    for exposure in chart.exposures:
        if exposure.drug is None or classes.isdisjoint(exposure.drug.classes):
            continue
        # A combination with an opioid is not a non-opioid treatment tried.
        if not exposure.drug.is_a(DrugClass.OPIOID) and exposure.start >= since:
            return f"{exposure.drug.name}, {exposure.start:%d %b %Y}"
    for procedure in chart.procedures:
        if procedure.on is not None and procedure.on >= since and procedure.sets & set(rule.treatment_sets):
            return f"recorded {procedure.on:%d %b %Y}"
    for condition in chart.conditions:
        if condition.active is not False and condition.sets & set(rule.treatment_sets):
            return "recorded as contraindicated or declined"
    return ""


def _indication_unclear(
    order: Order, drug: Drug, chart: Chart, oud_sets: Iterable[str]
) -> NotApplicable | CannotTell | None:
    """A product for opioid use disorder is not judged as one for pain; without the disorder on record
    nobody can tell what it is for."""
    if not drug.is_a(DrugClass.OUD_TREATMENT):
        return None
    sets = frozenset(oud_sets)
    known = not sets.isdisjoint(order.pain.reason_sets) or any(
        not sets.isdisjoint(c.sets) and c.active is not False for c in chart.conditions
    )
    if known:
        return NotApplicable("treatment of opioid use disorder")
    return CannotTell(("order.indication",), {"drug": drug.name})


@dataclass(frozen=True, slots=True)
class TreatmentPlanCurrent(OrderRule):
    """Subacute or chronic pain, or an order as long as for it: goals or a plan on record."""

    kind: ClassVar[str] = "treatment-plan-current"
    long_supply_days: int
    review_days: int
    plan_sets: tuple[str, ...]
    oud_sets: tuple[str, ...]

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        days = order.days
        if order.pain.phase is Phase.UNKNOWN and days is None:
            return CannotTell(("order.pain.phase", "order.days_supply"))
        if order.pain.phase is Phase.UNKNOWN and days is not None and days < self.long_supply_days:
            return NotApplicable(f"for subacute and chronic pain, or {self.long_supply_days} days and more")
        plan_sets = frozenset(self.plan_sets)
        dates = [p.reviewed_on or p.from_on for p in chart.plans if p.active and p.sets & plan_sets]
        dates += [p.on for p in chart.procedures if p.done and p.sets & plan_sets]
        dates += [g.from_on for g in chart.goals if g.active]
        last_seen = latest(dates)
        facts: dict[str, FactValue] = {"plan_or_goal_on": last_seen, "review_days": self.review_days}
        if last_seen is not None and 0 <= (signed_on(order, chart) - last_seen).days <= self.review_days:
            return Met(facts)
        return _indication_unclear(order, drug, chart, self.oud_sets) or Breach(facts)


@dataclass(frozen=True, slots=True)
class ReassessmentDue(OrderRule):
    """Benefits and harms evaluated within ``review_days`` once the published triggers are met:
    ``recent_days`` of the past ``recent_window_days``, or ``month_days`` of 30 in each of three months."""

    kind: ClassVar[str] = "reassessment-due"
    recent_days: int
    recent_window_days: int
    month_days: int
    months: int
    month_length_days: int
    review_days: int
    evaluation_sets: tuple[str, ...]
    unknown_supply_days: int

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        last = order.written_on - DAY
        evaluated = recorded(chart, self.evaluation_sets)
        recent = opioid_days(
            chart,
            last - (self.recent_window_days - 1) * DAY,
            last,
            unknown_days=self.unknown_supply_days,
        )
        months = [
            opioid_days(
                chart,
                last - ((n + 1) * self.month_length_days - 1) * DAY,
                last - n * self.month_length_days * DAY,
                unknown_days=self.unknown_supply_days,
            )
            for n in range(self.months)
        ]
        triggered = recent.days >= self.recent_days or all(m.days >= self.month_days for m in months)
        facts: dict[str, FactValue] = {
            "recent_days": recent.days,
            "recent_window_days": self.recent_window_days,
            "days_by_month": tuple(m.days for m in months),
            "evaluated_on": evaluated,
            "review_days": self.review_days,
        }
        if evaluated is not None and 0 <= (signed_on(order, chart) - evaluated).days <= self.review_days:
            return Met(facts)
        if triggered:
            return Breach(facts)
        missing = {m for part in (recent, *months) for m in part.missing}
        if missing:
            return CannotTell(tuple(sorted(missing)), facts)
        return Met(facts)


@dataclass(frozen=True, slots=True)
class RecordWithin(OrderRule):
    """A record of one of the sets (a review, a test) within ``within_days``.

    With ``long_term_only``, asked on long-term therapy: ``long_use_days`` on opioids, or an order of
    ``long_supply_days``. The first opioid prescription is named as such.
    """

    kind: ClassVar[str] = "record-within"
    record_sets: tuple[str, ...]
    within_days: int
    naive_days: int
    unknown_supply_days: int

    def judge(self, order: Order, drug: Drug, chart: Chart) -> Answer:
        found = recorded(chart, self.record_sets)
        before = exposed(
            chart,
            _OPIOIDS,
            order.starts_on - self.naive_days * DAY,
            order.starts_on - DAY,
            unknown_days=self.unknown_supply_days,
        )
        facts: dict[str, FactValue] = {
            "recorded_on": found,
            "within_days": self.within_days,
            "initial": None if before.answer is Covered.MAYBE else before.answer is Covered.NO,
        }
        if found is not None and 0 <= (signed_on(order, chart) - found).days <= self.within_days:
            return Met(facts)
        return Breach(facts)


@dataclass(frozen=True, slots=True)
class UrineDrugTest(ChartRule):
    """On long-term therapy a urine drug test within ``within_days``; a result that does not fit what is
    prescribed is put as a question. ``expected_by`` pairs result sets with ingredient codes."""

    kind: ClassVar[str] = "urine-drug-test"
    test_sets: tuple[str, ...]
    within_days: int
    long_use_days: int
    long_supply_days: int
    max_gap_days: int
    expected_sets: tuple[str, ...]
    expected_ingredients: tuple[str, ...]
    unexpected_sets: tuple[str, ...]
    positive: tuple[str, ...]
    exposure_days: int
    unknown_supply_days: int

    def check(self, order: Order | None, chart: Chart) -> Answer:
        day = order.written_on if order is not None else chart.today
        since = on_opioids_since(chart, day, max_gap_days=self.max_gap_days)
        used = 0 if since is None else (day - since).days + 1
        ordered = 0
        if order is not None and order.drug is not None and order.drug.is_a(DrugClass.OPIOID_ANALGESIC):
            ordered = order.days or 0
        at_hand = reaching(chart, day, day, unknown_days=self.unknown_supply_days)
        supplied = max((e.days or 0 for e, _ in at_hand if _is_supplied_opioid(e)), default=0)
        long_term = used >= self.long_use_days or max(ordered, supplied) >= self.long_supply_days
        if not long_term:
            return NotApplicable("not on long-term opioid therapy")
        tests = [o for o in chart.observations if o.sets & set(self.test_sets) and o.on and o.on <= day]
        recent = [o for o in tests if o.on is not None and (day - o.on).days <= self.within_days]
        last_test = latest(o.on for o in tests)
        facts: dict[str, FactValue] = {
            "tested_on": last_test,
            "within_days": self.within_days,
            "days_on_opioids": used,
        }
        if not recent:
            return Breach({**facts, "what": f"none on record in {self.within_days} days"})
        question = self._question(recent, chart)
        if question:
            return Breach({**facts, "what": question})
        return Met(facts)

    def look(self, chart: Chart) -> Answer:
        return self.check(None, chart)

    def _question(self, recent: Iterable[Observation], chart: Chart) -> str:
        for result in sorted(recent, key=lambda o: o.on or date.min, reverse=True):
            if not _is_positive(result, self.positive) or result.on is None:
                continue
            said = result.codings[0].display or "a substance" if result.codings else "a substance"
            if result.sets & set(self.unexpected_sets):
                return f"{said}: positive on {result.on:%d %b %Y}. Is there an explanation?"
            wanted = {
                i
                for s, i in zip(self.expected_sets, self.expected_ingredients, strict=True)
                if s in result.sets
            }
            if wanted and not self._supplied(wanted, chart, result.on):
                day = f"{result.on:%d %b %Y}"
                return f"{said}: positive on {day}, not among the supplies on record. Do we know of a source?"
        return ""

    def _supplied(self, wanted: set[str], chart: Chart, on: date) -> bool:
        return any(
            e.drug is not None
            and wanted & {i.rxcui for i in e.drug.ingredients}
            and e.reaches(on - self.exposure_days * DAY, on, unknown_days=self.unknown_supply_days)
            is not Covered.NO
            for e in chart.exposures
        )


def _is_supplied_opioid(exposure: Exposure) -> bool:
    return is_of(exposure, DrugClass.OPIOID_ANALGESIC) and exposure.supply.kind is not SupplyKind.DRAFT


def _is_positive(result: Observation, positive: tuple[str, ...]) -> bool:
    words = {result.said.strip().casefold(), *(c.code.casefold() for c in result.coded)}
    return not words.isdisjoint(p.casefold() for p in positive)
