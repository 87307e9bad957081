"""The front door: one page that says what this is, and the two addresses that watch over the service."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, redirect, request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import public
from stewardship.db import migrate
from stewardship.db.engine import transaction
from stewardship.domain.errors import Unavailable
from stewardship.intake.strict_json import dumps
from stewardship.runtime import runtime
from stewardship.web.pages import page
from stewardship.web.reading import THEME, THEMES

room = Blueprint("front", __name__)

_A_YEAR = 365 * 24 * 3600


@room.get("/")
@public
def home() -> Response:
    """What this is, where to go, and the policies in force today. Nothing about anybody."""
    running = runtime()
    today = running.clock().date()
    return page("front.html", today=today, policies=running.library.in_force(today))


@room.post("/theme")
@public
def choose_theme() -> WSGIResponse:
    """Keep the reader's theme, for browsers without scripts; a cookie that says nothing about anybody."""
    chosen = request.form.get("theme", "")
    back = request.form.get("back", "/")
    # Only to a page of ours: a path, never another host.
    answer = redirect(back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/", 303)
    if chosen in THEMES:
        answer.set_cookie(THEME, chosen, max_age=_A_YEAR, samesite="Lax", path="/")
    else:
        answer.delete_cookie(THEME, path="/")
    return answer


@room.get("/healthz")
@public
def healthz() -> Response:
    """Whether the process answers at all; asks nothing of the database."""
    return _status(HTTPStatus.OK, "ok")


@room.get("/readyz")
@public
def readyz() -> Response:
    """Whether orders can be checked and kept: the database answers, and has this version's schema."""
    sessions = runtime().sessions
    try:
        with transaction(sessions, write=False) as session:
            session.execute(text("SELECT 1"))
        migrate.require_current(sessions.kw["bind"])
    except (SQLAlchemyError, Unavailable):
        return _status(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready")
    return _status(HTTPStatus.OK, "ready")


def _status(status: HTTPStatus, word: str) -> Response:
    return Response(dumps({"status": word}), status=status.value, content_type="application/json")
