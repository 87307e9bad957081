"""Which alternatives fit a patient: the ladder, what is left out and why, what is asked, what came before."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from stewardship.declarations.alternatives import read_alternatives
from stewardship.declarations.places import REFERENCE
from stewardship.domain.alternatives import Alternatives, Recommendation, recommend
from stewardship.domain.alternatives_told import told
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.drugs import DrugClass
from stewardship.domain.orders import Phase
from stewardship.domain.suitability import PatientFacts, Response, Taken, Tried

BACK, SCIATICA, FACET, KNEE, FIBROMYALGIA = "M54.50", "M54.16", "M47.816", "M17.11", "M79.7"
MIGRAINE, NEUROPATHY, CANCER, CRPS = "G43.909", "E11.42", "G89.3", "G90.511"
LORAZEPAM = Taken("lorazepam", frozenset({"lorazepam"}), frozenset({DrugClass.BENZODIAZEPINE}))
OXYCODONE = Taken(
    "oxycodone", frozenset({"oxycodone"}), frozenset({DrugClass.OPIOID, DrugClass.OPIOID_ANALGESIC})
)


def taken(name: str, *, days_ago: int = 0) -> Taken:
    return Taken(name, frozenset({name}), days_ago=days_ago)


@pytest.fixture(scope="module")
def declared() -> Alternatives:
    return read_alternatives(REFERENCE)


@pytest.fixture
def ask(declared: Alternatives) -> Any:
    """A healthy man of 40 about whom everything is known, but for what is said."""

    def asked(*codes: str, tried: dict[str, str] | None = None, **said: Any) -> Recommendation:
        known: dict[str, Any] = {
            "age": 40,
            "sex": "male",
            "egfr": Decimal(95),
            "medicines": (),
            "problems": frozenset(),
            "allergies": frozenset(),
            "phase": Phase.CHRONIC,
            "tried": tuple(Tried(what, Response(how)) for what, how in (tried or {}).items()),
        }
        facts = PatientFacts(**(known | said))
        return recommend(declared, [Coding(ICD10CM, code) for code in codes], facts)

    return asked


def offered(found: Recommendation) -> list[str]:
    return [o.treatment.id for o in found.offered]


def why_not(found: Recommendation, treatment: str) -> list[str]:
    """The rules for which a treatment is left out; it must be."""
    (entry,) = [e for e in found.left_out if e.id == treatment]
    assert treatment not in offered(found)
    return [r.rule for r in entry.reasons]


# --- the patient of the founding example ----------------------------------------------------------


@pytest.fixture
def frail(ask: Any) -> Any:
    """eGFR 28, age 70, on lorazepam and warfarin."""
    return lambda *codes, **said: ask(
        *codes, **({"age": 70, "egfr": Decimal(28), "medicines": (LORAZEPAM, taken("warfarin"))} | said)
    )


def test_kidney_bleeding_and_age_leave_out_the_oral_nsaid(frail):
    found = frail(BACK, phase=Phase.UNKNOWN)
    assert why_not(found, "oral-nsaid") == ["nsaid-kidney-avoid", "nsaid-anticoagulant", "nsaid-age"]


def test_each_reason_names_the_fact_and_the_threshold(frail):
    (entry,) = [e for e in frail(BACK).left_out if e.id == "oral-nsaid"]
    assert entry.reasons[0].text == "kidney: eGFR 28 mL/min/1.73 m², below 30"
    assert entry.reasons[0].threshold == "eGFR below 30: avoid"
    assert all(r.sources for r in entry.reasons)


def test_age_and_sedation_leave_out_the_muscle_relaxant(frail):
    found = frail(BACK, phase=Phase.ACUTE)
    assert why_not(found, "muscle-relaxant") == ["muscle-relaxant-age", "muscle-relaxant-cns"]


def test_gabapentin_at_full_dose_is_left_out_with_the_ceiling_of_the_label(frail):
    (entry,) = [e for e in frail(BACK).left_out if e.id == "gabapentin"]
    assert "gabapentin-15-29" in [r.rule for r in entry.reasons]
    assert "at most 700 mg a day" in " ".join(r.threshold for r in entry.reasons)


def test_where_gabapentin_suits_the_pain_it_is_offered_under_the_ceiling(frail):
    found = frail(SCIATICA)
    assert why_not(found, "gabapentin-full-dose") == ["gabapentin-15-29"]
    (option,) = [o for o in found.offered if o.treatment.id == "gabapentin"]
    assert option.ceiling_mg == 700
    assert {r.rule for r in option.cautions} == {"gabapentinoid-cns", "gabapentinoid-age"}
    assert "Lowest dose, watch for sedation" in option.check_first


def test_topical_nsaid_and_physical_therapy_are_offered(frail):
    assert {"topical-nsaid", "physical-therapy"} <= set(offered(frail(BACK, phase=Phase.UNKNOWN)))


# --- thresholds, on both sides ------------------------------------------------------------


@pytest.mark.parametrize(
    ("clearance", "most"),
    [("60", None), ("59", 1400), ("30", 1400), ("29.9", 700), ("15", 700), ("14.9", 300)],
)
def test_gabapentin_by_creatinine_clearance_as_in_the_label(ask, clearance, most):
    found = ask(SCIATICA, clearance=Decimal(clearance))
    (option,) = [o for o in found.offered if o.treatment.id == "gabapentin"]
    assert option.ceiling_mg == most


@pytest.mark.parametrize(("clearance", "most"), [("60", None), ("59", 300), ("29", 150), ("14", 75)])
def test_pregabalin_by_creatinine_clearance_as_in_the_label(ask, clearance, most):
    (option,) = [
        o for o in ask(SCIATICA, clearance=Decimal(clearance)).offered if o.treatment.id == "pregabalin"
    ]
    assert option.ceiling_mg == most


def test_clearance_is_used_before_egfr_and_egfr_says_that_it_stands_in(ask):
    (option,) = [o for o in ask(SCIATICA, egfr=Decimal(40)).offered if o.treatment.id == "gabapentin"]
    assert "(in place of creatinine clearance)" in option.ceiling
    (option,) = [
        o
        for o in ask(SCIATICA, clearance=Decimal(80), egfr=Decimal(40)).offered
        if o.treatment.id == "gabapentin"
    ]
    assert option.ceiling_mg is None


@pytest.mark.parametrize(
    ("code", "treatment", "said", "rule"),
    [
        (BACK, "oral-nsaid", {"egfr": Decimal("29.9")}, "nsaid-kidney-avoid"),
        (BACK, "oral-nsaid", {"problems": frozenset({"gi-bleeding"})}, "nsaid-gi-bleeding"),
        (BACK, "oral-nsaid", {"problems": frozenset({"heart-failure"})}, "nsaid-heart-failure"),
        (BACK, "oral-nsaid", {"medicines": (taken("apixaban"),)}, "nsaid-anticoagulant"),
        (BACK, "oral-nsaid", {"sex": "female", "pregnant_weeks": 20}, "nsaid-pregnancy-middle"),
        (BACK, "topical-nsaid", {"sex": "female", "pregnant_weeks": 30}, "nsaid-pregnancy-late"),
        (BACK, "topical-nsaid", {"allergies": frozenset({"aspirin"})}, "nsaid-allergy"),
        (BACK, "duloxetine", {"egfr": Decimal(29)}, "duloxetine-kidney"),
        (BACK, "duloxetine", {"problems": frozenset({"liver-disease"})}, "duloxetine-liver"),
        (BACK, "duloxetine", {"problems": frozenset({"alcohol-use"})}, "duloxetine-alcohol"),
        (BACK, "duloxetine", {"medicines": (taken("fluvoxamine"),)}, "duloxetine-cyp1a2"),
        (BACK, "duloxetine", {"medicines": (taken("linezolid"),)}, "snri-maoi"),
        (BACK, "duloxetine", {"medicines": (taken("phenelzine", days_ago=14),)}, "snri-maoi"),
        (NEUROPATHY, "tricyclic", {"age": 65}, "tricyclic-age"),
        (NEUROPATHY, "tricyclic", {"problems": frozenset({"conduction-disease"})}, "tricyclic-conduction"),
        (MIGRAINE, "triptan", {"problems": frozenset({"cardiovascular-disease"})}, "triptan-cardiovascular"),
        (SCIATICA, "epidural-steroid", {"medicines": (taken("warfarin"),)}, "epidural-anticoagulant"),
        (SCIATICA, "epidural-steroid", {"problems": frozenset({"infection"})}, "injection-infection"),
        ("M16.11", "topical-nsaid", {}, "condition:osteoarthritis-hip"),
        ("G50.0", "triptan", {}, "condition:trigeminal-neuralgia"),
        ("G50.0", "carbamazepine", {"medicines": (taken("phenelzine"),)}, "carbamazepine-maoi"),
    ],
)
def test_what_rules_a_treatment_out(ask, code, treatment, said, rule):
    assert rule in why_not(ask(code, **said), treatment)


@pytest.mark.parametrize(
    ("code", "treatment", "said"),
    [
        (BACK, "oral-nsaid", {"egfr": Decimal(30)}),
        (BACK, "oral-nsaid", {"sex": "female", "pregnant_weeks": 19}),
        (BACK, "topical-nsaid", {"sex": "female", "pregnant_weeks": 29}),
        (BACK, "duloxetine", {"medicines": (taken("phenelzine", days_ago=15),)}),
        (NEUROPATHY, "tricyclic", {"age": 64}),
    ],
)
def test_what_just_does_not(ask, code, treatment, said):
    assert treatment in offered(ask(code, **said))


def test_clearance_stands_in_where_egfr_alone_decides(ask):
    (entry,) = [e for e in ask(BACK, egfr=None, clearance=Decimal(28)).left_out if e.id == "oral-nsaid"]
    assert entry.reasons[0].text == "kidney: creatinine clearance 28 mL/min (in place of eGFR), below 30"


@pytest.mark.parametrize(
    ("age", "medicines", "out"),
    [(65, (OXYCODONE, LORAZEPAM), True), (64, (OXYCODONE, LORAZEPAM), False), (65, (LORAZEPAM,), False)],
)
def test_no_third_medicine_that_acts_on_the_brain_from_65(ask, age, medicines, out):
    found = ask(SCIATICA, age=age, medicines=medicines)
    assert ("pregabalin" not in offered(found)) is out


def test_a_muscle_relaxant_is_offered_at_64_and_left_out_at_65(ask):
    assert "muscle-relaxant" in offered(ask(BACK, phase=Phase.ACUTE, age=64))
    assert why_not(ask(BACK, phase=Phase.ACUTE, age=65), "muscle-relaxant") == ["muscle-relaxant-age"]


def test_an_opioid_beside_a_gabapentinoid_asks_for_care(ask):
    found = ask(SCIATICA, medicines=(OXYCODONE,))
    (option,) = [o for o in found.offered if o.treatment.id == "pregabalin"]
    assert [r.text for r in option.cautions] == ["breathing: takes oxycodone"]


@pytest.mark.parametrize(
    ("code", "treatment", "said", "rule"),
    [
        ("M17.11", "acetaminophen", {"medicines": (taken("warfarin"),)}, "acetaminophen-warfarin"),
        (BACK, "acetaminophen", {"phase": Phase.ACUTE}, "condition:low-back-acute"),
        (BACK, "oral-nsaid", {"problems": frozenset({"liver-disease"})}, "nsaid-liver"),
        (BACK, "oral-nsaid", {"medicines": (taken("sertraline"),)}, "nsaid-antidepressant"),
        (BACK, "oral-nsaid", {"medicines": (taken("lithium"),)}, "nsaid-lithium"),
        (BACK, "topical-nsaid", {"egfr": Decimal(28)}, "topical-nsaid-kidney"),
        ("G50.0", "carbamazepine", {"medicines": (OXYCODONE,)}, "carbamazepine-opioid"),
    ],
)
def test_what_asks_for_care_is_offered_and_nothing_to_begin_with(ask, code, treatment, said, rule):
    found = ask(code, **said)
    (option,) = [o for o in found.offered if o.treatment.id == treatment]
    assert rule in {r.rule for r in option.cautions}
    assert treatment not in {o.treatment.id for o in found.together}


def test_a_medicine_is_no_caution_about_itself(ask):
    gabapentin = Taken("gabapentin", frozenset({"gabapentin"}), frozenset({DrugClass.GABAPENTINOID}))
    (option,) = [o for o in ask(SCIATICA, medicines=(gabapentin,)).offered if o.treatment.id == "gabapentin"]
    assert option.cautions == ()
    assert option.in_use == ("gabapentin",)


# --- what is not known ------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "fact", "treatment"),
    [
        ({"egfr": None}, "egfr", "oral-nsaid"),
        ({"medicines": None}, "medicines", "oral-nsaid"),
        ({"sex": "female"}, "pregnancy", "topical-nsaid"),
        ({"sex": "female", "pregnant": True}, "pregnancy-week", "oral-nsaid"),
        ({"age": None, "phase": Phase.ACUTE}, "age", "muscle-relaxant"),
        ({"unknown_medicines": ("bluepill",)}, "unknown-medicines:bluepill", "oral-nsaid"),
    ],
)
def test_a_fact_that_is_missing_is_asked_for_and_never_assumed(ask, said, fact, treatment):
    found = ask(BACK, **said)
    assert fact in found.asks
    assert treatment in [u.treatment.id for u in found.undecided]
    assert treatment not in offered(found)


def test_nobody_measures_a_kidney_for_a_gel(ask):
    found = ask("S93.4", egfr=None)
    (option,) = [o for o in found.offered if o.treatment.id == "topical-nsaid"]
    assert not any("eGFR" in text for text in option.check_first)


def test_what_rules_out_anyway_needs_no_further_fact(ask):
    found = ask(BACK, egfr=None, medicines=(taken("warfarin"),))
    assert why_not(found, "oral-nsaid") == ["nsaid-anticoagulant"]


def test_nobody_of_seventy_is_asked_about_pregnancy(ask):
    assert "pregnancy" not in ask(BACK, sex="", age=70).asks


def test_problems_that_are_not_on_record_are_to_be_checked_first(ask):
    (option,) = [o for o in ask(BACK, problems=None).offered if o.treatment.id == "oral-nsaid"]
    assert any("heart failure" in text for text in option.check_first)
    assert "heart failure" in ask(BACK, problems=None).asks["problems"]


def test_a_problem_list_of_other_codes_tells_what_is_there_and_not_what_is_absent(ask):
    found = ask(BACK, problems=frozenset({"heart-failure"}), problems_complete=False)
    assert why_not(found, "oral-nsaid") == ["nsaid-heart-failure"]
    assert "liver disease" in found.asks["problems"]


def test_the_phase_is_asked_for_where_it_decides(ask):
    found = ask(BACK, phase=Phase.UNKNOWN)
    assert [m.condition.id for m in found.matched] == ["low-back-acute", "low-back-chronic"]
    assert "phase" in found.asks
    assert "phase" not in ask(KNEE, phase=Phase.UNKNOWN).asks


def test_a_code_that_is_not_known_is_said(ask):
    found = ask("R07.9")
    assert [c.code for c in found.unmatched] == ["R07.9"]
    assert found.ladder == ()


# --- the ladder ------------------------------------------------------------


def test_the_ladder_goes_from_the_least_to_the_most_invasive(ask):
    found = ask(KNEE)
    rungs = [o.treatment.rung for o in found.offered]
    assert rungs == sorted(rungs)
    assert {"self-care", "physical", "psychological", "medicine"} == {
        o.treatment.modality for o in found.together
    }


def test_no_rung_is_passed_over_without_a_word(ask):
    found = ask(KNEE)
    assert [r.number for r in found.ladder] == [0, 1, 2, 3, 4, 5, 6]
    assert {r.number for r in found.ladder if not r.options} == {4, 5}
    assert all(r.skipped for r in found.ladder if not r.options)


def test_a_rung_that_is_empty_for_this_patient_says_why(ask):
    found = ask(FIBROMYALGIA)
    assert found.ladder[3].skipped == "nothing on this rung is known for the condition"
    assert ask(FACET).ladder[4].skipped == "later: Radiofrequency ablation"


def test_two_conditions_share_one_ladder(ask):
    found = ask(BACK, SCIATICA)
    assert "gabapentin" in offered(found)  # what the back alone speaks against, the nerve asks for
    (option,) = [o for o in found.offered if o.treatment.id == "gabapentin"]
    assert [r.rule for r in option.cautions] == ["condition:low-back-chronic"]
    assert offered(found).count("physical-therapy") == 1


def test_what_asks_for_care_is_not_what_to_begin_with(ask):
    medicine = [o.treatment.id for o in ask(BACK, age=65).together if o.treatment.modality == "medicine"]
    assert medicine == ["duloxetine"]  # the oral NSAID leads its rung, and asks for care from 65


# --- what happened before ------------------------------------------------------------


@pytest.mark.parametrize("response", ["none", "harm", "declined"])
def test_what_failed_harmed_or_was_declined_is_left_out(ask, response):
    assert why_not(ask(BACK, tried={"duloxetine": response}), "duloxetine") == [f"prior:{response}"]


def test_what_helped_before_leads_its_rung(ask):
    found = ask(BACK, tried={"tai-chi": "meaningful"})
    assert found.ladder[1].options[0].treatment.id == "tai-chi"


def test_what_helped_in_part_stays_and_says_so(ask):
    (option,) = [o for o in ask(BACK, tried={"cbt": "partial"}).offered if o.treatment.id == "cbt"]
    assert "helped in part" in option.prior


def test_one_nsaid_that_failed_is_not_all_of_them_but_harm_by_one_is(ask):
    assert "oral-nsaid" in offered(ask(BACK, tried={"ibuprofen": "none"}))
    assert why_not(ask(BACK, tried={"ibuprofen": "harm"}), "oral-nsaid") == ["prior:harm"]


def test_harm_by_a_relative_asks_for_care(ask):
    (option,) = [
        o for o in ask(SCIATICA, tried={"gabapentin": "harm"}).offered if o.treatment.id == "pregabalin"
    ]
    assert [r.rule for r in option.cautions] == ["prior:harm"]


def test_what_was_tried_and_is_not_known_is_asked_about(ask):
    assert "tried:snake oil" in ask(BACK, tried={"snake oil": "none"}).asks


@pytest.mark.parametrize(
    ("tried", "where"),
    [({}, "later"), ({"facet-injection": "partial"}, "later"), ({"facet-injection": "meaningful"}, "offered"),
     ({"facet-injection": "none"}, "left out")],
)  # fmt: skip
def test_ablation_follows_a_block_that_helped(ask, tried, where):
    found = ask(FACET, tried=tried)
    places = {
        "offered": offered(found),
        "later": [entry.treatment.id for entry in found.later],
        "left out": [entry.id for entry in found.left_out],
    }
    assert [name for name, ids in places.items() if "radiofrequency-ablation" in ids] == [where]


def test_no_implant_without_a_trial_that_helped(ask):
    assert {"scs-trial", "drg-trial"} <= set(offered(ask(CRPS)))
    assert not {"spinal-cord-stimulation", "drg-stimulation"} & set(offered(ask(CRPS)))
    assert "spinal-cord-stimulation" in offered(ask(CRPS, tried={"scs-trial": "meaningful"}))


# --- opioids, and who is exempt ------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "only"),
    [
        ({"medicines": (OXYCODONE,)}, True),
        ({"medicines": (OXYCODONE, taken("duloxetine"))}, False),
        ({"medicines": (OXYCODONE,), "tried": {"physical-therapy": "partial"}}, False),
        ({"medicines": (OXYCODONE,), "tried": {"physical-therapy": "none"}}, True),
        ({"medicines": ()}, False),
        ({"medicines": None}, None),
    ],
)
def test_a_plan_of_an_opioid_alone_is_seen(ask, said, only):
    assert ask(BACK, **said).opioid_only is only


@pytest.mark.parametrize(
    "said", [{"codes": (CANCER,)}, {"codes": (BACK,), "exempt": "condition of 1 Nov 2026"}]
)
def test_who_is_exempt_is_offered_and_not_pressed(ask, said):
    found = ask(*said.pop("codes"), **said)
    assert found.offered
    assert not found.pressed
    assert found.exempt


def test_who_is_not_exempt_is_pressed(ask):
    assert ask(BACK).pressed


# --- the form that every face shows ------------------------------------------------------------


def test_everything_that_is_shown_has_a_source(ask):
    for code in (BACK, SCIATICA, KNEE, CRPS, MIGRAINE):
        document = told(ask(code, age=70, egfr=Decimal(28), medicines=(LORAZEPAM, taken("warfarin"))))
        assert all(o["sources"] for o in document["offered"])
        assert all(g["sources"] for e in document["left_out"] for g in e["grounds"])


def test_what_was_not_confirmed_says_so(ask):
    (entry,) = [e for e in told(ask(BACK, egfr=Decimal(28)))["left_out"] if e["treatment"] == "oral-nsaid"]
    assert entry["reasons"] == [
        "kidney: eGFR 28 mL/min/1.73 m², below 30 (eGFR below 30: avoid) [not confirmed in a source]"
    ]


def test_every_treatment_that_the_condition_names_is_somewhere_in_the_answer(ask, declared):
    for condition in declared.conditions:
        code = next(iter(condition.prefixes))
        found = ask(code, egfr=None, age=70, medicines=(taken("warfarin"),), phase=Phase.UNKNOWN)
        answered = {
            *offered(found),
            *(e.treatment.id for e in found.left_out),
            *(e.treatment.id for e in found.undecided),
            *(e.treatment.id for e in found.later),
        }
        assert {t for m in found.matched for t in m.condition.considered} <= answered
