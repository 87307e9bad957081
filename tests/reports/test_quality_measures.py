"""Quality measures as a report: known people, numbers that cannot be worked out, and who is behind them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from stewardship.db import transaction
from stewardship.domain.errors import InvalidInput
from stewardship.reports.listed import REPORTS
from stewardship.reports.quality_measures import _without_steps
from stewardship.reports.reporting import WITHHELD, Asked, Column, Kind, Report, Table
from stewardship.reports.suppression import suppressed, without_small_numbers
from tests.measures.claiming import YEAR
from tests.measures.test_run import BY, NOW, library, sessions, url

__all__ = ["library", "sessions", "url"]

HDO = Asked(BY.organisation_id, date(YEAR, 1, 1), date(YEAR + 1, 1, 1), measure="hedis-hdo", now=NOW)


def make(sessions, library, report_id, asked=HDO) -> Report:
    with transaction(sessions, write=False) as session:
        return REPORTS[report_id].make(session, library, asked)


def rows(report, name):
    return [tuple(row) for row in next(table for table in report.tables if table.name == name).rows]


def test_thresholds_stand_side_by_side_and_every_number_is_what_five_people_come_to(sessions, library):
    # high: 90 MME a day; near: 75; ill: cancer; ageless: no date of birth; child: not looked at.
    report = make(sessions, replace(library, fewest_shown=1), "quality-measures")
    told = {row[0]: row[2:] for row in rows(report, "rates")}
    assert told["hedis-hdo: 90-mme"] == ("yes", 2, 1, Decimal("50.00"), 0, 1)
    assert told["hedis-hdo: 50-mme"] == ("beside it", 2, 2, Decimal("100.00"), 0, 0)
    assert told["hedis-hdo: 120-mme"] == ("beside it", 2, 0, Decimal("0.00"), 0, 1)
    assert rows(report, "population") == [("hedis-hdo", 2, 1, 1)]
    assert ("hedis-hdo", "excluded", "cancer", 1) in rows(report, "reasons")
    assert report.picture.series == {"Rate": (Decimal("50.00"),)}


def test_the_definition_goes_along_with_its_version_date_and_what_is_not_verified(sessions, library):
    measure = next(one for one in library.measures if one.id == "hedis-hdo")
    ((name, title, version, effective, source, unverified),) = rows(
        make(sessions, library, "quality-measures"), "definitions"
    )
    assert (name, version, effective) == ("hedis-hdo", measure.version, measure.effective)
    assert measure.steward in title
    assert measure.source.date.isoformat() in source
    assert unverified == measure.unverified
    assert set(measure.assumptions) <= set(make(sessions, library, "quality-measures").limits)


def test_a_handful_of_people_is_withheld_in_table_and_picture(sessions, library):
    report = without_small_numbers(make(sessions, library, "quality-measures"), fewest=11)
    assert {row[4] for row in rows(report, "rates")} <= {WITHHELD, 0}
    assert report.picture.series == {"Rate": (None,)}


def test_the_drill_down_names_patients_claims_and_the_number_beside_its_limit(sessions, library):
    listed = rows(make(sessions, library, "measure-patients"), "patients")
    of = [row for row in listed if row[1] == "90-mme"]
    assert sorted(row[3] for row in of) == ["counts", "nearly counts"]
    assert {row[4] for row in of} == {"mme 90 of 90", "mme 75 of 90"}
    assert all(len(row[7].split(", ")) == 2 and row[5] <= row[6] for row in of)
    assert sorted(row[3] for row in listed if not row[1]) == [
        "cannot tell: birth-date-missing",
        "excluded: cancer",
    ]


def test_all_measures_are_run_unless_one_is_named_and_none_is_made_up(sessions, library):
    every = make(sessions, library, "quality-measures", replace(HDO, measure=""))
    assert {row[0] for row in rows(every, "definitions")} == {one.id for one in library.measures}
    with pytest.raises(InvalidInput) as refused:
        make(sessions, library, "quality-measures", replace(HDO, measure="hedis-xyz"))
    assert refused.value.faults[0].pointer == "/measure"


COLUMNS = (
    Column("who", "Who"),
    Column("whole", "All", Kind.COUNT),
    Column("part", "Some", Kind.COUNT),
    Column("share", "Share", Kind.SHARE, of=("whole", "part")),
    Column("other", "Others", Kind.COUNT),
)


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (("a", 40, 29, Decimal("72.5"), 12), ("a", 40, 29, Decimal("72.5"), 12)),
        (("a", 40, 30, Decimal("75.0"), 12), ("a", 40, WITHHELD, WITHHELD, 12)),
        (("a", 40, 40, Decimal("100.0"), 12), ("a", 40, 40, Decimal("100.0"), 12)),
        (("a", 40, 0, Decimal("0.0"), 12), ("a", 40, 0, Decimal("0.0"), 12)),
        (("a", 40, 29, Decimal("72.5"), 3), ("a", 40, 29, Decimal("72.5"), WITHHELD)),
    ],
    ids=["eleven left", "ten left", "nobody left", "nobody in it", "another count is small"],
)
def test_a_part_is_withheld_when_what_is_left_of_its_whole_is_a_few_people(row, shown):
    table = Table("t", "T", COLUMNS, [row], people=("whole", "part", "other"), parts=(("part", "whole"),))
    made, _ = suppressed(table, fewest=11, parts=table.people)
    assert tuple(made.rows[0]) == shown


@pytest.mark.parametrize(("beside", "hidden"), [(31, False), (30, True), (20, False), (19, True)])
def test_a_step_of_a_few_people_between_two_limits_is_withheld(beside, hidden):
    official = ("m: 90", "", "yes", 60, 20, Decimal("33.33"), 0, 0)
    made, count = _without_steps(
        [official, ("m: 50", "", "beside it", 60, beside, Decimal("50.00"), 0, 0)], 11
    )
    assert made[0] == official
    assert (made[1][4] is WITHHELD, count) == (hidden, int(hidden))
