"""Snoozes, cards and feedback: what the database itself refuses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError, IntegrityError

from stewardship.db import tables, transaction
from tests.builders import NOW, TODAY

BY = {"organisation_id": "org-1", "by_user": "u-1"}
A_SNOOZE = BY | {
    "id": "z-2",
    "patient_id": "1",
    "decision_id": "d-1",
    "policy_id": "other-policy",
    "drug": "7804",
    "enforcement": "soft-stop",
    "reason": "benefit",
    "from_on": TODAY,
    "until": TODAY + timedelta(days=30),
    "by_role": "prescriber",
    "at": NOW,
}
A_CARD = BY | {
    "id": "c-2",
    "decision_id": "d-1",
    "policies": "[]",
    "topic": "plan",
    "enforcement": "inform",
    "shown_at": NOW,
}
A_REPORT = BY | {
    "card_id": "c-1",
    "at": NOW + timedelta(seconds=1),
    "outcome": "overridden",
    "accepted": "[]",
    "reason_code": "benefit",
    "reason_system": "",
    "comment": "",
    "service": "order-sign",
    "by_role": "ehr",
    "received_at": NOW,
}


def put(sessions, table, row):
    with transaction(sessions) as session:
        session.execute(insert(table.__table__), row)


@pytest.mark.parametrize(
    ("table", "row"),
    [(tables.Snooze, A_SNOOZE), (tables.Card, A_CARD), (tables.CardFeedback, A_REPORT)],
)
def test_a_row_as_it_ought_to_be_is_taken(peopled, table, row):
    put(peopled, table, row)


@pytest.mark.parametrize(
    ("table", "row", "wrong"),
    [
        (tables.Snooze, A_SNOOZE, {"enforcement": "hard-stop"}),
        (tables.Snooze, A_SNOOZE, {"enforcement": "silent"}),
        (tables.Snooze, A_SNOOZE, {"reason": ""}),
        (tables.Snooze, A_SNOOZE, {"until": TODAY}),
        (tables.Snooze, A_SNOOZE, {"policy_id": "a-policy"}),
        (tables.Snooze, A_SNOOZE, {"policy_id": "b-policy"}),
        (tables.Snooze, A_SNOOZE, {"patient_id": "2"}),
        (tables.Snooze, A_SNOOZE, {"by_role": "nobody"}),
        (tables.Snooze, A_SNOOZE, {"organisation_id": "org-2"}),
        (tables.Card, A_CARD, {"enforcement": "silent"}),
        (tables.Card, A_CARD, {"decision_id": "d-2"}),
        (tables.Card, A_CARD, {"id": "c-1"}),
        (tables.CardFeedback, A_REPORT, {"outcome": "ignored"}),
        (tables.CardFeedback, A_REPORT, {"card_id": "c-2"}),
        (tables.CardFeedback, A_REPORT, {"at": NOW}),
        (tables.CardFeedback, A_REPORT, {"comment": "x" * 4001}),
    ],
    ids=str,
)
def test_a_row_that_cannot_be_is_refused(peopled, table, row, wrong):
    with pytest.raises((IntegrityError, DBAPIError)):
        put(peopled, table, row | wrong)


def test_a_snooze_is_ended_once(peopled):
    with pytest.raises(IntegrityError):
        put(peopled, tables.SnoozeEnd, BY | {"snooze_id": "z-1", "by_role": "prescriber", "at": NOW})
