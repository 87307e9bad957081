"""Flags about function: what raises each, what just does not, and which prescription it labels."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from stewardship.declarations.factors import read_factor_sets
from stewardship.declarations.flags import read_flags
from stewardship.declarations.function_flags import read_function_terms
from stewardship.declarations.instruments import read_instruments
from stewardship.declarations.places import REFERENCE
from stewardship.domain.flags.function import (
    Function,
    MissedReview,
    ReachedGoal,
    declining,
    dose_up_function_flat,
    goal_reached,
    look,
    next_on,
    no_function_measure,
    review_missed,
)
from stewardship.domain.flags.history import Flag, Untold, history
from stewardship.domain.measurements import Measured, Reporter, scored, trends
from stewardship.domain.orders import Supply
from tests.builders import TODAY, a_supply
from tests.domain.clocking import ago

TERMS = read_function_terms(REFERENCE)
FLAGS = read_flags(REFERENCE, read_factor_sets(REFERENCE))
INSTRUMENTS = read_instruments(REFERENCE)


def fill(name: str, since: int, days: int = 30, *, per_day: int = 4, **more: object) -> Supply:
    """Oxycodone 5 mg, so many tablets a day: 7.5 MME each."""
    given: dict[str, object] = {"id": name, "start": ago(since), "days": days, "quantity": per_day * days}
    return a_supply(**(given | more))  # type: ignore[arg-type]


def monthly(months: int, *, per_day: int = 4, until: int = 0) -> list[Supply]:
    """Fills of thirty days, the last one so many days before it would be today's."""
    return [fill(f"m-{n}", until + 29 + 30 * (months - 1 - n), per_day=per_day) for n in range(months)]


def peg(since: int, function: int | None, *, pain: int = 5) -> Measured:
    """A PEG whose two items of function are the same; 0 is best."""
    answers = {"pain": Decimal(pain)}
    if function is not None:
        answers |= {"enjoyment": Decimal(function), "activity": Decimal(function)}
    day = ago(since)
    score = scored(INSTRUMENTS, "peg", 1, answers, sex="")
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return Measured(f"peg-{since}", "peg", 1, at, day, answers, Reporter.CLINICIAN, True, score)


def seen(*supplies: Supply, measured: tuple[Measured, ...] = (), **more: object) -> Function:
    given: dict[str, object] = {
        "history": history(supplies, FLAGS.common, as_of=TODAY),
        "trends": trends(INSTRUMENTS, measured),
        "measured_on": tuple(m.taken_on for m in measured),
    }
    return Function(**(given | more))  # type: ignore[arg-type]


# --- missed reviews --------------------------------------------------------------------------------


def missed(since: int) -> tuple[MissedReview, ...]:
    return (MissedReview("r-1", "long-term", ago(since)),)


def test_a_fill_after_the_day_of_a_missed_review_is_flagged_and_keeps_its_label():
    (found,) = review_missed(seen(fill("a", 60), fill("b", 25), missed=missed(30)))
    assert isinstance(found, Flag)
    assert (found.supply, found.facts["supplies_since"]) == ("b", 1)
    (later,) = review_missed(seen(fill("a", 60), fill("b", 25), fill("c", 1), missed=missed(30)))
    assert isinstance(later, Flag)
    assert later.key == found.key


def test_a_missed_review_without_a_fill_since_is_not_flagged():
    assert not list(review_missed(seen(fill("a", 30), missed=missed(30))))


# --- decline ------------------------------------------------------------------------------------------


def test_function_that_is_worse_than_at_first_is_flagged_from_when_it_was():
    measured = (peg(80, 4), peg(50, 6), peg(10, 6))
    (found,) = declining(seen(*monthly(4), measured=measured), TERMS)
    assert isinstance(found, Flag)
    assert (found.on, found.until) == (ago(50), ago(10))


