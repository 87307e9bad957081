"""What is past its time goes, whole and on record; what is held, open or about somebody young stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError

from stewardship.db import (
    identity_tables,
    import_tables,
    job_tables,
    outreach_tables,
    retention_tables,
    tables,
    transaction,
)
from stewardship.declarations.places import REFERENCE
from stewardship.declarations.retention import read_retention
from stewardship.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from stewardship.domain.policy import Breach, Enforcement
from stewardship.domain.retention import years_before
from stewardship.services import audit, decisions, holds, orders, retention, snoozes, verification
from tests.builders import NOW, TODAY, a_chart, an_order
from tests.services.declared import (
    COMPLIANCE,
    ELSEWHERE,
    ONE_PHARMACIST,
    ORGANISATION,
    PHARMACIST,
    PRESCRIBER,
    Declared,
    a_policy,
)
from tests.services.feeding import VOID, a_report, bring, supplies

TERMS = read_retention(REFERENCE)
YEARS = TERMS.terms["decisions"].years
LATER = NOW.replace(year=NOW.year + YEARS, month=12)
SOFT = a_policy("soft", Breach())
HARD = a_policy("hard", Breach(), enforcement=Enforcement.HARD_STOP, exception=ONE_PHARMACIST)


def decide(sessions, number=1, *, now=NOW, patient="p-1", birth=date(1960, 5, 1)):
    """A decision on record about an order of a patient."""
    chart = a_chart()
    chart = replace(chart, patient=replace(chart.patient, id=patient, birth_date=birth))
    order = replace(an_order(), id=f"o-{number}", patient_id=patient)
    with transaction(sessions) as session:
        return orders.submit(
            session, Declared([HARD, SOFT]), order, chart, by=PRESCRIBER, now=now
        ).decision_id


def remove(sessions, kind="decisions", *, now=LATER, **more):
    """One portion after the other, until nothing is left."""
    rows = 0
    while True:
        with transaction(sessions) as session:
            gone = retention.remove(session, TERMS, kind, by=COMPLIANCE, now=now, **more)
        if not gone.rows:
            return rows
        rows += gone.rows


def past(sessions, kind="decisions", *, now=LATER):
    with transaction(sessions, write=False) as session:
        found = retention.past(session, TERMS, by=COMPLIANCE, now=now)
    return next(one for one in found if one.term.kind == kind)


def count(sessions, table):
    with transaction(sessions, write=False) as session:
        mine = table.__table__.c.organisation_id == ORGANISATION
        return session.execute(select(func.count()).select_from(table).where(mine)).scalar_one()


def fault(sessions):
    with transaction(sessions, write=False) as session:
        return verification.verify(session, organisation_id=ORGANISATION).fault


def hold(sessions, patient="p-1", **more):
    with transaction(sessions) as session:
        given = {"patient": patient, "reason": "Letter of the court, file 7", "by": COMPLIANCE, "now": LATER}
        return holds.place(session, **(given | more))


@pytest.fixture
def busy(clinic):
    """A decision with all that people did about it."""
    one = decide(clinic)
    with transaction(clinic) as session:
        decisions.override(session, one, "soft", reason="benefit", comment="a", by=PRESCRIBER, now=NOW)
        exception = decisions.request_exception(session, one, "hard", reason="other", by=PRESCRIBER, now=NOW)
        decisions.countersign(session, exception, by=PHARMACIST, now=NOW)
    return clinic


def test_a_decision_goes_with_all_that_was_said_about_it_and_the_trail_stays_whole(busy):
    entries = count(busy, tables.AuditEvent)
    assert past(busy).due == 1
    assert remove(busy) == 1
    for table in (
        tables.Decision,
        tables.Finding,
        tables.Order,
        tables.Override,
        tables.ExceptionRequest,
        tables.Countersignature,
    ):
        assert count(busy, table) == 0
    assert count(busy, tables.AuditEvent) == entries + 1
    assert fault(busy) is None
    assert (past(busy).due, remove(busy)) == (0, 0)


def test_snoozes_cards_and_what_was_reported_about_them_go_along(clinic):
    one = decide(clinic)
    with transaction(clinic) as session:
        made = snoozes.snooze(
            session,
            Declared([SOFT]),
            one,
            "soft",
            reason="benefit",
            until=TODAY + timedelta(days=3),
            by=PRESCRIBER,
            now=NOW,
        )
        snoozes.end(session, made.id, by=PRESCRIBER, now=NOW + timedelta(hours=1))
        card = {"organisation_id": ORGANISATION, "id": "c-1", "decision_id": one, "policies": '["soft"]'}
        card |= {"topic": "", "enforcement": "soft-stop", "shown_at": NOW, "by_user": "u-ehr"}
        session.execute(insert(tables.Card).values(card))
        session.execute(
            insert(tables.CardFeedback).values(
                organisation_id=ORGANISATION,
                card_id="c-1",
                at=NOW,
                outcome="accepted",
                accepted="[]",
                reason_code="",
                reason_system="",
                comment="",
                service="s",
                by_user="u-ehr",
                by_role="ehr",
                received_at=NOW,
            )
        )
        detail = {"reported_for": NOW, "outcome": "accepted", "reason": "", "accepted": []}
        detail |= {"comment": audit.keyed_hash(session, "")}
        audit.record(
            session,
            "card.feedback",
            subject="c-1",
            by=replace(PRESCRIBER, user_id="u-ehr"),
            now=NOW,
            detail=detail,
        )
    assert fault(clinic) is None
    assert remove(clinic) == 1
    for table in (tables.Snooze, tables.SnoozeEnd, tables.Card, tables.CardFeedback):
        assert count(clinic, table) == 0
    assert fault(clinic) is None


def test_what_is_on_the_last_day_of_its_term_stays_and_so_does_what_is_anothers(clinic):
    decide(clinic)
    with transaction(clinic) as session:
        orders.submit(session, Declared([SOFT]), an_order(), a_chart(), by=ELSEWHERE, now=NOW)
    last = NOW.replace(year=NOW.year + YEARS)
    assert past(clinic, now=last).due == remove(clinic, now=last) == 0
    assert past(clinic, now=last + timedelta(days=1)).due == 1


def test_a_leap_day_counts_as_the_day_before_where_there_is_none():
    assert years_before(date(2028, 2, 29), 10) == date(2018, 2, 28)


def test_the_young_those_of_unknown_age_and_open_exceptions_keep_what_is_past_its_time(clinic):
    of_age = years_before(LATER.date(), TERMS.terms["decisions"].until_age)
    decide(clinic, 1, patient="young", birth=of_age + timedelta(days=1))
    decide(clinic, 2, patient="old", birth=of_age)
    decide(clinic, 3, patient="unknown", birth=None)
    waits = decide(clinic, 4)
    with transaction(clinic) as session:
        decisions.request_exception(session, waits, "hard", reason="other", by=PRESCRIBER, now=NOW)
    assert past(clinic).standing == dict.fromkeys(set(retention.Standing) - {retention.Standing.HELD}, 1)
    assert remove(clinic) == 1


def test_a_hold_keeps_a_patient_and_nobody_else(clinic):
    decide(clinic, 1, patient="p-1")
    decide(clinic, 2, patient="p-2")
    made = hold(clinic)
    assert past(clinic).standing == {retention.Standing.HELD: 1, retention.Standing.DUE: 1}
    assert remove(clinic) == 1
    with transaction(clinic) as session:
        holds.lift(session, made.id, reason="The case is closed", by=COMPLIANCE, now=LATER)
    assert remove(clinic) == 1
    assert fault(clinic) is None


def test_a_hold_over_everything_keeps_everything_however_old_it_is(busy):
    hold(busy, None)
    much_later = LATER.replace(year=LATER.year + 90)
    assert past(busy, now=much_later).standing == {retention.Standing.HELD: 1}
    assert remove(busy, now=much_later) == 0
    # Nor does the database let anybody who passes the service by.
    row = {"organisation_id": ORGANISATION, "kind": "decision", "record_id": "any", "portion": "any"}
    row |= {"patient_id": None, "sha256": "0" * 64, "kept": "{}", "at": LATER}
    with pytest.raises(DBAPIError, match="legal hold"), transaction(busy) as session:
        session.execute(insert(retention_tables.Erasure).values(row))


def test_portions_are_entries_and_an_interrupted_removal_goes_on(clinic):
    for number in range(5):
        decide(clinic, number)
    with transaction(clinic) as session:
        assert retention.remove(session, TERMS, "decisions", by=COMPLIANCE, now=LATER, most=2).rows == 2
    with pytest.raises(RuntimeError), transaction(clinic) as session:
        retention.remove(session, TERMS, "decisions", by=COMPLIANCE, now=LATER, most=2)
        raise RuntimeError("the lights go out")
    assert count(clinic, tables.Decision) == 3
    assert remove(clinic, most=2) == 3
    with transaction(clinic, write=False) as session:
        purged = session.execute(
            select(tables.AuditEvent.detail).where(tables.AuditEvent.action == "retention.purged")
        ).scalars()
        assert len(list(purged)) == 3
    assert fault(clinic) is None


def test_a_dispensing_goes_with_every_row_and_its_supply_unless_it_is_held(clinic):
    bring(clinic, a_report(number=1))
    with transaction(clinic, write=False) as session:
        (ehr_id,) = session.execute(select(tables.Patient.ehr_id)).scalars()
    made = hold(clinic, ehr_id)
    assert remove(clinic, "dispensings") == 0
    assert len(supplies(clinic)) == 1
    with transaction(clinic) as session:
        holds.lift(session, made.id, reason="Closed", by=COMPLIANCE, now=LATER)
    assert remove(clinic, "dispensings") == 1
    assert supplies(clinic) == set()
    assert fault(clinic) is None


def test_what_was_removed_and_reported_again_stays_under_a_hold_whoever_deletes(clinic):
    bring(clinic, a_report(number=1))
    assert remove(clinic, "dispensings") == 1
    bring(clinic, a_report(number=1, control="0002"), now=LATER)
    with transaction(clinic, write=False) as session:
        (ehr_id,) = session.execute(select(tables.Patient.ehr_id)).scalars()
    made = hold(clinic, ehr_id)
    # Old enough again, and with the entry of its first removal: the service asks, and so does the database.
    later = LATER.replace(year=LATER.year + YEARS + 1)
    assert remove(clinic, "dispensings", now=later) == 0
    with pytest.raises(DBAPIError, match="a legal hold keeps"), transaction(clinic) as session:
        session.execute(text("DELETE FROM dispensing_reports"))
    with transaction(clinic) as session:
        holds.lift(session, made.id, reason="Closed", by=COMPLIANCE, now=later)
    everything = hold(clinic, None)
    with pytest.raises(DBAPIError, match="a legal hold keeps"), transaction(clinic) as session:
        session.execute(text("DELETE FROM dispensing_reports"))
    with transaction(clinic) as session:
        holds.lift(session, everything.id, reason="Closed", by=COMPLIANCE, now=later)
    assert remove(clinic, "dispensings", now=later) == 1
    assert supplies(clinic) == set()
    assert fault(clinic) is None


def test_a_void_under_a_hold_ends_the_supply_and_removes_no_row(clinic):
    bring(clinic, a_report(number=1))
    with transaction(clinic, write=False) as session:
        (ehr_id,) = session.execute(select(tables.Patient.ehr_id)).scalars()
    hold(clinic, ehr_id, now=NOW)
    bring(clinic, a_report(VOID, number=1, control="0002", created="20260106*0930"))
    assert supplies(clinic) == set()
    assert count(clinic, import_tables.DispensingReport) == 2
    assert remove(clinic, "dispensings") == 0
    bring(clinic, a_report(number=1, control="0003", created="20260107*0930"))
    assert len(supplies(clinic)) == 1
    assert count(clinic, import_tables.DispensingReport) == 3


def unguarded(sessions, *statements):
    """What somebody does who may change the schema."""
    with transaction(sessions) as session:
        sqlite = session.get_bind().dialect.name == "sqlite"
        for table in ("decisions", "findings", "erasures", "legal_holds", "legal_hold_ends"):
            if sqlite:
                for change in ("update", "delete"):
                    session.execute(text(f"DROP TRIGGER {table}_no_{change}"))
            else:
                session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        for statement in statements:
            session.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("UPDATE erasures SET sha256 = '" + "1" * 64 + "'", "record", "was not what was decided"),
        ('UPDATE erasures SET kept = \'{"cards":["x"],"policies":[]}\'', "record", "the list of what"),
        ("DELETE FROM erasures", "record", "is gone"),
    ],
    ids=["other content", "other list", "no list"],
)
def test_a_list_of_removals_that_somebody_altered_is_found(clinic, statement, kind, words):
    decide(clinic)
    remove(clinic)
    unguarded(clinic, statement)
    found = fault(clinic)
    assert found.kind == kind
    assert words in found.what


def test_a_decision_that_was_altered_before_it_was_removed_is_found_at_its_entry(clinic):
    decide(clinic)
    unguarded(clinic, "UPDATE decisions SET disposition = 'clear'")
    remove(clinic)
    found = fault(clinic)
    assert (found.seq, found.kind) == (2, "record")


def test_a_removal_that_no_entry_speaks_of_does_not_hide_a_decision_that_is_gone(clinic):
    one = decide(clinic)
    unguarded(
        clinic,
        "INSERT INTO erasures (organisation_id, kind, record_id, portion, sha256, kept, at) "  # noqa: S608
        f"SELECT organisation_id, 'decision', id, 'forged', '{'0' * 64}', '{{}}', as_of FROM decisions",
        "DELETE FROM orders",
        "DELETE FROM findings",
        "DELETE FROM decisions",
    )
    found = fault(clinic)
    assert (found.seq, found.kind) == (2, "record")
    assert one in found.what


def test_a_hold_that_somebody_took_away_is_found(clinic):
    decide(clinic)
    hold(clinic)
    unguarded(clinic, "DELETE FROM legal_holds")
    assert "legal hold" in fault(clinic).what


def test_holds_and_removals_are_for_compliance_alone_and_holds_have_a_reason(clinic):
    for by in (PRESCRIBER, PHARMACIST):
        with transaction(clinic) as session:
            with pytest.raises(Forbidden):
                holds.place(session, patient=None, reason="Because", by=by, now=NOW)
            with pytest.raises(Forbidden):
                retention.remove(session, TERMS, "decisions", by=by, now=NOW)
            with pytest.raises(Forbidden):
                retention.past(session, TERMS, by=by, now=NOW)
    for reason in ("", "  ", "\u200b", "-"):
        with pytest.raises(InvalidInput), transaction(clinic) as session:
            holds.place(session, patient=None, reason=reason, by=COMPLIANCE, now=NOW)
    with pytest.raises(NotFound), transaction(clinic) as session:
        holds.place(session, patient="nobody", reason="Because", by=COMPLIANCE, now=NOW)


def test_a_hold_is_lifted_once_and_by_its_own_organisation(clinic):
    decide(clinic)
    made = hold(clinic)
    with transaction(clinic) as session:
        holds.lift(session, made.id, reason="Closed", by=COMPLIANCE, now=LATER)
    with pytest.raises(Conflict, match="u-compliance"), transaction(clinic) as session:
        holds.lift(session, made.id, reason="Closed", by=COMPLIANCE, now=LATER)
    other = replace(COMPLIANCE, organisation_id=ELSEWHERE.organisation_id)
    with pytest.raises(NotFound), transaction(clinic) as session:
        holds.lift(session, made.id, reason="Closed", by=other, now=LATER)


def test_runs_letters_sessions_and_links_go_row_by_row_unless_they_are_held(clinic):
    decide(clinic)
    old, of = NOW.replace(year=NOW.year - 1), {"organisation_id": ORGANISATION}
    with transaction(clinic) as session:
        patient = session.execute(select(tables.Patient.id)).scalar_one()
        user = {"id": "u-1", "role": "prescriber", "active": True, "created_at": old}
        session.execute(insert(tables.User).values(of | user))
        for n, at in enumerate((old, LATER)):
            run = {"job": "digest", "slot": at, "outcome": "done", "attempts": 1, "started_at": at}
            run |= {"finished_at": at, "code": "", "document": "{}"}
            run |= dict.fromkeys(("done", "late", "late_seconds", "milliseconds"), 0)
            session.execute(insert(job_tables.JobRun).values(of | run))
            letter = {"id": f"l-{n}", "kind": "digest", "recipient": "u-1", "dedupe_key": f"d-{n}"}
            letter |= {"document": "{}", "status": "sent", "attempts": 1, "created_at": at, "next_at": at}
            letter |= {"sent_at": at, "error": ""}
            session.execute(insert(outreach_tables.OutboxMessage).values(of | letter))
            seen = {"id": f"s-{n}", "token_hash": str(n) * 64, "user_id": "u-1", "role": "prescriber"}
            seen |= {"stage": "whole", "method": "password", "agent": "", "began_at": at, "seen_at": at}
            seen |= {"expires_at": at + timedelta(hours=1)}
            session.execute(insert(identity_tables.BrowserSession).values(of | seen))
            link = {"id": f"k-{n}", "token_hash": str(n) * 64, "patient_id": patient, "instrument": "peg"}
            link |= {"issued_at": at, "issued_by": "u-1", "issued_role": "prescriber"}
            link |= {"expires_at": at + timedelta(days=1)}
            session.execute(insert(outreach_tables.QuestionnaireLink).values(of | link))
    kinds = ("job-runs", "letters", "sessions", "links")
    everything = hold(clinic, None)
    assert [remove(clinic, kind) for kind in kinds] == [0, 0, 0, 0]
    with transaction(clinic) as session:
        holds.lift(session, everything.id, reason="Closed", by=COMPLIANCE, now=LATER)
    one = hold(clinic)
    assert [remove(clinic, kind) for kind in kinds] == [1, 1, 1, 0]
    with transaction(clinic) as session:
        holds.lift(session, one.id, reason="Closed", by=COMPLIANCE, now=LATER)
    assert [remove(clinic, kind) for kind in kinds] == [0, 0, 0, 1]
    for table in (
        job_tables.JobRun,
        outreach_tables.OutboxMessage,
        identity_tables.BrowserSession,
        outreach_tables.QuestionnaireLink,
    ):
        assert count(clinic, table) == 1
    assert fault(clinic) is None
