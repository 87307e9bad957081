"""Conditions and treatments as they ship, a row at a time, for a pharmacist to check; wrong files refused.

Each row says: the codes, then what comes first (without medicines, then medicines), what follows by needle
or knife, and what the condition itself speaks against.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from stewardship.declarations.alternatives import read_alternatives
from stewardship.declarations.lint import lint, overdue
from stewardship.declarations.places import REFERENCE
from stewardship.declarations.triggers import read_triggers
from stewardship.domain.alternatives import Alternatives
from stewardship.domain.codes import ICD10CM, SNOMED, Coding
from stewardship.domain.errors import DeclarationError
from stewardship.domain.orders import Phase
from stewardship.domain.treatments import INTERVENTIONAL, match

ACUTE, CHRONIC, ANY = Phase.ACUTE, Phase.CHRONIC, Phase.UNKNOWN
LOW_BACK_CHRONIC = (
    "exercise multidisciplinary-rehab mindfulness yoga tai-chi cbt low-level-laser spinal-manipulation "
    "acupuncture | oral-nsaid duloxetine"
)
NOT_FOR_BACK = {"oral-corticosteroid", "gabapentin", "pregabalin"}
# Offered where an NSAID does not suit, with the words that it was not shown to help.
NOT_FOR_ACUTE_BACK = NOT_FOR_BACK | {"acetaminophen"}


@pytest.fixture(scope="module")
def declared() -> Alternatives:
    return read_alternatives(REFERENCE)


ROWS = [
    ("M54.50", ACUTE, "low-back-acute",
     "heat massage acupuncture spinal-manipulation | oral-nsaid muscle-relaxant", "", NOT_FOR_ACUTE_BACK),
    ("S33.5XXA", ANY, "low-back-acute",
     "heat massage acupuncture spinal-manipulation | oral-nsaid muscle-relaxant", "", NOT_FOR_ACUTE_BACK),
    ("S39.012A", ANY, "low-back-acute",
     "heat massage acupuncture spinal-manipulation | oral-nsaid muscle-relaxant", "", NOT_FOR_ACUTE_BACK),
    ("M54.59", CHRONIC, "low-back-chronic",
     LOW_BACK_CHRONIC, "facet-injection radiofrequency-ablation", NOT_FOR_BACK),
    ("M54.16", ANY, "radiculopathy", "physical-therapy | oral-nsaid gabapentin pregabalin",
     "epidural-steroid nerve-root-block scs-trial spinal-cord-stimulation", {"oral-corticosteroid"}),
    ("M54.31", ANY, "radiculopathy", "physical-therapy | oral-nsaid gabapentin pregabalin",
     "epidural-steroid nerve-root-block scs-trial spinal-cord-stimulation", {"oral-corticosteroid"}),
    ("M51.36", ANY, "disc", "physical-therapy | oral-nsaid", "epidural-steroid", set()),
    ("M50.20", ANY, "disc", "physical-therapy | oral-nsaid", "epidural-steroid", set()),
    ("M48.061", ANY, "spinal-stenosis", "physical-therapy | oral-nsaid", "epidural-steroid", set()),
    ("M47.816", ANY, "facet", "exercise | oral-nsaid", "facet-injection radiofrequency-ablation", set()),
    ("M53.3", ANY, "sacroiliac", "physical-therapy | oral-nsaid",
     "si-joint-injection radiofrequency-ablation", set()),
    ("M46.1", ANY, "sacroiliac", "physical-therapy | oral-nsaid",
     "si-joint-injection radiofrequency-ablation", set()),
    ("M96.1", ANY, "failed-back-surgery",
     "multidisciplinary-rehab pain-psychology | duloxetine gabapentin pregabalin",
     "epidural-steroid scs-trial spinal-cord-stimulation", set()),
    ("G90.511", ANY, "crps", "desensitisation cbt | gabapentin pregabalin",
     "nerve-block scs-trial spinal-cord-stimulation drg-trial drg-stimulation", set()),
    ("G56.41", ANY, "crps", "desensitisation cbt | gabapentin pregabalin",
     "nerve-block scs-trial spinal-cord-stimulation drg-trial drg-stimulation", set()),
    ("M51.16", ANY, "radiculopathy", "physical-therapy | oral-nsaid gabapentin pregabalin",
     "epidural-steroid nerve-root-block scs-trial spinal-cord-stimulation", {"oral-corticosteroid"}),
    ("M17.11", ANY, "osteoarthritis-knee",
     "exercise weight-loss | topical-nsaid oral-nsaid duloxetine",
     "joint-injection hyaluronic-acid prp", set()),
    ("M16.11", ANY, "osteoarthritis-hip", "exercise weight-loss | oral-nsaid duloxetine",
     "joint-injection hyaluronic-acid prp", {"topical-nsaid"}),
    ("M19.011", ANY, "shoulder", "physical-therapy | oral-nsaid", "joint-injection", set()),
    ("M54.2", ANY, "neck", "exercise physical-therapy | oral-nsaid",
     "facet-injection radiofrequency-ablation", set()),
    ("M54.6", ANY, "back-other", "exercise physical-therapy | oral-nsaid", "", set()),
    ("M25.561", ANY, "joint-other", "exercise | topical-nsaid oral-nsaid", "joint-injection", set()),
    ("M06.9", ANY, "inflammatory-arthritis", "exercise physical-therapy | oral-nsaid", "joint-injection",
     set()),
    ("M75.101", ANY, "soft-tissue", "physical-therapy | topical-nsaid oral-nsaid", "joint-injection", set()),
    ("M26.62", ANY, "jaw-joint", "| oral-nsaid", "", set()),
    ("G50.0", ANY, "trigeminal-neuralgia", "| carbamazepine", "nerve-block", {"oral-nsaid", "triptan"}),
    ("G50.1", ANY, "headache-facial", "| oral-nsaid triptan", "nerve-block", set()),
    ("M25.511", ANY, "shoulder", "physical-therapy | oral-nsaid", "joint-injection", set()),
    ("S93.401A", ANY, "acute-injury",
     "topical-nsaid topical-menthol oral-nsaid acetaminophen | acupressure tens", "", set()),
    ("M79.18", ANY, "myofascial", "physical-therapy stretching | topical", "trigger-point-injection", set()),
    ("M79.7", ANY, "fibromyalgia",
     "exercise cbt tai-chi mindfulness | duloxetine milnacipran pregabalin tricyclic", "", {"oral-nsaid"}),
    ("E11.42", ANY, "neuropathy",
     "| duloxetine pregabalin gabapentin tricyclic topical-lidocaine topical-capsaicin",
     "scs-trial spinal-cord-stimulation", {"oral-nsaid"}),
    ("G43.909", ANY, "migraine", "| oral-nsaid triptan", "nerve-block", set()),
    ("G44.209", ANY, "headache-facial", "| oral-nsaid triptan", "nerve-block", set()),
    ("G89.22", ANY, "post-surgical", "physical-therapy | topical-lidocaine gabapentin pregabalin",
     "nerve-block", set()),
    ("G89.4", ANY, "chronic-pain-syndrome", "physical-therapy cbt pacing sleep |", "", set()),
    ("G89.11", ANY, "severe-acute", "acetaminophen oral-nsaid | physical-therapy", "nerve-block", set()),
    ("G89.3", ANY, "cancer-pain", "", "", set()),
    ("C34.11", ANY, "cancer-pain", "", "", set()),
    ("D57.1", ANY, "sickle-cell", "", "", set()),
    ("Z51.5", ANY, "palliative", "", "", set()),
]  # fmt: skip


@pytest.mark.parametrize(("code", "phase", "row", "first", "interventional", "against"), ROWS,
                         ids=[f"{r[0]} {r[2]}" for r in ROWS])  # fmt: skip
def test_what_comes_first_what_follows_and_what_is_advised_against(
    declared: Alternatives,
    code: str,
    phase: Phase,
    row: str,
    first: str,
    interventional: str,
    against: set[str],
) -> None:
    (found,) = match(declared.conditions, [Coding(ICD10CM, code)], phase)
    condition = found.condition
    assert condition.id == row
    assert list(condition.first_line) == first.replace("|", " ").split()
    assert list(condition.interventional) == interventional.split()
    assert {a.treatment for a in condition.against} == against
    assert condition.sources


@pytest.mark.parametrize("code", ["G89.12", "G89.18"])
def test_acute_pain_after_surgery_is_of_both_rows(declared: Alternatives, code: str) -> None:
    rows = {m.condition.id: m.condition for m in match(declared.conditions, [Coding(ICD10CM, code)])}
    assert set(rows) == {"post-surgical", "severe-acute"}
    assert "short course of a short-acting opioid is appropriate" in rows["severe-acute"].opioid


@pytest.mark.parametrize("code", ["D57.3", "C44.91", "R07.9", "Z85.118"])
def test_a_trait_a_skin_cancer_and_other_codes_are_no_condition_of_the_map(
    declared: Alternatives, code: str
) -> None:
    assert match(declared.conditions, [Coding(ICD10CM, code)]) == ()


@pytest.mark.parametrize(
    ("code", "verified"),
    [
        ("M54.50", True),
        ("M17.0", True),
        ("G90.50", True),
        ("M54.31", False),
        ("G43.1", False),
        ("S93.4", False),
        ("M51.16", True),
        ("M51.17", False),
        ("M54.2", False),
    ],
)
def test_a_code_that_no_source_confirmed_says_so(declared: Alternatives, code: str, verified: bool) -> None:
    (found,) = match(declared.conditions, [Coding(ICD10CM, code)], CHRONIC)
    assert found.verified is verified


def test_a_snomed_code_is_matched_as_it_is(declared: Alternatives) -> None:
    (found,) = match(declared.conditions, [Coding(SNOMED, "278860009")])
    assert (found.condition.id, found.verified) == ("low-back-chronic", True)


def test_the_rows_that_are_exempt_press_nobody(declared: Alternatives) -> None:
    exempt = {c.id: c.exempt for c in declared.conditions if c.exempt}
    assert exempt == {
        "cancer-pain": "active-cancer-treatment",
        "sickle-cell": "sickle-cell-disease",
        "palliative": "palliative-care",
    }


@pytest.mark.parametrize("condition", ["radiculopathy", "disc", "spinal-stenosis", "low-back-acute", "neck"])
def test_a_neurological_deficit_is_urgent_and_no_opioid_question(
    declared: Alternatives, condition: str
) -> None:
    (row,) = [c for c in declared.conditions if c.id == condition]
    assert "urgent" in row.urgent
    assert "not an opioid question" in row.urgent


# --- treatments -----------------------------------------------------------------------------------------


def test_every_treatment_that_was_asked_for_is_there_on_its_rung(declared: Alternatives) -> None:
    rungs = {
        0: "self-care",
        1: "physical-therapy exercise spinal-manipulation pain-psychology cbt occupational-therapy "
        "vocational-rehab",
        2: "topical-nsaid oral-nsaid acetaminophen duloxetine gabapentin pregabalin tricyclic "
        "muscle-relaxant oral-corticosteroid triptan",
        3: "trigger-point-injection joint-injection si-joint-injection epidural-steroid nerve-root-block "
        "facet-injection hyaluronic-acid prp",
        4: "radiofrequency-ablation",
        5: "spinal-cord-stimulation drg-stimulation scs-trial drg-trial",
        6: "surgical-consultation",
    }
    asked = {name: rung for rung, names in rungs.items() for name in names.split()}
    assert {name: declared.treatments[name].rung for name in asked} == asked


def test_no_treatment_that_no_condition_names(declared: Alternatives) -> None:
    named = {t for c in declared.conditions for t in c.considered}
    assert declared.treatments.keys() - named == set()


@pytest.mark.parametrize("treatment", ["hyaluronic-acid", "prp", "oral-corticosteroid"])
def test_contested_evidence_is_said(declared: Alternatives, treatment: str) -> None:
    row = declared.treatments[treatment]
    assert row.contested
    assert row.strength in {"contested", "against"}


@pytest.mark.parametrize(
    ("implant", "trial"), [("spinal-cord-stimulation", "scs-trial"), ("drg-stimulation", "drg-trial")]
)
def test_a_stimulator_has_its_trial_before_the_implant(
    declared: Alternatives, implant: str, trial: str
) -> None:
    assert declared.treatments[implant].requires == (trial,)
    for condition in declared.conditions:
        if implant in condition.interventional:
            assert trial in condition.interventional


def test_blocks_are_tests_as_well(declared: Alternatives) -> None:
    tests = {t.id for t in declared.treatments.values() if t.diagnostic and t.rung == INTERVENTIONAL}
    assert {"nerve-root-block", "facet-injection", "si-joint-injection", "joint-injection"} <= tests


def test_codes_that_no_source_confirmed_are_marked(declared: Alternatives) -> None:
    marks = {i.name: (i.rxcui, i.verified) for i in declared.added_ingredients}
    assert marks["diclofenac"] == ("3355", True)
    assert marks["meloxicam"] == ("41493", False)


# --- the files themselves ---------------------------------------------------------------------------------


def test_a_source_that_is_overdue_is_named() -> None:
    assert "beers-2023 was to be reviewed by 2027-05-21" in {
        c.about for c in overdue(REFERENCE, date(2027, 6, 1))
    }


@pytest.mark.parametrize(
    ("file", "was", "wrong", "named"),
    [
        ("treatments.toml", 'sources = ["hospital-practice", "pain-practice", "unconfirmed"]', "sources = []",
         "sources"),
        ("treatments.toml", '"unconfirmed"]\nverified = false', '"hearsay"]\nverified = false', "hearsay"),
        ("treatments.toml", 'ingredients = ["sumatriptan"]', 'ingredients = ["sumatryptan"]', "sumatryptan"),
        ("treatments.toml", 'requires = ["scs-trial"]', 'requires = ["scs-test"]', "scs-test"),
        ("treatments.toml", "rung = 4\n", "rung = 9\n", "9"),
        ("conditions.toml", '"M54.5"', '"back"', "prefixes"),
        ("conditions.toml", '"massage"', '"massages"', "massages"),
        ("conditions.toml", 'id = "disc"', 'id = "facet"', "there twice: facet"),
        ("contraindications.toml", 'sources = ["unconfirmed"]\nverified = false',
         'sources = ["unconfirmed"]\nverified = true', "no source confirms it"),
        ("contraindications.toml", 'problem = "heart-failure"', 'problem = "heart"', "heart"),
        ("contraindications.toml", 'medicines = "maoi"', 'medicines = "mao"', "mao"),
        ("contraindications.toml", "ceiling_mg = 700", "", "ceiling"),
        ("contraindications.toml", 'because = "kidney: {kidney}, below 30"',
         'because = "kidney: {kidney}, below 30"\nasks = false', "only a caution"),
        ("contraindications.toml", 'egfr = "eGFR', 'gfr = "eGFR', "egfr"),
        ("contraindications.toml", '"warfarin"', '"warfarine"', "warfarine"),
        ("triggers.toml", 'sources = ["hospital-practice"]', "sources = []", "sources"),
        ("triggers.toml", 'sources = ["hospital-practice"]', 'sources = ["hearsay"]', "hearsay"),
        ("triggers.toml", '["hospital-practice"]\nverified = true', '["unconfirmed"]\nverified = true',
         "no source confirms it"),
        ("triggers.toml", 'conditions = ["crps"', 'conditions = ["crbs"', "crbs"),
        ("triggers.toml", 'routes = ["primary-care"]', 'routes = ["primary"]', "primary"),
        ("triggers.toml", "days_until = 4\n", "", "holds always"),
        ("evidence.toml", "review_by = 2027-05-21", "review_by = 2014-05-21", "the second the later one"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_words_for_its_author(
    copied: Path, file: str, was: str, wrong: str, named: str
) -> None:
    path = copied / file
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, wrong, 1))
    with pytest.raises(DeclarationError) as refused:
        read_triggers(copied, read_alternatives(copied))
    assert named in refused.value.message
    assert file in refused.value.message


def test_a_file_whose_day_of_review_is_before_its_own_is_found(copied: Path) -> None:
    files = {"conditions.toml", "treatments.toml", "contraindications.toml", "triggers.toml", "evidence.toml"}
    for file in files:
        first, _, rest = (copied / file).read_text().partition("review_by = ")
        (copied / file).write_text(f"{first}review_by = 2020-01-01\n{rest.partition(chr(10))[2]}")
    assert {c.file for c in lint(copied) if c.rule == "review-date"} == files


@pytest.mark.parametrize(
    ("file", "was", "wrong"),
    [
        ("conditions.toml", 'prefixes = ["M48.0"]', 'prefixes = ["M48.9"]'),
        ("treatments.toml", 'code = "91251008"', 'code = "91251009"'),
    ],
)
def test_a_code_that_is_called_confirmed_and_is_in_no_set_is_found(
    copied: Path, file: str, was: str, wrong: str
) -> None:
    path = copied / file
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, wrong, 1))
    assert (file, "code") in {(c.file, c.rule) for c in lint(copied)}
