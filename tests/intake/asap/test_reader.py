"""What the format says, held against files that say it well or badly."""

from __future__ import annotations

import io
import tracemalloc
from datetime import date, datetime
from decimal import Decimal

import pytest

from stewardship.domain.codes import NDC, RXNORM, Coding
from stewardship.domain.dispensings import Reporting, Species
from stewardship.domain.errors import InvalidInput
from stewardship.intake.asap import Closed, Opened, Status, ZeroReport, file_digest, read
from tests.intake.asap.files import (
    PRESCRIBER,
    a_file,
    accepted,
    closed,
    dispensing,
    events,
    faults,
    noted,
    patient,
    rejected,
    rows,
    segment,
    the_row,
)

SAMPLE = """TH*4.2*0001*01**20260105*0930*T**~~
IS*5550001111*ACME PHARMACY*~
PHA*1234567893*1234567*AB1234563~
PAT*******DOE*JANE****1 MAIN ST**ALBANY*NY*12207**19700101*F*01~
DSP*00*RX123*20260104*0*20260105*0*01*00406012301*20*5*01*05*00~
PRE*1234567893*AB1234563~
TP*5~
TT*0001*8~
"""
INGREDIENT = "CDI*{:02d}*01*{}*12.5*02"


def test_the_constructed_sample_is_read_whole():
    found = events(SAMPLE.encode())
    row = accepted(found)[0].row
    assert closed(found).status is Status.COMPLETE
    assert noted(found) == []
    assert row.report.created == datetime(2026, 1, 5, 9, 30)  # noqa: DTZ001 - the sender's clock
    assert row.report.test
    assert row.key == ("ncpdp:1234567", "RX123", 0, 0, date(2026, 1, 5))
    assert row.medication.codings == (Coding(NDC, "00406012301"),)
    assert (row.quantity, row.unit, row.days_supply, row.origin) == (Decimal(20), "each", 5, "05")


def test_the_patient_is_beside_the_row_and_in_no_text():
    found = accepted(events(SAMPLE.encode()))[0]
    assert (found.patient.last, found.patient.birth_date) == ("DOE", date(1970, 1, 1))
    assert "DOE" not in repr(found)
    assert "JANE" not in repr(found)


def test_a_published_zero_report_is_read():
    text = (
        "TH*4.2A*123456*01**20150101*223000*P**\\\\\nIS*7705555555*PHARMACY NAME*#20150101#-#20150107#\\\n"
        "PHA***ZZ1234567**********\\\nPAT*******REPORT*ZERO************01***\\\n"
        "DSP*00****20150101********************\\\nPRE*********\\\nCDI*****\\\nAIR***********\\\nTP*7\\\n"
        "TT*123456*10\\"
    )
    found = events(text.encode())
    (zero,) = [e for e in found if isinstance(e, ZeroReport)]
    assert (zero.pharmacy.dea, zero.on) == ("ZZ1234567", date(2015, 1, 1))
    assert (zero.start, zero.until) == (date(2015, 1, 1), date(2015, 1, 7))
    assert noted(found) == []
    assert closed(found).status is Status.COMPLETE
    assert (closed(found).accepted, closed(found).zero_reports) == (0, 1)


# --- forms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("terminator", ["~", "\\", "|", "^", "\x1e", "'"])
@pytest.mark.parametrize("line_end", ["", "\n", "\r\n", "\r"])
def test_terminator_and_line_ends_make_no_difference(terminator, line_end):
    content = a_file(rows(2), terminator=terminator, line_end=line_end)
    plain = a_file(rows(2))
    assert [a.row for a in accepted(read(content))] == [a.row for a in accepted(read(plain))]
    assert closed(read(content)).digest == closed(read(plain)).digest
    assert file_digest(content) == file_digest(plain)


def test_trailing_empty_elements_make_no_difference():
    short = b"\n".join(line.rstrip(b"~").rstrip(b"*") + b"~" for line in a_file(rows(2)).split(b"\n")[1:-1])
    content = a_file(rows(2)).split(b"\n")[0] + b"\n" + short
    assert len(accepted(read(content))) == 2
    assert file_digest(content) == file_digest(a_file(rows(2)))


def test_another_value_makes_another_digest():
    assert file_digest(a_file(rows(2))) != file_digest(a_file(rows(2)).replace(b"RX0002", b"RX0003"))


