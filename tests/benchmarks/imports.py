"""A file of a million dispensings, taken in by ``stewardship import`` as an operator would.

Two files, the second ten times the first: the peak of memory must not grow with them. Then the same beside
orders: how long a check of an order takes while nothing else happens, and while a file is taken in. Both are
measured in turn, several times, for the machine is never twice the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from stewardship.db import import_tables, transaction
from stewardship.declarations.factors import read_factor_sets
from stewardship.declarations.flags import read_flags
from stewardship.declarations.places import REFERENCE
from tests.benchmarks import load
from tests.benchmarks.load import Measured
from tests.benchmarks.orders import ORDER, TARGETS, check_answers
from tests.benchmarks.requests import order_sign
from tests.benchmarks.service import ORGANISATION, Service, serving
from tests.population.asap_file import pieces
from tests.population.generator import population

Say = Callable[[str], None]
#: Aims of the project: rows a second, memory of the larger file over that of the smaller, and the slowest
#: hundredth of order checks beside an import over that without one.
RATE, FLAT, BESIDE = 10_000, 1.25, 2.0
_ROOT = Path(__file__).resolve().parents[2]
_PATIENT_ROWS = 10
_CLIENTS = 2
_imports: Any = import_tables.Import.__table__


@dataclass(frozen=True, slots=True)
class Taken:
    """One import: what its report says, how long it took, and the most memory that its process had."""

    report: dict[str, Any]
    seconds: float
    megabytes: float

    @property
    def per_second(self) -> float:
        """Rows a second, reading for the digest included."""
        return float(self.report["rows"]) / self.seconds


def benchmark(database: str, folder: Path, *, rows: int, seconds: float, rounds: int, say: Say) -> None:
    """Make the files, take them in, and look at orders beside."""
    files = [a_file(folder, count, seed=seed) for seed, count in enumerate((rows // 10, rows, rows // 5), 5)]
    with serving(database, folder) as service:
        kind = database.partition(":")[0]
        say(f"\nstewardship import, {kind}:")
        small, large = (_told(import_of(service, database, file), say) for file in files[:2])
        ratio = large.megabytes / small.megabytes
        say(f"aim: {RATE:,} rows a second: {large.per_second:,.0f}, {_met(large.per_second >= RATE)}")
        say(f"aim: memory does not grow with the file: {ratio:.2f} times, {_met(ratio <= FLAT)}")
        again = import_of(service, database, files[1])
        if again.report["stored"] or again.report["same_as"] != large.report["import"]:
            raise SystemExit(f"the same file again changed something: {again.report}")
        say(f"the same file again: nothing stored, {again.seconds:.1f} s")
        _beside(service, database, files[2], folder, seconds=seconds, rounds=rounds, say=say)


def beside_orders(database: str, folder: Path, *, rows: int, seconds: float, rounds: int, say: Say) -> None:
    """Only what orders notice of an import, and an import of orders."""
    file = a_file(folder, rows, seed=5)
    with serving(database, folder) as service:
        say(f"\norders beside stewardship import, {database.partition(':')[0]}:")
        _beside(service, database, file, folder, seconds=seconds, rounds=rounds, say=say)


def a_file(folder: Path, rows: int, *, seed: int) -> Path:
    """A file of about so many dispensings, of a tenth as many patients."""
    rules = read_flags(REFERENCE, read_factor_sets(REFERENCE))
    made = population(rules, patients=max(1, rows // _PATIENT_ROWS), rows=rows, seed=seed)
    file = folder / f"dispensings-{seed}.asap"
    with file.open("wb") as out:
        out.writelines(pieces(made.columns))
    return file


def start(service: Service, database: str, file: Path) -> subprocess.Popen[bytes]:
    """The command, on the service's database."""
    environ = {
        "PATH": os.environ["PATH"],
        "STEWARDSHIP_DATABASE_URL": database,
        "STEWARDSHIP_AUDIT_KEY": service.audit_key,
    }
    command = [Path(sys.executable).parent / "stewardship", "import", str(file), "--json"]
    command += ["--organisation", ORGANISATION]
    return subprocess.Popen(command, cwd=_ROOT, env=environ, stdout=subprocess.PIPE)


