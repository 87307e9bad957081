"""Measures over the API: the definition, a year of nobody, FHIR, and refusals."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from stewardship.db import transaction
from stewardship.domain.people import Principal, Role
from stewardship.services import organisations
from tests.api.conftest import NOW, json


@pytest.fixture
def reader(caller):
    return caller(Role.COMPLIANCE)


def test_definitions_say_where_they_come_from_and_what_was_not_verified(reader):
    told = {m["id"]: m for m in json(reader.get("/api/v1/measures"))["measures"]}
    assert len(told) == 11
    assert all(m["source"]["url"] and m["assumptions"] for m in told.values())
    assert all(m["verified"] or m["unverified"] for m in told.values())


def test_a_year_of_nobody_has_no_rates(another, sessions):
    setup = Principal("setup", "org-of-nobody", Role.ADMIN)
    with transaction(sessions) as session:
        organisations.ensure(session, "org-of-nobody", name="Nobody", by=setup, now=NOW)
    reader = another(Role.COMPLIANCE, "org-of-nobody")
    told = json(reader.get("/api/v1/measures/pqa-cob?period=2026"))
    assert (told["period"]["year"], told["population"], told["rates"]) == (2026, {}, [])


def test_as_fhir(reader):
    asked = reader.get("/api/v1/measures/pqa-cob/fhir?period=2026")
    assert asked.content_type == "application/fhir+json"
    assert json(asked)["resourceType"] == "MeasureReport"
    assert json(reader.get("/api/v1/measures/pqa-cob/fhir?answers=true"))["resourceType"] == "Bundle"


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("nothing?period=2026", HTTPStatus.NOT_FOUND),
        ("pqa-cob?period=1999", HTTPStatus.UNPROCESSABLE_ENTITY),
        ("pqa-cob?period=2190", HTTPStatus.UNPROCESSABLE_ENTITY),
    ],
)
def test_what_there_is_not_is_refused(reader, address, status):
    assert reader.get(f"/api/v1/measures/{address}").status_code == status
