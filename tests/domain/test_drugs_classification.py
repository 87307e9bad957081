"""What a product is, from its ingredients and form: the judgement, on tables of the test's own."""

from __future__ import annotations

from decimal import Decimal

from stewardship.domain.classification import (
    FormRule,
    IngredientFacts,
    Match,
    ScheduleRule,
    Tables,
    UseRule,
)
from stewardship.domain.drugs import DrugClass, Ingredient, Release, Schedule

CODEINE = IngredientFacts("codeine", "2670", frozenset(), Schedule.II, opioid=True)
METHADONE = IngredientFacts("methadone", "6813", frozenset(), Schedule.II, opioid=True, long_acting=True)
NALOXONE = IngredientFacts("naloxone", "7242", frozenset({DrugClass.OPIOID_REVERSAL}), Schedule.NONE)
ASPIRIN = IngredientFacts("aspirin", "1191", frozenset({DrugClass.NON_OPIOID_ANALGESIC}), Schedule.NONE)
CARISOPRODOL = IngredientFacts("carisoprodol", "2101", frozenset({DrugClass.MUSCLE_RELAXANT}), Schedule.IV)
UNDECIDED = IngredientFacts("butalbital", "", frozenset({DrugClass.BARBITURATE}), None)

ONLY_CODEINE = frozenset({"codeine"})
TABLES = Tables(
    ingredients={f.name: f for f in (CODEINE, METHADONE, NALOXONE, ASPIRIN, CARISOPRODOL, UNDECIDED)},
    salts=frozenset({"phosphate", "hydrochloride"}),
    extended_forms=("extended release",),
    uses=(
        UseRule(
            Match(ONLY_CODEINE, partners=frozenset({"guaifenesin"})),
            frozenset({DrugClass.OPIOID_ANTITUSSIVE}),
        ),
    ),
    schedules=(
        ScheduleRule(
            Match(ONLY_CODEINE, combined=True, strength_unit="MG", strength_max=Decimal(90)), Schedule.III
        ),
        ScheduleRule(Match(ONLY_CODEINE, combined=True), None),
    ),
    aliases={"mirena": "aspirin"},
    listed_forms=(
        FormRule(frozenset({"TABLET", "EXTENDED RELEASE"}), frozenset(), "extended release oral tablet"),
        FormRule(frozenset({"TABLET"}), frozenset({"ORAL"}), "oral tablet"),
    ),
)


def of(name: str, strength: str | None = "30", unit: str = "MG") -> Ingredient:
    facts = TABLES.ingredients.get(name)
    amount = None if strength is None else Decimal(strength)
    return Ingredient(name, "", amount, unit, facts.opioid if facts else False)


def schedule(
    *ingredients: Ingredient, stated: Schedule | None = None, complete: bool = True
) -> Schedule | None:
    return TABLES.classify(ingredients, "oral tablet", stated=stated, complete=complete).schedule


def test_alone_the_ingredients_own_schedule_holds() -> None:
    assert schedule(of("codeine")) is Schedule.II


def test_a_combination_within_the_limit_is_less_strictly_scheduled() -> None:
    assert schedule(of("codeine", "90"), of("aspirin")) is Schedule.III


def test_a_combination_over_the_limit_is_not_determinable() -> None:
    assert schedule(of("codeine", "90.1"), of("aspirin")) is None


def test_a_strength_that_is_not_known_meets_no_limit() -> None:
    assert schedule(of("codeine", None), of("aspirin")) is None


def test_what_the_source_states_is_used_where_the_rules_cannot_tell() -> None:
    assert schedule(of("codeine", None), of("aspirin"), stated=Schedule.III) is Schedule.III


def test_what_the_source_states_is_used_when_not_all_ingredients_are_known() -> None:
    # "EMPRACET": codeine with something that the source does not name; codeine alone would be schedule II.
    assert schedule(of("codeine"), stated=Schedule.III, complete=False) is Schedule.III


def test_of_several_schedules_the_strictest_holds() -> None:
    assert schedule(of("carisoprodol"), of("codeine"), of("aspirin")) is Schedule.III


def test_one_ingredient_that_is_undecided_leaves_the_product_undecided() -> None:
    assert schedule(of("butalbital"), of("aspirin")) is None


def test_a_long_acting_ingredient_is_long_acting_in_any_form() -> None:
    found = TABLES.classify([of("methadone", "1", "MG/ML")], "oral solution")
    assert found.release is Release.IMMEDIATE
    assert DrugClass.LONG_ACTING_OPIOID in found.classes


def test_a_reversal_agent_beside_an_opioid_reverses_nothing() -> None:
    found = TABLES.classify([of("codeine"), of("naloxone")], "oral tablet")
    assert DrugClass.OPIOID_REVERSAL not in found.classes


def test_an_analgesic_beside_an_opioid_is_no_non_opioid() -> None:
    found = TABLES.classify([of("codeine"), of("aspirin")], "oral tablet")
    assert found.classes == {DrugClass.OPIOID, DrugClass.OPIOID_ANALGESIC}


def test_a_depressant_is_counted_as_one_of_the_union() -> None:
    assert DrugClass.CNS_DEPRESSANT in TABLES.classify([of("carisoprodol")], "oral tablet").classes


def test_a_use_rule_takes_the_place_of_analgesic() -> None:
    found = TABLES.classify([of("codeine"), of("guaifenesin")], "oral solution")
    assert found.classes == {DrugClass.OPIOID, DrugClass.OPIOID_ANTITUSSIVE}


def test_a_product_of_no_class_is_other() -> None:
    assert TABLES.classify([of("water")], "oral solution").classes == {DrugClass.OTHER}


def test_an_ingredient_is_known_by_its_salt() -> None:
    assert TABLES.base("Codeine PHOSPHATE") is CODEINE
    assert TABLES.base("methadone hydrochloride, micronized") is METHADONE
    assert TABLES.base("mirena") is ASPIRIN


def test_a_word_that_is_no_salt_makes_another_ingredient() -> None:
    assert TABLES.base("codeine analog") is None
    assert TABLES.base("hydrochloride") is None


def test_the_fdas_forms_are_brought_to_rxnorms() -> None:
    assert TABLES.form("TABLET, FILM COATED, EXTENDED RELEASE", "ORAL") == "extended release oral tablet"
    assert TABLES.form("TABLET, FILM COATED", "ORAL; SUBLINGUAL") == "oral tablet"
    assert TABLES.form("TABLET", "VAGINAL") is None
