"""Keys and running values over rows that are sorted by patient and day.

A key is one whole number made of patient and day, so that one comparison orders both and one running maximum
stays within its patient: a later patient's number is higher than anything of an earlier one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Days take the low bits of a key. A slice's first day is ``ROOM``, so that no look-back leaves its patient.
DAY_BITS = 20
ROOM = 8_192
_DAYS = (1 << DAY_BITS) - 1


def key(patient: Array, day: Array) -> Array:
    """Patient and day as one number."""
    return (patient << DAY_BITS) + day


def patient_of(keys: Array) -> Array:
    """The patient of a key."""
    return keys >> DAY_BITS


def day_of(keys: Array) -> Array:
    """The day of a key."""
    return keys & _DAYS


def bounds(patient: Array, patients: int) -> Array:
    """Where each patient's rows begin, and at last where all end."""
    return np.searchsorted(patient, np.arange(patients + 1)).astype(np.int64)


def sums(values: Array, edges: Array) -> Array:
    """The sum of each patient's values."""
    total = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=total[1:])
    found: Array = total[edges[1:]] - total[edges[:-1]]
    return found


def any_of(mask: Mask, edges: Array) -> Mask:
    """Whether any of a patient's rows is so."""
    found: Mask = sums(mask.astype(np.int64), edges) > 0
    return found


def highest(values: Array, edges: Array) -> Array:
    """The highest of each patient's values, none of them below zero; 0 for a patient without any."""
    found = np.zeros(len(edges) - 1, np.int64)
    some = np.flatnonzero(edges[1:] > edges[:-1])
    if len(some):
        found[some] = np.maximum.reduceat(values, edges[some])
    return found


def running(patient: Array, values: Array) -> Array:
    """The highest value of the same patient up to and with each row; values are days or 0."""
    base = patient << DAY_BITS
    found: Array = np.maximum.accumulate(base + values) - base
    return found


def before(patient: Array, run: Array) -> Array:
    """A running maximum up to and without each row; 0 for a patient's first."""
    found = np.zeros_like(run)
    found[1:] = np.where(patient[1:] == patient[:-1], run[:-1], 0)
    return found


def day_begins(keys: Array) -> Array:
    """For each row, the first row of the same patient and day."""
    begins = np.zeros(len(keys), np.int64)
    begins[1:] = np.where(keys[1:] != keys[:-1], np.arange(1, len(keys)), 0)
    found: Array = np.maximum.accumulate(begins)
    return found


def day_ends(begins: Array) -> Array:
    """For each row, the last row of the same patient and day, from their first ones."""
    firsts = np.flatnonzero(begins == np.arange(len(begins)))
    counts = np.diff(np.append(firsts, len(begins)))
    return np.repeat(firsts + counts - 1, counts)


def before_day(patient: Array, begins: Array, run: Array) -> Array:
    """A running maximum over the days before each row's; 0 when there are none."""
    earlier = np.maximum(begins - 1, 0)
    found: Array = np.where((begins > 0) & (patient[earlier] == patient), run[earlier], 0)
    return found


def order_by(*numbers: Array) -> Array:
    """The order of rows by numbers that are not negative, the first the most important; rows that are alike
    stay as they are. One sort of whole numbers, which is what a sort costs least as."""
    count = len(numbers[0])
    packed = np.zeros(count, np.int64)
    used = 0
    for number in numbers:
        width = int(number.max(initial=0)).bit_length()
        packed = (packed << width) | number
        used += width
    width = max(count - 1, 0).bit_length()
    if used + width > 63:
        return np.lexsort(numbers[::-1]).astype(np.int64)
    packed = np.sort((packed << width) | np.arange(count), kind="stable")
    found: Array = packed & ((1 << width) - 1)
    return found


def began(patient: Array, day: Array, gap: int) -> Mask:
    """Of dated things in order, those that do not lie within ``gap`` days of the one before."""
    new = np.ones(len(patient), np.bool_)
    new[1:] = (patient[1:] != patient[:-1]) | (day[1:] - day[:-1] > gap)
    return new
