"""An import that is killed at any moment loses nothing and doubles nothing, and its status is true."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from stewardship.db import import_tables, tables, transaction
from stewardship.domain.feeds import ImportStatus
from stewardship.services import imports, verification
from tests.intake.asap.files import PRESCRIBER, a_file, dispensing, patient
from tests.services.declared import COMPLIANCE, ORGANISATION
from tests.services.feeding import bring

ROOT = Path(__file__).resolve().parents[2]
ROWS, PEOPLE, PORTION = 10_000, 500, 250
#: How many times; a release asks for more (STEWARDSHIP_TEST_KILLS=30).
KILLS = int(os.environ.get("STEWARDSHIP_TEST_KILLS", "10"))


@pytest.fixture(scope="module")
def content() -> bytes:
    return a_file(
        segment
        for number in range(1, ROWS + 1)
        for segment in (patient(number % PEOPLE + 1), dispensing(number), PRESCRIBER)
    )


def test_a_file_of_ten_thousand_rows_is_there_once_however_often_its_import_is_killed(
    clinic, database_url, content, tmp_path
):
    file = tmp_path / "file.asap"
    file.write_bytes(content)
    chance = random.Random(20261121)  # noqa: S311 - chosen moments, the same every time
    killed = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.services.killed", database_url, str(file), str(PORTION)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        # Within its first few portions: so that every start gets on, and every kill finds it at work.
        for _ in range(chance.randrange(0, 4)):
            process.stdout.readline()
        time.sleep(chance.random() * 0.2)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
        told = status(clinic)
        if told is not None:
            assert (
                told.status is (ImportStatus.COMPLETE if "complete" in rest else ImportStatus.INTERRUPTED)
                or told.status is ImportStatus.COMPLETE
            )
            assert told.rows == told.stored == number_of(clinic, import_tables.DispensingReport)
            assert told.rows == number_of(clinic, tables.Supply)
    assert killed >= KILLS // 2
    done = bring(clinic, content)
    assert (done.report.status, done.report.rows) == (ImportStatus.COMPLETE, ROWS)
    assert number_of(clinic, import_tables.DispensingReport) == number_of(clinic, tables.Supply) == ROWS
    assert number_of(clinic, tables.Patient) == PEOPLE
    with transaction(clinic, write=False) as session:
        assert verification.verify(session, organisation_id=ORGANISATION).fault is None


def status(clinic):
    """The import, as soon as the server has noticed that nobody works on it any more."""
    until = time.monotonic() + 10
    while True:
        with transaction(clinic, write=False) as session:
            found = session.execute(select(import_tables.Import.__table__.c.id)).scalar()
            told = None if found is None else imports.read(session, found, by=COMPLIANCE)
        if told is None or told.status is not ImportStatus.RUNNING or time.monotonic() > until:
            return told
        time.sleep(0.05)


def number_of(clinic, table):
    with transaction(clinic, write=False) as session:
        return session.execute(select(func.count()).select_from(table.__table__)).scalar_one()
