"""One decision on a page: what was known, found and done about it, and whether it comes out the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from stewardship import exporting
from stewardship.db import transaction
from stewardship.domain.errors import NotFound
from stewardship.domain.policy import Breach, Enforcement, Met
from stewardship.services import decisions, orders
from tests.builders import NOW, a_chart, a_drug, a_supply, an_order
from tests.services.declared import (
    COMPLIANCE,
    EHR,
    ELSEWHERE,
    ONE_PHARMACIST,
    PHARMACIST,
    PRESCRIBER,
    Declared,
    a_policy,
)

SOFT = a_policy("soft", Breach())
HARD = a_policy("hard", Breach(), enforcement=Enforcement.HARD_STOP, exception=ONE_PHARMACIST)
POLICIES = (SOFT, HARD, a_policy("quiet", Met()))


@pytest.fixture
def decided(clinic):
    """An order with a soft stop that was overridden and a hard one that was lifted."""
    with transaction(clinic) as session:
        (checked,) = orders.check(
            session,
            Declared(POLICIES),
            [an_order(prescriber="dr-1", days=7)],
            a_chart(a_supply()),
            channel="cds-hooks/order-sign",
            by=EHR,
            now=NOW,
        )
        decision = checked.decision_id
        later = NOW + timedelta(minutes=2)
        decisions.override(session, decision, "soft", reason="benefit", by=PRESCRIBER, now=later)
        later += timedelta(minutes=2)
        request = decisions.request_exception(
            session, decision, "hard", reason="benefit", by=PRESCRIBER, now=later
        )
        later += timedelta(minutes=2)
        decisions.countersign(session, request, note="Seen", by=PHARMACIST, now=later)
    return decision


def explained(sessions, decision, policies=POLICIES, by=COMPLIANCE):
    with transaction(sessions, write=False) as session:
        made = exporting.why(session, Declared(policies), decision, by=by, now=NOW)
    return {table.name: [tuple(row) for row in table.rows] for table in made.report.tables}


def test_the_order_and_how_much_was_known_are_told(clinic, decided):
    facts = dict(explained(clinic, decided)["order"])
    assert facts["Product"] == a_drug().name
    assert (facts["Prescriber"], facts["Days of supply"], facts["Quantity"]) == ("dr-1", "7", "not stated")
    assert (facts["Chart: supplies"], facts["Chart: conditions"]) == ("1", "0")
    assert facts["Asked by"] == "u-ehr (ehr), cds-hooks/order-sign"


def test_every_policy_in_force_is_there_also_one_that_said_nothing(clinic, decided):
    found = [row[:4] for row in explained(clinic, decided)["findings"]]
    assert found == [
        ("hard", 1, "breach", "hard-stop"),
        ("quiet", 1, "pass", "silent"),
        ("soft", 1, "breach", "soft-stop"),
    ]


def test_what_people_did_is_told_in_its_order(clinic, decided):
    assert [row[1:] for row in explained(clinic, decided)["people"]] == [
        ("Overridden", "soft", "benefit", "u-prescriber"),
        ("Exception asked for (approved)", "hard", "benefit", "u-prescriber"),
        ("Countersigned: yes", "hard", "Seen", "u-pharmacist"),
    ]


def test_the_trail_bears_witness_to_each_step(clinic, decided):
    trail = explained(clinic, decided)["trail"]
    assert [row[2] for row in trail] == [
        "order.checked",
        "finding.overridden",
        "exception.requested",
        "exception.countersigned",
    ]
    assert all(len(row[4]) == 16 for row in trail)


def test_it_says_that_it_comes_out_the_same(clinic, decided):
    assert explained(clinic, decided)["again"] == [("All findings", "3, every one the same")]


def test_it_says_how_it_comes_out_otherwise(clinic, decided):
    other = (a_policy("soft", Met()), replace(HARD, sha256="1" * 64))
    again = explained(clinic, decided, other)["again"]
    told = [words for name, words in again if name == "Otherwise"]
    assert "hard version 1: its file is not what it was" in told
    assert "quiet version 1: no file here holds it" in told
    assert "soft: outcome was 'breach', is 'pass'" in told


def test_another_organisations_decision_does_not_exist(clinic, decided):
    with pytest.raises(NotFound):
        explained(clinic, decided, by=ELSEWHERE)
