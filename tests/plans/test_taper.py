"""A taper under way: it begins with a shared decision, and pauses, slows and goes back as people need."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from stewardship.domain.errors import Conflict, InvalidInput
from stewardship.domain.taper import (
    Taper,
    TaperAct,
    TaperStatus,
    begin,
    complete,
    pause,
    resume,
    reverse,
    slow,
    stop,
)
from tests.plans.tapering import DECIDED, START, a_taper, daily, declared, schedule

TERMS = declared().tapers
#: Five weeks after the start: the second step.
SECOND = START + timedelta(35)


def whole(taper: Taper) -> None:
    """Steps follow each other without a gap, whatever was done."""
    for before, after in pairwise(taper.steps):
        assert before.starts_on + timedelta(before.days) == after.starts_on
    assert taper.steps[-1].mg_per_week == 0


@pytest.mark.parametrize(
    ("without", "pointer"),
    [
        ({"agreed": False}, "/decision/agreed"),
        ({"words": " "}, "/decision/words"),
        ({"on": date(2026, 12, 2)}, "/decision/on"),
    ],
)
def test_it_does_not_begin_without_a_shared_decision(without: dict[str, object], pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        begin(schedule(), taper_id="t", patient_id="p", decision=replace(DECIDED, **without))
    assert [fault.pointer for fault in refused.value.faults] == [pointer]


def test_the_next_step_is_on_the_clock() -> None:
    taper = a_taper()
    assert daily(taper, date(2026, 11, 30)) == 60
    following = taper.next_step(date(2026, 11, 30))
    assert following is not None
    assert following.starts_on == START
    following = taper.next_step(START)
    assert following is not None
    assert (following.starts_on, daily(taper, START)) == (SECOND, 55)


def test_a_pause_holds_the_dose_and_everything_after_it_moves() -> None:
    taper = a_taper()
    held = pause(taper, on=START + timedelta(10), reason="a bereavement")
    assert held.next_step(START + timedelta(10)) is None
    assert daily(held, START + timedelta(300)) == 55
    again = resume(held, on=START + timedelta(50), reason="ready again")
    following = again.next_step(START + timedelta(50))
    assert following is not None
    # 25 days of the step were left when it was paused, and are left when it goes on
    assert following.starts_on == START + timedelta(50 + 25)
    assert again.steps[-1].starts_on == taper.steps[-1].starts_on + timedelta(40)
    whole(again)


def test_slower_is_from_the_dose_that_is_taken() -> None:
    slower = slow(a_taper(), on=SECOND, percent=Decimal(5), step_days=35, reason="withdrawal", terms=TERMS)
    assert daily(slower, SECOND) == 50
    following = slower.next_step(SECOND)
    assert following is not None
    assert Decimal("47.5") <= following.mg_per_week / 7 < 50
    whole(slower)


def test_faster_than_agreed_there_is_not() -> None:
    for percent, days in ((20, 35), (10, 28), (10, 35)):
        with pytest.raises(InvalidInput, match="slower"):
            slow(a_taper(), on=SECOND, percent=Decimal(percent), step_days=days, reason="", terms=TERMS)


def test_slower_never_makes_a_step_on_the_day_it_is_agreed() -> None:
    late = SECOND + timedelta(34)
    slower = slow(a_taper(), on=late, percent=Decimal(9), step_days=35, reason="", terms=TERMS)
    following = slower.next_step(late)
    assert following is not None
    assert following.starts_on > late
    whole(slower)


def test_going_back_is_to_the_dose_before_and_is_held_for_a_whole_step() -> None:
    back = reverse(a_taper(), on=SECOND + timedelta(3), reason="pain and no sleep", terms=TERMS)
    assert daily(back, SECOND + timedelta(2)) == 50
    assert daily(back, SECOND + timedelta(3)) == 55
    following = back.next_step(SECOND + timedelta(3))
    assert following is not None
    assert following.starts_on == SECOND + timedelta(3 + 35)
    assert back.changes[-1].act is TaperAct.REVERSE
    whole(back)


def test_going_back_from_the_first_step_is_to_the_dose_before_the_taper() -> None:
    back = reverse(a_taper(), on=START + timedelta(5), reason="too soon", terms=TERMS)
    assert daily(back, START + timedelta(5)) == 60
    whole(back)


def test_going_back_twice_goes_back_twice() -> None:
    third = a_taper().steps[2].starts_on
    once = reverse(a_taper(), on=third, reason="", terms=TERMS)
    twice = reverse(once, on=third + timedelta(2), reason="", terms=TERMS)
    assert [daily(t, third + timedelta(2)) for t in (once, twice)] == [50, 55]
    whole(twice)


def test_nothing_is_taken_back_before_anything_was_reduced() -> None:
    with pytest.raises(Conflict, match="not reduced"):
        reverse(a_taper(), on=START - timedelta(1), reason="", terms=TERMS)


def test_what_is_stopped_stays_as_it_is() -> None:
    over = stop(a_taper(), on=SECOND, reason="the patient's wish")
    assert (over.status, over.next_step(SECOND)) == (TaperStatus.STOPPED, None)
    for act in (pause, resume, stop):
        with pytest.raises(Conflict):
            act(over, on=SECOND, reason="")


def test_it_is_completed_at_its_end_and_not_before() -> None:
    taper = a_taper()
    with pytest.raises(Conflict, match="last step"):
        complete(taper, on=SECOND)
    assert complete(taper, on=taper.steps[-1].starts_on).status is TaperStatus.COMPLETED


def test_acts_are_not_made_before_those_that_were_made() -> None:
    held = pause(a_taper(), on=SECOND, reason="")
    with pytest.raises(InvalidInput, match="last act"):
        resume(held, on=SECOND - timedelta(1), reason="")
