"""The API's description is valid, is what is served, and real answers are as it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from stewardship.domain.people import Role
from stewardship.intake.strict_json import loads
from tests.api.conftest import Caller, a_case, json


@pytest.fixture
def described(nobody: Caller) -> dict[str, Any]:
    document: dict[str, Any] = json(nobody.get("/api/v1/openapi.json"))
    return document


def test_the_description_is_valid(described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(described).validate()


def test_every_route_is_described_with_what_it_needs(app: Flask, described: dict[str, Any]) -> None:
    served = {
        rule.rule.replace("<", "{").replace(">", "}")
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/") and not rule.endpoint.startswith("api-docs.")
    }
    assert set(described["paths"]) == served
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if method in {"get", "post"}:
                assert operation["security"] == [{"token": []}], path
                assert operation["x-permission"], path
                assert operation["summary"], path


def test_numbers_are_described_as_numbers(described: dict[str, Any]) -> None:
    quantity = described["components"]["schemas"]["Order"]["properties"]["quantity"]
    assert quantity == {"type": "number", "exclusiveMinimum": 0, "maximum": 100000}


def test_errors_are_described_as_problem_documents(described: dict[str, Any]) -> None:
    for name, response in described["components"]["responses"].items():
        assert list(response["content"]) == ["application/problem+json"], name


def test_the_page_to_browse_it_is_served_from_here(nobody: Caller) -> None:
    page = nobody.get("/api/v1/docs").text
    assert "//" not in page.replace("<!doctype", "")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
        assert f"docs/{name}" in page
        assert nobody.get(f"/api/v1/docs/{name}").status_code == 200
    assert nobody.get("/api/v1/docs/oauth2-redirect.html").status_code == 404
    assert nobody.get("/api/v1/docs/..%2Findex.py").status_code == 404


def test_a_stored_decision_is_as_described(caller: Callable[..., Caller], described: dict[str, Any]) -> None:
    prescriber = caller(Role.PRESCRIBER)
    decision = json(prescriber.post("/api/v1/orders", a_case(days=10, quantity=40)))
    (stop,) = [f for f in decision["findings"] if f["policy"] == "short-course"]
    asked = prescriber.post(
        f"/api/v1/decisions/{decision['id']}/findings/short-course/exception",
        {"reason": stop["override_reasons"][0]["code"]},
    )
    caller(Role.PHARMACIST).post(f"{asked.headers['Location']}/countersignatures", {"approve": True})
    read = prescriber.get(f"/api/v1/decisions/{decision['id']}")
    schema = {"$ref": "#/components/schemas/StoredDecisionAnswer", "components": described["components"]}
    faults = list(OAS31Validator(schema).iter_errors(loads(read.data, max_bytes=1_000_000)))
    assert faults == []


def test_generated_requests_are_answered_as_described(caller: Callable[..., Caller]) -> None:
    who = caller(Role.PRESCRIBER)
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", who.app)
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
    ]
    for operation in (found.ok() for found in schema.get_all_operations()):
        good = operation.as_strategy()
        bad = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

        # Few, and the same every time: a search in depth is for a night, not for every run.
        @settings(
            max_examples=20,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=good | bad)
        def answered(case: Any) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {who.token}"}, checks=checks)

        answered()
