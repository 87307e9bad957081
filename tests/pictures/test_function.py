"""Function over time beside the dose: the picture, the table and the words say the same."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from stewardship.domain.beside_dose import BesideDose
from stewardship.domain.flags.history import history
from stewardship.domain.instruments import Verdict
from stewardship.domain.measurements import Measured, trends
from stewardship.pictures.function import function_svg
from tests.builders import TODAY
from tests.domain.test_flags_function import FLAGS, INSTRUMENTS, fill, monthly, peg, risen

SVG = "{http://www.w3.org/2000/svg}"


def picture(*measured: Measured, supplies=(), days: int = 120) -> BesideDose:
    (trend,) = trends(INSTRUMENTS, measured)
    steps = history(supplies, FLAGS.common, as_of=TODAY).steps
    return BesideDose(trend, steps, TODAY - timedelta(days), TODAY, "cdc-2022")


def parts(made: BesideDose, tag: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(function_svg(made)).findall(f".//{SVG}{tag}")  # noqa: S314 - our own


def test_it_says_what_it_shows_to_those_who_do_not_see_it():
    made = picture(peg(60, 7), peg(5, 4), supplies=risen())
    root = ElementTree.fromstring(function_svg(made))  # noqa: S314 - our own
    assert root.get("role") == "img"
    named = (root.get("aria-labelledby") or "").split()
    assert [e.get("id") for e in (*parts(made, "title"), *parts(made, "desc"))] == named
    assert parts(made, "desc")[0].text == made.summary
    assert "2 scores from 7.0 to 4.0: better." in made.summary
    assert "from 30 to 60 MME a day" in made.summary


def test_the_table_has_each_score_with_its_verdict_and_the_dose_of_its_day():
    rows = picture(peg(60, 7), peg(20, 7), peg(5, 4), supplies=risen()).rows
    assert [(r.score, r.verdict, r.mme_per_day) for r in rows] == [
        (Decimal("7.0"), None, Decimal(30)),
        (Decimal("7.0"), Verdict.UNCHANGED, Decimal(60)),
        (Decimal("4.0"), Verdict.BETTER, Decimal(60)),
    ]


def test_better_is_up_whichever_way_the_instrument_runs():
    made = picture(peg(60, 8), peg(5, 2))
    (line,) = parts(made, "polyline")
    (_, worse), (_, better) = (point.split(",") for point in (line.get("points") or "").split())
    assert float(better) < float(worse)


def test_verdicts_have_shapes_and_not_colours_alone():
    made = picture(peg(60, 5), peg(30, 8), peg(5, 2))
    shapes = [t.text for t in parts(made, "text") if t.text in ("●", "▲", "▼", "○")]
    assert shapes == ["●", "▼", "▲"]
    assert "#" not in function_svg(made)


def test_days_without_supply_are_a_break_and_never_zero():
    together = picture(peg(60, 5), supplies=[fill("a", 60), fill("b", 30)])
    apart = picture(peg(60, 5), supplies=[fill("a", 60), fill("b", 20)])
    assert len(parts(together, "polygon")) == 1
    assert len(parts(apart, "polygon")) == 2
    between = picture(peg(60, 5), peg(25, 5), supplies=[fill("a", 60), fill("b", 20)]).rows[1]
    assert between.mme_per_day is None


def test_an_incomplete_dose_is_told_as_at_least():
    made = picture(peg(60, 5), supplies=[*monthly(3), fill("odd", 50, unrecognised=True)])
    assert not made.complete
    assert "at least" in made.summary


def test_a_measurement_without_a_score_is_in_the_table_and_not_in_the_line():
    made = picture(peg(60, 5), peg(30, None), peg(5, 5))
    assert [r.score for r in made.rows] == [Decimal("5.0"), None, Decimal("5.0")]
    assert len((parts(made, "polyline")[0].get("points") or "").split()) == 2


@pytest.mark.parametrize("days", [1, 30, 3_660])
def test_everything_lies_within_the_picture(days):
    made = picture(peg(60, 10), peg(5, 0), supplies=risen(), days=days)
    for text in parts(made, "text"):
        assert 0 <= float(text.get("x") or 0) <= 640
        assert 0 <= float(text.get("y") or 0) <= 360
