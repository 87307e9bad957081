"""Signing in and out: name and password, what is asked for beside them, and where one goes afterwards."""

from __future__ import annotations

import math
from http import HTTPStatus
from urllib.parse import urlencode

from flask import Blueprint, Response, g, redirect, request
from flask import session as forms_cookie
from werkzeug.wrappers import Response as WSGIResponse

from stewardship import browsers
from stewardship.auth import public, reader
from stewardship.db.engine import transaction
from stewardship.domain.errors import TooManyAttempts
from stewardship.domain.identity import Method, Stage
from stewardship.domain.people import Principal
from stewardship.observability import log, whereabouts
from stewardship.runtime import runtime
from stewardship.services import browser_sessions, login, users
from stewardship.web import kept_forms, places
from stewardship.web.pages import is_part, page

room = Blueprint("sign_in", __name__)

#: One message, whatever was wrong: which names exist is nobody's business.
WRONG = "The name or the password is not right."
_LONGEST_FIELD = 1_000

#: Where each thing is asked for that a session still lacks.
STAGES = {
    Stage.SECOND_FACTOR: "/sign-in/second-factor",
    Stage.ENROLMENT: "/sign-in/enrolment",
    Stage.NEW_PASSWORD: "/sign-in/new-password",
}


@room.get("/sign-in")
@public
def form() -> WSGIResponse:
    """Ask for a name and a password."""
    if reader() is not None:
        return redirect(places.safe(request.args.get("next", "/")), HTTPStatus.SEE_OTHER)
    return _form()


@room.post("/sign-in")
@public
def sign_in() -> WSGIResponse:
    """Let somebody in, or ask for what is still missing."""
    running = runtime()
    terms, now = running.library.identity, running.clock()
    name = request.form.get("name", "")[:_LONGEST_FIELD]
    password = request.form.get("password", "")[:_LONGEST_FIELD]
    try:
        with transaction(running.sessions) as session:
            attempt = login.admit(session, name, address=request.remote_addr or "", terms=terms, now=now)
    except TooManyAttempts as early:
        return too_early(early)
    if not login.fits(attempt, password, terms=terms.hashing):
        with transaction(running.sessions) as session:
            login.fail(session, attempt, now=now)
        log.warning(
            "sign-in refused", code="unknown" if attempt.principal is None else "known", **whereabouts()
        )
        return _form(WRONG, status=HTTPStatus.UNAUTHORIZED, name=name)
    with transaction(running.sessions) as session:
        token, stage = login.succeed(
            session,
            attempt,
            password,
            agent=request.headers.get("User-Agent", ""),
            terms=terms,
            demanded=login.demanded_roles(terms.second_factor, second_factor=running.settings.second_factor),
            now=now,
        )
    assert attempt.principal is not None  # noqa: S101 - nobody's password fits
    return go_on(attempt.principal, token, stage)


@room.post("/sign-out")
@public
def sign_out() -> WSGIResponse:
    """End the session here and in the browser."""
    found, elsewhere = browsers.session_of_browser(), ""
    if found is not None:
        running = runtime()
        with transaction(running.sessions) as session:
            browser_sessions.sign_out(session, found, now=running.clock())
            if found.method is Method.PROVIDER:
                elsewhere = _provider_of(users.known(session, found.principal.user_id, by=found.principal))
    forms_cookie.clear()
    answer = redirect("/signed-out" + (f"?from={elsewhere}" if elsewhere else ""), HTTPStatus.SEE_OTHER)
    browsers.forget(answer)
    # What pages have left in the browser goes too.
    answer.headers["Clear-Site-Data"] = '"storage"'
    return answer


@room.get("/signed-out")
@public
def signed_out() -> Response:
    """Say that it is done."""
    return page(
        "sign_in/signed_out.html", provider=runtime().connections.provider(request.args.get("from", ""))
    )


def _provider_of(account: users.Account) -> str:
    """The provider that vouched for somebody, if it is still registered."""
    of = account.issuer, account.organisation_id
    known = runtime().connections.providers
    return next((one.id for one in known if (one.issuer, one.organisation_id) == of), "")


def ask() -> WSGIResponse:
    """What a browser is answered that wants something for which it has to be signed in."""
    found = browsers.session_of_browser()
    step = STAGES.get(found.stage) if found is not None else None
    address = f"{step or '/sign-in'}?{urlencode({'next': places.here()})}"
    if request.method in {"GET", "HEAD"}:
        if not is_part():
            return redirect(address, HTTPStatus.SEE_OTHER)
        answer = Response(status=HTTPStatus.UNAUTHORIZED)
        answer.headers["HX-Redirect"] = address
        return answer
    kept = kept_forms.keep()
    if len(kept) <= kept_forms.LONGEST_IN_COOKIE:
        # For whoever signs in elsewhere, and so comes back without this form.
        forms_cookie[kept_forms.FIELD] = kept
    asked = _form(
        "You were away for too long, and are signed out. Nothing was changed.",
        status=HTTPStatus.UNAUTHORIZED,
        kept=kept,
        next_=places.here(),
    )
    if is_part():
        # The part of a page that asked is no place for it.
        asked.headers.update({"HX-Retarget": "body", "HX-Reswap": "innerHTML"})
    return asked


def go_on(who: Principal, token: str, stage: Stage, *, place: str | None = None) -> WSGIResponse:
    """After a step of signing in: to the next one, to what was typed before, or to where one wanted to go."""
    kept = kept_forms.carried() or forms_cookie.get(kept_forms.FIELD, "")
    place = places.safe(request.values.get("next", "/")) if place is None else place
    # Forms of before belong to nobody's session, or to another's.
    forms_cookie.clear()
    g.pop("csrf_token", None)
    if stage is Stage.WHOLE:
        again = kept_forms.opened(kept, who)
        if again is None:
            answer: WSGIResponse = redirect(place, HTTPStatus.SEE_OTHER)
        else:
            g.principal, g.signing_in = who, True
            answer = page("sign_in/again.html", kept=again, place=place)
    elif kept:
        # A form that is carried on does not fit into an address.
        g.signing_in = True
        answer = page("sign_in/carry.html", kept=kept, place=place, step=STAGES[stage])
    else:
        answer = redirect(f"{STAGES[stage]}?{urlencode({'next': place})}", HTTPStatus.SEE_OTHER)
    browsers.keep(answer, token)
    return answer


def too_early(early: TooManyAttempts) -> Response:
    """Say how long to wait."""
    seconds = math.ceil(early.retry_after.total_seconds())
    log.warning("sign-in slowed down", code=early.code, **whereabouts())
    answer = page("sign_in/wait.html", status=HTTPStatus.TOO_MANY_REQUESTS, seconds=seconds)
    answer.headers["Retry-After"] = str(seconds)
    return answer


def _form(
    message: str = "",
    *,
    status: HTTPStatus = HTTPStatus.OK,
    name: str = "",
    kept: str | None = None,
    next_: str | None = None,
) -> Response:
    g.signing_in = True
    return page(
        "sign_in/form.html",
        status=status,
        message=message,
        name=name,
        providers=runtime().connections.providers,
        kept=kept_forms.carried() if kept is None else kept,
        next=places.safe(request.values.get("next", "/")) if next_ is None else next_,
    )
