"""Advice for one patient: what is on record, what was assessed, what was offered, and what is asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from stewardship.db import Sessions, charts, documents, flag_tables, tables, transaction
from stewardship.declarations import Library, load
from stewardship.domain.benefit import Reply
from stewardship.domain.care import Preference, SaidBy, Stance
from stewardship.domain.chart import Condition, Observation
from stewardship.domain.codes import ICD10CM, LOINC, Coding
from stewardship.domain.errors import InvalidInput, NotFound
from stewardship.domain.evaluation import CameBecause, DocumentKind, DocumentState, ExamPart, Finding
from stewardship.domain.measurements import Reporter
from stewardship.domain.suitability import Response, Tried
from stewardship.domain.triggers import Change
from stewardship.services import (
    benefit_flags,
    care,
    history,
    measurements,
    patient_wishes,
    worklists,
)
from tests.builders import NOW, TODAY, a_chart, a_supply
from tests.services.declared import ELSEWHERE, PRESCRIBER

PATIENT = "p-1"


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


@pytest.fixture
def known(clinic: Sessions, library: Library) -> Sessions:
    """A patient with low back pain, an eGFR of 28, and an opioid."""
    drug = library.catalogue.by_rxcui("1049621")
    assert drug is not None
    chart = a_chart(
        as_of=NOW,
        supplies=(a_supply(id="s-1", drug=drug),),
        conditions=(
            Condition("c-1", (Coding(ICD10CM, "M54.50"),), onset=TODAY - timedelta(20), active=True),
        ),
        observations=(Observation("o-1", (Coding(LOINC, "33914-3"),), on=TODAY, value=28, status="final"),),
    )
    chart = replace(chart, patient=replace(chart.patient, id=PATIENT))
    with transaction(clinic) as session:
        history.record(session, chart, by=PRESCRIBER, now=NOW)
    return clinic


def advise(sessions, library, *, by=PRESCRIBER, now=NOW):
    with transaction(sessions, write=False) as session:
        return care.advise(session, library, PATIENT, by=by, now=now)


def assess(sessions, library, *, on=TODAY, by=PRESCRIBER, **facts):
    with transaction(sessions) as session:
        return care.assess(session, library, PATIENT, care.Assessed(**facts), on=on, by=by, now=NOW)


def offer(sessions, library, treatment, reply, *, on=TODAY):
    with transaction(sessions) as session:
        care.offer(session, library, PATIENT, treatment, reply=reply, on=on, by=PRESCRIBER, now=NOW)


def untried(advice):
    return [b.option.treatment.id for b in advice.benefits.untried]


def test_what_is_on_record_is_not_asked_for(known, library):
    found = advise(known, library).recommendation
    assert "egfr" not in found.asks
    assert any("28" in r.text for e in found.left_out if e.id == "oral-nsaid" for r in e.reasons)


def test_the_days_since_the_onset_that_was_stated_decide(known, library):
    assess(known, library, onset_on=TODAY - timedelta(14), change=Change.SAME, conservative=True)
    fired = {f.trigger.id for f in advise(known, library).pulled.fired}
    assert "conservative-weeks" in fired


def test_the_last_statement_of_a_fact_counts_and_the_earlier_ones_stay(known, library):
    assess(known, library, on=TODAY - timedelta(3), prevents_exercise=True, wants_to_reduce=True)
    assess(known, library, prevents_exercise=False)
    story = advise(known, library).story
    assert (story.prevents_exercise, story.wants_to_reduce) == (False, True)


def test_what_nobody_looked_at_is_unknown(known, library):
    story = advise(known, library).story
    assert story.neurological_deficit is None
    assert story.on_opioid is True


def test_a_failure_before_leaves_the_treatment_out(known, library):
    assess(known, library, tried=(care.TriedBefore("physical-therapy", Response.NONE),))
    found = advise(known, library)
    assert "physical-therapy" in {e.id for e in found.recommendation.left_out}
    assert "physical-therapy" not in untried(found)


def test_the_ranking_shows_what_it_rests_on(known, library):
    first, *rest = advise(known, library).benefits.untried
    assert set(first.components) == {"strength", "line", "cautions", "rung", "verified"}
    assert all(first.rank <= other.rank for other in rest)


def test_what_was_declined_rests_and_comes_back(known, library):
    first = untried(advise(known, library))[0]
    offer(known, library, first, Reply.DECLINED)
    resting = advise(known, library).benefits.resting
    assert [(r.treatment, r.reply) for r in resting] == [(first, Reply.DECLINED)]
    later = NOW + timedelta(library.triggers.declined_rest_days)
    assert first in untried(advise(known, library, now=later))


def test_a_treatment_that_is_not_known_is_refused(known, library):
    with pytest.raises(InvalidInput) as refused:
        assess(known, library, tried=(care.TriedBefore("snake-oil", Response.MEANINGFUL),))
    assert refused.value.faults[0].pointer == "/tried/0/what"
    with pytest.raises(InvalidInput):
        offer(known, library, "snake-oil", Reply.OFFERED)


def test_an_assessment_of_tomorrow_is_refused(known, library):
    with pytest.raises(InvalidInput):
        assess(known, library, on=TODAY + timedelta(1))


def test_another_organisation_knows_nothing_of_the_patient(known, library):
    with pytest.raises(NotFound):
        advise(known, library, by=ELSEWHERE)
    with pytest.raises(NotFound):
        assess(known, library, by=ELSEWHERE)


def test_what_is_kept_is_audited_by_name_of_fact_alone(known, library):
    assess(known, library, wants_to_reduce=True)
    with transaction(known, write=False) as session:
        table = tables.AuditEvent.__table__
        last = session.execute(select(table).order_by(table.c.seq.desc())).first()
    assert last is not None
    assert last.action == "pain.assessed"
    assert documents.decode_shown(last.detail)["stated"] == ["wants_to_reduce"]


def flagged(sessions, library, *, now):
    with transaction(sessions) as session:
        known_ = charts.known_patient(session, organisation_id=PRESCRIBER.organisation_id, patient_id=PATIENT)
        chart = charts.chart_of(
            session, library, known_, organisation_id=PRESCRIBER.organisation_id, as_of=now
        )
        return benefit_flags.bring_up(session, library, known_, chart, by=PRESCRIBER, now=now)


def supplied(sessions, library, *, days):
    """The patient's opioid lasts so many days."""
    drug = library.catalogue.by_rxcui("1049621")
    chart = a_chart(as_of=NOW, supplies=(a_supply(id="s-1", drug=drug, days_supply=Decimal(days)),))
    with transaction(sessions) as session:
        changed = replace(chart, patient=replace(chart.patient, id=PATIENT))
        history.record(session, changed, by=PRESCRIBER, now=NOW)


