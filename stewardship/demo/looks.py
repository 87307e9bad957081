"""That somebody looked: the reviews that a clinic at work has behind it when the demonstration begins.

The recipes make patients and what they take. Who takes an opioid for months is looked at again and again, and
most of it in time; without that, the first day would show a clinic that neglects everybody. So the clock is
asked of each chart, and each look that it asks for in the past was made a few days before its day. A few
patients were not looked at lately, those of a kind that is there to be seen without a review stay so, and so
do the patients of the orders that are shown. The same seed and the same day give the same looks.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from stewardship.declarations import Library
from stewardship.demo.clinic import Clinic
from stewardship.demo.recipes import Recipes
from stewardship.domain.chart import Chart, Encounter, Observation
from stewardship.domain.reassessment import next_due
from stewardship.domain.workdays import Calendar, WorkingDays

_SEED = 5119
#: The kind of patient that shows what happens without a review.
_UNREVIEWED = "chronic-low-back-unreviewed"
#: Of a hundred patients: those of whom the last look was not made, and of the kind above those who were
#: looked at after all.
_NOT_LATELY, _AFTER_ALL = 6, 75
#: How many days before its day a look is made, and how long one that was not made is overdue.
_EARLY, _OVERDUE = (0, 6), (3, 40)
#: A score of the PEG, in the middle of its scale, and how far one look is from the next: less than matters.
_SCORES, _APART = (4, 6), (Decimal("-0.3"), Decimal(0), Decimal("0.3"))
#: More looks than an interval of a month asks for in the years that are on record.
_MOST = 40


def looked_at(
    clinic: Clinic,
    recipes: Recipes,
    library: Library,
    calendar: Calendar,
    *,
    left: Collection[str],
) -> Clinic:
    """The clinic with the looks in its charts; the patients who are ``left`` stay as they were made."""
    days = library.working_days(calendar)
    charts = dict(clinic.charts)
    for patient, kind in clinic.kinds.items():
        rng = random.Random(f"{_SEED}/{patient}")  # noqa: S311 - to be repeatable is the point
        if patient in left or (kind == _UNREVIEWED and not _odds(rng, _AFTER_ALL)):
            continue
        charts[patient] = _with(
            charts[patient], _looks(charts[patient], library, days, rng), recipes, library, rng
        )
    return Clinic(charts, clinic.kinds)


def _odds(rng: random.Random, of_hundred: int) -> bool:
    return rng.randint(1, 100) <= of_hundred


def _looks(chart: Chart, library: Library, days: WorkingDays, rng: random.Random) -> list[date]:
    """The days on which somebody looked: as the clock asked, until its next day is one to come."""
    overdue = rng.randint(*_OVERDUE) if _odds(rng, _NOT_LATELY) else 0
    until = chart.today - timedelta(overdue)
    looks: list[date] = []
    while len(looks) < _MOST:
        due = next_due(chart, library.clock, calendar=days, reviews=looks).due
        if due is None or due.on >= until:
            break
        early = timedelta(rng.randint(*_EARLY))
        # After the day that it counts from: on that day itself was the look before, or the change.
        looks.append(max(due.on - early, due.since + timedelta(1)))
    return looks


def _with(chart: Chart, looks: list[date], recipes: Recipes, library: Library, rng: random.Random) -> Chart:
    """A visit on each of the days, and the PEG score that was found."""
    peg, visit = (recipes.finding[name].codings for name in ("peg", "office-visit"))
    of_peg, of_visit = (library.code_sets.of_any(codings) for codings in (peg, visit))
    base = Decimal(rng.randint(*_SCORES))
    named = [(f"{chart.patient.id}-look-{n:03d}", day) for n, day in enumerate(looks, 1)]
    scores = tuple(
        Observation(f"{name}-score", peg, of_peg, day, base + rng.choice(_APART), "{score}", status="final")
        for name, day in named
    )
    visits = tuple(Encounter(f"{name}-visit", visit, of_visit, "outpatient", day, day) for name, day in named)
    return replace(
        chart, observations=(*chart.observations, *scores), encounters=(*chart.encounters, *visits)
    )
