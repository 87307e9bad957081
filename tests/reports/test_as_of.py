"""A chart as it stood: what was written later is not in it, and is said to have been written later."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import select

from stewardship import exporting
from stewardship.db import tables, transaction
from stewardship.domain.chart import Condition
from stewardship.domain.codes import Coding
from stewardship.domain.errors import InvalidInput, NotFound
from stewardship.domain.policy import in_force
from stewardship.services import history, orders
from tests.builders import NOW, TODAY, a_chart, an_order
from tests.services.declared import COMPLIANCE, ELSEWHERE, PRESCRIBER, Declared, a_policy
from tests.services.feeding import REVISE, TERMS, VOID, a_report, bring

HOUR = timedelta(hours=1)
#: One version until the day, another from it on.
OLD = a_policy("a-policy", effective_until=TODAY, sha256="1" * 64)
NEW = a_policy("a-policy", version=2, effective_from=TODAY + timedelta(days=1), sha256="2" * 64)


class Dated(Declared):
    """Policies by their days, and the terms of feeds."""

    feeds = TERMS

    def in_force(self, on):
        return in_force(self.policies, on)


def a_condition(name, code):
    return Condition(name, (Coding("icd-10-cm", code),), active=True, recorded_on=date(2026, 1, 1))


def as_of(sessions, at, *, patient="p-1", by=COMPLIANCE, now=NOW + 5 * HOUR):
    library = Dated([OLD, NEW])
    with transaction(sessions, write=False) as session:
        made = exporting.as_of(session, library, patient, at, by=by, now=now)
    return {table.name: [tuple(row) for row in table.rows] for table in made.report.tables}, made


@pytest.fixture
def told(clinic):
    """A diagnosis at noon, another two hours later."""
    for hours, condition in ((0, a_condition("c-1", "M54.5")), (2, a_condition("c-2", "C61"))):
        with transaction(clinic) as session:
            chart = a_chart(conditions=(condition,))
            history.store(session, [chart], source="test", by=PRESCRIBER, now=NOW + hours * HOUR)
    return clinic


def test_what_was_written_later_is_not_in_it_and_is_counted(told):
    tables, made = as_of(told, NOW + HOUR)
    assert [(row[0], row[3]) for row in tables["records"]] == [("condition", "c-1")]
    assert dict(tables["later"]) == {"conditions": 1}
    now, _ = as_of(told, NOW + 3 * HOUR)
    assert {row[3] for row in now["records"]} == {"c-1", "c-2"}
    assert now["later"] == []
    before, _ = as_of(told, NOW - HOUR)
    assert (before["records"], dict(before["later"])) == ([], {"conditions": 2})
    assert dict(before["facts"])["Known at the instant"].startswith("no")
    # By our own id it is the same, and the record of who asked holds that id and no other.
    assert as_of(told, NOW + HOUR, patient=made.report.asked.patient)[0] == tables


def test_a_diagnosis_that_was_rewritten_is_shown_as_the_last_decision_had_it(clinic):
    for hours, code in ((0, "M54.5"), (2, "C61")):
        with transaction(clinic) as session:
            chart = a_chart(conditions=(a_condition("c-1", code),))
            history.store(session, [chart], source="test", by=PRESCRIBER, now=NOW + hours * HOUR)
        if not hours:
            # Before anybody decided, what it said then is not on record later.
            decided_at = NOW + HOUR / 2
            with transaction(clinic) as session:
                given = {"by": PRESCRIBER, "now": decided_at}
                orders.submit(session, Dated([OLD]), an_order(), a_chart(), **given)
    before, _ = as_of(clinic, NOW + HOUR / 4)
    assert (before["records"], dict(before["later"])) == ([], {"conditions": 1})
    then, made = as_of(clinic, NOW + HOUR)
    note = "yes; as the decision of 2026-11-21 12:30 UTC had it"
    assert [(row[1], row[3], row[4]) for row in then["records"]] == [("icd-10-cm M54.5", "c-1", note)]
    now, _ = as_of(clinic, NOW + 3 * HOUR)
    assert [(row[1], row[4]) for row in now["records"]] == [("icd-10-cm C61", "")]
    assert any("What was written here since" in words for words in made.report.limits)


@pytest.mark.parametrize("status", [REVISE, VOID], ids=["revised", "void"])
def test_a_dispensing_that_was_corrected_is_shown_as_it_was_reported_by_then(clinic, status):
    bring(clinic, a_report(number=1))
    with transaction(clinic, write=False) as session:
        (patient,) = session.execute(select(tables.Patient.ehr_id)).scalars()
    at = NOW + HOUR
    (before,) = as_of(clinic, at, patient=patient)[0]["supplies"]
    changed = a_report(status, number=1, control="0002", created="20260106*0930", e09="12")
    bring(clinic, changed, now=NOW + 2 * HOUR)
    (then,) = as_of(clinic, at, patient=patient)[0]["supplies"]
    assert (before[-1], then) == ("", (*before[:-1], "yes; as it was reported by then"))
    now = as_of(clinic, NOW + 3 * HOUR, patient=patient)[0]["supplies"]
    if status == VOID:
        assert now == []
    else:
        assert [(row[4].split()[0], row[-1]) for row in now] == [("12", "")]
        assert before[4] != now[0][4]
    assert as_of(clinic, NOW - HOUR, patient=patient)[0]["supplies"] == []


def test_the_policies_are_those_of_the_day(told):
    later = NOW + timedelta(days=2)
    for at, version, sha256 in ((NOW, 1, "1" * 64), (NOW + timedelta(days=1), 2, "2" * 64)):
        ((policy, *row),) = as_of(told, at, now=later)[0]["policies"]
        assert (policy, row[0], row[-1]) == ("a-policy", version, sha256)


def test_nobody_of_another_organisation_and_no_moment_to_come(told):
    with pytest.raises(NotFound):
        as_of(told, NOW, by=ELSEWHERE)
    with pytest.raises(NotFound):
        as_of(told, NOW, patient="nobody")
    with pytest.raises(InvalidInput):
        as_of(told, NOW + HOUR, now=NOW)
