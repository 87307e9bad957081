"""The one place where things meet: settings, declarations, database and faces become an application.

It does not start when it would not be safe to (see ``runtime.prepare``), nor with a view that does not say
whom it admits.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from flask import Flask, Response, abort, g, request
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as WSGIResponse

from stewardship import __version__, api, auth, browsers, cds_hooks, providers, web
from stewardship.api import problems
from stewardship.config import Environment, Settings
from stewardship.db import Sessions
from stewardship.declarations import Library
from stewardship.domain.errors import (
    DeclarationError,
    Forbidden,
    NotFound,
    StewardshipError,
    Unauthenticated,
    Unavailable,
)
from stewardship.observability import configure_logging, log, observe, report_fault, request_id
from stewardship.runtime import install, prepare, utc_now

#: Everything a page needs is served from here; nothing may be loaded from, sent to or framed by others.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # To others nothing is said; without it a browser would not say either that a form is from here.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_STRICT_TRANSPORT = "max-age=31536000; includeSubDomains"


def create_app(
    settings: Settings,
    *,
    library: Library | None = None,
    sessions: Sessions | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Flask:
    """The WSGI application. ``library`` and ``sessions`` are made from the settings when not given.

    Raises ``Misconfigured``, ``DeclarationError`` or ``Unavailable`` with words for the operator.
    """
    running = prepare(settings, library=library, sessions=sessions, clock=clock)
    production = settings.environment is Environment.PRODUCTION
    app = Flask("stewardship", static_folder=None, template_folder=None)
    app.config.update(
        SECRET_KEY=settings.secret_key or None,
        MAX_CONTENT_LENGTH=settings.hook_bytes,
        TRAP_HTTP_EXCEPTIONS=False,
        PROPAGATE_EXCEPTIONS=False,
    )
    if settings.trusted_proxies:
        # Only so many of the addresses that stand in the headers were written by proxies of the operator's.
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    install(app, running)
    observe(app)
    _guard_addresses(app)
    browsers.install(app, settings)
    providers.install(app)
    _guard_answers(app, strict_transport=production)
    _answer_errors(app)
    api.register(app)
    cds_hooks.register(app)
    web.register(app)

    if missing := auth.undeclared(app):
        raise RuntimeError(f"views that do not say whom they admit: {', '.join(missing)}")
    log.info(
        "ready",
        version=__version__,
        environment=settings.environment.value,
        policies=len(running.library.policies),
    )
    return app


def from_environment() -> Flask:
    """The application that the environment describes; a refusal to start ends the process with words."""
    configure_logging()
    try:
        app = create_app(Settings.from_env(os.environ))
    except StewardshipError as refusal:
        raise SystemExit(f"stewardship does not start: {refusal.message}") from None
    # The library lives as long as the process: a collection that walks its objects halts every request.
    gc.collect()
    gc.freeze()
    return app


def _guard_addresses(app: Flask) -> None:
    @app.before_request
    def refuse_invisible() -> None:
        # No id of ours holds a character that cannot be seen, and no database takes each of them.
        if not request.path.isprintable():
            abort(HTTPStatus.NOT_FOUND)


def _guard_answers(app: Flask, *, strict_transport: bool) -> None:
    always = list(_HEADERS.items())
    if strict_transport:
        always.append(("Strict-Transport-Security", _STRICT_TRANSPORT))

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.extend(always)
        # Answers speak of patients: no cache between here and the reader keeps them.
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def _answer_errors(app: Flask) -> None:
    """One table of errors for all faces: problem documents, and a plain page for browsers."""

    @app.errorhandler(StewardshipError)
    def cause(error: StewardshipError) -> Response | WSGIResponse:
        if isinstance(error, DeclarationError):
            report_fault(error)
        if isinstance(error, Unauthenticated) and browsers.is_page() and not browsers.brings_token():
            return web.ask_to_sign_in()
        _note_refusal(error)
        answer = problems.of_cause(error, request_id=request_id())
        return _as_page(answer, error) if browsers.is_page() else answer

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response | WSGIResponse:
        if error.code is not None and error.code < HTTPStatus.BAD_REQUEST:
            return error.get_response()
        if browsers.is_page():
            return web.error_page(HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR))
        return problems.of_http(error, request_id=request_id())

    @app.errorhandler(OperationalError)
    @app.errorhandler(InterfaceError)
    @app.errorhandler(PoolTimeout)
    def database(error: Exception) -> Response:
        report_fault(error)
        away = Unavailable("the database cannot be reached; nothing was changed", code="database-unavailable")
        if browsers.is_page():
            return web.error_page(HTTPStatus.SERVICE_UNAVAILABLE, away)
        return problems.of_cause(away, request_id=request_id())

    @app.errorhandler(Exception)
    def fault(error: Exception) -> Response:
        report_fault(error)
        if browsers.is_page():
            return web.error_page(HTTPStatus.INTERNAL_SERVER_ERROR)
        return problems.fault(request_id=request_id())


def _as_page(problem: Response, error: StewardshipError) -> Response:
    """The page that says what a problem document says."""
    page = web.error_page(HTTPStatus(problem.status_code), error)
    for name in ("WWW-Authenticate", "Retry-After"):
        if name in problem.headers:
            page.headers[name] = problem.headers[name]
    return page


def _note_refusal(error: StewardshipError) -> None:
    """Somebody known asked for an id that is not there for him, or for what only others may do."""
    if "principal" not in g or "refused" in g:
        return
    if isinstance(error, NotFound) and request.view_args:
        auth.note_refusal("missing")
    elif isinstance(error, Forbidden):
        auth.note_refusal("not-his")
