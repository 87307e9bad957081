"""What a goal must say, and what is sent back."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from stewardship.declarations.goals import read_goal_terms
from stewardship.declarations.places import REFERENCE
from stewardship.domain.errors import InvalidInput
from stewardship.domain.goals import FunctionGoal, goal

TERMS = read_goal_terms(REFERENCE)
TODAY = date(2026, 11, 21)


def a_goal(**differs: Any) -> FunctionGoal:
    """Walk to the shop: ten minutes now, twenty-five by the end of March."""
    given: dict[str, Any] = {
        "activity": "Walk to the shop",
        "baseline": "10 minutes, then a rest",
        "target": "25 minutes without a rest",
        "due_on": date(2027, 3, 31),
    }
    return goal(**(given | differs), terms=TERMS, today=TODAY)


def faults(**differs: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        a_goal(**differs)
    return {fault.pointer: fault.code for fault in refused.value.faults}


def test_an_activity_a_baseline_a_target_and_a_day():
    assert a_goal().due_on == date(2027, 3, 31)


@pytest.mark.parametrize(
    "activity",
    [
        "pain-free",
        "Pain free",
        "PAIN-FREE!",
        "To be completely pain-free",
        "I want no pain",
        "zero pain in my back",
        "0/10 pain",
        "pain score of 2",
        "no more pain every day",
        "get rid of the pain",
        "be out of pain",
        "sin dolor",
        "Páin-free",
        "live without pain",
    ],
)
def test_pain_gone_alone_is_no_goal(activity):
    with pytest.raises(InvalidInput) as refused:
        a_goal(activity=activity)
    (fault,) = refused.value.faults
    assert fault.code == "pain-alone"
    assert "for example" in fault.message
    assert activity not in fault.message


@pytest.mark.parametrize(
    "activity",
    [
        "Walk to the shop pain-free",
        "sleep through the night without pain",
        "go back to work",
        "play with my grandchildren with less pain",
        "paint the fence",
        "climb stairs",
        "дойти до магазина",
        "歩いて買い物に行く",
    ],
)
def test_an_activity_is_a_goal_whatever_is_said_about_pain(activity):
    assert a_goal(activity=activity).activity == activity


@pytest.mark.parametrize("name", ["activity", "baseline", "target"])
@pytest.mark.parametrize("text", ["", "  ", "...", "\u200b"])
def test_each_of_them_is_needed(name, text):
    assert faults(**{name: text}) == {f"/{name}": "required"}


def test_a_goal_needs_a_day():
    assert faults(due_on=None) == {"/due_on": "required"}


@pytest.mark.parametrize(("day", "ok"), [(TODAY, False), (date(2026, 11, 22), True)])
def test_a_goal_is_for_a_day_to_come(day, ok):
    if ok:
        assert a_goal(due_on=day).due_on == day
    else:
        assert faults(due_on=day) == {"/due_on": "in-the-past"}


def test_a_target_that_is_already_so():
    assert faults(target="10 minutes; then a rest") == {"/target": "same-as-baseline"}


def test_everything_that_is_missing_is_said_at_once():
    found = faults(activity="pain-free", baseline="", target="", due_on=None)
    assert set(found) == {"/activity", "/baseline", "/target", "/due_on"}
