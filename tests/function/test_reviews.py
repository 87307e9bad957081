"""Reviews: planned by the clock, opened in time, done on a measurement of function, missed, cancelled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from stewardship.db import tables, transaction
from stewardship.domain.chart import Patient
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.domain.reviews import State
from stewardship.services import reassessments
from tests.function.acting import Acting
from tests.services.declared import ELSEWHERE


@pytest.fixture
def start(clinic, library):
    """The day on which a patient starts thirty days of oxycodone: 30 MME a day."""
    acting = Acting(clinic, library)
    acting.takes("p-1", acting.oxycodone(30))
    acting.reconsider("p-1")
    return acting


def test_a_start_is_looked_at_within_four_weeks(start):
    found = start.open_review("p-1").review
    assert (found.interval, found.state) == ("acute-continued", State.PLANNED)
    assert found.exact_on == start.today + timedelta(14)


def test_the_clock_asked_twice_changes_nothing_the_second_time(start):
    assert not start.reconsider("p-1")
    assert len(start.reviews("p-1")) == 1


def test_it_opens_a_week_before_its_day_and_is_missed_the_day_after(start):
    due_on = start.open_review("p-1").review.due_on
    days = (due_on - start.today).days
    assert start.later(days - 8).open_due() == 0
    assert start.later(days - 7).open_due() == 1
    assert start.later(days - 7).open_due() == 0
    assert start.open_review("p-1").review.state is State.DUE
    assert start.later(days).open_due() == 0
    assert start.later(days + 1).open_due() == 1
    (item,) = start.later(days + 3).worklist()
    assert (item.state, item.late_days, item.patient_id) == (State.MISSED, 3, "p-1")


def test_what_fell_due_while_nobody_looked_is_opened_once_and_says_how_late(start):
    due_on = start.open_review("p-1").review.due_on
    slept = start.later((due_on - start.today).days - 2)
    assert slept.open_due() == 1
    found = start.open_review("p-1")
    assert found.opened_late_days == 5
    assert found.review.state is State.DUE


def test_it_is_done_on_a_measurement_of_function_and_the_next_is_planned(start):
    then = start.later(10)
    measured = then.measure("p-1")
    done = then.complete(start.open_review("p-1").id, measured.id)
    assert (done.review.state, done.review.done_on, done.measurements) == (
        State.DONE, then.today, (measured.id,),
    )  # fmt: skip
    following = then.open_review("p-1").review
    assert (following.interval, following.exact_on) == ("acute-continued", then.today + timedelta(14))


def test_completed_twice_is_completed_once_and_another_completion_conflicts(start):
    then = start.later(10)
    review, measured = start.open_review("p-1").id, then.measure("p-1").id
    assert then.complete(review, measured) == then.complete(review, measured)
    with pytest.raises(Conflict, match="u-prescriber"):
        then.complete(review, measured, note="Something else.")


def test_a_pain_score_alone_is_no_review(start):
    then = start.later(10)
    measured = then.measure("p-1", "pain-intensity", pain=3)
    with pytest.raises(InvalidInput, match="pain score alone"):
        then.complete(start.open_review("p-1").id, measured.id)


def test_a_peg_of_which_only_the_pain_was_answered_is_no_review(start):
    then = start.later(10)
    measured = then.measure("p-1", pain=3)
    assert not measured.function
    with pytest.raises(InvalidInput, match="pain score alone"):
        then.complete(start.open_review("p-1").id, measured.id)


def test_a_review_rests_on_nothing_of_before_the_start(start):
    measured = start.measure("p-1")
    with pytest.raises(InvalidInput) as refused:
        start.later(10).complete(start.open_review("p-1").id, measured.id)
    assert refused.value.faults[0].pointer == "/measurements/0"


def test_a_review_rests_on_nothing_of_another_patient(start):
    then = start.later(10)
    with pytest.raises(NotFound):
        then.complete(start.open_review("p-1").id, then.measure("p-2").id)


def test_what_a_clinician_measured_closes_it_when_the_clock_is_asked_and_it_can_still_be_completed(start):
    review = start.open_review("p-1").id
    then = start.later(10)
    measured = then.measure("p-1")
    changes = then.reconsider("p-1")
    assert changes.done == (review,)
    by_clock = next(r for r in then.reviews("p-1") if r.id == review)
    assert (by_clock.review.done_on, by_clock.closed_by) == (then.today, None)
    done = then.complete(review, measured.id)
    assert done.closed_by == "u-prescriber"


def test_what_a_patient_answered_alone_is_not_looked_at_until_a_review_does(start):
    review = start.open_review("p-1").id
    then = start.later(10)
    measured = then.measure("p-1", source="patient")
    assert not then.reconsider("p-1")
    then.complete(review, measured.id)
    assert then.open_review("p-1").review.since == then.today


def test_cancelled_with_a_reason_it_is_asked_again_after_its_interval(start):
    then = start.later(10)
    review = start.open_review("p-1").id
    with pytest.raises(InvalidInput):
        then.cancel(review, " ")
    ended = then.cancel(review)
    assert (ended.review.state, ended.excused) == (State.CANCELLED, True)
    assert then.open_review("p-1").review.exact_on == then.today + timedelta(14)
    assert then.cancel(review) == ended


def test_what_is_no_longer_needed_is_cancelled_by_the_clock(start):
    over = start.later(45)
    changes = over.reconsider("p-1")
    assert changes.cancelled
    assert not changes.planned
    (record,) = start.reviews("p-1")
    assert (record.review.reason, record.closed_by, record.excused) == ("no longer needed", None, False)


def test_nobody_is_reviewed_who_has_died(start):
    start.takes("p-1", patient=Patient("p-1", date(1980, 5, 1), "female", True))
    assert start.reconsider("p-1").cancelled


def test_a_worklist_is_the_prescribers_until_somebody_is_assigned(start):
    then = start.later(10)
    then.open_due()
    assert [i.clinician for i in then.worklist("dr-1")] == ["dr-1"]
    with transaction(start.sessions) as session:
        reassessments.assign(session, start.open_review("p-1").id, clinician="dr-2", by=then.by, now=then.now)
    then.takes("p-1", then.oxycodone(30, prescriber="dr-3"))
    then.reconsider("p-1")
    assert not then.worklist("dr-1")
    assert len(then.worklist("dr-2")) == 1


def test_another_organisation_sees_nothing(start, clinic, library):
    elsewhere = Acting(clinic, library, start.now, ELSEWHERE)
    review = start.open_review("p-1").id
    assert elsewhere.reviews("p-1") == ()
    with pytest.raises(NotFound):
        elsewhere.cancel(review)
    assert elsewhere.later(14).open_due() == 0


def test_two_schedulers_at_once_open_each_review_once(clinic, library):
    acting = Acting(clinic, library)
    names = [f"p-{n}" for n in range(12)]
    for name in names:
        acting.takes(name, acting.oxycodone(30))
        acting.reconsider(name)
    then = acting.later(13)

    def run(_):
        moved = 0
        while found := then.open_due(limit=2):
            moved += found
        return moved

    with ThreadPoolExecutor(3) as pool:
        moved = list(pool.map(run, range(3)))
    assert sum(moved) == len(names)
    with transaction(clinic, write=False) as session:
        opened = select(tables.AuditEvent.subject).where(tables.AuditEvent.action == "review.due")
        subjects = list(session.execute(opened).scalars())
    assert len(subjects) == len(set(subjects)) == len(names)


def test_asked_by_two_at_once_a_patient_still_has_one_review(clinic, library):
    acting = Acting(clinic, library)
    acting.takes("p-1", acting.oxycodone(30))
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: acting.reconsider("p-1"), range(6)))
    assert sum(bool(changes) for changes in found) == 1
    assert len(acting.reviews("p-1")) == 1


def test_a_clock_that_jumps_back_opens_nothing_twice(start):
    due_on = start.open_review("p-1").review.due_on
    ahead = start.later((due_on - start.today).days + 365)
    assert ahead.open_due() == 1
    assert start.open_due() == 0
    assert start.open_review("p-1").review.state is State.MISSED
