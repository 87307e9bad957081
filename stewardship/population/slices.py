"""A slice of the population in the form that the scan works on: some thousands of whole patients.

Each dispensing is here once. What is worked out for one rule and needed by another is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stewardship.domain.flags import Common
from stewardship.population.columns import NONE, Columns, Is, Products, Told
from stewardship.population.keys import ROOM, Array, Mask, bounds, day_begins, key, order_by
from stewardship.population.sweeps import Steps, continued, steps


@dataclass(frozen=True)
class Slice:
    """Rows of whole patients, numbered from 0, each dispensing once; ``row`` is where each came from.

    Days count from ``base``. ``last`` is ``day`` when the length is not known, and ``possible`` the last day
    that a row may cover.
    """

    columns: Columns
    products: Products
    common: Common
    row: Array
    patient: Array
    patients: int
    base: int
    dropped: int

    @cached_property
    def day(self) -> Array:
        """The first day."""
        return self.columns.day.astype(np.int64) - self.base

    @cached_property
    def key(self) -> Array:
        """Patient and first day."""
        return key(self.patient, self.day)

    @cached_property
    def edges(self) -> Array:
        """Where each patient's rows begin."""
        return bounds(self.patient, self.patients)

    @cached_property
    def begins(self) -> Array:
        """The first row of the same patient and day."""
        return day_begins(self.key)

    @cached_property
    def bits(self) -> Array:
        """What the product is."""
        return self.products.bits[self.columns.product].astype(np.int64)

    @cached_property
    def schedule(self) -> Array:
        """The product's schedule, 0 when it has none."""
        return self.products.schedule[self.columns.product].astype(np.int64)

    @cached_property
    def strength(self) -> Array:
        """The same for the same opioids in the same strengths."""
        return self.products.strength[self.columns.product].astype(np.int64)

    @cached_property
    def last(self) -> Array:
        """The last day certainly covered."""
        return self.day + np.maximum(self.columns.days, 1) - 1

    @cached_property
    def possible(self) -> Array:
        """The last day that may be covered."""
        unknown = self.common.unknown_supply_days
        return self.day + np.where(self.columns.days > 0, self.columns.days, unknown) - 1

    def where(self, bits: Is) -> Array:
        """The rows that are any of these."""
        return np.flatnonzero(self.bits & bits)

    @cached_property
    def opioids(self) -> Array:
        """The rows of opioids for pain."""
        return self.where(Is.ANALGESIC)

    @cached_property
    def counted(self) -> Array:
        """The rows that count towards MME, or may."""
        return self.where(Is.COUNTED)

    @cached_property
    def ends(self) -> Array:
        """The last days of ``counted``, continued fills ended."""
        rows = self.counted
        return continued(
            self.patient[rows], self.strength[rows], self.day[rows], self.last[rows], self.common.carry_days
        )

    @cached_property
    def doses(self) -> Steps:
        """MME a day, continued fills counted once."""
        return self._steps(self.ends)

    @cached_property
    def sums(self) -> Steps:
        """MME a day, every supply counted for all its days."""
        return self._steps(self.last[self.counted])

    def _steps(self, ends: Array) -> Steps:
        rows = self.counted
        known = self.columns.daily[rows] >= 0
        rows, ends = rows[known], ends[known]
        return steps(self.patient[rows], self.day[rows], ends, self.columns.daily[rows])

    @cached_property
    def doubtful(self) -> Mask:
        """The rows that make a total a lower bound."""
        found: Mask = ((self.bits & Is.COUNTED) > 0) & ((self.columns.told & Told.DAILY) == 0)
        return found


def sliced(columns: Columns, products: Products, common: Common, first_row: int) -> Slice:
    """Rows of whole patients as a slice, each dispensing once."""
    numbers = columns.patient.astype(np.int64)
    patient = np.zeros(len(numbers), np.int64)
    np.cumsum(numbers[1:] != numbers[:-1], out=patient[1:])
    base = int(columns.day.min(initial=ROOM)) - ROOM
    copies = _copies(columns, patient)
    row = np.arange(first_row, first_row + len(numbers))
    patients = int(patient[-1]) + 1 if len(patient) else 0
    if len(copies):
        kept = np.delete(np.arange(len(numbers)), copies)
        columns, patient, row = columns.rows(kept), patient[kept], row[kept]
    return Slice(columns, products, common, row, patient, patients, base, len(copies))


def _copies(columns: Columns, patient: Array) -> Array:
    """The rows that report a dispensing which another row reports too: the same pharmacy, prescription, fill,
    part, day and product. The largest of them stays."""
    same = (patient[1:] == patient[:-1]) & (columns.day[1:] == columns.day[:-1])
    beside = np.zeros(len(patient), np.bool_)
    beside[1:] |= same
    beside[:-1] |= same
    named = (columns.pharmacy != NONE) & (columns.rx != NONE) & (columns.fill != NONE)
    rows = np.flatnonzero(beside & named)
    if len(rows) < 2:
        return rows[:0]
    names = (columns.day, columns.pharmacy, columns.rx, columns.fill, columns.partial, columns.product)
    what = [patient[rows], *(name[rows].astype(np.int64) for name in names)]
    quantity = np.maximum(columns.quantity[rows], 0)
    stated = np.maximum(columns.stated[rows], 0).astype(np.int64)
    smaller = (int(quantity.max()) - quantity, int(stated.max()) - stated)
    order = order_by(*what, *smaller)
    alike = np.ones(len(rows) - 1, np.bool_)
    for part in what:
        alike &= part[order][1:] == part[order][:-1]
    return np.sort(rows[order[1:][alike]])
