"""The shipped instruments: every test in every file, what a file may not say, and what none may leave out."""

from __future__ import annotations

from pathlib import Path

import pytest

from stewardship.declarations.instruments import read_instruments, run_tests
from stewardship.declarations.places import REFERENCE
from stewardship.domain.errors import DeclarationError
from stewardship.domain.instruments import Measures, Wording

INSTRUMENTS = read_instruments(REFERENCE)
TESTS = [test for one in INSTRUMENTS.values() for test in run_tests(REFERENCE, one)]


@pytest.mark.parametrize("test", TESTS, ids=lambda test: f"{test.instrument}: {test.name}")
def test_in_the_file(test):
    assert not test.wrong


def test_the_instruments_that_ship():
    assert set(INSTRUMENTS) == {
        "gad-2",
        "goal-attainment",
        "graded-chronic-pain",
        "odi",
        "opioid-risk-tool",
        "pain-intensity",
        "peg",
        "phq-2",
        "promis-pain-interference",
        "promis-physical-function",
        "psfs",
    }


@pytest.mark.parametrize("one", INSTRUMENTS.values(), ids=lambda one: one.id)
def test_only_function_and_goals_satisfy_a_review(one):
    assert one.satisfies_review == (one.measures in (Measures.FUNCTION, Measures.GOALS))


@pytest.mark.parametrize("one", INSTRUMENTS.values(), ids=lambda one: one.id)
def test_every_score_that_its_answers_can_give_is_on_its_scale(one):
    for sex in ("female", "male"):
        for corner in ("least", "most"):
            total = one.scoring.total(one.items, {i.id: getattr(i, corner) for i in one.items}, sex)
            assert one.least <= total <= one.most


def test_no_item_of_a_licensed_form_is_printed():
    assert {i.id for i in INSTRUMENTS.values() if i.wording is Wording.NONE} == {
        "odi",
        "promis-pain-interference",
        "promis-physical-function",
    }


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ('kind = "mean"\nleast_answered = 3', 'kind = "median"', "scoring.kind is one of"),
        ("least_answered = 3", "least = 3", "scoring mean takes ['least_answered']"),
        ("least_answered = 3", "least_answered = 4", "scoring.least_answered does not fit"),
        ('id = "peg"', 'id = "gep"', "id is the name of the file, peg"),
        ('id = "activity"', 'id = "enjoyment"', "two items have one id"),
        ('measures = "function"', 'measures = "pain"', "only a measure of function"),
        ("points = 1.0\npercent = 30\n", "", "a change takes points, percent or both"),
        ('items = ["pain"]', 'items = ["ache"]', "names an item that is not there"),
        ("places = 1", "places = 1\nwidth = 3", "range.width"),
        ("least = 0\nmost = 10\nloinc", "least = 10\nmost = 10\nloinc", "takes least and most"),
        ('id = "peg"', 'id = "peg', "peg.toml: "),
    ],
)
def test_a_file_that_is_wrong_says_where(copied: Path, written, instead, message):
    path = copied / "instruments" / "peg.toml"
    text = path.read_text()
    assert written in text
    path.write_text(text.replace(written, instead, 1))
    with pytest.raises(DeclarationError) as refused:
        read_instruments(copied)
    assert message in refused.value.message


def test_a_new_instrument_is_one_file(copied: Path):
    text = (copied / "instruments" / "pain-intensity.toml").read_text()
    (copied / "instruments" / "stiffness.toml").write_text(text.replace("pain-intensity", "stiffness"))
    assert "stiffness" in read_instruments(copied)


def test_a_test_in_a_file_can_fail(copied: Path):
    path = copied / "instruments" / "peg.toml"
    path.write_text(path.read_text().replace("score = 6.7", "score = 7"))
    failed = [t.wrong for t in run_tests(copied, INSTRUMENTS["peg"]) if t.wrong]
    assert failed == ["score is 6.7, expected 7"]
