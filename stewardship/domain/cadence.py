"""How often something is looked after: every few minutes, or once a day at a time of a place's clock.

The moments (*slots*) of a cadence follow from the calendar alone. Each is an instant in UTC, so that
neither a change to daylight saving nor a leap day makes one twice or leaves one out: a time that a place
skips is the moment at which it skips it, a time that it has twice is the first of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Every:
    """Again and again, counted from the beginning of 1970 in UTC."""

    period: timedelta

    @property
    def grace(self) -> timedelta:
        """How long after its slot something may begin and still be in time."""
        return self.period

    @property
    def look_every(self) -> timedelta:
        """How often to look whether a slot has come."""
        return self.period

    def latest(self, now: datetime, zone: tzinfo) -> datetime:
        """The last slot up to a moment."""
        return _EPOCH + (now - _EPOCH) // self.period * self.period

    def after(self, moment: datetime, zone: tzinfo) -> datetime:
        """The first slot after a moment."""
        return self.latest(moment, zone) + self.period


@dataclass(frozen=True, slots=True)
class Daily:
    """Once a day, at a time of the place's own clock. Looked for every few minutes, so that a clock that
    is set, or a machine that slept, delays it by minutes and not by a day."""

    at: time

    @property
    def grace(self) -> timedelta:
        """How long after its slot something may begin and still be in time."""
        return timedelta(hours=1)

    @property
    def look_every(self) -> timedelta:
        """How often to look whether a slot has come."""
        return timedelta(minutes=5)

    def latest(self, now: datetime, zone: tzinfo) -> datetime:
        """The last slot up to a moment."""
        # From the day after: where the clock is far ahead of UTC, or set, today's may not be the last.
        day = now.astimezone(zone).date() + _DAY
        while (slot := instant_of(day, self.at, zone)) > now:
            day -= _DAY
        return slot

    def after(self, moment: datetime, zone: tzinfo) -> datetime:
        """The first slot after a moment."""
        day = moment.astimezone(zone).date() - _DAY
        while (slot := instant_of(day, self.at, zone)) <= moment:
            day += _DAY
        return slot


Cadence = Every | Daily


def instant_of(day: date, at: time, zone: tzinfo) -> datetime:
    """The moment at which it is that time of that day at a place, in UTC."""
    said = datetime.combine(day, at, zone)
    instant = said.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == said.replace(tzinfo=None):
        return instant
    # The place skips that time. Read with the offset from before the change, it lies as far behind the
    # change as the time itself behind the last one that there was.
    before, behind = said.utcoffset(), said.replace(fold=1).utcoffset()
    if before is None or behind is None:
        raise ValueError("a place's clock has an offset")
    return _change_between(instant - abs(behind - before), instant, zone)


def _change_between(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """The moment, to the second, at which the place's clock is set between two moments."""
    offset = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def midnight(day: date, zone: tzinfo) -> datetime:
    """The moment at which a day begins at a place."""
    return instant_of(day, time(), zone)
