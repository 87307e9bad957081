"""Pages for what went wrong: what it means, and what to do now. They say no more than the cause does."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from flask import Response

from stewardship.domain.errors import StewardshipError
from stewardship.observability import request_id
from stewardship.web.pages import is_part, page


class Advice(NamedTuple):
    """What a status means to the person before the screen, and what to do about it."""

    title: str
    meaning: str
    todo: str


_ADVICE = {
    HTTPStatus.BAD_REQUEST: Advice(
        "The form could not be read",
        "Nothing was changed.",
        "Go back, load the page again and send it once more. A form left open for long is no longer good.",
    ),
    HTTPStatus.UNAUTHORIZED: Advice(
        "You are not signed in",
        "This page is for people who are signed in; you may have been away for too long.",
        "Sign in, and come back to this page.",
    ),
    HTTPStatus.FORBIDDEN: Advice(
        "You may not do this",
        "Your role does not include it. Nothing was changed.",
        "Ask a colleague whose role does, or whoever looks after your accounts.",
    ),
    HTTPStatus.NOT_FOUND: Advice(
        "There is no such page",
        "The address may be mistyped, or it names something that your organisation does not have.",
        "Check the address, or begin again from the front page.",
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: Advice(
        "This address takes a form",
        "It cannot be opened like a page.",
        "Go back to the page with the form and send it from there.",
    ),
    HTTPStatus.CONFLICT: Advice(
        "Somebody was first",
        "It is no longer as your page showed it. Nothing of yours was changed.",
        "Go back and load the page again to see how it stands now.",
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: Advice(
        "Something in the form is not right",
        "Nothing was changed.",
        "Go back and correct what is named here.",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Advice(
        "That is too much at once",
        "Nothing was changed.",
        "Send less, or a smaller file.",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: Advice(
        "Too many attempts",
        "For a short while nothing more is accepted from here.",
        "Wait a minute, then try again.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: Advice(
        "The service cannot do this now",
        "Nothing was changed, and nothing was checked.",
        "Try again in a moment. Until then, check orders as you would without this service.",
    ),
}
_FAULT = Advice(
    "The service has a fault",
    "It was written down. Nothing was changed, and nothing was checked.",
    "Try again. If it stays, tell whoever runs the service, and give the number below.",
)


def error_page(status: HTTPStatus, cause: StewardshipError | None = None) -> Response:
    """The page of an error; with a cause, in its words. For htmx, only the message."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status is not HTTPStatus.SERVICE_UNAVAILABLE:
        cause = None
    advice = _ADVICE.get(status, _FAULT)
    template = "error_part.html" if is_part() else "error.html"
    return page(template, status=status, code=status.value, advice=advice, cause=cause, number=request_id())
