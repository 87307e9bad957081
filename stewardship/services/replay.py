"""A stored decision decided again: from the order and the chart that it was made on, by the policy versions
of its day. It comes out the same, or it is said exactly how not, and why that can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from stewardship.db import documents, findings, tables
from stewardship.domain.chart import Chart
from stewardship.domain.errors import NotFound
from stewardship.domain.orders import Order
from stewardship.domain.people import Principal
from stewardship.domain.policy import Policy, decide
from stewardship.services import policy_versions

_decisions: Any = tables.Decision.__table__
_findings: Any = tables.Finding.__table__
#: A policy version in words: its id and its number.
Version = tuple[str, int]


class Library(Protocol):
    """The part of the library that deciding again needs."""

    def policy(self, policy_id: str, version: int) -> Policy | None:
        """One version of one policy, published or not."""
        ...


@dataclass(frozen=True, slots=True)
class Difference:
    """One value of one finding that came out otherwise."""

    policy: str
    field: str
    then: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Replayed:
    """What deciding again gave. ``missing`` are versions that no file here holds, ``changed`` those whose
    file is not what it was: their findings cannot be made again. ``compared`` counts the others."""

    decision_id: str
    as_of: datetime
    disposition: str
    compared: int
    differences: tuple[Difference, ...]
    missing: tuple[Version, ...]
    changed: tuple[Version, ...]

    @property
    def same(self) -> bool:
        """Whether every finding was made again and none came out otherwise."""
        return not (self.differences or self.missing or self.changed)


def replay(session: Session, library: Library, decision_id: str, *, by: Principal) -> Replayed:
    """Decide a stored decision again; nothing is written. ``NotFound`` for another organisation's."""
    row = _row(session, decision_id, by)
    words = policy_versions.words_of(session, row)
    policies: list[Policy] = []
    missing: list[Version] = []
    changed: list[Version] = []
    for policy_id, version, _ in policy_versions.references(row.policies_document):
        policy = library.policy(policy_id, version)
        if policy is None:
            missing.append((policy_id, version))
        elif policy.sha256 != words[policy_id]["file"]:
            changed.append((policy_id, version))
        else:
            policies.append(policy)
    order = documents.decode(row.order_document, Order) if row.order_document else None
    decision = decide(policies, order, documents.decode(row.chart_document, Chart))
    again = {finding.policy: _plain(finding) for finding in decision.findings}
    then = {said["policy"]: said for said in _said(session, row)}
    return Replayed(
        decision_id=row.id,
        as_of=row.as_of,
        disposition=row.disposition,
        compared=len(again),
        differences=tuple(
            difference for policy, now in again.items() for difference in _between(policy, then[policy], now)
        ),
        missing=tuple(missing),
        changed=tuple(changed),
    )


def all_of(session: Session, *, by: Principal) -> list[str]:
    """The ids of every decision of the organisation, the oldest first."""
    asked = select(_decisions.c.id).where(_decisions.c.organisation_id == by.organisation_id)
    return list(session.connection().execute(asked.order_by(_decisions.c.id)).scalars())


def _row(session: Session, decision_id: str, by: Principal) -> Row[Any]:
    asked = select(_decisions).where(
        _decisions.c.organisation_id == by.organisation_id, _decisions.c.id == decision_id
    )
    row = session.connection().execute(asked).first()
    if row is None:
        raise NotFound("no such decision")
    return row


def _said(session: Session, row: Row[Any]) -> list[Mapping[str, Any]]:
    asked = select(_findings.c.document).where(
        _findings.c.organisation_id == row.organisation_id, _findings.c.decision_id == row.id
    )
    aloud = session.connection().execute(asked).scalars()
    return list(findings.all_of(row.silent_document, list(aloud)))


def _plain(finding: Any) -> dict[str, Any]:
    """A finding as it is read back from its document."""
    plain: dict[str, Any] = documents.decode_shown(documents.encode_shown(finding))
    return plain


def _between(policy: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    names = sorted(then.keys() | now.keys())
    return [
        Difference(policy, name, then.get(name), now.get(name))
        for name in names
        if then.get(name) != now.get(name)
    ]