def test_blocks_of_any_size_say_the_same():
    content = a_file(rows(3), line_end="\r\n") + a_file(rows(2), terminator="\\", control="2")
    whole = list(read(content))
    for size in (1, 2, 3, 7, 100):
        blocks = (content[at : at + size] for at in range(0, len(content), size))
        assert list(read(blocks)) == whole, size
    assert list(read(io.BytesIO(content))) == whole


def test_files_one_after_the_other_each_by_its_own_terminator():
    parts = [a_file(rows(1), control=str(n), terminator=t) for n, t in enumerate("~\\|")]
    found = events(b"\n\xef\xbb\xbf".join(parts))
    ends = [e for e in found if isinstance(e, Closed)]
    assert [(e.status, e.accepted) for e in ends] == [(Status.COMPLETE, 1)] * 3
    assert [e.report.control_number for e in found if isinstance(e, Opened)] == ["0", "1", "2"]
    assert noted(found) == []


def test_a_file_that_breaks_off_before_the_next_is_truncated_and_the_next_is_whole():
    broken = a_file(rows(2))
    found = events(broken[: broken.index(b"RX0002")] + b"\n" + a_file(rows(1), terminator="|"))
    assert [e.status for e in found if isinstance(e, Closed)] == [Status.TRUNCATED, Status.COMPLETE]
    assert len(accepted(found)) == 2


def test_lines_and_offsets_are_those_of_the_file():
    content = a_file(patient(), dispensing(e10="x"), PRESCRIBER, line_end="\r\n")
    (fault,) = rejected(read(content))[0].faults
    assert fault.line == 5
    assert content[fault.offset : fault.offset + 3] == b"DSP"


def test_names_that_end_in_th_begin_no_file():
    assert the_row(a_file(patient(e07="TESTSMITH"), dispensing(), PRESCRIBER)).prescription == "RX0001"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_other_letters_are_read_in_either_encoding(encoding):
    content = a_file(patient(e07="TESTPÉÑA"), dispensing(), PRESCRIBER).decode().encode(encoding)
    assert accepted(read(content))[0].patient.last == "TESTPÉÑA"


def test_one_terminator_after_the_header_is_noted_and_read():
    found = events(a_file(rows(1)).replace(b"**~~", b"**~", 1))
    assert [(f.element, f.code) for f in noted(found)] == [("TH09", "required")]
    assert len(accepted(found)) == 1


# --- the frame ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (a_file(rows(2), tp=7), "TP01"),
        (a_file(rows(2), tt=10), "TT02"),
        (a_file(rows(2), tt=110), "TT02"),
    ],
)
def test_counts_are_checked(content, place):
    found = events(content)
    assert [(f.element, f.code) for f in noted(found)] == [(place, "count")]
    assert closed(found).status is Status.MISCOUNTED
    assert closed(found).accepted == 2


def test_the_control_number_is_checked():
    found = events(a_file(rows(1)).replace(b"TT*0001*", b"TT*0002*"))
    assert [(f.element, f.code) for f in noted(found)] == [("TT01", "control-number")]
    assert closed(found).status is Status.MISCOUNTED


def test_a_lost_segment_is_never_complete():
    lines = a_file(rows(3)).splitlines(keepends=True)
    for lost in range(1, len(lines)):
        assert closed(read(b"".join(lines[:lost] + lines[lost + 1 :]))).status is not Status.COMPLETE, lost


def test_two_pharmacies_count_seventeen_segments():
    one = [patient(), dispensing(), PRESCRIBER]
    second = [*one, "CDI*01*01*00406012301*1*01", "AIR*NY*1"]
    content = a_file(second, "TP*7", "PHA**7654321", second, tp=7, tt=17)
    found = events(content)
    assert noted(found) == []
    assert [a.row.pharmacy.key for a in accepted(found)] == ["ncpdp:1234567", "ncpdp:7654321"]


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"PK\x03\x04 not at all", b"TH*", b"\xff\xfeT\x00H\x00*\x00"]
)
def test_what_is_no_file_is_unreadable(content):
    assert closed(read(content)).status is Status.UNREADABLE


def test_an_unknown_version_is_not_read_by_guess():
    found = events(a_file(rows(1), version="9.9"))
    assert [(f.element, f.code) for f in noted(found)] == [("TH01", "version-unknown")]
    assert closed(found).status is Status.UNREADABLE
    assert accepted(found) == []


