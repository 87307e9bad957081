"""The rules about single fills and about who prescribed and dispensed, as functions of columns."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from stewardship.domain.flags import Area
from stewardship.domain.flags.fills import (
    BeyondRefills,
    EarlyRefill,
    ImprobableDays,
    PartialFills,
    ScheduleTwoRefill,
)
from stewardship.domain.flags.providers import (
    CashBesideInsurance,
    LongDistance,
    MultipleProviders,
    NoKnownOrder,
    OverlappingPrescribers,
)
from stewardship.domain.orders import Paid
from stewardship.population.columns import NONE, PAID
from stewardship.population.keys import (
    Array,
    Mask,
    before,
    bounds,
    day_ends,
    key,
    order_by,
    running,
    sums,
)
from stewardship.population.patterns import Labelled, first_of_runs, labelled
from stewardship.population.slices import Slice

Numbers: TypeAlias = npt.NDArray[np.int32]
_II = 2
_NO_PARTS = 0


# --- early refills ----------------------------------------------------------------------------------


def early_refill(rule: EarlyRefill, part: Slice) -> Labelled:
    """Fills with much of the one before left, supply in hand carried over."""
    order = part.opioids[order_by(part.patient[part.opioids], part.strength[part.opioids])]
    if not len(order):
        return labelled(order)
    patient, strength = part.patient[order], part.strength[order]
    first, length = part.day[order], part.last[order] - part.day[order] + 1
    days = part.columns.days[order].astype(np.int64)
    linked = np.zeros(len(order), np.bool_)  # to a fill of the same product before it
    linked[1:] = (patient[1:] == patient[:-1]) & (strength[1:] == strength[:-1])
    after_unknown = np.zeros(len(order), np.bool_)
    after_unknown[1:] = linked[1:] & (days[:-1] == 0)
    chain = np.cumsum(~linked | after_unknown) - 1
    left = _left(chain, first, length, days)
    earlier = np.roll(days, 1)
    follows = linked & ~after_unknown
    whole = part.columns.partial[order] <= 1
    early = follows & (left > 0) & (left * 100 >= rule.min_percent_left * earlier) & whole
    possible = np.roll(part.possible[order], 1)
    untold = after_unknown & (possible >= first) & whole
    return labelled(np.sort(order[early]), np.sort(order[untold]))


def _left(chain: Array, first: Array, length: Array, days: Array) -> Array:
    """How many days of supply are left at each fill of a chain; nothing of importance at a chain's first.

    Without a limit to what is carried, supply runs out at the highest of (first day + all later lengths),
    which is one running maximum. Chains in which more than a fill would be carried are gone through fill by
    fill, all of them side by side.
    """
    begins = np.flatnonzero(np.append(True, chain[1:] != chain[:-1]))
    used = np.cumsum(length)
    used -= np.repeat(used[begins] - length[begins], np.diff(np.append(begins, len(chain))))
    lead = first - (used - length)
    offset = chain << 36  # parts the chains, whatever their length
    shift = int(-lead.min(initial=0)) + 1
    runs_out = np.maximum.accumulate(offset + lead + shift) - offset - shift + used
    left = np.roll(runs_out, 1) - first
    left[begins] = 0
    capped = np.unique(chain[left > days])
    if len(capped):
        _go_through(capped, begins, first, length, days, left)
    found: Array = left
    return found


def _go_through(capped: Array, begins: Array, first: Array, length: Array, days: Array, left: Array) -> None:
    """Set ``left`` of some chains with at most one fill carried over."""
    counts = np.diff(np.append(begins, len(first)))[capped]
    at = begins[capped]
    runs_out = first[at] + length[at]
    for step in range(1, int(counts.max())):
        going = counts > step
        counts, at, runs_out = counts[going], at[going] + 1, runs_out[going]
        left[at] = runs_out - first[at]
        runs_out = first[at] + np.clip(left[at], 0, days[at]) + length[at]


# --- what was authorised ----------------------------------------------------------------------------


def beyond_refills(_rule: BeyondRefills, part: Slice) -> Labelled:
    """Fills with a number higher than the refills."""
    c = part.columns
    known = (c.fill != NONE) & (c.refills != NONE) & (part.schedule > 0) & (part.schedule != _II)
    return labelled(np.flatnonzero(known & (c.fill > c.refills)))


def schedule_ii_refill(_rule: ScheduleTwoRefill, part: Slice) -> Labelled:
    """Refills in Schedule II."""
    c = part.columns
    refilled = (c.refills > 0) | ((c.fill > 0) & (c.partial <= 1))
    return labelled(np.flatnonzero((part.schedule == _II) & refilled))


def partial_fills(rule: PartialFills, part: Slice) -> Labelled:
    """Parts of fills too late, or more than the whole."""
    c = part.columns
    rows = np.flatnonzero((c.partial > _NO_PARTS) & (part.schedule > 0))
    if not len(rows):
        return labelled(rows)
    longer = np.isin(c.treatment[rows], [int(code) for code in rule.long_term_care])
    second = np.where(longer, rule.long_term_care_days, rule.schedule_ii_days)
    limit = np.where(part.schedule[rows] == _II, second, rule.other_days)
    written = c.written[rows].astype(np.int64)
    late = (written != NONE) & (c.day[rows] - written > limit)
    over = _more_than_ordered(part, rows)
    return labelled(rows[late | over], rows[(written == NONE) & ~over])


def _more_than_ordered(part: Slice, rows: Array) -> Mask:
    c = part.columns
    over = np.zeros(len(rows), np.bool_)
    named = (c.pharmacy[rows] != NONE) & (c.rx[rows] != NONE) & (c.fill[rows] != NONE)
    some = np.flatnonzero(named & (c.quantity[rows] >= 0))
    if not len(some):
        return over
    names = (part.patient, c.pharmacy, c.rx, c.fill)
    what = [name[rows[some]].astype(np.int64) for name in names]
    order = order_by(*what)
    new = np.append(True, np.zeros(len(some) - 1, np.bool_))
    for name in what:
        new[1:] |= name[order][1:] != name[order][:-1]
    given = np.cumsum(c.quantity[rows[some]][order])
    begins = np.flatnonzero(new)
    before_it = np.append(0, given)[begins]
    given -= np.repeat(before_it, np.diff(np.append(begins, len(some))))
    ordered = c.prescribed[rows[some]][order]
    over[some[order]] = (ordered != NONE) & (given > ordered)
    return over


def improbable_days(rule: ImprobableDays, part: Slice) -> Labelled:
    """Stated days that cannot be."""
    stated = part.columns.stated
    wrong = (stated != NONE) & ((stated < rule.least_days) | (stated > rule.most_days))
    return labelled(np.flatnonzero(wrong & (part.schedule > 0)))


# --- who prescribed and dispensed -------------------------------------------------------------------


def multiple_providers(rule: MultipleProviders, part: Slice) -> Labelled:
    """Several prescribers and pharmacies. Patients who change too rarely for it are not looked at."""
    rows = part.opioids
    prescriber, pharmacy = part.columns.prescriber[rows], part.columns.pharmacy[rows]
    edges = bounds(part.patient[rows], part.patients)
    often = _changes(prescriber, edges) >= rule.prescribers - 1
    often &= _changes(pharmacy, edges) >= rule.pharmacies - 1
    chosen = often[part.patient[rows]]
    rows = rows[chosen]
    patient, day = part.patient[rows], part.day[rows]
    enough = distinct_within(patient, day, prescriber[chosen], rule.window_days) >= rule.prescribers
    enough &= distinct_within(patient, day, pharmacy[chosen], rule.window_days) >= rule.pharmacies
    return first_of_runs(part, rows[enough], rule.same_problem_days)


def _changes(who: Numbers, edges: Array) -> Array:
    """How often each patient's rows name another than the row before: no fewer than there are, less one."""
    changed = np.zeros(len(who), np.int64)
    changed[1:] = who[1:] != who[:-1]
    changed[edges[:-1][edges[:-1] < len(who)]] = 0
    return sums(changed, edges)


