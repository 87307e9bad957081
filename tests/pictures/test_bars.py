"""Bars stand where their labels fit, lie where they do not, and a gap is never a zero."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stewardship.pictures.bars import bars_svg


def test_short_labels_stand_and_lie_on_a_narrow_screen():
    drawn = bars_svg("T", ["2026-01", "2026-02"], {"Orders": [3, 4]})
    assert drawn.count("<svg") == 2
    assert 'class="bars"' in drawn
    assert 'class="bars bars--lying bars--narrow"' in drawn


def test_labels_that_do_not_fit_lie_whole():
    labels = [f"a-measure-{n}: its published rate" for n in range(8)]
    drawn = bars_svg("T", labels, {"Rate": [Decimal(n) for n in range(8)]}, unit="%")
    assert drawn.count("<svg") == 1
    assert 'class="bars bars--lying"' in drawn
    assert all(f">{label}</text>" in drawn for label in labels)
    assert ">7 %</text>" in drawn


def test_what_is_not_known_is_a_gap_and_zero_is_a_number():
    drawn = bars_svg(
        "T", ["one label that is long", "another one that is long"] * 4, {"N": [None, 0, 5] + [1] * 5}
    )
    assert drawn.count(">no figure</text>") == 1
    assert ">0</text>" in drawn


@pytest.mark.parametrize("series", [{"N": [None]}, {"N": [0]}, {}], ids=["withheld", "zero", "nothing"])
def test_nothing_to_draw_is_nothing(series):
    assert bars_svg("T", ["2026-01"], series) == ""


def test_words_are_escaped():
    assert "<b>" not in bars_svg("<b>", ["<b>"], {"<b>": [1]})