def test_who_might_benefit_is_flagged_once_and_from_a_month_of_therapy_on(known, library):
    supplied(known, library, days=60)
    days = library.triggers.flag_therapy_days
    start = a_supply().start_on
    before = datetime.combine(start + timedelta(days - 1), NOW.timetz())
    assert not flagged(known, library, now=before).opened
    assert len(flagged(known, library, now=before + timedelta(1)).opened) == 1
    assert not flagged(known, library, now=before + timedelta(2)).opened


def test_the_nightly_look_finds_who_might_benefit_once(known, library):
    supplied(known, library, days=60)
    now = datetime.combine(a_supply().start_on + timedelta(library.triggers.flag_therapy_days), NOW.timetz())

    def look():
        with transaction(known) as session:
            terms = benefit_flags.terms_of(session, library, by=PRESCRIBER)
            return benefit_flags.look(session, library, terms=terms, by=PRESCRIBER, now=now)

    assert (look().changed, look().changed, look().position) == (1, 0, None)
    with transaction(known, write=False) as session:
        (flag,) = session.execute(select(flag_tables.Flag.__table__)).all()
    assert flag.kind == "alternative-untried"
    assert '"strength"' in flag.evidence


def test_what_the_patient_does_not_want_is_not_offered(known, library):
    kind = next(iter(library.plans.preferences.values()))
    said = Preference(kind.id, Stance.DECLINED, TODAY, SaidBy.PATIENT)
    with transaction(known) as session:
        patient_wishes.prefer(session, library, PATIENT, said, by=PRESCRIBER, now=NOW)
    found = advise(known, library).recommendation
    assert not [o.treatment.id for o in found.offered if kind.covers(o.treatment)]


# --- the days on which somebody looks again ---------------------------------------------------------


def on_the_list(sessions, *, days: int, clinicians=(PRESCRIBER.user_id,), by=PRESCRIBER):
    with transaction(sessions, write=False) as session:
        return worklists.follow_ups(session, clinicians=clinicians, today=TODAY + timedelta(days), by=by)


def test_new_pain_is_on_the_list_of_whoever_assessed_it_until_the_next_look(known, library):
    assess(known, library, onset_on=TODAY)
    assert on_the_list(known, days=3) == ()
    (line,) = on_the_list(known, days=4)
    assert (line.number, line.trigger, line.late_days) == (PATIENT, "no-improvement-days", 0)
    assert [line.late_days for line in on_the_list(known, days=9)] == [2]
    assert on_the_list(known, days=4, clinicians=("somebody-else",)) == ()
    assert len(on_the_list(known, days=90, clinicians=None)) == 1
    assert on_the_list(known, days=4, clinicians=None, by=ELSEWHERE) == ()
    # After three months the look of the first week is nobody's.
    assert on_the_list(known, days=91) == ()
    later = NOW + timedelta(days=5)
    with transaction(known) as session:
        better = care.Assessed(change=Change.BETTER)
        care.assess(session, library, PATIENT, better, on=later.date(), by=PRESCRIBER, now=later)
    assert on_the_list(known, days=9) == ()


