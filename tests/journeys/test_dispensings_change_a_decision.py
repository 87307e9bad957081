"""From a pharmacy's file to a decision: what was dispensed changes what is decided, and as it should."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from stewardship import importing
from stewardship.cds_hooks import cards
from stewardship.db import Sessions, transaction
from stewardship.declarations import Library, load
from stewardship.domain.chart import Gap, Patient
from stewardship.domain.drugs import Medication
from stewardship.domain.orders import Order
from stewardship.domain.people import Principal, Role
from stewardship.domain.policy import Decision, Finding, Outcome
from stewardship.intake.feeds import Described, feeds_of
from stewardship.services import decisions, orders, organisations
from stewardship.services.answers import decision_json
from tests.builders import NOW, a_chart, an_order, tablets
from tests.intake.asap.files import PRESCRIBER, a_file, dispensing, patient

BY = Principal("u-1", "org-1", Role.EHR)
OXYCODONE_NDC, OXYCODONE_RXCUI = "00406055201", "1049621"
NAMED = {
    "resourceType": "Patient",
    "id": "p-1",
    "name": [{"family": "TestPatient1", "given": ["Testname"]}],
    "birthDate": "1970-01-01",
    "gender": "female",
    "address": [{"postalCode": "12207"}],
}


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


@pytest.fixture
def house(database: Sessions, library: Library) -> Sessions:
    """An organisation whose EHR has told who its patient is."""
    with transaction(database) as session:
        organisations.ensure(session, "org-1", name="One", by=BY, now=NOW)
    take_in(database, library, json.dumps(NAMED).encode())
    return database


def take_in(house: Sessions, library: Library, content: bytes) -> importing.Imported:
    (feed,) = feeds_of([("file", lambda: io.BytesIO(content))], Described(), library, now=NOW)
    return importing.take_in(house, library.feeds, feed, by=BY, clock=lambda: NOW)


def a_fill(
    status: str = "00", *, control: str = "1", at: str = "1800", ndc: str = OXYCODONE_NDC, **more: str
) -> bytes:
    """Five days of oxycodone 5 mg, four a day, dispensed two days ago."""
    given = {"e01": status, "e03": "20261119", "e05": "20261119", "e08": ndc, "e09": "20", "e10": "5", **more}
    row = [patient(1), dispensing(1, **given), PRESCRIBER]
    return a_file(row, control=control, created=f"20261120*{at}")


def a_draft(library: Library) -> Order:
    """Three days of the same for acute pain."""
    drug = library.catalogue.by_rxcui(OXYCODONE_RXCUI)
    assert drug is not None
    return an_order(
        drug=drug,
        medication=Medication((drug.code,), drug.name),
        days=3,
        quantity=12,
        dosage=(tablets(1, times=4),),
    )


def decide(house: Sessions, library: Library, *, gaps: tuple[Gap, ...] = ()) -> Decision:
    brought = a_chart(patient=Patient("p-1", date(1970, 1, 1), "female"), gaps=gaps)
    with transaction(house, write=False) as session:
        (checked,) = orders.screen(session, library, [a_draft(library)], brought, by=BY, now=NOW)
    return checked.decision


def finding(decision: Decision, policy: str) -> Finding:
    return next(f for f in decision.findings if f.policy == policy)


def test_a_fill_counts_towards_the_course_and_a_void_takes_it_back(house: Sessions, library: Library) -> None:
    before = finding(decide(house, library), "short-course")
    assert before.facts["earlier_days"] == 0
    take_in(house, library, a_fill())
    after = finding(decide(house, library), "short-course")
    assert after.facts["earlier_days"] == 5
    take_in(house, library, a_fill("01", control="2", at="1810", e10="2", e09="8"))
    assert finding(decide(house, library), "short-course").facts["earlier_days"] == 2
    take_in(house, library, a_fill("02", control="3", at="1820"))
    assert finding(decide(house, library), "short-course") == before


def test_a_fill_that_still_runs_makes_the_order_an_early_refill(house: Sessions, library: Library) -> None:
    assert finding(decide(house, library), "early-refill").outcome is not Outcome.BREACH
    take_in(house, library, a_fill())
    assert finding(decide(house, library), "early-refill").outcome is Outcome.BREACH


def test_another_drug_beside_it_is_seen(house: Sessions, library: Library) -> None:
    alprazolam = next(
        ndc
        for ndc in ("00781107701", "00378400101", "00228202710", "59762371901")
        if (drug := library.catalogue.by_ndc(ndc)) and drug.ingredients[0].name == "alprazolam"
    )
    assert finding(decide(house, library), "benzodiazepine-overlap").outcome is Outcome.PASS
    take_in(house, library, a_fill(ndc=alprazolam, e10="30", e09="30"))
    assert finding(decide(house, library), "benzodiazepine-overlap").outcome is Outcome.BREACH


def test_a_request_without_a_history_is_answered_from_what_pharmacies_reported(
    house: Sessions, library: Library
) -> None:
    gap = (Gap("history-missing", "medications"),)
    assert finding(decide(house, library, gaps=gap), "short-course").outcome is Outcome.CANNOT_TELL
    take_in(house, library, a_fill())
    told = finding(decide(house, library, gaps=gap), "short-course")
    assert told.outcome is not Outcome.CANNOT_TELL
    assert told.facts["earlier_days"] == 5


def facts(decision: Decision) -> dict[str, Any]:
    return {f.policy: f.facts for f in decision.findings}


def test_an_animals_medicine_changes_nothing(house: Sessions, library: Library) -> None:
    before = decide(house, library)
    row = [patient(1, e20="02", e23="REX"), dispensing(1, e05="20261119", e08=OXYCODONE_NDC), PRESCRIBER]
    take_in(house, library, a_file(row, created="20261120*1800"))
    assert facts(decide(house, library)) == facts(before)


# --- how current it is, in every face ---------------------------------------------------------------


def test_each_face_says_how_current_the_pharmacies_data_is(house: Sessions, library: Library) -> None:
    take_in(house, library, a_fill())
    words = "Pharmacy data to 20 November, 18:00 UTC."
    brought = a_chart(patient=Patient("p-1", date(1970, 1, 1), "female"))
    with transaction(house) as session:
        draft = a_draft(library)
        (checked,) = orders.check(session, library, [draft], brought, channel="test", by=BY, now=NOW)
        sent = replace(draft, id="o-1")
        first = orders.submit(session, library, sent, brought, by=BY, now=NOW)
        again = orders.submit(session, library, sent, brought, by=BY, now=NOW)
    told = [decision_json(one.decision, library, patient_id="p-1", chart=one.chart) for one in (first, again)]
    assert told[0] == told[1]
    assert told[0]["pharmacy_data"] == {"as_of": "2026-11-20T18:00:00Z", "silent": [], "words": words}
    assert first.decision_id is not None
    with transaction(house, write=False) as session:
        stored = decisions.stored_json(decisions.read(session, first.decision_id, by=BY))
    assert stored["pharmacy_data"] == told[0]["pharmacy_data"]
    answered = cards.answer([checked], cards.plan([checked]), library)
    assert answered["extension"]["stewardship"]["pharmacy_data"] == told[0]["pharmacy_data"]
    assert answered["cards"]
    assert all(words in one["detail"].replace("\\", "") for one in answered["cards"])


def test_a_pharmacy_that_is_overdue_is_named(house: Sessions, library: Library) -> None:
    take_in(house, library, a_fill(at="1800").replace(b"20261120", b"20261110"))
    brought = a_chart(patient=Patient("p-1", date(1970, 1, 1), "female"))
    with transaction(house, write=False) as session:
        (checked,) = orders.screen(session, library, [a_draft(library)], brought, by=BY, now=NOW)
    assert checked.chart is not None
    assert checked.chart.pharmacy_data is not None
    words = "Pharmacy data to 10 November, 18:00 UTC; overdue: ncpdp:1234567."
    assert checked.chart.pharmacy_data.in_words(NOW) == words


def test_where_no_pharmacy_reports_nothing_is_said_of_it(house: Sessions, library: Library) -> None:
    brought = a_chart(patient=Patient("nobody-knows"))
    draft = replace(a_draft(library), patient_id="nobody-knows")
    with transaction(house, write=False) as session:
        (checked,) = orders.screen(session, library, [draft], brought, by=BY, now=NOW)
    told = decision_json(checked.decision, library, patient_id="nobody-knows", chart=checked.chart)
    assert told["pharmacy_data"] is None
