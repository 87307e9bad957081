"""What the jobs do to a clinic: reviews opened and missed, people told, mail sent, the record checked."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from stewardship.db import care_tables, follow_up_tables, function_tables, outreach_tables, transaction
from stewardship.domain.errors import Unavailable
from stewardship.domain.prescribers import Prescriber
from stewardship.scheduler import CADENCES, JOBS, work
from stewardship.scheduler.letters import letter
from stewardship.scheduler.running import run, run_all
from stewardship.scheduler.status import statuses
from stewardship.services import outbox, prescribers
from stewardship.services.outbox import SERVER_FOR, WAITS
from tests.scheduler.conftest import (
    NOW,
    ORGANISATION,
    SCHEDULER,
    a_contact,
    audited,
    in_zone,
    messages,
    runs,
    some_reviews,
    states,
)
from tests.scheduler.mailing import a_server

TODAY = NOW.date()
BY_NAME = {job.name: job for job in JOBS}


def do(running, *names: str, at_once: bool = True) -> dict[str, Any]:
    """Do these jobs; what became of each."""
    return {name: run(running, BY_NAME[name], ORGANISATION, at_once=at_once) for name in names}


# --- reviews ---------------------------------------------------------------------------------------


def test_what_is_due_is_opened_and_what_is_over_is_missed_each_once(running, clinic, monkeypatch):
    monkeypatch.setattr(work, "PORTION", 4)
    some_reviews(clinic, 10, due_on=TODAY)
    some_reviews(clinic, 5, due_on=TODAY - timedelta(days=1), first=10)
    some_reviews(clinic, 3, due_on=TODAY + timedelta(days=60), first=15)
    assert do(running, "open-due")["open-due"].done == 15
    assert states(clinic) == {"due": 10, "missed": 5, "planned": 3}
    assert do(running, "open-due")["open-due"].done == 0
    assert len(audited(clinic, "review.due")) == 10
    assert len(audited(clinic, "review.missed")) == 5


def test_what_fell_due_while_nobody_looked_is_done_at_the_next_start_and_is_late(running, clinic, clock):
    opens = TODAY + timedelta(days=8)
    some_reviews(clinic, 7, due_on=opens)
    # The day before it opens, an hour before midnight.
    clock.at = NOW + timedelta(hours=11)
    assert do(running, "open-due", at_once=False)["open-due"].done == 0
    clock.forward(hours=3)
    ran = do(running, "open-due", at_once=False)["open-due"]
    assert (ran.done, ran.late) == (7, 7)
    # From 23:05, the first moment that was missed, to 02:00.
    assert ran.late_seconds == (2 * 60 + 55) * 60
    assert states(clinic) == {"due": 7}


def test_what_is_opened_at_the_first_moment_of_its_day_is_not_late(running, clinic, clock):
    some_reviews(clinic, 2, due_on=TODAY + timedelta(days=8))
    clock.at = NOW + timedelta(hours=11, minutes=58)
    do(running, "open-due", at_once=False)
    clock.forward(minutes=3)
    ran = do(running, "open-due", at_once=False)["open-due"]
    assert (ran.done, ran.late, ran.late_seconds) == (2, 0, 0)


def test_a_day_begins_where_the_organisation_is(running, clinic, clock):
    in_zone(clinic, "America/New_York")
    some_reviews(clinic, 1, due_on=TODAY + timedelta(days=8))
    # In New York it is still the 21st.
    clock.at = NOW + timedelta(hours=16, minutes=59)
    assert do(running, "open-due")["open-due"].done == 0
    clock.forward(minutes=1)
    assert do(running, "open-due")["open-due"].done == 1


@pytest.mark.parametrize("first", [date(2027, 3, 12), date(2026, 10, 30), date(2028, 2, 27)], ids=str)
def test_through_both_changes_and_a_leap_day_each_review_is_opened_once_on_its_day(
    running, clinic, clock, first
):
    in_zone(clinic, "America/New_York")
    for place in range(5):
        some_reviews(clinic, 1, due_on=first + timedelta(days=7 + place), first=place)
    clock.at = NOW.combine(first, NOW.time(), NOW.tzinfo) - timedelta(hours=12)
    for _ in range(6 * 24):
        clock.forward(hours=1)
        do(running, "open-due", at_once=False)
    table: Any = function_tables.Reassessment.__table__
    with transaction(clinic, write=False) as session:
        rows = session.execute(select(table).order_by(table.c.due_on)).all()
    assert [row.opened_late_days for row in rows] == [0] * 5
    assert len(audited(clinic, "review.due")) == 5


# --- telling people --------------------------------------------------------------------------------


def test_each_clinician_gets_one_digest_a_day_about_what_is_on_the_worklist(running, clinic, clock):
    a_contact(clinic, "dr-1")
    a_contact(clinic, "dr-2")
    mine = some_reviews(clinic, 2, due_on=TODAY)
    mine += some_reviews(clinic, 1, due_on=TODAY - timedelta(days=3), first=2)
    some_reviews(clinic, 1, due_on=TODAY, first=3, clinician="dr-2")
    do(running, "open-due", "remind", "remind")
    first, second = messages(clinic)
    about = outbox.documents.decode_shown(first.document)
    assert (first.recipient, second.recipient) == ("dr-1", "dr-2")
    assert (about["due"], about["missed"], sorted(about["reviews"])) == (2, 1, mine)
    clock.forward(days=1)
    do(running, "remind")
    assert len(messages(clinic)) == 4


def some_pain(clinic, patient: str, *, due_on: date, clinician: str) -> None:
    """An assessment that asks for another look at a patient's pain, by a day."""
    of = {"organisation_id": ORGANISATION, "patient_id": patient, "at": NOW}
    found = of | {"id": f"a-{patient}", "on_day": TODAY, "document": "{}", "by_user": clinician}
    asks = of | {"assessment_id": f"a-{patient}", "trigger": "no-relief", "clinician": clinician}
    with transaction(clinic) as session:
        session.execute(insert(care_tables.PainAssessment.__table__), found | {"by_role": "prescriber"})
        days = {"opens_on": due_on - timedelta(days=9), "due_on": due_on, "until_on": None}
        session.execute(insert(follow_up_tables.PainFollowUp.__table__), asks | days)


