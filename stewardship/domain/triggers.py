"""When to look closer, refer, or act at once: time and function of one episode of pain, against rules.

A trigger holds, does not hold, lies ahead on a known day, or cannot be told for want of a fact. What
cannot be told asks for the fact and is never taken for "no". ``reference/triggers.toml`` holds every
number; nothing here knows one. Nobody has to fail one treatment to reach the next: several triggers exist
to go earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from stewardship.domain.evaluation import EvaluationTerms
from stewardship.domain.orders import Phase
from stewardship.domain.treatments import Source


class Act(StrEnum):
    """What a trigger asks for."""

    INVESTIGATE = "investigate"
    REFER = "refer"
    URGENT = "urgent"
    PLAN = "plan"


class Change(StrEnum):
    """How the pain is, beside when care for it began."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"


class Limit(StrEnum):
    """What the pain keeps somebody from, in part or wholly."""

    WORK = "work"
    SLEEP = "sleep"
    DAILY_ACTIVITY = "daily-activity"


@dataclass(frozen=True, slots=True)
class Story:
    """What is known of one episode of pain on a day. ``None`` is "not on record", never "no".

    ``conservative`` is whether care without needles was tried, ``active_rehab`` whether exercise or
    physical therapy is part of it now, ``prevents_exercise`` whether pain keeps the patient from it.
    ``residual_after_surgery`` is pain in the operated region of the spine; ``surgery_on`` its day.
    ``neurological_sign`` is an abnormal finding of which nobody said whether it is new, ``imaging_agrees``
    whether history and examination fit what an image shows. ``low_mood_or_fear`` is a screening result over
    its threshold, or fear of moving that was recorded. ``nothing_else_offered`` is that no alternative is on
    record. ``conditions`` are ids of pain conditions.
    """

    today: date
    onset_on: date | None = None
    phase: Phase = Phase.UNKNOWN
    change: Change | None = None
    limits: frozenset[Limit] | None = None
    conservative: bool | None = None
    active_rehab: bool | None = None
    prevents_exercise: bool | None = None
    adequate_relief: bool | None = None
    neurological_deficit: bool | None = None
    neurological_sign: bool | None = None
    imaging_agrees: bool | None = None
    residual_after_surgery: bool | None = None
    surgery_on: date | None = None
    surgical_candidate: bool | None = None
    declines_surgery: bool | None = None
    nothing_else_offered: bool | None = None
    low_mood_or_fear: bool | None = None
    wants_to_reduce: bool | None = None
    on_opioid: bool | None = None
    conditions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class When:
    """What must hold, all that is set. Days count from the onset of the pain, or from the operation."""

    days_from: int | None = None
    days_until: int | None = None
    surgery_days_from: int | None = None
    change: frozenset[Change] = frozenset()
    limits: frozenset[Limit] = frozenset()
    phases: frozenset[Phase] = frozenset()
    conditions: frozenset[str] = frozenset()
    facts: Mapping[str, bool] | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """One declared rule. ``due_days`` is by when, in days from the onset (or the operation), somebody has to
    act; ``routes`` are the specialties that fit, the first one first; ``checklist`` what to think of."""

    id: str
    title: str
    act: Act
    say: str
    when: When
    routes: tuple[str, ...]
    due_days: int | None
    sources: tuple[Source, ...]
    verified: bool
    checklist: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fired:
    """A trigger that holds: ``since`` when, where days count, and ``due_on`` by when to act."""

    trigger: Trigger
    since: date | None = None
    due_on: date | None = None


