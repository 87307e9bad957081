"""What all endpoints answer alike: JSON, an OperationOutcome, empty refusals, and to which browsers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request

from stewardship.domain.errors import (
    Fault,
    Forbidden,
    InvalidInput,
    MalformedInput,
    NotFound,
    StewardshipError,
    TooLarge,
    Unauthenticated,
)
from stewardship.intake.strict_json import dumps
from stewardship.runtime import runtime

#: Errors of the client, with the HTTP status and the FHIR code of each.
_CLIENTS = {
    MalformedInput: (HTTPStatus.BAD_REQUEST, "structure"),
    InvalidInput: (HTTPStatus.BAD_REQUEST, "invalid"),
    TooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-long"),
    NotFound: (HTTPStatus.NOT_FOUND, "not-found"),
}


def json_reply(body: dict[str, Any], *, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A JSON answer."""
    return written_reply(dumps(body), status=status)


def written_reply(body: bytes, *, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """An answer whose JSON is written already."""
    return Response(body, status=status.value, content_type="application/json")


def clients_error(cause: StewardshipError) -> Response | None:
    """The answer to an error that only the client's own programmer can mend; ``None`` for any other."""
    for kind, (status, code) in _CLIENTS.items():
        if isinstance(cause, kind):
            return outcome(status, code, cause.message, cause.faults)
    return None


def outcome(status: HTTPStatus, code: str, words: str, faults: tuple[Fault, ...] = ()) -> Response:
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
    return json_reply({"resourceType": "OperationOutcome", "issue": issues}, status=status)


def _path(pointer: str) -> str:
    """A JSON pointer as the path that an OperationOutcome asks for: ``context.draftOrders.entry[0]``."""
    path = ""
    for part in pointer.split("/")[1:]:
        path += f"[{part}]" if part.isdigit() else f".{part}" if path else part
    return path


def guard(blueprint: Blueprint) -> None:
    """Have a blueprint refuse strangers with an empty answer, and let the browsers of the operator's
    origins, and of no other, read what it says."""
    blueprint.register_error_handler(Unauthenticated, _unknown_caller)
    blueprint.register_error_handler(Forbidden, _not_admitted)
    blueprint.after_request(_share)


def _unknown_caller(_refusal: Exception) -> Response:
    answer = Response(status=HTTPStatus.UNAUTHORIZED)
    answer.headers["WWW-Authenticate"] = 'Bearer realm="stewardship"'
    return answer


def _not_admitted(_refusal: Exception) -> Response:
    return Response(status=HTTPStatus.FORBIDDEN)


def _share(answer: Response) -> Response:
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
