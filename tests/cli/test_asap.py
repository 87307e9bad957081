"""A prescriber who dispenses writes a report that the reader reads back, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from stewardship.cli import main
from stewardship.domain.dispensings import Reporting
from stewardship.intake.asap import Accepted, Status, ZeroReport, read

HEADER = "rx,filled,qty,days,last,first,born,ndc,sex,street,city,state,zip,kind"
ROW = "{rx},2026-11-01,20,5,TESTPATIENT,{rx},1970-01-01,00406051201,F,1 TEST ST,ALBANY,NY,12207,{kind}"
MAPPING = """
[file]
sender = "Test clinic"
[columns]
prescription = "rx"
filled_on = "filled"
quantity = "qty"
days_supply = "days"
last = "last"
first = "first"
birth_date = "born"
ndc = "ndc"
sex = "sex"
street = "street"
city = "city"
state = "state"
zip = "zip"
reporting = "kind"
[constants]
pharmacy_dea = "AD1234563"
prescriber_dea = "AD1234563"
"""
SENT_BY = ("--control", "0001", "--sender-id", "5550001111", "--sender-name", "TEST CLINIC")


class Clinic:
    """A folder with rows to report."""

    def __init__(self, folder: Path) -> None:
        self.rows, self.mapping, self.out = folder / "rows.csv", folder / "map.toml", folder / "report.asap"
        self.mapping.write_text(MAPPING)

    def has(self, *rows: str) -> None:
        self.rows.write_text("\n".join([HEADER, *rows, ""]))

    def write(self, *more: str):
        words = ["asap", "write", str(self.rows), "--mapping", str(self.mapping), *SENT_BY]
        return CliRunner().invoke(main, [*words, "--name", "TEST CLINIC", "--out", str(self.out), *more])

    def read(self):
        with self.out.open("rb") as file:
            return list(read(file))


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)


def test_new_revised_and_void_rows_are_read_back(clinic):
    clinic.has(*(ROW.format(rx=kind, kind=kind) for kind in ("new", "revise", "void")))
    done = clinic.write()
    assert done.exit_code == 0, done.output
    rows = [event.row for event in clinic.read() if isinstance(event, Accepted)]
    assert [(row.prescription, row.reporting) for row in rows] == [(k.value, k) for k in Reporting]
    assert {(row.pharmacy.dea, row.pharmacy.name, row.days_supply) for row in rows} == {
        ("AD1234563", "TEST CLINIC", 5)
    }


def test_the_command_line_says_who_dispensed(clinic):
    clinic.has(ROW.format(rx="a", kind="new"))
    assert clinic.write("--dea", "BD1234563").exit_code == 0
    (row,) = [event.row for event in clinic.read() if isinstance(event, Accepted)]
    assert row.pharmacy.dea == "BD1234563"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("x,2026-11-01,many,5,A,B,1970-01-01,00406051201,F,1 TEST ST,ALBANY,NY,12207,new", "line 3 CSV qty"),
        ("x,2026-11-01,20,5,A,B,1970-01-01,00406051201,F,,ALBANY,NY,12207,new", "row 2, PAT12"),
        ("x,2026-11-01,20,5,A*B,B,1970-01-01,00406051201,F,1 TEST ST,ALBANY,NY,12207,new", "row 2, PAT07"),
    ],
    ids=["unreadable", "required", "separator"],
)
def test_a_row_that_cannot_be_reported_is_named_and_nothing_is_written(clinic, wrong, named):
    clinic.has(ROW.format(rx="good", kind="new"), wrong)
    done = clinic.write()
    assert done.exit_code == 2
    assert named in done.output
    assert sorted(path.name for path in clinic.out.parent.iterdir()) == ["map.toml", "rows.csv"]


def test_no_rows_are_no_report(clinic):
    clinic.has()
    done = clinic.write()
    assert done.exit_code == 2
    assert "asap zero" in done.output
    assert not clinic.out.exists()


def test_a_zero_report_names_its_days(clinic):
    days = ["--from", "2026-11-01", "--until", "2026-11-07"]
    words = ["asap", "zero", *days, *SENT_BY, "--dea", "AD1234563", "--out", str(clinic.out)]
    assert CliRunner().invoke(main, words).exit_code == 0
    (nothing,) = [event for event in clinic.read() if isinstance(event, ZeroReport)]
    assert (nothing.start.isoformat(), nothing.until.isoformat()) == ("2026-11-01", "2026-11-07")
    assert clinic.read()[-1].status is Status.COMPLETE


def test_days_the_wrong_way_round_are_refused(clinic):
    days = ["--from", "2026-11-08", "--until", "2026-11-07"]
    done = CliRunner().invoke(main, ["asap", "zero", *days, *SENT_BY, "--out", str(clinic.out)])
    assert done.exit_code == 2
    assert not clinic.out.exists()
