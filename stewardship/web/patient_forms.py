"""What forms about one patient share: who it is, what was typed, and the form again with what was refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Response, flash, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import principal
from stewardship.db.engine import new_id, transaction
from stewardship.declarations import Library
from stewardship.domain.errors import Conflict, Fault, InvalidInput, StewardshipError
from stewardship.runtime import runtime
from stewardship.services import calendars, patients
from stewardship.services.patients import Found, Opened
from stewardship.web.pages import page

T = TypeVar("T")

_LONGEST = 4_000
_OWN_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TOKEN = re.compile(r"[!-~]{1,64}", re.ASCII)
_MOST_VERSION = 999_999


def library() -> Library:
    """The declarations that the reader's organisation works with."""
    return runtime().library_of(principal().organisation_id)


def own_id(text: str) -> str:
    """The id of what a form makes: as the form carried it, so that sent twice it is one; else a new one."""
    return text if _OWN_ID.fullmatch(text) else new_id(runtime().clock())


def acting() -> dict[str, Any]:
    """Who does it, and when."""
    return {"by": principal(), "now": runtime().clock()}


def patient(patient_id: str, what: str = "") -> tuple[Found, str]:
    """The patient and the EHR's id; that a page about him was opened goes on record."""
    running, by, now = runtime(), principal(), runtime().clock()
    with transaction(running.sessions, late=True) as session:
        found = patients.known(session, patient_id, by=by)
        if what:
            patients.note_read(session, patient_id, what=what, by=by, now=now)
    return found


def opened(patient_id: str, what: str) -> tuple[Opened, date]:
    """The patient's chart, which goes on record as read, and the organisation's day."""
    with transaction(runtime().sessions, late=True) as session:
        chart = patients.open_chart(session, library(), patient_id, what=what, **acting())
        return chart, today(session)


def current_day() -> date:
    """The day that a form offers, where nothing else is read."""
    with transaction(runtime().sessions, write=False) as session:
        return today(session)


def today(session: Session) -> date:
    """The organisation's day, as far as it has begun everywhere: nothing is recorded of a day to come."""
    by, now = principal(), runtime().clock()
    return min(calendars.today(session, library(), by.organisation_id, now=now), now.date())


def done(
    act: Callable[[Session], str],
    again: Callable[[dict[str, str]], Response],
    *,
    to: str | Callable[[], str],
    places: Mapping[str, str] | None = None,
) -> Response | WSGIResponse:
    """Do it and go on to an address; or show the form again with what was refused, and what was typed."""
    try:
        with transaction(runtime().sessions) as session:
            said = act(session)
    except InvalidInput as refused:
        return again(faults_of(refused, places or {}))
    except Conflict as refused:
        answer = again({"form": f"{_sentence(refused.message)}."})
        answer.status_code = HTTPStatus.CONFLICT
        return answer
    flash(said, "success")
    return redirect(to if isinstance(to, str) else to(), HTTPStatus.SEE_OTHER)


def form_page(
    template: str, who: Found, said: Mapping[str, str], faults: Mapping[str, str], **more: Any
) -> Response:
    """A form about a patient, as it was typed, with what was refused beside its fields."""
    status = HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK
    return page(template, status=status, who=who, typed=said, faults=faults, **more)


def chart_of(patient_id: str) -> str:
    """The address of the patient's page."""
    return url_for("charting.chart", patient_id=patient_id)


def faults_of(refused: StewardshipError, places: Mapping[str, str]) -> dict[str, str]:
    """What is wrong, by field of the form: by the declared place of a pointer, else by its first word."""
    said = {places.get(one.pointer, _field(one.pointer)): _sentence(one.message) for one in refused.faults}
    return said or {"form": f"{_sentence(refused.message)}."}


def _field(pointer: str) -> str:
    return pointer.split("/")[1] if "/" in pointer else "form"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def typed(*names: str) -> dict[str, str]:
    """What was typed into these fields."""
    return {name: request.form.get(name, "").strip()[:_LONGEST] for name in names}


def day(text: str, pointer: str) -> date | None:
    """A day, if one was given."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise wrong(pointer, "not-a-day", "Give a day, such as 2026-11-30.") from None


def needed_day(text: str, pointer: str) -> date:
    """A day that must be given."""
    found = day(text, pointer)
    if found is None:
        raise wrong(pointer, "required", "Give the day.")
    return found


def whole(text: str, pointer: str, *, most: int) -> int | None:
    """A whole number from nothing to a bound, if one was given."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        raise wrong(pointer, "not-whole", f"Give a whole number up to {most}.")
    return int(text)


def version_seen(said: Mapping[str, str]) -> int:
    """The version that the reader saw."""
    return whole(said["version"], "/form", most=_MOST_VERSION) or 0


def an_id(text: str, pointer: str) -> str:
    """An id, if one was given: what names somebody in words is no id."""
    if text and not _TOKEN.fullmatch(text):
        raise wrong(pointer, "not-an-id", "Give an id of at most 64 letters and digits, no spaces.")
    return text


def exact(text: str, pointer: str, *, most: int, places: int = 2) -> Decimal | None:
    """A number above nothing, if one was given; its digits are kept."""
    if not text:
        return None
    head, _, tail = text.partition(".")
    digits = head + tail
    fits = (
        head and digits.isascii() and digits.isdigit() and len(head) <= len(str(most)) and len(tail) <= places
    )
    if not fits or not 0 < Decimal(text) <= most:
        raise wrong(pointer, "not-a-number", f"Give a number above 0 and up to {most}, such as 7.5.")
    return Decimal(text)


def yes_or_no(text: str) -> bool | None:
    """An answer; ``None`` when nobody looked."""
    return {"yes": True, "no": False}.get(text)


def one_of(text: str, words: Iterable[T], pointer: str, message: str) -> T:
    """One of the words of a list."""
    found = {str(word): word for word in words}.get(text)
    if found is None:
        raise wrong(pointer, "not-a-choice", message)
    return found


def wrong(pointer: str, code: str, message: str) -> InvalidInput:
    """What is wrong with one field."""
    return InvalidInput(message, faults=(Fault(pointer, code, message),))
