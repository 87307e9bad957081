"""A patient's timeline over the API: as data and as a picture, in a window and by factors of one's choice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from sqlalchemy import insert, text

from stewardship.db import Sessions, charts, tables, transaction
from stewardship.db.patients import ensure_patient
from stewardship.domain.codes import RXNORM, Coding
from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Medication
from stewardship.domain.orders import Supply, SupplyKind
from stewardship.domain.people import Role
from stewardship.services import history
from tests.api.conftest import HERE, Caller, json
from tests.builders import NOW, TODAY

#: Oxycodone 5 mg tablets and diazepam 5 mg tablets.
OXYCODONE, DIAZEPAM = "1049621", "197591"


def a_fill(days_ago: int, days: int, a_day: int, code: str = OXYCODONE, **more: Any) -> Supply:
    return Supply(
        f"f-{days_ago}-{code}",
        SupplyKind.DISPENSING,
        Medication((Coding(RXNORM, code, ""),), "a medicine"),
        None,
        TODAY - timedelta(days_ago),
        quantity=Quantity(Decimal(days * a_day), "tablet"),
        days_supply=Decimal(days),
        status="completed",
        **more,
    )


@pytest.fixture(scope="module")
def patient(sessions: Sessions) -> str:
    """A patient with three months of oxycodone, a break, and diazepam beside it."""
    with transaction(sessions) as session:
        known = charts.known_patient(session, organisation_id=HERE, patient_id="p-timeline")
        made = ensure_patient(session, known, known.patient, organisation_id=HERE, now=NOW)
        fills = [a_fill(120, 30, 4), a_fill(60, 30, 4), a_fill(29, 30, 6), a_fill(20, 10, 1, DIAZEPAM)]
        for supply in fills:
            row = history.supply_row(supply) | {
                "organisation_id": HERE,
                "patient_id": made,
                "recorded_at": NOW - timedelta(hours=1),
            }
            session.execute(insert(tables.Supply.__table__), row)
    return made


def test_the_days_the_figures_and_what_is_seen_in_them(caller: Callable[..., Caller], patient: str) -> None:
    told = json(caller(Role.PRESCRIBER).get(f"/api/v1/patients/{patient}/timeline"))
    assert [(d["first"], d["mme_per_day"]) for d in told["daily"]] == [
        ("2026-07-24", 30),
        ("2026-09-22", 30),
        ("2026-10-23", 45),
    ]
    assert [f["definition"] for f in told["figures"] if f["value"] == 45] == ["maximum-daily-dose"]
    assert [gap["days"] for gap in told["gaps"]] == [30, 1]
    assert {flag["kind"] for flag in told["flags"]} == {
        "opioid-with-benzodiazepine",
        "new-long-term-use",
    }
    assert told["not_known"]["no_feed"] is True
    assert (told["patient"], told["patient_id"]) == (patient, "p-timeline")
    assert [guide["mme_per_day"] for guide in told["guidance"]] == [50, 90]


def test_other_factors_make_other_totals_and_the_same_flags(
    caller: Callable[..., Caller], patient: str, library: Any
) -> None:
    path = f"/api/v1/patients/{patient}/timeline?factor_set="
    told = {name: json(caller(Role.PRESCRIBER).get(path + name)) for name in library.factor_sets}
    assert {name: one["factor_set"] for name, one in told.items()} == {name: name for name in told}
    assert len({str(one["flags"]) for one in told.values()}) == 1


def test_a_window_and_a_definition_of_ones_choice(caller: Callable[..., Caller], patient: str) -> None:
    asked = "first=2026-10-01&until=2026-10-31&definition=fixed-window"
    told = json(caller(Role.PHARMACIST).get(f"/api/v1/patients/{patient}/timeline?{asked}"))
    assert (told["first"], told["until"], told["definition"]) == ("2026-10-01", "2026-10-31", "fixed-window")
    (fixed,) = [f for f in told["figures"] if f["definition"] == "fixed-window"]
    assert fixed["days"] == 31


@pytest.mark.parametrize(
    "query",
    ["first=2026-12-01&until=2026-11-01", "first=1990-01-01", "factor_set=none", "definition=mine", "x=1"],
)
def test_what_makes_no_sense_is_refused(caller: Callable[..., Caller], patient: str, query: str) -> None:
    assert caller(Role.PRESCRIBER).get(f"/api/v1/patients/{patient}/timeline?{query}").status_code == 422


def test_the_picture_is_served_as_one_and_under_the_strict_policy(
    caller: Callable[..., Caller], patient: str
) -> None:
    answer = caller(Role.PRESCRIBER).get(f"/api/v1/patients/{patient}/timeline.svg?definition=fixed-window")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/svg+xml; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.text.startswith("<svg")
    assert "p-timeline" not in answer.text


def test_that_it_was_read_is_kept(caller: Callable[..., Caller], patient: str, sessions: Sessions) -> None:
    for path in ("timeline", "timeline.svg"):
        caller(Role.PHARMACIST).get(f"/api/v1/patients/{patient}/{path}")
    with transaction(sessions, write=False) as session:
        found = session.execute(
            text("SELECT subject, detail FROM audit_events WHERE action = 'patient.read' ORDER BY seq DESC")
        ).all()
    assert [tuple(row) for row in found[:2]] == [(patient, '{"what":"timeline"}')] * 2


def test_a_timeline_is_as_described(caller: Callable[..., Caller], nobody: Caller, patient: str) -> None:
    described = json(nobody.get("/api/v1/openapi.json"))
    schema = {"$ref": "#/components/schemas/TimelineAnswer", "components": described["components"]}
    told = json(caller(Role.PRESCRIBER).get(f"/api/v1/patients/{patient}/timeline"))
    assert list(OAS31Validator(schema).iter_errors(told)) == []
