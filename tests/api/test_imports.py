"""Files sent over the API: answered at once, taken in beside, and told about truthfully."""

from __future__ import annotations

import io
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


# --- CSV ---------------------------------------------------------------------------------------------

MAPPING = """
[file]
sender = "Example Health Plan"
current_by = "reported_at"
[columns]
pharmacy = "Store"
prescription = "Rx"
filled_on = "Filled"
quantity = "Qty"
days_supply = "Days"
ndc = "NDC"
last = "Last"
first = "First"
birth_date = "Born"
reported_at = "Reported"
"""
CSV_HEADER = "Store,Rx,Filled,Qty,Days,NDC,Last,First,Born,Reported\n"


def a_table(*days: str) -> tuple[str, str]:
    """A CSV file that nobody has sent before, and its pharmacy."""
    store = str(6_000_000 + next(_numbers))
    rows = [
        f"{store},RX{n},{day},20,5,00406055201,Verysecret,Testname,1970-01-01,2026-11-20T10:15:00\n"
        for n, day in enumerate(days, 1)
    ]
    return CSV_HEADER + "".join(rows), store


def send_form(who: Caller, path: str, **parts: str | bytes) -> Any:
    data = {
        name: (io.BytesIO(part.encode() if isinstance(part, str) else part), name)
        for name, part in parts.items()
    }
    return who.form(f"/api/v1/imports/{path}", data)


def test_a_csv_file_is_shown_before_anything_is_stored(caller: Callable[..., Caller]) -> None:
    who = caller(Role.PHARMACIST)
    table, store = a_table("2026-11-01", "never")
    response = send_form(who, "csv/preview", file=table, mapping=MAPPING)
    good, bad = json(response)["rows"]
    shown = {one["name"]: one["value"] for one in good["fields"]}
    assert (shown["pharmacy"], shown["filled_on"], shown["last"]) == (store, "2026-11-01", "V" + "•" * 9)
    assert (good["line"], good["rejected"]) == (2, [])
    assert bad["rejected"] == [{"line": 3, "segment": "CSV", "element": "Filled", "code": "date"}]
    assert "Verysecret" not in response.get_data(as_text=True)
    assert f"ncpdp:{store}" not in who.get("/api/v1/pharmacies").get_data(as_text=True)


def test_a_csv_file_is_taken_in_by_its_mapping_and_tells_how_current_it_is(
    caller: Callable[..., Caller],
) -> None:
    who = caller(Role.PHARMACIST)
    table, store = a_table("2026-11-01", "2026-11-02")
    response = send_form(who, "csv?name=plan.csv", file=table, mapping=MAPPING)
    assert response.status_code == 202
    told = wait(who, response.headers["Location"])
    assert (told["format"], told["status"], told["stored"], told["source"]) == (
        "csv", "complete", 2, "plan.csv",
    )  # fmt: skip
    again = send_form(who, "csv", file=table, mapping=MAPPING)
    assert wait(who, again.headers["Location"])["same_as"] == told["import"]
    (mine,) = [p for p in json(who.get("/api/v1/pharmacies"))["pharmacies"] if p["id"] == f"ncpdp:{store}"]
    assert (mine["data_as_of"], mine["silent"]) == ("2026-11-20T10:15:00+00:00", False)


@pytest.mark.parametrize("path", ["csv", "csv/preview"])
@pytest.mark.parametrize(
    "parts",
    [
        {"file": "a,b\n1,2\n"},
        {"mapping": MAPPING},
        {"file": "", "mapping": MAPPING},
        {"file": "a,b\n1,2\n", "mapping": MAPPING},
        {"file": CSV_HEADER, "mapping": "no TOML ="},
        {"file": CSV_HEADER, "mapping": MAPPING.replace("Store", "Shop")},
    ],
    ids=["no mapping", "no file", "empty", "other columns", "no TOML", "a column that is not there"],
)
def test_a_form_that_cannot_be_read_is_refused(
    caller: Callable[..., Caller], path: str, parts: dict[str, str]
) -> None:
    response = send_form(caller(Role.PHARMACIST), path, **parts)
    assert response.status_code == 422
    assert response.content_type == "application/problem+json"


def test_a_csv_file_without_a_form_is_refused(caller: Callable[..., Caller]) -> None:
    assert caller(Role.PHARMACIST).post("/api/v1/imports/csv", b"a,b", **FILE).status_code == 415


def test_a_mapping_of_any_size_is_not_read(caller: Callable[..., Caller]) -> None:
    response = send_form(caller(Role.PHARMACIST), "csv", file=CSV_HEADER, mapping="#" * 70_000)
    assert response.status_code == 413


def test_places_are_given_back_whatever_was_sent(caller: Callable[..., Caller]) -> None:
    who = caller(Role.PHARMACIST)
    for _ in range(8):
        assert send_form(who, "csv", file="", mapping=MAPPING).status_code == 422
    table, _ = a_table("2026-11-01")
    assert send_form(who, "csv", file=table, mapping=MAPPING).status_code == 202
