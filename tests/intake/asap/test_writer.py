"""What is written is read back equal; what the format cannot say is refused, never altered."""

from __future__ import annotations

import string
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.codes import ICD10CM, NDC, RXNORM, Coding
from stewardship.domain.dispensings import (
    Address,
    CompoundIngredient,
    Dispensed,
    DispensingReport,
    Identifier,
    Identity,
    Pharmacy,
    PickUp,
    Prescriber,
    Reporting,
    Species,
)
from stewardship.domain.drugs import Medication
from stewardship.domain.errors import InvalidInput
from stewardship.intake.asap import (
    Accepted,
    Entry,
    NothingDispensed,
    Status,
    ZeroReport,
    read,
    write,
    write_zero_report,
)
from tests.intake.asap.files import PRESCRIBER, a_file, accepted, closed, dispensing, events, noted, patient

NDC_CODE = "00406012301"
REPORT = DispensingReport(
    "4.2A",
    "0001",
    datetime(2026, 1, 5, 9, 30),  # noqa: DTZ001 - the sender's clock
    sender_id="5550001111",
    sender_name="TEST SENDER",
)
PHARMACY = Pharmacy(ncpdp="1234567", name="TEST PHARMACY")
PATIENT = Identity(
    "TESTPATIENT", "TESTNAME", date(1970, 1, 1), address=Address("1 TEST ST", "", "ALBANY", "NY", "12207")
)


def a_row(**more: Any) -> Dispensed:
    """Twenty tablets for five days, reported as new."""
    given: dict[str, Any] = {
        "report": REPORT,
        "position": 1,
        "reporting": Reporting.NEW,
        "pharmacy": PHARMACY,
        "prescriber": Prescriber(npi="1234567893", dea="AB1234563"),
        "prescription": "RX1",
        "written_on": date(2026, 1, 4),
        "refills": 0,
        "filled_on": date(2026, 1, 5),
        "fill": 0,
        "medication": Medication((Coding(NDC, NDC_CODE),)),
        "quantity": Decimal(20),
        "unit": "each",
        "days_supply": 5,
        "product_qualifier": "01",
        "product_id": NDC_CODE,
    }
    return Dispensed(**(given | more))


def written(*entries: Entry, **how: Any) -> bytes:
    return b"".join(write(REPORT, entries, **how))


def read_back(content: bytes) -> list[Accepted]:
    found = events(content)
    assert noted(found) == []
    assert closed(found).status is Status.COMPLETE
    assert closed(found).rejected == 0
    return accepted(found)


# --- generated -------------------------------------------------------------------------------------------

LETTERS = string.ascii_letters + string.digits + " .,-'/#éÑ"


def words(most: int, least: int = 0) -> st.SearchStrategy[str]:
    return st.text(LETTERS, max_size=most).map(str.strip).filter(lambda text: len(text) >= least)


def digits(most: int) -> st.SearchStrategy[str]:
    return st.text(string.digits, max_size=most)


