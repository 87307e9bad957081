"""Whether an altered record is found: the chain, and the rows that it bears witness to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from stewardship.db import AuditKeys, connect, tables, transaction
from stewardship.domain.errors import Unavailable
from stewardship.domain.policy import Breach, Enforcement
from stewardship.services import (
    audit,
    decisions,
    feedback,
    key_rotation,
    orders,
    snoozes,
    verification,
)
from tests.builders import NOW, TODAY, a_chart, an_order
from tests.postgres import AUDIT_KEYS
from tests.services.declared import (
    ELSEWHERE,
    ONE_PHARMACIST,
    ORGANISATION,
    PHARMACIST,
    PRESCRIBER,
    Declared,
    a_policy,
)

SOFT = a_policy("soft", Breach())
HARD = a_policy("hard", Breach(), enforcement=Enforcement.HARD_STOP, exception=ONE_PHARMACIST)


def verify(sessions):
    with transaction(sessions, write=False) as session:
        return verification.verify(session, organisation_id=ORGANISATION)


def unguarded(sessions, *statements):
    """What somebody does who may change the schema: take the tripwires away, then alter rows."""
    with transaction(sessions) as session:
        sqlite = session.get_bind().dialect.name == "sqlite"
        for table in tables.INSERT_ONLY:
            if sqlite:
                session.execute(text(f"DROP TRIGGER {table}_no_update"))
                session.execute(text(f"DROP TRIGGER {table}_no_delete"))
            else:
                session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        for statement in statements:
            session.execute(text(statement))


@pytest.fixture
def busy(clinic):
    """A clinic in which an order was submitted, overridden and excepted: six entries."""
    with transaction(clinic) as session:
        one = orders.submit(
            session, Declared([HARD, SOFT]), an_order(), a_chart(), by=PRESCRIBER, now=NOW
        ).decision_id
        decisions.override(session, one, "soft", reason="benefit", comment="a", by=PRESCRIBER, now=NOW)
        exception = decisions.request_exception(session, one, "hard", reason="other", by=PRESCRIBER, now=NOW)
        decisions.countersign(session, exception, by=PHARMACIST, now=NOW)
        audit.record(session, "report.printed", subject="r-1", by=PHARMACIST, now=NOW)
    return clinic


def test_a_record_that_nobody_altered_is_whole(busy):
    found = verify(busy)
    assert (found.entries, found.fault) == (6, None)


def test_each_organisation_has_its_own_chain(busy):
    with transaction(busy, write=False) as session:
        assert verification.verify(session, organisation_id=ELSEWHERE.organisation_id).entries == 1


@pytest.mark.parametrize(
    ("statement", "seq", "kind"),
    [
        ("UPDATE audit_events SET action = 'view' WHERE seq = 3 AND organisation_id = 'org-1'", 3, "edit"),
        ("UPDATE audit_events SET subject = 'x' WHERE seq = 6 AND organisation_id = 'org-1'", 6, "edit"),
        (
            "UPDATE audit_events SET mac = '" + "0" * 64 + "' WHERE seq = 4 AND organisation_id = 'org-1'",
            4,
            "edit",
        ),
        ("UPDATE audit_events SET key_id = 'k9' WHERE seq = 2 AND organisation_id = 'org-1'", 2, "key"),
        ("DELETE FROM audit_events WHERE seq = 5 AND organisation_id = 'org-1'", 5, "gap"),
        ("DELETE FROM audit_events WHERE seq = 1 AND organisation_id = 'org-1'", 1, "gap"),
    ],
)
def test_an_altered_chain_names_its_first_bad_entry(busy, statement, seq, kind):
    unguarded(busy, statement)
    found = verify(busy)
    assert (found.fault.seq, found.fault.kind, found.entries) == (seq, kind, seq - 1)


def test_two_entries_that_changed_places_are_found(busy):
    unguarded(
        busy,
        "UPDATE audit_events SET seq = 99 WHERE seq = 4 AND organisation_id = 'org-1'",
        "UPDATE audit_events SET seq = 4 WHERE seq = 5 AND organisation_id = 'org-1'",
        "UPDATE audit_events SET seq = 5 WHERE seq = 99 AND organisation_id = 'org-1'",
    )
    assert verify(busy).fault.seq == 4


def test_an_entry_made_without_the_key_is_found(busy, database_url):
    forger = connect(database_url, audit_keys=AuditKeys.single(b"another key of 32 characters...."))
    with transaction(forger) as session:
        audit.record(session, "report.printed", subject="r-2", by=PHARMACIST, now=NOW)
    forger.kw["bind"].dispose()
    assert verify(busy).fault.seq == 7


@pytest.mark.parametrize(
    ("statement", "seq", "words"),
    [
        ("UPDATE findings SET enforcement = 'inform' WHERE policy_id = 'hard'", 2, "not what was decided"),
        ("UPDATE findings SET document = '{}' WHERE policy_id = 'hard'", 2, "not what was decided"),
        ("UPDATE findings SET version = 2 WHERE policy_id = 'hard'", 2, "not what was decided"),
        ("UPDATE decisions SET by_user = 'u-other'", 2, "not what was decided"),
        ("DELETE FROM orders", 2, "was submitted; that is gone"),
        ("UPDATE decisions SET disposition = 'clear'", 2, "not what was decided"),
        ("UPDATE decisions SET chart_document = '{}'", 2, "not what was decided"),
        ("UPDATE decisions SET silent_document = '[0]'", 2, "not what was decided"),
        ("UPDATE policy_versions SET document = '{}' WHERE policy_id = 'hard'", 2, "is not what it was"),
        ("DELETE FROM policy_versions WHERE policy_id = 'soft'", 2, "is not what it was"),
        ("UPDATE overrides SET reason = 'other'", 3, "not what u-prescriber wrote"),
        ("UPDATE overrides SET comment = 'b'", 3, "not what u-prescriber wrote"),
        ("UPDATE overrides SET by_user = 'u-other'", 3, "not what u-prescriber wrote"),
        ("DELETE FROM overrides", 3, "was overridden by u-prescriber; that is gone"),
        ("UPDATE exception_requests SET note = 'x'", 4, "not what u-prescriber asked for"),
        ("UPDATE countersignatures SET by_role = 'compliance'", 5, "not what was signed"),
        ("DELETE FROM countersignatures", 5, "that is gone"),
        ("UPDATE exception_requests SET status = 'open', closed_at = NULL", None, "the chain says approved"),
    ],
)
def test_a_row_that_is_not_what_its_entry_says_is_found(busy, statement, seq, words):
    unguarded(busy, statement)
    fault = verify(busy).fault
    assert fault.seq == seq
    assert words in fault.what


def test_rows_that_no_entry_speaks_of_are_found(busy):
    unguarded(
        busy,
        "INSERT INTO overrides "
        "(organisation_id, decision_id, policy_id, reason, comment, by_user, by_role, at) "
        "SELECT organisation_id, decision_id, 'hard', reason, comment, by_user, by_role, at FROM overrides",
    )
    fault = verify(busy).fault
    assert (fault.seq, fault.kind) == (None, "extra")
    assert "hard" in fault.what


def test_a_policy_version_that_no_decision_names_is_found(busy):
    unguarded(busy, "INSERT INTO policy_versions VALUES ('org-1', 'soft', 2, '" + "0" * 64 + "', '{}')")
    fault = verify(busy).fault
    assert (fault.seq, fault.kind, fault.what) == (None, "extra", "version 2 of soft is in no entry")


def test_a_clock_that_goes_back_does_not_disturb_the_chain(busy):
    with transaction(busy) as session:
        audit.record(session, "late", subject="x", by=PHARMACIST, now=NOW - timedelta(hours=2))
    assert verify(busy).fault is None


def rotated(busy, database_url):
    """The same database under a newer key, as an operator changes keys."""
    with transaction(busy) as session:
        key_rotation.rotate(session, to="k2", now=NOW)
    keys = AuditKeys("k2", {**AUDIT_KEYS.keys, "k2": b"a newer key of 32 characters....."})
    return connect(database_url, audit_keys=keys)


def test_entries_under_an_older_key_still_hold_after_a_change_of_keys(busy, database_url):
    newer = rotated(busy, database_url)
    with transaction(newer) as session:
        audit.record(session, "report.printed", subject="r-2", by=PHARMACIST, now=NOW)
        assert verification.verify(session, organisation_id=ORGANISATION).fault is None
    newer.kw["bind"].dispose()
    assert (verify(busy).fault.seq, verify(busy).fault.kind) == (8, "key")


def test_an_entry_under_a_retired_key_is_found(busy, database_url):
    newer = rotated(busy, database_url)
    with transaction(busy) as session:
        audit.record(session, "report.printed", subject="r-2", by=PHARMACIST, now=NOW)
    found = verify(newer).fault
    newer.kw["bind"].dispose()
    assert (found.seq, found.kind) == (8, "key")
    assert "retired with entry 7" in found.what


def test_a_key_that_nothing_announced_is_found(busy, database_url):
    keys = AuditKeys("k2", {**AUDIT_KEYS.keys, "k2": b"a newer key of 32 characters....."})
    newer = connect(database_url, audit_keys=keys)
    with transaction(newer) as session:
        audit.record(session, "report.printed", subject="r-2", by=PHARMACIST, now=NOW)
    found = verify(newer).fault
    newer.kw["bind"].dispose()
    assert (found.seq, found.kind) == (7, "key")


def test_more_than_one_portion_is_walked(busy, monkeypatch):
    monkeypatch.setattr(audit, "_PORTION", 2)
    assert verify(busy).entries == 6


def test_the_canonical_bytes_are_the_same_on_both_databases():
    entry = {
        "organisation_id": "o",
        "seq": 1,
        "at": NOW,
        "action": "a",
        "subject": "é",
        "by_user": "u",
        "by_role": "ehr",
        "detail": "{}",
        "key_id": "k1",
    }
    assert audit.canonical(entry) == (
        '["o",1,"2026-11-21T12:00:00.000000+00:00","a","é","u","ehr","{}","k1"]'.encode()
    )


def test_without_an_audit_key_nothing_is_changed(clinic, database_url):
    keyless = connect(database_url)
    with pytest.raises(Unavailable, match="audit key"), transaction(keyless) as session:
        orders.submit(session, Declared([SOFT]), an_order(), a_chart(), by=PRESCRIBER, now=NOW)
    keyless.kw["bind"].dispose()
    with transaction(clinic, write=False) as session:
        assert session.execute(text("SELECT count(*) FROM decisions")).scalar_one() == 0


def test_free_text_is_in_the_chain_only_as_a_keyed_hash(clinic):
    with transaction(clinic) as session:
        one = orders.submit(session, Declared([SOFT]), an_order(), a_chart(), by=PRESCRIBER, now=NOW)
        decisions.override(
            session,
            one.decision_id,
            "soft",
            reason="benefit",
            comment="ZZQCANARY",
            by=replace(PRESCRIBER, user_id="u-2"),
            now=NOW,
        )
        entries = session.execute(text("SELECT detail FROM audit_events")).scalars().all()
    assert not any("ZZQCANARY" in entry for entry in entries)


# --- snoozes and feedback -----------------------------------------------------------------------------


@pytest.fixture
def resting(busy):
    """Beside all that: a finding snoozed and the snooze ended, a card shown and reported about."""
    with transaction(busy) as session:
        two = orders.submit(
            session, Declared([SOFT]), an_order(id="order-2"), a_chart(), by=PRESCRIBER, now=NOW
        ).decision_id
        until = TODAY + timedelta(days=9)
        made = snoozes.snooze(
            session, Declared(), two, "soft", reason="benefit", until=until, by=PRESCRIBER, now=NOW
        )
        snoozes.end(session, made.id, by=PRESCRIBER, now=NOW)
        shown = feedback.ShownCard("c-1", two, ("soft",), "soft-stop")
        feedback.cards_shown(session, [shown], by=PRESCRIBER, now=NOW)
        report = feedback.Report("c-1", feedback.CardOutcome.OVERRIDDEN, comment="a", at=NOW)
        feedback.give(session, service="s", reports=[report], by=PRESCRIBER, now=NOW)
    return busy


def test_a_record_with_snoozes_and_feedback_is_whole(resting):
    found = verify(resting)
    assert (found.entries, found.fault) == (10, None)


@pytest.mark.parametrize(
    ("statement", "seq", "words"),
    [
        ("UPDATE snoozes SET reason = 'other'", 8, "is not what"),
        ("UPDATE snoozes SET until = '2027-11-21'", 8, "is not what"),
        ("UPDATE snoozes SET drug = ''", 8, "is not what"),
        ("UPDATE snoozes SET by_user = 'u-other'", 8, "is not what"),
        ("UPDATE snooze_ends SET by_user = 'u-other'", 9, "not what was written"),
        ("DELETE FROM snooze_ends", 9, "that is gone"),
        ("UPDATE card_feedback SET outcome = 'accepted'", 10, "is not what"),
        ("UPDATE card_feedback SET comment = 'b'", 10, "is not what"),
        ("UPDATE card_feedback SET by_user = 'u-other'", 10, "is not what"),
        ("DELETE FROM card_feedback", 10, "is gone"),
    ],
)
def test_an_altered_snooze_or_report_is_found(resting, statement, seq, words):
    unguarded(resting, statement)
    fault = verify(resting).fault
    assert (fault.seq, fault.kind) == (seq, "record")
    assert words in fault.what


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("finding.snoozed", "is in no entry"),
        ("snooze.ended", "the end of snooze"),
        ("card.feedback", "a report about card c-1"),
    ],
)
def test_a_row_that_no_entry_speaks_of_is_found(resting, monkeypatch, action, words):
    monkeypatch.delitem(verification._WITNESSES, action)
    fault = verify(resting).fault
    assert (fault.seq, fault.kind) == (None, "extra")
    assert words in fault.what
