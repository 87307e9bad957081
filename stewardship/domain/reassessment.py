"""The clock of reassessment: when somebody has to look at a patient again, and why then.

A pure function from a chart and intervals that a file gives. Each interval yields at most one day; the
earliest counts. What nobody knows (a dose that cannot be added up, a gap in the history) is named beside
the answer, for it may make the next look due sooner.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from stewardship.domain.chart import Chart, Condition
from stewardship.domain.codes import ICD10CM
from stewardship.domain.drugs import DrugClass
from stewardship.domain.episodes import DAY, Covered, Exposure, spans
from stewardship.domain.instruments import Instrument, Source
from stewardship.domain.mme import FactorSet, Total
from stewardship.domain.orders import SupplyKind
from stewardship.domain.therapy import mme_on, on_opioids_since, uncertain
from stewardship.domain.workdays import WorkingDays


class Trigger(StrEnum):
    """From what an interval runs."""

    START_OR_RAISE = "start-or-raise"  # once, from the start of such therapy and from each raise
    WHILE_ON = "while-on"  # again and again, from the last review
    AFTER_PROCEDURE = "after-procedure"  # once, from a procedure


@dataclass(frozen=True, slots=True)
class Interval:
    """One line of the clock: within ``days`` of its trigger.

    ``classes``, ``ingredients`` (RxNorm) and ``mme_from`` say of which opioid therapy it speaks: any of
    them, or any therapy when none is given. ``condition_sets``, ``condition_codes`` (prefixes of ICD-10-CM)
    and ``beside_classes`` are risks, any of which is enough. ``until_day`` is the last day of therapy that
    it can fall on, ``unless_sets`` the conditions with which it is not asked. ``procedure_codes`` name
    procedures, ``settled_from_days`` when a review after one counts at the earliest.
    """

    id: str
    reason: str
    trigger: Trigger
    days: int
    source: Source
    classes: frozenset[DrugClass] = frozenset()
    ingredients: frozenset[str] = frozenset()
    mme_from: Decimal | None = None
    condition_sets: frozenset[str] = frozenset()
    condition_codes: tuple[str, ...] = ()
    beside_classes: frozenset[DrugClass] = frozenset()
    until_day: int | None = None
    unless_sets: frozenset[str] = frozenset()
    procedure_codes: frozenset[str] = frozenset()
    settled_from_days: int = 1


@dataclass(frozen=True, slots=True)
class ClockTerms:
    """All intervals, and how therapy is read: gaps of up to ``max_gap_days`` continue it, a fill within
    ``carry_days`` of the end of another continues that, a daily dose over ``raise_percent`` more is a
    raise. A review is ``open`` for so many days before it is due and missed after so many."""

    intervals: tuple[Interval, ...]
    factor_set: FactorSet
    max_gap_days: int
    carry_days: int
    unknown_supply_days: int
    raise_percent: Decimal
    evaluation_sets: frozenset[str]
    opens_days_before: int
    missed_days_after: int

    def because(self, interval: str) -> str:
        """Why the clock asks, in the words of the interval; the id alone of one that is no longer there."""
        return next((known.reason for known in self.intervals if known.id == interval), interval)


@dataclass(frozen=True, slots=True)
class Due:
    """The next look: on a working day, ``exact_on`` by the calendar alone, counted from ``since``."""

    on: date
    exact_on: date
    interval: str
    reason: str
    since: date
    source: Source


@dataclass(frozen=True, slots=True)
class ClockAnswer:
    """The earliest of what is due (``None``: nothing), all of it by interval, and what is ``missing``: with
    it the next look may be due sooner, or due at all."""

    due: Due | None
    every: tuple[Due, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def told(self) -> bool:
        """Whether nothing that is missing could change the answer."""
        return not self.missing


def satisfies_review(measured: Iterable[Instrument]) -> bool:
    """Whether these measurements make a review: one of function or goals among them, never pain alone."""
    return any(instrument.satisfies_review for instrument in measured)


def reviews_on_record(chart: Chart, terms: ClockTerms) -> tuple[date, ...]:
    """The days on which the chart holds an evaluation of function."""
    sets = terms.evaluation_sets
    days = {o.on for o in chart.observations if o.on is not None and o.sets & sets}
    days |= {p.on for p in chart.procedures if p.on is not None and p.done and p.sets & sets}
    return tuple(sorted(day for day in days if day <= chart.today))


def next_due(
    chart: Chart, terms: ClockTerms, *, calendar: WorkingDays, reviews: Iterable[date] = ()
) -> ClockAnswer:
    """When the next look is due. ``reviews`` are the days of reviews that the chart does not hold; one that
    was done before it was due counts, one on the day of a start or a raise does not: it is where the
    change was made."""
    reviewed = {day for day in reviews if day <= chart.today} | set(reviews_on_record(chart, terms))
    therapy = _Therapy(chart, terms, max(reviewed, default=None))
    found = []
    for interval in terms.intervals:
        since = therapy.runs_from(interval)
        if since is None:
            continue
        exact = since + timedelta(interval.days)
        if interval.until_day is not None and (exact - (therapy.since or exact)).days > interval.until_day:
            continue
        found.append(
            Due(calendar.due(exact, after=since), exact, interval.id, interval.reason, since, interval.source)
        )
    found.sort(key=lambda due: (due.on, due.exact_on, due.interval))
    return ClockAnswer(found[0] if found else None, tuple(found), tuple(sorted(therapy.missing)))


def ask_again_on(chart: Chart, terms: ClockTerms) -> date | None:
    """The first day after the chart's on which the clock may answer differently though nothing new is on
    record: a supply begins or ends, a gap becomes too long, a day that is on record comes. Never too late;
    it may be a day on which nothing changes. ``None``: time alone changes nothing."""
    today = chart.today.toordinal()
    days: set[int] = set()
    for e in chart.exposures:
        days.add(e.start.toordinal())
        days.update(d.toordinal() + 1 for d in (e.last, e.ends) if d is not None)
        days.add(e.refilled_until + 1)
        if e.days is None:
            days.add(e.start.toordinal() + terms.unknown_supply_days)
        if e.stopped_on is not None:
            # Without a day on which it was stopped it is taken until yesterday, whenever that is.
            days.add(max(e.stopped_on.toordinal(), today + 1))
    for part in _parts(chart, terms):
        for first, last in spans(part):
            days.update((first, last + 1, last + terms.max_gap_days + 2))
    dated = [o.on for o in chart.observations] + [p.on for p in chart.procedures]
    days.update(day.toordinal() for day in dated if day is not None)
    return (
        date.fromordinal(next_day) if (next_day := min((d for d in days if d > today), default=0)) else None
    )


def _parts(chart: Chart, terms: ClockTerms) -> Iterable[list[Exposure]]:
    """The exposures whose runs the clock looks at: all opioids for pain, and those of each interval."""
    taken = [e for e in chart.exposures if e.supply.kind is not SupplyKind.DRAFT and e.drug is not None]
    opioids = [e for e in taken if e.drug and DrugClass.OPIOID_ANALGESIC in e.drug.classes]
    yield opioids
    for interval in terms.intervals:
        if interval.classes or interval.ingredients:
            yield [e for e in opioids if _is_of(interval, e)]
        if interval.beside_classes:
            yield [e for e in taken if _is_beside(interval, e)]


class _Therapy:
    """The therapy of one chart as the intervals ask about it."""

    def __init__(self, chart: Chart, terms: ClockTerms, reviewed: date | None) -> None:
        self.chart = chart
        self.terms = terms
        self.reviewed = reviewed
        self.since = on_opioids_since(chart, chart.today, max_gap_days=terms.max_gap_days)
        self.missing: set[str] = set()
        if chart.history_gaps:
            self.missing.add("history")
        for exposure in uncertain(chart):
            reached = exposure.reaches(chart.today, chart.today, unknown_days=terms.unknown_supply_days)
            if reached is not Covered.NO:
                self.missing.add("history.drug" if exposure.drug is None else "history.days_supply")

    def runs_from(self, interval: Interval) -> date | None:
        """The day from which the interval runs now; ``None`` when it does not."""
        if interval.trigger is Trigger.AFTER_PROCEDURE:
            return self._unsettled_procedure(interval)
        if self.since is None or self._has(interval.unless_sets):
            return None
        if interval.trigger is Trigger.START_OR_RAISE:
            return self._unreviewed_event(interval)
        began = self._applies_from(interval)
        if began is None:
            return None
        return max(began, self.since, self.reviewed or self.since)

    # --- start and raise -------------------------------------------------------------------------

    @cached_property
    def taken(self) -> tuple[Exposure, ...]:
        """Opioids for pain, without drafts."""
        return tuple(e for e in self.chart.opioid_analgesics if e.supply.kind is not SupplyKind.DRAFT)

    @cached_property
    def starts(self) -> tuple[date, ...]:
        """The days of this therapy on which something began, those before the last review left out."""
        first = max(self.since or date.min, self.reviewed or date.min)
        return tuple(sorted({e.start for e in self.taken if first <= e.start <= self.chart.today}))

    def _unreviewed_event(self, interval: Interval) -> date | None:
        return next((day for day in self.starts if self._is_event(interval, day)), None)

    def _is_event(self, interval: Interval, day: date) -> bool:
        if not self._speaks_of(interval, day):
            return False
        return day == self.since or not self._spoke_before(interval, day) or self._raised(day)

    def _speaks_of(self, interval: Interval, day: date) -> bool:
        if interval.mme_from is not None:
            return self._reaches(day, interval.mme_from)
        return any(_is_of(interval, e) and e.start <= day and _last(e) >= day for e in self.taken)

    def _spoke_before(self, interval: Interval, day: date) -> bool:
        if interval.mme_from is not None:
            return self._reaches(self._in_hand(day - DAY), interval.mme_from)
        least = day - (self.terms.max_gap_days + 1) * DAY
        return any(_is_of(interval, e) and e.start < day and _last(e) >= least for e in self.taken)

    def _raised(self, day: date) -> bool:
        before, after = self._mme(self._in_hand(day - DAY)), self._mme(day)
        if not (before.complete and after.complete) or before.high is None or after.high is None:
            self.missing.add("mme")
            return False
        return after.high > before.high * (1 + self.terms.raise_percent / 100)

    def _in_hand(self, day: date) -> date:
        """The day itself, or the last one before it on which something was being taken: days between two
        fills have no dose, and the next fill is no raise."""
        lasts = [min(_last(e), day) for e in self.taken if e.start <= day]
        return max(lasts, default=day)

    def _mme(self, day: date) -> Total:
        return mme_on(
            self.chart,
            day,
            self.terms.factor_set,
            unknown_days=self.terms.unknown_supply_days,
            carry_days=self.terms.carry_days,
        )

    def _reaches(self, day: date, limit: Decimal) -> bool:
        reached = self._mme(day).reaches(limit)
        if reached is None:
            self.missing.add("mme")
        return bool(reached)

    # --- while on therapy --------------------------------------------------------------------------

    def _applies_from(self, interval: Interval) -> date | None:
        """The day from which therapy and risk have been as the interval asks; ``None`` when they are not."""
        assert self.since is not None  # noqa: S101 - asked only while there is therapy
        asked = bool(interval.condition_sets or interval.condition_codes or interval.beside_classes)
        if interval.mme_from is not None:
            return self._dose_since(interval.mme_from)
        if interval.classes or interval.ingredients:
            return self._run(e for e in self.taken if _is_of(interval, e))
        if not asked:
            return self.since
        days = [self._known_since(c) for c in self.chart.conditions if _is_risk(interval, c)]
        beside = self._run(
            e
            for e in self.chart.exposures
            if e.supply.kind is not SupplyKind.DRAFT and _is_beside(interval, e)
        )
        return min([*days, *([beside] if beside else [])], default=None)

    def _dose_since(self, limit: Decimal) -> date | None:
        """Since when the daily dose has been at the limit or over it, without a break."""
        if not self._reaches(self._in_hand(self.chart.today), limit):
            return None
        began = self.chart.today
        for day in sorted({e.start for e in self.taken if e.start <= self.chart.today}, reverse=True):
            if day < (self.since or day) or not self._reaches(day, limit):
                break
            began = day
        return began

    def _run(self, exposures: Iterable[Exposure]) -> date | None:
        """The first day of the run of these exposures that reaches today, gaps bridged."""
        reach = self.chart.today.toordinal()
        since = None
        for first, last in reversed(spans(exposures)):
            if first > reach:
                continue
            if last < reach - self.terms.max_gap_days - 1:
                break
            since = reach = first
        return None if since is None else date.fromordinal(since)

    def _known_since(self, condition: Condition) -> date:
        return condition.recorded_on or condition.onset or date.min

    def _has(self, sets: frozenset[str]) -> bool:
        return any(c.active is not False and c.sets & sets for c in self.chart.conditions)

    # --- after a procedure ---------------------------------------------------------------------------

    def _unsettled_procedure(self, interval: Interval) -> date | None:
        done = [
            p.on
            for p in self.chart.procedures
            if p.done and p.on is not None and any(c.code in interval.procedure_codes for c in p.codings)
        ]
        last = max((day for day in done if day <= self.chart.today), default=None)
        if last is None:
            return None
        settled = self.reviewed is not None and (self.reviewed - last).days >= interval.settled_from_days
        return None if settled else last


def _last(exposure: Exposure) -> date:
    """The last day that is certain: of an exposure of unknown length, its first."""
    return exposure.start if exposure.last is None else exposure.last


def _is_of(interval: Interval, exposure: Exposure) -> bool:
    drug = exposure.drug
    if drug is None:
        return False
    if not interval.classes and not interval.ingredients:
        return True
    return not interval.classes.isdisjoint(drug.classes) or any(
        i.rxcui in interval.ingredients for i in drug.ingredients
    )


def _is_beside(interval: Interval, exposure: Exposure) -> bool:
    """Whether it is a medicine beside opioids that makes the interval shorter."""
    drug = exposure.drug
    return (
        drug is not None
        and not interval.beside_classes.isdisjoint(drug.classes)
        and DrugClass.OPIOID not in drug.classes
    )


def _is_risk(interval: Interval, condition: Condition) -> bool:
    """A set counts from history too (an overdose stays one), single codes while they are not resolved."""
    if condition.active is False and not condition.sets & interval.condition_sets:
        return False
    coded = any(
        c.system == ICD10CM and c.code.startswith(interval.condition_codes) for c in condition.codings
    )
    return coded or bool(condition.sets & interval.condition_sets)
