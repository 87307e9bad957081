"""The tests inside a policy file: the given case, changed, judged by the policy alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from stewardship.declarations import Library
from stewardship.declarations.places import POLICIES
from stewardship.declarations.policies import read_document
from stewardship.domain.errors import InvalidInput
from stewardship.domain.policy import Finding, Policy, decide
from stewardship.domain.wording import said
from stewardship.intake.case import read_case

#: Written as a value in ``with``, it takes the field away: "not stated" has to be tested too.
UNSTATED = "unstated"


@dataclass(frozen=True, slots=True)
class TestResult:
    """What came of one test; ``wrong`` is empty when it passed."""

    policy: Policy
    name: str
    finding: Finding | None
    wrong: str


def run_tests(library: Library, policy: Policy, *, policies_dir: Path = POLICIES) -> Iterator[TestResult]:
    """Run every test of one policy's file against the policy as loaded."""
    path = policies_dir / f"{policy.id}.v{policy.version}.toml"
    data = read_document(path.name, path.read_bytes())
    for test in data["test"]:
        case = merged(data["given"], test["change"])
        today = case.pop("today", policy.effective_from)
        now = datetime.combine(today, time(12), UTC)
        try:
            read_ = read_case(
                case, catalogue=library.catalogue, code_sets=library.code_sets, units=library.units, now=now
            )
        except InvalidInput as wrong:
            places = "; ".join(f"{f.pointer}: {f.message}" for f in wrong.faults)
            yield TestResult(policy, test["name"], None, f"the case cannot be read: {places}")
            continue
        finding = decide([policy], read_.order, read_.chart).findings[0]
        yield TestResult(policy, test["name"], finding, _wrong(test, finding))


def merged(given: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The given case with the changes laid over it, tables into tables; ``UNSTATED`` takes away."""
    result = dict(given)
    for key, value in change.items():
        if value == UNSTATED:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping) and key != "medicine":
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def _wrong(test: Mapping[str, Any], finding: Finding) -> str:
    """How the finding differs from what the test expects."""
    differing = []
    if finding.outcome is not test["outcome"]:
        why = finding.summary or ", ".join(finding.missing)
        differing.append(f"is {finding.outcome}, expected {test['outcome']} ({why})")
    wanted = test.get("enforcement")
    if wanted is not None and finding.enforcement is not wanted:
        differing.append(f"enforcement is {finding.enforcement}, expected {wanted}")
    for name, value in test["facts"].items():
        found = finding.facts.get(name)
        if not _same(found, value):
            differing.append(f"{name} is {said(found)}, expected {said(value)}")
    words = finding.summary + finding.detail + finding.next_step
    if "{" in words or "}" in words:
        differing.append("a fact is missing in the card's words")
    return "; ".join(differing)


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, int | Decimal) and not isinstance(wanted, bool):
        return isinstance(found, int | Decimal) and found == wanted
    if isinstance(wanted, date):
        return bool(found == wanted)
    return str(found) == str(wanted)
