"""The watch: who is looked at and who is passed over, portions and crashes, and what time alone brings."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from stewardship.db import tables, transaction
from stewardship.domain.errors import Conflict
from stewardship.domain.flags.kinds import GONE, Status
from stewardship.services import flags, watch
from tests.builders import NOW, a_drug
from tests.domain.flagging import DIAZEPAM, OXYCODONE_ER
from tests.flags.feeding import declared, fill, in_queue, put, remove, watched
from tests.flags.raising import PATIENT, WATCH, act, add_patients, queue
from tests.services.declared import ELSEWHERE

BESIDE, EARLY, FALLING = "opioid-with-benzodiazepine", "early-refill", "dose-falling-fast"
TONIGHT = NOW + timedelta(hours=10)


def night(number):
    return NOW + timedelta(days=number)


def kinds(clinic, **asked):
    return sorted(flag.kind for flag in queue(clinic, **asked))


def test_what_pharmacies_report_becomes_flags(clinic):
    put(clinic, PATIENT, fill(20), fill(10, drug=DIAZEPAM))
    done = watched(clinic)
    assert (done.patients, done.looked, done.opened, done.failed) == (1, 1, 1, 0)
    (flag,) = queue(clinic)
    assert (flag.kind, flag.raised_by, flag.patient) == (BESIDE, "watch", PATIENT)


def test_a_second_watch_reads_nobody_and_changes_nothing(clinic):
    put(clinic, PATIENT, fill(20), fill(10, drug=DIAZEPAM))
    watched(clinic)
    before = in_queue(clinic)
    again = watched(clinic, now=TONIGHT)
    assert (again.patients, again.looked, again.opened) == (1, 0, 0)
    assert in_queue(clinic) == before


def test_a_patient_without_supplies_is_passed_over(clinic):
    add_patients(clinic, "pat-2", "pat-3")
    assert watched(clinic).looked == 0


@pytest.mark.parametrize("change", ["new", "revised", "void"])
def test_who_has_new_facts_is_looked_at_and_nobody_else(clinic, change):
    add_patients(clinic, "pat-2")
    opioid, beside = fill(20), fill(10, drug=DIAZEPAM)
    put(clinic, PATIENT, opioid, beside)
    put(clinic, "pat-2", fill(20))
    assert watched(clinic).looked == 2
    if change == "new":
        put(clinic, PATIENT, fill(1), now=TONIGHT)
    elif change == "revised":
        put(clinic, PATIENT, replace(beside, days_supply=opioid.days_supply), now=TONIGHT)
    else:
        remove(clinic, beside)
    assert watched(clinic, now=TONIGHT + timedelta(minutes=1)).looked == 1


def test_a_void_ends_the_flag_that_rested_on_it(clinic):
    beside = fill(10, drug=DIAZEPAM)
    put(clinic, PATIENT, fill(20), beside)
    watched(clinic)
    remove(clinic, beside)
    assert watched(clinic, now=TONIGHT).closed == 1
    (flag,) = queue(clinic, status=(Status.RESOLVED,))
    assert (flag.kind, flag.resolution) == (BESIDE, GONE)


def test_a_pattern_that_a_late_row_moves_stays_one_flag(clinic):
    put(clinic, PATIENT, fill(20), fill(10, drug=DIAZEPAM, id="d-1"))
    watched(clinic)
    put(clinic, PATIENT, fill(15, 12, drug=DIAZEPAM, id="d-0"), now=TONIGHT)
    done = watched(clinic, now=night(1))
    assert (done.opened, done.closed) == (0, 0)
    (flag,) = queue(clinic)
    assert (flag.label, flag.version) == ("d-0", 2)


def test_what_ended_long_ago_is_history_and_no_flag(clinic):
    put(clinic, PATIENT, fill(400), fill(390, drug=DIAZEPAM))
    assert watched(clinic).opened == 0


def test_a_flag_that_is_open_stays_when_its_problem_has_ended_long_ago(clinic):
    put(clinic, PATIENT, fill(20), fill(10, drug=DIAZEPAM))
    watched(clinic)
    put(clinic, PATIENT, fill(-100), now=night(99))
    watched(clinic, now=night(100))
    assert BESIDE in kinds(clinic)


def test_a_medicine_that_nobody_recognises_is_a_flag_for_each_medicine(small_clinic):
    strange = a_drug(code="strange")
    other = a_drug("other", code="other")
    put(small_clinic, PATIENT, fill(20, drug=strange), fill(10, drug=strange), fill(9, drug=other))
    watched(small_clinic)
    told = [flag for flag in queue(small_clinic) if flag.kind == "unchecked-dispensing"]
    assert sorted(flag.facts["dispensings"] for flag in told) == [1, 2]


def test_another_organisation_is_not_looked_at(clinic):
    put(clinic, PATIENT, fill(20), fill(10, drug=DIAZEPAM), organisation=ELSEWHERE.organisation_id)
    assert watched(clinic).looked == 0


# --- time ------------------------------------------------------------------------------------------


def long_use():
    # 120 MME a day for four months, the last of it until 5 days ago.
    return [fill(on, 30, drug=OXYCODONE_ER, quantity=81) for on in (124, 94, 64, 34)]


def test_an_end_of_supply_is_seen_on_the_day_on_which_it_counts_as_ended(clinic):
    put(clinic, PATIENT, *long_use())
    watched(clinic)
    assert FALLING not in kinds(clinic)
    assert watched(clinic, now=night(1)).looked == 0
    assert watched(clinic, now=night(2)).looked == 1
    assert FALLING in kinds(clinic)


def test_a_flag_that_time_alone_has_ended_stays_until_somebody_looks(small_clinic):
    put(small_clinic, PATIENT, *long_use())
    watched(small_clinic, now=night(2))
    assert FALLING in kinds(small_clinic)
    # The supplies are read again because of something that has nothing to do with it.
    put(
        small_clinic,
        PATIENT,
        fill(-60, 3, drug=a_drug("ibuprofen", "5640", "400", code="i", classes=frozenset())),
        now=night(60),
    )
    assert watched(small_clinic, now=night(61)).looked == 1
    assert FALLING in kinds(small_clinic)


def test_a_refill_that_comes_in_late_takes_back_that_it_ended(clinic):
    put(clinic, PATIENT, *long_use())
    watched(clinic, now=night(2))
    put(clinic, PATIENT, fill(4, 30, drug=OXYCODONE_ER, quantity=81), now=night(2))
    watched(clinic, now=night(3))
    assert FALLING not in kinds(clinic)


# --- portions --------------------------------------------------------------------------------------


def a_population(clinic, patients=7):
    ids = [f"pat-{n}" for n in range(2, patients + 1)]
    add_patients(clinic, *ids)
    for patient in (PATIENT, *ids):
        put(clinic, patient, fill(20, id=f"o-{patient}"), fill(10, drug=DIAZEPAM, id=f"d-{patient}"))
    return patients


class Killed(BaseException):
    """What no handler of ours catches, as a process that is gone."""


@pytest.mark.parametrize(
    ("where", "at"),
    # Three portions and the end, which writes nothing about patients' supplies and marks nobody.
    [
        (where, at)
        for where, most in (("bring_up", 5), ("_mark", 3), ("_advance", 4))
        for at in range(1, most + 1)
    ],
)
def test_a_watch_that_is_killed_between_any_two_portions_loses_and_doubles_nothing(
    small_clinic, monkeypatch, at, where
):
    a_population(small_clinic, 5)
    calls = []
    real = getattr(watch, where)

    def failing(*args, **more):
        calls.append(1)
        done = real(*args, **more)
        if len(calls) == at:
            raise Killed
        return done

    with monkeypatch.context() as patched:
        patched.setattr(watch, where, failing)
        with pytest.raises(Killed):
            watched(small_clinic, portion=2)
    with transaction(small_clinic, write=False) as session:
        begun = watch.latest(session, by=WATCH)
    done = watched(small_clinic, portion=2)
    assert done.watch_id == begun.watch_id
    assert (done.patients, done.looked, done.opened) == (5, 5, 5)
    assert [row[0] for row in in_queue(small_clinic)] == [f"pat-{n}" for n in range(1, 6)]
    assert watched(small_clinic, now=TONIGHT).looked == 0


@pytest.mark.parametrize("portion", [1, 3, 200])
def test_the_size_of_a_portion_changes_nothing(small_clinic, portion):
    assert a_population(small_clinic) == 7
    done = watched(small_clinic, portion=portion)
    assert (done.patients, done.looked, done.opened) == (7, 7, 7)


def test_patients_who_are_passed_over_do_not_hide_those_behind_them(clinic, monkeypatch):
    a_population(clinic)
    watched(clinic)
    put(clinic, "pat-6", fill(1, id="x"), now=TONIGHT)
    monkeypatch.setattr(watch, "RANGE", 2)
    done = watched(clinic, now=night(1), portion=1)
    assert (done.patients, done.looked) == (7, 1)


def test_of_two_at_one_watch_the_second_is_told_and_nothing_is_done_twice(clinic):
    a_population(clinic)
    with transaction(clinic, late=True) as session:
        watch.step(session, declared(), by=WATCH, now=NOW, portion=2)
        row = watch._going_on(session, WATCH)
    with transaction(clinic, late=True) as session:
        watch.step(session, declared(), by=WATCH, now=NOW, portion=2)
    with pytest.raises(Conflict, match="somebody else"), transaction(clinic) as session:
        watch._advance(session, row, "pat-2", {"looked": 2}, by=WATCH, now=NOW)
    assert watched(clinic).looked == 7


def test_facts_that_come_while_they_are_read_are_seen_by_the_next_watch(clinic):
    put(clinic, PATIENT, fill(20))
    # Committed by somebody whose moment is later than that of the step.
    put(clinic, PATIENT, fill(10, drug=DIAZEPAM), now=NOW + timedelta(seconds=1))
    watched(clinic, now=NOW)
    assert kinds(clinic) == []
    watched(clinic, now=TONIGHT)
    assert kinds(clinic) == [BESIDE]


def test_a_patient_who_cannot_be_looked_at_is_a_flag_and_stops_nobody(clinic, monkeypatch):
    a_population(clinic, 3)
    real = watch.raised

    def failing(whole, rules):
        if any(row.id == "o-pat-2" for row in whole.rows):
            raise ZeroDivisionError("of Mr. Nobody")
        return real(whole, rules)

    with monkeypatch.context() as patched:
        patched.setattr(watch, "raised", failing)
        done = watched(clinic)
        assert (done.looked, done.failed, done.opened) == (3, 1, 3)
        (flag,) = queue(clinic, kinds=["not-watched"])
        assert dict(flag.facts) == {"fault": "ZeroDivisionError"}
        # He is due again the next night, and has one flag.
        assert watched(clinic, now=TONIGHT).looked == 1
        assert len(queue(clinic, kinds=["not-watched"])) == 1
    watched(clinic, now=night(1))
    assert kinds(clinic) == [BESIDE] * 3


def test_rules_that_changed_are_a_reason_to_look_at_everybody(small_clinic, monkeypatch):
    a_population(small_clinic, 3)
    watched(small_clinic)
    changed = replace(declared(), flags=replace(declared().flags, sha256="other"))
    monkeypatch.setattr("tests.flags.feeding.declared", lambda: changed)
    assert watched(small_clinic, now=TONIGHT).looked == 3


def test_a_prescriber_whose_orders_are_new_on_record_is_a_reason_to_look_at_his_patients(clinic):
    from stewardship.domain.orders import SupplyKind

    add_patients(clinic, "pat-2")
    put(clinic, PATIENT, fill(20, prescriber="dr-a"))
    put(clinic, "pat-2", fill(20, prescriber="dr-b"))
    watched(clinic)
    assert kinds(clinic) == []
    add_patients(clinic, "pat-3")
    put(clinic, "pat-3", fill(300, kind=SupplyKind.PRESCRIPTION, prescriber="dr-b"), now=TONIGHT)
    done = watched(clinic, now=night(1))
    assert done.looked == 2
    assert [(f.patient, f.kind) for f in queue(clinic)] == [("pat-2", "no-known-order")]


def test_every_portion_is_audited_and_so_are_beginning_and_end(clinic, stored):
    a_population(clinic, 3)
    watched(clinic, portion=2)
    actions = [action for (action,) in stored("audit_events", "action") if action.startswith("watch")]
    assert actions == ["watch.begun", "watch.stored", "watch.stored", "watch.ended"]


def test_what_a_pharmacist_does_between_two_nights_stands(clinic):
    put(clinic, PATIENT, fill(20), fill(10, drug=DIAZEPAM))
    watched(clinic)
    (flag,) = queue(clinic)
    act(clinic, flags.resolve, flag.id, "safety-addressed")
    put(clinic, PATIENT, fill(2, drug=DIAZEPAM, id="d-2"), now=TONIGHT)
    assert watched(clinic, now=night(1)).opened == 0


def test_a_portion_whose_audit_cannot_be_written_is_not_stored(clinic, monkeypatch):
    put(clinic, PATIENT, fill(20), fill(10, drug=DIAZEPAM))
    with transaction(clinic, late=True) as session:
        watch.step(session, declared(), by=WATCH, now=NOW)

    def failing(*args, **more):
        raise RuntimeError

    monkeypatch.setattr(watch.audit, "record", failing)
    with pytest.raises(RuntimeError), transaction(clinic, late=True) as session:
        watch.step(session, declared(), by=WATCH, now=NOW)
    assert in_queue(clinic) == []
    table = tables.Base.metadata.tables["watched"]
    with transaction(clinic, write=False) as session:
        assert session.execute(select(table.c.patient_id)).all() == []


def test_the_kinds_that_the_watch_raises_are_declared():
    assert set(declared().flags.work.kinds) >= watch.KINDS


def test_a_process_that_is_killed_outright_leaves_whole_portions(clinic, database_url):
    a_population(clinic, 9)
    command = [sys.executable, "-m", "tests.flags.killed", database_url]
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
    done = watched(clinic, portion=2)
    assert (done.patients, done.looked, done.opened) == (9, 9, 9)
    assert len(in_queue(clinic)) == 9
