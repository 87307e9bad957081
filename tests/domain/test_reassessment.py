"""When the next look is due: each line of the shipped clock, at its boundary."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from stewardship.declarations.instruments import read_instruments
from stewardship.declarations.places import REFERENCE
from stewardship.declarations.reassessment import read_working_days, working_days
from stewardship.domain.chart import Condition, Gap, Observation, Procedure
from stewardship.domain.codes import CPT, ICD10CM, Coding
from stewardship.domain.drugs import DrugClass, Release
from stewardship.domain.errors import InvalidInput
from stewardship.domain.orders import SupplyKind
from stewardship.domain.reassessment import satisfies_review
from stewardship.domain.workdays import WorkingDays
from tests.builders import a_chart, a_drug, a_supply
from tests.domain.clocking import (
    METHADONE,
    MORPHINE_ER,
    TODAY,
    ago,
    asked,
    clock,
    due,
    function_on,
    taking,
)

INSTRUMENTS = read_instruments(REFERENCE)
CHRONIC = Condition("c-1", (), frozenset({"chronic-pain"}), active=True)


def by_interval(answer) -> dict[str, date]:
    return {one.interval: one.exact_on for one in answer.every}


# --- nothing due -----------------------------------------------------------------------------------


def test_without_an_opioid_nothing_is_due():
    answer = clock()
    assert (answer.due, answer.told) == (None, True)


def test_a_course_that_is_over_asks_for_nothing():
    # Three days, ended eight full days ago: one more than the gap that continues a therapy.
    assert clock(taking(11, 3)).due is None
    assert clock(taking(10, 3)).due is not None


def test_a_draft_starts_no_clock():
    assert clock(a_supply(start=ago(5), days=30, kind=SupplyKind.DRAFT)).due is None


# --- start and raise -------------------------------------------------------------------------------


def test_an_opioid_for_chronic_pain_is_looked_at_in_four_weeks():
    found = due(clock(taking(5), conditions=(CHRONIC,)))
    assert (found.interval, found.exact_on, found.since) == ("start-or-raise", ago(5 - 28), ago(5))
    assert "start" in found.reason
    assert "CDC" in found.source.title
    assert not found.source.verified


@pytest.mark.parametrize(("per_day", "interval"), [(6, "start-or-raise"), (7, "start-or-raise-50-mme")])
def test_from_fifty_mme_within_a_week(per_day, interval):
    # 6 tablets of 5 mg x 1.5 are 45 MME, 7 are 52.5
    assert due(clock(taking(5, per_day=per_day), conditions=(CHRONIC,))).interval == interval


def test_fifty_itself_is_fifty():
    drug = a_drug("morphine", "7052", "25", code="1")
    assert due(clock(taking(2, per_day=2, drug=drug))).interval == "start-or-raise-50-mme"


def test_a_long_acting_opioid_within_a_week():
    found = due(clock(taking(5, per_day=1, drug=MORPHINE_ER), conditions=(CHRONIC,)))
    assert (found.interval, found.exact_on) == ("start-or-raise-long-acting", ago(5 - 7))


def test_methadone_within_three_days():
    found = due(clock(taking(1, per_day=1, drug=METHADONE), conditions=(CHRONIC,)))
    assert (found.interval, found.exact_on) == ("start-or-raise-methadone", ago(1 - 3))


def test_a_raise_is_looked_at_although_the_start_was():
    raised = (taking(60, 30), taking(30, 33, per_day=5))
    answer = clock(*raised, observations=(function_on(ago(40)),), conditions=(CHRONIC,))
    assert by_interval(answer)["start-or-raise"] == ago(30 - 28)


def test_a_refill_of_the_same_dose_is_no_raise():
    answer = clock(taking(60, 30), taking(30), observations=(function_on(ago(40)),), conditions=(CHRONIC,))
    assert "start-or-raise" not in by_interval(answer)


def test_a_refill_after_some_days_without_is_no_raise():
    late = (taking(60, 25), taking(30))
    answer = clock(*late, observations=(function_on(ago(40)),), conditions=(CHRONIC,))
    assert "start-or-raise" not in by_interval(answer)


@pytest.mark.parametrize(("per_day", "raised"), [(11, False), (12, True)])
def test_ten_percent_more_is_not_yet_a_raise(per_day, raised):
    fills = (taking(60, 30, per_day=10), taking(30, per_day=per_day))
    answer = clock(*fills, observations=(function_on(ago(40)),))
    assert ("start-or-raise" in by_interval(answer)) is raised


def test_a_long_acting_opioid_added_later_is_a_start_of_its_own():
    fills = (taking(60), taking(2, per_day=1, drug=MORPHINE_ER))
    answer = clock(*fills, observations=(function_on(ago(40)),))
    assert by_interval(answer)["start-or-raise-long-acting"] == ago(2 - 7)


# --- reviews ---------------------------------------------------------------------------------------


def test_a_review_on_the_day_of_the_start_is_not_yet_a_look_back():
    at_once = clock(taking(5), observations=(function_on(ago(5)),), conditions=(CHRONIC,))
    assert due(at_once).interval == "start-or-raise"


def test_a_review_done_early_counts():
    early = clock(taking(5), observations=(function_on(ago(4)),), conditions=(CHRONIC,))
    assert "start-or-raise" not in by_interval(early)
    assert due(early).exact_on == ago(4 - 90)


def test_a_pain_score_alone_is_no_review():
    pain = Observation("o-1", (Coding("loinc", "72514-3"),), frozenset(), on=ago(4), value=Decimal(2))
    assert due(clock(taking(5), observations=(pain,), conditions=(CHRONIC,))).interval == "start-or-raise"
    assert not satisfies_review([INSTRUMENTS["pain-intensity"], INSTRUMENTS["opioid-risk-tool"]])
    assert satisfies_review([INSTRUMENTS["pain-intensity"], INSTRUMENTS["peg"]])


def test_a_review_that_the_chart_does_not_hold_counts_too():
    chart = a_chart(taking(5), conditions=(CHRONIC,))
    assert due(asked(chart, reviews=(ago(1),))).exact_on == ago(1 - 90)


def test_a_review_of_tomorrow_has_not_been():
    chart = a_chart(taking(5), conditions=(CHRONIC,))
    assert due(asked(chart, reviews=(ago(-1),))).interval == "start-or-raise"


# --- while on therapy ------------------------------------------------------------------------------


def test_acute_use_that_goes_on_every_two_weeks():
    assert due(clock(taking(5))).exact_on == ago(5 - 14)
    again = clock(taking(16), observations=(function_on(ago(2)),))
    assert due(again).exact_on == ago(2 - 14)


def test_after_the_first_month_it_is_no_longer_acute():
    # The second review on day 17 of therapy would put the next one on day 31.
    answer = clock(taking(20), observations=(function_on(ago(3)),))
    assert due(answer).interval == "long-term"
    answer = clock(taking(20), observations=(function_on(ago(4)),))
    assert due(answer).interval == "acute-continued"


def test_long_term_every_three_months():
    answer = clock(taking(200), observations=(function_on(ago(10)),))
    assert (due(answer).interval, due(answer).exact_on) == ("long-term", ago(10 - 90))


RISKS = [
    ("long-term-mental-health", 60, Condition("c", (Coding(ICD10CM, "F33.1"),), active=True)),
    ("long-term-substance-use", 30, Condition("c", (), frozenset({"opioid-use-disorder"}), active=True)),
    ("long-term-overdose", 30, Condition("c", (), frozenset({"opioid-overdose"}), active=False)),
]


@pytest.mark.parametrize(("interval", "days", "condition"), RISKS)
def test_a_risk_shortens_the_interval(interval, days, condition):
    answer = clock(taking(200), observations=(function_on(ago(10)),), conditions=(condition,))
    assert (due(answer).interval, due(answer).exact_on) == (interval, ago(10 - days))


def test_a_depression_that_is_over_shortens_nothing():
    over = Condition("c", (Coding(ICD10CM, "F33.1"),), active=False)
    assert (
        due(clock(taking(200), observations=(function_on(ago(10)),), conditions=(over,))).interval
        == "long-term"
    )


def test_a_risk_recorded_today_is_not_overdue_at_once():
    new = Condition("c", (Coding(ICD10CM, "F33.1"),), active=True, recorded_on=TODAY)
    answer = clock(taking(200), observations=(function_on(ago(80)),), conditions=(new,))
    assert by_interval(answer)["long-term-mental-health"] == ago(-60)
    assert due(answer).interval == "long-term"


def test_a_benzodiazepine_beside_it():
    classes = frozenset({DrugClass.BENZODIAZEPINE, DrugClass.CNS_DEPRESSANT})
    beside = a_drug("diazepam", "3322", code="2", classes=classes, release=Release.IMMEDIATE)
    answer = clock(taking(200), taking(150, drug=beside), observations=(function_on(ago(10)),))
    assert (due(answer).interval, due(answer).exact_on) == ("long-term-cns-depressant", ago(10 - 60))


def test_the_opioid_itself_is_not_a_depressant_beside_it():
    classes = frozenset({DrugClass.OPIOID, DrugClass.OPIOID_ANALGESIC, DrugClass.CNS_DEPRESSANT})
    answer = clock(taking(200, drug=a_drug(classes=classes)), observations=(function_on(ago(10)),))
    assert due(answer).interval == "long-term"


def test_fifty_mme_long_term():
    answer = clock(taking(200, per_day=7), observations=(function_on(ago(10)),))
    assert (due(answer).interval, due(answer).exact_on) == ("long-term-50-mme", ago(10 - 60))


# --- after a procedure -------------------------------------------------------------------------------

ABLATION = Procedure("p-1", (Coding(CPT, "64635"),), on=ago(100))


def test_the_fading_of_an_ablation_is_looked_at_without_any_opioid():
    assert due(clock(procedures=(ABLATION,))).exact_on == ago(100 - 180)


@pytest.mark.parametrize(("after", "asked_again"), [(119, True), (120, False)])
def test_a_review_too_soon_after_it_says_nothing_of_the_fading(after, asked_again):
    ablation = replace(ABLATION, on=ago(150))
    answer = clock(procedures=(ablation,), observations=(function_on(ago(150 - after)),))
    assert (answer.due is not None) is asked_again


def test_a_stimulation_trial_has_a_result_within_a_week():
    trial = Procedure("p-1", (Coding(CPT, "63650"),), on=ago(2))
    assert due(clock(procedures=(trial,))).exact_on == ago(2 - 7)
    assert clock(procedures=(replace(trial, done=False),)).due is None


# --- what is not known -------------------------------------------------------------------------------


def test_a_gap_in_the_history_is_named():
    answer = clock(gaps=(Gap("history-missing"),))
    assert (answer.due, answer.missing) == (None, ("history",))


def test_an_opioid_of_unknown_length_may_still_be_taken():
    answer = clock(a_supply(start=ago(60), days=None))
    assert (answer.due, answer.missing) == (None, ("history.days_supply",))


def test_a_medicine_that_nobody_recognises_is_named():
    assert clock(a_supply(start=ago(5), days=30, unrecognised=True)).missing == ("history.drug",)


def test_a_dose_that_cannot_be_added_up_is_named_and_the_rest_is_told():
    answer = clock(a_supply(start=ago(5), days=30))
    assert "mme" in answer.missing
    assert due(answer).exact_on == ago(5 - 14)


# --- working days --------------------------------------------------------------------------------------

US = read_working_days(REFERENCE)


@pytest.mark.parametrize(
    ("exact", "after", "on"),
    [
        (date(2026, 11, 25), date(2026, 11, 1), date(2026, 11, 25)),  # a Wednesday
        (date(2026, 11, 26), date(2026, 11, 1), date(2026, 11, 25)),  # Thanksgiving
        (date(2026, 11, 29), date(2026, 11, 1), date(2026, 11, 27)),  # a Sunday
        (date(2028, 2, 29), date(2028, 2, 1), date(2028, 2, 29)),  # a leap day, a Tuesday
        (date(2026, 12, 27), date(2026, 12, 24), date(2026, 12, 28)),  # three days from Christmas Eve
        (date(2027, 1, 1), date(2026, 12, 30), date(2026, 12, 31)),  # New Year
    ],
)
def test_due_on_the_last_working_day_in_time(exact, after, on):
    assert US.due(exact, after=after) == on


def test_a_calendar_that_never_works_is_passed_over():
    never = WorkingDays(frozenset(range(7)))
    assert never.due(date(2026, 11, 25), after=date(2026, 11, 1)) == date(2026, 11, 25)


def test_places_have_calendars_of_their_own():
    # Patriots' Day is a holiday in Massachusetts.
    assert US.works(date(2026, 4, 20))
    assert not working_days("US", "MA").works(date(2026, 4, 20))
    assert working_days("AE", weekend=frozenset({6, 7})).works(date(2026, 11, 25))


def test_a_place_that_nobody_knows_is_refused():
    with pytest.raises(InvalidInput):
        working_days("XX")


def test_the_clock_gives_the_working_day_and_the_exact_one():
    # Started on Monday 16 November, methadone: Thursday. Moved only when nobody works then.
    chart = a_chart(taking(5, per_day=1, drug=METHADONE), conditions=(CHRONIC,))
    holiday = WorkingDays(frozenset({5, 6}), lambda day: day == date(2026, 11, 19))
    found = due(asked(chart, calendar=holiday))
    assert (found.exact_on, found.on) == (date(2026, 11, 19), date(2026, 11, 18))


@pytest.mark.parametrize("day", [date(2027, 3, 14), date(2027, 11, 7), date(2028, 2, 29)])
def test_daylight_saving_and_a_leap_day_move_nothing(day):
    # The same start, asked on each of the days around: the answer stays the same.
    start = day - timedelta(3)
    answers = {
        due(
            asked(
                a_chart(
                    a_supply(start=start, days=30, quantity=120),
                    as_of=datetime(on.year, on.month, on.day, hour, 30, tzinfo=UTC),
                )
            )
        ).exact_on
        for on in (day - timedelta(1), day, day + timedelta(1))
        for hour in (0, 6, 7, 23)
    }
    assert answers == {start + timedelta(14)}
