"""Exposures: a prescription and its dispensings are one, identical prescriptions are as many as there are."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.episodes import (
    Covered,
    days_within,
    exposures,
    most_days_in_window,
    spans,
    undated,
    union,
)
from stewardship.domain.orders import SupplyKind
from tests.builders import TODAY, a_drug, a_supply, an_order, tablets

WRITTEN = SupplyKind.PRESCRIPTION


def merged(*supplies):
    return exposures(supplies, as_of=TODAY)


def test_a_dispensing_that_names_its_prescription_replaces_it():
    written = a_supply(id="rx-1", kind=WRITTEN, start=date(2026, 11, 1))
    filled = a_supply(prescription="rx-1", start=date(2026, 11, 2))
    assert [e.supply for e in merged(written, filled)] == [filled]


def test_a_dispensing_that_names_nothing_fills_the_latest_earlier_prescription_of_the_product():
    early = a_supply(id="rx-1", kind=WRITTEN, start=date(2026, 10, 1))
    late = a_supply(id="rx-2", kind=WRITTEN, start=date(2026, 11, 1))
    filled = a_supply(start=date(2026, 11, 2))
    assert [e.supply for e in merged(early, late, filled)] == [early, filled]


def test_a_dispensing_of_another_strength_fills_nothing():
    written = a_supply(kind=WRITTEN, start=date(2026, 11, 1))
    filled = a_supply(drug=a_drug(strength="10"), start=date(2026, 11, 2))
    assert len(merged(written, filled)) == 2


def test_a_dispensing_before_the_prescription_does_not_fill_it():
    written = a_supply(kind=WRITTEN, start=date(2026, 11, 3))
    filled = a_supply(start=date(2026, 11, 2))
    assert len(merged(written, filled)) == 2


def test_one_prescription_without_refills_takes_one_dispensing():
    written = a_supply(id="rx-1", kind=WRITTEN, start=date(2026, 10, 1))
    other = a_supply(id="rx-2", kind=WRITTEN, start=date(2026, 10, 1))
    filled = a_supply(start=date(2026, 10, 2))
    assert len(merged(written, other, filled)) == 2


def test_a_prescription_with_a_refill_takes_two():
    written = a_supply(kind=WRITTEN, start=date(2026, 10, 1), refills=1)
    fills = [a_supply(start=date(2026, 10, 2)), a_supply(start=date(2026, 10, 9))]
    assert [e.supply for e in merged(written, *fills)] == fills


@given(st.integers(min_value=1, max_value=12))
def test_identical_prescriptions_are_as_many_as_there_are(count):
    assert len(merged(*(a_supply(kind=WRITTEN) for _ in range(count)))) == count


def test_the_first_day_of_supply_is_day_one():
    (exposure,) = merged(a_supply(start=date(2026, 11, 1), days=30))
    assert exposure.last == date(2026, 11, 30)


def test_a_prescription_stopped_without_a_date_is_not_taken_now_and_may_have_been_yesterday():
    (exposure,) = merged(a_supply(start=date(2026, 11, 1), days=60, status="stopped"))
    assert exposure.last == TODAY - timedelta(days=1)


def test_supply_of_unknown_length_reaches_only_maybe():
    (exposure,) = merged(a_supply(start=date(2026, 10, 1), days=None))
    days = (date(2026, 10, 30), date(2026, 10, 31))
    answers = [exposure.reaches(day, day, unknown_days=30) for day in days]
    assert answers == [Covered.MAYBE, Covered.NO]


def test_supply_without_a_date_is_reported_not_placed():
    lost = a_supply(start=None)
    assert merged(lost) == ()
    assert undated([lost]) == (lost,)


def test_a_quantity_that_lasts_longer_than_stated_counts():
    # 36 tablets at four a day last nine days, whatever the order states.
    order = an_order(days=3, quantity=36, dosage=(tablets(times=4),))
    assert order.days == 9


def test_a_stated_supply_longer_than_the_quantity_counts():
    # Eight tablets at four a day are used up in two days at the highest use; three days are stated.
    order = an_order(days=3, quantity=8, dosage=(tablets(times=4),))
    assert order.days == 3


def test_no_days_and_no_quantity_is_not_known():
    order = an_order(days=None)
    assert order.days is None


def test_overlapping_fills_of_one_opioid_are_taken_one_after_the_other():
    first, second = a_supply(start=date(2026, 11, 1), days=5), a_supply(start=date(2026, 11, 3), days=5)
    (span,) = spans(merged(first, second))
    assert span[1] - span[0] + 1 == 10


def test_different_opioids_are_taken_side_by_side():
    other = a_drug("tramadol", "10689", "50")
    first = a_supply(start=date(2026, 11, 1), days=5)
    second = a_supply(drug=other, start=date(2026, 11, 1), days=5)
    (span,) = spans(merged(first, second))
    assert span[1] - span[0] + 1 == 5


SPANS = st.lists(st.tuples(st.integers(0, 120), st.integers(1, 20)), min_size=1, max_size=8)


@given(SPANS, st.integers(5, 40))
def test_the_fullest_window_agrees_with_a_count_of_every_window(parts, window):
    covered = [(first, first + length - 1) for first, length in parts]
    days = {day for first, last in covered for day in range(first, last + 1)}
    touching = covered[0]
    naive = max(
        sum(day in days for day in range(start, start + window))
        for start in range(touching[0] - window + 1, touching[1] + 1)
    )
    assert most_days_in_window(union(covered), window, touching=touching) == naive


def test_days_within_counts_both_ends():
    assert days_within([(1, 5), (8, 9)], 5, 8) == 2
