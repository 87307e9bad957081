"""Imports: each row once, each content once, one end state whatever the order, and truth about damage."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy import select, text

from stewardship import importing
from stewardship.db import import_tables, tables, transaction
from stewardship.domain.errors import NotFound
from stewardship.domain.feeds import ImportStatus
from stewardship.importing import INCOMPLETE, UNREADABLE, WITH_REJECTIONS, exit_code, report_json
from stewardship.services import imports, rehearsal, verification
from tests.builders import NOW
from tests.intake.asap.files import PHARMACY, PRESCRIBER, a_file, dispensing, patient
from tests.intake.asap.files import rows as file_rows
from tests.services.declared import COMPLIANCE, ELSEWHERE, ORGANISATION, PHARMACIST
from tests.services.feeding import NEW, REVISE, TERMS, VOID, a_feed, a_report, bring, count, rows, supplies


def test_every_row_is_stored_once_and_counted(clinic):
    done = bring(clinic, a_file(file_rows(5)))
    assert report_json(done) | {"import": "", "started_at": "", "ended_at": ""} == {
        "import": "",
        "same_as": None,
        "status": "complete",
        "reason": None,
        "format": "asap",
        "source": "file.asap",
        "rows": 5,
        "stored": 5,
        "unchanged": 0,
        "rejected_rows": 0,
        "rejected": [],
        "remarks": [],
        "pending": [],
        "started_at": "",
        "ended_at": "",
    }
    assert len(supplies(clinic)) == 5
    assert count(clinic, import_tables.DispensingReport) == 5


# --- the same content again ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "again",
    [
        lambda content: content,
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content.replace(b"\n", b""),
        lambda content: content.replace(b"~", b"|"),
    ],
    ids=["renamed", "crlf", "one line", "another terminator"],
)
def test_the_same_content_changes_nothing_and_names_the_first(clinic, again):
    content = a_file(file_rows(3))
    first = bring(clinic, content)
    before = supplies(clinic)
    second = bring(clinic, again(content), name="../../other name.txt", now=NOW + timedelta(hours=1))
    assert second.same_as == first.report.id
    assert (second.report.stored, second.report.unchanged) == (0, 3)
    assert supplies(clinic) == before
    assert count(clinic, import_tables.DispensingReport) == 3
    assert count(clinic, import_tables.Import) == 1


def test_two_organisations_import_the_same_content_each_for_itself(clinic):
    content = a_file(file_rows(2))
    assert bring(clinic, content).same_as is None
    assert bring(clinic, content, by=ELSEWHERE).same_as is None
    assert len(supplies(clinic)) == len(supplies(clinic, organisation="org-2")) == 2


def test_of_two_at_once_one_stores(clinic):
    content = a_file(file_rows(40))
    done = []

    def one():
        done.append(bring(clinic, content, portion=5))

    both = [threading.Thread(target=one) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)
    first, second = sorted(done, key=lambda d: d.same_as is not None)
    assert (first.same_as, second.same_as) == (None, first.report.id)
    assert count(clinic, import_tables.DispensingReport) == len(supplies(clinic)) == 40


def test_two_files_of_the_same_patients_at_once_make_each_patient_once(clinic):
    def a_half(start):
        body = [
            s
            for number in range(start, start + 30)
            for s in (patient(number % 7 + 1), dispensing(number), PRESCRIBER)
        ]
        return a_file(body, control=f"C{start}")

    both = [
        threading.Thread(target=bring, args=(clinic, a_half(start)), kwargs={"portion": 4})
        for start in (1, 31)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)
    assert count(clinic, tables.Patient) == 7
    assert len(supplies(clinic)) == 60


# --- New, Revise, Void -----------------------------------------------------------------------------

VERSIONS = {
    NEW: a_report(NEW, control="1", created="20260105*0900", e09="20"),
    REVISE: a_report(REVISE, control="2", created="20260106*0900", e09="30"),
    VOID: a_report(VOID, control="3", created="20260107*0900", e09="30"),
}


@pytest.mark.parametrize("which", [(NEW, REVISE), (NEW, VOID), (NEW, REVISE, VOID)], ids="-".join)
def test_every_order_of_arrival_has_one_end(database_url, open_database, clinic, which):
    ends = set()
    for order in permutations(which):
        with transaction(clinic) as session:
            # A database that only grows is put back by taking the tables' guards away.
            clear(session)
        for status in order:
            bring(clinic, VERSIONS[status])
        ends.add(frozenset(supplies(clinic)))
        assert pending(clinic) == []
        assert count(clinic, import_tables.DispensingReport) == len(which)
    (end,) = ends
    assert len(end) == (0 if VOID in which else 1)
    if VOID not in which:
        ((_, _, quantity, _, _),) = end
        assert quantity == 30


def clear(session):
    """Forget all imports and what came with them."""
    postgresql = session.get_bind().dialect.name == "postgresql"
    names = (
        "dispensing_reports",
        "report_sources",
        "identity_links",
    )
    for name in names:
        if postgresql:
            session.execute(text(f"ALTER TABLE {name} DISABLE TRIGGER USER"))
        else:
            session.execute(text(f"DROP TRIGGER IF EXISTS {name}_no_delete"))
    for name in (
        "dispensing_reports",
        "identity_links",
        "match_candidates",
        "identity_identifiers",
        "patient_identities",
        "report_sources",
        "import_faults",
        "imports",
        "supplies",
        "patients",
    ):
        session.execute(text(f"DELETE FROM {name}"))  # noqa: S608


def pending(clinic):
    with transaction(clinic, write=False) as session:
        found = session.execute(select(import_tables.Import.__table__.c.id)).scalars().all()
        return [one for i in found for one in imports.read(session, i, by=COMPLIANCE).pending]


def test_a_void_of_what_nobody_reported_is_listed_until_the_new_comes(clinic):
    done = bring(clinic, VERSIONS[VOID])
    ((dispensing_id, line),) = [(p["dispensing_id"], p["line"]) for p in done.report.pending]
    assert dispensing_id.startswith("dispensing-")
    assert line == 5
    assert supplies(clinic) == set()
    bring(clinic, VERSIONS[NEW])
    assert pending(clinic) == []
    assert supplies(clinic) == set()


def test_a_revise_of_what_nobody_reported_is_what_the_patient_has(clinic):
    done = bring(clinic, VERSIONS[REVISE])
    assert [p["reporting"] for p in done.report.pending] == ["revise"]
    ((_, _, quantity, _, _),) = supplies(clinic)
    assert quantity == 30


def test_a_revise_that_names_another_patient_takes_the_dispensing_with_it(clinic):
    bring(clinic, a_report(NEW, of=1, created="20260105*0900"))
    bring(clinic, a_report(REVISE, of=2, control="2", created="20260106*0900"))
    (row,) = rows(clinic, select(tables.Supply.__table__.c.patient_id))
    identity = import_tables.Identity.__table__.c
    known = rows(clinic, select(identity.patient_id, identity.document))
    owners = {one.patient_id for one in known if "TESTPATIENT2" in one.document}
    assert owners == {row.patient_id}


def test_rows_sent_again_in_another_file_change_nothing(clinic):
    bring(clinic, a_file(file_rows(3)))
    before = supplies(clinic)
    done = bring(clinic, a_file(file_rows(4), control="0002", created="20260106*0900"))
    assert (done.report.stored, done.report.unchanged) == (1, 3)
    assert before < supplies(clinic)


@pytest.mark.parametrize("portion", [1, 1000])
def test_a_row_that_is_twice_in_a_file_is_stored_once_wherever_the_file_is_divided(clinic, portion):
    done = bring(clinic, a_file(file_rows(2), file_rows(2)), portion=portion)
    assert (done.report.rows, done.report.stored, done.report.unchanged) == (4, 2, 2)
    assert len(supplies(clinic)) == 2


def test_an_animals_medicine_is_kept_and_is_nobodys(clinic):
    done = bring(clinic, a_report(who={"e20": "02", "e23": "REX"}))
    assert done.report.stored == 1
    assert count(clinic, import_tables.DispensingReport) == 1
    assert supplies(clinic) == set()
    assert count(clinic, tables.Patient) == 0


# --- damage ----------------------------------------------------------------------------------------


def test_a_bad_row_is_told_with_its_place_and_the_others_are_stored(clinic):
    body = file_rows(3)
    body[4] = dispensing(2, e10="many")
    done = bring(clinic, a_file(body))
    ((fault),) = report_json(done)["rejected"]
    assert (fault["segment"], fault["element"], fault["line"]) == ("DSP", "DSP10", 8)
    assert set(fault) == {"line", "segment", "element", "code"}
    assert (done.report.rows, done.report.stored, done.report.rejected) == (3, 2, 1)
    assert exit_code(done) == WITH_REJECTIONS
    fixed = bring(clinic, a_file(file_rows(3), control="0002"))
    assert (fixed.report.stored, fixed.report.unchanged) == (1, 2)
    assert len(supplies(clinic)) == 3


def test_a_fill_of_a_day_to_come_is_refused(clinic):
    done = bring(clinic, a_report(e05="20270105"))
    assert [(f.element, f.code) for f in done.report.faults] == [("DSP05", "in-future")]


@pytest.mark.parametrize(
    ("state", "codes"), [("", []), ("CO", ["state-not-verified"]), ("NV", ["state-not-on-file"])]
)
def test_the_report_says_how_far_the_requirements_of_a_state_were_looked_at(clinic, state, codes):
    feed = a_feed(a_report(e11="01", e12="01", e16="01"), state=state)
    done = importing.take_in(clinic, TERMS, feed, by=PHARMACIST, clock=lambda: NOW)
    assert (done.report.status, done.report.stored) == (ImportStatus.COMPLETE, 1)
    assert [remark["code"] for remark in report_json(done)["remarks"]] == codes


def test_a_file_made_to_try_things_out_is_no_dispensing(clinic):
    done = bring(clinic, a_report().replace(b"*P**~", b"*T**~"))
    assert [(f.element, f.code) for f in done.report.faults] == [("TH07", "test-file")]
    assert supplies(clinic) == set()


def test_a_cut_file_is_never_complete_and_the_whole_one_adds_the_rest(sqlite_database):
    from stewardship.services import organisations

    with transaction(sqlite_database) as session:
        organisations.ensure(session, ORGANISATION, name="One", by=COMPLIANCE, now=NOW)
    whole = a_file(file_rows(6))
    for cut in range(1, len(whole) - 1, 37):
        done = bring(sqlite_database, whole[:cut])
        assert done.report.status in {ImportStatus.INCOMPLETE, ImportStatus.FAILED}, cut
        assert exit_code(done) in {INCOMPLETE, UNREADABLE}
        assert done.report.stored + done.report.unchanged + done.report.rejected == done.report.rows
    done = bring(sqlite_database, whole)
    assert done.report.status is ImportStatus.COMPLETE
    assert len(supplies(sqlite_database)) == 6


def test_something_that_is_no_file_of_dispensings_fails_and_says_so(clinic):
    done = bring(clinic, b"%PDF-1.4 nothing of the kind")
    assert (done.report.status, done.report.reason) == (ImportStatus.FAILED, "unreadable")
    assert exit_code(done) == UNREADABLE


# --- interruption ----------------------------------------------------------------------------------


class Pulled(BaseException):
    """The plug."""


def test_what_was_interrupted_goes_on_behind_the_last_portion(clinic):
    content = a_file(file_rows(20))

    def pull(position):
        if position >= 12:
            raise Pulled

    with pytest.raises(Pulled):
        bring(clinic, content, portion=4, progress=pull)
    with transaction(clinic, write=False) as session:
        (import_id,) = session.execute(select(import_tables.Import.__table__.c.id)).scalars()
        stopped = imports.read(session, import_id, by=COMPLIANCE)
    assert (stopped.status, stopped.position, stopped.rows) == (ImportStatus.INTERRUPTED, 12, 12)
    done = bring(clinic, content, portion=4)
    assert (done.report.id, done.report.status, done.report.rows) == (import_id, ImportStatus.COMPLETE, 20)
    assert done.same_as is None
    assert count(clinic, import_tables.DispensingReport) == len(supplies(clinic)) == 20


def test_an_audit_that_cannot_be_written_stores_nothing(clinic, monkeypatch):
    from stewardship.services import audit

    real = audit.record

    def failing(session, action, **more):
        if action == "import.stored":
            raise RuntimeError("full")
        real(session, action, **more)

    monkeypatch.setattr(audit, "record", failing)
    with pytest.raises(RuntimeError):
        bring(clinic, a_file(file_rows(3)))
    assert supplies(clinic) == set()
    assert count(clinic, import_tables.DispensingReport) == 0


def test_every_portion_leaves_its_entry_in_the_chain_and_no_name(clinic):
    bring(clinic, a_file(file_rows(10)), portion=4)
    with transaction(clinic, write=False) as session:
        found = session.execute(
            text("SELECT action, detail FROM audit_events WHERE action LIKE 'import%' ORDER BY seq")
        ).all()
        whole = verification.verify(session, organisation_id=ORGANISATION)
    assert [row.action for row in found] == [
        "import.begun", "import.stored", "import.stored", "import.stored", "import.ended",
    ]  # fmt: skip
    assert "TEST" not in "".join(row.detail for row in found)
    assert whole.fault is None


# --- whose files -----------------------------------------------------------------------------------


def test_another_organisations_import_is_not_there(clinic):
    done = bring(clinic, a_report())
    with transaction(clinic, write=False) as session, pytest.raises(NotFound):
        imports.read(session, done.report.id, by=ELSEWHERE)


def test_a_pharmacy_that_is_bound_elsewhere_does_not_report_here(clinic):
    from stewardship.services import pharmacies

    bring(clinic, a_report(), by=ELSEWHERE)
    with transaction(clinic) as session:
        pharmacies.bind(session, "ncpdp:1234567", by=ELSEWHERE, now=NOW)
    by_another_number = PHARMACY.replace("*1234567*", "**")
    forged = a_file(file_rows(2), control="9", pharmacy=by_another_number)
    for content in (a_report(NEW, 2, control="2"), forged):
        done = bring(clinic, content)
        assert {(f.segment, f.code) for f in done.report.faults} == {("PHA", "pharmacy-of-another")}
    assert supplies(clinic) == set()


def test_a_files_name_is_data_and_nothing_else(clinic, tmp_path):
    done = bring(clinic, a_report(), name="../../../etc/\npolicy.toml\x00")
    assert done.report.source == "../../../etc/policy.toml"


# --- trying a file out -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "segments",
    [
        lambda: file_rows(3) + file_rows(3),
        lambda: [patient(1), dispensing(1), PRESCRIBER, dispensing(1, e01=VOID), PRESCRIBER],
        lambda: [patient(1), *(s for n in (VOID, REVISE, VOID) for s in (dispensing(1, e01=n), PRESCRIBER))],
        lambda: [patient(1), dispensing(1), PRESCRIBER, patient(2), dispensing(1), PRESCRIBER],
        lambda: [*file_rows(2), patient(1), dispensing(1, e01=REVISE), PRESCRIBER, *file_rows(1)],
    ],
    ids=["twice", "voided", "revised after its void", "of another patient", "revised and again as new"],
)
def test_a_rehearsal_counts_rows_as_the_import_does(clinic, segments):
    content = a_file(segments())
    tried = importing.rehearse(a_feed(content), TERMS, now=NOW).report
    done = bring(clinic, content).report
    assert (tried.rows, tried.stored, tried.unchanged) == (done.rows, done.stored, done.unchanged)


def test_dispensings_that_share_a_bit_are_told_apart(monkeypatch):
    monkeypatch.setattr(rehearsal, "_BITS", 8)
    tried = importing.rehearse(a_feed(a_file(file_rows(20) + file_rows(5))), TERMS, now=NOW).report
    assert (tried.rows, tried.stored, tried.unchanged) == (25, 20, 5)
