"""Alert burden: what is counted, over orders that are made up and over decisions on record."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from stewardship.db import transaction
from stewardship.domain.policy import Breach, CannotTell, Card, Enforcement, Finding, Outcome, Severity
from stewardship.reports import alert_burden
from stewardship.reports.alert_burden import Answered, Told, answers, count, is_counted, per
from stewardship.services import feedback, orders, snoozes
from tests.builders import NOW, TODAY, a_chart, a_drug, an_order
from tests.services.declared import EHR, ELSEWHERE, ORGANISATION, PRESCRIBER, Declared, KnowsOne, a_policy

INFORM, SOFT, HARD, SILENT = (
    Enforcement.INFORM,
    Enforcement.SOFT_STOP,
    Enforcement.HARD_STOP,
    Enforcement.SILENT,
)


def a_finding(policy="a", enforcement=SOFT, *, topic="plan", outcome=Outcome.BREACH, **more):
    return Finding(policy, 1, outcome, enforcement, Severity.WARNING, topic=topic, **more)


def test_findings_of_one_problem_are_one_card():
    told = Told((a_finding("a"), a_finding("b"), a_finding("c", topic="course")))
    found = count([told]).all
    assert (found.ungrouped, found.cards) == (3, 2)


def test_what_is_silent_is_no_card():
    burden = count([Told((a_finding(enforcement=SILENT, outcome=Outcome.PASS),))])
    assert (burden.all.orders, burden.all.cards, burden.all.quiet) == (1, 0, 1)
    assert not burden.findings


@pytest.mark.parametrize(
    ("enforcement", "stopped", "blocked"), [(INFORM, 0, 0), (SOFT, 1, 0), (HARD, 1, 1), (SILENT, 0, 0)]
)
def test_an_order_is_stopped_by_a_stop_and_blocked_by_a_hard_one(enforcement, stopped, blocked):
    found = count([Told((a_finding(enforcement=enforcement),))]).all
    assert (found.stopped, found.blocked) == (stopped, blocked)


def test_what_could_not_be_checked_is_one_card_and_counted_apart():
    told = Told(tuple(a_finding(p, INFORM, topic=p, outcome=Outcome.CANNOT_TELL) for p in "abc"))
    burden = count([told])
    assert burden.all.cards == 1
    assert burden.findings["a", INFORM, Outcome.CANNOT_TELL] == 1
    assert burden.leads == {("not-checked", "a"): 1}


def test_long_orders_and_kinds_are_counted_apart():
    burden = count([Told((a_finding(),), "x", 28), Told((), "x", 27), Told((), "y", None)])
    assert (burden.all.orders, burden.long.orders, burden.long.cards) == (3, 1, 1)
    assert {kind: counts.orders for kind, counts in burden.by_kind.items()} == {"x": 2, "y": 1}


def test_a_snoozed_finding_is_counted_as_at_rest():
    burden = count([Told((a_finding(enforcement=SILENT, snoozed_until=TODAY),))])
    assert burden.snoozed == {"a": 1}
    assert burden.all.quiet == 1


def test_figures_are_exact_and_nothing_of_nothing_is_nothing():
    assert per(2, 3) == Decimal("0.67")
    assert per(1, 8, times=100) == Decimal("12.50")
    assert per(0, 0) == 0


@pytest.mark.parametrize(
    ("order", "counted"),
    [
        (an_order(), True),
        (an_order(unrecognised=True), True),
        (an_order(drug=a_drug("lorazepam", "6470", "1", code="197901", classes=frozenset())), False),
    ],
)
def test_orders_of_opioids_for_pain_are_counted_and_of_what_may_be_one(order, counted):
    assert is_counted(order) is counted


def test_text_and_json_say_the_same():
    burden = count([Told((a_finding("a"), a_finding("b", INFORM)), "x", 30), Told(())])
    said, text = alert_burden.as_json(burden), "\n".join(alert_burden.lines(burden))
    assert said["cards_per_order"] == Decimal("0.50")
    assert said["cards_per_order_ungrouped"] == Decimal("1.00")
    assert said["percent_without_card"] == 50
    assert said["findings"][0] == {
        "policy": "a",
        "enforcement": "soft-stop",
        "outcome": "breach",
        "count": 1,
        "per_100_orders": Decimal("50.00"),
    }
    assert said["cards"] == [{"topic": "plan", "lead": "a", "count": 1, "per_100_orders": Decimal("50.00")}]
    all_line = next(line for line in text.splitlines() if line.startswith("all "))
    assert all_line.split() == ["all", "2", "0.50", "1.00", "50.00%", "50.00%", "0.00%"]


# --- decisions on record ----------------------------------------------------------------------------


def check(sessions, *policies, order=None, by=EHR, now=NOW, drug=None):
    library = Declared(policies, catalogue=KnowsOne(drug or a_drug()))
    with transaction(sessions) as session:
        (checked,) = orders.check(
            session, library, [order or an_order()], a_chart(), channel="test", by=by, now=now
        )
    return checked.decision_id


def stored(sessions, *, organisation_id=ORGANISATION, **more):
    with transaction(sessions, write=False) as session:
        return alert_burden.stored(session, organisation_id=organisation_id, **more)


def plan(name, answer=None, **more):
    card = Card("Summary.", "Detail.", "Next step.", topic="plan")
    return a_policy(name, answer or Breach(), card=card, **more)


def test_decisions_on_record_are_counted_as_the_stream_is(clinic):
    check(clinic, plan("a"), plan("b", enforcement=INFORM), a_policy("c", Breach()))
    check(clinic, plan("a", CannotTell(("history",))))
    burden = stored(clinic)
    assert (burden.all.orders, burden.all.ungrouped, burden.all.cards) == (2, 4, 3)
    assert burden.by_kind["test"].orders == 2
    assert burden.findings["a", SOFT, Outcome.BREACH] == 1
    assert burden.findings["a", INFORM, Outcome.CANNOT_TELL] == 1


def test_an_order_without_any_policy_in_force_counts_as_quiet(clinic):
    check(clinic)
    assert stored(clinic).all.quiet == 1


def test_looks_at_a_chart_and_other_medicines_are_not_counted(clinic):
    with transaction(clinic) as session:
        orders.check(session, Declared(), [], a_chart(), channel="test", by=EHR, now=NOW)
    plain = a_drug("lorazepam", "6470", "1", code="197901", classes=frozenset())
    check(clinic, order=an_order(drug=plain), drug=plain)
    assert stored(clinic).all.orders == 0


def test_only_the_period_and_the_organisation_are_counted(clinic):
    check(clinic, plan("a"))
    later = NOW + timedelta(days=1)
    assert stored(clinic, since=NOW, until=later).all.orders == 1
    assert stored(clinic, since=later).all.orders == 0
    assert stored(clinic, until=NOW).all.orders == 0
    assert stored(clinic, organisation_id=ELSEWHERE.organisation_id).all.orders == 0


def test_snoozed_findings_on_record_are_counted(clinic):
    library = Declared((plan("a"),))
    first = check(clinic, plan("a"))
    with transaction(clinic) as session:
        until = TODAY + timedelta(days=5)
        snoozes.snooze(session, library, first, "a", reason="benefit", until=until, by=PRESCRIBER, now=NOW)
    check(clinic, plan("a"))
    assert stored(clinic).snoozed == {"a": 1}


def test_what_became_of_cards_is_counted_for_every_policy_behind_them(clinic):
    decision = check(clinic, plan("a"), plan("b"))
    cards = [
        feedback.ShownCard("c-1", decision, ("a", "b"), "soft-stop", "plan"),
        feedback.ShownCard("c-2", decision, ("a",), "soft-stop", "plan"),
        feedback.ShownCard("c-3", decision, ("a",), "soft-stop", "plan"),
    ]
    reports = [
        feedback.Report("c-1", feedback.CardOutcome.OVERRIDDEN, at=NOW),
        feedback.Report("c-2", feedback.CardOutcome.ACCEPTED, at=NOW),
    ]
    with transaction(clinic) as session:
        feedback.cards_shown(session, cards, by=EHR, now=NOW)
        feedback.give(session, service="s", reports=reports, by=EHR, now=NOW)
    with transaction(clinic, write=False) as session:
        ended = answers(feedback.outcomes(session, organisation_id=ORGANISATION))
    assert ended == {
        "a": Answered(shown=3, accepted=1, overridden=1, ignored=1),
        "b": Answered(shown=1, overridden=1),
    }
