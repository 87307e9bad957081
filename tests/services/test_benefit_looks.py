"""Who might benefit is asked where the answer may be another, and nowhere else: all is found that way."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import delete, select, update

from stewardship.db import Sessions, benefit_tables, flag_tables, import_tables, transaction
from stewardship.declarations import Library, load
from stewardship.demo import recipes
from stewardship.demo.clinic import make
from stewardship.domain.benefit import Offer, Reply, flag
from stewardship.domain.benefit_passing import Windows, look_again_on
from stewardship.domain.chart import Condition, Observation
from stewardship.domain.codes import ICD10CM, LOINC, Coding
from stewardship.domain.people import Principal, Role
from stewardship.services import benefit_flags, care, flags, history, organisations
from stewardship.services.flag_queue import Asked
from tests.builders import NOW, TODAY, a_chart, a_supply
from tests.services.declared import PRESCRIBER

LOOKS = benefit_tables.BenefitLook.__table__
FLAGS = flag_tables.Flag.__table__


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


def night(number: int) -> datetime:
    return NOW + timedelta(days=number)


# --- time alone --------------------------------------------------------------------------------------


def test_time_alone_changes_the_answer_on_no_day_that_was_not_foreseen(library):
    """Looking on the foreseen days alone is looking every day, on the clinic of the demonstration."""
    clinic = make(recipes.read(), library, now=NOW)
    windows = Windows(
        library.alternatives.terms,
        tuple(library.exemptions.values()),
        library.phase_bounds,
        library.triggers,
    )
    onset = TODAY - timedelta(library.phase_bounds.subacute_from - 9)
    offered = [
        Offer(treatment, TODAY - timedelta(days), reply)
        for treatment, days, reply in (
            ("exercise", library.triggers.offered_rest_days - 6, Reply.OFFERED),
            ("topical-nsaid", library.triggers.declined_rest_days - 13, Reply.DECLINED),
        )
    ]
    beside = care.Beside(assessed=((TODAY, care.Assessed(onset_on=onset)),), offers=tuple(offered))
    looks = days = turns = 0
    for chart in list(clinic.charts.values())[::30]:
        held, due = None, TODAY
        before = None
        for number in range(36):
            today = replace(chart, as_of=night(number))
            advice = care.advise_on(library, today, beside)
            seen = flag(advice.benefits, today, library.triggers)
            if due is not None and today.today >= due:
                looks += 1
                held, due = seen, look_again_on(today, windows, onset=onset, offers=offered)
            assert held == seen, (chart.patient.id, today.today)
            turns += number > 0 and seen != before
            before = seen
            days += 1
    # It does turn, and most days are not looked at.
    assert turns > 3
    assert looks < days / 3


# --- what is on record ---------------------------------------------------------------------------------


def a_patient(sessions: Sessions, library: Library, number: int, *, start: int, days: int, now=NOW) -> None:
    """Somebody with back pain whose opioid began so many days ago and lasts for so many."""
    drug = library.catalogue.by_rxcui("1049621")
    supply = a_supply(id=f"s-{number}", drug=drug, start=TODAY - timedelta(start), days_supply=Decimal(days))
    pain = Condition(f"c-{number}", (Coding(ICD10CM, "M54.50"),), onset=TODAY - timedelta(200), active=True)
    kidneys = Observation(
        f"o-{number}", (Coding(LOINC, "33914-3"),), on=TODAY - timedelta(360), value=70, status="final"
    )
    chart = a_chart(as_of=now, supplies=(supply,), conditions=(pain,), observations=(kidneys,))
    whole = replace(chart, patient=replace(chart.patient, id=f"p-{number}"))
    with transaction(sessions) as session:
        history.record(session, whole, by=PRESCRIBER, now=now)


PATIENTS = [(40, 60), (27, 90), (60, 55), (40, 40), (5, 10)]


@pytest.fixture
def known(sqlite_database: Sessions, library: Library) -> Sessions:
    return populated(sqlite_database, library)


def populated(sessions: Sessions, library: Library) -> Sessions:
    """A clinic with patients on opioids: for longer than a month, for less, and until lately."""
    with transaction(sessions) as session:
        organisations.ensure(session, PRESCRIBER.organisation_id, name="One", by=PRESCRIBER, now=NOW)
    for number, (start, days) in enumerate(PATIENTS):
        a_patient(sessions, library, number, start=start, days=days)
    return sessions


TOLD: dict[int, str] = {}


def told(sessions, library) -> str:
    """What the declarations come to, worked out once for each of them."""
    if id(library) not in TOLD:
        with transaction(sessions, write=False) as session:
            TOLD[id(library)] = benefit_flags.terms_of(session, library, by=PRESCRIBER)
    return TOLD[id(library)]


def look(sessions, library, *, now=NOW, most=100, portions=1_000):
    """A night's work: how many were asked about, and how many flags changed."""
    position, asked, changed = "", 0, 0
    terms = told(sessions, library)
    while position is not None and portions:
        with transaction(sessions) as session:
            passed = benefit_flags.look(
                session, library, terms=terms, by=PRESCRIBER, now=now, after=position, limit=most
            )
        asked, changed, position = asked + passed.asked, changed + passed.changed, passed.position
        portions -= 1
    return asked, changed


