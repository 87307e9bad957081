"""Matches over the API: listed by ids, read side by side, settled, undone, and nobody else's."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from stewardship import importing
from stewardship.db import Sessions, transaction
from stewardship.declarations import Library
from stewardship.domain.people import Principal, Role
from stewardship.intake.feeds import Described, feeds_of
from stewardship.intake.strict_json import dumps
from stewardship.services import candidates
from tests.api.conftest import ELSEWHERE, HERE, Caller, json
from tests.builders import NOW
from tests.intake.asap.files import PRESCRIBER, a_file, dispensing, patient
from tests.services.feeding import TERMS, a_feed

BY = Principal("u-pharmacist", HERE, Role.PHARMACIST)
_numbers = count(100)


@pytest.fixture
def match(sessions: Sessions, library: Library) -> dict[str, str]:
    """Two descriptions of perhaps one person, who has moved and has no card."""
    number, before = next(_numbers), set(open_matches(sessions))
    for which, zip_code in enumerate(("12207", "10001"), 1):
        who = patient(number, e01="", e02="", e03="", e16=zip_code)
        content = a_file(
            [who, dispensing(number * 10 + which), PRESCRIBER],
            control=f"m{number}-{which}",
            pharmacy=f"PHA**{8_000_000 + number}**TEST PHARMACY",
        )
        importing.take_in(sessions, TERMS, a_feed(content), by=BY, clock=lambda: NOW)
    ((identity, whose),) = set(open_matches(sessions)) - before
    return {"identity": identity, "patient": whose, "name": f"TESTPATIENT{number}"}


def open_matches(sessions: Sessions) -> list[tuple[str, str]]:
    with transaction(sessions, write=False) as session:
        return [(one.identity_id, one.patient_id) for one in candidates.waiting(session, by=BY)]


def where(match: dict[str, str], act: str = "") -> str:
    return f"/api/v1/matches/{match['identity']}/{match['patient']}" + (f"/{act}" if act else "")


def listed(who: Caller, status: str = "open") -> list[str]:
    found = json(who.get(f"/api/v1/matches?status={status}"))["matches"]
    return [one["identity"] for one in found]


def test_the_list_says_ids_and_how_sure_it_is(caller: Callable[..., Caller], match: dict[str, str]) -> None:
    response = caller(Role.PHARMACIST).get("/api/v1/matches")
    (one,) = [m for m in json(response)["matches"] if m["identity"] == match["identity"]]
    assert (one["rule"], str(one["confidence"]), one["status"]) == ("person-moved", "0.85", "open")
    assert match["name"] not in response.get_data(as_text=True)


def test_both_sides_are_read_with_what_agrees(caller: Callable[..., Caller], match: dict[str, str]) -> None:
    told = json(caller(Role.COMPLIANCE).get(where(match)))
    assert told["described"]["last"] == match["name"]
    assert told["described"]["zip"] == "10001"
    (other,) = told["person"]["identities"]
    assert other["compared"] == {
        "last": "same", "first": "same", "birth_date": "same", "sex": "same", "zip": "different",
        "number": "unknown",
    }  # fmt: skip
    assert len(told["described"]["fills"]) == len(other["fills"]) == 1
    assert told["person"]["ehr_id"] is None


def test_a_match_is_accepted_and_undone_with_its_history(
    caller: Callable[..., Caller], match: dict[str, str]
) -> None:
    who = caller(Role.PHARMACIST)
    told = json(who.post(where(match, "accept"), {"reason": "asked the patient"}))
    assert told["match"]["status"] == "accepted"
    assert {one["id"] for one in told["person"]["identities"]} >= {match["identity"]}
    assert listed(who).count(match["identity"]) == 0
    assert match["identity"] in listed(who, "accepted")
    again = who.post(where(match, "accept"), {"reason": "again"})
    assert again.status_code == 409
    parted = json(who.post(f"/api/v1/identities/{match['identity']}/part", {"reason": "a twin"}))
    assert [one["rule"] for one in parted["history"]] == ["new", "by-hand", "parted"]
    assert [(one["act"], one["reason"]) for one in parted["said"]] == [
        ("accepted", "asked the patient"), ("parted", "a twin"),
    ]  # fmt: skip
    assert json(who.get(f"/api/v1/identities/{match['identity']}")) == parted


def test_a_match_is_declined_and_opened_again(caller: Callable[..., Caller], match: dict[str, str]) -> None:
    who = caller(Role.PHARMACIST)
    assert json(who.post(where(match, "decline"), {"reason": "two"}))["match"]["status"] == "declined"
    told = json(who.post(where(match, "open-again"), {"reason": "perhaps not"}))
    assert told["match"]["status"] == "open"
    assert [one["act"] for one in told["said"]] == ["declined", "reopened"]


def test_numbers_are_told_by_their_end(
    caller: Callable[..., Caller], sessions: Sessions, library: Library
) -> None:
    number = next(_numbers)
    for which, card in enumerate(("SECRETNUMBER1234", "SECRETNUMBER9876"), 1):
        content = a_file([patient(number, e03=card), dispensing(number * 10 + which), PRESCRIBER])
        content = content.replace(b"*0001*", b"*n%d*" % which)
        importing.take_in(sessions, TERMS, a_feed(content), by=BY, clock=lambda: NOW)
    who = caller(Role.PHARMACIST)
    told = [who.get(f"/api/v1/matches/{one}/{other}") for one, other in open_matches(sessions)]
    texts = "".join(response.get_data(as_text=True) for response in told)
    assert "SECRETNUMBER" not in texts
    assert "9876" in texts
    assert "1234" in texts


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " "}, {"reason": "x" * 501}])
def test_nothing_is_settled_without_a_reason(
    caller: Callable[..., Caller], match: dict[str, str], body: dict[str, Any]
) -> None:
    who = caller(Role.PHARMACIST)
    assert who.post(where(match, "accept"), body).status_code == 422
    assert match["identity"] in listed(who)


def test_another_organisation_does_not_find_it(caller: Callable[..., Caller], match: dict[str, str]) -> None:
    who = caller(Role.PHARMACIST, ELSEWHERE)
    assert who.get(where(match)).status_code == 404
    assert who.post(where(match, "accept"), {"reason": "mine"}).status_code == 404
    assert who.get(f"/api/v1/identities/{match['identity']}").status_code == 404
    assert who.post(f"/api/v1/identities/{match['identity']}/part", {"reason": "mine"}).status_code == 404
    assert match["identity"] not in listed(who)


def test_who_looks_after_settles_nothing(caller: Callable[..., Caller], match: dict[str, str]) -> None:
    assert caller(Role.COMPLIANCE).post(where(match, "decline"), {"reason": "no"}).status_code == 403
    assert caller(Role.PRESCRIBER).get(where(match)).status_code == 403


def test_a_patients_identities_are_found_by_the_ehrs_id(
    caller: Callable[..., Caller], sessions: Sessions, library: Library
) -> None:
    named = {
        "resourceType": "Patient",
        "id": "ehr-77",
        "birthDate": "1970-01-01",
        "name": [{"family": "TestPatient", "given": ["Seventyseven"]}],
    }
    (feed,) = feeds_of([("f", lambda: io.BytesIO(dumps(named)))], Described(), library, now=NOW)
    importing.take_in(sessions, library.feeds, feed, by=BY, clock=lambda: NOW)
    who = caller(Role.PHARMACIST)
    told = json(who.post("/api/v1/identities/search", {"patient_id": "ehr-77"}))
    assert (told["ehr_id"], [one["own_record"] for one in told["identities"]]) == ("ehr-77", [True])
    assert who.post("/api/v1/identities/search", {"patient_id": "nobody"}).status_code == 404
