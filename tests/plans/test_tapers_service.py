"""Tapers as they are kept: on the chart's facts and a shared decision, one at a time, with the next step."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from stewardship.db import Sessions, transaction
from stewardship.db.charts import load_chart
from stewardship.domain.chart import Chart, Condition, Gap, Patient
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.domain.taper import AskedBy, SharedDecision, TaperStatus
from stewardship.domain.taper_schedule import Benzodiazepine
from stewardship.services import flags, history, patient_wishes, tapers
from stewardship.services.tapers import Wanted, facts_of
from tests.builders import NOW, TODAY, a_supply
from tests.plans.conftest import a_history
from tests.plans.tapering import METHADONE_10, OXYCODONE_5, START, declared
from tests.services.declared import ELSEWHERE, PHARMACIST, PRESCRIBER

BY: dict[str, Any] = {"by": PRESCRIBER, "now": NOW}
DECISION = SharedDecision(TODAY, AskedBy.PATIENT, True, "To drive again", naloxone=True)
WANTED = Wanted(OXYCODONE_5, START, times_a_day=4)
LORAZEPAM = "197901"


def begin(database: Sessions, wanted: Wanted = WANTED, patient: str = "p-1", **more: Any) -> str:
    with transaction(database) as session:
        return tapers.begin(
            session, declared(), patient, wanted, more.pop("decision", DECISION), **more, **BY
        )


def read(database: Sessions, taper_id: str, by: Any = PRESCRIBER) -> tapers.TaperRead:
    with transaction(database, write=False) as session:
        return tapers.read(session, declared(), taper_id, by=by, now=NOW)


def rested(chart: Chart, **more: Any) -> Any:
    return facts_of(chart, declared(), replace(WANTED, **more), asked_by=AskedBy.PRESCRIBER)


# --- what a plan rests on --------------------------------------------------------------------------------


def test_dose_and_time_are_those_of_the_chart() -> None:
    facts = rested(a_history())
    # twelve tablets of 5 mg a day; the first of 18 fills of 30 days began 515 days ago
    assert (facts.mg_per_day, facts.days_on, facts.pieces_a_day) == (60, 516, 12)


def test_with_gaps_in_the_history_neither_is_told() -> None:
    facts = rested(replace(a_history(), gaps=(Gap("history-stale"),)))
    assert (facts.mg_per_day, facts.days_on) == (None, None)


def test_what_is_said_stands_before_the_chart() -> None:
    assert rested(a_history(), mg_per_day=Decimal(40)).mg_per_day == 40


@pytest.mark.parametrize(
    ("tablets", "told"), [((), "none"), ((30, 30), "unchanged"), ((30, 15), "being-reduced")]
)
def test_a_benzodiazepine_is_seen_and_so_is_its_reduction(tablets: tuple[int, ...], told: str) -> None:
    drug = declared().catalogue.by_rxcui(LORAZEPAM)
    fills = tuple(
        a_supply(start=TODAY - timedelta(35 - 30 * n), days=30, drug=drug, quantity=number)
        for n, number in enumerate(tablets)
    )
    chart = replace(a_history(), supplies=(*a_history().supplies, *fills))
    assert rested(chart).benzodiazepine is Benzodiazepine(told)


def test_an_unknown_medicine_may_be_one() -> None:
    chart = replace(a_history(), supplies=(*a_history().supplies, a_supply(unrecognised=True)))
    assert rested(chart).benzodiazepine is Benzodiazepine.UNKNOWN


def test_cancer_and_use_disorder_are_read_from_the_problems() -> None:
    sets = declared().code_sets

    def problem(code: str) -> Condition:
        codings = (Coding(ICD10CM, code),)
        return Condition(code, codings, sets.of_any(codings), active=True, recorded_on=TODAY)

    facts = rested(replace(a_history(), conditions=(problem("C34.11"), problem("F11.20"))))
    assert (facts.exempt[:16], facts.use_disorder) == ("condition icd-10", True)


# --- what is kept ---------------------------------------------------------------------------------------


def test_a_taper_is_begun_with_its_next_step_on_the_clock(clinic: Sessions) -> None:
    taper_id = begin(clinic)
    found = read(clinic, taper_id)
    assert (found.version, found.taper.status, found.taper.pace.id) == (1, TaperStatus.ACTIVE, "after-a-year")
    with transaction(clinic, write=False) as session:
        assert [t.taper.id for t in tapers.due(session, by=PHARMACIST, until=START)] == [taper_id]
        assert tapers.due(session, by=PHARMACIST, until=START - timedelta(1)) == ()


def test_without_a_shared_decision_nothing_is_kept(clinic: Sessions) -> None:
    with pytest.raises(InvalidInput, match="shared decision"):
        begin(clinic, decision=replace(DECISION, agreed=False))
    with transaction(clinic, write=False) as session:
        assert tapers.of_patient(session, declared(), "p-1", by=PRESCRIBER, now=NOW) == ()


def test_where_none_can_be_planned_it_is_said_why(clinic: Sessions) -> None:
    with pytest.raises(InvalidInput, match="methadone is planned only") as refused:
        begin(clinic, Wanted(METHADONE_10, START, mg_per_day=Decimal(30), days_on=400))
    assert refused.value.code == "use-disorder-treatment"


def test_one_medicine_at_a_time(clinic: Sessions) -> None:
    first = begin(clinic)
    with pytest.raises(Conflict, match="one medicine at a time"):
        begin(clinic, replace(WANTED, starts_on=START + timedelta(1)))
    with transaction(clinic) as session:
        tapers.stop(session, first, on=TODAY, reason="the patient's wish", version=1, **BY)
    assert begin(clinic) != first


def test_the_same_again_under_its_id_is_one(clinic: Sessions) -> None:
    assert begin(clinic, taper_id="t-9") == begin(clinic, taper_id="t-9") == "t-9"


def test_a_paused_taper_has_no_next_step(clinic: Sessions) -> None:
    taper_id = begin(clinic)
    with transaction(clinic) as session:
        tapers.pause(session, taper_id, on=TODAY, reason="illness", version=1, **BY)
        assert tapers.due(session, by=PHARMACIST, until=date(2100, 1, 1)) == ()
        tapers.resume(session, taper_id, on=TODAY, reason="well", version=2, **BY)
        assert len(tapers.due(session, by=PHARMACIST, until=date(2100, 1, 1))) == 1


def test_the_second_who_acts_on_a_version_is_refused(clinic: Sessions) -> None:
    taper_id = begin(clinic)
    with transaction(clinic) as session:
        tapers.pause(session, taper_id, on=TODAY, reason="illness", version=1, **BY)
    with pytest.raises(Conflict, match="version 2 was made by"), transaction(clinic) as session:
        tapers.stop(session, taper_id, on=TODAY, reason="", version=1, **BY)


def test_another_organisation_sees_nothing(clinic: Sessions) -> None:
    taper_id = begin(clinic)
    with pytest.raises(NotFound):
        read(clinic, taper_id, by=ELSEWHERE)


def test_what_falls_faster_becomes_a_flag_in_the_pharmacists_queue(clinic: Sessions) -> None:
    taper_id = begin(clinic, replace(WANTED, starts_on=TODAY))
    drug = declared().catalogue.by_rxcui(OXYCODONE_5)
    # in place of the fill of five days ago
    half = a_supply(id="s-0", start=TODAY, days=30, drug=drug, quantity=90)
    with transaction(clinic) as session:
        history.record(session, Chart(Patient("p-1"), NOW, (half,)), by=PRESCRIBER, now=NOW)
    with transaction(clinic) as session:
        patient = patient_wishes.known_id(session, "p-1", by=PRESCRIBER)
        chart = load_chart(
            session, declared(), organisation_id=PRESCRIBER.organisation_id, patient_id="p-1", as_of=NOW
        )
        found, untold = tapers.flags_of(session, declared(), patient, chart, by=PRESCRIBER)
        assert ([f.supply for f in found], untold) == (["s-0"], ())
        assert found[0].facts["taper"] == taper_id
        changes = flags.reconcile(
            session, declared(), patient, found, untold, kinds={found[0].kind}, source="watch", **BY
        )
        assert len(changes.opened) == 1
    assert [f.supply for f in read(clinic, taper_id).faster] == ["s-0"]
