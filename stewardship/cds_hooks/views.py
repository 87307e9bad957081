"""The endpoints: discovery, and the call of a service.

Whatever goes wrong after a request was understood is answered with 200 and a card that says that the
check was not made, for clients do not show errors to the prescriber. Errors that only the client's own
programmer can mend are 400 with an OperationOutcome that points at the field. A caller that is not
admitted gets an empty answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from stewardship.auth import Permission, principal, public, requires
from stewardship.bodies import json_body
from stewardship.cds_hooks import cards
from stewardship.cds_hooks.budget import TooLate, within
from stewardship.cds_hooks.discovery import SERVICES
from stewardship.declarations import Library
from stewardship.domain.errors import (
    Fault,
    Forbidden,
    InvalidInput,
    MalformedInput,
    NotFound,
    PatientMismatch,
    StewardshipError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from stewardship.domain.people import Principal
from stewardship.intake.cds_request import HookRequest, read_request
from stewardship.intake.strict_json import dumps
from stewardship.observability import log, report_fault, request_id, whereabouts
from stewardship.runtime import runtime
from stewardship.services import audit, orders
from stewardship.services.orders import Checked

blueprint = Blueprint("cds_hooks", __name__)

#: What a prescriber reads when a check was not made: what was not done, and what to do.
_NOT_MADE = {
    "patient-mismatch": "Opioid order could not be checked: patient does not match. "
    "Close it and order again in the right chart.",
    "unavailable": "Opioid check could not be made: records cannot be reached. Check by hand before signing.",
    "timeout": "Opioid check could not be made in time. Check by hand before signing.",
    "fault": "Opioid check could not be made: the service has a fault. Check by hand before signing.",
    "unusable-id": "Opioid check could not be made: an id of the request cannot be used. "
    "Check by hand before signing.",
}
_STATUS = {
    MalformedInput: (HTTPStatus.BAD_REQUEST, "structure"),
    InvalidInput: (HTTPStatus.BAD_REQUEST, "invalid"),
    TooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-long"),
    NotFound: (HTTPStatus.NOT_FOUND, "not-found"),
}


@blueprint.get("/cds-services")
@public
def discovery() -> Response:
    """The services that there are; nothing about anybody, so anybody may ask."""
    return _json({"services": [service.as_json() for service in SERVICES.values()]})


@blueprint.post("/cds-services/<service_id>")
@requires(Permission.CALL_HOOKS, open_in_demo=True)
def call(service_id: str) -> Response:
    """Judge what a client asks about, keep the decisions, and answer with cards."""
    running, by = runtime(), principal()
    deadline = time.monotonic() + running.settings.time_budget
    service = SERVICES.get(service_id)
    if service is None:
        raise NotFound("there is no such service")
    settings, library = running.settings, running.library_of(by.organisation_id)
    call = _Call(f"cds-hooks/{service.hook}", by, running.clock(), deadline, library)
    document = json_body(max_bytes=settings.hook_bytes, max_keys=settings.hook_keys)
    try:
        asked = read_request(
            document,
            hook=service.hook,
            catalogue=library.catalogue,
            code_sets=library.code_sets,
            units=library.units,
            as_of=call.now,
        )
    except PatientMismatch as refusal:
        _note_refusal(call, refusal.code)
        return _not_made(refusal.code)
    checked = () if asked.asks_for_nothing else _check(call, asked)
    return _answer(call, cards.answer(checked, library, before=_before(asked)))


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a service: what it is recorded as, whose it is, until when it must be answered, and the
    library of the caller's organisation."""

    channel: str
    by: Principal
    now: datetime
    deadline: float
    library: Library


def _check(call: _Call, asked: HookRequest) -> Sequence[Checked]:
    def check(session: Session) -> Sequence[Checked]:
        return orders.check(
            session,
            call.library,
            asked.orders,
            asked.chart,
            channel=call.channel,
            by=call.by,
            now=call.now,
        )

    try:
        return within(call.deadline, runtime().sessions, check)
    except InvalidInput as cause:
        raise UnusableId from cause


