"""Supplies -> exposures -> days covered: who has what on which day, and what cannot be told about it.

A prescription and the dispensings that fill it are one exposure; identical prescriptions are as many
as there are. Supply of the same opioid that overlaps is taken one after the other (carry-over), supply
of different opioids side by side. Days are calendar days; the first day of supply counts as day one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from operator import attrgetter

from stewardship.domain.dosage import expected_days
from stewardship.domain.drugs import Drug, DrugClass
from stewardship.domain.orders import Supply, SupplyKind, longest_days
from stewardship.domain.values import quick

DAY = timedelta(days=1)


class Covered(StrEnum):
    """Whether an exposure reaches a day. ``MAYBE`` when its length is not on record."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


# A member is looked up in its enumeration slowly, and these are asked for once an exposure.
_YES, _NO, _MAYBE = Covered.YES, Covered.NO, Covered.MAYBE
_DRAFT, _DISPENSING, _PRESCRIPTION = SupplyKind.DRAFT, SupplyKind.DISPENSING, SupplyKind.PRESCRIPTION


@quick
@dataclass(frozen=True, slots=True)
class Exposure:
    """One stretch of a drug being available to the patient.

    ``days`` is ``None`` when neither a days' supply nor quantity and dose say how long it lasts.
    ``stopped_on`` is the first day on which it is known not to be taken any more. ``refill_days`` are
    the further days that the refills of a prescription may give, when no dispensing says more.
    """

    supply: Supply
    start: date
    days: int | None
    stopped_on: date | None = None
    refill_days: int = 0
    drug: Drug | None = field(init=False, repr=False, compare=False)
    last: date | None = field(init=False, repr=False, compare=False)
    """The last day covered; ``None`` when not told. The first day of supply is day one."""
    ends: date | None = field(init=False, repr=False, compare=False)
    """The last day that it would cover if it were not stopped; ``None`` when not told."""
    refilled_until: int = field(init=False, repr=False, compare=False)
    """The same with all refills, as an ordinal; of no meaning when not told."""

    def __post_init__(self) -> None:
        last = ends = None if self.days is None else self.start + timedelta(self.days - 1)
        if last is not None and self.stopped_on is not None and self.stopped_on <= last:
            last = self.stopped_on - DAY
        object.__setattr__(self, "drug", self.supply.drug)
        object.__setattr__(self, "last", last)
        object.__setattr__(self, "ends", ends)
        object.__setattr__(self, "refilled_until", ends.toordinal() + self.refill_days if ends else 0)

    def reaches(self, first: date, until: date, *, unknown_days: int) -> Covered:
        """Whether any day from ``first`` to ``until`` is covered. An exposure of unknown length may
        last ``unknown_days`` at most (a policy parameter with its source)."""
        if self.start > until or (self.stopped_on is not None and self.stopped_on <= first):
            return _NO
        if self.ends is not None:
            if self.ends >= first:
                return _YES
            if self.refilled_until < first.toordinal():
                return _NO
            # A refill may have been fetched; of a prescription that is called active it counts as fetched.
            return _YES if self.supply.status == "active" else _MAYBE
        if self.start >= first:
            return _YES  # it began within the window, however long it lasted
        return _MAYBE if self.start + (unknown_days - 1) * DAY >= first else _NO


def days_of(supply: Supply) -> int | None:
    """How many days a supply lasts: as stated; else as its quantity yields at the highest dose of its
    instructions. Of a draft the longer of the two, as for an order. ``None`` when neither is known."""
    stated = supply.days_supply
    if stated is not None and stated > 0 and supply.kind is not _DRAFT:
        return math.ceil(stated)
    return longest_days(stated, expected_days(supply.drug, supply.dosage, supply.quantity))


def exposures(supplies: Iterable[Supply], *, as_of: date) -> tuple[Exposure, ...]:
    """Merge each prescription with its dispensings, and date what remains.

    A dispensing fills the prescription it names; one that names none fills the latest earlier
    prescription of the same product that still has a fill to give (its refills and the first). What has
    no start date is left out here and is reported by ``undated``.
    """
    dated = [s for s in supplies if s.start_on is not None]
    fills = [s for s in dated if s.kind is _DISPENSING]
    written = [s for s in dated if s.kind is not _DISPENSING]
    filled = _filled(written, fills) if fills and written else frozenset()
    kept = fills + [s for s in written if s.id not in filled]
    made = [_exposure(s, as_of) for s in kept]
    made.sort(key=lambda e: (e.start, e.supply.id))
    return tuple(made)


def undated(supplies: Iterable[Supply]) -> tuple[Supply, ...]:
    """Supplies without a start date: known to exist, impossible to place."""
    return tuple(s for s in supplies if s.start_on is None)


