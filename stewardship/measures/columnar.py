"""A measure over columns of dispensings.

Rows that a measure does not look at are left out first, so that all further work is on a fraction of them.
What a rate is told from are groups of rows: a patient's claims of a period, or those of one start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from stewardship.domain.drugs import Drug
from stewardship.domain.flags import Common
from stewardship.domain.measures import AgeOn, Counting, Kind, Measure, Over, Rate, Standing
from stewardship.domain.measures.claims import is_counted
from stewardship.population.columns import DAILY_ONE, NONE, Columns, Is, Products, Told
from stewardship.population.fills import distinct_within
from stewardship.population.keys import ROOM, Array, Mask, any_of, bounds, highest, key, patient_of, sums
from stewardship.population.slices import sliced
from stewardship.population.sweeps import new_days, together, union

Codes = npt.NDArray[np.int8]

YES, NO, UNTOLD = 1, 0, -1
STANDINGS: Mapping[int, Standing] = {
    0: Standing.OUT,
    1: Standing.IN,
    2: Standing.UNTOLD,
    3: Standing.EXCLUDED,
}
_OUT, _IN, _UNTOLD, _EXCLUDED = STANDINGS
#: Totals beyond this do not fit whole numbers safely; their patients are named for one patient's functions.
_MOST = 2.0**62
_FOR_EVER = 1 << 19


@dataclass(frozen=True)
class Tally:
    """Everybody who has a claim that the measure looks at, in order of number: where each stands, and for
    each rate whether it is met (1, 0, -1: cannot be told) and nearly so; both mean nothing but for those who
    are in. ``by_hand`` are numbers of patients whose totals whole numbers do not hold."""

    patient: Array
    standing: Codes
    met: Mapping[str, Codes]
    near: Mapping[str, Mask]
    by_hand: Array

    def count(self, standing: Standing) -> int:
        """How many stand there."""
        code = next(c for c, s in STANDINGS.items() if s is standing)
        return int((self.standing == code).sum())

    def counted(self, rate: str, met: int = YES) -> int:
        """How many of those who are in a rate counts, or leaves open."""
        return int(((self.standing == _IN) & (self.met[rate] == met)).sum())


def tally(
    measure: Measure,
    columns: Columns,
    products: Products,
    drugs: Sequence[Drug | None],
    common: Common,
    year: int,
    *,
    adult: Codes,
    excluded: Mask,
    known_from: date | None,
) -> Tally:
    """Rows lie in order of patient and day. ``adult`` (1, 0, -1) and ``excluded`` are by patient number: the
    age on the day that the measure names, and what is on record beside dispensings. Raises ``ValueError``
    for a measure that is not told from dispensings."""
    if measure.kind is Kind.DISCHARGE or measure.population.age_on is AgeOn.START:
        raise ValueError(f"{measure.id} is not told from dispensings alone: see measures.stays")
    first, last = (day.toordinal() for day in measure.window.of(year))
    rows = _rows(measure, columns, products, drugs, common, first, last)
    if measure.kind is Kind.PERIOD:
        asked, met, near = _of_period(measure, rows, first, last)
    else:
        asked, met, near = _of_starts(measure, rows, first, last, known_from)
    asked = every(asked, adult[rows.number])
    gone = excluded[rows.number] | np.isin(rows.number, _reported(measure, columns, first, last))
    return Tally(rows.number, stood(asked, gone), met, near, rows.by_hand)


def stood(asked: Codes, excluded: Mask) -> Codes:
    """Where each stands: who is not asked for is out, whatever is on record of him."""
    standing: Codes = np.select([asked == YES, asked == UNTOLD], [_IN, _UNTOLD], _OUT).astype(np.int8)
    standing[(standing != _OUT) & excluded] = _EXCLUDED
    return standing


def _reported(measure: Measure, columns: Columns, first: int, last: int) -> Array:
    """The patients whom a treatment type that was reported with a dispensing excludes."""
    found = np.zeros(len(columns), np.bool_)
    typed = np.flatnonzero(columns.treatment > 0)
    for rule in measure.exclusions:
        types = [int(t) for t in rule.treatment_types]
        day = columns.day[typed]
        within = (day >= first - rule.days_before) & (day <= last)
        found[typed[within & np.isin(columns.treatment[typed], types)]] = True
    return np.unique(columns.patient[found]).astype(np.int64)


# --- rows -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Claims:
    """Rows of one sort in order of group and day. Days count from ``_Rows.base``; ``end`` is the last day of
    supply that counts. ``daily`` is 0 where there is none, ``whole`` whether that is all."""

    group: Array
    day: Array
    end: Array
    unknown_days: Mask
    daily: Array
    whole: Mask
    prescriber: npt.NDArray[np.int32]
    pharmacy: npt.NDArray[np.int32]
    long_acting: Mask

    def rows(self, where: Array, group: Array | None = None, end: Array | int | None = None) -> _Claims:
        """Some of the rows, perhaps of other groups and with supply that counts no longer than ``end``."""
        ends = self.end[where]
        return _Claims(
            self.group[where] if group is None else group,
            self.day[where],
            ends if end is None else np.minimum(ends, end),
            self.unknown_days[where],
            self.daily[where],
            self.whole[where],
            self.prescriber[where],
            self.pharmacy[where],
            self.long_acting[where],
        )


@dataclass(frozen=True)
class _Rows:
    """The rows that a measure looks at, by sort; groups are patients, numbered from 0, ``number`` their
    numbers in the columns."""

    number: Array
    opioids: _Claims
    benzodiazepines: _Claims
    unknown: _Claims
    base: int
    by_hand: Array


def _rows(
    measure: Measure,
    columns: Columns,
    products: Products,
    drugs: Sequence[Drug | None],
    common: Common,
    first: int,
    last: int,
) -> _Rows:
    longest = max(rate.window_days for rate in measure.rates)
    since, until = first - measure.population.lookback_days, last + longest
    opioid = np.array([d is not None and is_counted(d, measure.medicines) for d in drugs], np.bool_)
    beside = any(r.benzodiazepines is not None or r.overlap_days is not None for r in measure.rates)
    sort = np.zeros(len(drugs), np.int8)
    if beside:
        sort[(products.bits & Is.BENZODIAZEPINE) > 0] = 2
    sort[opioid] = 1
    sort[[d is None for d in drugs]] = 3
    kept = np.flatnonzero((columns.day >= since) & (columns.day <= until) & (sort > 0)[columns.product])
    types = [int(t) for t in measure.medicines.excluded_treatment_types]
    kept = kept[~np.isin(columns.treatment[kept], types)]
    kept = np.delete(kept, _copies(columns, products, common, kept))
    patient = columns.patient[kept].astype(np.int64)
    begins = np.ones(len(patient), np.bool_)
    begins[1:] = patient[1:] != patient[:-1]
    group, base = np.cumsum(begins) - 1, since - ROOM
    what = sort[columns.product[kept]]
    one, two, three = (
        _claims(columns, products, kept, group, np.flatnonzero(what == n), base) for n in (1, 2, 3)
    )
    number = patient[begins]
    most = np.bincount(one.group, one.daily * (one.end - one.day + 1.0), len(number))
    return _Rows(number, one, two, three, base, number[most > _MOST])


def _claims(
    columns: Columns, products: Products, kept: Array, group: Array, where: Array, base: int
) -> _Claims:
    row = kept[where]
    bits = products.bits[columns.product[row]]
    day = columns.day[row].astype(np.int64) - base
    days = columns.days[row].astype(np.int64)
    counted = (bits & Is.COUNTED) > 0
    daily = np.where(counted, np.maximum(columns.daily[row], 0), 0)
    told = (columns.daily[row] >= 0) & ((columns.told[row] & Told.DAILY) > 0)
    return _Claims(
        group[where],
        day,
        day + np.maximum(days, 1) - 1,
        days == 0,
        daily,
        ~counted | told,
        columns.prescriber[row],
        columns.pharmacy[row],
        (bits & Is.LONG_ACTING) > 0,
    )


def _copies(columns: Columns, products: Products, common: Common, kept: Array) -> Array:
    """Which of the rows report a dispensing that another one reports. Only rows of one patient and day
    can."""
    patient, day = columns.patient[kept], columns.day[kept]
    same = (patient[1:] == patient[:-1]) & (day[1:] == day[:-1])
    beside = np.zeros(len(kept), np.bool_)
    beside[1:] |= same
    beside[:-1] |= same
    near = np.flatnonzero(beside)
    once = sliced(columns.rows(kept[near]), products, common, 0).row
    return np.delete(near, once)


# --- criteria ---------------------------------------------------------------------------------------------


def reached(value: Array, limit: Array | int, lacking: Mask) -> Codes:
    """Whether numbers reach a limit; of one that is a lower bound it cannot be told that it does not."""
    return np.select([value >= limit, lacking], [YES, UNTOLD], NO).astype(np.int8)


def every(one: Codes, other: Codes) -> Codes:
    """Both: one that is not so settles it."""
    found: Codes = np.where((one == NO) | (other == NO), NO, np.minimum(one, other)).astype(np.int8)
    return found


@dataclass(frozen=True)
class _Groups:
    """What rates are told from: claims by group, and which groups have claims of unknown products."""

    count: int
    opioids: _Claims
    beside: _Claims
    strange: Mask
    edges: Array
    beside_edges: Array

    @classmethod
    def of(cls, count: int, opioids: _Claims, beside: _Claims, strange: Mask) -> _Groups:
        edges = bounds(opioids.group, count)
        return cls(count, opioids, beside, strange, edges, bounds(beside.group, count))

    def lacks_days(self) -> Mask:
        return any_of(self.opioids.unknown_days, self.edges)

    def days(self, counting: Counting) -> Array:
        o = self.opioids
        if counting is Counting.SUMMED:
            return sums(o.end - o.day + 1, self.edges)
        return sums(new_days(o.group, o.day, o.end)[0], self.edges)

    def firsts(self) -> Array:
        """The first claim's day; 0 without one."""
        found = np.zeros(self.count, np.int64)
        some = np.flatnonzero(self.edges[1:] > self.edges[:-1])
        found[some] = self.opioids.day[self.edges[some]]
        return found

    def episode(self) -> Array:
        days = highest(self.opioids.end, self.edges) - self.firsts() + 1
        found: Array = np.where(self.edges[1:] > self.edges[:-1], days, 0)
        return found