def _note_refusal(call: _Call, code: str) -> None:
    """Leave a trace that a request was not judged. The prescriber is told whether or not this succeeds."""
    detail = {"channel": call.channel, "code": code}
    subject = request_id()

    def record(session: Session) -> None:
        audit.record(session, "order.not-checked", subject=subject, by=call.by, now=call.now, detail=detail)

    try:
        within(call.deadline, runtime().sessions, record)
    except (StewardshipError, TooLate) as cause:
        report_fault(cause)


def _answer(call: _Call, body: dict[str, Any]) -> Response:
    told = body["extension"]["stewardship"]
    log.info(
        "checked",
        channel=call.channel,
        disposition=told["disposition"],
        findings=len(told["findings"]),
        **whereabouts(),
    )
    return _json(body)


def _before(asked: HookRequest) -> list[cards.Card]:
    """Cards about what the request holds and nobody judged."""
    said = [cards.unread_draft(kind) for kind in asked.unread]
    unread = [gap.about for gap in asked.chart.gaps if gap.code == "order-unreadable"]
    if unread:
        said.append(cards.unread_parts(unread))
    return said


# --- what goes wrong --------------------------------------------------------------------------------


@blueprint.errorhandler(Unauthenticated)
def _unknown_caller(_refusal: Unauthenticated) -> Response:
    answer = Response(status=HTTPStatus.UNAUTHORIZED)
    answer.headers["WWW-Authenticate"] = 'Bearer realm="stewardship"'
    return answer


@blueprint.errorhandler(Forbidden)
def _not_admitted(_refusal: Forbidden) -> Response:
    return Response(status=HTTPStatus.FORBIDDEN)


@blueprint.errorhandler(StewardshipError)
def _cause(cause: StewardshipError) -> Response:
    for kind, (status, code) in _STATUS.items():
        if isinstance(cause, kind):
            return _outcome(status, code, cause.message, cause.faults)
    report_fault(cause)
    return _not_made("unavailable" if isinstance(cause, Unavailable) else "fault")


class UnusableId(Exception):
    """An id that the client brought is of a form that cannot be kept."""


@blueprint.errorhandler(UnusableId)
def _unusable(cause: UnusableId) -> Response:
    report_fault(cause)
    return _not_made("unusable-id")


@blueprint.errorhandler(TooLate)
def _too_late(cause: TooLate) -> Response:
    report_fault(cause)
    return _not_made("timeout")


@blueprint.errorhandler(HTTPException)
def _http(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.BAD_REQUEST)
    return _outcome(status, "not-supported", status.phrase, ())


@blueprint.errorhandler(Exception)
def _fault(error: Exception) -> Response:
    report_fault(error)
    return _not_made("fault")


def _not_made(code: str) -> Response:
    log.warning("not checked", code=code, **whereabouts())
    return _json(cards.not_made(code, _NOT_MADE[code]))


def _outcome(status: HTTPStatus, code: str, words: str, faults: tuple[Fault, ...]) -> Response:
    """An OperationOutcome: one issue for each place that is wrong, with its path and no value."""
    issues: list[dict[str, Any]] = [
        {
            "severity": "error",
            "code": "required" if fault.code == "required" else "invalid",
            "details": {"text": fault.message},
            "expression": [_path(fault.pointer)],
        }
        for fault in faults
    ] or [{"severity": "error", "code": code, "details": {"text": words}}]
    return _json({"resourceType": "OperationOutcome", "issue": issues}, status=status)


def _path(pointer: str) -> str:
    """A JSON pointer as the path that an OperationOutcome asks for: ``context.draftOrders.entry[0]``."""
    path = ""
    for part in pointer.split("/")[1:]:
        path += f"[{part}]" if part.isdigit() else f".{part}" if path else part
    return path


def _json(body: dict[str, Any], *, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(dumps(body), status=status.value, content_type="application/json")


# --- browsers of other origins ------------------------------------------------------------------------


@blueprint.after_request
def _share(answer: Response) -> Response:
    """Let browser clients of the origins that the operator allows read the answer, and nobody else's."""
    origin = request.headers.get("Origin")
    answer.vary.add("Origin")
    if origin is None or origin not in runtime().settings.cds_allowed_origins:
        return answer
    answer.headers["Access-Control-Allow-Origin"] = origin
    if request.method == "OPTIONS":
        answer.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
        answer.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        answer.headers["Access-Control-Max-Age"] = "600"
    return answer
