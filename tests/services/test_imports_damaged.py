"""Damaged files through the whole service, on both databases: what is good in them is stored once, what is
bad is told with its place, and a cut file is never complete.

What the service does with a file depends on the items that its feed gives, and on whether its content was
there before. So of the thousands of places at which a file may be cut, one of each kind that gives other
items is enough, and the last one, whose words are those of the whole file; the suite sends a share of those
through. That the reader is right at every single byte is held beside it. More:

    IMPORT_DAMAGE=kinds pytest tests/services/test_imports_damaged.py    one cut of each kind
    IMPORT_DAMAGE=all pytest tests/services/test_imports_damaged.py      every byte, mutation, the large file
"""

from __future__ import annotations

import os
import random
from dataclasses import replace

import pytest
from sqlalchemy import select

from stewardship.db import Sessions, import_tables, tables, transaction
from stewardship.domain.feeds import ImportStatus
from stewardship.domain.people import Principal
from stewardship.importing import INCOMPLETE, UNREADABLE, exit_code
from stewardship.services import organisations
from tests.builders import NOW
from tests.intake.asap.files import PRESCRIBER, a_file, dispensing, patient
from tests.intake.asap.test_damage import FORTY, mutations, spoilt
from tests.services.declared import PHARMACIST
from tests.services.feeding import a_feed, bring, rows

DAMAGE = os.environ.get("IMPORT_DAMAGE", "")
ALL = DAMAGE == "all"
LARGE, OF_THEM_BAD = (10_000, 100) if ALL else (1_000, 10)


def cuts() -> list[int]:
    """Places to cut at: every byte, or the first of those that give the same items; of these, if nothing
    more was asked for, those in the first and last rows and some in between."""
    whole = range(1, len(FORTY))
    if ALL:
        return list(whole)
    chance = random.Random(7)  # noqa: S311 - seeded on purpose
    some = [*whole[:700], *sorted(chance.sample(whole[700:-300], 30)), *whole[-300:]]
    found, before = [], None
    for cut in whole if DAMAGE else some:
        items = list(a_feed(FORTY[:cut]).items())
        # Cut behind its last letter a file says all that the whole one says, but for its end.
        if items != before or cut == whole[-1]:
            found.append(cut)
        before = items
    return found


def an_organisation(database: Sessions, name: str) -> Principal:
    """A pharmacist of an organisation of its own: a new beginning in the same database."""
    by = replace(PHARMACIST, organisation_id=name)
    with transaction(database) as session:
        organisations.ensure(session, name, name=name, by=by, now=NOW)
    return by


def held(database: Sessions, by: Principal) -> set[str]:
    """The dispensings that the patients of an organisation have."""
    table = tables.Supply.__table__.c
    return set(database_column(database, select(table.source_id).where(_of(table, by))))


def reports(database: Sessions, by: Principal) -> list[str]:
    """The dispensings of which an organisation was told, once for each report."""
    table = import_tables.DispensingReport.__table__.c
    return database_column(database, select(table.dispensing_id).where(_of(table, by)))


def database_column(database: Sessions, asked) -> list[str]:
    return [row[0] for row in rows(database, asked)]


def _of(table, by: Principal):
    return table.organisation_id == by.organisation_id


def test_a_file_cut_anywhere_is_never_complete_and_the_whole_one_gives_the_rest(database):
    by = an_organisation(database, "org-cuts")
    known: set[str] = set()
    tried = 0
    for cut in cuts():
        done = bring(database, FORTY[:cut], by=by, name=f"cut at {cut}")
        report = done.report
        assert report.status in {ImportStatus.INCOMPLETE, ImportStatus.FAILED}, cut
        assert exit_code(done) in {INCOMPLETE, UNREADABLE}, cut
        assert report.rows == report.stored + report.unchanged + report.rejected, cut
        now = held(database, by)
        assert known <= now, cut
        assert report.stored == len(now - known), cut
        known, tried = now, tried + 1
    assert tried > 2 * 25
    # The last row is given out when what follows it has come, which is the trailer here.
    assert len(known) >= 39
    done = bring(database, FORTY, by=by)
    assert (done.report.status, done.report.rows, done.report.rejected) == (ImportStatus.COMPLETE, 40, 0)
    assert len(held(database, by)) == len(reports(database, by)) == 40


@pytest.mark.parametrize("cut", [300, 2_000, 5_000, len(FORTY) - 10])
def test_a_file_that_was_cut_before_anything_else_came_gives_the_same_end(database, cut):
    by = an_organisation(database, "org-cut")
    bring(database, FORTY[:cut], by=by)
    done = bring(database, FORTY, by=by)
    assert done.report.status is ImportStatus.COMPLETE
    assert len(held(database, by)) == len(reports(database, by)) == 40


def test_each_spoilt_element_is_told_and_the_corrected_file_adds_exactly_the_missing_row(database):
    every = mutations(200)
    for number, (row, segment, element, value, code) in enumerate(every[:: 1 if ALL else 10]):
        by = an_organisation(database, f"org-mutation-{number}")
        content, line = spoilt(row, segment, element, value)
        report = bring(database, content, by=by).report
        told = [(f.line, f.segment, f.element, f.code) for f in report.faults]
        assert told == [(line, segment, element, code)]
        assert (report.rows, report.stored, report.rejected) == (40, 39, 1)
        before = held(database, by)
        assert len(before) == 39
        done = bring(database, FORTY, by=by)
        assert (done.report.stored, done.report.unchanged, done.report.rejected) == (1, 39, 0)
        assert before < held(database, by)
        assert len(held(database, by)) == len(reports(database, by)) == 40


def test_one_bad_row_in_a_hundred_of_a_large_file(database):
    by = an_organisation(database, "org-large")
    chance = random.Random(6)  # noqa: S311 - seeded on purpose
    bad = set(chance.sample(range(1, LARGE + 1), OF_THEM_BAD))

    def content(*, spoil: bool) -> bytes:
        return a_file(
            segment
            for n in range(1, LARGE + 1)
            for segment in (
                patient(n % 400 + 1), dispensing(n, e09="?" if spoil and n in bad else "20"), PRESCRIBER,
            )
        )  # fmt: skip

    report = bring(database, content(spoil=True), by=by).report
    assert (report.rows, report.stored, report.rejected) == (LARGE, LARGE - OF_THEM_BAD, OF_THEM_BAD)
    assert [(f.line, f.element) for f in report.faults] == [(3 * n + 2, "DSP09") for n in sorted(bad)]
    corrected = bring(database, content(spoil=False), by=by).report
    assert (corrected.stored, corrected.rejected) == (OF_THEM_BAD, 0)
    assert len(held(database, by)) == LARGE
