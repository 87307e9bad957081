"""A measure of stays three ways: one patient's answers, the columns', and one written again day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stewardship.domain.chart import Chart, Encounter
from stewardship.domain.drugs import Schedule
from stewardship.domain.measures import Answer, Standing
from stewardship.domain.orders import Setting, Supply, SupplyKind
from stewardship.measures.columnar import STANDINGS
from stewardship.measures.stays import Stays, medications_of, tally_stays
from tests.builders import LONG_ACTING, a_drug
from tests.domain.flagging import BUPRENORPHINE, DIAZEPAM, OXYCODONE, OXYCODONE_ER, TRAMADOL
from tests.measures import naive
from tests.measures.claiming import FIRST, YEAR, claim, measures, someone, stays_of

CMS506 = measures()["cms506"]
UNKNOWN_DAYS = 60
THREE = {True: 1, False: 0, None: -1}
STANDING = {True: Standing.IN, False: Standing.OUT, None: Standing.UNTOLD}
COUGH = a_drug("codeine", "2670", "2", code="v", schedule=Schedule.V)
INJECTED = a_drug("morphine", "7052", "10", code="inj", form="injection", classes=LONG_ACTING)
PRODUCTS = [OXYCODONE, OXYCODONE_ER, TRAMADOL, DIAZEPAM, DIAZEPAM, BUPRENORPHINE, COUGH, INJECTED]
#: The first of March to the fifth.
BEGUN, ENDED = 59, 63


def stay(begun: int = BEGUN, ended: int = ENDED, name: str = "stay") -> Encounter:
    return Encounter(
        name, (), setting="IMP", from_on=FIRST + timedelta(begun), until=FIRST + timedelta(ended)
    )


def medicine(
    on: int,
    drug=OXYCODONE,
    days: int | None = 5,
    *,
    setting: Setting = Setting.UNKNOWN,
    kind: SupplyKind = SupplyKind.PRESCRIPTION,
    **more,
) -> Supply:
    known = claim(on, days, id=f"{on}-{drug.code.code if drug else 'odd'}-{setting.value}")
    made = replace(known, drug=drug, setting=setting, kind=kind, **more)
    return made if drug is None else replace(made, medication=replace(made.medication, codings=(drug.code,)))


def leaving(drug=OXYCODONE, on: int = ENDED, **more) -> Supply:
    return medicine(on, drug, setting=Setting.DISCHARGE, **more)


def home(on: int, drug, days: int | None, **more) -> Supply:
    return medicine(on, drug, days, kind=SupplyKind.DISPENSING, **more)


def as_columns(charts: Sequence[Chart]) -> list[tuple[str, Standing, dict[str, int]]]:
    """What the columns say of every stay: its id, its standing and its rates."""
    medications, drugs = medications_of(charts, unknown_days=UNKNOWN_DAYS)
    known = [(n, e) for n, chart in enumerate(charts) for e in chart.encounters]
    stays = Stays(
        np.array([n for n, _ in known], np.int32),
        np.array([e.from_on.toordinal() for _, e in known], np.int32),
        np.array([e.until.toordinal() for _, e in known], np.int32),
        np.ones(len(known), np.int8),
        np.zeros(len(known), np.bool_),
    )
    at, found = tally_stays(CMS506, medications, stays, drugs, YEAR)
    return [
        (
            known[number][1].id,
            STANDINGS[int(found.standing[row])],
            {rate: int(met[row]) for rate, met in found.met.items()},
        )
        for row, number in enumerate(at)
    ]


def agree(charts: Sequence[Chart]) -> list[Answer]:
    """The answers of each chart, after holding them against the columns'."""
    answers = [answer for chart in charts for answer in stays_of(chart)]
    told = {name: (standing, rates) for name, standing, rates in as_columns(charts)}
    assert len(told) == len(answers)
    for one in answers:
        standing, rates = told[one.stay]
        assert standing is one.standing, one
        for rate in one.rates:
            assert rates[rate.rate] == THREE[rate.met], rate
    return answers


