"""A library of tiny policies, whose rules answer what the test says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from stewardship.domain.chart import Chart
from stewardship.domain.codes import CodeSets
from stewardship.domain.drugs import Drug, Medication
from stewardship.domain.orders import Order
from stewardship.domain.people import Principal, Role
from stewardship.domain.policy import (
    Answer,
    AppliesTo,
    Card,
    Enforcement,
    ExceptionPath,
    Force,
    Met,
    OverrideReason,
    Policy,
    Review,
    Severity,
    Source,
)
from tests.builders import a_drug

ORGANISATION = "org-1"
PRESCRIBER = Principal("u-prescriber", ORGANISATION, Role.PRESCRIBER)
PHARMACIST = Principal("u-pharmacist", ORGANISATION, Role.PHARMACIST)
COMPLIANCE = Principal("u-compliance", ORGANISATION, Role.COMPLIANCE)
EHR = Principal("u-ehr", ORGANISATION, Role.EHR)
ELSEWHERE = Principal("u-prescriber", "org-2", Role.PRESCRIBER)

ONE_PHARMACIST = ExceptionPath(1, ("pharmacist", "prescriber"), ("pharmacist",))
TWO_PEOPLE = ExceptionPath(
    2, ("pharmacist", "compliance", "prescriber"), ("pharmacist",), requires_note="withdrawal risk"
)


@dataclass(frozen=True)
class Says:
    """A rule that always answers the same."""

    answer: Answer

    def check(self, order: Order | None, chart: Chart) -> Answer:
        """The answer that it was made with."""
        return self.answer


def a_policy(name: str = "a-policy", answer: Answer | None = None, rule: Any = None, **more: Any) -> Policy:
    """A soft stop with two coded reasons, that every order passes."""
    given: dict[str, Any] = {
        "id": name,
        "version": 1,
        "title": f"The policy {name}",
        "effective_from": date(2026, 1, 1),
        "effective_until": None,
        "jurisdiction": "US",
        "enforcement": Enforcement.SOFT_STOP,
        "severity": Severity.WARNING,
        "rationale": "Because.",
        "limitations": "None.",
        "source": Source(
            "A source", "A publisher", date(2026, 1, 1), "https://example.org", Force.INSTITUTION
        ),
        "review": Review("author", "approver", date(2027, 1, 1)),
        "applies_to": AppliesTo(),
        "kind": "says",
        "rule": rule or Says(answer or Met()),
        "card": Card("Summary.", "Detail.", "Next step."),
        "overrides": (OverrideReason("benefit", "Benefit outweighs risk"), OverrideReason("other", "Other")),
        "sha256": "0" * 64,
        "published": True,
    }
    return Policy(**(given | more))


@dataclass(frozen=True)
class KnowsOne:
    """A catalogue of one product."""

    drug: Drug = field(default_factory=a_drug)

    def recognise(self, medication: Medication) -> Drug | None:
        """The product, when one of the codings is its code."""
        return self.drug if any(c.code == self.drug.code.code for c in medication.codings) else None


@dataclass(frozen=True)
class Declared:
    """These policies, all in force, and one product."""

    policies: Sequence[Policy] = ()
    catalogue: KnowsOne = field(default_factory=KnowsOne)
    code_sets: CodeSets = field(default_factory=lambda: CodeSets({}, {}))
    snooze_days: int = 90
    instruments: Mapping[str, Any] = field(default_factory=dict)

    def in_force(self, on: date) -> tuple[Policy, ...]:
        """All of them."""
        return tuple(self.policies)

    def policy(self, policy_id: str, version: int) -> Policy | None:
        """One of them."""
        return next((p for p in self.policies if (p.id, p.version) == (policy_id, version)), None)
