"""MME a day: exact sums, named reasons, nothing that silently counts as zero."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.dosage import Basis, DailyDose, Quantity, Reason, signature_dose, supply_dose
from stewardship.domain.drugs import DrugClass, Ingredient
from stewardship.domain.mme import (
    MME,
    Band,
    Factor,
    FactorSet,
    Per,
    Total,
    arithmetic,
    daily_mme,
    mme,
    plain,
    shown,
    total,
)
from tests.builders import OPIOID, a_drug, tablets

ORAL = "oral tablet"


def a_factor(
    ingredient: str, rxcui: str, *bands: Band, per: Per = Per.MG, lasts: int | None = None
) -> Factor:
    return Factor(ingredient, rxcui, per, bands, None if lasts is None else Decimal(lasts))


def flat(value: str) -> Band:
    return Band(None, Decimal(value))


SLIDING = (
    Band(Decimal(20), Decimal(4)),
    Band(Decimal(40), Decimal(8)),
    Band(Decimal(60), Decimal(10)),
    flat("12"),
)
FACTORS = FactorSet(
    id="a-set",
    title="A set",
    publisher="Nobody",
    date=date(2022, 1, 1),
    url="https://publisher.example/",
    factors={
        ("7804", ORAL): a_factor("oxycodone", "7804", flat("1.5")),
        ("7804", "oral solution"): a_factor("oxycodone", "7804", flat("1.5")),
        ("6813", ORAL): a_factor("methadone", "6813", *SLIDING),
        ("4337", "transdermal system"): a_factor("fentanyl", "4337", flat("2.4"), per=Per.UG_PER_HOUR),
        ("4337", "buccal tablet"): a_factor("fentanyl", "4337", flat("0.13"), per=Per.UG),
    },
    excluded=frozenset({"1819"}),
    excludes_oud_treatment=True,
)
OXYCODONE = a_drug()
METHADONE = a_drug("methadone", "6813", "10")
BUPRENORPHINE = a_drug("buprenorphine", "1819", "8", form="sublingual tablet")
LEVORPHANOL = a_drug("levorphanol", "6378", "2")
NAPROXEN = a_drug("naproxen", "7258", "500", classes=frozenset({DrugClass.NON_OPIOID_ANALGESIC}))
PATCH = replace(
    a_drug("fentanyl", "4337", "0.025", unit="MG/HR", form="transdermal system"), wear_hours=Decimal(72)
)


def of(drug, *, times: int = 4, **more) -> MME:
    return mme(signature_dose((tablets(times=times, **more),), drug), drug, FACTORS)


def codes(answer: MME | Total) -> list[str]:
    return [reason.code for reason in answer.reasons]


# --- one medicine -------------------------------------------------------------------------------------


def test_milligrams_times_the_factor():
    answer = of(OXYCODONE)  # 5 mg, four a day, times 1.5
    assert (answer.low, answer.high, answer.complete, answer.factor_set) == (30, 30, True, "a-set")


def test_a_range_of_dose_is_a_range_of_mme():
    answer = of(OXYCODONE, as_needed=True)
    assert (answer.low, answer.high) == (0, 30)


def test_a_third_of_a_tablet_three_times_is_a_whole_one():
    # 20 tablets in 30 days are two thirds a day: 10 mg, an endless decimal of tablets
    drug = a_drug(strength="15")
    dose = supply_dose(drug, Quantity(Decimal(20), "tablet"), Decimal(30))
    assert mme(dose, drug, FACTORS).high == 15


def test_an_opioid_without_a_factor_is_unknown_and_never_zero():
    answer = of(LEVORPHANOL)
    assert (answer.low, answer.high, answer.complete) == (None, None, False)
    assert codes(answer) == ["factor-missing"]
    assert answer.reasons[0].about == "levorphanol (oral tablet) in a-set"


def test_a_tablets_factor_is_not_an_injections():
    injection = a_drug(strength="10", unit="MG/ML", form="injection")
    dose = supply_dose(injection, Quantity(Decimal(10), "mL"), Decimal(5))
    assert codes(mme(dose, injection, FACTORS)) == ["factor-missing"]


def test_a_patchs_factor_is_not_that_of_a_device_that_is_pressed():
    pressed = a_drug("fentanyl", "4337", "0.04", unit="MG/ACTUAT", form="transdermal system")
    dose = supply_dose(pressed, Quantity(Decimal(80), "actuation"), Decimal(1))
    assert codes(mme(dose, pressed, FACTORS)) == ["factor-missing"]


def test_what_the_set_leaves_out_is_named_neither_zero_nor_missing():
    answer = of(BUPRENORPHINE)
    assert (answer.low, answer.high, answer.complete) == (None, None, True)
    assert answer.excluded == ("buprenorphine",)


def test_what_the_set_leaves_out_is_left_out_whatever_its_dose():
    untold = mme(signature_dose((), BUPRENORPHINE), BUPRENORPHINE, FACTORS)
    assert (untold.complete, untold.reasons) == (True, ())


def test_a_product_for_opioid_use_disorder_only_is_left_out():
    dispersible = replace(METHADONE, classes=frozenset({DrugClass.OPIOID, DrugClass.OUD_TREATMENT}))
    assert of(dispersible).excluded == ("methadone",)
    counting = replace(FACTORS, excludes_oud_treatment=False)
    dose = signature_dose((tablets(),), dispersible)
    assert mme(dose, dispersible, counting).high == 40


def test_a_medicine_without_opioids_adds_nothing_and_is_complete():
    answer = of(NAPROXEN)
    assert (answer.low, answer.high, answer.complete, answer.counted) == (0, 0, True, ())


def test_an_opioid_product_whose_ingredients_are_not_known_is_not_complete():
    answer = of(replace(OXYCODONE, ingredients=()))
    assert (answer.high, answer.complete) == (None, False)


def test_a_medicine_that_nobody_recognised_is_not_complete():
    answer = mme(signature_dose((tablets(),), None), None, FACTORS)
    assert (answer.high, answer.complete, codes(answer)) == (None, False, ["drug-unknown"])


def test_another_ingredient_of_unknown_strength_does_not_matter_to_mme():
    drug = a_drug(others=(Ingredient("acetaminophen", "161", None, ""),))
    answer = of(drug)
    assert (answer.high, answer.complete) == (30, True)


def test_two_opioids_of_which_one_has_no_factor_are_at_least_the_other():
    drug = a_drug(others=(Ingredient("levorphanol", "6378", Decimal(2), "MG", True),))
    answer = of(drug)
    assert (answer.high, answer.complete, codes(answer)) == (30, False, ["factor-missing"])


def test_a_dose_that_holds_no_amount_of_the_opioid_is_not_complete():
    empty = DailyDose(Basis.SIGNATURE, Decimal(4), Decimal(4))
    assert codes(mme(empty, OXYCODONE, FACTORS)) == ["dose-missing"]


def test_an_unreadable_second_instruction_makes_it_at_least():
    dose = signature_dose((tablets(times=4), replace(tablets(), frequency=None)), OXYCODONE)
    answer = mme(dose, OXYCODONE, FACTORS)
    assert (answer.high, answer.complete, codes(answer)) == (30, False, ["frequency-missing"])


def test_policies_use_what_comes_to_most():
    answer = daily_mme(OXYCODONE, (tablets(times=4),), Quantity(Decimal(60), "tablet"), Decimal(10), FACTORS)
    assert (answer.high, answer.dose.basis) == (45, Basis.SUPPLY)


# --- sliding ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mg", "factor"),
    [
        ("0.01", 4),
        ("20", 4),
        ("20.01", 8),
        ("20.5", 8),
        ("40", 8),
        ("40.01", 10),
        ("60", 10),
        ("60.01", 12),
        ("61", 12),
        ("100000", 12),
    ],
)
def test_bands_cover_the_half_open_line(mg, factor):
    assert FACTORS.factors["6813", ORAL].at(Decimal(mg)) == factor


def test_a_range_of_dose_may_span_bands():
    answer = of(METHADONE, times=3, frequency_max=Decimal(7))  # 30 mg x 8 to 70 mg x 12
    assert (answer.low, answer.high) == (240, 840)


def test_two_bottles_of_methadone_slide_together():
    # 20 mg and 20 mg are 40 mg, at 8 and not at 4
    both = total([of(METHADONE, times=2), of(METHADONE, times=2)], FACTORS)
    assert both.high == 320
    assert both.together == ("methadone in all: 40 mg/day x 8 = 320 MME/day",)


def test_bands_that_end_are_a_mistake_that_shows():
    broken = Factor("methadone", "6813", Per.MG, (Band(Decimal(20), Decimal(4)),))
    with pytest.raises(ValueError, match="end below 21 mg"):
        broken.at(Decimal(21))


# --- totals -------------------------------------------------------------------------------------------


def test_a_total_of_nothing_is_zero_and_complete():
    nothing = total([], FACTORS)
    assert (nothing.low, nothing.high, nothing.complete, nothing.words) == (0, 0, True, "0 MME/day")


def test_a_total_with_something_unknown_is_at_least():
    answer = total([of(OXYCODONE), of(LEVORPHANOL), of(NAPROXEN)], FACTORS)
    assert (answer.low, answer.high, answer.complete) == (30, 30, False)
    assert (answer.medicines, answer.uncounted, codes(answer)) == (3, 1, ["factor-missing"])
    assert answer.words == "at least 30 MME/day, incomplete"


def test_a_total_of_unknowns_alone_cannot_be_told():
    answer = total([of(LEVORPHANOL)], FACTORS)
    assert (answer.low, answer.high, answer.words) == (None, None, "MME/day cannot be told")


def test_a_total_names_what_was_left_out():
    answer = total([of(OXYCODONE), of(BUPRENORPHINE), of(BUPRENORPHINE)], FACTORS)
    assert (answer.complete, answer.words) == (True, "30 MME/day, buprenorphine left out")


def test_mme_of_different_sets_do_not_add():
    with pytest.raises(ValueError, match="another-set"):
        total([of(OXYCODONE)], replace(FACTORS, id="another-set"))


@pytest.mark.parametrize(
    ("parts", "exceeds", "reaches"),
    [
        ([of(OXYCODONE)], False, True),
        ([of(OXYCODONE), of(OXYCODONE, times=1)], True, True),
        ([of(OXYCODONE, times=3)], False, False),
        ([of(OXYCODONE, times=3), of(LEVORPHANOL)], None, None),
        ([of(OXYCODONE), of(LEVORPHANOL)], None, True),
        ([of(OXYCODONE, times=5), of(LEVORPHANOL)], True, True),
        ([of(LEVORPHANOL)], None, None),
    ],
)
def test_a_limit_of_thirty(parts, exceeds, reaches):
    answer = total(parts, FACTORS)
    assert (answer.exceeds(Decimal(30)), answer.reaches(Decimal(30))) == (exceeds, reaches)


def test_a_sum_that_meets_the_limit_meets_it_exactly():
    # seven supplies of 100 tablets in 21 days: endless decimals, 250 MME together
    dose = supply_dose(OXYCODONE, Quantity(Decimal(100), "tablet"), Decimal(21))
    answer = total([mme(dose, OXYCODONE, FACTORS)] * 7, FACTORS)
    assert answer.high == 250
    assert answer.exceeds(Decimal(250)) is False


# --- properties ---------------------------------------------------------------------------------------

SUPPLIES = st.tuples(
    st.sampled_from([OXYCODONE, METHADONE, PATCH, NAPROXEN]), st.integers(1, 400), st.integers(1, 90)
)


def dispensed(drug, quantity: int, days: int) -> MME:
    return daily_mme(drug, (), Quantity(Decimal(quantity)), Decimal(days), FACTORS)


@given(st.integers(1, 12), st.integers(1, 400), st.integers(1, 90), st.sampled_from([OXYCODONE, PATCH]))
def test_identical_supplies_total_so_many_times_one(number, quantity, days, drug):
    one = dispensed(drug, quantity, days)
    assert one.high is not None
    together = total([one] * number, FACTORS)
    assert together.medicines == number
    assert together.high is not None
    assert abs(Fraction(together.high) - number * Fraction(one.high)) < Fraction(1, 10**9)


@given(st.lists(SUPPLIES, max_size=6))
def test_an_unknown_medicine_never_lowers_a_total_and_always_makes_it_incomplete(supplies):
    parts = [dispensed(*supply) for supply in supplies]
    without = total(parts, FACTORS)
    for unknown in (mme(signature_dose((), None), None, FACTORS), of(LEVORPHANOL)):
        beside = total([*parts, unknown], FACTORS)
        assert not beside.complete
        assert beside.high is None or beside.high >= without.high
        assert beside.high is not None or not without.high


@given(st.lists(SUPPLIES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_supplies_does_not_matter(supplies, shuffled):
    parts = [dispensed(*supply) for supply in supplies]
    mixed = list(parts)
    shuffled.shuffle(mixed)
    assert total(parts, FACTORS).high == total(mixed, FACTORS).high


@given(st.integers(1, 400), st.integers(1, 90))
def test_no_factor_is_never_zero(quantity, days):
    assert dispensed(LEVORPHANOL, quantity, days).high is None


# --- for people ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drug", "instruction", "line"),
    [
        (OXYCODONE, tablets(times=4), "oxycodone 5 mg x 4 tablets/day = 20 mg/day x 1.5 = 30 MME/day"),
        (OXYCODONE, tablets(), "oxycodone 5 mg x 1 tablet/day = 5 mg/day x 1.5 = 7.5 MME/day"),
        (
            OXYCODONE,
            tablets(times=4, as_needed=True),
            "oxycodone 5 mg x 0 to 4 tablets/day = 0 to 20 mg/day x 1.5 = 0 to 30 MME/day",
        ),
        (
            METHADONE,
            tablets(times=1, frequency_max=Decimal(3)),
            "methadone 10 mg x 1 to 3 tablets/day = 10 to 30 mg/day x 4 to 8 = 40 to 240 MME/day",
        ),
        (
            PATCH,
            replace(tablets(every=3), dose_unit="patch"),
            "fentanyl 25 mcg/h x 1 patch worn = 25 mcg/h x 2.4 = 60 MME/day",
        ),
        (
            a_drug("fentanyl", "4337", "0.1", form="buccal tablet"),
            tablets(times=4),
            "fentanyl 100 mcg x 4 tablets/day = 400 mcg/day x 0.13 = 52 MME/day",
        ),
        (
            a_drug(strength="1", unit="MG/ML", form="oral solution"),
            replace(tablets(5, times=4), dose_unit="mL"),
            "oxycodone 1 mg/mL x 20 mL/day = 20 mg/day x 1.5 = 30 MME/day",
        ),
        (BUPRENORPHINE, tablets(), "buprenorphine: left out of MME by a-set"),
    ],
)
def test_the_arithmetic_is_shown(drug, instruction, line):
    answer = mme(signature_dose((instruction,), drug), drug, FACTORS)
    assert arithmetic(answer, drug) == (line,)


@pytest.mark.parametrize(
    ("value", "text"),
    [("30.00", "30"), ("7.5", "7.5"), ("2.005", "2.01"), ("49.996", "50"), ("0.0", "0"), ("1E+2", "100")],
)
def test_numbers_for_people_are_rounded_once_and_carry_no_trailing_zeros(value, text):
    assert shown(Decimal(value)) == text


def test_a_strength_is_shown_exactly():
    assert plain(Decimal("0.01250")) == "0.0125"


def test_a_reason_is_not_repeated_in_a_total():
    part = MME("a-set", None, None, False, (Reason("drug-unknown", "medicine"),))
    assert codes(total([part, part], FACTORS)) == ["drug-unknown"]


def test_the_class_of_an_opioid_does_not_change_its_mme():
    cough = replace(OXYCODONE, classes=OPIOID | {DrugClass.OPIOID_ANTITUSSIVE})
    assert of(cough).high == 30
