"""A review that is due: planned, due, done, missed or cancelled, and how it goes from one to the next.

Pure transitions: each takes a review and answers with the next one, or with ``Conflict`` when it cannot be.
The same call twice does the same as once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from stewardship.domain.errors import Conflict, Fault, InvalidInput
from stewardship.domain.instruments import Instrument
from stewardship.domain.reassessment import ClockAnswer, ClockTerms, Due, satisfies_review


class State(StrEnum):
    """Where a review stands."""

    PLANNED = "planned"  # its day lies ahead
    DUE = "due"  # open on the worklist
    DONE = "done"
    MISSED = "missed"  # its day has passed; it can still be done, late
    CANCELLED = "cancelled"  # no longer needed, with a reason


OPEN = frozenset({State.PLANNED, State.DUE, State.MISSED})


@dataclass(frozen=True, slots=True)
class Review:
    """One look at a patient. ``interval`` and ``exact_on`` say for which line of the clock and for which
    day: a patient has one review for both. It is counted from ``since``. ``reason`` is why it was
    cancelled."""

    interval: str
    exact_on: date
    due_on: date
    since: date
    state: State = State.PLANNED
    done_on: date | None = None
    reason: str = ""

    @property
    def late_days(self) -> int:
        """How many days after its day it was done; 0 when in time, early or not done."""
        return max(0, (self.done_on - self.due_on).days) if self.done_on else 0


def plan(due: Due) -> Review:
    """The review that the clock asks for."""
    return Review(due.interval, due.exact_on, due.on, due.since)


def advance(review: Review, *, today: date, terms: ClockTerms) -> Review:
    """Planned becomes due when its time opens, due becomes missed when its day is over. A day that was
    slept through changes nothing: from planned it may go to missed at once."""
    if review.state not in (State.PLANNED, State.DUE):
        return review
    if today > review.due_on + timedelta(terms.missed_days_after):
        return replace(review, state=State.MISSED)
    if today >= review.due_on - timedelta(terms.opens_days_before):
        return replace(review, state=State.DUE)
    return review


def complete(review: Review, *, on: date, measured: Iterable[Instrument]) -> Review:
    """The review was done, early, in time or late. Pain alone is not a review."""
    if review.state is State.DONE and review.done_on == on:
        return review
    if review.state not in OPEN:
        raise Conflict(f"the review is {review.state}; it cannot be done")
    if not satisfies_review(measured):
        raise InvalidInput(
            "a pain score alone is no review",
            faults=(
                Fault("/measured", "no-function", "Measure function or goals too, for example with PEG."),
            ),
        )
    return replace(review, state=State.DONE, done_on=on)


def cancel(review: Review, *, reason: str) -> Review:
    """The review is no longer needed."""
    if not reason.strip():
        raise InvalidInput(
            "a review is cancelled with a reason", faults=(Fault("/reason", "required", "Say why."),)
        )
    if review.state is State.CANCELLED:
        return review
    if review.state not in OPEN:
        raise Conflict(f"the review is {review.state}; it cannot be cancelled")
    return replace(review, state=State.CANCELLED, reason=reason.strip())


def follow(held: Review | None, answer: ClockAnswer, *, reviews: Iterable[date] = ()) -> tuple[Review, ...]:
    """What to keep after the clock was asked again, for the one open review of a patient.

    The review as it is; or the old one and the new one that is planned in its place. The old one is done
    when a review since then is on record and the clock no longer asks for it, else cancelled. What the
    clock could not tell is no reason to cancel anything."""
    wanted = None if answer.due is None else plan(answer.due)
    if held is None or held.state not in OPEN:
        return () if wanted is None or (held is not None and _same(held, wanted)) else (wanted,)
    if wanted is not None and _same(held, wanted):
        return (held,)
    after = () if wanted is None else (wanted,)
    asked = {(due.interval, due.exact_on) for due in answer.every}
    done_on = min((day for day in reviews if day > held.since), default=None)
    if done_on is not None and (held.interval, held.exact_on) not in asked:
        return (replace(held, state=State.DONE, done_on=done_on), *after)
    if not answer.told and (wanted is None or wanted.due_on > held.due_on):
        return (held,)
    reason = "no longer needed" if wanted is None else "another is due instead"
    return (cancel(held, reason=reason), *after)


def _same(held: Review, wanted: Review) -> bool:
    return (held.interval, held.exact_on) == (wanted.interval, wanted.exact_on)
