"""A request that fits is read by a compiled reader, which is of one mind with the schema that explains."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from stewardship.domain.errors import InvalidInput
from stewardship.intake import cds_request
from stewardship.intake.fields import read


def _request() -> dict[str, Any]:
    return {
        "hook": "order-select",
        "hookInstance": "an-instance",
        "fhirServer": "https://ehr.example/fhir",
        "context": {
            "userId": "Practitioner/1",
            "patientId": "p-1",
            "selections": ["MedicationRequest/1"],
            "draftOrders": {
                "resourceType": "Bundle",
                "entry": [{"resource": {"resourceType": "MedicationRequest", "id": "1"}}],
            },
        },
        "prefetch": {"patient": None, "anything": [1, {"a": Decimal("1.5")}]},
    }


_PLACES = [
    (),
    ("hook",),
    ("hookInstance",),
    ("context",),
    ("prefetch",),
    ("context", "patientId"),
    ("context", "selections"),
    ("context", "selections", 0),
    ("context", "draftOrders"),
    ("context", "draftOrders", "resourceType"),
    ("context", "draftOrders", "entry"),
    ("context", "draftOrders", "entry", 0),
    ("context", "draftOrders", "entry", 0, "resource"),
    ("context", "draftOrders", "entry", 0, "resource", "resourceType"),
]
_LEFT_OUT = object()
_PUT_THERE = [
    _LEFT_OUT, None, True, 0, 7, Decimal("1.5"), "", "x", "Bundle", "order-sign", "patient-view",
    "\u00e9" * 64, "\u00e9" * 65, "\U0001f600" * 64, "x" * 256, "x" * 257, "x" * 512, "x" * 513,
    [], {}, [None], [{}], ["x"], {"resource": {"resourceType": "X"}},
    {"resourceType": "Bundle"}, {"resourceType": "Bundle", "entry": None},
]  # fmt: skip


@pytest.mark.parametrize("hook", [None, "order-select", "order-sign", "patient-view"], ids=str)
@pytest.mark.parametrize("place", _PLACES, ids=lambda place: "/".join(map(str, place)) or "whole")
def test_a_request_that_fits_at_first_sight_is_what_the_schema_makes_of_it(
    place: tuple[str | int, ...], hook: str | None
):
    """Whatever stands in any place: both refuse it with the same faults, or both make the same of it."""
    for put in _PUT_THERE:
        document: Any = _changed(_request(), place, put)
        assert _outcome(lambda d=document: cds_request._read_envelope(d, hook)) == _outcome(
            lambda d=document: read(cds_request._envelope(hook), d)
        ), put


def test_most_requests_are_spared_the_schema(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cds_request, "read", lambda *_: pytest.fail("the schema was asked"))
    assert cds_request._read_envelope(_request(), "order-select")["context"]["patient_id"] == "p-1"


def _changed(document: Any, place: tuple[str | int, ...], put: Any) -> Any:
    if not place:
        return None if put is _LEFT_OUT else put
    holder = document
    for step in place[:-1]:
        holder = holder[step]
    if put is not _LEFT_OUT:
        holder[place[-1]] = put
    else:
        del holder[place[-1]]
    return document


def _outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except InvalidInput as refused:
        return refused.faults
