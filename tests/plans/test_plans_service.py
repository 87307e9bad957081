"""Plans as they are kept: every act once, on the version that was looked at, with its audit entry."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from stewardship.db import Sessions, transaction
from stewardship.domain.care import Coverage, Preference, SaidBy, Stance
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.domain.goals import FunctionGoal
from stewardship.domain.next_step import Kind
from stewardship.domain.pain_plan import Contact, NewStep
from stewardship.domain.plan_referrals import ReferralStatus
from stewardship.domain.plan_steps import Basis, Function, PlanStatus, StepStatus
from stewardship.domain.suitability import Response
from stewardship.services import patient_wishes, plans
from stewardship.services.plans import Answered, NewPlan, NewReferral
from tests.builders import NOW, TODAY
from tests.plans.conftest import BACK_PAIN
from tests.plans.tapering import declared
from tests.services.declared import ELSEWHERE, PHARMACIST, PRESCRIBER

GOAL = FunctionGoal("walk to the shop", "ten minutes", "twenty-five minutes", TODAY + timedelta(90))
BY: dict[str, Any] = {"by": PRESCRIBER, "now": NOW}


def a_plan(**more: Any) -> NewPlan:
    given: dict[str, Any] = {"codings": (BACK_PAIN,), "goals": (GOAL,), "owner": "primary-care", "on": TODAY}
    return NewPlan(**(given | more))


def audited(database: Sessions) -> list[str]:
    with transaction(database, write=False) as session:
        return list(session.execute(text("SELECT action FROM audit_events ORDER BY seq")).scalars())


@pytest.fixture
def started(clinic: Sessions) -> str:
    with transaction(clinic) as session:
        return plans.start(session, declared(), "p-1", a_plan(), **BY)


def read(database: Sessions, plan_id: str, by: Any = PRESCRIBER) -> plans.PlanRead:
    with transaction(database, write=False) as session:
        return plans.read(session, declared(), plan_id, by=by, now=NOW)


def step(database: Sessions, plan_id: str, treatment: str, *, version: int, **more: Any) -> int:
    new = NewStep(id=treatment, treatment=treatment, on=TODAY, **more)
    with transaction(database) as session:
        return plans.add_step(session, declared(), plan_id, new, version=version, **BY)


def answer(database: Sessions, plan_id: str, step_id: str, *, version: int, **said: Any) -> int:
    with transaction(database) as session:
        version = plans.begin_step(session, declared(), plan_id, step_id, on=TODAY, version=version, **BY)
    with transaction(database) as session:
        return plans.record_response(
            session, declared(), plan_id, step_id, Answered(on=TODAY, **said), version=version, **BY
        )


def test_a_plan_suggests_where_to_begin(clinic: Sessions, started: str) -> None:
    found = read(clinic, started)
    assert found.suggestion is not None
    assert (found.suggestion.kind, found.version) == (Kind.ADD, 1)
    assert found.suggestion.because.startswith("the plan has no step yet")
    # on opioids, and nothing beside them
    assert found.whole.opioid_only is True


def test_from_the_block_to_the_ablation(clinic: Sessions, started: str) -> None:
    version = step(clinic, started, "exercise", version=1)
    version = answer(clinic, started, "exercise", version=version, relief_percent=0, function=Function.SAME)
    version = step(
        clinic, started, "facet-injection", version=version, target="L4/5 right", basis=(Basis.EXAMINATION,),
        skipped="too much pain to do more exercise",
    )  # fmt: skip
    version = answer(
        clinic, started, "facet-injection", version=version, relief_percent=80, lasted_hours=Decimal(6),
        function=Function.BETTER, target="L4/5 right",
    )  # fmt: skip
    suggestion = read(clinic, started).suggestion
    assert suggestion is not None
    assert (suggestion.kind, suggestion.treatment) == (Kind.PROCEED, "radiofrequency-ablation")
    assert "L4/5 right" in suggestion.because
    assert step(clinic, started, "radiofrequency-ablation", version=version, basis=(Basis.BLOCK,))


def test_an_ablation_without_a_block_is_refused_and_nothing_is_kept(clinic: Sessions, started: str) -> None:
    before = audited(clinic)
    with pytest.raises(Conflict, match="meaningful response to"):
        step(clinic, started, "radiofrequency-ablation", version=1, basis=(Basis.EXAMINATION,))
    assert (audited(clinic), read(clinic, started).version) == (before, 1)


def test_the_same_act_sent_again_is_the_same_act(clinic: Sessions, started: str) -> None:
    new = NewStep(id="", treatment="exercise", on=TODAY)
    versions = []
    for _ in range(2):
        with transaction(clinic) as session:
            versions.append(plans.add_step(session, declared(), started, new, version=1, **BY))
    assert (versions, len(read(clinic, started).plan.steps)) == ([2, 2], 1)
    assert audited(clinic).count("plan.add-step") == 1


def test_whoever_comes_second_is_told_who_was_first(clinic: Sessions, started: str) -> None:
    step(clinic, started, "exercise", version=1)
    with pytest.raises(Conflict, match="version 2 was made by u-prescriber at 2026-11-21T12:00:00Z"):
        step(clinic, started, "cbt", version=1)


def test_starting_again_under_the_same_id_is_the_same_plan(clinic: Sessions) -> None:
    made = []
    for _ in range(2):
        with transaction(clinic) as session:
            made.append(plans.start(session, declared(), "p-1", a_plan(id="own-1"), **BY))
    assert made == ["own-1", "own-1"]
    with pytest.raises(Conflict), transaction(clinic) as session:
        plans.start(session, declared(), "p-1", a_plan(id="own-1", owner="surgery"), **BY)


@pytest.mark.parametrize(
    ("without", "pointer"),
    [({"goals": ()}, "/goals"), ({"codings": ()}, "/conditions"), ({"owner": "nobody"}, "/owner")],
)
def test_a_plan_says_for_what_to_what_end_and_whose_it_is(
    clinic: Sessions, without: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidInput) as refused, transaction(clinic) as session:
        plans.start(session, declared(), "p-1", a_plan(**without), **BY)
    assert [f.pointer for f in refused.value.faults] == [pointer]


def test_what_the_patient_declined_is_not_added_and_not_suggested(clinic: Sessions, started: str) -> None:
    wish = Preference("injections", Stance.DECLINED, TODAY, SaidBy.PATIENT, "afraid of needles")
    with transaction(clinic) as session:
        patient_wishes.prefer(session, declared(), "p-1", wish, **BY)
        patient_wishes.prefer(session, declared(), "p-1", wish, **BY)
    assert audited(clinic).count("preference.said") == 1
    with pytest.raises(Conflict, match="declined injections on 2026-11-21"):
        step(clinic, started, "facet-injection", version=1, target="L4", basis=(Basis.EXAMINATION,))
    with transaction(clinic) as session:
        again = Preference("injections", Stance.WANTED, TODAY, SaidBy.PATIENT)
        patient_wishes.prefer(
            session, declared(), "p-1", again, by=PRESCRIBER, now=NOW + timedelta(seconds=1)
        )
    step(clinic, started, "facet-injection", version=1, target="L4", basis=(Basis.EXAMINATION,), skipped="s")


def test_harm_is_remembered_and_something_else_is_suggested(clinic: Sessions, started: str) -> None:
    version = step(clinic, started, "acupuncture", version=1)
    version = answer(
        clinic, started, "acupuncture", version=version, response=Response.HARM, note="fainted twice"
    )
    found = read(clinic, started)
    assert found.plan.steps[0].status is StepStatus.STOPPED
    assert found.suggestion is not None
    assert (found.suggestion.kind, found.suggestion.treatment) != (Kind.REPLACE, "acupuncture")
    assert "did harm" in found.suggestion.because
    with pytest.raises(InvalidInput, match="does not say") as refused:
        step(clinic, started, "acupuncture", version=version)
    assert [f.pointer for f in refused.value.faults] == ["/despite"]


def test_a_plan_that_is_over_takes_nothing_more(clinic: Sessions, started: str) -> None:
    with transaction(clinic) as session:
        plans.close(session, started, PlanStatus.COMPLETED, on=TODAY, version=1, **BY)
    with pytest.raises(Conflict, match="completed since"):
        step(clinic, started, "exercise", version=2)
    assert read(clinic, started).suggestion is None


def test_who_does_what_is_brought_up_to_date(clinic: Sessions, started: str) -> None:
    contact = Contact("physical-therapy", "pt-7", "graded exercise", last_contact_on=TODAY)
    with transaction(clinic) as session:
        version = plans.coordinate(session, declared(), started, contact, version=1, **BY)
        later = Contact("physical-therapy", "pt-7", "", reported_on=TODAY)
        plans.coordinate(session, declared(), started, later, version=version, **BY)
    (known,) = read(clinic, started).plan.contacts
    assert (known.does, known.last_contact_on, known.reported_on) == ("graded exercise", TODAY, TODAY)


def test_nothing_is_recorded_of_a_day_to_come(clinic: Sessions, started: str) -> None:
    with pytest.raises(InvalidInput, match="up to today"), transaction(clinic) as session:
        new = NewStep(id="", treatment="exercise", on=TODAY + timedelta(1))
        plans.add_step(session, declared(), started, new, version=1, **BY)


def test_another_organisation_sees_nothing(clinic: Sessions, started: str) -> None:
    with pytest.raises(NotFound):
        read(clinic, started, by=ELSEWHERE)
    with pytest.raises(NotFound), transaction(clinic, write=False) as session:
        plans.of_patient(session, declared(), "p-1", by=ELSEWHERE, now=NOW)


def test_every_version_stays(clinic: Sessions, started: str) -> None:
    step(clinic, started, "exercise", version=1)
    with transaction(clinic, write=False) as session:
        rows = session.execute(
            text("SELECT version, act, by_user FROM plan_acts WHERE subject_id = :id ORDER BY version"),
            {"id": started},
        )
        assert [tuple(row) for row in rows] == [(1, "start", "u-prescriber"), (2, "add-step", "u-prescriber")]


# --- referrals -----------------------------------------------------------------------------------------


@pytest.fixture
def sent(clinic: Sessions, started: str) -> str:
    asked = NewReferral("pain-medicine", "facet pain", "routine", "primary-care", TODAY - timedelta(14))
    with transaction(clinic) as session:
        return plans.refer(session, declared(), started, asked, **BY)


def late(database: Sessions, today: date) -> list[str]:
    with transaction(database, write=False) as session:
        return [r.referral.id for r in plans.overdue(session, by=PHARMACIST, today=today)]


def test_a_referral_is_overdue_on_the_day_after_its_last(clinic: Sessions, sent: str) -> None:
    # routine: to be accepted within 14 days
    assert late(clinic, TODAY) == []
    assert late(clinic, TODAY + timedelta(1)) == [sent]


def test_a_loop_is_closed_by_the_report(clinic: Sessions, sent: str) -> None:
    with transaction(clinic) as session:
        for version, to in enumerate((ReferralStatus.ACCEPTED, ReferralStatus.SEEN), 1):
            plans.note_referral(session, declared(), sent, to, on=TODAY, version=version, **BY)
    assert late(clinic, TODAY + timedelta(31)) == [sent]
    with transaction(clinic) as session:
        plans.note_referral(
            session, declared(), sent, ReferralStatus.REPORTED, on=TODAY, version=3, note="block", **BY
        )
    assert late(clinic, TODAY + timedelta(365)) == []


def test_a_report_implies_the_visit_and_nothing_goes_backwards(clinic: Sessions, sent: str) -> None:
    with transaction(clinic) as session:
        plans.note_referral(session, declared(), sent, ReferralStatus.SEEN, on=TODAY, version=1, **BY)
    with pytest.raises(Conflict, match="seen already"), transaction(clinic) as session:
        plans.note_referral(session, declared(), sent, ReferralStatus.ACCEPTED, on=TODAY, version=2, **BY)


def test_the_same_event_again_is_one_and_another_on_the_old_version_is_refused(
    clinic: Sessions, sent: str
) -> None:
    for _ in range(2):
        with transaction(clinic) as session:
            plans.note_referral(session, declared(), sent, ReferralStatus.ACCEPTED, on=TODAY, version=1, **BY)
    with pytest.raises(Conflict, match="not the last"), transaction(clinic) as session:
        plans.note_referral(session, declared(), sent, ReferralStatus.DECLINED, on=TODAY, version=1, **BY)


def test_what_the_payer_asks_for_is_held_against_the_plan(clinic: Sessions, started: str) -> None:
    step(clinic, started, "physical-therapy", version=1, visits=12)
    assert read(clinic, started).warnings == (
        "physical-therapy: what the payer asks for and allows is not on record",
    )
    with transaction(clinic) as session:
        facts = Coverage("physical-therapy", TODAY, referral_needed=True, visits_left=8)
        patient_wishes.cover(session, declared(), "p-1", facts, **BY)
    assert read(clinic, started).warnings == (
        "physical-therapy: the payer asks for a referral, and none is on record",
        "physical-therapy: 12 visits are planned and 8 are left",
    )