@dataclass(frozen=True, slots=True)
class Ahead:
    """A trigger that will hold on ``opens_on`` if nothing changes: an entry for the clock."""

    trigger: Trigger
    opens_on: date
    due_on: date | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """A trigger that cannot be told; ``needs`` names the facts of ``Story`` that are missing."""

    trigger: Trigger
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Triggers:
    """All that is declared: rules, names of specialties, words for a missing fact; how long an option that
    was offered or declined rests, in days; and from how many days of therapy on (with gaps of how many)
    untried options are flagged, of which the first few are named. ``evaluation`` is what one holds."""

    rules: tuple[Trigger, ...]
    specialties: Mapping[str, str]
    asks: Mapping[str, str]
    offered_rest_days: int
    declined_rest_days: int
    flag_therapy_days: int
    flag_max_gap_days: int
    flag_named: int
    evaluation: EvaluationTerms


@dataclass(frozen=True, slots=True)
class Pulled:
    """The answer for one story; urgent ones first, then in the order of the file."""

    fired: tuple[Fired, ...]
    ahead: tuple[Ahead, ...]
    open: tuple[Open, ...]


#: Facts that a trigger may ask to be true or false.
FACTS = (
    "conservative",
    "active_rehab",
    "prevents_exercise",
    "adequate_relief",
    "neurological_deficit",
    "neurological_sign",
    "imaging_agrees",
    "residual_after_surgery",
    "surgical_candidate",
    "declines_surgery",
    "nothing_else_offered",
    "low_mood_or_fear",
    "wants_to_reduce",
    "on_opioid",
)


