"""What follows when an order was kept: its patient is looked at once more, for a pharmacist's flags.

It is done after the order and apart from it, for all faces that take orders: a fault here takes nothing back,
and the nightly watch looks again.
"""

from __future__ import annotations

from datetime import datetime

from stewardship.db import Sessions, transaction
from stewardship.domain.errors import StewardshipError
from stewardship.domain.people import Principal
from stewardship.observability import report_fault
from stewardship.services import watch


def look_again(
    sessions: Sessions, library: watch.Library, decision_id: str | None, *, by: Principal, now: datetime
) -> None:
    """Raise what the order of this decision brings to a pharmacist."""
    if decision_id is None:
        return
    try:
        with transaction(sessions, late=True) as session:
            watch.after_order(session, library, decision_id, by=by, now=now)
    except StewardshipError as fault:
        report_fault(fault)
