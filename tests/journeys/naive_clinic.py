"""A clinic made up by chance, and a slow, plain clock for it: every rule once more, day by day, from nothing
but fills, visits and diagnoses. It shares no code with the service.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import holidays

DAY = timedelta(1)
#: RxNorm codes, and tenths of an MME in one tablet.
OXYCODONE, MORPHINE_ER, METHADONE, LORAZEPAM = "1049621", "891881", "864718", "197901"
TENTHS = {OXYCODONE: 75, MORPHINE_ER: 150, METHADONE: 235}
GAP = 7
DIAGNOSES = {
    "depression": "F33.1",
    "opioid use disorder": "F11.20",
    "chronic pain": "G89.4",
    "overdose": "T40.2X1A",
}
OPENS_BEFORE = 7


@dataclass(frozen=True)
class Fill:
    """So many tablets a day for so many days from a day."""

    drug: str
    start: date
    days: int
    per_day: int

    @property
    def last(self) -> date:
        return self.start + (self.days - 1) * DAY

    @property
    def opioid(self) -> bool:
        return self.drug != LORAZEPAM

    def on(self, day: date) -> bool:
        return self.start <= day <= self.last


@dataclass(frozen=True)
class Somebody:
    """What will have happened to one patient by the end of the year.

    What was so on a day that has passed stays so: it is worked out once, and asked about on every later day.
    """

    id: str
    fills: tuple[Fill, ...]
    visits: frozenset[date]
    diagnoses: dict[str, date]
    ablation: date | None

    @cached_property
    def opioids(self) -> list[Fill]:
        return [f for f in self.fills if f.opioid]

    @cached_property
    def opioid_days(self) -> set[date]:
        return {f.start + n * DAY for f in self.opioids for n in range(f.days)}

    @cached_property
    def sedative_days(self) -> set[date]:
        return {f.start + n * DAY for f in self.fills if not f.opioid for n in range(f.days)}

    @cached_property
    def tenths(self) -> Counter[date]:
        """Tenths of an MME on each day."""
        found: Counter[date] = Counter()
        for f in self.opioids:
            for n in range(f.days):
                found[f.start + n * DAY] += f.per_day * TENTHS[f.drug]
        return found

    def in_hand(self, day: date) -> date:
        """The day, or the last one before it on which something was taken."""
        if day in self.opioid_days:
            return day
        return max((min(f.last, day) for f in self.opioids if f.start <= day), default=day)


@dataclass(frozen=True)
class Wanted:
    """The look that the clock asks for."""

    interval: str
    exact_on: date
    due_on: date
    since: date

    def state(self, today: date) -> str:
        if today > self.due_on:
            return "missed"
        return "due" if today >= self.due_on - OPENS_BEFORE * DAY else "planned"


# --- people ---------------------------------------------------------------------------------------------


def clinic(patients: int, first: date, last: date, seed: int) -> list[Somebody]:
    chance = random.Random(seed)  # noqa: S311 - to be repeatable is the point
    return [somebody(f"p-{n:04d}", first, last, chance) for n in range(patients)]


def somebody(name: str, first: date, last: date, chance: random.Random) -> Somebody:
    began = first + chance.randint(-200, 330) * DAY
    fills = list(
        course(OXYCODONE, began, last, chance, pace=chance.choice([(2, 4), (4, 8), (6, 8), (8, 12)]))
    )
    if chance.random() < 0.35:
        beside = chance.choice([MORPHINE_ER, METHADONE])
        fills += course(beside, began + chance.randint(0, 90) * DAY, last, chance, pace=(1, 2))
    if chance.random() < 0.3:
        fills += course(LORAZEPAM, began + chance.randint(-40, 120) * DAY, last, chance, pace=(1, 1))
    every = chance.choice([14, 30, 60, 90, 200])
    visits = set()
    day = began + chance.randint(0, every) * DAY
    while day <= last:
        visits.add(day)
        day += chance.randint(every // 2, every + every // 2) * DAY
    diagnoses = {said: began + chance.randint(-60, 120) * DAY for said in DIAGNOSES if chance.random() < 0.15}
    ablation = first + chance.randint(-100, 200) * DAY if chance.random() < 0.1 else None
    seen = frozenset(day for day in visits if day >= first)
    return Somebody(name, tuple(sorted(fills, key=lambda f: f.start)), seen, diagnoses, ablation)


def course(
    drug: str, began: date, last: date, chance: random.Random, *, pace: tuple[int, int]
) -> Iterator[Fill]:
    """Fill after fill, sometimes late, sometimes with another dose, until it is over."""
    day, per_day = began, pace[0]
    until = began + chance.choice([5, 20, 60, 200, 400]) * DAY
    while day <= min(until, last):
        days = chance.choice([7, 14, 28, 30])
        yield Fill(drug, day, days, per_day)
        day += (days + chance.choice([0, 0, 0, 1, 3, 7, 8, 15])) * DAY
        if chance.random() < 0.15:
            per_day = chance.randint(*pace)


# --- the naive clock ----------------------------------------------------------------------------------------


def wanted(who: Somebody, today: date, working: Working) -> Wanted | None:
    """The earliest look that any interval asks for on a day."""
    asked = [
        Wanted(name, since + days * DAY, working.due(since + days * DAY, since), since)
        for name, since, days in intervals(who, today)
    ]
    return min(asked, key=lambda w: (w.due_on, w.exact_on, w.interval), default=None)


def intervals(who: Somebody, today: date) -> Iterator[tuple[str, date, int]]:  # noqa: C901 - one plain list
    """Each interval that runs on a day: from when, and for how many days."""
    reviewed = max((day for day in who.visits if day <= today), default=None)
    if who.ablation is not None and who.ablation <= today:
        settled = reviewed is not None and (reviewed - who.ablation).days >= 120
        if not settled:
            yield "ablation-fade", who.ablation, 180
    since = on_since(who.opioid_days, today)
    if since is None:
        return
    latest = max(since, reviewed or since)
    starts = sorted({f.start for f in who.opioids if latest <= f.start <= today})
    for name, days, drugs, mme in (
        ("start-or-raise", 28, None, None),
        ("start-or-raise-50-mme", 7, None, 500),
        ("start-or-raise-long-acting", 7, {MORPHINE_ER, METHADONE}, None),
        ("start-or-raise-methadone", 3, {METHADONE}, None),
    ):
        event = next((day for day in starts if is_event(who, day, since, drugs, mme)), None)
        if event is not None:
            yield name, event, days
    known = {said: day for said, day in who.diagnoses.items() if day <= today}
    if "chronic pain" not in known and (latest + 14 * DAY - since).days <= 30:
        yield "acute-continued", latest, 14
    yield "long-term", latest, 90
    if who.tenths[who.in_hand(today)] >= 500:
        began = today
        for day in sorted({f.start for f in who.opioids if f.start <= today}, reverse=True):
            if day < since or who.tenths[day] < 500:
                break
            began = day
        yield "long-term-50-mme", max(began, latest), 60
    beside = on_since(who.sedative_days, today)
    if beside is not None:
        yield "long-term-cns-depressant", max(beside, latest), 60
    for said, name, days in (
        ("depression", "long-term-mental-health", 60),
        ("opioid use disorder", "long-term-substance-use", 30),
        ("overdose", "long-term-overdose", 30),
    ):
        if said in known:
            yield name, max(known[said], latest), days


def is_event(who: Somebody, day: date, since: date, drugs: set[str] | None, mme: int | None) -> bool:
    """Whether a start or a raise of such therapy happened on a day on which something was filled."""
    before_in_hand = who.tenths[who.in_hand(day - DAY)]
    if mme is not None:
        if who.tenths[day] < mme:
            return False
        before = before_in_hand >= mme
    else:
        such = [f for f in who.opioids if drugs is None or f.drug in drugs]
        if not any(f.on(day) for f in such):
            return False
        before = any(f.start < day and f.last >= day - (GAP + 1) * DAY for f in such)
    return day == since or not before or 10 * who.tenths[day] > 11 * before_in_hand


def on_since(covered: set[date], today: date) -> date | None:
    """The first day of the run of days with something in hand that reaches today. Between two fills lie a
    week without at the most; until today as many, for it may be filled today."""
    since = next((today - n * DAY for n in range(GAP + 2) if today - n * DAY in covered), None)
    while since is not None:
        earlier = next((since - n * DAY for n in range(1, GAP + 2) if since - n * DAY in covered), None)
        if earlier is None:
            return since
        since = earlier
    return None


class Working:
    """Days on which the clinic works: not at weekends, not on the holidays of its state."""

    def __init__(self, country: str, region: str) -> None:
        self.closed = holidays.country_holidays(country, subdiv=region)
        self.known: dict[tuple[date, date], date] = {}

    def works(self, day: date) -> bool:
        return day.weekday() < 5 and day not in self.closed

    def due(self, exact: date, since: date) -> date:
        """The last working day up to that one and after the day that it counts from; else the next."""
        if (exact, since) not in self.known:
            length = (exact - since).days
            before = [exact - n * DAY for n in range(length) if self.works(exact - n * DAY)]
            after = (exact + n * DAY for n in range(1, 32) if self.works(exact + n * DAY))
            self.known[exact, since] = before[0] if before else next(after)
        return self.known[exact, since]