def stored(sessions) -> list[tuple]:
    c = FLAGS.c
    with transaction(sessions, write=False) as session:
        asked = select(c.patient_id, c.key, c.status, c.first_on, c.last_on, c.evidence, c.resolution)
        return [tuple(row) for row in session.execute(asked.order_by(c.patient_id, c.key, c.opened_at, c.id))]


def holds(sessions, library, *, now) -> None:
    """Asking everybody finds nothing that was not found by asking those who are due."""
    found = stored(sessions)
    with transaction(sessions) as session:
        session.execute(delete(LOOKS))
    assert look(sessions, library, now=now)[1] == 0
    assert stored(sessions) == found


def test_nobody_is_asked_about_twice_without_a_reason(known, library):
    assert look(known, library) == (5, 3)
    assert look(known, library) == (0, 0)
    holds(known, library, now=NOW)


def test_each_night_finds_what_asking_everybody_finds(database, library):
    known, opened = populated(database, library), []
    for number in range(14):
        if number == 4:
            a_patient(known, library, 9, start=35, days=60, now=night(number))
        if number == 8:
            with transaction(known) as session:
                care.offer(
                    session, library, "p-0", "exercise", reply=Reply.DECLINED, on=TODAY, by=PRESCRIBER,
                    now=night(number),
                )  # fmt: skip
        before = stored(known)
        asked, changed = look(known, library, now=night(number))
        opened.append(changed)
        if stored(known) != before or number == 6:
            holds(known, library, now=night(number))
        elif number > 1:
            assert asked < 5
    assert sum(opened) > 3


def test_a_night_that_was_cut_off_is_gone_on_with(known, library):
    assert look(known, library, most=2, portions=1)[0] == 2
    assert look(known, library, most=2)[0] == 3
    holds(known, library, now=NOW)


def test_a_clock_that_jumps_and_is_set_back_asks_again(known, library):
    look(known, library)
    ahead = night(45)
    look(known, library, now=ahead)
    holds(known, library, now=ahead)
    # Nothing of what was seen on a day to come is taken for today's.
    assert look(known, library)[0] == 5
    holds(known, library, now=NOW)


@pytest.mark.parametrize("what", ["terms", "birth", "unsettled", "pharmacy"])
def test_whatever_the_answer_is_made_of_is_a_reason_to_ask(known, library, what):
    look(known, library)
    look(known, library)
    changed = library
    with transaction(known) as session:
        match what:
            case "terms":
                changed = replace(
                    library, triggers=replace(library.triggers, flag_named=library.triggers.flag_named + 1)
                )
            case "birth":
                patients = benefit_flags._patients
                session.execute(update(patients).where(patients.c.ehr_id == "p-0").values(birth_date=TODAY))
            case "unsettled":
                one = session.execute(select(benefit_flags._patients.c.id).limit(1)).scalar_one()
                common = {"organisation_id": PRESCRIBER.organisation_id, "patient_id": one}
                identity = common | {
                    "id": "i-1", "digest": "0" * 64, "match_key": "0" * 64, "birth_date": None,
                    "animal": False, "document": "{}", "first_seen_at": NOW,
                }  # fmt: skip
                session.execute(import_tables.Identity.__table__.insert(), identity)
            case _:
                row = {
                    "organisation_id": PRESCRIBER.organisation_id, "id": "ph-1", "npi": "", "ncpdp": "",
                    "dea": "", "name": "One", "bound": False, "retired": False, "first_seen_at": NOW,
                    "data_as_of": NOW, "expected_by": NOW + timedelta(days=2),
                }  # fmt: skip
                session.execute(import_tables.Pharmacy.__table__.insert(), row)
    assert look(known, changed)[0] == {"terms": 5, "birth": 1, "unsettled": 1, "pharmacy": 5}[what]
    if what == "pharmacy":
        # Overdue, it makes histories doubtful.
        assert look(known, library, now=NOW + timedelta(days=2, hours=1))[0] == 5


def test_a_flag_that_was_settled_stays_so_by_either_way(known, library):
    look(known, library)
    with transaction(known) as session:
        found = flags.listed(session, library, Asked(), by=PRESCRIBER, now=NOW).flags[0]
        pharmacist = Principal("u-2", PRESCRIBER.organisation_id, Role.PHARMACIST)
        flags.resolve(session, library, found.id, "coordinated", words="seen", by=pharmacist, now=NOW)
    assert look(known, library)[0] == 1
    for number in (1, 2, 40):
        look(known, library, now=night(number))
        holds(known, library, now=night(number))


def test_declarations_are_told_in_an_order_that_is_the_same_in_every_process(library):
    declared = [library.alternatives, library.triggers, library.exemptions, library.plans]
    told = repr(benefit_flags._plain([*declared, library.phase_bounds, library.code_sets]))
    # No set, no address of an object: nothing that differs from one process to the next.
    assert not re.search(r"frozenset|mappingproxy|\{['\"]| at 0x", told)