# --- by hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("supplies", "standing", "met"),
    [
        ([], "out", None),
        ([leaving()], "in", False),
        ([leaving(), leaving(OXYCODONE_ER)], "in", True),
        ([leaving(), leaving(DIAZEPAM)], "in", True),
        ([leaving(DIAZEPAM)], "in", False),
        # Twice the same product is one; another strength or release is another.
        ([leaving(), leaving(on=ENDED - 1)], "in", False),
        # Written on the first day, and on the day before; on the last, and on the day after.
        ([leaving(on=BEGUN), leaving(TRAMADOL, BEGUN)], "in", True),
        ([leaving(on=BEGUN - 1)], "out", None),
        ([leaving(on=BEGUN - 1, days=6)], "cannot-tell", None),  # and may be in hand on the last
        ([leaving(on=ENDED + 1)], "out", None),
        ([leaving(on=ENDED + 1, written_on=FIRST + timedelta(ENDED))], "in", False),
        # In hand to the fourth, and to the fifth.
        ([leaving(), home(BEGUN - 9, OXYCODONE_ER, 13)], "in", False),
        ([leaving(), home(BEGUN - 9, OXYCODONE_ER, 14)], "in", None),
        ([home(BEGUN - 9, OXYCODONE_ER, 14)], "cannot-tell", None),
        ([leaving(), home(BEGUN - 9, OXYCODONE_ER, 14, ended_on=FIRST + timedelta(ENDED))], "in", False),
        ([leaving(), home(BEGUN - 9, OXYCODONE_ER, 14, ended_on=FIRST + timedelta(ENDED + 1))], "in", None),
        # Of unknown length, sixty days at the most.
        ([leaving(), home(ENDED - 59, DIAZEPAM, None)], "in", None),
        ([leaving(), home(ENDED - 60, DIAZEPAM, None)], "in", False),
        # Written on the last day without a setting, and for the ward.
        ([leaving(), medicine(ENDED, DIAZEPAM)], "in", None),
        ([leaving(), medicine(ENDED, DIAZEPAM, setting=Setting.INPATIENT)], "in", False),
        ([leaving(), home(BEGUN - 9, DIAZEPAM, 30, setting=Setting.INPATIENT)], "in", False),
        # What is there for certain is not left open by more of the same.
        ([leaving(), home(BEGUN - 9, OXYCODONE, 30)], "in", False),
        # No opioid of the measure: schedule V, an injection, treatment of opioid use disorder.
        ([leaving(COUGH)], "out", None),
        ([leaving(INJECTED)], "out", None),
        ([leaving(BUPRENORPHINE)], "out", None),
        ([leaving(treatment_type="02")], "out", None),
        ([leaving(), leaving(OXYCODONE_ER, treatment_type="02")], "in", False),
        # What nobody recognises may be either.
        ([leaving(None)], "cannot-tell", None),
        ([leaving(), leaving(None)], "in", None),
        ([leaving(), leaving(TRAMADOL), leaving(None)], "in", True),
        # Reported for palliative care during the stay, and before it.
        ([leaving(treatment_type="04")], "excluded", None),
        ([leaving(), home(BEGUN - 1, DIAZEPAM, 2, treatment_type="04")], "in", False),
    ],
    ids=lambda value: None if isinstance(value, list) else str(value),
)
def test_what_goes_home_with_whom(supplies, standing, met):
    (found,) = agree(
        [someone([replace(s, id=f"s{n}") for n, s in enumerate(supplies)], encounters=(stay(),))]
    )
    assert found.standing.value == standing
    if standing == "in":
        assert next(r.met for r in found.rates if r.rate == "concurrent") is met


@pytest.mark.parametrize(
    ("begun", "ended", "standing"),
    [(-1, -1, None), (-120, 0, "in"), (-121, 0, "out"), (364, 364, "in"), (364, 365, None)],
)
def test_a_stay_counts_in_the_year_in_which_it_ends_and_is_not_too_long(begun, ended, standing):
    found = agree([someone([leaving(on=ended)], encounters=(stay(begun, ended),))])
    assert [one.standing.value for one in found] == ([standing] if standing else [])


