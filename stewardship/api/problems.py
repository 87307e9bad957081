"""Problem documents (RFC 9457): one table from cause to status, one shape for every error of the API.

A problem says what was wrong, where (``errors[].pointer``, a JSON pointer into the body, or the name of a
parameter) and what to write instead. It never repeats a value, and never shows how the service is made.
"""

from __future__ import annotations

import math
from http import HTTPStatus

from flask import Response
from werkzeug.exceptions import HTTPException

from stewardship.domain import errors
from stewardship.intake.strict_json import dumps

MEDIA_TYPE = "application/problem+json"

#: The status and the title of each cause; the most particular cause comes first.
STATUSES: dict[type[errors.StewardshipError], tuple[HTTPStatus, str]] = {
    errors.MalformedInput: (HTTPStatus.BAD_REQUEST, "The body cannot be read"),
    errors.InvalidInput: (HTTPStatus.UNPROCESSABLE_ENTITY, "The request says something that it may not say"),
    errors.TooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large"),
    errors.PatientMismatch: (HTTPStatus.UNPROCESSABLE_ENTITY, "The request speaks of more than one patient"),
    errors.Unauthenticated: (HTTPStatus.UNAUTHORIZED, "Nobody known is asking"),
    errors.Forbidden: (HTTPStatus.FORBIDDEN, "The caller may not do this"),
    errors.NotFound: (HTTPStatus.NOT_FOUND, "There is no such thing"),
    errors.Conflict: (HTTPStatus.CONFLICT, "It is no longer as this needs it to be"),
    errors.TooManyAttempts: (HTTPStatus.TOO_MANY_REQUESTS, "There were too many attempts"),
    errors.Unavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "The service cannot do this now"),
}

_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported-media-type",
}


def of_cause(cause: errors.StewardshipError, *, request_id: str) -> Response:
    """The problem document of a cause that the domain, a service or a reader names."""
    status, title = next(
        (entry for kind, entry in STATUSES.items() if isinstance(cause, kind)),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "The service has a fault"),
    )
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return fault(request_id=request_id)
    response = _problem(status, title, cause.code, request_id, detail=cause.message, faults=cause.faults)
    if status is HTTPStatus.UNAUTHORIZED:
        # Whoever is not known learns nothing but that.
        response = _problem(status, title, errors.Unauthenticated.code, request_id)
        response.headers["WWW-Authenticate"] = 'Bearer realm="stewardship"'
    if isinstance(cause, errors.TooManyAttempts):
        response.headers["Retry-After"] = str(math.ceil(cause.retry_after.total_seconds()))
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = "5"
    return response


def of_http(error: HTTPException, *, request_id: str) -> Response:
    """The problem document of an error of HTTP itself: no such address, method, media type."""
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    # A page that is missing and a record that is missing answer alike.
    title = STATUSES[errors.NotFound][1] if status is HTTPStatus.NOT_FOUND else status.phrase
    response = _problem(status, title, _CODES.get(status, "http"), request_id)
    for name, value in error.get_headers(None):
        if name.lower() in {"allow", "retry-after"}:
            response.headers[name] = value
    return response


def fault(*, request_id: str) -> Response:
    """The problem document of a fault of ours: only the id by which its log line can be found."""
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The service has a fault", "fault", request_id)


def _problem(
    status: HTTPStatus,
    title: str,
    code: str,
    request_id: str,
    *,
    detail: str = "",
    faults: tuple[errors.Fault, ...] = (),
) -> Response:
    body: dict[str, object] = {
        "type": f"urn:stewardship:problem:{code}",
        "title": title,
        "status": status.value,
        "code": code,
        "errors": [{"pointer": f.pointer, "code": f.code, "message": f.message} for f in faults],
        "request_id": request_id,
    }
    if detail:
        body["detail"] = detail
    return Response(dumps(body), status=status.value, content_type=MEDIA_TYPE)
