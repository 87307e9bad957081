"""The policies themselves, so that everybody can read by what rules orders are judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from http import HTTPStatus
from typing import Any

from flask import Response

from stewardship.api.exchange import Room, answer
from stewardship.api.schemas import PoliciesAnswer, PoliciesQuery, PolicyAnswer, PolicyQuery
from stewardship.auth import Permission, requires
from stewardship.domain.errors import NotFound
from stewardship.domain.policy import Policy
from stewardship.runtime import runtime

room = Room("policies", __name__, description="Which rules there are, since when, and on whose authority.")


@room.route("/policies")
@requires(Permission.READ_POLICIES)
@room.arguments(PoliciesQuery, location="query")
@room.response(HTTPStatus.OK, PoliciesAnswer)
def list_policies(query: Mapping[str, Any]) -> Response:
    """List policies.

    Every published version, or with `on` those that are in force on that day.
    """
    running = runtime()
    day = query.get("on")
    in_force = running.library.in_force(day or running.clock().date())
    listed = in_force if day else [p for p in running.library.policies if p.published]
    lines = [line(p, in_force=p in in_force) for p in sorted(listed, key=_order)]
    return answer({"policies": lines})


@room.route("/policies/<policy_id>")
@requires(Permission.READ_POLICIES)
@room.arguments(PolicyQuery, location="query")
@room.response(HTTPStatus.OK, PolicyAnswer)
def read_policy(query: Mapping[str, Any], policy_id: str) -> Response:
    """Read a policy.

    One version in full; without `version` the one in force today, or else the newest published.
    """
    running = runtime()
    in_force = running.library.in_force(running.clock().date())
    versions = sorted((p for p in running.library.policies if p.published and p.id == policy_id), key=_order)
    wanted = query.get("version")
    found = [p for p in versions if p.version == wanted] if wanted else versions
    if not found:
        raise NotFound("there is no such policy")
    policy = next((p for p in found if p in in_force), found[-1])
    return answer(whole(policy, in_force=policy in in_force, versions=[p.version for p in versions]))


def line(policy: Policy, *, in_force: bool) -> dict[str, Any]:
    """A policy version in a list."""
    source = policy.source
    return {
        "id": policy.id,
        "version": policy.version,
        "title": policy.title,
        "effective_from": policy.effective_from.isoformat(),
        "effective_until": policy.effective_until.isoformat() if policy.effective_until else None,
        "jurisdiction": policy.jurisdiction,
        "enforcement": policy.enforcement.value,
        "severity": policy.severity.value,
        "force": source.force.value,
        "kind": policy.kind,
        "source": {
            "title": source.title,
            "publisher": source.publisher,
            "date": source.date.isoformat(),
            "url": source.url,
        },
        "sha256": policy.sha256,
        "in_force": in_force,
    }


def whole(policy: Policy, *, in_force: bool, versions: list[int]) -> dict[str, Any]:
    """A policy version with its parameters and words."""
    return {
        **line(policy, in_force=in_force),
        "rationale": policy.rationale,
        "limitations": policy.limitations,
        "review": _plain(policy.review),
        "applies_to": _plain(policy.applies_to)
        | {"exemptions": [e.kind for e in policy.applies_to.exemptions]},
        "parameters": _plain(policy.rule),
        "card": _plain(policy.card),
        "override_reasons": [_plain(reason) for reason in policy.overrides],
        "exception": _plain(policy.exception) if policy.exception else None,
        "versions": versions,
    }


def _order(policy: Policy) -> tuple[str, int]:
    return policy.id, policy.version


def _plain(value: Any) -> Any:
    """A declared value as JSON. What is declared elsewhere under a name (a factor set, a definition) is
    said by that name."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _named(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(inner) for inner in value)
    return value if value is None or isinstance(value, (str, int, bool, Decimal)) else str(value)


def _named(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for name in ("id", "name", "kind"):
            if isinstance(getattr(value, name, None), str):
                return getattr(value, name)
    return _plain(value)