def test_a_digest_counts_pain_to_look_at_again_beside_the_reviews_of_the_same_person(running, clinic):
    a_contact(clinic, "dr-1")
    a_contact(clinic, "dr-3")
    with transaction(clinic) as session:
        somebody = Prescriber("reg-1", "1234567893", "anesthesiology", "dr-1")
        prescribers.keep(session, running.library, somebody, by=SCHEDULER, now=NOW)
    some_reviews(clinic, 1, due_on=TODAY, clinician="1234567893")
    some_reviews(clinic, 3, due_on=TODAY + timedelta(days=60), first=1)
    some_pain(clinic, "p-1", due_on=TODAY - timedelta(days=2), clinician="dr-1")
    some_pain(clinic, "p-2", due_on=TODAY + timedelta(days=2), clinician="dr-1")
    some_pain(clinic, "p-3", due_on=TODAY, clinician="dr-3")
    do(running, "open-due", "remind", "remind")
    first, second = messages(clinic)
    about = outbox.documents.decode_shown(first.document)
    assert [first.recipient, second.recipient] == ["dr-1", "dr-3"]
    assert [about[name] for name in ("due", "missed", "pain", "pain_late")] == [1, 0, 2, 1]
    words = [_digest_words(one) for one in (first, second)]
    assert "1 review due; pain to look at again in 2 patients, 1 past the day." in words[0]
    assert words[1].startswith("On your worklist on 2026-11-21: pain to look at again in 1 patient.")
    assert not {"ehr-1", "p-1", "no-relief"} & set(words[0].replace(",", " ").split())


def _digest_words(message: Any) -> str:
    about = outbox.documents.decode_shown(message.document)
    waiting = outbox.Waiting(message.id, message.kind, message.recipient, "dr@clinic.example", about, 1, NOW)
    return letter(waiting, public_url="https://stewardship.example").text


def test_whom_no_mail_reaches_is_counted_and_nothing_is_written_for_them(running, clinic):
    some_reviews(clinic, 1, due_on=TODAY)
    do(running, "open-due", "remind")
    assert messages(clinic) == []
    assert '"without_address":1' in runs(clinic, "remind")[0].document


def test_what_was_missed_is_noted_once_and_told_to_those_who_watch(running, clinic, clock):
    a_contact(clinic, "lead", escalations=True)
    a_contact(clinic, "dr-1")
    some_reviews(clinic, 3, due_on=TODAY - timedelta(days=2))
    do(running, "open-due", "escalate", "escalate")
    (message,) = messages(clinic)
    assert (message.recipient, message.kind) == ("lead", "missed")
    assert len(audited(clinic, "review.escalated")) == 3
    clock.forward(days=1)
    some_reviews(clinic, 1, due_on=TODAY - timedelta(days=1), first=3)
    do(running, "open-due", "escalate")
    told = [outbox.documents.decode_shown(one.document)["reviews"] for one in messages(clinic)]
    assert [len(reviews) for reviews in told] == [3, 1]


