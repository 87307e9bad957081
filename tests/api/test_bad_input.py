"""What cannot be read, or says what it may not say, is refused with its place and without its values."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from typing import Any

import pytest

from stewardship.domain.people import Role
from stewardship.intake.strict_json import dumps
from tests.api.conftest import Caller, a_case, json

SCREEN = "/api/v1/orders/screen"


@pytest.fixture
def prescriber(caller: Callable[..., Caller]) -> Caller:
    return caller(Role.PRESCRIBER)


def faults(response: Any) -> set[tuple[str, str]]:
    assert response.content_type == "application/problem+json"
    return {(f["pointer"], f["code"]) for f in json(response)["errors"]}


def with_text(old: str, new: str) -> bytes:
    """The ordinary case with one piece of its text replaced, as no JSON writer would write it."""
    body = dumps(a_case()).decode()
    assert body.count(old) == 1, body
    return body.replace(old, new).encode()


@pytest.mark.parametrize(
    ("new", "status", "code"),
    [
        ("NaN", 400, "not-json"),
        ("Infinity", 400, "not-json"),
        ("-Infinity", 400, "not-json"),
        ("1e9999", 400, "number-too-long"),
        ("1e-400", 400, "number-too-long"),
        ("9" * 40, 400, "number-too-long"),
        ("1_000", 400, "not-json"),
        ("012", 400, "not-json"),
        (".5", 400, "not-json"),
        ("5.", 400, "not-json"),
        ("\uff11\uff12", 400, "not-json"),
        ('12,"quantity":13', 400, "duplicate-key"),
        ('"12"', 422, "not-a-number"),
        ('"\uff11\uff12"', 422, "not-a-number"),
        ('"\u0661"', 422, "not-a-number"),
        ('" 12 "', 422, "not-a-number"),
        ('"1_000"', 422, "not-a-number"),
        ('"NaN"', 422, "not-a-number"),
        ("true", 422, "not-a-number"),
        ("[12]", 422, "not-a-number"),
        ("null", 422, "null"),
        ("0", 422, "out-of-range"),
        ("-1", 422, "out-of-range"),
        ("-0.0", 422, "not-plain"),
        ("1e30", 422, "out-of-range"),
        ("100000.1", 422, "out-of-range"),
        ("0.0000000001", 422, "too-precise"),
    ],
)
def test_number_tricks(prescriber: Caller, new: str, status: int, code: str) -> None:
    response = prescriber.post(SCREEN, with_text('"quantity":12', f'"quantity":{new}'))
    assert response.status_code == status
    if status == 422:
        assert faults(response) == {("/order/quantity", code)}
    else:
        assert json(response)["code"] == code


@pytest.mark.parametrize("new", ["12", "12.0", "12.50", "1.2e1", "0.000001", "100000"])
def test_numbers_that_are_numbers_are_taken(prescriber: Caller, new: str) -> None:
    assert prescriber.post(SCREEN, with_text('"quantity":12', f'"quantity":{new}')).status_code == 200


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"role": "admin"}, "/order/role", "unknown-field"),
        ({"refills": 1.0}, "/order/refills", "not-whole"),
        ({"refills": "1"}, "/order/refills", "not-whole"),
        ({"refills": True}, "/order/refills", "not-whole"),
        ({"refills": 2**70}, "/order/refills", "out-of-range"),
        ({"setting": "OUTPATIENT"}, "/order/setting", "not-a-choice"),
        ({"setting": ["outpatient"]}, "/order/setting", "not-a-choice"),
        ({"written_on": "2026-W44-7"}, "/order/written_on", "not-a-day"),
        ({"written_on": "2026-02-30"}, "/order/written_on", "not-a-day"),
        ({"written_on": "2026-11-21T00:00:00Z"}, "/order/written_on", "not-a-day"),
        ({"medicine": {}}, "/order/medicine", "required"),
        ({"medicine": {"rxcui": 1049621}}, "/order/medicine/rxcui", "not-a-token"),
        ({"dosage": [{}, {"dose": "1"}]}, "/order/dosage/1/dose", "not-a-number"),
        ({"dosage": {"dose": 1}}, "/order/dosage", "not-a-list"),
        ({"pain": {"phase": "acute", "reasons": [{"system": "x", "code": "y"}]}},
         "/order/pain/reasons/0/system", "not-a-choice"),
        ({"id": "a b"}, "/order/id", "not-a-token"),
    ],
)  # fmt: skip
def test_faults_point_at_the_field(
    prescriber: Caller, change: dict[str, Any], pointer: str, code: str
) -> None:
    response = prescriber.post(SCREEN, a_case(**change))
    assert response.status_code == 422
    assert faults(response) == {(pointer, code)}


def test_all_faults_are_named_at_once(prescriber: Caller) -> None:
    response = prescriber.post(SCREEN, {"order": {"refills": "x"}, "extra": 1})
    assert faults(response) == {
        ("/patient", "required"),
        ("/order/medicine", "required"),
        ("/order/refills", "not-whole"),
        ("/extra", "unknown-field"),
    }


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null", b"true"])
def test_a_body_that_is_no_object(prescriber: Caller, body: bytes) -> None:
    response = prescriber.post(SCREEN, body)
    assert response.status_code == 422
    assert faults(response) == {("", "not-an-object")}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        ('{"patient": {}}'.encode("utf-16"), "not-utf-8"),
        (b'{"patient": "\xff"}', "not-utf-8"),
        (b"\xef\xbb\xbf{}", "byte-order-mark"),
        (rb'{"patient": {"id": "\ud800"}}', "not-json"),
        (rb'{"patient": {"id": "\u0000"}}', "nul-in-text"),
        (b"[" * 33 + b"]" * 33, "too-deep"),
        (b"[" * 100_000, "too-deep"),
        (b'{"a":' * 40_000, "too-deep"),
        (dumps([{"a": 1}] * 10_001), "too-many-keys"),
    ],
)
def test_what_is_not_strict_json(prescriber: Caller, body: bytes, code: str) -> None:
    before = time.process_time()
    response = prescriber.post(SCREEN, body)
    assert time.process_time() - before < 0.2
    assert (response.status_code, json(response)["code"]) == (400, code)


def test_a_body_over_the_limit_is_not_read(prescriber: Caller) -> None:
    response = prescriber.post(SCREEN, b" " * (256 * 1024 + 1))
    assert (response.status_code, json(response)["code"]) == (413, "too-large")
    assert prescriber.post(SCREEN, b"x" * 50_000_000).status_code == 413


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "", "application/xml", "application/fhir+json",
     "application/json; charset=utf-16"],
)  # fmt: skip
def test_only_json_is_taken(prescriber: Caller, content_type: str) -> None:
    response = prescriber.post(SCREEN, a_case(), content_type=content_type)
    assert (response.status_code, json(response)["code"]) == (415, "unsupported-media-type")


def test_json_may_name_its_character_set(prescriber: Caller) -> None:
    assert (
        prescriber.post(SCREEN, a_case(), content_type="application/json; charset=UTF-8").status_code == 200
    )


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity"])
def test_compressed_bodies_are_refused(prescriber: Caller, encoding: str) -> None:
    packed = gzip.compress(b" " * 5_000_000)
    assert prescriber.post(SCREEN, packed, headers={"Content-Encoding": encoding}).status_code == 415


@pytest.mark.parametrize(
    ("path", "pointer", "code"),
    [
        ("/api/v1/policies?on=yesterday", "?on", "not-a-day"),
        ("/api/v1/policies?on=2026-11-21&on=2026-11-22", "?on", "duplicate-parameter"),
        ("/api/v1/policies?sort=id;drop%20table%20flags", "?sort", "unknown-field"),
        ("/api/v1/policies/short-course?version=0", "?version", "out-of-range"),
        ("/api/v1/policies/short-course?version=%D9%A1", "?version", "not-whole"),
        ("/api/v1/policies/short-course?version=1.0", "?version", "not-whole"),
        ("/api/v1/drugs", "?q", "required"),
        ("/api/v1/drugs?q=%20", "?q", "blank"),
        ("/api/v1/drugs?q=" + "a" * 101, "?q", "too-long"),
    ],
)
def test_queries_are_held_to_the_same(prescriber: Caller, path: str, pointer: str, code: str) -> None:
    response = prescriber.get(path)
    assert response.status_code == 422
    assert faults(response) == {(pointer, code)}


def test_addresses_and_methods_that_are_not_there(prescriber: Caller) -> None:
    missing = prescriber.get("/api/v1/nothing")
    assert (missing.status_code, json(missing)["code"]) == (404, "not-found")
    wrong = prescriber.get("/api/v1/orders")
    assert (wrong.status_code, json(wrong)["code"]) == (405, "method-not-allowed")
    assert "POST" in wrong.headers["Allow"]


def test_a_problem_has_the_agreed_members(prescriber: Caller) -> None:
    response = prescriber.post(SCREEN, {})
    problem = json(response)
    assert set(problem) == {"type", "title", "status", "code", "detail", "errors", "request_id"}
    assert problem["status"] == response.status_code == 422
    assert problem["request_id"] == response.headers["X-Request-ID"]
