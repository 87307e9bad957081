"""What the passing of time alone can bring about: on which day a patient has to be looked at again although
nothing new is on record.

Every rule but one looks back from the days of the supplies themselves, so its answer stays the same until
there are new facts. What changes by itself is this: a supply that begins later has begun; a supply that was
stopped on an unknown day may have been taken until yesterday; and one that ended with nothing after it
counts as ended some days later.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from stewardship.domain.flags.doses import DoseFalling
from stewardship.domain.flags.history import History
from stewardship.domain.orders import Supply

_DAY = timedelta(days=1)


def next_look(supplies: Iterable[Supply], history: History, rule: DoseFalling) -> date | None:
    """The first day after that of the history on which a look may see something else; ``None``: never."""
    today = history.as_of
    days = {s.start_on for s in supplies if s.start_on is not None and s.start_on > today}
    for row in history.rows:
        exposure = row.exposure
        undated_stop = row.supply.status == "stopped" and row.supply.ended_on is None
        if undated_stop and (exposure.ends is None or exposure.ends >= today):
            days.add(today + _DAY)
    if history.counted:
        ended = date.fromordinal(max(history.ends)) + timedelta(days=rule.ended_days)
        if ended > today:
            days.add(ended)
    return min(days, default=None)
