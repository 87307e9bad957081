"""Triggers of care: each number on its boundary, what is missing asked for, what lies ahead dated."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from stewardship.declarations import Library, load
from stewardship.domain.orders import Phase
from stewardship.domain.triggers import Act, Change, Limit, Pulled, Story, follow_ups, pull, routing

TODAY = date(2026, 11, 21)


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


def story(days: int | None = None, **more: object) -> Story:
    onset = None if days is None else TODAY - timedelta(days)
    return replace(Story(TODAY, onset_on=onset), **more)


def ids(found: Pulled) -> set[str]:
    return {f.trigger.id for f in found.fired}


@pytest.mark.parametrize(
    ("trigger", "holds", "does_not"),
    [
        ("first-days", story(4), story(5)),
        ("no-improvement-days", story(4, change=Change.SAME), story(4, change=Change.BETTER)),
        ("no-improvement-days", story(90, change=Change.WORSE), story(91, change=Change.WORSE)),
        (
            "conservative-weeks",
            story(14, change=Change.SAME, conservative=True),
            story(13, change=Change.SAME, conservative=True),
        ),
        ("pain-prevents-exercise", story(1, prevents_exercise=True), story(30, prevents_exercise=False)),
        ("three-months", story(90, adequate_relief=False), story(89, adequate_relief=False)),
        (
            "limits-life",
            story(phase=Phase.CHRONIC, limits=frozenset({Limit.SLEEP})),
            story(phase=Phase.CHRONIC, limits=frozenset()),
        ),
        ("work-limited", story(limits=frozenset({Limit.WORK})), story(limits=frozenset({Limit.SLEEP}))),
        (
            "residual-after-spine-surgery",
            story(residual_after_surgery=True, surgery_on=TODAY - timedelta(90)),
            story(residual_after_surgery=True, surgery_on=TODAY - timedelta(89)),
        ),
        (
            "crps-fibromyalgia-failed-back",
            story(conditions=frozenset({"fibromyalgia"})),
            story(conditions=frozenset({"facet"})),
        ),
        (
            "wants-to-reduce",
            story(on_opioid=True, wants_to_reduce=True),
            story(on_opioid=False, wants_to_reduce=True),
        ),
        ("neurological-deficit", story(neurological_deficit=True), story(neurological_deficit=False)),
        (
            "chronic-treated-as-acute",
            story(phase=Phase.CHRONIC, on_opioid=True, active_rehab=False),
            story(phase=Phase.CHRONIC, on_opioid=True, active_rehab=True),
        ),
        (
            "no-surgery-nothing-else",
            story(surgical_candidate=False, nothing_else_offered=True),
            story(surgical_candidate=False, nothing_else_offered=False),
        ),
    ],
)
def test_each_trigger_on_its_boundary(library, trigger, holds, does_not):
    assert trigger in ids(pull(holds, library.triggers.rules))
    assert trigger not in ids(pull(does_not, library.triggers.rules))


def test_a_missing_fact_is_asked_for_and_fires_nothing(library):
    found = pull(story(20), library.triggers.rules)
    needs = {o.trigger.id: o.needs for o in found.open}
    assert needs["conservative-weeks"] == ("conservative", "change")
    assert "conservative-weeks" not in ids(found)


def test_what_is_known_not_to_hold_asks_for_nothing(library):
    found = pull(story(20, change=Change.BETTER), library.triggers.rules)
    assert "conservative-weeks" not in {o.trigger.id for o in found.open}


def test_a_day_that_lies_ahead_is_an_entry_for_the_clock(library):
    found = pull(story(2, change=Change.SAME), library.triggers.rules)
    ahead = {a.trigger.id: a for a in found.ahead}["no-improvement-days"]
    assert (ahead.opens_on, ahead.due_on) == (TODAY + timedelta(2), TODAY + timedelta(5))


def test_one_reason_makes_pain_complex_and_each_is_named(library):
    plain = routing(pull(story(3), library.triggers.rules))
    assert (plain.straightforward, list(plain.specialties)) == (True, ["primary-care"])
    hard = routing(pull(story(3, prevents_exercise=True), library.triggers.rules))
    assert (hard.straightforward, list(hard.specialties)) == (False, ["pain-medicine"])
    assert [t.id for t in hard.because] == ["pain-prevents-exercise"]
    assert routing(pull(story(), library.triggers.rules)).straightforward is None


def test_residual_pain_after_spine_surgery_comes_with_what_to_think_of(library):
    (rule,) = (r for r in library.triggers.rules if r.id == "residual-after-spine-surgery")
    assert len(rule.checklist) == 5


# --- the days on which somebody looks again -------------------------------------------------------------


def again(found) -> list[tuple[str, int, int]]:
    """Which triggers open in how many days, and are due in how many."""
    return [(f.trigger.id, (f.opens_on - TODAY).days, (f.due_on - TODAY).days) for f in found]


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        # Nothing but the onset is known: the call of the fourth to seventh day finds out the rest.
        (story(0), [("no-improvement-days", 4, 7)]),
        (story(3), [("no-improvement-days", 1, 4)]),
        # Looked at on the fifth day and no better: the next look is the referral of the second week.
        (story(5, change=Change.SAME), [("conservative-weeks", 9, 16)]),
        (
            story(5, change=Change.SAME, conservative=True, adequate_relief=False),
            [("conservative-weeks", 9, 16), ("three-months", 85, 86)],
        ),
        (story(20, change=Change.SAME, conservative=True), [("three-months", 70, 71)]),
        # What gets better is left in peace, but for what is known not to be enough.
        (story(5, change=Change.BETTER), []),
        (story(5, change=Change.BETTER, adequate_relief=False), [("three-months", 85, 86)]),
        (story(), []),
        (story(400, change=Change.SAME), []),
        (
            story(5, change=Change.SAME, conservative=True, adequate_relief=True),
            [("conservative-weeks", 9, 16)],
        ),
        (
            story(residual_after_surgery=True, surgery_on=TODAY - timedelta(10)),
            [("residual-after-spine-surgery", 80, 80)],
        ),
    ],
)
def test_days_on_which_time_alone_asks_for_a_look(library, told, asked):
    assert again(follow_ups(told, library.triggers.rules)) == asked


def test_the_look_of_the_first_week_is_not_asked_for_after_three_months(library):
    (first,) = follow_ups(story(0), library.triggers.rules)
    assert first.until_on == TODAY + timedelta(90)


def test_urgent_comes_first_and_is_no_question_of_opioids(library):
    found = pull(story(2, neurological_deficit=True), library.triggers.rules)
    assert found.fired[0].trigger.act is Act.URGENT
    assert "not a question of opioids" in found.fired[0].trigger.say


def test_nobody_waits_for_weeks_whom_pain_keeps_from_exercise(library):
    early = story(5, prevents_exercise=True, change=Change.SAME, conservative=False)
    assert "pain-prevents-exercise" in ids(pull(early, library.triggers.rules))


def test_every_specialty_is_routed_to(library):
    routed = {route for rule in library.triggers.rules for route in rule.routes}
    assert routed == set(library.triggers.specialties)
