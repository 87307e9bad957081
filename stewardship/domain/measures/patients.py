"""One patient's answer in a measure that counts patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from stewardship.domain.chart import Chart
from stewardship.domain.measures import (
    AgeOn,
    Answer,
    Counted,
    Counting,
    Criterion,
    Kind,
    Measure,
    Rate,
    Standing,
    adult,
    age_on,
    either,
    every,
    is_near,
    reached,
)
from stewardship.domain.measures.claims import (
    MME_MISSING,
    NOT_RECOGNISED,
    Claim,
    Claims,
    average_mme,
    between,
    claims_of,
    dates,
    days_counted,
    first_named,
    lacks_days,
    overlap,
    when,
)
from stewardship.domain.measures.exclusions import excluded
from stewardship.domain.mme import FactorSet

HISTORY_MISSING = "history-not-on-record"
PRESCRIBER_MISSING = "prescriber-or-pharmacy-missing"
_FOR_EVER = date.max.toordinal()


def answer(
    measure: Measure, chart: Chart, year: int, factor_set: FactorSet, *, known_from: date | None = None
) -> Answer:
    """Where a patient stands. ``known_from`` is the first day of which dispensings would be on record."""
    first, last = measure.window.of(year)
    claims = claims_of(chart, measure.medicines, factor_set)
    if measure.kind is Kind.PERIOD:
        asked, rates, on, looked = _of_period(measure, chart, claims, first, last)
    else:
        asked, rates, on, looked = _of_starts(measure, chart, claims, first, last, known_from)
    standing, reason = _standing(asked)
    evidence = excluded(measure, chart, first, last) if standing in (Standing.IN, Standing.UNTOLD) else ()
    if evidence:
        standing, reason = Standing.EXCLUDED, evidence[0].kind
    born = chart.patient.birth_date
    return Answer(
        measure.id,
        measure.version,
        chart.patient.id,
        standing,
        reason,
        asked,
        evidence,
        tuple(rates) if standing is Standing.IN else (),
        tuple(c.id for c in looked),
        None if born is None or on is None else age_on(born, on),
        caveats=_caveats(claims, first, last),
    )


def _standing(asked: Sequence[Criterion]) -> tuple[Standing, str]:
    """In, out or not to be told, and by which criterion."""
    missed = next((c for c in asked if c.met is False), None)
    if missed is not None:
        return Standing.OUT, missed.name
    open_ = next((c for c in asked if c.met is None), None)
    return (Standing.IN, "") if open_ is None else (Standing.UNTOLD, open_.why)


def _caveats(claims: Claims, first: date, last: date) -> tuple[str, ...]:
    unknown = between(claims.unknown, first.toordinal(), last.toordinal())
    return (NOT_RECOGNISED,) if unknown else ()


# --- all claims of a period ---------------------------------------------------------------------------------


_Found = tuple[tuple[Criterion, ...], list[Counted], date | None, tuple[Claim, ...]]


def _of_period(measure: Measure, chart: Chart, claims: Claims, first: date, last: date) -> _Found:
    asked, start, end = measure.population, first.toordinal(), last.toordinal()
    taken = between(claims.opioids, start, end)
    beside = between(claims.benzodiazepines, start, end)
    strange = NOT_RECOGNISED if between(claims.unknown, start, end) else ""
    lacking = first_named(lacks_days(taken), strange)
    day = last if asked.age_on is AgeOn.PERIOD_END else first
    if asked.age_on is AgeOn.START and taken:
        day = date.fromordinal(taken[0].day)
    found = [reached("dispensings", dates(taken), max(1, asked.min_dispensings), strange)]
    found.append(adult(asked, chart.patient.birth_date, day))
    if asked.min_days:
        found.append(reached("days", days_counted(taken, asked.days, end), asked.min_days, lacking))
    if asked.episode_days:
        found.append(reached("episode-days", _episode(taken, end), asked.episode_days, lacking))
    if asked.start_before_end:
        left = end - taken[0].day + 1 if taken else 0
        found.append(reached("days-from-start", left, asked.start_before_end, strange))
    known = _Known(taken, beside, end, strange)
    rates = [_counted(measure, rate, known) for rate in measure.rates]
    return tuple(found), rates, day, taken


def _episode(taken: Sequence[Claim], end: int) -> int:
    return max(min(c.last, end) for c in taken) - taken[0].day + 1 if taken else 0


@dataclass(frozen=True, slots=True)
class _Known:
    """What a rate is told from: claims of opioids and of benzodiazepines, the last day that counts, and why
    there may be more."""

    taken: tuple[Claim, ...]
    beside: tuple[Claim, ...]
    end: int
    strange: str


def _counted(measure: Measure, rate: Rate, known: _Known) -> Counted:
    criteria = tuple(_criteria(rate, known))
    met = every(tuple(c.met for c in criteria))
    shown = known.taken + (known.beside if rate.benzodiazepines is not None else ())
    return Counted(
        rate.id,
        met,
        criteria,
        is_near(criteria, met, measure.near_percent),
        tuple(c.id for c in shown),
        **when(known.taken, known.end),
    )


def _criteria(rate: Rate, known: _Known) -> list[Criterion]:
    """Every limit that the rate sets."""
    taken, end, strange = known.taken, known.end, known.strange
    found = []
    if rate.min_days is not None:
        days = days_counted(taken, rate.days, end)
        found.append(reached("days", days, rate.min_days, first_named(lacks_days(taken), strange)))
    if rate.mme is not None:
        found.append(_dose(rate, rate.mme, known))
    if rate.prescribers is not None or rate.pharmacies is not None:
        found += _providers(rate, known)
    if rate.benzodiazepines is not None:
        found.append(reached("benzodiazepines", dates(known.beside), rate.benzodiazepines, strange))
    if rate.overlap_days is not None:
        days = overlap(taken, known.beside, end)
        lacking = first_named(lacks_days(taken), lacks_days(known.beside), strange)
        found.append(reached("overlap-days", days, rate.overlap_days, lacking))
    if rate.long_acting is not None:
        count = sum(c.long_acting for c in taken)
        found.append(reached("long-acting", count, rate.long_acting, strange))
    return found


def _dose(rate: Rate, limit: int, known: _Known) -> Criterion:
    """The average dose. Without every length there is no number of days to divide by."""
    lacking = lacks_days(known.taken)
    value = None if lacking else average_mme(known.taken, rate.over, known.end)
    if value is None:
        return Criterion("mme", None, Fraction(limit), None, first_named(lacking, "no-claim"))
    less = MME_MISSING if any(not c.whole for c in known.taken) else ""
    return reached("mme", value, limit, first_named(less, known.strange))


def _providers(rate: Rate, known: _Known) -> list[Criterion]:
    """Prescribers and pharmacies of the window in which there are most of them."""
    limits = (rate.prescribers or 0, rate.pharmacies or 0)
    unnamed = any(
        (rate.prescribers is not None and not c.prescriber)
        or (rate.pharmacies is not None and not c.pharmacy)
        for c in known.taken
    )
    lacking = first_named(PRESCRIBER_MISSING if unnamed else "", known.strange)
    best = (0, 0)
    ends = sorted({c.day for c in known.taken}) if rate.within_days else [known.end]
    for end in ends:
        start = end - rate.within_days + 1 if rate.within_days else 0
        here = between(known.taken, start, end)
        found = (
            len({c.prescriber for c in here if c.prescriber}),
            len({c.pharmacy for c in here if c.pharmacy}),
        )
        best = max(best, found, key=lambda n: (n[0] >= limits[0] and n[1] >= limits[1], n[0] + n[1]))
    criteria = []
    if rate.prescribers is not None:
        criteria.append(reached("prescribers", best[0], rate.prescribers, lacking))
    if rate.pharmacies is not None:
        criteria.append(reached("pharmacies", best[1], rate.pharmacies, lacking))
    return criteria


# --- from a start on ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """A day on which opioids were dispensed and none for some time before; ``untold`` says why that is not
    certain."""

    day: int
    untold: str


def starts(
    measure: Measure, claims: Claims, first: int, last: int, known_from: date | None
) -> tuple[Start, ...]:
    """The starts of a period, in order."""
    lookback, found, before = measure.population.lookback_days, [], None
    known = None if known_from is None else known_from.toordinal()
    for day in sorted({c.day for c in claims.opioids}):
        new = before is None or day - before > lookback
        before = day
        if not new or not first <= day <= last:
            continue
        untold = ""
        if known is None or day - lookback < known:
            untold = HISTORY_MISSING
        elif between(claims.unknown, day - lookback, day - 1):
            untold = NOT_RECOGNISED
        found.append(Start(day, untold))
    return tuple(found)


def _of_starts(
    measure: Measure, chart: Chart, claims: Claims, first: date, last: date, known_from: date | None
) -> _Found:
    found = starts(measure, claims, first.toordinal(), last.toordinal(), known_from)
    if measure.kind is Kind.FIRST_START:
        found = found[:1]
    certain = tuple(s for s in found if not s.untold)
    strange = NOT_RECOGNISED if between(claims.unknown, first.toordinal(), last.toordinal()) else ""
    lacking = first_named(*(s.untold for s in found), strange)
    day = {AgeOn.PERIOD_START: first, AgeOn.PERIOD_END: last}.get(measure.population.age_on)
    if day is None:
        day = date.fromordinal(found[0].day) if found else first
    asked = (
        reached("starts", len(certain), 1, lacking),
        adult(measure.population, chart.patient.birth_date, day),
    )
    rates = [_of_rate(measure, rate, claims, found) for rate in measure.rates]
    looked = between(claims.opioids, first.toordinal(), last.toordinal())
    return asked, rates, day, looked


def _of_rate(measure: Measure, rate: Rate, claims: Claims, found: Sequence[Start]) -> Counted:
    """Whether any start is counted; the one that is shown is counted, or else came nearest."""
    each = []
    for start in found:
        end = start.day + rate.window_days - 1
        # Days of a start count to the end of its window; where they are summed, the whole supply counts.
        until = end if rate.days is Counting.CALENDAR and rate.min_days is not None else _FOR_EVER
        strange = NOT_RECOGNISED if between(claims.unknown, start.day, end) else ""
        known = _Known(between(claims.opioids, start.day, end), (), until, strange)
        one = _counted(measure, rate, known)
        each.append((one, None if one.met and start.untold else one.met))
    met = either(tuple(m for _, m in each))
    shown = max((one for one, _ in each), key=_nearness, default=None)
    if shown is None:
        return Counted(rate.id, False, ())
    near = met is not True and any(one.near for one, _ in each)
    return Counted(rate.id, met, shown.criteria, near, shown.claims, shown.first, shown.last)


def _nearness(one: Counted) -> tuple[bool, Fraction]:
    return one.met is True, min(
        (c.value / c.limit for c in one.criteria if c.value is not None), default=Fraction(0)
    )
