"""What the benchmarks ask is answered as they expect. Nothing is timed here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from stewardship.declarations import load
from stewardship.domain.policy import decide
from tests.benchmarks import deciding, orders, pages
from tests.benchmarks.requests import chart_of_thirty, order_sign
from tests.benchmarks.service import serving


def test_the_chart_has_thirty_supplies_and_the_orders_are_decided_as_expected():
    library, now = load(), datetime.now(UTC)
    chart, policies = chart_of_thirty(library, now), library.in_force(now.date())
    assert len(chart.supplies) == 30
    for order, broken in deciding.cases(library, now).values():
        deciding.check_answer(decide(policies, order, chart), broken, len(policies))


def test_the_request_is_of_twelve_kilobytes():
    assert 11_500 <= len(order_sign(datetime.now(UTC).date())) <= 13_000


def test_the_served_targets_answer_rightly_and_the_orders_are_on_record(tmp_path: Path):
    body = tmp_path / "order-sign.json"
    body.write_bytes(order_sign(datetime.now(UTC).date()))
    with serving(f"sqlite:///{tmp_path / 'benchmark.db'}", tmp_path) as service:
        before = service.rows()
        orders.check_answers(service, body)
        answered = dict.fromkeys(orders.TARGETS, 1)
        orders.check_stored(service, before, answered)
        with pytest.raises(SystemExit, match="more was answered than stored"):
            orders.check_stored(service, before, dict.fromkeys(orders.TARGETS, 2))


def test_the_pages_are_those_of_a_long_history(tmp_path: Path):
    client, patient, who = pages.opened(tmp_path)
    for path, words in pages.pages(patient).values():
        pages.checked(client, path, who, words)
    with pytest.raises(SystemExit, match="without the words"):
        pages.checked(client, patient, who, "words that are not there")
