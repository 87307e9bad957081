"""Flags about what is taken, how much and since when: sedatives beside, doses, new and long-term use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from stewardship.domain.drugs import DrugClass
from stewardship.domain.episodes import Span, days_within
from stewardship.domain.flags.history import (
    Flag,
    History,
    Kind,
    Row,
    Seen,
    Untold,
    both,
    covered,
    days,
    joined,
    runs,
)


@dataclass(frozen=True, slots=True)
class OpioidWithBenzodiazepine:
    """An opioid and a benzodiazepine in hand on the same ``min_overlap_days`` days or more."""

    kind: ClassVar[Kind] = Kind.OPIOID_WITH_BENZODIAZEPINE
    min_overlap_days: int
    same_problem_days: int

    def look(self, history: History) -> Iterator[Seen]:
        sedatives = [r for r in history.rows if r.is_a(DrugClass.BENZODIAZEPINE)]
        rows = [r for r in history.rows if r.opioid or r.is_a(DrugClass.BENZODIAZEPINE)]
        yield from _together(self, (history.opioids, sedatives), rows)


@dataclass(frozen=True, slots=True)
class OpioidBenzodiazepineCarisoprodol:
    """The same with carisoprodol (``ingredients``, RxNorm codes) besides."""

    kind: ClassVar[Kind] = Kind.WITH_CARISOPRODOL
    ingredients: tuple[str, ...]
    min_overlap_days: int
    same_problem_days: int

    def look(self, history: History) -> Iterator[Seen]:
        sedatives = [r for r in history.rows if r.is_a(DrugClass.BENZODIAZEPINE)]
        third = [r for r in history.rows if self.has(r)]
        rows = [r for r in history.rows if r.opioid or r in sedatives or r in third]
        yield from _together(self, (history.opioids, sedatives, third), rows)

    def has(self, row: Row) -> bool:
        """Whether the product holds one of the ingredients."""
        return row.drug is not None and any(i.rxcui in self.ingredients for i in row.drug.ingredients)


def _together(
    rule: OpioidWithBenzodiazepine | OpioidBenzodiazepineCarisoprodol,
    parts: Sequence[Sequence[Row]],
    rows: Sequence[Row],
) -> Iterator[Flag]:
    common = covered(parts[0])
    for part in parts[1:]:
        common = both(common, covered(part))
    for span, overlap in joined(common, rule.same_problem_days):
        if overlap >= rule.min_overlap_days:
            anchor = next(r for r in rows if r.first == span[0])
            yield Flag(
                rule.kind,
                anchor.id,
                anchor.on,
                date.fromordinal(span[1]),
                _within(rows, span),
                {"overlap_days": overlap},
            )


def _within(rows: Sequence[Row], span: Span) -> tuple[str, ...]:
    return tuple(r.id for r in rows if r.first <= span[1] and r.last >= span[0])


@dataclass(frozen=True, slots=True)
class HighDailyMme:
    """A daily total of ``mme_per_day`` or more on ``min_days`` days. A place to look, not a limit."""

    kind: ClassVar[Kind] = Kind.HIGH_DAILY_MME
    mme_per_day: Decimal
    min_days: int
    same_problem_days: int

    def look(self, history: History) -> Iterator[Seen]:
        high = [(s.first.toordinal(), s.last.toordinal()) for s in history.steps if s.mme >= self.mme_per_day]
        rows = [r for r in history.rows if r.id in {s.exposure.supply.id for s in history.counted}]
        for span, over in joined(high, self.same_problem_days):
            if over < self.min_days:
                continue
            inside = [s for s in history.steps if span[0] <= s.first.toordinal() <= span[1]]
            anchor = next(r for r in rows if r.first == span[0])
            yield Flag(
                self.kind,
                anchor.id,
                anchor.on,
                date.fromordinal(span[1]),
                _within(rows, span),
                {
                    "highest_mme_per_day": max(s.mme for s in inside),
                    "days": over,
                    "factor_set": history.common.factor_set.id,
                },
                all(s.complete for s in inside),
            )


@dataclass(frozen=True, slots=True)
class DoseRising:
    """A daily total that is higher by ``percent`` and by ``min_rise`` MME than ``window_days`` before, and
    lasts ``sustained_days``. What begins from nothing is a start, not a rise."""

    kind: ClassVar[Kind] = Kind.DOSE_RISING_FAST
    percent: int
    min_rise: Decimal
    window_days: int
    sustained_days: int
    same_problem_days: int

    def look(self, history: History) -> Iterator[Seen]:
        anchors = []
        for day, row in _counted_days(history):
            before, after = (
                history.mme_on(day - self.window_days),
                history.mme_on(day + self.sustained_days - 1),
            )
            rose = after - before >= self.min_rise and after * 100 >= before * (100 + self.percent)
            if before > 0 and rose:
                anchors.append((day, (row, before, after)))
        yield from _changes(self.kind, anchors, self.same_problem_days, history)


@dataclass(frozen=True, slots=True)
class DoseFalling:
    """A daily total that is lower by more than ``percent`` than ``window_days`` before, from ``min_mme`` or
    more, in somebody who had opioids ``min_use_days`` earlier; or a supply like that which ended
    ``ended_days`` ago, and no longer than ``window_days``, with nothing after it."""

    kind: ClassVar[Kind] = Kind.DOSE_FALLING_FAST
    percent: int
    min_mme: Decimal
    window_days: int
    min_use_days: int
    ended_days: int
    same_problem_days: int

    def look(self, history: History) -> Iterator[Seen]:
        anchors = []
        for day, row in _counted_days(history):
            before, after = history.mme_on(day - self.window_days), history.mme_on(day)
            fell = (before - after) * 100 > before * self.percent
            if fell and before >= self.min_mme and history.mme_on(day - self.min_use_days) > 0:
                anchors.append((day, (row, before, after)))
        ended = self._ended(history)
        if isinstance(ended, Untold):
            yield ended
        elif ended is not None:
            anchors.append(ended)
        yield from _changes(self.kind, anchors, self.same_problem_days, history)

    def _ended(self, history: History) -> tuple[int, tuple[Row, Decimal, Decimal]] | Untold | None:
        if not history.counted:
            return None
        end = max(history.ends)
        since = history.as_of.toordinal() - end
        before = history.mme_on(end)
        if not self.ended_days <= since <= self.window_days or before < self.min_mme:
            return None
        if not history.mme_on(end + 1 - self.min_use_days) > 0:
            return None
        lasting = {
            s.exposure.supply.id for s, last in zip(history.counted, history.ends, strict=True) if last == end
        }
        row = [r for r in history.rows if r.id in lasting][-1]
        if any(r.possible > end for r in history.rows if r.drug is None or r.is_a(DrugClass.OPIOID)):
            return Untold(self.kind, row.id, ("history.days_supply",))
        return end + 1, (row, before, Decimal(0))


def _counted_days(history: History) -> Iterator[tuple[int, Row]]:
    """The days on which something that counts begins, with the first such row."""
    ids = {s.exposure.supply.id for s in history.counted if s.daily is not None}
    for day, here in days([r for r in history.rows if r.id in ids]):
        yield day, here[0]


def _changes(
    kind: Kind, anchors: list[tuple[int, tuple[Row, Decimal, Decimal]]], gap: int, history: History
) -> Iterator[Flag]:
    for run in runs(anchors, gap):
        first, before, _ = run[0][1]
        _, _, after = run[-1][1]
        yield Flag(
            kind,
            first.id,
            date.fromordinal(run[0][0]),
            date.fromordinal(run[-1][0]),
            tuple(row.id for _, (row, _, _) in run),
            {"mme_before": before, "mme_after": after, "factor_set": history.common.factor_set.id},
            not history.doubtful,
        )


# --- new and long-term use --------------------------------------------------------------------------


def _new(rows: Sequence[Row], day: int, lookback_days: int, history: History) -> tuple[str, ...] | None:
    """What is missing to call the day the first one after ``lookback_days`` without an opioid: nothing,
    or facts; ``None`` when there was one."""
    since = day - lookback_days
    missing: dict[str, None] = {}
    for row in rows:
        if row.first >= day:
            break
        opioid = row.is_a(DrugClass.OPIOID)
        if opioid and row.last >= since and row.last >= row.first:
            return None
        if (opioid or row.drug is None) and row.possible >= since:
            missing["history.drug" if row.drug is None else "history.days_supply"] = None
    if history.known_from is not None and since < history.known_from.toordinal():
        missing["history"] = None
    return tuple(missing)


@dataclass(frozen=True, slots=True)
class LongActingInNaive:
    """A long-acting opioid for somebody without any opioid in the ``lookback_days`` before."""

    kind: ClassVar[Kind] = Kind.LONG_ACTING_IN_NAIVE
    lookback_days: int

    def look(self, history: History) -> Iterator[Seen]:
        for row in history.opioids:
            if not row.is_a(DrugClass.LONG_ACTING_OPIOID):
                continue
            missing = _new(history.rows, row.first, self.lookback_days, history)
            if missing:
                yield Untold(self.kind, row.id, missing)
            elif missing is not None:
                facts = {"lookback_days": self.lookback_days}
                yield Flag(self.kind, row.id, row.on, row.on, (row.id,), facts)


@dataclass(frozen=True, slots=True)
class Stage:
    """So many days covered within so many days of the first one."""

    days: int
    within: int


@dataclass(frozen=True, slots=True)
class NewLongTermUse:
    """Use that begins after ``lookback_days`` without opioids and goes on: one of the ``stages`` of the way
    from acute to long-term is reached. Supply in hand counts, so it is seen while it happens."""

    kind: ClassVar[Kind] = Kind.NEW_LONG_TERM_USE
    lookback_days: int
    stages: tuple[Stage, ...]

    def look(self, history: History) -> Iterator[Seen]:
        spans = covered(history.opioids)
        for day, here in days(history.opioids):
            reached = [s for s in self.stages if days_within(spans, day, day + s.within - 1) >= s.days]
            missing = _new(history.rows, day, self.lookback_days, history) if reached else None
            if missing:
                yield Untold(self.kind, here[0].id, missing)
            elif missing is not None:
                end = day + max(s.within for s in reached) - 1
                evidence = [r for r in history.opioids if day <= r.first <= end]
                facts = {f"days_in_{s.within}": days_within(spans, day, day + s.within - 1) for s in reached}
                yield Flag(self.kind, here[0].id, here[0].on, evidence[-1].on, history.by_id(evidence), facts)
