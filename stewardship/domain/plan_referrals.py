"""A referral and its way back: sent, accepted, seen, reported; what has to happen next, and by when.

A referral is closed by its report, not by its letter. What happens later implies what comes before it: a
report of somebody whose visit nobody noted was seen. Nothing goes backwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from stewardship.domain.errors import Conflict, Fault, InvalidInput
from stewardship.domain.treatments import Source


class ReferralStatus(StrEnum):
    """Where a referral stands."""

    SENT = "sent"
    ACCEPTED = "accepted"
    SEEN = "seen"
    REPORTED = "reported"  # the loop is closed
    DECLINED = "declined"  # by whom it was sent to
    CANCELLED = "cancelled"


#: In the order in which they come about.
_WAY = (ReferralStatus.SENT, ReferralStatus.ACCEPTED, ReferralStatus.SEEN, ReferralStatus.REPORTED)
OPEN = frozenset(_WAY[:-1])


@dataclass(frozen=True, slots=True)
class Urgency:
    """How long each part of the way may take, in days: accepted after it was sent, seen after that, and
    reported after the visit."""

    id: str
    title: str
    accepted_days: int
    seen_days: int
    reported_days: int
    sources: tuple[Source, ...] = ()
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a referral, on a day."""

    status: ReferralStatus
    on: date
    note: str = ""


@dataclass(frozen=True, slots=True)
class Referral:
    """A referral to a discipline: why, how urgent, who refers (``source``), and what happened. ``step`` is
    the step of the plan that it is for, if any; ``to`` the id of who it goes to, never a name."""

    id: str
    plan_id: str
    patient_id: str
    discipline: str
    reason: str
    urgency: str
    source: str
    happened: tuple[Happened, ...]
    step: str = ""
    to: str = ""

    @property
    def status(self) -> ReferralStatus:
        """Where it stands."""
        return self.happened[-1].status

    @property
    def is_open(self) -> bool:
        """Whether its report is still to come."""
        return self.status in OPEN

    def on(self, status: ReferralStatus) -> date | None:
        """When something happened, if it was noted."""
        return next((h.on for h in self.happened if h.status is status), None)


def due_on(referral: Referral, urgencies: Mapping[str, Urgency]) -> date | None:
    """The last day for what has to happen next; ``None`` when nothing has to."""
    if not referral.is_open:
        return None
    urgency = urgencies[referral.urgency]
    last = referral.happened[-1]
    days = {
        ReferralStatus.SENT: urgency.accepted_days,
        ReferralStatus.ACCEPTED: urgency.seen_days,
        ReferralStatus.SEEN: urgency.reported_days,
    }[last.status]
    return last.on + timedelta(days)


def overdue(referral: Referral, urgencies: Mapping[str, Urgency], today: date) -> bool:
    """Whether what has to happen next should have happened before today."""
    due = due_on(referral, urgencies)
    return due is not None and due < today


_NEXT = {
    ReferralStatus.SENT: "to be accepted",
    ReferralStatus.ACCEPTED: "to be seen",
    ReferralStatus.SEEN: "to be reported back",
}


def waits_for(referral: Referral) -> str:
    """What has to happen next, in words; empty when nothing has to."""
    return _NEXT.get(referral.status, "")


def still_to_come(referral: Referral) -> tuple[ReferralStatus, ...]:
    """What may happen to it from here on: what lies ahead on its way, or that it ends without a report."""
    if not referral.is_open:
        return ()
    ahead = _WAY[_WAY.index(referral.status) + 1 :]
    return (*ahead, ReferralStatus.DECLINED, ReferralStatus.CANCELLED)


def moved(referral: Referral, to: ReferralStatus, *, on: date, note: str = "") -> Referral:
    """The referral after an event. Raises ``Conflict`` when it cannot come about any more, ``InvalidInput``
    for a day before the last event."""
    if not referral.is_open:
        raise Conflict(f"the referral is {referral.status} since {referral.happened[-1].on}", code="closed")
    if to in _WAY and _WAY.index(to) <= _WAY.index(referral.status):
        raise Conflict(f"the referral is {referral.status} already", code="backwards")
    if on < referral.happened[-1].on:
        words = f"the last event was on {referral.happened[-1].on}"
        raise InvalidInput(words, faults=(Fault("/on", "before-last-event", words),))
    return replace(referral, happened=(*referral.happened, Happened(to, on, note)))
