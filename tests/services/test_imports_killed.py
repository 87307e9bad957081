"""An import that is killed at any moment loses nothing and doubles nothing, and its status is true."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import func, select

from stewardship.db import import_tables, tables, transaction
from stewardship.domain.feeds import ImportStatus
from stewardship.services import imports, verification
from tests.intake.asap.files import PRESCRIBER, a_file, dispensing, patient
from tests.services.declared import COMPLIANCE, ORGANISATION
from tests.services.feeding import bring

ROOT = Path(__file__).resolve().parents[2]
ROWS, PEOPLE, PORTION = 10_000, 500, 250
#: How many kills. A release asks for 30: ``IMPORT_KILLS=30 pytest tests/services/test_imports_killed.py``.
#: (Not under the service's own prefix, for what has that is taken away from the tests.)
KILLS = int(os.environ.get("IMPORT_KILLS", "6"))
#: A process is killed when it has stored so many items at the most, of the ten thousand and some that a file
#: has, and within so many seconds more: somewhere in the next ones, or, behind none, while it starts.
BEHIND, WITHIN = 3000, 0.25


def content(number: int) -> bytes:
    """A file of ten thousand rows; each number gives others of the same patients."""
    first = number * ROWS + 1
    return a_file(
        (
            segment
            for row in range(first, first + ROWS)
            for segment in (patient(row % PEOPLE + 1), dispensing(row), PRESCRIBER)
        ),
        control=f"file-{number}",
    )


def killed(url: str, file: Path, behind: int, after: float) -> bool:
    """Import the file in a process that is killed so many seconds after it has stored so many items; whether
    it was still at work."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.services.killed", url, str(file), str(PORTION)],
        cwd=ROOT, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = None
        while behind:
            said = process.stdout.readline()
            if not said.strip().isdigit():
                break
            first = int(said) if first is None else first
            if int(said) - first >= behind:
                break
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def test_files_of_ten_thousand_rows_are_there_once_however_often_their_imports_are_killed(
    clinic, database_url, tmp_path
):
    chance = random.Random(20261121)  # noqa: S311 - chosen moments, the same every time
    kills = whole = halfway = 0
    while kills < KILLS:
        file = tmp_path / f"file-{whole}"
        file.write_bytes(content(whole))
        # Every few kills a file has ended all the same, so that later files are killed, too.
        hit = killed(database_url, file, chance.randrange(BEHIND), chance.random() * WITHIN)
        kills += hit
        told, reports, supplies = stored(clinic, file.name)
        rows = 0 if told is None else told.rows
        assert reports == supplies == whole * ROWS + rows
        if told is None:
            continue
        # Killed between its last portion and its end it is complete; never the other way round.
        assert told.status is ImportStatus.COMPLETE or (hit and told.status is ImportStatus.INTERRUPTED)
        assert told.rows == told.stored == min(told.position, ROWS)
        halfway += hit and 0 < told.rows < ROWS
        if told.status is ImportStatus.COMPLETE:
            assert told.rows == ROWS
            whole += 1
    assert halfway, "no process was killed while it worked"
    done = bring(clinic, content(whole))
    assert (done.report.status, done.report.rows) == (ImportStatus.COMPLETE, ROWS)
    rows = (whole + 1) * ROWS
    assert number_of(clinic, import_tables.DispensingReport) == number_of(clinic, tables.Supply) == rows
    assert number_of(clinic, tables.Patient) == PEOPLE
    with transaction(clinic, write=False) as session:
        assert verification.verify(session, organisation_id=ORGANISATION).fault is None


def stored(clinic, name):
    """The import of the file of that name, if it has begun, with the counts of reports and supplies: when
    nobody works on it, and a server that still ends what its killed client began has ended it."""
    until = time.monotonic() + 20
    while True:
        before = status(clinic, name)
        counted = (number_of(clinic, import_tables.DispensingReport), number_of(clinic, tables.Supply))
        if before == status(clinic, name) and (before is None or before.status is not ImportStatus.RUNNING):
            return before, *counted
        assert time.monotonic() < until, "the import is still called running"
        time.sleep(0.05)


def status(clinic, name):
    with transaction(clinic, write=False) as session:
        table = import_tables.Import.__table__.c
        found = session.execute(select(table.id).where(table.source == name)).scalar()
        return None if found is None else imports.read(session, found, by=COMPLIANCE)


def number_of(clinic, table):
    with transaction(clinic, write=False) as session:
        return session.execute(select(func.count()).select_from(table.__table__)).scalar_one()
