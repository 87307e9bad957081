"""Facts, and how a person reads them on a card."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from string import Formatter
from typing import TypeAlias

FactValue: TypeAlias = (
    "str | int | bool | Decimal | date | tuple[FactValue, ...] | Mapping[str, FactValue] | None"
)
Facts: TypeAlias = Mapping[str, FactValue]

#: What could not be told, and what to do about it, by the name of the missing fact.
UNTOLD = {
    "order.drug": (
        "the ordered medicine is not recognised",
        "Order it by a product code, or have a pharmacist check it.",
    ),
    "order.days_supply": (
        "the order does not say how many days it lasts",
        "State the days' supply, or quantity and dose.",
    ),
    "order.refills": (
        "the number of refills cannot be read",
        "State the refills as a whole number; none is 0.",
    ),
    "order.schedule": (
        "the DEA schedule of the medicine is not in the catalogue",
        "Have a pharmacist check the schedule.",
    ),
    "order.pain.phase": ("the phase of pain is not stated", "State whether the pain is acute or chronic."),
    "order.indication": ("the indication is not stated", "State what the medicine is for."),
    "history": (
        "the medication history is not complete",
        "Look at the pharmacy record or the PDMP before signing.",
    ),
    "history.days_supply": (
        "an earlier prescription does not say how long it lasts",
        "Find out how long the earlier supply lasts.",
    ),
    "history.drug": (
        "a medicine on record is not recognised",
        "Find out whether the unrecognised medicine is an opioid or a sedative.",
    ),
    "record.conditions": (
        "the diagnoses are not all known",
        "Look at the problem list before signing.",
    ),
    "mme": (
        "the daily opioid dose cannot be added up",
        "State dose and frequency, or have a pharmacist work out the daily dose.",
    ),
    "acetaminophen": (
        "the daily acetaminophen cannot be added up",
        "State dose and frequency of every product with acetaminophen.",
    ),
}


def in_words(template: str, facts: Facts) -> str:
    """A card's text with ``{fact}`` filled in; a fact that is empty leaves no gap.

    One that is missing is left as it stands, never an error before a patient; a policy file's own tests
    refuse it.
    """
    if "{" not in template:
        return template
    parts = []
    for text, name in _taken_apart(template):
        parts.append(text)
        if name is not None:
            parts.append(said(facts[name]) if name in facts else f"{{{name}}}")
    return "".join(parts).replace("  ", " ").strip()


@lru_cache(maxsize=1024)
def _taken_apart(template: str) -> tuple[tuple[str, str | None], ...]:
    """The text before each fact with the fact's name, and the text after the last."""
    return tuple((text, name) for text, name, _, _ in Formatter().parse(template))


def said(value: FactValue) -> str:
    """A fact as a person writes it: 7.50 as 7.5, dates as 21 Nov 2026, lists with commas."""
    if type(value) is str:
        return value  # as most are
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, date):
        return _day_said(value)
    if isinstance(value, tuple):
        return ", ".join(said(v) for v in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {said(v)}" for k, v in value.items())
    return "not on record" if value is None else str(value)


@lru_cache(maxsize=1024)
def _day_said(day: date) -> str:
    return f"{day.day} {day:%b %Y}"
