"""Files sent over the API: answered at once, taken in beside, and told about truthfully."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from stewardship.domain.people import Role
from tests.api.conftest import ELSEWHERE, Caller, json
from tests.intake.asap.files import a_file
from tests.intake.asap.files import rows as file_rows

FILE = {"content_type": "application/octet-stream"}
_numbers = count(1)


def a_content(rows: int = 3) -> bytes:
    """A file that nobody has sent before."""
    number = next(_numbers)
    pharmacy = f"PHA**{7_000_000 + number}**TEST PHARMACY*1 TEST ST**ALBANY*NY*12207*5185550100"
    return a_file(file_rows(rows), control=f"api-{number}", pharmacy=pharmacy, created="20261120*1015")


def send(who: Caller, content: bytes, query: str = "") -> Any:
    return who.post(f"/api/v1/imports{query}", content, **FILE)


def wait(who: Caller, where: str) -> dict[str, Any]:
    """The import, when nobody works on it any more."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        told: dict[str, Any] = json(who.get(where))
        if told["status"] != "running":
            return told
        time.sleep(0.02)
    raise AssertionError("the import does not end")


def test_a_file_is_answered_at_once_and_taken_in(caller: Callable[..., Caller]) -> None:
    who = caller(Role.PHARMACIST)
    response = send(who, a_content(), "?name=../../evening.asap")
    assert response.status_code == 202
    assert json(response)["status"] in {"running", "complete"}
    told = wait(who, response.headers["Location"])
    assert (told["status"], told["rows"], told["stored"], told["rejected"]) == ("complete", 3, 3, [])
    assert told["source"] == "../../evening.asap"
    assert json(caller(Role.COMPLIANCE).get(response.headers["Location"])) == told


def test_the_same_content_names_the_first(caller: Callable[..., Caller]) -> None:
    who, content = caller(Role.PHARMACIST), a_content()
    first = send(who, content)
    wait(who, first.headers["Location"])
    second = send(who, content.replace(b"\n", b"\r\n"), "?name=again")
    told = wait(who, second.headers["Location"])
    assert told["same_as"] == json(first)["import"] != told["import"], told
    assert (told["status"], told["stored"], told["unchanged"]) == ("complete", 0, 3)


def test_what_is_wrong_is_told_with_its_place(caller: Callable[..., Caller]) -> None:
    who = caller(Role.PHARMACIST)
    content = a_content().replace(b"*20*5*", b"*20*many*", 1)
    told = wait(who, send(who, content).headers["Location"])
    assert told["rejected_rows"] == 1
    assert told["rejected"] == [{"line": 5, "segment": "DSP", "element": "DSP10", "code": "too-long"}]


def test_a_file_that_is_cut_is_incomplete(caller: Callable[..., Caller]) -> None:
    who = caller(Role.PHARMACIST)
    told = wait(who, send(who, a_content()[:-20]).headers["Location"])
    assert (told["status"], told["reason"]) == ("incomplete", "truncated")


@pytest.mark.parametrize(
    ("body", "more", "query", "status"),
    [
        (b"", FILE, "", 422),
        (b"what is this?", FILE, "", 422),
        (b"TH*4.2*", {"content_type": "application/json"}, "", 415),
        (b"TH*4.2*", FILE, "?format=pdf", 422),
        (b"TH*4.2*", FILE, "?state=new%20york", 422),
        (b"TH*4.2*", FILE, "?colour=red", 422),
    ],
)
def test_what_cannot_be_taken_in_is_refused(
    caller: Callable[..., Caller], body: bytes, more: dict[str, str], query: str, status: int
) -> None:
    response = caller(Role.PHARMACIST).post(f"/api/v1/imports{query}", body, **more)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"


def test_an_import_is_its_organisations(caller: Callable[..., Caller]) -> None:
    where = send(caller(Role.PHARMACIST), a_content()).headers["Location"]
    assert caller(Role.PHARMACIST, ELSEWHERE).get(where).status_code == 404


def test_a_prescriber_imports_nothing(caller: Callable[..., Caller]) -> None:
    assert send(caller(Role.PRESCRIBER), a_content()).status_code == 403


def test_pharmacies_are_listed_with_how_current_they_are(caller: Callable[..., Caller]) -> None:
    who = caller(Role.PHARMACIST)
    content = a_content()
    wait(who, send(who, content).headers["Location"])
    key = f"ncpdp:{content.partition(b'PHA**')[2][:7].decode()}"
    (mine,) = [p for p in json(who.get("/api/v1/pharmacies"))["pharmacies"] if p["id"] == key]
    assert mine["data_as_of"] == "2026-11-20T10:15:00+00:00"
    # Friday's report; the next one is due by Monday night, with half a day to come in.
    assert mine["expected_by"] == "2026-11-23T22:15:00+00:00"
    assert mine["silent"] is False
