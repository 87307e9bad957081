"""Findings as they are kept: those that speak, and those that are silent.

Of twenty policies that are asked about an order two may speak. What people do about a finding refers to its
row, and nothing can be done about silence: so those that speak have a row each, and the silent ones (passed,
exempt, not applicable, put to rest) stand together in their decision's ``silent_document``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from stewardship.db import documents


class FindingRow(NamedTuple):
    """Which finding it is, and how it spoke: what its row says, or would say if it were not silent."""

    organisation_id: str
    decision_id: str
    policy_id: str
    outcome: str
    enforcement: str


def all_of(silent_document: str | None, spoken: Iterable[str]) -> list[dict[str, Any]]:
    """All findings of a decision as plain JSON, by policy; ``spoken`` are the documents of its rows.

    A decision from before the silent ones were kept together has no such document, and a row for each.
    """
    found = [documents.decode_shown(document) for document in spoken]
    if silent_document is not None:
        found += documents.decode_shown(silent_document)
    return sorted(found, key=_policy)


def together(silent: Iterable[str]) -> str:
    """The ``silent_document`` of findings, each as ``documents.encode_shown`` wrote it."""
    return f"[{','.join(silent)}]"


def _policy(said: dict[str, Any]) -> str:
    return str(said["policy"])