def _filled(written: Sequence[Supply], fills: Sequence[Supply]) -> frozenset[str]:
    """The ids of prescriptions that have at least one of the dispensings."""
    named = {s.prescription for s in fills if s.prescription}
    filled = {s.id for s in written if s.id in named or (s.prescription and s.prescription in named)}
    known = {key for s in written for key in (s.id, s.prescription) if key}
    left = {s.id: 1 + (s.refills or 0) for s in written if s.id not in filled}
    latest_first = sorted((s for s in written if s.id in left), key=lambda s: s.start_on or date.min)[::-1]
    for fill in sorted(fills, key=lambda s: s.start_on or date.min):
        if fill.prescription and fill.prescription in known:
            continue
        for script in latest_first:
            if left[script.id] and _starts(script) <= _starts(fill) and _same_product(script, fill):
                left[script.id] -= 1
                filled.add(script.id)
                break
    return frozenset(filled)


def _starts(supply: Supply) -> date:
    return supply.start_on or date.min


def _same_product(one: Supply, other: Supply) -> bool:
    if one.drug is None or other.drug is None:
        mine = {(c.system, c.code) for c in one.medication.codings}
        return any((c.system, c.code) in mine for c in other.medication.codings)
    return same_strength(one.drug, other.drug) and one.drug.release is other.drug.release


def same_strength(one: Drug, other: Drug) -> bool:
    """Same opioid ingredients in the same strengths (brand and generic are the same; for products
    without an opioid, all ingredients count)."""
    return one is other or one.strengths == other.strengths


def _exposure(supply: Supply, as_of: date) -> Exposure:
    assert supply.start_on is not None  # noqa: S101 - the caller keeps dated supplies only
    stopped = supply.ended_on
    if stopped is None and supply.status == "stopped":
        # Stopped, nobody wrote when: it is not being taken now, and may have been until yesterday.
        stopped = max(as_of, supply.start_on)
    days = days_of(supply)
    refills = supply.refills or 0 if supply.kind is _PRESCRIPTION else 0
    return Exposure(supply, supply.start_on, days, stopped, refills * (days or 0))


# --- days ------------------------------------------------------------------------------------------

Span = tuple[int, int]  # ordinals of the first and the last day, both included


def spans(taken: Iterable[Exposure]) -> list[Span]:
    """Days covered, as disjoint spans in order, with carry-over within an ingredient.

    Exposures of unknown length count as the one day on which they certainly began.
    """
    in_hand: dict[object, int] = {}
    found: list[Span] = []
    for exposure in sorted(taken, key=_BY_START):
        drug, length, first = exposure.drug, exposure.days, exposure.start.toordinal()
        if length is None:
            length = 1
        if exposure.stopped_on is not None:
            length = min(length, exposure.stopped_on.toordinal() - first)
        if length < 1:
            continue
        key = drug.opioid_codes if drug is not None else exposure.supply.id
        carried = in_hand.get(key, 0)
        if carried >= first:
            first = carried + 1
        in_hand[key] = last = first + length - 1
        found.append((first, last))
    return union(found)


_BY_START = attrgetter("start")


def union(parts: Iterable[Span]) -> list[Span]:
    """The same days as disjoint spans, in order."""
    merged: list[Span] = []
    begun = reached = None
    for first, last in sorted(parts):
        if reached is None or begun is None:
            begun, reached = first, last
        elif first > reached + 1:
            merged.append((begun, reached))
            begun, reached = first, last
        elif last > reached:
            reached = last
    if reached is not None and begun is not None:
        merged.append((begun, reached))
    return merged


def days_within(parts: Sequence[Span], first: int, last: int) -> int:
    """How many of the days lie between two ordinals, both included; the spans are in order."""
    days = 0
    for a, b in reversed(parts):
        if b < first:
            break
        if a <= last:
            days += min(b, last) - max(a, first) + 1
    return days


def most_days_in_window(parts: Sequence[Span], window: int, *, touching: Span) -> int:
    """The most days covered in any ``window`` consecutive days that share a day with ``touching``.

    The count is greatest for a window that begins where a span begins or ends where one ends, or for
    the earliest or latest window that still touches.
    """
    earliest, latest = touching[0] - window + 1, touching[1]
    near = [(a, b) for a, b in parts if b >= earliest and a < latest + window]
    starts = {a for a, _ in near} | {b - window + 1 for _, b in near} | {earliest, latest}
    return max(days_within(near, s, s + window - 1) for s in starts if earliest <= s <= latest)


def is_of(exposure: Exposure, drug_class: DrugClass) -> bool:
    """Whether the exposure is to a recognised product of the class."""
    return exposure.drug is not None and drug_class in exposure.drug.classes
