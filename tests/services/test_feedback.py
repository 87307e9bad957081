"""Cards shown and what is reported about them: the latest moment counts, silence is an outcome of its own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from stewardship.db import tables, transaction
from stewardship.domain.errors import NotFound
from stewardship.services import feedback
from stewardship.services.feedback import CardOutcome, CardStatus, Report, ShownCard
from stewardship.services.verification import verify
from tests.builders import NOW
from tests.services.declared import EHR, ELSEWHERE, ORGANISATION

LATER = NOW + timedelta(minutes=5)
SERVICE = "opioid-order-sign"


def shown(sessions, *names):
    cards = [ShownCard(name, None, ("a-policy", "b-policy"), "soft-stop", "plan") for name in names]
    with transaction(sessions) as session:
        feedback.cards_shown(session, cards, by=EHR, now=NOW)


def a_report(card="c-1", outcome=CardOutcome.OVERRIDDEN, *, at=LATER, **more):
    return Report(card, outcome, at=at, **more)


def give(sessions, *reports, by=EHR, now=LATER):
    with transaction(sessions) as session:
        return feedback.give(session, service=SERVICE, reports=reports, by=by, now=now)


def outcomes(sessions, organisation_id=ORGANISATION, **more):
    with transaction(sessions, write=False) as session:
        return feedback.outcomes(session, organisation_id=organisation_id, **more)


def count(sessions, table):
    with transaction(sessions, write=False) as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_card_that_nobody_reported_was_ignored(clinic):
    shown(clinic, "c-1")
    (only,) = outcomes(clinic)
    assert (only.status, only.report) == (CardStatus.IGNORED, None)
    assert only.card.policies == ("a-policy", "b-policy")


def test_what_was_reported_comes_back(clinic):
    shown(clinic, "c-1")
    said = a_report(reason_code="benefit", reason_system="urn:x", comment="Talked it over.")
    assert give(clinic, said) == 1
    assert outcomes(clinic)[0].report == said


def test_an_accepted_card_says_which_suggestions_were_taken(clinic):
    shown(clinic, "c-1")
    give(clinic, a_report(outcome=CardOutcome.ACCEPTED, accepted=("s-1", "s-2")))
    (only,) = outcomes(clinic)
    assert only.status is CardStatus.ACCEPTED
    assert only.report.accepted == ("s-1", "s-2")


def test_the_same_report_sent_again_changes_nothing(clinic):
    shown(clinic, "c-1")
    assert [give(clinic, a_report()), give(clinic, a_report(), now=LATER + timedelta(hours=1))] == [1, 0]
    assert count(clinic, tables.CardFeedback) == 1


def test_one_report_twice_in_one_call_is_one(clinic):
    shown(clinic, "c-1")
    assert give(clinic, a_report(), a_report()) == 1


@pytest.mark.parametrize("turned_round", [False, True])
def test_the_report_about_the_latest_moment_counts_whenever_it_arrives(clinic, turned_round):
    shown(clinic, "c-1")
    reports = [a_report(), a_report(outcome=CardOutcome.ACCEPTED, at=LATER + timedelta(minutes=1))]
    for number, report in enumerate(reversed(reports) if turned_round else reports):
        give(clinic, report, now=LATER + timedelta(hours=1 + number))
    assert outcomes(clinic)[0].status is CardStatus.ACCEPTED
    assert count(clinic, tables.CardFeedback) == 2


def test_a_clock_that_is_years_ahead_does_not_have_the_last_word_for_years(clinic):
    shown(clinic, "c-1")
    give(clinic, a_report(at=NOW.replace(year=9999)), now=LATER)
    later = LATER + timedelta(minutes=10)
    give(clinic, a_report(outcome=CardOutcome.ACCEPTED, at=later), now=later)
    assert outcomes(clinic)[0].status is CardStatus.ACCEPTED


def test_an_unknown_card_is_not_found_and_nothing_is_kept(clinic):
    shown(clinic, "c-1")
    with pytest.raises(NotFound):
        give(clinic, a_report(), a_report("c-2"))
    assert count(clinic, tables.CardFeedback) == 0


def test_a_card_of_another_organisation_is_not_found(clinic):
    shown(clinic, "c-1")
    with pytest.raises(NotFound):
        give(clinic, a_report(), by=ELSEWHERE)
    assert outcomes(clinic, ELSEWHERE.organisation_id) == ()


def test_only_cards_shown_in_the_period_are_told(clinic):
    shown(clinic, "c-1")
    assert len(outcomes(clinic, since=NOW, until=NOW + timedelta(microseconds=1))) == 1
    assert outcomes(clinic, since=NOW + timedelta(microseconds=1)) == ()
    assert outcomes(clinic, until=NOW) == ()


def test_the_chain_stands_after_feedback(clinic):
    shown(clinic, "c-1")
    give(clinic, a_report(comment="Talked it over."))
    with transaction(clinic, write=False) as session:
        assert verify(session, organisation_id=ORGANISATION).fault is None
        (detail,) = session.execute(
            select(tables.AuditEvent.detail).where(tables.AuditEvent.action == "card.feedback")
        ).scalars()
    assert "Talked" not in detail
