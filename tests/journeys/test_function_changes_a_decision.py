"""What is recorded of a patient's function in the service changes what is decided about an order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stewardship.db import Sessions, transaction
from stewardship.declarations import Library, load
from stewardship.domain.chart import Patient
from stewardship.domain.drugs import Medication
from stewardship.domain.orders import Phase
from stewardship.domain.policy import Finding, Outcome
from stewardship.services import measurements, orders, organisations
from tests.builders import NOW, a_chart, an_order, tablets
from tests.function.acting import OXYCODONE, Acting
from tests.services.declared import PRESCRIBER


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


@pytest.fixture
def long_term(database: Sessions, library: Library) -> Acting:
    """A hundred days into therapy, with a month of supply in hand and a review that is due."""
    with transaction(database) as session:
        organisations.ensure(session, "org-1", name="One", by=PRESCRIBER, now=NOW)
    acting = Acting(database, library)
    fills = [acting.oxycodone(30, ago=ago) for ago in (100, 70, 40, 10)]
    acting.takes("p-1", *fills)
    acting.reconsider("p-1")
    acting.open_due()
    return acting


def finding(acting: Acting, policy: str) -> Finding:
    """What the policy says of another month of the same."""
    drug = acting.library.catalogue.by_rxcui(OXYCODONE)
    assert drug is not None
    order = an_order(
        drug=drug,
        medication=Medication((drug.code,), drug.name),
        days=30,
        quantity=120,
        dosage=(tablets(1, times=4),),
        phase=Phase.CHRONIC,
        written_on=acting.today,
    )
    brought = replace(a_chart(patient=Patient("p-1")), as_of=acting.now)
    with transaction(acting.sessions, write=False) as session:
        (checked,) = orders.screen(session, acting.library, [order], brought, by=acting.by, now=acting.now)
    return next(f for f in checked.decision.findings if f.policy == policy)


def test_a_review_completed_in_the_service_satisfies_reassessment(long_term: Acting) -> None:
    assert finding(long_term, "reassessment-due").outcome is Outcome.BREACH
    measured = long_term.measure("p-1")
    long_term.complete(long_term.open_review("p-1").id, measured.id)
    after = finding(long_term, "reassessment-due")
    assert after.outcome is Outcome.PASS
    assert after.facts["evaluated_on"] == long_term.today


def test_long_term_supply_wants_function_measured_and_goals_looked_at_in_a_review(long_term: Acting) -> None:
    before = finding(long_term, "long-term-supply")
    assert before.facts["wanting"] == ("a current pain treatment plan", "a function review")
    measured = long_term.measure("p-1")
    long_term.goal("p-1")
    assert finding(long_term, "long-term-supply").facts["wanting"] == ("a current pain treatment plan",)
    long_term.complete(long_term.open_review("p-1").id, measured.id)
    after = finding(long_term, "long-term-supply")
    assert (after.outcome, after.facts["plan_reviewed_on"]) == (Outcome.PASS, long_term.today)


def test_a_review_without_a_goal_is_no_review_of_a_plan(long_term: Acting) -> None:
    measured = long_term.measure("p-1")
    long_term.complete(long_term.open_review("p-1").id, measured.id)
    assert finding(long_term, "long-term-supply").facts["wanting"] == ("a current pain treatment plan",)


def test_a_goal_is_a_plan_that_is_current(long_term: Acting) -> None:
    assert finding(long_term, "treatment-plan-current").outcome is Outcome.BREACH
    long_term.goal("p-1")
    assert finding(long_term, "treatment-plan-current").outcome is Outcome.PASS


def test_what_a_patient_answered_alone_satisfies_nothing_until_somebody_has_looked(long_term: Acting) -> None:
    measured = long_term.measure("p-1", source="patient")
    assert finding(long_term, "reassessment-due").outcome is Outcome.BREACH
    long_term.complete(long_term.open_review("p-1").id, measured.id)
    assert finding(long_term, "reassessment-due").outcome is Outcome.PASS


def test_a_pain_score_and_a_cancelled_review_satisfy_nothing(long_term: Acting) -> None:
    long_term.measure("p-1", "pain-intensity", pain=2)
    long_term.cancel(long_term.open_review("p-1").id)
    assert finding(long_term, "reassessment-due").outcome is Outcome.BREACH


def test_a_measurement_that_was_a_mistake_satisfies_nothing_any_more(long_term: Acting) -> None:
    measured = long_term.measure("p-1")
    assert finding(long_term, "reassessment-due").outcome is Outcome.PASS
    with transaction(long_term.sessions) as session:
        measurements.enter_in_error(
            session,
            long_term.library,
            measured.id,
            reason="wrong patient",
            by=long_term.by,
            now=long_term.now,
        )
    assert finding(long_term, "reassessment-due").outcome is Outcome.BREACH


def test_a_review_is_current_for_ninety_days(long_term: Acting) -> None:
    measured = long_term.measure("p-1")
    long_term.complete(long_term.open_review("p-1").id, measured.id)
    later = long_term.later(90)
    later.takes("p-1", *(later.oxycodone(30, ago=ago) for ago in (70, 40, 10)))
    assert finding(later, "reassessment-due").outcome is Outcome.PASS
    assert finding(later.later(1), "reassessment-due").outcome is Outcome.BREACH
