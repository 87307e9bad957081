"""The scan: figures and flags of a whole population in one pass over its columns.

Patients are taken in slices that fit a processor's cache, so memory beyond the columns themselves is that of
a slice and of the answers, whatever the number of rows, and several processors can share the work. What one
patient's functions would say is said exactly; the few patients whose sums do not fit whole numbers, or whose
factors depend on the dose, are named instead (``by_hand``), for those functions to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from stewardship.domain.flags import RULES, Flags, Kind
from stewardship.population import fills, patterns
from stewardship.population.columns import AMOUNT_ONE, Columns, Is, Products
from stewardship.population.figures import Figures, figures
from stewardship.population.keys import DAY_BITS, ROOM, Array
from stewardship.population.patterns import Labelled
from stewardship.population.slices import Slice, sliced

#: Rows of a slice: large enough that whole-array operations outweigh their calls, small enough for a cache.
SLICE = 1 << 17
#: Totals beyond this are left to be looked at by hand: percentages of them are taken in whole numbers.
_MOST = 2.0**60
#: The most days from the first day of all to the last that a row may cover.
_MOST_DAYS = (1 << DAY_BITS) - 4 * ROOM

_LOOK: Mapping[Kind, Callable[..., Labelled]] = {
    Kind.MULTIPLE_PROVIDERS: fills.multiple_providers,
    Kind.EARLY_REFILL: fills.early_refill,
    Kind.OVERLAPPING_PRESCRIBERS: fills.overlapping_prescribers,
    Kind.OPIOID_WITH_BENZODIAZEPINE: patterns.with_benzodiazepine,
    Kind.WITH_CARISOPRODOL: patterns.with_carisoprodol,
    Kind.HIGH_DAILY_MME: patterns.high_daily_mme,
    Kind.DOSE_RISING_FAST: patterns.dose_rising,
    Kind.DOSE_FALLING_FAST: patterns.dose_falling,
    Kind.LONG_ACTING_IN_NAIVE: patterns.long_acting_in_naive,
    Kind.BEYOND_REFILLS: fills.beyond_refills,
    Kind.SCHEDULE_II_REFILL: fills.schedule_ii_refill,
    Kind.PARTIAL_PAST_LIMIT: fills.partial_fills,
    Kind.CASH_BESIDE_INSURANCE: fills.cash_beside_insurance,
    Kind.IMPROBABLE_DAYS_SUPPLY: fills.improbable_days,
    Kind.NO_KNOWN_ORDER: fills.no_known_order,
    Kind.LONG_DISTANCE: fills.long_distance,
    Kind.NEW_LONG_TERM_USE: patterns.new_long_term_use,
}


@dataclass(frozen=True)
class Scan:
    """What the scan found: each patient's figures; for each kind of flag the rows that its flags label and
    those for which it cannot be ruled out; how many rows reported a dispensing again; and the patients that
    have to be looked at one by one."""

    figures: Figures
    flags: Mapping[Kind, Array]
    untold: Mapping[Kind, Array]
    dropped: int
    by_hand: Array


def scan(
    columns: Columns,
    products: Products,
    rules: Flags,
    *,
    first: date,
    until: date,
    as_of: date,
    known_from: date | None = None,
    kinds: Collection[Kind] = tuple(RULES),
    workers: int = 1,
    slice_rows: int = SLICE,
) -> Scan:
    """Scan rows that lie in order of patient and day and began by ``as_of``.

    ``first`` to ``until`` is the window of the figures; ``known_from`` the first day that would be on record.
    Raises ``ValueError`` when the rows are not in order or lie millennia apart.
    """
    before = (columns.patient[1:] == columns.patient[:-1]) & (columns.day[1:] < columns.day[:-1])
    if before.any() or (columns.patient[1:] < columns.patient[:-1]).any():
        raise ValueError("rows lie in order of patient and day")
    if (
        len(columns)
        and int(columns.day.max()) - int(columns.day.min()) + int(columns.days.max()) > _MOST_DAYS
    ):
        raise ValueError(f"rows lie within {_MOST_DAYS} days")
    look = _Look(columns, products, rules, first, until, as_of, known_from, tuple(kinds))
    cuts = list(_cuts(columns.patient, slice_rows))
    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(look, cuts))
    else:
        parts = [look(cut) for cut in cuts]
    return Scan(
        Figures.joined([p.figures for p in parts]),
        {kind: np.concatenate([p.flags[kind] for p in parts]) for kind in kinds},
        {kind: np.concatenate([p.untold[kind] for p in parts]) for kind in kinds},
        sum(p.dropped for p in parts),
        np.concatenate([p.by_hand for p in parts]),
    )


def _cuts(patient: np.ndarray[Any, np.dtype[np.int32]], most: int) -> Iterator[tuple[int, int]]:
    """Where to cut between patients, so that slices have about so many rows."""
    start, count = 0, len(patient)
    while True:
        end = min(start + most, count)
        if end < count:
            # Back to where the patient begins who would be cut; a patient with more rows stays whole.
            cut = int(np.searchsorted(patient, patient[end]))
            end = cut if cut > start else int(np.searchsorted(patient, patient[end], "right"))
        yield start, end
        start = end
        if start >= count:
            return


class _Look:
    """One slice after the other, with what is the same for all."""

    def __init__(
        self,
        columns: Columns,
        products: Products,
        rules: Flags,
        first: date,
        until: date,
        as_of: date,
        known_from: date | None,
        kinds: tuple[Kind, ...],
    ) -> None:
        self.columns, self.products, self.common = columns, products, rules.common
        self.window = (first.toordinal(), until.toordinal())
        self.guidance = [int(mme * AMOUNT_ONE) for mme in rules.guidance]
        known = None if known_from is None else known_from.toordinal()
        more: dict[Kind, dict[str, Any]] = {
            Kind.DOSE_FALLING_FAST: {"as_of": as_of.toordinal()},
            Kind.LONG_ACTING_IN_NAIVE: {"known_from": known},
            Kind.NEW_LONG_TERM_USE: {"known_from": known},
        }
        if Kind.LONG_DISTANCE in kinds:
            more[Kind.LONG_DISTANCE] = {"distances": fills.distances_of(dict(rules.areas))}
        self.look = {
            kind: partial(_LOOK[kind], rules.rules[kind].rule, **more.get(kind, {})) for kind in kinds
        }

    def __call__(self, cut: tuple[int, int]) -> Scan:
        start, end = cut
        part = sliced(self.columns.rows(slice(start, end)), self.products, self.common, start)
        found = {kind: look(part=part) for kind, look in self.look.items()}
        return Scan(
            figures(part, *self.window, self.guidance),
            {kind: part.row[rows] for kind, (rows, _) in found.items()},
            {kind: part.row[untold] for kind, (_, untold) in found.items()},
            part.dropped,
            _by_hand(part),
        )


def _by_hand(part: Slice) -> Array:
    """The patients whose totals whole numbers do not hold exactly."""
    sliding = np.bincount(part.patient[part.where(Is.SLIDING)], minlength=part.patients) > 1
    daily = np.maximum(part.columns.daily, 0).astype(np.float64)
    amount = np.maximum(part.columns.amount, 0).astype(np.float64)
    most = np.bincount(part.patient, daily, part.patients) + np.bincount(part.patient, amount, part.patients)
    who = np.flatnonzero(sliding | (most > _MOST))
    found: Array = part.columns.patient[part.edges[who]].astype(np.int64)
    return found
