"""The four definitions and the steps agree with a count of every single day."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from stewardship.declarations import load
from stewardship.domain.episodes import exposures
from stewardship.domain.exposure import Definition, daily_mme_figures, daily_steps, stretches
from stewardship.domain.mme import FactorSet
from stewardship.domain.orders import Supply
from tests.builders import a_drug, a_supply

START = date(2026, 1, 1)
#: Product, milligrams in one, factor: the naive count knows nothing else.
PRODUCTS = (
    (a_drug(), 5, Fraction(3, 2)),
    (a_drug("tramadol", "10689", "50", code="t"), 50, Fraction(1, 5)),
    (a_drug("hydromorphone", "3423", "2", code="h"), 2, Fraction(5)),
)
FILLS = st.lists(
    st.tuples(
        st.integers(-40, 130),  # first day, from the beginning of the window
        st.integers(1, 45),  # days' supply
        st.integers(1, 240),  # quantity
        st.sampled_from(range(len(PRODUCTS))),
    ),
    max_size=12,
)


@cache
def factors() -> FactorSet:
    return load().factor_sets["cdc-2022"]


def supplies(fills) -> list[Supply]:
    return [
        a_supply(drug=PRODUCTS[product][0], start=START + timedelta(first), days=days, quantity=quantity)
        for first, days, quantity, product in fills
    ]


def whole(fill) -> Fraction:
    _, _, quantity, product = fill
    _, mg, factor = PRODUCTS[product]
    return quantity * mg * factor


def on_day(fills, day: int) -> Fraction:
    """MME of one day: every fill that covers it, divided by its days."""
    return sum((whole(f) / f[1] for f in fills if f[0] <= day < f[0] + f[1]), Fraction(0))


def near(value: Decimal | None, exact: Fraction) -> bool:
    return value is not None and abs(Fraction(value) - exact) <= Fraction(1, 10**9)


@given(FILLS, st.integers(1, 100))
def test_the_four_definitions_are_what_a_count_of_every_day_gives(fills, window):
    taken = stretches(exposures(supplies(fills), as_of=START), factors())
    until = START + timedelta(window - 1)
    found = daily_mme_figures(taken, START, until, factors(), unknown_days=180)

    inside = [f for f in fills if 0 <= f[0] < window]
    amount = sum((whole(f) for f in inside), Fraction(0))
    every_day = range(-50, window + 60)
    covered = sum(1 for day in every_day if any(f[0] <= day < f[0] + f[1] for f in inside))
    supplied = sum(1 for day in every_day for f in inside if f[0] <= day < f[0] + f[1])

    assert found[Definition.TOTAL_DAYS_SUPPLY].exact == (amount / supplied if supplied else None)
    assert found[Definition.ON_THERAPY_DAYS].exact == (amount / covered if covered else None)
    assert found[Definition.FIXED_WINDOW].exact == amount / window
    highest = max(on_day(fills, day) for day in range(window))
    assert near(found[Definition.MAXIMUM_DAILY_DOSE].value, highest)
    assert all(figure.complete for figure in found.values())


@given(FILLS)
def test_every_day_has_the_total_of_its_step(fills):
    steps = daily_steps(stretches(exposures(supplies(fills), as_of=START), factors()), factors())
    for day in range(-50, 190):
        here = [s for s in steps if s.first <= START + timedelta(day) <= s.last]
        assert len(here) <= 1
        assert near(here[0].mme if here else Decimal(0), on_day(fills, day))


@given(FILLS, st.permutations(range(12)))
def test_the_order_in_which_supplies_are_given_changes_nothing(fills, order):
    given_ = supplies(fills)
    shuffled = [given_[i] for i in order if i < len(given_)]
    one, other = (
        daily_steps(stretches(exposures(s, as_of=START), factors()), factors()) for s in (given_, shuffled)
    )
    assert one == other
