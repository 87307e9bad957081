"""``stewardship alternatives``: what a person and a program read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stewardship.cli.alternatives import alternatives

FRAIL = ("--condition", "M54.50", "--age", "70", "--egfr", "28", "--on", "lorazepam,warfarin")
HEALTHY = (
    "--age",
    "40",
    "--sex",
    "male",
    "--egfr",
    "95",
    "--on",
    "none",
    "--has",
    "none",
    "--allergy",
    "none",
)
SYNTHEA = sorted((Path(__file__).parents[3] / "shared/examples/synthea").glob("*.json"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(alternatives, arguments)


def told(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.output))


def by_treatment(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["treatment"]: entry for entry in entries}


def test_the_founding_example():
    answer = told(*FRAIL)
    left_out = by_treatment(answer["left_out"])
    assert "eGFR below 30" in " ".join(left_out["oral-nsaid"]["reasons"])
    assert "age 65 and over" in " ".join(left_out["muscle-relaxant"]["reasons"])
    gabapentin = " ".join(left_out["gabapentin"]["reasons"])
    assert "full dose (900 to 3600 mg a day) is for 60 and over" in gabapentin
    assert "at most 700 mg a day" in gabapentin
    assert {"topical-nsaid", "physical-therapy"} <= by_treatment(answer["offered"]).keys()


def test_the_same_for_a_person():
    shown = run(*FRAIL).output
    left_out = shown[shown.index("\nLeft out") : shown.index("\nSources")]
    for title in ("Oral NSAID", "Muscle relaxant", "Gabapentin"):
        assert title in left_out
    ladder = shown[: shown.index("\nLeft out")]
    assert "Topical NSAID" in ladder
    assert "Physical therapy" in ladder
    assert "[not confirmed in a source]" in left_out


def test_medicines_by_code_as_by_name():
    by_code = told("--condition", "M54.50", "--age", "70", "--egfr", "28", "--on", "lorazepam,11289")
    assert by_code == told(*FRAIL)


def test_an_unknown_medicine_cannot_be_told():
    answer = told("--condition", "M17.11", *HEALTHY[:6], "--on", "bluepill")
    assert answer["asks"]["unknown-medicines:bluepill"] == "bluepill was not recognised: find out what it is"
    assert "oral-nsaid" in by_treatment(answer["undecided"])


def test_what_is_not_said_is_asked_for():
    answer = told("--condition", "M54.50")
    assert {"egfr", "age", "medicines", "pregnancy", "allergies", "problems", "phase"} <= answer[
        "asks"
    ].keys()
    assert "oral-nsaid" in by_treatment(answer["undecided"])


def test_what_was_tried_is_not_offered_again():
    answer = told("--condition", "M54.50", *HEALTHY, "--tried", "duloxetine:none")
    assert "it did not help" in by_treatment(answer["left_out"])["duloxetine"]["reasons"][0]


@pytest.mark.parametrize(
    ("said", "place"),
    [(("--pregnant", "25"), "left_out"), (("--not-pregnant",), "offered"), ((), "undecided")],
)
def test_a_pregnancy_decides_about_an_nsaid(said, place):
    answer = told("--condition", "M17.11", *HEALTHY[:2], *HEALTHY[4:], "--sex", "female", *said)
    assert "oral-nsaid" in by_treatment(answer[place])


def test_an_allergy_leaves_out_and_an_unknown_one_is_asked_about():
    answer = told("--condition", "M17.11", *HEALTHY[:10], "--allergy", "aspirin,stardust")
    assert "topical-nsaid" in by_treatment(answer["left_out"])
    assert "unknown-medicines:stardust" in answer["asks"]


def test_cancer_pain_is_offered_help_and_not_pressed():
    answer = told("--condition", "G89.3", *HEALTHY)
    assert answer["pressed"] is False
    assert "Offered, not pressed" in run("--condition", "G89.3", *HEALTHY).output


def test_a_condition_that_is_not_known_has_an_exit_code_of_its_own():
    done = run("--condition", "R07.9")
    assert done.exit_code == 3
    assert "not a condition that is known here" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name a condition"),
        (("--condition", "M54.50", "--egfr", "low"), "no kidney function"),
        (("--condition", "M54.50", "--egfr", "-5"), "no kidney function"),
        (("--condition", "M54.50", "--has", "flu"), "--has takes none, or of these: heart-failure"),
        (("--condition", "M54.50", "--tried", "cbt:well"), "a response being one of meaningful"),
        (("--condition", "M54.50", "--pregnant", "9", "--not-pregnant"), "either --pregnant or"),
    ],
)
def test_what_is_not_understood_is_a_usage_error(arguments, says):
    done = run(*arguments)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())


@pytest.mark.skipif(not SYNTHEA, reason="the example patients are not there")
@pytest.mark.parametrize("path", SYNTHEA, ids=lambda path: path.stem)
def test_a_patient_on_file_is_advised_from_the_record(path):
    answer = told(str(path))
    assert answer["conditions"]
    assert "physical-therapy" in by_treatment(answer["offered"]) or "self-care" in by_treatment(
        answer["offered"]
    )
    assert "egfr" in answer["asks"]


@pytest.mark.skipif(not SYNTHEA, reason="the example patients are not there")
def test_what_is_said_comes_on_top_of_the_file():
    assert "egfr" not in told(str(SYNTHEA[0]), "--egfr", "80")["asks"]
