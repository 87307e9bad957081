"""Flags about who prescribed and dispensed: several prescribers and pharmacies, payment, distance, orders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from stewardship.domain.flags.history import Flag, History, Kind, Row, Seen, apart, days, runs
from stewardship.domain.orders import Paid, Supply


@dataclass(frozen=True, slots=True)
class MultipleProviders:
    """Opioids of so many ``prescribers`` and from so many ``pharmacies`` within any ``window_days``."""

    kind: ClassVar[Kind] = Kind.MULTIPLE_PROVIDERS
    prescribers: int
    pharmacies: int
    window_days: int
    same_problem_days: int

    def look(self, history: History) -> Iterator[Seen]:
        anchors = []
        rows = history.opioids
        since = 0
        for day, here in days(rows):
            while rows[since].first <= day - self.window_days:
                since += 1
            window = [r for r in rows[since:] if r.first <= day]
            prescribers, pharmacies = _prescribers(window), _pharmacies(window)
            if len(prescribers) >= self.prescribers and len(pharmacies) >= self.pharmacies:
                anchors.append((day, (here[0], window)))
        for run in runs(anchors, self.same_problem_days):
            (_, (first, began)), (last, _) = run[0], run[-1]
            evidence = {r.id: r for _, (_, window) in run for r in window}
            yield Flag(
                self.kind,
                first.id,
                first.on,
                date.fromordinal(last),
                tuple(evidence),
                {
                    "prescribers": len(_prescribers(began)),
                    "pharmacies": len(_pharmacies(began)),
                    "window_days": self.window_days,
                    "supplies": len(began),
                },
                all(r.supply.prescriber and r.supply.pharmacy for r in evidence.values()),
            )


def _prescribers(rows: list[Row]) -> set[str]:
    return {r.supply.prescriber for r in rows if r.supply.prescriber}


def _pharmacies(rows: list[Row]) -> set[str]:
    return {r.supply.pharmacy for r in rows if r.supply.pharmacy}


@dataclass(frozen=True, slots=True)
class OverlappingPrescribers:
    """An opioid that overlaps an earlier one of another prescriber for ``min_overlap_days`` or more."""

    kind: ClassVar[Kind] = Kind.OVERLAPPING_PRESCRIBERS
    min_overlap_days: int
    same_problem_days: int

    def look(self, history: History) -> Iterator[Seen]:
        anchors = []
        running: list[Row] = []
        for row in history.opioids:
            running = [r for r in running if r.last >= row.first]
            for other in running:
                overlap = min(row.last, other.last) - row.first + 1
                mine, theirs = row.supply.prescriber, other.supply.prescriber
                if mine and theirs and mine != theirs and overlap >= self.min_overlap_days:
                    anchors.append((row.first, (row, other, overlap)))
            running.append(row)
        for run in runs(anchors, self.same_problem_days):
            evidence = dict.fromkeys(r.id for _, (row, other, _) in run for r in (other, row))
            who = {r.supply.prescriber for _, (row, other, _) in run for r in (other, row)}
            yield Flag(
                self.kind,
                run[0][1][0].id,
                run[0][1][0].on,
                date.fromordinal(run[-1][0]),
                tuple(evidence),
                {"overlap_days": max(overlap for _, (_, _, overlap) in run), "prescribers": len(who)},
            )


@dataclass(frozen=True, slots=True)
class CashBesideInsurance:
    """An opioid paid in cash while an insurer paid for another dispensing within ``window_days`` before."""

    kind: ClassVar[Kind] = Kind.CASH_BESIDE_INSURANCE
    window_days: int
    same_problem_days: int

    def look(self, history: History) -> Iterator[Seen]:
        insured: Row | None = None
        anchors = []
        for day, here in days(history.rows):
            insured = next((r for r in reversed(here) if r.supply.paid is Paid.INSURANCE), insured)
            if insured is None or insured.first < day - self.window_days:
                continue
            anchors += [(day, (r, insured)) for r in here if r.opioid and r.supply.paid is Paid.CASH]
        for run in runs(anchors, self.same_problem_days):
            first, beside = run[0][1]
            evidence = dict.fromkeys(r.id for _, (row, other) in run for r in (other, row))
            yield Flag(
                self.kind,
                first.id,
                first.on,
                date.fromordinal(run[-1][0]),
                tuple(evidence),
                {"cash": len(run), "insured_on": beside.on},
            )


@dataclass(frozen=True, slots=True)
class LongDistance:
    """An opioid whose patient lives ``km`` or more from the pharmacy or the prescriber.

    Three digits of a ZIP code tell an area of some fifty kilometres around: what is computed is the
    distance between the nearest edges of two areas, widened by ``margin_km`` each, so the true distance
    is never less. Nearby areas tell nothing.
    """

    kind: ClassVar[Kind] = Kind.LONG_DISTANCE
    km: int
    margin_km: int
    same_problem_days: int

    def look(self, history: History) -> Iterator[Seen]:
        anchors = []
        for row in history.opioids:
            where = row.supply.areas
            far = {
                "pharmacy_km": self._apart(history, where.patient, where.pharmacy),
                "prescriber_km": self._apart(history, where.patient, where.prescriber),
            }
            if any(km >= self.km for km in far.values()):
                anchors.append((row.first, (row, far)))
        for run in runs(anchors, self.same_problem_days):
            first, far = run[0][1]
            yield Flag(
                self.kind,
                first.id,
                first.on,
                date.fromordinal(run[-1][0]),
                tuple(row.id for _, (row, _) in run),
                {**{name: km for name, km in far.items() if km >= self.km}, "at_least": True},
            )

    def _apart(self, history: History, one: str, other: str) -> int:
        here, there = history.areas.get(one), history.areas.get(other)
        if here is None or there is None or one == other:
            return 0
        return max(0, apart(here, there) - 2 * self.margin_km)


@dataclass(frozen=True, slots=True)
class NoKnownOrder:
    """An opioid dispensed for one of our own prescribers that no order on record accounts for: none of its
    number, and none for the product within ``valid_days`` before."""

    kind: ClassVar[Kind] = Kind.NO_KNOWN_ORDER
    valid_days: int

    def look(self, history: History) -> Iterator[Seen]:
        for row in history.opioids:
            if not row.dispensed or row.supply.prescriber not in history.own:
                continue
            if not any(self._accounts(order, row) for order in history.written):
                yield Flag(
                    self.kind, row.id, row.on, row.on, (row.id,), {"prescription": row.supply.prescription}
                )

    def _accounts(self, order: Supply, row: Row) -> bool:
        if row.supply.prescription and row.supply.prescription in (order.id, order.prescription):
            return True
        if order.start_on is None or order.drug is None or row.drug is None:
            return False
        same = order.drug.strengths == row.drug.strengths and order.drug.release is row.drug.release
        return same and 0 <= row.first - order.start_on.toordinal() <= self.valid_days
