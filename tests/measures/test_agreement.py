"""Three ways to the same answers: one patient's, the columns', and one written again day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stewardship.domain.chart import Chart, Patient
from stewardship.domain.flags import history
from stewardship.domain.measures import Answer, Kind, Standing
from stewardship.domain.measures.patients import answer
from stewardship.domain.orders import Supply
from stewardship.measures.columnar import STANDINGS, tally
from stewardship.population.columns import columns
from tests.builders import NOW
from tests.domain.flagging import BUPRENORPHINE, DIAZEPAM, HYDROCODONE, OXYCODONE, OXYCODONE_ER, TRAMADOL
from tests.domain.flagging import reference as rules
from tests.measures import naive
from tests.measures.claiming import FIRST, YEAR, claim, factor_sets, measures
from tests.population.generator import DRUGS, population, supplies

KNOWN_FROM = FIRST - timedelta(150)
CLAIMED = [m for m in measures().values() if m.kind is not Kind.DISCHARGE]
STANDING = {True: Standing.IN, False: Standing.OUT, None: Standing.UNTOLD}
THREE = {True: 1, False: 0, None: -1}
PRODUCTS = [OXYCODONE, OXYCODONE_ER, TRAMADOL, HYDROCODONE, DIAZEPAM, BUPRENORPHINE]


@st.composite
def patients(draw: st.DrawFn) -> list[Supply]:
    """Claims close to one another or far apart, of some prescribers and pharmacies, with holes."""
    made, day = [], draw(st.integers(-260, 330))
    holes = draw(st.booleans())
    for number in range(draw(st.integers(0, 14))):
        day += draw(st.sampled_from([0, 0, 1, 2, 3, 7, 14, 28, 29, 30, 60, 89, 90, 91, 180, 181]))
        odd = draw(st.integers(0, 30)) if holes else 9
        one = claim(
            day,
            None if odd == 0 else draw(st.sampled_from([1, 3, 4, 7, 8, 14, 15, 28, 30, 31])),
            a_day=draw(st.sampled_from([1, 4, 6, 7, 8, 12, 20])),
            drug=draw(st.sampled_from(PRODUCTS)),
            id=f"c{number:02}",
            prescriber="" if odd == 1 else f"p{draw(st.integers(0, 4))}",
            pharmacy="" if odd == 2 else f"s{draw(st.integers(0, 4))}",
        )
        if odd == 3:
            one = replace(one, quantity=None)
        made.append(replace(one, drug=None) if odd == 4 else one)
    return made


def answers(measure, people: Sequence[Sequence[Supply]], known_from: date | None) -> list[Answer]:
    factor_set = factor_sets()[measure.factor_set]
    charts = [Chart(Patient(f"{n}", date(1980, 1, 1)), NOW, tuple(p)) for n, p in enumerate(people)]
    return [answer(measure, chart, YEAR, factor_set, known_from=known_from) for chart in charts]


@pytest.mark.parametrize("measure", CLAIMED, ids=lambda m: m.id)
@settings(max_examples=60, deadline=None)
@given(taken=patients())
def test_one_patients_answer_is_the_one_written_again(measure, taken):
    (found,) = answers(measure, [taken], KNOWN_FROM)
    if measure.kind is Kind.PERIOD:
        inside, rates = naive.period(measure.id, taken, YEAR)
    else:
        inside, rates = naive.begun(measure.id, taken, YEAR, KNOWN_FROM)
    assert found.standing is STANDING[inside]
    if inside:
        official = {rate.id for rate in measure.rates if rate.official}
        assert [r.met for r in found.rates if r.rate in official] == rates


def agree(measure, people: Sequence[Sequence[Supply]], made, drugs, products, known_from) -> None:
    everybody = int(made.patient.max(initial=-1)) + 1
    found = tally(
        measure,
        made,
        products,
        drugs,
        rules().common,
        YEAR,
        adult=np.ones(everybody, np.int8),
        excluded=np.zeros(everybody, np.bool_),
        known_from=known_from,
    )
    assert len(found.by_hand) == 0
    place = {int(number): n for n, number in enumerate(found.patient)}
    for number, one in enumerate(answers(measure, people, known_from)):
        if number not in place:
            assert one.standing is Standing.OUT
            continue
        here = place[number]
        assert STANDINGS[int(found.standing[here])] is one.standing
        for rate in one.rates:
            assert int(found.met[rate.rate][here]) == THREE[rate.met], rate
            assert bool(found.near[rate.rate][here]) is rate.near, rate


@settings(max_examples=25, deadline=None)
@given(people=st.lists(patients(), min_size=1, max_size=6))
def test_the_columns_say_of_everybody_what_is_said_of_one(people):
    looked = [history(p, rules().common, as_of=date(2029, 1, 1), areas={}) for p in people]
    made, products, _ = columns(looked, rules(), factor_sets()["cdc-2022"])
    known = {
        (s.drug.code, "") if s.drug else ("", s.medication.label): s.drug
        for p in _in_order(looked)
        for s in p
    }
    for measure in CLAIMED:
        agree(measure, people, made, list(known.values()), products, KNOWN_FROM)


def _in_order(looked):
    return [[row.supply for row in one.rows] for one in looked]


def test_they_agree_on_a_population():
    made = population(rules(), patients=150, rows=1_500)
    ids = [f"r{n:06}" for n in range(len(made.columns))]
    taken = supplies(made.columns, ids)
    people: list[list[Supply]] = [[] for _ in range(int(made.columns.patient.max()) + 1)]
    for number, supply in zip(made.columns.patient, taken, strict=True):
        people[number].append(supply)
    for measure in CLAIMED:
        agree(measure, people, made.columns, list(DRUGS), made.products, date(2024, 1, 1))


def test_columns_leave_stays_to_those_who_know_them():
    made = population(rules(), patients=5, rows=50)
    none = np.zeros(10, np.bool_)
    with pytest.raises(ValueError, match="dispensings alone"):
        tally(
            measures()["cms506"],
            made.columns,
            made.products,
            list(DRUGS),
            rules().common,
            YEAR,
            adult=np.ones(10, np.int8),
            excluded=none,
            known_from=None,
        )


def test_age_and_exclusions_settle_who_is_in():
    one = [claim(0, 60, id="a"), claim(60, 60, id="b")]
    looked = [history(one, rules().common, as_of=date(2029, 1, 1), areas={})] * 4
    made, products, _ = columns(looked, rules(), factor_sets()["cdc-2022"])
    found = tally(
        measures()["pqa-omp"],
        made,
        products,
        [OXYCODONE],
        rules().common,
        YEAR,
        adult=np.array([1, 0, -1, 1], np.int8),
        excluded=np.array([False, True, False, True]),
        known_from=None,
    )
    assert [STANDINGS[int(s)].value for s in found.standing] == ["in", "out", "cannot-tell", "excluded"]
