"""One card a problem: the findings of a decision as a prescriber ought to see them.

Several policies may speak of the same thing (a plan, a reassessment and a supply for chronic pain all ask
for a look at the patient); the loudest leads and the others stand behind it. What could not be checked is
one problem, however many policies it concerns, unless a breach of the same topic is shown anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stewardship.domain.policy import LOUDNESS, Finding, Outcome, Severity

NOT_CHECKED = "not-checked"
_SEVERITY = {Severity.CRITICAL: 2, Severity.WARNING: 1, Severity.INFO: 0}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to tell: the finding that leads, and the others that speak of the same topic."""

    topic: str
    lead: Finding
    others: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The leading finding and those behind it."""
        return (self.lead, *self.others)


def problems(findings: Iterable[Finding]) -> tuple[Problem, ...]:
    """The findings that speak, grouped, the loudest problem first."""
    shown = sorted((f for f in findings if LOUDNESS[f.enforcement]), key=rank)
    groups: dict[str, list[Finding]] = {}
    breached = {f.topic for f in shown if f.outcome is Outcome.BREACH}
    for finding in shown:
        told = finding.outcome is Outcome.BREACH or finding.topic in breached
        groups.setdefault(finding.topic if told else NOT_CHECKED, []).append(finding)
    made = [Problem(topic, group[0], tuple(group[1:])) for topic, group in groups.items()]
    return tuple(sorted(made, key=lambda p: rank(p.lead)))


def rank(finding: Finding) -> tuple[int, int, int, str]:
    """The loudest first: by what it does to the order, by severity, what was found before what was not."""
    return (
        -LOUDNESS[finding.enforcement],
        -_SEVERITY[finding.severity],
        finding.outcome is not Outcome.BREACH,
        finding.policy,
    )
