"""On which days time alone may change who might benefit from what, though nothing new is on record.

A superset is enough: a day too many costs one look, a day too few hides somebody. So every dated fact of a
chart is joined with every term that counts days from a fact of its kind, and nothing is asked of what the
answer was. It is held against looking on every day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from stewardship.domain.benefit import Offer
from stewardship.domain.chart import Chart
from stewardship.domain.codes import LOINC
from stewardship.domain.exemptions import ExemptionRule
from stewardship.domain.orders import PhaseBounds
from stewardship.domain.suitability import Terms
from stewardship.domain.triggers import Triggers

_DAY = timedelta(1)


@dataclass(frozen=True)
class Windows:
    """Everything that counts days from a fact: medicines, kidneys, exemptions, pain, offers and therapy."""

    terms: Terms
    exemptions: tuple[ExemptionRule, ...]
    phases: PhaseBounds
    triggers: Triggers


def look_again_on(
    chart: Chart, windows: Windows, *, onset: date | None, offers: Iterable[Offer]
) -> date | None:
    """The first day after the chart's on which the answer may be another; ``None`` when time alone changes
    nothing. ``onset`` is the assessed beginning of the pain."""
    days = (
        *_supplies(chart, windows),
        *_therapy(chart, windows.triggers),
        *_events(chart, windows.exemptions),
        *_kidneys(chart, windows.terms),
        *_birthdays(chart),
        *_pain(onset, windows.phases),
        *_offers(offers, windows.triggers),
    )
    return min((day for day in days if day > chart.today), default=None)


def _supplies(chart: Chart, windows: Windows) -> Iterator[date]:
    unknown = timedelta(windows.terms.unknown_days)
    within = sorted({0, *(group.within_days for group in windows.terms.groups.values())})
    for e in chart.exposures:
        turns = {e.start, e.start + _DAY, *(day + _DAY for day in (e.last, e.ends) if day is not None)}
        if e.refilled_until:
            turns.add(date.fromordinal(e.refilled_until + 1))
        if e.days is None:
            turns.add(e.start + unknown)
        if e.stopped_on is not None:
            # Without a day on which it was stopped it is taken until yesterday, whenever that is.
            turns.add(max(e.stopped_on, chart.today + _DAY))
            turns.add(e.stopped_on)
        yield from (turn + timedelta(ago) for turn in turns for ago in within)


def _therapy(chart: Chart, triggers: Triggers) -> Iterator[date]:
    for first, last in chart.opioid_spans:
        began, over = date.fromordinal(first), date.fromordinal(last) + _DAY
        yield from (began, over, began + timedelta(triggers.flag_therapy_days))
        yield over + timedelta(triggers.flag_max_gap_days + 1)


def _events(chart: Chart, exemptions: Iterable[ExemptionRule]) -> Iterator[date]:
    rules = tuple(exemptions)
    of_conditions = {rule.condition_days for rule in rules} - {None}
    of_events = {rule.procedure_days for rule in rules} - {None}
    for condition in chart.conditions:
        if condition.abated_on is not None:
            yield condition.abated_on
        yield from _for(condition.recorded_on or condition.onset, of_conditions)
    for day in (*(p.on for p in chart.procedures), *(e.from_on for e in chart.encounters)):
        yield from _for(day, of_events)


def _for(day: date | None, lasting: Iterable[int | None]) -> Iterator[date]:
    """The day itself, and the first one on which it is too long ago."""
    if day is not None:
        yield day
        yield from (day + timedelta(days + 1) for days in lasting if days is not None)


def _kidneys(chart: Chart, terms: Terms) -> Iterator[date]:
    codes = frozenset().union(*terms.renal_codes.values())
    for one in chart.observations:
        if any(c.system == LOINC and c.code in codes for c in one.codings):
            yield from _for(one.on, (terms.renal_days,))


def _birthdays(chart: Chart) -> Iterator[date]:
    born, today = chart.patient.birth_date, chart.today
    if born is None:
        return
    for year in (today.year, today.year + 1):
        # Who was born on a leap day is a year older on the first of March of other years.
        leap = (born.month, born.day) == (2, 29)
        yield date(year, 3, 1) if leap else born.replace(year=year)
        yield date(year, 2, 28) + _DAY


def _pain(onset: date | None, phases: PhaseBounds) -> Iterator[date]:
    if onset is not None:
        for bound in (phases.subacute_from, phases.subacute_until):
            yield from (onset + timedelta(bound), onset + timedelta(bound + 1))


def _offers(offers: Iterable[Offer], triggers: Triggers) -> Iterator[date]:
    for one in offers:
        yield from (one.on, one.on + timedelta(triggers.offered_rest_days))
        yield one.on + timedelta(triggers.declined_rest_days)
