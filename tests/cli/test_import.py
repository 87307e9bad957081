"""``stewardship import``: reports, exit codes, and nothing stored by a dry run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from stewardship.cli import main
from stewardship.db import connect, import_tables, tables, transaction
from tests.intake.asap.files import PRESCRIBER, a_file, dispensing, patient
from tests.intake.asap.files import rows as file_rows

ORGANISATION = "our-hospital"
#: Seconds after which a process that should have done something has failed to: no measure of its speed.
PATIENCE = 300
MAPPING = """
[file]
sender = "Example Health Plan"
date_format = "%m/%d/%Y"
[columns]
pharmacy = "Store"
prescription = "Rx"
filled_on = "Filled"
quantity = "Qty"
days_supply = "Days"
ndc = "NDC"
last = "Last"
first = "First"
birth_date = "Born"
sex = "Sex"
zip = "ZIP"
[constants]
unit = "each"
"""
CSV = """Store,Rx,Filled,Qty,Days,NDC,Last,First,Born,Sex,ZIP
1234567,RX1,11/01/2026,20,5,00406055201,Testpatient,Testname,01/01/1970,F,12207
1234567,RX2,11/02/2026,20,5,00406055201,Testpatient,Testname,01/01/1970,F,12207
1234567,RX3,not a day,20,5,00406055201,Testpatient,Testname,01/01/1970,F,12207
"""


@pytest.fixture
def url(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'house.db'}"
    monkeypatch.setenv("STEWARDSHIP_DATABASE_URL", url)
    monkeypatch.setenv("STEWARDSHIP_AUDIT_KEY", "k" * 16 + "0123456789abcdef")
    assert CliRunner().invoke(main, ["db", "upgrade"]).exit_code == 0
    assert CliRunner().invoke(main, ["tokens", "issue", "ehr", "--organisation", ORGANISATION]).exit_code == 0
    return url


@pytest.fixture(autouse=True)
def priority_stays(monkeypatch):
    """A process cannot take back that it stood back: the one that runs the tests must not."""
    monkeypatch.setattr(os, "setpriority", lambda *_: None)


@pytest.fixture
def a_path(tmp_path):
    """A file of this content."""

    def write(content, name="file.asap"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def run(*arguments):
    return CliRunner().invoke(main, ["import", *arguments])


def count(url, table):
    sessions = connect(url)
    with transaction(sessions, write=False) as session:
        found = len(session.execute(select(table.__table__)).all())
    sessions.kw["bind"].dispose()
    return found


def test_a_file_is_stored_and_told_of(url, a_path):
    done = run(a_path(a_file(file_rows(3))))
    assert done.exit_code == 0, done.output
    assert "file.asap: complete" in done.output
    assert "3 rows: 3 stored, 0 unchanged, 0 rejected" in done.output
    assert count(url, tables.Supply) == 3


def test_the_report_as_json(url, a_path):
    done = run(a_path(a_file(file_rows(2))), "--json")
    told = json.loads(done.stdout)
    assert (told["status"], told["rows"], told["stored"], told["unchanged"], told["rejected"]) == (
        "complete", 2, 2, 0, [],
    )  # fmt: skip
    assert told["import"]
    assert told["same_as"] is None


def test_the_same_content_says_which_import_had_it_first(url, a_path):
    content = a_file(file_rows(2))
    first = json.loads(run(a_path(content), "--json").stdout)
    again = run(a_path(content.replace(b"\n", b"\r\n"), "renamed.txt"), "--json")
    told = json.loads(again.stdout)
    assert again.exit_code == 0
    assert told["same_as"] == first["import"]
    assert (told["stored"], told["unchanged"]) == (0, 2)


def test_a_dry_run_stores_nothing_and_needs_no_database(a_path, monkeypatch):
    monkeypatch.delenv("STEWARDSHIP_DATABASE_URL", raising=False)
    done = run(a_path(a_file(file_rows(2))), "--dry-run", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) | {"started_at": "", "ended_at": ""} == {
        "import": None, "same_as": None, "status": "complete", "reason": None, "format": "asap",
        "source": "file.asap", "rows": 2, "stored": 2, "unchanged": 0, "rejected_rows": 0, "rejected": [],
        "remarks": [], "pending": [], "started_at": "", "ended_at": "", "dry_run": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (a_file(file_rows(2)), 0),
        (a_file([patient(), dispensing(e10="many"), PRESCRIBER]), 1),
        (b"TH*9.9*nothing", 2),
        (b"nothing of the kind", 2),
        (a_file(file_rows(2))[:-20], 4),
        (a_file(file_rows(2), tt=99), 4),
    ],
    ids=["whole", "with a bad row", "unreadable", "no known format", "cut", "miscounted"],
)
def test_the_exit_code_says_what_became_of_it(url, a_path, content, code):
    done = run(a_path(content))
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output


def test_of_several_files_the_highest_code_counts(url, a_path):
    whole, cut = a_path(a_file(file_rows(1))), a_path(a_file(file_rows(2))[:-20], "cut.asap")
    assert run(whole, cut).exit_code == 4


def test_a_bad_row_is_told_by_line_and_element_and_never_by_what_it_says(url, a_path):
    body = [patient(e07="VERYSECRET", e18="19701399"), dispensing(), PRESCRIBER]
    done = run(a_path(a_file(body)))
    assert "PAT PAT18" in done.output
    assert "VERYSECRET" not in done.output


def test_a_state_whose_requirements_nobody_verified_is_said_to_be_so(a_path):
    done = run(a_path(a_file(file_rows(1))), "--dry-run", "--state", "oh")
    assert "what OH asks for was not verified" in done.stderr
    assert "TH TH: state-not-verified" in done.stdout
    assert run(a_path(a_file(file_rows(1))), "--dry-run", "--state", "zz").exit_code == 2


def test_a_state_of_which_nothing_is_on_file_does_not_read_as_one_that_asks_for_nothing(a_path):
    done = run(a_path(a_file(file_rows(1))), "--dry-run", "--state", "nv")
    assert done.exit_code == 0
    assert "nothing is on file of what NV asks for: the standard alone is checked" in done.stderr
    assert "TH TH: state-not-on-file" in done.stdout


def test_an_organisation_has_to_be_named_when_there_are_several(url, a_path):
    CliRunner().invoke(main, ["tokens", "issue", "ehr", "--organisation", "another"])
    done = run(a_path(a_file(file_rows(1))))
    assert done.exit_code == 2
    assert "--organisation: another, our-hospital" in done.output
    assert run(a_path(a_file(file_rows(1))), "--organisation", "nowhere").exit_code == 2
    assert run(a_path(a_file(file_rows(1))), "--organisation", "another").exit_code == 0


def test_a_csv_file_needs_a_mapping(url, a_path):
    done = run(a_path(CSV, "plan.csv"), "--format", "csv")
    assert done.exit_code == 2
    assert "mapping" in done.output


def test_the_first_rows_of_a_csv_file_are_shown_before_anything_is_stored(url, a_path):
    mapping = a_path(MAPPING, "plan.toml")
    done = run(a_path(CSV, "plan.csv"), "--mapping", mapping, "--dry-run")
    assert "line 2: " in done.output
    assert "filled_on=11/01/2026" in done.output
    assert "Testpatient" not in done.output
    assert "last=T••" in done.output
    assert count(url, import_tables.Import) == 0


def test_a_csv_file_is_stored_by_its_mapping(url, a_path):
    mapping = a_path(MAPPING, "plan.toml")
    done = run(a_path(CSV, "plan.csv"), "--mapping", mapping, "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (told["rows"], told["stored"], told["rejected_rows"]) == (3, 2, 1)
    assert told["rejected"] == [{"line": 4, "segment": "CSV", "element": "Filled", "code": "date"}]
    assert count(url, tables.Supply) == 2
    assert count(url, tables.Patient) == 1


def test_records_of_an_export_are_stored(url, a_path):
    resources = [
        {"resourceType": "Patient", "id": "p-1", "birthDate": "1970-01-01"},
        {"resourceType": "Condition", "id": "c-1", "subject": {"reference": "Patient/p-1"}},
        {"resourceType": "Organization", "id": "o-1"},
    ]
    done = run(a_path("\n".join(map(json.dumps, resources)), "export.ndjson"), "--json")
    told = json.loads(done.stdout)
    assert (told["format"], told["rows"], told["stored"]) == ("fhir", 2, 2)
    assert count(url, tables.Condition) == 1


def test_a_polite_end_stops_at_a_portion_and_says_so(url, a_path, tmp_path):
    path = a_path(
        a_file(
            segment
            for number in range(1, 30_001)
            for segment in (patient(number % 50 + 1), dispensing(number), PRESCRIBER)
        )
    )
    script = Path(sys.executable).parent / "stewardship"
    process = subprocess.Popen(
        [script, "import", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + PATIENCE
    while count(url, tables.Supply) == 0:
        assert time.monotonic() < until, "nothing is stored"
        assert process.poll() is None, "the import ended by itself"
        time.sleep(0.05)
    # Whoever checks orders on the same machine comes first.
    assert os.getpriority(os.PRIO_PROCESS, process.pid) > os.getpriority(os.PRIO_PROCESS, 0)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in out + err
    sessions = connect(url)
    with transaction(sessions, write=False) as session:
        (row,) = session.execute(select(import_tables.Import.__table__)).all()
    sessions.kw["bind"].dispose()
    assert row.status == "interrupted"
    assert row.rows == count(url, tables.Supply) > 0


# --- pharmacies ------------------------------------------------------------------------------------


def pharmacies(*arguments):
    return CliRunner().invoke(main, ["pharmacies", *arguments])


def test_a_pharmacy_that_is_silent_is_seen_until_it_is_retired(url, a_path):
    run(a_path(a_file(file_rows(1))))
    listed = pharmacies("list", ORGANISATION)
    assert listed.exit_code == 1
    assert "ncpdp:1234567" in listed.output
    assert "data to 05 Jan 2026, 09:30 UTC · silent" in listed.output
    assert pharmacies("retire", ORGANISATION, "ncpdp:1234567").exit_code == 0
    listed = pharmacies("list", ORGANISATION)
    assert (listed.exit_code, "retired" in listed.output) == (0, True)


def test_a_bound_pharmacy_reports_to_its_own_organisation_alone(url, a_path):
    run(a_path(a_file(file_rows(1))))
    assert pharmacies("bind", ORGANISATION, "ncpdp:1234567").exit_code == 0
    CliRunner().invoke(main, ["tokens", "issue", "ehr", "--organisation", "another"])
    done = run(a_path(a_file(file_rows(2))), "--organisation", "another", "--json")
    assert {fault["code"] for fault in json.loads(done.stdout)["rejected"]} == {"pharmacy-of-another"}


def test_a_pharmacy_that_nobody_knows_cannot_be_bound(url):
    done = pharmacies("bind", ORGANISATION, "ncpdp:0000000")
    assert done.exit_code == 1
    assert "no such pharmacy" in done.output
