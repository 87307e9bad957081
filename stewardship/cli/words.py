"""Orders, facts and plain text as a person reads them in a terminal."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from stewardship.domain.directions import counted, sentence
from stewardship.domain.orders import Order, Phase, Setting
from stewardship.domain.wording import Facts, FactValue

_WIDEST = 100
_VERSION = re.compile(r" (?=v[0-9]+\b)")
_HARD_SPACE = "\N{NO-BREAK SPACE}"


def width() -> int:
    """How many columns a line may take: those of the terminal, and no more than can be read with ease."""
    return min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)


def plain(text: str) -> str:
    """The text on one line, without anything that would steer the terminal: files bring their own words."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def lines(text: str, columns: int) -> list[str]:
    """The text in lines of so many columns, broken between words, but not before a version."""
    broken = textwrap.wrap(_VERSION.sub(_HARD_SPACE, text), columns, break_on_hyphens=False)
    return [line.replace(_HARD_SPACE, " ") for line in broken]


def signature(order: Order) -> str:
    """How the order reads on a prescription, as far as it says."""
    parts = [d.text or sentence(d) for d in order.dosage]
    if order.quantity is not None:
        parts.append(counted(order.quantity.value, order.quantity.unit or "unit"))
    if order.days_supply is not None:
        parts.append(counted(order.days_supply, "day"))
    if order.refills:
        parts.append(counted(Decimal(order.refills), "refill"))
    if order.pain.phase is not Phase.UNKNOWN:
        parts.append(f"{order.pain.phase} pain")
    if order.setting not in {Setting.UNKNOWN, Setting.OUTPATIENT}:
        parts.append(str(order.setting))
    if order.replaces is not None:
        parts.append(f"replaces a prescription that was {order.replaces.loss}")
    said = " · ".join(plain(part) for part in parts if part)
    return said or "nothing stated about dose, quantity or days"


def facts_in_words(facts: Facts) -> str:
    """Facts as a person reads them: ``days supply 10, max days 7``."""
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in facts.items())


def _value(value: FactValue) -> str:
    if value is None:
        return "not on record"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return f"({facts_in_words(value)})"
    if isinstance(value, tuple):
        return ", ".join(_value(v) for v in value) or "none"
    return str(value) or "none"
