"""A chart as it stood: what was written later is not in it, and is said to have been written later."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from stewardship import exporting
from stewardship.db import transaction
from stewardship.domain.chart import Condition
from stewardship.domain.codes import Coding
from stewardship.domain.errors import InvalidInput, NotFound
from stewardship.domain.policy import in_force
from stewardship.services import history
from tests.builders import NOW, TODAY, a_chart
from tests.services.declared import COMPLIANCE, ELSEWHERE, PRESCRIBER, Declared, a_policy

HOUR = timedelta(hours=1)
#: One version until the day, another from it on.
OLD = a_policy("a-policy", effective_until=TODAY, sha256="1" * 64)
NEW = a_policy("a-policy", version=2, effective_from=TODAY + timedelta(days=1), sha256="2" * 64)


class Dated(Declared):
    """Policies by their days."""

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
