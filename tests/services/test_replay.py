"""Stored decisions decided again, on both databases: the same, or exactly how not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stewardship.db import Sessions, transaction
from stewardship.declarations import Library, load
from stewardship.domain.errors import NotFound
from stewardship.domain.policy import Breach, Enforcement
from stewardship.services import orders, replay
from tests.builders import NOW, a_chart, a_supply, an_order
from tests.services.declared import ELSEWHERE, PRESCRIBER, Declared, a_policy


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


def submitted(sessions: Sessions, library, **order) -> str:
    chart = a_chart(supplies=(a_supply(id="s-1"),))
    with transaction(sessions) as session:
        stored = orders.submit(session, library, an_order(**order), chart, by=PRESCRIBER, now=NOW)
    assert stored.decision_id
    return stored.decision_id


def again(sessions, library, decision, *, by=PRESCRIBER):
    with transaction(sessions, write=False) as session:
        return replay.replay(session, library, decision, by=by)


def test_a_decision_under_every_policy_comes_out_the_same(clinic, library):
    found = again(clinic, library, submitted(clinic, library))
    assert found.same
    assert found.compared == len(library.in_force(NOW.date()))


def test_what_is_dispensed_or_known_later_changes_nothing(clinic, library):
    decision = submitted(clinic, library)
    submitted(clinic, library, id="o-2")
    assert again(clinic, library, decision).same


def test_the_version_of_the_day_decides_after_the_policy_changed(clinic):
    first = a_policy("p", Breach())
    decision = submitted(clinic, Declared([first]))
    second = replace(first, version=2, enforcement=Enforcement.INFORM, sha256="1" * 64)
    assert again(clinic, Declared([first, second]), decision).same


def test_a_rule_that_answers_otherwise_is_told_field_by_field(clinic):
    first = a_policy("p", Breach())
    decision = submitted(clinic, Declared([first]))
    other = replace(first, enforcement=Enforcement.INFORM)
    (difference,) = again(clinic, Declared([other]), decision).differences
    assert (difference.policy, difference.field) == ("p", "enforcement")
    assert (difference.then, difference.now) == ("soft-stop", "inform")


def test_a_file_that_is_not_what_it_was_is_named(clinic):
    first = a_policy("p", Breach())
    decision = submitted(clinic, Declared([first]))
    found = again(clinic, Declared([replace(first, sha256="1" * 64)]), decision)
    assert (found.same, found.changed) == (False, (("p", 1),))


def test_a_version_that_no_file_holds_is_named(clinic):
    decision = submitted(clinic, Declared([a_policy("p", Breach())]))
    found = again(clinic, Declared([a_policy("q", Breach())]), decision)
    assert (found.same, found.missing) == (False, (("p", 1),))


def test_another_organisation_finds_nothing(clinic, library):
    with pytest.raises(NotFound):
        again(clinic, library, submitted(clinic, library), by=ELSEWHERE)
