"""When a pharmacy's next report is due: a business day and half a day after the newest one."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from stewardship.declarations.feeds import read_feed_terms
from stewardship.declarations.places import REFERENCE
from stewardship.domain.currency import PharmacyData, Silence, expected_by, pharmacy_data

THANKSGIVING = date(2026, 11, 26)
SILENCE = Silence(1, 12, frozenset({THANKSGIVING}))


def at(day, hour=10):
    return datetime(2026, 11, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("made", "due"),
    [
        (at(17), at(18, 22)),
        (at(20), at(23, 22)),
        (at(20, 20), at(24, 8)),
        (at(21), at(24, 12)),
        (at(25), at(27, 22)),
    ],
    ids=["Tuesday", "Friday", "Friday evening", "Saturday", "before a holiday"],
)
def test_weekends_and_holidays_do_not_count(made, due):
    assert expected_by(made, SILENCE) == due


def test_the_declared_holidays_are_days_on_which_offices_would_be_open():
    holidays = read_feed_terms(REFERENCE).silence.holidays
    assert THANKSGIVING in holidays
    assert all(day.weekday() < 5 for day in holidays)
    assert {day.year for day in holidays} == {2025, 2026, 2027, 2028}


@pytest.mark.parametrize(
    ("as_of", "silent", "words"),
    [
        (datetime(2026, 11, 19, 10, 15, tzinfo=UTC), (), "Pharmacy data to 19 November, 10:15 UTC."),
        (datetime(2025, 1, 2, 3, 4, tzinfo=UTC), (), "Pharmacy data to 2 January 2025, 03:04 UTC."),
        (
            datetime(2026, 11, 19, 10, 15, tzinfo=UTC),
            ("ncpdp:1", "ncpdp:2"),
            "Pharmacy data to 19 November, 10:15 UTC; overdue: ncpdp:1, ncpdp:2.",
        ),
        (None, ("ncpdp:1",), "Pharmacy data: no whole report yet; overdue: ncpdp:1."),
    ],
)
def test_how_current_the_data_is_in_one_line(as_of, silent, words):
    assert PharmacyData(as_of, silent).in_words(datetime(2026, 11, 21, tzinfo=UTC)) == words


def test_without_a_feed_no_dispensing_data_took_part():
    assert pharmacy_data(None, [("history-missing", "medications")]) is None
    stale = pharmacy_data(None, [("history-stale", "ncpdp:1")])
    assert stale is not None
    assert stale.silent == ("ncpdp:1",)
