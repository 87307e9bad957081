"""How current a pharmacy's reports are, and when its silence is too long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

DAY = timedelta(days=1)
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a pharmacy may be silent: so many business days, and so many hours on top. Saturdays,
    Sundays and ``holidays`` are no business days."""

    business_days: int
    hours: int
    holidays: frozenset[date]

    def is_business_day(self, day: date) -> bool:
        """Whether reports are made on that day."""
        return day.weekday() < _SATURDAY and day not in self.holidays


def expected_by(data_as_of: datetime, silence: Silence) -> datetime:
    """When the report after the one of ``data_as_of`` has to be there. Time on days that are no business
    days does not count; days are those of UTC."""
    moment = data_as_of.astimezone(UTC)
    if not silence.is_business_day(moment.date()):
        moment = datetime.combine(_next_business_day(moment.date(), silence), time(), UTC)
    for _ in range(silence.business_days):
        moment = datetime.combine(_next_business_day(moment.date(), silence), moment.timetz())
    return moment + timedelta(hours=silence.hours)


def _next_business_day(day: date, silence: Silence) -> date:
    day += DAY
    while not silence.is_business_day(day):
        day += DAY
    return day
