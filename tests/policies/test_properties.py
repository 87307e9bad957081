"""What holds of every policy in force, on generated charts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stewardship.declarations import load
from stewardship.domain.chart import Condition, Encounter, Gap, Observation, Procedure
from stewardship.domain.codes import ICD10CM, LOINC, SNOMED, Coding
from stewardship.domain.orders import Phase, SupplyKind
from stewardship.domain.policy import Enforcement, Outcome, decide
from tests.builders import TODAY, a_chart, a_supply, an_order, tablets

LIBRARY = load()
POLICIES = LIBRARY.in_force(TODAY)


def product(code):
    drug = LIBRARY.catalogue.by_rxcui(code)
    assert drug is not None, code
    return drug


OXYCODONE, TRAMADOL, MORPHINE_ER = product("1049621"), product("835603"), product("891881")
LORAZEPAM, IBUPROFEN, AMLODIPINE = product("197901"), product("310965"), product("308136")


@st.composite
def supplies(draw, most=5):
    """A history of opioids, a sedative and a non-opioid, with and without length and dose."""
    made = []
    for _ in range(draw(st.integers(0, most))):
        drug = draw(st.sampled_from([OXYCODONE, TRAMADOL, MORPHINE_ER, LORAZEPAM, IBUPROFEN]))
        dosage = (tablets(draw(st.integers(1, 3)), times=draw(st.integers(1, 4))),)
        made.append(
            a_supply(
                drug=drug,
                start=TODAY - timedelta(days=draw(st.integers(0, 400))),
                days=draw(st.one_of(st.none(), st.integers(1, 60))),
                dosage=dosage if draw(st.booleans()) else (),
                status=draw(st.sampled_from(["completed", "active", "stopped"])),
            )
        )
    return tuple(made)


@st.composite
def orders(draw):
    """An order of an opioid or a sedative, of any phase and length."""
    days = draw(st.one_of(st.none(), st.integers(1, 60)))
    return an_order(
        drug=draw(st.sampled_from([OXYCODONE, TRAMADOL, MORPHINE_ER, LORAZEPAM])),
        days=days,
        phase=draw(st.sampled_from(list(Phase))),
        refills=draw(st.integers(0, 6)),
        dosage=(tablets(draw(st.integers(1, 2)), times=draw(st.integers(1, 6))),),
    )


def found(order, *history, **more):
    return decide(POLICIES, order, a_chart(*history, **more)).findings


UNRELATED = {
    "conditions": (
        Condition("u-1", (Coding(ICD10CM, "J45.909"),), active=True, recorded_on=TODAY - timedelta(days=400)),
    ),
    "observations": (Observation("u-2", (Coding(LOINC, "8480-6"),), on=TODAY, value=Decimal(120)),),
    "procedures": (Procedure("u-3", (Coding(SNOMED, "73761001"),), on=TODAY),),
    "encounters": (Encounter("u-4", (Coding(SNOMED, "185349003"),), from_on=TODAY),),
}


@pytest.mark.parametrize("kind", UNRELATED)
@given(orders(), supplies())
@settings(max_examples=60, deadline=None)
def test_an_unrelated_fact_changes_no_finding(kind, order, history):
    assert found(order, *history) == found(order, *history, **{kind: UNRELATED[kind]})


@given(orders(), supplies())
@settings(max_examples=100, deadline=None)
def test_an_unrelated_medicine_changes_no_finding(order, history):
    other = a_supply(drug=AMLODIPINE, start=TODAY - timedelta(days=20), days=30)
    assert found(order, *history) == found(order, *history, other)


@given(orders(), supplies())
@settings(max_examples=100, deadline=None)
def test_prescriptions_beside_their_own_dispensings_change_no_finding(order, history):
    written = [
        replace(s, id=f"rx-{n}", kind=SupplyKind.PRESCRIPTION, refills=0) for n, s in enumerate(history)
    ]
    named = [replace(s, prescription=f"rx-{n}") for n, s in enumerate(history)]
    assert found(order, *named) == found(order, *named, *written)


@given(orders(), supplies())
@settings(max_examples=100, deadline=None)
def test_a_history_with_gaps_never_makes_a_finding_pass_that_did_not(order, history):
    with_gap = found(order, *history, gaps=(Gap("history-incomplete"),))
    for whole, gapped in zip(found(order, *history), with_gap, strict=True):
        if whole.outcome is Outcome.BREACH:
            assert gapped.outcome in (Outcome.BREACH, Outcome.CANNOT_TELL)


@given(orders(), supplies())
@settings(max_examples=100, deadline=None)
def test_every_policy_is_in_every_decision_and_no_words_are_missing(order, history):
    findings = found(order, *history)
    assert [f.policy for f in findings] == [p.id for p in POLICIES]
    for finding in findings:
        assert "{" not in finding.summary + finding.detail + finding.next_step
        if finding.outcome in (Outcome.BREACH, Outcome.CANNOT_TELL):
            assert finding.enforcement is not Enforcement.SILENT
            assert finding.summary


@given(supplies())
@settings(max_examples=60, deadline=None)
def test_a_chart_alone_is_judged_without_an_order(history):
    findings = decide(POLICIES, None, a_chart(*history)).findings
    assert len(findings) == len(POLICIES)
    assert all(f.enforcement is not Enforcement.HARD_STOP for f in findings)


def test_no_guideline_hard_stops_and_no_card_names_a_target_dose():
    for policy in POLICIES:
        if policy.source.force == "guideline":
            assert policy.enforcement is not Enforcement.HARD_STOP
        assert "taper to" not in (policy.card.summary + policy.card.next_step).casefold()
