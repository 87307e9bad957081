"""An OpenID Connect provider on this machine: Authlib's own server, behind real HTTP.

People sign in there by being named in ``Provider.person``. ``Provider.twist`` lets a test have it misbehave.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, Response, jsonify, request
from joserfc import jwk, jwt
from werkzeug.serving import make_server

CLIENT, SECRET = "stewardship", "a secret of the client and the provider"


@dataclass
class Client(ClientMixin):
    """The one client: this service."""

    back: str

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return self.back

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.back

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code:
    """A code as it was given out."""

    code: str
    person: dict[str, Any]
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str | None
    code_challenge_method: str | None
    auth_time: int = field(default_factory=lambda: int(time.time()))

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.auth_time

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> list[str] | None:
        return self.person.get("amr")


def as_it_is(claims: dict[str, Any]) -> dict[str, Any]:
    """A provider that does what it should."""
    return claims


class Provider:
    """The server, and what a test sets it to."""

    def __init__(self, back: str) -> None:
        self.person: dict[str, Any] | None = None
        self.twist: Callable[[dict[str, Any]], dict[str, Any]] = as_it_is
        self.sign_with: Any = None
        self.algorithm = "RS256"
        self.without_token = False
        self.describe: dict[str, Any] = {}
        self.key = jwk.generate_key("RSA", 2048, {"kid": "provider-1", "use": "sig", "alg": "RS256"})
        self.asked: list[str] = []
        self._codes: dict[str, Code] = {}
        self._client = Client(back)
        self._server = make_server("127.0.0.1", 0, self._app(), threaded=True)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def go(self, address: str) -> str:
        """What a browser does at the provider: follow the address, be signed in, be sent back."""
        answer = requests.get(address, allow_redirects=False, timeout=5)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def _app(self) -> Flask:
        provider, app = self, Flask("provider", static_folder=None)
        server = AuthorizationServer(
            app,
            query_client=lambda name: self._client if name == CLIENT else None,
            save_token=lambda *_: None,
        )

        class CodeGrant(grants.AuthorizationCodeGrant):
            TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

            def save_authorization_code(self, code: str, request: Any) -> Code:
                data = request.payload.data
                assert provider.person is not None
                provider._codes[code] = Code(
                    code,
                    dict(provider.person),
                    request.payload.redirect_uri,
                    request.payload.scope,
                    data.get("nonce", ""),
                    data.get("code_challenge"),
                    data.get("code_challenge_method"),
                )
                return provider._codes[code]

            def query_authorization_code(self, code: str, client: Any) -> Code | None:
                return provider._codes.get(code)

            def delete_authorization_code(self, authorization_code: Code) -> None:
                del provider._codes[authorization_code.code]

            def authenticate_user(self, authorization_code: Code) -> dict[str, Any]:
                return authorization_code.person

        class OpenID(OpenIDCode):
            def exists_nonce(self, nonce: str, request: Any) -> bool:
                return False

            def resolve_client_private_key(self, client: Any) -> Any:
                return provider.key

            def get_client_algorithm(self, client: Any) -> str:
                return "RS256"

            def get_client_claims(self, client: Any) -> dict[str, Any]:
                now = int(time.time())
                return {"iss": provider.issuer, "aud": [CLIENT], "iat": now, "exp": now + 300}

            def generate_user_info(self, user: dict[str, Any], scope: str) -> UserInfo:
                return UserInfo(user)

        server.register_grant(CodeGrant, [OpenID(require_nonce=True), CodeChallenge(required=True)])

        self._answer(app, server)
        return app

    def _answer(self, app: Flask, server: AuthorizationServer) -> None:
        provider = self

        @app.before_request
        def note() -> None:
            provider.asked.append(request.path)

        @app.get("/.well-known/openid-configuration")
        def describe() -> Response:
            here = provider.issuer
            return jsonify(
                {
                    "issuer": here,
                    "authorization_endpoint": f"{here}/authorize",
                    "token_endpoint": f"{here}/token",
                    "jwks_uri": f"{here}/jwks",
                    "end_session_endpoint": f"{here}/sign-out",
                    "response_types_supported": ["code"],
                    "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                    "code_challenge_methods_supported": ["S256"],
                }
                | provider.describe
            )

        @app.get("/jwks")
        def jwks() -> Response:
            return jsonify({"keys": [provider.key.as_dict(private=False)]})

        @app.get("/authorize")
        def authorize() -> Any:
            grant = server.get_consent_grant(end_user=provider.person)
            return server.create_authorization_response(grant_user=provider.person, grant=grant)

        @app.post("/token")
        def token() -> Any:
            answer = server.create_token_response()
            body = json.loads(answer.get_data())
            if "id_token" in body:
                claims = jwt.decode(body["id_token"], provider.key, algorithms=["RS256"]).claims
                head = {"alg": provider.algorithm, "kid": "provider-1"}
                key = provider.sign_with or provider.key
                twisted = provider.twist(dict(claims))
                body["id_token"] = jwt.encode(head, twisted, key, algorithms=[provider.algorithm])
                if provider.without_token:
                    del body["id_token"]
                answer.set_data(json.dumps(body))
            return answer