def pull(story: Story, rules: Iterable[Trigger]) -> Pulled:
    """Which triggers hold on the story's day, which lie ahead, and which cannot be told."""
    fired: list[Fired] = []
    ahead: list[Ahead] = []
    unsettled: list[Open] = []
    for rule in rules:
        needs: list[str] = []
        holds = True
        for name, verdict in _verdicts(rule.when, story):
            if verdict is None:
                needs.append(name)
            elif not verdict:
                holds = False
                break
        if not holds:
            continue
        since = _opens_on(rule.when, story)
        due_on = _due_on(rule, story)
        if needs:
            unsettled.append(Open(rule, tuple(dict.fromkeys(needs))))
        elif since is not None and since > story.today:
            ahead.append(Ahead(rule, since, due_on))
        else:
            fired.append(Fired(rule, since, due_on))
    fired.sort(key=lambda f: f.trigger.act is not Act.URGENT)
    ahead.sort(key=lambda a: a.opens_on)
    return Pulled(tuple(fired), tuple(ahead), tuple(unsettled))


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A day on which an episode of pain is to be looked at again: from ``opens_on``, by ``due_on``, and no
    more after ``until_on``."""

    trigger: Trigger
    opens_on: date
    due_on: date
    until_on: date | None = None


def follow_ups(story: Story, rules: Iterable[Trigger]) -> tuple[FollowUp, ...]:
    """The days ahead of the story's own on which a trigger would hold: all for which everything else is
    known, and of those that a missing fact decides the next one alone, for it is the look that finds the
    fact. Pain that gets better is not asked about again for want of a fact."""
    known: list[FollowUp] = []
    asked: list[FollowUp] = []
    for rule in rules:
        opens_on = _opens_on(rule.when, story)
        if opens_on is None or opens_on <= story.today:
            continue
        verdicts = tuple(verdict for _, verdict in _verdicts(rule.when, story))
        if any(verdict is False for verdict in verdicts):
            continue
        last = None
        if rule.when.days_until is not None and story.onset_on is not None:
            last = story.onset_on + timedelta(rule.when.days_until)
        found = FollowUp(rule, opens_on, max(_due_on(rule, story) or opens_on, opens_on), last)
        (known if None not in verdicts else asked).append(found)
    first = [] if story.change is Change.BETTER else sorted(asked, key=lambda f: f.opens_on)[:1]
    return tuple(sorted((*known, *first), key=lambda f: (f.opens_on, f.trigger.id)))


def _verdicts(when: When, story: Story) -> Iterable[tuple[str, bool | None]]:
    """Each thing that must hold: true, false, or ``None`` when the fact is missing. A day that lies ahead is
    no "no": it is told apart by the caller."""
    if when.conditions:
        yield "conditions", bool(when.conditions & story.conditions)
    if when.phases:
        yield "phase", None if story.phase is Phase.UNKNOWN else story.phase in when.phases
    for name, wanted in (when.facts or {}).items():
        known: bool | None = getattr(story, name)
        yield name, None if known is None else known is wanted
    if when.change:
        yield "change", None if story.change is None else story.change in when.change
    if when.limits:
        yield "limits", None if story.limits is None else bool(when.limits & story.limits)
    if when.days_from is not None or when.days_until is not None:
        yield "onset_on", _in_time(when, story)
    if when.surgery_days_from is not None:
        yield "surgery_on", None if story.surgery_on is None else True


def _in_time(when: When, story: Story) -> bool | None:
    if story.onset_on is None:
        return None
    last = when.days_until
    return last is None or story.today <= story.onset_on + timedelta(last)


def _opens_on(when: When, story: Story) -> date | None:
    """The first day on which the days suffice."""
    days: list[date] = []
    if when.days_from is not None and story.onset_on is not None:
        days.append(story.onset_on + timedelta(when.days_from))
    if when.surgery_days_from is not None and story.surgery_on is not None:
        days.append(story.surgery_on + timedelta(when.surgery_days_from))
    return max(days, default=None)


def _due_on(rule: Trigger, story: Story) -> date | None:
    begin = story.surgery_on if rule.when.surgery_days_from is not None else story.onset_on
    if rule.due_days is None or begin is None:
        return None
    return begin + timedelta(rule.due_days)


@dataclass(frozen=True, slots=True)
class Routing:
    """Who fits, each with the triggers that say so, those of the urgent ones first; and whether the pain is
    straightforward, so that primary care holds the plan: ``None`` when that cannot be told."""

    straightforward: bool | None
    because: tuple[Trigger, ...]
    specialties: Mapping[str, tuple[Trigger, ...]]


def routing(pulled: Pulled) -> Routing:
    """Where a story leads. What asks for a referral makes pain complex, one reason is enough, and each is
    named: there is no score, and nobody waits until everything else has failed."""
    complex_for = tuple(f.trigger for f in pulled.fired if f.trigger.act in (Act.REFER, Act.URGENT))
    plain = tuple(f.trigger for f in pulled.fired if f.trigger.routes == ("primary-care",))
    to: dict[str, tuple[Trigger, ...]] = {}
    for trigger in complex_for or plain:
        for route in trigger.routes:
            to[route] = (*to.get(route, ()), trigger)
    straightforward = False if complex_for else (True if plain else None)
    return Routing(straightforward, complex_for or plain, to)


def told(pulled: Pulled, declared: Triggers) -> dict[str, object]:
    """The answer as plain values, for every face alike."""

    def one(trigger: Trigger, **more: object) -> dict[str, object]:
        return {
            "trigger": trigger.id,
            "title": trigger.title,
            "act": trigger.act.value,
            "say": trigger.say,
            "checklist": list(trigger.checklist),
            "routes": [{"id": r, "title": declared.specialties[r]} for r in trigger.routes],
            "verified": trigger.verified,
            "sources": [
                {"id": s.id, "title": s.title, "date": s.published.isoformat(), "url": s.url}
                for s in trigger.sources
            ],
            **more,
        }

    way = routing(pulled)
    return {
        "routing": {
            "straightforward": way.straightforward,
            "because": [t.title for t in way.because],
            "specialties": [
                {"id": name, "title": declared.specialties[name], "because": [t.title for t in why]}
                for name, why in way.specialties.items()
            ],
        },
        "fired": [one(f.trigger, since=_day(f.since), due_on=_day(f.due_on)) for f in pulled.fired],
        "ahead": [one(a.trigger, opens_on=_day(a.opens_on), due_on=_day(a.due_on)) for a in pulled.ahead],
        "cannot_tell": [
            one(o.trigger, needs=list(o.needs), asks=[declared.asks[n] for n in o.needs]) for o in pulled.open
        ],
    }


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None
