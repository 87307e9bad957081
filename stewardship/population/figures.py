"""The four definitions of daily MME for every patient over one window, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from stewardship.population.columns import Told
from stewardship.population.keys import ROOM, Array, Mask, any_of, bounds, day_of, highest, patient_of, sums
from stewardship.population.slices import Slice
from stewardship.population.sweeps import new_days


@dataclass(frozen=True)
class Figures:
    """One row a patient. ``amount`` MME in billionths, of the supplies that begin in the window; by
    ``supplied`` days it is the first definition, by ``covered`` the second, by the days of the window the
    third; ``maximum`` is the fourth, in billionths. ``told`` and ``maximum_told``: there is something to tell
    it from. ``complete`` is of the first two; ``over`` counts the days at or over each guidance value.
    """

    patient: Array
    amount: Array
    supplied: Array
    covered: Array
    maximum: Array
    supplies: Array
    told: Mask
    maximum_told: Mask
    complete: Mask
    window_complete: Mask
    maximum_complete: Mask
    over: Array

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The figures of several slices."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})


def figures(part: Slice, first: int, until: int, guidance: Sequence[int]) -> Figures:
    """The figures of a slice's patients over a window of ordinals, both included; ``guidance`` in
    billionths of an MME a day."""
    # Days of a slice begin at ROOM; a window that begins or ends far outside is brought to its edge.
    start, end = max(first - part.base, ROOM // 2), until - part.base
    rows = part.counted
    day, last, possible = part.day[rows], part.last[rows], part.possible[rows]
    doubtful = part.doubtful[rows]
    patient = part.patient[rows]
    edges = bounds(patient, part.patients)

    inside = (day >= start) & (day <= end)
    chosen = np.flatnonzero(inside)
    amount = part.columns.amount[rows]
    whole = (part.columns.told[rows] & Told.WHOLE) > 0
    known = inside & (amount >= 0)
    added, _ = new_days(patient[chosen], day[chosen], possible[chosen])
    supplies = sums(inside.astype(np.int64), edges)
    lacking = any_of(inside & doubtful, edges)

    within = (day <= end) & (last >= start)
    reaching = (day <= end) & (possible >= start) & doubtful
    dosed = any_of(within & (part.columns.daily[rows] >= 0), edges)
    doubted = any_of(reaching, edges)
    maximum, over = _by_day(part, start, end, guidance)
    numbers = part.columns.patient[part.edges[:-1]] if part.patients else part.columns.patient
    return Figures(
        patient=numbers.astype(np.int64),
        amount=sums(np.where(known, amount, 0), edges),
        supplied=sums(np.where(inside, possible - day + 1, 0), edges),
        covered=sums(added, bounds(patient[chosen], part.patients)),
        maximum=maximum,
        supplies=supplies,
        told=any_of(known, edges) | (supplies == 0),
        maximum_told=dosed | ~doubted,
        complete=~lacking,
        window_complete=~any_of(inside & ~whole, edges),
        maximum_complete=~doubted,
        over=over,
    )


def _by_day(part: Slice, start: int, end: int, guidance: Sequence[int]) -> tuple[Array, Array]:
    """Each patient's highest day in the window, and the days at or over each guidance value."""
    steps = part.sums
    day, days = day_of(steps.at), steps.days
    inside = np.flatnonzero((steps.mme > 0) & (day <= end) & (day + days - 1 >= start))
    mme, day, days = steps.mme[inside], day[inside], days[inside]
    edges = bounds(patient_of(steps.at[inside]), part.patients)
    length = np.minimum(day + days - 1, end) - np.maximum(day, start) + 1
    over = [sums(np.where(mme >= limit, length, 0), edges) for limit in guidance]
    return highest(mme, edges), np.stack(over, axis=1) if over else np.zeros((part.patients, 0), np.int64)
