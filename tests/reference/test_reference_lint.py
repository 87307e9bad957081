"""The linter finds nothing in the files that ship, and finds each planted error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from stewardship.declarations.lint import lint, overdue
from stewardship.declarations.places import REFERENCE
from stewardship.domain.errors import DeclarationError

Spoil = Callable[[str, str, str], None]


def test_the_shipped_files_are_in_order() -> None:
    assert lint(REFERENCE) == []


def test_a_review_date_that_has_passed_is_named() -> None:
    assert overdue(REFERENCE, date(2026, 11, 22)) == []
    assert "exemptions.toml" in {c.file for c in overdue(REFERENCE, date(2027, 6, 1))}


@pytest.fixture
def spoil(copied: Path) -> Spoil:
    """Replace a text in a file, which must be there."""

    def replace(file: str, before: str, after: str) -> None:
        path = copied / file
        text = path.read_text(encoding="utf-8")
        assert before in text, f"{before!r} is not in {file}"
        path.write_text(text.replace(before, after, 1), encoding="utf-8")

    return replace


def rules(copied: Path) -> set[str]:
    return {complaint.rule for complaint in lint(copied)}


INGREDIENTS = "drugs/ingredients.csv"
RULES = "drugs/classification.toml"
PRODUCTS = "drugs/rxnorm_products.csv"
TABLET = "oral tablet,acetaminophen=325 MG; hydrocodone=7.5 MG,"


@pytest.mark.parametrize(
    ("file", "before", "after", "rule"),
    [
        pytest.param(INGREDIENTS, "\nphentermine,,stimulant,", "\nphentermine,,sedative-hypnotic,",
                     "never-cns-depressant", id="a stimulant is a depressant"),
        pytest.param(INGREDIENTS, "\nsevoflurane,,other,", "\nsevoflurane,,sedative-hypnotic,",
                     "never-cns-depressant", id="a gas is a depressant"),
        pytest.param(INGREDIENTS, "\nmeclizine,,other,", "\nmeclizine,,sedative-hypnotic,",
                     "never-cns-depressant", id="an antihistamine is a depressant"),
        pytest.param(INGREDIENTS, "\ngabapentin,25480,gabapentinoid,", "\ngabapentin,25480,other,",
                     "always-cns-depressant", id="no gabapentinoids"),
        pytest.param(INGREDIENTS, "\nlevorphanol,6378,opioid,II,yes", "\nlevorphanol,6378,opioid,II,",
                     "always-long-acting-opioid", id="levorphanol is not long-acting"),
        pytest.param(INGREDIENTS, "\nmethadone,6813,opioid,II,yes", "\nmethadone,6813,opioid,II,",
                     "always-long-acting-opioid", id="methadone is not long-acting"),
        pytest.param(INGREDIENTS, "\npentazocine,8001,opioid,IV,", "\npentazocine,8001,opioid-reversal,IV,",
                     "never-opioid-reversal", id="pentazocine reverses"),
        pytest.param(INGREDIENTS, "\nbuprenorphine,1819,opioid,", "\nbuprenorphine,1819,opioid-reversal,",
                     "never-opioid-reversal", id="buprenorphine reverses"),
        pytest.param(INGREDIENTS, "\nnalmefene,,opioid-reversal,", "\nnalmefene,,other,",
                     "always-opioid-reversal", id="nalmefene does not reverse"),
        pytest.param(INGREDIENTS, "\ncodeine,2670,", "\ncodeine,7804,",
                     "duplicate", id="one code, two ingredients"),
        pytest.param(RULES, 'extended = ["extended release", ', 'extended = [',
                     "correction", id="extended-release tablets are immediate"),
        pytest.param("code_sets/sickle-cell-disease.csv", "D57.3,not-prefix", "D57.39,not-prefix",
                     "never-in-set", id="the trait is the disease"),
        pytest.param("code_sets/active-cancer.csv", "C44,not-prefix", "C44,prefix",
                     "never-in-set", id="basal-cell cancer is active cancer"),
        pytest.param("code_sets/active-cancer.csv", "icd-10-cm,C00,prefix", "icd-10-cm,D03,prefix",
                     "never-in-set", id="melanoma in situ is active cancer"),
        pytest.param("code_sets/active-cancer.csv", "icd-10-cm,C00,prefix", "icd-10-cm,D47,prefix",
                     "never-in-set", id="an uncertain neoplasm is active cancer"),
        pytest.param("code_sets/sleep-disordered-breathing.csv", "m,G47.3,prefix", "m,G47,prefix",
                     "never-in-set", id="narcolepsy is a disorder of breathing"),
        pytest.param("code_sets/hospice.csv", "snomed-ct,183919006,", "snomed-ct,183920000,",
                     "duplicate", id="a code twice in a set"),
        pytest.param("code_sets/hospice.csv", ",Urgent admission to hospice", ",",
                     "undescribed", id="a code without words"),
        pytest.param("code_sets/corrections.csv", ",cns-depressant,rxnorm,", ",stimulant,rxnorm,",
                     "correction", id="a correction that is not in force"),
        pytest.param(PRODUCTS, f"{TABLET},,", f"{TABLET.replace('7.5', '75')},,",
                     "name-disagrees", id="a strength that is not the name's"),
        pytest.param(PRODUCTS, f"{TABLET},,", f"{TABLET.replace('oral tablet', 'oral capsule')},,",
                     "name-disagrees", id="a form that is not the name's"),
        pytest.param(PRODUCTS, "hydrocodone=7.5 MG", "hydrocodon=7.5 MG",
                     "ingredient", id="an ingredient that the table does not have"),
        pytest.param(PRODUCTS, "\n857005,", "\n85700x,", "rxcui", id="a code that is not digits"),
        pytest.param(PRODUCTS, "\n857005,", "\n857002,", "duplicate", id="two rows of one code"),
        pytest.param(PRODUCTS, ",omtk-2020", ",hearsay", "unsourced", id="a row from nowhere"),
        pytest.param("drugs/ndcs.csv", "\n00054017613,", "\n0005401761,", "ndc", id="an NDC of ten digits"),
        pytest.param("drugs/ndcs.csv", "\n00054017613,", "\n00054017713,", "duplicate", id="an NDC twice"),
        pytest.param("drugs/ndc_products.csv", "\n7,", "\n8,", "numbering", id="descriptions out of number"),
        pytest.param("drugs/sources.toml", 'name = "ndcs.csv"', 'name = "gone.csv"',
                     "unsourced", id="a file that nobody describes"),
        pytest.param("drugs/sources.toml", 'name = "ndcs.csv"', 'name = "gone.csv"',
                     "file-missing", id="a file that is only described"),
        pytest.param("drugs/sources.toml", "review_by = 2027-11-21", 'review_by = "next year"',
                     "review-date", id="a review date in words"),
        pytest.param("exemptions.toml", "review_by = 2027-05-21", "review_by = 2025-05-21",
                     "review-date", id="a review before the writing"),
        pytest.param("exemptions.toml", 'title = "Evidence', 'heading = "Evidence', "unsourced",
                     id="a file without a title"),
        pytest.param("expectations.toml", '"levomethadyl", "levorphanol"', '"levomethadyl", "levorfanol"',
                     "ingredient", id="an expectation of an ingredient that does not exist"),
    ],
)  # fmt: skip
def test_a_planted_error_is_found(
    copied: Path, spoil: Spoil, file: str, before: str, after: str, rule: str
) -> None:
    spoil(file, before, after)
    assert rule in rules(copied)


def test_an_opioid_whose_schedule_is_merely_missing_is_found(copied: Path, spoil: Spoil) -> None:
    # The rule says nothing, and the source of RxNorm rows states no schedule.
    spoil(RULES, 'strength = { unit = "MG", max = 90 }\nschedule = "III"\nsource = "21 CFR 1308.13(e)(1)(ii)',
          'strength = { unit = "MG", max = 90 }\nsource = "21 CFR 1308.13(e)(1)(ii)')  # fmt: skip
    assert "schedule" in rules(copied)


def test_an_ingredient_whose_schedule_is_declared_undeterminable_is_no_error(
    copied: Path, spoil: Spoil
) -> None:
    spoil(INGREDIENTS, "\ntapentadol,787390,opioid,II,", "\ntapentadol,787390,opioid,?,")
    assert "schedule" not in rules(copied)


@pytest.mark.parametrize(
    ("file", "before", "after", "says"),
    [
        (INGREDIENTS, ",stimulant,", ",upper,", "classes are opioid, "),
        (PRODUCTS, "code,name,form", "code,title,form", "the first line must be code,name,form"),
        (PRODUCTS, ",omtk-2020\n", "\n", "6 fields where 7 are due"),
        (RULES, 'classes = ["opioid-analgesic"]', 'classes = ["painkiller"]', "classification.toml"),
        ("code_sets/sets.toml", 'name = "hospice"', 'name = "hospis"', "hospis.csv cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_to_write(
    copied: Path, spoil: Spoil, file: str, before: str, after: str, says: str
) -> None:
    spoil(file, before, after)
    with pytest.raises(DeclarationError, match=says):
        lint(copied)
