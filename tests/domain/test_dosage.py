"""Daily doses: what is read, what is refused, and what is never guessed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.dosage import (
    Basis,
    DosageInstruction,
    Quantity,
    daily_ingredient,
    doses,
    expected_days,
    expected_days_range,
    gap,
    highest_dose,
    signature_dose,
    supply_dose,
    taper_steps,
)
from stewardship.domain.drugs import Ingredient
from tests.builders import a_drug

ACETAMINOPHEN = Ingredient("acetaminophen", "161", Decimal(325), "MG")
TABLET = a_drug()
COMBINATION = a_drug(others=(ACETAMINOPHEN,))
LIQUID = a_drug(strength="1", unit="MG/ML", form="oral solution")
SPRAY = a_drug("fentanyl", "4337", "0.1", unit="MG/ACTUAT", form="metered dose nasal spray")
PATCH = replace(
    a_drug("fentanyl", "4337", "0.025", unit="MG/HR", form="transdermal system"), wear_hours=Decimal(72)
)
WEEKLY_PATCH = replace(
    a_drug("buprenorphine", "1819", "0.01", unit="MG/HR", form="transdermal system"), wear_hours=Decimal(168)
)


def sig(dose: str | None = "1", unit: str = "tablet", **said: Any) -> DosageInstruction:
    """One tablet once a day, unless said otherwise; ``to`` is the high end of the dose."""
    low = None if dose is None else Decimal(dose)
    high = Decimal(said.pop("to")) if "to" in said else low
    timing: dict[str, Any] = {"frequency": 1, "period": 1, "period_unit": "d"} | said
    numbers = ("frequency", "frequency_max", "period", "period_max", "duration_days", "rate_hours")
    for name in (*numbers, "rate_low", "rate_high"):
        if timing.get(name) is not None:
            timing[name] = Decimal(timing[name])
    return DosageInstruction(dose_low=low, dose_high=high, dose_unit=unit, **timing)


def a_day(*instructions: DosageInstruction, drug=TABLET) -> tuple[Decimal | None, Decimal | None]:
    dose = signature_dose(instructions, drug)
    return dose.units_low, dose.units_high


def codes(dose) -> list[str]:
    return [reason.code for reason in dose.reasons]


# --- how often ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruction", "low", "high"),
    [
        (sig(frequency=4), 4, 4),
        (sig(period=6, period_unit="h"), 4, 4),
        (sig("1", to="2", period=4, period_max=6, period_unit="h"), 4, 12),
        (sig(frequency=3, frequency_max=4), 3, 4),
        (sig(period=90, period_unit="min"), 16, 16),
        (sig(frequency=14, period=1, period_unit="wk"), 2, 2),
        (sig(frequency=None, period=None, period_unit="", times_of_day=3), 3, 3),
        (sig(frequency=None, period=None, period_unit="", when=2), 2, 2),
        (sig(frequency=2, times_of_day=2), 2, 2),
        (sig(frequency=None, frequency_max=4), 0, 4),
    ],
)
def test_the_daily_number_follows_the_timing(instruction, low, high):
    assert a_day(instruction) == (low, high)


def test_named_times_beside_another_frequency_span_both():
    # "once a day, morning and night": at least once, at most twice
    assert a_day(sig(frequency=1, when=2)) == (1, 2)


def test_every_other_day_is_half_on_average_and_one_on_the_day():
    assert a_day(sig(period=2)) == (Decimal("0.5"), 1)


def test_named_weekdays_thin_out_the_week_and_not_the_day():
    low, high = a_day(sig("1", frequency=2, days_of_week=3))
    assert low == Decimal("0.857142857142857")  # six in seven days
    assert high == 2


def test_a_weekly_dose_on_its_weekday_is_not_thinned_out_twice():
    low, high = a_day(sig(frequency=1, period=1, period_unit="wk", days_of_week=1))
    assert low == Decimal("0.142857142857143")
    assert high == 1


def test_weekly_on_two_named_days_may_mean_twice():
    instruction = sig(frequency=1, period=1, period_unit="wk", days_of_week=2, when=2)
    # morning and night on two days
    assert a_day(instruction)[1] == 2


def test_a_month_is_as_short_as_a_month_can_be_for_the_high_end():
    # 62 in a month: two a day in the longest, 62/28 in the shortest
    low, high = a_day(sig(frequency=62, period=1, period_unit="mo"))
    assert (low, high) == (2, Decimal("2.214285714285714"))


@pytest.mark.parametrize(
    "instruction",
    [
        sig(frequency=None),
        sig(period=None),
        sig(frequency=None, period=None, period_unit=""),
        sig(frequency=None, period=None, period_unit="", days_of_week=3),
    ],
    ids=["no frequency", "no period", "neither", "weekdays alone"],
)
def test_a_missing_frequency_is_never_once_a_day(instruction):
    dose = signature_dose((instruction,), TABLET)
    assert codes(dose) == ["frequency-missing"]
    assert (dose.units_high, dose.amounts) == (None, ())


@pytest.mark.parametrize(
    "instruction",
    [
        sig(period=0),
        sig(period=-1),
        sig(period_unit="fortnight"),
        sig(period=6, period_max=4),
        sig(frequency=4, frequency_max=2),
        sig(frequency=0),
        sig("0"),
        sig("-1"),
        sig("2", to="1"),
        sig("NaN"),
        sig("Infinity"),
        sig(period="Infinity"),
        sig("1E+300", frequency="1E+300"),
        sig(problems=("timing.code",)),
        replace(sig(), dose_high=None),
    ],
)
def test_nonsense_is_not_understood(instruction):
    dose = signature_dose((instruction,), TABLET)
    assert codes(dose) == ["instruction-not-understood"]
    assert dose.amounts == ()


# --- as needed and ceilings ---------------------------------------------------------------------------


def test_as_needed_runs_from_nothing_to_the_shortest_interval():
    assert a_day(sig("1", to="2", period=4, period_max=6, period_unit="h", as_needed=True)) == (0, 12)


def test_a_stated_maximum_caps_the_high_end():
    instruction = sig("1", to="2", period=4, period_unit="h", as_needed=True)
    assert a_day(replace(instruction, max_per_day=Quantity(Decimal(8), "tablet"))) == (0, 8)


def test_a_maximum_in_milligrams_caps_tablets():
    instruction = sig("2", period=4, period_unit="h", max_per_day=Quantity(Decimal(40), "mg"))
    assert a_day(instruction) == (8, 8)


def test_a_maximum_below_one_dose_was_meant_for_longer_than_a_day():
    # two tablets as needed, at most four a week
    instruction = sig("2", as_needed=True, max_per_day=Quantity(Decimal(4) / 7, "tablet"))
    assert a_day(instruction) == (0, 2)


def test_without_a_frequency_the_stated_maximum_is_the_high_end():
    dose = signature_dose((sig(frequency=None, max_per_day=Quantity(Decimal(6), "tablet")),), TABLET)
    assert (dose.units_low, dose.units_high, codes(dose)) == (0, 6, [])
    assert [note.code for note in dose.notes] == ["ceiling-used"]


def test_a_maximum_in_a_unit_that_does_not_fit_cannot_be_applied():
    dose = signature_dose((sig(max_per_day=Quantity(Decimal(2), "patch")),), TABLET)
    assert codes(dose) == ["unit-ambiguous"]


# --- units --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drug", "amount", "unit", "mg"),
    [
        (TABLET, "2", "tablet", "10"),
        (TABLET, "2", "each", "10"),
        (TABLET, "2", "", "10"),
        (TABLET, "10", "mg", "10"),
        (TABLET, "10000", "ug", "10"),
        (TABLET, "0.01", "g", "10"),
        (LIQUID, "10", "mL", "10"),
        (LIQUID, "2", "[tsp_m]", "10"),
        (LIQUID, "1", "[tbs_m]", "15"),
        (LIQUID, "0.01", "L", "10"),
        (LIQUID, "10", "mg", "10"),
        (SPRAY, "2", "actuation", "0.2"),
        (SPRAY, "200", "ug", "0.2"),
        (a_drug(form="oral capsule"), "1", "capsule", "5"),
        (a_drug(form="buccal film"), "1", "film", "5"),
        (a_drug(form="oral lozenge"), "1", "lozenge", "5"),
        (a_drug(form="rectal suppository"), "1", "suppository", "5"),
        (a_drug(strength="400", unit="MCG", form="buccal tablet"), "1", "tablet", "0.4"),
        (COMBINATION, "2", "tablet", "10"),
    ],
)
def test_units_that_fit_the_product(drug, amount, unit, mg):
    dose = signature_dose((sig(amount, unit),), drug)
    assert dose.told
    assert dose.amounts[0].mg_high == Decimal(mg)


@pytest.mark.parametrize(
    ("drug", "unit"),
    [
        (TABLET, "patch"),
        (TABLET, "capsule"),
        (TABLET, "mL"),
        (TABLET, "ug/h"),
        (LIQUID, "tablet"),
        (LIQUID, "each"),
        (LIQUID, ""),
        (SPRAY, ""),
        (SPRAY, "mL"),
        (PATCH, "mg"),
        (PATCH, ""),
        (COMBINATION, "mg"),
        (a_drug("fentanyl", "4337", "0.1", form="buccal tablet"), ""),
    ],
)
def test_a_unit_that_does_not_fit_is_ambiguous(drug, unit):
    dose = signature_dose((sig("1", unit),), drug)
    assert codes(dose) == ["unit-ambiguous"]
    assert dose.amounts == ()


@pytest.mark.parametrize(
    "unit",
    [
        "Mg",
        "MG",
        "U",
        "IU",
        "cc",
        "µg",
        "μg",
        "mg\u200b",
        "\u202emg",
        "МG",
        "m\u0261",
        "tablets",
        "Tablet",
        " mg",
        "ＭＧ",
    ],
    ids=ascii,
)
def test_a_unit_outside_the_table_is_never_guessed(unit):
    dose = signature_dose((sig("5", unit),), TABLET)
    assert codes(dose) == ["unit-unknown"]
    assert dose.reasons[0].about.isascii()


def test_a_bare_number_is_noted():
    dose = signature_dose((sig("1", ""),), TABLET)
    assert [note.code for note in dose.notes] == ["unit-assumed"]


def test_of_a_combination_every_ingredient_is_told():
    dose = signature_dose((sig(frequency=4),), COMBINATION)
    assert [(a.ingredient, a.mg_high, a.opioid) for a in dose.amounts] == [
        ("oxycodone", 20, True),
        ("acetaminophen", 1300, False),
    ]


def test_an_ingredient_of_unknown_strength_is_absent_and_named():
    drug = a_drug(others=(replace(ACETAMINOPHEN, strength=None),))
    dose = signature_dose((sig(),), drug)
    assert [a.ingredient for a in dose.amounts] == ["oxycodone"]
    assert [(r.code, r.about) for r in dose.reasons] == [("strength-unknown", "acetaminophen")]


@pytest.mark.parametrize("strength", [None, "0"])
def test_a_drug_without_a_strength_has_no_dose(strength):
    dose = signature_dose((sig(),), a_drug(strength=strength))
    assert codes(dose) == ["strength-unknown"]
    assert dose.amounts == ()


def test_a_drug_that_nobody_recognised_has_no_dose():
    assert codes(signature_dose((sig(),), None)) == ["drug-unknown"]
    assert codes(supply_dose(None, Quantity(Decimal(1)), Decimal(1))) == ["drug-unknown"]


def test_no_instruction_misses_everything():
    assert codes(signature_dose((), TABLET)) == ["dose-missing", "frequency-missing"]


# --- patches ------------------------------------------------------------------------------------------


def patch(every: int, **said: Any) -> DosageInstruction:
    return sig("1", "patch", period=every, **said)


def test_a_patch_changed_when_it_is_worn_out_is_one_patch():
    dose = signature_dose((patch(3),), PATCH)
    assert (dose.units_low, dose.units_high) == (1, 1)
    assert dose.amounts[0].mg_high == Decimal("0.6")  # 25 mcg/h for 24 h


def test_patches_put_on_more_often_than_they_wear_out_are_worn_together():
    assert a_day(patch(1), drug=PATCH) == (3, 3)


def test_a_patch_put_on_less_often_is_a_whole_patch_while_it_is_worn():
    assert a_day(patch(12), drug=PATCH) == (Decimal("0.25"), 1)


def test_a_weekly_patch_is_worn_for_a_week():
    assert a_day(patch(7), drug=WEEKLY_PATCH) == (1, 1)


def test_a_patch_dosed_by_its_rate():
    assert a_day(sig("50", "ug/h", period=3), drug=PATCH) == (2, 2)


def test_a_patch_of_unknown_wear_time_cannot_be_told():
    assert codes(signature_dose((patch(3),), replace(PATCH, wear_hours=None))) == ["wear-time-missing"]


def test_ten_patches_for_thirty_days_are_one_patch():
    assert supply_dose(PATCH, Quantity(Decimal(10), "patch"), Decimal(30)).units_high == 1


# --- rates --------------------------------------------------------------------------------------------


def test_a_rate_runs_all_day():
    rate = sig(None, rate_low=1, rate_high=2, rate_unit="mg", rate_hours=1, frequency=None, period=None)
    dose = signature_dose((rate,), a_drug(strength="1", unit="MG/ML", form="injection"))
    assert (dose.amounts[0].mg_low, dose.amounts[0].mg_high) == (24, 48)


def test_a_rate_without_its_time_cannot_be_told():
    rate = sig(None, rate_low=1, rate_high=1, rate_unit="mg", frequency=None, period=None)
    assert codes(signature_dose((rate,), TABLET)) == ["frequency-missing"]


def test_a_dose_that_is_missing_is_named():
    assert codes(signature_dose((sig(None),), TABLET)) == ["dose-missing"]


# --- several instructions -----------------------------------------------------------------------------


def test_instructions_without_numbers_add_up():
    assert a_day(sig("1", when=1), sig("2", when=1)) == (3, 3)


def test_instructions_of_one_number_add_up():
    assert a_day(sig("1", sequence=1), sig("2", sequence=1)) == (3, 3)


TAPER = tuple(
    sig(dose, sequence=number, frequency=2, duration_days=3)
    for number, dose in enumerate(["4", "3", "2", "1"], 1)
)


def test_a_taper_spans_its_steps_and_its_maximum_counts():
    assert a_day(*TAPER) == (2, 8)


def test_the_order_of_a_taper_is_its_numbers():
    assert a_day(*reversed(TAPER)) == a_day(*TAPER)
    assert [step.sequence for step in taper_steps(TAPER[::-1], TABLET)] == [1, 2, 3, 4]


def test_each_step_of_a_taper_has_its_own_dose():
    steps = taper_steps(TAPER, TABLET)
    assert [(step.duration_days, step.dose.units_high) for step in steps] == [(3, 8), (3, 6), (3, 4), (3, 2)]


def test_the_last_step_of_a_taper_may_stay_open():
    first, last = TAPER[0], replace(TAPER[3], duration_days=None)
    assert a_day(first, last) == (2, 8)


def test_numbered_steps_without_lengths_are_added_up_and_noted():
    dose = signature_dose((sig("1", sequence=1), sig("2", sequence=2)), TABLET)
    assert dose.units_high == 3
    assert [note.code for note in dose.notes] == ["steps-added"]


def test_one_unreadable_instruction_leaves_a_lower_bound_with_its_reason():
    dose = signature_dose((sig(frequency=4), sig(frequency=None)), TABLET)
    assert dose.amounts[0].mg_high == 20
    assert codes(dose) == ["frequency-missing"]


def test_a_taper_step_that_cannot_be_read_may_be_lower_than_all_others():
    unreadable = replace(TAPER[3], problems=("timing",))
    assert a_day(TAPER[0], unreadable) == (0, 8)


# --- supplies -----------------------------------------------------------------------------------------


def test_quantity_over_days_is_the_dispensed_dose():
    dose = supply_dose(TABLET, Quantity(Decimal(28), "tablet"), Decimal(7))
    assert (dose.basis, dose.units_low, dose.units_high) == (Basis.SUPPLY, 4, 4)
    assert dose.amounts[0].mg_high == 20


@pytest.mark.parametrize("drug", [TABLET, PATCH], ids=["tablets", "patches"])
def test_a_bare_quantity_of_a_counted_product_counts_it(drug):
    assert supply_dose(drug, Quantity(Decimal(10)), Decimal(30)).told


@pytest.mark.parametrize(
    ("drug", "unit", "code"),
    [
        (LIQUID, "", "unit-ambiguous"),
        (LIQUID, "g", "unit-ambiguous"),
        (TABLET, "mg", "unit-ambiguous"),
        (TABLET, "mL", "unit-ambiguous"),
        (SPRAY, "", "unit-ambiguous"),
        (TABLET, "bottle", "unit-unknown"),
    ],
)
def test_a_quantity_that_could_mean_something_else(drug, unit, code):
    assert codes(supply_dose(drug, Quantity(Decimal(240), unit), Decimal(8))) == [code]


@pytest.mark.parametrize(
    ("quantity", "days", "missing"),
    [
        (None, Decimal(7), ["quantity-missing"]),
        (Quantity(Decimal(28), "tablet"), None, ["days-supply-missing"]),
        (None, None, ["quantity-missing", "days-supply-missing"]),
        (Quantity(Decimal(0), "tablet"), Decimal(7), ["quantity-missing"]),
        (Quantity(Decimal("NaN"), "tablet"), Decimal(7), ["quantity-missing"]),
        (Quantity(Decimal(28), "tablet"), Decimal(0), ["days-supply-missing"]),
        (Quantity(Decimal(28), "tablet"), Decimal("Infinity"), ["days-supply-missing"]),
        (Quantity(Decimal("Infinity"), "tablet"), Decimal(7), ["quantity-missing"]),
    ],
)
def test_a_supply_that_misses_something_says_what(quantity, days, missing):
    assert codes(supply_dose(TABLET, quantity, days)) == missing


def test_both_roads_are_computed_where_both_are_known():
    found = doses(TABLET, (sig(frequency=4),), Quantity(Decimal(60), "tablet"), Decimal(10))
    assert [(dose.basis, dose.units_high) for dose in found] == [(Basis.SIGNATURE, 4), (Basis.SUPPLY, 6)]


def test_a_supply_without_its_days_leaves_the_signature():
    found = doses(TABLET, (sig(),), Quantity(Decimal(60), "tablet"), None)
    assert [dose.basis for dose in found] == [Basis.SIGNATURE]


@pytest.mark.parametrize(
    ("quantity", "basis"),
    [(60, Basis.SUPPLY), (20, Basis.SIGNATURE)],
    ids=["dispensed more", "dispensed less"],
)
def test_policies_use_the_road_that_comes_to_most(quantity, basis):
    dose = highest_dose(TABLET, (sig(frequency=4),), Quantity(Decimal(quantity), "tablet"), Decimal(10))
    assert dose.basis is basis


def test_a_contradictory_signature_leaves_the_answer_to_the_supply():
    dose = highest_dose(TABLET, (sig("1", "patch", period=3),), Quantity(Decimal(40), "tablet"), Decimal(10))
    assert (dose.basis, dose.units_high, dose.told) == (Basis.SUPPLY, 4, True)


@pytest.mark.parametrize(
    ("quantity", "basis", "told"),
    [(20, Basis.SIGNATURE, False), (40, Basis.SUPPLY, True), (60, Basis.SUPPLY, True)],
    ids=["dispensed less", "dispensed the same", "dispensed more"],
)
def test_what_is_certain_of_half_a_signature_outweighs_a_smaller_supply(quantity, basis, told):
    # at least four a day, and something that could not be read
    written = (sig(frequency=4), sig(frequency=None))
    dose = highest_dose(TABLET, written, Quantity(Decimal(quantity), "tablet"), Decimal(10))
    assert (dose.basis, dose.told) == (basis, told)


# --- the gap between them -----------------------------------------------------------------------------


def apart(quantity: int, *instructions: DosageInstruction, tolerance: str = "10"):
    signature, supply = doses(TABLET, instructions, Quantity(Decimal(quantity), "tablet"), Decimal(10))
    return gap(signature, supply, tolerance_percent=Decimal(tolerance))


def test_a_dispensed_dose_within_the_written_range_is_no_gap():
    assert apart(40, sig("1", to="2", frequency=4)) is None
    assert apart(80, sig("1", to="2", frequency=4)) is None


def test_the_tolerance_is_the_last_that_is_no_gap():
    # four a day written: 44 in ten days are ten percent more, 45 are more than that
    assert apart(44, sig(frequency=4)) is None
    found = apart(45, sig(frequency=4))
    assert (found.supply, found.percent) == (Decimal("4.5"), Decimal("12.5"))


def test_less_than_written_is_a_gap_too():
    assert apart(30, sig(frequency=4)).percent == 25


def test_as_needed_below_the_ceiling_is_no_gap():
    assert apart(3, sig(frequency=4, as_needed=True)) is None


def test_what_cannot_be_told_has_no_gap():
    assert apart(45, sig(frequency=None)) is None


# --- how long a quantity lasts ------------------------------------------------------------------------


def lasts(quantity: int, *instructions: DosageInstruction, drug=TABLET, unit: str = "tablet"):
    return expected_days_range(drug, instructions, Quantity(Decimal(quantity), unit))


def test_a_quantity_lasts_from_its_highest_to_its_lowest_use():
    assert lasts(48, sig("1", to="2", period=4, period_max=6, period_unit="h")) == (4, 12)
    assert expected_days(TABLET, (sig(frequency=4),), Quantity(Decimal(28), "tablet")) == 7


def test_as_needed_may_last_for_ever():
    assert lasts(28, sig(frequency=4, as_needed=True)) == (7, None)


def test_every_other_day_lasts_twice_as_long():
    assert lasts(15, sig(period=2)) == (30, 30)


def test_once_a_week_on_two_named_days_may_be_used_up_twice_as_fast():
    weekly = sig(frequency=1, period=1, period_unit="wk", days_of_week=2)
    assert lasts(14, weekly) == (49, 98)


def test_patches_are_used_up_when_they_are_put_on():
    assert lasts(10, patch(3), drug=PATCH, unit="patch") == (30, 30)


def test_what_a_taper_leaves_over_goes_on_at_its_last_step():
    # 8 + 6 + 4 a day for three days each are 54, and then 2 a day
    assert lasts(54, *TAPER) == (9, 9)
    assert lasts(64, *TAPER) == (14, 14)


@pytest.mark.parametrize("instruction", [sig(frequency=None), sig("1", "patch")])
def test_how_long_cannot_be_told_from_half_a_signature(instruction):
    assert lasts(28, instruction) is None


# --- acetaminophen ------------------------------------------------------------------------------------


def test_acetaminophen_adds_up_over_combinations_and_plain_tablets():
    plain = replace(a_drug("acetaminophen", "161", "500", classes=frozenset()), name="acetaminophen 500")
    taken = [
        (COMBINATION, signature_dose((sig(frequency=4),), COMBINATION)),
        (plain, signature_dose((sig("2", frequency=3, as_needed=True),), plain)),
        (TABLET, signature_dose((sig(frequency=None),), TABLET)),
    ]
    found = daily_ingredient(taken, ACETAMINOPHEN.rxcui)
    assert (found.mg_low, found.mg_high, found.complete) == (1300, 4300, True)


def test_an_unknown_medicine_makes_acetaminophen_at_least():
    taken = [
        (COMBINATION, signature_dose((sig(frequency=4),), COMBINATION)),
        (None, signature_dose((sig(),), None)),
    ]
    found = daily_ingredient(taken, ACETAMINOPHEN.rxcui)
    assert (found.mg_high, found.complete) == (1300, False)


def test_acetaminophen_that_cannot_be_told_is_not_zero():
    taken = [(COMBINATION, signature_dose((sig(frequency=None),), COMBINATION))]
    found = daily_ingredient(taken, ACETAMINOPHEN.rxcui)
    assert (found.mg_low, found.mg_high, found.complete) == (None, None, False)


# --- anything at all ----------------------------------------------------------------------------------

ANY_NUMBER = st.one_of(
    st.none(), st.decimals(), st.sampled_from([Decimal(1), Decimal("1E+400"), Decimal("-0")])
)
ANY_INSTRUCTION = st.builds(
    DosageInstruction,
    sequence=st.sampled_from([None, 1, 2]),
    dose_low=ANY_NUMBER,
    dose_high=ANY_NUMBER,
    dose_unit=st.one_of(st.sampled_from(["tablet", "mg", "", "patch"]), st.text(max_size=4)),
    rate_low=ANY_NUMBER,
    rate_high=ANY_NUMBER,
    rate_unit=st.sampled_from(["mg", "", "mL"]),
    rate_hours=ANY_NUMBER,
    frequency=ANY_NUMBER,
    frequency_max=ANY_NUMBER,
    period=ANY_NUMBER,
    period_max=ANY_NUMBER,
    period_unit=st.sampled_from(["d", "h", "", "mo", "x"]),
    times_of_day=st.integers(0, 4),
    days_of_week=st.integers(0, 7),
    as_needed=st.booleans(),
    duration_days=ANY_NUMBER,
    max_per_day=st.one_of(
        st.none(), st.builds(Quantity, st.decimals(), st.sampled_from(["tablet", "mg", ""]))
    ),
)


@given(st.lists(ANY_INSTRUCTION, max_size=3), st.builds(Quantity, st.decimals()), ANY_NUMBER)
def test_whatever_is_written_ends_in_a_dose_or_a_reason(instructions, quantity, days):
    for drug in (TABLET, PATCH, LIQUID):
        for dose in doses(drug, instructions, quantity, days):
            assert dose.reasons or (dose.units_high is not None and dose.units_high >= 0 and dose.amounts)
            for amount in dose.amounts:
                assert 0 <= amount.mg_low <= amount.mg_high
        expected_days(drug, instructions, quantity)
