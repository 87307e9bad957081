"""What is dispensed, held against the plan: faster is seen, early and as planned are not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from stewardship.domain.chart import Chart, Gap
from stewardship.domain.orders import Supply
from stewardship.domain.taper import Taper, pause, stop
from stewardship.domain.taper_watch import CannotCompare, FasterThanPlanned, compare
from tests.builders import a_chart, a_supply
from tests.plans.tapering import OXYCODONE_5, START, a_taper, declared

TERMS = declared().tapers


def fill(on: date, mg_per_day: str, days: int = 30) -> Supply:
    """Oxycodone 5 mg tablets that come to so much a day."""
    tablets = int(Decimal(mg_per_day) * days / 5)
    drug = declared().catalogue.by_rxcui(OXYCODONE_5)
    assert drug is not None
    return a_supply(id=f"fill-{on:%m%d}", start=on, days=days, drug=drug, quantity=tablets)


def seen(
    *supplies: Supply, until: date, taper: Taper | None = None, gaps: tuple[Gap, ...] = ()
) -> tuple[FasterThanPlanned | CannotCompare, ...]:
    """What is found on a day."""
    as_of = datetime(until.year, until.month, until.day, 12, tzinfo=UTC)
    chart: Chart = a_chart(*supplies, as_of=as_of, gaps=gaps)
    return compare(taper or a_taper(), chart, TERMS)


def test_as_planned_is_nothing() -> None:
    assert seen(fill(START, "55"), until=START) == ()


def test_less_than_planned_is_seen_with_both_amounts() -> None:
    (found,) = seen(fill(START, "30"), until=START)
    assert isinstance(found, FasterThanPlanned)
    # fetched up to a week early: 28 days of 55 mg and two of 50 mg
    assert (found.dispensed_mg, found.planned_mg, found.supply) == (900, 1640, "fill-1201")


def test_just_within_the_tolerance_is_nothing_and_just_outside_is_seen() -> None:
    # 5 % below 1,640 mg in 30 days are 1,558 mg: 312 tablets are enough, 311 are not
    drug = declared().catalogue.by_rxcui(OXYCODONE_5)
    for tablets, number in ((312, 0), (311, 1)):
        supply = a_supply(id="f", start=START, days=30, drug=drug, quantity=tablets)
        assert len(seen(supply, until=START)) == number


def test_a_fill_of_a_month_over_weekly_steps_is_held_against_all_of_them() -> None:
    # 28 days of 55, 50, 45 and 40 mg a day: 190 mg a day for four weeks of seven days
    weekly = a_taper(days=200)
    drug = declared().catalogue.by_rxcui(OXYCODONE_5)
    supply = a_supply(id="f", start=START, days=28, drug=drug, quantity=190 * 7 // 5)
    assert seen(supply, until=START, taper=weekly) == ()


def test_the_next_step_may_be_fetched_a_week_early_and_not_earlier() -> None:
    second = START + timedelta(35)
    for early, number in ((7, 0), (30, 1)):
        got = seen(fill(second - timedelta(early), "50", days=35), until=second)
        assert len(got) == number, early


def test_what_a_fill_continues_is_not_added_to_it() -> None:
    got = seen(fill(START, "55"), fill(START + timedelta(28), "30", days=30), until=START + timedelta(28))
    assert [f.supply for f in got] == ["fill-1229"]


def test_while_it_is_paused_the_held_dose_is_what_is_planned() -> None:
    paused = pause(a_taper(), on=START + timedelta(3), reason="")
    later = START + timedelta(60)
    assert seen(fill(later, "55"), until=later, taper=paused) == ()
    assert len(seen(fill(later, "45"), until=later, taper=paused)) == 1


def test_an_end_of_supply_is_seen_after_a_week() -> None:
    supply = fill(START, "55")
    assert seen(supply, until=START + timedelta(36)) == ()
    (found,) = seen(supply, until=START + timedelta(37))
    assert isinstance(found, FasterThanPlanned)
    assert (found.dispensed_mg, found.on) == (0, START + timedelta(30))


def test_an_unknown_medicine_may_be_what_went_on() -> None:
    other = a_supply(id="u", start=START + timedelta(31), days=30, unrecognised=True)
    (found,) = seen(fill(START, "55"), other, until=START + timedelta(40))
    assert found == CannotCompare("u", ("history.drug",))


def test_a_fill_of_unknown_length_cannot_be_compared() -> None:
    drug = declared().catalogue.by_rxcui(OXYCODONE_5)
    (found,) = seen(a_supply(id="f", start=START, days=None, drug=drug, quantity=100), until=START)
    assert found == CannotCompare("f", ("history.days_supply",))


def test_with_gaps_in_the_history_it_is_not_complete() -> None:
    (found,) = seen(fill(START, "30"), until=START, gaps=(Gap("history-stale"),))
    assert isinstance(found, FasterThanPlanned)
    assert not found.complete


@pytest.mark.parametrize("before", [True, False])
def test_what_was_before_the_taper_or_is_after_its_end_is_not_compared(before: bool) -> None:
    if before:
        assert seen(fill(START - timedelta(30), "20"), until=START - timedelta(5)) == ()
    else:
        over = stop(a_taper(), on=START, reason="")
        assert seen(fill(START, "20"), until=START, taper=over) == ()
