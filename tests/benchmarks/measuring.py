"""Measures over a population as columns, each beside the same written by hand in polars.

Both are given the rows in memory, sorted by patient and day. Who is in the population and whom the published
rate counts is compared before anything is timed, and rounds are interleaved.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from datetime import date
from statistics import median
from typing import Any

import numpy as np

from stewardship.declarations.drugs import read_code_sets
from stewardship.declarations.factors import read_factor_sets
from stewardship.declarations.flags import read_flags
from stewardship.declarations.measures import read_measures
from stewardship.declarations.places import REFERENCE
from stewardship.domain.measures import Kind, Standing
from stewardship.measures.columnar import Tally, tally
from stewardship.measures.stays import tally_stays
from tests.population.generator import DRUGS, FIRST, population
from tests.population.stays import hospital

YEAR = 2025
Say = Callable[[str], None]
Counts = tuple[int, int]
#: The published rate that is compared.
RATES = {
    "hedis-hdo": "90-mme",
    "hedis-cou": "15-of-30",
    "hedis-uop": "both",
    "pqa-cob": "30-days",
    "pqa-ohd": "90-mme",
    "pqa-ohdmp": "both",
    "pqa-omp": "4-and-4",
    "pqa-iop-hd": "50-mme",
    "pqa-iop-ld": "8-days",
    "pqa-iop-la": "long-acting",
    "cms506": "concurrent",
}


def benchmark(*, rows: int, rounds: int, say: Say) -> None:
    """Check the answers, then time them."""
    factor_sets = read_factor_sets(REFERENCE)
    rules = read_flags(REFERENCE, factor_sets)
    made = population(rules, patients=max(1, rows // 10), rows=rows)
    say(f"population: {len(made.columns):,} dispensings of {made.patients:,} patients")
    clinic = hospital(made)
    say(f"{len(clinic.stays.patient):,} stays, {len(clinic.medications.patient):,} medications")
    everybody = int(made.columns.patient.max()) + 1
    adult, nobody = np.ones(everybody, np.int8), np.zeros(everybody, np.bool_)
    runs: dict[str, Callable[[], Any]] = {}
    for measure in read_measures(REFERENCE, factor_sets, read_code_sets(REFERENCE)):
        if measure.kind is Kind.DISCHARGE:

            def at_discharge(measure: Any = measure) -> Tally:
                return tally_stays(measure, clinic.medications, clinic.stays, list(DRUGS), YEAR)[1]

            runs[measure.id] = at_discharge
            continue

        def ours(measure: Any = measure) -> Tally:
            return tally(
                measure,
                made.columns,
                made.products,
                list(DRUGS),
                rules.common,
                YEAR,
                adult=adult,
                excluded=nobody,
                known_from=date(FIRST.year, 1, 1),
            )

        runs[measure.id] = ours
    if importlib.util.find_spec("polars"):
        from tests.benchmarks import measures_polars

        frame, (medications, stays) = measures_polars.frame(made), measures_polars.frames(clinic)
        for name, run in measures_polars.RUNS.items():
            runs[f"{name}, polars"] = lambda run=run: run(frame, YEAR)
        runs["cms506, polars"] = lambda: measures_polars.cms506(medications, stays, YEAR)
        for name in RATES:
            _compare(name, runs[name](), runs[f"{name}, polars"]())
    else:
        say("polars is not installed and is left out")
    _report(runs, rounds, say)


def _compare(name: str, tallied: Tally, other: Counts) -> None:
    mine = (tallied.count(Standing.IN), tallied.counted(RATES[name]))
    if mine != other:
        raise SystemExit(f"{name}: {mine} in the population and counted, polars says {other}")


def _report(runs: dict[str, Callable[[], Any]], rounds: int, say: Say) -> None:
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            spent[name].append(time.perf_counter() - begun)
    for name, times in spent.items():
        other = spent.get(f"{name}, polars")
        beside = f", {median(times) / median(other):.2f} times polars" if other else ""
        say(f"{name:22} {median(times) * 1000:8.0f} ms{beside}")
