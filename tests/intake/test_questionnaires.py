"""Instruments as FHIR forms, and responses to them."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.declarations.instruments import read_instruments
from stewardship.declarations.places import REFERENCE
from stewardship.domain.errors import InvalidInput, NotFound, StewardshipError
from stewardship.domain.instruments import Wording, score
from stewardship.intake import strict_json
from stewardship.intake.fhir_r4.questionnaires import questionnaire, read_response

SHIPPED = read_instruments(REFERENCE)
PEG = SHIPPED["peg"]


def a_response(form: str = "peg", *items: dict[str, Any], **differs: Any) -> dict[str, Any]:
    """A completed PEG: 7, 7, 6."""
    numbers = zip(("pain", "enjoyment", "activity"), (7, 7, 6), strict=True)
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "r-1",
        "status": "completed",
        "questionnaire": f"https://opioid-stewardship.example/Questionnaire/{form}",
        "subject": {"reference": "Patient/p-1"},
        "authored": "2026-11-20T21:30:00-07:00",
        "item": list(items) or [an_item(name, valueInteger=number) for name, number in numbers],
    } | differs


def an_item(link: str, **answer: Any) -> dict[str, Any]:
    return {"linkId": link, "answer": [answer]}


def refused(document: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as cause:
        read_response(document, SHIPPED)
    return {fault.pointer: fault.code for fault in cause.value.faults}


# --- out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", SHIPPED.values(), ids=lambda one: one.id)
def test_every_instrument_is_a_form_in_json(one):
    form = json.loads(strict_json.dumps(questionnaire(one)))
    assert form["resourceType"] == "Questionnaire"
    assert form["url"].endswith(f"/{one.id}")
    assert [item["linkId"] for item in form["item"]] == [item.id for item in one.items]
    assert {item["type"] for item in form["item"]} <= {"integer", "decimal", "boolean", "choice"}
    assert ("purpose" in form) == (one.wording is Wording.NONE)


def test_the_bounds_of_a_number_and_its_code():
    item = questionnaire(PEG)["item"][0]
    assert item["type"] == "integer"
    assert [bound["valueInteger"] for bound in item["extension"]] == [0, 10]
    assert item["code"] == [{"system": "http://loinc.org", "code": "75893-8"}]


def test_a_code_that_nobody_verified_is_not_sent():
    assert "code" not in questionnaire(SHIPPED["phq-2"])
    assert all("code" not in item for item in questionnaire(SHIPPED["phq-2"])["item"])


def test_choices_carry_their_words_and_numbers():
    options = questionnaire(SHIPPED["goal-attainment"])["item"][0]["answerOption"]
    codings = [option["valueCoding"] for option in options]
    assert [coding["code"] for coding in codings] == ["-2", "-1", "0", "1", "2"]
    assert codings[2]["display"] == "as expected"


# --- in ----------------------------------------------------------------------------------------------


def test_a_response_is_answers_with_a_day_and_a_patient():
    found = read_response(a_response(), SHIPPED)
    assert found.answers == {"pain": 7, "enjoyment": 7, "activity": 6}
    # The evening of the 20th in Denver, although it is the 21st in UTC.
    assert (found.on, found.patient_id, found.id) == (date(2026, 11, 20), "p-1", "r-1")
    assert score(found.instrument, found.answers).value == Decimal("6.7")


def test_an_item_left_open_stays_open():
    open_item = {"linkId": "enjoyment", "answer": []}
    document = a_response("peg", an_item("pain", valueInteger=7), open_item)
    found = read_response(document, SHIPPED)
    assert found.answers == {"pain": 7, "enjoyment": None}
    assert score(PEG, found.answers).missing == ("enjoyment", "activity")


def test_items_inside_groups_are_read():
    group = {"linkId": "g", "item": [an_item("pain", valueInteger=7)]}
    assert read_response(a_response("peg", group), SHIPPED).answers == {"pain": 7}


def test_a_decimal_that_is_whole_is_an_answer():
    document = a_response("peg", an_item("pain", valueDecimal=Decimal("7.0")))
    assert read_response(document, SHIPPED).answers["pain"] == 7


def test_choices_are_read_by_their_code():
    document = a_response("goal-attainment", an_item("goal-1", valueCoding={"code": "-1"}))
    assert read_response(document, SHIPPED).answers == {"goal-1": -1}


def test_yes_and_no():
    document = a_response("opioid-risk-tool", an_item("depression", valueBoolean=True))
    assert read_response(document, SHIPPED).answers == {"depression": 1}


@pytest.mark.parametrize(
    "answer",
    [
        {"valueInteger": 11},
        {"valueInteger": "7"},
        {"valueInteger": True},
        {"valueBoolean": True},
        {"valueString": "7"},
        {"valueDecimal": Decimal("6.5")},
        {"valueDecimal": Decimal("NaN")},
        {"valueCoding": {"code": "7"}},
        {},
    ],
)
def test_an_answer_that_the_item_does_not_take_is_refused_at_its_place(answer):
    assert refused(a_response("peg", an_item("pain", **answer))) == {"/item/0/answer": "not-taken"}


def test_what_was_answered_is_not_repeated():
    with pytest.raises(InvalidInput) as cause:
        read_response(
            a_response("peg", an_item("pain", valueString="very strong, since the accident")), SHIPPED
        )
    said = cause.value.message + "".join(f.message for f in cause.value.faults)
    assert "accident" not in said


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ([an_item("sleep", valueInteger=7)], "unknown-item"),
        ([an_item("pain", valueInteger=7), an_item("pain", valueInteger=6)], "twice"),
        ([{"linkId": "pain", "answer": [{"valueInteger": 7}, {"valueInteger": 6}]}], "several"),
        ([{"linkId": "pain", "answer": 7}], "not-a-list"),
    ],
)
def test_items_that_cannot_be_taken(items, code):
    assert set(refused(a_response("peg", *items)).values()) == {code}


@pytest.mark.parametrize(
    ("differs", "code"),
    [
        ({"resourceType": "Questionnaire"}, "not-a-response"),
        ({"status": "in-progress"}, "not-complete"),
        ({"status": "entered-in-error"}, "not-complete"),
        ({"modifierExtension": []}, "not-understood"),
        ({"authored": "yesterday"}, "not-a-day"),
    ],
)
def test_documents_that_cannot_be_taken(differs, code):
    assert set(refused(a_response(**differs)).values()) == {code}


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://elsewhere.example/Questionnaire/peg",
        "https://opioid-stewardship.example/Questionnaire/no-such",
        "https://opioid-stewardship.example/Questionnaire/peg|2",
    ],
)
def test_another_form_is_not_taken_for_ours(address):
    with pytest.raises(NotFound):
        read_response(a_response(questionnaire=address), SHIPPED)


def test_the_version_may_be_named():
    address = "https://opioid-stewardship.example/Questionnaire/peg|1"
    assert read_response(a_response(questionnaire=address), SHIPPED).instrument is PEG


def test_groups_do_not_go_down_for_ever():
    group: dict[str, Any] = {"linkId": "g"}
    for _ in range(500):
        group = {"linkId": "g", "item": [group]}
    assert set(refused(a_response("peg", group)).values()) == {"too-deep"}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.decimals(allow_nan=True),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["item", "answer", "linkId", "valueInteger", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(anything, st.sampled_from(["item", "subject", "authored", "status", "questionnaire", "id"]))
def test_whatever_stands_there_it_is_read_or_refused_by_a_cause(value, place):
    with suppress(StewardshipError):
        read_response(a_response(**{place: value}), SHIPPED)
