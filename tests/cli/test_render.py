"""What a person reads in the terminal."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import click
import pytest

from stewardship.cli import render
from stewardship.declarations import load
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
    assert "■ hard stop  10 days ordered, 7 allowed [short-course v1]" in shown
    assert "Serial short courses count together." in shown
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


def a_breach(policy: str, enforcement: Enforcement = Enforcement.SOFT_STOP, **said) -> Finding:
    said = {"summary": f"about {policy}", "next_step": f"mend {policy}"} | said
    return Finding(policy, 1, BREACH, enforcement, Severity.WARNING, **said)


def blocks(shown: str) -> list[str]:
    return [block for block in shown.split("\n\n") if "■" in block]


def test_policies_that_speak_of_one_thing_share_a_block_led_by_the_loudest():
    inform = a_breach("alpha", Enforcement.INFORM, topic="reviews", detail="alpha at length")
    stop = a_breach("beta", topic="reviews", detail="beta at length")
    (block,) = blocks(text(render.decision_lines(None, a_decision(inform, stop), {})))
    assert "■ soft stop  about beta [beta v1]" in block
    assert "+ to know  about alpha [alpha v1]" in block
    assert "beta at length" in block
    assert "alpha at length" not in block
    assert block.index("→ mend beta") < block.index("→ mend alpha")


def test_every_stop_of_a_block_says_with_which_reasons_it_may_be_signed():
    policies = {p.id: p for p in load().in_force(NOW.date())}
    findings = [a_breach(name, topic="reviews") for name in ("pdmp-check", "reassessment-due")]
    shown = text(render.decision_lines(None, a_decision(*findings), policies, brief=True))
    assert "reasons for pdmp-check: reviewed-today; " in shown
    assert "reasons for reassessment-due: evaluated-today; " in shown


def test_not_more_than_five_problems_are_shown_and_the_others_are_named():
    findings = [a_breach(f"policy-{n}", topic=f"topic-{n}") for n in range(7)]
    shown = text(render.decision_lines(None, a_decision(*findings), {}))
    assert len(blocks(shown)) == 5
    assert "… and 2 more problems: policy-5, policy-6. --all shows every finding." in shown


def test_all_shows_each_finding_in_full():
    findings = [a_breach(f"policy-{n}", topic="one", detail=f"detail {n}") for n in range(7)]
    shown = text(render.decision_lines(None, a_decision(*findings), {}, every=True))
    assert len(blocks(shown)) == 7
    assert all(f"detail {n}" in shown for n in range(7))


def test_what_lacks_the_same_fact_is_told_once_with_every_policy_named(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    findings = [
        Finding(
            p,
            1,
            CANNOT_TELL,
            Enforcement.INFORM,
            Severity.WARNING,
            topic=p,
            missing=("order.drug",),
            next_step="Order it by a product code.",
        )
        for p in ("alpha", "beta")
    ]
    (block,) = blocks(text(render.decision_lines(None, a_decision(*findings), {})))
    assert "■ cannot tell  2 policies could not be checked: the ordered medicine is not recognised" in block
    assert "alpha v1, beta v1" in block
    assert block.count("→ Order it by a product code.") == 1


def test_a_snoozed_finding_is_not_shown_as_a_problem_but_listed_with_its_day():
    rested = a_breach("alpha", Enforcement.SILENT, snoozed_until=date(2026, 12, 24))
    shown = text(render.decision_lines(None, a_decision(rested), {}))
    assert not blocks(shown)
    assert "breach      alpha v1  snoozed until 2026-12-24: about alpha" in shown


def test_a_name_is_not_torn_from_its_version(monkeypatch):
    monkeypatch.setattr("stewardship.cli.words._WIDEST", 30)
    finding = a_breach("a-policy", summary="twelve more")
    shown = text(render.decision_lines(None, a_decision(finding), {}))
    assert "[a-policy v1]" in shown


def test_the_loudest_finding_comes_first():
    soft = Finding("alpha", 1, BREACH, Enforcement.SOFT_STOP, Severity.WARNING, summary="soft")
    hard = Finding("beta", 1, BREACH, Enforcement.HARD_STOP, Severity.WARNING, summary="hard")
    shown = text(render.decision_lines(None, a_decision(soft, hard), {}))
    assert shown.index("beta") < shown.index("alpha")
