"""The scan says of every patient what one patient's functions say, figure by figure and row by row."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stewardship.domain.dosage import Quantity
from stewardship.domain.episodes import exposures
from stewardship.domain.exposure import (
    Definition,
    daily_mme_figures,
    daily_steps,
    days_at_or_over,
    once,
    stretches,
)
from stewardship.domain.flags import Flags, Kind, Stage, history, raised
from stewardship.domain.orders import Areas, Paid, Supply, SupplyKind
from stewardship.population.columns import AMOUNT_ONE, columns, products
from stewardship.population.scan import Scan, scan
from stewardship.population.slices import sliced
from tests.domain.flagging import (
    BUPRENORPHINE,
    CARISOPRODOL,
    DIAZEPAM,
    OXYCODONE,
    OXYCODONE_ER,
    TRAMADOL,
    fill,
    reference,
)
from tests.population.generator import DRUGS as DRUGS_OF_THE_GENERATOR
from tests.population.generator import LAST, population, supplies

D1, D2, D3, D4 = Definition
FACTORS = reference().common.factor_set
Patient = list[Supply]


def histories(patients: list[Patient], as_of: date, rules: Flags, **more):
    return [history(p, rules.common, as_of=as_of, areas=rules.areas, **more) for p in patients]


def agree(
    patients: list[Patient],
    *,
    first: date,
    until: date,
    as_of: date,
    slice_rows: int = 100,
    rules: Flags | None = None,
    **more,
) -> Scan:
    """Compare everything about all of them; return what the scan found."""
    rules = rules or reference()
    looked = histories(patients, as_of, rules, **more)
    made, drugs, ids = columns(looked, rules, FACTORS)
    known_from = more.get("known_from")
    found = scan(
        made,
        drugs,
        rules,
        first=first,
        until=until,
        as_of=as_of,
        known_from=known_from,
        slice_rows=slice_rows,
    )
    flags, untold = defaultdict(list), defaultdict(list)
    for one in looked:
        seen = raised(one, [d.rule for d in rules.rules.values()])
        for flag in seen.flags:
            flags[flag.kind].append(flag.supply)
        for doubt in seen.untold:
            untold[doubt.kind].append(doubt.supply)
    for kind in Kind:
        assert sorted(ids[row] for row in found.flags[kind]) == sorted(flags[kind]), kind
        assert sorted(ids[row] for row in found.untold[kind]) == sorted(untold[kind]), kind
    present = [number for number, one in enumerate(looked) if one.rows]
    assert found.figures.patient.tolist() == present
    for at, number in enumerate(present):
        same_figures(found, at, [r.supply for r in looked[number].rows], first, until, rules)
    return found


def same_figures(found: Scan, at: int, rows: Patient, first: date, until: date, rules: Flags) -> None:
    taken = stretches(exposures(rows, as_of=until), FACTORS)
    unknown_days = rules.common.unknown_supply_days
    figures = daily_mme_figures(taken, first, until, FACTORS, unknown_days=unknown_days)
    f = found.figures
    amount = Decimal(int(f.amount[at])) / AMOUNT_ONE
    assert figures[D1].amount == figures[D3].amount == amount
    assert (figures[D1].days, figures[D2].days) == (f.supplied[at], f.covered[at])
    assert figures[D1].supplies == f.supplies[at]
    assert (figures[D3].value is not None) == f.told[at]
    assert (figures[D1].complete, figures[D3].complete) == (f.complete[at], f.window_complete[at])
    maximum = Decimal(int(f.maximum[at])) / AMOUNT_ONE if f.maximum_told[at] else None
    assert (figures[D4].value, figures[D4].complete) == (maximum, f.maximum_complete[at])
    steps = daily_steps(taken, FACTORS)
    for limit, over in zip(rules.guidance, f.over[at], strict=True):
        assert days_at_or_over(steps, limit, first, until) == over


@pytest.mark.parametrize("seed", range(3))
def test_a_generated_population(seed):
    made = population(reference(), patients=80, rows=1000, seed=seed)
    ids = [f"{row:06}" for row in range(len(made.columns))]
    rows = supplies(made.columns, ids)
    patients: list[Patient] = [[] for _ in range(made.patients)]
    for number, supply in zip(made.columns.patient, rows, strict=True):
        patients[number].append(supply)
    found = agree(patients, first=LAST - timedelta(400), until=LAST - timedelta(100), as_of=LAST)
    seen = {kind for kind in Kind if len(found.flags[kind])}
    assert len(seen) >= 12, seen


def test_the_generators_own_columns_are_what_the_domain_makes_of_its_supplies():
    made = population(reference(), patients=60, rows=800)
    rows = supplies(made.columns, [f"{row:06}" for row in range(len(made.columns))])
    patients: list[Patient] = [[] for _ in range(made.patients)]
    for number, supply in zip(made.columns.patient, rows, strict=True):
        patients[number].append(supply)
    looked = histories(patients, LAST, reference())
    again, _, ids = columns(looked, reference(), FACTORS)
    assert sum(one.dropped for one in looked) == len(rows) - len(again) > 0
    kept = np.array([int(row_id) for row_id in ids])
    for name in ("days", "stated", "amount", "daily", "told", "fill", "written", "quantity", "treatment"):
        assert getattr(again, name).tolist() == getattr(made.columns, name)[kept].tolist(), name


@pytest.mark.parametrize("seed", range(4))
def test_further_reports_of_a_dispensing_are_dropped_alike(seed):
    draw = np.random.default_rng(seed)
    made = population(reference(), patients=40, rows=500, seed=seed).columns
    again = made.rows(np.sort(draw.integers(0, len(made), 2 * len(made))))
    # Each further report says one thing otherwise, or nothing.
    names = ("quantity", "stated", "partial", "product", "pharmacy", "rx", "fill")
    for name in names:
        changed = draw.random(len(again)) < 0.1
        getattr(again, name)[changed] = draw.integers(-1, 3, int(changed.sum())).clip(-(name != "product"))
    again.product[again.product < 0] = 0
    again.partial[again.partial < 0] = 0
    rows = supplies(again, [f"{row:06}" for row in range(len(again))])
    expected = []
    for number in np.unique(again.patient):
        mine = [s for n, s in zip(again.patient, rows, strict=True) if n == number]
        expected += [int(s.id) for s in once(mine)[0]]
    table = products(DRUGS_OF_THE_GENERATOR, reference())
    part = sliced(again, table, reference().common, 0)
    assert part.row.tolist() == sorted(expected)
    assert part.dropped == len(again) - len(expected) > 0


# --- at every boundary ------------------------------------------------------------------------------

START = date(2026, 6, 1)
#: Small numbers for every parameter, so that a few fills in a few days meet every boundary often.
SMALL: dict[Kind, dict[str, Any]] = {
    Kind.MULTIPLE_PROVIDERS: {"prescribers": 2, "pharmacies": 2, "window_days": 6, "same_problem_days": 4},
    Kind.EARLY_REFILL: {"min_percent_left": 20},
    Kind.OVERLAPPING_PRESCRIBERS: {"min_overlap_days": 2, "same_problem_days": 3},
    Kind.OPIOID_WITH_BENZODIAZEPINE: {"min_overlap_days": 2, "same_problem_days": 3},
    Kind.WITH_CARISOPRODOL: {"same_problem_days": 2},
    Kind.HIGH_DAILY_MME: {"mme_per_day": Decimal(30), "min_days": 2, "same_problem_days": 2},
    Kind.DOSE_RISING_FAST: {"percent": 100, "min_rise": Decimal(15), "window_days": 3, "sustained_days": 2},
    Kind.DOSE_FALLING_FAST: {
        "percent": 50,
        "min_mme": Decimal(15),
        "window_days": 4,
        "min_use_days": 5,
        "ended_days": 2,
    },
    Kind.LONG_ACTING_IN_NAIVE: {"lookback_days": 4},
    Kind.PARTIAL_PAST_LIMIT: {"schedule_ii_days": 3, "long_term_care_days": 5, "other_days": 6},
    Kind.CASH_BESIDE_INSURANCE: {"window_days": 4, "same_problem_days": 3},
    Kind.IMPROBABLE_DAYS_SUPPLY: {"least_days": 2, "most_days": 4},
    Kind.NO_KNOWN_ORDER: {"valid_days": 4},
    Kind.LONG_DISTANCE: {"km": 161, "same_problem_days": 3},
    Kind.NEW_LONG_TERM_USE: {"lookback_days": 4, "stages": (Stage(3, 5), Stage(5, 9))},
}


def small() -> Flags:
    rules = dict(reference().rules)
    for kind, changed in SMALL.items():
        rules[kind] = replace(rules[kind], rule=replace(rules[kind].rule, **changed))
    common = replace(reference().common, unknown_supply_days=4, carry_days=2)
    return replace(reference(), rules=rules, common=common, guidance=(Decimal(15), Decimal(30)))


DRUGS = [OXYCODONE] * 3 + [OXYCODONE_ER, TRAMADOL, DIAZEPAM, CARISOPRODOL, BUPRENORPHINE]
COMMON: dict[str, Any] = {
    "prescriber": st.sampled_from(["", "p-1", "p-2", "p-3"]),
    "pharmacy": st.sampled_from(["", "ph-1", "ph-2", "ph-3"]),
    "prescription": st.sampled_from(["", "rx-1", "rx-2"]),
}
FILLS = st.lists(
    st.builds(
        fill,
        st.integers(0, 20),
        st.sampled_from([None, 0, 1, 1, 2, 3, 4, 5, 5, 6, 7, 10]),
        quantity=st.integers(1, 12),
        drug=st.sampled_from(DRUGS),
        unrecognised=st.sampled_from([False] * 9 + [True]),
        paid=st.sampled_from(Paid),
        areas=st.sampled_from([Areas(), Areas("981", "972"), Areas("606", "606", "532")]),
        **COMMON,
    ),
    max_size=9,
)
PARTS = st.lists(
    st.builds(
        fill,
        st.integers(0, 9),
        st.integers(1, 4),
        quantity=st.integers(1, 4),
        drug=st.sampled_from([OXYCODONE, TRAMADOL]),
        partial=st.sampled_from([None, 0, 1, 2]),
        fill=st.sampled_from([None, 0, 0, 1, 2]),
        refills=st.sampled_from([None, 0, 1]),
        written_on=st.sampled_from([None, START, START, START + timedelta(2)]),
        prescribed=st.sampled_from([None, Quantity(Decimal(4), ""), Quantity(Decimal(5), "mL")]),
        treatment_type=st.sampled_from(["", "04", "11"]),
        prescriber=st.just("p-1"),
        pharmacy=st.sampled_from(["ph-1", "ph-1", ""]),
        prescription=st.sampled_from(["rx-1", "rx-1", ""]),
    ),
    max_size=6,
)
ORDERS = st.lists(
    st.builds(
        fill,
        st.integers(0, 12),
        st.integers(1, 5),
        kind=st.just(SupplyKind.PRESCRIPTION),
        prescription=st.sampled_from(["rx-1", "rx-3"]),
        prescriber=st.just("p-1"),
    ),
    max_size=1,
)


@settings(max_examples=200)
@given(
    patients=st.lists(st.tuples(FILLS, st.one_of(st.just([]), PARTS), ORDERS), min_size=1, max_size=6),
    today=st.integers(0, 30),
    window=st.tuples(st.integers(-2, 25), st.integers(1, 12)),
    known=st.one_of(st.none(), st.integers(0, 8)),
)
def test_any_patients_at_any_boundary(patients, today, window, known):
    first = START + timedelta(window[0])
    more = {} if known is None else {"known_from": START + timedelta(known)}
    agree(
        [[*fills, *parts, *orders] for fills, parts, orders in patients],
        first=first,
        until=first + timedelta(window[1] - 1),
        as_of=START + timedelta(today),
        rules=small(),
        slice_rows=7,
        own=frozenset({"p-1"}),
        **more,
    )


@pytest.mark.parametrize(("a_day", "raised_"), [(6, 1), (7, 0)])
def test_a_fall_by_exactly_the_percentage(a_day, raised_):
    fills = [fill(30 * n, 30, a_day=10) for n in range(4)]
    today = START + timedelta(121)
    found = agree([[*fills, fill(120, 30, a_day=a_day)]], first=START, until=today, as_of=today)
    assert len(found.flags[Kind.DOSE_FALLING_FAST]) == raised_


def test_a_patient_with_very_many_rows():
    fills = [fill(n // 3, 1 + n % 9, a_day=1 + n % 5, prescriber=f"p-{n % 2}") for n in range(400)]
    fills = [replace(f, id=f"{n:04}") for n, f in enumerate(fills)]
    agree([fills], first=date(2026, 6, 1), until=date(2026, 8, 1), as_of=date(2026, 12, 1), slice_rows=50)
