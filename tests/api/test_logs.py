"""Logs tell what happened, to which id and when; never who the patient is, nor what anybody typed."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from stewardship.db import Sessions
from stewardship.domain.people import Role
from stewardship.observability import ALLOWED, configure_logging, log, report_fault
from tests.api.conftest import Caller, a_case, json

CANARY = "ZZQCANARY"
TOKEN = "stw_SECRET-TOKEN-42"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile."""
    lines = io.StringIO()
    before = logging.getLogger().handlers
    # A logger that another test used first keeps where it wrote then.
    vars(log).pop("bind", None)
    configure_logging(to=lines)
    yield lines
    logging.getLogger().handlers = before


def events(logged: io.StringIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in logged.getvalue().splitlines()]


def a_case_about(word: str) -> dict[str, Any]:
    """A case that says a word wherever a client can say one."""
    case = a_case(
        patient=word,
        id=word,
        medicine={"text": word},
        prescriber=word,
        dosage=[{"text": word}],
        replaces={"loss": "stolen", "prescription": word, "police_report": word},
    )
    case["history"] = {
        "supplies": [{"medicine": {"text": word}, "pharmacy": word}],
        "conditions": [{"code": {"system": "icd-10-cm", "code": word, "display": word}}],
        "goals": [{"code": {"system": "snomed-ct", "code": word}, "said": word}],
    }
    return case


def test_no_answer_of_ours_puts_a_word_of_the_request_in_the_logs(
    caller: Callable[..., Caller], logged: io.StringIO
) -> None:
    prescriber = caller(Role.PRESCRIBER)
    assert prescriber.post("/api/v1/orders/screen", a_case_about(CANARY)).status_code == 200
    decision = json(prescriber.post("/api/v1/orders", a_case_about(CANARY)))
    where = f"/api/v1/decisions/{decision['id']}/findings/no-lost-refills"
    prescriber.post(f"{where}/exception", {"reason": CANARY, "note": CANARY})
    prescriber.post(f"{where}/override", {"reason": CANARY, "comment": CANARY})
    prescriber.get(f"/api/v1/decisions/{CANARY}")
    prescriber.get(f"/api/v1/drugs/rxnorm/{CANARY}?{CANARY}={CANARY}")
    prescriber.get(f"/{CANARY}?q={CANARY}")
    caller(Role.EHR).post(f"/cds-services/{CANARY}", {"hook": CANARY})
    assert len(events(logged)) >= 8
    assert CANARY not in logged.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        b'{"patient": "%s"' % CANARY.encode(),
        b'{"patient": {"id": "%s", "id": "%s"}}' % (CANARY.encode(), CANARY.encode()),
        b'{"patient": {"id": "%s\\u0000"}}' % CANARY.encode(),
        b'{"patient": {"id": "%s %s"}, "order": {"refills": "%s"}}' % ((CANARY.encode(),) * 3),
        b'{"patient": {"id": ["%s"]}, "order": "%s"}' % ((CANARY.encode(),) * 2),
        b'{"%s of the patient": 1}' % CANARY.encode(),
    ],
)
def test_no_refusal_repeats_a_value(caller: Callable[..., Caller], logged: io.StringIO, body: bytes) -> None:
    response = caller(Role.PRESCRIBER).post("/api/v1/orders", body)
    assert response.status_code in {400, 422}
    assert CANARY not in response.text
    assert CANARY not in logged.getvalue()


def test_a_fault_of_ours_is_logged_by_type_and_place_alone(
    caller: Callable[..., Caller], logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise StatementError(f"about {CANARY}", f"SELECT '{CANARY}'", {"name": CANARY}, ValueError(CANARY))

    monkeypatch.setattr("stewardship.api.orders.orders.screen", broken)
    response = caller(Role.PRESCRIBER).post("/api/v1/orders/screen", a_case_about(CANARY))
    assert response.status_code == 500
    assert CANARY not in response.text + logged.getvalue()
    fault = next(event for event in events(logged) if event["event"] == "fault")
    assert fault["fault"] == "StatementError"
    assert fault["request_id"] == json(response)["request_id"]
    assert any("api/orders.py" in frame for frame in fault["frames"])


def test_a_token_is_in_no_log(nobody: Caller, logged: io.StringIO) -> None:
    for path in ("/api/v1/whoami", "/api/v1/nothing", "/", "/cds-services"):
        nobody.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
    nobody.post("/cds-services/any", {"fhirAuthorization": {"access_token": TOKEN}})
    assert "SECRET" not in logged.getvalue()


def test_a_token_is_in_no_table(caller: Callable[..., Caller], sessions: Sessions) -> None:
    token = caller(Role.PRESCRIBER).token
    assert token
    assert token not in "".join(_everything(sessions))


def _everything(sessions: Sessions) -> Iterator[str]:
    with sessions() as session:
        for table in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all():
            for row in session.execute(text(f'SELECT * FROM "{table}"')):  # noqa: S608 - the schema's own names
                yield str(tuple(row))


def test_a_request_is_one_line_with_its_id_and_its_caller(
    caller: Callable[..., Caller], logged: io.StringIO
) -> None:
    response = caller(Role.PRESCRIBER).get("/api/v1/decisions/bob%20INFO%20login")
    (line,) = events(logged)
    assert line["route"] == "/api/v1/decisions/<decision_id>"
    assert (line["status"], line["role"]) == (404, "prescriber")
    assert line["request_id"] == response.headers["X-Request-ID"]


def test_control_characters_make_no_second_line(logged: io.StringIO) -> None:
    log.info("answered", user="bob\nINFO login ok\r\x1b[2J")
    assert len(logged.getvalue().splitlines()) == 1


def test_a_field_that_is_not_allowed_is_not_written(logged: io.StringIO) -> None:
    log.info("answered", patient=CANARY, status=200)
    (line,) = events(logged)
    assert line["status"] == 200
    assert CANARY not in logged.getvalue()
    assert "patient" not in ALLOWED


def test_what_other_libraries_log_is_cut_down_to_its_fixed_words(logged: io.StringIO) -> None:
    other = logging.getLogger("sqlalchemy.pool")
    other.warning("Invalidating connection for %s", CANARY)
    other.warning(f"about {CANARY}")
    try:
        raise ValueError(CANARY)
    except ValueError:
        other.exception("went wrong for %s", CANARY)
    assert CANARY not in logged.getvalue()
    assert [event["event"] for event in events(logged)] == [
        "Invalidating connection for %s",
        "said something",
        "went wrong for %s",
    ]


def test_a_fault_says_where_without_its_words(logged: io.StringIO) -> None:
    from flask import Flask

    with Flask("none", static_folder=None).test_request_context():
        try:
            raise ValueError(CANARY)
        except ValueError as cause:
            report_fault(cause)
    (line,) = events(logged)
    assert line["fault"] == "ValueError"
    assert CANARY not in logged.getvalue()
