"""One patient's claims, day by day from the first of January 2026, and the measures as they are shipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from stewardship.declarations.drugs import read_code_sets
from stewardship.declarations.factors import read_factor_sets
from stewardship.declarations.measures import read_measures
from stewardship.declarations.places import REFERENCE
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Drug
from stewardship.domain.measures import Answer, Measure
from stewardship.domain.measures.patients import answer
from stewardship.domain.measures.stays import stays
from stewardship.domain.mme import FactorSet
from stewardship.domain.orders import Supply
from tests.builders import a_chart, a_drug, a_supply

YEAR = 2026
FIRST = date(YEAR, 1, 1)
KNOWN_FROM = date(2024, 1, 1)
#: 7.5 MME a tablet: 12 a day are 90 MME, 8 are 60.
OXYCODONE = a_drug()


@cache
def factor_sets() -> dict[str, FactorSet]:
    return dict(read_factor_sets(REFERENCE))


@cache
def measures() -> dict[str, Measure]:
    return {m.id: m for m in read_measures(REFERENCE, factor_sets(), read_code_sets(REFERENCE))}


def claim(on: int, days: int | None = 10, *, a_day: int = 2, drug: Drug = OXYCODONE, **more: Any) -> Supply:
    """A dispensing so many days after the first of January: ten days of oxycodone 5 mg, two a day."""
    given = a_supply(start=FIRST + timedelta(on), days=days, drug=drug, **{"id": f"c{on}", **more})
    return replace(given, quantity=Quantity(Decimal(a_day * (days or 10)), ""))


def someone(claims: Sequence[Supply], **more: Any) -> Chart:
    """A patient of 45 with these claims."""
    return a_chart(*claims, **more)


def born(day: date | None) -> dict[str, Any]:
    return {"patient": Patient("p-1", day)}


def ask(
    measure_id: str, claims: Sequence[Supply], known_from: date | None = KNOWN_FROM, **more: Any
) -> Answer:
    measure = measures()[measure_id]
    return answer(
        measure, someone(claims, **more), YEAR, factor_sets()[measure.factor_set], known_from=known_from
    )


def met(found: Answer, rate: str) -> bool | None:
    return next(r.met for r in found.rates if r.rate == rate)


def stays_of(chart: Chart) -> tuple[Answer, ...]:
    return stays(measures()["cms506"], chart, YEAR, unknown_days=60)
