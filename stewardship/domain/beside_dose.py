"""Function over time beside the daily dose: what a picture draws, and the table and words that say the same.

One instrument, its line of function; each score with what became of it since the first of the time shown, and
with the dose of its day. A day without supply has no dose, which is not a dose of zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from stewardship.domain.exposure import Step
from stewardship.domain.instruments import Better, Verdict, change
from stewardship.domain.measurements import Line, Measured, Trend


@dataclass(frozen=True, slots=True)
class Row:
    """A measurement: its day, the score (``None``: none could be made), what became of it since the first,
    and the daily dose on that day (``None``: nothing in hand)."""

    on: date
    score: Decimal | None
    verdict: Verdict | None
    mme_per_day: Decimal | None


@dataclass(frozen=True)
class BesideDose:
    """An instrument of one patient from ``first`` to ``until``, and the daily MME under a factor set."""

    trend: Trend
    steps: tuple[Step, ...]
    first: date
    until: date
    factor_set: str

    @property
    def line(self) -> Line:
        """The line that speaks of function."""
        return self.trend.function

    @property
    def shown(self) -> tuple[Step, ...]:
        """The steps that reach into the time shown, in order."""
        inside = (s for s in self.steps if s.first <= self.until and s.last >= self.first)
        return tuple(sorted(inside, key=lambda s: s.first))

    @property
    def complete(self) -> bool:
        """Whether every daily dose is whole; else it is at least so much."""
        return all(s.complete for s in self.shown)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table."""
        inside = [m for m in self.trend.measurements if self.first <= m.taken_on <= self.until]
        values = {p.measurement: p.value for p in self.line.points}
        start = next((m for m in inside if values[m.id] is not None), None)
        return tuple(
            Row(m.taken_on, values[m.id], self._since(start, m, values), self._dose(m)) for m in inside
        )

    @property
    def summary(self) -> str:
        """What is to be seen, in sentences."""
        better = "higher" if self.trend.instrument.better is Better.HIGHER else "lower"
        words = [f"{self.line.title}, {better} is better, {self.first:%d %b %Y} to {self.until:%d %b %Y}."]
        scores = [r for r in self.rows if r.score is not None]
        if not scores:
            words.append("No score in this time.")
        elif len(scores) == 1:
            words.append(f"1 score of {scores[0].score}.")
        else:
            words.append(f"{len(scores)} scores from {scores[0].score} to {scores[-1].score}: ")
            words[-1] += f"{scores[-1].verdict or Verdict.CANNOT_TELL}."
        doses = [s.mme for s in self.shown]
        least = "" if self.complete else "at least "
        if doses:
            low, high = (f"{least}{dose.normalize():f}" for dose in (min(doses), max(doses)))
            words.append(f"Daily dose from {low} to {high} MME a day, factors {self.factor_set}.")
        else:
            words.append("No opioid in hand.")
        return " ".join(words)

    def _dose(self, one: Measured) -> Decimal | None:
        return next((s.mme for s in self.steps if s.first <= one.taken_on <= s.last), None)

    def _since(
        self, start: Measured | None, one: Measured, values: dict[str, Decimal | None]
    ) -> Verdict | None:
        if start is None or start.id == one.id or values[one.id] is None:
            return None
        assert start.score is not None  # noqa: S101 - a trend has only measurements with a score
        assert one.score is not None  # noqa: S101
        whole = change(self.trend.instrument, start.score, one.score)
        return (whole.parts.get(self.line.part, whole) if self.line.part else whole).verdict
