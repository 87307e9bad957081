"""What the scan refuses, leaves to be looked at by hand, and does not depend on; the engines beside it."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from stewardship.domain.flags import Kind
from stewardship.population.columns import Columns, Is, Products, daily_amounts, products
from stewardship.population.keys import order_by
from stewardship.population.scan import Scan, scan
from stewardship.population.sweeps import rounded
from tests.benchmarks import shared_scan
from tests.domain.flagging import reference
from tests.population.generator import LAST, Population, population

FIRST = LAST - timedelta(89)


@pytest.fixture(scope="module")
def made() -> Population:
    return population(reference(), patients=1_000, rows=10_000)


def look(columns: Columns, drugs: Products, **more) -> Scan:
    return scan(columns, drugs, reference(), first=FIRST, until=LAST, as_of=LAST, **more)


def same(one: Scan, other: Scan) -> bool:
    flags = all(np.array_equal(one.flags[kind], other.flags[kind]) for kind in Kind)
    untold = all(np.array_equal(one.untold[kind], other.untold[kind]) for kind in Kind)
    figures = all(
        np.array_equal(getattr(one.figures, n), getattr(other.figures, n)) for n in vars(one.figures)
    )
    return flags and untold and figures and one.dropped == other.dropped


@pytest.mark.parametrize(("slice_rows", "workers"), [(1, 1), (97, 3), (1_000, 2), (1 << 20, 1)])
def test_slices_and_workers_change_nothing(made, slice_rows, workers):
    some = made.columns.rows(slice(0, 1_500))
    assert same(look(some, made.products), look(some, made.products, slice_rows=slice_rows, workers=workers))


def test_a_population_of_nobody_has_nothing(made):
    none = look(made.columns.rows(slice(0, 0)), made.products)
    assert (len(none.figures.patient), none.dropped, sum(map(len, none.flags.values()))) == (0, 0, 0)


def test_rows_that_are_not_in_order_are_refused(made):
    with pytest.raises(ValueError, match="order of patient and day"):
        look(made.columns.rows(np.arange(len(made.columns))[::-1]), made.products)


@pytest.mark.parametrize("name", ["day", "days"])
def test_days_that_no_key_holds_are_refused(made, name):
    some = made.columns.rows(np.arange(20))
    getattr(some, name)[19] = 3_000_000
    with pytest.raises(ValueError, match="within"):
        look(some, made.products)


def test_only_the_kinds_that_are_asked_for_are_looked_for(made):
    some = look(made.columns, made.products, kinds=[Kind.HIGH_DAILY_MME])
    assert list(some.flags) == [Kind.HIGH_DAILY_MME]


def test_sums_that_whole_numbers_do_not_hold_are_left_to_be_looked_at_by_hand(made):
    some = made.columns.rows(np.arange(50))
    some.daily[3] = 1 << 62
    assert look(some, made.products).by_hand.tolist() == [some.patient[3]]


def test_factors_that_depend_on_the_dose_are_left_to_be_looked_at_by_hand(made):
    some = made.columns.rows(np.arange(50))
    bits = made.products.bits | Is.SLIDING
    sliding = Products(bits.astype(np.int32), made.products.schedule, made.products.strength)
    who, count = np.unique(some.patient, return_counts=True)
    assert look(some, sliding).by_hand.tolist() == who[count > 1].tolist()


def test_a_table_of_products_tells_unknown_ones_apart():
    table = products([None, None], reference())
    assert len(set(table.strength.tolist())) == 2


@pytest.mark.parametrize(
    ("amount", "days", "daily"),
    [
        (10**9, 3, 333_333_333_333),
        (2 * 10**9, 3, 666_666_666_667),
        (1, 16, 62),  # 62.5: half to even
        (3, 16, 188),  # 187.5
        (-1, 3, -1),
        (10**9, 0, -1),
    ],
)
def test_daily_amounts_are_rounded_as_one_patients_are(amount, days, daily):
    assert daily_amounts(np.array([amount]), np.array([days], np.int32)).tolist() == [daily]


def test_daily_totals_are_rounded_half_to_even():
    assert rounded(np.array([499, 500, 501, 1_500, 2_500, 2_501])).tolist() == [0, 0, 1, 2, 2, 3]


def test_an_order_that_does_not_fit_one_number_is_the_same_order():
    draw = np.random.default_rng(1)
    high, low = draw.integers(0, 1 << 40, 500) >> 36 << 36, draw.integers(0, 1 << 40, 500)
    assert order_by(high, low).tolist() == np.lexsort((low, high)).tolist()


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_the_same_scan_written_by_hand_gives_the_same_answers(made, engine):
    pytest.importorskip(engine)
    question = shared_scan.question(reference(), made, FIRST, LAST)
    table = shared_scan.table(made)
    if engine == "polars":
        from tests.benchmarks import population_polars

        answer = population_polars.scan(population_polars.frame(table), question)
    else:
        from tests.benchmarks import population_duckdb

        answer = population_duckdb.scan(population_duckdb.loaded(table), question)
    assert shared_scan.differences(look(made.columns, made.products), answer) == []


def test_the_generator_makes_the_same_population_of_the_same_seed():
    one, other = (population(reference(), patients=50, rows=500, seed=3) for _ in range(2))
    assert all(np.array_equal(getattr(one.columns, n), getattr(other.columns, n)) for n in vars(one.columns))
    assert one.columns.day.max() <= date(2026, 10, 31).toordinal()
