"""Scoring and change: what a score rests on, and which way the patient went."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.declarations.instruments import read_instruments
from stewardship.declarations.places import REFERENCE
from stewardship.domain.errors import InvalidInput
from stewardship.domain.instruments import Instrument, Score, Verdict, change, entered, rounded, score

SHIPPED = read_instruments(REFERENCE)
PEG, PSFS, ORT = SHIPPED["peg"], SHIPPED["psfs"], SHIPPED["opioid-risk-tool"]


def scored(instrument: Instrument, *answers: int | None, sex: str = "") -> Score:
    """The score of answers in the order of the items."""
    items = instrument.items
    given = {i.id: None if a is None else Decimal(a) for i, a in zip(items, answers, strict=False)}
    return score(instrument, given, sex=sex)


def became(instrument: Instrument, before: str, after: str):
    return change(instrument, entered(instrument, Decimal(before)), entered(instrument, Decimal(after)))


def ort(*yes: str, sex: str) -> Decimal | None:
    return score(ORT, {i.id: Decimal(i.id in yes) for i in ORT.items}, sex=sex).value


# --- scoring ---------------------------------------------------------------------------------------


def test_a_missing_item_is_no_zero():
    found = scored(PEG, 7, None, 6)
    assert (found.value, found.missing) == (None, ("enjoyment",))
    assert found.because == "2 of 3 items answered; a score needs 3"


def test_an_item_that_is_not_mentioned_is_missing_too():
    assert scored(PEG, 7).missing == ("enjoyment", "activity")


def test_function_is_scored_apart_from_pain():
    found = scored(PEG, 9, 3, 4)
    assert found.parts["function"].value == Decimal("3.5")
    assert found.parts["pain"].value == 9


@pytest.mark.parametrize("answer", ["11", "-1", "6.5", "NaN", "Infinity", "1e6"])
def test_an_answer_that_the_item_does_not_take_is_refused(answer):
    with pytest.raises(InvalidInput) as refused:
        score(PEG, {"pain": Decimal(answer)})
    assert refused.value.faults[0].pointer == "/answers/pain"
    assert answer not in refused.value.message + refused.value.faults[0].message


def test_an_item_of_another_instrument_is_refused():
    with pytest.raises(InvalidInput):
        score(PEG, {"sleep": Decimal(3)})


def test_a_score_off_the_scale_is_refused():
    with pytest.raises(InvalidInput):
        entered(PEG, Decimal("10.1"))


@given(st.lists(st.integers(0, 10), min_size=3, max_size=3))
def test_peg_is_the_exact_mean(answers):
    found = scored(PEG, *answers)
    assert found.exact == Fraction(sum(answers), 3)
    assert found.value == rounded(Fraction(sum(answers), 3), 1)


@given(st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=10, max_size=10))
def test_odi_against_its_formula(answers):
    odi = SHIPPED["odi"]
    told = [a for a in answers if a is not None]
    found = scored(odi, *answers)
    if len(told) < 9:
        assert found.exact is None
        assert len(found.missing) == 10 - len(told)
    else:
        assert found.exact == Fraction(100 * sum(told), 5 * len(told))


# --- the Opioid Risk Tool, and the ports of it that are wrong ----------------------------------------


def test_being_a_woman_is_no_point():
    assert ort(sex="female") == 0


def test_age_counts_one_point_and_nothing_for_being_older():
    assert ort("age-16-to-45", sex="female") == ort("age-16-to-45", sex="male") == 1
    assert {i.id for i in ORT.items if i.id.startswith("age")} == {"age-16-to-45"}


def test_the_boxes_do_not_count_one_point_each():
    # A woman with three boxes of family history: 1 + 2 + 4, not 3.
    assert ort("family-alcohol", "family-illegal", "family-prescription", sex="female") == 7


def test_a_family_history_of_illegal_drugs_counts_three_for_men_and_two_for_women():
    assert (ort("family-illegal", sex="female"), ort("family-illegal", sex="male")) == (2, 3)


def test_preadolescent_abuse_counts_for_women_alone():
    assert (ort("preadolescent-abuse", sex="female"), ort("preadolescent-abuse", sex="male")) == (3, 0)


def test_the_tool_is_weighted_and_has_ten_items_unlike_its_revision():
    assert len(ORT.items) == 10
    assert ort("own-prescription", sex="male") == 5


@pytest.mark.parametrize("sex", ["", "other", "unknown"])
def test_without_a_sex_that_the_tool_knows_points_that_differ_cannot_be_told(sex):
    assert ort("family-alcohol", sex=sex) is None


def test_without_a_sex_points_that_are_the_same_can_be_told():
    # Everything but depression: 25 for women, 25 for men.
    assert ort(*(i.id for i in ORT.items if i.id != "depression"), sex="") == 25


# --- change ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "verdict", "percent"),
    [
        ("7.0", "4.9", Verdict.BETTER, "30.0"),
        ("7.0", "5.0", Verdict.UNCHANGED, "28.6"),
        ("7.0", "7.0", Verdict.UNCHANGED, "0.0"),
        ("0", "0", Verdict.UNCHANGED, None),
        ("0", "0.6", Verdict.WORSE, None),
        ("7.0", "8.0", Verdict.WORSE, "-14.3"),
    ],
)
def test_peg_by_its_own_change_and_by_a_third(before, after, verdict, percent):
    found = became(PEG, before, after)
    assert (found.verdict, found.percent) == (verdict, None if percent is None else Decimal(percent))


def test_thirty_percent_of_thirds_is_exact():
    # 20/3 to 14/3 is 30 % to the digit; of the rounded 6.7 and 4.7 it would be 29.9 %.
    assert change(PEG, scored(PEG, 7, 7, 6), scored(PEG, 5, 5, 4)).verdict is Verdict.BETTER


def test_pain_gone_and_function_flat_is_seen():
    found = change(PEG, scored(PEG, 9, 6, 6), scored(PEG, 2, 6, 6))
    assert found.verdict is Verdict.BETTER
    assert found.parts["function"].verdict is Verdict.UNCHANGED
    assert found.parts["pain"].verdict is Verdict.BETTER


def test_without_a_score_before_nothing_is_told():
    found = change(PEG, scored(PEG, 9, None, 6), scored(PEG, 2, 6, 6))
    assert found.verdict is Verdict.CANNOT_TELL
    assert "enjoyment" in found.because


def test_scores_of_two_instruments_are_never_compared():
    found = change(PEG, entered(PSFS, Decimal(5)), entered(PEG, Decimal(5)))
    assert found.verdict is Verdict.CANNOT_TELL


def test_other_activities_are_another_measure():
    found = change(PSFS, scored(PSFS, 3, 4, 5), scored(PSFS, 8, 8, 8, 8))
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.parts["activity-1"].verdict is Verdict.BETTER


def test_where_nothing_is_published_nothing_is_told():
    assert became(SHIPPED["phq-2"], "6", "0").verdict is Verdict.CANNOT_TELL


@given(st.decimals(0, 10, places=1), st.decimals(0, 10, places=1))
def test_peg_and_its_mirror_agree(before, after):
    """A scale that runs the other way has the same verdicts on mirrored scores."""
    other = SHIPPED["peg"]
    mirrored = Instrument(
        **{n: getattr(other, n) for n in Instrument.__slots__ if n != "better"},
        better=PSFS.better,
    )
    one = became(PEG, str(before), str(after))
    two = became(mirrored, str(10 - before), str(10 - after))
    assert (one.verdict, one.percent, one.gain) == (two.verdict, two.percent, two.gain)


@given(st.decimals(0, 100, places=1), st.decimals(0, 100, places=1))
def test_there_and_back_is_never_better_twice(before, after):
    odi = SHIPPED["odi"]
    there, back = became(odi, str(before), str(after)), became(odi, str(after), str(before))
    assert {there.verdict, back.verdict} != {Verdict.BETTER}
