"""Finding a patient: by record number, or by date of birth and name; what is typed is in no address."""

from __future__ import annotations

from datetime import date
from http import HTTPStatus

from flask import Blueprint, Response, request

from stewardship.auth import Permission, principal, requires
from stewardship.config import Environment
from stewardship.db.engine import transaction
from stewardship.domain.errors import InvalidInput
from stewardship.runtime import runtime
from stewardship.services import patients
from stewardship.web.pages import page

room = Blueprint("finding", __name__)

_FIELDS = ("number", "name", "birth_date")


@room.get("/patients")
@requires(Permission.READ_PATIENTS)
def search() -> Response:
    """The search, and the patients about whose orders the reader asked last."""
    running, by = runtime(), principal()
    with transaction(running.sessions, write=False) as session:
        recent = patients.recent(session, by=by)
        examples = patients.first(session, by=by) if _is_demo() else ()
    return _page({}, recent=recent, examples=examples)


@room.post("/patients")
@requires(Permission.READ_PATIENTS)
def find() -> Response:
    """The patients that fit what was typed; that somebody looked is on record."""
    running, by, now = runtime(), principal(), runtime().clock()
    typed = {name: request.form.get(name, "").strip()[:200] for name in _FIELDS}
    try:
        born = date.fromisoformat(typed["birth_date"]) if typed["birth_date"] else None
    except ValueError:
        return _refused(typed, {"birth_date": "Not a day of the calendar; write it as 1961-11-30."})
    try:
        with transaction(running.sessions) as session:
            found = patients.find(session, number=typed["number"], name=typed["name"], birth_date=born, by=by)
            patients.note_search(session, found=len(found), by=by, now=now)
    except InvalidInput as refused:
        return _refused(typed, {fault.pointer.lstrip("/"): fault.message for fault in refused.faults})
    return _page(typed, found=found)


def _refused(typed: dict[str, str], faults: dict[str, str]) -> Response:
    return _page(typed, faults=faults, status=HTTPStatus.UNPROCESSABLE_ENTITY)


def _page(
    typed: dict[str, str],
    *,
    found: tuple[patients.Found, ...] | None = None,
    recent: tuple[patients.Found, ...] = (),
    examples: tuple[patients.Found, ...] = (),
    faults: dict[str, str] | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    return page(
        "patients.html",
        status=status,
        typed={name: typed.get(name, "") for name in _FIELDS},
        found=found,
        recent=recent,
        examples=examples,
        faults=faults or {},
        most=patients.MOST_FOUND,
    )


def _is_demo() -> bool:
    return runtime().settings.environment is Environment.DEMO
