"""Properties of the rules that no single example shows; the boundaries are in the policy files."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.chart import Condition, Gap, Observation, Plan
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.drugs import Release, Schedule
from stewardship.domain.orders import Loss, Phase, Replacement, SupplyKind
from stewardship.domain.policy import Breach, CannotTell, Met, NotApplicable
from stewardship.domain.rules import KINDS
from stewardship.domain.rules.courses import LongTermSupply, MaxDaysSupply, NoLongActingStart
from stewardship.domain.rules.overdose import ConditionPresent
from stewardship.domain.rules.refills import (
    EarlyRefill,
    MaxRefills,
    MaxTotalSupply,
    NoLostRefills,
)
from stewardship.domain.tolerance import Tolerance, ToleranceDose
from tests.builders import LONG_ACTING, TODAY, a_chart, a_drug, a_supply, an_order, tablets

SHORT = MaxDaysSupply(
    max_days=7,
    window_days=30,
    notice_above_days=3,
    unknown_supply_days=180,
    chronic_sets=("chronic-pain",),
)
FDA = Tolerance("fda-label", 7, (ToleranceDose("oxycodone", "7804", Decimal(30)),))
START = NoLongActingStart(max_gap_days=30, unknown_supply_days=180, tolerance=FDA)
EARLY = EarlyRefill(min_percent_left=Decimal(15), unknown_supply_days=180)
LA = a_drug(strength="10", form="extended release oral tablet", release=Release.EXTENDED, classes=LONG_ACTING)


def ago(days):
    return TODAY - timedelta(days=days)


SUPPLIES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10)), max_size=5)


def supplies(parts):
    return [a_supply(start=ago(start), days=days) for start, days in parts]


def is_breach(answer):
    return isinstance(answer, Breach) and not answer.notice


@given(SUPPLIES, st.integers(1, 14), st.integers(1, 14))
def test_more_days_never_remove_a_breach_of_the_short_course(parts, days, more):
    chart = a_chart(*supplies(parts))
    if is_breach(SHORT.check(an_order(days=days), chart)):
        assert is_breach(SHORT.check(an_order(days=days + more), chart))


@given(SUPPLIES, st.integers(0, 60), st.integers(1, 10), st.integers(1, 14))
def test_more_supply_before_never_removes_a_breach_of_the_short_course(parts, start, length, days):
    before = supplies(parts)
    if is_breach(SHORT.check(an_order(days=days), a_chart(*before))):
        more = a_supply(start=ago(start), days=length)
        assert is_breach(SHORT.check(an_order(days=days), a_chart(*before, more)))


@given(SUPPLIES, st.integers(1, 14))
def test_prescriptions_of_the_same_dispensings_change_nothing(parts, days):
    fills = supplies(parts)
    written = [
        replace(f, id=f"rx-{n}", kind=SupplyKind.PRESCRIPTION, prescription="") for n, f in enumerate(fills)
    ]
    named = [replace(f, prescription=f"rx-{n}") for n, f in enumerate(fills)]
    order = an_order(days=days)
    for rule in (SHORT, START, EARLY):
        assert rule.check(order, a_chart(*written, *named)) == rule.check(order, a_chart(*fills))


@given(SUPPLIES, st.integers(1, 14))
def test_an_unrelated_condition_changes_nothing(parts, days):
    before = supplies(parts)
    asthma = Condition("c-1", (Coding(ICD10CM, "J45.909"),), active=True, recorded_on=TODAY)
    order = an_order(days=days)
    for rule in (SHORT, START, EARLY):
        assert rule.check(order, a_chart(*before, conditions=(asthma,))) == rule.check(
            order, a_chart(*before)
        )


def test_every_kind_has_words_for_people_and_sets_aside_an_unrecognised_medicine():
    assert all(cls.__doc__ for cls in KINDS.values())
    for rule in (SHORT, START, EARLY, NoLostRefills(365), MaxRefills((Schedule.II,), 0)):
        assert isinstance(rule.check(an_order(unrecognised=True), a_chart()), CannotTell)
        assert isinstance(rule.check(None, a_chart()), NotApplicable)


def test_serial_courses_are_seen_before_the_days_of_the_order_are_known():
    chart = a_chart(a_supply(start=ago(10), days=7))
    assert is_breach(SHORT.check(an_order(days=None), chart))


def test_a_supply_marked_as_for_chronic_pain_is_no_short_course():
    chronic = a_supply(start=ago(20), days=30, reason_sets=frozenset({"chronic-pain"}))
    assert isinstance(SHORT.check(an_order(days=3), a_chart(chronic)), Met)


def test_the_order_itself_in_the_history_is_not_counted_twice():
    chart = a_chart(a_supply(id="order-1", kind=SupplyKind.PRESCRIPTION, days=5))
    assert SHORT.check(an_order(days=5), chart).facts["days_in_window"] == 5


def test_another_draft_in_the_same_signing_does_not_establish_long_acting_therapy():
    draft = a_supply(kind=SupplyKind.DRAFT, drug=LA, start=TODAY)
    assert isinstance(START.check(an_order(drug=LA), a_chart(draft)), Breach)


def test_a_dose_range_whose_lower_end_is_too_low_cannot_prove_tolerance():
    # One to two tablets of 5 mg four times a day: 20 to 40 mg around the defining 30 mg.
    sig = replace(tablets(1, times=4), dose_high=Decimal(2))
    chart = a_chart(a_supply(start=ago(20), days=30, dosage=(sig,)))
    assert START.check(an_order(drug=LA), chart).facts["tolerant"] == "cannot-tell"


def test_six_days_of_a_high_dose_do_not_make_tolerant():
    chart = a_chart(a_supply(start=ago(6), days=30, dosage=(tablets(2, times=4),)))
    assert START.check(an_order(drug=LA), chart).facts["tolerant"] == "no"


def test_seven_days_do():
    chart = a_chart(a_supply(start=ago(7), days=30, dosage=(tablets(2, times=4),)))
    assert START.check(an_order(drug=LA), chart).facts["tolerant"] == "yes"


def test_a_long_acting_order_without_history_is_a_start():
    chart = a_chart(gaps=(Gap("history-missing"),))
    answer = START.check(an_order(drug=LA), chart)
    assert isinstance(answer, Breach)
    assert answer.facts["tolerant"] == "cannot-tell"


def test_replacements_are_counted_for_the_case_review():
    lost = Replacement(Loss.STOLEN)
    chart = a_chart(a_supply(start=ago(100), replaces=lost), a_supply(start=ago(50), replaces=lost))
    order = an_order(replaces=Replacement(Loss.LOST))
    assert NoLostRefills(365).check(order, chart).facts["earlier_replacements"] == 2


def test_a_stopped_fill_leaves_nothing_in_hand():
    chart = a_chart(a_supply(start=ago(5), days=30, status="stopped", ended_on=ago(1)))
    assert isinstance(EARLY.check(an_order(), chart), Met)


@pytest.mark.parametrize(("left", "breach"), [(3, True), (2, False)])
def test_fifteen_percent_of_twenty_days_are_three(left, breach):
    chart = a_chart(a_supply(start=ago(20 - left), days=20))
    assert isinstance(EARLY.check(an_order(), chart), Breach) is breach


def test_an_unknown_schedule_with_refills_cannot_be_told():
    order = an_order(drug=a_drug(schedule=None), refills=2)
    assert isinstance(MaxRefills((Schedule.II,), 0).check(order, a_chart()), CannotTell)


@pytest.mark.parametrize("schedule", [Schedule.II, None])
def test_refills_that_could_not_be_read_are_not_taken_for_none(schedule):
    order = an_order(drug=a_drug(schedule=schedule), refills=None, unread=("refills",))
    answer = MaxRefills((Schedule.II,), 0).check(order, a_chart())
    assert isinstance(answer, CannotTell)


def test_refills_that_could_not_be_read_do_not_matter_where_there_is_no_limit():
    order = an_order(drug=a_drug(schedule=Schedule.NONE), refills=None, unread=("refills",))
    assert isinstance(MaxRefills((Schedule.II,), 0).check(order, a_chart()), NotApplicable)


def test_identical_drafts_add_up_to_the_ninety_days():
    drafts = [a_supply(kind=SupplyKind.DRAFT, start=TODAY + timedelta(days=31 * n), days=31) for n in (1, 2)]
    answer = MaxTotalSupply((Schedule.II,), 90).check(an_order(days=31), a_chart(*drafts))
    assert answer.facts["total_days"] == 93


def test_the_age_of_a_record_counts_to_the_day_of_signing():
    # The draft was begun when the plan was new, and is signed when it is not.
    rule = LongTermSupply(30, 90, ("plan",), ("function",))
    old = ago(100)
    chart = a_chart(
        plans=(Plan("cp-1", (), frozenset({"plan"}), from_on=old),),
        observations=(Observation("o-1", (), frozenset({"function"}), on=old),),
    )
    begun = an_order(days=30, phase=Phase.CHRONIC, written_on=ago(95))
    assert isinstance(rule.check(begun, chart), Breach)


def test_a_diagnosis_that_cannot_be_read_is_not_an_absent_one():
    rule = ConditionPresent(condition_sets=("sleep-disordered-breathing",))
    chart = a_chart(gaps=(Gap("record-unreadable", "Condition[3].code"),))
    assert isinstance(rule.check(an_order(), chart), CannotTell)
    assert isinstance(rule.check(an_order(), a_chart()), Met)
