"""The shipped products: all there, and each the drug that it is."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from stewardship.declarations.drugs import NDCS, PRODUCTS, rows
from stewardship.declarations.places import REFERENCE
from stewardship.domain.codes import NDC, RXNORM, Coding
from stewardship.domain.drugs import Catalogue, Drug, DrugClass, Medication, Release, Schedule

C = DrugClass


def product(catalogue: Catalogue, code: str) -> Drug:
    drug = catalogue.by_rxcui(code)
    assert drug is not None
    return drug


def strength(drug: Drug, ingredient: str) -> tuple[Decimal | None, str]:
    found = next(i for i in drug.ingredients if i.name == ingredient)
    return found.strength, found.unit


def test_every_rxnorm_code_resolves(catalogue: Catalogue) -> None:
    listed = rows(REFERENCE / "drugs" / "rxnorm_products.csv", PRODUCTS)
    assert Counter(row[6] for row in listed) == {
        "omtk-2020": 910, "cds-2025": 652, "ecqm": 3101, "synthea": 224,
    }  # fmt: skip
    assert all(catalogue.by_rxcui(row[0]) for row in listed)


def test_every_ndc_resolves(catalogue: Catalogue) -> None:
    listed = rows(REFERENCE / "drugs" / "ndcs.csv", NDCS)
    assert len(listed) == 30_264
    assert all(catalogue.by_ndc(ndc) for ndc, _ in listed)


def test_every_opioid_says_which_and_in_what_form(catalogue: Catalogue) -> None:
    opioids = [drug for drug in catalogue.products() if drug.is_a(C.OPIOID)]
    assert len(opioids) > 967
    assert all(drug.opioids and drug.form for drug in opioids)


def test_classes_of_the_ndcs_are_those_of_their_source(catalogue: Catalogue) -> None:
    # The source's own count by class, "Misc" being zolpidem.
    counted: Counter[DrugClass] = Counter()
    for ndc in catalogue.ndcs():
        drug = catalogue.by_ndc(ndc)
        assert drug is not None
        counted.update(drug.classes)
    assert counted[C.OPIOID] == 14_549
    assert counted[C.BENZODIAZEPINE] == 7_816
    assert counted[C.STIMULANT] == 1_102
    assert counted[C.SEDATIVE_HYPNOTIC] == 810
    # 21 products of codeine with carisoprodol are among the opioids there, and hold a muscle relaxant too.
    assert counted[C.MUSCLE_RELAXANT] == 5_987 + 21


@pytest.mark.parametrize(
    "code",
    ["1000126", "1094107", "311989", "748879", "749762", "1366343", "245314", "308136", "310798", "896209"],
)
def test_a_common_medicine_without_opioid_is_recognised_as_one(catalogue: Catalogue, code: str) -> None:
    assert product(catalogue, code).classes == {C.OTHER}


@pytest.mark.parametrize("code", ["313782", "310965", "849574"])
def test_a_non_opioid_analgesic_is_recognised_as_one(catalogue: Catalogue, code: str) -> None:
    assert product(catalogue, code).classes == {C.NON_OPIOID_ANALGESIC}


# --- what each kind of product is -----------------------------------------------------------------

ANALGESIC = {C.OPIOID, C.OPIOID_ANALGESIC}
LONG = ANALGESIC | {C.LONG_ACTING_OPIOID}
TREATMENT = {C.OPIOID, C.OUD_TREATMENT}
LONG_TREATMENT = TREATMENT | {C.LONG_ACTING_OPIOID}
COUGH = {C.OPIOID, C.OPIOID_ANTITUSSIVE}


@pytest.mark.parametrize(
    ("code", "classes"),
    [
        pytest.param("1049621", ANALGESIC, id="oxycodone tablet"),
        pytest.param("1049504", LONG, id="OxyContin, a brand that the published sets leave out"),
        pytest.param("197696", LONG, id="fentanyl patch"),
        pytest.param("1735006", ANALGESIC, id="fentanyl injection"),
        pytest.param("864706", LONG, id="methadone tablet"),
        pytest.param("864761", LONG, id="methadone solution"),
        pytest.param("864978", LONG_TREATMENT, id="methadone 40 mg dispersible tablet"),
        pytest.param("197873", LONG, id="levorphanol"),
        pytest.param("311297", LONG_TREATMENT, id="levomethadyl"),
        pytest.param("904876", LONG, id="buprenorphine patch"),
        pytest.param("1716077", LONG, id="buprenorphine 75 microgram buccal film"),
        pytest.param("1542390", TREATMENT, id="buprenorphine and naloxone buccal film"),
        pytest.param("351264", TREATMENT, id="buprenorphine sublingual tablet"),
        pytest.param("1010600", TREATMENT, id="buprenorphine and naloxone sublingual film"),
        pytest.param("1431076", TREATMENT, id="buprenorphine and naloxone sublingual tablet"),
        pytest.param("1996184", LONG_TREATMENT, id="monthly buprenorphine injection"),
        pytest.param("2639021", LONG_TREATMENT, id="weekly buprenorphine injection"),
        pytest.param("1797650", LONG_TREATMENT, id="buprenorphine implant"),
        pytest.param("238129", ANALGESIC, id="buprenorphine injection"),
        pytest.param("246474", ANALGESIC, id="buprenorphine 0.2 mg sublingual tablet"),
        pytest.param("1087459", COUGH | {C.LONG_ACTING_OPIOID}, id="hydrocodone polistirex cough suspension"),
        pytest.param("250646", COUGH, id="pholcodine"),
        pytest.param("312107", ANALGESIC, id="belladonna and opium suppository"),
        pytest.param("830196", {C.OPIOID}, id="opium tincture"),
        pytest.param("250473", {C.OPIOID}, id="heroin"),
        pytest.param("312289", ANALGESIC, id="pentazocine and naloxone"),
        pytest.param("1191222", {C.OPIOID_REVERSAL}, id="naloxone"),
        pytest.param("2639721", {C.OPIOID_REVERSAL}, id="nalmefene"),
        pytest.param("1483744", {C.OPIOID_ANTAGONIST}, id="naltrexone"),
        pytest.param("310431", {C.GABAPENTINOID, C.CNS_DEPRESSANT}, id="gabapentin"),
        pytest.param("483438", {C.GABAPENTINOID, C.CNS_DEPRESSANT}, id="pregabalin"),
        pytest.param("828348", {C.MUSCLE_RELAXANT, C.CNS_DEPRESSANT}, id="cyclobenzaprine"),
        pytest.param("197591", {C.BENZODIAZEPINE, C.CNS_DEPRESSANT}, id="diazepam"),
        pytest.param("485465", {C.SEDATIVE_HYPNOTIC, C.CNS_DEPRESSANT}, id="eszopiclone"),
        pytest.param("900038", {C.STIMULANT}, id="phentermine"),
        pytest.param("200243", {C.OTHER}, id="sevoflurane"),
        pytest.param("995624", {C.OTHER}, id="meclizine"),
    ],
)
def test_a_product_is_what_its_ingredients_and_form_make_it(
    catalogue: Catalogue, code: str, classes: set[DrugClass]
) -> None:
    assert product(catalogue, code).classes == classes


def test_extended_release_and_patches_are_extended_and_nothing_else_is(catalogue: Catalogue) -> None:
    slow = ("extended release", "transdermal system", "drug implant")
    for drug in catalogue.products():
        monthly = drug.form == "prefilled syringe" and drug.is_a(C.OUD_TREATMENT)
        expected = monthly or any(word in drug.form for word in slow)
        assert (drug.release is Release.EXTENDED) == expected, drug.name


@pytest.mark.parametrize(
    ("code", "schedule"),
    [
        pytest.param("856987", Schedule.II, id="hydrocodone with acetaminophen, since October 2014"),
        pytest.param("994237", Schedule.III, id="codeine with carisoprodol"),
        pytest.param("993781", Schedule.III, id="codeine with acetaminophen"),
        pytest.param("997170", Schedule.II, id="codeine alone"),
        pytest.param("993755", Schedule.V, id="acetaminophen and codeine solution"),
        pytest.param("995868", Schedule.V, id="codeine cough syrup"),
        pytest.param("835603", Schedule.IV, id="tramadol"),
        pytest.param("351264", Schedule.III, id="buprenorphine"),
        pytest.param("886634", Schedule.IV, id="butorphanol"),
        pytest.param("312289", Schedule.IV, id="pentazocine"),
        pytest.param("904415", Schedule.NONE, id="nalbuphine"),
        pytest.param("106505", None, id="meptazinol, which the United States do not schedule"),
        pytest.param("483438", Schedule.V, id="pregabalin"),
        pytest.param("310431", Schedule.NONE, id="gabapentin"),
        pytest.param("197446", Schedule.IV, id="carisoprodol"),
        pytest.param("1091392", Schedule.II, id="methylphenidate"),
    ],
)
def test_schedule(catalogue: Catalogue, code: str, schedule: Schedule | None) -> None:
    assert product(catalogue, code).schedule == schedule


def test_the_schedules_of_the_ndcs_are_those_that_their_source_states(catalogue: Catalogue) -> None:
    # The rules, made from the regulation, and the source, made by the CDC, agree on all of them.
    stated = {row[0]: row[4] for row in rows(REFERENCE / "drugs" / "ndc_products.csv", NDC_HEADER)}
    numbers = dict(rows(REFERENCE / "drugs" / "ndcs.csv", NDCS))
    for ndc, number in numbers.items():
        drug = catalogue.by_ndc(ndc)
        assert drug is not None
        assert drug.schedule == stated[number], drug.name


NDC_HEADER = ("number", "name", "form", "ingredients", "schedule", "complete")


# --- strengths ------------------------------------------------------------------------------------


def test_the_acetaminophen_of_a_combination_is_known(catalogue: Catalogue) -> None:
    drug = product(catalogue, "857005")
    assert strength(drug, "acetaminophen") == (Decimal(325), "MG")
    assert strength(drug, "hydrocodone") == (Decimal("7.5"), "MG")


def test_two_salts_of_one_opioid_are_two_ingredients(catalogue: Catalogue) -> None:
    drug = product(catalogue, "637540")
    amounts = [i.strength for i in drug.ingredients if i.name == "oxycodone"]
    assert amounts == [Decimal("4.5"), Decimal("0.38")]


def test_a_patch_is_in_milligrams_an_hour_and_says_how_long_it_is_worn(catalogue: Catalogue) -> None:
    drug = product(catalogue, "197696")
    assert strength(drug, "fentanyl") == (Decimal("0.075"), "MG/HR")
    assert drug.wear_hours == 72


def test_a_patch_whose_source_does_not_say_is_worn_as_its_label_says(catalogue: Catalogue) -> None:
    # Every fentanyl patch of the NDC file.
    worn = {
        drug.wear_hours
        for drug in map(catalogue.by_ndc, catalogue.ndcs())
        if drug and drug.form == "transdermal system" and drug.opioids and drug.opioids[0].name == "fentanyl"
    }
    assert worn == {Decimal(72)}


def test_a_tablet_is_not_worn(catalogue: Catalogue) -> None:
    assert product(catalogue, "1049504").wear_hours is None


def test_micrograms_of_the_ndc_file_are_milligrams_here(catalogue: Catalogue) -> None:
    units = {
        i.unit for d in map(catalogue.by_ndc, catalogue.ndcs()) if d for i in d.ingredients if i.strength
    }
    assert units == {"MG", "MG/ML", "MG/HR", "MG/ACTUAT"}


def test_both_codes_of_one_medicine_agree(catalogue: Catalogue) -> None:
    # An RxNorm code beside an NDC of the same tablets, whose source states no acetaminophen.
    ndc = next(
        code
        for code in catalogue.ndcs()
        if (drug := catalogue.by_ndc(code)) is not None
        and drug.name.startswith("HYDROCODONE BITARTRATE-ACETAMINOPHEN")
        and strength(drug, "hydrocodone") == (Decimal("7.5"), "MG")
        and drug.form == "oral tablet"
    )
    found = catalogue.recognise(Medication((Coding(NDC, ndc), Coding(RXNORM, "857005"))))
    assert found is not None
    assert found.code.code == "857005"


# --- suggestions ----------------------------------------------------------------------------------


def first(catalogue: Catalogue, text: str) -> str:
    return catalogue.suggest(text)[0].name


def test_the_product_alone_comes_before_its_combinations(catalogue: Catalogue) -> None:
    assert first(catalogue, "oxycodone 5 mg") == "oxycodone hydrochloride 5 MG Oral Tablet"


def test_words_count_in_any_order(catalogue: Catalogue) -> None:
    expected = "acetaminophen 325 MG / hydrocodone bitartrate 5 MG Oral Tablet"
    assert first(catalogue, "hydrocodone 5 acetaminophen 325") == expected


def test_a_slip_of_the_keyboard_is_forgiven(catalogue: Catalogue) -> None:
    assert "[Percocet]" in first(catalogue, "percoset")


def test_nothing_is_suggested_for_what_is_like_nothing(catalogue: Catalogue) -> None:
    assert catalogue.suggest("zzzqqq mg") == ()
    assert catalogue.suggest("ox") == ()


def test_a_suggestion_is_no_recognition(catalogue: Catalogue) -> None:
    assert catalogue.suggest("percoset")
    assert catalogue.by_name("percoset") is None
