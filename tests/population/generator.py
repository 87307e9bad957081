"""A population of patients and their dispensings: seeded, realistic in its mixture, of any size.

Nobody in it exists. Most patients have one or two short courses; some have opioids every month for years,
some of them with a benzodiazepine, with carisoprodol, with changes of dose, with several prescribers. A few
rows lack a length or a quantity, are not recognised, or are reported twice, as in any feed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Drug, DrugClass, Medication, Release, Schedule
from stewardship.domain.flags import Flags
from stewardship.domain.mme import daily_mme
from stewardship.domain.orders import Areas, Supply, SupplyKind
from stewardship.population.columns import (
    AMOUNT_ONE,
    PAID,
    Columns,
    Is,
    Products,
    Told,
    daily_amounts,
    products,
)
from tests.builders import LONG_ACTING, OPIOID, a_drug

FIRST = date(2024, 1, 1)
DAYS = 1_035  # to 31 October 2026
LAST = date.fromordinal(FIRST.toordinal() + DAYS - 1)

_SEDATIVE = frozenset({DrugClass.BENZODIAZEPINE, DrugClass.CNS_DEPRESSANT})
_RELAXANT = frozenset({DrugClass.MUSCLE_RELAXANT, DrugClass.CNS_DEPRESSANT})
_ER: dict[str, Any] = {"release": Release.EXTENDED, "classes": LONG_ACTING}
_BUP = frozenset({DrugClass.OPIOID, DrugClass.OUD_TREATMENT})
#: Product, share of first courses, share of long use.
_PRODUCTS: Sequence[tuple[Drug | None, float, float]] = (
    (a_drug("hydrocodone", "5489", "5", code="h5"), 0.30, 0.10),
    (a_drug("hydrocodone", "5489", "10", code="h10"), 0.08, 0.18),
    (a_drug("oxycodone", "7804", "5", code="o5"), 0.22, 0.10),
    (a_drug("oxycodone", "7804", "10", code="o10"), 0.06, 0.16),
    (a_drug("oxycodone", "7804", "30", code="o30"), 0.00, 0.04),
    (a_drug("oxycodone", "7804", "30", code="oer", **_ER), 0.01, 0.08),
    (a_drug("morphine", "7052", "30", code="mer", **_ER), 0.01, 0.10),
    (a_drug("methadone", "6813", "10", code="m10", classes=LONG_ACTING), 0.00, 0.04),
    (a_drug("tramadol", "10689", "50", code="t50", schedule=Schedule.IV), 0.22, 0.12),
    (a_drug("codeine", "2670", "30", code="c30", schedule=Schedule.III), 0.07, 0.01),
    (a_drug("hydromorphone", "3423", "2", code="hm2"), 0.02, 0.03),
    (a_drug("nalbuphine", "7238", "10", code="n10", schedule=None, classes=OPIOID), 0.003, 0.002),
    (
        a_drug(
            "buprenorphine",
            "1819",
            "8",
            code="b8",
            schedule=Schedule.III,
            classes=_BUP,
            form="sublingual film",
        ),
        0.002,
        0.033,
    ),
    (None, 0.005, 0.005),
    (a_drug("diazepam", "3322", "5", code="d5", schedule=Schedule.IV, classes=_SEDATIVE), 0, 0),
    (a_drug("alprazolam", "596", "1", code="a1", schedule=Schedule.IV, classes=_SEDATIVE), 0, 0),
    (a_drug("carisoprodol", "2101", "350", code="s350", schedule=Schedule.IV, classes=_RELAXANT), 0, 0),
)
DRUGS = tuple(drug for drug, _, _ in _PRODUCTS)
_DIAZEPAM, _ALPRAZOLAM, _CARISOPRODOL = len(DRUGS) - 3, len(DRUGS) - 2, len(DRUGS) - 1
_ZIPS = (100, 104, 112, 70, 190, 606, 604, 532, 900, 902, 921, 981, 972, 331, 770)


@dataclass(frozen=True)
class Population:
    """The columns, their products, and how many patients there are."""

    columns: Columns
    products: Products
    patients: int


def population(rules: Flags, *, patients: int, rows: int, seed: int = 4) -> Population:
    """About so many rows of so many patients, sorted by patient and day."""
    draw = np.random.default_rng(seed)
    long = draw.random(patients) < 0.22
    mean = np.where(long, 6.0, 1.0)
    wanted = rows / patients / 0.97  # what ends before the last day is made up for by what stands beside
    counts = np.maximum(1, draw.poisson(mean * wanted / mean.mean()))
    patient = np.repeat(np.arange(patients), counts)
    number = np.arange(len(patient)) - np.repeat(np.cumsum(counts) - counts, counts)
    often = long[patient]

    def each(usual: Sequence[int], course: Sequence[int]) -> np.ndarray:
        """One number for every row, of long use from the first list, of a course from the second."""
        return np.where(often, draw.choice(usual, len(patient)), draw.choice(course, len(patient)))

    days = each([14, 28, 30, 30, 30, 30], [3, 5, 7, 10])
    early = draw.choice([0] * 12 + [1, 1, 2, -1, -1, -3, -10, 7], len(patient))
    gap = np.where(often, np.maximum(1, days - early), draw.integers(5, 300, len(patient)))
    start = np.where(long, draw.integers(0, DAYS // 8, patients), draw.integers(0, DAYS // 3, patients))[
        patient
    ]
    day = start + _running_sum(np.where(number == 0, 0, gap), counts)
    product = _products(draw, patient, long)
    usual = draw.choice([2, 3, 4, 6], patients)[patient]
    a_day = np.where(often, usual, draw.choice([2, 4, 6], len(patient)))
    a_day = np.maximum(1, a_day + draw.choice([0] * 30 + [1, 2, -1, -2], len(patient)))
    wanders = draw.random(patients) < 0.05
    prescriber = _who(draw, patient, wanders, max(50, patients // 100), 0.05)
    pharmacy = _who(draw, patient, wanders, max(30, patients // 400), 0.08)

    sedated = long & (draw.random(patients) < 0.20)
    beside = np.flatnonzero(sedated[patient] & (draw.random(len(patient)) < 0.7))
    third = beside[(draw.random(patients) < 0.15)[patient[beside]]]
    source = np.concatenate([np.arange(len(patient)), beside, third])
    sedative = np.where(patient[beside] % 2 == 0, _DIAZEPAM, _ALPRAZOLAM)
    what = np.concatenate([product, sedative, np.full(len(third), _CARISOPRODOL)])
    later = np.where(np.arange(len(source)) >= len(product), draw.integers(0, 9, len(source)), 0)
    day = day[source] + later
    kept = np.flatnonzero(day < DAYS)
    order = kept[np.lexsort((day[kept], patient[source][kept]))]
    source = source[order]
    courses = patient[source], number[source], day[order], days[source], a_day[source], what[order]
    made = _columns(draw, rules, *courses, prescriber[source], pharmacy[source])
    return Population(made, products(DRUGS, rules), patients)


def _running_sum(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    total = np.cumsum(values)
    begins = np.cumsum(counts) - counts
    return total - np.repeat(total[begins] - values[begins], counts)


def _products(draw: np.random.Generator, patient: np.ndarray, long: np.ndarray) -> np.ndarray:
    shares = np.array([[first, later] for _, first, later in _PRODUCTS]).T
    shares /= shares.sum(axis=1, keepdims=True)
    usual = draw.choice(len(DRUGS), len(long), p=shares[1])
    course = draw.choice(len(DRUGS), len(patient), p=shares[0])
    stays = long[patient] & (draw.random(len(patient)) < 0.9)
    return np.where(stays, usual[patient], course)


def _who(
    draw: np.random.Generator, patient: np.ndarray, wanders: np.ndarray, number: int, other: float
) -> np.ndarray:
    own = draw.integers(0, number, len(wanders))[patient]
    elsewhere = draw.random(len(patient)) < np.where(wanders[patient], 0.7, other)
    who = np.where(elsewhere, draw.integers(0, number, len(patient)), own)
    return np.where(draw.random(len(patient)) < 0.002, -1, who)


def _columns(draw, rules, patient, number, day, days, a_day, product, prescriber, pharmacy) -> Columns:
    count = len(patient)

    def some(share: float) -> np.ndarray:
        return draw.random(count) < share

    quantity = np.where(some(0.004), -1, days * a_day * 1000)
    stated = np.where(some(0.003), -1, np.where(some(0.002), draw.choice([0, 200, 300], count), days))
    lasting = np.maximum(stated, 0)
    bits = products(DRUGS, rules).bits[product]
    unit = np.array([_unit_mme(drug, rules) for drug in DRUGS])[product]
    known = (quantity >= 0) & (unit >= 0)
    amount = np.where(known, quantity // 1000 * np.maximum(unit, 0), -1)
    daily = daily_amounts(amount, lasting.astype(np.int32))
    counted = (bits & Is.COUNTED) > 0
    told = np.where(counted & (daily >= 0), int(Told.DAILY), 0) | np.where(
        counted & known, int(Told.WHOLE), 0
    )
    partial = np.where(some(0.01), draw.integers(1, 3, count), 0)
    second = products(DRUGS, rules).schedule[product] == 2
    refills = np.where(second & ~some(0.002), 0, draw.choice([0, 1, 2, 5], count))
    refill = np.where(some(0.003), refills + 1, np.minimum(number, refills))
    home = draw.choice(_ZIPS, int(patient[-1]) + 1 if count else 0)[patient]
    written = np.where(some(0.01), -1, FIRST.toordinal() + day - draw.choice([0, 0, 0, 1, 3, 40], count))
    made = Columns(
        patient=patient.astype(np.int32),
        day=(FIRST.toordinal() + day).astype(np.int32),
        days=lasting.astype(np.int32),
        stated=stated.astype(np.int32),
        product=product.astype(np.int32),
        amount=amount.astype(np.int64),
        daily=daily,
        told=told.astype(np.int8),
        prescriber=prescriber.astype(np.int32),
        pharmacy=pharmacy.astype(np.int32),
        rx=np.arange(count, dtype=np.int32),
        fill=refill.astype(np.int16),
        refills=refills.astype(np.int16),
        partial=partial.astype(np.int8),
        written=written.astype(np.int32),
        quantity=quantity.astype(np.int64),
        prescribed=np.where(some(0.5), quantity + 5000, -1).astype(np.int64),
        paid=draw.choice(list(PAID.values()), count, p=[0.07, 0.05, 0.88]).astype(np.int8),
        treatment=np.where(some(0.02), 5, 0).astype(np.int8),
        ordered=np.where((prescriber % 10 == 0) & some(0.05), 0, 1).astype(np.int8),
        zip_patient=home.astype(np.int16),
        zip_pharmacy=np.where(some(0.02), draw.choice(_ZIPS, count), home).astype(np.int16),
        zip_prescriber=np.where(some(0.03), draw.choice(_ZIPS, count), home).astype(np.int16),
    )
    twice = np.flatnonzero(some(0.005))
    return made.rows(np.sort(np.concatenate([np.arange(count), twice])))


def _unit_mme(drug: Drug | None, rules: Flags) -> int:
    """MME of one tablet, in billionths; ``-1`` when it cannot be told or is left out."""
    one = daily_mme(drug, (), Quantity(Decimal(1), ""), Decimal(1), rules.common.factor_set)
    return -1 if one.high is None else int(one.high * AMOUNT_ONE)


# --- as one patient's supplies ----------------------------------------------------------------------


def supplies(columns: Columns, ids: Sequence[str]) -> list[Supply]:
    """The rows as the domain knows them."""
    return [_supply(columns, row, ids[row]) for row in range(len(columns))]


def _supply(c: Columns, row: int, row_id: str) -> Supply:
    drug = DRUGS[c.product[row]]
    medication = Medication((), "a medicine") if drug is None else Medication((drug.code,), drug.name)
    supply = Supply(
        row_id,
        SupplyKind.DISPENSING,
        medication,
        drug,
        date.fromordinal(int(c.day[row])),
        days_supply=None if c.stated[row] < 0 else Decimal(int(c.stated[row])),
        quantity=_quantity(int(c.quantity[row])),
        fill=None if c.fill[row] < 0 else int(c.fill[row]),
        refills=int(c.refills[row]),
        status="completed",
    )
    return replace(
        supply,
        prescription=_name("rx", int(c.rx[row])),
        prescriber=_name("p", int(c.prescriber[row])),
        pharmacy=_name("ph", int(c.pharmacy[row])),
        treatment_type=f"{c.treatment[row]:02}" if c.treatment[row] else "",
        partial=int(c.partial[row]),
        written_on=None if c.written[row] < 0 else date.fromordinal(int(c.written[row])),
        prescribed=_quantity(int(c.prescribed[row])),
        paid=next(paid for paid, number in PAID.items() if number == c.paid[row]),
        areas=Areas(*(f"{z:03}" for z in (c.zip_patient[row], c.zip_pharmacy[row], c.zip_prescriber[row]))),
    )


def _quantity(thousandths: int) -> Quantity | None:
    return None if thousandths < 0 else Quantity(Decimal(thousandths) / 1000, "")


def _name(kind: str, number: int) -> str:
    return "" if number < 0 else f"{kind}-{number}"
