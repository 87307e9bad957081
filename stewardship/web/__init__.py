"""What a browser sees: one page that says what this is, and the two addresses that watch over it."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from flask import Blueprint, Response, render_template
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from stewardship import __version__
from stewardship.auth import public
from stewardship.config import Environment
from stewardship.db import migrate
from stewardship.db.engine import transaction
from stewardship.domain.errors import Unavailable
from stewardship.intake.strict_json import dumps
from stewardship.runtime import runtime

_STYLE = (Path(__file__).parent / "front.css").read_bytes()

front = Blueprint("front", __name__, template_folder="templates")


@front.get("/")
@public
def home() -> Response:
    """What this is, where to go, and the policies in force today. Nothing about anybody."""
    running = runtime()
    today = running.clock().date()
    page = render_template(
        "front.html",
        version=__version__,
        demo=running.settings.environment is Environment.DEMO,
        today=today,
        policies=running.library.in_force(today),
    )
    return Response(page, content_type="text/html; charset=utf-8")


@front.get("/front.css")
@public
def style() -> Response:
    """The page's style."""
    response = Response(_STYLE, content_type="text/css; charset=utf-8")
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


@front.get("/healthz")
@public
def healthz() -> Response:
    """Whether the process answers at all; asks nothing of the database."""
    return _status(HTTPStatus.OK, "ok")


@front.get("/readyz")
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


def error_page(status: HTTPStatus) -> Response:
    """A plain page for an error; it says no more than the status does."""
    page = render_template("error.html", status=status.value, phrase=status.phrase)
    return Response(page, status=status.value, content_type="text/html; charset=utf-8")


def _status(status: HTTPStatus, word: str) -> Response:
    return Response(dumps({"status": word}), status=status.value, content_type="application/json")