def distinct_within(patient: Array, day: Array, who: Numbers, window: int) -> Array:
    """How many different ones each row's patient had in the window that ends on its day, of rows in order of
    patient and day.

    Each is there from a row of its own until the window has passed without another: two events.
    """
    named = np.flatnonzero(who != NONE)
    order = named[order_by(patient[named], who[named].astype(np.int64))]
    owner, on, name = patient[order], day[order], who[order]
    again = np.zeros(len(order) + 1, np.bool_)  # whether a row is there within the window of the one before
    again[1:-1] = (owner[1:] == owner[:-1]) & (name[1:] == name[:-1]) & (on[1:] - on[:-1] < window)
    comes = np.sort(key(owner, on)[~again[:-1]])
    goes = np.sort(key(owner, on + window)[~again[1:]])
    keys = key(patient, day)
    found: Array = np.searchsorted(comes, keys, "right") - np.searchsorted(goes, keys, "right")
    return found


def overlapping_prescribers(rule: OverlappingPrescribers, part: Slice) -> Labelled:
    """Opioids that overlap an earlier one of another prescriber."""
    rows = part.opioids
    rows = rows[part.columns.prescriber[rows] != NONE]
    patient, last = part.patient[rows], part.last[rows]
    who = part.columns.prescriber[rows]
    needed = part.day[rows] + rule.min_overlap_days - 1
    reach = before(patient, running(patient, last))
    changes = _changes(who, bounds(patient, part.patients)) > 0
    pending = np.flatnonzero((last >= needed) & (reach >= needed) & changes[patient])
    found = np.zeros(len(rows), np.bool_)
    back = 1
    while len(pending):
        # One row further back for all that are left; no further than something reaches far enough.
        other = pending - back
        other_there = (other >= 0) & (patient[other] == patient[pending])
        pending, other = pending[other_there], other[other_there]
        overlaps = (who[other] != who[pending]) & (last[other] >= needed[pending])
        found[pending[overlaps]] = True
        pending = pending[~overlaps & (reach[other] >= needed[pending])]
        back += 1
    return first_of_runs(part, rows[found], rule.same_problem_days)


