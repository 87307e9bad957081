"""One's own account: where one is signed in, the password, the second factor."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, flash, g, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship import browsers
from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import Conflict, InvalidInput, NotFound, TooManyAttempts
from stewardship.runtime import runtime
from stewardship.services import browser_sessions, login, passwords, second_factor, users
from stewardship.services.sealing import Seals
from stewardship.web.pages import page
from stewardship.web.sign_in import too_early
from stewardship.web.sign_in_steps import qr_code

room = Blueprint("account", __name__)

_LONGEST_FIELD = 1_000
_WRONG = "That is not your password."


@room.get("/account")
@requires(Permission.KNOW_ONESELF)
def account() -> Response:
    """Where the reader is signed in, and what proves that it is he."""
    return _account()


@room.post("/account/sessions/<session_id>/end")
@requires(Permission.KNOW_ONESELF)
def end_session(session_id: str) -> WSGIResponse:
    """Sign out elsewhere."""
    running = runtime()
    with transaction(running.sessions) as session:
        browser_sessions.end_own(session, session_id, by=principal(), now=running.clock())
    flash("That session is over.", "success")
    return redirect("/account", HTTPStatus.SEE_OTHER)


@room.post("/account/sessions/end-others")
@requires(Permission.KNOW_ONESELF)
def end_other_sessions() -> WSGIResponse:
    """Sign out everywhere but here."""
    running, by = runtime(), principal()
    with transaction(running.sessions) as session:
        ended = users.revoke_sessions(
            session, by.user_id, by=by, now=running.clock(), keep_session=_this_session()
        )
    flash(f"{ended} other {'session is' if ended == 1 else 'sessions are'} over.", "success")
    return redirect("/account", HTTPStatus.SEE_OTHER)


@room.post("/account/password")
@requires(Permission.KNOW_ONESELF)
def change_password() -> WSGIResponse:
    """Replace the password; every other session ends."""
    running, by = runtime(), principal()
    terms, chosen = running.library.identity, request.form.get("new", "")[:_LONGEST_FIELD]
    try:
        found = _prove()
        passwords.refuse_weak(chosen, terms=terms.password, about=(found.login, by.organisation_id))
    except TooManyAttempts as early:
        return too_early(early)
    except InvalidInput as refusal:
        return _account(refusal.message, at="password")
    kept = passwords.hashed(chosen, terms=terms.hashing)
    with transaction(running.sessions) as session:
        users.set_password(
            session, by.user_id, kept, by=by, now=running.clock(), keep_session=_this_session()
        )
    flash("The password is changed, and you are signed out everywhere else.", "success")
    return redirect("/account", HTTPStatus.SEE_OTHER)


@room.post("/account/second-factor")
@requires(Permission.KNOW_ONESELF)
def begin_second_factor() -> WSGIResponse:
    """Show what an authenticator app has to scan."""
    try:
        _prove()
    except TooManyAttempts as early:
        return too_early(early)
    except InvalidInput as refusal:
        return _account(refusal.message, at="second-factor")
    return _enrolment()


@room.post("/account/second-factor/confirm")
@requires(Permission.KNOW_ONESELF)
def confirm_second_factor() -> WSGIResponse:
    """Take the app into use."""
    running, by = runtime(), principal()
    terms, now = running.library.identity, running.clock()
    try:
        with transaction(running.sessions) as session:
            counter = login.second_factor_counter(session, by)
            login.count(session, counter, terms=terms, now=now)
            codes = second_factor.confirm(
                session,
                request.form.get("code", "")[:_LONGEST_FIELD],
                by=by,
                seals=Seals(running.settings.secret_key),
                terms=terms.second_factor,
                now=now,
            )
            login.forgive(session, counter, now=now)
    except TooManyAttempts as early:
        return too_early(early)
    except InvalidInput as refusal:
        return _enrolment(refusal.message, HTTPStatus.UNPROCESSABLE_ENTITY)
    return page("sign_in/recovery_codes.html", codes=codes, place="/account")


@room.post("/account/second-factor/remove")
@requires(Permission.KNOW_ONESELF)
def remove_second_factor() -> WSGIResponse:
    """Do without it, where the role does not ask for it. All of the reader's sessions end."""
    running, by = runtime(), principal()
    if by.role in _demanded():
        raise Conflict("your role asks for a second factor; it can be replaced, not given up")
    try:
        _prove()
    except TooManyAttempts as early:
        return too_early(early)
    except InvalidInput as refusal:
        return _account(refusal.message, at="second-factor")
    with transaction(running.sessions) as session:
        users.remove_second_factor(session, by.user_id, by=by, now=running.clock())
    return redirect("/sign-in?next=/account", HTTPStatus.SEE_OTHER)


