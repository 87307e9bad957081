"""Reading the lists that a site loads: RxNorm's release and the FDA's directory."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from stewardship.domain.drugs import Catalogue, Drug, DrugClass, Release, Schedule
from stewardship.domain.errors import InvalidInput
from stewardship.intake import fda_ndc, rxnorm
from stewardship.intake.products import Products
from tests.reference.newer_lists import TABLET, a_directory, a_release, a_zipped_release


@pytest.fixture
def release(tmp_path: Path, catalogue: Catalogue) -> Products:
    return rxnorm.read(a_release(tmp_path / "release"), catalogue.tables)


@pytest.fixture
def directory(tmp_path: Path, catalogue: Catalogue) -> Products:
    return fda_ndc.read(*a_directory(tmp_path), catalogue.tables)


def codes(products: Products, system: str) -> set[str]:
    return {product.code for product in products.found if product.system == system}


def amounts(drug: Drug | None) -> dict[str, tuple[Decimal | None, str]]:
    assert drug is not None
    return {i.name: (i.strength, i.unit) for i in drug.ingredients}


# --- RxNorm --------------------------------------------------------------------------------------


def test_products_of_rxnorms_own_names_are_read(release: Products) -> None:
    assert codes(release, "rxnorm") == {"9000001", "9000002", "9000003", "9000004", "1049621"}


def test_ndcs_are_read_in_any_form_and_retired_ones_are_not(release: Products) -> None:
    assert codes(release, "ndc") == {"99999000101", "99999000102"}


def test_a_newly_loaded_product_is_classified_like_a_shipped_one(
    release: Products, catalogue: Catalogue
) -> None:
    drug = catalogue.overlaid(release.found).by_rxcui("9000003")
    assert drug is not None
    assert drug.release is Release.EXTENDED
    assert drug.schedule is Schedule.IV
    assert drug.is_a(DrugClass.LONG_ACTING_OPIOID)


def test_the_acetaminophen_of_a_loaded_combination_is_known(release: Products, catalogue: Catalogue) -> None:
    drug = catalogue.overlaid(release.found).by_rxcui("9000002")
    assert amounts(drug) == {"acetaminophen": (Decimal(325), "MG"), "oxycodone": (Decimal("2.5"), "MG")}


def test_a_salt_that_only_rxnorm_knows_is_its_ingredient(release: Products, catalogue: Catalogue) -> None:
    drug = catalogue.overlaid(release.found).by_rxcui("9000004")
    assert amounts(drug) == {"oxycodone": (Decimal(3), "MG")}


def test_an_ndc_of_a_release_is_its_product(release: Products, catalogue: Catalogue) -> None:
    drug = catalogue.overlaid(release.found).by_ndc("99999-0001-02")
    assert drug is not None
    assert (drug.code.code, drug.name) == ("99999000102", TABLET)


def test_an_ingredient_that_nobody_has_classified_keeps_its_products_unknown(
    release: Products, catalogue: Catalogue
) -> None:
    assert release.unknown_ingredients == {"novelopioid": 1}
    assert catalogue.overlaid(release.found).by_rxcui("9000005") is None
    assert catalogue.overlaid(release.found).by_ndc("99999000501") is None


def test_a_name_that_cannot_be_read_is_counted(release: Products) -> None:
    assert release.unreadable == 1


def test_of_an_archive_the_prescribable_part_is_taken(tmp_path: Path, catalogue: Catalogue) -> None:
    found = rxnorm.read(a_zipped_release(tmp_path / "release.zip"), catalogue.tables)
    assert len(codes(found, "rxnorm")) == 5


def test_a_release_without_one_of_its_files_is_refused(tmp_path: Path, catalogue: Catalogue) -> None:
    (a_release(tmp_path / "release") / "rrf" / "RXNREL.RRF").unlink()
    with pytest.raises(InvalidInput, match=r"RXNREL\.RRF is not in the folder"):
        rxnorm.read(tmp_path / "release", catalogue.tables)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, catalogue: Catalogue) -> None:
    (tmp_path / "release.zip").write_text("not a zip")
    with pytest.raises(InvalidInput, match="neither a folder nor a zip archive"):
        rxnorm.read(tmp_path / "release.zip", catalogue.tables)


def test_a_line_that_is_cut_off_is_named(tmp_path: Path, catalogue: Catalogue) -> None:
    folder = a_release(tmp_path / "release")
    file = folder / "rrf" / "RXNCONSO.RRF"
    file.write_text(file.read_text(encoding="utf-8") + "9000009|ENG|\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"RXNCONSO\.RRF line 15: 3 fields where 17 are due"):
        rxnorm.read(folder, catalogue.tables)


# --- the FDA's directory ---------------------------------------------------------------------------


def test_packages_of_known_products_are_read(directory: Products) -> None:
    assert codes(directory, "ndc") == {
        "09999010101", "99999010216", "99999010305", "99999010401", "99999010501", "99999010801",
    }  # fmt: skip


def test_strengths_are_paired_with_their_substances(directory: Products, catalogue: Catalogue) -> None:
    drug = catalogue.overlaid(directory.found).by_ndc("9999-0101-01")
    assert amounts(drug) == {"acetaminophen": (Decimal(325), "MG"), "hydrocodone": (Decimal(5), "MG")}
    assert drug is not None
    assert drug.schedule is Schedule.II


def test_a_strength_in_fifteen_millilitres_is_brought_to_one(
    directory: Products, catalogue: Catalogue
) -> None:
    drug = catalogue.overlaid(directory.found).by_ndc("99999-102-16")
    assert amounts(drug)["hydrocodone"] == (Decimal("0.5"), "MG/ML")


def test_micrograms_an_hour_are_milligrams_an_hour(directory: Products, catalogue: Catalogue) -> None:
    drug = catalogue.overlaid(directory.found).by_ndc("99999-0103-5")
    assert amounts(drug) == {"fentanyl": (Decimal("0.025"), "MG/HR")}
    assert drug is not None
    assert drug.wear_hours == 72
    assert drug.is_a(DrugClass.LONG_ACTING_OPIOID)


def test_the_monthly_injection_treats_opioid_use_disorder(directory: Products, catalogue: Catalogue) -> None:
    drug = catalogue.overlaid(directory.found).by_ndc("99999-0104-1")
    assert amounts(drug) == {"buprenorphine": (Decimal(200), "MG/ML")}
    assert drug is not None
    assert drug.is_a(DrugClass.OUD_TREATMENT)
    assert not drug.is_a(DrugClass.OPIOID_ANALGESIC)


def test_strengths_that_do_not_pair_with_substances_are_not_guessed(
    directory: Products, catalogue: Catalogue
) -> None:
    drug = catalogue.overlaid(directory.found).by_ndc("99999-0105-1")
    assert amounts(drug) == {"aspirin": (None, ""), "codeine": (None, "")}
    # Codeine with aspirin of unknown strength: the listing's own schedule is the best there is.
    assert drug is not None
    assert drug.schedule is Schedule.III


def test_what_was_left_out_is_counted(directory: Products) -> None:
    assert directory.unknown_ingredients == {"novelopioid": 1}
    assert directory.unreadable == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_either_encoding_is_read(tmp_path: Path, catalogue: Catalogue, encoding: str) -> None:
    found = fda_ndc.read(*a_directory(tmp_path, encoding=encoding), catalogue.tables)
    drug = catalogue.overlaid(found.found).by_ndc("99999-0108-1")
    assert drug is not None
    assert drug.name.startswith("Café (ibuprofen 400 MG")


def test_files_in_the_wrong_order_are_refused(tmp_path: Path, catalogue: Catalogue) -> None:
    product, package = a_directory(tmp_path)
    with pytest.raises(InvalidInput, match=r"package\.txt: the first line lacks PROPRIETARYNAME"):
        fda_ndc.read(package, product, catalogue.tables)


@pytest.mark.parametrize(
    ("amount", "unit", "expected"),
    [
        ("10", "mg/1", (Decimal(10), "MG")),
        ("1", "g/1", (Decimal(1000), "MG")),
        ("400", "ug/1", (Decimal("0.4"), "MG")),
        ("10", "mg/5mL", (Decimal(2), "MG/ML")),
        ("12", "mg/24h", (Decimal("0.5"), "MG/HR")),
        ("100", "[iU]/1", None),
        ("5", "meq/1", None),
        ("10", "mg/0mL", None),
        ("1e3", "mg/1", None),
        ("", "mg/1", None),
        ("１０", "mg/1", None),
    ],
)
def test_a_strength_is_a_mass_in_a_known_unit_or_not_known(
    tmp_path: Path, catalogue: Catalogue, amount: str, unit: str, expected: tuple[Decimal, str] | None
) -> None:
    product, package = a_directory(tmp_path, encoding="utf-8")
    lines = product.read_text(encoding="utf-8").splitlines()
    lines[-1] = lines[-1].replace("\t400\tmg/1", f"\t{amount}\t{unit}")
    product.write_text("\n".join(lines), encoding="utf-8")
    drug = catalogue.overlaid(fda_ndc.read(product, package, catalogue.tables).found).by_ndc("99999-0108-1")
    assert amounts(drug)["ibuprofen"] == (expected or (None, ""))
