"""The synthetic clinic: large enough, the same every time, and each of its orders shows what it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from stewardship.cli.render import standing
from stewardship.declarations import load
from stewardship.demo import recipes
from stewardship.demo.clinic import make
from stewardship.demo.orders import cases
from stewardship.domain.orders import SupplyKind
from stewardship.domain.signing import judge

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAYS = [NOW, datetime(2028, 2, 29, 0, 5, tzinfo=UTC), datetime(2027, 1, 1, 23, 55, tzinfo=UTC)]


@pytest.fixture(scope="module")
def library():
    return load()


@pytest.fixture(scope="module")
def clinic(library):
    return make(recipes.read(), library, now=NOW)


def supplies(clinic):
    return [supply for chart in clinic.charts.values() for supply in chart.supplies]


def test_there_are_at_least_two_hundred_patients(clinic):
    assert len(clinic.charts) >= 200


def test_the_readme_counts_them_right(clinic, root):
    assert f"({len(clinic.charts)} patients with histories" in (root / "README.md").read_text()


def test_the_same_day_gives_the_same_clinic(clinic, library):
    assert make(recipes.read(), library, now=NOW) == clinic


def test_another_day_gives_the_same_patients_moved_in_time(clinic, library):
    later = make(recipes.read(), library, now=NOW + timedelta(days=40))
    assert later.kinds == clinic.kinds
    patient = clinic.patient("early-refills")
    before, after = clinic.charts[patient].supplies, later.charts[patient].supplies
    assert [s.start_on + timedelta(days=40) for s in before] == [s.start_on for s in after]


def test_nobody_has_a_name_and_every_id_says_that_it_is_of_the_demonstration(clinic):
    assert all(patient.startswith("demo-") for patient in clinic.charts)
    assert all(supply.id.startswith("demo-") for supply in supplies(clinic))


def test_ids_are_unique(clinic):
    ids = [supply.id for supply in supplies(clinic)]
    assert len(ids) == len(set(ids))


def test_every_kind_of_patient_is_there(clinic):
    assert set(clinic.kinds.values()) == {kind.id for kind in recipes.read().kind}


def test_only_the_clinics_own_formulary_is_unknown_to_the_catalogue(clinic):
    unknown = {s.medication.label for s in supplies(clinic) if s.drug is None}
    assert unknown == {"Analgesic mixture B", "Compounded pain solution"}


def test_every_product_of_the_recipes_is_what_its_name_says(library):
    for product in recipes.read().drug.values():
        if product.rxnorm:
            assert library.catalogue.by_rxcui(product.rxnorm).name == product.display


@pytest.mark.parametrize("now", DAYS, ids=str)
def test_nothing_happens_in_the_future(library, now):
    for chart in make(recipes.read(), library, now=now).charts.values():
        days = [s.start_on for s in chart.supplies]
        days += [fact.recorded_on for fact in chart.conditions]
        days += [fact.on for fact in (*chart.observations, *chart.procedures)]
        days += [chart.patient.birth_date]
        assert max(days) <= now.date()


def test_a_dispensing_fills_a_prescription_of_the_same_drug_and_not_before_it(clinic):
    for chart in clinic.charts.values():
        written = {s.id: s for s in chart.supplies if s.kind is SupplyKind.PRESCRIPTION}
        for fill in (s for s in chart.supplies if s.kind is SupplyKind.DISPENSING):
            script = written[fill.prescription]
            assert fill.medication == script.medication
            assert fill.start_on >= script.start_on


def test_quantities_are_what_dose_and_days_come_to(clinic):
    for supply in supplies(clinic):
        # Naloxone is kept ready: a quantity, without a dose a day or days.
        if supply.days_supply is not None:
            (d,) = supply.dosage
            assert supply.quantity.value == d.dose_high * d.frequency * supply.days_supply / d.period


def test_serial_short_courses_are_short_and_soon_after_one_another(clinic):
    fills = [
        s
        for s in clinic.charts[clinic.patient("serial-short-courses")].supplies
        if s.kind is SupplyKind.PRESCRIPTION
    ]
    assert {s.days_supply for s in fills} == {Decimal(5)}
    assert (NOW.date() - fills[0].start_on).days <= 40


def test_a_word_that_the_recipes_do_not_know_is_refused():
    import msgspec

    with pytest.raises(msgspec.ValidationError, match="unknown field `dayz`"):
        msgspec.toml.decode(b'drugs = ["x"]\ndays = [3, 3]\ndayz = 1', type=recipes.Course)


@pytest.mark.parametrize("now", DAYS, ids=str)
def test_each_order_shows_what_it_is_there_to_show(library, now):
    clinic = make(recipes.read(), library, now=now)
    policies = library.in_force(now.date())
    shown = {}
    # Those that stand where they stand by what pharmacies report are judged with it in test_dispensings.
    for case in (case for case in cases(clinic, library, now=now) if not case.reported):
        (judged,) = judge(policies, [case.order], clinic.charts[case.order.patient_id])
        shown[case.title] = (case.shows, standing(judged.decision).word)
    assert 8 <= len(shown) <= 10
    assert [title for title, (expected, found) in shown.items() if expected != found] == [], shown


def test_the_orders_show_every_standing():
    from stewardship.cli import render

    everything = {
        s.word
        for s in (render.CLEAR, render.ADVISED, render.NEEDS_REASON, render.BLOCKED, render.CANNOT_TELL)
    }
    library = load()
    clinic = make(recipes.read(), library, now=NOW)
    assert {case.shows for case in cases(clinic, library, now=NOW)} == everything
