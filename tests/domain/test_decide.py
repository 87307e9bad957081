"""What the engine makes of a rule's answer: enforcement as applied, exemptions, what cannot be told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import pytest

from stewardship.domain.chart import Condition, Patient
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.drugs import DrugClass
from stewardship.domain.exemptions import ExemptionRule
from stewardship.domain.orders import Pain, Phase, PhaseBounds, Setting
from stewardship.domain.policy import (
    AppliesTo,
    Breach,
    CannotTell,
    Card,
    Disposition,
    Enforcement,
    Force,
    Met,
    Moment,
    NotApplicable,
    Outcome,
    Policy,
    Review,
    Severity,
    Source,
    decide,
    in_force,
)
from stewardship.domain.wording import said
from tests.builders import TODAY, a_chart, an_order


@dataclass(frozen=True)
class Says:
    """A rule that gives one answer."""

    answer: object

    def check(self, order, chart):
        return self.answer


def a_policy(answer=None, **more) -> Policy:
    given = {
        "id": "a-policy",
        "version": 1,
        "title": "A policy",
        "effective_from": date(2026, 1, 1),
        "effective_until": None,
        "jurisdiction": "US",
        "enforcement": Enforcement.SOFT_STOP,
        "severity": Severity.CRITICAL,
        "rationale": "why",
        "limitations": "what it cannot see",
        "source": Source(
            "a source", "a publisher", date(2026, 1, 1), "https://example.org", Force.INSTITUTION
        ),
        "review": Review("author", "approver", date(2027, 1, 1)),
        "applies_to": AppliesTo(),
        "kind": "says",
        "rule": Says(answer or Met()),
        "card": Card("{days} days", "detail", "next", "topic", "only {days} days", "less"),
        "published": True,
    }
    return Policy(**(given | more))


def finding(answer, order=None, chart=None, **more):
    return decide([a_policy(answer, **more)], order or an_order(), chart or a_chart()).findings[0]


def test_a_breach_has_the_policys_enforcement_and_its_facts_in_words():
    found = finding(Breach({"days": 8}))
    assert (found.outcome, found.enforcement, found.summary) == (Outcome.BREACH, "soft-stop", "8 days")


def test_a_notice_informs_whatever_the_enforcement():
    found = finding(Breach({"days": 4}, notice=True), enforcement=Enforcement.HARD_STOP)
    assert (found.enforcement, found.severity, found.summary) == ("inform", "info", "only 4 days")


@pytest.mark.parametrize(
    ("own", "applied"),
    [("silent", "silent"), ("inform", "inform"), ("soft-stop", "inform"), ("hard-stop", "soft-stop")],
)
def test_cannot_tell_is_one_step_softer_and_never_newly_silent(own, applied):
    found = finding(CannotTell(("order.days_supply",)), enforcement=Enforcement(own))
    assert (found.outcome, found.enforcement) == (Outcome.CANNOT_TELL, applied)


def test_cannot_tell_names_the_fact_for_people():
    assert "does not say how many days" in finding(CannotTell(("order.days_supply",))).summary


@pytest.mark.parametrize("answer", [Met({"days": 1}), NotApplicable("because")])
def test_what_passes_or_does_not_apply_is_recorded_and_says_nothing(answer):
    assert finding(answer).enforcement is Enforcement.SILENT


def test_a_silent_policy_stays_silent_in_breach():
    assert finding(Breach({"days": 8}), enforcement=Enforcement.SILENT).enforcement is Enforcement.SILENT


def test_an_order_of_an_unrecognised_medicine_cannot_be_judged():
    found = finding(Met(), order=an_order(unrecognised=True))
    assert (found.outcome, found.missing) == (Outcome.CANNOT_TELL, ("order.drug",))


@pytest.mark.parametrize(
    "applies",
    [
        AppliesTo(drug_classes=(DrugClass.BENZODIAZEPINE,)),
        AppliesTo(settings=(Setting.INPATIENT,)),
        AppliesTo(phases=(Phase.CHRONIC,)),
        AppliesTo(moments=(Moment.CHART,)),
        AppliesTo(min_age=60),
    ],
)
def test_policies_about_something_else_do_not_apply(applies):
    assert finding(Breach({"days": 8}), applies_to=applies).outcome is Outcome.NOT_APPLICABLE


def test_an_unknown_setting_is_not_a_way_out():
    applies = AppliesTo(settings=(Setting.OUTPATIENT,))
    order = an_order(setting=Setting.UNKNOWN)
    assert finding(Breach({"days": 8}), order=order, applies_to=applies).outcome is Outcome.BREACH


def test_a_patient_of_unknown_age_is_not_a_way_out():
    chart = a_chart(patient=Patient("p-1"))
    assert (
        finding(Breach({"days": 8}), chart=chart, applies_to=AppliesTo(min_age=18)).outcome is Outcome.BREACH
    )


@pytest.mark.parametrize(
    ("days", "phase"), [(29, "acute"), (30, "subacute"), (90, "subacute"), (91, "chronic")]
)
def test_the_phase_follows_from_the_onset(days, phase):
    applies = AppliesTo(phases=tuple(Phase), phase_bounds=PhaseBounds(30, 90))
    order = an_order(pain=Pain(onset=TODAY - timedelta(days=days)))
    assert finding(Met(), order=order, applies_to=applies).facts["phase"] == phase


def test_a_policy_about_orders_has_nothing_to_say_when_only_a_chart_is_opened():
    decision = decide([a_policy(Breach({"days": 8}))], None, a_chart())
    assert decision.findings[0].outcome is Outcome.NOT_APPLICABLE


CANCER = ExemptionRule("cancer", "Cancer treatment", frozenset({"cancer"}), condition_days=365)


def cancer(**more):
    given = {"sets": frozenset({"cancer"}), "active": True, "recorded_on": TODAY - timedelta(days=30)}
    return Condition("c-1", (Coding(ICD10CM, "C34.1"),), **(given | more))


def exempted(condition, exemption=CANCER):
    applies = AppliesTo(exemptions=(exemption,))
    return finding(Breach({"days": 8}), chart=a_chart(conditions=(condition,)), applies_to=applies)


def test_an_exemption_says_on_what_evidence():
    found = exempted(cancer())
    assert (found.outcome, found.enforcement) == (Outcome.EXEMPT, "silent")
    assert found.evidence == "condition icd-10-cm C34.1 of 22 Oct 2026"


@pytest.mark.parametrize(
    "condition",
    [
        cancer(active=False),
        cancer(abated_on=TODAY),
        cancer(recorded_on=TODAY - timedelta(days=366)),
        cancer(recorded_on=TODAY + timedelta(days=1)),
        cancer(recorded_on=None),
        cancer(sets=frozenset({"trait"})),
    ],
)
def test_resolved_old_future_undated_or_other_conditions_exempt_nobody(condition):
    assert exempted(condition).outcome is Outcome.BREACH


def test_without_an_expiry_only_a_condition_stated_active_exempts():
    lasting = replace(CANCER, condition_days=None)
    assert exempted(cancer(active=None), lasting).outcome is Outcome.BREACH


def test_an_exemption_covers_what_cannot_be_told():
    applies = AppliesTo(exemptions=(CANCER,))
    found = finding(CannotTell(("history",)), chart=a_chart(conditions=(cancer(),)), applies_to=applies)
    assert found.outcome is Outcome.EXEMPT


def test_the_disposition_is_the_strongest_enforcement():
    hard = a_policy(Breach({"days": 8}), id="b-policy", enforcement=Enforcement.HARD_STOP)
    soft = a_policy(Breach({"days": 8}))
    dispositions = [
        decide(ps, an_order(), a_chart()).disposition for ps in ([soft, hard], [soft], [a_policy()])
    ]
    assert dispositions == [Disposition.BLOCKED, Disposition.NEEDS_REASON, Disposition.CLEAR]


def test_every_policy_is_in_the_decision():
    policies = [
        a_policy(a, id=f"p-{n}") for n, a in enumerate([Met(), NotApplicable("no"), Breach({"days": 1})])
    ]
    assert [f.policy for f in decide(policies, an_order(), a_chart()).findings] == ["p-0", "p-1", "p-2"]


# --- which version -----------------------------------------------------------------------------------


def versions(on, *policies):
    return [(p.id, p.version) for p in in_force(policies, on)]


def test_the_highest_published_version_already_effective_is_in_force():
    later = a_policy(version=2, effective_from=date(2026, 7, 1))
    draft = a_policy(version=3, effective_from=date(2026, 7, 1), published=False)
    assert versions(date(2026, 6, 30), a_policy(), later, draft) == [("a-policy", 1)]
    assert versions(date(2026, 7, 1), a_policy(), later, draft) == [("a-policy", 2)]


def test_a_policy_that_has_ended_is_not_replaced_by_its_older_text():
    ended = a_policy(version=2, effective_until=date(2026, 7, 31))
    assert versions(date(2026, 7, 31), a_policy(), ended) == [("a-policy", 2)]
    assert versions(date(2026, 8, 1), a_policy(), ended) == []


def test_facts_are_said_as_people_write_them():
    from decimal import Decimal

    facts = (Decimal("7.50"), Decimal("100"), date(2026, 11, 1), True, None, ("a", "b"), ())
    assert [said(f) for f in facts] == ["7.5", "100", "1 Nov 2026", "yes", "not on record", "a, b", "none"]
