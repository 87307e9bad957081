"""The daily dose agrees with a calendar that is played out administration by administration."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from stewardship.domain.dosage import (
    DosageInstruction,
    Quantity,
    expected_days_range,
    signature_dose,
    supply_dose,
)
from stewardship.domain.drugs import Ingredient
from tests.builders import a_drug
from tests.domain.naive_dose import naive_mg, naive_signature, naive_supply

CLOSE = Fraction(1, 10**12)

ACETAMINOPHEN = Ingredient("acetaminophen", "161", Decimal(325), "MG")
DRUGS = {
    "tablet": a_drug("oxycodone", strength="7.5"),
    "combination": a_drug("oxycodone", strength="5", others=(ACETAMINOPHEN,)),
    "liquid": a_drug("morphine", "7052", "2", unit="MG/ML", form="oral solution"),
    "spray": a_drug("fentanyl", "4337", "0.1", unit="MG/ACTUAT", form="metered dose nasal spray"),
    "patch": replace(
        a_drug("fentanyl", "4337", "0.0375", unit="MG/HR", form="transdermal system"), wear_hours=Decimal(72)
    ),
    "weekly patch": replace(
        a_drug("buprenorphine", "1819", "0.01", unit="MG/HR", form="transdermal system"),
        wear_hours=Decimal(168),
    ),
}
UNITS = {
    "tablet": ["tablet", "each", "mg", "ug", ""],
    "combination": ["tablet", "each", ""],
    "liquid": ["mL", "L", "[tsp_m]", "[tbs_m]", "mg", "g"],
    "spray": ["actuation", "mg", "ug"],
    "patch": ["patch", "each", "ug/h", "mg/h"],
    "weekly patch": ["patch", "each", "ug/h"],
}

kinds = st.sampled_from(sorted(DRUGS))
amounts = st.sampled_from([Decimal(n) for n in ("0.25", "0.5", "1", "1.5", "2", "3", "7")])
frequencies = st.integers(1, 6).map(Decimal)
periods = st.one_of(
    st.tuples(st.sampled_from([90, 240, 360, 720]), st.just("min")),
    st.tuples(st.sampled_from([3, 4, 5, 6, 7, 8, 12, 24, 36, 48, 72, 84]), st.just("h")),
    st.tuples(st.integers(1, 12), st.just("d")),
    st.tuples(st.integers(1, 2), st.just("wk")),
)


@st.composite
def instructions_of(draw, kind: str) -> DosageInstruction:
    low, high = sorted([draw(amounts), draw(amounts)])
    period, unit = draw(periods)
    few, many = sorted([draw(frequencies), draw(frequencies)])
    weekdays = draw(st.integers(0, 7)) if (period, unit) in ((1, "d"), (1, "wk")) else 0
    if unit == "wk" and 0 < weekdays < 7:
        # A dose for each named day, or several: how the rest of the week shares them is not stated.
        few = many = Decimal(weekdays * draw(st.integers(1, 2)))
    dose_unit = draw(st.sampled_from(UNITS[kind]))
    return DosageInstruction(
        dose_low=low,
        dose_high=high,
        dose_unit=dose_unit,
        frequency=few,
        frequency_max=draw(st.sampled_from([None, many])),
        period=Decimal(period),
        period_max=Decimal(period + draw(st.integers(0, 3)))
        if draw(st.booleans()) and not weekdays
        else None,
        period_unit=unit,
        days_of_week=weekdays if not kind.endswith("patch") else 0,
        as_needed=draw(st.booleans()),
        max_per_day=Quantity(draw(amounts), dose_unit) if draw(st.booleans()) else None,
    )


def close(one: Decimal | None, other: Fraction) -> bool:
    return one is not None and abs(Fraction(one) - other) <= CLOSE * max(1, abs(other))


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_one_instruction_agrees_with_the_calendar(data):
    kind = data.draw(kinds)
    drug, instruction = DRUGS[kind], data.draw(instructions_of(kind))
    dose = signature_dose((instruction,), drug)
    low, high = naive_signature((instruction,), drug)
    assert dose.told
    assert close(dose.units_low, low)
    assert close(dose.units_high, high)
    for ingredient, amount in zip(drug.ingredients, dose.amounts, strict=True):
        assert close(amount.mg_low, naive_mg(low, ingredient))
        assert close(amount.mg_high, naive_mg(high, ingredient))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_several_instructions_agree_with_the_calendar(data):
    kind = data.draw(kinds)
    drug = DRUGS[kind]
    instructions = tuple(
        replace(
            instruction,
            sequence=data.draw(st.sampled_from([None, 1, 2, 3])),
            duration_days=data.draw(st.sampled_from([None, Decimal(3), Decimal(7)])),
        )
        for instruction in data.draw(st.lists(instructions_of(kind), min_size=2, max_size=4))
    )
    dose = signature_dose(instructions, drug)
    low, high = naive_signature(instructions, drug)
    assert dose.told
    assert close(dose.units_low, low)
    assert close(dose.units_high, high)


@given(st.data(), st.integers(1, 400), st.integers(1, 90))
def test_a_supply_agrees_with_its_days_laid_out(data, quantity, days):
    kind = data.draw(kinds)
    drug = DRUGS[kind]
    unit = data.draw(st.sampled_from([u for u in UNITS[kind] if "g" not in u]))
    given_out = Quantity(Decimal(quantity), unit)
    dose = supply_dose(drug, given_out, Decimal(days))
    assert dose.told
    assert close(dose.units_high, naive_supply(given_out, days, drug))


@given(st.data(), st.integers(1, 400))
@settings(deadline=None)
def test_a_quantity_taken_tablet_by_tablet_lasts_as_long_as_expected(data, quantity):
    steps = data.draw(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 9)), min_size=1, max_size=4))
    instructions = tuple(
        DosageInstruction(
            sequence=number,
            dose_low=Decimal(1),
            dose_high=Decimal(1),
            dose_unit="tablet",
            frequency=Decimal(a_day),
            period=Decimal(1),
            period_unit="d",
            duration_days=Decimal(days),
        )
        for number, (a_day, days) in enumerate(steps)
    )
    # Day after day, as many as the step says; the last step goes on.
    plan = [a_day for a_day, days in steps for _ in range(days)]
    left, day = Fraction(quantity), 0
    while left > plan[min(day, len(plan) - 1)]:
        left -= plan[min(day, len(plan) - 1)]
        day += 1
    lasts = day + left / plan[min(day, len(plan) - 1)]
    expected = expected_days_range(DRUGS["tablet"], instructions, Quantity(Decimal(quantity), "tablet"))
    assert expected is not None
    assert close(expected[0], lasts)
    assert expected[0] == expected[1]
