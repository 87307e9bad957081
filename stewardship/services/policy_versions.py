"""Policy versions as they were when they decided something, each kept once.

Title, source, coded reasons and exception path are the same in every finding of a policy version, so a
finding is stored without them. A decision names the versions that made it by the hash of their words: what
it said can be shown when the policy files are gone, and its audit entry vouches for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.db.engine import engine_of
from stewardship.db.findings import FindingRow
from stewardship.db.patients import insert_once
from stewardship.domain.errors import Unavailable
from stewardship.domain.policy import Policy
from stewardship.services.answers import policy_json

_versions: Any = tables.PolicyVersion.__table__
_decisions: Any = tables.Decision.__table__

#: A policy version in a decision: its id, its number and the SHA-256 of its document here.
Reference = tuple[str, int, str]

#: Organisation and ``policies_document`` of which every version is known to be committed, by database.
_KEPT: WeakKeyDictionary[Any, set[tuple[str, str]]] = WeakKeyDictionary()
_WROTE = "wrote_policy_versions"


def keep(session: Session, policies: Sequence[Policy], *, organisation_id: str) -> str:
    """Keep the versions that are not kept yet; the ``policies_document`` of a decision that they make."""
    named, made = _written(tuple(policies))
    kept = _KEPT.setdefault(engine_of(session), set())
    if (organisation_id, named) in kept:
        return named
    asked = select(_versions.c.policy_id, _versions.c.version, _versions.c.sha256).where(
        _versions.c.organisation_id == organisation_id, _versions.c.policy_id.in_([p.id for p in policies])
    )
    known = {tuple(row) for row in session.connection().execute(asked)}
    for reference, document in made.items():
        if reference not in known:
            policy_id, version, sha256 = reference
            row = {"policy_id": policy_id, "version": version, "sha256": sha256, "document": document}
            insert_once(session, _versions, {"organisation_id": organisation_id, **row})
            session.info[_WROTE] = True
    # What this transaction wrote itself may yet be rolled back: only a later one may rely on it.
    if not session.info.get(_WROTE):
        kept.add((organisation_id, named))
    return named


def references(policies_document: str) -> list[Reference]:
    """The versions that a decision names."""
    return documents.decode(policies_document, list[Reference])


def told(found: Iterable[str], policies: Iterable[Policy], **more: str | None) -> list[Any]:
    """What ``answers.finding_json`` says of findings, put together from their documents as they are stored.

    Values for a larger JSON answer, each with the members of ``more``; nothing is written out again.
    """
    beside = documents.encode(more)
    return [documents.joined(one, _text(policy), beside) for one, policy in zip(found, policies, strict=True)]


@lru_cache(maxsize=1024)
def _text(policy: Policy) -> str:
    return documents.encode_shown(policy_json(policy))


def words_of(session: Session, decision: Row[Any]) -> dict[str, Mapping[str, Any]]:
    """What the versions that made a decision add to their findings, by policy; see ``answers.policy_json``.

    ``file`` beside it is the SHA-256 of the policy's file. ``Unavailable`` when a version is gone.
    """
    named = references(decision.policies_document)
    asked = select(_versions).where(
        _versions.c.organisation_id == decision.organisation_id,
        _versions.c.policy_id.in_([policy_id for policy_id, _, _ in named]),
    )
    known = {(r.policy_id, r.version, r.sha256): r.document for r in session.connection().execute(asked)}
    gone = [
        f"{policy_id} version {version}"
        for policy_id, version, sha256 in named
        if (policy_id, version, sha256) not in known
    ]
    if gone:
        raise Unavailable(f"the record lacks {', '.join(gone)}: verify the audit chain", code="record")
    return {one[0]: documents.decode_shown(known[one]) for one in named}


def words_of_finding(session: Session, finding: FindingRow | Row[Any]) -> Mapping[str, Any]:
    """What its policy version adds to one finding, or to that which a row is about."""
    asked = select(_decisions).where(
        _decisions.c.organisation_id == finding.organisation_id, _decisions.c.id == finding.decision_id
    )
    return words_of(session, session.connection().execute(asked).one())[finding.policy_id]


@lru_cache(maxsize=64)
def _written(policies: tuple[Policy, ...]) -> tuple[str, dict[Reference, str]]:
    made = {}
    for policy in policies:
        document = documents.encode({**policy_json(policy), "file": policy.sha256})
        made[policy.id, policy.version, documents.digest(document)] = document
    return documents.encode(list(made)), made
