"""Discovery, admission, browsers of other origins, and requests that are not as they should be."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from stewardship.app import create_app
from stewardship.config import Environment
from stewardship.domain.people import Role
from tests.builders import NOW
from tests.cds_hooks.conftest import ALLOWED, ORGANISATION, SETTINGS, Ehr, read
from tests.cds_hooks.requests import SERVICES, a_hook, a_new_patient

SIGN = "/cds-services/opioid-order-sign"


@pytest.fixture
def services(app) -> list[dict[str, Any]]:
    return read(app.test_client().get("/cds-services"))["services"]


def test_discovery_names_a_service_for_each_hook_without_asking_who_asks(services):
    assert {service["hook"]: service["id"] for service in services} == SERVICES


def test_discovery_says_what_the_specification_asks_for(services):
    for service in services:
        assert set(service) == {"hook", "id", "title", "description", "prefetch", "usageRequirements"}
        assert all(service[key] for key in service)
        assert re.fullmatch(r"[a-z0-9-]+", service["id"])


def test_prefetch_asks_for_what_is_read_with_queries_that_every_server_answers(services):
    query = re.compile(
        r"[A-Z][A-Za-z]+(\?patient=\{\{context\.patientId\}\}(&category=[a-z,]+)?|/\{\{context\.patientId\}\})"
    )
    for service in services:
        templates = service["prefetch"].values()
        assert all(query.fullmatch(template) for template in templates)
        assert {re.match("[A-Za-z]+", template).group() for template in templates} == {
            "Patient", "MedicationRequest", "MedicationDispense", "MedicationStatement", "Condition",
            "Observation", "Procedure", "CarePlan", "Goal", "Encounter",
        }  # fmt: skip


# --- who may ask --------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "nonsense", "a.b.c", "x" * 9000])
def test_a_caller_whom_nobody_knows_gets_an_empty_refusal(app, token):
    response = Ehr(app, token).post(a_hook(a_new_patient()))
    assert (response.status_code, response.get_data()) == (401, b"")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.EHR])
def test_only_an_ehr_may_ask(app, issued, role):
    response = Ehr(app, issued[role]).post(a_hook(a_new_patient()))
    assert (response.status_code, response.get_data()) == (403, b"")


def test_whether_a_service_exists_is_told_only_to_those_who_may_ask(app, ehr):
    assert Ehr(app, None).post(a_hook("p"), service="no-such").status_code == 401
    response = ehr.post(a_hook("p"), service="no-such")
    assert response.status_code == 404
    assert read(response)["issue"][0]["code"] == "not-found"


@pytest.mark.parametrize("token", [None, "a.b.c"])
def test_where_the_demonstration_is_open_a_browser_client_needs_no_token_of_ours(
    library, sessions, token, issued
):
    settings = replace(SETTINGS, environment=Environment.DEMO, cds_open=True, demo_organisation=ORGANISATION)
    app = create_app(settings, library=library, sessions=sessions, clock=lambda: NOW)
    assert Ehr(app, token).ask(a_hook(a_new_patient()))["cards"] == []


# --- browsers -----------------------------------------------------------------------------------------

PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@pytest.mark.parametrize("path", ["/cds-services", SIGN])
def test_an_allowed_origin_may_ask_beforehand(app, path):
    response = app.test_client().options(path, headers={"Origin": ALLOWED, **PREFLIGHT})
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_an_allowed_origin_may_read_answers_and_refusals(app, ehr):
    shared = {"Origin": ALLOWED}
    answers = [
        ehr.post(a_hook(a_new_patient()), **shared),
        ehr.post(b"{}", service="opioid-order-sign", **shared),
        Ehr(app, None).post(a_hook("p"), **shared),
    ]
    assert [answer.status_code for answer in answers] == [200, 400, 401]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://ehr.example.evil.example", ALLOWED + "/"]
)
def test_no_other_origin_may(app, origin):
    for response in (
        app.test_client().get("/cds-services", headers={"Origin": origin}),
        app.test_client().options(SIGN, headers={"Origin": origin, **PREFLIGHT}),
    ):
        assert "Access-Control-Allow-Origin" not in response.headers


def test_nothing_else_is_shared_with_other_origins(app):
    response = app.test_client().get("/api/v1/openapi.json", headers={"Origin": ALLOWED})
    assert "Access-Control-Allow-Origin" not in response.headers


# --- requests that are not as they should be ----------------------------------------------------------


def without(request: dict[str, Any], *path: str) -> dict[str, Any]:
    head, *rest = path
    return {
        key: without(value, *rest) if key == head and rest else value
        for key, value in request.items()
        if key != head or rest
    }


def in_context(**said: Any) -> dict[str, Any]:
    request = a_hook("p")
    return {**request, "context": {**request["context"], **said}}


def a_bundle(entry: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "entry": entry}


@pytest.mark.parametrize(
    ("request_", "path", "code"),
    [
        (without(a_hook("p"), "hook"), "hook", "required"),
        (without(a_hook("p"), "hookInstance"), "hookInstance", "required"),
        (without(a_hook("p"), "context"), "context", "required"),
        (without(a_hook("p"), "context", "patientId"), "context.patientId", "required"),
        (without(a_hook("p"), "context", "draftOrders"), "context.draftOrders", "required"),
        ({**a_hook("p"), "hook": "order-select"}, "hook", "invalid"),
        ({**a_hook("p"), "hook": 5}, "hook", "invalid"),
        ({**a_hook("p"), "context": []}, "context", "invalid"),
        ({**a_hook("p"), "prefetch": "ZZQCANARY"}, "prefetch", "invalid"),
        (in_context(patientId=""), "context.patientId", "invalid"),
        (in_context(patientId={"ZZQCANARY": 1}), "context.patientId", "invalid"),
        (in_context(draftOrders={"resourceType": "ZZQCANARY"}), "context.draftOrders", "invalid"),
        (in_context(draftOrders=a_bundle("ZZQCANARY")), "context.draftOrders.entry", "invalid"),
        (
            in_context(draftOrders=a_bundle([{"resource": {"id": "ZZQCANARY"}}])),
            "context.draftOrders.entry[0].resource",
            "invalid",
        ),
        (in_context(selections="MedicationRequest/1"), "context.selections", "invalid"),
    ],
)  # fmt: skip
def test_an_envelope_that_is_wrong_is_pointed_at_and_not_repeated(ehr, request_, path, code):
    response = ehr.post(request_, service="opioid-order-sign")
    assert response.status_code == 400
    outcome = read(response)
    assert outcome["resourceType"] == "OperationOutcome"
    assert [(issue["expression"], issue["code"]) for issue in outcome["issue"]] == [([path], code)]
    assert "ZZQCANARY" not in response.get_data(as_text=True)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"hook": NaN}', b'{"a":1,"a":2}', b"[" * 100_000, "{}".encode("utf-16")],
)
def test_a_body_that_is_no_request_is_an_error_of_the_client(ehr, body):
    response = ehr.post(body, service="opioid-order-sign")
    assert response.status_code == 400
    assert read(response)["resourceType"] == "OperationOutcome"


def test_a_body_of_another_media_type_is_refused(app, ehr):
    response = app.test_client().post(
        SIGN, data="<x/>", content_type="application/xml", headers={"Authorization": f"Bearer {ehr.token}"}
    )
    assert response.status_code == 415
    assert read(response)["resourceType"] == "OperationOutcome"


def test_a_body_that_is_too_large_is_refused(ehr):
    response = ehr.post(b'{"x":"' + b"x" * (5 * 1024 * 1024) + b'"}', service="opioid-order-sign")
    assert response.status_code == 413


def test_fields_that_nobody_here_knows_are_ignored(ehr):
    request = a_hook(a_new_patient(), extension={"com.example": [1, 2]}, somethingNew=None)
    assert ehr.ask(request)["cards"] == []


def test_a_hook_instance_need_not_be_a_uuid(ehr):
    assert ehr.ask(a_hook(a_new_patient(), hookInstance="rec08-p02-5"))["cards"] == []
