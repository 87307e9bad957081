"""``stewardship instruments``: what a person and a program read, and what the exit code says."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from click.testing import CliRunner, Result

from stewardship.cli import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["instruments", *arguments])


def told(*arguments: str) -> dict:
    return json.loads(run(*arguments, "--json").output, parse_float=Decimal)


def test_a_score_with_one_decimal():
    done = run("score", "peg", "7", "7", "6")
    assert done.exit_code == 0
    assert ": 6.7" in done.output
    assert "lower is better" in done.output


def test_a_program_reads_the_score_its_parts_and_the_exact_fraction():
    found = told("score", "peg", "7", "7", "6")
    assert (found["outcome"], found["score"], found["exact"]) == ("scored", Decimal("6.7"), "20/3")
    assert found["parts"] == {"function": Decimal("6.5"), "pain": 7}


@pytest.mark.parametrize("answers", [("7", "-", "6"), ("7", "?", "6"), ("pain=7", "activity=6")])
def test_a_missing_item_cannot_be_told(answers):
    done = run("score", "peg", *answers)
    assert done.exit_code == 3
    assert "cannot-tell" in done.output
    assert "missing: enjoyment" in done.output
    found = told("score", "peg", *answers)
    assert (found["outcome"], found["score"], found["missing"]) == ("cannot-tell", None, ["enjoyment"])
    assert found["reason"] == "2 of 3 items answered; a score needs 3"


def test_negative_answers_are_answers():
    assert told("score", "goal-attainment", "-1")["score"] == 40


def test_points_by_sex():
    others = [
        f"{name}=no"
        for name in (
            "family-illegal",
            "family-prescription",
            "own-alcohol",
            "own-illegal",
            "own-prescription",
            "age-16-to-45",
            "preadolescent-abuse",
            "attention-compulsive-bipolar-schizophrenia",
        )
    ]
    given = ("score", "opioid-risk-tool", "family-alcohol=yes", *others, "depression=no")
    assert (told(*given, "--sex", "female")["score"], told(*given, "--sex", "male")["score"]) == (1, 3)
    without = run(*given)
    assert without.exit_code == 3
    assert "missing: sex" in without.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("score", "peg", "11", "7", "6"),
        ("score", "peg", "-1", "7", "6"),
        ("score", "peg", "6.5", "7", "6"),
        ("score", "peg", "7", "7", "6", "5"),
        ("score", "peg", "pain=7", "pain=6"),
        ("score", "peg", "sleep=7"),
        ("score", "peg", "seven", "7", "6"),
        ("score", "peg", "７", "7", "6"),
        ("score", "no-such", "7"),
        ("change", "peg", "7", "11"),
        ("change", "peg", "7"),
    ],
)
def test_what_is_wrong_is_said_and_not_scored(arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert not isinstance(done.exception, ValueError)


def test_out_of_range_names_the_item_and_what_it_takes():
    assert "/answers/pain: Takes 0 to 10, whole numbers." in run("score", "peg", "11", "7", "6").output


@pytest.mark.parametrize(
    ("after", "verdict", "by_percent"), [("4.9", "better", "better"), ("5.0", "unchanged", "unchanged")]
)
def test_thirty_percent(after, verdict, by_percent):
    found = told("change", "peg", "7.0", after)
    assert (found["verdict"], found["by_percent"]) == (verdict, by_percent)


def test_a_change_that_nobody_published_cannot_be_told():
    assert run("change", "phq-2", "6", "1").exit_code == 3


def test_the_list():
    done = run("list")
    assert "peg  PEG: pain, enjoyment of life, general activity" in done.output
    assert "does not satisfy a review" in done.output
    assert {one["id"] for one in json.loads(run("list", "--json").output)} >= {
        "peg",
        "odi",
        "opioid-risk-tool",
    }