days = st.dates(date(1900, 1, 1), date(2099, 12, 31))
amounts = st.decimals(0, 99999, places=2)
units = st.sampled_from(["", "each", "mL", "g"])
addresses = st.builds(Address, words(30), words(30), words(20), words(2), digits(9))
identifiers = st.builds(Identifier, st.sampled_from(["01", "06", "07", "99"]), words(20, least=1), words(2))
pharmacies = st.builds(
    Pharmacy, npi=digits(10), ncpdp=st.just("1234567"), dea=words(9), name=words(60), address=addresses,
    phone=digits(10), contact=words(30), site_id=words(10), permit=words(20),
)  # fmt: skip
prescribers = st.builds(
    Prescriber, npi=digits(10), dea=words(9, least=1), dea_suffix=words(7), licence=words(20), last=words(50),
    first=words(50), middle=words(30), phone=digits(10), xdea=words(9),
)  # fmt: skip
people = st.builds(
    Identity,
    last=words(50, least=1),
    first=words(50, least=1),
    birth_date=days,
    middle=words(30),
    prefix=words(10),
    suffix=words(10),
    sex=st.sampled_from(["", "F", "M", "U"]),
    ids=st.lists(identifiers, max_size=2).map(tuple),
    address=st.builds(Address, words(35, 1), words(35), words(20, 1), words(10), st.just("12207")),
    phone=digits(10),
    country=words(20),
    location=st.sampled_from(["", "01", "10", "99"]),
    species=st.sampled_from([None, Species.PERSON, Species.ANIMAL]),
    animal=st.sampled_from(["", "TESTDOG"]),
)
pick_ups = st.builds(
    PickUp,
    st.one_of(st.none(), identifiers),
    st.sampled_from(["", "01", "99"]),
    words(50),
    words(50),
    words(50),
    words(50),
    st.sampled_from(["", "01", "98"]),
).map(lambda who: None if who == PickUp() else who)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    patient = draw(people)
    compound = draw(st.booleans())
    rxnorm = draw(st.sampled_from(["", "1049621"]))
    code = draw(st.text(string.digits, min_size=11, max_size=11).filter(lambda c: not c.startswith("99999")))
    codings = (Coding(NDC, code),)
    diagnosis = draw(st.sampled_from(["", "M54.5"]))
    row = a_row(
        reporting=draw(st.sampled_from(Reporting)),
        pharmacy=draw(pharmacies),
        prescriber=draw(prescribers),
        prescription=draw(words(25, least=1)),
        written_on=draw(days),
        refills=draw(st.integers(0, 99)),
        filled_on=draw(days),
        fill=draw(st.integers(0, 99)),
        medication=Medication((), "compound")
        if compound
        else Medication(((Coding(RXNORM, rxnorm),) if rxnorm else ()) + codings),
        quantity=draw(amounts),
        unit=draw(units),
        days_supply=draw(st.integers(0, 999)),
        partial=draw(st.integers(0, 99)),
        product_qualifier="06" if compound else "01",
        product_id="99999999999" if compound else code,
        rxnorm_qualifier="01" if rxnorm and not compound else "",
        origin=draw(st.sampled_from(["", "01", "05"])),
        pharmacist_npi=draw(digits(10)),
        pharmacist_licence=draw(words(10)),
        payment=draw(st.sampled_from(["", "01", "99"])),
        sold_on=draw(st.one_of(st.none(), days)),
        erx_reference=draw(words(35)),
        erx_order=draw(words(35)),
        quantity_prescribed=draw(st.one_of(st.none(), amounts)),
        sig=draw(words(200)),
        treatment_type=draw(st.sampled_from(["", "03", "99"])),
        diagnosis=Coding(ICD10CM, diagnosis) if diagnosis else None,
        species=Species.ANIMAL if patient.is_animal else Species.PERSON,
        compound=compound,
        ingredients=tuple(
            CompoundIngredient(n, Medication((Coding(NDC, NDC_CODE),)), draw(amounts), draw(units))
            for n in range(1, draw(st.integers(1, 3)) + 1)
        )
        if compound
        else (),
        serial=(draw(words(2)), draw(words(20))),
    )
    return Entry(row, patient, draw(pick_ups))


@given(st.lists(entries(), max_size=4), st.sampled_from("~\\|^"), st.sampled_from(["", "\n", "\r\n"]))
def test_what_is_written_is_read_back_equal(report_of, terminator, line_end):
    content = written(*report_of, terminator=terminator, line_end=line_end)
    found = [a[2:] for a in read_back(content)]
    expected = [(replace(e.row, position=n), e.patient, e.pick_up) for n, e in enumerate(report_of, 1)]
    assert found == expected


def test_what_was_read_is_written_as_it_was():
    content = a_file(patient(), dispensing(), PRESCRIBER, dispensing(2, e01="02"), PRESCRIBER)
    good = accepted(read(content))
    again = b"".join(write(good[0].row.report, [Entry(*a[2:]) for a in good]))
    assert [a[2:] for a in read_back(again)] == [a[2:] for a in good]


# --- the frame ---------------------------------------------------------------------------------------------


def test_counts_and_the_terminator_shown_twice():
    lines = written(Entry(a_row(), PATIENT), terminator="\\").decode().splitlines()
    assert lines[0] == "TH*4.2A*0001*01**20260105*093000*P**\\\\"
    assert lines[-2:] == ["TP*5\\", "TT*0001*8\\"]


def test_rows_of_one_patient_and_pharmacy_share_their_segments():
    other = replace(PHARMACY, ncpdp="7654321")
    content = written(
        Entry(a_row(), PATIENT), Entry(a_row(fill=1), PATIENT), Entry(a_row(pharmacy=other), PATIENT)
    ).decode()
    names = [line[:3] for line in content.splitlines()]
    assert (names.count("PHA"), names.count("PAT"), names.count("DSP"), names.count("TP*")) == (2, 2, 3, 2)
    assert len(read_back(content.encode())) == 3


