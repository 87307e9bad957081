"""A job is done once at each moment, taken up again when it was not finished, and late when it was missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from stewardship.db import claims, transaction
from stewardship.domain.cadence import Daily, Every
from stewardship.domain.errors import Conflict
from stewardship.scheduler.running import Job, Stopped, Turn, run, run_all
from stewardship.services import job_runs
from stewardship.services.job_runs import Done
from tests.scheduler.conftest import NOW, ORGANISATION, SCHEDULER, in_zone, runs

FIVE = Every(timedelta(minutes=5))


def a_job(work: Callable[[Turn], Done] = lambda _: Done(1), cadence: Every | Daily = FIVE) -> Job:
    return Job("a-job", cadence, work)


def test_a_moment_is_looked_after_once(running, clinic, clock):
    assert run(running, a_job(), ORGANISATION).outcome == "done"
    clock.forward(minutes=4, seconds=59)
    assert run(running, a_job(), ORGANISATION).outcome == "not-due"
    clock.forward(seconds=1)
    assert run(running, a_job(), ORGANISATION).outcome == "done"
    assert [row.slot for row in runs(clinic)] == [NOW, NOW + timedelta(minutes=5)]


def test_whoever_asks_for_it_at_once_does_not_wait_for_a_moment(running, clinic, clock):
    assert run(running, a_job(), ORGANISATION, at_once=True).outcome == "done"
    clock.forward(seconds=1)
    assert run(running, a_job(), ORGANISATION, at_once=True).outcome == "done"
    # The next moment comes all the same.
    clock.forward(minutes=5)
    assert run(running, a_job(), ORGANISATION).outcome == "done"
    assert len(runs(clinic)) == 3


def test_moments_that_were_missed_are_one_run_that_says_how_late_it_is(running, clinic, clock):
    run(running, a_job(), ORGANISATION)
    clock.forward(hours=3, minutes=1)
    ran = run(running, a_job(), ORGANISATION)
    # The first moment that was missed is 12:05; it is 15:01.
    assert (ran.outcome, ran.late_seconds) == ("done", (2 * 60 + 56) * 60)
    assert [row.late_seconds for row in runs(clinic)] == [0, (2 * 60 + 56) * 60]
    clock.forward(minutes=5)
    assert run(running, a_job(), ORGANISATION).late_seconds == 0


def test_the_first_run_of_all_is_not_late(running, clock):
    daily = a_job(cadence=Daily(time(1)))
    assert run(running, daily, ORGANISATION).late_seconds == 0


def test_a_daily_job_an_hour_after_its_time_is_not_late_and_two_hours_after_is(running, clock):
    daily = a_job(cadence=Daily(time(11)))
    run(running, daily, ORGANISATION)
    clock.forward(days=1)
    assert run(running, daily, ORGANISATION).late_seconds == 0
    clock.forward(days=1, minutes=1)
    assert run(running, daily, ORGANISATION).late_seconds == 3660


def test_the_day_is_the_organisations(running, clinic, clock):
    in_zone(clinic, "Pacific/Auckland")
    days = []
    run(running, a_job(lambda turn: days.append(turn.today) or Done()), ORGANISATION)
    # At noon UTC it is one in the morning of the next day in Auckland, in November.
    assert [str(day) for day in days] == ["2026-11-22"]


def test_a_run_that_fails_says_so_and_is_tried_again_after_a_while(running, clinic, clock):
    def refuse(_: Turn) -> Done:
        raise Conflict("no", code="some-conflict")

    assert run(running, a_job(refuse, Daily(time(12))), ORGANISATION).code == "some-conflict"
    clock.forward(minutes=9)
    assert run(running, a_job(cadence=Daily(time(12))), ORGANISATION).outcome == "not-due"
    clock.forward(minutes=1)
    assert run(running, a_job(cadence=Daily(time(12))), ORGANISATION).outcome == "done"
    (row,) = runs(clinic)
    assert (row.outcome, row.attempts, row.code) == ("done", 2, "")


def test_a_fault_of_ours_is_told_without_its_words(running, clinic, caplog):
    def stumble(_: Turn) -> Done:
        raise ValueError("ZZQCANARY")

    assert run(running, a_job(stumble), ORGANISATION).code == "fault"
    assert "ZZQCANARY" not in str(runs(clinic)) + caplog.text


def test_one_jobs_fault_does_not_stop_the_others(running):
    def stumble(_: Turn) -> Done:
        raise ValueError

    ran = run_all(running, [Job("first", FIVE, stumble), Job("second", FIVE, lambda _: Done(2))])
    assert [(one.job, one.outcome, one.done) for one in ran] == [
        ("first", "failed", 0),
        ("second", "done", 2),
    ]


def test_what_another_process_is_at_is_left_to_it(running, clinic):
    with claims.claim(clinic.kw["bind"], f"job {ORGANISATION} a-job") as mine:
        assert mine
        assert run(running, a_job(), ORGANISATION).outcome == "elsewhere"
    assert runs(clinic) == []


def test_what_was_begun_and_not_finished_is_taken_up_again(running, clinic, clock):
    daily = Daily(time(12))
    with transaction(clinic) as session:
        begun = job_runs.begin(session, "a-job", daily, zone=ZoneInfo("UTC"), by=SCHEDULER, now=NOW)
    assert begun is not None
    clock.forward(minutes=30)
    assert run(running, a_job(cadence=daily), ORGANISATION).outcome == "done"
    (row,) = runs(clinic)
    assert (row.outcome, row.attempts) == ("done", 2)


def test_a_process_that_was_thought_dead_cannot_finish_what_another_took_up(running, clinic, clock):
    daily, zone = Daily(time(12)), ZoneInfo("UTC")
    with transaction(clinic) as session:
        first = job_runs.begin(session, "a-job", daily, zone=zone, by=SCHEDULER, now=NOW)
    run(running, a_job(lambda _: Done(7), daily), ORGANISATION)
    assert first is not None
    with transaction(clinic) as session:
        job_runs.finish(session, first, Done(1), by=SCHEDULER, now=NOW, took=timedelta())
    (row,) = runs(clinic)
    assert row.done == 7


def test_a_process_that_is_told_to_stop_leaves_the_rest_to_the_next(running, clinic):
    def stop(_: Turn) -> Done:
        raise Stopped

    assert run(running, a_job(stop), ORGANISATION).outcome == "stopped"
    assert run(running, a_job(lambda _: Done(3)), ORGANISATION).done == 3


# --- a clock that is set ---------------------------------------------------------------------------


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=366)], ids=["an hour", "a year"])
def test_a_clock_that_was_ahead_does_not_stop_what_is_done_every_few_minutes(running, clinic, clock, back):
    clock.at = NOW + back
    run(running, a_job(), ORGANISATION)
    clock.at = NOW + timedelta(seconds=1)
    assert run(running, a_job(), ORGANISATION).outcome == "done"
    clock.forward(minutes=5)
    assert run(running, a_job(), ORGANISATION).outcome == "done"


def test_a_clock_that_is_set_back_over_the_time_of_a_daily_job_does_not_repeat_it(running, clinic, clock):
    daily = a_job(cadence=Daily(time(12)))
    yesterday = replace(clock, at=NOW - timedelta(days=1))
    run(replace(running, clock=yesterday), daily, ORGANISATION)
    run(running, daily, ORGANISATION)
    clock.forward(minutes=-10)
    assert run(running, daily, ORGANISATION).outcome == "not-due"
    clock.forward(minutes=10)
    assert run(running, daily, ORGANISATION).outcome == "not-due"
    assert len(runs(clinic)) == 2


def test_a_clock_that_trembles_around_a_moment_makes_one_run(running, clinic, clock):
    for step in range(20):
        clock.at = NOW + timedelta(seconds=(-0.2 if step % 2 else 0.2))
        run(running, a_job(cadence=Daily(time(12))), ORGANISATION)
    # The moment of yesterday, once, and that of today.
    assert [row.slot for row in runs(clinic)] == [NOW - timedelta(days=1), NOW]


def test_a_clock_behind_the_record_is_noticed(running, clinic, clock):
    run(running, a_job(), ORGANISATION)
    clock.forward(hours=-1)
    with transaction(clinic, write=False) as session:
        assert job_runs.behind_record(session, by=SCHEDULER, now=clock()) == 3600


@pytest.mark.parametrize(
    "first", ["2027-03-12", "2026-10-30", "2028-02-27"], ids=["spring", "autumn", "leap-day"]
)
def test_a_daily_job_is_done_once_on_each_day_through_both_changes_and_a_leap_day(
    running, clinic, clock, first
):
    zone = ZoneInfo("America/New_York")
    in_zone(clinic, "America/New_York")
    noon = NOW.fromisoformat(f"{first}T12:00:00").replace(tzinfo=zone).astimezone(UTC)
    # Whenever somebody looks; at the time of each change too.
    for minutes in range(0, 5 * 24 * 60, 230):
        clock.at = noon + timedelta(minutes=minutes)
        run(running, a_job(cadence=Daily(time(2, 30))), ORGANISATION)
    days = [row.slot.astimezone(zone).date() for row in runs(clinic)]
    assert days == [noon.date() + timedelta(n) for n in range(6)]
