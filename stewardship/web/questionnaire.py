"""The page on which a patient answers one instrument, on a phone, by a link and without an account.

It names nobody but the organisation that asks. Looking at it changes nothing; sending the answers uses the
link up. A link that can no longer be answered says so kindly, and what to do.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import public
from stewardship.db.engine import transaction
from stewardship.domain.errors import Conflict
from stewardship.domain.instruments import Instrument
from stewardship.runtime import runtime
from stewardship.services import links
from stewardship.services.links import Link, LinkState
from stewardship.web.pages import page
from stewardship.web.questions import Question, answers, question

#: Bytes of a filled-in form at the most; whoever has a link may send one.
_LARGEST = 16 * 1024

room = Blueprint("questionnaire", __name__)


@room.url_value_preprocessor
def _bound(_endpoint: str | None, _values: dict[str, str] | None) -> None:
    # Before anybody reads the form: what forms are guarded against is looked for first.
    request.max_content_length = _LARGEST


@room.get("/questionnaire/thank-you")
@public
def thanks() -> Response:
    """Say that the answers have arrived."""
    return page("questionnaire/thanks.html")


@room.get("/questionnaire/<token>")
@public
def form(token: str) -> Response:
    """Show the form. Nothing is used up: mail scanners look at links before patients do."""
    running = runtime()
    with transaction(running.sessions, write=False) as session:
        link = links.find(session, token, secret=running.settings.secret_key)
    if link is None:
        return _unknown()
    state = link.state(running.clock())
    instrument = running.library.instruments.get(link.instrument)
    if state is not LinkState.OPEN or instrument is None:
        return _gone(state)
    return _form(link, instrument, [question(item, instrument) for item in instrument.items])


@room.post("/questionnaire/<token>")
@public
def answer(token: str) -> WSGIResponse:
    """Keep the answers and use the link up; or show the form again with what is missing."""
    running = runtime()
    secret = running.settings.secret_key
    with transaction(running.sessions, write=False) as session:
        link = links.find(session, token, secret=secret)
    if link is None:
        return _unknown()
    state = link.state(running.clock())
    instrument = running.library.instruments.get(link.instrument)
    if state is not LinkState.OPEN or instrument is None:
        return _gone(state)
    questions = [question(item, instrument, request.form.get(item.id, "")) for item in instrument.items]
    given = answers(questions)
    if any(q.wrong for q in questions) or not given:
        return _form(link, instrument, questions, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        with transaction(running.sessions) as session:
            links.answer(session, running.library, token, given, secret=secret, now=running.clock())
    except Conflict as gone:
        # Somebody was quicker: most often the same finger.
        return _gone(LinkState(gone.code) if gone.code in set(LinkState) else LinkState.USED)
    return redirect("/questionnaire/thank-you", HTTPStatus.SEE_OTHER)


def _form(
    link: Link, instrument: Instrument, questions: list[Question], *, status: HTTPStatus = HTTPStatus.OK
) -> Response:
    sent = status is not HTTPStatus.OK
    return page(
        "questionnaire/form.html",
        status=status,
        organisation=link.organisation,
        instrument=instrument,
        questions=questions,
        nothing=sent and not any(q.wrong for q in questions),
    )


def _gone(state: LinkState) -> Response:
    return page("questionnaire/gone.html", status=HTTPStatus.GONE, answered=state is LinkState.USED)


def _unknown() -> Response:
    return page("questionnaire/unknown.html", status=HTTPStatus.NOT_FOUND)
