"""Days as spans and steps: where supplies cover, where several cover together, how many MME a day.

Two events for each supply, sorted once, and a running sum: never one row a day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stewardship.population.columns import AMOUNT_ONE, DAILY_ONE
from stewardship.population.keys import (
    DAY_BITS,
    Array,
    Mask,
    before,
    day_of,
    key,
    order_by,
    patient_of,
    running,
)

_SCALE = DAILY_ONE // AMOUNT_ONE


@dataclass(frozen=True)
class Spans:
    """Stretches of days, in order: keys of the first and of the last day."""

    first: Array
    last: Array

    @property
    def days(self) -> Array:
        """How many days each has."""
        return self.last - self.first + 1


def union(patient: Array, first: Array, last: Array) -> Spans:
    """The days that rows cover, rows in order of patient and first day."""
    real = last >= first
    if not real.all():
        patient, first, last = patient[real], first[real], last[real]
    reach = before(patient, running(patient, last))
    begins = np.flatnonzero(first > reach + 1)
    if not len(begins):
        return Spans(first[:0], last[:0])
    return Spans(key(patient[begins], first[begins]), np.maximum.reduceat(key(patient, last), begins))


def new_days(patient: Array, first: Array, last: Array) -> tuple[Array, Array]:
    """How many days each row is the first to cover, and the furthest day covered up to and with it."""
    furthest = running(patient, last)
    reach = before(patient, furthest)
    added: Array = np.maximum(0, last - np.maximum(reach, first - 1))
    return added, furthest


def together(parts: list[Spans]) -> Spans:
    """The days that are in all of several unions."""
    ends = np.concatenate([(p.last + 1) << 1 for p in parts])
    starts = np.concatenate([(p.first << 1) | 1 for p in parts])
    events = np.sort(np.concatenate([ends, starts]), kind="stable")
    active = np.cumsum(np.where(events & 1, 1, -1))
    at = events >> 1
    here = np.flatnonzero((active[:-1] == len(parts)) & (at[1:] > at[:-1])) if len(at) else at
    return Spans(at[here], at[here + 1] - 1)


def joined(spans: Spans, gap: int) -> tuple[Spans, Array]:
    """Spans with ``gap`` days or less between them taken together, and the days that they cover."""
    if not len(spans.first):
        return spans, spans.first
    apart = np.ones(len(spans.first), np.bool_)
    other = patient_of(spans.first[1:]) != patient_of(spans.first[:-1])
    apart[1:] = other | (spans.first[1:] - spans.last[:-1] - 1 > gap)
    begins = np.flatnonzero(apart)
    ends = np.append(begins[1:], len(apart)) - 1
    return Spans(spans.first[begins], spans.last[ends]), np.add.reduceat(spans.days, begins)


@dataclass(frozen=True)
class Steps:
    """MME a day: from each key to the one before the next, in billionths, rounded as one patient's are."""

    at: Array
    mme: Array

    def on(self, keys: Array) -> Array:
        """MME on days."""
        found = np.searchsorted(self.at, keys, side="right") - 1
        near = np.maximum(found, 0)
        known = (found >= 0) & (patient_of(self.at[near]) == patient_of(keys)) if len(self.at) else found >= 0
        return np.where(known, self.mme[near], 0) if len(self.at) else np.zeros(len(keys), np.int64)

    @property
    def days(self) -> Array:
        """How many days each lasts; of a patient's last step, which is nothing, not told."""
        return np.append(self.at[1:], self.at[-1:]) - self.at

    def at_least(self, limit: int) -> Spans:
        """The days on which the total is no less than a limit in billionths."""
        over = np.flatnonzero(self.mme >= limit)
        return Spans(self.at[over], self.at[over + 1] - 1)


def steps(patient: Array, first: Array, last: Array, daily: Array) -> Steps:
    """MME a day of rows in order of patient and first day, each with the same from first to last day."""
    count = len(first)
    width = max(count - 1, 0).bit_length() + 1
    index = np.arange(count) << 1
    if count and int(patient[-1] + 1).bit_length() + DAY_BITS + width > 63:
        raise ValueError("too many rows in one slice")
    # An end counts before a start on the same day; of one key only the sum after its last event matters.
    ends = (key(patient, last + 1) << width) | index
    starts = (key(patient, first) << width) | index | 1
    events = np.sort(np.concatenate([np.sort(ends, kind="stable"), starts]), kind="stable")
    change = daily[(events & ((1 << width) - 1)) >> 1]
    total = np.cumsum(np.where(events & 1, change, -change))
    at = events >> width
    settled = np.flatnonzero(np.append(at[1:] != at[:-1], True)) if len(at) else at
    return Steps(at[settled], rounded(total[settled]))


def rounded(daily: Array) -> Array:
    """A daily amount in billionths, half to even."""
    whole, rest = np.divmod(daily, _SCALE)
    found: Array = whole + ((2 * rest > _SCALE) | ((2 * rest == _SCALE) & (whole % 2 == 1)))
    return found


def continued(patient: Array, product: Array, first: Array, last: Array, carry_days: int) -> Array:
    """The last day of each row when a fill that runs out within ``carry_days`` of the next one of the same
    product is continued by it."""
    order = order_by(patient, product)
    numbered = np.zeros(len(order), np.int64)
    who, what = patient[order], product[order]
    numbered[1:] = np.cumsum((who[1:] != who[:-1]) | (what[1:] != what[:-1]))
    chain = (numbered << DAY_BITS) + first[order]
    wanted = (numbered << DAY_BITS) + np.maximum(first[order] + 1, last[order] - carry_days + 1)
    later = np.searchsorted(chain, wanted)
    found = np.minimum(later, len(chain) - 1)
    start = chain[found]
    within: Mask = (later < len(chain)) & (start <= (numbered << DAY_BITS) + last[order])
    ends = np.empty_like(last)
    ends[order] = np.where(within, day_of(start) - 1, last[order])
    return ends
