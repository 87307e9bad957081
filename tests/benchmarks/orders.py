"""One order-sign over HTTP, beside what any answer costs on the same server.

The three targets take turns, round by round, on the same processes, so that a busy moment of the machine
falls on all of them. Ratios are what to read; the figures themselves are the machine's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from stewardship.db import transaction
from stewardship.intake.strict_json import loads
from stewardship.services import verification
from tests.benchmarks import load
from tests.benchmarks.load import Measured
from tests.benchmarks.requests import ORDER_MARK, PATIENT_MARK, order_sign
from tests.benchmarks.served import CONSTANT, INSERT
from tests.benchmarks.service import ORGANISATION, WORKERS, Service, serving

ORDER = "/cds-services/opioid-order-sign"
#: Path, and what is in every right answer: of an order, the address of the decision that was stored.
TARGETS = {
    "a constant answer": (CONSTANT, '"cards":[]'),
    "parse, one committed insert": (INSERT, '"cards":[]'),
    "order checked, stored, audited": (ORDER, '"decision":"/api/v1/decisions/'),
}
CLIENTS = (1, 16)
#: Aims of the project: this share of the second floor's rate, and this p99 in milliseconds, at 16 clients.
HALF, P99 = 0.5, 25.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One run and the milliseconds of processor time that the server spent on each of its requests."""

    measured: Measured
    cpu_ms: float


def benchmark(database: str, folder: Path, *, rounds: int, seconds: float, say: Say) -> None:
    """Start the service, check its answers, measure, check what it stored, and print the table."""
    body = folder / "order-sign.json"
    body.write_bytes(order_sign(datetime.now(UTC).date()))
    with serving(database, folder) as service:
        check_answers(service, body)
        kind = database.partition(":")[0]
        say(f"\norder-sign of {body.stat().st_size} bytes, 10 prior fills, {load.PATIENTS} patients; {kind}")
        say(f"granian, {WORKERS} workers; load by {load.generator()}; {rounds} rounds of {seconds:g} s each")
        # Not counted: every patient becomes known, caches fill.
        for path, wanted in TARGETS.values():
            _run(service, path, body, clients=4, seconds=seconds, wanted=wanted)
        before, answered = service.rows(), dict.fromkeys(TARGETS, 0)
        runs: dict[tuple[str, int], list[Run]] = {}
        for _ in range(rounds):
            for clients in CLIENTS:
                for name, (path, wanted) in TARGETS.items():
                    one = _run(service, path, body, clients=clients, seconds=seconds, wanted=wanted)
                    runs.setdefault((name, clients), []).append(one)
                    answered[name] += one.measured.requests
        check_stored(service, before, answered)
    for line in table(runs):
        say(line)


def check_answers(service: Service, body: Path) -> None:
    """Before anything is timed: every target answers rightly, and the order is judged as it should be."""
    for number, (path, wanted) in enumerate(TARGETS.values(), 1):
        filled = body.read_bytes().replace(ORDER_MARK.encode(), b"%08d" % (99_999_990 + number))
        status, answer = service.post(path, filled.replace(PATIENT_MARK.encode(), b"p9999999"))
        if status != 200 or wanted.encode() not in answer:
            raise SystemExit(f"{path} answers {status} with something else than expected")
    document: Any = loads(answer, max_bytes=1_000_000)
    told = document["extension"]["stewardship"]
    outcomes = {finding["policy"]: finding["outcome"] for finding in told["findings"]}
    if outcomes.get("short-course") != "breach" or "cannot-tell" in outcomes.values():
        raise SystemExit(f"the order is not judged as it should be: {outcomes}")


def check_stored(service: Service, before: dict[str, int], answered: dict[str, int]) -> None:
    """After it: every order that was answered has its decision and its audit event, and the chain holds."""
    grown = {name: number - before[name] for name, number in service.rows().items()}
    floor, order = list(TARGETS)[1:]
    if grown["floor"] < answered[floor] or grown["decisions"] < answered[order]:
        raise SystemExit(f"more was answered than stored: {answered}, {grown}")
    if grown["audit"] != grown["decisions"]:
        raise SystemExit(f"decisions and audit events differ: {grown}")
    with transaction(service.sessions, write=False) as session:
        verified = verification.verify(session, organisation_id=ORGANISATION)
    if verified.fault is not None:
        raise SystemExit(f"the record does not hold: {verified.fault}")


def _run(service: Service, path: str, body: Path, *, clients: int, seconds: float, wanted: str) -> Run:
    began = service.cpu_seconds()
    measured = load.run(
        service.port, path, body, service.headers, clients=clients, seconds=seconds, wanted=wanted
    )
    if measured.failed:
        raise SystemExit(f"{measured.failed} of {measured.requests} answers of {path} were wrong")
    return Run(measured, (service.cpu_seconds() - began) * 1000 / measured.requests)


def table(runs: dict[tuple[str, int], list[Run]]) -> list[str]:
    """Medians of the rounds, and the ratios to the floors."""
    columns = f"{'p50 ms':>8}{'p99 ms':>8}"
    lines = [
        "",
        f"{'':32}{'1 client':>24}{'16 clients':>36}",
        f"{'':32}{columns}{'CPU ms':>8} {columns}{'a second':>10}{'CPU ms':>8}",
    ]
    for name in TARGETS:
        one, many = (runs[name, clients] for clients in CLIENTS)
        lines.append(
            f"{name:32}{_of(one, 'p50'):8.2f}{_of(one, 'p99'):8.2f}{_cpu(one):8.2f}"
            f"{_of(many, 'p50'):9.2f}{_of(many, 'p99'):9.2f}{_of(many, 'per_second'):10.0f}{_cpu(many):8.2f}"
        )
    constant, floor, order = TARGETS
    most = CLIENTS[-1]
    for base in (constant, floor):
        shares = sorted(
            mine.measured.per_second / other.measured.per_second
            for mine, other in zip(runs[order, most], runs[base, most], strict=True)
        )
        lines.append(
            f"orders a second, of '{base}': {median(shares):.2f} ({shares[0]:.2f} to {shares[-1]:.2f}); "
            f"CPU {_cpu(runs[order, most]) / _cpu(runs[base, most]):.1f} times"
        )
    share = _of(runs[order, most], "per_second") / _of(runs[floor, most], "per_second")
    p99 = _of(runs[order, most], "p99")
    lines.append(f"aim: {HALF} of the second floor or better: {share:.2f}, {_met(share >= HALF)}")
    lines.append(f"aim: p99 under {P99:g} ms at {most} clients: {p99:.1f} ms, {_met(p99 < P99)}")
    return lines


def _of(runs: list[Run], what: str) -> float:
    return median(getattr(run.measured, what) for run in runs)


def _cpu(runs: list[Run]) -> float:
    return median(run.cpu_ms for run in runs)


def _met(holds: bool) -> str:
    return "reached" if holds else "NOT reached"
