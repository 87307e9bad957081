"""The named code sets, what we changed against the published ones, and what counts as an exemption."""

from __future__ import annotations

from pathlib import Path

import pytest

from stewardship.declarations.drugs import CODES, read_code_sets, read_exemptions, rows, set_names
from stewardship.declarations.lint import CORRECTIONS
from stewardship.declarations.places import REFERENCE
from stewardship.domain.codes import CPT, ICD10CM, LOINC, SNOMED, CodeSets, Coding
from stewardship.domain.drugs import DrugClass
from stewardship.domain.errors import DeclarationError

WANTED = {
    "active-cancer", "sickle-cell-disease", "terminal-condition", "hospice", "palliative-care",
    "end-of-life-therapy", "opioid-use-disorder", "substance-misuse", "opioid-misuse-disorders",
    "sleep-disordered-breathing", "pdmp-review", "pain-treatment-plan", "urine-drug-test", "office-visit",
    "opioid-risk-assessment", "opioid-counselling", "chronic-pain", "acute-pain", "post-surgical-pain",
    "oncology-specialty",
}  # fmt: skip


def sets(code_sets: CodeSets, code: str, system: str = ICD10CM) -> set[str]:
    return set(code_sets.sets_of(Coding(system, code)))


def test_the_sets_that_policies_and_exemptions_name_are_there() -> None:
    assert set(set_names(REFERENCE / "code_sets")) >= WANTED


@pytest.mark.parametrize(
    "code", ["C50.911", "C43.9", "C4A.9", "C7A.1", "C79.51", "C90.00", "C91.00", "C34.90"]
)
def test_invasive_cancer_is_active_cancer(code_sets: CodeSets, code: str) -> None:
    assert "active-cancer" in sets(code_sets, code)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("C44.311", id="basal cell"),
        pytest.param("C44.42", id="squamous cell of skin"),
        pytest.param("D03.9", id="melanoma in situ"),
        pytest.param("D05.10", id="carcinoma in situ"),
        pytest.param("D37.1", id="uncertain behaviour"),
        pytest.param("D49.6", id="unspecified behaviour"),
        pytest.param("G89.3", id="neoplasm-related pain alone"),
        pytest.param("Z85.3", id="history"),
        pytest.param("C91.01", id="leukaemia in remission"),
        pytest.param("C81.9A", id="lymphoma in remission"),
    ],
)
def test_what_is_not_active_cancer(code_sets: CodeSets, code: str) -> None:
    assert "active-cancer" not in sets(code_sets, code)


@pytest.mark.parametrize(
    "word", ["in situ", "uncertain", "in remission", "basal cell carcinoma", "history of", "benign"]
)
def test_no_term_of_active_cancer_speaks_of_what_is_not(word: str) -> None:
    listed = rows(REFERENCE / "code_sets" / "active-cancer.csv", CODES)
    held = [row[3] for row in listed if row[2] == "exact"]
    assert len(held) > 5000
    assert [term for term in held if word in term.lower()] == []


def test_the_sickle_cell_trait_is_not_the_disease(code_sets: CodeSets) -> None:
    assert sets(code_sets, "D57.3") == set()
    assert sets(code_sets, "D57.1") == {"sickle-cell-disease"}
    assert sets(code_sets, "417357006", SNOMED) == {"sickle-cell-disease"}


def test_a_code_is_matched_with_and_without_its_dot_and_below_a_prefix(code_sets: CodeSets) -> None:
    assert sets(code_sets, "C50911") == sets(code_sets, "c50.911") == {"active-cancer"}


def test_an_overdose_is_a_poisoning_and_not_an_adverse_effect(code_sets: CodeSets) -> None:
    assert "opioid-overdose" in sets(code_sets, "T40.2X1A")
    assert "opioid-overdose" not in sets(code_sets, "T40.2X5A")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("G89.21", {"chronic-pain"}),
        ("G89.4", {"chronic-pain"}),
        ("G89.28", {"chronic-pain", "post-surgical-pain"}),
        ("G89.18", {"acute-pain", "post-surgical-pain"}),
        ("G89.11", {"acute-pain"}),
        ("R52", set()),
    ],
)
def test_pain_has_the_phase_that_its_code_states(code_sets: CodeSets, code: str, expected: set[str]) -> None:
    assert sets(code_sets, code) == expected


@pytest.mark.parametrize(
    ("system", "code", "name"),
    [
        (SNOMED, "82423001", "chronic-pain"),
        (SNOMED, "274663001", "acute-pain"),
        (SNOMED, "461651000124104", "pdmp-review"),
        (SNOMED, "461621000124108", "pdmp-review"),
        (LOINC, "80764-4", "pain-treatment-plan"),
        (LOINC, "65750-2", "urine-drug-test"),
        (LOINC, "8237-0", "urine-phencyclidine"),
        (SNOMED, "385763009", "hospice"),
        (SNOMED, "103735009", "palliative-care"),
        (ICD10CM, "Z51.5", "palliative-care"),
        (SNOMED, "254612002", "terminal-condition"),
        (SNOMED, "191865004", "opioid-use-disorder"),
        (SNOMED, "454281000124100", "opioid-risk-assessment"),
        (SNOMED, "460831000124102", "opioid-counselling"),
        (ICD10CM, "G47.33", "sleep-disordered-breathing"),
        (CPT, "99213", "office-visit"),
    ],
)
def test_a_code_is_in_its_set(code_sets: CodeSets, system: str, code: str, name: str) -> None:
    assert name in sets(code_sets, code, system)


