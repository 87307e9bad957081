"""Overrides and exceptions: who may, with what reason, once; and that nothing is edited by them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from sqlalchemy import func, select

from stewardship.db import connect, tables, transaction
from stewardship.domain.errors import Conflict, Forbidden, InvalidInput, NotFound, StewardshipError
from stewardship.domain.identity import OverrideTerms
from stewardship.domain.people import Principal, Role
from stewardship.domain.policy import Breach, CannotTell, Disposition, Enforcement, Met
from stewardship.services import decisions, orders, override_watch
from tests.builders import NOW, a_chart, an_order
from tests.postgres import AUDIT_KEYS
from tests.services.declared import (
    COMPLIANCE,
    EHR,
    ELSEWHERE,
    ONE_PHARMACIST,
    ORGANISATION,
    PHARMACIST,
    PRESCRIBER,
    TWO_PEOPLE,
    Declared,
    a_policy,
)

LATER = NOW + timedelta(minutes=5)
SOFT = a_policy("soft", Breach())
UNTOLD = a_policy("untold", CannotTell(("order.days_supply",)), enforcement=Enforcement.HARD_STOP)
HARD = a_policy("hard", Breach(), enforcement=Enforcement.HARD_STOP, exception=ONE_PHARMACIST)
HARD_TWO = a_policy("hard", Breach(), enforcement=Enforcement.HARD_STOP, exception=TWO_PEOPLE)
WALL = a_policy("wall", Breach(), enforcement=Enforcement.HARD_STOP)
NOTE = "withdrawal within a day without it"


def submitted(session, *policies, order_id="order-1"):
    order = an_order(id=order_id)
    return orders.submit(session, Declared(policies), order, a_chart(), by=PRESCRIBER, now=NOW).decision_id


def override(session, decision_id, policy="soft", *, reason="benefit", by=PRESCRIBER, **more):
    return decisions.override(session, decision_id, policy, reason=reason, by=by, now=LATER, **more)


def ask(session, decision_id, policy="hard", *, reason="benefit", note=NOTE, by=PRESCRIBER):
    return decisions.request_exception(
        session, decision_id, policy, reason=reason, note=note, by=by, now=LATER
    )


def sign(session, exception_id, by=PHARMACIST, **more):
    return decisions.countersign(session, exception_id, by=by, now=LATER, **more)


def effective(session, decision_id):
    return decisions.read(session, decision_id, by=PRESCRIBER).effective


def a_person(role, number=1):
    return Principal(f"u-{role}-{number}", ORGANISATION, Role(role))


# --- overriding --------------------------------------------------------------------------------


def test_an_override_lifts_a_soft_stop_and_edits_nothing(clinic):
    with transaction(clinic) as session:
        one = submitted(session, SOFT)
        before = decisions.read(session, one, by=PRESCRIBER)
        override(session, one, comment="pain expected to last")
        after = decisions.read(session, one, by=PRESCRIBER)
    assert (before.effective, after.effective) == (Disposition.NEEDS_REASON, Disposition.ADVISED)
    assert after.disposition is before.disposition is Disposition.NEEDS_REASON
    assert [f.said for f in after.findings] == [f.said for f in before.findings]
    assert decisions.stored_json(after)["overrides"] == [
        {
            "policy": "soft",
            "reason": "benefit",
            "comment": "pain expected to last",
            "by": "u-prescriber",
            "at": "2026-11-21T12:05:00Z",
        }
    ]


def test_one_override_of_two_stops_is_not_enough(clinic):
    with transaction(clinic) as session:
        one = submitted(session, SOFT, a_policy("soft-too", Breach()))
        override(session, one)
        assert effective(session, one) is Disposition.NEEDS_REASON


def test_a_hard_stop_that_cannot_tell_is_overridden_like_a_soft_one(clinic):
    with transaction(clinic) as session:
        one = submitted(session, UNTOLD)
        override(session, one, "untold")
        assert effective(session, one) is Disposition.ADVISED


@pytest.mark.parametrize("reason", ["", " ", "\u200b", "because", "Benefit"])
def test_a_reason_that_is_not_one_of_the_policys_is_refused(clinic, reason):
    with transaction(clinic) as session:
        one = submitted(session, SOFT)
        with pytest.raises(InvalidInput, match="benefit, other") as refused:
            override(session, one, reason=reason)
    assert refused.value.faults[0].pointer == "/reason"


@pytest.mark.parametrize("by", [PHARMACIST, COMPLIANCE, EHR], ids=lambda by: by.role.value)
def test_only_a_prescriber_overrides(clinic, by):
    with transaction(clinic) as session:
        one = submitted(session, SOFT)
        with pytest.raises(Forbidden):
            override(session, one, by=by)


@pytest.mark.parametrize(
    "policy",
    [HARD, a_policy("hard", Met()), a_policy("hard", Breach(notice=True))],
    ids=["hard", "met", "notice"],
)
def test_what_is_no_soft_stop_is_not_overridden(clinic, policy):
    with transaction(clinic) as session:
        one = submitted(session, policy)
        with pytest.raises(Conflict):
            override(session, one, "hard")


def test_the_second_override_is_told_who_was_first_and_when(clinic):
    with transaction(clinic) as session:
        one = submitted(session, SOFT)
        override(session, one)
        with pytest.raises(Conflict, match="u-prescriber at 2026-11-21T12:05:00Z"):
            override(session, one, by=a_person("prescriber", 2))


def test_a_comment_that_is_too_long_is_refused(clinic):
    with transaction(clinic) as session:
        one = submitted(session, SOFT)
        with pytest.raises(InvalidInput) as refused:
            override(session, one, comment="x" * 4001)
    assert refused.value.faults[0].pointer == "/comment"


@pytest.mark.parametrize("parties", [2, 20])
def test_of_many_who_override_at_once_one_wins_and_the_rest_are_told_who(clinic, database_url, parties):
    with transaction(clinic) as session:
        one = submitted(session, SOFT)
    racing = connect(database_url, audit_keys=AUDIT_KEYS, pool_size=parties)
    start, won, lost = Barrier(parties), [], []

    def run(person):
        start.wait()
        try:
            with transaction(racing) as session:
                override(session, one, by=person)
            won.append(person.user_id)
        except Conflict as refused:
            lost.append(refused.message)

    threads = [Thread(target=run, args=(a_person("prescriber", n),)) for n in range(parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    racing.kw["bind"].dispose()
    assert (len(won), len(lost)) == (1, parties - 1)
    assert all(won[0] in message for message in lost)
    with transaction(clinic, write=False) as session:
        assert session.execute(select(func.count()).select_from(tables.Override)).scalar_one() == 1


# --- overrides that come too fast ----------------------------------------------------------------

TERMS = OverrideTerms(incident=3, within=timedelta(minutes=10))


def incidents(session):
    asked = select(tables.AuditEvent.by_user, tables.AuditEvent.detail)
    return session.execute(asked.where(tables.AuditEvent.action == override_watch.ACTION)).all()


def overridden(session, *minutes, by=PRESCRIBER, start=0):
    """Overrides of one decision each, at those minutes."""
    for n, minute in enumerate(minutes, start):
        one = submitted(session, SOFT, order_id=f"order-{by.user_id}-{n}")
        at = NOW + timedelta(minutes=minute)
        decisions.override(session, one, "soft", reason="benefit", terms=TERMS, by=by, now=at)


def test_t36_overrides_that_come_too_fast_are_an_incident(clinic):
    with transaction(clinic) as session:
        overridden(session, 0, 4)
        assert incidents(session) == []
        overridden(session, 9, start=2)
        assert [tuple(one) for one in incidents(session)] == [
            (PRESCRIBER.user_id, '{"overrides":3,"within_minutes":10}')
        ]


def test_t36_more_of_the_same_fill_no_record(clinic):
    with transaction(clinic) as session:
        overridden(session, 0, 1, 2, 3, 4, 5)
        assert len(incidents(session)) == 1


def test_t36_overrides_at_leisure_are_none(clinic):
    with transaction(clinic) as session:
        overridden(session, 0, 5, 10, 15, 20)
        assert incidents(session) == []


def test_t36_two_people_are_not_one(clinic):
    with transaction(clinic) as session:
        overridden(session, 0, 1)
        overridden(session, 2, by=a_person("prescriber", 2))
        assert incidents(session) == []


def test_t36_a_later_burst_is_another_incident(clinic):
    with transaction(clinic) as session:
        overridden(session, 0, 1, 2, 60, 61, 62)
        assert len(incidents(session)) == 2


# --- exceptions --------------------------------------------------------------------------------


def test_an_exception_countersigned_by_a_pharmacist_lifts_a_hard_stop(clinic):
    with transaction(clinic) as session:
        one = submitted(session, HARD)
        exception = ask(session, one)
        assert effective(session, one) is Disposition.BLOCKED
        state = sign(session, exception)
        assert state.status == "approved"
        assert effective(session, one) is Disposition.ADVISED


def test_a_declined_exception_lifts_nothing_and_another_may_be_asked_for(clinic):
    with transaction(clinic) as session:
        one = submitted(session, HARD)
        state = sign(session, ask(session, one), approve=False, note="use the short course")
        assert (state.status, effective(session, one)) == ("declined", Disposition.BLOCKED)
        assert ask(session, one) != state.id


def test_nobody_countersigns_their_own_request(clinic):
    with transaction(clinic) as session:
        exception = ask(session, submitted(session, HARD))
        with pytest.raises(Forbidden, match="of their own"):
            sign(session, exception, by=PRESCRIBER)


def test_another_role_of_the_requester_does_not_help(clinic):
    with transaction(clinic) as session:
        exception = ask(session, submitted(session, HARD))
        with pytest.raises(Forbidden, match="of their own"):
            sign(session, exception, by=replace(PRESCRIBER, role=Role.PHARMACIST))


def test_a_role_that_the_path_does_not_name_is_refused(clinic):
    with transaction(clinic) as session:
        exception = ask(session, submitted(session, HARD))
        with pytest.raises(Forbidden, match="pharmacist, prescriber"):
            sign(session, exception, by=COMPLIANCE)


def test_another_prescriber_alone_is_not_the_pharmacist_who_must_be_included(clinic):
    with transaction(clinic) as session:
        exception = ask(session, submitted(session, HARD))
        state = sign(session, exception, by=a_person("prescriber", 2))
        assert (state.status, state.missing_signatures, state.missing_roles) == ("open", 0, ("pharmacist",))
        assert sign(session, exception).status == "approved"


def test_two_signatures_are_two_people(clinic):
    with transaction(clinic) as session:
        one = submitted(session, HARD_TWO)
        exception = ask(session, one)
        assert sign(session, exception).missing_signatures == 1
        with pytest.raises(Conflict, match="already"):
            sign(session, exception)
    with transaction(clinic) as session:
        assert sign(session, exception, by=COMPLIANCE).status == "approved"
        assert effective(session, one) is Disposition.ADVISED


def test_a_closed_request_takes_no_more_signatures(clinic):
    with transaction(clinic) as session:
        exception = ask(session, submitted(session, HARD))
        sign(session, exception)
        with pytest.raises(Conflict, match="approved at 2026-11-21T12:05:00Z"):
            sign(session, exception, by=a_person("pharmacist", 2))


@pytest.mark.parametrize("note", ["", "  ", "\u200b\u200b"])
def test_a_note_that_the_path_requires_must_be_seen(clinic, note):
    with transaction(clinic) as session:
        one = submitted(session, HARD_TWO)
        with pytest.raises(InvalidInput, match="withdrawal risk"):
            ask(session, one, note=note)


def test_a_hard_stop_without_a_path_cannot_be_lifted(clinic):
    with transaction(clinic) as session:
        one = submitted(session, WALL)
        with pytest.raises(Conflict, match="change the order"):
            ask(session, one, "wall")


def test_a_soft_stop_is_no_matter_for_an_exception(clinic):
    with transaction(clinic) as session:
        one = submitted(session, SOFT)
        with pytest.raises(Conflict):
            ask(session, one, "soft")


@pytest.mark.parametrize("reason", ["\u200b", "", "made-up"])
def test_an_exception_is_asked_for_with_a_coded_reason(clinic, reason):
    with transaction(clinic) as session:
        one = submitted(session, HARD)
        with pytest.raises(InvalidInput):
            ask(session, one, reason=reason)


@pytest.mark.parametrize("reason", ["\u200b", "x" * 501, "a\x00b"])
def test_a_policy_without_coded_reasons_still_wants_words(clinic, reason):
    with transaction(clinic) as session:
        one = submitted(session, replace(HARD, overrides=()))
        with pytest.raises(InvalidInput):
            ask(session, one, reason=reason)
        assert ask(session, one, reason="The patient travels for three weeks.")


def test_only_a_prescriber_asks_for_an_exception(clinic):
    with transaction(clinic) as session:
        one = submitted(session, HARD)
        with pytest.raises(Forbidden):
            ask(session, one, by=PHARMACIST)


def test_a_second_request_is_told_of_the_one_that_stands(clinic):
    with transaction(clinic) as session:
        one = submitted(session, HARD)
        ask(session, one)
        with pytest.raises(Conflict, match="u-prescriber at 2026-11-21T12:05:00Z and is open"):
            ask(session, one, by=a_person("prescriber", 2))


def test_two_last_signatures_at_once_close_the_request_once(clinic, database_url):
    with transaction(clinic) as session:
        exception = ask(session, submitted(session, HARD_TWO))
    racing = connect(database_url, audit_keys=AUDIT_KEYS)
    start, results = Barrier(2), []

    def run(person):
        start.wait()
        try:
            with transaction(racing) as session:
                results.append(sign(session, exception, by=person).status.value)
        except StewardshipError as refused:
            results.append(refused.code)

    threads = [Thread(target=run, args=(person,)) for person in (PHARMACIST, COMPLIANCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    racing.kw["bind"].dispose()
    assert sorted(results) == ["approved", "open"]


# --- what counts afterwards ----------------------------------------------------------------------


class SeesSupplies:
    """A rule that tells which supplies lie on the chart."""

    def check(self, order, chart):
        return Met({"supplies": tuple(s.id for s in chart.supplies)})


def seen(session, now):
    (checked,) = orders.screen(
        session,
        Declared([a_policy(rule=SeesSupplies())]),
        [an_order(id="next")],
        a_chart(),
        by=PRESCRIBER,
        now=now,
    )
    return checked.decision.findings[0].facts["supplies"]


def test_an_order_counts_from_the_moment_its_last_stop_is_lifted(clinic):
    with transaction(clinic) as session:
        one = submitted(session, SOFT, HARD)
        override(session, one)
        assert seen(session, LATER) == ()
        sign(session, ask(session, one))
        assert seen(session, LATER) == ("order-1",)
        assert seen(session, LATER - timedelta(seconds=1)) == ()


# --- organisations -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attempt",
    [
        lambda session, one, _: decisions.read(session, one, by=ELSEWHERE),
        lambda session, one, _: override(session, one, by=ELSEWHERE),
        lambda session, one, _: ask(session, one, by=ELSEWHERE),
        lambda session, _, exception: decisions.read_exception(session, exception, by=ELSEWHERE),
        lambda session, _, exception: sign(session, exception, by=replace(ELSEWHERE, role=Role.PHARMACIST)),
    ],
    ids=["read", "override", "ask", "read exception", "countersign"],
)
def test_anothers_is_answered_like_a_missing_one(clinic, attempt):
    with transaction(clinic) as session:
        one = submitted(session, SOFT, HARD)
        exception = ask(session, one)
    said = []
    for ids in ((one, exception), ("0" * 32, "0" * 32)):
        with transaction(clinic) as session, pytest.raises(NotFound) as refused:
            attempt(session, *ids)
        said.append((refused.value.code, refused.value.message, refused.value.faults))
    assert said[0] == said[1]


def test_a_missing_finding_is_not_found(clinic):
    with transaction(clinic) as session:
        one = submitted(session, SOFT)
        with pytest.raises(NotFound):
            override(session, one, "no-such-policy")
