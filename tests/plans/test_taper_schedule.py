"""A schedule in real tablets: never faster than its pace, no tablet that is not sold, exact to the tablet."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stewardship.domain.tablets import WEEK, pieces_like
from stewardship.domain.taper_schedule import Benzodiazepine, NotPlanned, Schedule, plan
from tests.plans.tapering import (
    HYDROCODONE_5,
    METHADONE_10,
    MORPHINE_ER_15,
    OXYCODONE_5,
    START,
    asked,
    declared,
    facts,
    refusal,
    schedule,
)

# --- what a pharmacist would look at -------------------------------------------------------------------


def test_after_a_year_each_step_is_at_most_a_tenth_of_what_is_left_and_lasts_more_than_a_month() -> None:
    steps = schedule("1049621", "60", 540).steps
    # 60 - 10 % = 54; 55 mg are made of real tablets, 54 are not
    assert (steps[0].mg_per_day, steps[0].days) == (55, 35)
    assert steps[1].starts_on - steps[0].starts_on == timedelta(35)


def test_after_months_it_is_a_tenth_of_the_first_dose_a_week_until_thirty_percent_are_left() -> None:
    doses = [step.mg_per_day for step in schedule("1049621", "60", 200).steps]
    # 6 mg a week are allowed, 5 mg can be made, down to 15 mg: 18 mg are 30 % of 60
    assert doses[:9] == [55, 50, 45, 40, 35, 30, 25, 20, 15]
    # from there on 10 % of 15 mg: 13.5 mg at the least
    assert doses[9] == Decimal("13.57")


def test_after_days_around_the_clock_it_is_half_for_two_days() -> None:
    found = schedule("1049621", "40", 5)
    assert [(s.mg_per_day, s.days) for s in found.steps] == [(20, 2), (0, 0)]


def test_after_weeks_it_is_a_fifth_of_the_first_dose_every_two_days() -> None:
    found = schedule("1049621", "50", 20)
    assert [(s.mg_per_day, s.days) for s in found.steps] == [(40, 2), (30, 2), (20, 2), (10, 2), (0, 0)]


def test_after_three_days_no_taper_is_needed() -> None:
    assert refusal(days=3) == "not-needed"


def test_without_the_time_on_opioids_the_slowest_pace_is_taken() -> None:
    assert schedule(days=None).pace.id == "after-a-year"


def test_where_no_tablet_makes_so_small_a_step_a_day_of_the_week_takes_one_less() -> None:
    # morphine ER comes in 15 mg and more: 30 mg a day cannot go down by a tenth each day
    first = schedule(MORPHINE_ER_15, "30", 400).steps[0]
    # six days of 30 mg and one of 15 mg are 195 mg a week, 7 % less than 210
    assert (first.mg_per_week, first.week and first.week.fewer_days) == (195, 1)


def test_where_even_that_is_too_much_the_dose_is_held_for_as_many_steps_time() -> None:
    steps = schedule(MORPHINE_ER_15, "15", 400).steps
    # of 105 mg a week one tablet less is 14 %: the dose as it is now is held for one more step's time
    assert (steps[0].week, steps[0].days, steps[1].waited) == (None, 35, 2)


def test_it_ends_from_three_days_a_week_with_the_smallest_tablet() -> None:
    last = schedule().steps[-2:]
    assert last[0].week is not None
    assert (last[0].week.days_with, last[1].mg_per_week, last[1].last) == (3, 0, True)


def test_a_strength_that_is_listed_and_not_sold_is_not_planned_with() -> None:
    catalogue = declared().catalogue
    listed = {d.opioids[0].strength for d in catalogue.products() if d.form == "oral tablet" and d.opioids
              and d.opioids[0].name == "morphine" and len(d.ingredients) == 1}  # fmt: skip
    drug = next(d for d in catalogue.products() if d.form == "oral tablet" and len(d.ingredients) == 1
                and d.opioids and d.opioids[0].name == "morphine")  # fmt: skip
    assert Decimal(50) in listed
    assert [piece.mg for piece in pieces_like(catalogue, drug)] == [30, 15, 10]


def test_a_combination_keeps_what_is_beside_the_opioid_and_never_takes_more_pieces() -> None:
    found = schedule(HYDROCODONE_5, "30", 200, pieces_a_day=Decimal(6))
    names = [declared().catalogue.by_rxcui(p.code) for p in found.pieces]
    assert {i.strength for d in names if d for i in d.ingredients if not i.opioid} == {325}
    assert all(sum(c.number for c in s.week.usual.pieces) <= 6 for s in found.steps if s.week)


def test_of_a_combination_the_number_of_pieces_has_to_be_known() -> None:
    assert refusal(HYDROCODONE_5, "30", 200) == "dose-unknown"


def test_there_is_a_tablet_for_each_time_of_the_day_while_the_dose_allows_it() -> None:
    first = schedule(times_a_day=4).steps[0]
    assert first.week is not None
    assert sum(c.number for c in first.week.usual.pieces) == 4


def test_halves_only_when_they_were_allowed_and_never_of_extended_release() -> None:
    assert {p.part for p in schedule().pieces} == {1}
    assert Decimal("0.5") in {p.part for p in schedule(splitting=True).pieces}
    assert {p.part for p in schedule(MORPHINE_ER_15, "90", splitting=True).pieces} == {1}


# --- for whom there is none ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "code"),
    [
        pytest.param({"mg": None}, "dose-unknown", id="no dose"),
        pytest.param({"code": "0"}, "medicine-unknown", id="no medicine"),
        pytest.param({"code": "310965"}, "no-opioid", id="ibuprofen"),
        pytest.param({"code": "351267"}, "use-disorder-treatment", id="buprenorphine with naloxone"),
        pytest.param({"in_treatment": "order"}, "use-disorder-treatment", id="it treats the disorder"),
        pytest.param({"code": METHADONE_10, "for_pain": False}, "use-disorder-treatment", id="methadone"),
        pytest.param({"code": METHADONE_10, "use_disorder": True}, "use-disorder-treatment", id="with OUD"),
        pytest.param({"exempt": "condition C34.11"}, "exempt", id="cancer, not asked for"),
        pytest.param({"benzodiazepine": Benzodiazepine.BEING_REDUCED}, "one-at-a-time", id="benzodiazepine"),
        pytest.param({"code": "245134"}, "form", id="a patch"),
    ],
)  # fmt: skip
def test_no_plan(more: dict[str, object], code: str) -> None:
    assert refusal(**more) == code


def test_a_cancer_patient_who_asks_gets_one_that_says_so() -> None:
    found = schedule(exempt="condition C34.11", asked_by_patient=True)
    assert "exempt" in {note.id for note in found.notes}


def test_methadone_for_pain_is_planned() -> None:
    assert schedule(METHADONE_10, "40", 400).steps


def test_every_plan_speaks_of_choice_withdrawal_and_overdose() -> None:
    assert {"choice", "withdrawal", "overdose", "no-abrupt-stop"} <= {n.id for n in schedule().notes}


def test_a_benzodiazepine_that_nobody_asked_about_is_asked_about() -> None:
    assert "benzodiazepine-unknown" in {n.id for n in schedule(benzodiazepine=Benzodiazepine.UNKNOWN).notes}


def test_a_faster_pace_than_declared_is_refused() -> None:
    library = declared()
    pace = library.tapers.pace(200)
    found = plan(facts(), catalogue=library.catalogue, terms=library.tapers, starts_on=START, pace=pace)
    assert isinstance(found, NotPlanned)
    assert found.code == "too-fast"


# --- what holds of every schedule ------------------------------------------------------------------------

PRODUCTS = [OXYCODONE_5, MORPHINE_ER_15, METHADONE_10, "835603", "897702", "1049502"]
ANY = given(
    code=st.sampled_from(PRODUCTS),
    units=st.integers(1, 12),
    days=st.sampled_from([5, 10, 29, 30, 200, 364, 365, 2000]),
    times=st.integers(1, 4),
    splitting=st.booleans(),
)
FEW = settings(max_examples=20, derandomize=True, deadline=None)


def made(code: str, units: int, days: int, times: int, splitting: bool) -> Schedule:
    drug = declared().catalogue.by_rxcui(code)
    assert drug is not None
    strength = drug.opioids[0].strength
    assert strength is not None
    found = asked(code, str(strength * units), days, times_a_day=times, splitting=splitting)
    assert isinstance(found, Schedule), found
    return found


@FEW
@ANY
def test_no_step_drops_by_more_than_is_allowed_in_the_time_before_it(
    code: str, units: int, days: int, times: int, splitting: bool
) -> None:
    found = made(code, units, days, times, splitting)
    before, first = found.first_mg_per_day * WEEK, found.first_mg_per_day * WEEK
    # The dose as it is now was held before the first day of the plan: one step's time of its own.
    periods = 1
    for step in found.steps:
        if step.week is not None:
            basis = before if before * 100 <= first * found.pace.remainder_from else first
            allowed = basis * found.pace.percent / 100 * periods
            assert step.drop == before - step.mg_per_week
            if step.drop > allowed:  # the end of a dose that is not taken every day any more
                assert step.last
                assert before > 0
                assert days_with_one(found) <= 3
            periods = 0
        periods += step.days // found.pace.step_days
        before = step.mg_per_week


def days_with_one(found: Schedule) -> int:
    week = found.steps[-2].week
    assert week is not None
    return week.days_with


@FEW
@ANY
def test_every_dose_is_made_of_whole_pieces_that_are_sold(
    code: str, units: int, days: int, times: int, splitting: bool
) -> None:
    found = made(code, units, days, times, splitting)
    catalogue = declared().catalogue
    for step in found.steps:
        for day in () if step.week is None else (step.week.usual, *filter(None, [step.week.fewer])):
            total = Decimal(0)
            for count in day.pieces:
                product = catalogue.by_rxcui(count.piece.code)
                assert product is not None
                assert product.opioids[0].strength is not None
                total += product.opioids[0].strength * count.piece.part * count.number
            assert total == day.mg


@FEW
@ANY
def test_it_only_ever_goes_down_and_comes_to_an_end(
    code: str, units: int, days: int, times: int, splitting: bool
) -> None:
    found = made(code, units, days, times, splitting)
    doses = [found.first_mg_per_day * WEEK, *(s.mg_per_week for s in found.steps)]
    assert all(a >= b for a, b in pairwise(doses))
    assert doses[-1] == 0
    assert all(a.starts_on + timedelta(a.days) == b.starts_on for a, b in pairwise(found.steps))


@FEW
@ANY
def test_no_day_has_more_than_the_day_before_the_plan(
    code: str, units: int, days: int, times: int, splitting: bool
) -> None:
    found = made(code, units, days, times, splitting)
    assert all(s.week is None or s.week.most_mg <= found.first_mg_per_day for s in found.steps)


@FEW
@ANY
def test_the_supply_is_exact_to_the_piece(
    code: str, units: int, days: int, times: int, splitting: bool
) -> None:
    found = made(code, units, days, times, splitting)
    mg = Decimal(0)
    for product_code, number in found.supply.items():
        product = declared().catalogue.by_rxcui(product_code)
        assert product is not None
        assert product.opioids[0].strength is not None
        mg += product.opioids[0].strength * number
    # day by day, by the weeks of the steps
    assert mg == sum(
        (s.mg_per_week * s.days / WEEK for s in found.steps if s.week is not None), Decimal(0)
    ).quantize(Decimal("0.0001"))


def test_a_long_taper_does_not_meet_our_own_policy_on_rapid_ones_until_its_last_tablets() -> None:
    """No fall of more than 10 % within 30 days, as ``rapid-taper`` asks after a year."""
    found = schedule(OXYCODONE_5, "60", 540)
    smallest = found.pieces[-1].mg * WEEK
    for before, after in pairwise(found.steps):
        if after.mg_per_week >= smallest:
            assert (before.mg_per_week - after.mg_per_week) * 10 <= before.mg_per_week
            assert (after.starts_on - before.starts_on).days > 30