def test_what_answers_or_takes_back_a_transmission_reports_nothing():
    header = "TH*4.2A*0001*04**20260105*0930*P**"
    found = events(a_file(rows(1), header=header))
    assert accepted(found) == []
    assert [(f.element, f.code) for f in rejected(found)[0].faults] == [("TH03", "not-a-report")]


def test_what_comes_after_the_trailer_is_noted():
    found = events(a_file(rows(1)) + b"PAT*1~junk")
    assert {f.code for f in noted(found)} == {"after-trailer"}
    assert closed(found).status is Status.COMPLETE


def test_a_pharmacy_that_cannot_be_named_spoils_its_rows():
    found = events(a_file(rows(2), pharmacy="PHA****NAMELESS"))
    assert [r.faults[0].element for r in rejected(found)] == ["PHA01", "PHA01"]


def test_a_pharmacy_with_a_wrong_telephone_number_does_not():
    found = events(a_file(rows(2), pharmacy="PHA**1234567********518-555-0100"))
    assert [(f.element, f.code) for f in noted(found)] == [("PHA10", "too-long")]
    assert len(accepted(found)) == 2


# --- rows ---------------------------------------------------------------------------------------------


def test_a_patient_with_several_dispensings():
    content = a_file(patient(), dispensing(1), PRESCRIBER, dispensing(2), PRESCRIBER)
    found = accepted(read(content))
    assert [a.row.prescription for a in found] == ["RX0001", "RX0002"]
    assert found[0].patient is found[1].patient
    assert [a.row.position for a in found] == [1, 2]


def test_a_wrong_patient_is_the_fault_of_each_of_its_rows_and_of_no_other():
    content = a_file(
        patient(1, e18="19701301"), dispensing(1), PRESCRIBER, dispensing(2), PRESCRIBER,
        patient(2), dispensing(3), PRESCRIBER,
    )  # fmt: skip
    found = events(content)
    assert [r.position for r in rejected(found)] == [1, 2]
    assert faults(content) == [(4, "PAT", "PAT18", "not-a-date")] * 2
    assert [a.row.prescription for a in accepted(found)] == ["RX0003"]


@pytest.mark.parametrize(
    ("element", "value", "code"),
    [
        ("e02", "", "required"),
        ("e02", "X" * 26, "too-long"),
        ("e03", "2026010", "not-a-date"),
        ("e05", "20260230", "not-a-date"),
        ("e04", "x", "not-a-number"),
        ("e04", "100", "too-long"),
        ("e07", "9", "code-unknown"),
        ("e07", "77", "code-unknown"),
        ("e09", "1.2.3", "not-a-decimal"),
        ("e09", "1,5", "not-a-decimal"),
        ("e09", "-1", "not-a-decimal"),
        ("e10", "1000", "too-long"),
        ("e16", "88", "code-unknown"),
        ("e23", "two\tparts", "character"),
        ("e18", "01", ""),
    ],
)
def test_what_is_wrong_with_an_element_is_said(element, value, code):
    content = a_file(
        patient(), dispensing(**{element: value}), PRESCRIBER, patient(2), dispensing(2), PRESCRIBER
    )
    place = f"DSP{element[1:]}" if code else "DSP19"  # a qualifier needs its code
    assert faults(content) == [(5, "DSP", place, code or "required")]
    assert [a.row.prescription for a in accepted(read(content))] == ["RX0002"]


def test_more_elements_than_the_version_has_are_a_fault_unless_empty():
    assert faults(a_file(patient(), dispensing() + "*x", PRESCRIBER)) == [
        (5, "DSP", "DSP", "too-many-elements")
    ]
    assert the_row(a_file(patient(), dispensing() + "***", PRESCRIBER)).prescription == "RX0001"


@pytest.mark.parametrize(
    "body",
    [
        [patient(), dispensing()],
        [patient(), dispensing(), dispensing(2), PRESCRIBER],
        [patient(), dispensing(), "CDI*01*01*00406012301*1*01", PRESCRIBER],
        [patient(), dispensing(), PRESCRIBER, PRESCRIBER],
        [patient(), dispensing(), PRESCRIBER, "AIR*NY*1", "CDI*01*01*00406012301*1*01"],
        [patient(), dispensing(), PRESCRIBER, "AIR*NY*1", "AIR*NY*1"],
        [dispensing(), PRESCRIBER],
        [patient(), PRESCRIBER, dispensing(2), PRESCRIBER],
        [patient(), patient(2), dispensing(), PRESCRIBER],
    ],
)
def test_segments_out_of_order_are_said(body):
    found = events(a_file(body))
    said = [f for r in rejected(found) for f in r.faults] + noted(found)
    assert {"order", "required"} & {f.code for f in said}


