"""The ladder as it is started: what may be added, what a response comes to, and what comes next."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from stewardship.domain.alternatives import recommend
from stewardship.domain.bundles import fitting
from stewardship.domain.care import Coverage
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.errors import Conflict, Fault, InvalidInput
from stewardship.domain.goals import FunctionGoal
from stewardship.domain.next_step import Around, Kind, Suggestion, coverage_warnings, next_step
from stewardship.domain.orders import Phase
from stewardship.domain.pain_plan import (
    NewStep,
    PainPlan,
    begun,
    completeness,
    recorded,
    with_step,
)
from stewardship.domain.plan_steps import Basis, Function, Outcome, Step, StepStatus, computed, outcome
from stewardship.domain.suitability import PatientFacts, Response, Tried
from tests.builders import TODAY
from tests.plans.tapering import declared

LIBRARY = declared()
TREATMENTS, TERMS = LIBRARY.alternatives.treatments, LIBRARY.plans
GOAL = FunctionGoal("walk", "little", "far", TODAY + timedelta(90))
#: A man of fifty about whom everything that matters is known, on no medicine.
KNOWN = PatientFacts(
    age=50, sex="male", egfr=Decimal(90), clearance=Decimal(90), pregnant=False, medicines=(),
    problems=frozenset(), allergies=frozenset(), phase=Phase.CHRONIC,
)  # fmt: skip
FACET, FAILED_SURGERY, BACK = "M47.816", "M96.1", "M54.50"


def a_plan(code: str = FACET, **more: Any) -> PainPlan:
    given: dict[str, Any] = {"chronic": True}
    codings = (Coding(ICD10CM, code),)
    return PainPlan("plan", "p-1", codings, TODAY - timedelta(365), "primary-care", (GOAL,), **given | more)


def known(plan: PainPlan, facts: PatientFacts = KNOWN) -> Any:
    return recommend(LIBRARY.alternatives, plan.codings, replace(facts, tried=(*facts.tried, *plan.tried)))


def added(plan: PainPlan, treatment: str, *, facts: PatientFacts = KNOWN, **more: Any) -> PainPlan:
    """A step, with what an ordinary intervention has to say."""
    given: dict[str, Any] = {
        "basis": (Basis.EXAMINATION,),
        "target": "L4/5",
        "skipped": "agreed with the patient",
    }
    new = NewStep(treatment, treatment, TODAY - timedelta(300), **given | more)
    return with_step(
        plan, new, declared=LIBRARY.alternatives, terms=TERMS, known=known(plan, facts), tried=facts.tried
    )


def answered(
    plan: PainPlan, treatment: str, *, ends: bool = False, on: date = TODAY, **said: Any
) -> PainPlan:
    """The step, begun and answered; a test with its target and its duration."""
    if plan.step(treatment).status is StepStatus.PLANNED:
        plan = begun(plan, treatment, on=TODAY - timedelta(299), declared=LIBRARY.alternatives)
    if TREATMENTS[treatment].diagnostic:
        said = {"target": "L4/5", "lasted_hours": Decimal(6), "function": Function.BETTER} | said
    found = outcome(TREATMENTS[treatment], TERMS.responses, on=on, **said)
    return recorded(plan, treatment, found, ends=ends, declared=LIBRARY.alternatives)


def suggested(plan: PainPlan, facts: PatientFacts = KNOWN) -> Suggestion:
    whole = completeness(plan, declared=LIBRARY.alternatives, terms=TERMS, on_opioids=False)
    around = Around(known(plan, facts), whole, facts.tried)
    return next_step(plan, around, declared=LIBRARY.alternatives, terms=TERMS, today=TODAY)


def refused(plan: PainPlan, treatment: str, **more: Any) -> list[str]:
    with pytest.raises(InvalidInput) as wrong:
        added(plan, treatment, **more)
    return [f.pointer for f in wrong.value.faults]


# --- what a response comes to ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("treatment", "relief", "function", "wanted"),
    [
        ("exercise", 30, None, Response.MEANINGFUL),
        ("exercise", 29, None, Response.PARTIAL),
        ("exercise", 9, None, Response.NONE),
        ("exercise", 60, Function.WORSE, Response.PARTIAL),
        ("exercise", 0, Function.BETTER, Response.MEANINGFUL),
        ("exercise", None, Function.BETTER, Response.MEANINGFUL),
        ("exercise", None, None, None),
        ("facet-injection", 49, Function.BETTER, Response.PARTIAL),
        ("facet-injection", 50, Function.SAME, Response.MEANINGFUL),
        ("scs-trial", 50, Function.SAME, Response.PARTIAL),
        ("scs-trial", 50, Function.BETTER, Response.MEANINGFUL),
    ],
)
def test_function_leads_and_a_trial_needs_both(
    treatment: str, relief: int | None, function: Function | None, wanted: Response | None
) -> None:
    assert computed(TREATMENTS[treatment], relief, function, TERMS.responses) is wanted


def test_of_a_test_target_relief_duration_and_function_are_all_needed() -> None:
    with pytest.raises(InvalidInput) as wrong:
        outcome(TREATMENTS["facet-injection"], TERMS.responses, on=TODAY, response=Response.MEANINGFUL)
    pointers = {f.pointer for f in wrong.value.faults}
    assert pointers == {"/target", "/relief_percent", "/lasted_hours", "/function"}


def test_what_a_person_judged_stands_beside_what_the_numbers_come_to() -> None:
    found = outcome(
        TREATMENTS["exercise"], TERMS.responses, on=TODAY, response=Response.MEANINGFUL, relief_percent=5
    )
    assert (found.response, found.computed) == (Response.MEANINGFUL, Response.NONE)


def test_harm_is_told_in_words() -> None:
    with pytest.raises(InvalidInput) as wrong:
        outcome(TREATMENTS["exercise"], TERMS.responses, on=TODAY, response=Response.HARM)
    assert wrong.value.faults == (
        Fault("/note", "required", "say what harm was done, for those who think of it again"),
    )


# --- what may be added -------------------------------------------------------------------------------------


def test_imaging_alone_never_suffices() -> None:
    assert refused(a_plan(), "facet-injection", basis=(Basis.IMAGING,)) == ["/basis"]
    assert refused(a_plan(), "facet-injection", basis=()) == ["/basis"]
    assert added(a_plan(), "facet-injection", basis=(Basis.IMAGING, Basis.HISTORY)).steps


def test_no_rung_is_passed_over_without_a_word() -> None:
    assert refused(a_plan(), "facet-injection", skipped="") == ["/skipped"]
    # below the needles it is written down by itself
    plan = added(a_plan(), "oral-nsaid", skipped="")
    assert "Physical and psychological: offered and not tried" in plan.steps[0].skipped


def test_no_implant_without_a_trial_that_helped() -> None:
    plan = a_plan(FAILED_SURGERY)
    with pytest.raises(Conflict, match="not before a meaningful response to"):
        added(plan, "spinal-cord-stimulation")
    tried = answered(added(plan, "scs-trial"), "scs-trial", relief_percent=60, function=Function.SAME)
    with pytest.raises(Conflict, match="not before a meaningful response to"):
        added(tried, "spinal-cord-stimulation")
    helped = answered(added(plan, "scs-trial"), "scs-trial", relief_percent=60)
    assert suggested(helped).treatment == "spinal-cord-stimulation"
    assert added(helped, "spinal-cord-stimulation").steps


def test_a_test_is_read_before_it_is_repeated() -> None:
    plan = begun(
        added(a_plan(), "facet-injection"), "facet-injection", on=TODAY, declared=LIBRARY.alternatives
    )
    with pytest.raises(Conflict, match="in the plan already"):
        added(plan, "facet-injection")


def test_what_failed_outside_of_the_plan_is_remembered_too() -> None:
    before = replace(KNOWN, tried=(Tried("oral-nsaid", Response.HARM, note="bleeding ulcer"),))
    assert refused(a_plan(BACK), "oral-nsaid", facts=before) == ["/despite"]


def test_what_speaks_against_a_treatment_has_to_be_answered() -> None:
    kidneys = replace(KNOWN, egfr=Decimal(20), clearance=Decimal(20))
    with pytest.raises(InvalidInput) as wrong:
        added(a_plan(BACK), "oral-nsaid", facts=kidneys)
    assert "clearance" in wrong.value.faults[0].message or "eGFR" in wrong.value.faults[0].message
    assert added(a_plan(BACK), "oral-nsaid", facts=kidneys, despite="two days, with the nephrologist").steps


def test_a_step_that_waits_for_another_does_not_begin_before_it() -> None:
    plan = added(added(a_plan(), "facet-injection"), "physical-therapy", after="facet-injection")
    with pytest.raises(Conflict, match="comes first"):
        begun(plan, "physical-therapy", on=TODAY, declared=LIBRARY.alternatives)
    done = answered(plan, "facet-injection", relief_percent=70)
    assert begun(done, "physical-therapy", on=TODAY, declared=LIBRARY.alternatives).review_on


# --- what comes next ---------------------------------------------------------------------------


def test_without_a_step_it_begins_at_the_bottom() -> None:
    found = suggested(a_plan())
    assert (found.kind, TREATMENTS[found.treatment].rung) == (Kind.ADD, 0)


def test_a_review_that_is_due_comes_first() -> None:
    plan = begun(
        added(a_plan(), "exercise"), "exercise", on=TODAY - timedelta(42), declared=LIBRARY.alternatives
    )
    # exercise is looked at after 42 days
    assert (suggested(plan).kind, suggested(plan).step) == (Kind.RECORD, "exercise")


def test_a_negative_test_looks_elsewhere_and_never_goes_on_to_the_ablation() -> None:
    found = suggested(answered(added(a_plan(), "facet-injection"), "facet-injection", relief_percent=0))
    assert found.kind is Kind.OTHER_TARGET
    assert found.treatment != "radiofrequency-ablation"


def test_a_test_that_half_relieved_is_confirmed() -> None:
    found = suggested(answered(added(a_plan(), "facet-injection"), "facet-injection", relief_percent=40))
    assert (found.kind, found.treatment) == (Kind.CONFIRM, "facet-injection")


def test_what_helped_in_part_gets_something_of_another_kind_beside_it() -> None:
    found = suggested(answered(added(a_plan(BACK), "exercise"), "exercise", relief_percent=20))
    assert found.kind is Kind.ADD
    assert TREATMENTS[found.treatment].modality != "physical"


def test_what_helps_goes_on_once_the_plan_is_whole() -> None:
    plan = answered(added(a_plan(BACK), "exercise"), "exercise", relief_percent=50)
    assert suggested(plan).kind is Kind.ADD  # chronic pain: psychological treatment as well
    for treatment in ("cbt", "pacing"):
        plan = begun(added(plan, treatment), treatment, on=TODAY, declared=LIBRARY.alternatives)
    assert (suggested(plan).kind, suggested(plan).step) == (Kind.GO_ON, "exercise")


def test_an_ablation_that_faded_is_offered_again_and_no_opioid_in_its_place() -> None:
    plan = answered(added(a_plan(), "facet-injection"), "facet-injection", relief_percent=80,
                    on=TODAY - timedelta(290))  # fmt: skip
    plan = answered(added(plan, "radiofrequency-ablation"), "radiofrequency-ablation", relief_percent=70,
                    on=TODAY - timedelta(200))  # fmt: skip
    faded = answered(plan, "radiofrequency-ablation", relief_percent=0)
    found = suggested(faded)
    assert (found.kind, found.treatment) == (Kind.REPEAT, "radiofrequency-ablation")
    assert "no opioid in its place" in found.because


def test_what_an_unknown_fact_decides_is_asked() -> None:
    unknown = replace(KNOWN, pregnant=None, sex="", pregnant_weeks=None)
    plan = answered(added(a_plan(), "facet-injection"), "facet-injection", relief_percent=80)
    found = suggested(plan, unknown)
    assert (found.kind, found.treatment) == (Kind.ASK, "radiofrequency-ablation")
    assert any("pregnancy" in need for need in found.check_first)


def test_every_suggestion_with_a_needle_says_that_an_image_is_not_enough_and_what_it_passes_over() -> None:
    failed = replace(
        KNOWN, tried=tuple(Tried(t.id, Response.NONE) for t in TREATMENTS.values() if t.rung == 2)
    )
    plan = a_plan(FACET)
    for treatment in TREATMENTS.values():
        if treatment.rung < 2 and treatment.id in {o.treatment.id for o in known(plan, failed).offered}:
            plan = answered(
                added(plan, treatment.id, facts=failed), treatment.id, relief_percent=0, ends=True
            )
    found = suggested(plan, failed)
    assert TREATMENTS[found.treatment].rung >= 3
    assert any("Not on imaging alone" in line for line in found.check_first)


# --- how whole it is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on_opioids", "told"), [(True, True), (False, False), (None, None)])
def test_an_opioid_only_plan_is_seen_as_such(on_opioids: bool | None, told: bool | None) -> None:
    whole = completeness(a_plan(), declared=LIBRARY.alternatives, terms=TERMS, on_opioids=on_opioids)
    assert whole.opioid_only is told
    assert whole.lacking == ("physical", "psychological", "pacing")


def test_what_did_not_help_is_no_part_of_it() -> None:
    plan = answered(added(a_plan(BACK), "exercise"), "exercise", relief_percent=0, ends=True)
    whole = completeness(plan, declared=LIBRARY.alternatives, terms=TERMS, on_opioids=True)
    assert (whole.opioid_only, dict(whole.modalities)) == (True, {})


@pytest.mark.parametrize(
    ("attended", "on", "warned"),
    [(0, TODAY, True), (4, TODAY, False), (4, TODAY - timedelta(1), True)],
    ids=["none taken", "four taken, then counted", "counted before they were taken"],
)
def test_visits_that_took_place_are_not_still_to_come(attended: int, on: date, warned: bool) -> None:
    # Twelve are planned, and the payer says that eight are left.
    done = Outcome(TODAY, Response.PARTIAL, attended=attended)
    step = Step(
        "pt", "physical-therapy", "physical-therapy", StepStatus.ACTIVE, TODAY, visits=12, outcomes=(done,)
    )
    plan = PainPlan("l-1", "p-1", (), TODAY, "primary-care", (), steps=(step,))
    left = Coverage("physical-therapy", on, referral_needed=False, visits_left=8)
    assert bool(coverage_warnings(plan, [left], [], today=TODAY)) is warned


# --- what goes together -------------------------------------------------------------------------------


def bundles(*treatments: str, code: str = "M47.816", **facts: Any) -> dict[str, list[tuple[str, bool]]]:
    """The bundles that fit a plan with these treatments begun, each with what stands for its parts."""
    library = declared()
    steps = tuple(Step(t, t, "", StepStatus.ACTIVE, TODAY) for t in treatments)
    plan = PainPlan("l-1", "p-1", (Coding(ICD10CM, code),), TODAY, "primary-care", (), steps=steps)
    known: dict[str, Any] = {"age": 40, "sex": "male", "egfr": Decimal(95), "medicines": ()}
    known |= {"problems": frozenset(), "allergies": frozenset(), "phase": Phase.CHRONIC}
    found = recommend(library.alternatives, plan.codings, PatientFacts(**(known | facts)))
    fits = fitting(plan, found, declared=library.alternatives, terms=library.plans)
    return {f.bundle.id: [(p.treatment.id, p.in_plan) for p in f.parts] for f in fits}


def test_a_block_goes_with_therapy_and_with_a_medicine() -> None:
    found = bundles("facet-injection")
    assert found["needle-then-movement"] == [("facet-injection", True), ("exercise", False)]
    assert found["medicine-and-needle"] == [("oral-nsaid", False), ("facet-injection", True)]


def test_a_plan_without_any_part_of_a_bundle_is_told_of_none() -> None:
    assert bundles() == {}


def test_a_bundle_that_is_whole_or_cannot_become_so_is_not_told() -> None:
    assert "needle-then-movement" not in bundles("facet-injection", "physical-therapy")
    # Nothing by needle is known for fibromyalgia.
    assert set(bundles("exercise", code="M79.7")) == {"mind-and-movement", "active-chronic"}


def test_what_does_not_suit_the_patient_stands_for_no_part() -> None:
    found = bundles("facet-injection", egfr=Decimal(20))
    assert found["medicine-and-needle"][0][0] == "topical-nsaid"
