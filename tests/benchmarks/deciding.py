"""``decide`` in process: a chart of 30 supplies, all policies in force."""

from __future__ import annotations

import gc
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median

from stewardship.declarations import Library, load
from stewardship.domain.chart import Chart
from stewardship.domain.orders import Order
from stewardship.domain.policy import Decision, Outcome, decide
from tests.benchmarks.requests import chart_of_thirty, long_order, short_order

#: The project's aim, in microseconds.
AIM = 100.0

Say = Callable[[str], None]


def cases(library: Library, now: datetime) -> dict[str, tuple[Order, str]]:
    """The orders, each with the policy that it must be found to break."""
    return {
        "5 days, acute pain": (short_order(library, now), "short-course"),
        "45 days, chronic pain": (long_order(library, now), "long-term-supply"),
    }


def benchmark(*, rounds: int, say: Say) -> None:
    """Check the answers, then time them."""
    library, now = load(), datetime.now(UTC)
    chart, policies = chart_of_thirty(library, now), library.in_force(now.date())
    say(f"decide: {len(chart.supplies)} supplies, {len(policies)} policies in force; microseconds")
    say(f"{'':46}{'best':>8}{'median':>8}")
    worst: dict[str, float] = {}
    for name, (order, broken) in cases(library, now).items():
        decision = check_answer(decide(policies, order, chart), broken, len(policies))

        def again(order: Order = order) -> Decision:
            return decide(policies, order, chart)

        def afresh(order: Order = order) -> Decision:
            return decide(policies, replace(order), fresh(chart))

        if afresh() != decision:
            raise SystemExit("the same chart is decided differently the second time")
        for kind, work in (("the chart made afresh", afresh), ("a chart asked before", again)):
            best, middle = microseconds(work, rounds=rounds)
            worst[kind] = max(worst.get(kind, 0.0), best)
            say(f"{f'{name}, {kind}':46}{best:8.0f}{middle:8.0f}")
    for kind, best in worst.items():
        met = "reached" if best < AIM else "NOT reached"
        say(f"aim: under {AIM:g} microseconds, {kind}: {best:.0f}, {met}")
    say(f"Python {platform.python_version()}; one built with -fprofile-use, as distributions do, is quicker")


def check_answer(decision: Decision, broken: str, policies: int) -> Decision:
    """The decision, if it is the one that it must be."""
    breaches = [finding.policy for finding in decision.findings if finding.outcome is Outcome.BREACH]
    if broken not in breaches or len(decision.findings) != policies:
        raise SystemExit(f"{len(decision.findings)} findings, of them breaches: {breaches}")
    return decision


def fresh(chart: Chart) -> Chart:
    """The same chart, of which nobody has asked anything yet."""
    return replace(chart)


def microseconds(work: Callable[[], object], *, rounds: int, calls: int = 100) -> tuple[float, float]:
    """Best and median of the rounds, for one call."""
    took = []
    gc.collect()
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(calls):
            work()
        took.append((time.perf_counter() - began) / calls * 1e6)
    return min(took), median(took)
