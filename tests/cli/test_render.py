"""What a person reads in the terminal."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import click
import pytest

from stewardship.cli import render
from stewardship.domain.policy import Decision, Enforcement, Finding, Outcome, Severity

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_finding(outcome: Outcome, enforcement: Enforcement = Enforcement.SILENT, **said) -> Finding:
    return Finding("short-course", 1, outcome, enforcement, Severity.WARNING, **said)


def a_decision(*findings: Finding) -> Decision:
    return Decision("draft", NOW, findings)


def text(lines) -> str:
    return click.unstyle("\n".join(lines))


BREACH, CANNOT_TELL = Outcome.BREACH, Outcome.CANNOT_TELL


@pytest.mark.parametrize(
    ("findings", "standing"),
    [
        ([a_finding(Outcome.PASS)], render.CLEAR),
        ([a_finding(BREACH, Enforcement.INFORM)], render.ADVISED),
        ([a_finding(BREACH, Enforcement.SOFT_STOP)], render.NEEDS_REASON),
        ([a_finding(BREACH, Enforcement.HARD_STOP)], render.BLOCKED),
        ([a_finding(CANNOT_TELL, Enforcement.SOFT_STOP)], render.CANNOT_TELL),
        ([a_finding(CANNOT_TELL, Enforcement.INFORM)], render.CANNOT_TELL),
        (
            [a_finding(BREACH, Enforcement.INFORM), a_finding(CANNOT_TELL, Enforcement.INFORM)],
            render.CANNOT_TELL,
        ),
        (
            [a_finding(BREACH, Enforcement.SOFT_STOP), a_finding(CANNOT_TELL, Enforcement.SOFT_STOP)],
            render.NEEDS_REASON,
        ),
        (
            [a_finding(BREACH, Enforcement.HARD_STOP), a_finding(CANNOT_TELL, Enforcement.SOFT_STOP)],
            render.BLOCKED,
        ),
        # A policy on trial is shown to nobody, whatever it found.
        ([a_finding(BREACH, Enforcement.SILENT), a_finding(CANNOT_TELL, Enforcement.SILENT)], render.CLEAR),
    ],
)
def test_a_missing_fact_is_kept_apart_from_an_objection(findings, standing):
    assert render.standing(a_decision(*findings)) == standing


def test_exit_codes_tell_the_standings_apart():
    codes = [s.exit_code for s in (render.CLEAR, render.NEEDS_REASON, render.BLOCKED, render.CANNOT_TELL)]
    assert codes == [0, 10, 20, 30]


def test_a_finding_says_what_why_on_what_facts_and_what_next():
    finding = a_finding(
        BREACH,
        Enforcement.HARD_STOP,
        summary="10 days ordered, 7 allowed",
        detail="Serial short courses count together.",
        next_step="Order at most 7 days.",
        facts={"days_supply": Decimal("10.0"), "max_days": 7, "since": date(2026, 11, 1), "tolerant": False},
    )
    shown = text(render.decision_lines(None, a_decision(finding), {}))
    assert "BLOCKED" in shown
    assert "short-course v1  hard stop" in shown
    assert "10 days ordered, 7 allowed" in shown
    assert "facts: days supply 10, max days 7, since 2026-11-01, tolerant no" in shown
    assert "→ Order at most 7 days." in shown


def test_a_finding_that_cannot_tell_names_what_is_missing():
    finding = a_finding(CANNOT_TELL, Enforcement.SOFT_STOP, missing=("order.days_supply",))
    shown = text(render.decision_lines(None, a_decision(finding), {}))
    assert "cannot tell, soft stop" in shown
    assert "not known: order.days_supply" in shown


def test_every_policy_is_named_also_those_with_nothing_to_say():
    quiet = [
        Finding("alpha", 1, Outcome.PASS, Enforcement.SILENT, Severity.INFO, facts={"refills": 0}),
        Finding(
            "beta",
            2,
            Outcome.EXEMPT,
            Enforcement.SILENT,
            Severity.INFO,
            summary="Active cancer",
            evidence="C34",
        ),
        Finding(
            "gamma",
            1,
            Outcome.NOT_APPLICABLE,
            Enforcement.SILENT,
            Severity.INFO,
            summary="not for Schedule II",
        ),
    ]
    shown = text(render.decision_lines(None, a_decision(*quiet), {}))
    assert "pass        alpha v1  refills 0" in shown
    assert "exempt      beta v2  Active cancer: C34" in shown
    assert "n/a         gamma v1  not for Schedule II" in shown


def test_in_brief_policies_with_nothing_to_say_share_a_line():
    quiet = [Finding(p, 1, Outcome.PASS, Enforcement.SILENT, Severity.INFO) for p in ("alpha", "beta")]
    assert "pass        alpha, beta" in text(render.decision_lines(None, a_decision(*quiet), {}, brief=True))


def test_the_loudest_finding_comes_first():
    soft = Finding("alpha", 1, BREACH, Enforcement.SOFT_STOP, Severity.WARNING, summary="soft")
    hard = Finding("beta", 1, BREACH, Enforcement.HARD_STOP, Severity.WARNING, summary="hard")
    shown = text(render.decision_lines(None, a_decision(soft, hard), {}))
    assert shown.index("beta") < shown.index("alpha")