def cash_beside_insurance(rule: CashBesideInsurance, part: Slice) -> Labelled:
    """Cash while an insurer paid for another."""
    insured = running(part.patient, np.where(part.columns.paid == PAID[Paid.INSURANCE], part.day, 0))
    cash = part.opioids[part.columns.paid[part.opioids] == PAID[Paid.CASH]]
    lately = insured[day_ends(part.begins)[cash]]
    beside = (lately > 0) & (lately >= part.day[cash] - rule.window_days)
    return first_of_runs(part, cash[beside], rule.same_problem_days)


def no_known_order(_rule: NoKnownOrder, part: Slice) -> Labelled:
    """Dispensings that no order accounts for."""
    return labelled(part.opioids[part.columns.ordered[part.opioids] == 0])


def long_distance(rule: LongDistance, part: Slice, distances: Array) -> Labelled:
    """Patients far from pharmacy or prescriber, by the least distance of two areas (``distances_of``)."""
    c, rows = part.columns, part.opioids
    home = c.zip_patient[rows]
    far = np.zeros(len(rows), np.bool_)
    for place in (c.zip_pharmacy[rows], c.zip_prescriber[rows]):
        known = (home != NONE) & (place != NONE) & (home != place)
        apart = distances[np.where(known, home, 0), np.where(known, place, 0)]
        far |= known & (apart - 2 * rule.margin_km >= rule.km)
    return first_of_runs(part, rows[far], rule.same_problem_days)


def distances_of(areas: dict[str, Area]) -> Array:
    """Kilometres between any two areas at the least; 0 where one is not known."""
    table = np.zeros((1_000, 4), np.int64)
    known = np.zeros(1_000, np.bool_)
    for digits, area in areas.items():
        table[int(digits)] = area.x, area.y, area.z, area.radius
        known[int(digits)] = True
    place = table[:, :3]
    square = ((place[:, None] - place[None]) ** 2).sum(axis=2)
    root = np.sqrt(square.astype(np.float64)).astype(np.int64)
    root -= root * root > square
    root += (root + 1) * (root + 1) <= square
    apart = np.maximum(0, root - table[:, 3][:, None] - table[:, 3][None])
    found: Array = np.where(known[:, None] & known[None], apart, 0)
    return found
