"""Patients looked up: by number, by date of birth and name, in one's own organisation, and on record."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from stewardship.db import tables, transaction
from stewardship.domain.chart import Patient
from stewardship.domain.errors import InvalidInput, NotFound
from stewardship.domain.policy import Breach
from stewardship.services import history, orders, patients
from tests.builders import NOW, a_chart, a_supply, an_order
from tests.services.declared import EHR, ELSEWHERE, PRESCRIBER, Declared, a_policy
from tests.services.feeding import a_report, bring, rows

BORN = date(1980, 5, 1)


def keep(clinic, *numbers: str, by=PRESCRIBER, born: date = BORN) -> None:
    with transaction(clinic) as session:
        charts = [a_chart(a_supply(), patient=Patient(number, born)) for number in numbers]
        history.store(session, charts, source="test", by=by, now=NOW)


def found(clinic, *, by=PRESCRIBER, **wanted: Any):
    with transaction(clinic, write=False) as session:
        return patients.find(session, by=by, **wanted)


def numbers(clinic, **wanted: Any) -> list[str]:
    return [one.number for one in found(clinic, **wanted)]


def test_the_beginning_of_a_number_is_enough_in_any_case(clinic):
    keep(clinic, "MRN-100", "MRN-101", "XY-100")
    assert numbers(clinic, number="mrn-10") == ["MRN-100", "MRN-101"]


def test_signs_of_patterns_are_letters_like_others(clinic):
    keep(clinic, "MRN-100", "A%B-1")
    assert numbers(clinic, number="%%") == []
    assert numbers(clinic, number="A%") == ["A%B-1"]


def test_patients_of_another_organisation_are_not_found(clinic):
    keep(clinic, "MRN-100", by=ELSEWHERE)
    assert numbers(clinic, number="MRN-100") == []
    assert numbers(clinic, number="MRN-100", by=ELSEWHERE) == ["MRN-100"]


def test_a_date_of_birth_finds_everybody_of_that_day(clinic):
    keep(clinic, "MRN-100")
    keep(clinic, "MRN-200", born=date(1981, 5, 1))
    assert numbers(clinic, birth_date=BORN) == ["MRN-100"]


def test_a_name_is_looked_for_among_the_people_of_a_day(clinic):
    bring(clinic, a_report())
    (known,) = found(clinic, birth_date=_born(clinic))
    (name,) = known.names
    last = name.partition(",")[0]
    assert found(clinic, birth_date=_born(clinic), name=last[:4].lower()) == (known,)
    assert found(clinic, birth_date=_born(clinic), name="Somebody") == ()
    assert found(clinic, birth_date=_born(clinic) + timedelta(days=1), name=last) == ()
    # Only pharmacies know this person: there is no record number to show.
    assert known.number == ""


def _born(clinic) -> date:
    (row,) = rows(clinic, select(tables.Patient.__table__.c.birth_date))
    return row.birth_date


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        ({}, "/number"),
        ({"number": "M"}, "/number"),
        ({"name": "Doe"}, "/birth_date"),
        ({"number": " "}, "/number"),
    ],
    ids=["nothing", "one letter", "a name alone", "a space"],
)
def test_a_search_that_says_too_little_is_sent_back(clinic, wanted, where):
    with pytest.raises(InvalidInput) as refused:
        found(clinic, **wanted)
    assert [fault.pointer for fault in refused.value.faults] == [where]


# --- opening ---------------------------------------------------------------------------------------


def id_of(clinic, number: str, by=PRESCRIBER) -> str:
    (one,) = found(clinic, number=number, by=by)
    return one.id


def opened(clinic, patient_id: str, *, by=PRESCRIBER):
    with transaction(clinic, late=True) as session:
        return patients.open_chart(session, Declared(), patient_id, what="chart", by=by, now=NOW)


def events(clinic) -> list[Any]:
    table = tables.AuditEvent.__table__
    return rows(clinic, select(table).where(table.c.action == "patient.read"))


def test_who_opened_a_chart_is_on_record(clinic):
    keep(clinic, "MRN-100")
    patient = id_of(clinic, "MRN-100")
    assert len(opened(clinic, patient).chart.supplies) == 1
    (event,) = events(clinic)
    assert (event.subject, event.by_user, event.at) == (patient, PRESCRIBER.user_id, NOW)
    # The trail holds our own id, and not the number of the record.
    assert "MRN" not in event.detail + event.subject


def test_another_organisations_patient_is_a_missing_one_and_leaves_no_trace(clinic):
    keep(clinic, "MRN-100")
    patient = id_of(clinic, "MRN-100")
    with pytest.raises(NotFound) as there:
        opened(clinic, patient, by=ELSEWHERE)
    with pytest.raises(NotFound) as nowhere:
        opened(clinic, "0" * 32, by=ELSEWHERE)
    assert there.value.message == nowhere.value.message
    assert events(clinic) == []


# --- decisions ---------------------------------------------------------------------------------------


def decide(clinic, number: str, *, at: datetime = NOW, by=PRESCRIBER) -> str:
    library = Declared(policies=(a_policy(answer=Breach()),))
    order = an_order(patient_id=number)
    with transaction(clinic) as session:
        (checked,) = orders.check(
            session, library, [order], a_chart(patient=Patient(number), as_of=at), channel="t", by=by, now=at
        )
    assert checked.decision_id is not None
    return checked.decision_id


def test_the_last_patients_are_those_of_ones_own_decisions(clinic):
    for number, minutes in (("MRN-1", 1), ("MRN-2", 3), ("MRN-1", 2)):
        decide(clinic, number, at=NOW + timedelta(minutes=minutes))
    decide(clinic, "MRN-3", by=EHR)
    with transaction(clinic, write=False) as session:
        assert [one.number for one in patients.recent(session, by=PRESCRIBER)] == ["MRN-2", "MRN-1"]


def test_a_decision_tells_what_it_was_made_on_to_its_own_organisation(clinic):
    decision = decide(clinic, "MRN-1")
    with transaction(clinic, write=False) as session:
        made = patients.made_on(session, decision, by=PRESCRIBER)
        assert made.order == an_order(patient_id="MRN-1")
        assert [d.id for d in patients.decisions_of(session, made.patient_id, by=PRESCRIBER)] == [decision]
        assert patients.decisions_of(session, made.patient_id, by=ELSEWHERE) == ()
        with pytest.raises(NotFound):
            patients.made_on(session, decision, by=ELSEWHERE)
