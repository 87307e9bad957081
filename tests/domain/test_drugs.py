"""Looking a product up: codes, names, and codings that contradict each other."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.classification import IngredientFacts, Tables
from stewardship.domain.codes import NDC, RXNORM, Coding
from stewardship.domain.drugs import (
    Catalogue,
    DrugClass,
    Medication,
    Release,
    Row,
    Schedule,
    SiteProduct,
    normal_ndc,
)

TABLES = Tables(
    ingredients={
        "oxycodone": IngredientFacts("oxycodone", "7804", frozenset(), Schedule.II, opioid=True),
        "hydrocodone": IngredientFacts("hydrocodone", "5489", frozenset(), Schedule.II, opioid=True),
        "acetaminophen": IngredientFacts(
            "acetaminophen", "161", frozenset({DrugClass.NON_OPIOID_ANALGESIC}), Schedule.NONE
        ),
    },
    salts=frozenset({"hydrochloride", "bitartrate"}),
    extended_forms=("extended release",),
    uses=(),
    schedules=(),
)
FIVE = Row("1049621", "oxycodone hydrochloride 5 MG Oral Tablet", "oral tablet", "oxycodone=5 MG")
TEN = Row("1049683", "oxycodone hydrochloride 10 MG Oral Tablet", "oral tablet", "oxycodone=10 MG")
SLOW = Row(
    "1049504",
    "12 HR oxycodone hydrochloride 10 MG Extended Release Oral Tablet",
    "extended release oral tablet",
    "oxycodone=10 MG",
)
BOTH = Row(
    "1049640",
    "acetaminophen 325 MG / oxycodone hydrochloride 5 MG Oral Tablet",
    "oral tablet",
    "acetaminophen=325 MG; oxycodone=5 MG",
)
VICODIN = Row("0", "VICODIN", "oral tablet", "hydrocodone=5 MG", "II", "no")
GENERIC = Row("1", "OXYCODONE HCL", "oral tablet", "oxycodone=5 MG", "II")


def a_catalogue() -> Catalogue:
    return Catalogue(
        TABLES,
        {row.code: row for row in (FIVE, TEN, SLOW, BOTH)},
        [VICODIN, GENERIC],
        {"00044072703": 0, "00406055201": 1},
    )


def rxnorm(code: str) -> Coding:
    return Coding(RXNORM, code)


def ndc(code: str) -> Coding:
    return Coding(NDC, code)


def test_an_unknown_code_is_no_drug() -> None:
    assert a_catalogue().by_rxcui("99999999") is None
    assert a_catalogue().by_ndc("99999-9999-99") is None


def test_a_system_that_names_no_products_is_not_looked_up() -> None:
    assert a_catalogue().by_code(Coding("snomed-ct", "1049621")) is None


def test_a_name_is_found_whatever_its_case_and_spaces() -> None:
    found = a_catalogue().by_name("  OXYCODONE hydrochloride  5 mg oral TABLET ")
    assert found is not None
    assert found.code.code == "1049621"


def test_a_name_that_two_products_share_names_neither() -> None:
    twin = FIVE._replace(code="42")
    shared = Catalogue(TABLES, {FIVE.code: FIVE, "42": twin})
    assert shared.by_name(FIVE.name) is None


def test_without_a_ranker_only_the_exact_name_is_suggested() -> None:
    assert [d.code.code for d in a_catalogue().suggest(FIVE.name)] == ["1049621"]
    assert a_catalogue().suggest("oxycodone") == ()


def test_a_product_name_of_an_ndc_is_shown_with_strength_and_form() -> None:
    drug = a_catalogue().by_ndc("00044-0727-03")
    assert drug is not None
    assert drug.name == "VICODIN (hydrocodone 5 MG / others not stated oral tablet)"


def test_ingredients_that_a_source_leaves_out_make_a_product_incomplete() -> None:
    drug = a_catalogue().by_ndc("00044072703")
    assert drug is not None
    assert not drug.complete


# --- NDC forms ------------------------------------------------------------------------------------


@given(st.integers(0, 9999), st.integers(0, 9999), st.integers(0, 99))
def test_four_four_two_lacks_the_first_digit_of_the_labeler(labeler: int, product: int, package: int) -> None:
    assert normal_ndc(f"{labeler:04}-{product:04}-{package:02}") == f"0{labeler:04}{product:04}{package:02}"


@given(st.integers(0, 99999), st.integers(0, 999), st.integers(0, 99))
def test_five_three_two_lacks_the_first_digit_of_the_product(
    labeler: int, product: int, package: int
) -> None:
    assert normal_ndc(f"{labeler:05}-{product:03}-{package:02}") == f"{labeler:05}0{product:03}{package:02}"


@given(st.integers(0, 99999), st.integers(0, 9999), st.integers(0, 9))
def test_five_four_one_lacks_the_first_digit_of_the_package(labeler: int, product: int, package: int) -> None:
    assert normal_ndc(f"{labeler:05}-{product:04}-{package}") == f"{labeler:05}{product:04}0{package}"


@given(st.integers(0, 99999), st.integers(0, 9999), st.integers(0, 99))
def test_eleven_digits_are_the_same_with_and_without_hyphens(
    labeler: int, product: int, package: int
) -> None:
    plain = f"{labeler:05}{product:04}{package:02}"
    assert normal_ndc(plain) == plain
    assert normal_ndc(f"{labeler:05}-{product:04}-{package:02}") == plain


@pytest.mark.parametrize(
    "text",
    ["0406055201", "406-0552-01", "00406-05520-1", "0406-0552-1", "00406 0552 01", "٠٠٤٠٦٠٥٥٢٠١", "", "n/a"],
)
def test_what_is_no_readable_ndc_is_none(text: str) -> None:
    # Ten digits without hyphens stand for three different products.
    assert normal_ndc(text) is None


# --- several codings of one medicine --------------------------------------------------------------


def recognised(*codings: Coding) -> str | None:
    drug = a_catalogue().recognise(Medication(codings))
    return None if drug is None else drug.code.code


def test_a_medicine_without_a_code_is_not_recognised() -> None:
    assert a_catalogue().recognise(Medication((), "oxycodone 5 mg")) is None


def test_the_first_code_that_resolves_is_taken() -> None:
    assert recognised(rxnorm("1"), rxnorm("1049621")) == "1049621"


def test_rxnorm_goes_before_ndc() -> None:
    assert recognised(ndc("0406-0552-01"), rxnorm("1049621")) == "1049621"


def test_an_ndc_serves_where_no_rxnorm_code_resolves() -> None:
    assert recognised(rxnorm("1"), ndc("0406-0552-01")) == "00406055201"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(rxnorm("1049683"), id="another strength"),
        pytest.param(rxnorm("1049640"), id="another ingredient more"),
        pytest.param(rxnorm("1049504"), id="another release"),
        pytest.param(ndc("00044072703"), id="another opioid"),
    ],
)
def test_codings_that_contradict_each_other_are_not_settled_by_a_guess(other: Coding) -> None:
    assert recognised(rxnorm("1049621"), other) is None


def test_an_ingredient_that_an_incomplete_product_leaves_out_is_no_contradiction() -> None:
    percocet = Row("2", "PERCOCET", "oral tablet", "oxycodone=5 MG", "II", "no")
    catalogue = Catalogue(TABLES, {BOTH.code: BOTH}, [percocet], {"63481062370": 0})
    found = catalogue.recognise(Medication((rxnorm("1049640"), ndc("63481-623-70"))))
    assert found is not None
    assert found.code.code == "1049640"


# --- a site's own products ------------------------------------------------------------------------


def test_a_sites_product_wins_over_the_shipped_one() -> None:
    mine = FIVE._replace(ingredients="oxycodone=7.5 MG")
    drug = a_catalogue().overlaid([SiteProduct(RXNORM, FIVE.code, mine)]).by_rxcui(FIVE.code)
    assert drug is not None
    assert drug.ingredients[0].strength == Decimal("7.5")


def test_codes_that_a_site_lacks_stay_as_shipped() -> None:
    new = FIVE._replace(code="42")
    overlaid = a_catalogue().overlaid([SiteProduct(RXNORM, "42", new), SiteProduct(NDC, "11111222233", new)])
    assert overlaid.by_rxcui(TEN.code) is not None
    assert overlaid.by_ndc("0406-0552-01") is not None
    assert overlaid.by_ndc("11111-2222-33") is not None


def test_an_overlay_leaves_the_shipped_catalogue_alone() -> None:
    shipped = a_catalogue()
    shipped.overlaid([SiteProduct(RXNORM, "42", FIVE)])
    assert shipped.by_rxcui("42") is None


def test_release_follows_the_form() -> None:
    drug = a_catalogue().by_rxcui(SLOW.code)
    assert drug is not None
    assert drug.release is Release.EXTENDED
    assert drug.is_a(DrugClass.LONG_ACTING_OPIOID)
