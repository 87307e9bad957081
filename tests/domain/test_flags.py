"""Each flag at its boundary, with its evidence, once for one problem."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Schedule
from stewardship.domain.flags import RULES, Kind, history, raised
from stewardship.domain.orders import Areas, Paid, SupplyKind
from tests.builders import a_drug, a_supply
from tests.domain.flagging import (
    BUPRENORPHINE,
    CARISOPRODOL,
    DIAZEPAM,
    HYDROCODONE,
    IBUPROFEN,
    OXYCODONE,
    OXYCODONE_ER,
    START,
    TRAMADOL,
    day,
    fill,
    flags,
    ids,
    reference,
    seen,
)


def providers(*days: int, prescribers: int = 4, pharmacies: int = 4):
    """A fill on each of the days, each from the next prescriber and pharmacy."""
    return [
        fill(on, 1, prescriber=f"p-{number % prescribers}", pharmacy=f"ph-{number % pharmacies}")
        for number, on in enumerate(days)
    ]


# --- several prescribers and pharmacies -------------------------------------------------------------


@pytest.mark.parametrize(("last", "raised_"), [(179, 1), (180, 0)])
def test_four_and_four_are_counted_in_any_180_days(last, raised_):
    assert len(flags(Kind.MULTIPLE_PROVIDERS, *providers(0, 60, 120, last))) == raised_


@pytest.mark.parametrize(("prescribers", "pharmacies", "raised_"), [(4, 4, 1), (3, 4, 0), (4, 3, 0)])
def test_four_of_each_are_needed(prescribers, pharmacies, raised_):
    fills = providers(0, 10, 20, 30, 40, prescribers=prescribers, pharmacies=pharmacies)
    assert len(flags(Kind.MULTIPLE_PROVIDERS, *fills)) == raised_


def test_the_flag_holds_the_fills_that_make_it():
    fills = providers(0, 10, 20, 30)
    (flag,) = flags(Kind.MULTIPLE_PROVIDERS, *fills)
    assert flag.supplies == ids(fills)
    assert (flag.facts["prescribers"], flag.facts["pharmacies"], flag.on) == (4, 4, day(30))


def test_a_pattern_that_goes_on_is_one_flag_with_the_same_key():
    fills = providers(*range(0, 100, 10))
    (early,) = flags(Kind.MULTIPLE_PROVIDERS, *fills, as_of=35)
    (late,) = flags(Kind.MULTIPLE_PROVIDERS, *fills, as_of=95)
    assert early.key == late.key
    assert early.until < late.until


def test_a_pattern_that_comes_back_after_half_a_year_is_another():
    fills = [*providers(0, 10, 20, 30), *providers(300, 310, 320, 330)]
    assert len(flags(Kind.MULTIPLE_PROVIDERS, *fills)) == 2


# --- early refills ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("on", "raised_"), [(17, 1), (18, 0)])
def test_three_of_twenty_days_left_are_early(on, raised_):
    assert len(flags(Kind.EARLY_REFILL, fill(0, 20), fill(on, 20))) == raised_


def test_what_is_left_is_carried_over():
    # Two days early each: 2, 4 and 6 of 30 days left; the third is 20 percent.
    fills = [fill(28 * n, 30) for n in range(4)]
    (flag,) = flags(Kind.EARLY_REFILL, *fills)
    assert (flag.supply, flag.facts["days_left"], flag.facts["percent_left"]) == (
        fills[3].id,
        6,
        Decimal("20.0"),
    )


def test_no_more_than_one_fill_is_carried_over():
    # Three fills on one day leave no more than two behind: on day 20 nothing is left.
    fills = [fill(0), fill(0), fill(0), fill(20)]
    assert fills[3].id not in {f.supply for f in flags(Kind.EARLY_REFILL, *fills)}


def test_another_strength_is_not_a_refill():
    assert flags(Kind.EARLY_REFILL, fill(0, 20), fill(1, 20, drug=a_drug(strength="10", code="x"))) == ()


def test_the_rest_of_a_partial_fill_is_not_early():
    parts = [fill(0, 20, partial=1), fill(5, 10, partial=2)]
    assert flags(Kind.EARLY_REFILL, *parts) == ()


def test_after_a_fill_of_unknown_length_it_cannot_be_told():
    known = seen(Kind.EARLY_REFILL, fill(0, None), fill(20))
    assert known.flags == ()
    assert [u.missing for u in known.untold] == [("history.days_supply",)]


# --- overlapping opioids of two prescribers ---------------------------------------------------------


@pytest.mark.parametrize(("on", "raised_"), [(23, 1), (24, 0)])
def test_a_week_of_two_prescribers_opioids(on, raised_):
    fills = [fill(0, 30, prescriber="p-1"), fill(on, 30, prescriber="p-2")]
    assert len(flags(Kind.OVERLAPPING_PRESCRIBERS, *fills)) == raised_


@pytest.mark.parametrize("other", ["p-1", ""])
def test_the_same_prescriber_and_one_not_named_do_not_overlap(other):
    fills = [fill(0, 30, prescriber="p-1"), fill(1, 30, prescriber=other)]
    assert flags(Kind.OVERLAPPING_PRESCRIBERS, *fills) == ()


def test_an_earlier_overlap_is_seen_behind_a_later_fill_of_the_same_prescriber():
    fills = [fill(0, 60, prescriber="p-2"), fill(5, 90, prescriber="p-1"), fill(35, 30, prescriber="p-1")]
    (flag,) = flags(Kind.OVERLAPPING_PRESCRIBERS, *fills)
    assert flag.supply == fills[1].id
    assert flag.until == day(35)


# --- sedatives --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on", "raised_"), [(9, 1), (10, 0)])
def test_one_day_of_opioid_and_benzodiazepine(on, raised_):
    assert len(flags(Kind.OPIOID_WITH_BENZODIAZEPINE, fill(0), fill(on, drug=DIAZEPAM))) == raised_


@pytest.mark.parametrize(("on", "raised_"), [(40, 1), (41, 2)])
def test_what_begins_again_within_a_month_is_the_same_problem(on, raised_):
    fills = [fill(0), fill(0, drug=DIAZEPAM), fill(on), fill(on, drug=DIAZEPAM)]
    assert len(flags(Kind.OPIOID_WITH_BENZODIAZEPINE, *fills)) == raised_


def test_days_together_are_counted_not_prescriptions():
    fills = [fill(0, 30), fill(20, 5, drug=DIAZEPAM), fill(22, 5, drug=DIAZEPAM)]
    (flag,) = flags(Kind.OPIOID_WITH_BENZODIAZEPINE, *fills)
    assert (flag.facts["overlap_days"], flag.supply, flag.supplies) == (7, fills[1].id, ids(fills))


@pytest.mark.parametrize(("on", "raised_"), [(9, 1), (10, 0)])
def test_carisoprodol_makes_three(on, raised_):
    fills = [fill(0), fill(0, drug=DIAZEPAM), fill(on, drug=CARISOPRODOL)]
    assert len(flags(Kind.WITH_CARISOPRODOL, *fills)) == raised_


# --- dose -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a_day", "raised_"), [(12, 1), (11, 0)])
def test_ninety_mme_a_day_is_high(a_day, raised_):
    # 12 x 5 mg x 1.5 = 90
    assert len(flags(Kind.HIGH_DAILY_MME, fill(0, a_day=a_day))) == raised_


def test_high_doses_side_by_side_add_up():
    fills = [fill(0, 30, a_day=8), fill(10, 5, a_day=3, drug=HYDROCODONE)]
    (flag,) = flags(Kind.HIGH_DAILY_MME, *fills)
    assert (flag.supply, flag.facts["days"], flag.facts["highest_mme_per_day"]) == (fills[1].id, 5, 90)


@pytest.mark.parametrize(("early", "raised_"), [(7, 0), (8, 1)])
def test_an_early_fill_of_the_same_product_is_not_twice_the_dose(early, raised_):
    fills = [fill(0, 30, a_day=8), fill(30 - early, 30, a_day=8)]
    assert len(flags(Kind.HIGH_DAILY_MME, *fills)) == raised_


def test_an_unknown_medicine_beside_makes_it_at_least():
    (flag,) = flags(Kind.HIGH_DAILY_MME, fill(0, a_day=12), fill(0, unrecognised=True))
    assert not flag.complete


@pytest.mark.parametrize(("a_day", "raised_"), [(6, 1), (5, 0)])
def test_a_rise_by_half(a_day, raised_):
    # From 4 x 7.5 = 30 MME: by half and by 20 MME, which is the more: from 50 on.
    fills = [fill(0, 30, a_day=4), fill(30, 30, a_day=a_day + 1)]
    assert len(flags(Kind.DOSE_RISING_FAST, *fills)) == raised_


@pytest.mark.parametrize(("days", "raised_"), [(7, 1), (6, 0)])
def test_a_rise_that_lasts_a_week(days, raised_):
    assert len(flags(Kind.DOSE_RISING_FAST, fill(0, 60, a_day=4), fill(30, days, a_day=4))) == raised_


def test_a_start_is_no_rise():
    assert flags(Kind.DOSE_RISING_FAST, fill(0, 30, a_day=20)) == ()


def on_ten(months: int = 4):
    """Ten tablets a day, 75 MME, for so many months."""
    return [fill(30 * n, 30, a_day=10) for n in range(months)]


@pytest.mark.parametrize(("a_day", "raised_"), [(6, 1), (7, 0)])
def test_a_fall_by_more_than_three_tenths(a_day, raised_):
    fills = [*on_ten(), fill(120, 30, a_day=a_day)]
    found = flags(Kind.DOSE_FALLING_FAST, *fills, as_of=121)
    assert [f.supply for f in found] == [fills[-1].id] * raised_


@pytest.mark.parametrize(("as_of", "raised_"), [(125, 0), (126, 1), (149, 1), (150, 0)])
def test_a_supply_that_ended_a_week_to_a_month_ago(as_of, raised_):
    # The last of 120 days is day 119.
    found = flags(Kind.DOSE_FALLING_FAST, *on_ten(), as_of=as_of)
    assert [f.facts["mme_after"] for f in found] == [0] * raised_


@pytest.mark.parametrize(("months", "raised_"), [(3, 1), (2, 0)])
def test_an_end_after_short_use_is_an_end(months, raised_):
    assert len(flags(Kind.DOSE_FALLING_FAST, *on_ten(months), as_of=30 * months + 10)) == raised_


def test_an_end_is_not_told_when_something_without_a_dose_goes_on():
    found = seen(Kind.DOSE_FALLING_FAST, *on_ten(), fill(118, 60, drug=BUPRENORPHINE), as_of=130)
    assert (found.flags, len(found.untold)) == ((), 1)


# --- beginning --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on", "raised_"), [(99, 0), (100, 1)])
def test_long_acting_after_ninety_days_without(on, raised_):
    # Ten days from day 0: the last is day 9, and days 10 to 99 are ninety.
    assert len(flags(Kind.LONG_ACTING_IN_NAIVE, fill(0), fill(on, drug=OXYCODONE_ER))) == raised_


def test_treatment_of_opioid_use_disorder_is_an_opioid_too():
    assert flags(Kind.LONG_ACTING_IN_NAIVE, fill(0, drug=BUPRENORPHINE), fill(20, drug=OXYCODONE_ER)) == ()


@pytest.mark.parametrize(
    ("before", "missing"),
    [({"unrecognised": True}, "history.drug"), ({"days": None}, "history.days_supply")],
    ids=["unknown medicine", "unknown length"],
)
def test_what_may_have_been_an_opioid_cannot_be_told(before, missing):
    found = seen(Kind.LONG_ACTING_IN_NAIVE, fill(0, **before), fill(95, drug=OXYCODONE_ER))
    assert (found.flags, [u.missing for u in found.untold]) == ((), [(missing,)])


@pytest.mark.parametrize(("known_from", "raised_"), [(0, 1), (1, 0)])
def test_ninety_days_that_were_not_on_record_cannot_be_told(known_from, raised_):
    found = seen(Kind.LONG_ACTING_IN_NAIVE, fill(90, drug=OXYCODONE_ER), known_from=day(known_from))
    assert (len(found.flags), len(found.untold)) == (raised_, 1 - raised_)


@pytest.mark.parametrize(("days", "raised_"), [(15, 1), (14, 0)])
def test_new_use_of_fifteen_days_in_thirty(days, raised_):
    assert len(flags(Kind.NEW_LONG_TERM_USE, fill(0, days))) == raised_


def test_thirty_one_days_in_sixty_two_are_the_second_stage():
    (flag,) = flags(Kind.NEW_LONG_TERM_USE, fill(0, 14), fill(35, 17))
    assert dict(flag.facts) == {"days_in_62": 31}


def test_the_transition_keeps_its_key_from_stage_to_stage():
    fills = [fill(0, 15), fill(31, 20)]
    (first,) = flags(Kind.NEW_LONG_TERM_USE, *fills, as_of=20)
    (second,) = flags(Kind.NEW_LONG_TERM_USE, *fills, as_of=40)
    assert (first.key, len(first.facts), len(second.facts)) == (second.key, 1, 2)


@pytest.mark.parametrize(("on", "raised_"), [(189, 0), (190, 1)])
def test_use_is_new_after_half_a_year_without(on, raised_):
    found = flags(Kind.NEW_LONG_TERM_USE, fill(0), fill(on, 30))
    assert len(found) == raised_


# --- what was authorised ----------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "raised_"), [(2, 0), (3, 1)])
def test_a_third_refill_of_two(number, raised_):
    supply = fill(0, drug=TRAMADOL, fill=number, refills=2)
    assert len(flags(Kind.BEYOND_REFILLS, supply)) == raised_


@pytest.mark.parametrize(
    ("more", "raised_"),
    [({"fill": 0, "refills": 0}, 0), ({"fill": 1}, 1), ({"refills": 1}, 1), ({"fill": 1, "partial": 2}, 0)],
)
def test_schedule_ii_is_never_refilled(more, raised_):
    assert len(flags(Kind.SCHEDULE_II_REFILL, fill(0, **more))) == raised_


def part(on: int, *, drug=OXYCODONE, **more):
    named = {"partial": 2, "fill": 0, "pharmacy": "ph-1", "prescription": "rx-1", "written_on": START}
    return fill(on, 5, drug=drug, **(named | more))


@pytest.mark.parametrize(
    ("on", "more", "raised_"),
    [
        (30, {}, 0),
        (31, {}, 1),
        (60, {"treatment_type": "05"}, 0),
        (61, {"treatment_type": "05"}, 1),
        (184, {"drug": TRAMADOL}, 0),
        (185, {"drug": TRAMADOL}, 1),
        (31, {"partial": 0}, 0),
    ],
)
def test_parts_of_a_fill_within_their_limit(on, more, raised_):
    assert len(flags(Kind.PARTIAL_PAST_LIMIT, part(on, **more))) == raised_


@pytest.mark.parametrize(("second", "raised_"), [(10, 0), (11, 1)])
def test_parts_are_no_more_than_the_whole(second, raised_):
    ordered = {"prescribed": Quantity(Decimal(20), "")}
    parts = [part(1, partial=1, quantity=10, **ordered), part(2, quantity=second, **ordered)]
    assert [f.supply for f in flags(Kind.PARTIAL_PAST_LIMIT, *parts)] == [parts[1].id] * raised_


def test_a_part_without_the_day_of_writing_cannot_be_told():
    found = seen(Kind.PARTIAL_PAST_LIMIT, part(40, written_on=None))
    assert (found.flags, [u.missing for u in found.untold]) == ((), [("dispensing.written_on",)])


# --- payment, days, orders, distance ----------------------------------------------------------------


@pytest.mark.parametrize(("on", "raised_"), [(90, 1), (91, 0)])
def test_cash_within_ninety_days_of_insurance(on, raised_):
    fills = [fill(0, drug=IBUPROFEN, paid=Paid.INSURANCE), fill(on, paid=Paid.CASH)]
    assert len(flags(Kind.CASH_BESIDE_INSURANCE, *fills)) == raised_


def test_cash_alone_is_no_flag():
    assert flags(Kind.CASH_BESIDE_INSURANCE, fill(0, paid=Paid.CASH), fill(30, paid=Paid.CASH)) == ()


@pytest.mark.parametrize(("days", "raised_"), [(0, 1), (1, 0), (180, 0), (181, 1)])
def test_days_that_can_be(days, raised_):
    assert len(flags(Kind.IMPROBABLE_DAYS_SUPPLY, fill(0, days))) == raised_


@pytest.mark.parametrize(("on", "raised_"), [(180, 0), (181, 1)])
def test_an_order_of_the_product_accounts_for_half_a_year(on, raised_):
    order = a_supply(kind=SupplyKind.PRESCRIPTION, start=START, days=10, prescriber="own", id="o-1")
    supply = fill(on, prescriber="own")
    assert len(flags(Kind.NO_KNOWN_ORDER, order, supply, own=frozenset({"own"}))) == raised_


def test_an_order_of_the_number_accounts_for_whatever_was_dispensed():
    order = a_supply(kind=SupplyKind.PRESCRIPTION, start=START, prescription="rx-9", prescriber="own")
    supply = fill(300, drug=TRAMADOL, prescription="rx-9", prescriber="own")
    assert flags(Kind.NO_KNOWN_ORDER, order, supply, own=frozenset({"own"})) == ()


def test_of_other_prescribers_no_order_is_expected():
    assert flags(Kind.NO_KNOWN_ORDER, fill(0, prescriber="other"), own=frozenset({"own"})) == ()


@pytest.mark.parametrize(
    ("areas", "raised_"),
    [
        (Areas("100", "104"), 0),  # Manhattan and the Bronx
        (Areas("606", "532"), 0),  # Chicago and Milwaukee: 102 km from edge to edge
        (Areas("100", "900"), 1),  # New York and Los Angeles
        (Areas("100", "100", "900"), 1),
        (Areas("100", "", ""), 0),
        (Areas("100", "999x"), 0),
    ],
    ids=str,
)
def test_far_is_what_three_digits_can_tell(areas, raised_):
    assert len(flags(Kind.LONG_DISTANCE, fill(0, areas=areas))) == raised_


@pytest.mark.parametrize(("km", "raised_"), [(161, 1), (162, 0)])
def test_the_distance_is_the_least_that_it_can_be(km, raised_):
    # Seattle and Portland: 191 km from edge to edge, less a margin of 15 each
    found = flags(Kind.LONG_DISTANCE, fill(0, areas=Areas("981", "972")), changed={"km": km})
    assert [f.facts["pharmacy_km"] for f in found] == [161] * raised_


# --- all --------------------------------------------------------------------------------------------


def test_every_kind_has_a_rule_and_its_parameters():
    assert set(RULES) == set(Kind) == set(reference().rules)


def test_no_title_says_anything_about_a_person():
    words = re.compile(r"aberrant|abus|seek|addict|suspicious|patient|shop", re.IGNORECASE)
    assert not [d.title for d in reference().rules.values() if words.search(d.title)]


def test_a_fill_that_is_reported_twice_is_one():
    named = {"pharmacy": "ph-1", "prescription": "rx-1", "fill": 0}
    looked = history([fill(0, **named), fill(0, **named)], reference().common, as_of=day(9))
    assert (len(looked.rows), looked.dropped) == (1, 1)


def test_a_fill_of_tomorrow_is_not_looked_at():
    assert flags(Kind.HIGH_DAILY_MME, fill(10, a_day=20), as_of=9) == ()


FILLS = st.lists(
    st.builds(
        fill,
        st.integers(0, 200),
        st.one_of(st.none(), st.integers(1, 60)),
        a_day=st.integers(1, 20),
        drug=st.sampled_from([OXYCODONE, OXYCODONE_ER, HYDROCODONE, DIAZEPAM, CARISOPRODOL, BUPRENORPHINE]),
        prescriber=st.sampled_from(["", "p-1", "p-2", "p-3", "p-4"]),
        pharmacy=st.sampled_from(["", "ph-1", "ph-2", "ph-3", "ph-4"]),
        unrecognised=st.booleans(),
        paid=st.sampled_from(Paid),
    ),
    max_size=12,
)


@given(FILLS, st.randoms(use_true_random=False))
def test_flags_have_one_key_each_and_do_not_depend_on_the_order_of_the_rows(fills, random):
    shuffled = list(fills)
    random.shuffle(shuffled)
    rules = [d.rule for d in reference().rules.values()]
    one, other = (
        raised(history(f, reference().common, as_of=day(250), areas=reference().areas), rules)
        for f in (fills, shuffled)
    )
    assert one.flags == other.flags
    keys = [f.key for f in one.flags]
    assert len(keys) == len(set(keys))
    known = {s.id for s in fills}
    assert all(set(f.supplies) <= known and f.on <= f.until for f in one.flags)


def test_a_controlled_product_is_one_with_a_schedule():
    loose = a_drug(schedule=None, code="loose")
    assert flags(Kind.IMPROBABLE_DAYS_SUPPLY, fill(0, 200, drug=loose)) == ()
    assert len(flags(Kind.IMPROBABLE_DAYS_SUPPLY, fill(0, 200, drug=a_drug(schedule=Schedule.V)))) == 1


def test_an_order_raises_the_flags_that_its_fill_would():
    order = fill(17, 20, kind=SupplyKind.DRAFT)
    (flag,) = flags(Kind.EARLY_REFILL, fill(0, 20), order)
    assert flag.supply == order.id
