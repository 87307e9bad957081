"""An organisation's calendar: its days, its holidays, and what cannot be."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from stewardship.db import transaction
from stewardship.domain.errors import InvalidInput, NotFound
from stewardship.domain.workdays import Calendar
from stewardship.services import calendars
from tests.function.acting import Acting
from tests.services.declared import ORGANISATION


@pytest.fixture
def acting(clinic, library):
    return Acting(clinic, library)


def keep(acting, calendar):
    with transaction(acting.sessions) as session:
        return calendars.change(session, acting.library, calendar, by=acting.by, now=acting.now)


def today(acting, at):
    with transaction(acting.sessions, write=False) as session:
        return calendars.today(session, acting.library, ORGANISATION, now=datetime.fromisoformat(at))


def test_what_is_not_set_is_as_in_the_reference(acting, library):
    with transaction(acting.sessions, write=False) as session:
        assert calendars.of(session, library, ORGANISATION) == library.calendar
        with pytest.raises(NotFound):
            calendars.of(session, library, "org-unknown")


def test_what_is_set_is_kept(acting, library):
    mine = Calendar("Europe/Berlin", "DE", "BY", frozenset({7}))
    keep(acting, mine)
    with transaction(acting.sessions, write=False) as session:
        assert calendars.of(session, library, ORGANISATION) == mine


@pytest.mark.parametrize(
    "wrong",
    [
        Calendar("Mars/Olympus", "US"),
        Calendar("../etc/passwd", "US"),
        Calendar("UTC", "XX"),
        Calendar("UTC", "US", "ZZ"),
        Calendar("UTC", "US", "", frozenset(range(1, 8))),
        Calendar("UTC", "US", "", frozenset({0, 6})),
    ],
    ids=["zone", "path", "country", "region", "no-working-day", "weekday"],
)
def test_what_cannot_be_is_refused(acting, wrong):
    with pytest.raises(InvalidInput):
        keep(acting, wrong)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        # The night in which clocks go back has 01:30 twice, that in which they go forward no 02:30.
        ("2026-11-01T05:30:00+00:00", date(2026, 11, 1)),
        ("2026-11-01T06:30:00+00:00", date(2026, 11, 1)),
        ("2026-11-02T04:59:59+00:00", date(2026, 11, 1)),
        ("2026-11-02T05:00:00+00:00", date(2026, 11, 2)),
        ("2026-03-08T06:59:59+00:00", date(2026, 3, 8)),
        ("2026-03-08T07:00:00+00:00", date(2026, 3, 8)),
        ("2026-03-09T03:59:59+00:00", date(2026, 3, 8)),
        ("2028-02-29T12:00:00+00:00", date(2028, 2, 29)),
        ("2028-03-01T04:59:59+00:00", date(2028, 2, 29)),
    ],
    ids=[
        "back-1",
        "back-2",
        "back-end",
        "back-next",
        "forward-1",
        "forward-2",
        "forward-end",
        "leap",
        "leap-end",
    ],
)
def test_each_moment_has_one_day_on_the_nights_of_daylight_saving_and_on_a_leap_day(acting, at, day):
    keep(acting, Calendar("America/New_York", "US"))
    assert today(acting, at) == day


def test_a_review_falls_on_a_working_day_of_the_organisation(acting):
    # Fourteen days from 21 November is 5 December, a Saturday: the Friday before.
    acting.takes("p-1", acting.oxycodone(30))
    acting.reconsider("p-1")
    found = acting.open_review("p-1").review
    assert (found.exact_on, found.due_on) == (date(2026, 12, 5), date(2026, 12, 4))


def test_when_the_calendar_changes_what_is_planned_moves_with_it(acting):
    acting.takes("p-1", acting.oxycodone(30))
    acting.reconsider("p-1")
    keep(acting, Calendar("UTC", "US", "", frozenset({1})))
    assert acting.reconsider("p-1").moved
    assert acting.open_review("p-1").review.due_on == date(2026, 12, 5)
