"""What pharmacies report reaches the charts: the supply, how current it is, and why it may not be whole."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from stewardship import importing
from stewardship.db import transaction
from stewardship.db.charts import join, load_chart
from stewardship.declarations import load
from stewardship.domain.chart import Gap, Patient
from stewardship.domain.orders import Areas, Paid, SupplyKind
from stewardship.intake.feeds import Described, feeds_of
from stewardship.services import candidates, pharmacies
from tests.builders import NOW, a_chart
from tests.intake.asap.files import PHARMACY, PRESCRIBER, a_file, dispensing, patient, segment
from tests.services.declared import EHR, ORGANISATION, PHARMACIST
from tests.services.feeding import TERMS, bring

#: A Friday morning; the next report is due by Monday night, 22:30 UTC.
FRIDAY = "20261120*1030"
MADE = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
OXYCODONE_5, OXYCODONE_NDC = "1049621", "00406055201"
GAP = Gap("history-missing", "medications")


@pytest.fixture(scope="module")
def library():
    return load()


def known_to_the_ehr(number: int = 1, **differs):
    """A FHIR Patient with the names of the made-up patient of the files."""
    said = {
        "resourceType": "Patient",
        "id": f"p-{number}",
        "name": [{"use": "official", "family": f"TestPatient{number}", "given": ["Testname"]}],
        "birthDate": "1970-01-01",
        "gender": "female",
        "address": [{"line": ["1 Test Ave"], "city": "Albany", "state": "NY", "postalCode": "12207"}],
    }
    return said | differs


def bring_records(clinic, library, *resources, now=NOW):
    content = "\n".join(json.dumps(resource) for resource in resources).encode()
    (feed,) = feeds_of([("export.ndjson", lambda: io.BytesIO(content))], Described(), library, now=now)
    return importing.take_in(clinic, library.feeds, feed, by=EHR, clock=lambda: now)


def a_fill(number=1, *, of=1, created=FRIDAY, control="1", who=None, pharmacy=PHARMACY, **elements):
    given = {"e05": "20261119", "e03": "20261119", "e08": OXYCODONE_NDC, **elements}
    row = [patient(of, **(who or {})), dispensing(number, **given), PRESCRIBER]
    return a_file(row, created=created, control=control, pharmacy=pharmacy)


def a_zero_report(created, control="Z"):
    nothing = [
        segment("PAT", 23, e07="REPORT", e08="ZERO"),
        segment("DSP", 25, e05=created[:8]),
    ]
    return a_file(nothing, created=created, control=control)


def chart(clinic, library, patient_id="p-1", *, at=NOW):
    with transaction(clinic, write=False) as session:
        return load_chart(session, library, organisation_id=ORGANISATION, patient_id=patient_id, as_of=at)


@pytest.mark.parametrize("ehr_first", [True, False])
def test_what_was_dispensed_is_the_patients_whoever_told_of_him_first(clinic, library, ehr_first):
    steps = [
        lambda: bring_records(clinic, library, known_to_the_ehr()),
        lambda: bring(clinic, a_fill(e16="01")),
    ]
    for step in steps if ehr_first else reversed(steps):
        step()
    (supply,) = chart(clinic, library).supplies
    assert supply.kind is SupplyKind.DISPENSING
    assert supply.drug is not None
    assert supply.drug.ingredients[0].name == "oxycodone"
    assert (supply.start_on, supply.days_supply) == (date(2026, 11, 19), Decimal(5))
    assert supply.quantity is not None
    assert (supply.quantity.value, supply.quantity.unit) == (Decimal(20), "each")
    assert (supply.partial, supply.written_on, supply.paid) == (0, date(2026, 11, 19), Paid.CASH)
    assert supply.areas == Areas(patient="122", pharmacy="122")
    assert supply.pharmacy == "ncpdp:1234567"


def test_a_patient_of_another_name_has_nothing_of_it(clinic, library):
    bring_records(clinic, library, known_to_the_ehr(2))
    bring(clinic, a_fill(of=1))
    assert chart(clinic, library, "p-2").supplies == ()


def test_a_fill_that_was_voided_is_gone(clinic, library):
    bring_records(clinic, library, known_to_the_ehr())
    bring(clinic, a_fill())
    bring(clinic, a_fill(e01="02", control="2", created="20261120*1130"))
    assert chart(clinic, library).supplies == ()


# --- how current -----------------------------------------------------------------------------------


def test_a_chart_is_as_current_as_the_pharmacys_newest_report(clinic, library):
    bring_records(clinic, library, known_to_the_ehr())
    bring(clinic, a_fill())
    found = chart(clinic, library)
    assert (found.data_as_of, found.gaps) == (MADE, ())
    bring(clinic, a_zero_report("20261121*0900"))
    assert chart(clinic, library).data_as_of == datetime(2026, 11, 21, 9, tzinfo=UTC)


def test_nothing_is_more_current_than_the_moment_at_which_it_came(clinic, library):
    bring_records(clinic, library, known_to_the_ehr())
    bring(clinic, a_fill(created="20270101*0000"))
    assert chart(clinic, library).data_as_of == NOW


@pytest.mark.parametrize(
    ("at", "stale"),
    [
        (datetime(2026, 11, 23, 22, 30, tzinfo=UTC), False),
        (datetime(2026, 11, 23, 22, 31, tzinfo=UTC), True),
    ],
)
def test_a_pharmacy_that_is_silent_for_more_than_a_business_day_makes_the_chart_stale(
    clinic, library, at, stale
):
    bring_records(clinic, library, known_to_the_ehr())
    bring(clinic, a_fill())
    assert chart(clinic, library, at=at).history_gaps == (("history-stale",) if stale else ())


def test_nothing_to_report_is_a_report(clinic, library):
    bring_records(clinic, library, known_to_the_ehr())
    bring(clinic, a_fill())
    late = datetime(2026, 11, 24, 8, tzinfo=UTC)
    bring(clinic, a_zero_report("20261123*1700"), now=late)
    assert chart(clinic, library, at=late).gaps == ()


def test_a_pharmacy_where_the_patient_never_was_may_be_silent(clinic, library):
    bring_records(clinic, library, known_to_the_ehr())
    bring(clinic, a_fill())
    elsewhere = PHARMACY.replace("1234567*", "7654321*")
    bring(clinic, a_fill(2, of=2, pharmacy=elsewhere, created="20261101*0900", control="2"))
    assert chart(clinic, library).gaps == ()


def test_a_cut_file_is_no_report(clinic, library):
    bring_records(clinic, library, known_to_the_ehr())
    body = [s for n in (1, 2) for s in (patient(n), dispensing(n, e05="20261119"), PRESCRIBER)]
    bring(clinic, a_file(body, created=FRIDAY)[:-30])
    found = chart(clinic, library)
    assert len(found.supplies) == 1
    assert found.data_as_of is None
    assert found.history_gaps == ("history-stale",)


def test_a_pharmacy_that_has_closed_is_not_missed(clinic, library):
    bring_records(clinic, library, known_to_the_ehr())
    bring(clinic, a_fill())
    elsewhere = PHARMACY.replace("1234567*", "7654321*")
    bring(clinic, a_fill(2, pharmacy=elsewhere, created="20261101*0900", control="2", e05="20261030"))
    assert chart(clinic, library).history_gaps == ("history-stale",)
    with transaction(clinic) as session:
        pharmacies.retire(session, "ncpdp:7654321", by=PHARMACIST, now=NOW)
    assert chart(clinic, library).gaps == ()


# --- the request's own gap ---------------------------------------------------------------------------


def test_that_a_request_brings_no_history_is_no_gap_where_pharmacies_report(clinic, library):
    bring_records(clinic, library, known_to_the_ehr())
    bring(clinic, a_fill(of=2))
    brought = a_chart(gaps=(GAP,))
    joined = join(chart(clinic, library), brought)
    assert joined.gaps == ()
    assert joined.data_as_of == MADE


def test_it_stays_a_gap_of_somebody_whom_no_source_has_named(clinic, library):
    bring(clinic, a_fill())
    nobody = a_chart(patient=Patient("p-9"), gaps=(GAP,))
    assert join(chart(clinic, library, "p-9"), nobody).gaps == (GAP,)


def test_other_gaps_stay(clinic, library):
    bring_records(clinic, library, known_to_the_ehr())
    bring(clinic, a_fill())
    other = Gap("history-error", "medications")
    assert join(chart(clinic, library), a_chart(gaps=(other,))).gaps == (other,)


# --- who it is -------------------------------------------------------------------------------------


def test_while_it_is_not_settled_whose_they_are_the_chart_may_not_be_whole(clinic, library):
    bring_records(clinic, library, known_to_the_ehr(gender="male"))
    bring(clinic, a_fill())
    found = chart(clinic, library)
    assert found.supplies == ()
    assert found.history_gaps == ("history-unsettled",)
    with transaction(clinic) as session:
        (one,) = candidates.waiting(session, by=PHARMACIST)
        candidates.accept(
            session, one.identity_id, one.patient_id, reason="asked", terms=TERMS, by=PHARMACIST, now=NOW
        )
    found = chart(clinic, library)
    assert len(found.supplies) == 1
    assert found.history_gaps == ()


def test_of_two_records_of_one_person_neither_is_taken(clinic, library):
    bring_records(clinic, library, known_to_the_ehr(), known_to_the_ehr() | {"id": "p-2"})
    bring(clinic, a_fill())
    for patient_id in ("p-1", "p-2"):
        found = chart(clinic, library, patient_id)
        assert found.supplies == ()
        assert found.history_gaps == ("history-unsettled",)


def test_records_of_a_patient_come_with_him(clinic, library):
    request = {
        "resourceType": "MedicationRequest",
        "id": "rx-1",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p-1"},
        "authoredOn": "2026-11-01",
        "medicationReference": {"reference": "Medication/m-1"},
    }
    medicine = {
        "resourceType": "Medication",
        "id": "m-1",
        "code": {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": OXYCODONE_5}]},
    }
    done = bring_records(clinic, library, known_to_the_ehr(), request, medicine)
    assert (done.report.rows, done.report.stored) == (2, 2)
    found = chart(clinic, library)
    assert found.patient.birth_date == date(1970, 1, 1)
    assert [(s.id, s.drug is not None) for s in found.supplies] == [("rx-1", True)]
    # A later export that tells less of him takes nothing away.
    bring_records(clinic, library, request | {"id": "rx-2"}, medicine, now=NOW + timedelta(hours=1))
    later = chart(clinic, library, at=NOW + timedelta(hours=1))
    assert later.patient.birth_date == date(1970, 1, 1)
    assert len(later.supplies) == 2
