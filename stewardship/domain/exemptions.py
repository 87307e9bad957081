"""Who is exempt, on what evidence: precise, dated, and able to expire.

A cancer that was treated long ago, a trait, a resolved condition exempt nobody. What counts as evidence is
data (``reference/exemptions.toml``); an exempt finding says which record it stands on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from stewardship.domain.chart import Chart, Condition
from stewardship.domain.codes import Coding
from stewardship.domain.drugs import DrugClass
from stewardship.domain.episodes import Exposure
from stewardship.domain.orders import Order


@dataclass(frozen=True, slots=True)
class ExemptionRule:
    """What counts as evidence for one kind of exemption, and for how long (``reference/exemptions``).

    A condition in ``condition_sets`` counts while active (not resolved, not merely old) and, when
    ``condition_days`` is set, only if recorded within that many days; procedures, encounters and
    order indications in their sets count within ``procedure_days``.
    """

    kind: str
    title: str
    condition_sets: frozenset[str] = frozenset()
    condition_days: int | None = None
    procedure_sets: frozenset[str] = frozenset()
    procedure_days: int | None = None
    reason_sets: frozenset[str] = frozenset()
    treatment_types: frozenset[str] = frozenset()
    drug_classes: frozenset[DrugClass] = frozenset()


def exempt_by(rule: ExemptionRule, order: Order | None, chart: Chart) -> str:
    """The evidence on which the exemption stands, with its date; empty when there is none."""
    if order is not None and not rule.reason_sets.isdisjoint(order.pain.reason_sets):
        return "indication of the order"
    key = ("exempt", rule.kind)
    known: str | None = chart.kept.get(key)
    if known is None:
        known = chart.kept[key] = _charted(rule, chart)
    return known


def _charted(rule: ExemptionRule, chart: Chart) -> str:
    """The evidence that the chart holds."""
    for condition in chart.conditions:
        if rule.condition_sets.isdisjoint(condition.sets) or not _stands(condition, rule, chart.today):
            continue
        recorded = condition.recorded_on or condition.onset
        return f"condition {_code(condition.codings)}" + (f" of {recorded:%d %b %Y}" if recorded else "")
    for name, codings, sets, day in _events(chart):
        if not rule.procedure_sets.isdisjoint(sets) and _within(day, rule.procedure_days, chart.today):
            return f"{name} {_code(codings)} of {day:%d %b %Y}"
    if rule.treatment_types or rule.drug_classes:
        return _supply_evidence(rule, chart)
    return ""


def _events(chart: Chart) -> list[tuple[str, tuple[Coding, ...], frozenset[str], date | None]]:
    known: list[tuple[str, tuple[Coding, ...], frozenset[str], date | None]] | None
    known = chart.kept.get(("events",))
    if known is None:
        known = [("procedure", p.codings, p.sets, p.on) for p in chart.procedures if p.done]
        known += [("encounter", e.codings, e.sets, e.from_on) for e in chart.encounters]
        chart.kept[("events",)] = known
    return known


def _stands(condition: Condition, rule: ExemptionRule, today: date) -> bool:
    """Resolved or refuted conditions exempt nobody; one of unstated status only while it is recent."""
    if condition.active is False or (condition.abated_on is not None and condition.abated_on <= today):
        return False
    recorded = condition.recorded_on or condition.onset
    if rule.condition_days is None:
        return condition.active is True
    return _within(recorded, rule.condition_days, today)


def _within(day: date | None, days: int | None, today: date) -> bool:
    return day is not None and day <= today and (days is None or (today - day).days <= days)


def _supply_evidence(rule: ExemptionRule, chart: Chart) -> str:
    for exposure in _in_hand(chart):
        supply, drug = exposure.supply, exposure.drug
        if supply.treatment_type and supply.treatment_type in rule.treatment_types:
            return f"treatment type {supply.treatment_type} reported with supply of {exposure.start:%d %b %Y}"
        if drug is not None and not rule.drug_classes.isdisjoint(drug.classes):
            return f"{drug.name} supplied {exposure.start:%d %b %Y}"
    return ""


def _in_hand(chart: Chart) -> tuple[Exposure, ...]:
    """What was not stopped and is known to last until today or longer."""
    known: tuple[Exposure, ...] | None = chart.kept.get(("in hand",))
    if known is None:
        today = chart.today
        known = chart.kept[("in hand",)] = tuple(
            e for e in chart.exposures if e.last is not None and e.last >= today and e.stopped_on is None
        )
    return known


def _code(codings: tuple[Coding, ...]) -> str:
    return f"{codings[0].system} {codings[0].code}" if codings else "without a code"