def test_a_single_urine_test_is_a_urine_test(code_sets: CodeSets) -> None:
    assert sets(code_sets, "8237-0", LOINC) >= {"urine-drug-test", "urine-phencyclidine"}


def test_a_prefix_of_one_set_inside_a_prefix_of_another_keeps_both(code_sets: CodeSets) -> None:
    # F11.2 is opioid-use-disorder, below F11 (opioid-misuse-disorders) and F11 (substance-misuse).
    assert sets(code_sets, "F11.20") == {"opioid-use-disorder", "opioid-misuse-disorders", "substance-misuse"}


def test_a_kind_of_match_that_does_not_exist_is_refused(copied: Path) -> None:
    file = copied / "code_sets" / "hospice.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(",exact,", ",like,", 1), encoding="utf-8")
    with pytest.raises(DeclarationError, match=r"hospice.csv: \S+ has match 'like'; write exact"):
        read_code_sets(copied)


# --- corrections ----------------------------------------------------------------------------------


def corrections() -> list[dict[str, str]]:
    listed = rows(REFERENCE / "code_sets" / "corrections.csv", CORRECTIONS)
    return [dict(zip(CORRECTIONS, row, strict=True)) for row in listed]


@pytest.mark.parametrize(
    ("ours", "change", "word", "at_least"),
    [
        ("cns-depressant", "removed", "phentermine", 24),
        ("cns-depressant", "removed", "phendimetrazine", 1),
        ("cns-depressant", "removed", "diethylpropion", 1),
        ("cns-depressant", "removed", "benzphetamine", 1),
        ("cns-depressant", "removed", "methamphetamine", 1),
        ("cns-depressant", "removed", "desflurane", 1),
        ("cns-depressant", "removed", "sevoflurane", 1),
        ("cns-depressant", "removed", "meclizine", 1),
        ("cns-depressant", "added", "gabapentin", 5),
        ("cns-depressant", "added", "pregabalin", 5),
        ("cns-depressant", "added", "carisoprodol", 2),
        ("cns-depressant", "added", "cyclobenzaprine", 3),
        ("cns-depressant", "added", "eszopiclone", 3),
        ("opioid-reversal", "removed", "buprenorphine", 28),
        ("opioid-reversal", "removed", "pentazocine", 1),
        ("opioid-reversal", "added", "nalmefene", 2),
        ("opioid-analgesic", "removed", "naloxone", 20),
        ("opioid-analgesic", "removed", "Implant", 1),
        ("opioid-analgesic", "removed", "heroin", 1),
        ("long-acting-opioid", "added", "levorphanol", 2),
        ("sickle-cell-disease", "removed", "trait", 1),
        ("active-cancer", "removed", "Basal cell", 1),
        ("active-cancer", "removed", "Melanoma in situ", 1),
        ("active-cancer", "removed", "uncertain behavior", 1),
        ("active-cancer", "removed", "Neoplasm related pain", 1),
        ("sleep-disordered-breathing", "removed", "Narcolepsy", 1),
        ("sleep-disordered-breathing", "removed", "shift work", 1),
    ],
)
def test_each_known_error_of_the_published_sets_is_corrected(
    ours: str, change: str, word: str, at_least: int
) -> None:
    # That a recorded correction is in force as well is the linter's rule "correction".
    found = [c for c in corrections() if c["ours"] == ours and c["change"] == change and word in c["name"]]
    assert len(found) >= at_least


# --- exemptions -----------------------------------------------------------------------------------


def test_every_kind_of_exemption_is_there() -> None:
    assert set(read_exemptions(REFERENCE)) == {
        "active-cancer-treatment", "palliative-care", "end-of-life-care", "hospice", "sickle-cell-disease",
        "opioid-use-disorder-treatment",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "treatment_type"),
    [
        ("active-cancer-treatment", "03"),
        ("palliative-care", "04"),
        ("end-of-life-care", "05"),
        ("hospice", "05"),
        ("opioid-use-disorder-treatment", "02"),
    ],
)
def test_the_treatment_type_of_a_dispensing_is_evidence(kind: str, treatment_type: str) -> None:
    assert read_exemptions(REFERENCE)[kind].treatment_types == {treatment_type}


def test_cancer_has_to_be_recorded_lately_and_sickle_cell_disease_does_not() -> None:
    rules = read_exemptions(REFERENCE)
    assert rules["active-cancer-treatment"].condition_days == 365
    assert rules["sickle-cell-disease"].condition_days is None


def test_having_the_disorder_lifts_no_limit_from_an_analgesic() -> None:
    rule = read_exemptions(REFERENCE)["opioid-use-disorder-treatment"]
    assert rule.condition_sets == frozenset()
    assert rule.drug_classes == {DrugClass.OUD_TREATMENT}


def test_an_exemption_by_a_set_that_does_not_exist_is_refused(copied: Path) -> None:
    file = copied / "exemptions.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('["hospice"]', '["hospis"]'), encoding="utf-8")
    with pytest.raises(DeclarationError, match="hospice names code sets that do not exist: hospis"):
        read_exemptions(copied)


def test_a_key_that_nobody_declared_is_refused(copied: Path) -> None:
    file = copied / "exemptions.toml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("\ncondition_days", "\nconditon_days", 1), encoding="utf-8"
    )
    with pytest.raises(DeclarationError, match="conditon_days"):
        read_exemptions(copied)
