"""Which day it is for an organisation, and on which days somebody there can look at a patient.

A day begins at midnight where the organisation is: instants are kept in UTC and turned into days here, by
the rules of its time zone, so that a change to or from daylight saving neither adds nor loses one.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from stewardship.db import tables
from stewardship.db.prepared import Prepared
from stewardship.domain.errors import Fault, InvalidInput, NotFound
from stewardship.domain.people import Principal
from stewardship.domain.workdays import Calendar, WorkingDays
from stewardship.services import audit

_organisations: Any = tables.Organisation.__table__
_DAYS_OF_WEEK = frozenset(range(1, 8))
_CALENDAR = Prepared(
    select(
        _organisations.c.time_zone,
        _organisations.c.holiday_country,
        _organisations.c.holiday_region,
        _organisations.c.weekend,
    ).where(_organisations.c.id == bindparam("organisation"))
)


class Calendars(Protocol):
    """The part of the library that knows holidays."""

    @property
    def calendar(self) -> Calendar:
        """The calendar of an organisation that has set none."""
        ...

    def working_days(self, calendar: Calendar) -> WorkingDays:
        """Its working days; raises ``InvalidInput`` for holidays that nobody knows."""
        ...


def of(session: Session, library: Calendars, organisation_id: str) -> Calendar:
    """The calendar of an organisation: what it has set, the rest as in the reference.

    Raises ``NotFound`` when there is no such organisation.
    """
    row = _CALENDAR.first(session, {"organisation": organisation_id})
    if row is None:
        raise NotFound("there is no such organisation")
    usual = library.calendar
    # A region is of its country: of another one than the usual it is none unless it is set.
    own_country = row.holiday_country is not None
    region = row.holiday_region if own_country else usual.region
    return Calendar(
        row.time_zone or usual.time_zone,
        row.holiday_country or usual.country,
        region or "",
        usual.weekend if row.weekend is None else _weekend(row.weekend),
    )


def zone(calendar: Calendar) -> ZoneInfo:
    """The rules of its time zone; raises ``InvalidInput`` for a name that is not in the IANA database."""
    try:
        return ZoneInfo(calendar.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        words = 'name a time zone of the IANA database, such as "America/New_York"'
        raise InvalidInput(words, faults=(Fault("/time_zone", "unknown", words),)) from None


def there(now: datetime, calendar: Calendar) -> datetime:
    """The same moment as the clocks of the organisation show it."""
    return now.astimezone(zone(calendar))


def today(session: Session, library: Calendars, organisation_id: str, *, now: datetime) -> date:
    """Which day it is for an organisation."""
    return there(now, of(session, library, organisation_id)).date()


def change(
    session: Session, library: Calendars, calendar: Calendar, *, by: Principal, now: datetime
) -> Calendar:
    """Give the caller's organisation a calendar. What is planned already keeps its day until the clock is
    asked again. Raises ``InvalidInput`` for a zone, holidays or a weekend that cannot be."""
    zone(calendar)
    library.working_days(calendar)
    if not calendar.weekend < _DAYS_OF_WEEK:
        words = "the weekend is days from 1, Monday, to 7, and not all of them"
        raise InvalidInput(words, faults=(Fault("/weekend", "days", words),))
    weekend = ",".join(str(day) for day in sorted(calendar.weekend))
    changed = (
        update(_organisations)
        .where(_organisations.c.id == by.organisation_id)
        .values(
            time_zone=calendar.time_zone,
            holiday_country=calendar.country,
            holiday_region=calendar.region,
            weekend=weekend,
        )
    )
    if session.connection().execute(changed).rowcount != 1:
        raise NotFound("there is no such organisation")
    detail = {
        "time_zone": calendar.time_zone,
        "country": calendar.country,
        "region": calendar.region,
        "weekend": weekend,
    }
    audit.record(session, "organisation.calendar", subject=by.organisation_id, by=by, now=now, detail=detail)
    return calendar


def _weekend(written: str) -> frozenset[int]:
    return frozenset(int(day) for day in written.split(",") if day)
