"""Prescribers beside peers, alternatives, and self-checks: known numbers, published intervals."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, select

from stewardship.db import care_tables, documents, job_tables, plan_tables, tables, transaction
from stewardship.declarations import load
from stewardship.domain.orders import Pain, Phase
from stewardship.domain.pain_plan import PainPlan
from stewardship.domain.plan_steps import Step, StepStatus
from stewardship.domain.policy import Breach
from stewardship.reports.peers import wilson
from stewardship.reports.reporting import WITHHELD
from stewardship.services import audit
from tests.builders import NOW, TODAY
from tests.reports.test_counted import Terms, check, override, report, share
from tests.reports.test_counted_more import patients
from tests.services.declared import COMPLIANCE, ORGANISATION, a_policy

# --- peers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(5, 10, "23.7", "76.3"), (0, 10, "0.0", "27.8"), (10, 10, "72.2", "100.0"), (1, 29, "0.6", "17.2")],
)
def test_the_interval_is_wilsons(part, whole, low, high):
    assert wilson(part, whole) == (Decimal(low), Decimal(high))


def test_each_is_held_against_what_others_did_about_the_same_policies(clinic):
    # dr-1: 2 of 2 stops of a. dr-2: 1 of 4 of a, and 1 of 2 of b, which dr-3 met once and overrode.
    for number, (who, policy, overridden) in enumerate(
        [("dr-1", "a", True)] * 2
        + [("dr-2", "a", True)]
        + [("dr-2", "a", False)] * 3
        + [("dr-2", "b", True), ("dr-2", "b", False), ("dr-3", "b", True)]
    ):
        decision = check(clinic, a_policy(policy, Breach()), id=f"o-{number}", prescriber=who)
        if overridden:
            override(clinic, decision, policy)
    tables = report(clinic, "peers")
    rows = {row[0]: row for row in tables["prescribers"]}
    # Others overrode 1 of 4 stops of a: 25 % of the two of dr-1.
    assert rows["dr-1"] == (
        "dr-1", "not on record", 2, 2, 2, share("100.0"), Decimal("34.2"), Decimal("100.0"), share("25.0"),
        "above; all prescribers",
    )  # fmt: skip
    # Others overrode 2 of 2 of a and 1 of 1 of b: all six were to be expected, two were overridden.
    assert rows["dr-2"][2:6] == (6, 2, 6, share("33.3"))
    assert rows["dr-2"][8:] == (share("100.0"), "below; all prescribers")
    assert rows["dr-3"][8:] == (share("50.0"), "within chance; all prescribers")
    # Shares of 33.3, 100 and 100 per cent, as a distribution.
    (whole,) = tables["specialties"]
    assert whole[:5] == ("not on record", 3, 9, 5, share("55.6"))
    assert whole[7:] == (Decimal("66.7"), Decimal("100.0"), Decimal("100.0"))


def registered(sessions, *specialties):
    """The prescribers dr-0, dr-1 ... with these specialties."""
    with transaction(sessions) as session:
        for n, specialty in enumerate(specialties):
            row = {
                "organisation_id": ORGANISATION,
                "id": f"r-{n}",
                "npi": f"100000000{n}",
                "user_id": f"dr-{n}",
            }
            row |= {"version": 1, "document": documents.encode({"specialty": specialty})}
            row |= {"created_at": NOW, "changed_at": NOW, "changed_by": "u"}
            session.execute(insert(plan_tables.Prescriber.__table__), row)


def test_peers_are_of_the_same_specialty_and_met_the_same_policy_for_like_patients(clinic):
    registered(clinic, "pain medicine", "pain medicine", "family medicine")
    acute, chronic = Pain(Phase.ACUTE), Pain(Phase.CHRONIC)
    for number, (who, pain, overridden) in enumerate(
        [("dr-0", acute, True), ("dr-0", chronic, True)]
        + [("dr-1", acute, False), ("1000000001", acute, True)]
        + [("dr-2", acute, False)] * 5
    ):
        decision = check(clinic, a_policy("a", Breach()), id=f"o-{number}", prescriber=who, pain=pain)
        if overridden:
            override(clinic, decision, "a")
    rows = {row[0]: row for row in report(clinic, "peers")["prescribers"]}
    # Whoever is in the registry is one person, by whichever name an order calls him.
    assert sorted(rows) == ["1000000000", "1000000001", "1000000002"]
    # dr-1 met the same in acute pain and overrode 1 of 2, by two names; dr-2 is no peer, and nobody else of
    # the specialty met it in chronic pain.
    assert rows["1000000000"][1:6] == ("pain medicine", 2, 2, 1, share("100.0"))
    assert rows["1000000000"][8:] == (share("50.0"), "within chance")
    assert rows["1000000002"][1:] == ("family medicine", 5, 0, 0, None, None, None, None, "no peers")


def test_who_alone_met_a_policy_has_no_peers_and_is_not_judged(clinic):
    check(clinic, a_policy("a", Breach()), prescriber="dr-1")
    (row,) = report(clinic, "peers")["prescribers"]
    assert row[4:] == (0, None, None, None, None, "no peers")


# --- alternatives -------------------------------------------------------------------------------------


def an_offer(n, treatment, reply, *, again=0):
    return {
        "organisation_id": ORGANISATION,
        "id": f"a-{n}-{again}",
        "patient_id": f"p-{n}",
        "treatment": treatment,
        "reply": reply,
        "on_day": TODAY,
        "note": "",
        "by_user": "u",
        "by_role": "prescriber",
        "at": NOW + timedelta(minutes=again),
    }


def test_the_last_answer_of_each_patient_counts_and_small_groups_are_withheld(clinic):
    patients(clinic, *range(40))
    rows = [an_offer(n, "exercise", "offered") for n in range(36)]
    rows += [an_offer(n, "exercise", "accepted", again=1) for n in range(12)]
    rows += [an_offer(n, "exercise", "declined", again=1) for n in range(12, 24)]
    rows += [an_offer(36, "heat", "accepted")]
    with transaction(clinic) as session:
        session.execute(insert(care_tables.AlternativeOffer.__table__), rows)
    assert report(clinic, "alternatives")["offered"] == [
        ("exercise", 36, 12, 12, 12, share("50.0")),
        ("heat", WITHHELD, WITHHELD, 0, 0, WITHHELD),
    ]


def test_what_a_treatment_did_is_counted_by_the_last_assessment(clinic):
    patients(clinic, *range(12))
    said = [(n, 0, "none") for n in range(12)] + [(n, 1, "meaningful") for n in range(12)]
    rows = [
        {
            "organisation_id": ORGANISATION,
            "id": f"s-{n}-{again}",
            "patient_id": f"p-{n}",
            "on_day": TODAY,
            "document": documents.encode({"tried": [{"what": "exercise", "response": response}]}),
            "by_user": "u",
            "by_role": "prescriber",
            "at": NOW + timedelta(minutes=again),
        }
        for n, again, response in said
    ]
    with transaction(clinic) as session:
        session.execute(insert(care_tables.PainAssessment.__table__), rows)
    assert report(clinic, "alternatives")["tried"] == [("exercise", 12, 12, 0, 0, 0, 0)]


def a_plan(patient, *steps):
    planned = [Step(f"s-{n}", what, "any", status, TODAY) for n, (what, status) in enumerate(steps)]
    plan = PainPlan(f"plan-{patient}", patient, (), TODAY, "primary-care", (), steps=tuple(planned))
    return {
        "organisation_id": ORGANISATION,
        "id": plan.id,
        "version": 1,
        "document": documents.encode(plan),
        "created_at": NOW,
        "changed_at": NOW,
        "changed_by": "u",
        "patient_id": patient,
        "status": "active",
        "review_on": None,
    }


def test_plans_of_patients_with_opioid_orders_by_how_many_kinds_they_join(clinic):
    active, stopped = StepStatus.ACTIVE, StepStatus.STOPPED
    joined = {
        "q-1": [("exercise", active), ("topical-nsaid", active)],
        "q-2": [("exercise", active), ("physical-therapy", active)],
        "q-3": [("exercise", stopped)],
    }
    for patient in (*joined, "q-4"):
        check(clinic, a_policy("a", Breach()), id=f"o-{patient}", patient=patient)
    with transaction(clinic) as session:
        ids = dict(session.execute(select(tables.Patient.ehr_id, tables.Patient.id)).all())
        rows = [a_plan(ids[patient], *steps) for patient, steps in joined.items()]
        session.execute(insert(plan_tables.PainPlan.__table__), rows)
    terms = Terms(fewest_shown=1, alternatives=load().alternatives)
    assert report(clinic, "alternatives", terms=terms)["plans"] == [
        ("two kinds or more", 1, share("25.0")),
        ("one kind", 1, share("25.0")),
        ("nothing but opioids", 1, share("25.0")),
        ("no plan on record", 1, share("25.0")),
    ]
    assert {
        row[1] for row in report(clinic, "alternatives", terms=replace(terms, fewest_shown=11))["plans"]
    } == {WITHHELD}


# --- self-checks --------------------------------------------------------------------------------------


def a_run(day, *, job="self-check", outcome="done", code="", failing=()):
    at = NOW + timedelta(days=day)
    return {
        "organisation_id": ORGANISATION,
        "job": job,
        "slot": at,
        "outcome": outcome,
        "attempts": 1,
        "started_at": at,
        "finished_at": at,
        "done": 1,
        "late": 0,
        "late_seconds": 0,
        "milliseconds": 1,
        "code": code,
        "document": documents.encode({"failing": list(failing)}),
    }


def test_days_without_a_self_check_and_runs_that_failed_are_told(clinic):
    rows = [
        a_run(-3),
        a_run(-1, failing=("audit", "mail")),
        a_run(-2, job="watch", outcome="failed", code="database"),
    ]
    with transaction(clinic) as session:
        session.execute(insert(job_tables.JobRun.__table__), rows)
    found = report(clinic, "self-checks", since=TODAY - timedelta(days=5), days=6)
    day = timedelta(days=1)
    assert found["days"] == [
        (TODAY - 3 * day, "done", 0, ""),
        (TODAY - 2 * day, "none was done", None, ""),
        (TODAY - day, "done", 2, "audit, mail"),
    ]
    assert found["incidents"] == [(NOW - 2 * day, "watch", "failed", "database", 1)]
    assert found["work"] == [("self-check", 2, 0, 0), ("watch", 1, 1, 0)]


def test_what_came_too_often_is_told_from_the_trail(clinic):
    with transaction(clinic) as session:
        for action, after in (("incident.overrides-often", 0), ("finding.overridden", 1), ("incident.x", 25)):
            when = NOW + timedelta(hours=after)
            audit.record(session, action, subject="dr-1", by=COMPLIANCE, now=when)
    (found,) = report(clinic, "self-checks")["noted"]
    assert found[:3] == (NOW, "overrides-often", "dr-1")
