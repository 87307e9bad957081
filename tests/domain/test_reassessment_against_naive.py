"""The clock against a slow, plain recomputation, day by day, on generated courses of therapy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from stewardship.domain.chart import Chart, Observation
from stewardship.domain.drugs import Drug
from tests.builders import TODAY, a_chart, a_supply
from tests.domain.clocking import METHADONE, MORPHINE_ER, OXYCODONE, asked, function_on

#: Tenths of an MME in one tablet: 5 mg x 1.5, 15 mg x 1, 5 mg x 4.7.
TABLET = {"oxycodone": 75, "morphine": 150, "methadone": 235}
DRUGS = {"oxycodone": OXYCODONE, "morphine": MORPHINE_ER, "methadone": METHADONE}
DAY = timedelta(1)
GAP = 7


@dataclass(frozen=True)
class Fill:
    """So many tablets a day of a drug, for so many days from a day."""

    drug: str
    start: date
    days: int
    per_day: int

    @property
    def last(self) -> date:
        return self.start + (self.days - 1) * DAY

    def taken_on(self, day: date) -> bool:
        return self.start <= day <= self.last


fills = st.lists(
    st.builds(
        Fill,
        st.sampled_from(sorted(TABLET)),
        st.integers(0, 150).map(lambda n: TODAY - n * DAY),
        st.integers(1, 45),
        st.integers(1, 8),
    ),
    max_size=6,
)
reviews = st.sets(st.integers(0, 160).map(lambda n: TODAY - n * DAY), max_size=3)


def chart_of(taken: list[Fill], seen: set[date]) -> Chart:
    supplies = [
        a_supply(start=f.start, days=f.days, drug=_drug(f), quantity=f.per_day * f.days) for f in taken
    ]
    observations: list[Observation] = [function_on(day) for day in seen]
    return a_chart(*supplies, observations=tuple(observations))


def _drug(fill: Fill) -> Drug:
    return DRUGS[fill.drug]


# --- the naive clock -----------------------------------------------------------------------------------


def covered_days(taken: list[Fill]) -> set[date]:
    """Days with an opioid in hand: of each drug the stock is used up one day's worth a day."""
    found: set[date] = set()
    for drug in TABLET:
        stock = 0
        day = TODAY - 151 * DAY
        while day <= TODAY:
            stock += sum(f.days for f in taken if f.drug == drug and f.start == day)
            if stock:
                found.add(day)
                stock -= 1
            day += DAY
    return found


def therapy_since(taken: list[Fill]) -> date | None:
    covered = covered_days(taken)
    # Today is not over: it is no day without.
    day, without, since = TODAY, -1, None
    while without <= GAP:
        if day in covered:
            since, without = day, 0
        else:
            without += 1
        day -= DAY
    return since


def dose_on(taken: list[Fill], day: date) -> int:
    """Tenths of an MME; a fill that a later one of the same drug continues within a week is left out."""
    at_hand = [f for f in taken if f.taken_on(day)]
    return sum(
        f.per_day * TABLET[f.drug]
        for f in at_hand
        if not any(o.drug == f.drug and o.start > f.start and (f.last - o.start).days < 7 for o in at_hand)
    )


def in_hand(taken: list[Fill], day: date) -> date:
    """The day, or the last before it on which anything was taken."""
    first = min(f.start for f in taken)
    back = day
    while back >= first:
        if any(f.taken_on(back) for f in taken):
            return back
        back -= DAY
    return day


def naive(taken: list[Fill], seen: set[date]) -> dict[str, date]:
    """The exact day of each interval of the shipped clock that these charts can set off."""
    since = therapy_since(taken)
    if since is None:
        return {}
    reviewed = max(seen, default=None)
    found: dict[str, date] = {}
    first = max(since, reviewed) if reviewed else since
    day = first
    while day <= TODAY:
        if any(f.start == day for f in taken):
            for interval, days in events_on(taken, day, since):
                found.setdefault(interval, day + days * DAY)
        day += DAY
    base = max(since, reviewed) if reviewed else since
    if (base + 14 * DAY - since).days <= 30:
        found["acute-continued"] = base + 14 * DAY
    found["long-term"] = base + 90 * DAY
    high = high_since(taken, since)
    if high is not None:
        found["long-term-50-mme"] = max(base, high) + 60 * DAY
    return found


def events_on(taken: list[Fill], day: date, since: date) -> list[tuple[str, int]]:
    earlier = in_hand(taken, day - DAY)
    before, after = dose_on(taken, earlier), dose_on(taken, day)
    raised = 10 * after > 11 * before
    begins = day == since
    found = []
    if begins or raised or not recently(taken, day, TABLET):
        found.append(("start-or-raise", 28))
    if after >= 500 and (begins or raised or before < 500):
        found.append(("start-or-raise-50-mme", 7))
    for interval, days, drugs in (
        ("start-or-raise-long-acting", 7, ("morphine", "methadone")),
        ("start-or-raise-methadone", 3, ("methadone",)),
    ):
        now = any(f.drug in drugs and f.taken_on(day) for f in taken)
        if now and (begins or raised or not recently(taken, day, drugs)):
            found.append((interval, days))
    return found


def recently(taken: list[Fill], day: date, drugs: object) -> bool:
    """Whether one of the drugs was taken on the day before, or on one of the week before that."""
    return any(
        f.drug in drugs and f.start < day and f.taken_on(day - n * DAY)  # type: ignore[operator]
        for f in taken
        for n in range(1, GAP + 2)
    ) or any(f.drug in drugs and f.start < day <= f.last for f in taken)  # type: ignore[operator]


def high_since(taken: list[Fill], since: date) -> date | None:
    """From which start on every start has been at 50 MME or more, up to now."""
    if dose_on(taken, in_hand(taken, TODAY)) < 500:
        return None
    began = TODAY
    day = TODAY
    while day >= since:
        if any(f.start == day for f in taken):
            if dose_on(taken, day) < 500:
                break
            began = day
        day -= DAY
    return began


@settings(max_examples=250, deadline=None)
@given(fills, reviews)
def test_every_interval_against_the_naive_clock(taken, seen):
    answer = asked(chart_of(taken, seen))
    assert {one.interval: one.exact_on for one in answer.every} == naive(taken, seen)


@settings(max_examples=100, deadline=None)
@given(fills, reviews)
def test_the_earliest_is_the_next(taken, seen):
    answer = asked(chart_of(taken, seen))
    days = naive(taken, seen).values()
    assert (answer.due and answer.due.on) == min(days, default=None)


@settings(max_examples=100, deadline=None)
@given(fills, reviews, st.integers(0, 160).map(lambda n: TODAY - n * DAY))
def test_a_further_review_never_makes_the_next_one_due_sooner(taken, seen, further):
    before, after = asked(chart_of(taken, seen)).due, asked(chart_of(taken, seen | {further})).due
    if before is not None and after is not None:
        assert after.on >= before.on
