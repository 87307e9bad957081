"""The kinds of scoring that an instrument's file can name, one small class each.

A kind's annotated fields are the parameters that a file gives. Scores are exact fractions until somebody
reads them: a mean of three whole numbers that is rounded first can hide the change that matters. What is
missing is named; it is never a zero.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

SCORINGS: dict[str, type[Scoring]] = {}


@dataclass(frozen=True, slots=True)
class Item:
    """One question: what it asks, and which answers it takes: from ``least`` to ``most`` in steps of
    ``step``. ``yes_no`` items are 1 and 0. ``choices`` name the answers that have words. ``points`` are
    what a yes counts, by sex, where the scoring asks for that."""

    id: str
    text: str
    least: Decimal
    most: Decimal
    step: Decimal = Decimal(1)
    yes_no: bool = False
    choices: tuple[tuple[Decimal, str], ...] = ()
    loinc: str = ""
    points: Mapping[str, Decimal] = field(default_factory=dict)

    def takes(self, answer: Decimal) -> bool:
        """Whether it is an answer to this question."""
        if not answer.is_finite() or not self.least <= answer <= self.most:
            return False
        return (answer - self.least) % self.step == 0


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no score: the facts that are missing, and the reason in words."""

    what: tuple[str, ...]
    because: str


Answers = Mapping[str, Decimal]


@dataclass(frozen=True)
class Scoring(ABC):
    """Base of the kinds."""

    kind: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        if cls.kind:
            SCORINGS[cls.kind] = cls

    @abstractmethod
    def total(self, items: Sequence[Item], answers: Answers, sex: str) -> Fraction | Missing:
        """The score of the answers that were given, or what is missing for one."""


def _too_few(items: Sequence[Item], answers: Answers, least: int) -> Missing | None:
    left = tuple(item.id for item in items if item.id not in answers)
    given = len(items) - len(left)
    if given >= least:
        return None
    return Missing(left, f"{given} of {len(items)} items answered; a score needs {least}")


def _sum(items: Sequence[Item], answers: Answers) -> Fraction:
    return sum((Fraction(answers[i.id]) for i in items if i.id in answers), start=Fraction(0))


@dataclass(frozen=True)
class Mean(Scoring):
    """The mean of the items that were answered, at least ``least_answered`` of them."""

    kind: ClassVar[str] = "mean"
    least_answered: int

    def total(self, items: Sequence[Item], answers: Answers, sex: str) -> Fraction | Missing:
        short = _too_few(items, answers, self.least_answered)
        return short or _sum(items, answers) / sum(i.id in answers for i in items)


@dataclass(frozen=True)
class Sum(Scoring):
    """The sum of all items. Of an instrument with one item, what was entered."""

    kind: ClassVar[str] = "sum"

    def total(self, items: Sequence[Item], answers: Answers, sex: str) -> Fraction | Missing:
        return _too_few(items, answers, len(items)) or _sum(items, answers)


@dataclass(frozen=True)
class PercentOfPossible(Scoring):
    """The sum as a percentage of the most that the answered items could give."""

    kind: ClassVar[str] = "percent-of-possible"
    least_answered: int

    def total(self, items: Sequence[Item], answers: Answers, sex: str) -> Fraction | Missing:
        short = _too_few(items, answers, self.least_answered)
        possible = sum((Fraction(i.most) for i in items if i.id in answers), start=Fraction(0))
        return short or 100 * _sum(items, answers) / possible


@dataclass(frozen=True)
class PointsBySex(Scoring):
    """The points of the items that apply, which differ between women and men."""

    kind: ClassVar[str] = "points-by-sex"

    def total(self, items: Sequence[Item], answers: Answers, sex: str) -> Fraction | Missing:
        short = _too_few(items, answers, len(items))
        if short is not None:
            return short
        by_sex = {
            known: sum((Fraction(i.points[known]) * Fraction(answers[i.id]) for i in items), Fraction(0))
            for known in items[0].points
        }
        if sex in by_sex:
            return by_sex[sex]
        if len(set(by_sex.values())) == 1:
            return next(iter(by_sex.values()))
        return Missing(("sex",), f"the points of these answers differ by sex ({' or '.join(by_sex)})")


@dataclass(frozen=True)
class GoalAttainment(Scoring):
    """How far several goals were attained, as a T-score: 50 is as expected. Goals of equal weight;
    ``correlation`` is the assumed correlation between goals."""

    kind: ClassVar[str] = "goal-attainment"
    least_answered: int
    correlation: Decimal

    def total(self, items: Sequence[Item], answers: Answers, sex: str) -> Fraction | Missing:
        short = _too_few(items, answers, self.least_answered)
        goals = sum(i.id in answers for i in items)
        spread = ((1 - self.correlation) * goals + self.correlation * goals * goals).sqrt()
        return short or 50 + 10 * _sum(items, answers) / Fraction(spread)


@dataclass(frozen=True)
class GradedPain(Scoring):
    """Grades of chronic pain: 0 none, 1 mild, 2 bothersome, 3 high impact.

    Pain on fewer days than ``most_days`` is no chronic pain; activities limited on as many days make
    high impact; else the sum of the severity items from ``bothersome_from`` parts mild and bothersome."""

    kind: ClassVar[str] = "graded-pain"
    frequency_item: str
    impact_item: str
    most_days: Decimal
    bothersome_from: Decimal

    def total(self, items: Sequence[Item], answers: Answers, sex: str) -> Fraction | Missing:
        often = answers.get(self.frequency_item)
        if often is None:
            return Missing((self.frequency_item,), "how often there was pain is not answered")
        if often < self.most_days:
            return Fraction(0)
        impact = answers.get(self.impact_item)
        if impact is not None and impact >= self.most_days:
            return Fraction(3)
        severity = [i for i in items if i.id not in (self.frequency_item, self.impact_item)]
        left = tuple(i.id for i in severity if i.id not in answers)
        if impact is None:
            left = (self.impact_item, *left)
        if left:
            return Missing(left, "with pain on most days the grade needs every item")
        return Fraction(2 if _sum(severity, answers) >= self.bothersome_from else 1)
