"""When a check cannot be made, the prescriber is told so; what is shown and logged names nobody."""

from __future__ import annotations

import io
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from stewardship import afterwards
from stewardship.app import create_app
from stewardship.cds_hooks import budget, views
from stewardship.db import AuditKeys, connect, transaction
from stewardship.domain.errors import InvalidInput, Unavailable
from stewardship.domain.people import Principal, Role
from stewardship.observability import configure_logging
from stewardship.services import unchecked
from tests.builders import NOW
from tests.cds_hooks.conftest import ORGANISATION, SETTINGS, Ehr, read
from tests.cds_hooks.requests import NOBODY_KNOWS, a_draft, a_hook, a_new_patient, a_past, nothing_before
from tests.intake.fhir import a_condition, a_patient, bundle, concept

CANARY = "ZZQCANARY"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile."""
    lines = io.StringIO()
    configure_logging(to=lines)
    yield lines
    configure_logging()


def the_card(answer: dict[str, Any]) -> dict[str, Any]:
    (card,) = answer["cards"]
    return card


def assert_not_made(answer: dict[str, Any], code: str) -> None:
    card = the_card(answer)
    assert card["indicator"] == "critical"
    assert len(card["summary"]) < 140
    assert "could not be" in card["summary"]
    assert card["source"]["label"]
    told = answer["extension"]["stewardship"]
    assert (told["disposition"], told["code"]) == ("not-checked", code)
    assert (told["decision"], told["findings"]) == (None, [])


# --- failures of ours ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (Unavailable(CANARY), "unavailable"),
        (InvalidInput(CANARY), "unusable-id"),
        (ZeroDivisionError(CANARY), "fault"),
        (LookupError(CANARY), "fault"),
    ],
)
@pytest.mark.parametrize("half", ["weigh", "keep"])
def test_a_check_that_fails_is_a_card(ehr, monkeypatch, logged, cause, code, half):
    def fails(*_args: Any, **_kwargs: Any) -> None:
        raise cause

    monkeypatch.setattr(views.orders, half, fails)
    response = ehr.post(a_hook(a_new_patient()))
    assert_not_made(read(response), code)
    assert CANARY not in response.get_data(as_text=True) + logged.getvalue()
    assert f'"code":"{code}"' in logged.getvalue()


def test_a_fault_while_reading_is_a_card(ehr, monkeypatch):
    monkeypatch.setattr(views, "read_request", lambda *_args, **_kwargs: 1 / 0)
    assert_not_made(ehr.ask(a_hook(a_new_patient())), "fault")


def test_a_fault_while_writing_the_cards_is_a_card_and_nothing_is_on_record_as_shown(
    app, ehr, sessions, monkeypatch
):
    monkeypatch.setattr(views.cards, "answer", lambda *_args, **_kwargs: 1 / 0)
    patient = a_new_patient()
    response = ehr.post(a_hook(patient))
    assert_not_made(read(response), "fault")
    with transaction(sessions, write=False) as session:
        kept = text("SELECT count(*) FROM decisions WHERE order_id = :order")
        assert session.execute(kept, {"order": f"draft-of-{patient}"}).scalar() == 0
    assert written_by(app)
    codes, flags = traces(sessions, response.headers["X-Request-ID"], patient)
    assert (codes, len(flags)) == (["fault"], 1)


def test_an_id_that_cannot_be_kept_is_a_card(ehr):
    patient = a_new_patient()
    assert_not_made(ehr.ask(a_hook(patient, a_draft(patient, id="x" * 5000))), "unusable-id")


def test_a_database_that_is_gone_is_a_card(library, sessions, issued, tmp_path):
    gone = connect(
        f"sqlite:///{tmp_path / 'no-such-folder' / 'x.db'}", audit_keys=AuditKeys.single(b"x" * 32)
    )
    app = create_app(SETTINGS, library=library, sessions=sessions, clock=lambda: NOW)
    app.extensions["stewardship"] = replace(app.extensions["stewardship"], sessions=gone)
    assert_not_made(Ehr(app, issued[Role.EHR]).ask(a_hook(a_new_patient())), "unavailable")


@pytest.fixture
def hasty(library, sessions) -> Flask:
    """The application with little time for a check: enough to come to where it is made to hang, also on a
    busy machine."""
    return create_app(
        replace(SETTINGS, time_budget=1.5), library=library, sessions=sessions, clock=lambda: NOW
    )


#: Long before a check that hangs would end by itself, however busy the machine is.
SOON = 20


@pytest.mark.parametrize("half", ["weigh", "keep"])
def test_a_check_over_its_time_is_a_card_in_time_and_leaves_nothing(
    hasty, issued, sessions, monkeypatch, half
):
    go_on, ended = threading.Event(), threading.Event()
    real_half, real_transaction = getattr(views.orders, half), budget.transaction

    def hangs(*args: Any, **kwargs: Any) -> Any:
        made = real_half(*args, **kwargs)
        go_on.wait(60)
        return made

    @contextmanager
    def watched(*args: Any, write: bool = True) -> Iterator[Any]:
        try:
            with real_transaction(*args, write=write) as session:
                yield session
        finally:
            if write or half == "weigh":
                ended.set()

    monkeypatch.setattr(views.orders, half, hangs)
    monkeypatch.setattr(budget, "transaction", watched)
    patient = a_new_patient()
    began = time.monotonic()
    answer = Ehr(hasty, issued[Role.EHR]).ask(a_hook(patient))
    took = time.monotonic() - began
    go_on.set()
    assert took < SOON
    assert_not_made(answer, "timeout")
    assert ended.wait(SOON)
    kept = text("SELECT count(*) FROM decisions WHERE order_id = :order")
    with transaction(sessions, write=False) as session:
        assert session.execute(kept, {"order": f"draft-of-{patient}"}).scalar() == 0


def test_a_database_that_somebody_else_holds_is_a_card_in_time(hasty, issued, sessions):
    holder = sqlite3.connect(sessions.kw["bind"].url.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        began = time.monotonic()
        assert_not_made(Ehr(hasty, issued[Role.EHR]).ask(a_hook(a_new_patient())), "timeout")
        assert time.monotonic() - began < SOON
    finally:
        holder.execute("ROLLBACK")
        holder.close()


# --- what is left of a check that was not made -----------------------------------------------------------


def traces(sessions, request: str, patient: str) -> tuple[list[str], list[Any]]:
    """Why a request was not checked, as the trail has it, and the flags of its patient."""
    asked = {"request": request, "patient": patient}
    with transaction(sessions, write=False) as session:
        details = session.execute(
            text("SELECT detail FROM audit_events WHERE action = 'order.not-checked' AND subject = :request"),
            asked,
        )
        flags = session.execute(
            text(
                "SELECT f.* FROM flags f JOIN patients p ON p.organisation_id = f.organisation_id "
                "AND p.id = f.patient_id WHERE p.ehr_id = :patient"
            ),
            asked,
        )
        return [json.loads(one)["code"] for one in details.scalars()], list(flags.all())


def written_by(app: Flask) -> bool:
    return app.extensions["stewardship"].afterwards.written(60)


def test_a_check_that_was_not_made_is_a_flag_for_each_order(app, ehr, issued, sessions, monkeypatch):
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(views.orders, "weigh", broken)
    patient = a_new_patient()
    request = a_hook(patient, a_draft(patient, id=f"one-{patient}"), a_draft(patient, id=f"two-{patient}"))
    response = ehr.post(request)
    assert_not_made(read(response), "fault")
    assert written_by(app)
    codes, flags = traces(sessions, response.headers["X-Request-ID"], patient)
    assert codes == ["fault"]
    assert sorted(flag.key for flag in flags) == [
        f"unchecked-order:one-{patient}",
        f"unchecked-order:two-{patient}",
    ]
    assert all(CANARY not in str(flag) for flag in flags)


def test_looking_at_a_draft_that_could_not_be_checked_raises_no_flag(app, ehr, sessions, monkeypatch):
    monkeypatch.setattr(views.orders, "weigh", lambda *_, **__: 1 / 0)
    patient = a_new_patient()
    response = ehr.post(a_hook(patient, hook="order-select"))
    assert_not_made(read(response), "fault")
    assert written_by(app)
    assert traces(sessions, response.headers["X-Request-ID"], patient) == (["fault"], [])


def test_what_was_not_made_while_the_database_was_away_is_written_once_when_it_is_back(
    library, sessions, issued, monkeypatch
):
    app = create_app(SETTINGS, library=library, sessions=sessions, clock=lambda: NOW)
    real, away, tries = afterwards.transaction, threading.Event(), []
    away.set()

    @contextmanager
    def now_and_then(*args: Any, **kwargs: Any) -> Iterator[Any]:
        tries.append(1)
        if len(tries) > 3:
            away.clear()
        if away.is_set():
            raise Unavailable("away", code="database")
        with real(*args, **kwargs) as session:
            yield session

    def unreachable(*args: Any, **kwargs: Any) -> Any:
        raise Unavailable("away", code="database")

    monkeypatch.setattr(afterwards, "transaction", now_and_then)
    monkeypatch.setattr(views.orders, "weigh", unreachable)
    patient = a_new_patient()
    response = Ehr(app, issued[Role.EHR]).post(a_hook(patient))
    assert_not_made(read(response), "unavailable")
    assert written_by(app)
    codes, flags = traces(sessions, response.headers["X-Request-ID"], patient)
    assert (len(tries), codes) == (4, ["unavailable"])
    assert [flag.key for flag in flags] == [f"unchecked-order:draft-of-{patient}"]


def test_one_that_cannot_be_written_is_told_and_the_next_one_is_written(sessions, logged):
    done = []

    def faulty(session: Any) -> None:
        raise RuntimeError(CANARY)

    spool = afterwards.Afterwards()
    spool.add(sessions, faulty)
    spool.add(sessions, lambda session: done.append(session.execute(text("SELECT 1")).scalar()))
    assert spool.written(60)
    assert done == [1]
    assert "not written down" in logged.getvalue()
    assert CANARY not in logged.getvalue()


def test_an_order_that_is_checked_after_all_closes_its_flag(app, ehr, sessions, library, monkeypatch):
    patient = a_new_patient()
    with monkeypatch.context() as broken:
        broken.setattr(views.orders, "weigh", lambda *_, **__: 1 / 0)
        assert_not_made(ehr.ask(a_hook(patient)), "fault")
        assert written_by(app)
    assert ehr.ask(a_hook(patient))["extension"]["stewardship"]["decision"]
    with transaction(sessions) as session:
        by = Principal("watch", ORGANISATION, Role.ADMIN)
        found = unchecked.unchecked_orders(session, library.flags.work, by=by, now=NOW)
        ours = session.execute(text("SELECT id FROM patients WHERE ehr_id = :p"), {"p": patient}).scalar_one()
    assert found[ours].flags == ()
    assert found[ours].kept == set()


# --- the wrong patient --------------------------------------------------------------------------------

STRANGER = "p-stranger"


@pytest.mark.parametrize(
    "request_",
    [
        a_hook("p-mine", a_draft(STRANGER)),
        a_hook("p-mine", a_draft("p-mine"), a_draft(STRANGER)),
        a_hook("p-mine", prefetch={**nothing_before("p-mine"), "patient": a_patient(id=STRANGER)}),
        a_hook("p-mine", prefetch={"x": a_past(STRANGER, days_ago=3)}),
        a_hook("p-mine", prefetch={"x": bundle(a_condition(subject={"reference": f"Patient/{STRANGER}"}))}),
        a_hook("p-mine", hook="patient-view", prefetch={"patient": a_patient(id=STRANGER)}),
    ],
)
def test_parts_about_different_patients_are_refused_and_nothing_of_either_is_shown(ehr, request_, logged):
    response = ehr.post(request_)
    answer = read(response)
    assert_not_made(answer, "patient-mismatch")
    assert "could not be checked: patient does not match" in the_card(answer)["summary"]
    for shown in (response.get_data(as_text=True), logged.getvalue()):
        assert "p-mine" not in shown
        assert STRANGER not in shown
        assert "oxycodone" not in shown.lower()


def test_a_refused_request_leaves_a_trace_that_names_nobody(ehr, sessions):
    response = ehr.post(a_hook("p-mine", a_draft(STRANGER)))
    with transaction(sessions, write=False) as session:
        row = session.execute(
            text("SELECT * FROM audit_events WHERE action = 'order.not-checked' AND subject = :request"),
            {"request": response.headers["X-Request-ID"]},
        ).one()
    assert "patient-mismatch" in row.detail
    assert "p-mine" not in str(row)


# --- what must never leave ----------------------------------------------------------------------------


def test_the_clients_own_token_and_names_are_neither_kept_nor_logged(ehr, sessions, logged):
    patient = a_new_patient()
    # A word of this test alone: other tests of this database may leave theirs, say in a feedback's comment.
    name = "ZZQONLYHERE"
    secret = {"access_token": "SECRET-TOKEN-42", "token_type": "Bearer", "scope": "patient/*.read"}
    named = a_patient(id=patient, name=[{"family": name}])
    request = a_hook(
        patient,
        a_draft(patient, requester={"reference": "Practitioner/dr-1", "display": name}),
        fhirServer="https://ehr.example/fhir",
        fhirAuthorization=secret,
        prefetch={**nothing_before(patient), "patient": named},
    )
    ehr.ask(request)
    ehr.post({**request, "hook": 5}, service="opioid-order-sign")
    ehr.ask({**request, "context": {**request["context"], "patientId": STRANGER}})
    database = sessions.kw["bind"].url.database
    with sqlite3.connect(database) as stored:
        dump = "\n".join(stored.iterdump())
    # Not `secret not in dump`: a failure would print the whole database.
    secrets = ("SECRET-TOKEN-42", name, ehr.token)
    assert [secret for secret in secrets if secret in dump or secret in logged.getvalue()] == []
    assert patient not in logged.getvalue()
    assert dump.count(patient) > 0


@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/", "http://localhost:1/fhir", "file:///etc/passwd"]
)
def test_no_call_goes_out_wherever_the_client_says_its_server_is(ehr, monkeypatch, address):
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("a call went out")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    draft = a_draft(
        "p-out", medicationReference={"reference": f"{address}Medication/1"}, medicationCodeableConcept=None
    )
    answer = ehr.ask(a_hook("p-out", draft, fhirServer=address, fhirAuthorization={"access_token": "x"}))
    assert answer["cards"][-1]["source"]["topic"]["code"] != "not-checked"


XSS = "<img src=x onerror=alert(1)> [sign](https://evil.example) www.evil.example `x`"


def test_text_from_data_is_shown_and_does_nothing(ehr):
    patient = a_new_patient()
    unknown = concept("999999999", display=XSS)
    past = a_past(patient, days_ago=2, medicationCodeableConcept=unknown)
    for draft in (
        a_draft(patient, medicationCodeableConcept=unknown),
        a_draft(patient, medicationCodeableConcept=NOBODY_KNOWS),
    ):
        answer = ehr.ask(
            a_hook(patient, draft, a_draft(patient, id="other", length=10), prefetch={"x": past})
        )
        assert "img src=x" in str(answer["cards"]) or draft["medicationCodeableConcept"] is NOBODY_KNOWS
        for card in answer["cards"]:
            assert not set(card["summary"] + card["detail"]) & set("<>")
            assert "](" not in card["detail"].replace("\\](", "")
            assert "https://evil" not in card["detail"]