@room.post("/account/recovery-codes")
@requires(Permission.KNOW_ONESELF)
def new_recovery_codes() -> WSGIResponse:
    """Replace the recovery codes."""
    running, by = runtime(), principal()
    try:
        found = _prove()
        if not found.has_second_factor:
            raise InvalidInput("There is no second factor to recover.")
    except TooManyAttempts as early:
        return too_early(early)
    except InvalidInput as refusal:
        return _account(refusal.message, at="second-factor")
    with transaction(running.sessions) as session:
        codes = second_factor.new_recovery_codes(
            session, by=by, terms=running.library.identity.second_factor, now=running.clock()
        )
    return page("sign_in/recovery_codes.html", codes=codes, place="/account")


def _prove() -> users.Account:
    """The reader's account, after he has shown his password once more. Raises ``InvalidInput`` for a wrong
    one, and ``TooManyAttempts``: whoever finds a browser open must not be able to guess."""
    running, by = runtime(), principal()
    terms, now = running.library.identity, running.clock()
    with transaction(running.sessions) as session:
        found = users.known(session, by.user_id, by=by)
        counter = login.second_factor_counter(session, by)
        login.count(session, counter, terms=terms, now=now)
    with transaction(running.sessions, write=False) as session:
        kept = login.kept_password(session, by=by)
    if not passwords.fits(kept, request.form.get("password", "")[:_LONGEST_FIELD], terms=terms.hashing):
        with transaction(running.sessions) as session:
            login.refused(session, by, reason="password-again", now=now)
        raise InvalidInput(_WRONG)
    with transaction(running.sessions) as session:
        login.forgive(session, counter, now=now)
    return found


def _account(message: str = "", *, at: str = "") -> Response:
    running, by = runtime(), principal()
    terms = running.library.identity
    with transaction(running.sessions, write=False) as session:
        found = _known(session)
        listed = browser_sessions.listed(
            session, by=by, terms=terms.session, now=running.clock(), this=_this_session() or ""
        )
        left = second_factor.recovery_codes_left(session, by=by)
    return page(
        "sign_in/account.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if message else HTTPStatus.OK,
        account=found,
        sessions=listed,
        codes_left=left,
        demanded=by.role in _demanded(),
        shortest=terms.password.shortest,
        message=message,
        at=at,
    )


def _enrolment(message: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    running, by = runtime(), principal()
    with transaction(running.sessions) as session:
        made = second_factor.begin(
            session,
            by=by,
            login=users.known(session, by.user_id, by=by).login,
            seals=Seals(running.settings.secret_key),
            now=running.clock(),
        )
    return page(
        "sign_in/enrolment.html",
        status=status,
        message=message,
        picture=qr_code(made.address),
        secret=made.secret,
        action="/account/second-factor/confirm",
        next="/account",
        kept="",
    )


def _known(session: Session) -> users.Account | None:
    """The reader's account; a user who only ever had a token has none."""
    try:
        return users.known(session, principal().user_id, by=principal())
    except NotFound:
        return None


def _demanded() -> frozenset[object]:
    running = runtime()
    return frozenset(
        login.demanded_roles(
            running.library.identity.second_factor, second_factor=running.settings.second_factor
        )
    )


def _this_session() -> str | None:
    found = browsers.session_of_browser() if "browser_session" in g else None
    return found.id if found is not None else None
