"""Planned, due, done, missed, cancelled: how a review goes from one to the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.declarations.instruments import read_instruments
from stewardship.declarations.places import REFERENCE
from stewardship.domain.errors import Conflict, InvalidInput
from stewardship.domain.reassessment import ClockAnswer
from stewardship.domain.reviews import Review, State, advance, cancel, complete, follow, plan
from tests.builders import a_chart
from tests.domain.clocking import EVERY_DAY, TERMS, TODAY, ago, asked, clock, due, function_on, taking

INSTRUMENTS = read_instruments(REFERENCE)
PEG, PAIN = INSTRUMENTS["peg"], INSTRUMENTS["pain-intensity"]
DAY = date(2026, 12, 1)
PLANNED = Review("long-term", DAY, DAY, date(2026, 9, 2))


def on(days: int) -> date:
    return DAY + timedelta(days)


@pytest.mark.parametrize(
    ("days", "state"),
    [(-8, State.PLANNED), (-7, State.DUE), (0, State.DUE), (1, State.MISSED), (400, State.MISSED)],
)
def test_it_opens_a_week_before_and_is_missed_the_day_after(days, state):
    assert advance(PLANNED, today=on(days), terms=TERMS).state is state


@given(st.lists(st.integers(-100, 100), max_size=20), st.integers(-100, 100))
def test_however_often_it_is_looked_at_only_the_last_day_counts(before, last):
    review = PLANNED
    for days in sorted(d for d in before if d <= last):
        review = advance(review, today=on(days), terms=TERMS)
    assert advance(review, today=on(last), terms=TERMS) == advance(PLANNED, today=on(last), terms=TERMS)


def test_a_clock_that_goes_back_does_not_take_a_missed_review_back():
    missed = advance(PLANNED, today=on(1), terms=TERMS)
    assert advance(missed, today=on(-30), terms=TERMS) == missed


@pytest.mark.parametrize("state", [State.PLANNED, State.DUE, State.MISSED])
@pytest.mark.parametrize(("days", "late"), [(-20, 0), (0, 0), (5, 5)])
def test_done_early_in_time_or_late(state, days, late):
    done = complete(replace(PLANNED, state=state), on=on(days), measured=[PAIN, PEG])
    assert (done.state, done.done_on, done.late_days) == (State.DONE, on(days), late)


def test_done_twice_on_one_day_is_done_once():
    done = complete(PLANNED, on=DAY, measured=[PEG])
    assert complete(done, on=DAY, measured=[PEG]) == done


@pytest.mark.parametrize("measured", [[], [PAIN], [PAIN, INSTRUMENTS["phq-2"]]])
def test_pain_alone_does_not_do_it(measured):
    with pytest.raises(InvalidInput, match="pain score alone"):
        complete(PLANNED, on=DAY, measured=measured)


def test_what_is_cancelled_cannot_be_done_and_what_is_done_not_cancelled():
    with pytest.raises(Conflict):
        complete(cancel(PLANNED, reason="moved away"), on=DAY, measured=[PEG])
    with pytest.raises(Conflict):
        cancel(complete(PLANNED, on=DAY, measured=[PEG]), reason="moved away")
    with pytest.raises(Conflict):
        complete(complete(PLANNED, on=DAY, measured=[PEG]), on=on(1), measured=[PEG])


def test_cancelled_with_a_reason_and_only_with_one():
    assert cancel(PLANNED, reason=" moved away ").reason == "moved away"
    with pytest.raises(InvalidInput):
        cancel(PLANNED, reason=" ")


@pytest.mark.parametrize("state", [State.DONE, State.CANCELLED, State.MISSED])
def test_what_is_over_does_not_open_again(state):
    over = replace(PLANNED, state=state)
    assert advance(over, today=on(0), terms=TERMS) == over


# --- the clock, asked again ----------------------------------------------------------------------------


def test_nothing_new_keeps_what_is_held():
    answer = clock(taking(5))
    assert follow(plan(due(answer)), answer) == (plan(due(answer)),)


def test_the_first_one_is_planned():
    answer = clock(taking(5))
    assert follow(None, answer) == (plan(due(answer)),)
    assert follow(None, ClockAnswer(None)) == ()


def test_a_patient_who_stopped_needs_no_review():
    (held,) = follow(None, clock(taking(5)))
    (after,) = follow(held, clock())
    assert (after.state, after.reason) == (State.CANCELLED, "no longer needed")


def test_a_history_that_cannot_be_read_cancels_nothing():
    (held,) = follow(None, clock(taking(5)))
    assert follow(held, ClockAnswer(None, missing=("history",))) == (held,)


def test_a_review_on_record_is_done_and_the_next_one_planned():
    (held,) = follow(None, clock(taking(5)))
    answer = clock(taking(5), observations=(function_on(ago(1)),))
    done, after = follow(held, answer, reviews=(ago(1),))
    assert (done.state, done.done_on) == (State.DONE, ago(1))
    assert after == plan(due(answer))


def test_a_raise_brings_an_earlier_one_in_place_of_the_later():
    (held,) = follow(None, clock(taking(60), observations=(function_on(ago(10)),)))
    answer = clock(taking(60), taking(1, per_day=8), observations=(function_on(ago(10)),))
    old, new = follow(held, answer)
    assert (old.state, new.interval) == (State.CANCELLED, "start-or-raise-50-mme")
    assert new.due_on < held.due_on


def test_a_year_goes_by_and_each_review_is_opened_once():
    """Every day the clock is asked and followed; a review is done three days after it is due."""
    start = TODAY - timedelta(400)
    supply = taking(400, 800)
    held: Review | None = None
    reviews: list[date] = []
    opened: list[tuple[str, date]] = []
    for day in (start + timedelta(n) for n in range(366)):
        chart = a_chart(supply, as_of=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
        for kept in follow(held, asked(chart, calendar=EVERY_DAY, reviews=tuple(reviews)), reviews=reviews):
            if held is None or (kept.interval, kept.exact_on) != (held.interval, held.exact_on):
                opened.append((kept.interval, kept.exact_on))
            held = advance(kept, today=day, terms=TERMS)
        if held and held.state is State.MISSED and (day - held.due_on).days == 3:
            reviews.append(day)
    # Due on day 14, done on day 17 of therapy; then 90 days after each review.
    expected = [start + timedelta(n) for n in (14, 17 + 90, 110 + 90, 203 + 90, 296 + 90)]
    assert [day for _, day in opened] == expected