def test_a_terminator_inside_a_text_spoils_its_row_only():
    content = a_file(
        patient(), dispensing(e23="TAKE ~ ONE"), PRESCRIBER, patient(2), dispensing(2), PRESCRIBER
    )
    found = events(content)
    assert [a.row.prescription for a in accepted(found)] == ["RX0002"]
    assert [f.code for f in rejected(found)[0].faults] == ["segment-unknown"]
    assert closed(found).status is not Status.COMPLETE


def test_an_overlong_segment_is_skipped_and_its_row_is_bad():
    content = a_file(
        patient(), dispensing(e23="X" * 200_000), PRESCRIBER, patient(2), dispensing(2), PRESCRIBER
    )
    found = events(content)
    assert [a.row.prescription for a in accepted(found)] == ["RX0002"]
    assert "segment-too-long" in {f.code for f in noted(found)}


def test_no_message_holds_a_value():
    content = a_file(patient(e18="SECRET"), dispensing(e23="TAKE ~SECRET*"), PRESCRIBER) + b"SECRET"
    said = [str(f) for r in rejected(read(content)) for f in r.faults] + [
        str(f) for f in noted(read(content))
    ]
    assert said
    assert not any("SECRET" in text for text in said)


# --- what rows mean -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status"), [("00", Reporting.NEW), ("01", Reporting.REVISE), ("02", Reporting.VOID)]
)
def test_reporting_status(code, status):
    assert the_row(a_file(patient(), dispensing(e01=code), PRESCRIBER)).reporting is status


@pytest.mark.parametrize(
    ("version", "code", "partial"),
    [
        ("4.0", "01", -1), ("4.0", "02", 0), ("4.0", "", 0), ("4.1", "01", -1), ("4.1", "02", 0),
        ("4.2", "00", 0), ("4.2", "01", 1), ("4.2", "02", 2), ("4.2A", "03", 3), ("4.2B", "", 0),
    ],
)  # fmt: skip
def test_the_partial_fill_means_other_things_before_4_2(version, code, partial):
    content = a_file(patient(), dispensing(length=16, e13=code), PRESCRIBER, version=version,
                     pharmacy="PHA**1234567")  # fmt: skip
    assert the_row(content).partial == partial


def test_4_1_holds_the_rxnorm_code_where_4_2_holds_its_qualifier():
    old = the_row(a_file(patient(), dispensing(length=20, e18="1049621", e13="02"), PRESCRIBER, version="4.1",
                         pharmacy="PHA**1234567"))  # fmt: skip
    new = the_row(a_file(patient(), dispensing(e18="01", e19="1049621"), PRESCRIBER))
    assert old.medication == new.medication
    assert old.medication.codings[0] == Coding(RXNORM, "1049621")


def test_the_first_version_4_leaves_the_status_of_a_new_row_empty():
    body = (patient(), dispensing(length=16, e01="", e13="02"), PRESCRIBER)
    assert the_row(a_file(body, version="4.0", pharmacy="PHA**1")).reporting is Reporting.NEW
    assert faults(a_file(body, version="4.1", pharmacy="PHA**1")) == [(5, "DSP", "DSP01", "required")]


def test_4_2b_has_the_prescribers_address():
    prescriber = segment("PRE", 15, e02="AB1234563", e11="2 TEST ST", e13="ALBANY", e14="NY", e15="12207")
    row = the_row(a_file(patient(), dispensing(), prescriber, version="4.2B"))
    assert row.prescriber.address.zip == "12207"