def _dates(claims: _Claims, edges: Array) -> Array:
    new = np.ones(len(claims.day), np.int64)
    new[1:] = (claims.group[1:] != claims.group[:-1]) | (claims.day[1:] != claims.day[:-1])
    return sums(new, edges)


def _rate(rate: Rate, groups: _Groups, percent: int) -> tuple[Codes, Mask]:
    """Whether a rate is met by each group, and nearly so."""
    met, near = np.ones(groups.count, np.int8), np.ones(groups.count, np.bool_)
    for found, close in _criteria(rate, groups, percent):
        met, near = every(met, found), near & close
    return met, near & (met != YES)


def _criteria(rate: Rate, groups: _Groups, percent: int) -> list[tuple[Codes, Mask]]:
    strange = groups.strange
    found: list[tuple[Codes, Mask]] = []

    def limited(value: Array, limit: int, lacking: Mask) -> None:
        found.append((reached(value, limit, lacking), value * 100 >= limit * percent))

    if rate.min_days is not None:
        limited(groups.days(rate.days), rate.min_days, groups.lacks_days() | strange)
    if rate.mme is not None:
        found.append(_dose(rate, rate.mme, groups, percent))
    if rate.prescribers is not None or rate.pharmacies is not None:
        found += _providers(rate, groups, percent)
    if rate.benzodiazepines is not None:
        limited(_dates(groups.beside, groups.beside_edges), rate.benzodiazepines, strange)
    if rate.overlap_days is not None:
        lacking = groups.lacks_days() | any_of(groups.beside.unknown_days, groups.beside_edges) | strange
        limited(_overlap(groups), rate.overlap_days, lacking)
    if rate.long_acting is not None:
        limited(sums(groups.opioids.long_acting.astype(np.int64), groups.edges), rate.long_acting, strange)
    return found


