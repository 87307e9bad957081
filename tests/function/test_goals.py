"""Goals of function in the service: what each act leaves on record, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from stewardship.db import tables, transaction
from stewardship.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from stewardship.domain.goals import GoalEvent
from stewardship.services import goals
from tests.function.acting import Acting
from tests.services.declared import COMPLIANCE, ELSEWHERE


@pytest.fixture
def acting(clinic, library):
    return Acting(clinic, library)


def act(acting, what, *given, **more):
    with transaction(acting.sessions) as session:
        return what(session, acting.library, *given, **more, by=acting.by, now=acting.now)


def changed(acting, record, **more):
    says = {
        "activity": record.says.activity,
        "baseline": record.says.baseline,
        "target": "thirty minutes without a stop",
        "due_on": record.says.due_on,
        "reason": "twenty-five is reached soon",
        "version": record.version,
    }
    return act(acting, goals.change, record.id, **(says | more))


def test_a_goal_names_an_activity_a_baseline_a_target_and_a_day(acting):
    made = acting.goal("p-1")
    assert (made.state, made.version, made.says.activity) == (GoalEvent.SET, 1, "walk to the shop")


def test_pain_free_alone_is_refused_with_an_example(acting):
    with pytest.raises(InvalidInput) as refused:
        acting.goal("p-1", activity="to be pain-free")
    (fault,) = refused.value.faults
    assert fault.code == "pain-alone"
    assert "walk to the shop" in fault.message


def test_it_is_changed_reached_and_all_of_it_stays_to_be_read(acting):
    made = acting.goal("p-1")
    again = changed(acting, made)
    done = act(acting, goals.reach, made.id, version=2)
    assert [s.event for s in done.steps] == [GoalEvent.SET, GoalEvent.CHANGED, GoalEvent.REACHED]
    assert done.steps[0].says == made.says
    assert done.says == again.says
    assert not done.stands


def test_it_is_given_up_with_a_reason(acting):
    made = acting.goal("p-1")
    with pytest.raises(InvalidInput):
        act(acting, goals.give_up, made.id, version=1, reason=" ")
    assert act(acting, goals.give_up, made.id, version=1, reason="moved away").state is GoalEvent.GIVEN_UP


def test_who_saw_an_older_state_is_refused_and_told_who_was_first(acting):
    made = acting.goal("p-1")
    changed(acting, made)
    with pytest.raises(Conflict, match="u-prescriber"):
        changed(acting, made, target="forty minutes")


def test_the_same_act_sent_again_is_one(acting):
    made = acting.goal("p-1", goal_id="g-1")
    assert acting.goal("p-1", goal_id="g-1") == made
    assert changed(acting, made) == changed(acting, made)
    with pytest.raises(Conflict):
        acting.goal("p-2", goal_id="g-1")


def test_a_goal_that_is_closed_stays_closed(acting):
    made = acting.goal("p-1")
    act(acting, goals.reach, made.id, version=1)
    with pytest.raises(Conflict, match="reached"):
        act(acting, goals.give_up, made.id, version=2, reason="r")


def test_it_is_not_reached_before_it_was_set(acting):
    made = acting.goal("p-1")
    with pytest.raises(InvalidInput):
        act(acting, goals.reach, made.id, version=1, on=acting.today - timedelta(1))


def test_only_clinicians_set_goals_and_only_of_their_organisation(acting):
    with pytest.raises(Forbidden):
        replace(acting, by=COMPLIANCE).goal("p-1")
    made = acting.goal("p-1")
    with pytest.raises(NotFound):
        act(replace(acting, by=ELSEWHERE), goals.reach, made.id, version=1)


def test_the_goals_of_a_day_are_those_that_still_stand(acting):
    one, other = acting.goal("p-1"), acting.goal("p-2", due_on=acting.today + timedelta(10))
    act(acting, goals.reach, one.id, version=1)
    with transaction(acting.sessions, write=False) as session:
        due = goals.standing(session, by=acting.by, due_by=acting.today + timedelta(10))
        none = goals.standing(session, by=acting.by, due_by=acting.today + timedelta(9))
    assert [g.id for g in due] == [other.id]
    assert none == ()


def test_each_act_is_audited_and_no_word_of_the_goal_is_in_the_entry(acting):
    made = acting.goal("p-1")
    act(acting, goals.reach, made.id, version=1, reason="walked there twice")
    with transaction(acting.sessions, write=False) as session:
        rows = session.execute(
            select(tables.AuditEvent.action, tables.AuditEvent.detail).where(
                tables.AuditEvent.subject == made.id
            )
        ).all()
    assert [row.action for row in rows] == ["goal.set", "goal.reached"]
    assert not any("shop" in row.detail or "walked" in row.detail for row in rows)


def test_without_its_audit_entry_nothing_is_set(acting, monkeypatch):
    def fails(*_args, **_more):
        raise RuntimeError("no audit")

    monkeypatch.setattr(goals.audit, "record", fails)
    with pytest.raises(RuntimeError):
        acting.goal("p-1", goal_id="g-1")
    monkeypatch.undo()
    with transaction(acting.sessions, write=False) as session, pytest.raises(NotFound):
        goals.read(session, "g-1", by=acting.by)
