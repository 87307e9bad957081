"""One problem is one flag: seen again, moved by a late row, gone, merged, settled and back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stewardship.domain.errors import InvalidInput
from stewardship.domain.flags import Untold
from stewardship.domain.flags.kinds import GONE, MERGED, Status
from stewardship.services import flags
from tests.builders import NOW
from tests.flags.raising import (
    BESIDE,
    EARLY,
    HIGH,
    PATIENT,
    a_flag,
    act,
    add_patients,
    library,
    opened,
    queue,
    see,
)

LATER = NOW + timedelta(days=1)


def test_what_is_seen_becomes_a_flag_with_its_evidence(clinic):
    see(clinic, a_flag(BESIDE, "s-1", "s-2", overlap_days=3))
    (flag,) = queue(clinic)
    assert (flag.kind, flag.label, flag.supplies) == (BESIDE, "s-1", ("s-1", "s-2"))
    assert (dict(flag.facts), flag.complete, flag.status) == ({"overlap_days": 3}, True, Status.OPEN)
    assert flag.title == "Opioid with a benzodiazepine"
    assert flag.due_at == NOW + timedelta(hours=24)


def test_the_same_seen_again_is_the_same_flag(clinic):
    see(clinic, a_flag())
    assert not see(clinic, a_flag(), now=LATER)
    (flag,) = queue(clinic)
    assert flag.version == 1


def test_a_pattern_that_goes_on_is_one_flag_with_more_evidence(clinic):
    first = opened(clinic, a_flag(BESIDE, "s-1"))
    changes = see(clinic, a_flag(BESIDE, "s-1", "s-2"), now=LATER)
    assert (changes.opened, changes.updated) == ([], [first])
    (flag,) = queue(clinic)
    assert (flag.supplies, flag.version) == (("s-1", "s-2"), 2)


def test_a_late_row_that_moves_the_beginning_of_a_pattern_does_not_double_it(clinic):
    first = opened(clinic, a_flag(BESIDE, "s-1", "s-2"))
    changes = see(clinic, a_flag(BESIDE, "s-0", "s-1", "s-2", on=a_flag().on - timedelta(9)), now=LATER)
    assert changes.opened == []
    (flag,) = queue(clinic)
    assert (flag.id, flag.label) == (first, "s-0")
    whole = act(clinic, flags.note, first, "seen")
    assert whole.history[1].detail["was"] == f"{BESIDE}:s-1"


def test_two_fills_that_share_one_are_two_early_refills(clinic):
    see(clinic, a_flag(EARLY, "s-2", "s-1"), a_flag(EARLY, "s-3", "s-2"))
    assert {flag.label for flag in queue(clinic)} == {"s-2", "s-3"}
    # The first was revised away, and the other is not taken for it.
    changes = see(clinic, a_flag(EARLY, "s-3", "s-2"), now=LATER)
    assert len(changes.gone) == 1
    assert [flag.label for flag in queue(clinic)] == ["s-3"]


def test_what_the_record_no_longer_shows_ends_by_itself_and_says_so(clinic):
    first = opened(clinic)
    assert see(clinic, now=LATER).gone == [first]
    (flag,) = queue(clinic, status=(Status.RESOLVED,))
    assert (flag.resolution, flag.resolved_by) == (GONE, "watch")


def test_what_somebody_works_on_is_not_taken_from_under_his_hands(clinic):
    first = opened(clinic)
    act(clinic, flags.claim, first)
    see(clinic, now=LATER)
    see(clinic, now=LATER)
    (flag,) = queue(clinic)
    assert (flag.status, flag.gone) == (Status.CLAIMED, True)
    assert [h.event for h in act(clinic, flags.note, first, "n").history].count("gone") == 1


def test_what_cannot_be_told_any_more_has_not_gone(clinic):
    opened(clinic)
    doubt = Untold(BESIDE, "s-1", ("history.days_supply",))
    assert not see(clinic, untold=(doubt,), now=LATER)
    assert len(queue(clinic)) == 1


def test_what_is_untold_of_another_kind_keeps_nothing(small_clinic):
    opened(small_clinic)
    assert see(small_clinic, untold=(Untold(HIGH, "s-1", ("mme",)),)).gone


def test_two_patterns_that_turn_out_to_be_one_are_merged_into_the_older(clinic):
    first = opened(clinic, a_flag(BESIDE, "s-1"))
    (second,) = see(clinic, a_flag(BESIDE, "s-1"), a_flag(BESIDE, "s-9"), now=LATER).opened
    changes = see(clinic, a_flag(BESIDE, "s-1", "s-5", "s-9"), now=LATER)
    assert (changes.updated, changes.merged) == ([first], [second])
    (flag,) = queue(clinic, status=(Status.RESOLVED,))
    assert (flag.resolution, flag.merged_into) == (MERGED, first)


def test_a_merged_pattern_stays_with_whoever_works_on_it(clinic):
    see(clinic, a_flag(BESIDE, "s-1"), a_flag(BESIDE, "s-9"))
    second = next(flag.id for flag in queue(clinic) if flag.label == "s-9")
    act(clinic, flags.claim, second)
    changes = see(clinic, a_flag(BESIDE, "s-0", "s-1", "s-9"), now=LATER)
    assert changes.updated == [second]
    assert len(changes.merged) == 1


# --- settled, and back -----------------------------------------------------------------------------


def resolved(clinic, *found, code="prescription-changed", words="w"):
    flag_id = opened(clinic, *found)
    act(clinic, flags.resolve, flag_id, code, words=words)
    return flag_id


def test_what_was_settled_does_not_come_back_without_new_facts(clinic):
    resolved(clinic, a_flag(BESIDE, "s-1", "s-2"))
    changes = see(clinic, a_flag(BESIDE, "s-1", "s-2"), now=NOW + timedelta(days=400))
    assert (changes.opened, changes.resting) == ([], 1)


def test_a_new_supply_brings_it_back_as_a_flag_that_names_the_one_before(clinic):
    first = resolved(clinic, a_flag(BESIDE, "s-1"))
    (again,) = see(clinic, a_flag(BESIDE, "s-1", "s-2"), now=LATER).opened
    (flag,) = queue(clinic)
    assert (flag.id, flag.again_of) == (again, first)


@pytest.mark.parametrize(("days", "back"), [(89, False), (90, True)])
def test_a_resolution_rests_for_its_days(small_clinic, days, back):
    resolved(small_clinic, a_flag(BESIDE, "s-1"), code="appropriate")
    changes = see(small_clinic, a_flag(BESIDE, "s-1", "s-2"), now=NOW + timedelta(days=days))
    assert bool(changes.opened) is back


@pytest.mark.parametrize(("mme", "back"), [(119, False), (120, True)])
def test_a_problem_that_is_worse_by_a_fifth_does_not_rest(small_clinic, mme, back):
    resolved(small_clinic, a_flag(HIGH, "s-1", highest_mme_per_day=100), code="monitored")
    changes = see(small_clinic, a_flag(HIGH, "s-1", "s-2", highest_mme_per_day=mme), now=LATER)
    assert bool(changes.opened) is back


def test_what_had_gone_from_the_record_and_is_there_again_is_back_at_once(clinic):
    opened(clinic)
    see(clinic)
    assert see(clinic, a_flag(), now=LATER).opened


# --- around it -------------------------------------------------------------------------------------


def test_what_could_not_be_ruled_out_is_kept_beside_and_replaced(clinic, stored):
    see(clinic, untold=(Untold(HIGH, "s-1", ("mme",)), Untold(HIGH, "s-2", ("mme",))))
    see(clinic, untold=(Untold(HIGH, "s-2", ("history.days_supply",)),), now=LATER)
    assert stored("flags_untold", "label", "missing") == [("s-2", '["history.days_supply"]')]


def test_kinds_that_were_not_looked_for_are_left_alone(clinic, stored):
    see(clinic, a_flag(BESIDE), untold=(Untold(HIGH, "s-1", ("mme",)),))
    from stewardship.db import transaction
    from tests.flags.raising import WATCH

    with transaction(clinic) as session:
        flags.reconcile(
            session, library(), PATIENT, [], kinds=["review-missed"], source="review", by=WATCH, now=NOW
        )
    assert len(queue(clinic)) == 1
    assert stored("flags_untold", "label") == [("s-1",)]


def test_another_patient_has_flags_of_his_own(clinic):
    add_patients(clinic, "pat-2")
    see(clinic, a_flag())
    see(clinic, a_flag(), patient="pat-2")
    assert len(queue(clinic)) == 2
    assert [flag.patient for flag in queue(clinic, patient="pat-2")] == ["pat-2"]


def test_a_kind_that_nobody_declared_is_refused(small_clinic):
    from stewardship.db import transaction
    from tests.flags.raising import WATCH

    with transaction(small_clinic) as session, pytest.raises(InvalidInput, match="nonsense"):
        flags.reconcile(
            session,
            library(),
            PATIENT,
            [a_flag("nonsense")],
            kinds=["nonsense"],
            source="x",
            by=WATCH,
            now=NOW,
        )


def test_a_look_that_changes_something_is_audited_once_and_one_that_does_not_is_not(clinic, stored):
    see(clinic, a_flag(BESIDE), a_flag(EARLY))
    see(clinic, a_flag(BESIDE), a_flag(EARLY))
    assert stored("audit_events", "action", "subject").count(("flags.reconciled", PATIENT)) == 1
