"""How current a pharmacy's reports are, and when its silence is too long."""

from __future__ import annotations

from collections.abc import Iterable
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


#: The gap of a chart that relies on a pharmacy whose report is overdue; it is about that pharmacy's id.
HISTORY_STALE = "history-stale"


@dataclass(frozen=True, slots=True)
class PharmacyData:
    """How current the dispensings are that a chart relies on: until when all of its pharmacies have
    reported (``None``: of one no whole report ever came), and which of them are silent for too long."""

    as_of: datetime | None
    silent: tuple[str, ...] = ()

    def in_words(self, now: datetime) -> str:
        """One line for a reader, in UTC; the year is said when it is another than that of ``now``."""
        if self.as_of is None:
            said = "Pharmacy data: no whole report yet"
        else:
            moment = self.as_of.astimezone(UTC)
            year = "" if moment.year == now.year else f" {moment.year}"
            said = f"Pharmacy data to {moment.day} {_MONTHS[moment.month - 1]}{year}, {moment:%H:%M} UTC"
        return said + (f"; overdue: {', '.join(self.silent)}." if self.silent else ".")


_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip


def pharmacy_data(data_as_of: datetime | None, gaps: Iterable[tuple[str, str]]) -> PharmacyData | None:
    """How current a chart of that moment and those gaps (code, what it is about) is; ``None`` for one
    without a feed, in which no dispensing data took part."""
    silent = tuple(sorted({about for code, about in gaps if code == HISTORY_STALE}))
    return PharmacyData(data_as_of, silent) if data_as_of is not None or silent else None