def test_age_and_what_is_on_record_beside_medicines_settle_who_is_in():
    medications, drugs = medications_of([someone([leaving()])], unknown_days=UNKNOWN_DAYS)
    first, last = (FIRST.toordinal() + n for n in (BEGUN, ENDED))
    stays = Stays(
        np.zeros(4, np.int32),
        np.full(4, first, np.int32),
        np.full(4, last, np.int32),
        np.array([1, 0, -1, 1], np.int8),
        np.array([False, True, False, True]),
    )
    _, found = tally_stays(CMS506, medications, stays, drugs, YEAR)
    assert [STANDINGS[int(s)].value for s in found.standing] == ["in", "out", "cannot-tell", "excluded"]
    assert (found.count(Standing.IN), found.counted("concurrent")) == (1, 0)


def test_a_measure_of_dispensings_has_no_stays():
    medications, drugs = medications_of([], unknown_days=UNKNOWN_DAYS)
    none = Stays(*(np.zeros(0, np.int32) for _ in range(3)), np.zeros(0, np.int8), np.zeros(0, np.bool_))
    with pytest.raises(ValueError, match="told from dispensings"):
        tally_stays(measures()["hedis-hdo"], medications, none, drugs, YEAR)


# --- generated ----------------------------------------------------------------------------------------------


@st.composite
def patients(draw: st.DrawFn, stays: int = 3) -> Chart:
    """Stays far apart or close, and medicines about their first and last days."""
    number = draw(st.integers(0, 999_999))
    begun, visits, supplies = draw(st.integers(-125, 40)), [], []
    for count in range(draw(st.integers(1, stays))):
        ended = begun + draw(st.sampled_from([0, 1, 4, 30, 119, 120, 121]))
        visits.append(stay(begun, ended, f"{number}-{count}"))
        for _ in range(draw(st.integers(0, 4))):
            edge = draw(st.sampled_from([begun, ended]))
            on = edge + draw(st.sampled_from([-61, -60, -30, -14, -5, -1, 0, 0, 0, 1]))
            kinds = st.sampled_from([SupplyKind.DISPENSING, SupplyKind.PRESCRIPTION])
            settings_ = [Setting.DISCHARGE, Setting.DISCHARGE, Setting.UNKNOWN, Setting.INPATIENT]
            supplies.append(
                medicine(
                    on,
                    draw(st.sampled_from([*PRODUCTS, *PRODUCTS, None])),
                    draw(st.sampled_from([None, 1, 2, 5, 14, 30, 60])),
                    kind=draw(kinds),
                    setting=draw(st.sampled_from(settings_)),
                    treatment_type=draw(st.sampled_from(["", "", "", "", "02", "04"])),
                    refills=draw(st.sampled_from([None, 0, 1])),
                    ended_on=draw(st.sampled_from([None, None, None, FIRST + timedelta(ended)])),
                    written_on=draw(st.sampled_from([None, None, FIRST + timedelta(ended)])),
                )
            )
        begun = ended + draw(st.sampled_from([0, 1, 20, 100]))
    return someone([replace(s, id=f"s{n}") for n, s in enumerate(supplies)], encounters=tuple(visits))


@settings(max_examples=70, deadline=None)
@given(charts=st.lists(patients(), min_size=1, max_size=6, unique_by=lambda c: c.encounters[0].id))
def test_the_columns_say_of_every_stay_what_is_said_of_one(charts):
    agree(charts)


@settings(max_examples=120, deadline=None)
@given(chart=patients(stays=1))
def test_one_patients_answer_is_the_one_written_again(chart):
    (visit,) = chart.encounters
    found = stays_of(chart)
    if not date(YEAR, 1, 1) <= visit.until <= date(YEAR, 12, 31):
        assert found == ()
        return
    # Of what was prescribed before the stay it depends on dispensings how long it lasts.
    supplies = [s for s in chart.supplies if s.kind is SupplyKind.DISPENSING or s.start_on >= visit.from_on]
    (one,) = stays_of(replace(chart, supplies=tuple(supplies)))
    inside, met = naive.discharged(supplies, visit.from_on, visit.until)
    assert one.standing is (Standing.EXCLUDED if inside == "excluded" else STANDING[inside])
    if one.standing is Standing.IN:
        assert [r.met for r in one.rates if r.rate == "concurrent"] == [met]
