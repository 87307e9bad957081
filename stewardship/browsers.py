"""What browsers bring: the cookie of a session, and forms that must have been sent from our own pages.

Pages alone read cookies; the JSON API and CDS Hooks take tokens and nothing else, so that no other site can
have a browser act there. A page may be asked for with a token too; then its cookies are not looked at.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Flask, abort, g, request
from flask_wtf.csrf import CSRFProtect, generate_csrf
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.config import Settings
from stewardship.db.engine import transaction
from stewardship.runtime import runtime
from stewardship.services import browser_sessions
from stewardship.services.browser_sessions import Found

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
#: Addresses that take no cookies.
_TOKENS_ONLY = ("/api/", "/cds-services")
#: Bytes of a form at the most.
_LARGEST_FORM = 64 * 1024
_LONGEST_COOKIE = 200
_csrf = CSRFProtect()


def install(app: Flask, settings: Settings) -> None:
    """Have the application keep browsers to its own forms. What Flask itself keeps in a signed cookie is the
    secret of a browser's forms, and what a sign-in elsewhere has to come back with."""
    app.config.update(
        SESSION_COOKIE_NAME=_named("forms", settings),
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_SECURE=settings.encrypted,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_CHECK_DEFAULT=False,
        # Bound to the cookie beside it, which goes with the browser; a page may be read for long.
        WTF_CSRF_TIME_LIMIT=None,
        # Our pages send no referrer elsewhere; the origin is checked below.
        WTF_CSRF_SSL_STRICT=False,
    )
    _csrf.init_app(app)
    app.context_processor(lambda: {"csrf_token": csrf_token})
    app.before_request(_guard_forms)


def is_page() -> bool:
    """Whether the address is one for people, where a browser's cookies count."""
    return not request.path.startswith(_TOKENS_ONLY)


def brings_token() -> bool:
    """Whether the request names somebody by a token, so that cookies are not looked at."""
    return bool(request.headers.get("Authorization"))


def csrf_token() -> str:
    """What a form of ours has to bring back. Whoever is nobody yet needs it only to sign in."""
    if cookie() or g.get("signing_in"):
        return str(generate_csrf())
    return ""


def session_of_browser() -> Found | None:
    """The session that the request's cookie names, whatever its stage; ``None`` for none that is good."""
    if "browser_session" not in g:
        g.browser_session = _find()
    found: Found | None = g.browser_session
    return found


def note_seen(found: Found) -> None:
    """Write down that somebody is still at work, at most once a minute."""
    if found.unnoted:
        running = runtime()
        with transaction(running.sessions) as session:
            browser_sessions.seen(session, found, now=running.clock())


def keep(answer: WSGIResponse, token: str) -> None:
    """Have the browser bring the session from now on, until it is closed."""
    settings = runtime().settings
    answer.set_cookie(
        _named("session", settings), token, path="/", secure=settings.encrypted, httponly=True, samesite="Lax"
    )


def forget(answer: WSGIResponse) -> None:
    """Have the browser forget the session."""
    settings = runtime().settings
    answer.delete_cookie(
        _named("session", settings), path="/", secure=settings.encrypted, httponly=True, samesite="Lax"
    )


def cookie_name(settings: Settings) -> str:
    """What the cookie of a session is called."""
    return _named("session", settings)


def _named(name: str, settings: Settings) -> str:
    # The prefix has browsers take the cookie from this host alone, over TLS alone.
    return f"__Host-stewardship-{name}" if settings.encrypted else f"stewardship-{name}"


def cookie() -> str:
    """What the browser brings as its session; empty when it brings nothing that could be one."""
    held = request.cookies.get(_named("session", runtime().settings), "")
    return held if len(held) <= _LONGEST_COOKIE and held.isascii() else ""


def _find() -> Found | None:
    token = cookie()
    if not token or not is_page() or brings_token():
        return None
    running = runtime()
    terms = running.library.identity.session
    with transaction(running.sessions, write=False) as session:
        return browser_sessions.find(session, token, terms=terms, now=running.clock())


def _guard_forms() -> None:
    """Refuse what another site has a browser send: by its origin, and by the secret of our forms."""
    if request.method in _SAFE or not is_page():
        return
    # Before it is read: no form of ours is larger, and what is larger is not looked at.
    request.max_content_length = min(request.max_content_length or _LARGEST_FORM, _LARGEST_FORM)
    if any("\x00" in value for _, value in request.form.items(multi=True)):
        # No database of ours takes it, and nobody types it.
        abort(HTTPStatus.BAD_REQUEST)
    if brings_token():
        return
    if not _is_ours():
        abort(HTTPStatus.FORBIDDEN)
    if cookie() or (request.endpoint or "").startswith("sign_in."):
        _csrf.protect()


def _is_ours() -> bool:
    """Whether the browser says that a page of ours sent the form. One that says nothing is judged by the
    form's secret alone."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    public = runtime().settings.public_url
    hosts = {request.host, urlsplit(public).netloc} if public else {request.host}
    return urlsplit(origin).netloc in hosts
