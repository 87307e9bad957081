"""The API's description of itself: an OpenAPI 3.1 document, and a page to browse it without a network."""

from __future__ import annotations

from http import HTTPStatus
from importlib.resources import files
from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Flask, Response, abort
from flask_smorest import Api
from marshmallow.fields import Field

from stewardship import __version__
from stewardship.api.problems import MEDIA_TYPE
from stewardship.api.schemas import ProblemAnswer
from stewardship.auth import public
from stewardship.intake.fields import Choice, ExactDecimal, Token
from stewardship.intake.strict_json import dumps

TITLE = "Opioid stewardship"
_DESCRIPTION = """\
Checks an opioid order against the policies in force and answers with a decision: every policy considered,
what it found, on which facts, and what to do next. A policy that lacks a fact answers `cannot-tell` and
names the fact; nothing missing ever counts as zero.

Numbers are JSON numbers, read and written exactly; unknown members, repeated keys and numbers in quotes
are refused. Errors are problem documents (RFC 9457) whose `errors` point at the member concerned.
"""
_SPEC = {
    "info": {"description": _DESCRIPTION, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
    "servers": [{"url": "/"}],
    "components": {
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "description": "An API token of the service."}
        }
    },
}
#: The parts of Swagger UI that the page needs, all from the installed package.
_ASSETS = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>API of the opioid stewardship service</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="api"><p>The same description as a document: <a href="openapi.json">openapi.json</a></p></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
_START = """window.addEventListener("load", () => {
  SwaggerUIBundle({url: "openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null,
                   tryItOutEnabled: true, persistAuthorization: false});
});
"""


class ProblemApi(Api):  # type: ignore[misc]
    """flask-smorest, with problem documents in the description and error handling left to the app."""

    ERROR_SCHEMA = ProblemAnswer

    def _register_error_handlers(self) -> None:
        """The application has one table of errors for all its faces; none is added here."""

    def _register_responses(self) -> None:
        for status in HTTPStatus:
            if status >= HTTPStatus.BAD_REQUEST:
                self._register_problem(status.name, status.phrase)
        self._register_problem(self.DEFAULT_ERROR_RESPONSE_NAME, "Any other error")

    def _register_problem(self, name: str, description: str) -> None:
        answer = {"description": description, "content": {MEDIA_TYPE: {"schema": self.ERROR_SCHEMA}}}
        self.spec.components.response(name, answer, lazy=True)

    def _register_pagination_header(self) -> None:
        """Nothing is paged yet, so nothing is said about pages."""


def strictness(_: Any, field: Field[Any], **__: Any) -> dict[str, Any]:
    """What the description must say about our own fields besides what apispec sees in them."""
    if isinstance(field, ExactDecimal) and field.above:
        return {"exclusiveMinimum": field.least}
    if isinstance(field, Choice):
        return {"type": ["string", "null"] if field.allow_none else "string"}
    if isinstance(field, Token):
        return {"pattern": "^[!-~]+$"}
    return {}


def make_api(app: Flask) -> ProblemApi:
    """The registry that the rooms of the API are entered in."""
    app.config.update(
        API_TITLE=TITLE,
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=None,
        API_SPEC_OPTIONS=_SPEC,
    )
    plugin = MarshmallowPlugin()
    api = ProblemApi(app, spec_kwargs={"marshmallow_plugin": plugin})
    if plugin.converter is not None:
        plugin.converter.add_attribute_function(strictness)  # type: ignore[no-untyped-call]
    return api


def document(api: ProblemApi) -> dict[str, Any]:
    """The OpenAPI document as it is served."""
    described: dict[str, Any] = api.spec.to_dict()
    for schema in described["components"]["schemas"].values():
        for member in schema.get("properties", {}).values():
            # Left out and empty are the same to us, but an empty text is not what may be sent.
            if member.get("default") == "":
                del member["default"]
            if "exclusiveMinimum" in member:
                member.pop("minimum", None)
    return described


def pages(api: ProblemApi, *, url_prefix: str) -> Blueprint:
    """The document and the page to browse it, both public: they tell nothing that is not in the source."""
    blueprint = Blueprint("api-docs", __name__, url_prefix=url_prefix)
    described = dumps(document(api))
    dist = files("flask_swagger_ui") / "dist"

    @blueprint.get("/openapi.json")
    @public
    def openapi_json() -> Response:
        return Response(described, content_type="application/json")

    @blueprint.get("/docs")
    @public
    def docs() -> Response:
        return Response(_PAGE, content_type="text/html; charset=utf-8")

    @blueprint.get("/docs/<name>")
    @public
    def docs_asset(name: str) -> Response:
        if name == "start.js":
            return Response(_START, content_type="text/javascript; charset=utf-8")
        if name not in _ASSETS:
            abort(HTTPStatus.NOT_FOUND)
        response = Response((dist / name).read_bytes(), content_type=_ASSETS[name])
        response.headers["Cache-Control"] = "public, max-age=86400"
        return response

    return blueprint
