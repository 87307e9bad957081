"""Daily MME by four definitions, under a named factor set: published examples, and each boundary."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from stewardship.declarations import Library, load
from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Release
from stewardship.domain.episodes import exposures
from stewardship.domain.exposure import (
    Definition,
    continued,
    daily_mme_figures,
    daily_steps,
    days_at_or_over,
    once,
    stretches,
)
from stewardship.domain.orders import Supply
from tests import builders
from tests.builders import LONG_ACTING, OPIOID, a_drug

DAY = timedelta(days=1)
START = date(2026, 6, 1)
D1, D2, D3, D4 = Definition
OXYCODONE_ER = a_drug(strength="30", code="er", release=Release.EXTENDED, classes=LONG_ACTING)
METHADONE = a_drug("methadone", "6813", "10", code="m", classes=LONG_ACTING)
#: A product that the CDC sets leave out, and one that no set has a factor for.
BUPRENORPHINE = a_drug("buprenorphine", "1819", "0.05", code="b", form="buccal film", classes=LONG_ACTING)
UNLISTED = a_drug("nalbuphine", "7238", "10", code="n", classes=OPIOID)


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


def a_supply(*, quantity: int | None = None, unit: str = "tablet", **more) -> Supply:
    """A dispensing of so many of a unit."""
    given = None if quantity is None else Quantity(Decimal(quantity), unit)
    return builders.a_supply(**more) if given is None else replace(builders.a_supply(**more), quantity=given)


def taken(library: Library, *supplies: Supply, factor_set: str = "cdc-2022"):
    placed = exposures(supplies, as_of=START + 365 * DAY)
    return stretches(placed, library.factor_sets[factor_set])


def figures(library: Library, *supplies: Supply, window: int = 90, factor_set: str = "cdc-2022", first=START):
    return daily_mme_figures(
        taken(library, *supplies, factor_set=factor_set),
        first,
        first + (window - 1) * DAY,
        library.factor_sets[factor_set],
        unknown_days=180,
    )


# --- published examples -----------------------------------------------------------------------------


def two_oxycodones() -> tuple[Supply, Supply]:
    """Oxycodone ER 30 mg twice a day for 30 days, and 5 mg twice a day for 7 of them."""
    return (
        a_supply(drug=OXYCODONE_ER, start=START, days=30, quantity=60),
        a_supply(start=START, days=7, quantity=14),
    )


@pytest.mark.parametrize(
    ("definition", "exact"),
    # 60 x 30 x 1.5 + 14 x 5 x 1.5 = 2805 MME, as published in 2021 with 75.8, 93.5, 31.2 and 105
    [(D1, Fraction(2805, 37)), (D2, Fraction(2805, 30)), (D3, Fraction(2805, 90)), (D4, Fraction(105))],
)
def test_two_oxycodones_begun_together_have_four_daily_doses(library, definition, exact):
    assert figures(library, *two_oxycodones())[definition].exact == exact


def test_the_figures_are_settled_to_a_billionth(library):
    found = figures(library, *two_oxycodones())
    assert [str(f.value) for f in found.values()] == ["75.810810811", "93.5", "31.166666667", "105.0"]


def test_a_window_of_the_month_gives_the_on_therapy_dose(library):
    # In the page that first showed the example the window is the 30 days themselves.
    assert figures(library, *two_oxycodones(), window=30)[D3].value == Decimal("93.5")


def buprenorphine_and_hydrocodone() -> tuple[Supply, Supply]:
    """Buccal film 50 mcg twice a day for 5 days beside hydrocodone 75 mg three times a day for 10."""
    hydrocodone = a_drug("hydrocodone", "5489", "75", code="h")
    return (
        a_supply(drug=BUPRENORPHINE, start=START, days=5, quantity=10, unit="film"),
        a_supply(drug=hydrocodone, start=START, days=10, quantity=30),
    )


@pytest.mark.parametrize(
    ("factor_set", "exact"),
    # As the NIH HEAL calculator answers with buprenorphine (151.3, 226.95, 453.9, 228.9) and without.
    [
        ("nih-heal-2025", ["151.3", "226.95", "453.9", "228.9"]),
        ("cdc-2022", ["225", "225", "450", "225"]),
    ],
)
def test_buprenorphine_counts_or_is_left_out_with_its_days(library, factor_set, exact):
    found = figures(library, *buprenorphine_and_hydrocodone(), window=5, factor_set=factor_set)
    assert [f.value for f in found.values()] == [Decimal(e) for e in exact]


def test_what_a_set_leaves_out_is_named(library):
    found = figures(library, *buprenorphine_and_hydrocodone())
    assert all(f.excluded == ("buprenorphine",) and f.complete for f in found.values())


def test_only_what_is_left_out_comes_to_nothing_by_window_and_day_and_to_no_average(library):
    film, _ = buprenorphine_and_hydrocodone()
    assert [f.value for f in figures(library, film).values()] == [None, None, 0, 0]


@pytest.mark.parametrize(("factor_set", "mme"), [("cdc-2022", 141), ("cdc-2018", 90), ("cdc-2016", 240)])
def test_methadone_ten_three_times_a_day(library, factor_set, mme):
    supply = a_supply(drug=METHADONE, start=START, days=30, quantity=90)
    assert figures(library, supply, factor_set=factor_set)[D4].value == mme


def test_two_bottles_of_methadone_slide_together(library):
    # 20 mg a day each are 80 MME at 4; together 40 mg a day are 320 MME at 8.
    bottles = [a_supply(drug=METHADONE, start=START, days=30, quantity=60) for _ in range(2)]
    assert figures(library, *bottles, factor_set="cdc-2016")[D4].value == 320


# --- what is not known ------------------------------------------------------------------------------


def test_an_unknown_medicine_makes_every_figure_at_least(library):
    unknown = a_supply(start=START, days=30, unrecognised=True)
    found = figures(library, *two_oxycodones(), unknown)
    assert not any(f.complete for f in found.values())
    assert {r.code for f in found.values() for r in f.reasons} == {"drug-unknown"}
    # Its days count in the denominators, for whatever it is, it adds more than nothing.
    assert found[D1].exact == Fraction(2805, 67)
    assert found[D4].value == 105


def test_a_medicine_without_factor_makes_every_figure_at_least(library):
    found = figures(library, *two_oxycodones(), a_supply(drug=UNLISTED, start=START, days=30, quantity=30))
    assert {r.code for f in found.values() for r in f.reasons} == {"factor-missing"}
    assert not any(f.complete for f in found.values())


def test_a_fill_of_unknown_length_still_has_its_amount(library):
    found = figures(library, a_supply(start=START, days=None, quantity=60))
    assert (found[D3].exact, found[D3].complete) == (Fraction(450, 90), True)
    assert (found[D1].exact, found[D1].complete) == (Fraction(450, 180), False)
    assert (found[D4].value, found[D4].complete) == (None, False)


def test_nothing_known_is_not_nothing(library):
    found = figures(library, a_supply(start=START, unrecognised=True))
    assert [(f.value, f.complete) for f in found.values()] == [(None, False)] * 4


def test_no_supply_is_nothing(library):
    assert [(f.value, f.complete) for f in figures(library).values()] == [
        (None, True),
        (None, True),
        (0, True),
        (0, True),
    ]


# --- boundaries -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "counts"), [(-1, False), (0, True), (89, True), (90, False)])
def test_the_window_takes_what_begins_within_it(library, start, counts):
    supply = a_supply(start=START + start * DAY, days=1, quantity=1)
    assert bool(figures(library, supply)[D3].value) is counts


@pytest.mark.parametrize(("days", "highest"), [(10, 0), (11, 15)])
def test_the_highest_day_counts_what_began_before(library, days, highest):
    supply = a_supply(start=START - 10 * DAY, days=days, quantity=2 * days)
    assert figures(library, supply)[D4].value == highest


def test_the_day_after_the_last_is_not_covered(library):
    together = taken(
        library,
        a_supply(start=START, days=5, quantity=10),
        a_supply(start=START + 5 * DAY, days=5, quantity=20),
    )
    steps = daily_steps(together, library.factor_sets["cdc-2022"])
    assert [(s.days, s.mme) for s in steps] == [(5, 15), (5, 30)]


def test_days_at_a_limit_are_counted_with_it(library):
    steps = daily_steps(taken(library, *two_oxycodones()), library.factor_sets["cdc-2022"])
    over = {limit: days_at_or_over(steps, Decimal(limit), START, START + 29 * DAY) for limit in (90, 91, 105)}
    assert over == {90: 30, 91: 7, 105: 7}


@pytest.mark.parametrize(("early", "mme"), [(7, 15), (8, 30)])
def test_a_fill_within_the_carry_is_continued_and_beyond_it_adds_up(library, early, mme):
    together = taken(
        library,
        a_supply(start=START, days=30, quantity=60),
        a_supply(start=START + (30 - early) * DAY, days=30, quantity=60),
    )
    ends = continued(together, carry_days=7)
    steps = daily_steps(together, library.factor_sets["cdc-2022"], last_days=ends)
    assert max(s.mme for s in steps) == mme


# --- each dispensing once ---------------------------------------------------------------------------


def reported(**more) -> Supply:
    named = {"start": START, "pharmacy": "ph-1", "prescription": "rx-1", "fill": 0, "partial": 0}
    return a_supply(**(named | more))


def test_a_dispensing_that_two_views_report_counts_once():
    first, again = reported(), reported()
    assert once([first, again]) == ((first,), 1)


def test_of_two_reports_of_one_dispensing_the_larger_stays():
    smaller, larger = reported(quantity=30), reported(quantity=60)
    assert once([smaller, larger]) == ((larger,), 1)


def test_of_equal_reports_the_first_id_stays_in_whatever_order_they_come():
    first, again = reported(), reported()
    assert once([again, first]) == ((first,), 1)


@pytest.mark.parametrize(
    "other",
    [
        {"pharmacy": "ph-2"},
        {"prescription": "rx-2"},
        {"fill": 1},
        {"partial": 1},
        {"start": START + DAY},
        {"drug": OXYCODONE_ER},
    ],
    ids=",".join,
)
def test_another_dispensing_is_another(other):
    assert once([reported(), reported(**other)])[1] == 0


@pytest.mark.parametrize("missing", [{"pharmacy": ""}, {"prescription": ""}, {"fill": None}], ids=str)
def test_a_row_that_cannot_be_named_is_nobodys_copy(missing):
    assert once([reported(**missing), reported(**missing)])[1] == 0


def test_a_copy_changes_no_figure(library):
    supply = replace(reported(days=30, quantity=60), id="s-a")
    kept, _ = once([supply, replace(supply, id="s-b")])
    assert figures(library, *kept) == figures(library, supply)