def test_with_nobody_to_tell_what_was_missed_stays_to_be_told(running, clinic, clock):
    some_reviews(clinic, 2, due_on=TODAY - timedelta(days=2))
    do(running, "open-due", "escalate")
    assert messages(clinic) == []
    a_contact(clinic, "lead", escalations=True)
    do(running, "escalate")
    assert len(messages(clinic)) == 1


def test_a_digest_and_its_entry_in_the_record_are_one(running, clinic, monkeypatch):
    a_contact(clinic)
    some_reviews(clinic, 1, due_on=TODAY)
    do(running, "open-due")

    def refuse(*_: Any, **__: Any) -> None:
        raise Unavailable("no", code="audit-key-missing")

    monkeypatch.setattr(outbox.audit, "record", refuse)
    assert do(running, "remind")["remind"].code == "audit-key-missing"
    monkeypatch.undo()
    assert messages(clinic) == []
    assert do(running, "remind")["remind"].done == 1


# --- sending ---------------------------------------------------------------------------------------


@pytest.fixture
def waiting(running, clinic):
    """A digest that waits to be sent."""
    a_contact(clinic)
    some_reviews(clinic, 1, due_on=TODAY)
    do(running, "open-due", "remind")
    (message,) = messages(clinic)
    return message


def test_a_digest_arrives_once_and_names_no_patient(waiting, clinic, with_mail):
    with a_server() as (mailbox, place):
        running = with_mail(f"smtp://{place}")
        assert do(running, "send")["send"].done == 1
        assert do(running, "send")["send"].done == 0
    (arrived,) = mailbox.arrived
    words = arrived.get_payload()
    assert mailbox.to == ["dr-1@clinic.example"]
    assert "1 review due" in words
    assert "https://stewardship.example/worklist" in words
    assert "r-00000" in words
    assert not {"ehr-0", "p-0", "long-term"} & set(words.replace(",", " ").split())
    assert arrived["Subject"] == "Your worklist on 2026-11-21"


def test_without_a_server_mail_waits(waiting, running, clinic):
    do(running, "send")
    assert (messages(clinic)[0].status, messages(clinic)[0].attempts) == ("pending", 0)
    assert '"server":false' in runs(clinic, "send")[0].document


def test_a_letter_whose_end_was_not_heard_goes_again_under_the_same_id(waiting, clinic, clock, with_mail):
    with a_server() as (mailbox, place):
        mailbox.drops = 1
        running = with_mail(f"smtp://{place}")
        assert do(running, "send")["send"].done == 0
        clock.forward(minutes=1)
        assert do(running, "send")["send"].done == 1
    ids = [one["Message-ID"] for one in mailbox.arrived]
    assert ids == [f"<{waiting.id}@clinic.example>"] * 2
    assert messages(clinic)[0].attempts == 2


def test_what_its_sender_died_over_goes_again(waiting, clinic, with_mail):
    with transaction(clinic) as session:
        taken = outbox.take(session, waiting.id, by=SCHEDULER)
    assert taken is not None
    with a_server() as (mailbox, place):
        assert do(with_mail(f"smtp://{place}"), "send")["send"].done == 1
    assert [one["Message-ID"] for one in mailbox.arrived] == [f"<{waiting.id}@clinic.example>"]


def test_what_is_refused_waits_longer_each_time_and_is_then_given_up_on(waiting, clinic, clock, with_mail):
    with a_server() as (mailbox, place):
        mailbox.refuses = "451 later"
        running = with_mail(f"smtp://{place}")
        for wait in WAITS:
            do(running, "send")
            clock.forward(seconds=wait.total_seconds() - 1)
            do(running, "send")
            assert messages(clinic)[0].status == "pending"
            clock.forward(seconds=1)
        do(running, "send")
    (message,) = messages(clinic)
    assert (message.status, message.attempts, message.error) == ("dead", len(WAITS) + 1, "refused-451")
    (told,) = statuses(running)
    assert told["mail"]["given_up"][0]["code"] == "refused-451"
    assert len(audited(clinic, "message.given-up")) == 1


def test_what_is_refused_for_good_is_given_up_on_at_once_and_can_be_tried_again(waiting, clinic, with_mail):
    with a_server() as (mailbox, place):
        mailbox.refuses_recipient = "550 nobody"
        do(with_mail(f"smtp://{place}"), "send")
        assert messages(clinic)[0].status == "dead"
        mailbox.refuses_recipient = ""
        with transaction(clinic) as session:
            outbox.retry(session, waiting.id, by=SCHEDULER, now=NOW)
        assert do(with_mail(f"smtp://{place}"), "send")["send"].done == 1


