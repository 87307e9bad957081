"""How the API reads what comes in and writes what goes out: strictly, and exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, NoReturn

from flask import Request, Response
from flask_smorest import Blueprint
from marshmallow import RAISE, Schema, ValidationError
from sqlalchemy.orm import Session
from webargs.flaskparser import FlaskParser

from stewardship.auth import note_use, permission_of
from stewardship.bodies import json_body
from stewardship.db.engine import transaction
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.intake.fields import faults
from stewardship.intake.strict_json import dumps
from stewardship.runtime import runtime

#: Errors that any operation may answer with, and those of operations that take a body or an id.
_ALWAYS = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 500: "INTERNAL_SERVER_ERROR", 503: "SERVICE_UNAVAILABLE"}
_WITH_BODY = {
    400: "BAD_REQUEST",
    413: "REQUEST_ENTITY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "UNPROCESSABLE_ENTITY",
}
_WITH_QUERY = {422: "UNPROCESSABLE_ENTITY"}
_WITH_ID = {404: "NOT_FOUND"}

_UNKNOWN_IS_A_FAULT: dict[str, str | None] = {"json": RAISE, "query": RAISE}

View = Callable[..., Response]
Decorator = Callable[[View], View]


def answer(body: object, status: int = HTTPStatus.OK, **headers: str) -> Response:
    """A JSON answer; decimals are numbers with exactly their digits. ``Location=...`` adds a header."""
    return Response(dumps(body), status=status, headers=headers, content_type="application/json")


@contextmanager
def writing() -> Iterator[Session]:
    """A transaction that changes something on the caller's behalf."""
    with transaction(runtime().sessions) as session:
        note_use(session)
        yield session


@contextmanager
def reading() -> Iterator[Session]:
    """A transaction that only looks, and waits for no writer."""
    with transaction(runtime().sessions, write=False) as session:
        yield session


class StrictParser(FlaskParser):
    """Schemas are given strict JSON and queries without repetitions, and refuse what they do not know."""

    DEFAULT_UNKNOWN_BY_LOCATION = _UNKNOWN_IS_A_FAULT

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body, read strictly."""
        settings = runtime().settings
        return json_body(max_bytes=settings.order_bytes, max_keys=settings.order_keys)

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """The query's parameters; one given twice says two things."""
        for name, values in req.args.lists():
            if len(values) > 1:
                known = name if name in schema.fields else "?"
                raise InvalidInput(
                    "a parameter of the query is given twice",
                    faults=(Fault(f"?{known}", "duplicate-parameter", "give it once"),),
                )
        return req.args.to_dict()

    def handle_error(
        self,
        error: ValidationError,
        req: Request,
        schema: Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        """Raise what the API's table of problems knows; pointers begin at the body or at ``?``."""
        found: list[Fault] = []
        messages = error.messages if isinstance(error.messages, dict) else {"json": error.messages}
        for location, inner in messages.items():
            for fault in faults(ValidationError(inner)):
                pointer = fault.pointer if location == "json" else f"?{fault.pointer.lstrip('/')}"
                found.append(Fault(pointer, fault.code, fault.message))
        raise InvalidInput("the request says something that it may not say", faults=tuple(found))


class Room(Blueprint):  # type: ignore[misc]
    """A blueprint whose operations are read strictly, and documented with the permission they need and
    the problems they may answer with."""

    ARGUMENTS_PARSER = StrictParser()

    def route(self, rule: str, **options: Any) -> Decorator:
        """Serve the view at an address."""
        serve: Decorator = super().route(rule, **options)
        return serve

    def arguments(self, schema: type[Schema], **options: Any) -> Decorator:
        """Give the view what the schema makes of the body or the query, as its first argument.

        One instance serves all requests: making the fields of a nested schema costs more than using them.
        """
        read: Decorator = super().arguments(schema(), **options)
        return read

    def response(self, status_code: int, schema: type[Schema] | None = None, **options: Any) -> Decorator:
        """Say in the description what the view answers; it writes its answer itself."""
        said: Decorator = super().response(status_code, schema, **options)
        return said

    @staticmethod
    def doc(**said: Any) -> Decorator:
        """Say more in the description of the operation."""
        more: Decorator = Blueprint.doc(**said)
        return more

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *args: Any, **options: Any
    ) -> None:
        """Register a view and what its operation may answer."""
        super().add_url_rule(rule, endpoint, view_func, *args, **options)
        operations = self._docs[self._endpoints[-1]]
        for operation in (o for o in operations.values() if isinstance(o, dict)):
            places = {p["in"] for p in operation.get("arguments", {}).get("parameters", ())}
            manual = operation.setdefault("manual_doc", {})
            manual["responses"] = {
                **_ALWAYS,
                **(_WITH_BODY if "json" in places else {}),
                **(_WITH_QUERY if "query" in places else {}),
                **(_WITH_ID if "<" in rule else {}),
                **manual.get("responses", {}),
            }
            manual["x-permission"] = permission_of(view_func)
            manual["security"] = [{"token": []}]
