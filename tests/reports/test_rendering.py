"""A report in every format: the same values, nothing run as a formula, nothing set as markup, memory flat."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pikepdf
import pytest
from python_calamine import CalamineWorkbook

from stewardship.reports.rendering.pdf import MOST_ROWS, as_pdf
from stewardship.reports.rendering.spreadsheet import as_xlsx
from stewardship.reports.rendering.text import as_csv, as_json
from stewardship.reports.reporting import WITHHELD, Asked, Column, Kind, Made, Picture, Report, Stamp, Table

COLUMNS = (
    Column("who", "Who"),
    Column("orders", "Orders", Kind.COUNT),
    Column("share", "Share", Kind.SHARE),
    Column("change", "Change", Kind.NUMBER, "MME"),
    Column("day", "Day", Kind.DATE),
)
HOSTILE = '=HYPERLINK("http://evil.example") #strong[no] <b>'
ROWS = (
    (HOSTILE, 1234, Decimal("12.5"), Decimal("-2.5"), date(2026, 1, 2)),
    ("short-course", WITHHELD, WITHHELD, None, None),
)
NOTE = "stewardship/audit/o\n6\nh9b=\n\n\u2014 name sig=\n"


def made(rows=ROWS, picture=None):
    table = Table("a", "Findings by policy", COLUMNS, rows)
    asked = Asked("o", date(2026, 1, 1), date(2026, 4, 1), prescriber="u-1")
    report = Report("x", "A report", "Counted so.", asked, (table,), picture, ("It cannot say.",), 2)
    stamp = Stamp("u-c", datetime(2026, 11, 21, 12, tzinfo=UTC), "Pharmacy data to 19 November, 10:15", NOTE)
    return Made(report, stamp)


def test_json_keeps_the_exact_text_and_numbers():
    said = json.loads(b"".join(as_json(made())), parse_float=Decimal)
    assert said["tables"][0]["rows"] == [
        [HOSTILE, 1234, Decimal("12.5"), Decimal("-2.5"), "2026-01-02"],
        ["short-course", "withheld", "withheld", None, None],
    ]
    assert (said["checkpoint"], said["filters"]) == (NOTE, {"prescriber": "u-1"})


def test_csv_runs_nothing_and_numbers_stay_numbers():
    text = b"".join(as_csv(made())).decode()
    rows = [r for r in csv.reader(io.StringIO(text)) if r and not r[0].startswith("#")]
    assert rows[0] == ["Who", "Orders", "Share", "Change (MME)", "Day"]
    assert rows[1] == ["'" + HOSTILE, "1234", "12.5", "-2.5", "2026-01-02"]
    assert rows[2] == ["short-course", "withheld", "withheld", "", ""]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_no_cell_of_text_begins_as_a_formula_does(begin):
    text = b"".join(as_csv(made([(f"{begin}1+1", 20, None, None, None)]))).decode()
    assert [r[0] for r in csv.reader(io.StringIO(text, newline="")) if r and "1+1" in r[0]] == [
        f"'{begin}1+1"
    ]


def test_a_spreadsheet_has_text_as_text_and_numbers_as_numbers():
    book = CalamineWorkbook.from_filelike(io.BytesIO(as_xlsx(made())))
    assert book.sheet_names == ["About", "Findings by policy"]
    rows = book.get_sheet_by_name("Findings by policy").to_python()
    assert rows[1] == [HOSTILE, 1234, 12.5, -2.5, date(2026, 1, 2)]
    assert rows[2][:3] == ["short-course", "withheld", "withheld"]
    about = book.get_sheet_by_name("About").to_python()
    assert ["Definition", "Counted so."] in about


def test_a_pdf_is_tagged_and_in_a_language():
    written = pikepdf.open(io.BytesIO(as_pdf(made())))
    assert written.Root.Lang == "en"
    assert "/StructTreeRoot" in written.Root
    assert written.docinfo["/Title"] == "A report"


def test_a_picture_says_in_words_what_it_shows():
    picture = Picture("Bars", ("a", "b"), {"One": (Decimal(3), None)}, "orders")
    assert b"StructTreeRoot" in as_pdf(made(picture=picture))


def test_columns_share_the_page_by_what_they_hold():
    # Ids that cannot be broken, a short text and two long ones, as in lists of patients with their claims.
    columns = (
        Column("measure", "Measure"),
        Column("patient", "Patient", Kind.ID),
        Column("stands", "Stands"),
        Column("found", "Found, beside the limit"),
        Column("claims", "Claims", Kind.ID),
    )
    claims = ", ".join(f"claim-{n:04}" for n in range(40))
    said = "; ".join(f"cancer: treatment type 03, 2026-{n:02}-01" for n in range(1, 13))
    rows = [("pqa-ohdmp", "0250bba14c4a7bcff774385c7c7b5f3e", "excluded: cancer", said, claims)] * 60
    one = made()
    table = Table("a", "Patients", columns, rows)
    whole = Made(replace(one.report, tables=(table,)), one.stamp)
    # About nine lines a row; as columns that share nothing they took a page each, one over the other.
    assert len(pikepdf.open(io.BytesIO(as_pdf(whole))).pages) <= 20


def test_what_paper_cannot_hold_is_said_to_be_elsewhere():
    long = (("x", 20, None, None, None) for _ in range(MOST_ROWS + 5))
    assert as_pdf(made(long)).startswith(b"%PDF")


@pytest.mark.parametrize("render", [as_json, as_csv])
def test_a_hundred_thousand_rows_take_no_more_memory_than_ten(render):
    def peak(count):
        tracemalloc.start()
        for _ in render(made(("x" * 20, n + 20, None, None, None) for n in range(count))):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(100_000) < peak(10) + 200_000
