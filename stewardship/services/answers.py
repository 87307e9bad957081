"""Findings and decisions as plain JSON: the same words in every face, in storage and in an export.

Decimals stay decimals (written as JSON numbers), dates become text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Protocol

from stewardship.domain.chart import Chart
from stewardship.domain.currency import PharmacyData
from stewardship.domain.policy import (
    Decision,
    Enforcement,
    ExceptionPath,
    Finding,
    Outcome,
    Policy,
    Severity,
)
from stewardship.domain.problems import problems
from stewardship.domain.wording import FactValue


class Policies(Protocol):
    """What finds a policy version: the part of the library that is needed to put a decision into words."""

    def policy(self, policy_id: str, version: int, /) -> Policy | None:
        """One version of one policy."""
        ...


def finding_json(finding: Finding, policy: Policy) -> dict[str, Any]:
    """One finding as every face shows it: what ``documents.encode_shown`` keeps of it, and what its policy
    version adds."""
    return {
        "policy": finding.policy,
        "version": finding.version,
        "outcome": finding.outcome.value,
        "enforcement": finding.enforcement.value,
        "severity": finding.severity.value,
        "summary": finding.summary,
        "detail": finding.detail,
        "next_step": finding.next_step,
        "topic": finding.topic,
        "facts": {name: fact_json(value) for name, value in finding.facts.items()},
        "missing": list(finding.missing),
        "evidence": finding.evidence,
        "snoozed_until": finding.snoozed_until and finding.snoozed_until.isoformat(),
        **policy_json(policy),
    }


def fact_json(value: FactValue) -> Any:
    """A fact as JSON: lists for tuples, text for dates; numbers stay exact."""
    if isinstance(value, tuple):
        return [fact_json(part) for part in value]
    if isinstance(value, Mapping):
        return {name: fact_json(part) for name, part in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    return value


def decision_json(
    decision: Decision,
    library: Policies,
    *,
    patient_id: str,
    decision_id: str | None = None,
    chart: Chart | None = None,
) -> dict[str, Any]:
    """A decision as made; ``decision_id`` is ``None`` when it was not stored. The ``chart`` that it was made
    on tells how current the pharmacies' data was."""
    findings = []
    for finding in decision.findings:
        policy = library.policy(finding.policy, finding.version)
        if policy is None:
            raise LookupError(f"the library has no {finding.policy} version {finding.version}")
        findings.append(finding_json(finding, policy))
    return envelope(
        decision_id=decision_id,
        order_id=decision.order_id,
        patient_id=patient_id,
        as_of=decision.as_of,
        disposition=decision.disposition.value,
        findings=findings,
        pharmacy_data=None if chart is None else chart.pharmacy_data,
    )


def envelope(
    *,
    decision_id: str | None,
    order_id: str | None,
    patient_id: str,
    as_of: datetime,
    disposition: str,
    findings: Sequence[Mapping[str, Any]],
    pharmacy_data: PharmacyData | None = None,
) -> dict[str, Any]:
    """What surrounds the findings of a decision; the problems that they come to, the loudest first."""
    return {
        "id": decision_id,
        "order_id": order_id,
        "patient_id": patient_id,
        "as_of": instant_json(as_of),
        "disposition": disposition,
        "pharmacy_data": pharmacy_data_json(pharmacy_data, as_of),
        "problems": [
            {
                "topic": problem.topic,
                "lead": problem.lead.policy,
                "policies": [finding.policy for finding in problem.findings],
            }
            for problem in problems(finding_of(said) for said in findings)
        ],
        "findings": list(findings),
    }


def finding_of(said: Mapping[str, Any]) -> Finding:
    """The finding that ``finding_json`` put into words; its facts stay plain JSON."""
    rests = said.get("snoozed_until")
    return Finding(
        policy=said["policy"],
        version=said["version"],
        outcome=Outcome(said["outcome"]),
        enforcement=Enforcement(said["enforcement"]),
        severity=Severity(said["severity"]),
        summary=said["summary"],
        detail=said["detail"],
        next_step=said["next_step"],
        topic=said["topic"],
        facts=said["facts"],
        missing=tuple(said["missing"]),
        evidence=said["evidence"],
        snoozed_until=rests and date.fromisoformat(rests),
    )


def pharmacy_data_json(data: PharmacyData | None, now: datetime) -> dict[str, Any] | None:
    """How current the pharmacies' data was, and which of the patient's pharmacies were overdue; ``None``
    when none took part."""
    if data is None:
        return None
    return {
        "as_of": data.as_of and instant_json(data.as_of),
        "silent": list(data.silent),
        "words": data.in_words(now),
    }


def instant_json(moment: datetime) -> str:
    """A moment in UTC as RFC 3339 writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def _qualification_json(path: ExceptionPath) -> dict[str, Any]:
    """What a policy asks of those who decide, whole, so that it can be asked when the files have changed."""
    if path.requires is None:
        return {}
    needs = path.requires
    return {
        "requires": {
            "id": needs.id,
            "title": needs.title,
            "certifications": sorted(needs.certifications),
            "fellowship_months": needs.fellowship_months,
        },
        "requires_of": path.requires_of,
    }


@lru_cache(maxsize=1024)
def policy_json(policy: Policy) -> Mapping[str, Any]:
    """What a policy version adds to each of its findings: title, source, coded reasons, exception path."""
    source, path = policy.source, policy.exception
    return {
        "title": policy.title,
        "force": source.force.value,
        "source": {
            "title": source.title,
            "url": source.url,
            "publisher": source.publisher,
            "date": source.date.isoformat(),
        },
        "override_reasons": [{"code": r.code, "display": r.display} for r in policy.overrides],
        "exception": path
        and {
            "countersignatures": path.countersignatures,
            "roles": list(path.roles),
            "including": list(path.including),
            "requires_note": path.requires_note,
            **_qualification_json(path),
        },
    }
