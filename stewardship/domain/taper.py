"""A taper under way: what was agreed, its steps, and how it pauses, goes on, slows down, goes back, ends.

It begins with a decision that patient and prescriber share, never without. Each change is an act with a day
and a reason, and answers with the taper as it is then; a taper never becomes faster than it was agreed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from stewardship.domain.errors import Conflict, Fault, InvalidInput
from stewardship.domain.tablets import WEEK, Piece, Week
from stewardship.domain.taper_schedule import Pace, Schedule, Step, TaperTerms, faster, onward


class TaperStatus(StrEnum):
    """Where a taper stands."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"  # it came to its end
    STOPPED = "stopped"  # given up; the dose stays as it is


class AskedBy(StrEnum):
    """Who brought it up."""

    PATIENT = "patient"
    PRESCRIBER = "prescriber"


class TaperAct(StrEnum):
    """What was done to a taper."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    SLOW = "slow"
    REVERSE = "reverse"
    STOP = "stop"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class SharedDecision:
    """That patient and prescriber decided together: when, who brought it up, and in the patient's words
    what it is for. ``naloxone`` says whether it was offered."""

    on: date
    asked_by: AskedBy
    agreed: bool
    words: str
    naloxone: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One act: what, on which day, and why."""

    act: TaperAct
    on: date
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Taper:
    """A taper of one medicine. ``opioid`` are the ingredient codes of what is reduced; ``first_mg_per_day``
    the dose that it began with; ``steps`` those that were and those that are planned. While it is paused,
    ``paused_on`` is since when."""

    id: str
    patient_id: str
    medicine: str
    code: str
    opioid: str
    first_mg_per_day: Decimal
    starts_on: date
    pace: Pace
    pieces: tuple[Piece, ...]
    most_pieces: int
    times_a_day: int
    decision: SharedDecision
    steps: tuple[Step, ...]
    changes: tuple[Change, ...]
    status: TaperStatus = TaperStatus.ACTIVE
    paused_on: date | None = None
    plan_id: str = ""

    @property
    def under_way(self) -> bool:
        """Whether it goes on, or may go on again."""
        return self.status in (TaperStatus.ACTIVE, TaperStatus.PAUSED)

    def step_on(self, day: date) -> Step | None:
        """The step that a day lies in; ``None`` before the first."""
        return next((s for s in reversed(self.steps) if s.starts_on <= day), None)

    def mg_per_week_on(self, day: date) -> Decimal:
        """The planned dose of a day, in milligrams a week; during a pause, that of the day of the pause."""
        step = self.step_on(day if self.paused_on is None else min(day, self.paused_on))
        return self.first_mg_per_day * WEEK if step is None else step.mg_per_week

    def next_step(self, today: date) -> Step | None:
        """The next change of dose; ``None`` while it is paused, and when none is left."""
        if self.status is not TaperStatus.ACTIVE:
            return None
        return next((s for s in self.steps if s.starts_on > today), None)


def begin(
    schedule: Schedule, *, taper_id: str, patient_id: str, decision: SharedDecision, plan_id: str = ""
) -> Taper:
    """A taper by a schedule. Raises ``InvalidInput`` unless patient and prescriber agreed, and said why."""
    faults = []
    if not decision.agreed:
        words = "a taper begins only when patient and prescriber choose it together"
        faults.append(Fault("/decision/agreed", "not-agreed", words))
    if not decision.words.strip():
        faults.append(Fault("/decision/words", "required", "write what the patient wants it for"))
    if decision.on > schedule.starts_on:
        faults.append(Fault("/decision/on", "after-start", "the decision comes before the first step"))
    if faults:
        raise InvalidInput("no shared decision is recorded", faults=tuple(faults))
    drug = schedule.drug
    return Taper(
        id=taper_id,
        patient_id=patient_id,
        medicine=drug.name,
        code=drug.code.code,
        opioid=drug.opioid_codes,
        first_mg_per_day=schedule.first_mg_per_day,
        starts_on=schedule.starts_on,
        pace=schedule.pace,
        pieces=schedule.pieces,
        most_pieces=schedule.most_pieces,
        times_a_day=schedule.times_a_day,
        decision=decision,
        steps=schedule.steps,
        changes=(Change(TaperAct.START, decision.on),),
        plan_id=plan_id,
    )


def pause(taper: Taper, *, on: date, reason: str) -> Taper:
    """Hold the dose. Nothing goes down until it is resumed."""
    _refuse_unless(taper, TaperStatus.ACTIVE, "pause")
    _refuse_past(taper, on)
    return replace(
        taper, status=TaperStatus.PAUSED, paused_on=on, changes=_with(taper, TaperAct.PAUSE, on, reason)
    )


def resume(taper: Taper, *, on: date, reason: str) -> Taper:
    """Go on: what was left of the step that was paused is still to come, and all later steps move."""
    _refuse_unless(taper, TaperStatus.PAUSED, "resume")
    _refuse_past(taper, on)
    since = taper.paused_on or on
    shift = on - since
    steps = []
    for step in taper.steps:
        if step.starts_on > since:
            steps.append(replace(step, starts_on=step.starts_on + shift))
        elif step is taper.step_on(since):
            steps.append(replace(step, days=step.days + shift.days))
        else:
            steps.append(step)
    return replace(
        taper,
        status=TaperStatus.ACTIVE,
        paused_on=None,
        steps=_closed(steps),
        changes=_with(taper, TaperAct.RESUME, on, reason),
    )


