"""A patient's timeline as a picture: MME a day, breaks and overlaps, one lane a medicine, what is not known.

What is only a lower bound is hatched, days without supply are a break in the drawing and never a zero, and
lines of guidance are called what they are. Nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from stewardship.domain.exposure import Definition, Figure, Step
from stewardship.domain.timeline import SupplySpan, Timeline
from stewardship.pictures.svg import element, label, text

_DAY = timedelta(days=1)
#: The four definitions of daily MME in words.
DEFINITIONS = {
    Definition.TOTAL_DAYS_SUPPLY: "all MME by all days of supply",
    Definition.ON_THERAPY_DAYS: "all MME by the days with an opioid in hand",
    Definition.FIXED_WINDOW: "all MME by all days of the window",
    Definition.MAXIMUM_DAILY_DOSE: "the highest total of any day",
}
#: Why the picture may stay under a published figure.
CONTINUED = (
    "The line takes a fill that the next one continues as ended; published figures count both on the days "
    "that they share."
)
_WIDTH, _LEFT, _RIGHT = 960, 72, 24
_TOP, _PLOT, _LANE = 64, 240, 34
_INK, _QUIET, _LINE = "#1b1b1b", "#565c65", "#dfe1e2"
_DOSE, _GUIDE, _OVERLAP = "#2378c3", "#936f38", "#b50909"
_FONT = "Source Sans 3, Source Sans Pro, Helvetica, Arial, sans-serif"
_MOST_LANES, _LONGEST_NAME = 12, 64
#: Days without supply that are marked: shorter breaks are within what a calendar does to refills.
_SHOWN_GAP = 7
_NAMED_GAP_WIDTH = 46
#: Windows of so many days are labelled by weeks.
_SHORT_WINDOW = 70


def timeline_svg(line: Timeline, definition: Definition = Definition.MAXIMUM_DAILY_DOSE) -> str:
    """The picture, as an SVG document that can also stand within a page."""
    return _Picture(line, definition).whole()


def in_words(line: Timeline, definition: Definition) -> list[str]:
    """What the picture shows, in sentences."""
    said = [
        f"From {_day(line.first)} to {_day(line.until)}, in MME a day under the factors {line.factor_set}."
    ]
    if not any(s.opioid for s in line.supplies):
        return [*said, "No opioid for pain is on record in this window."]
    figure = _figure(line, definition)
    said.append(f"Daily MME as {DEFINITIONS[definition]}: {_amount(figure)}. {CONTINUED}")
    for guide in line.guidance:
        least = "" if guide.complete else "at least "
        said.append(f"{_plain(guide.mme_per_day)} MME or more on {least}{_days(guide.days)}.")
    overlapping = sum(overlap.days for overlap in line.overlaps)
    if overlapping:
        said.append(f"Opioids overlap on {_days(overlapping)}.")
    breaks = [gap for gap in line.gaps if gap.days >= _SHOWN_GAP]
    if breaks:
        said.append(
            f"{len(breaks)} breaks of a week or more; the longest lasts {_days(max(g.days for g in breaks))}."
        )
    unknown = [
        s for s in line.supplies if not s.complete and not s.excluded and (s.opioid or not s.recognised)
    ]
    if unknown:
        said.append(
            f"Dose, length or product of {len(unknown)} supplies is not known: totals are at least so much."
        )
    if line.data_as_of is None:
        said.append("No pharmacy reports of this patient.")
    else:
        said.append(f"Pharmacy data to {_day(line.data_as_of.date())}, {line.data_as_of:%H:%M} UTC.")
    return said


@dataclass(frozen=True)
class _Picture:
    line: Timeline
    definition: Definition

    def whole(self) -> str:
        lanes = self._lanes()
        height = _TOP + _PLOT + 34 + (len(lanes) + 1) * _LANE + 46
        title = f"Opioid doses from {_day(self.line.first)} to {_day(self.line.until)}"
        return element(
            "svg",
            element("title", text(title), id="timeline-title"),
            element("desc", text(" ".join(in_words(self.line, self.definition))), id="timeline-desc"),
            element("defs", _hatch("at-least", _DOSE), _hatch("not-reported", _QUIET)),
            element("rect", width=_WIDTH, height=height, fill="#ffffff", class_="paper"),
            *self._heading(),
            *self._axes(),
            *self._not_reported(),
            *self._gaps(),
            *self._steps(),
            *self._guides(),
            *self._overlaps(),
            *(part for number, lane in enumerate(lanes.items()) for part in self._lane(number + 1, *lane)),
            *self._legend(height - 12),
            xmlns="http://www.w3.org/2000/svg",
            view_box=f"0 0 {_WIDTH} {height}",
            role="img",
            aria_labelledby="timeline-title timeline-desc",
            class_="timeline",
            font_family=_FONT,
            font_size=13,
            fill=_INK,
        )

    # --- scales

    def x(self, day: date) -> float:
        """Where a day begins."""
        span = (self.line.until - self.line.first).days + 1
        at = min(max((day - self.line.first).days, 0), span)
        return _LEFT + at * (_WIDTH - _LEFT - _RIGHT) / span

    def y(self, mme: Decimal) -> float:
        """Where an amount is."""
        return _TOP + _PLOT - float(mme) * _PLOT / self.top

    @property
    def top(self) -> int:
        """The highest amount that the axis shows: a round number above everything drawn."""
        highest = max(
            [*(s.mme for s in self.line.steps), *(g.mme_per_day for g in self.line.guidance)],
            default=Decimal(0),
        )
        step = _round_step(highest)
        return (int(highest) // step + 1) * step

    # --- parts

    def _heading(self) -> Iterator[str]:
        figure = _figure(self.line, self.definition)
        some = any(s.opioid or not s.recognised for s in self.line.supplies)
        said = f"MME a day: {_amount(figure)}" if some else "No opioid on record in this window"
        yield label(_LEFT, 22, said, font_size=17, font_weight="bold")
        yield label(
            _LEFT,
            42,
            f"{DEFINITIONS[self.definition]} · factors {self.line.factor_set}",
            fill=_QUIET,
            class_="quiet",
        )

    def _axes(self) -> Iterator[str]:
        step = _round_step(Decimal(self.top - 1))
        for mme in range(0, self.top + 1, step):
            y = self.y(Decimal(mme))
            yield element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, stroke=_LINE, class_="grid")
            yield label(_LEFT - 8, y + 4, str(mme), text_anchor="end", fill=_QUIET, class_="quiet")
        base = _TOP + _PLOT
        for day, words in _ticks(self.line.first, self.line.until):
            x = self.x(day)
            yield element("line", x1=x, x2=x, y1=base, y2=base + 5, stroke=_QUIET, class_="tick")
            yield label(x + 2, base + 18, words, fill=_QUIET, class_="quiet")
        yield element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=base, y2=base, stroke=_QUIET, class_="axis")

    def _not_reported(self) -> Iterator[str]:
        """The days after the last report: nothing is known of them."""
        if self.line.data_as_of is None or self.line.data_as_of.date() >= self.line.until:
            return
        x = self.x(self.line.data_as_of.date() + _DAY)
        yield element(
            "rect",
            element("title", text(f"No reports after {_day(self.line.data_as_of.date())}")),
            x=x,
            y=_TOP,
            width=_WIDTH - _RIGHT - x,
            height=_PLOT,
            fill="url(#not-reported)",
            class_="not-reported",
        )

    def _gaps(self) -> Iterator[str]:
        for gap in self.line.gaps:
            first, last = max(gap.first, self.line.first), min(gap.last, self.line.until)
            if gap.days < _SHOWN_GAP or last < first:
                continue
            x, until = self.x(first), self.x(last + _DAY)
            y = _TOP + _PLOT - 6
            yield element(
                "path",
                element(
                    "title",
                    text(f"No opioid in hand from {_day(gap.first)} to {_day(gap.last)}: {_days(gap.days)}"),
                ),
                d=f"M{x + 1:.1f} {y - 5} v5 H{until - 1:.1f} v-5",
                fill="none",
                stroke=_QUIET,
                class_="gap",
            )
            if until - x >= _NAMED_GAP_WIDTH:
                yield label(
                    (x + until) / 2,
                    y - 8,
                    f"{gap.days} d none",
                    text_anchor="middle",
                    fill=_QUIET,
                    font_size=11,
                )

    def _steps(self) -> Iterator[str]:
        for step in self.line.steps:
            first, last = max(step.first, self.line.first), min(step.last, self.line.until)
            x, until, y = self.x(first), self.x(last + _DAY), self.y(step.mme)
            fill = _DOSE if step.complete else "url(#at-least)"
            yield element(
                "rect",
                element("title", text(_said_of(step))),
                x=x,
                y=y,
                width=max(until - x, 1.0),
                height=_TOP + _PLOT - y,
                fill=fill,
                fill_opacity="0.3" if step.complete else None,
                class_="dose" if step.complete else "dose at-least",
            )
            yield element(
                "line",
                x1=x,
                x2=max(until, x + 1.0),
                y1=y,
                y2=y,
                stroke=_DOSE,
                stroke_width=2.5,
                stroke_dasharray=None if step.complete else "4 3",
                class_="dose-line",
            )

    def _guides(self) -> Iterator[str]:
        for guide in self.line.guidance:
            y = self.y(guide.mme_per_day)
            yield element(
                "line",
                x1=_LEFT,
                x2=_WIDTH - _RIGHT,
                y1=y,
                y2=y,
                stroke=_GUIDE,
                stroke_width=1.5,
                stroke_dasharray="8 4",
                class_="guidance",
            )
            words = f"{_plain(guide.mme_per_day)}: pause and look again (guidance, not a limit)"
            yield element(
                "text",
                text(words),
                x=_WIDTH - _RIGHT - 4,
                y=y - 5,
                text_anchor="end",
                font_size=11,
                fill="#6b4f1d",
                stroke="#ffffff",
                stroke_width=3,
                paint_order="stroke",
                class_="guidance-words",
            )

    def _row(self, number: int) -> float:
        return _TOP + _PLOT + 40 + number * _LANE

    def _overlaps(self) -> Iterator[str]:
        y = self._row(0)
        total = sum(overlap.days for overlap in self.line.overlaps)
        yield label(_LEFT, y, f"Opioids that overlap: {_days(total) if total else 'none'}", font_size=12)
        yield self._rail(y + 10)
        for overlap in self.line.overlaps:
            said = f"{_day(overlap.first)} to {_day(overlap.last)}: {len(overlap.supplies)} supplies"
            if overlap.prescribers > 1:
                said += f" of {overlap.prescribers} prescribers"
            yield self._bar(overlap.first, overlap.last, y + 6, 8, _OVERLAP, said, "overlap")

    def _lane(self, number: int, name: str, supplies: Sequence[SupplySpan]) -> Iterator[str]:
        y = self._row(number)
        yield label(_LEFT, y, _clipped(name), font_size=12)
        yield self._rail(y + 10)
        for supply in supplies:
            known = supply.last is not None and supply.complete
            colour = _DOSE if supply.opioid else _QUIET
            said = _said_of_supply(supply)
            yield self._bar(
                supply.first, supply.last or supply.first, y + 5, 10, colour, said, "supply", whole=known
            )

    def _rail(self, y: float) -> str:
        return element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, stroke=_LINE, class_="grid")

    def _bar(
        self,
        first: date,
        last: date,
        y: float,
        height: int,
        colour: str,
        said: str,
        class_: str,
        *,
        whole: bool = True,
    ) -> str:
        x, until = self.x(max(first, self.line.first)), self.x(min(last, self.line.until) + _DAY)
        return element(
            "rect",
            element("title", text(said)),
            x=x + 0.5,
            y=y,
            width=max(until - x - 1, 2.0),
            height=height,
            rx=2,
            fill=colour if whole else "#ffffff",
            stroke=colour,
            stroke_dasharray=None if whole else "3 2",
            class_=class_ if whole else f"{class_} at-least",
        )

    def _lanes(self) -> dict[str, list[SupplySpan]]:
        """The supplies by medicine: whatever is of a class that matters here, and what nobody recognises."""
        lanes: dict[str, list[SupplySpan]] = {}
        for supply in self.line.supplies:
            if supply.opioid or not supply.recognised or supply.classes:
                name = supply.medicine if supply.recognised else f"Not recognised: {supply.medicine}"
                name += " (left out by the factors)" if supply.excluded else ""
                lanes.setdefault(name, []).append(supply)
        names = list(lanes)
        if len(names) > _MOST_LANES:
            further = [s for name in names[_MOST_LANES - 1 :] for s in lanes.pop(name)]
            lanes[f"{len(names) - _MOST_LANES + 1} further medicines"] = further
        return lanes

    def _legend(self, y: float) -> Iterator[str]:
        current = "No pharmacy reports of this patient"
        if self.line.data_as_of is not None:
            current = (
                f"Pharmacy data to {_day(self.line.data_as_of.date())}, {self.line.data_as_of:%H:%M} UTC"
            )
        words = f"Hatched or dashed: at least so much. Hatched grey: no reports yet. {current}."
        yield label(_LEFT, y - 15, words, fill=_QUIET, font_size=11, class_="quiet")
        yield label(_LEFT, y, CONTINUED, fill=_QUIET, font_size=11, class_="quiet")


# --- in words --------------------------------------------------------------------------------------


def _figure(line: Timeline, definition: Definition) -> Figure:
    return next(figure for figure in line.figures if figure.definition is definition)


def _amount(figure: Figure) -> str:
    if figure.value is None:
        begun = figure.supplies or figure.definition is Definition.MAXIMUM_DAILY_DOSE
        return "cannot be told" if begun else "cannot be told, for no supply begins in this window"
    return f"{'' if figure.complete else 'at least '}{_plain(figure.value)}"


def _said_of(step: Step) -> str:
    least = "" if step.complete else "at least "
    several = f", {step.medicines} supplies" if step.medicines > 1 else ""
    return f"{_day(step.first)} to {_day(step.last)}: {least}{_plain(step.mme)} MME a day{several}"


def _said_of_supply(supply: SupplySpan) -> str:
    length = "length not known" if supply.days is None else _days(supply.days)
    if supply.mme_per_day is not None:
        dose = f"{'' if supply.complete else 'at least '}{_plain(supply.mme_per_day)} MME a day"
    elif supply.excluded:
        dose = "left out by the factors"
    else:
        dose = "dose not known" if supply.opioid or not supply.recognised else ""
    return ", ".join(part for part in (f"{supply.medicine}: from {_day(supply.first)}", length, dose) if part)


def _plain(value: Decimal) -> str:
    return f"{round(value, 1).normalize():f}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"


def _clipped(words: str) -> str:
    return words if len(words) <= _LONGEST_NAME else f"{words[: _LONGEST_NAME - 1]}…"


# --- scales ----------------------------------------------------------------------------------------


def _round_step(highest: Decimal) -> int:
    """The distance of grid lines: four to eight of them, in round numbers."""
    for step in (10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000):
        if highest < step * 7:
            return step
    return int(highest) // 6


def _ticks(first: date, until: date) -> Iterable[tuple[date, str]]:
    """The days that are labelled: about a dozen at the most, beginnings of months, or of weeks where the
    window is short; the year where it is new."""
    days = (until - first).days + 1
    if days <= _SHORT_WINDOW:
        monday = first + (-first.weekday() % 7) * _DAY
        for number, week in enumerate(range(0, (until - monday).days + 1, 7)):
            day = monday + week * _DAY
            yield day, f"{day.day} {day:%b %Y}" if number == 0 else f"{day.day} {day:%b}"
        return
    span = (until.year - first.year) * 12 + until.month - first.month
    every = max(1, -(-span // 12))
    month, number, said_year = first.replace(day=1), 0, 0
    while month <= until:
        if month >= first and number % every == 0:
            yield month, f"{month:%b}" if month.year == said_year else f"{month:%b %Y}"
            said_year = month.year
        number += 1
        month = (month + 31 * _DAY).replace(day=1)


def _hatch(name: str, colour: str) -> str:
    attributes: dict[str, Any] = {
        "id": name,
        "width": 6,
        "height": 6,
        "patternUnits": "userSpaceOnUse",
        "patternTransform": "rotate(45)",
    }
    stroke = element("line", x1=0, x2=0, y1=0, y2=6, stroke=colour, stroke_width=2, stroke_opacity="0.55")
    return element("pattern", stroke, **attributes)
