"""What is taken now and since when."""

from __future__ import annotations

from datetime import timedelta

from stewardship.domain.drugs import DrugClass
from stewardship.domain.orders import SupplyKind
from stewardship.domain.taking import taking
from tests.builders import TODAY, a_chart, a_drug, a_supply


def days_ago(days: int):
    return TODAY - timedelta(days=days)


def now(*supplies, unknown_days=30, gap_days=7):
    return taking(a_chart(*supplies), unknown_days=unknown_days, gap_days=gap_days)


def test_what_has_run_out_is_not_taken():
    assert now(a_supply(start=days_ago(3), days=3)) == ()


def test_the_last_day_of_supply_is_still_a_day():
    (one,) = now(a_supply(start=days_ago(2), days=3))
    assert (one.since, one.until, one.sure) == (days_ago(2), TODAY, True)


def test_since_is_the_first_day_of_a_run_without_a_longer_break():
    # Ten days, a break of seven, ten days, and today's: the run begins with the first.
    supplies = [a_supply(start=days_ago(n), days=10) for n in (27, 10, 0)]
    assert now(*supplies)[0].since == days_ago(27)


def test_a_longer_break_begins_a_new_run():
    supplies = [a_supply(start=days_ago(n), days=10) for n in (28, 10, 0)]
    assert now(*supplies)[0].since == days_ago(10)


def test_a_supply_of_unknown_length_may_be_over_and_says_so():
    (one,) = now(a_supply(start=days_ago(29), days=None))
    assert (one.sure, one.until) == (False, None)
    assert now(a_supply(start=days_ago(30), days=None)) == ()


def test_a_draft_is_not_taken():
    assert now(a_supply(kind=SupplyKind.DRAFT)) == ()


def test_opioids_come_first_then_sedatives_then_what_nobody_recognises():
    sedating = frozenset({DrugClass.BENZODIAZEPINE, DrugClass.CNS_DEPRESSANT})
    calm = a_drug("lorazepam", "6470", "1", code="197901", classes=sedating)
    plain = a_drug("ibuprofen", "5640", "200", code="310965", classes=frozenset({DrugClass.OTHER}))
    unknown = a_supply(unrecognised=True)
    found = now(a_supply(drug=plain), unknown, a_supply(drug=calm), a_supply())
    assert [(t.opioid, t.sedative, t.drug is None) for t in found] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
        (False, False, False),
    ]


def test_two_strengths_are_two_medicines():
    assert len(now(a_supply(), a_supply(drug=a_drug(strength="10", code="1049683")))) == 2
