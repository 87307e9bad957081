"""Each rule of the flags as a function of columns: the rows that its flags label.

The rules themselves, with their words and reasons, are in ``domain.flags``; what is here gives the same
answers for all patients at once, and a test compares the two row by row. A function returns the rows that
are labelled and those for which the flag cannot be ruled out, both in order.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from stewardship.domain.flags.doses import (
    DoseFalling,
    DoseRising,
    HighDailyMme,
    LongActingInNaive,
    NewLongTermUse,
    OpioidBenzodiazepineCarisoprodol,
    OpioidWithBenzodiazepine,
)
from stewardship.population.columns import AMOUNT_ONE, Is
from stewardship.population.keys import (
    Array,
    Mask,
    any_of,
    before_day,
    began,
    bounds,
    day_begins,
    highest,
    key,
    patient_of,
    running,
)
from stewardship.population.slices import Slice
from stewardship.population.sweeps import Spans, joined, new_days, together, union

Labelled: TypeAlias = tuple[Array, Array]
_NOBODY: Array = np.zeros(0, np.int64)


def labelled(rows: Array, untold: Array | None = None) -> Labelled:
    """Rows that are labelled, and those that may have to be."""
    return rows, _NOBODY if untold is None else untold


def first_of_runs(part: Slice, rows: Array, gap: int) -> Labelled:
    """Of rows in order, those with which a pattern begins."""
    return labelled(rows[began(part.patient[rows], part.day[rows], gap)])


# --- sedatives beside -------------------------------------------------------------------------------


def with_benzodiazepine(rule: OpioidWithBenzodiazepine, part: Slice) -> Labelled:
    """Opioid and benzodiazepine on the same days."""
    return _beside(part, (Is.ANALGESIC, Is.BENZODIAZEPINE), rule.min_overlap_days, rule.same_problem_days)


def with_carisoprodol(rule: OpioidBenzodiazepineCarisoprodol, part: Slice) -> Labelled:
    """Opioid, benzodiazepine and carisoprodol on the same days."""
    wanted = (Is.ANALGESIC, Is.BENZODIAZEPINE, Is.CARISOPRODOL)
    return _beside(part, wanted, rule.min_overlap_days, rule.same_problem_days)


def _beside(part: Slice, wanted: tuple[Is, ...], least: int, gap: int) -> Labelled:
    # Only patients who have all of them at some time are looked at.
    have = np.ones(part.patients, np.bool_)
    for bit in wanted:
        have &= any_of((part.bits & bit) > 0, part.edges)
    theirs = have[part.patient]
    mask = Is(0)
    unions = []
    for bit in wanted:
        mask |= bit
        rows = np.flatnonzero(theirs & ((part.bits & bit) > 0))
        unions.append(union(part.patient[rows], part.day[rows], part.last[rows]))
    rows = np.flatnonzero(theirs & ((part.bits & mask) > 0))
    return labelled(_anchors(part, rows, together(unions), least, gap))


def _anchors(part: Slice, rows: Array, spans: Spans, least: int, gap: int) -> Array:
    """The first of the rows on the day on which each joined span of enough days begins."""
    runs, days = joined(spans, gap)
    found: Array = rows[np.searchsorted(part.key[rows], runs.first[days >= least])]
    return found


# --- dose -------------------------------------------------------------------------------------------


def high_daily_mme(rule: HighDailyMme, part: Slice) -> Labelled:
    """Days with a high total."""
    over = part.doses.at_least(int(rule.mme_per_day * AMOUNT_ONE))
    return labelled(_anchors(part, part.counted, over, rule.min_days, rule.same_problem_days))


def _begun(part: Slice, least: int) -> Array:
    """The first row of each day on which something with a known dose begins, of patients whose total is at
    some time no less than ``least`` billionths."""
    edges = bounds(patient_of(part.doses.at), part.patients)
    enough = highest(part.doses.mme, edges) >= least
    rows = part.counted[part.columns.daily[part.counted] >= 0]
    rows = rows[enough[part.patient[rows]]]
    found: Array = rows[day_begins(part.key[rows]) == np.arange(len(rows))]
    return found


def dose_rising(rule: DoseRising, part: Slice) -> Labelled:
    """A total that has risen, and lasts."""
    least = int(rule.min_rise * AMOUNT_ONE)
    rows = _begun(part, least)
    earlier = part.doses.on(part.key[rows] - rule.window_days)
    rows, earlier = rows[earlier > 0], earlier[earlier > 0]
    later = part.doses.on(part.key[rows] + rule.sustained_days - 1)
    rose = (later - earlier >= least) & (later * 100 >= earlier * (100 + rule.percent))
    return first_of_runs(part, rows[rose], rule.same_problem_days)


def dose_falling(rule: DoseFalling, part: Slice, as_of: int) -> Labelled:
    """A total that has fallen, or a supply that ended, after long use."""
    least = int(rule.min_mme * AMOUNT_ONE)
    rows = _begun(part, least)
    earlier = part.doses.on(part.key[rows] - rule.window_days)
    rows, earlier = rows[earlier >= least], earlier[earlier >= least]
    now = part.doses.on(part.key[rows])
    fell = (earlier - now) * 100 > earlier * rule.percent
    rows = rows[fell]
    rows = rows[part.doses.on(part.key[rows] - rule.min_use_days) > 0]
    ended, days, untold = _ended(rule, part, as_of - part.base, least)
    # A supply ends after everything of it began, so its row comes last among the patient's.
    all_rows = np.concatenate([rows, ended])
    all_days = np.concatenate([part.day[rows], days])
    order = np.argsort(key(part.patient[all_rows], all_days), kind="stable")
    all_rows, all_days = all_rows[order], all_days[order]
    return labelled(all_rows[began(part.patient[all_rows], all_days, rule.same_problem_days)], untold)


def _ended(rule: DoseFalling, part: Slice, today: int, least: int) -> tuple[Array, Array, Array]:
    """Supplies that ended with nothing after them: the last row of each, the day after, and those rows for
    which something without a known end may go on."""
    rows, ends = part.counted, part.ends
    edges = bounds(part.patient[rows], part.patients)
    end = highest(ends, edges)
    since = today - end
    who = np.flatnonzero((end > 0) & (since >= rule.ended_days) & (since <= rule.window_days))
    lasting = key(who, end[who])
    ending = (part.doses.on(lasting) >= least) & (part.doses.on(lasting + 1 - rule.min_use_days) > 0)
    who = who[ending]
    chosen = np.zeros(part.patients, np.bool_)
    chosen[who] = True
    last = np.flatnonzero(chosen[part.patient[rows]] & (ends == end[part.patient[rows]]))
    final = np.zeros(part.patients, np.int64)
    final[part.patient[rows[last]]] = rows[last]  # of several, the last one written stays
    other = part.where(Is.OPIOID | Is.UNKNOWN)
    goes_on = highest(part.possible[other], bounds(part.patient[other], part.patients))[who] > end[who]
    sure = who[~goes_on]
    return final[sure], end[sure] + 1, final[who[goes_on]]


# --- new and long-term use --------------------------------------------------------------------------


def new_use(part: Slice, lookback_days: int, known_from: int | None) -> tuple[Mask, Mask]:
    """For each row, whether its patient had no opioid in so many days before, and whether that cannot be
    told."""
    certain = np.where(part.bits & Is.OPIOID, part.last, 0)
    perhaps = np.where(part.bits & (Is.OPIOID | Is.UNKNOWN), part.possible, 0)
    since = part.day - lookback_days
    had = before_day(part.patient, part.begins, running(part.patient, certain)) >= since
    doubt = before_day(part.patient, part.begins, running(part.patient, perhaps)) >= since
    if known_from is not None:
        doubt |= since < known_from - part.base
    return ~had & ~doubt, ~had & doubt


def long_acting_in_naive(rule: LongActingInNaive, part: Slice, known_from: int | None) -> Labelled:
    """Long-acting opioids to begin with."""
    wanted = (part.bits & (Is.ANALGESIC | Is.LONG_ACTING)) == Is.ANALGESIC | Is.LONG_ACTING
    new, untold = new_use(part, rule.lookback_days, known_from)
    return labelled(np.flatnonzero(wanted & new), np.flatnonzero(wanted & untold))


def new_long_term_use(rule: NewLongTermUse, part: Slice, known_from: int | None) -> Labelled:
    """New use that goes on."""
    rows = part.opioids
    patient, day = part.patient[rows], part.day[rows]
    added, furthest = new_days(patient, day, part.last[rows])
    total = np.cumsum(added)
    keys = part.key[rows]

    def covered(who: Array, until: Array) -> Array:
        """Days covered by all patients up to this one, and by this one until a day."""
        found = np.searchsorted(keys, key(who, until), side="right") - 1
        near = np.maximum(found, 0)
        beyond = np.where(patient[near] == who, np.maximum(0, furthest[near] - until), 0)
        return np.where(found >= 0, total[near] - beyond, 0)

    new, untold = new_use(part, rule.lookback_days, known_from)
    firsts = np.flatnonzero(day_begins(keys) == np.arange(len(rows)))
    firsts = firsts[(new | untold)[rows[firsts]]]
    reached = np.zeros(len(firsts), np.bool_)
    who, begin = patient[firsts], day[firsts]
    for stage in rule.stages:
        days = covered(who, begin + stage.within - 1) - covered(who, begin - 1)
        reached |= days >= stage.days
    found = rows[firsts[reached]]
    return labelled(found[new[found]], found[untold[found]])
