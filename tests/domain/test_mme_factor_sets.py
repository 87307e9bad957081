"""The shipped factor sets: the golden vectors, agreement with tables written by hand, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.declarations.drugs import read_catalogue
from stewardship.declarations.factors import read_factor_sets, read_gap_tolerance, read_units
from stewardship.declarations.places import REFERENCE
from stewardship.domain.dosage import DosageInstruction, Quantity, signature_dose, supply_dose
from stewardship.domain.errors import DeclarationError
from stewardship.domain.mme import daily_mme, mme, total
from tests.builders import a_drug, tablets
from tests.domain.naive_dose import PLAIN, naive_mme

SETS = read_factor_sets(REFERENCE)
UNITS = read_units(REFERENCE)
RXCUI = {
    "codeine": "2670",
    "dihydrocodeine": "23088",
    "hydrocodone": "5489",
    "hydromorphone": "3423",
    "levorphanol": "6378",
    "meperidine": "6754",
    "methadone": "6813",
    "morphine": "7052",
    "opium": "7676",
    "oxycodone": "7804",
    "oxymorphone": "7814",
    "pentazocine": "8001",
    "tapentadol": "787390",
    "tramadol": "10689",
    "benzhydrocodone": "1995483",
}
FENTANYL_25 = replace(
    a_drug("fentanyl", "4337", "0.025", unit="MG/HR", form="transdermal system"), wear_hours=Decimal(72)
)


def test_the_four_sets_are_there_and_say_where_they_come_from():
    assert sorted(SETS) == ["cdc-2016", "cdc-2018", "cdc-2022", "nih-heal-2025"]
    for factor_set in SETS.values():
        assert factor_set.url.startswith("https://")
        assert factor_set.publisher


def test_a_set_that_was_not_read_in_its_source_says_so():
    assert [name for name, s in SETS.items() if not s.verified] == ["nih-heal-2025"]


@given(
    st.sampled_from(sorted(SETS)),
    st.sampled_from(sorted(RXCUI)),
    st.decimals(Decimal("0.01"), Decimal(500), places=2),
    st.integers(1, 12),
)
def test_every_oral_factor_agrees_with_the_table_by_hand(set_id, ingredient, strength, times):
    drug = a_drug(ingredient, RXCUI[ingredient], str(strength))
    answer = mme(signature_dose((tablets(times=times),), drug), drug, SETS[set_id])
    expected = naive_mme(ingredient, Fraction(strength) * times, factor_set=set_id)
    if expected is None:
        assert (answer.high, answer.complete) == (None, False)
    else:
        assert answer.complete
        assert abs(Fraction(answer.high) - expected) <= Fraction(1, 10**9)


@given(
    st.sampled_from(sorted(SETS)),
    st.integers(1, 60),
    st.integers(1, 90),
    st.sampled_from(["0.012", "0.0375", "0.1"]),
)
def test_every_set_agrees_on_a_fentanyl_patch(set_id, quantity, days, strength):
    drug = replace(
        FENTANYL_25, ingredients=(replace(FENTANYL_25.ingredients[0], strength=Decimal(strength)),)
    )
    answer = daily_mme(drug, (), Quantity(Decimal(quantity), "patch"), Decimal(days), SETS[set_id])
    worn = Fraction(quantity, days) * 3
    expected = naive_mme("fentanyl", worn * Fraction(strength) * 24, factor_set=set_id, patch=True)
    assert abs(Fraction(answer.high) - expected) <= Fraction(1, 10**9)


# --- golden vectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("set_id", sorted(SETS))
def test_g1_two_oxycodone_products_at_once(set_id):
    # 30 mg twice a day (90) and 5 mg twice a day (15)
    long_acting = a_drug(strength="30", form="extended release oral tablet")
    parts = [
        daily_mme(drug, (), Quantity(Decimal(quantity), "tablet"), Decimal(days), SETS[set_id])
        for drug, quantity, days in ((long_acting, 60, 30), (a_drug(), 14, 7))
    ]
    assert [part.high for part in parts] == [90, 15]
    assert total(parts, SETS[set_id]).high == 105


@pytest.mark.parametrize("set_id", sorted(SETS))
def test_g2_fentanyl_25_is_60_in_every_set_by_supply_and_by_signature(set_id):
    every_three_days = DosageInstruction(
        dose_low=Decimal(1),
        dose_high=Decimal(1),
        dose_unit="patch",
        frequency=Decimal(1),
        period=Decimal(3),
        period_unit="d",
    )
    supplied = supply_dose(FENTANYL_25, Quantity(Decimal(10), "patch"), Decimal(30))
    written = signature_dose((every_three_days,), FENTANYL_25)
    assert [mme(dose, FENTANYL_25, SETS[set_id]).high for dose in (supplied, written)] == [60, 60]


@pytest.mark.parametrize(
    ("set_id", "expected"), [("cdc-2022", 141), ("cdc-2018", 90), ("cdc-2016", 240), ("nih-heal-2025", 141)]
)
def test_g3_methadone_10_three_times_a_day(set_id, expected):
    methadone = a_drug("methadone", "6813", "10")
    assert daily_mme(methadone, (tablets(times=3),), None, None, SETS[set_id]).high == expected


@pytest.mark.parametrize(
    ("set_id", "expected"), [("cdc-2022", 40), ("cdc-2018", 20), ("cdc-2016", None), ("nih-heal-2025", 40)]
)
def test_g4_tramadol_50_four_times_a_day(set_id, expected):
    tramadol = a_drug("tramadol", "10689", "50")
    answer = daily_mme(tramadol, (tablets(times=4),), None, None, SETS[set_id])
    assert (answer.high, answer.complete) == (expected, expected is not None)


# --- what stands in the tables --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "unit", "factor"),
    [
        ("buccal tablet", "MG", "0.13"),
        ("oral lozenge", "MG", "0.13"),
        ("metered dose nasal spray", "MG/ACTUAT", "0.16"),
        ("buccal film", "MG", "0.18"),
        ("mucosal spray", "MG/ACTUAT", "0.18"),
    ],
)
@pytest.mark.parametrize("set_id", ["cdc-2016", "cdc-2018", "nih-heal-2025"])
def test_transmucosal_fentanyl_by_the_microgram(set_id, form, unit, factor):
    drug = a_drug("fentanyl", "4337", "0.1", unit=unit, form=form)
    dose = signature_dose(
        (replace(tablets(), dose_unit="mg", dose_low=Decimal("0.1"), dose_high=Decimal("0.1")),), drug
    )
    assert mme(dose, drug, SETS[set_id]).high == 100 * Decimal(factor)
    assert mme(dose, drug, SETS["cdc-2022"]).complete is False


@pytest.mark.parametrize("set_id", ["cdc-2016", "cdc-2018", "cdc-2022"])
@pytest.mark.parametrize("form", ["sublingual tablet", "buccal film", "injection"])
def test_buprenorphine_is_left_out_by_the_cdc_sets(set_id, form):
    drug = a_drug("buprenorphine", "1819", "8", form=form)
    answer = mme(signature_dose((tablets(),), drug), drug, SETS[set_id])
    assert (answer.high, answer.complete, answer.excluded) == (None, True, ("buprenorphine",))


@pytest.mark.parametrize(
    ("form", "strength", "unit", "expected"),
    [
        ("sublingual tablet", "2", "MG", "77.6"),
        ("transdermal system", "0.01", "MG/HR", "22"),
        ("buccal film", "0.3", "MG", "11.7"),
    ],
)
def test_buprenorphine_is_counted_by_heal(form, strength, unit, expected):
    drug = replace(a_drug("buprenorphine", "1819", strength, unit=unit, form=form), wear_hours=Decimal(168))
    week = DosageInstruction(
        dose_low=Decimal(1),
        dose_high=Decimal(1),
        dose_unit="each",
        frequency=Decimal(1),
        period=Decimal(7 if unit == "MG/HR" else 1),
        period_unit="d",
    )
    assert mme(signature_dose((week,), drug), drug, SETS["nih-heal-2025"]).high == Decimal(expected)


def test_every_form_of_the_catalogues_opioids_is_grouped_or_known_to_have_no_factor():
    grouped = {form for factor_set in SETS.values() for _, form in factor_set.factors}
    without = {"auto-injector", "cartridge", "drug implant", "injectable solution", "injection"}
    without |= {"prefilled syringe", "topical solution"}
    forms = {drug.form for drug in read_catalogue(REFERENCE).products() if drug.opioids}
    assert forms - grouped == without


def test_every_ingredient_with_a_factor_is_in_the_catalogue():
    known = {(i.rxcui, i.name) for drug in read_catalogue(REFERENCE).products() for i in drug.opioids}
    for factor_set in SETS.values():
        assert {(f.rxcui, f.ingredient) for f in factor_set.factors.values()} <= known


def test_the_tables_by_hand_hold_no_ingredient_that_is_not_tested():
    assert {name for table in PLAIN.values() for name in table} <= set(RXCUI)


# --- units ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text", "unit"),
    [
        ("TAB", "Tablet", "tablet"),
        ("CAP", "", "capsule"),
        ("{tablet}", "tablet", "tablet"),
        ("{patch}", "patch", "patch"),
        ("patch", "patch", "patch"),
        ("", "film", "film"),
        ("mg", "milligram", "mg"),
        ("ug", "mcg", "ug"),
        ("ug/h", "mcg/hr", "ug/h"),
        ("[tsp_us]", "teaspoon", "[tsp_m]"),
        ("mL", "ml", "mL"),
        ("{spray}", "spray", "actuation"),
        ("17", "tablet", "tablet"),
        ("", "", ""),
    ],
)
def test_units_are_read_by_code_and_then_by_words(code, text, unit):
    assert UNITS.canonical(code, text) == unit


@pytest.mark.parametrize(
    "written",
    ["Mg", "U", "IU", "cc", "µg", "μg", "mg\u200b", "МG", "T", "dose", "{dose}", "bottle", "SOL"],
    ids=ascii,
)
def test_what_is_not_in_the_table_stays_as_it_was_written(written):
    assert written not in UNITS.spellings
    assert UNITS.canonical(written) == written


def test_a_code_and_words_that_contradict_each_other_are_no_unit():
    both = UNITS.canonical("mg", "tablet")
    assert both not in UNITS.spellings.values()


def test_every_canonical_unit_is_one_that_a_dose_can_be_told_in():
    told = {"mg", "ug", "g", "mL", "L", "[tsp_m]", "[tbs_m]", "mg/h", "ug/h"}
    told |= {"tablet", "capsule", "film", "lozenge", "suppository", "implant", "patch", "actuation", "each"}
    assert set(UNITS.spellings.values()) == told


def test_every_canonical_unit_means_itself_unless_it_has_to_be_coded():
    assert {unit for unit in set(UNITS.spellings.values()) if UNITS.spellings.get(unit) != unit} == set()


def test_the_tolerance_between_the_roads_is_data():
    assert read_gap_tolerance(REFERENCE) > 0


# --- what is refused ------------------------------------------------------------------------------------


@pytest.fixture
def reference(tmp_path):
    shutil.copytree(REFERENCE / "mme", tmp_path / "mme")
    shutil.copy(REFERENCE / "units.toml", tmp_path)
    return tmp_path


def change(path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('id = "cdc-2016"', 'id = "cdc-2015"', "must be the name of the file"),
        ("up_to = 40", "up_to = 10", "bands must rise"),
        ("{ value = 12 }", "{ up_to = 90, value = 12 }", "the last one must be without up_to"),
        ("value = 0.15", "value = 0", "above zero"),
        ("value = 0.15", "value = nan", "above zero"),
        ("value = 0.15", 'value = "0.15"', "must be a number"),
        ("value = 0.15", "values = 0.15", "Unknown field"),
        ("value = 0.15", "", "either a value or bands"),
        ("value = 0.15", "value = 0.15\nlasts_days = 3", "lasts_days goes with"),
        ('["oral", "rectal"]', '["mouth"]', "names the forms mouth"),
        ('["oral", "rectal"]', '["oral", "oral"]', "has two factors as"),
        ("date = 2016-03-18", 'date = "2016"', "must be a date"),
        ("[source]", "[source", "cdc-2016.toml"),
    ],
)
def test_a_wrong_factor_file_is_refused_with_its_name_and_what_to_write(reference, before, after, said):
    change(reference / "mme" / "cdc-2016.toml", before, after)
    with pytest.raises(DeclarationError, match=r"cdc-2016\.toml") as refused:
        read_factor_sets(reference)
    assert said in str(refused.value)


def test_a_spelling_that_stands_for_two_units_is_refused(reference):
    change(reference / "units.toml", '"caplet", ', '"caplet", "capsule", ')
    with pytest.raises(DeclarationError, match="'capsule' is there twice"):
        read_units(reference)


def test_a_spelling_with_a_look_alike_letter_is_refused(reference):
    change(reference / "units.toml", '"milligram"', '"mіlligram"')
    with pytest.raises(DeclarationError, match="not plain ASCII"):
        read_units(reference)


def test_a_missing_file_is_named(reference):
    (reference / "units.toml").unlink()
    with pytest.raises(DeclarationError, match=r"units\.toml: cannot be read"):
        read_units(reference)
