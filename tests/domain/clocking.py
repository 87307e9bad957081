"""Opioids, fills and the shipped clock, for the tests of reassessment."""

from __future__ import annotations

from datetime import date, timedelta

from stewardship.declarations.factors import read_factor_sets
from stewardship.declarations.places import REFERENCE
from stewardship.declarations.reassessment import read_clock
from stewardship.domain.chart import Chart, Observation
from stewardship.domain.drugs import Drug, Release
from stewardship.domain.orders import Supply
from stewardship.domain.reassessment import ClockAnswer, Due, next_due
from stewardship.domain.workdays import WorkingDays
from tests.builders import LONG_ACTING, TODAY, a_chart, a_drug, a_supply

TERMS = read_clock(REFERENCE, read_factor_sets(REFERENCE))
EVERY_DAY = WorkingDays(frozenset())
OXYCODONE = a_drug()
MORPHINE_ER = a_drug("morphine", "7052", "15", code="891874", release=Release.EXTENDED, classes=LONG_ACTING)
METHADONE = a_drug("methadone", "6813", "5", code="864718", classes=LONG_ACTING)


def ago(days: int) -> date:
    return TODAY - timedelta(days)


def taking(since: int, days: int | None = None, *, per_day: int = 4, drug: Drug = OXYCODONE) -> Supply:
    """Dispensed so many days ago, to last to the day after tomorrow: four tablets of oxycodone 5 mg a day,
    30 MME."""
    length = since + 3 if days is None else days
    return a_supply(start=ago(since), days=length, drug=drug, quantity=per_day * length)


def function_on(day: date) -> Observation:
    """A measure of function on record."""
    return Observation("o-1", (), frozenset({"function-measure"}), on=day)


def clock(*supplies: Supply, **more: object) -> ClockAnswer:
    """The answer for a patient with these supplies; every day is a working day."""
    return asked(a_chart(*supplies, **more))


def asked(chart: Chart, *, calendar: WorkingDays = EVERY_DAY, reviews: tuple[date, ...] = ()) -> ClockAnswer:
    return next_due(chart, TERMS, calendar=calendar, reviews=reviews)


def due(answer: ClockAnswer) -> Due:
    assert answer.due is not None
    return answer.due
