"""A decision on a page: what stands against the order, why, on what, and what may be done about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship import after_orders
from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.directions import counted
from stewardship.domain.errors import Conflict, Fault, InvalidInput, StewardshipError
from stewardship.domain.policy import Policy
from stewardship.domain.suggestions import Suggestion, suggestions
from stewardship.runtime import runtime
from stewardship.services import answers, decisions, patients, snoozes
from stewardship.services.patients import MadeOn
from stewardship.web import ordering
from stewardship.web.pages import page

room = Blueprint("decided", __name__)


@room.get("/decisions/<decision_id>")
@requires(Permission.READ_DECISIONS)
def show(decision_id: str) -> Response:
    """The decision as it was made and as it stands, with everything that it was made on."""
    return _page(decision_id)


@room.post("/decisions/<decision_id>/<policy_id>/override")
@requires(Permission.OVERRIDE_FINDINGS)
def override(decision_id: str, policy_id: str) -> Response | WSGIResponse:
    """Override a soft stop with a coded reason."""

    def act(session: Session) -> str:
        decisions.override(
            session,
            decision_id,
            policy_id,
            reason=request.form.get("reason", ""),
            comment=request.form.get("comment", ""),
            terms=runtime().library.identity.overrides,
            by=principal(),
            now=runtime().clock(),
        )
        return "The stop is overridden, with your reason on record."

    return _acted(decision_id, policy_id, "override", act, look_again=True)


@room.post("/decisions/<decision_id>/<policy_id>/exception")
@requires(Permission.REQUEST_EXCEPTIONS)
def request_exception(decision_id: str, policy_id: str) -> Response | WSGIResponse:
    """Ask that a hard stop be lifted."""

    def act(session: Session) -> str:
        decisions.request_exception(
            session,
            decision_id,
            policy_id,
            reason=request.form.get("reason", ""),
            note=request.form.get("note", ""),
            by=principal(),
            now=runtime().clock(),
        )
        return "The exception is asked for. The order stays stopped until it is countersigned."

    return _acted(decision_id, policy_id, "exception", act)


@room.post("/decisions/<decision_id>/<policy_id>/snooze")
@requires(Permission.SNOOZE_FINDINGS)
def snooze(decision_id: str, policy_id: str) -> Response | WSGIResponse:
    """Put a finding to rest for this patient and drug until a day."""

    def act(session: Session) -> str:
        rests = snoozes.snooze(
            session,
            runtime().library,
            decision_id,
            policy_id,
            reason=request.form.get("reason", ""),
            until=_day(request.form.get("until", "")),
            by=principal(),
            now=runtime().clock(),
        )
        return f"The finding rests until {rests.until.isoformat()}; after that it speaks again."

    return _acted(decision_id, policy_id, "snooze", act)


def _acted(
    decision_id: str, policy_id: str, what: str, act: Callable[[Session], str], *, look_again: bool = False
) -> Response | WSGIResponse:
    """Do it and show the decision again; when refused, with the reason and everything that was typed.

    An order that nothing stops any more counts from then on: its patient is looked at again.
    """
    try:
        with transaction(runtime().sessions) as session:
            said = act(session)
    except (InvalidInput, Conflict) as refused:
        status = HTTPStatus.CONFLICT if isinstance(refused, Conflict) else HTTPStatus.UNPROCESSABLE_ENTITY
        return _page(decision_id, refused=refused, where=(policy_id, what), typed=request.form, status=status)
    if look_again:
        running, by = runtime(), principal()
        library = running.library_of(by.organisation_id)
        after_orders.look_again(running.sessions, library, decision_id, by=by, now=running.clock())
    flash(said, "success")
    return redirect(url_for("decided.show", decision_id=decision_id), HTTPStatus.SEE_OTHER)


def _page(
    decision_id: str,
    *,
    refused: StewardshipError | None = None,
    where: tuple[str, str] = ("", ""),
    typed: Mapping[str, str] | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    with transaction(running.sessions, late=True) as session:
        stored = decisions.read(session, decision_id, by=by)
        made = patients.made_on(session, decision_id, by=by)
        who, _ = patients.known(session, made.patient_id, by=by)
        patients.note_read(session, made.patient_id, what="decision", by=by, now=now)
    told = decisions.stored_json(stored)
    policies = {p["id"]: library.policy(p["id"], p["version"]) for p in told["policies"]}
    return page(
        "decision.html",
        status=status,
        decision=told,
        who=who,
        made=made,
        reads=ordering.reads(made.order) if made.order is not None else "",
        policies=policies,
        files={p["id"]: p["sha256"] for p in told["policies"]},
        overrides={one["policy"]: one for one in told["overrides"]},
        exceptions=_by_policy(told["exceptions"]),
        offers=_offers(told, made, policies),
        counted_amount=counted,
        refused=refused,
        where=where,
        typed=typed or {},
        tomorrow=now.date() + timedelta(days=1),
        last_day=now.date() + timedelta(days=library.snooze_days),
    )


def _offers(
    told: Mapping[str, Any], made: MadeOn, policies: Mapping[str, Policy | None]
) -> dict[str, tuple[Suggestion, ...]]:
    """What could be done instead or besides, by policy, while the policy files are those of the decision."""
    library = runtime().library_of(principal().organisation_id)
    found: dict[str, tuple[Suggestion, ...]] = {}
    for said in told["findings"]:
        policy = policies.get(said["policy"])
        if policy is not None:
            fitting = suggestions(
                library.suggestions,
                answers.finding_of(said),
                policy,
                order=made.order,
                chart=made.chart,
                catalogue=library.catalogue,
            )
            if fitting:
                found[policy.id] = fitting
    return found


def _by_policy(requests: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in requests:
        found.setdefault(one["policy"], []).append(one)
    return found


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        fault = Fault("/until", "not-a-day", "Give a day, such as 2026-11-30.")
        raise InvalidInput("the day cannot be read", faults=(fault,)) from None
