"""How whole an evaluation is, told by what was looked at; and what an examination and a screen ask for."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from stewardship.declarations import Library, load
from stewardship.domain.chart import Observation
from stewardship.domain.codes import LOINC, Coding
from stewardship.domain.evaluation import (
    DocumentKind,
    DocumentState,
    Evaluation,
    Scored,
    Study,
    StudyKind,
    evaluation,
    positive_screen,
    told,
)
from tests.builders import TODAY, a_chart

MRI = Study(StudyKind.MRI, "lumbar spine", date(2026, 3, 4))


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


@pytest.fixture
def look(library):
    def looked(*stated: str, documents=None, studies=(), conditions=()) -> Evaluation:
        terms = library.triggers.evaluation
        return evaluation(terms, stated, documents=documents or {}, studies=studies, conditions=conditions)

    return looked


def test_nothing_looked_at_is_everything_missing(look, library):
    found = look()
    assert (len(found.there), len(found.missing)) == (0, len(library.triggers.evaluation.items))
    assert not found.whole


def test_each_thing_looked_at_counts_once_and_the_rest_is_named(look):
    found = look("eases", "worsens", "examined:strength")
    assert [i.id for i in found.there] == ["eases-worsens", "strength"]
    assert {"reflexes", "sensation", "treatments"} <= {i.id for i in found.missing}


def test_an_evaluation_waits_for_what_is_outstanding(look, library):
    everything = [fact for item in library.triggers.evaluation.items for fact in item.facts]
    assert look(*everything).whole
    awaited = look(*everything, documents={DocumentKind.NOTES: DocumentState.OUTSTANDING})
    assert not awaited.whole
    assert told(awaited)["outstanding"] == ["earlier-notes"]


def test_every_part_of_history_examination_and_records_is_asked_for(library):
    parts = {item.part for item in library.triggers.evaluation.items}
    assert parts == {
        "history", "examination", "neurological examination", "records", "studies", "diagnosis",
    }  # fmt: skip


def test_a_study_on_record_is_to_be_looked_at_before_another(look):
    (study,) = told(look(studies=(MRI, MRI)))["studies"]
    assert study["say"] == (
        "On record: mri of lumbar spine, 2026-03-04. Look at it before another is ordered."
    )


def test_studies_that_may_help_are_told_to_who_asks_alone(look):
    found = look(conditions={"radiculopathy"}, studies=(MRI,))
    assert "helpful" not in told(found)
    helpful = {row["kind"]: row["on_record"] for row in told(found, helpful=True)["helpful"]}
    assert helpful == {"nerve-conduction": False, "mri": True}


@pytest.mark.parametrize(
    ("score", "days_ago", "positive"), [(3, 0, True), (2, 0, False), (3, 180, True), (3, 181, False)]
)
def test_a_screen_is_positive_from_its_threshold_and_for_a_while(library, score, days_ago, positive):
    phq = Observation("o", (Coding(LOINC, "55758-7"),), on=TODAY - timedelta(days_ago), value=Decimal(score))
    screens = library.triggers.evaluation.screens
    assert positive_screen(a_chart(observations=(phq,)), (), screens) is positive
    here = Scored("gad-2", TODAY - timedelta(days_ago), Decimal(score))
    assert positive_screen(a_chart(), [here], screens) is positive


def test_the_last_score_counts(library):
    scores = tuple(
        Observation(str(ago), (Coding(LOINC, "55758-7"),), on=TODAY - timedelta(ago), value=Decimal(value))
        for ago, value in ((30, 6), (2, 1))
    )
    assert not positive_screen(a_chart(observations=scores), (), library.triggers.evaluation.screens)


def test_every_screen_is_an_instrument_that_is_known(library):
    assert {screen.instrument for screen in library.triggers.evaluation.screens} <= set(library.instruments)
