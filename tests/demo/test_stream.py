"""The stream of orders: seeded, of every kind, and each order as the story of its kind has it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from stewardship.declarations import load
from stewardship.demo import recipes, stream
from stewardship.demo.clinic import make
from stewardship.domain.drugs import DrugClass
from stewardship.domain.orders import SupplyKind

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def library():
    return load()


@pytest.fixture(scope="module")
def clinic(library):
    return make(recipes.read(), library, now=NOW)


@pytest.fixture(scope="module")
def signed(library, clinic):
    return list(stream.stream(stream.read(), clinic, recipes.read(), library, now=NOW, orders=3000))


def of(signed, kind):
    return [one for one in signed if one.kind == kind]


def last_prescription(clinic, order):
    written = [s for s in clinic.charts[order.patient_id].supplies if s.kind is SupplyKind.PRESCRIPTION]
    return [s for s in written if s.medication == order.medication][-1]


def test_the_shares_are_of_a_thousand():
    assert sum(kind.share for kind in stream.read().order) == 1000


def test_the_same_day_gives_the_same_orders(library, clinic, signed):
    again = stream.stream(stream.read(), clinic, recipes.read(), library, now=NOW, orders=50)
    assert [(s.kind, s.order) for s in again] == [(s.kind, s.order) for s in signed[:50]]


def test_every_kind_comes_about_as_often_as_it_says(signed):
    for kind in stream.read().order:
        expected = 3 * kind.share
        assert abs(len(of(signed, kind.id)) - expected) <= 4 * expected**0.5, kind.id


def test_every_kind_of_patient_that_it_names_is_in_the_clinic(clinic):
    named = {group for kind in stream.read().order for group in kind.kinds}
    assert named <= set(clinic.kinds.values())


def test_every_order_is_an_opioid_for_pain_or_unknown_to_the_catalogue(signed):
    assert all(s.order.drug is None or s.order.drug.is_a(DrugClass.OPIOID_ANALGESIC) for s in signed)
    assert {s.kind for s in signed if s.order.drug is None} == {"known-only-to-the-house"}


def test_a_refill_is_what_was_prescribed_last_about_when_it_runs_out(clinic, signed):
    for one in of(signed, "monthly-refill"):
        last = last_prescription(clinic, one.order)
        assert (one.order.dosage, one.order.quantity) == (last.dosage, last.quantity)
        runs_out = last.start_on + timedelta(days=int(last.days_supply))
        assert timedelta(days=-3) <= one.order.written_on - runs_out <= timedelta(days=3)


def test_an_early_refill_leaves_more_than_a_sixth_of_the_last_fill(clinic, signed):
    for one in of(signed, "early-refill"):
        last = last_prescription(clinic, one.order)
        left = last.start_on + timedelta(days=int(last.days_supply)) - one.order.written_on
        assert left.days >= 5 or one.order.written_on == NOW.date()


def test_no_order_is_written_before_the_clinics_day_or_judged_on_another(signed):
    assert all(NOW.date() <= s.order.written_on == s.chart.today for s in signed)


def test_a_changed_dose_has_the_quantity_that_it_needs(clinic, signed):
    for one in (*of(signed, "dose-raised"), *of(signed, "dose-cut-in-half")):
        (said,) = one.order.dosage
        assert one.order.quantity.value == said.dose_high * said.frequency * one.order.days_supply
        assert said.frequency != last_prescription(clinic, one.order).dosage[0].frequency


def test_what_runs_out_before_the_order_was_filled_again(clinic, signed):
    gone_on = [s for s in signed if len(s.chart.supplies) > len(clinic.charts[s.order.patient_id].supplies)]
    assert gone_on
    for one in gone_on:
        added = one.chart.supplies[len(clinic.charts[one.order.patient_id].supplies) :]
        assert all(s.medication != one.order.medication for s in added)
        assert all(NOW.date() <= s.start_on <= one.order.written_on for s in added)


def test_a_new_complaint_is_the_reason_and_not_what_the_patient_had_before(signed):
    for one in of(signed, "first-course-of-a-known-patient"):
        said = {coding.code for coding in one.order.pain.reasons}
        assert said <= {"S93.401A", "K08.89", "S61.219A", "N20.0"}
        assert one.chart.conditions[0].onset >= NOW.date() - timedelta(days=3)


def test_some_records_have_holes(signed):
    lookups = [
        any("pdmp-review" in p.sets and (s.chart.today - p.on).days <= 90 for p in s.chart.procedures)
        for s in signed
    ]
    assert 0.05 < lookups.count(False) / len(lookups) < 0.4


def test_what_is_signed_beside_is_no_opioid_and_not_judged_itself(signed):
    beside = [order for s in signed for order in s.beside]
    assert beside
    assert not any(o.selected or o.drug.is_a(DrugClass.OPIOID) for o in beside)
    assert all(o.days_supply == Decimal(7) for o in beside)
