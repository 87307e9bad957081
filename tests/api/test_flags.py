"""The queue over the API: what is listed, races, versions that are stale, and who may do what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from itertools import count
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from sqlalchemy import insert, text

from stewardship.db import Sessions, charts, tables, transaction
from stewardship.db.patients import ensure_patient
from stewardship.declarations import Library
from stewardship.domain.errors import Unavailable
from stewardship.domain.flags import Flag
from stewardship.domain.people import Principal, Role
from stewardship.services import flags, history
from tests.api.conftest import HERE, Caller, a_case, json, known
from tests.builders import NOW, TODAY, a_drug, a_supply

_patients = count(1)
BESIDE = "opioid-with-benzodiazepine"


@pytest.fixture
def raised(sessions: Sessions, library: Library) -> Callable[..., str]:
    """Raises a flag of a new patient."""

    def make(kind: str = BESIDE, on: date = TODAY) -> str:
        by = Principal("watch", HERE, Role.ADMIN)
        with transaction(sessions) as session:
            known = charts.known_patient(
                session, organisation_id=HERE, patient_id=f"p-flags-{next(_patients)}"
            )
            patient = ensure_patient(session, known, known.patient, organisation_id=HERE, now=NOW)
            found = [Flag(kind, "s-1", on, on, ("s-1", "s-2"), {"overlap_days": 3})]
            changes = flags.reconcile(
                session, library, patient, found, kinds=[kind], source="watch", by=by, now=NOW
            )
        (flag_id,) = changes.opened
        return flag_id

    return make


def test_a_flag_is_worked_on_from_the_queue_to_its_resolution(
    caller: Callable[..., Caller], raised: Callable[..., str]
) -> None:
    pharmacist, flag_id = caller(Role.PHARMACIST), raised()
    listed = json(pharmacist.get(f"/api/v1/flags?kind={BESIDE}&limit=200"))
    (mine,) = [flag for flag in listed["flags"] if flag["id"] == flag_id]
    assert (mine["status"], mine["facts"], mine["supplies"]) == ("open", {"overlap_days": 3}, ["s-1", "s-2"])
    claimed = json(pharmacist.post(f"/api/v1/flags/{flag_id}/claim", {}))
    assert claimed["status"] == "claimed"
    noted = json(pharmacist.post(f"/api/v1/flags/{flag_id}/notes", {"words": "Called the practice."}))
    body = {"code": "appropriate", "words": "Both known.", "version": noted["version"]}
    done = json(pharmacist.post(f"/api/v1/flags/{flag_id}/resolve", body))
    assert (done["status"], done["resolution"], done["took_seconds"]) == ("resolved", "appropriate", 0)
    assert [one["event"] for one in done["history"]] == ["opened", "claimed", "noted", "resolved"]
    reopened = pharmacist.post(
        f"/api/v1/flags/{flag_id}/reopen", {"reason": "One is new.", "version": done["version"]}
    )
    assert json(reopened)["status"] == "open"


def test_the_second_who_claims_is_told_who_was_first_and_when(
    caller: Callable[..., Caller], another: Callable[..., Caller], raised: Callable[..., str]
) -> None:
    flag_id = raised()
    first = json(caller(Role.PHARMACIST).post(f"/api/v1/flags/{flag_id}/claim", {}))
    second = another(Role.PHARMACIST).post(f"/api/v1/flags/{flag_id}/claim", {})
    assert (second.status_code, json(second)["code"]) == (409, "claimed")
    assert json(second)["detail"] == f"{first['claimed_by']} has this flag since 2026-11-21T12:00:00Z"


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("claim", {}),
        ("release", {}),
        ("resolve", {"code": "coordinated"}),
        ("reopen", {"reason": "a mistake"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_act_on_a_version_that_is_stale_is_refused(
    caller: Callable[..., Caller], raised: Callable[..., str], act: str, body: dict[str, Any]
) -> None:
    pharmacist, flag_id = caller(Role.PHARMACIST), raised()
    if act == "release":
        pharmacist.post(f"/api/v1/flags/{flag_id}/claim", {})
    if act == "reopen":
        pharmacist.post(f"/api/v1/flags/{flag_id}/resolve", {"code": "coordinated", "version": 1})
    stale = json(pharmacist.get(f"/api/v1/flags/{flag_id}"))["version"]
    pharmacist.post(f"/api/v1/flags/{flag_id}/notes", {"words": "meanwhile"})
    refused = pharmacist.post(f"/api/v1/flags/{flag_id}/{act}", {**body, "version": stale})
    assert (refused.status_code, json(refused)["code"]) == (409, "changed")
    assert "noted by" in json(refused)["detail"]


def test_a_message_reaches_the_prescribers_worklist_and_the_answer_the_flag(
    caller: Callable[..., Caller], raised: Callable[..., str]
) -> None:
    pharmacist, prescriber, flag_id = caller(Role.PHARMACIST), caller(Role.PRESCRIBER), raised()
    to = json(prescriber.get("/api/v1/whoami"))["user"]
    asked = pharmacist.post(f"/api/v1/flags/{flag_id}/messages", {"to": to, "words": "Still needed?"})
    assert asked.status_code == 200
    waiting = json(prescriber.get("/api/v1/messages?unanswered=true"))["messages"]
    (mine,) = [one for one in waiting if one["flag"] == flag_id]
    answered = prescriber.post(f"/api/v1/messages/{mine['id']}/answer", {"words": "Stopped."})
    assert json(answered)["answer"] == "Stopped."
    assert prescriber.post(f"/api/v1/messages/{mine['id']}/answer", {}).status_code == 409
    whole = json(pharmacist.get(f"/api/v1/flags/{flag_id}"))
    assert [m["answer"] for m in whole["messages"]] == ["Stopped."]


def test_compliance_reads_and_nobody_else_does(
    caller: Callable[..., Caller], raised: Callable[..., str]
) -> None:
    flag_id = raised()
    assert caller(Role.COMPLIANCE).get(f"/api/v1/flags/{flag_id}").status_code == 200
    assert caller(Role.COMPLIANCE).post(f"/api/v1/flags/{flag_id}/claim", {}).status_code == 403
    assert caller(Role.PRESCRIBER).get(f"/api/v1/flags/{flag_id}").status_code == 403
    assert caller(Role.PRESCRIBER).get("/api/v1/flags").status_code == 403


def test_that_a_flag_was_read_is_kept(
    caller: Callable[..., Caller], raised: Callable[..., str], sessions: Sessions
) -> None:
    flag_id = raised()
    whole = json(caller(Role.COMPLIANCE).get(f"/api/v1/flags/{flag_id}"))
    with transaction(sessions, write=False) as session:
        found = session.execute(
            text("SELECT subject, detail FROM audit_events WHERE action = 'patient.read' ORDER BY seq DESC")
        )
        assert tuple(found.first() or ()) == (whole["patient"], '{"what":"flag"}')


def test_the_counts_are_those_of_the_queue(caller: Callable[..., Caller], raised: Callable[..., str]) -> None:
    pharmacist = caller(Role.PHARMACIST)
    before = json(pharmacist.get("/api/v1/flags/counts"))
    raised("early-refill")
    after = json(pharmacist.get("/api/v1/flags/counts"))
    assert after["total"] == before["total"] + 1 == json(pharmacist.get("/api/v1/flags"))["total"]
    assert after["kinds"]["early-refill"] == before["kinds"].get("early-refill", 0) + 1


def test_kinds_and_codes_are_told_with_their_sources(caller: Callable[..., Caller]) -> None:
    told = json(caller(Role.PHARMACIST).get("/api/v1/flag-kinds"))
    assert all(kind["source"] for kind in told["kinds"])
    codes = {one["code"]: one for one in told["resolutions"]}
    assert codes["appropriate"]["needs_note"] is True
    assert "record-corrected" not in codes
    assert not any("aberrant" in one["title"].lower() for one in told["kinds"])


@pytest.mark.parametrize(
    "query",
    ["status=gone", "sort=name", "limit=0", "limit=201", "mine=1", "least_weight=x", "nonsense=1"],
)
def test_a_query_that_makes_no_sense_is_refused(caller: Callable[..., Caller], query: str) -> None:
    assert caller(Role.PHARMACIST).get(f"/api/v1/flags?{query}").status_code == 422


def test_a_flag_is_as_described(
    caller: Callable[..., Caller], nobody: Caller, raised: Callable[..., str]
) -> None:
    described = json(nobody.get("/api/v1/openapi.json"))
    schema = {"$ref": "#/components/schemas/WholeFlagAnswer", "components": described["components"]}
    flag_id = raised()
    caller(Role.PHARMACIST).post(f"/api/v1/flags/{flag_id}/claim", {})
    whole = json(caller(Role.PHARMACIST).get(f"/api/v1/flags/{flag_id}"))
    assert list(OAS31Validator(schema).iter_errors(whole)) == []


# --- raised by orders ----------------------------------------------------------------------------------


def of_order(caller: Callable[..., Caller], order_id: str) -> list[dict[str, Any]]:
    listed = json(caller(Role.PHARMACIST).get("/api/v1/flags?kind=unchecked-order&limit=200"))["flags"]
    return [flag for flag in listed if flag["label"] == order_id]


def test_an_order_of_a_medicine_that_nobody_recognises_is_a_flag_at_once(
    caller: Callable[..., Caller],
) -> None:
    case = a_case(id="o-strange", medicine={"rxcui": "99999999"})
    decided = json(caller(Role.PRESCRIBER).post("/api/v1/orders", case))
    (flag,) = of_order(caller, "o-strange")
    assert "order.drug" in flag["facts"]["missing"]
    assert flag["facts"]["decision"] == decided["id"]
    # The same order sent again is the same answer, and no other flag.
    assert caller(Role.PRESCRIBER).post("/api/v1/orders", case).status_code == 201
    assert [one["version"] for one in of_order(caller, "o-strange")] == [1]


def test_an_order_beside_a_sedative_raises_what_the_watch_would_raise(
    caller: Callable[..., Caller], sessions: Sessions
) -> None:
    patient, prescriber = f"p-flags-{next(_patients)}", caller(Role.PRESCRIBER)
    prescriber.post("/api/v1/orders", a_case(patient=patient, id="o-0", medicine={"rxcui": "310965"}))
    with transaction(sessions) as session:
        of_patient = charts.known_patient(session, organisation_id=HERE, patient_id=patient)
        diazepam = a_supply(start=TODAY, days=30, drug=a_drug("diazepam", "3322", code="197591"))
        row = history.supply_row(diazepam) | {
            "organisation_id": HERE,
            "patient_id": of_patient.id,
            "recorded_at": NOW,
        }
        session.execute(insert(tables.Supply.__table__), row)
    decided = json(prescriber.post("/api/v1/orders", a_case(patient=patient, history=known(), id="o-1")))

    def beside() -> list[dict[str, Any]]:
        listed = json(caller(Role.PHARMACIST).get("/api/v1/flags?limit=200"))["flags"]
        return [flag for flag in listed if flag["patient_id"] == patient and flag["kind"] == BESIDE]

    # An order that is stopped is no supply; one whose stops were lifted is.
    assert decided["disposition"] == "needs-reason"
    assert beside() == []
    for finding in decided["findings"]:
        if finding["enforcement"] == "soft-stop":
            where = f"/api/v1/decisions/{decided['id']}/findings/{finding['policy']}/override"
            prescriber.post(where, {"reason": finding["override_reasons"][0]["code"]})
    mine = beside()
    assert [(flag["raised_by"], set(flag["supplies"])) for flag in mine] == [("order", {"o-1", diazepam.id})]


def test_a_look_that_fails_takes_no_order_back(
    caller: Callable[..., Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **more: Any) -> None:
        raise Unavailable("the database cannot be used now")

    monkeypatch.setattr("stewardship.services.watch.after_order", away)
    assert caller(Role.PRESCRIBER).post("/api/v1/orders", a_case()).status_code == 201
