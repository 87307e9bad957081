"""Reading RxNorm names."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stewardship.domain.rxnorm_names import Component, parse


def component(name: str, strength: str, unit: str = "MG") -> Component:
    return Component(name, Decimal(strength), unit)


def test_a_single_ingredient() -> None:
    parsed = parse("oxycodone hydrochloride 5 MG Oral Tablet [Roxicodone]")
    assert parsed is not None
    assert parsed.components == (component("oxycodone hydrochloride", "5"),)
    assert (parsed.form, parsed.brand) == ("oral tablet", "Roxicodone")


def test_all_ingredients_of_a_combination() -> None:
    parsed = parse(
        "aspirin 325 MG / butalbital 50 MG / caffeine 40 MG / codeine phosphate 30 MG Oral Capsule"
    )
    assert parsed is not None
    assert [c.name for c in parsed.components] == ["aspirin", "butalbital", "caffeine", "codeine phosphate"]


@pytest.mark.parametrize(
    ("name", "factor", "unit", "strength"),
    [
        ("72 HR fentanyl 0.025 MG/HR Transdermal System", "72", "HR", "0.025"),
        ("1.5 ML buprenorphine 200 MG/ML Prefilled Syringe [Sublocade]", "1.5", "ML", "200"),
        ("80 ACTUAT fentanyl 0.04 MG/ACTUAT Transdermal System [Ionsys]", "80", "ACTUAT", "0.04"),
        (
            "Abuse-Deterrent 12 HR oxycodone hydrochloride 10 MG Extended Release Oral Tablet",
            "12",
            "HR",
            "10",
        ),
    ],
)
def test_the_quantity_factor_is_no_strength(name: str, factor: str, unit: str, strength: str) -> None:
    parsed = parse(name)
    assert parsed is not None
    assert (parsed.factor, parsed.factor_unit) == (Decimal(factor), unit)
    assert parsed.components[0].strength == Decimal(strength)


def test_a_pack_of_one_product_is_that_product() -> None:
    parsed = parse("{2 (fentanyl 0.6 MG/ACTUAT Mucosal Spray [Subsys]) } Pack [Subsys 1200 MCG]")
    assert parsed is not None
    assert parsed.components == (component("fentanyl", "0.6", "MG/ACTUAT"),)
    assert parsed.form == "mucosal spray"


def test_a_pack_of_several_products_has_no_strength() -> None:
    parsed = parse("{1 (cariprazine 1.5 MG Oral Capsule) / 6 (cariprazine 3 MG Oral Capsule) } Pack")
    assert parsed is not None
    assert parsed.components == (Component("cariprazine", None, ""),)
    assert parsed.form == "pack"


@pytest.mark.parametrize(
    "name", ["Levora 0.15/30 28 Day Pack", "aspirin", "", "oxycodone 5 Oral Tablet", "{} Pack"]
)
def test_a_name_outside_the_grammar_is_not_read_in_part(name: str) -> None:
    assert parse(name) is None
