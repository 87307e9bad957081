"""Asking about a whole organisation: who is asked again, who is passed over, and which flags follow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from stewardship.db import flag_tables, transaction
from stewardship.domain.chart import Patient
from stewardship.domain.reviews import State
from stewardship.services import clock_passes
from stewardship.services.on_record import OnRecord
from tests.function.acting import Acting


@pytest.fixture
def acting(clinic, library):
    """Three patients: one starts, one takes nothing, one has been taking for long."""
    acting = Acting(clinic, library)
    acting.takes("p-1", acting.oxycodone(30))
    acting.takes("p-2")
    acting.takes("p-3", *(acting.oxycodone(30, ago=ago, id=f"m-{ago}") for ago in (100, 70, 40, 10)))
    return acting


def ask(acting, limit=100):
    """A whole pass: of how many the clock was asked, and of how many that changed something."""
    asked = changed = 0
    position = ""
    while position is not None:
        with transaction(acting.sessions) as session:
            passed = clock_passes.ask_portion(
                session, acting.library, acting.by.organisation_id,
                today=acting.today, now=acting.now, by=acting.by, after=position, limit=limit,
            )  # fmt: skip
        asked, changed, position = asked + passed.asked, changed + passed.changed, passed.position
    return asked, changed


def flags(acting):
    with transaction(acting.sessions, write=False) as session:
        rows = session.execute(
            select(flag_tables.Flag.kind, flag_tables.Flag.label, flag_tables.Flag.status).order_by(
                flag_tables.Flag.kind
            )
        )
        return [tuple(row) for row in rows]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_pass_plans_what_each_patient_needs_whatever_its_portions(acting, limit):
    assert ask(acting, limit) == (2, 2)
    assert acting.open_review("p-1").review.interval == "acute-continued"
    # The look of its second week was never made.
    first = acting.open_review("p-3").review
    assert (first.interval, first.exact_on) == ("acute-continued", acting.today - timedelta(86))


def test_a_second_pass_asks_nobody(acting):
    ask(acting)
    assert ask(acting) == (0, 0)
    assert ask(acting.later(1)) == (0, 0)


def test_who_has_something_new_is_asked_again(acting):
    ask(acting)
    then = acting.later(1)
    then.takes("p-1", then.oxycodone(30, per_day=8))
    assert ask(then)[0] == 1
    then.measure("p-3")
    assert ask(then)[0] == 1
    then.takes("p-1", patient=Patient("p-1", date(1980, 5, 1), "female", deceased=True))
    assert ask(then) == (1, 1)


def test_who_has_nothing_new_is_asked_when_a_day_comes(acting):
    ask(acting)
    assert ask(acting.later(19)) == (0, 0)
    assert ask(acting.later(20))[0] == 1  # the supply of p-3 ends
    over = acting.later(29)
    assert ask(over) == (1, 1)  # and so does the therapy
    assert acting.reviews("p-3")[0].review.reason == "no longer needed"


def test_who_has_a_new_goal_is_asked_again(acting):
    ask(acting)
    then = acting.later(2)
    then.goal("p-1")
    assert ask(then)[0] == 1


def test_long_without_a_measure_is_a_flag_and_a_measure_ends_it(acting):
    ask(acting)
    assert flags(acting) == [("no-function-measure", "m-10", "open")]
    acting.measure("p-3")
    ask(acting)
    assert flags(acting) == [("no-function-measure", "m-10", "resolved")]


def test_a_fill_after_a_missed_review_is_a_flag_once(acting):
    ask(acting)
    due_on = acting.open_review("p-1").review.due_on
    missed = acting.later((due_on - acting.today).days + 1)
    missed.open_due()
    missed.takes("p-1", missed.oxycodone(30, id="after"))
    ask(missed)
    ask(missed.later(1))
    assert flags(acting).count(("review-missed", "after", "open")) == 1


def test_a_review_that_was_missed_after_the_last_fill_is_looked_at_again(acting):
    ask(acting)
    due_on = acting.open_review("p-1").review.due_on
    day = (due_on - acting.today).days
    before = acting.later(day - 1)
    before.takes("p-1", before.oxycodone(30, id="before"))
    ask(before)
    missed = acting.later(day + 1)
    missed.open_due()
    assert ask(missed)[0] >= 1
    assert "before" not in [label for kind, label, _ in flags(acting) if kind == "review-missed"]


def test_a_pass_that_is_interrupted_loses_nothing_and_does_nothing_twice(acting):
    with pytest.raises(RuntimeError), transaction(acting.sessions) as session:
        clock_passes.ask_portion(
            session, acting.library, acting.by.organisation_id,
            today=acting.today, now=acting.now, by=acting.by,
        )  # fmt: skip
        raise RuntimeError("killed")
    assert acting.reviews("p-1") == ()
    assert ask(acting) == (2, 2)
    assert len(acting.reviews("p-1")) == 1


def test_what_could_not_be_told_can_be_read(acting):
    then = acting.later(1)
    then.takes("p-4", replace(then.oxycodone(30), days_supply=None, quantity=None))
    ask(then)
    with transaction(acting.sessions, write=False) as session:
        told = clock_passes.untold(session, acting.by.organisation_id)
    assert "history.days_supply" in told["p-4"]


def test_passes_openings_and_people_at_once_do_not_stand_in_each_others_way(clinic, library):
    acting = Acting(clinic, library)
    names = [f"p-{n}" for n in range(10)]
    for name in names:
        acting.takes(name, acting.oxycodone(30))
        acting.reconsider(name)
    then = acting.later(13)
    reviews = {name: acting.open_review(name).id for name in names}

    def people():
        for name in names:
            then.complete(reviews[name], then.measure(name).id)

    def scheduler():
        for _ in range(6):
            ask(then, limit=10)
            then.open_due(limit=10)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(people), pool.submit(scheduler), pool.submit(scheduler)]
        for one in running:
            one.result()
    for name in names:
        states = [r.review.state for r in then.reviews(name)]
        assert states.count(State.DONE) == 1
        assert len(states) == 2


def test_when_a_missed_review_is_no_longer_needed_its_flag_goes(acting):
    ask(acting)
    due_on = acting.open_review("p-1").review.due_on
    missed = acting.later((due_on - acting.today).days + 1)
    missed.open_due()
    missed.takes("p-1", missed.oxycodone(5, id="after"))
    ask(missed)
    assert ("review-missed", "after", "open") in flags(acting)
    ask(missed.later(60))
    assert ("review-missed", "after", "resolved") in flags(acting)


def test_who_is_changed_while_he_is_looked_at_is_asked_about_next_time(acting, monkeypatch):
    # As if another transaction had committed between the looking and the writing.
    seen = clock_passes._on_record
    calls = []

    def once_more(session, asked):
        found = dict(seen(session, asked))
        calls.append(1)
        if len(calls) == 2:
            patient = next(name for name, known in found.items() if known.facts == 1)
            found[patient] = OnRecord(2, found[patient].newest_at)
        return found

    monkeypatch.setattr(clock_passes, "_on_record", once_more)
    assert ask(acting) == (1, 1)
    monkeypatch.undo()
    assert ask(acting) == (1, 1)
