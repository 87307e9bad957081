"""A patient's time line as what a picture and the table beside it show: days as text, amounts as numbers.

The picture is drawn in the browser from these values; the table and the sentence say the same without it.
A day without supply is a break in the line, never a zero that somebody might take for a measurement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from stewardship.declarations import Library
from stewardship.domain.chart import Chart
from stewardship.domain.exposure import Definition, Figure
from stewardship.domain.flags import history
from stewardship.domain.instruments import Better, Instrument
from stewardship.domain.measurements import Trend
from stewardship.domain.mme import FactorSet
from stewardship.domain.orders import SupplyKind
from stewardship.domain.timeline import SupplySpan, Timeline, timeline
from stewardship.pictures.timeline import in_words

#: The windows that a reader can choose, in days back from today.
WINDOWS = {"90": "3 months", "182": "6 months", "365": "12 months", "730": "24 months"}
WINDOW = "365"

#: The four definitions of daily MME, as they are called here.
NAMES = {
    Definition.MAXIMUM_DAILY_DOSE: "Highest day",
    Definition.ON_THERAPY_DAYS: "Days on therapy",
    Definition.TOTAL_DAYS_SUPPLY: "Days' supply",
    Definition.FIXED_WINDOW: "Fixed window",
}


@dataclass(frozen=True)
class Chosen:
    """What the reader wants drawn."""

    factor_set: FactorSet
    definition: Definition
    days: int


@dataclass(frozen=True)
class Drawn:
    """A time line with what was chosen, ready for the page. ``picture`` goes to the browser as JSON."""

    chosen: Chosen
    timeline: Timeline
    figure: Figure
    summary: tuple[str, ...]
    picture: dict[str, Any]

    @property
    def shown(self) -> tuple[SupplySpan, ...]:
        """The supplies that are drawn: opioids and what nobody recognises, the newest first."""
        return tuple(s for s in reversed(self.timeline.supplies) if s.opioid or not s.recognised)


@dataclass(frozen=True)
class Measurement:
    """One value of an instrument on a day. ``here`` says that its answers are on record here; otherwise it
    is a score as the record brought it."""

    on: date
    value: Decimal
    here: bool


@dataclass(frozen=True)
class Measure:
    """One instrument of function over time, measured here or brought with the record."""

    instrument: Instrument
    values: tuple[Measurement, ...]
    trend: Trend | None
    picture: dict[str, Any]

    @property
    def lower_is_better(self) -> bool:
        """Which way is the better one."""
        return self.instrument.better is Better.LOWER


def chosen(library: Library, wanted: dict[str, str]) -> Chosen:
    """The reader's choice; what is not on offer is as the reference says."""
    common = library.flags.common
    sets = library.factor_sets
    window = wanted.get("days", "")
    definition = wanted.get("definition", "")
    return Chosen(
        sets.get(wanted.get("set", ""), common.factor_set),
        Definition(definition) if definition in list(Definition) else Definition.MAXIMUM_DAILY_DOSE,
        int(window if window in WINDOWS else WINDOW),
    )


def drawn(chart: Chart, known_as: str, library: Library, choice: Chosen) -> Drawn:
    """The time line of a patient up to today under the chosen factor set."""
    rules = replace(library.flags, common=replace(library.flags.common, factor_set=choice.factor_set))
    until = chart.today
    first = until - timedelta(days=choice.days - 1)
    supplies = tuple(s for s in chart.supplies if s.kind is not SupplyKind.DRAFT)
    seen = history(supplies, rules.common, as_of=until, areas=rules.areas)
    line = timeline(known_as, seen, rules, first=first, until=until, data_as_of=chart.data_as_of)
    figure = next(f for f in line.figures if f.definition is choice.definition)
    return Drawn(choice, line, figure, tuple(in_words(line, choice.definition)), _picture(line, figure))


def measures(chart: Chart, trends: Iterable[Trend], instruments: Iterable[Instrument]) -> tuple[Measure, ...]:
    """Function over time: what was measured here, and the scores that the record brought, each instrument
    for itself."""
    by_id = {trend.instrument.id: trend for trend in trends}
    found = []
    for instrument in instruments:
        if not instrument.satisfies_review and instrument.id not in by_id:
            continue
        trend = by_id.get(instrument.id)
        values = sorted([*_here(trend), *_brought(chart, instrument)], key=lambda m: (m.on, not m.here))
        if values:
            found.append(Measure(instrument, tuple(values), trend, _function(instrument, values)))
    return tuple(found)


# --- for the picture -----------------------------------------------------------------------------------


def _picture(line: Timeline, figure: Figure) -> dict[str, Any]:
    steps = [s for s in line.steps if s.last >= line.first and s.first <= line.until]
    lanes = _lanes([s for s in line.supplies if s.opioid or not s.recognised])
    return {
        "kind": "dose",
        "first": line.first.isoformat(),
        "until": line.until.isoformat(),
        "unit": "MME a day",
        "steps": [
            [_day(max(s.first, line.first)), _day(min(s.last, line.until)), _number(s.mme), s.complete]
            for s in steps
        ],
        "guidance": [_number(g.mme_per_day) for g in line.guidance],
        "figure": {
            "label": NAMES[figure.definition],
            "value": None if figure.value is None else _number(figure.value),
            "complete": figure.complete,
        },
        "gaps": [[_day(max(g.first, line.first)), _day(min(g.last, line.until))] for g in line.gaps],
        "overlaps": [
            [_day(max(o.first, line.first)), _day(min(o.last, line.until))] for o in _joined(line.overlaps)
        ],
        "lanes": list(lanes),
        "supplies": [
            [lane, _day(max(s.first, line.first)), _day(min(s.last or s.first, line.until)),
             None if s.mme_per_day is None else _number(s.mme_per_day), s.complete, s.days or 0]
            for lane, name in enumerate(lanes)
            for s in lanes[name]
        ],
    }  # fmt: skip


def _lanes(supplies: Sequence[SupplySpan]) -> dict[str, list[SupplySpan]]:
    """The supplies by medicine, in the order in which the medicines first appear."""
    lanes: dict[str, list[SupplySpan]] = {}
    for supply in supplies:
        lanes.setdefault(supply.medicine, []).append(supply)
    return lanes


def _joined(overlaps: Sequence[Any]) -> list[Any]:
    """Overlaps that follow each other as one, for a band in the picture."""
    joined: list[Any] = []
    for one in overlaps:
        if joined and (one.first - joined[-1].last).days <= 1:
            joined[-1] = replace(joined[-1], last=one.last, days=joined[-1].days + one.days)
        else:
            joined.append(one)
    return joined


def _here(trend: Trend | None) -> Iterable[Measurement]:
    if trend is not None:
        for point in trend.whole.points:
            if point.value is not None:
                yield Measurement(point.on, point.value, here=True)


def _brought(chart: Chart, instrument: Instrument) -> Iterable[Measurement]:
    for one in chart.observations:
        codes = {coding.code for coding in one.codings}
        if instrument.loinc and instrument.loinc in codes and one.value is not None and one.on is not None:
            yield Measurement(one.on, one.value, here=False)


def _function(instrument: Instrument, values: Sequence[Measurement]) -> dict[str, Any]:
    return {
        "kind": "function",
        "title": instrument.title,
        "least": _number(instrument.least),
        "most": _number(instrument.most),
        "better": instrument.better.value,
        "values": [[_day(v.on), _number(v.value), v.here] for v in values],
    }


def _day(on: date) -> str:
    return on.isoformat()


def _number(value: Decimal) -> float:
    """For the screen alone, where a pixel is coarser than a float."""
    return float(round(value, 2))
