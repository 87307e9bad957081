"""Moments at which something is looked after: none twice, none left out, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.cadence import Daily, Every, instant_of, midnight

NEW_YORK = ZoneInfo("America/New_York")
QUARTER = Every(timedelta(minutes=15))
PLACES = [ZoneInfo(name) for name in ("UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "slot"),
    [
        (utc(2026, 11, 21, 12), utc(2026, 11, 21, 12)),
        (utc(2026, 11, 21, 12, 14, 59), utc(2026, 11, 21, 12)),
        (utc(2026, 11, 21, 12, 15), utc(2026, 11, 21, 12, 15)),
    ],
    ids=["on the slot", "just before the next", "on the next"],
)
def test_every_quarter_of_an_hour(now, slot):
    assert QUARTER.latest(now, UTC) == slot
    assert QUARTER.after(now, UTC) == slot + timedelta(minutes=15)


def test_a_time_that_is_skipped_is_the_moment_at_which_it_is_skipped():
    # 14 March 2027, New York: from 02:00 EST, which is 07:00 UTC, straight to 03:00 EDT.
    assert instant_of(date(2027, 3, 14), time(2, 30), NEW_YORK) == utc(2027, 3, 14, 7)


def test_a_time_that_comes_twice_is_the_first_of_the_two():
    # 1 November 2026, New York: 01:30 EDT is 05:30 UTC, 01:30 EST is 06:30 UTC.
    assert instant_of(date(2026, 11, 1), time(1, 30), NEW_YORK) == utc(2026, 11, 1, 5, 30)


@pytest.mark.parametrize(
    ("year", "month", "first", "at"),
    [(2027, 3, 12, time(2, 30)), (2026, 10, 30, time(1, 30)), (2028, 2, 27, time(0, 0))],
    ids=["spring", "autumn", "leap day"],
)
def test_each_day_has_one_slot_seen_at_every_minute_of_five_days(year, month, first, at):
    daily, start = Daily(at), datetime(year, month, first, tzinfo=NEW_YORK).astimezone(UTC)
    seen = []
    for minute in range(5 * 24 * 60):
        slot = daily.latest(start + timedelta(minutes=minute), NEW_YORK)
        if not seen or slot != seen[-1]:
            seen.append(slot)
    assert seen == sorted(set(seen))
    days = [slot.astimezone(NEW_YORK).date() for slot in seen]
    assert days == [days[0] + timedelta(n) for n in range(len(days))]


@given(
    st.integers(0, 20 * 366 * 24 * 3600).map(lambda seconds: utc(2020, 1, 1) + timedelta(seconds=seconds)),
    st.times(),
    st.sampled_from(PLACES),
)
def test_a_slot_is_past_and_the_next_one_ahead(now, at, zone):
    daily = Daily(at)
    slot, following = daily.latest(now, zone), daily.after(now, zone)
    assert slot <= now < following
    assert daily.after(slot, zone) == following
    assert daily.latest(following, zone) == following
    # Half an hour is the least that any place's clock is set, a day and an hour the most between two.
    assert timedelta(hours=22) <= following - slot <= timedelta(hours=26)


def test_a_day_begins_at_midnight_where_there_is_one():
    assert midnight(date(2028, 2, 29), NEW_YORK) == utc(2028, 2, 29, 5)
    # Santiago's clocks go from 24:00 on 5 September straight to 01:00.
    assert midnight(date(2026, 9, 6), ZoneInfo("America/Santiago")) == utc(2026, 9, 6, 4)
