"""A patient's timeline as data: supplies, MME a day, episodes and gaps, overlaps, guidance, figures, flags.

Plain dataclasses of texts, days and decimals, ready to be written as JSON or drawn. Every number is under one
named factor set, and what is not known is said: a step or a figure that is not complete is "at least".
Lines of guidance are places to pause and look again, neither aims nor limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise

from stewardship.domain.episodes import Span, days_within, spans
from stewardship.domain.exposure import Figure, Step, Stretch, daily_mme_figures, stretches
from stewardship.domain.flags import Flag, Flags, History, Untold
from stewardship.domain.flags.history import Row, joined


@dataclass(frozen=True, slots=True)
class SupplySpan:
    """One supply. ``last`` and ``days`` are ``None`` when its length is not known, ``mme_per_day`` and
    ``amount_mme`` when they cannot be told or the factor set leaves it out (``excluded``). ``reasons`` are
    codes of what is missing."""

    id: str
    kind: str
    medicine: str
    recognised: bool
    opioid: bool
    classes: tuple[str, ...]
    first: date
    last: date | None
    days: int | None
    mme_per_day: Decimal | None
    amount_mme: Decimal | None
    complete: bool
    excluded: bool
    reasons: tuple[str, ...]
    prescriber: str
    pharmacy: str


@dataclass(frozen=True, slots=True)
class DaySpan:
    """Consecutive days. ``covered`` are the days of them with an opioid in hand."""

    first: date
    last: date
    days: int
    covered: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """Days on which several opioids were in hand, and which; ``prescribers`` counts those who are named."""

    first: date
    last: date
    days: int
    supplies: tuple[str, ...]
    prescribers: int


@dataclass(frozen=True, slots=True)
class Guidance:
    """A daily total that a picture draws a line at, and on how many days of the window it was reached."""

    mme_per_day: Decimal
    days: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything to show of one patient from ``first`` to ``until``.

    ``steps`` take a fill that the next one continues as ended; ``episodes`` and ``gaps`` carry supply over
    from fill to fill, episodes bridge the gaps that the reference file lets them. ``data_as_of`` tells how
    current the dispensings are. ``further_reports`` counts rows that report a dispensing again.
    """

    patient_id: str
    as_of: date
    data_as_of: datetime | None
    factor_set: str
    first: date
    until: date
    supplies: tuple[SupplySpan, ...]
    steps: tuple[Step, ...]
    episodes: tuple[DaySpan, ...]
    gaps: tuple[DaySpan, ...]
    overlaps: tuple[Overlap, ...]
    guidance: tuple[Guidance, ...]
    figures: tuple[Figure, ...]
    flags: tuple[Flag, ...]
    untold: tuple[Untold, ...]
    further_reports: int
    complete: bool


def timeline(
    patient_id: str,
    history: History,
    rules: Flags,
    *,
    first: date,
    until: date,
    flags: Iterable[Flag] = (),
    untold: Iterable[Untold] = (),
    data_as_of: datetime | None = None,
) -> Timeline:
    """The timeline of a window, both days included; what only reaches into it is there as a whole."""
    window = (first.toordinal(), until.toordinal())
    common = rules.common
    mme = {s.exposure.supply.id: s for s in stretches((r.exposure for r in history.rows), common.factor_set)}
    rows = [r for r in history.rows if r.first <= window[1] and r.possible >= window[0]]
    steps = tuple(s for s in history.steps if s.first <= until and s.last >= first)
    carried = spans(r.exposure for r in history.opioids)
    figures = daily_mme_figures(
        tuple(mme.values()), first, until, common.factor_set, unknown_days=common.unknown_supply_days
    )
    episodes = [part for part, _ in joined(carried, rules.episode_gap_days)]
    shown = {r.id for r in rows}
    doubtful = any(r.id in shown for r in history.doubtful)
    return Timeline(
        patient_id,
        history.as_of,
        data_as_of,
        common.factor_set.id,
        first,
        until,
        tuple(_supply(r, mme.get(r.id)) for r in rows),
        steps,
        tuple(_days(part, carried) for part in episodes if _near(part, window)),
        tuple(_days(part, carried) for part in _gaps(carried) if _near(part, window)),
        _overlaps([r for r in rows if r.opioid]),
        tuple(Guidance(limit, _reached(steps, limit, window), not doubtful) for limit in rules.guidance),
        tuple(figures.values()),
        tuple(f for f in flags if f.on <= until and f.until >= first),
        tuple(u for u in untold if u.supply in shown),
        history.dropped,
        not doubtful,
    )


def _supply(row: Row, stretch: Stretch | None) -> SupplySpan:
    counted = stretch is not None and stretch.counted
    known = row.exposure.days is not None
    return SupplySpan(
        row.id,
        row.supply.kind.value,
        row.supply.medication.label if row.drug is None else row.drug.name,
        row.drug is not None,
        row.opioid,
        () if row.drug is None else tuple(sorted(c.value for c in row.drug.classes)),
        row.on,
        row.exposure.last if known else None,
        row.exposure.days,
        stretch.daily if stretch is not None and counted else None,
        stretch.amount if stretch is not None and counted else None,
        known if stretch is None or not counted else stretch.complete,
        stretch is not None and not counted,
        () if stretch is None else tuple(dict.fromkeys(r.code for r in stretch.reasons)),
        row.supply.prescriber,
        row.supply.pharmacy,
    )


def _near(part: Span, window: Span) -> bool:
    return part[0] <= window[1] and part[1] >= window[0]


def _days(part: Span, covered: Sequence[Span]) -> DaySpan:
    first, last = part
    return DaySpan(
        date.fromordinal(first), date.fromordinal(last), last - first + 1, days_within(covered, first, last)
    )


def _gaps(covered: Sequence[Span]) -> list[Span]:
    return [(one[1] + 1, other[0] - 1) for one, other in pairwise(covered)]


def _reached(steps: Iterable[Step], limit: Decimal, window: Span) -> int:
    over = [(s.first.toordinal(), s.last.toordinal()) for s in steps if s.mme >= limit]
    return days_within(over, *window)


def _overlaps(rows: Sequence[Row]) -> tuple[Overlap, ...]:
    """Where two or more are in hand: between edges, the days with the same ones in hand."""
    edges = sorted({r.first for r in rows} | {r.last + 1 for r in rows})
    found = []
    for first, after in pairwise(edges):
        here = [r for r in rows if r.first <= first <= r.last]
        if len(here) > 1:
            who = {r.supply.prescriber for r in here if r.supply.prescriber}
            days = (date.fromordinal(first), date.fromordinal(after - 1), after - first)
            found.append(Overlap(*days, tuple(r.id for r in here), len(who)))
    return tuple(found)