def _dose(rate: Rate, limit: int, groups: _Groups, percent: int) -> tuple[Codes, Mask]:
    o = groups.opioids
    total = sums(o.daily * (o.end - o.day + 1), groups.edges)
    if rate.over is Over.EPISODE:
        days = groups.episode()
    else:
        days = groups.days(Counting.SUMMED if rate.over is Over.SUPPLIED else Counting.CALENDAR)
    untold = groups.lacks_days() | (days == 0)
    lacking = any_of(~o.whole, groups.edges) | groups.strange
    met = reached(total, limit * days * DAILY_ONE, lacking)
    met[untold] = UNTOLD
    return met, ~untold & (total >= limit * percent * days * (DAILY_ONE // 100))


def _overlap(groups: _Groups) -> Array:
    """Days with both in hand."""
    o, b = groups.opioids, groups.beside
    # Only who has both can have days together.
    some = np.bincount(b.group, minlength=groups.count) > 0
    o = o.rows(np.flatnonzero(some[o.group]))
    shared = together([union(o.group, o.day, o.end), union(b.group, b.day, b.end)])
    found: Array = np.bincount(patient_of(shared.first), shared.days, groups.count).astype(np.int64)
    return found


def _providers(rate: Rate, groups: _Groups, percent: int) -> list[tuple[Codes, Mask]]:
    """Prescribers and pharmacies of the window in which there are most of them."""
    o, edges = groups.opioids, groups.edges
    window = rate.within_days or _FOR_EVER
    prescribers = distinct_within(o.group, o.day, o.prescriber, window)
    pharmacies = distinct_within(o.group, o.day, o.pharmacy, window)
    wanted = (rate.prescribers or 0, rate.pharmacies or 0)
    both = (prescribers >= wanted[0]) & (pharmacies >= wanted[1])
    # The most, the earliest of equals: one number that says which row that is.
    rows = np.arange(len(both))
    score = ((both.astype(np.int64) << 20) + prescribers + pharmacies << 32) + len(both) - rows
    best = highest(score, edges)
    at = np.where(best > 0, len(both) - (best & 0xFFFFFFFF), 0)
    some = best > 0
    found = []
    for limit, name, count in (
        (rate.prescribers, o.prescriber, prescribers),
        (rate.pharmacies, o.pharmacy, pharmacies),
    ):
        if limit is not None:
            value = np.where(some, count[at], 0) if len(count) else np.zeros(groups.count, np.int64)
            found.append((value, limit, any_of(name == NONE, edges)))
    unnamed = groups.strange.copy()
    for _, _, lacking in found:
        unnamed |= lacking
    return [(reached(v, limit, unnamed), v * 100 >= limit * percent) for v, limit, _ in found]


# --- all claims of a period ---------------------------------------------------------------------------------


_Found = tuple[Codes, dict[str, Codes], dict[str, Mask]]


def _of_period(measure: Measure, rows: _Rows, first: int, last: int) -> _Found:
    asked, count = measure.population, len(rows.number)
    start, end = first - rows.base, last - rows.base

    def inside(claims: _Claims) -> _Claims:
        return claims.rows(np.flatnonzero((claims.day >= start) & (claims.day <= end)), end=end)

    strange = np.zeros(count, np.bool_)
    strange[inside(rows.unknown).group] = True
    groups = _Groups.of(count, inside(rows.opioids), inside(rows.benzodiazepines), strange)
    lacking = groups.lacks_days() | strange
    found = reached(_dates(groups.opioids, groups.edges), max(1, asked.min_dispensings), strange)
    if asked.min_days:
        found = every(found, reached(groups.days(asked.days), asked.min_days, lacking))
    if asked.episode_days:
        found = every(found, reached(groups.episode(), asked.episode_days, lacking))
    if asked.start_before_end:
        firsts = groups.firsts()
        left = np.where(firsts > 0, end - firsts + 1, 0)
        found = every(found, reached(left, asked.start_before_end, strange))
    each = {rate.id: _rate(rate, groups, measure.near_percent) for rate in measure.rates}
    return found, {k: m for k, (m, _) in each.items()}, {k: n for k, (_, n) in each.items()}


# --- from a start on ----------------------------------------------------------------------------------------


def _of_starts(measure: Measure, rows: _Rows, first: int, last: int, known_from: date | None) -> _Found:
    o, lookback, count = rows.opioids, measure.population.lookback_days, len(rows.number)
    start, end = first - rows.base, last - rows.base
    new = np.ones(len(o.day), np.bool_)
    new[1:] = (o.group[1:] != o.group[:-1]) | (o.day[1:] - o.day[:-1] > lookback)
    at = np.flatnonzero(new & (o.day >= start) & (o.day <= end))
    if measure.kind is Kind.FIRST_START:
        at = at[np.flatnonzero(np.append(True, o.group[at][1:] != o.group[at][:-1]))] if len(at) else at
    patient, day = o.group[at], o.day[at]
    strange = key(rows.unknown.group, rows.unknown.day)
    untold = _any_between(strange, patient, day - lookback, day - 1)
    known = None if known_from is None else known_from.toordinal() - rows.base
    untold |= (day - lookback < known) if known is not None else True
    whole_period = _any_between(strange, np.arange(count), start, end)
    certain = np.bincount(patient[~untold], minlength=count)
    lacking = (np.bincount(patient[untold], minlength=count) > 0) | whole_period
    met, near = {}, {}
    for rate in measure.rates:
        found, close = _rate(rate, _from(rows, rate, patient, day, strange), measure.near_percent)
        found[untold & (found == YES)] = UNTOLD
        met[rate.id] = _either(found, patient, count)
        near[rate.id] = (np.bincount(patient[close], minlength=count) > 0) & (met[rate.id] != YES)
    return reached(certain, 1, lacking), met, near


def _from(rows: _Rows, rate: Rate, patient: Array, day: Array, strange: Array) -> _Groups:
    """The claims of each start's window."""
    o, until = rows.opioids, day + rate.window_days - 1
    keys = key(o.group, o.day)
    begin = np.searchsorted(keys, key(patient, day))
    length = np.searchsorted(keys, key(patient, until), "right") - begin
    group = np.repeat(np.arange(len(patient)), length)
    where = np.arange(len(group)) - np.repeat(np.cumsum(length) - length, length) + begin[group]
    # Days of a start count to the end of its window; where they are summed, the whole supply counts.
    cut = rate.days is Counting.CALENDAR and rate.min_days is not None
    opioids = o.rows(where, group, until[group] if cut else None)
    none = rows.benzodiazepines.rows(np.zeros(0, np.int64))
    return _Groups.of(len(patient), opioids, none, _any_between(strange, patient, day, until))


def _any_between(keys: Array, patient: Array, first: Array | int, last: Array | int) -> Mask:
    """Whether a patient has any of these days."""
    begin = np.searchsorted(keys, (patient << 20) + first)
    found: Mask = np.searchsorted(keys, (patient << 20) + last, "right") > begin
    return found


def _either(found: Codes, patient: Array, count: int) -> Codes:
    """Any of a patient's starts: one that is so settles it."""
    some = np.bincount(patient[found == YES], minlength=count) > 0
    open_ = np.bincount(patient[found == UNTOLD], minlength=count) > 0
    return np.select([some, open_], [YES, UNTOLD], NO).astype(np.int8)
