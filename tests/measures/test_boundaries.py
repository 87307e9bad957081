"""Each limit of each measure, from both sides, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from stewardship.domain.chart import Condition, Encounter, Procedure
from stewardship.domain.codes import Coding
from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Release, Schedule
from stewardship.domain.measures import Standing
from stewardship.domain.orders import Setting, SupplyKind
from tests.builders import LONG_ACTING, a_drug
from tests.domain.flagging import BUPRENORPHINE, DIAZEPAM
from tests.measures.claiming import FIRST, YEAR, ask, born, claim, measures, met, someone, stays_of

IN, OUT, UNTOLD, EXCLUDED = Standing.IN, Standing.OUT, Standing.UNTOLD, Standing.EXCLUDED
PERIOD = ["hedis-hdo", "hedis-uop", "pqa-ohd", "pqa-omp", "pqa-ohdmp", "pqa-cob"]
STARTS = ["hedis-cou", "pqa-iop-ld", "pqa-iop-hd", "pqa-iop-la"]
ER = a_drug(strength="30", code="er", release=Release.EXTENDED, classes=LONG_ACTING)
INJECTED = a_drug("morphine", "7052", "10", code="inj", form="injection")
LONG = [claim(0, 60), claim(60, 60)]  # in every population of a period


def where(measure: str, claims, **more) -> tuple[Standing, str]:
    found = ask(measure, claims, **more)
    return found.standing, found.reason


# --- who is in a population of a period ---------------------------------------------------------------------


@pytest.mark.parametrize("measure", PERIOD)
def test_two_dispensings_on_two_days_are_needed(measure):
    same_day = [claim(0, 60, id="a"), claim(0, 60, id="b")]
    assert where(measure, LONG)[0] is IN
    assert where(measure, same_day) == (OUT, "dispensings")


@pytest.mark.parametrize("measure", ["hedis-hdo", "hedis-uop", "pqa-omp", "pqa-cob"])
def test_fifteen_days_are_in_and_fourteen_are_not(measure):
    assert where(measure, [claim(0, 8), claim(20, 7)])[0] is IN
    assert where(measure, [claim(0, 7), claim(20, 7)]) == (OUT, "days")


def test_days_that_overlap_are_counted_once_where_days_covered_are_asked_for():
    # 10 days from day 0 and 10 from day 4: 14 calendar days, 20 days' supply.
    overlapping = [claim(0, 10), claim(4, 10)]
    assert where("hedis-hdo", overlapping) == (OUT, "days")
    assert where("pqa-omp", overlapping)[0] is IN


@pytest.mark.parametrize("measure", ["pqa-ohd", "pqa-ohdmp"])
def test_an_episode_of_ninety_days_is_in_and_of_eighty_nine_is_not(measure):
    assert where(measure, [claim(0, 10), claim(80, 10)])[0] is IN  # to day 89: 90 days
    assert where(measure, [claim(0, 10), claim(80, 9)]) == (OUT, "episode-days")


def test_a_first_claim_thirty_days_before_the_end_is_in_and_twenty_nine_is_not():
    # 2 December leaves 30 days of the year, itself included.
    december = (date(YEAR, 12, 2) - FIRST).days
    assert where("pqa-cob", [claim(december, 10), claim(december + 10, 10)])[0] is IN
    assert where("pqa-cob", [claim(december + 1, 10), claim(december + 11, 10)]) == (OUT, "days-from-start")


@pytest.mark.parametrize("measure", PERIOD)
def test_the_year_ends_on_its_last_day(measure):
    before = [claim(-2, 60, id="a"), claim(-1, 60, id="b")]
    assert where(measure, before) == (OUT, "dispensings")


def test_supply_after_the_year_does_not_count():
    # From 25 December: 7 days of 30 are in the year, and 8 from a day earlier.
    late = (date(YEAR, 12, 25) - FIRST).days
    assert where("hedis-hdo", [claim(late, 30), claim(late + 1, 30)]) == (OUT, "days")
    assert where("hedis-hdo", [claim(0, 8), claim(late, 30)])[0] is IN


@pytest.mark.parametrize("measure", [*PERIOD, *STARTS])
def test_adults_are_eighteen_on_the_first_day(measure):
    day = measures()[measure].window.of(YEAR)[0]
    claims = [claim(0, 60), claim(60, 60)]
    assert where(measure, claims, **born(day.replace(year=day.year - 18)))[0] is IN
    younger = day.replace(year=day.year - 18) + timedelta(1)
    assert where(measure, claims, **born(younger)) == (OUT, "age")


@pytest.mark.parametrize("measure", [*PERIOD, *STARTS])
def test_an_age_that_is_not_known_cannot_be_told(measure):
    assert where(measure, LONG, **born(None)) == (UNTOLD, "birth-date-missing")


@pytest.mark.parametrize("drug", [BUPRENORPHINE, INJECTED], ids=["for-use-disorder", "injected"])
@pytest.mark.parametrize("measure", [*PERIOD, *STARTS])
def test_what_is_no_opioid_for_pain_to_take_home_is_no_claim(measure, drug):
    assert where(measure, [claim(0, 60, drug=drug), claim(60, 60, drug=drug)])[0] is OUT


def test_methadone_for_opioid_use_disorder_is_no_claim():
    assert where("pqa-omp", [replace(c, treatment_type="02") for c in LONG]) == (OUT, "dispensings")


def test_what_was_prescribed_and_not_dispensed_is_no_claim():
    assert where("pqa-omp", [replace(c, kind=SupplyKind.PRESCRIPTION) for c in LONG])[0] is OUT


def test_a_dispensing_that_is_reported_twice_is_one():
    twice = [claim(0, 20, id="a", prescription="7", fill=0, pharmacy="x") for _ in range(2)]
    assert ask("pqa-omp", twice).claims == ("a",)


def test_days_that_are_not_known_leave_it_open_and_do_not_undo_what_is_certain():
    assert where("hedis-hdo", [claim(0, 7), claim(20, None)]) == (UNTOLD, "days-supply-missing")
    assert where("hedis-hdo", [claim(0, 15), claim(20, None)])[0] is IN


def test_a_product_that_nobody_recognises_leaves_a_no_open():
    strange = claim(20, 20, unrecognised=True)
    strange = replace(strange, drug=None)
    assert where("pqa-omp", [claim(0, 14), strange]) == (UNTOLD, "product-not-recognised")
    found = ask("pqa-omp", [*LONG, strange])
    assert (found.standing, found.caveats) == (IN, ("product-not-recognised",))


# --- average dose -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["hedis-hdo", "pqa-ohd"])
def test_ninety_a_day_over_the_whole_episode_is_high(measure):
    found = ask(measure, [claim(0, 60, a_day=12), claim(60, 60, a_day=12)])
    assert met(found, "90-mme") is True
    assert found.rates[0].criteria[0].value == Fraction(90)


@pytest.mark.parametrize("measure", ["hedis-hdo", "pqa-ohd"])
def test_a_day_between_brings_it_under_ninety_and_near(measure):
    # 120 days at 90 MME in an episode of 121 days: 10800 / 121 = 89.26.
    found = ask(measure, [claim(0, 60, a_day=12), claim(61, 60, a_day=12)])
    assert met(found, "90-mme") is False
    assert found.rates[0].criteria[0].value == Fraction(10_800, 121)
    assert found.rates[0].near


def test_over_the_days_covered_a_gap_counts_nothing():
    found = ask("hedis-hdo", [claim(0, 20, a_day=12), claim(100, 20, a_day=12)])
    assert (met(found, "90-mme"), met(found, "90-mme-covered")) == (False, True)


def test_doses_that_overlap_add_up():
    # 60 MME twice over the same 20 days is 120 a day.
    found = ask("hedis-hdo", [claim(0, 20, a_day=8), claim(1, 19, a_day=8)])
    # 20 x 60 + 19 x 60 = 2340 over 20 days = 117
    assert found.rates[0].criteria[0].value == Fraction(117)
    assert (met(found, "90-mme"), met(found, "120-mme")) == (True, False)


@pytest.mark.parametrize(("a_day", "counted"), [(6, False), (7, True)])
def test_fifty_beside_ninety(a_day, counted):
    # 45 and 52.5 MME a day
    found = ask("hedis-hdo", [claim(0, 20, a_day=a_day), claim(20, 20, a_day=a_day)])
    assert met(found, "50-mme") is counted


def test_a_dose_that_is_not_known_is_a_lower_bound():
    unknown = replace(claim(20, 20, a_day=2), quantity=None)
    low, high = [claim(0, 20), unknown], [claim(0, 20, a_day=24), unknown]
    assert met(ask("hedis-hdo", low), "90-mme") is None
    # 180 MME for 20 days of 40 is 90 a day, whatever the other is.
    assert met(ask("hedis-hdo", high), "90-mme") is True


def test_without_a_length_there_is_no_average():
    found = ask("hedis-hdo", [claim(0, 20, a_day=24), claim(20, None, a_day=24)])
    assert found.rates[0].criteria[0].why == "days-supply-missing"
    assert met(found, "90-mme") is None


# --- prescribers and pharmacies -----------------------------------------------------------------------------


def visits(*days: int, prescribers: int = 4, pharmacies: int = 4, **more):
    return [
        claim(d, 30, prescriber=f"p{n % prescribers}", pharmacy=f"s{n % pharmacies}", **more)
        for n, d in enumerate(days)
    ]


@pytest.mark.parametrize(
    ("prescribers", "pharmacies", "counted"),
    [(4, 4, (True, True, True)), (3, 4, (False, True, False)), (4, 3, (True, False, False))],
)
def test_four_of_each_in_the_year(prescribers, pharmacies, counted):
    found = ask("hedis-uop", visits(0, 100, 200, 300, prescribers=prescribers, pharmacies=pharmacies))
    assert tuple(met(found, r) for r in ("prescribers", "pharmacies", "both")) == counted


@pytest.mark.parametrize("measure", ["pqa-omp", "pqa-ohdmp"])
@pytest.mark.parametrize(("last", "counted"), [(179, True), (180, False)])
def test_four_of_each_within_a_hundred_and_eighty_days(measure, last, counted):
    found = ask(measure, visits(0, 60, 120, last, a_day=24))
    assert found.rates[0].met is counted


def test_high_dosage_and_multiple_providers_takes_both():
    low = ask("pqa-ohdmp", visits(0, 30, 60, 90, a_day=2))
    high = ask("pqa-ohdmp", visits(0, 30, 60, 90, a_day=12))
    assert (met(low, "both"), met(high, "both")) == (False, True)


def test_a_claim_that_names_no_pharmacy_leaves_it_open():
    unnamed = [*visits(0, 30, 60), claim(90, 30, prescriber="p9", pharmacy="")]
    assert met(ask("pqa-omp", unnamed), "4-and-4") is None


# --- with a benzodiazepine ----------------------------------------------------------------------------------


def sedatives(*spans: tuple[int, int]):
    return [claim(on, days, drug=DIAZEPAM, id=f"b{on}") for on, days in spans]


@pytest.mark.parametrize(
    ("spans", "counted"),
    [
        (((0, 15), (15, 15)), True),  # 30 days, two claims
        (((0, 15), (15, 14)), False),  # 29 days
        (((0, 30),), False),  # one claim
        (((0, 20), (10, 20)), True),  # 30 calendar days of 40 days' supply
        (((0, 20), (10, 19)), False),
        (((100, 25), (110, 40)), False),  # opioids end on day 119: 20 days
    ],
    ids=["thirty", "twenty-nine", "one-claim", "overlapping", "overlapping-29", "past-the-opioid"],
)
def test_thirty_days_together_from_two_claims(spans, counted):
    assert met(ask("pqa-cob", [*LONG, *sedatives(*spans)]), "30-days") is counted


def test_fifteen_days_stand_beside_thirty():
    found = ask("pqa-cob", [*LONG, *sedatives((0, 8), (8, 7))])
    assert [met(found, r) for r in ("30-days", "15-days", "7-days")] == [False, True, True]


# --- new episodes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "standing"), [(180, OUT), (181, IN)])
def test_a_new_episode_has_nothing_in_the_hundred_and_eighty_days_before(before, standing):
    # The earlier claim lies before 1 November, so it is not itself of the intake period.
    start = (date(YEAR, 3, 1) - FIRST).days
    assert where("hedis-cou", [claim(start - before, 3), claim(start, 10)])[0] is standing


@pytest.mark.parametrize(
    ("day", "standing"),
    [
        (date(YEAR - 1, 10, 31), OUT),
        (date(YEAR - 1, 11, 1), IN),
        (date(YEAR, 10, 31), IN),
        (date(YEAR, 11, 1), OUT),
    ],
    ids=str,
)
def test_the_intake_is_from_november_to_october(day, standing):
    assert where("hedis-cou", [claim((day - FIRST).days, 5)])[0] is standing


@pytest.mark.parametrize(("days", "counted"), [(15, True), (14, False)])
def test_fifteen_days_of_thirty(days, counted):
    assert met(ask("hedis-cou", [claim(0, days)]), "15-of-30") is counted


def test_the_thirtieth_day_counts_and_the_thirty_first_does_not():
    assert met(ask("hedis-cou", [claim(0, 14), claim(29, 10)]), "15-of-30") is True
    assert met(ask("hedis-cou", [claim(0, 14), claim(30, 10)]), "15-of-30") is False


@pytest.mark.parametrize(("second", "counted"), [(61, True), (62, False)])
def test_thirty_one_days_of_sixty_two(second, counted):
    assert met(ask("hedis-cou", [claim(0, 30), claim(second, 5)]), "31-of-62") is counted


def test_a_history_that_is_not_on_record_cannot_be_told():
    known = FIRST - timedelta(179)
    assert where("hedis-cou", [claim(0, 20)], known_from=known) == (UNTOLD, "history-not-on-record")
    assert where("hedis-cou", [claim(0, 20)], known_from=known - timedelta(1))[0] is IN


# --- initial prescribing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "standing"), [(90, OUT), (91, IN)])
@pytest.mark.parametrize("measure", STARTS[1:])
def test_an_initial_prescription_has_nothing_in_the_ninety_days_before(measure, before, standing):
    # The earlier claim is of the year before: no start of this one.
    start = 80
    assert where(measure, [claim(start - before, 3), claim(start, 5)])[0] is standing


@pytest.mark.parametrize(("days", "counted"), [(7, False), (8, True)])
def test_more_than_seven_days(days, counted):
    assert met(ask("pqa-iop-ld", [claim(0, days)]), "8-days") is counted


@pytest.mark.parametrize(("second", "counted"), [(2, True), (3, False)])
def test_the_initiation_period_is_three_days(second, counted):
    # 4 and 4 days' supply; they overlap, and both count whole.
    assert met(ask("pqa-iop-ld", [claim(0, 4), claim(second, 4)]), "8-days") is counted


def test_any_initiation_period_of_the_year_counts():
    assert met(ask("pqa-iop-ld", [claim(0, 3), claim(200, 8)]), "8-days") is True
    assert met(ask("pqa-iop-ld", [claim(0, 3), claim(90, 8)]), "8-days") is False


@pytest.mark.parametrize(("tablets", "counted"), [(6, False), (7, True)])
def test_fifty_a_day_to_begin_with(tablets, counted):
    # 45 and 52.5 MME a day
    assert met(ask("pqa-iop-hd", [claim(0, 5, a_day=tablets)]), "50-mme") is counted


def test_exactly_fifty_a_day_is_high():
    # 20 tablets over 3 days: 150 MME by 3 days
    twenty = replace(claim(0, 3), quantity=Quantity(Decimal(20), ""))
    assert met(ask("pqa-iop-hd", [twenty]), "50-mme") is True


def test_long_acting_to_begin_with():
    assert met(ask("pqa-iop-la", [claim(0, 3, drug=ER)]), "long-acting") is True
    assert met(ask("pqa-iop-la", [claim(0, 3), claim(2, 3, drug=ER)]), "long-acting") is True
    assert met(ask("pqa-iop-la", [claim(0, 3), claim(3, 3, drug=ER)]), "long-acting") is False


# --- exclusions ---------------------------------------------------------------------------------------------


def condition(name: str, **more) -> Condition:
    given = {"recorded_on": FIRST, "active": True} | more
    return Condition("k", (Coding("icd-10-cm", "X"),), frozenset({name}), **given)


@pytest.mark.parametrize(
    ("measure", "name", "kind"),
    [
        (m, s, e.kind)
        for m in [*PERIOD, *STARTS]
        for e in measures()[m].exclusions
        for s in sorted(e.sets)[:1]
    ],
)
def test_every_exclusion_excludes_with_its_record(measure, name, kind):
    found = ask(measure, LONG, conditions=(condition(name),))
    assert (found.standing, found.reason, found.exclusions[0].record) == (EXCLUDED, kind, "k")


@pytest.mark.parametrize(
    ("more", "standing"),
    [
        ({"abated_on": FIRST}, EXCLUDED),
        ({"abated_on": FIRST - timedelta(1), "recorded_on": FIRST - timedelta(90)}, IN),
        ({"recorded_on": date(YEAR, 12, 31)}, EXCLUDED),
        ({"recorded_on": date(YEAR + 1, 1, 1)}, IN),
        ({"active": False, "recorded_on": FIRST - timedelta(1)}, IN),
    ],
    ids=["over-on-the-first-day", "over-the-day-before", "on-the-last-day", "the-day-after", "inactive"],
)
def test_a_condition_excludes_while_it_is_there(more, standing):
    assert where("hedis-hdo", LONG, conditions=(condition("sickle-cell-disease", **more),))[0] is standing


def test_cancer_excludes_nobody_from_multiple_providers_of_hedis():
    assert where("hedis-uop", LONG, conditions=(condition("active-cancer"),))[0] is IN


def test_procedures_visits_and_treatment_types_exclude():
    hospice = frozenset({"hospice"})
    done = Procedure("r", (), hospice, FIRST)
    visit = Encounter("v", (), hospice, from_on=FIRST - timedelta(9), until=FIRST)
    typed = [replace(c, treatment_type="05") for c in LONG]
    assert where("hedis-uop", LONG, procedures=(done,))[0] is EXCLUDED
    assert where("hedis-uop", LONG, encounters=(visit,))[0] is EXCLUDED
    assert where("hedis-uop", LONG, encounters=(replace(visit, until=FIRST - timedelta(1)),))[0] is IN
    assert where("hedis-uop", typed)[0] is EXCLUDED


def test_who_is_not_in_the_population_is_out_and_not_excluded():
    assert where("hedis-hdo", [claim(0, 5)], conditions=(condition("hospice"),))[0] is OUT


# --- at discharge -------------------------------------------------------------------------------------------

STAY = Encounter("stay", (), setting="IMP", from_on=date(YEAR, 3, 1), until=date(YEAR, 3, 5))
MORPHINE = a_drug("morphine", "7052", "15", code="m")


def leaving(drug, on: date = date(YEAR, 3, 5), *, setting: Setting = Setting.DISCHARGE, **more):
    given = claim((on - FIRST).days, 5, drug=drug, id=f"{drug.code.code}{on}", **more)
    return replace(given, kind=SupplyKind.PRESCRIPTION, setting=setting)


def discharged(*supplies, stay: Encounter = STAY, **more):
    (found,) = stays_of(someone(supplies, encounters=(stay,), **more))
    return found


@pytest.mark.parametrize(
    ("drugs", "counted"),
    [((MORPHINE,), False), ((MORPHINE, ER), True), ((MORPHINE, DIAZEPAM), True), ((DIAZEPAM,), False)],
    ids=["one-opioid", "two-opioids", "with-benzodiazepine", "benzodiazepine-alone"],
)
def test_two_opioids_or_an_opioid_with_a_benzodiazepine(drugs, counted):
    found = discharged(*(leaving(d) for d in drugs))
    assert (found.standing, met(found, "concurrent")) == (IN, counted)


def test_who_leaves_with_neither_is_out():
    assert (discharged().standing, discharged().reason) == (OUT, "medicines")


@pytest.mark.parametrize(("days", "standing"), [(120, IN), (121, OUT)])
def test_a_stay_of_a_hundred_and_twenty_days(days, standing):
    long_stay = replace(STAY, from_on=STAY.until - timedelta(days))
    assert discharged(leaving(MORPHINE), stay=long_stay).standing is standing


@pytest.mark.parametrize(
    ("ended", "count"), [(date(YEAR - 1, 12, 31), 0), (date(YEAR, 1, 1), 1), (date(YEAR, 12, 31), 1)], ids=str
)
def test_stays_count_in_the_year_in_which_they_end(ended, count):
    stay = replace(STAY, from_on=ended - timedelta(3), until=ended)
    assert len(stays_of(someone([leaving(MORPHINE, ended)], encounters=(stay,)))) == count


def test_what_may_be_continued_leaves_it_open():
    home = claim((date(YEAR, 2, 20) - FIRST).days, 30, drug=ER, id="home")
    found = discharged(leaving(MORPHINE), home)
    assert (found.standing, met(found, "concurrent")) == (IN, None)
    assert "home" in found.claims


def test_what_ran_out_before_the_last_day_is_not_continued():
    home = claim((date(YEAR, 2, 20) - FIRST).days, 13, drug=ER, id="home")  # to 4 March
    assert met(discharged(leaving(MORPHINE), home), "concurrent") is False


def test_schedule_v_is_no_opioid_of_this_measure():
    cough = a_drug("codeine", "2670", "2", code="v", schedule=Schedule.V)
    assert discharged(leaving(cough)).standing is OUT


def test_cancer_during_the_stay_excludes_and_after_it_does_not():
    during = condition("active-cancer", recorded_on=STAY.until)
    after = condition("active-cancer", recorded_on=STAY.until + timedelta(1))
    assert discharged(leaving(MORPHINE), conditions=(during,)).standing is EXCLUDED
    assert discharged(leaving(MORPHINE), conditions=(after,)).standing is IN


def test_age_is_that_of_the_first_day_of_the_stay():
    adult = born(date(YEAR - 18, 3, 1))
    child = born(date(YEAR - 18, 3, 2))
    assert discharged(leaving(MORPHINE), **adult).standing is IN
    assert discharged(leaving(MORPHINE), **child).standing is OUT
