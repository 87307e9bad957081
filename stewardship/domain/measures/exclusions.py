"""Who is taken out of a measure's population, and on which record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from stewardship.domain.chart import Chart, Condition
from stewardship.domain.measures import Evidence, Exclusion, Measure


def excluded(measure: Measure, chart: Chart, first: date, last: date) -> tuple[Evidence, ...]:
    """Every record that excludes the patient from a period. What is not on record excludes nobody."""
    return tuple(found for rule in measure.exclusions for found in _evidence(rule, chart, first, last))


def _evidence(rule: Exclusion, chart: Chart, first: date, last: date) -> Iterator[Evidence]:
    since = first - timedelta(rule.days_before)
    for condition in chart.conditions:
        if rule.sets & condition.sets and stands(condition, since, last):
            said = condition.text or ", ".join(c.code for c in condition.codings)
            yield Evidence(
                rule.kind, condition.id, f"condition {said}", condition.recorded_on or condition.onset
            )
    for procedure in chart.procedures:
        if rule.sets & procedure.sets and procedure.done and _dated(procedure.on, since, last):
            yield Evidence(rule.kind, procedure.id, "procedure", procedure.on)
    for visit in chart.encounters:
        begun = visit.from_on is not None and visit.from_on <= last
        over = visit.until if visit.until is not None else visit.from_on
        if rule.sets & visit.sets and begun and over is not None and over >= since:
            yield Evidence(rule.kind, visit.id, "encounter", visit.from_on)
    for supply in chart.supplies:
        if supply.treatment_type in rule.treatment_types and _dated(supply.start_on, since, last):
            yield Evidence(rule.kind, supply.id, f"treatment type {supply.treatment_type}", supply.start_on)


def stands(condition: Condition, first: date, last: date) -> bool:
    """Whether a condition was there between two days: it began by then, was not over before, and is active,
    or was recorded within them."""
    began = condition.onset or condition.recorded_on
    if began is not None and began > last:
        return False
    if condition.abated_on is not None:
        return condition.abated_on >= first
    recorded = condition.recorded_on or condition.onset
    return condition.active is True or _dated(recorded, first, last)


def _dated(day: date | None, first: date, last: date) -> bool:
    return day is not None and first <= day <= last
