"""What polars and DuckDB are asked beside the scan: the part of it that both can say, and its parameters.

It is everything but the rules that carry supply from fill to fill, look at two doses, at a table of areas or
at parts of fills: the four definitions and the days over two totals, and nine of the seventeen flags.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from stewardship.domain.flags import Flags, Kind
from stewardship.population.columns import AMOUNT_ONE, DAILY_ONE, Is
from stewardship.population.scan import Scan
from tests.population.generator import Population

#: What makes two rows the same dispensing.
KEYS = ["patient", "day", "pharmacy", "rx", "fill", "partial", "product"]
KINDS = (
    Kind.MULTIPLE_PROVIDERS,
    Kind.OPIOID_WITH_BENZODIAZEPINE,
    Kind.HIGH_DAILY_MME,
    Kind.LONG_ACTING_IN_NAIVE,
    Kind.BEYOND_REFILLS,
    Kind.SCHEDULE_II_REFILL,
    Kind.CASH_BESIDE_INSURANCE,
    Kind.IMPROBABLE_DAYS_SUPPLY,
    Kind.NO_KNOWN_ORDER,
)
FIGURES = ("amount", "supplied", "covered", "maximum", "over_0", "over_1")


@dataclass(frozen=True)
class Question:
    """Parameters as plain numbers; MME are daily amounts in 10^-12."""

    patients: int
    first: int
    until: int
    unknown_days: int
    carry: int
    guidance: tuple[int, ...]
    providers: int
    window: int
    beside: int
    high: int
    high_gap: int
    lookback: int
    cash: tuple[int, int]
    days: tuple[int, int]
    figures: tuple[str, ...] = FIGURES
    opioid: int = int(Is.OPIOID)
    analgesic: int = int(Is.ANALGESIC)
    long_acting: int = int(Is.LONG_ACTING)
    benzodiazepine: int = int(Is.BENZODIAZEPINE)
    unknown: int = int(Is.UNKNOWN)
    counted: int = int(Is.COUNTED)


@dataclass(frozen=True)
class Answer:
    """Each patient's figures, ``maximum`` in 10^-12 MME, and the rows that each kind of flag labels."""

    figures: dict[str, np.ndarray]
    flags: dict[str, np.ndarray]


def question(rules: Flags, made: Population, first: date, until: date) -> Question:
    """The parameters of the reference file."""

    def of(kind: Kind) -> Any:
        return rules.rules[kind].rule

    high, cash, days = (
        of(Kind.HIGH_DAILY_MME),
        of(Kind.CASH_BESIDE_INSURANCE),
        of(Kind.IMPROBABLE_DAYS_SUPPLY),
    )
    several, beside = of(Kind.MULTIPLE_PROVIDERS), of(Kind.OPIOID_WITH_BENZODIAZEPINE)
    # What is written by hand takes these to be so.
    assert several.prescribers == several.pharmacies
    assert several.window_days == several.same_problem_days
    assert high.min_days == beside.min_overlap_days == 1
    return Question(
        patients=made.patients,
        first=first.toordinal(),
        until=until.toordinal(),
        unknown_days=rules.common.unknown_supply_days,
        carry=rules.common.carry_days,
        guidance=tuple(int(mme * DAILY_ONE) for mme in rules.guidance),
        providers=several.prescribers,
        window=several.window_days,
        beside=beside.same_problem_days,
        high=int(high.mme_per_day * DAILY_ONE),
        high_gap=high.same_problem_days,
        lookback=of(Kind.LONG_ACTING_IN_NAIVE).lookback_days,
        cash=(cash.window_days, cash.same_problem_days),
        days=(days.least_days, days.most_days),
    )


def table(made: Population) -> dict[str, np.ndarray]:
    """The columns that are asked about, wide enough for keys, with what the products say beside them."""
    c, p = made.columns, made.products
    names = (
        *KEYS,
        "days",
        "stated",
        "refills",
        "amount",
        "daily",
        "prescriber",
        "quantity",
        "paid",
        "ordered",
    )
    found = {name: getattr(c, name).astype(np.int64) for name in names}
    for name in ("bits", "schedule", "strength"):
        found[name] = getattr(p, name)[c.product].astype(np.int64)
    return {"row": np.arange(len(c)), **found}


def differences(scan: Scan, answer: Answer) -> list[str]:
    """What of an answer is not what the scan says."""
    f = scan.figures
    ours = {"amount": f.amount, "supplied": f.supplied, "covered": f.covered}
    ours |= {f"over_{n}": f.over[:, n] for n in range(f.over.shape[1])}
    theirs = {name: values[f.patient] for name, values in answer.figures.items()}
    wrong = [name for name, values in ours.items() if not np.array_equal(values, theirs[name])]
    one = DAILY_ONE // AMOUNT_ONE
    if np.abs(theirs["maximum"].astype(np.int64) - f.maximum * one).max(initial=0) * 2 > one:
        wrong.append("maximum")
    for kind, rows in answer.flags.items():
        if not np.array_equal(np.sort(rows), np.sort(scan.flags[Kind(kind)])):
            wrong.append(kind)
    return wrong + sorted({k.value for k in KINDS} - set(answer.flags))