def test_a_server_that_is_away_costs_no_letter_its_tries(waiting, clinic, clock, with_mail):
    running = with_mail("smtp://127.0.0.1:1")
    for _ in range(30):
        do(running, "send")
        clock.forward(hours=1)
    assert messages(clinic)[0].status == "pending"
    with a_server() as (_, place):
        assert do(with_mail(f"smtp://{place}"), "send")["send"].done == 1


def test_a_server_that_stays_away_is_given_up_on(waiting, clinic, clock, with_mail):
    running = with_mail("smtp://127.0.0.1:1")
    clock.forward(seconds=SERVER_FOR.total_seconds())
    do(running, "send")
    assert messages(clinic)[0].status == "dead"


def test_somebody_whose_address_was_taken_away_gets_nothing(waiting, clinic, with_mail):
    with transaction(clinic) as session:
        session.execute(text("DELETE FROM contacts"))
    with a_server() as (mailbox, place):
        do(with_mail(f"smtp://{place}"), "send")
    assert mailbox.arrived == []
    assert messages(clinic)[0].error == "no-address"


def test_a_message_of_a_clock_that_was_a_year_ahead_does_not_wait_a_year(waiting, clinic, with_mail):
    table: Any = outreach_tables.OutboxMessage.__table__
    ahead = NOW + timedelta(days=366)
    with transaction(clinic) as session:
        session.execute(update(table).values(next_at=ahead, created_at=ahead))
    with a_server() as (_, place):
        assert do(with_mail(f"smtp://{place}"), "send")["send"].done == 1


# --- the self-check --------------------------------------------------------------------------------


def checks(clinic) -> dict[str, Any]:
    found = outbox.documents.decode_shown(runs(clinic, "self-check")[-1].document)
    return {check["name"]: check for check in found["checks"]}


def test_a_clinic_in_order_has_nothing_to_look_at(running, clinic):
    assert do(running, "self-check")["self-check"].done == 9
    assert {name for name, check in checks(clinic).items() if check["wrong"]} == set()
    (entry,) = audited(clinic, "self-check.done")
    assert outbox.documents.decode_shown(entry.detail) == {"day": "2026-11-21", "wrong": {}}


def test_an_entry_of_the_record_that_was_altered_is_found_and_told(running, clinic):
    a_contact(clinic, "lead", escalations=True)
    postgresql = clinic.kw["bind"].dialect.name == "postgresql"
    with transaction(clinic) as session:
        if postgresql:
            session.execute(text("ALTER TABLE audit_events DISABLE TRIGGER audit_events_insert_only"))
        else:
            session.execute(text("DROP TRIGGER audit_events_no_update"))
        session.execute(text("UPDATE audit_events SET subject = 'somebody-else' WHERE seq = 1"))
    do(running, "self-check")
    assert checks(clinic)["audit-chain"] == {"name": "audit-chain", "wrong": 1, "code": "edit at 1"}
    (message,) = messages(clinic)
    assert (message.kind, message.recipient) == ("self-check", "lead")


def test_a_policy_that_is_not_what_was_published_is_found(running, clinic, root, tmp_path):
    published = tmp_path / "policies"
    published.mkdir()
    for path in (root / "policies").iterdir():
        (published / path.name).write_bytes(path.read_bytes())
    (published / "short-course.v1.toml").write_text("changed")
    do(replace(running, settings=replace(running.settings, policies_dir=published)), "self-check")
    assert checks(clinic)["published-policies"]["wrong"] == 1


def test_a_day_without_a_self_check_is_found_by_the_next(running, clinic, clock):
    do(running, "self-check", at_once=False)
    clock.forward(days=3)
    do(running, "self-check", at_once=False)
    assert checks(clinic)["days-without-self-check"]["code"] == "2026-11-22, 2026-11-23"
    clock.forward(days=1)
    do(running, "self-check", at_once=False)
    assert checks(clinic)["days-without-self-check"]["wrong"] == 2


def test_a_job_that_nobody_looks_after_is_found(running, clinic, clock):
    run_all(running, JOBS, at_once=True)
    clock.forward(days=1)
    do(running, "self-check", at_once=False)
    assert set(checks(clinic)["jobs"]["code"].split(", ")) == {
        name for name, _ in CADENCES if name != "self-check"
    }


def test_a_check_that_cannot_be_made_is_a_finding_and_the_others_go_on(running, clinic, monkeypatch):
    from stewardship.scheduler import self_check

    def stumble(*_: Any) -> tuple[int, str]:
        raise ValueError

    monkeypatch.setitem(self_check.CHECKS, "schema", stumble)
    do(running, "self-check")
    assert checks(clinic)["schema"]["code"] == "could-not-check: ValueError"
    assert checks(clinic)["audit-chain"]["wrong"] == 0
