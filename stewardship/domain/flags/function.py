"""Flags about function beside therapy: looks that were missed, decline, more dose for no gain, goals reached.

Each labels the prescription with which it began to be so, never a person, and keeps that label while it goes
on. Change is judged by each instrument for itself; where it cannot be told the flag is ``Untold``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from stewardship.domain.flags.history import Flag, History, Row, Seen, Untold, covered, joined
from stewardship.domain.instruments import Change, Instrument, Verdict, change
from stewardship.domain.measurements import Measured, Trend
from stewardship.domain.wording import FactValue

REVIEW_MISSED = "review-missed"
DECLINING = "function-declining"
DOSE_UP_FLAT = "dose-up-function-flat"
GOAL_REACHED = "goal-reached"
NO_MEASURE = "no-function-measure"

KINDS = frozenset({REVIEW_MISSED, DECLINING, DOSE_UP_FLAT, GOAL_REACHED, NO_MEASURE})


@dataclass(frozen=True, slots=True)
class FunctionTerms:
    """The parameters (``reference/function_flags.toml``).

    Days between fills of up to ``max_gap_days`` are one therapy. It is long from ``long_term_days`` on, and
    wants a measure of function every ``measure_within_days``. A dose is up when it is over ``rise_percent``
    more; measurements at least ``apart_days`` and at most ``look_back_days`` apart are compared for it. A
    goal that was reached is told for ``goal_days``.
    """

    max_gap_days: int
    long_term_days: int
    measure_within_days: int
    rise_percent: Decimal
    apart_days: int
    look_back_days: int
    goal_days: int


@dataclass(frozen=True, slots=True)
class MissedReview:
    """A review that is open and was missed."""

    id: str
    interval: str
    due_on: date


@dataclass(frozen=True, slots=True)
class ReachedGoal:
    """A goal that was reached, and the day."""

    id: str
    on: date


@dataclass(frozen=True)
class Function:
    """One patient's supplies, and what is on record of function.

    ``measured_on`` are all days with a measure of function, also those that came from elsewhere;
    ``measured`` says which they are, by instrument, and with their scores.
    """

    history: History
    missed: tuple[MissedReview, ...] = ()
    trends: tuple[Trend, ...] = ()
    measured_on: tuple[date, ...] = ()
    reached: tuple[ReachedGoal, ...] = ()

    def in_hand(self, day: date) -> Row | None:
        """The opioid that began last by a day, if it reached it."""
        here = [r for r in self.history.opioids if r.on <= day and r.last >= day.toordinal()]
        return max(here, key=lambda r: (r.first, r.id), default=None)

    def taken_by(self, day: date, terms: FunctionTerms) -> Row | None:
        """The opioid in hand on a day, or the one that ended last before it, a gap of therapy at most ago."""
        least = day.toordinal() - terms.max_gap_days - 1
        before = [r for r in self.history.opioids if r.on <= day and r.last >= least]
        return self.in_hand(day) or max(before, key=lambda r: (r.last, r.id), default=None)

    def since(self, terms: FunctionTerms) -> date | None:
        """Since when the patient has been on opioids; ``None`` when he is not."""
        today = self.history.as_of.toordinal()
        for (first, last), _ in reversed(joined(covered(self.history.opioids), terms.max_gap_days)):
            if first <= today:
                return date.fromordinal(first) if last >= today - terms.max_gap_days - 1 else None
        return None


def look(seen: Function, terms: FunctionTerms) -> Iterator[Seen]:
    """What is to be looked at in one patient, and what could not be told."""
    yield from review_missed(seen)
    for rule in (declining, dose_up_function_flat, goal_reached, no_function_measure):
        yield from rule(seen, terms)


def next_on(seen: Function, terms: FunctionTerms) -> date | None:
    """The first day to come on which time alone may raise a flag; the fills' own days are left out."""
    since = seen.since(terms)
    if since is None:
        return None
    last = max((day for day in seen.measured_on if day >= since), default=since)
    wanted = _wanted_on(since, last, terms)
    return wanted if wanted > seen.history.as_of else None


