"""Builders for the flags: one patient's dispensings, day by day from a first of June."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from stewardship.declarations.factors import read_factor_sets
from stewardship.declarations.flags import read_flags
from stewardship.declarations.places import REFERENCE
from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Drug, DrugClass, Release, Schedule
from stewardship.domain.flags import Flag, FlagRule, Flags, Kind, Raised, history, raised
from stewardship.domain.orders import Supply
from tests import builders
from tests.builders import LONG_ACTING, a_drug

START = date(2026, 6, 1)
OXYCODONE = a_drug()
OXYCODONE_ER = a_drug(strength="30", code="er", release=Release.EXTENDED, classes=LONG_ACTING)
TRAMADOL = a_drug("tramadol", "10689", "50", code="t", schedule=Schedule.IV)
HYDROCODONE = a_drug("hydrocodone", "5489", "10", code="h")
BUPRENORPHINE = a_drug(
    "buprenorphine",
    "1819",
    "8",
    code="bup",
    form="sublingual film",
    schedule=Schedule.III,
    classes=frozenset({DrugClass.OPIOID, DrugClass.OUD_TREATMENT}),
)
DIAZEPAM = a_drug(
    "diazepam",
    "3322",
    "5",
    code="d",
    schedule=Schedule.IV,
    classes=frozenset({DrugClass.BENZODIAZEPINE, DrugClass.CNS_DEPRESSANT}),
)
CARISOPRODOL = a_drug(
    "carisoprodol",
    "2101",
    "350",
    code="c",
    schedule=Schedule.IV,
    classes=frozenset({DrugClass.MUSCLE_RELAXANT, DrugClass.CNS_DEPRESSANT}),
)
IBUPROFEN = a_drug(
    "ibuprofen",
    "5640",
    "400",
    code="i",
    schedule=Schedule.NONE,
    classes=frozenset({DrugClass.NON_OPIOID_ANALGESIC}),
)


@cache
def reference() -> Flags:
    """The rules as the project ships them."""
    return read_flags(REFERENCE, read_factor_sets(REFERENCE))


def day(number: int) -> date:
    """So many days after the first."""
    return START + timedelta(number)


def fill(on: int, days: int | None = 10, *, a_day: int = 2, drug: Drug = OXYCODONE, **more: Any) -> Supply:
    """A dispensing that many days after the first: ten days of oxycodone 5 mg, two a day."""
    quantity = more.pop("quantity", a_day * (days or 10))
    supply = builders.a_supply(start=day(on), days=days, drug=drug, **more)
    return replace(supply, quantity=Quantity(Decimal(quantity), ""))


def rule(kind: Kind, **changed: Any) -> FlagRule:
    """A rule with the parameters of the reference file, but for what is said."""
    return replace(reference().rules[kind].rule, **changed)  # type: ignore[type-var]


def seen(
    kind: Kind, *supplies: Supply, as_of: int = 400, changed: dict[str, Any] | None = None, **more: Any
) -> Raised:
    """What one rule sees in the supplies."""
    looked = history(supplies, reference().common, as_of=day(as_of), areas=reference().areas, **more)
    return raised(looked, [rule(kind, **(changed or {}))])


def flags(kind: Kind, *supplies: Supply, **more: Any) -> tuple[Flag, ...]:
    """The flags of one rule."""
    return seen(kind, *supplies, **more).flags


def ids(supplies: Iterable[Supply]) -> tuple[str, ...]:
    """Their ids."""
    return tuple(s.id for s in supplies)
