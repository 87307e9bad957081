"""The policies: what is in force on a day, the text and source of each, its tests, its versions, its use."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from difflib import unified_diff
from hashlib import sha256
from typing import Any

from flask import Blueprint, Response, request
from markupsafe import Markup

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.declarations.places import POLICIES
from stewardship.declarations.policy_tests import TestResult, run_tests
from stewardship.domain.errors import NotFound
from stewardship.domain.policy import Policy
from stewardship.pictures.bars import bars_svg
from stewardship.runtime import runtime
from stewardship.services import policy_use
from stewardship.services.policy_use import Month
from stewardship.web.pages import may, page

room = Blueprint("in_force", __name__)

#: Over how many months the use of a policy is shown.
_MONTHS = 12


@room.get("/policies")
@requires(Permission.READ_POLICIES)
def policies() -> Response:
    """What is in force on a day, today unless another is asked for; drafts and what is over apart."""
    library = runtime().library_of(principal().organisation_id)
    today = runtime().clock().date()
    on, wrong = _day(request.args.get("on", ""), today)
    current = library.in_force(on)
    rest = [p for p in library.policies if p not in current]
    return page(
        "policies.html",
        on=on,
        today=today,
        wrong=wrong,
        current=current,
        drafts=[p for p in rest if not p.published],
        to_come=[p for p in rest if p.published and p.effective_from > on],
        over=[p for p in rest if p.published and p.effective_from <= on],
    )


@room.get("/policies/<policy_id>")
@requires(Permission.READ_POLICIES)
def policy(policy_id: str) -> Response:
    """One policy: the version in force, or the one that is asked for."""
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    versions = sorted((p for p in library.policies if p.id == policy_id), key=lambda p: p.version)
    if not versions:
        raise NotFound("there is no such policy")
    current = next((p for p in library.in_force(now.date()) if p.id == policy_id), None)
    chosen = _chosen(versions, current, request.args.get("version", ""))
    text = _text(chosen)
    before = next((p for p in reversed(versions) if p.version < chosen.version), None)
    months: tuple[Month, ...] = ()
    if may(Permission.READ_DECISIONS):
        with transaction(running.sessions, write=False) as session:
            months = policy_use.months_of(session, policy_id, months=_MONTHS, by=by, now=now)
    return page(
        "policy.html",
        policy=chosen,
        versions=versions,
        current=current,
        before=before,
        text=text,
        difference=_since(before, chosen) if before else [],
        results=_results(chosen) if text else [],
        parameters=[(f.name, getattr(chosen.rule, f.name)) for f in fields(chosen.rule)],  # type: ignore[arg-type]
        meaning=" ".join((type(chosen.rule).__doc__ or "").replace("``", "").split()),
        months=months,
        picture=_picture(months),
        today=now.date(),
    )


def _day(text: str, today: date) -> tuple[date, str]:
    """The day that was asked for, and what is wrong with it."""
    if not text:
        return today, ""
    try:
        return date.fromisoformat(text), ""
    except ValueError:
        return today, "That is not a day; write one as 2026-11-30. This is what is in force today."


def _chosen(versions: list[Policy], current: Policy | None, wanted: str) -> Policy:
    if not wanted:
        return current or versions[-1]
    found = next((p for p in versions if str(p.version) == wanted), None)
    if found is None:
        raise NotFound("there is no such version of the policy")
    return found


def _text(policy: Policy) -> str:
    """The file as it was read; empty when the file that is here is another."""
    path = POLICIES / f"{policy.id}.v{policy.version}.toml"
    content = path.read_bytes() if path.is_file() else b""
    return content.decode() if sha256(content).hexdigest() == policy.sha256 else ""


def difference(before: str, after: str, old: str, new: str) -> list[str]:
    """Two texts line by line: what is gone, what is new, and three lines around it; empty for the same."""
    return list(unified_diff(before.splitlines(), after.splitlines(), old, new, lineterm=""))


def _since(before: Policy, after: Policy) -> list[str]:
    """What changed, while the files of both are those that were read."""
    texts = [_text(p) for p in (before, after)]
    names = [f"{p.id}.v{p.version}.toml" for p in (before, after)]
    return difference(*texts, *names) if all(texts) else []


def _results(policy: Policy) -> list[TestResult]:
    """The tests of the file, run now by the library that decides."""
    return list(run_tests(runtime().library, policy))


def _picture(months: tuple[Month, ...]) -> Markup:
    series: dict[str, Any] = {
        "objected": [m.objected for m in months],
        "could not tell": [m.untold for m in months],
        "overridden": [m.overridden for m in months],
        "exceptions asked for": [m.excepted for m in months],
    }
    drawn = bars_svg("Findings and overrides by month", [f"{m.first:%Y-%m}" for m in months], series)
    return Markup(drawn)  # noqa: S704 - our own elements; words in them are escaped