def slow(
    taper: Taper, *, on: date, percent: Decimal, step_days: int, reason: str, terms: TaperTerms
) -> Taper:
    """Go on more slowly: smaller steps, or longer ones, or both; never faster. From the dose of that day."""
    _refuse_unless(taper, TaperStatus.ACTIVE, "slow down")
    _refuse_past(taper, on)
    pace = replace(
        taper.pace,
        id="agreed",
        title=f"{percent} % every {step_days} days",
        percent=percent,
        step_days=step_days,
    )
    if faster(pace, taper.pace) or (percent, step_days) == (taper.pace.percent, taper.pace.step_days):
        words = f"give a slower pace than {taper.pace.percent} % every {taper.pace.step_days} days"
        raise InvalidInput(words, faults=(Fault("/percent", "not-slower", words),))
    held = taper.step_on(on)
    week, mg = (held.week, held.mg_per_week) if held else (None, taper.first_mg_per_day * WEEK)
    since = held.starts_on if held else taper.starts_on
    later = _onward(taper, pace, week, mg, since, terms)
    if later[1].starts_on <= on:
        # The dose has been held for longer than the new pace asks; the next step is still a day to come.
        later = _moved(later, on + timedelta(1) - later[1].starts_on)
    kept = tuple(s for s in taper.steps if s.starts_on < since)
    first = replace(later[0], drop=held.drop, allowed=held.allowed, waited=held.waited) if held else later[0]
    return replace(
        taper, pace=pace, steps=(*kept, first, *later[1:]), changes=_with(taper, TaperAct.SLOW, on, reason)
    )


def reverse(taper: Taper, *, on: date, reason: str, terms: TaperTerms) -> Taper:
    """Go back to the dose of the step before, hold it, and come down again from there."""
    if not taper.under_way:
        raise Conflict(f"the taper is {taper.status}: nothing can be taken back", code="not-under-way")
    _refuse_past(taper, on)
    here = taper.step_on(on)
    if here is None or here.week is None:
        raise Conflict("the dose was not reduced yet: nothing can be taken back", code="nothing-reduced")
    lower = [s for s in taper.steps if s.starts_on <= on and s.mg_per_week > here.mg_per_week]
    before = lower[-1] if lower else None
    week, mg = (before.week, before.mg_per_week) if before else (None, taper.first_mg_per_day * WEEK)
    later = _onward(taper, taper.pace, week, mg, on, terms)
    kept = tuple(s for s in taper.steps if s.starts_on < on)
    cut = [replace(s, days=(on - s.starts_on).days) if s is kept[-1] else s for s in kept]
    return replace(
        taper,
        status=TaperStatus.ACTIVE,
        paused_on=None,
        steps=(*cut, *later),
        changes=_with(taper, TaperAct.REVERSE, on, reason),
    )


def stop(taper: Taper, *, on: date, reason: str) -> Taper:
    """Give the taper up: the dose stays as it is on that day."""
    if not taper.under_way:
        raise Conflict(f"the taper is {taper.status}", code="not-under-way")
    _refuse_past(taper, on)
    return replace(
        taper, status=TaperStatus.STOPPED, paused_on=None, changes=_with(taper, TaperAct.STOP, on, reason)
    )


def complete(taper: Taper, *, on: date) -> Taper:
    """The last step has come."""
    _refuse_unless(taper, TaperStatus.ACTIVE, "end")
    if on < taper.steps[-1].starts_on:
        raise Conflict(f"its last step is on {taper.steps[-1].starts_on}", code="not-at-its-end")
    return replace(taper, status=TaperStatus.COMPLETED, changes=_with(taper, TaperAct.COMPLETE, on, ""))


def _onward(
    taper: Taper, pace: Pace, week: Week | None, mg: Decimal, since: date, terms: TaperTerms
) -> tuple[Step, ...]:
    try:
        return onward(
            taper.pieces,
            pace,
            terms,
            first=taper.first_mg_per_day,
            current=week,
            mg_per_week=mg,
            starts_on=since,
            most_pieces=taper.most_pieces,
            times=taper.times_a_day,
        )
    except ValueError:
        words = "no schedule can be made at this pace of the strengths that are sold"
        raise InvalidInput(words, faults=(Fault("/percent", "no-steps", words),)) from None


def _moved(steps: tuple[Step, ...], by: timedelta) -> tuple[Step, ...]:
    later = [replace(step, starts_on=step.starts_on + by) for step in steps[1:]]
    return _closed([replace(steps[0], days=steps[0].days + by.days), *later])


def _closed(steps: list[Step]) -> tuple[Step, ...]:
    """Steps whose lengths reach to the next one's first day."""
    return tuple(
        replace(step, days=(after.starts_on - step.starts_on).days)
        for step, after in zip(steps, [*steps[1:], steps[-1]], strict=True)
    )


def _with(taper: Taper, act: TaperAct, on: date, reason: str) -> tuple[Change, ...]:
    return (*taper.changes, Change(act, on, reason))


def _refuse_unless(taper: Taper, status: TaperStatus, what: str) -> None:
    if taper.status is not status:
        raise Conflict(f"the taper is {taper.status}: it cannot {what}", code="status")


def _refuse_past(taper: Taper, on: date) -> None:
    if on < taper.changes[-1].on:
        words = f"the last act was on {taper.changes[-1].on}"
        raise InvalidInput(words, faults=(Fault("/on", "before-last-act", words),))
