"""A stored decision: read, a soft stop overridden, a hard stop lifted by an exception."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, url_for

from stewardship import after_orders
from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.api.schemas import (
    CountersignatureRequest,
    ExceptionAnswer,
    ExceptionRequest,
    OverrideRequest,
    StoredDecisionAnswer,
)
from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.runtime import runtime
from stewardship.services import decisions, patients

room = Room("decisions", __name__, description="What was decided, and what people did about it.")

_FINDING = "/decisions/<decision_id>/findings/<policy_id>"


@room.route("/decisions/<decision_id>")
@requires(Permission.READ_DECISIONS)
@room.response(HTTPStatus.OK, StoredDecisionAnswer)
def read_decision(decision_id: str) -> Response:
    """Read a decision.

    As it was made, with the overrides and exceptions since.
    """
    running, by = runtime(), principal()
    with transaction(running.sessions, late=True) as session:
        stored = decisions.read(session, decision_id, by=by)
        patients.note_read(session, stored.patient_id, what="decision", by=by, now=running.clock())
    return answer(decisions.stored_json(stored))


@room.route(f"{_FINDING}/override", methods=["POST"])
@requires(Permission.OVERRIDE_FINDINGS)
@room.arguments(OverrideRequest)
@room.response(HTTPStatus.OK, StoredDecisionAnswer)
@room.doc(responses={409: "CONFLICT"})
def override_finding(said: Mapping[str, Any], decision_id: str, policy_id: str) -> Response:
    """Override a soft stop.

    By a prescriber, with one of the policy's coded reasons; once. Whoever comes second gets a 409.
    """
    with writing() as session:
        decisions.override(
            session,
            decision_id,
            policy_id,
            reason=said["reason"],
            comment=said["comment"],
            terms=runtime().library.identity.overrides,
            by=principal(),
            now=runtime().clock(),
        )
        stored = decisions.read(session, decision_id, by=principal())
    _look_again(decision_id)
    return answer(decisions.stored_json(stored))


@room.route(f"{_FINDING}/exception", methods=["POST"])
@requires(Permission.REQUEST_EXCEPTIONS)
@room.arguments(ExceptionRequest)
@room.response(HTTPStatus.CREATED, ExceptionAnswer)
@room.doc(responses={409: "CONFLICT"})
def request_exception(said: Mapping[str, Any], decision_id: str, policy_id: str) -> Response:
    """Ask that a hard stop be lifted.

    Where the policy has an exception path. Others countersign; never the person who asks.
    """
    with writing() as session:
        exception_id = decisions.request_exception(
            session,
            decision_id,
            policy_id,
            reason=said["reason"],
            note=said["note"],
            by=principal(),
            now=runtime().clock(),
        )
        state = decisions.read_exception(session, exception_id, by=principal())
    where = url_for("decisions.read_exception", exception_id=exception_id)
    return answer(decisions.exception_json(state), HTTPStatus.CREATED, Location=where)


@room.route("/exceptions/<exception_id>")
@requires(Permission.READ_DECISIONS)
@room.response(HTTPStatus.OK, ExceptionAnswer)
def read_exception(exception_id: str) -> Response:
    """Read a request for an exception.

    With the countersignatures so far, and whether it is open, approved or declined.
    """
    with reading() as session:
        state = decisions.read_exception(session, exception_id, by=principal())
    return answer(decisions.exception_json(state))


@room.route("/exceptions/<exception_id>/countersignatures", methods=["POST"])
@requires(Permission.COUNTERSIGN_EXCEPTIONS)
@room.arguments(CountersignatureRequest)
@room.response(HTTPStatus.CREATED, ExceptionAnswer)
@room.doc(responses={409: "CONFLICT"})
def countersign(said: Mapping[str, Any], exception_id: str) -> Response:
    """Countersign an exception, or decline it.

    Each person once, never the one who asked, in a role that the policy names.
    """
    with writing() as session:
        state = decisions.countersign(
            session,
            exception_id,
            approve=said["approve"],
            note=said["note"],
            by=principal(),
            now=runtime().clock(),
        )
    _look_again(state.decision_id)
    return answer(decisions.exception_json(state), HTTPStatus.CREATED)


def _look_again(decision_id: str) -> None:
    """An order that nothing stops any more counts from now on."""
    running, by = runtime(), principal()
    library = running.library_of(by.organisation_id)
    after_orders.look_again(running.sessions, library, decision_id, by=by, now=running.clock())
