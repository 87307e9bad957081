"""What a list of products yields: the products that can be classified, and a count of those that cannot.

A product whose ingredient is not in the ingredient table is left out, and so stays unknown: nobody has
said yet whether that ingredient is an opioid. The names are kept, so that somebody can.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

from stewardship.domain.drugs import SiteProduct


@dataclass
class Products:
    """The outcome of reading a list."""

    found: list[SiteProduct] = field(default_factory=list)
    #: Ingredients that the table does not have, and how many products each kept out.
    unknown_ingredients: Counter[str] = field(default_factory=Counter)
    #: Products whose name or form could not be read.
    unreadable: int = 0


def written(strength: Decimal | None, unit: str) -> str:
    """A strength as ``Row.ingredients`` writes it."""
    return "?" if strength is None else f"{format(strength.normalize(), 'f')} {unit}"
