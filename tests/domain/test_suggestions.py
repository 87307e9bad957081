"""What could be done instead: only what would help, and never with a dose of our own."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.declarations import Library, load
from stewardship.domain.alternatives import recommend
from stewardship.domain.benefit import might_benefit
from stewardship.domain.chart import Gap
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import DrugClass, Release
from stewardship.domain.orders import Phase
from stewardship.domain.policy import Enforcement, Outcome, Policy, decide
from stewardship.domain.suggestions import Kind, Suggestion, suggestions
from stewardship.domain.suitability import PatientFacts
from tests.builders import TODAY, a_chart, a_supply, an_order, tablets


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


def the(library: Library, policy_id: str) -> Policy:
    return next(policy for policy in library.in_force(TODAY) if policy.id == policy_id)


def offered(library: Library, policy_id: str, order, chart=None, *, policy=None) -> tuple[Suggestion, ...]:
    policy = policy or the(library, policy_id)
    chart = chart or a_chart()
    (finding,) = decide((policy,), order, chart).findings
    return suggestions(
        library.suggestions, finding, policy, order=order, chart=chart, catalogue=library.catalogue
    )


def shorter(library: Library, order, chart=None) -> tuple[int | None, Decimal | None] | None:
    found = offered(library, "short-course", order, chart)
    if not found:
        return None
    (only,) = found
    assert only.kind is Kind.SHORTER_COURSE
    return only.days, None if only.quantity is None else only.quantity.value


# --- a shorter course -----------------------------------------------------------------------------------


def test_ten_days_of_forty_tablets_become_seven_of_twenty_eight(library):
    assert shorter(library, an_order(days=10, quantity=40)) == (7, 28)


def test_days_that_were_taken_already_are_taken_off(library):
    five_before = a_chart(a_supply(start=TODAY - timedelta(days=10), days=5))
    assert shorter(library, an_order(days=10, quantity=40), five_before) == (2, 8)


def test_nothing_is_suggested_when_no_course_is_short_enough(library):
    seven_before = a_chart(a_supply(start=TODAY - timedelta(days=10), days=7))
    assert shorter(library, an_order(days=10, quantity=40), seven_before) is None


def test_an_amount_is_cut_to_whole_units_and_never_above_its_share(library):
    # Seven tenths of 25 are 17.5.
    assert shorter(library, an_order(days=10, quantity=25)) == (7, 17)


def test_an_amount_of_which_no_whole_unit_is_left_is_not_cut(library):
    assert shorter(library, an_order(days=30, quantity=1)) is None


def test_days_that_only_the_amount_tells_are_cut_by_the_amount(library):
    order = an_order(days=None, quantity=60, dosage=(tablets(times=4),))
    assert shorter(library, order) == (7, 28)


def test_an_order_without_an_amount_is_cut_by_its_days(library):
    assert shorter(library, an_order(days=30)) == (7, None)


@pytest.mark.parametrize("step", [{"duration_days": Decimal(10)}, {"problems": ("timing.code",)}])
def test_directions_that_end_by_themselves_or_cannot_be_read_are_not_cut(library, step):
    order = an_order(days=10, quantity=40, dosage=(tablets(times=4, **step),))
    assert shorter(library, order) is None


def test_a_course_within_the_limit_is_only_informed_of_and_not_cut(library):
    assert shorter(library, an_order(days=5, quantity=20)) is None


def test_a_course_that_could_not_be_judged_is_not_cut(library):
    assert shorter(library, an_order(days=3), a_chart(gaps=(Gap("history-missing"),))) is None


@given(
    days=st.integers(8, 90),
    each=st.integers(1, 12),
    before=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 7)), max_size=3),
)
def test_what_is_suggested_does_not_break_the_policy_and_changes_no_daily_amount(library, days, each, before):
    policy = the(library, "short-course")
    chart = a_chart(*(a_supply(start=TODAY - timedelta(days=ago), days=length) for ago, length in before))
    order = an_order(days=days, quantity=days * each)
    for one in offered(library, "short-course", order, chart):
        assert one.quantity == Quantity(Decimal(one.days * each), "tablet")
        changed = replace(order, days_supply=Decimal(one.days), quantity=one.quantity)
        (finding,) = decide((policy,), changed, chart).findings
        assert finding.outcome is not Outcome.BREACH or finding.enforcement is Enforcement.INFORM


# --- another product ------------------------------------------------------------------------------------


def an_er_order(library: Library, rxcui: str):
    drug = library.catalogue.by_rxcui(rxcui)
    assert drug is not None
    return an_order(drug=drug, days=30, phase=Phase.CHRONIC)


def test_a_long_acting_opioid_gives_way_to_the_same_of_immediate_release(library):
    (only,) = offered(library, "no-long-acting", an_er_order(library, "1049502"))
    assert only.kind is Kind.IMMEDIATE_RELEASE
    assert only.drug == library.catalogue.by_rxcui("1049621")
    assert (only.days, only.quantity) == (None, None)


@pytest.mark.parametrize(
    "rxcui", ["197696", "864706", "197873"], ids=["fentanyl", "methadone", "levorphanol"]
)
def test_an_opioid_without_a_fit_product_of_immediate_release_gets_none(library, rxcui):
    assert offered(library, "no-long-acting", an_er_order(library, rxcui)) == ()


def test_what_stands_in_is_the_one_opioid_by_mouth_and_gives_it_off_at_once(library):
    (offer,) = (o for o in library.suggestions if o.kind is Kind.IMMEDIATE_RELEASE)
    for ingredient, code in offer.products.items():
        drug = library.catalogue.by_rxcui(code)
        assert drug is not None, code
        assert [i.rxcui for i in drug.ingredients] == [ingredient]
        assert drug.release is Release.IMMEDIATE
        assert drug.form == "oral tablet"
        assert drug.is_a(DrugClass.OPIOID_ANALGESIC)
        assert not drug.is_a(DrugClass.LONG_ACTING_OPIOID)


def test_naloxone_is_a_nasal_spray_of_the_catalogue(library):
    (offer,) = (o for o in library.suggestions if o.kind is Kind.MEDICINE)
    drug = library.catalogue.by_rxcui(offer.product)
    assert drug is not None
    assert drug.is_a(DrugClass.OPIOID_REVERSAL)
    assert drug.form == "nasal spray"


def test_taking_naloxone_answers_the_finding(library):
    order = an_order(quantity=3 * 20, dosage=(tablets(times=20),))
    (only,) = offered(library, "naloxone-offer", order)
    assert only.drug is not None
    taken = a_chart(a_supply(start=TODAY, drug=only.drug, days=None))
    (finding,) = decide((the(library, "naloxone-offer"),), order, taken).findings
    assert finding.outcome is Outcome.PASS


def test_a_product_that_a_newer_list_no_longer_has_is_not_suggested(library):
    class Empty:
        def by_rxcui(self, _code: str) -> None:
            return None

    order = an_er_order(library, "1049502")
    policy = the(library, "no-long-acting")
    (finding,) = decide((policy,), order, a_chart()).findings
    found = suggestions(library.suggestions, finding, policy, order=order, chart=a_chart(), catalogue=Empty())
    assert found == ()


# --- referrals, and what holds for all ------------------------------------------------------------------


def test_the_code_of_a_non_opioid_referral_is_one_that_the_policy_accepts(library):
    (only,) = offered(library, "nonopioid-first", an_order())
    assert only.kind is Kind.REFERRAL
    assert only.referral is not None
    assert "nonopioid-treatment" in library.code_sets.sets_of(only.referral)


def test_every_suggestion_answers_policies_that_there_are(library):
    known = {policy.id for policy in library.policies}
    for offer in library.suggestions:
        assert offer.policies <= known


def test_no_suggestion_speaks_of_a_dose(library):
    for offer in library.suggestions:
        words = f"{offer.label} {offer.description} {offer.text}".lower()
        assert not [bad for bad in (" mg", "mcg", "tablets", "times a day", "taper", " mme") if bad in words]


def test_a_policy_that_stops_nothing_suggests_nothing_when_it_passes(library):
    assert offered(library, "nonopioid-first", an_order(written_on=date(2026, 11, 21), drug=None)) != ()
    earlier = a_chart(a_supply(start=TODAY - timedelta(days=20), days=5))
    assert offered(library, "nonopioid-first", an_order(), earlier) == ()


# --- alternatives that fit this patient -------------------------------------------------------------------


def test_a_medicine_is_suggested_by_what_it_is_and_never_by_a_product(library):
    facts = PatientFacts(
        age=40, sex="male", egfr=Decimal(95), medicines=(), problems=frozenset(), allergies=frozenset(),
        phase=Phase.CHRONIC,
    )  # fmt: skip
    found = recommend(library.alternatives, [Coding(ICD10CM, "E11.42")], facts)
    benefits = might_benefit(found, (), (), today=TODAY, declared=library.triggers)
    policy, order = the(library, "nonopioid-first"), an_order()
    (finding,) = decide((policy,), order, a_chart()).findings
    made = suggestions(
        library.suggestions,
        finding,
        policy,
        order=order,
        chart=a_chart(),
        catalogue=library.catalogue,
        untried=lambda: benefits,
    )
    assert [one.kind for one in made] == [Kind.ALTERNATIVES] * 3
    medicines = [one for one in made if one.medicine]
    assert medicines
    assert all(one.drug is None for one in medicines)


def test_a_referral_is_suggested_where_nothing_is_known_of_the_pain(library):
    assert [one.kind for one in offered(library, "nonopioid-first", an_order())] == [Kind.REFERRAL]
