"""On which day the clock has to be asked again: never after one on which its answer has changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from stewardship.domain.chart import Chart, Procedure
from stewardship.domain.codes import CPT, Coding
from stewardship.domain.drugs import DrugClass
from stewardship.domain.orders import Supply, SupplyKind
from stewardship.domain.reassessment import ClockAnswer, ask_again_on
from tests.builders import TODAY, a_chart, a_drug, a_supply
from tests.domain.clocking import METHADONE, MORPHINE_ER, OXYCODONE, TERMS, ago, asked, function_on

LORAZEPAM = a_drug(
    "lorazepam",
    "6470",
    "1",
    code="197901",
    classes=frozenset({DrugClass.BENZODIAZEPINE, DrugClass.CNS_DEPRESSANT}),
)
FARTHEST = 240

supplies = st.builds(
    lambda drug, start, days, per_day, kind, status, refills, stopped: a_supply(
        drug=drug or OXYCODONE,
        unrecognised=drug is None,
        start=ago(start),
        days=days,
        quantity=None if days is None else per_day * days,
        kind=kind,
        status=status,
        refills=refills if kind is SupplyKind.PRESCRIPTION else None,
        ended_on=ago(stopped) if status == "stopped" and stopped < start else None,
    ),
    st.sampled_from([OXYCODONE, METHADONE, MORPHINE_ER, LORAZEPAM, None]),
    st.integers(-10, 70),
    st.one_of(st.none(), st.integers(1, 60), st.integers(1, 60)),
    st.integers(1, 8),
    st.sampled_from([SupplyKind.DISPENSING, SupplyKind.PRESCRIPTION]),
    st.sampled_from(["completed", "active", "stopped"]),
    st.integers(0, 2),
    st.integers(-10, 200),
)
procedures = st.integers(-20, 250).map(
    lambda n: Procedure(f"a-{n}", (Coding(CPT, "64635"),), on=ago(n), status="completed")
)
charts = st.builds(
    lambda some, seen, done: a_chart(
        *some, observations=tuple(function_on(ago(n)) for n in seen), procedures=tuple(done)
    ),
    st.lists(supplies, max_size=4),
    st.sets(st.integers(-20, 200), max_size=2),
    st.lists(procedures, max_size=1),
)


def later(chart: Chart, days: int) -> ClockAnswer:
    return asked(replace(chart, as_of=chart.as_of + timedelta(days)))


@settings(max_examples=300)
@given(charts)
def test_until_that_day_the_answer_stays_the_same(chart: Chart) -> None:
    again = ask_again_on(chart, TERMS)
    until = FARTHEST if again is None else (again - TODAY).days
    now = later(chart, 0)
    # Day by day for a while, then some of many days.
    for days in {*range(1, min(until, 45)), 90, until // 2, until - 1}:
        if 0 < days < until:
            assert later(chart, days) == now


def a_fill(**more: object) -> Supply:
    return a_supply(start=ago(0), days=30, quantity=120, **more)  # type: ignore[arg-type]


def test_a_fill_of_thirty_days_is_asked_about_when_it_ends_and_when_the_gap_is_too_long() -> None:
    chart = a_chart(a_fill())
    ended = ask_again_on(chart, TERMS)
    assert ended == TODAY + timedelta(30)
    later_on = replace(chart, as_of=chart.as_of + timedelta(30))
    assert ask_again_on(later_on, TERMS) == TODAY + timedelta(38)
    assert later(chart, 37).due is not None
    assert later(chart, 38).due is None


def test_nothing_on_record_is_not_asked_about_again() -> None:
    assert ask_again_on(a_chart(), TERMS) is None


def test_long_after_the_last_supply_there_is_nothing_to_ask() -> None:
    assert ask_again_on(a_chart(a_supply(start=ago(400), days=30)), TERMS) is None
