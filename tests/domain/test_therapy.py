"""Opioid therapy over time: naive, days on, episodes, and the daily total around an order."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.declarations.factors import read_factor_sets
from stewardship.declarations.places import REFERENCE
from stewardship.domain.chart import Gap
from stewardship.domain.drugs import DrugClass
from stewardship.domain.episodes import Covered
from stewardship.domain.orders import SupplyKind
from stewardship.domain.therapy import exposed, mme_around, mme_on, on_opioids_since, opioid_days
from tests.builders import TODAY, a_chart, a_drug, a_supply, an_order, tablets

CDC = read_factor_sets(REFERENCE)["cdc-2022"]
OPIOIDS = (DrugClass.OPIOID_ANALGESIC,)
YESTERDAY = TODAY - timedelta(days=1)


def ago(days):
    return TODAY - timedelta(days=days)


def was_exposed(*supplies, days=90, **more):
    return exposed(a_chart(*supplies, **more), OPIOIDS, ago(days), YESTERDAY, unknown_days=180)


# --- naive ------------------------------------------------------------


def test_half_a_year_of_opioids_that_ended_yesterday_is_exposure():
    assert was_exposed(a_supply(start=ago(180), days=180)).answer is Covered.YES


def test_a_supply_that_ended_on_the_first_day_of_the_look_back_counts():
    assert was_exposed(a_supply(start=ago(99), days=10)).answer is Covered.YES


def test_one_that_ended_the_day_before_does_not():
    assert was_exposed(a_supply(start=ago(100), days=10)).answer is Covered.NO


def test_no_record_and_no_gap_is_no():
    assert was_exposed().answer is Covered.NO


@pytest.mark.parametrize(
    ("supplies", "more", "missing"),
    [
        ((a_supply(start=ago(120), days=None),), {}, ("history.days_supply",)),
        ((a_supply(start=ago(10), unrecognised=True),), {}, ("history.drug",)),
        ((), {"gaps": (Gap("history-missing"),)}, ("history",)),
    ],
)
def test_what_is_not_known_is_neither_yes_nor_no(supplies, more, missing):
    told = was_exposed(*supplies, **more)
    assert (told.answer, told.missing) == (Covered.MAYBE, missing)


def test_a_prescription_with_refills_may_have_been_refilled():
    written = a_supply(start=ago(110), days=10, refills=2, kind=SupplyKind.PRESCRIPTION)
    assert was_exposed(written).answer is Covered.MAYBE


def test_one_that_the_record_calls_active_was():
    written = a_supply(start=ago(110), days=10, refills=2, kind=SupplyKind.PRESCRIPTION, status="active")
    assert was_exposed(written).answer is Covered.YES


def test_a_draft_beside_the_order_is_not_the_past():
    assert was_exposed(a_supply(start=YESTERDAY, kind=SupplyKind.DRAFT)).answer is Covered.NO


# --- days and episodes ------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(-5, 60), st.integers(1, 20)), max_size=6), st.integers(1, 40))
def test_days_on_agree_with_a_count_of_days_for_different_drugs(parts, window):
    # A drug each, so that nothing is carried over.
    supplies = [
        a_supply(start=ago(start), days=length, drug=a_drug(f"opioid-{n}", f"9{n}"))
        for n, (start, length) in enumerate(parts)
    ]
    days = {ago(start) + timedelta(days=d) for start, length in parts for d in range(length)}
    first = ago(window)
    naive = sum(first <= day <= YESTERDAY for day in days)
    assert opioid_days(a_chart(*supplies), first, YESTERDAY, unknown_days=180).days == naive


def test_days_on_are_a_lower_bound_when_a_medicine_is_not_recognised():
    told = opioid_days(
        a_chart(a_supply(start=ago(5), unrecognised=True)), ago(10), YESTERDAY, unknown_days=180
    )
    assert (told.days, told.complete) == (0, False)


def test_an_episode_bridges_gaps_up_to_the_limit():
    chart = a_chart(a_supply(start=ago(60), days=10), a_supply(start=ago(40), days=40))
    # The first ended 51 days ago, the second began 40 days ago: ten days without.
    assert on_opioids_since(chart, YESTERDAY, max_gap_days=10) == ago(60)
    assert on_opioids_since(chart, YESTERDAY, max_gap_days=9) == ago(40)


def test_no_episode_reaches_a_day_long_after():
    assert on_opioids_since(a_chart(a_supply(start=ago(60), days=10)), TODAY, max_gap_days=30) is None


# --- the daily total ------------------------------------------------------------


def around(order, *supplies, carry=7, **more):
    return mme_around(order, a_chart(*supplies, **more), CDC, unknown_days=180, carry_days=carry)


def thirty_mme(**more):
    """Oxycodone 5 mg four times a day: 5 x 4 x 1.5 = 30 MME."""
    return a_supply(dosage=(tablets(times=4),), **more)


ORDER = an_order(days=30, quantity=120, dosage=(tablets(times=4),))


@given(st.integers(1, 7))
def test_identical_drafts_are_as_many_as_there_are(count):
    drafts = [thirty_mme(kind=SupplyKind.DRAFT, days=30) for _ in range(count)]
    assert around(ORDER, *drafts).after.high == 30 * (count + 1)


def test_a_fill_that_runs_out_soon_is_continued_not_added():
    total = around(ORDER, thirty_mme(start=ago(24), days=30))
    assert (total.before.high, total.after.high) == (30, 30)


def test_a_fill_that_lasts_beyond_the_carry_over_is_added():
    total = around(ORDER, thirty_mme(start=ago(22), days=30))
    assert total.after.high == 60


def test_the_fullest_day_of_the_order_counts():
    # A second opioid that begins within the order's days.
    later = thirty_mme(start=TODAY + timedelta(days=10), days=5, drug=a_drug("morphine", "7052", "5"))
    assert around(ORDER, later).after.high == Decimal(50)


def test_supply_that_ended_before_is_in_neither_total():
    total = around(ORDER, thirty_mme(start=ago(40), days=30))
    assert (total.before.high, total.after.high) == (0, 30)


def test_buprenorphine_for_opioid_use_disorder_is_not_counted():
    classes = frozenset({DrugClass.OPIOID, DrugClass.OUD_TREATMENT})
    oud = a_drug("buprenorphine", "1819", "8", form="sublingual tablet", classes=classes)
    assert around(ORDER, a_supply(drug=oud, days=30)).after.complete


def test_an_unknown_medicine_makes_the_total_at_least():
    total = around(ORDER, a_supply(unrecognised=True, days=30)).after
    assert (total.high, total.complete) == (30, False)


def test_a_supply_that_may_have_run_out_makes_the_total_incomplete_not_larger():
    total = around(ORDER, thirty_mme(start=ago(60), days=None)).after
    assert (total.high, total.complete) == (30, False)


def test_the_total_of_one_day():
    chart = a_chart(thirty_mme(start=ago(3), days=3), thirty_mme(start=TODAY, days=3))
    days = (ago(4), ago(1), TODAY, date(2026, 11, 24))
    assert [mme_on(chart, day, CDC, unknown_days=180, carry_days=7).high for day in days] == [0, 30, 30, 0]


def test_monthly_fills_that_overlap_by_two_days_are_one_dose():
    fills = (thirty_mme(start=ago(58), days=30), thirty_mme(start=ago(30), days=30))
    chart = a_chart(*fills)
    assert mme_on(chart, ago(29), CDC, unknown_days=180, carry_days=7).high == 30


def test_fills_that_overlap_by_more_than_the_carry_over_add_up():
    chart = a_chart(thirty_mme(start=ago(40), days=30), thirty_mme(start=ago(30), days=30))
    assert mme_on(chart, ago(29), CDC, unknown_days=180, carry_days=7).high == 60


def test_two_fills_of_the_same_day_add_up():
    chart = a_chart(thirty_mme(start=ago(5), days=30), thirty_mme(start=ago(5), days=30))
    assert mme_on(chart, TODAY, CDC, unknown_days=180, carry_days=7).high == 60


def test_a_refill_fetched_two_days_late_continues_the_dose():
    assert around(ORDER, thirty_mme(start=ago(32), days=30)).before.high == 30


def test_a_gap_longer_than_the_carry_over_does_not():
    assert around(ORDER, thirty_mme(start=ago(38), days=30)).before.high == 0


def test_what_was_worked_out_for_one_order_is_not_another_orders():
    chart = a_chart()
    first = mme_around(ORDER, chart, CDC, unknown_days=180, carry_days=7).after.high
    double = an_order(days=30, quantity=240, dosage=(tablets(2, times=4),))
    assert (first, mme_around(double, chart, CDC, unknown_days=180, carry_days=7).after.high) == (30, 60)
