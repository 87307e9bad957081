"""The scan of a population beside the same scan written by hand in polars and in DuckDB.

Each is given the rows in memory in its own form, sorted by patient and day. Answers are compared before
anything is timed, and rounds are interleaved, so that a busy moment of the machine falls on all of them.
"""

from __future__ import annotations

import gc
import importlib.util
import resource
import time
from collections.abc import Callable
from datetime import timedelta
from statistics import median
from typing import Any

from stewardship.declarations.factors import read_factor_sets
from stewardship.declarations.flags import read_flags
from stewardship.declarations.places import REFERENCE
from stewardship.domain.flags import Flags
from stewardship.population.scan import scan
from tests.benchmarks import shared_scan
from tests.population.generator import LAST, Population, population

Say = Callable[[str], None]
#: The window of the figures: the last quarter on record.
FIRST = LAST - timedelta(89)
OTHERS = ("polars", "duckdb")


def benchmark(*, rows: int, rounds: int, workers: int, say: Say) -> None:
    """Check the answers, then time them."""
    rules = read_flags(REFERENCE, read_factor_sets(REFERENCE))
    made = population(rules, patients=max(1, rows // 10), rows=rows)
    say(
        f"population: {len(made.columns):,} dispensings of {made.patients:,} patients, "
        f"{made.columns.nbytes / len(made.columns):.0f} bytes each"
    )
    others = [name for name in OTHERS if importlib.util.find_spec(name)]
    for name in OTHERS:
        if name not in others:
            say(f"{name} is not installed and is left out")
    runs = _runs(rules, made, others, workers)
    expected = runs["the scan, shared part"]()
    for name in others:
        wrong = shared_scan.differences(expected, runs[f"{name}, shared part"]())
        if wrong:
            raise SystemExit(f"{name} answers otherwise: {', '.join(wrong)}")
    _report(_timed(runs, rounds), len(made.columns), say)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say(f"highest memory of the process, all of them together: {before / 1024:,.0f} MB")


def _runs(rules: Flags, made: Population, others: list[str], workers: int) -> dict[str, Callable[[], Any]]:
    window = {"first": FIRST, "until": LAST, "as_of": LAST}

    def ours(number: int, **more: Any) -> Callable[[], Any]:
        return lambda: scan(made.columns, made.products, rules, workers=number, **window, **more)

    runs = {"the scan, shared part": ours(workers, kinds=shared_scan.KINDS)}
    question, table = shared_scan.question(rules, made, FIRST, LAST), shared_scan.table(made)
    if "polars" in others:
        from tests.benchmarks import population_polars

        frame = population_polars.frame(table)
        runs["polars, shared part"] = lambda: population_polars.scan(frame, question)
    if "duckdb" in others:
        from tests.benchmarks import population_duckdb

        connection = population_duckdb.loaded(table)
        runs["duckdb, shared part"] = lambda: population_duckdb.scan(connection, question)
    runs["the scan, all flags"] = ours(workers)
    runs["the scan, all flags, one processor"] = ours(1)
    return runs


def _timed(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            gc.collect()
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def _report(seconds: dict[str, list[float]], rows: int, say: Say) -> None:
    one = median(seconds["the scan, shared part"])
    say(f"{'':40}{'best s':>9}{'median s':>10}{'ratio':>8}{'rows/s':>14}")
    for name, taken in seconds.items():
        middle = median(taken)
        say(f"{name:40}{min(taken):9.2f}{middle:10.2f}{middle / one:8.2f}{rows / middle:14,.0f}")
    fastest = min((median(s) for n, s in seconds.items() if n.startswith(OTHERS)), default=None)
    if fastest is not None:
        said = "no slower than" if one <= fastest else "SLOWER than"
        say(f"the scan is {said} the faster of the two: {one:.2f} to {fastest:.2f} seconds")
