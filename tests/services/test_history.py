"""Histories: in bulk, by source id, and again without a trace."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from sqlalchemy import func, select

from stewardship.db import charts, tables, transaction
from stewardship.domain.chart import (
    Condition,
    Encounter,
    Goal,
    Observation,
    Patient,
    Plan,
    Procedure,
)
from stewardship.domain.codes import ICD10CM, CodeSets, Coding
from stewardship.domain.dosage import Quantity
from stewardship.domain.orders import Loss, Replacement, Setting, SupplyKind
from stewardship.services import history
from tests.builders import NOW, TODAY, a_chart, a_drug, a_supply, tablets
from tests.services.declared import ELSEWHERE, ORGANISATION, PRESCRIBER, Declared

LATER = NOW + timedelta(days=1)
CANCER = Coding(ICD10CM, "C50.9", "Breast cancer")
SETS = CodeSets({(ICD10CM, "C509"): frozenset({"active-cancer"})}, {})
LIBRARY = Declared(code_sets=SETS)

FULL = a_chart(
    a_supply(
        id="d-1",
        quantity=12,
        dosage=(tablets(2, times=3, as_needed=True),),
        refills=2,
        fill=0,
        status="completed",
        ended_on=TODAY,
        prescription="rx-1",
        prescriber="dr-1",
        pharmacy="ph-1",
        replaces=Replacement(Loss.STOLEN, "rx-0", TODAY, "r-7"),
        setting=Setting.DISCHARGE,
        reasons=(CANCER,),
        reason_sets=frozenset({"active-cancer"}),
        treatment_type="03",
    ),
    a_supply(id="d-1", kind=SupplyKind.PRESCRIPTION, days=None, start=None),
    a_supply(id="d-2", quantity=None, days=None),
    patient=Patient("p-1", date(1961, 2, 28), "female"),
    data_as_of=NOW,
    conditions=(Condition("c-1", (CANCER,), frozenset({"active-cancer"}), active=True, onset=TODAY),),
    observations=(Observation("o-1", (), value=Decimal("1.50"), unit="mg/dL", on=TODAY),),
    procedures=(Procedure("pr-1", (), on=TODAY, by="dr-1"),),
    plans=(Plan("pl-1", (), reviewed_on=TODAY),),
    goals=(Goal("g-1", "walk to the shop"),),
    encounters=(Encounter("e-1", setting="outpatient", from_on=TODAY),),
)


def store(sessions, *given, now=NOW, by=PRESCRIBER):
    with transaction(sessions) as session:
        return history.store(session, given, source="a-test", by=by, now=now)


def load(sessions, patient="p-1", *, as_of=LATER, library=LIBRARY, organisation=ORGANISATION):
    with transaction(sessions, write=False) as session:
        return charts.load_chart(
            session, library, organisation_id=organisation, patient_id=patient, as_of=as_of
        )


def in_order(chart):
    return replace(chart, as_of=NOW, supplies=tuple(sorted(chart.supplies, key=lambda s: (s.kind, s.id))))


def test_a_chart_comes_back_as_it_was_stored(clinic):
    store(clinic, FULL)
    assert in_order(load(clinic)) == in_order(FULL)


def test_what_codes_mean_is_looked_up_when_the_chart_is_read(clinic):
    store(clinic, FULL)
    corrected = CodeSets({(ICD10CM, "C509"): frozenset({"corrected"})}, {})
    stronger = replace(a_drug(), name="a newer name")
    again = load(
        clinic, library=Declared(code_sets=corrected, catalogue=replace(LIBRARY.catalogue, drug=stronger))
    )
    assert again.conditions[0].sets == {"corrected"}
    assert {supply.drug.name for supply in again.supplies} == {"a newer name"}


def test_the_same_history_twice_is_there_once(clinic):
    first = store(clinic, FULL)
    again = store(clinic, FULL, now=LATER)
    assert (first.added, first.changed, first.unchanged) == (9, 0, 0)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 9)


def test_a_fact_that_changed_replaces_its_earlier_wording(clinic):
    store(clinic, FULL)
    resolved = replace(FULL.conditions[0], active=False)
    stopped = replace(FULL.supplies[0], status="stopped", quantity=Quantity(Decimal("8"), "tablet"))
    changed = replace(FULL, conditions=(resolved,), supplies=(stopped, *FULL.supplies[1:]))
    assert store(clinic, changed, now=LATER).changed == 2
    assert in_order(load(clinic)) == in_order(changed)


def test_a_fact_named_twice_in_one_chart_is_one_fact(clinic):
    twice = a_chart(conditions=(Condition("c-1", ()), Condition("c-1", (), active=True)))
    assert store(clinic, twice).added == 1
    assert load(clinic).conditions == (Condition("c-1", (), active=True),)


def test_what_was_recorded_after_the_moment_is_not_seen(clinic):
    store(clinic, FULL, now=LATER)
    assert load(clinic, as_of=NOW).supplies == ()
    assert load(clinic, as_of=NOW).conditions == ()


def test_drafts_are_not_history(clinic):
    assert store(clinic, a_chart(a_supply(kind=SupplyKind.DRAFT))).added == 0


def test_patients_share_nothing(clinic):
    store(clinic, FULL, replace(FULL, patient=Patient("p-2"), supplies=(), conditions=()))
    assert load(clinic, "p-2").supplies == ()
    assert load(clinic, "p-2").goals == FULL.goals
    assert load(clinic, "p-3").goals == ()


def test_organisations_share_no_patient(clinic):
    store(clinic, FULL)
    store(clinic, a_chart(), by=ELSEWHERE)
    assert load(clinic, organisation=ELSEWHERE.organisation_id).supplies == ()
    assert len(load(clinic).supplies) == 3


def test_many_patients_are_written_in_portions(clinic, monkeypatch):
    monkeypatch.setattr(history, "_PORTION", 3)
    many = [replace(FULL, patient=Patient(f"p-{n}")) for n in range(7)]
    assert store(clinic, *many).patients == 7
    with transaction(clinic, write=False) as session:
        assert session.execute(select(func.count()).select_from(tables.Supply)).scalar_one() == 21