def import_of(service: Service, database: str, file: Path) -> Taken:
    """Take one file in; every row of it has to be stored or known, and told."""
    began = time.perf_counter()
    process = start(service, database, file)
    with ThreadPoolExecutor(1) as watching:
        most = watching.submit(_most_memory, process)
        said, _ = process.communicate()
        seconds = time.perf_counter() - began
        megabytes = most.result()
    told = json.loads(said)
    if told["status"] != "complete" or told["rejected"] or told["rows"] != told["stored"] + told["unchanged"]:
        raise SystemExit(f"the import is not what it should be: {told}")
    return Taken(told, seconds, megabytes)


def _most_memory(process: subprocess.Popen[bytes]) -> float:
    """Megabytes that the process had at the most. What the system tells of an ended one counts the memory of
    whoever started it, too; so it is asked while it runs."""
    most = 0.0
    while process.poll() is None:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            most = float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
        time.sleep(0.1)
    return most


def _told(taken: Taken, say: Say) -> Taken:
    rate = f"{taken.report['rows']:>12,} rows in {taken.seconds:7.1f} s, {taken.per_second:7,.0f} a second"
    say(f"{rate}, {taken.megabytes:5.0f} MB at the most")
    return taken


def _beside(
    service: Service, database: str, file: Path, folder: Path, *, seconds: float, rounds: int, say: Say
) -> None:
    body = folder / "order-sign.json"
    body.write_bytes(order_sign(datetime.now(UTC).date()))
    check_answers(service, body)
    wanted = TARGETS["order checked, stored, audited"][1]

    def orders() -> Measured:
        found = load.run(
            service.port, ORDER, body, service.headers, clients=_CLIENTS, seconds=seconds, wanted=wanted
        )
        if found.failed:
            raise SystemExit(f"{found.failed} of {found.requests} orders were not answered rightly")
        return found

    orders()  # Not counted: every patient becomes known.
    ratios = []
    for _ in range(rounds):
        alone = orders()
        with _at_work(service, database, file) as rate:
            without = rate(seconds / 2)
            before = _position(service)
            beside = orders()
            rows = (_position(service) - before) / beside.seconds
        for name, one, told in (
            ("alone", alone, f"(the import alone: {without:,.0f} rows/s)"),
            ("beside an import", beside, f"(the import beside: {rows:,.0f} rows/s)"),
        ):
            say(
                f"order checks {name:18} p50 {one.p50:7.1f} ms  p99 {one.p99:7.1f} ms  "
                f"{one.per_second:6.0f}/s  {told}"
            )
        ratios.append(beside.p99 / alone.p99)
    ratio = statistics.median(ratios)
    each = ", ".join(f"{one:.1f}" for one in ratios)
    say(f"aim: p99 beside an import at most {BESIDE:g} times: {ratio:.1f} ({each}), {_met(ratio <= BESIDE)}")


@contextlib.contextmanager
def _at_work(service: Service, database: str, file: Path) -> Iterator[Callable[[float], float]]:
    """An import that goes on where the last one was ended, and stores rows from the beginning of the block to
    its end. Gives what measures its rows a second for so many seconds."""
    before = _position(service)
    process = start(service, database, file)

    def rate(seconds: float) -> float:
        at, began = _position(service), time.perf_counter()
        time.sleep(seconds)
        return (_position(service) - at) / (time.perf_counter() - began)

    try:
        while _position(service) == before and process.poll() is None:
            time.sleep(0.05)
        yield rate
        if process.poll() is not None:
            raise SystemExit("the import ended before the orders were measured: ask for more rows")
    finally:
        process.terminate()
        process.communicate()


def _position(service: Service) -> int:
    """How many items all imports have stored."""
    asked = select(func.coalesce(func.sum(_imports.c.position), 0))
    with transaction(service.sessions, write=False) as session:
        return int(session.connection().execute(asked).scalar_one())


def _met(holds: bool) -> str:
    return "reached" if holds else "NOT reached"