def review_missed(seen: Function) -> Iterator[Seen]:
    """A review was missed, and an opioid was supplied after its day."""
    for review in seen.missed:
        after = [r for r in seen.history.opioids if r.on > review.due_on]
        if after:
            facts: dict[str, FactValue] = {
                "review": review.id,
                "interval": review.interval,
                "due_on": review.due_on,
                "supplies_since": len(after),
            }
            yield _flag(REVIEW_MISSED, after[0], after[0].on, after[-1].on, after, facts)


def declining(seen: Function, terms: FunctionTerms) -> Iterator[Seen]:
    """Function on opioids is worse than when it was measured first in this therapy, and has been since."""
    since = seen.since(terms)
    if since is None:
        return
    worse: list[tuple[Measured, Measured, Instrument, Change]] = []
    for trend in _of_function(seen):
        found = _scored(trend, since - timedelta(terms.look_back_days))
        falling: list[tuple[Measured, Change]] = []
        for one in found[1:]:
            judged = _judged(trend, found[0], one)
            falling = [*falling, (one, judged)] if judged.verdict is Verdict.WORSE else []
        if falling:
            worse.append((falling[0][0], falling[-1][0], trend.instrument, falling[-1][1]))
    worse = [w for w in worse if seen.taken_by(w[0].taken_on, terms) is not None]
    if worse:
        first = min(worse, key=lambda w: (w[0].taken_on, w[0].id))
        row = seen.taken_by(first[0].taken_on, terms)
        assert row is not None  # noqa: S101 - just asked
        facts: dict[str, FactValue] = {
            "instruments": tuple(w[2].id for w in worse),
            "because": first[3].because,
            "gain": first[3].gain,
        }
        until = max(w[1].taken_on for w in worse)
        yield _flag(DECLINING, row, first[0].taken_on, until, [row], facts)


def dose_up_function_flat(seen: Function, terms: FunctionTerms) -> Iterator[Seen]:
    """The daily dose is higher than at an earlier measurement, and function is no better for it."""
    if seen.since(terms) is None:
        return
    for trend in _of_function(seen):
        found = _scored(trend, seen.history.as_of - timedelta(terms.look_back_days))
        if not found:
            continue
        for one in found[:-1]:
            if (found[-1].taken_on - one.taken_on).days < terms.apart_days:
                continue
            told = _dose_against(seen, terms, trend, one, found[-1])
            if told is not None:
                yield told
                return


def _dose_against(
    seen: Function, terms: FunctionTerms, trend: Trend, before: Measured, after: Measured
) -> Seen | None:
    mme = [_in_hand_mme(seen.history, m.taken_on, terms) for m in (before, after)]
    limit = mme[0] * (1 + terms.rise_percent / 100)
    if mme[0] == 0 or mme[1] <= limit:
        return None
    judged = _judged(trend, before, after)
    if judged.verdict is Verdict.BETTER:
        return None
    row = _rose_with(seen.history, before.taken_on, after.taken_on, limit)
    if row is None:
        return None
    doubtful = {r.id for r in seen.history.doubtful}
    at_first = [r for r in seen.history.rows if r.first <= before.taken_on.toordinal() <= r.possible]
    if any(r.id in doubtful for r in at_first):
        return Untold(DOSE_UP_FLAT, row.id, ("mme",))
    if judged.verdict is Verdict.CANNOT_TELL:
        return Untold(DOSE_UP_FLAT, row.id, ("function",))
    facts: dict[str, FactValue] = {
        "instrument": trend.instrument.id,
        "function": judged.verdict.value,
        "gain": judged.gain,
        "measured_on": before.taken_on,
        "mme_before": mme[0],
        "mme_after": mme[1],
        "factor_set": seen.history.common.factor_set.id,
    }
    rows = [r for r in seen.history.opioids if row.first <= r.first <= after.taken_on.toordinal()]
    return Flag(
        DOSE_UP_FLAT,
        row.id,
        row.on,
        after.taken_on,
        tuple(r.id for r in rows),
        facts,
        complete=not doubtful.intersection(r.id for r in rows),
    )


