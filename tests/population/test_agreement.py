"""The scan says of every patient what one patient's functions say, figure by figure and row by row."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stewardship.domain.episodes import exposures
from stewardship.domain.exposure import (
    Definition,
    daily_mme_figures,
    daily_steps,
    days_at_or_over,
    once,
    stretches,
)
from stewardship.domain.flags import Kind, history, raised
from stewardship.domain.orders import Supply, SupplyKind
from stewardship.population.columns import AMOUNT_ONE, columns
from stewardship.population.scan import Scan, scan
from tests.domain.flagging import (
    BUPRENORPHINE,
    CARISOPRODOL,
    DIAZEPAM,
    HYDROCODONE,
    OXYCODONE,
    OXYCODONE_ER,
    TRAMADOL,
    fill,
    reference,
)
from tests.population.generator import LAST, population, supplies

D1, D2, D3, D4 = Definition
FACTORS = reference().common.factor_set
Patient = list[Supply]


def histories(patients: list[Patient], as_of: date, **more):
    return [history(p, reference().common, as_of=as_of, areas=reference().areas, **more) for p in patients]


def agree(
    patients: list[Patient], *, first: date, until: date, as_of: date, slice_rows: int = 100, **more
) -> Scan:
    """Compare everything about all of them; return what the scan found."""
    looked = histories(patients, as_of, **more)
    made, drugs, ids = columns(looked, reference(), FACTORS)
    known_from = more.get("known_from")
    found = scan(
        made,
        drugs,
        reference(),
        first=first,
        until=until,
        as_of=as_of,
        known_from=known_from,
        slice_rows=slice_rows,
    )
    flags, untold = defaultdict(list), defaultdict(list)
    for one in looked:
        seen = raised(one, [d.rule for d in reference().rules.values()])
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
        same_figures(found, at, [r.supply for r in looked[number].rows], first, until)
    return found


def same_figures(found: Scan, at: int, rows: Patient, first: date, until: date) -> None:
    taken = stretches(exposures(rows, as_of=until), FACTORS)
    unknown_days = reference().common.unknown_supply_days
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
    for limit, over in zip(reference().guidance, f.over[at], strict=True):
        assert days_at_or_over(steps, limit, first, until) == over


@pytest.mark.parametrize("seed", range(3))
def test_a_generated_population(seed):
    made = population(reference(), patients=120, rows=1500, seed=seed)
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
    looked = histories(patients, LAST)
    again, _, ids = columns(looked, reference(), FACTORS)
    assert sum(one.dropped for one in looked) == len(rows) - len(again) > 0
    kept = np.array([int(row_id) for row_id in ids])
    for name in ("days", "stated", "amount", "daily", "told", "fill", "written", "quantity", "treatment"):
        assert getattr(again, name).tolist() == getattr(made.columns, name)[kept].tolist(), name


def test_further_reports_of_a_dispensing_are_dropped_alike():
    made = population(reference(), patients=60, rows=800, seed=9)
    rows = supplies(made.columns, [f"{row:06}" for row in range(len(made.columns))])
    window = {"first": LAST - timedelta(400), "until": LAST}
    whole = scan(made.columns, made.products, reference(), as_of=LAST, **window)
    dropped = 0
    for number in range(made.patients):
        mine = [s for n, s in zip(made.columns.patient, rows, strict=True) if n == number]
        dropped += once(mine)[1]
    assert whole.dropped == dropped > 0


DRUGS = [OXYCODONE, OXYCODONE_ER, HYDROCODONE, TRAMADOL, DIAZEPAM, CARISOPRODOL, BUPRENORPHINE]
FILLS = st.lists(
    st.builds(
        fill,
        st.integers(0, 260),
        st.one_of(st.none(), st.integers(1, 70), st.sampled_from([1, 7, 10, 30])),
        a_day=st.integers(1, 16),
        drug=st.sampled_from(DRUGS),
        prescriber=st.sampled_from(["", "p-1", "p-2", "p-3", "p-4", "p-5"]),
        pharmacy=st.sampled_from(["", "ph-1", "ph-2", "ph-3", "ph-4"]),
        prescription=st.sampled_from(["", "rx-1", "rx-2"]),
        unrecognised=st.sampled_from([False] * 9 + [True]),
        partial=st.sampled_from([None, 0, 0, 1, 2]),
        fill=st.sampled_from([None, 0, 0, 1, 3]),
        refills=st.sampled_from([None, 0, 1, 2]),
        written_on=st.sampled_from([None, date(2026, 6, 1), date(2026, 9, 1)]),
    ),
    max_size=14,
)
ORDERS = st.lists(
    st.builds(
        fill,
        st.integers(0, 100),
        st.just(5),
        kind=st.just(SupplyKind.PRESCRIPTION),
        prescription=st.sampled_from(["rx-1", "rx-2", "rx-3"]),
        prescriber=st.just("p-1"),
    ),
    max_size=1,
)


@settings(max_examples=150)
@given(st.lists(st.tuples(FILLS, ORDERS), min_size=1, max_size=4), st.integers(0, 330), st.booleans())
def test_any_patients(given_, today, known):
    start = date(2026, 6, 1)
    as_of = start + timedelta(today)
    patients = [[*fills, *orders] for fills, orders in given_]
    more = {"known_from": start + timedelta(60)} if known else {}
    agree(
        patients,
        first=start + timedelta(30),
        until=start + timedelta(120),
        as_of=as_of,
        slice_rows=5,
        own=frozenset({"p-1"}),
        **more,
    )


def test_a_patient_with_very_many_rows():
    fills = [fill(n // 3, 1 + n % 9, a_day=1 + n % 5, prescriber=f"p-{n % 2}") for n in range(400)]
    fills = [dataclasses.replace(f, id=f"{n:04}") for n, f in enumerate(fills)]
    agree([fills], first=date(2026, 6, 1), until=date(2026, 8, 1), as_of=date(2026, 12, 1), slice_rows=50)
