"""Function over time beside the daily dose as a picture: scores above, MME a day below, on the same days.

Better is up, whichever way an instrument runs. What became of a score is told by its shape, not by a colour;
a dose that is only a lower bound has a broken outline, and days without supply are a break.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from stewardship.domain.beside_dose import BesideDose, Row
from stewardship.domain.exposure import Step
from stewardship.domain.instruments import Better, Verdict
from stewardship.pictures.svg import element, label, text

_WIDTH, _LEFT, _RIGHT, _HEIGHT = 640, 56, 16, 360
_SCORE_TOP, _SCORES = 28, 150
_DOSE_TOP, _DOSES = 222, 96
_SHAPES = {Verdict.BETTER: "▲", Verdict.WORSE: "▼", Verdict.UNCHANGED: "●", Verdict.CANNOT_TELL: "○"}


def function_svg(seen: BesideDose, *, name: str = "function") -> str:
    """The picture, as an SVG document that can also stand within a page. ``name`` begins the ids inside it,
    for a page that has several."""
    return _Picture(seen, seen.rows).whole(name)


@dataclass(frozen=True)
class _Picture:
    seen: BesideDose
    rows: tuple[Row, ...]

    def whole(self, name: str) -> str:
        title, words = f"{name}-title", f"{name}-desc"
        return element(
            "svg",
            element("title", text(f"{self.seen.line.title}, and the daily dose"), id=title),
            element("desc", text(self.seen.summary), id=words),
            *self._scores(),
            *self._doses(),
            *self._days(),
            xmlns="http://www.w3.org/2000/svg",
            view_box=f"0 0 {_WIDTH} {_HEIGHT}",
            role="img",
            aria_labelledby=f"{title} {words}",
            class_="function",
            font_family="sans-serif",
            font_size=12,
            fill="currentColor",
        )

    def x(self, ordinal: int) -> float:
        """Where a day begins."""
        first = self.seen.first.toordinal()
        days = self.seen.until.toordinal() - first + 1
        return _LEFT + min(max(ordinal - first, 0), days) * (_WIDTH - _LEFT - _RIGHT) / days

    def _scores(self) -> Iterator[str]:
        instrument = self.seen.trend.instrument
        top, bottom = instrument.most, instrument.least
        if instrument.better is Better.LOWER:
            top, bottom = bottom, top
        yield label(_LEFT, _SCORE_TOP - 12, f"{self.seen.line.title} (better is up)")
        yield from _axis(_SCORE_TOP, _SCORES, _plain(top), _plain(bottom))
        places = [
            (
                self.x(row.on.toordinal()),
                _SCORE_TOP + _SCORES * float((top - row.score) / (top - bottom)),
                row,
            )
            for row in self.rows
            if row.score is not None
        ]
        if len(places) > 1:
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
            yield element("polyline", points=points, fill="none", stroke="currentColor", stroke_width=1.5)
        for x, y, row in places:
            shape = _SHAPES[row.verdict or Verdict.UNCHANGED]
            yield label(x, y, shape, dy=4, text_anchor="middle", font_size=13, class_="score")
            yield label(x, y, str(row.score), dy=-9, text_anchor="middle")

    def _doses(self) -> Iterator[str]:
        most = max((s.mme for s in self.seen.shown), default=Decimal(0))
        yield label(_LEFT, _DOSE_TOP - 12, f"MME a day ({self.seen.factor_set})")
        yield from _axis(_DOSE_TOP, _DOSES, _plain(most) if most else "", "0")
        bottom = _DOSE_TOP + _DOSES
        for run in _runs(self.seen.shown) if most else ():
            points = [(self.x(run[0].first.toordinal()), float(bottom))]
            for step in run:
                y = bottom - _DOSES * float(step.mme / most)
                points += [(self.x(step.first.toordinal()), y), (self.x(step.last.toordinal() + 1), y)]
            points.append((self.x(run[-1].last.toordinal() + 1), float(bottom)))
            yield element(
                "polygon",
                points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
                fill_opacity="0.15",
                stroke="currentColor",
                stroke_dasharray=None if all(s.complete for s in run) else "4 3",
                class_="dose",
            )

    def _days(self) -> Iterator[str]:
        first, until = self.seen.first, self.seen.until
        middle = date.fromordinal((first.toordinal() + until.toordinal()) // 2)
        for x, day, anchor in (
            (_LEFT, first, "start"),
            ((_LEFT + _WIDTH - _RIGHT) / 2, middle, "middle"),
            (_WIDTH - _RIGHT, until, "end"),
        ):
            yield label(x, _HEIGHT - 16, f"{day:%d %b %Y}", text_anchor=anchor)


def _runs(steps: tuple[Step, ...]) -> list[list[Step]]:
    """Steps that follow on one another without a day between them."""
    found: list[list[Step]] = []
    for step in steps:
        if found and step.first.toordinal() <= found[-1][-1].last.toordinal() + 1:
            found[-1].append(step)
        else:
            found.append([step])
    return found


def _axis(top: int, height: int, high: str, low: str) -> Iterator[str]:
    for y, dashes in ((top, "2 4"), (top + height, None)):
        yield element(
            "line",
            x1=_LEFT,
            x2=_WIDTH - _RIGHT,
            y1=y,
            y2=y,
            stroke="currentColor",
            stroke_opacity="0.35",
            stroke_dasharray=dashes,
        )
    yield label(_LEFT - 6, top + 4, high, text_anchor="end")
    yield label(_LEFT - 6, top + height + 4, low, text_anchor="end")


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
