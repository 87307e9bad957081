"""A pharmacist's work: claimed by one at a time, noted, asked about, resolved with a code, reopened."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread

import pytest

from stewardship.db import transaction
from stewardship.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from stewardship.domain.flags.kinds import Status
from stewardship.domain.people import Principal, Role
from stewardship.services import flags
from stewardship.services.verification import verify
from tests.builders import NOW
from tests.flags.raising import (
    ANOTHER,
    BESIDE,
    EARLY,
    HIGH,
    PATIENT,
    a_flag,
    act,
    add_users,
    opened,
    queue,
    see,
)
from tests.services.declared import COMPLIANCE, ELSEWHERE, ORGANISATION, PHARMACIST, PRESCRIBER

LATER = NOW + timedelta(hours=1)


def test_the_second_is_told_who_has_it_and_since_when(clinic):
    flag_id = opened(clinic)
    act(clinic, flags.claim, flag_id)
    with pytest.raises(Conflict, match="u-pharmacist has this flag since 2026-11-21T12:00:00Z") as refused:
        act(clinic, flags.claim, flag_id, by=ANOTHER, now=LATER)
    assert refused.value.code == "claimed"


def test_claiming_ones_own_again_changes_nothing(clinic):
    flag_id = opened(clinic)
    first = act(clinic, flags.claim, flag_id)
    assert act(clinic, flags.claim, flag_id).version == first.version == 2


@pytest.mark.parametrize(("hours", "taken"), [(11, False), (12, True)])
def test_a_claim_that_was_left_lying_may_be_taken_over(small_clinic, hours, taken):
    flag_id = opened(small_clinic)
    act(small_clinic, flags.claim, flag_id)
    later = NOW + timedelta(hours=hours)
    if not taken:
        with pytest.raises(Conflict):
            act(small_clinic, flags.claim, flag_id, by=ANOTHER, now=later)
        return
    record = act(small_clinic, flags.claim, flag_id, by=ANOTHER, now=later)
    assert (record.claimed_by, record.history[-1].detail) == (ANOTHER.user_id, {"from": PHARMACIST.user_id})


def test_only_who_has_it_gives_it_back(small_clinic):
    flag_id = opened(small_clinic)
    with pytest.raises(Conflict, match="nobody has"):
        act(small_clinic, flags.release, flag_id)
    act(small_clinic, flags.claim, flag_id)
    with pytest.raises(Conflict, match="u-pharmacist has"):
        act(small_clinic, flags.release, flag_id, by=ANOTHER)
    assert act(small_clinic, flags.release, flag_id).status is Status.OPEN


def test_a_note_is_anybodys_and_stays(clinic):
    flag_id = opened(clinic)
    act(clinic, flags.claim, flag_id)
    record = act(clinic, flags.note, flag_id, "  called the practice  ", by=ANOTHER)
    assert (record.history[-1].words, record.history[-1].by_user) == ("called the practice", ANOTHER.user_id)
    assert record.claimed_by == PHARMACIST.user_id


@pytest.mark.parametrize("words", ["", "   ", "\u200b", "x" * 2001, "a\x00b"])
def test_a_note_has_something_to_read(small_clinic, words):
    flag_id = opened(small_clinic)
    with pytest.raises(InvalidInput):
        act(small_clinic, flags.note, flag_id, words)


# --- resolved ----------------------------------------------------------------------------------------


def test_a_resolution_has_a_code_a_note_where_it_needs_one_and_a_time(clinic):
    flag_id = opened(clinic)
    with pytest.raises(InvalidInput, match="say it in words"):
        act(clinic, flags.resolve, flag_id, "appropriate")
    record = act(clinic, flags.resolve, flag_id, "appropriate", words="discussed", now=LATER)
    assert (record.status, record.resolution, record.resolved_by) == (
        Status.RESOLVED, "appropriate", PHARMACIST.user_id,
    )  # fmt: skip
    assert record.took == timedelta(hours=1)
    assert record.history[-1].detail == {"seconds": 3600, "late": False}
    assert queue(clinic) == []


@pytest.mark.parametrize("code", ["fine", "record-corrected", "part-of-another", ""])
def test_a_code_that_is_not_for_people_is_refused_with_those_that_are(small_clinic, code):
    flag_id = opened(small_clinic)
    with pytest.raises(InvalidInput, match="appropriate, verified-with-prescriber"):
        act(small_clinic, flags.resolve, flag_id, code, words="w")


def test_what_somebody_else_has_is_not_resolved(clinic):
    flag_id = opened(clinic)
    act(clinic, flags.claim, flag_id)
    with pytest.raises(Conflict, match="u-pharmacist has"):
        act(clinic, flags.resolve, flag_id, "coordinated", by=ANOTHER)


def test_what_was_resolved_is_not_resolved_again(clinic):
    flag_id = opened(clinic)
    act(clinic, flags.resolve, flag_id, "coordinated")
    with pytest.raises(Conflict, match=r"u-pharmacist resolved this flag at .*: coordinated"):
        act(clinic, flags.resolve, flag_id, "coordinated", by=ANOTHER)


def test_what_changed_since_it_was_looked_at_is_not_settled(clinic):
    flag_id = opened(clinic, a_flag(BESIDE, "s-1"))
    see(clinic, a_flag(BESIDE, "s-1", "s-2"), now=LATER)
    with pytest.raises(Conflict, match="updated by watch at 2026-11-21T13:00:00Z") as refused:
        act(clinic, flags.resolve, flag_id, "coordinated", version=1)
    assert refused.value.code == "changed"
    assert act(clinic, flags.resolve, flag_id, "coordinated", version=2).status is Status.RESOLVED


def test_reopened_with_a_reason_it_waits_again(clinic):
    flag_id = opened(clinic)
    with pytest.raises(Conflict, match="not resolved"):
        act(clinic, flags.reopen, flag_id, "mistake")
    act(clinic, flags.resolve, flag_id, "coordinated")
    with pytest.raises(InvalidInput):
        act(clinic, flags.reopen, flag_id, " ")
    record = act(clinic, flags.reopen, flag_id, "wrong patient on the phone", now=LATER)
    assert (record.status, record.resolution, record.took) == (Status.OPEN, None, None)
    assert record.due_at == LATER + timedelta(hours=24)
    assert (record.history[-1].code, record.history[-1].words) == (
        "coordinated",
        "wrong patient on the phone",
    )


def test_a_flag_is_not_reopened_beside_its_successor(clinic):
    flag_id = opened(clinic, a_flag(BESIDE, "s-1"))
    act(clinic, flags.resolve, flag_id, "coordinated")
    act(clinic, flags.reopen, flag_id, "again")
    act(clinic, flags.resolve, flag_id, "prescription-changed")
    (newer,) = see(clinic, a_flag(BESIDE, "s-1", "s-2"), now=LATER).opened
    with pytest.raises(Conflict, match=newer):
        act(clinic, flags.reopen, flag_id, "again")


# --- races -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [10])
def test_of_two_who_claim_at_once_one_has_it_and_the_other_is_told(clinic, rounds):
    for number in range(rounds):
        flag_id = opened(clinic, *(a_flag(EARLY, f"s-{n}") for n in range(number, number + 1)), by=PHARMACIST)
        told: list[object] = []
        start = Barrier(2)

        def claim(by: Principal, flag_id: str = flag_id, start: Barrier = start, told: list = told) -> None:
            start.wait()
            try:
                told.append(act(clinic, flags.claim, flag_id, by=by).claimed_by)
            except Conflict as refused:
                told.append(refused)

        both = [Thread(target=claim, args=(by,)) for by in (PHARMACIST, ANOTHER)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        (winner,) = [one for one in told if isinstance(one, str)]
        (loser,) = [one for one in told if isinstance(one, Conflict)]
        assert f"{winner} has this flag since" in loser.message


# --- messages ----------------------------------------------------------------------------------------


def test_a_message_waits_for_the_prescriber_and_his_answer_comes_back(clinic):
    flag_id = opened(clinic)
    act(clinic, flags.message, flag_id, "Is the diazepam still needed?", to_user=PRESCRIBER.user_id)
    with transaction(clinic) as session:
        (waiting,) = flags.messages_for(session, by=PRESCRIBER, unanswered=True)
        assert (waiting.words, waiting.flag_id) == ("Is the diazepam still needed?", flag_id)
        flags.answer(session, waiting.id, "Stopped it today.", by=PRESCRIBER, now=LATER)
        assert flags.messages_for(session, by=PRESCRIBER, unanswered=True) == ()
    record = act(clinic, flags.note, flag_id, "n")
    assert [(m.answer, m.answered_at) for m in record.messages] == [("Stopped it today.", LATER)]
    assert "answered" in [one.event for one in record.history]


def test_a_message_is_its_readers_alone_and_answered_once(clinic):
    flag_id = opened(clinic)
    stranger = Principal("u-other-prescriber", ORGANISATION, Role.PRESCRIBER)
    add_users(clinic, stranger)
    record = act(clinic, flags.message, flag_id, "?", to_user=PRESCRIBER.user_id)
    (written,) = record.messages
    with transaction(clinic) as session:
        assert flags.messages_for(session, by=stranger) == ()
        with pytest.raises(NotFound):
            flags.answer(session, written.id, by=stranger, now=LATER)
        flags.answer(session, written.id, by=PRESCRIBER, now=LATER)
        with pytest.raises(Conflict, match="before"):
            flags.answer(session, written.id, by=PRESCRIBER, now=LATER)


@pytest.mark.parametrize("to", ["u-nobody", PHARMACIST.user_id])
def test_a_message_goes_to_a_prescriber_who_works_here(small_clinic, to):
    flag_id = opened(small_clinic)
    with pytest.raises(InvalidInput, match="prescriber who works here"):
        act(small_clinic, flags.message, flag_id, "?", to_user=to)


# --- by hand -----------------------------------------------------------------------------------------


def test_what_no_record_shows_is_flagged_by_hand_and_labels_a_prescription(clinic, a_supply_of):
    a_supply_of(PATIENT, "rx-1")
    args = ("irregular-prescription", "rx-1", "Two pens, two hands")
    record = act(clinic, flags.raise_by_hand, PATIENT, *args)
    assert (record.kind, record.label, record.history[0].words) == (*args[:2], args[2])
    with pytest.raises(Conflict, match="flagged already"):
        act(clinic, flags.raise_by_hand, PATIENT, *args)
    with pytest.raises(NotFound):
        act(clinic, flags.raise_by_hand, PATIENT, "presentation", "rx-of-another", "words")
    with pytest.raises(InvalidInput, match="irregular-prescription, presentation"):
        act(clinic, flags.raise_by_hand, PATIENT, BESIDE, "rx-1", "words")


# --- who, and what is told ---------------------------------------------------------------------------


@pytest.mark.parametrize("who", [PRESCRIBER, COMPLIANCE], ids=lambda by: by.role.value)
@pytest.mark.parametrize(
    ("what", "args"),
    [
        (flags.claim, ()), (flags.release, ()), (flags.note, ("n",)),
        (flags.resolve, ("coordinated",)), (flags.reopen, ("r",)),
    ],
    ids=lambda what: getattr(what, "__name__", ""),
)  # fmt: skip
def test_nobody_but_a_pharmacist_works_on_flags(small_clinic, who, what, args):
    flag_id = opened(small_clinic)
    with pytest.raises(Forbidden):
        act(small_clinic, what, flag_id, *args, by=who)


def test_another_organisation_has_no_such_flag(clinic):
    flag_id = opened(clinic)
    stranger = Principal("u-pharmacist", ELSEWHERE.organisation_id, Role.PHARMACIST)
    with pytest.raises(NotFound):
        act(clinic, flags.claim, flag_id, by=stranger)
    assert queue(clinic, by=stranger) == []


def test_every_act_is_in_the_chain_and_no_words_are(clinic, stored):
    flag_id = opened(clinic)
    act(clinic, flags.claim, flag_id)
    act(clinic, flags.note, flag_id, "the very words")
    act(clinic, flags.message, flag_id, "the very words", to_user=PRESCRIBER.user_id)
    act(clinic, flags.release, flag_id)
    act(clinic, flags.resolve, flag_id, "coordinated", words="the very words")
    act(clinic, flags.reopen, flag_id, "the very words")
    audited = [row for row in stored("audit_events", "action", "subject", "detail") if row[1] == flag_id]
    acts = ("claimed", "noted", "messaged", "released", "resolved", "reopened")
    assert [action for action, _, _ in audited] == [f"flag.{act}" for act in acts]
    assert not any("very words" in detail for _, _, detail in audited)
    assert [event for (event,) in stored("flag_events", "event")] == ["opened", *acts]
    with transaction(clinic, write=False) as session:
        assert verify(session, organisation_id=ORGANISATION).fault is None


def test_the_queue_is_filtered_and_sorted(clinic):
    see(clinic, a_flag(EARLY, "s-1"))
    see(clinic, a_flag(EARLY, "s-1"), a_flag(BESIDE, "s-1"), a_flag(HIGH, "s-1"), now=LATER)
    kinds = lambda **asked: [flag.kind for flag in queue(clinic, now=LATER, **asked)]  # noqa: E731
    assert kinds() == [BESIDE, EARLY, HIGH]
    assert kinds(sort="age")[0] == EARLY
    assert kinds(sort="due")[0] == BESIDE
    assert kinds(least_weight=3) == [BESIDE]
    assert kinds(kinds=[HIGH]) == [HIGH]
    assert kinds(opened_before=LATER) == [EARLY]
    assert kinds(limit=1, offset=1) == [EARLY]
    act(clinic, flags.claim, queue(clinic, kinds=[HIGH])[0].id)
    assert kinds(mine=True) == [HIGH]
    assert kinds(status=(Status.OPEN,)) == [BESIDE, EARLY]
    late = NOW + timedelta(hours=26)
    assert [flag.kind for flag in queue(clinic, now=late, overdue=True)] == [BESIDE]
    with transaction(clinic, write=False) as session:
        told = flags.counts(session, by=PHARMACIST, now=late)
    assert (told["total"], told["overdue"], told["mine"], told["claimed"]) == (3, 1, 1, 1)
    assert told["weights"] == {"2": 2, "3": 1}


def test_time_to_resolution_is_measured_by_kind(clinic):
    for number, hours in enumerate((1, 5, 100)):
        flag_id = opened(clinic, a_flag(EARLY, f"s-{number}"))
        act(clinic, flags.resolve, flag_id, "travel-or-holiday", now=NOW + timedelta(hours=hours))
    opened(clinic, a_flag(EARLY, "s-gone"))
    see(clinic)
    with transaction(clinic, write=False) as session:
        (took,) = flags.resolution_times(session, since=NOW, until=NOW + timedelta(days=30), by=COMPLIANCE)
    assert (took.kind, took.resolved, took.late) == (EARLY, 3, 1)
    assert (took.median, took.longest) == (timedelta(hours=5), timedelta(hours=100))
    assert took.codes == {"travel-or-holiday": 3}
