"""From a chart, and from what a person writes, to the facts that decide about alternatives."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from stewardship.declarations.alternatives import read_alternatives
from stewardship.declarations.drugs import read_catalogue, read_exemptions
from stewardship.declarations.places import REFERENCE
from stewardship.domain.chart import Chart, Condition, Observation, Patient
from stewardship.domain.codes import ICD10CM, LOINC, SNOMED, Coding
from stewardship.domain.drugs import Catalogue, DrugClass
from stewardship.domain.patient_facts import facts_of, pain_codes, taken_by_name
from stewardship.domain.suitability import PatientFacts, Terms
from tests.builders import TODAY, a_chart, a_drug, a_supply

TERMS = read_alternatives(REFERENCE).terms
EGFR = "98979-8"


def facts(chart: Chart) -> PatientFacts:
    return facts_of(chart, TERMS)


def a_condition(code: str, *, system: str = ICD10CM, active: bool | None = True) -> Condition:
    return Condition(code, (Coding(system, code),), active=active)


def an_egfr(value: str | None, *, days_ago: int = 1, status: str = "final") -> Observation:
    number = None if value is None else Decimal(value)
    coding = Coding(LOINC, EGFR)
    return Observation("o", (coding,), on=TODAY - timedelta(days_ago), value=number, status=status)


@pytest.mark.parametrize(("born", "age"), [(date(1956, 11, 21), 70), (date(1956, 11, 22), 69)])
def test_the_age_is_that_of_the_day(born, age):
    assert facts(a_chart(patient=Patient("p-1", born))).age == age


def test_an_unknown_birth_date_is_an_unknown_age():
    assert facts(a_chart(patient=Patient("p-1"))).age is None


def test_the_latest_kidney_function_counts():
    chart = a_chart(observations=(an_egfr("60", days_ago=30), an_egfr("28"), an_egfr("90", days_ago=200)))
    assert facts(chart).egfr == Decimal(28)


@pytest.mark.parametrize(("days_ago", "value"), [(365, Decimal(50)), (366, None)])
def test_an_old_kidney_function_is_none(days_ago, value):
    found = facts(a_chart(observations=(an_egfr("50", days_ago=days_ago),)))
    assert found.egfr == value
    assert bool(found.on_record) is (value is None)


@pytest.mark.parametrize(
    "bad", [an_egfr(None), an_egfr("50", status="entered-in-error"), an_egfr("9", days_ago=-1)]
)
def test_a_value_that_is_no_value_yet_is_none(bad):
    assert facts(a_chart(observations=(bad,))).egfr is None


def test_medicines_in_hand_today_and_of_the_last_two_weeks():
    lorazepam = a_drug("lorazepam", "", classes=frozenset({DrugClass.BENZODIAZEPINE}))
    phenelzine = a_drug("phenelzine", "", classes=frozenset())
    chart = a_chart(
        a_supply(drug=lorazepam, start=TODAY - timedelta(5), days=30),
        a_supply(drug=phenelzine, start=TODAY - timedelta(30), days=20),
        a_supply(drug=a_drug(), start=TODAY - timedelta(300), days=5),
    )
    assert {t.name: t.days_ago for t in facts(chart).medicines or ()} == {"lorazepam": 0, "phenelzine": 14}


def test_a_medicine_that_the_catalogue_does_not_know_is_named():
    assert facts(a_chart(a_supply(unrecognised=True))).unknown_medicines == ("oxycodone 5 MG oral tablet",)


def test_problems_are_found_by_prefix_and_past_ones_count():
    chart = a_chart(conditions=(a_condition("I50.22"), a_condition("K25.4", active=False)))
    assert facts(chart).problems == {"heart-failure", "gi-bleeding"}


def test_a_chart_without_conditions_tells_nothing_about_problems():
    assert facts(a_chart()).problems is None


def test_problems_under_other_codes_leave_the_list_incomplete():
    chart = a_chart(conditions=(a_condition("I10"), a_condition("84114007", system=SNOMED)))
    assert facts(chart).problems == {"hypertension"}
    assert not facts(chart).problems_complete


@pytest.mark.parametrize(
    ("code", "pregnant", "weeks"),
    [("Z3A.20", True, 20), ("Z33.1", True, None), ("I10", None, None)],
)
def test_a_pregnancy_and_its_week_are_read_and_none_on_record_is_not_none(code, pregnant, weeks):
    found = facts(a_chart(conditions=(a_condition(code),)))
    assert (found.pregnant, found.pregnant_weeks) == (pregnant, weeks)


def test_an_exemption_brings_its_evidence():
    condition = Condition("c", (Coding(ICD10CM, "D57.1"),), frozenset({"sickle-cell-disease"}), active=True)
    exemptions = read_exemptions(REFERENCE).values()
    found = facts_of(a_chart(conditions=(condition,)), TERMS, exemptions=exemptions)
    assert found.exempt == "condition icd-10-cm D57.1"


def test_the_pain_of_a_chart_is_what_the_map_knows_and_is_not_over():
    chart = a_chart(
        conditions=(a_condition("M17.11"), a_condition("M54.50", active=False), a_condition("I10"))
    )
    assert [c.code for c in pain_codes(chart, read_alternatives(REFERENCE).conditions)] == ["M17.11"]


# --- what a person writes ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return read_catalogue(REFERENCE)


@pytest.mark.parametrize(
    ("written", "ingredients"),
    [
        ("Lorazepam", {"lorazepam"}),
        ("warfarin sodium", {"warfarin"}),
        ("11289", {"warfarin"}),
        ("1049621", {"oxycodone"}),
        ("diclofenac", {"diclofenac"}),
        ("3355", {"diclofenac"}),
    ],
)
def test_a_name_or_a_code_is_a_medicine(catalogue, written, ingredients):
    found = taken_by_name(written, catalogue, read_alternatives(REFERENCE).added_ingredients)
    assert found is not None
    assert found.ingredients == ingredients


def test_an_opioid_by_its_name_is_an_opioid(catalogue):
    found = taken_by_name("oxycodone", catalogue)
    assert found is not None
    assert {DrugClass.OPIOID, DrugClass.OPIOID_ANALGESIC} <= found.classes


@pytest.mark.parametrize("written", ["bluepill", "41493", "0", ""])
def test_what_is_not_known_is_nothing_and_a_code_that_was_not_confirmed_is_not_known(catalogue, written):
    assert taken_by_name(written, catalogue, read_alternatives(REFERENCE).added_ingredients) is None


def test_the_terms_of_the_facts_are_those_of_the_file():
    assert isinstance(TERMS, Terms)
    assert (TERMS.renal_days, TERMS.no_pregnancy_from_age) == (365, 55)