def test_a_patient_has_one_line_however_much_is_due_and_none_after_death(known, library):
    assess(known, library, onset_on=TODAY, change=Change.SAME, conservative=True, adequate_relief=False)
    (line,) = on_the_list(known, days=20)
    # The last that opened says what to do; how late it is counts from the first.
    assert (line.trigger, line.late_days) == ("conservative-weeks", 13)
    with transaction(known) as session:
        session.execute(update(tables.Patient).values(deceased=True))
    assert on_the_list(known, days=20) == ()


# --- an evaluation, from one visit to the next --------------------------------------------------------


def said(library, *rows: care.Assessed, tried: tuple[Tried, ...] = ()) -> care.Advice:
    """The advice for a back, after assessments a day apart, the last one today."""
    drug = library.catalogue.by_rxcui("1049621")
    back = Condition("c-1", (Coding(ICD10CM, "M54.50"),), active=True)
    days = reversed(range(len(rows)))
    assessed = tuple((TODAY - timedelta(day), row) for day, row in zip(days, rows, strict=True))
    chart = a_chart(as_of=NOW, supplies=(a_supply(id="s-1", drug=drug),), conditions=(back,))
    return care.advise_on(library, chart, care.Beside(assessed=assessed, tried=tried))


def test_an_evaluation_grows_with_every_visit(library):
    first = care.Assessed(
        where="low back",
        examined=(care.Examined(ExamPart.STRENGTH, Finding.NORMAL),),
        documents=(care.DocumentSeen(DocumentKind.NOTES, DocumentState.OUTSTANDING),),
    )
    second = care.Assessed(
        examined=(care.Examined(ExamPart.REFLEXES, Finding.NORMAL),),
        documents=(care.DocumentSeen(DocumentKind.NOTES, DocumentState.RECEIVED),),
    )
    assert said(library, first).evaluation.outstanding == (DocumentKind.NOTES,)
    found = said(library, first, second).evaluation
    assert {"where", "strength", "reflexes", "notes"} == {i.id for i in found.there}
    assert found.outstanding == ()


@pytest.mark.parametrize(
    ("facts", "fired"),
    [
        ({"examined": (care.Examined(ExamPart.REFLEXES, Finding.ABNORMAL),)}, {"neurological-sign"}),
        ({"examined": (care.Examined(ExamPart.POSTURE, Finding.ABNORMAL),)}, set()),
        (
            {
                "examined": (care.Examined(ExamPart.REFLEXES, Finding.ABNORMAL),),
                "neurological_deficit": True,
            },
            {"neurological-deficit"},
        ),
        ({"imaging_agrees": False}, {"imaging-does-not-fit"}),
        (
            {"conservative": True, "surgical_candidate": False, "adequate_relief": False},
            {"conservative-no-surgery", "no-surgery-nothing-else"},
        ),
        ({"came_because": CameBecause.NO_SURGERY_WANTED, "adequate_relief": False}, {"declines-surgery"}),
    ],
)
def test_what_was_found_asks_for_what_comes_next(library, facts, fired):
    assert {f.trigger.id for f in said(library, care.Assessed(**facts)).pulled.fired} == fired


def test_a_positive_screen_that_was_measured_here_asks_for_psychology(known, library):
    answers = {"interest": Decimal(2), "mood": Decimal(1)}
    with transaction(known) as session:
        measurements.record(
            session, library, PATIENT, "phq-2", answers, taken_at=NOW, source=Reporter.PATIENT,
            by=PRESCRIBER, now=NOW,
        )  # fmt: skip
    assert "mood-and-fear" in {f.trigger.id for f in advise(known, library).pulled.fired}


def test_a_wish_against_surgery_is_known_to_the_triggers(library):
    wish = (Tried("surgical-consultation", Response.DECLINED, TODAY),)
    found = said(library, care.Assessed(adequate_relief=False), tried=wish)
    assert "declines-surgery" in {f.trigger.id for f in found.pulled.fired}


def test_of_an_earlier_treatment_dose_relief_and_why_it_ended_are_kept(library):
    gabapentin = care.TriedBefore(
        "gabapentin", Response.HARM, TODAY, dose="900 mg a day", relief_percent=20, stopped_because="fell"
    )
    found = said(library, care.Assessed(tried=(gabapentin,))).recommendation
    (entry,) = [e for e in found.left_out if e.id == "gabapentin"]
    assert any("900 mg a day; 20 % less pain; stopped: fell" in r.text for r in entry.reasons)
