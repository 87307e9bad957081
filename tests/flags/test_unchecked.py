"""Orders that could not be checked, and voids that wait, are flags until they are settled."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stewardship.db import transaction
from stewardship.domain.flags.kinds import GONE, Status
from stewardship.domain.policy import Breach, CannotTell, Met
from stewardship.services import flags, orders, unchecked, watch
from tests.builders import NOW, a_chart, an_order
from tests.flags.feeding import declared, watched
from tests.flags.raising import WATCH, act, library, queue
from tests.services import declared as policies
from tests.services.declared import EHR, PRESCRIBER, a_policy
from tests.services.feeding import NEW, VOID, a_report, bring

KIND = "unchecked-order"
CANNOT = a_policy("cannot", CannotTell(("order.days_supply",)))


def night(number):
    return NOW + timedelta(days=number)


def submit(clinic, *rules, order="order-1", now=NOW, raising=True):
    with transaction(clinic) as session:
        done = orders.submit(
            session, policies.Declared(rules), an_order(id=order), a_chart(), by=PRESCRIBER, now=now
        )
        if raising:
            unchecked.raise_for(session, library(), [done], by=PRESCRIBER, now=now)
    return done


def check(clinic, *rules, channel, now=NOW):
    with transaction(clinic) as session:
        done = orders.check(
            session, policies.Declared(rules), [an_order()], a_chart(), channel=channel, by=EHR, now=now
        )
        unchecked.raise_for(session, library(), done, by=EHR, now=now)


def test_an_order_with_a_check_that_could_not_be_made_is_a_flag_at_once(clinic):
    done = submit(clinic, CANNOT, a_policy("also", CannotTell(("order.refills",))), a_policy("met", Met()))
    (flag,) = queue(clinic)
    assert (flag.kind, flag.label, flag.weight) == (KIND, "order-1", 3)
    assert flag.facts == {
        "decision": done.decision_id,
        "missing": ["order.refills", "order.days_supply"],
        "policies": ["also", "cannot"],
    }


@pytest.mark.parametrize("rules", [[a_policy("met", Met())], [a_policy("breach", Breach({}))]])
def test_an_order_that_was_checked_is_none(small_clinic, rules):
    submit(small_clinic, *rules)
    assert queue(small_clinic) == []


@pytest.mark.parametrize(
    ("channel", "raises"),
    [("cds-hooks/order-sign", 1), ("demo", 1), ("cds-hooks/order-select", 0), ("cds-hooks/patient-view", 0)],
)
def test_a_draft_that_nobody_signs_raises_nothing(small_clinic, channel, raises):
    check(small_clinic, CANNOT, channel=channel)
    assert len(queue(small_clinic)) == raises
    watched(small_clinic)
    assert len(queue(small_clinic)) == raises


def test_the_same_order_checked_again_is_one_flag(clinic):
    check(clinic, CANNOT, channel="cds-hooks/order-sign")
    check(clinic, CANNOT, channel="cds-hooks/order-sign", now=NOW + timedelta(minutes=5))
    (flag,) = queue(clinic)
    assert flag.version == 2


def test_one_orders_flag_leaves_anothers_alone(clinic):
    submit(clinic, CANNOT, order="order-1")
    submit(clinic, CANNOT, order="order-2")
    assert sorted(flag.label for flag in queue(clinic)) == ["order-1", "order-2"]


def test_the_watch_finds_what_was_not_raised_at_once(clinic):
    submit(clinic, CANNOT, raising=False)
    assert queue(clinic) == []
    assert watched(clinic).opened == 1
    assert watched(clinic, now=night(1)).opened == 0


def test_an_order_that_was_checked_since_ends_its_flag(clinic):
    check(clinic, CANNOT, channel="cds-hooks/order-sign")
    check(clinic, a_policy("cannot", Met()), channel="cds-hooks/order-sign", now=NOW + timedelta(hours=1))
    watched(clinic, now=night(1))
    (flag,) = queue(clinic, status=(Status.RESOLVED,))
    assert flag.resolution == GONE


def test_a_flag_about_an_old_order_stays(clinic):
    submit(clinic, CANNOT)
    watched(clinic, now=night(31))
    assert len(queue(clinic)) == 1


def test_what_a_pharmacist_checked_by_hand_does_not_come_back(clinic):
    submit(clinic, CANNOT)
    (flag,) = queue(clinic)
    act(clinic, flags.resolve, flag.id, "checked-by-hand")
    assert watched(clinic, now=night(1)).opened == 0
    assert watched(clinic, now=night(5)).opened == 0


# --- voids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "raised"), [(48, 0), (49, 1)])
def test_a_void_that_waits_for_its_dispensing_is_a_flag_after_two_days(clinic, hours, raised):
    bring(clinic, a_report(VOID))
    watched(clinic, now=NOW + timedelta(hours=hours))
    assert [flag.kind for flag in queue(clinic)] == ["void-pending"] * raised


def test_the_dispensing_that_comes_after_its_void_ends_the_flag(clinic):
    bring(clinic, a_report(VOID, created="20260105*0930"))
    watched(clinic, now=night(3))
    assert len(queue(clinic)) == 1
    bring(clinic, a_report(NEW, control="0002", created="20260104*0930"), now=night(4))
    watched(clinic, now=night(4))
    assert queue(clinic) == []


# --- the patient of an order -------------------------------------------------------------------------


def test_an_order_is_looked_at_with_what_was_dispensed_at_once(clinic):
    from stewardship.db.charts import known_patient
    from tests.domain.flagging import DIAZEPAM, OXYCODONE
    from tests.flags.feeding import fill, put

    done = submit(clinic, a_policy("met", Met()), order="order-9")
    with transaction(clinic, write=False) as session:
        known = known_patient(session, organisation_id=PRESCRIBER.organisation_id, patient_id="p-1")
    assert known.id is not None
    put(clinic, known.id, fill(2, drug=DIAZEPAM), fill(20, drug=OXYCODONE))
    with transaction(clinic, late=True) as session:
        watch.after_order(session, declared(), done.decision_id, by=PRESCRIBER, now=NOW)
    # The order itself, twelve days' supply early, and the diazepam beside both opioids.
    told = {flag.kind: flag.raised_by for flag in queue(clinic)}
    assert told["opioid-with-benzodiazepine"] == told["early-refill"] == "order"
    # The watch sees the same problem, and raises it no second time.
    assert watched(clinic, now=NOW, by=WATCH).opened == 0
