"""CSV by a declared mapping: nothing is guessed, and what is wrong is told by line and column."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal

import pytest

from stewardship.domain.dispensings import Reporting
from stewardship.domain.errors import InvalidInput
from stewardship.domain.feeds import Broken, Heard, Refusal, Row
from stewardship.intake.csv_files import CsvFeed, read_mapping

FILE = '[file]\nsender = "Example Health Plan"\n'
COLUMNS = """[columns]
pharmacy = "Store"
prescription = "Rx"
filled_on = "Filled"
quantity = "Qty"
days_supply = "Days"
ndc = "NDC"
last = "Last"
first = "First"
birth_date = "Born"
"""
HEADER = "Store,Rx,Filled,Qty,Days,NDC,Last,First,Born\n"
ROW = "1234567,RX1,2026-11-01,20.5,5,00406055201,Testpatient,Testname,1970-01-01\n"


def a_feed(content, mapping=FILE + COLUMNS):
    written = content if isinstance(content, bytes) else content.encode()
    return CsvFeed(
        lambda: io.BytesIO(written), "plan.csv", read_mapping(mapping.encode()), date(2026, 11, 22)
    )


def items(content, mapping=FILE + COLUMNS):
    return list(a_feed(content, mapping).items())


def faults(item):
    assert isinstance(item, Refusal)
    return [(f.line, f.element, f.code) for f in item.faults]


def test_a_row_is_what_its_columns_say():
    (row,) = items(HEADER + ROW)
    assert isinstance(row, Row)
    dispensed = row.dispensed
    assert row.line == 2
    assert dispensed.pharmacy.key == "ncpdp:1234567"
    assert (dispensed.prescription, dispensed.filled_on) == ("RX1", date(2026, 11, 1))
    assert (dispensed.quantity, dispensed.days_supply, dispensed.fill) == (Decimal("20.5"), 5, 0)
    assert [c.code for c in dispensed.medication.codings] == ["00406055201"]
    assert dispensed.reporting is Reporting.NEW
    assert (row.patient.last, row.patient.birth_date) == ("Testpatient", date(1970, 1, 1))


def test_words_of_a_column_stand_for_what_the_mapping_says():
    mapping = FILE + COLUMNS + 'reporting = "Status"\n[values.reporting]\nP = "new"\nR = "void"\n'
    (row,) = items(HEADER.strip() + ",Status\n" + ROW.strip() + ",R\n", mapping)
    assert row.dispensed.reporting is Reporting.VOID
    (refused,) = items(HEADER.strip() + ",Status\n" + ROW.strip() + ",X\n", mapping)
    assert faults(refused) == [(2, "Status", "code")]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("2026-11-01", "11/01/2026", ("Filled", "date")),
        ("2026-11-01", "2027-01-01", ("Filled", "in-future")),
        ("20.5", "twenty", ("Qty", "number")),
        ("20.5", "1e9", ("Qty", "number")),
        ("20.5", "-3", ("Qty", "number")),
        ("20.5", "\u0662\u0660", ("Qty", "number")),
        ("20.5,5", "20.5,2.5", ("Days", "number")),
        ("RX1", "", ("Rx", "required")),
        ("Testname", " ", ("First", "required")),
    ],
)
def test_a_bad_value_is_told_by_line_and_column(column, value, told):
    bad, good = items(HEADER + ROW.replace(column, value, 1) + ROW)
    assert faults(bad) == [(2, *told)]
    assert isinstance(good, Row)


@pytest.mark.parametrize("row", ["only,three,cells\n", ROW.strip() + ",one more\n"])
def test_a_row_of_another_width_is_refused(row):
    bad, good = items(HEADER + row + ROW)
    assert faults(bad) == [(2, "?", "columns")]
    assert isinstance(good, Row)


def test_the_wrong_encoding_is_no_whole_file():
    assert items((HEADER + ROW).encode() + b"\xff\xfe\n")[-1] == Broken("encoding")


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "empty"), (HEADER.replace("Qty,", ""), "Qty"), (HEADER.replace("Rx", "Qty"), "Rx")],
)
def test_a_file_without_the_columns_is_refused_before_anything_is_stored(content, words):
    with pytest.raises(InvalidInput, match=words):
        a_feed(content).checked()


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("[file", "not TOML"),
        (COLUMNS, "file"),
        (FILE, "columns"),
        (FILE + COLUMNS.replace('quantity = "Qty"\n', ""), "quantity"),
        (FILE + COLUMNS.replace('ndc = "NDC"\n', ""), "ndc, rxcui or text"),
        (FILE + COLUMNS + 'colour = "Colour"\n', "colour"),
    ],
)
def test_a_mapping_that_is_not_enough_says_what_is_missing(mapping, words):
    with pytest.raises(InvalidInput, match=words):
        read_mapping(mapping.encode())


def test_the_preview_shows_the_first_rows_and_of_people_only_the_shape():
    shown = list(a_feed(HEADER + ROW * 9).preview())
    assert len(shown) == 5
    assert "filled_on=2026-11-01" in shown[0]
    assert "Testpatient" not in "".join(shown)
    assert "1970" not in "".join(shown)


def test_line_ends_and_the_name_do_not_change_the_digest_and_the_mapping_does():
    assert a_feed(HEADER + ROW).digest() == a_feed((HEADER + ROW).replace("\n", "\r\n")).digest()
    other = FILE + COLUMNS + "[constants]\nunit = 'each'\n"
    assert a_feed(HEADER + ROW).digest() != a_feed(HEADER + ROW, other).digest()


# --- how current a pharmacy is ----------------------------------------------------------------------

TWO_STORES = (
    HEADER.strip() + ",Reported\n" + ROW.strip() + ",2026-11-20T10:15:00\n"
    + ROW.strip().replace("RX1", "RX2").replace("2026-11-01", "2026-11-03") + ",2026-11-19T10:15:00\n"
    + ROW.strip().replace("1234567", "7654321") + ",2026-11-18T08:00:00\n"
)  # fmt: skip
REPORTED = COLUMNS + 'reported_at = "Reported"\n'


def heard(mapping):
    found = [item for item in items(TWO_STORES, mapping) if isinstance(item, Heard)]
    return {pharmacy.key: one.created.isoformat() for one in found for pharmacy in one.pharmacies}


def test_a_file_is_word_of_its_pharmacies_when_its_mapping_says_what_tells_how_current_it_is():
    by_report = FILE + 'current_by = "reported_at"\n' + REPORTED
    assert heard(by_report) == {
        "ncpdp:1234567": "2026-11-20T10:15:00",
        "ncpdp:7654321": "2026-11-18T08:00:00",
    }
    by_day = FILE + 'current_by = "filled_on"\n' + REPORTED
    assert heard(by_day)["ncpdp:1234567"] == "2026-11-03T00:00:00"


def test_a_file_of_which_nothing_says_so_is_word_of_no_pharmacy():
    assert heard(FILE + REPORTED) == {}


def test_a_file_that_cannot_be_read_to_its_end_is_word_of_no_pharmacy():
    mapping = FILE + 'current_by = "filled_on"\n' + COLUMNS
    found = items((HEADER + ROW).encode() + b"\xff\xfe,x\n", mapping)
    assert [type(item) for item in found][-1] is Broken
    assert not any(isinstance(item, Heard) for item in found)


def test_what_tells_how_current_a_file_is_needs_a_column():
    with pytest.raises(InvalidInput, match="current_by reported_at"):
        read_mapping((FILE + 'current_by = "reported_at"\n' + COLUMNS).encode())


# --- who dispensed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "key"),
    [("pharmacy", "ncpdp:1234567"), ("pharmacy_dea", "dea:1234567"), ("pharmacy_npi", "npi:1234567")],
)
def test_whoever_dispensed_is_known_by_any_of_three_numbers(field, key):
    (row,) = items(HEADER + ROW, FILE + COLUMNS.replace("pharmacy =", f"{field} ="))
    assert row.dispensed.pharmacy.key == key


def test_a_mapping_without_whoever_dispensed_is_refused():
    with pytest.raises(InvalidInput, match="who dispensed: pharmacy, pharmacy_dea, pharmacy_npi"):
        a_feed(HEADER + ROW, FILE + COLUMNS.replace('pharmacy = "Store"\n', ""))


def test_a_row_without_whoever_dispensed_is_refused_at_its_column():
    (refused,) = items(HEADER + ROW.removeprefix("1234567"), FILE + COLUMNS)
    assert faults(refused) == [(2, "Store", "required")]