def test_version_3_0_has_another_layout():
    text = a_file(
        segment("PAT", 40, e04="TESTSSN", e07="TESTPATIENT", e08="TESTNAME", e12="1 TEST ST", e14="ALBANY",
                e16="12207", e19="19700101", e20="F"),
        segment("RX", 29, e01="01", e03="RX1", e08="20260104", e12="M545", e20="2"),
        segment("DSP", 33, e01="01", e03="RX1", e04="1", e09="20260105", e11="01", e12="00406012301",
                e14="20", e15="5"),
        segment("PRE", 20, e03="1234567893", e04="AB1234563", e08="TESTPRESCRIBER"),
        segment("RPH", 11, e03="1234567893"),
        segment("CSR", 7, e01="NY", e02="SERIAL1"),
        header="TH*3.0**0001*****20260105*0930*P***",
    )  # fmt: skip
    found = events(text)
    row = accepted(found)[0].row
    assert closed(found).status is Status.COMPLETE
    assert (row.written_on, row.filled_on, row.refills, row.fill) == (
        date(2026, 1, 4), date(2026, 1, 5), 2, 1
    )  # fmt: skip
    assert (row.days_supply, row.pharmacist_npi, row.serial) == (5, "1234567893", ("NY", "SERIAL1"))
    assert (row.prescriber.npi, row.prescriber.dea) == ("1234567893", "AB1234563")
    assert accepted(found)[0].patient.ids[0].value == "TESTSSN"


def test_a_3_0_prescription_without_its_dispensing_is_a_bad_row():
    rx = segment("RX", 29, e01="01", e03="RX1", e08="20260104", e20="2")
    pat = segment("PAT", 40, e07="TESTPATIENT", e08="T", e12="1", e14="A", e16="12207", e19="19700101")
    content = a_file(pat, rx, rx, header="TH*3.0**0001*****20260105*0930*P***")
    assert [(line, element) for line, _, element, _ in faults(content) if element == "DSP"] == [
        (5, "DSP"),
        (6, "DSP"),
    ]


@pytest.mark.parametrize("compound", [{"e07": "06", "e08": "COMPOUND"}, {"e08": "99999999999"}])
def test_a_compound_names_its_ingredients(compound):
    ingredients = [INGREDIENT.format(1, "00406012301"), INGREDIENT.format(2, "00406012302")]
    row = the_row(a_file(patient(), dispensing(**compound), PRESCRIBER, ingredients))
    assert row.compound
    assert row.medication.codings == ()
    assert [i.medication.codings[0].code for i in row.ingredients] == ["00406012301", "00406012302"]
    assert (row.ingredients[0].quantity, row.ingredients[0].unit) == (Decimal("12.5"), "mL")
    assert faults(a_file(patient(), dispensing(**compound), PRESCRIBER)) == [(5, "CDI", "CDI01", "required")]


@pytest.mark.parametrize("marks", [{"e20": "02"}, {"e20": "", "e23": "TESTDOG"}])
def test_animals_are_marked(marks):
    assert the_row(a_file(patient(**marks), dispensing(), PRESCRIBER)).species is Species.ANIMAL


def test_who_picked_it_up_is_beside_the_row():
    air = segment(
        "AIR", 11, e01="NY", e02="SERIAL1", e04="06", e05="ID1", e06="04", e07="TESTCARER", e11="02"
    )
    content = a_file(patient(), dispensing(), PRESCRIBER, air)
    found = accepted(read(content))[0]
    assert found.row.serial == ("NY", "SERIAL1")
    assert (found.pick_up.last, found.pick_up.id.value) == ("TESTCARER", "ID1")
    assert "TESTCARER" not in repr(found)


def test_a_state_asks_for_more_than_the_standard():
    content = a_file(patient(), dispensing(e16=""), PRESCRIBER)
    assert faults(content) == []
    assert faults(content, state="CO") == [(5, "DSP", "DSP16", "required")]


def test_a_state_does_without_what_the_standard_asks_for():
    content = a_file(patient(e12=""), dispensing(), PRESCRIBER)
    assert faults(content) == [(4, "PAT", "PAT12", "required")]
    assert faults(content, state="oh") == []


def test_a_state_that_nobody_described_is_refused():
    with pytest.raises(InvalidInput, match="no ASAP requirements"):
        events(a_file(rows(1)), state="ZZ")


def test_memory_does_not_grow_with_the_file():
    def peak(count: int) -> int:
        def blocks():
            yield a_file([], tp=3 * count + 2).split(b"TP*")[0]
            for number in range(count):
                yield f"{patient(number)}~{dispensing(number)}~{PRESCRIBER}~".encode()

        tracemalloc.start()
        for _ in read(blocks()):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(3_000) < 1.2 * peak(1_000)