def test_a_report_of_no_rows_is_a_whole_file():
    assert read_back(written()) == []


def test_a_zero_report_names_its_days():
    start, until = date(2026, 1, 1), date(2026, 1, 7)
    content = write_zero_report(REPORT, NothingDispensed(PHARMACY, start, until))
    found = events(content)
    (zero,) = [e for e in found if isinstance(e, ZeroReport)]
    assert (zero.pharmacy, zero.on, zero.start, zero.until) == (PHARMACY, until, start, until)
    assert noted(found) == []
    assert closed(found).status is Status.COMPLETE
    assert content.decode().splitlines()[-2:] == ["TP*7~", "TT*0001*10~"]


# --- refusals --------------------------------------------------------------------------------

COMPOUND = {"product_qualifier": "06", "medication": Medication((), "compound"), "compound": True}


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"sig": "TAKE ONE ~ TWO"}, "separator-in-text"),
        ({"sig": "TAKE ONE*TWO"}, "separator-in-text"),
        ({"sig": "TAKE\nONE"}, "character"),
        ({"sig": "X" * 201}, "too-long"),
        ({"sig": " TAKE ONE"}, "blank"),
        ({"prescription": ""}, "required"),
        ({"days_supply": 1000}, "too-long"),
        ({"quantity": Decimal("NaN")}, "not-a-decimal"),
        ({"quantity": Decimal(-1)}, "not-a-decimal"),
        ({"payment": "88"}, "code-unknown"),
        ({"partial": -1}, "part-unnumbered"),
        ({"unit": "mg"}, "unit"),
        ({"compound": True}, "compound"),
        ({"product_id": "99999999999"}, "compound"),
        (COMPOUND, "required"),
        ({"product_id": "00406012399"}, "product"),
        ({"prescriber": Prescriber(npi="1234567893")}, "required"),
        ({"prescriber": Prescriber(dea="AB1234563", licence_state="NY")}, "not-in-version"),
        ({"pharmacy": Pharmacy(name="NAMELESS")}, "required"),
        ({"species": Species.ANIMAL}, "species"),
    ],
)
def test_what_the_format_cannot_say_is_refused_with_row_and_element(row, code):
    if row is COMPOUND:
        row = row | {"product_id": "COMPOUND"}
    if "compound" in row and "medication" not in row:
        row = row | {"ingredients": (CompoundIngredient(1, Medication(), Decimal(1)),)}
    with pytest.raises(InvalidInput) as caught:
        written(Entry(a_row(), PATIENT), Entry(a_row(**row), PATIENT))
    assert caught.value.faults[0].code == code
    assert caught.value.faults[0].pointer.startswith("/rows/2/")


@pytest.mark.parametrize(
    ("patient", "code"),
    [
        ({"last": "TEST*NAME"}, "separator-in-text"),
        ({"birth_date": None}, "required"),
        ({"ids": (Identifier("06", "1"),) * 3}, "too-many"),
        ({"ids": (Identifier("06", ""),)}, "required"),
        ({"last": "REPORT", "first": "ZERO"}, "zero-report"),
    ],
)
def test_a_patient_that_cannot_be_written_is_refused_without_a_name(patient, code):
    with pytest.raises(InvalidInput) as caught:
        written(Entry(a_row(), replace(PATIENT, **patient)))
    assert caught.value.faults[0].code == code
    assert "TEST" not in str(caught.value)


@pytest.mark.parametrize("terminator", ["", "~~", "*", "A", "7", " ", "\n", "é"])
def test_terminators_that_break_a_file_are_refused(terminator):
    with pytest.raises(InvalidInput, match="terminator"):
        written(terminator=terminator)


@pytest.mark.parametrize(
    "report",
    [
        replace(REPORT, created=None),
        replace(REPORT, created=REPORT.created + timedelta(microseconds=1)),
        replace(REPORT, version="4.2"),
        replace(REPORT, control_number=""),
        replace(REPORT, sender_name=""),
    ],
)
def test_reports_that_would_not_read_back_equal_are_refused(report):
    with pytest.raises(InvalidInput):
        list(write(report, []))
