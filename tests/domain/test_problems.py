"""One card a problem, and what rests."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from stewardship.domain.chart import Snooze
from stewardship.domain.policy import Breach, CannotTell, Enforcement, Finding, Outcome, Severity, decide
from stewardship.domain.problems import NOT_CHECKED, problems
from tests.builders import TODAY, a_chart, an_order
from tests.domain.test_decide import a_policy


def a_finding(
    policy="a", topic="course", enforcement="soft-stop", outcome=Outcome.BREACH, severity="warning"
):
    return Finding(policy, 1, outcome, Enforcement(enforcement), Severity(severity), topic=topic)


def test_findings_of_one_topic_are_one_problem_led_by_the_loudest():
    soft, hard = a_finding("a"), a_finding("b", enforcement="hard-stop")
    (problem,) = problems([soft, hard])
    assert problem.findings == (hard, soft)


def test_problems_come_loudest_first():
    told = problems([a_finding("a", "x", "inform"), a_finding("b", "y"), a_finding("c", "z", "hard-stop")])
    assert [p.lead.policy for p in told] == ["c", "b", "a"]


def test_all_that_could_not_be_checked_is_one_problem():
    untold = [a_finding(p, p, "inform", Outcome.CANNOT_TELL) for p in "abc"]
    (problem,) = problems(untold)
    assert (problem.topic, len(problem.findings)) == (NOT_CHECKED, 3)


def test_what_could_not_be_checked_joins_a_breach_of_its_topic():
    breach = a_finding("a")
    (problem,) = problems([breach, a_finding("b", outcome=Outcome.CANNOT_TELL, enforcement="inform")])
    assert problem.lead is breach


def test_silent_findings_are_no_problem():
    assert problems([a_finding(enforcement="silent")]) == ()


# --- snoozes --------------------------------------------------------------------------------------------

OXYCODONE = "7804"


def rested(answer=None, *, drug=OXYCODONE, until=TODAY, enforcement="soft-stop", own="soft-stop"):
    snooze = Snooze("a-policy", drug, until, enforcement, "reason")
    policy = a_policy(answer or Breach({"days": 8}), enforcement=Enforcement(own))
    return decide([policy], an_order(), a_chart(snoozes=(snooze,))).findings[0]


def test_a_snoozed_finding_is_silent_until_its_last_day():
    found = rested(until=TODAY)
    assert (found.outcome, found.enforcement, found.snoozed_until) == (Outcome.BREACH, "silent", TODAY)


@pytest.mark.parametrize(
    "other", [{"until": TODAY - timedelta(days=1)}, {"drug": "10689"}, {"enforcement": "inform"}]
)
def test_an_expired_snooze_another_drugs_or_a_softer_ones_rests_nothing(other):
    assert rested(**other).enforcement is Enforcement.SOFT_STOP


def test_a_hard_stop_is_never_put_to_rest():
    assert rested(own="hard-stop", enforcement="hard-stop").enforcement is Enforcement.HARD_STOP


def test_a_snooze_may_be_for_every_drug():
    assert rested(drug="").enforcement is Enforcement.SILENT


def test_what_could_not_be_checked_is_never_put_to_rest():
    assert rested(CannotTell(("history",))).enforcement is Enforcement.INFORM


def test_another_policys_snooze_rests_nothing():
    policy = a_policy(Breach({"days": 8}))
    snooze = replace(Snooze("a-policy", "", TODAY, "soft-stop"), policy="b-policy")
    assert decide([policy], an_order(), a_chart(snoozes=(snooze,))).findings[0].snoozed_until is None
