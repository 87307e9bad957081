"""Signing in with the account of one's hospital: to the identity provider and back."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, redirect, request
from flask import session as forms_cookie
from werkzeug.wrappers import Response as WSGIResponse

from stewardship import providers
from stewardship.auth import public
from stewardship.db.engine import transaction
from stewardship.domain.connections import IdentityProvider
from stewardship.domain.errors import NotFound
from stewardship.domain.identity import Stage
from stewardship.observability import log, whereabouts
from stewardship.providers import NotVouched
from stewardship.runtime import runtime
from stewardship.services import login, provider_sign_in
from stewardship.services.provider_sign_in import NotAdmitted
from stewardship.web import places
from stewardship.web.pages import page
from stewardship.web.sign_in import go_on

room = Blueprint("provider_sign_in", __name__)

_NEXT = "next"
_SAID = {
    "unreachable": "Your organisation's sign-in cannot be reached now. Try again in a moment.",
    "no-role": "You are known, but nobody has said what you do here. Ask whoever looks after accounts.",
    "unknown": "Your account is not known here. Ask whoever looks after accounts.",
    "disabled": "Your account may not be used here any more. Ask whoever looks after accounts.",
    "one-factor": "Your role asks for a second factor, and your organisation's sign-in used none.",
}
_OTHERWISE = (
    "Your organisation's sign-in did not confirm who you are. Try again; if it stays, tell its help desk."
)


@room.get("/sign-in/with/<provider>")
@public
def begin(provider: str) -> WSGIResponse:
    """Send the browser to the provider."""
    found = _provider(provider)
    forms_cookie[_NEXT] = places.safe(request.args.get("next", "/"))
    try:
        return providers.begin(found, back=_back(found), app=current_app)
    except NotVouched as refusal:
        return _refused(found, refusal.code)


@room.get("/sign-in/with/<provider>/back")
@public
def back(provider: str) -> WSGIResponse:
    """Take what the provider says of whom it sends back."""
    found, running = _provider(provider), runtime()
    place = places.safe(str(forms_cookie.pop(_NEXT, "/")))
    terms = running.library.identity
    try:
        claims = providers.finish(found, app=current_app)
        with transaction(running.sessions) as session:
            who, token = provider_sign_in.sign_in(
                session,
                found,
                claims,
                agent=request.headers.get("User-Agent", ""),
                terms=terms,
                demanded=login.demanded_roles(
                    terms.second_factor, second_factor=running.settings.second_factor
                ),
                now=running.clock(),
            )
    except (NotVouched, NotAdmitted) as refusal:
        return _refused(found, refusal.code)
    return go_on(who, token, Stage.WHOLE, place=place)


@room.get("/sign-out/with/<provider>")
@public
def sign_out(provider: str) -> WSGIResponse:
    """Sign out at the provider too. What one is signed in to here is over already."""
    found = _provider(provider)
    home = f"{_base()}/signed-out"
    address = providers.sign_out_address(found, back=home, app=current_app)
    return redirect(address or "/signed-out", HTTPStatus.SEE_OTHER)


def _provider(provider_id: str) -> IdentityProvider:
    found = runtime().connections.provider(provider_id)
    if found is None:
        raise NotFound("there is no such provider")
    return found


def _back(provider: IdentityProvider) -> str:
    return f"{_base()}/sign-in/with/{provider.id}/back"


def _base() -> str:
    return runtime().settings.public_url or request.host_url.rstrip("/")


def _refused(provider: IdentityProvider, code: str) -> Response:
    # What the provider said in words is not shown: anybody can write them into an address.
    log.warning("sign-in refused", code=code, organisation=provider.organisation_id, **_where())
    again = f"/sign-in/with/{provider.id}?{urlencode({'next': '/'})}"
    return page(
        "sign_in/not_vouched.html",
        status=HTTPStatus.UNAUTHORIZED,
        message=_SAID.get(code, _OTHERWISE),
        provider=provider,
        again=again,
    )


def _where() -> dict[str, str]:
    return {name: value for name, value in whereabouts().items() if name == "request_id"}
