"""Which daily doses whole pieces of real products make, and with the fewest pieces of each.

A week may mix two such doses: on some days one step less than on the others. So a dose can fall by less
than a tablet a day without cutting one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from stewardship.domain.drugs import Catalogue, Drug
from stewardship.domain.units import mg_in_one

_ZERO = Decimal(0)
_HALF = Decimal("0.5")
WEEK = 7


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece to take: milligrams of the opioid in it, the product by code and name, and which part of
    the product it is (1, or a half)."""

    mg: Decimal
    code: str
    name: str
    part: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Count:
    """So many of a piece."""

    piece: Piece
    number: int

    @property
    def products(self) -> Decimal:
        """How many products they take: two halves are one."""
        return self.piece.part * self.number


@dataclass(frozen=True, slots=True)
class Day:
    """What is taken on a day: milligrams, and the pieces that make them, the strongest first."""

    mg: Decimal
    pieces: tuple[Count, ...] = ()


NOTHING = Day(_ZERO)


@dataclass(frozen=True, slots=True)
class Week:
    """A week: ``usual`` days, and ``fewer_days`` of it with ``fewer``."""

    usual: Day
    fewer: Day | None = None
    fewer_days: int = 0

    @property
    def mg(self) -> Decimal:
        """Milligrams in the week."""
        other = self.fewer.mg * self.fewer_days if self.fewer is not None else _ZERO
        return self.usual.mg * (WEEK - self.fewer_days) + other

    @property
    def days_with(self) -> int:
        """On how many of its days something is taken."""
        fewer = self.fewer_days if self.fewer is not None and self.fewer.mg else 0
        return fewer + (WEEK - self.fewer_days if self.usual.mg else 0)

    @property
    def most_mg(self) -> Decimal:
        """What is taken on its fullest day."""
        return self.usual.mg

    def counts(self, days: int) -> tuple[Count, ...]:
        """The pieces of so many days; the days after the last whole week count as usual ones."""
        less = days // WEEK * self.fewer_days
        parts = [(self.usual, days - less), (self.fewer or NOTHING, less)]
        found: dict[Piece, int] = {}
        for day, times in parts:
            for count in day.pieces:
                found[count.piece] = found.get(count.piece, 0) + count.number * times
        ordered = sorted(found.items(), key=lambda item: (-item[0].mg, item[0].code))
        return tuple(Count(piece, number) for piece, number in ordered if number)


def pieces_like(catalogue: Catalogue, drug: Drug) -> tuple[Piece, ...]:
    """Every strength in which the catalogue has the product, one product each: the same ingredients and
    form, and what is beside the opioid in the same strength.

    Only strengths that a product with a National Drug Code has: RxNorm alone also lists what is not sold.
    """
    sold = {_strengths(d) for d in catalogue.described() if d.form == drug.form and _is_like(d, drug)}
    found: dict[Decimal, Piece] = {}
    for other in catalogue.products():
        if other.form != drug.form or other.release is not drug.release or not _is_like(other, drug):
            continue
        mg = mg_of(other)
        if mg is None or _strengths(other) not in sold:
            continue
        piece = Piece(mg, other.code.code, other.name)
        known = found.get(mg)
        # The plainest name is the generic's.
        if known is None or (len(piece.name), piece.code) < (len(known.name), known.code):
            found[mg] = piece
    return tuple(found[mg] for mg in sorted(found, reverse=True))


def halves(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """The pieces and their halves, the halves only where no whole piece is as strong."""
    whole = tuple(pieces)
    there = {p.mg for p in whole}
    cut = {p.mg * _HALF: Piece(p.mg * _HALF, p.code, p.name, _HALF) for p in whole}
    return (*whole, *(p for mg, p in sorted(cut.items(), reverse=True) if mg not in there))


def mg_of(drug: Drug) -> Decimal | None:
    """Milligrams of the one opioid in one piece; ``None`` for several opioids or an unknown strength."""
    if len(drug.opioids) != 1 or "/" in drug.opioids[0].unit:
        return None
    return mg_in_one(drug.opioids[0])


def _is_like(one: Drug, other: Drug) -> bool:
    if one.opioid_codes != other.opioid_codes or not one.opioid_codes:
        return False
    return _beside(one) == _beside(other)


def _beside(drug: Drug) -> frozenset[tuple[str, Decimal | None, str]]:
    return frozenset((i.name, i.strength, i.unit) for i in drug.ingredients if not i.opioid)


def _strengths(drug: Drug) -> frozenset[tuple[str, Decimal | None]]:
    return frozenset((i.rxcui or i.name, mg_in_one(i)) for i in drug.opioids)


def days_of(
    pieces: Iterable[Piece], *, up_to: Decimal, most_pieces: int, most_strengths: int, times: int = 1
) -> tuple[Day, ...]:
    """Every daily dose up to ``up_to`` that the pieces make, the highest first and nothing at the end; each
    with a piece for each of so many ``times`` a day if it can be, else with the fewest, of no more than so
    many strengths."""
    known = tuple(pieces)
    best: dict[Decimal, _Parts] = {}
    for size in range(1, most_strengths + 1):
        for chosen in combinations(known, size):
            for counts in _counted(chosen, up_to, most_pieces):
                _keep(best, tuple(zip(chosen, counts, strict=True)), times)
    made = [
        Day(mg, tuple(Count(p, n) for p, n in sorted(parts, key=lambda part: -part[0].mg)))
        for mg, parts in sorted(best.items(), key=lambda item: item[0], reverse=True)
    ]
    return (*made, NOTHING)


_Parts = tuple[tuple[Piece, int], ...]


def _keep(best: dict[Decimal, _Parts], parts: _Parts, times: int) -> None:
    mg = sum((p.mg * n for p, n in parts), _ZERO)
    known = best.get(mg)
    if known is None or _cost(parts, times) < _cost(known, times):
        best[mg] = parts


def _cost(parts: _Parts, times: int) -> tuple[int, int, int, int, tuple[str, ...]]:
    """A piece for each time before fewer, whole before halves, few before many, one strength before two."""
    cut = sum(1 for p, _ in parts if p.part != 1)
    number = sum(n for _, n in parts)
    return max(0, times - number), cut, number, len(parts), tuple(p.code for p, _ in parts)


def _counted(chosen: tuple[Piece, ...], left: Decimal, most: int) -> Iterable[tuple[int, ...]]:
    """How many of each, at least one of each, within the dose and the number of pieces."""
    first, rest = chosen[0], chosen[1:]
    for number in range(1, most - len(rest) + 1):
        if first.mg * number > left:
            return
        if not rest:
            yield (number,)
        else:
            for others in _counted(rest, left - first.mg * number, most - number):
                yield (number, *others)


def by_products(counts: Iterable[Count]) -> Mapping[str, Decimal]:
    """How many of each product, by its code."""
    found: dict[str, Decimal] = {}
    for count in counts:
        found[count.piece.code] = found.get(count.piece.code, _ZERO) + count.products
    return found
