"""The page on which a patient answers one instrument, on a phone, by a link and without an account.

It names nobody but the organisation that asks. Looking at it changes nothing; sending the answers uses the
link up. A link that can no longer be answered says so kindly, and what to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import public
from stewardship.db.engine import transaction
from stewardship.domain.errors import Conflict
from stewardship.domain.instruments import Instrument
from stewardship.domain.scoring import Item
from stewardship.runtime import runtime
from stewardship.services import links
from stewardship.services.links import Link, LinkState
from stewardship.web.pages import page

room = Blueprint("questionnaire", __name__)

#: Bytes of a form: the longest instrument has some twenty short answers.
_LARGEST = 16 * 1024
#: As many values as fit beside each other on a phone and can be told apart.
_MOST_ON_A_SCALE = 21
_NUMBER = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,4})?", re.ASCII)
#: What is sent for an item that the patient would rather leave open.
_OPEN = "none"


@dataclass(frozen=True, slots=True)
class Question:
    """One item as the page asks it. ``options`` are values and their words; without any, a number is typed.
    ``given`` is what was sent before, ``wrong`` what to do about it."""

    id: str
    text: str
    options: tuple[tuple[str, str], ...]
    on_a_scale: bool
    may_stay_open: bool
    least: str
    most: str
    step: str
    given: str = ""
    wrong: str = ""


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
    return _form(link, instrument, [_question(item, instrument) for item in instrument.items])


@room.post("/questionnaire/<token>")
@public
def answer(token: str) -> WSGIResponse:
    """Keep the answers and use the link up; or show the form again with what is missing."""
    request.max_content_length = _LARGEST
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
    questions = [_question(item, instrument, request.form.get(item.id, "")) for item in instrument.items]
    given = {q.id: Decimal(q.given) for q in questions if q.given not in {"", _OPEN} and not q.wrong}
    if any(q.wrong for q in questions) or not given:
        return _form(link, instrument, questions, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        with transaction(running.sessions) as session:
            links.answer(session, running.library, token, given, secret=secret, now=running.clock())
    except Conflict as gone:
        # Somebody was quicker: most often the same finger.
        return _gone(LinkState(gone.code) if gone.code in set(LinkState) else LinkState.USED)
    return redirect("/questionnaire/thank-you", HTTPStatus.SEE_OTHER)


def _question(item: Item, instrument: Instrument, given: str | None = None) -> Question:
    """An item as a question; ``given`` is ``None`` before anything was sent."""
    options = _options(item)
    # What a patient named himself may be fewer things than the form has room for.
    free = instrument.individual
    return Question(
        id=item.id,
        text=item.text,
        options=options,
        on_a_scale=bool(options) and not item.choices and not item.yes_no,
        may_stay_open=not free,
        least=_plain(item.least),
        most=_plain(item.most),
        step=_plain(item.step),
        given=(given or "").strip()[:20],
        wrong="" if given is None else _wrong(item, given.strip(), free=free),
    )


def _options(item: Item) -> tuple[tuple[str, str], ...]:
    if item.yes_no:
        return (("1", "Yes"), ("0", "No"))
    if item.choices:
        return tuple((_plain(value), label) for value, label in item.choices)
    number = (item.most - item.least) / item.step + 1
    if number > _MOST_ON_A_SCALE:
        return ()
    values = [_plain(item.least + item.step * place) for place in range(int(number))]
    return tuple((value, value) for value in values)


def _wrong(item: Item, given: str, *, free: bool) -> str:
    if not given:
        return "" if free else "Choose an answer, or say that you would rather not answer."
    if given == _OPEN:
        return ""
    if not _NUMBER.fullmatch(given) or not item.takes(Decimal(given)):
        return f"Give a number from {_plain(item.least)} to {_plain(item.most)}."
    return ""


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


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
