"""Snoozes: who may, what may rest, for how long, what still speaks, and that nothing is edited."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from stewardship.db import charts, transaction
from stewardship.domain.chart import Snooze
from stewardship.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from stewardship.domain.policy import AppliesTo, Breach, CannotTell, Enforcement, Met, Moment
from stewardship.services import decisions, orders, snoozes
from tests.builders import NOW, TODAY, a_chart, a_drug, an_order
from tests.services.declared import (
    COMPLIANCE,
    EHR,
    ELSEWHERE,
    ORGANISATION,
    PHARMACIST,
    PRESCRIBER,
    Declared,
    KnowsOne,
    a_policy,
)

LAST = TODAY + timedelta(days=90)
A_MONTH = TODAY + timedelta(days=30)


def a_library(answer=None, **more):
    return Declared(policies=(a_policy(answer=answer or Breach(), **more),))


def check(sessions, library, order=None, *, now=NOW):
    with transaction(sessions) as session:
        (checked,) = orders.check(
            session, library, [order or an_order()], a_chart(as_of=now), channel="test", by=EHR, now=now
        )
    return checked


def rest(sessions, library, decision_id, *, until=A_MONTH, reason="benefit", by=PRESCRIBER, now=NOW):
    with transaction(sessions) as session:
        return snoozes.snooze(
            session, library, decision_id, "a-policy", reason=reason, until=until, by=by, now=now
        )


def end(sessions, snooze_id, *, by=COMPLIANCE, now=NOW):
    with transaction(sessions) as session:
        return snoozes.end(session, snooze_id, by=by, now=now)


def listed(sessions, *, by=COMPLIANCE, active_on=None):
    with transaction(sessions, write=False) as session:
        return snoozes.listed(session, by=by, active_on=active_on)


def snoozed(clinic, library, *, now=NOW, **more):
    return rest(clinic, library, check(clinic, library, now=now).decision_id, now=now, **more)


def enforcement(checked):
    (finding,) = checked.decision.findings
    return finding.enforcement


def test_the_next_check_is_silent_and_says_until_when(clinic):
    library = a_library()
    snoozed(clinic, library)
    (finding,) = check(clinic, library, now=NOW + timedelta(hours=1)).decision.findings
    assert (finding.enforcement, finding.snoozed_until) == (Enforcement.SILENT, A_MONTH)


def test_it_rests_through_its_last_day_and_speaks_on_the_next(clinic):
    library = a_library()
    snoozed(clinic, library)
    assert enforcement(check(clinic, library, now=NOW + timedelta(days=30))) is Enforcement.SILENT
    assert enforcement(check(clinic, library, now=NOW + timedelta(days=31))) is Enforcement.SOFT_STOP


def test_a_stored_finding_keeps_until_when_it_rests(clinic):
    library = a_library()
    snoozed(clinic, library)
    checked = check(clinic, library, now=NOW + timedelta(hours=1))
    with transaction(clinic, write=False) as session:
        stored = decisions.read(session, checked.decision_id, by=PRESCRIBER)
    said = decisions.stored_json(stored)
    assert said["findings"][0]["snoozed_until"] == A_MONTH.isoformat()
    assert said["problems"] == []


def test_another_drug_is_not_at_rest(clinic):
    morphine = a_drug("morphine", "7052", "15", code="892582")
    library = a_library()
    snoozed(clinic, library)
    other = Declared(library.policies, catalogue=KnowsOne(morphine))
    assert enforcement(check(clinic, other, an_order(drug=morphine))) is Enforcement.SOFT_STOP


def test_another_strength_of_the_same_opioid_is(clinic):
    library = a_library()
    snoozed(clinic, library)
    assert enforcement(check(clinic, library, an_order(drug=a_drug(strength="10")))) is Enforcement.SILENT


def test_another_policy_is_not_at_rest(clinic):
    snoozed(clinic, a_library())
    other = Declared(policies=(a_policy("b-policy", Breach()),))
    assert enforcement(check(clinic, other)) is Enforcement.SOFT_STOP


def test_a_hard_stop_speaks_though_the_policys_lesser_degree_is_at_rest(clinic):
    snoozed(clinic, a_library(Breach(notice=True), enforcement=Enforcement.HARD_STOP))
    louder = a_library(enforcement=Enforcement.HARD_STOP)
    assert enforcement(check(clinic, louder)) is Enforcement.HARD_STOP


def test_the_patient_of_another_organisation_is_not_at_rest(clinic):
    library = a_library()
    snoozed(clinic, library)
    with transaction(clinic) as session:
        (there,) = orders.check(
            session, library, [an_order()], a_chart(), channel="test", by=ELSEWHERE, now=NOW
        )
    assert enforcement(there) is Enforcement.SOFT_STOP


def test_a_look_at_the_chart_alone_rests_the_policy_for_every_order(clinic):
    library = a_library(applies_to=AppliesTo(moments=(Moment.ORDER, Moment.CHART)))
    with transaction(clinic) as session:
        (looked,) = orders.check(session, library, [], a_chart(), channel="test", by=EHR, now=NOW)
    assert rest(clinic, library, looked.decision_id).drug == ""
    assert enforcement(check(clinic, library)) is Enforcement.SILENT


def test_a_snooze_that_a_request_brings_rests_nothing(clinic):
    brought = a_chart(snoozes=(Snooze("a-policy", "", LAST, "soft-stop"),))
    with transaction(clinic) as session:
        (checked,) = orders.screen(session, a_library(), [an_order()], brought, by=EHR, now=NOW)
    assert enforcement(checked) is Enforcement.SOFT_STOP


# --- what may rest ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "enforced", "code"),
    [
        (Breach(), Enforcement.HARD_STOP, "hard-stop"),
        (Breach(), Enforcement.SILENT, "silent"),
        (Met(), Enforcement.SOFT_STOP, "silent"),
        (CannotTell(("history",)), Enforcement.SOFT_STOP, "not-checked"),
        (CannotTell(("history",)), Enforcement.HARD_STOP, "not-checked"),
    ],
    ids=str,
)
def test_what_is_never_put_to_rest(clinic, answer, enforced, code):
    library = a_library(answer, enforcement=enforced)
    with pytest.raises(Conflict) as refused:
        snoozed(clinic, library)
    assert refused.value.code == code
    assert listed(clinic) == ()


def test_a_finding_about_no_opioid_has_no_drug_to_rest_for(clinic):
    plain = a_drug("lorazepam", "6470", "1", code="197901", classes=frozenset())
    library = Declared(
        (a_policy(answer=Breach(), applies_to=AppliesTo(drug_classes=())),),
        catalogue=KnowsOne(plain),
    )
    with pytest.raises(Conflict) as refused:
        rest(clinic, library, check(clinic, library, an_order(drug=plain)).decision_id)
    assert refused.value.code == "no-opioid"


@pytest.mark.parametrize("by", [PHARMACIST, COMPLIANCE, EHR])
def test_only_a_prescriber_snoozes(clinic, by):
    with pytest.raises(Forbidden):
        snoozed(clinic, a_library(), by=by)


@pytest.mark.parametrize("reason", ["", "because", "Benefit"])
def test_a_reason_is_one_of_the_policys(clinic, reason):
    with pytest.raises(InvalidInput) as refused:
        snoozed(clinic, a_library(), reason=reason)
    assert refused.value.faults[0].pointer == "/reason"


@pytest.mark.parametrize("until", [TODAY + timedelta(days=1), LAST])
def test_the_first_and_the_last_day_that_are_allowed(clinic, until):
    assert snoozed(clinic, a_library(), until=until).until == until


@pytest.mark.parametrize("until", [TODAY - timedelta(days=1), TODAY, LAST + timedelta(days=1), date.max])
def test_a_day_that_is_not_allowed_is_refused_with_those_that_are(clinic, until):
    with pytest.raises(InvalidInput, match=LAST.isoformat()):
        snoozed(clinic, a_library(), until=until)


def test_the_longest_rest_is_what_is_declared(clinic):
    short = Declared(policies=(a_policy(answer=Breach()),), snooze_days=7)
    with pytest.raises(InvalidInput):
        snoozed(clinic, short, until=TODAY + timedelta(days=8))


def test_whoever_comes_second_is_told_who_was_first(clinic):
    library = a_library()
    decision_id = check(clinic, library).decision_id
    rest(clinic, library, decision_id)
    with pytest.raises(Conflict, match=PRESCRIBER.user_id) as refused:
        rest(clinic, library, decision_id, until=LAST)
    assert refused.value.code == "already-snoozed"


def test_a_finding_of_another_organisation_is_not_found(clinic):
    library = a_library()
    with pytest.raises(NotFound):
        rest(clinic, library, check(clinic, library).decision_id, by=ELSEWHERE)


# --- ends -----------------------------------------------------------------------------------------------


def test_an_ended_snooze_lets_the_finding_speak_again(clinic):
    library = a_library()
    made = snoozed(clinic, library)
    ended = end(clinic, made.id, now=NOW + timedelta(hours=1))
    assert (ended.ended_by, ended.ended_at) == (COMPLIANCE.user_id, NOW + timedelta(hours=1))
    assert enforcement(check(clinic, library, now=NOW + timedelta(hours=2))) is Enforcement.SOFT_STOP


def test_a_chart_of_before_the_end_still_has_the_snooze(clinic):
    library = a_library()
    end(clinic, snoozed(clinic, library).id, now=NOW + timedelta(hours=2))
    for hours, rests in ((1, 1), (2, 0)):
        with transaction(clinic, write=False) as session:
            chart = charts.load_chart(
                session,
                library,
                organisation_id=ORGANISATION,
                patient_id="p-1",
                as_of=NOW + timedelta(hours=hours),
            )
        assert len(chart.snoozes) == rests


@pytest.mark.parametrize("by", [PHARMACIST, EHR])
def test_others_may_not_end_one(clinic, by):
    made = snoozed(clinic, a_library())
    with pytest.raises(Forbidden):
        end(clinic, made.id, by=by)


def test_a_snooze_is_ended_once(clinic):
    made = snoozed(clinic, a_library())
    end(clinic, made.id)
    with pytest.raises(Conflict, match=COMPLIANCE.user_id):
        end(clinic, made.id, by=PRESCRIBER)


def test_what_is_over_is_not_ended(clinic):
    made = snoozed(clinic, a_library())
    assert end(clinic, made.id, now=NOW + timedelta(days=30)).ended_by == COMPLIANCE.user_id
    other = snoozed(clinic, a_library(), now=NOW + timedelta(days=30), until=LAST)
    with pytest.raises(Conflict, match="over"):
        end(clinic, other.id, now=NOW + timedelta(days=91))


def test_a_snooze_of_another_organisation_is_not_found(clinic):
    made = snoozed(clinic, a_library())
    with pytest.raises(NotFound):
        end(clinic, made.id, by=ELSEWHERE)
    assert listed(clinic, by=ELSEWHERE) == ()


# --- the list -------------------------------------------------------------------------------------------


def test_the_list_says_who_what_why_and_until_when(clinic):
    made = snoozed(clinic, a_library())
    (said,) = [snoozes.snooze_json(one) for one in listed(clinic)]
    assert said == {
        "id": made.id,
        "policy": "a-policy",
        "patient_id": "p-1",
        "drug": "7804",
        "decision": made.decision_id,
        "enforcement": "soft-stop",
        "reason": "benefit",
        "since": "2026-11-21",
        "until": "2026-12-21",
        "by": PRESCRIBER.user_id,
        "role": "prescriber",
        "at": "2026-11-21T12:00:00Z",
        "ended": None,
    }


@pytest.mark.parametrize(
    ("day", "there"),
    [
        (TODAY - timedelta(days=1), 0),
        (TODAY, 1),
        (A_MONTH, 1),
        (A_MONTH + timedelta(days=1), 0),
    ],
)
def test_on_a_day_only_what_rests_then_is_listed(clinic, day, there):
    snoozed(clinic, a_library())
    assert len(listed(clinic, active_on=day)) == there
    assert len(listed(clinic)) == 1


def test_one_that_was_ended_is_listed_but_not_as_at_rest(clinic):
    made = snoozed(clinic, a_library())
    end(clinic, made.id, now=NOW + timedelta(days=3))
    assert len(listed(clinic, active_on=TODAY + timedelta(days=2))) == 1
    assert listed(clinic, active_on=TODAY + timedelta(days=3)) == ()
    assert listed(clinic)[0].ended_by == COMPLIANCE.user_id
