"""Canonical documents: the same object makes the same text, and comes back as it was."""

from __future__ import annotations

from decimal import Decimal

from stewardship.db import documents
from stewardship.domain.chart import Chart
from stewardship.domain.orders import Order
from tests.builders import LONG_ACTING, a_chart, a_drug, a_supply, an_order, tablets


def test_an_order_comes_back_as_it_was():
    order = an_order(drug=a_drug(strength="7.50", classes=LONG_ACTING), dosage=(tablets("1.50"),))
    assert documents.decode(documents.encode(order), Order) == order


def test_a_chart_that_was_looked_at_makes_the_same_document():
    chart = a_chart(a_supply())
    before = documents.encode(chart)
    assert chart.exposures
    assert documents.encode(chart) == before
    assert documents.decode(before, Chart) == chart


def test_sets_and_keys_are_in_order_whatever_order_they_were_made_in():
    words = [f"word-{n}" for n in range(50)]
    assert documents.encode(frozenset(words)) == documents.encode(frozenset(reversed(words)))
    assert documents.encode({"b": 1, "a": 2}) == '{"a":2,"b":1}'


def test_shown_decimals_are_numbers_digit_for_digit():
    text = documents.encode_shown({"mme": Decimal("22.50"), "days": 3})
    assert text == '{"days":3,"mme":22.50}'
    assert str(documents.decode_shown(text)["mme"]) == "22.50"


def test_no_document_lends_text_to_the_next():
    assert documents.digest("ab", "c") != documents.digest("a", "bc")
    assert documents.digest(None, "") != documents.digest("", None)
