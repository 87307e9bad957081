"""A report asked for, made and given out: whose it is, what is withheld, what is written down of it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from stewardship import exporting
from stewardship.db import tables, transaction
from stewardship.declarations.places import REFERENCE
from stewardship.declarations.reports import read_report_terms
from stewardship.domain.errors import InvalidInput, NotFound
from stewardship.domain.policy import Breach
from stewardship.exporting import Format
from stewardship.reports.reporting import WITHHELD, Asked, Column, Kind, Made, Picture, Report, Stamp, Table
from stewardship.reports.suppression import without_small_numbers
from tests.builders import NOW, TODAY
from tests.reports.test_alert_burden import check, plan
from tests.services.declared import COMPLIANCE, ELSEWHERE, ORGANISATION

PERIOD = Asked(ORGANISATION, TODAY, TODAY + timedelta(days=1))


@dataclass
class Terms:
    fewest_shown: int = 11
    older_from: int = 65


def make(sessions, report_id="adherence", asked=PERIOD, by=COMPLIANCE):
    with transaction(sessions, write=False) as session:
        return exporting.made(session, Terms(), report_id, asked, by=by, now=NOW)


def test_the_least_number_shown_is_declared():
    assert read_report_terms(REFERENCE).fewest_shown == 11


def test_a_report_is_of_the_askers_organisation_whatever_is_asked(clinic):
    check(clinic, plan("a", Breach()))
    elsewhere = make(clinic, by=ELSEWHERE)
    assert list(elsewhere.report.tables[0].rows) == []
    assert [row[0] for row in make(clinic).report.tables[0].rows] == ["a"]


def test_a_report_says_who_made_it_when_and_how_current_it_is(clinic):
    stamp = make(clinic).stamp
    assert (stamp.made_by, stamp.made_at) == ("u-compliance", NOW)
    assert stamp.currency.startswith("No pharmacy has reported")


@pytest.mark.parametrize(
    "asked",
    [
        replace(PERIOD, until=TODAY),
        replace(PERIOD, until=TODAY - timedelta(days=1)),
        replace(PERIOD, since=date(1990, 1, 1)),
    ],
    ids=["no-day", "backwards", "too-long"],
)
def test_a_period_that_is_none_is_refused(clinic, asked):
    with pytest.raises(InvalidInput) as refused:
        make(clinic, asked=asked)
    assert [fault.code for fault in refused.value.faults] == ["period"]


def test_a_filter_that_would_be_ignored_is_refused(clinic):
    with pytest.raises(InvalidInput) as refused:
        make(clinic, "flags", replace(PERIOD, prescriber="u-1"))
    assert [fault.pointer for fault in refused.value.faults] == ["/prescriber"]


def test_a_report_that_does_not_exist_is_not_found(clinic):
    with pytest.raises(NotFound, match="adherence"):
        make(clinic, "league-table")


def test_the_usual_period_ends_with_today():
    assert exporting.period(None, None, now=NOW) == (TODAY - timedelta(days=91), TODAY + timedelta(days=1))


# --- small numbers ------------------------------------------------------------------------------------


def counted(rows, **more):
    columns = (Column("band", "Age"), Column("n", "Patients", Kind.COUNT), Column("s", "Share", Kind.SHARE))
    table = Table("bands", "By age", columns, rows, people=("n",), **more)
    shown = {"Patients": tuple(Decimal(row[1]) for row in rows)}
    picture = Picture("By age", tuple(row[0] for row in rows), shown, of_table="bands")
    return Report("x", "X", "Counted so.", PERIOD, (table,), picture)


def test_ten_people_are_withheld_in_table_and_picture_and_eleven_are_shown():
    report = without_small_numbers(counted([("a", 10, Decimal(5)), ("b", 11, Decimal(6))]), fewest=11)
    assert list(report.tables[0].rows) == [("a", WITHHELD, WITHHELD), ("b", 11, Decimal(6))]
    assert report.picture.series == {"Patients": (None, Decimal(11))}
    assert report.withheld == 2


def test_a_gap_that_a_total_would_fill_takes_the_next_smallest_with_it():
    rows = [("a", 3, None), ("b", 20, None), ("c", 50, None)]
    report = without_small_numbers(counted(rows, totals=True), fewest=11)
    assert [row[1] for row in report.tables[0].rows] == [WITHHELD, WITHHELD, 50]


# --- giving out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", list(Format))
def test_every_form_is_written_and_its_rows_are_counted(clinic, form):
    check(clinic, plan("a", Breach()))
    to = io.BytesIO()
    assert exporting.write(make(clinic), form, to).rows == 1
    assert len(to.getvalue()) > 500


def test_text_says_what_the_json_says(clinic):
    check(clinic, plan("a", Breach()))
    said, spoken = io.BytesIO(), io.BytesIO()
    exporting.write(make(clinic), Format.JSON, said)
    exporting.write(make(clinic), Format.TEXT, spoken)
    (row,) = json.loads(said.getvalue())["tables"][0]["rows"]
    assert row == ["a", 1, 0, 1, 0, 0, 0.0]
    (line,) = [line for line in spoken.getvalue().decode().splitlines() if line.startswith("  a ")]
    assert line.split() == ["a", "1", "0", "1", "0", "0", "0.0", "%"]


def test_an_export_is_an_event_with_form_period_filter_and_rows(clinic):
    made = make(clinic, asked=replace(PERIOD, policy="a"))
    with transaction(clinic) as session:
        written = exporting.write(made, Format.CSV, io.BytesIO())
        exporting.record_export(session, made, Format.CSV, written, by=COMPLIANCE, now=NOW)
    event = tables.AuditEvent.__table__
    with transaction(clinic, write=False) as session:
        asked = select(event.c.subject, event.c.by_user, event.c.detail).where(
            event.c.action == "export.made"
        )
        (row,) = session.connection().execute(asked).all()
    assert (row.subject, row.by_user) == ("adherence", "u-compliance")
    assert json.loads(row.detail) == {
        "format": "csv",
        "since": TODAY.isoformat(),
        "until": (TODAY + timedelta(days=1)).isoformat(),
        "filters": {"policy": "a"},
        "rows": 0,
        "withheld": 0,
    }


def test_progress_is_told_every_thousand_rows():
    table = Table("t", "T", (Column("n", "N", Kind.COUNT),), ((n,) for n in range(2_500)))
    made = Made(Report("x", "X", "So.", PERIOD, (table,)), Stamp("u", NOW))
    told: list[int] = []
    assert exporting.write(made, Format.CSV, io.BytesIO(), progress=told.append).rows == 2_500
    assert told == [1_000, 2_000]