def goal_reached(seen: Function, terms: FunctionTerms) -> Iterator[Seen]:
    """A goal was reached on opioids: a reason to look whether less would do."""
    least = seen.history.as_of - timedelta(terms.goal_days)
    lately = [(goal, seen.taken_by(goal.on, terms)) for goal in seen.reached if goal.on >= least]
    by_row: dict[str, list[tuple[ReachedGoal, Row]]] = {}
    for goal, row in lately:
        if row is not None and seen.since(terms) is not None:
            by_row.setdefault(row.id, []).append((goal, row))
    for found in by_row.values():
        days = [goal.on for goal, _ in found]
        row = found[0][1]
        facts: dict[str, FactValue] = {"goals": tuple(sorted(goal.id for goal, _ in found))}
        yield _flag(GOAL_REACHED, row, min(days), max(days), [row], facts)


def no_function_measure(seen: Function, terms: FunctionTerms) -> Iterator[Seen]:
    """Long on opioids, and nobody has measured function for too long, or ever in this therapy."""
    since = seen.since(terms)
    if since is None:
        return
    last = max((day for day in seen.measured_on if day >= since), default=None)
    wanted = _wanted_on(since, last or since, terms)
    if seen.history.as_of < wanted:
        return
    row = seen.taken_by(wanted, terms)
    if row is None:
        return
    facts: dict[str, FactValue] = {
        "on_opioids_since": since,
        "measured_on": last,
        "within_days": terms.measure_within_days,
    }
    yield _flag(NO_MEASURE, row, wanted, max(wanted, row.on), [row], facts)


def _wanted_on(since: date, last: date, terms: FunctionTerms) -> date:
    """The first day on which a measure of function is missed."""
    return max(since + timedelta(terms.long_term_days), last + timedelta(terms.measure_within_days + 1))


# --- what is compared --------------------------------------------------------------------------------


def _of_function(seen: Function) -> list[Trend]:
    return [t for t in seen.trends if t.instrument.satisfies_review]


def _scored(trend: Trend, least: date) -> list[Measured]:
    """The measurements from a day on whose line of function has a score, in order."""
    values = {p.measurement: p.value for p in trend.function.points}
    return [m for m in trend.measurements if m.taken_on >= least and values[m.id] is not None]


def _judged(trend: Trend, before: Measured, after: Measured) -> Change:
    assert before.score is not None  # noqa: S101 - a trend has only measurements with a score
    assert after.score is not None  # noqa: S101
    whole = change(trend.instrument, before.score, after.score)
    return whole.parts.get(trend.function.part, whole) if trend.function.part else whole


def _in_hand_mme(history: History, day: date, terms: FunctionTerms) -> Decimal:
    """MME on a day; between two fills that of the last day with something in hand, if it was not long ago."""
    for ago in range(terms.max_gap_days + 1):
        mme = history.mme_on(day.toordinal() - ago)
        if mme:
            return mme
    return Decimal(0)


def _rose_with(history: History, after: date, until: date, limit: Decimal) -> Row | None:
    """The opioid with which the dose went over the limit between two days."""
    return next(
        (
            r
            for r in sorted(history.opioids, key=lambda r: (r.first, r.id))
            if after < r.on <= until and history.mme_on(r.first) > limit
        ),
        None,
    )


def _flag(
    kind: str, row: Row, on: date, until: date, rows: Sequence[Row], facts: dict[str, FactValue]
) -> Flag:
    return Flag(kind, row.id, on, until, tuple(r.id for r in rows), facts)