@pytest.mark.parametrize(
    "measured",
    [
        (peg(80, 6), peg(10, 6)),
        (peg(80, 6), peg(10, 4)),
        (peg(80, 4), peg(50, 6), peg(10, 4)),
        (peg(80, 4),),
        (peg(80, 4, pain=2), peg(10, 4, pain=9)),
    ],
    ids=["same", "better", "recovered", "once", "pain-alone"],
)
def test_what_is_no_decline(measured):
    assert not list(declining(seen(*monthly(4), measured=measured), TERMS))


def test_a_decline_of_somebody_who_takes_no_opioid_is_not_flagged_here():
    measured = (peg(80, 4), peg(10, 8))
    assert not list(declining(seen(fill("a", 200), measured=measured), TERMS))


# --- more dose, no more function --------------------------------------------------------------------------


def risen(to: int = 8) -> list[Supply]:
    """Two months at 30 MME, then one at more."""
    return [*monthly(2, until=30), fill("up", 29, per_day=to)]


def test_a_higher_dose_without_better_function_is_flagged_with_the_fill_that_raised_it():
    (found,) = dose_up_function_flat(seen(*risen(), measured=(peg(60, 7), peg(5, 7))), TERMS)
    assert isinstance(found, Flag)
    assert (found.supply, found.facts["mme_before"], found.facts["mme_after"]) == ("up", 30, 60)
    assert found.facts["function"] == "unchanged"


def test_a_higher_dose_with_better_function_is_not_flagged():
    assert not list(dose_up_function_flat(seen(*risen(), measured=(peg(60, 7), peg(5, 4))), TERMS))


def test_the_same_dose_without_better_function_is_not_this_flag():
    assert not list(dose_up_function_flat(seen(*monthly(3), measured=(peg(60, 7), peg(5, 7))), TERMS))


@pytest.mark.parametrize(("apart", "flags"), [(14, 1), (13, 0)])
def test_measurements_too_near_to_each_other_are_not_compared(apart, flags):
    measured = (peg(5 + apart, 7), peg(5, 7))
    supplies = [*monthly(2, until=15), fill("up", 14, 30, per_day=8)]
    assert len(list(dose_up_function_flat(seen(*supplies, measured=measured), TERMS))) == flags


def test_a_dose_that_was_not_known_before_is_told_as_not_known():
    unknown = fill("odd", 89, 60, unrecognised=True)
    (found,) = dose_up_function_flat(seen(unknown, *risen(), measured=(peg(60, 7), peg(5, 7))), TERMS)
    assert found == Untold("dose-up-function-flat", "up", ("mme",))


# --- goals and measures ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("since", "flags"), [(90, 1), (91, 0)])
def test_a_goal_reached_on_opioids_is_told_for_ninety_days(since, flags):
    found = list(goal_reached(seen(*monthly(6), reached=(ReachedGoal("g-1", ago(since)),)), TERMS))
    assert len(found) == flags


def test_a_goal_reached_without_opioids_is_no_flag():
    assert not list(goal_reached(seen(fill("a", 200), reached=(ReachedGoal("g-1", ago(5)),)), TERMS))


@pytest.mark.parametrize(
    ("on_opioids", "measured_since", "flags"),
    [(91, None, 1), (90, None, 0), (150, 91, 1), (150, 90, 0), (150, 149, 1), (20, None, 0)],
)
def test_long_on_opioids_without_a_measure_of_function(on_opioids, measured_since, flags):
    supply = fill("a", on_opioids, on_opioids + 10)
    days = () if measured_since is None else (ago(measured_since),)
    assert len(list(no_function_measure(seen(supply, measured_on=days), TERMS))) == flags


def test_a_measure_of_before_this_therapy_does_not_count():
    supply = fill("a", 100, 110)
    assert len(list(no_function_measure(seen(supply, measured_on=(ago(120),)), TERMS))) == 1


def test_when_to_look_again_is_the_day_on_which_a_measure_is_missed():
    supply = fill("a", 30, 200)
    again = next_on(seen(supply), TERMS)
    assert again == ago(30) + timedelta(91)
    later: list[date] = []
    for day in (again - timedelta(1), again):
        whole = history([supply], FLAGS.common, as_of=day)
        later += [day] * len(list(look(Function(whole), TERMS)))
    assert later == [again]
