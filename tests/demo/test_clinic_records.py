"""The clinic's records beside the opioids: most long-term patients are in order, some are not."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from stewardship.declarations import load
from stewardship.demo import recipes
from stewardship.demo.clinic import make
from stewardship.demo.orders import cases
from stewardship.domain.drugs import DrugClass
from stewardship.domain.orders import Order, Pain, Phase, Setting, SupplyKind
from stewardship.domain.policy import Force, Outcome
from stewardship.domain.problems import problems
from stewardship.domain.signing import judge

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def library():
    return load()


@pytest.fixture(scope="module")
def clinic(library):
    return make(recipes.read(), library, now=NOW)


def of_kind(clinic, kind):
    return [clinic.charts[patient] for patient, named in clinic.kinds.items() if named == kind]


def last_opioid(chart):
    """The last prescription of an opioid with its arithmetic; ``None`` when there is none."""
    written = [
        s
        for s in chart.supplies
        if s.kind is SupplyKind.PRESCRIPTION and s.days_supply and s.drug is not None
    ]
    return next((s for s in reversed(written) if s.drug.is_a(DrugClass.OPIOID_ANALGESIC)), None)


def refill(chart):
    """What was prescribed last, once more, on the day after it ran out or today."""
    last = last_opioid(chart)
    if last is None:
        return None
    out = last.start_on + timedelta(days=int(last.days_supply) + 1)
    return Order(
        id="again",
        patient_id=chart.patient.id,
        medication=last.medication,
        drug=last.drug,
        written_on=max(out, NOW.date()),
        dosage=last.dosage,
        quantity=last.quantity,
        days_supply=last.days_supply,
        refills=0,
        setting=Setting.OUTPATIENT,
        pain=Pain(Phase.CHRONIC),
    )


@pytest.fixture(scope="module")
def found(clinic, library):
    """Outcomes by policy: of a refill for every patient with an opioid, and of every chart alone."""
    outcomes = defaultdict(list)
    policies = library.in_force(NOW.date())
    for chart in clinic.charts.values():
        again = refill(chart)
        for orders in ([], [again] if again else []):
            for judged in judge(policies, orders, chart):
                for finding in judged.decision.findings:
                    outcomes[finding.policy].append(finding.outcome)
    return outcomes


def guidelines():
    return [p.id for p in load().in_force(NOW.date()) if p.source.force is Force.GUIDELINE]


@pytest.mark.parametrize("policy", guidelines())
def test_every_guideline_policy_finds_patients_in_order_and_patients_who_are_not(found, policy):
    assert Outcome.PASS in found[policy]
    assert Outcome.BREACH in found[policy]


@pytest.mark.parametrize(
    ("named", "days"), [("pdmp-review", 90), ("urine-drug-test", 365), ("pain-treatment-plan", 90)]
)
def test_most_long_term_patients_have_what_is_due_and_some_have_not(clinic, named, days):
    since = NOW.date() - timedelta(days=days)
    charts = [
        chart
        for kind in ("chronic-low-back-stable", "chronic-low-back-unreviewed", "knee-arthritis-tramadol")
        for chart in of_kind(clinic, kind)
    ]

    def has(chart):
        dated = [(f.sets, f.on) for f in (*chart.procedures, *chart.observations)]
        dated += [(plan.sets, plan.reviewed_on) for plan in chart.plans]
        return any(named in sets and on >= since for sets, on in dated)

    assert 0.5 < sum(map(has, charts)) / len(charts) < 0.95


def test_peg_scores_were_taken_over_time(clinic):
    for chart in of_kind(clinic, "chronic-low-back-stable"):
        scores = [o for o in chart.observations if "function-measure" in o.sets]
        assert len({o.on for o in scores}) >= 3
        assert all(0 <= o.value <= 10 for o in scores)


def test_some_have_naloxone_some_declined_it_and_some_were_never_asked(clinic):
    charts = of_kind(clinic, "long-acting-established") + of_kind(clinic, "benzodiazepine-overlap")
    has = [any(s.drug and s.drug.is_a(DrugClass.OPIOID_REVERSAL) for s in c.supplies) for c in charts]
    assert 0 < sum(has) < len(charts)
    everybody = [p for c in clinic.charts.values() for p in c.procedures]
    assert [p for p in everybody if "naloxone-declined" in p.sets]


def test_opioid_use_disorder_is_treated_in_some_and_not_in_others(clinic):
    def is_treated(chart):
        return any(s.drug and s.drug.is_a(DrugClass.OUD_TREATMENT) for s in chart.supplies)

    assert all(map(is_treated, of_kind(clinic, "opioid-use-disorder")))
    assert not any(map(is_treated, of_kind(clinic, "opioid-use-disorder-untreated")))


def test_the_typical_patient_of_a_kind_has_what_most_have_and_nothing_else(clinic):
    (first, *_) = of_kind(clinic, "acute-injury-naive")
    done = {name for p in first.procedures for name in p.sets}
    assert "pdmp-review" in done
    assert "nonopioid-treatment" not in done
    assert any(s.drug and s.drug.is_a(DrugClass.NON_OPIOID_ANALGESIC) for s in first.supplies)


def test_the_guideline_orders_are_one_problem_each(clinic, library):
    shown = {}
    for case in cases(clinic, library, now=NOW):
        (judged,) = judge(library.in_force(NOW.date()), [case.order], clinic.charts[case.order.patient_id])
        shown[case.kind] = [
            {f.policy for f in problem.findings} for problem in problems(judged.decision.findings)
        ]
    assert shown["overdose-risks"] == [
        {"benzodiazepine-overlap", "sleep-disordered-breathing", "naloxone-offer"}
    ]
    (reviews,) = shown["chronic-low-back-unreviewed"]
    assert len(reviews) >= 4
