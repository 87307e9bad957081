"""Policies and drugs as the API shows them: what is declared, neither more nor less."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stewardship.declarations import Library
from stewardship.domain.people import Role
from tests.api.conftest import Caller, json


@pytest.fixture
def reader(caller: Callable[..., Caller]) -> Caller:
    return caller(Role.COMPLIANCE)


def test_every_published_version_is_listed(reader: Caller, library: Library) -> None:
    listed = json(reader.get("/api/v1/policies"))["policies"]
    assert [(p["id"], p["version"]) for p in listed] == sorted(
        (p.id, p.version) for p in library.policies if p.published
    )


def test_what_is_in_force_on_a_day(reader: Caller, library: Library) -> None:
    first = min(p.effective_from for p in library.policies)
    before = first.replace(year=first.year - 1)
    assert json(reader.get(f"/api/v1/policies?on={before}"))["policies"] == []
    listed = json(reader.get("/api/v1/policies?on=2026-11-21"))["policies"]
    assert {p["id"] for p in listed} >= {"short-course", "no-long-acting", "schedule-ii-no-refills"}
    assert all(p["in_force"] for p in listed)


def test_a_policy_is_shown_whole(reader: Caller, library: Library) -> None:
    shown = json(reader.get("/api/v1/policies/short-course"))
    policy = library.policy("short-course", shown["version"])
    assert policy is not None
    assert shown["sha256"] == policy.sha256
    assert shown["parameters"]["max_days"] == 7
    assert "pharmacist" in shown["exception"]["roles"]
    assert shown["rationale"] == policy.rationale
    assert shown == json(reader.get(f"/api/v1/policies/short-course?version={shown['version']}"))


def test_every_policy_can_be_shown(reader: Caller, library: Library) -> None:
    for policy in library.policies:
        if policy.published:
            response = reader.get(f"/api/v1/policies/{policy.id}?version={policy.version}")
            assert json(response)["title"] == policy.title


@pytest.mark.parametrize("path", ["no-such-policy", "short-course?version=999"])
def test_a_policy_that_is_not_there(reader: Caller, path: str) -> None:
    assert reader.get(f"/api/v1/policies/{path}").status_code == 404


def test_a_drug_by_code(reader: Caller) -> None:
    drug = json(reader.get("/api/v1/drugs/rxnorm/1049621"))
    (ingredient,) = drug["ingredients"]
    assert (ingredient["name"], ingredient["strength"], ingredient["unit"]) == ("oxycodone", 5, "MG")
    assert drug["schedule"] == "II"
    assert "opioid-analgesic" in drug["classes"]


@pytest.mark.parametrize("path", ["rxnorm/99999999", "snomed/1049621", "ndc/1", "rxnorm/%D9%A1"])
def test_a_drug_that_is_not_there(reader: Caller, path: str) -> None:
    assert reader.get(f"/api/v1/drugs/{path}").status_code == 404


def test_suggestions_are_ranked_and_few(reader: Caller) -> None:
    drugs = json(reader.get("/api/v1/drugs?q=oxycodone 5 mg tab"))["drugs"]
    assert 0 < len(drugs) <= 8
    assert "oxycodone" in drugs[0]["name"].lower()
