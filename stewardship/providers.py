"""Identity providers over OpenID Connect: the authorization code flow with PKCE and a nonce.

Authlib walks the flow. What a provider says of itself is held to what the operator has registered: its
issuer, which signatures count, and that an identity token for us, and for this sign-in, comes at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import FlaskOAuth2App, OAuth
from authlib.integrations.requests_client import OAuth2Session
from flask import Flask, request
from joserfc.errors import JoseError
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.domain.connections import IdentityProvider
from stewardship.runtime import runtime

_DISCOVERY = "/.well-known/openid-configuration"
#: Signatures with a key that only the provider holds. Its own list may be shorter.
_SIGNATURES = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA")
_SECONDS = 5
_LEEWAY = 60
#: How long what a provider says of itself is taken for true.
_KNOWN_FOR = timedelta(hours=1)


class NotVouched(Exception):
    """The provider did not vouch for anybody; ``code`` says what was wrong, for the log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Session(OAuth2Session):  # type: ignore[misc]
    """Goes where it was sent and nowhere else, and does not wait for ever."""

    def request(self, method: str, url: str, **more: Any) -> Any:
        """As the library does; a redirect is an answer like any other, and no good one."""
        more.setdefault("timeout", _SECONDS)
        more["allow_redirects"] = False
        return super().request(method, url, **more)


class _Client(FlaskOAuth2App):  # type: ignore[misc]
    """The library's client, over such a session."""

    client_cls = _Session


@dataclass
class Clients:
    """What was learned of the providers. One for an application."""

    app: Flask
    _made: dict[str, tuple[datetime, Any]] = field(default_factory=dict)

    def of(self, provider: IdentityProvider, now: datetime) -> Any:
        """The library's client of a provider, its description read. Raises ``NotVouched``."""
        since, client = self._made.get(provider.id, (None, None))
        if since is None or not timedelta(0) <= now - since < _KNOWN_FOR:
            client = OAuth(self.app).register(
                provider.id,
                client_id=provider.client_id,
                client_secret=provider.client_secret,
                server_metadata_url=provider.issuer.rstrip("/") + _DISCOVERY,
                client_kwargs={"scope": " ".join(provider.scopes), "code_challenge_method": "S256"},
                client_cls=_Client,
            )
            _describe(client, provider)
            self._made[provider.id] = (now, client)
        return client


def install(app: Flask) -> None:
    """Give the application its clients."""
    app.extensions["stewardship-providers"] = Clients(app)


def begin(provider: IdentityProvider, *, back: str, app: Flask) -> WSGIResponse:
    """Send the browser to the provider. Raises ``NotVouched`` when it cannot be reached."""
    try:
        answer: WSGIResponse = _client(provider, app).authorize_redirect(back)
    except (requests.RequestException, AuthlibBaseError, ValueError, KeyError, RuntimeError):
        raise NotVouched("unreachable") from None
    return answer


def finish(provider: IdentityProvider, *, app: Flask) -> Mapping[str, Any]:
    """What the provider says of the person who comes back from it. Raises ``NotVouched``."""
    # RFC 9207: whoever says that it is another issuer's answer has mixed something up.
    if request.args.get("iss", provider.issuer) != provider.issuer:
        raise NotVouched("issuer")
    claims_of = {
        "iss": {"essential": True, "value": provider.issuer},
        "aud": {"essential": True, "value": provider.client_id},
        "sub": {"essential": True},
    }
    try:
        token = _client(provider, app).authorize_access_token(claims_options=claims_of, leeway=_LEEWAY)
    except JoseError as wrong:
        # The library lets these through where one expects only its own errors.
        raise NotVouched(f"identity-token-{wrong.error}") from None
    except AuthlibBaseError as wrong:
        raise NotVouched(str(wrong.error or "refused")[:64]) from None
    except (requests.RequestException, ValueError, KeyError, TypeError, RuntimeError):
        raise NotVouched("unreachable") from None
    claims = token.get("userinfo")
    if not claims:
        # Without an identity token the library is content; we are not.
        raise NotVouched("no-identity-token")
    if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255:
        raise NotVouched("subject")
    return dict(claims)


def sign_out_address(provider: IdentityProvider, *, back: str, app: Flask) -> str | None:
    """Where one signs out at the provider too; ``None`` when it has no such place, or cannot be asked."""
    try:
        client = _client(provider, app)
        if not client.server_metadata.get("end_session_endpoint"):
            return None
        made = client.create_logout_url(post_logout_redirect_uri=back, client_id=provider.client_id)
    except (NotVouched, AuthlibBaseError, requests.RequestException, ValueError, RuntimeError):
        return None
    return str(made["url"])


def _client(provider: IdentityProvider, app: Flask) -> Any:
    clients: Clients = app.extensions["stewardship-providers"]
    return clients.of(provider, runtime().clock())


def _describe(client: Any, provider: IdentityProvider) -> None:
    """Read what the provider says of itself, and keep of it what the operator's word allows."""
    try:
        said = client.load_server_metadata()
    except (requests.RequestException, AuthlibBaseError, ValueError, TypeError):
        raise NotVouched("unreachable") from None
    if said.get("issuer") != provider.issuer:
        raise NotVouched("issuer")
    offered = said.get("id_token_signing_alg_values_supported") or ["RS256"]
    # The library takes whatever the list says, also signatures with a key that both sides hold.
    said["id_token_signing_alg_values_supported"] = [name for name in _SIGNATURES if name in offered]
