"""What is asked for beside name and password: a second factor, taking one into use, a new password.

Each step has a session of its own that lets nobody in anywhere else, and that is over in minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlencode

import segno
from flask import Blueprint, Response, g, redirect, request
from markupsafe import Markup
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship import browsers
from stewardship.auth import public
from stewardship.db.engine import transaction
from stewardship.domain.errors import InvalidInput, TooManyAttempts
from stewardship.domain.identity import Stage
from stewardship.runtime import runtime
from stewardship.services import browser_sessions, login, passwords, second_factor, users
from stewardship.services.browser_sessions import Found
from stewardship.services.sealing import Seals
from stewardship.web import kept_forms, places
from stewardship.web.pages import page
from stewardship.web.sign_in import STAGES, go_on, too_early

room = Blueprint("sign_in_steps", __name__)

_LONGEST_FIELD = 1_000
_WRONG_CODE = "That code is not right, or was used before. Wait for the next one, and try it."


def _in_stage(stage: Stage) -> Callable[[Callable[[Found], WSGIResponse]], Callable[[], WSGIResponse]]:
    """Let a view be reached only at its stage of signing in; whoever is elsewhere is sent there."""

    def guard(view: Callable[[Found], WSGIResponse]) -> Callable[[], WSGIResponse]:
        def guarded() -> WSGIResponse:
            found = browsers.session_of_browser()
            if found is not None and found.stage is stage:
                g.signing_in = True
                return view(found)
            place = places.safe(request.values.get("next", "/"))
            if found is not None and found.stage is Stage.WHOLE:
                return redirect(place, HTTPStatus.SEE_OTHER)
            step = STAGES.get(found.stage, "/sign-in") if found is not None else "/sign-in"
            return redirect(f"{step}?{urlencode({'next': place})}", HTTPStatus.SEE_OTHER)

        guarded.__name__ = view.__name__
        guarded.__doc__ = view.__doc__
        return public(guarded)

    return guard


@room.route("/sign-in/second-factor", methods=["GET", "POST"])
@_in_stage(Stage.SECOND_FACTOR)
def ask_second_factor(found: Found) -> WSGIResponse:
    """Ask for a code of the app, or a recovery code."""
    if not _is_sent():
        return _step("sign_in/second_factor.html")
    running = runtime()
    terms, now, who = running.library.identity, running.clock(), found.principal
    try:
        with transaction(running.sessions) as session:
            counter = login.second_factor_counter(session, who)
            login.count(session, counter, terms=terms, now=now)
            code = request.form.get("code", "")[:_LONGEST_FIELD]
            fits = second_factor.fits(
                session,
                code,
                by=who,
                seals=Seals(running.settings.secret_key),
                terms=terms.second_factor,
                now=now,
            )
            if not fits:
                login.refused(session, who, reason="second-factor", now=now)
            else:
                login.forgive(session, counter, now=now)
                stage = _after_second_factor(users.known(session, who.user_id, by=who))
                token = _advance(session, found, stage)
    except TooManyAttempts as early:
        return too_early(early)
    if not fits:
        return _step("sign_in/second_factor.html", _WRONG_CODE, status=HTTPStatus.UNAUTHORIZED)
    return go_on(who, token, stage)


@room.route("/sign-in/enrolment", methods=["GET", "POST"])
@_in_stage(Stage.ENROLMENT)
def enrol(found: Found) -> WSGIResponse:
    """Take an authenticator app into use, because the role asks for a second factor."""
    running = runtime()
    terms, now, who = running.library.identity, running.clock(), found.principal
    seals = Seals(running.settings.secret_key)
    if _is_sent():
        try:
            with transaction(running.sessions) as session:
                counter = login.second_factor_counter(session, who)
                login.count(session, counter, terms=terms, now=now)
                code = request.form.get("code", "")[:_LONGEST_FIELD]
                codes = second_factor.confirm(
                    session, code, by=who, seals=seals, terms=terms.second_factor, now=now
                )
                login.forgive(session, counter, now=now)
                stage = _after_second_factor(users.known(session, who.user_id, by=who))
                token = _advance(session, found, stage)
        except TooManyAttempts as early:
            return too_early(early)
        except InvalidInput:
            return _enrolment(found, seals, _WRONG_CODE, HTTPStatus.UNPROCESSABLE_ENTITY)
        place = places.safe(request.form.get("next", "/"))
        if stage is not Stage.WHOLE:
            place = f"{STAGES[stage]}?{urlencode({'next': place})}"
        answer = page("sign_in/recovery_codes.html", codes=codes, place=place)
        browsers.keep(answer, token)
        return answer
    return _enrolment(found, seals)


@room.route("/sign-in/new-password", methods=["GET", "POST"])
@_in_stage(Stage.NEW_PASSWORD)
def choose_password(found: Found) -> WSGIResponse:
    """Have somebody replace a password that another person made."""
    if not _is_sent():
        return _step("sign_in/new_password.html")
    running = runtime()
    terms, now, who = running.library.identity, running.clock(), found.principal
    chosen = request.form.get("new", "")[:_LONGEST_FIELD]
    with transaction(running.sessions, write=False) as session:
        account = users.known(session, who.user_id, by=who)
        given = login.kept_password(session, by=who)
    try:
        if passwords.fits(given, chosen, terms=terms.hashing):
            raise InvalidInput("Choose another password than the one that you were given.")
        passwords.refuse_weak(chosen, terms=terms.password, about=(account.login, who.organisation_id))
    except InvalidInput as refusal:
        return _step("sign_in/new_password.html", refusal.message, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    kept = passwords.hashed(chosen, terms=terms.hashing)
    with transaction(running.sessions) as session:
        users.set_password(session, who.user_id, kept, by=who, now=now, keep_session=found.id)
        token = _advance(session, found, Stage.WHOLE)
    return go_on(who, token, Stage.WHOLE)


def qr_code(address: str) -> Markup:
    """The picture that an authenticator app reads; black on white in every theme."""
    drawn = segno.make(address, error="m").svg_inline(
        scale=4, border=4, dark="#000", light="#fff", title="QR code for your authenticator app"
    )
    # It consists of one path whose numbers segno made.
    return Markup(drawn)  # noqa: S704


def _enrolment(found: Found, seals: Seals, message: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    running, who = runtime(), found.principal
    with transaction(running.sessions) as session:
        account = users.known(session, who.user_id, by=who)
        made = second_factor.begin(session, by=who, login=account.login, seals=seals, now=running.clock())
    return _step(
        "sign_in/enrolment.html", message, status=status, picture=qr_code(made.address), secret=made.secret
    )


def _advance(session: Session, found: Found, stage: Stage) -> str:
    running = runtime()
    return browser_sessions.advance(
        session,
        found,
        to=stage,
        agent=request.headers.get("User-Agent", ""),
        terms=running.library.identity.session,
        now=running.clock(),
    )


def _after_second_factor(account: users.Account) -> Stage:
    return Stage.NEW_PASSWORD if account.must_change else Stage.WHOLE


def _is_sent() -> bool:
    """Whether the form of this step was sent, rather than only what is carried on to it."""
    return request.method == "POST" and "begin" not in request.form


def _step(
    template: str, message: str = "", *, status: HTTPStatus = HTTPStatus.OK, **context: object
) -> Response:
    place = places.safe(request.values.get("next", "/"))
    return page(
        template,
        status=status,
        message=message,
        next=place,
        kept=kept_forms.carried(),
        shortest=runtime().library.identity.password.shortest,
        **context,
    )
