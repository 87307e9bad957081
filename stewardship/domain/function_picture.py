"""Function over time beside the daily dose, as one picture and as the table that says the same.

An SVG that stands alone: no script, no style from elsewhere, colours that follow the page, shapes besides
colours, and a description for those who do not see it. Better is up, whichever way an instrument runs. Days
without supply are a break in the dose, never a zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from html import escape
from itertools import pairwise

from stewardship.domain.exposure import Step
from stewardship.domain.instruments import Better, Instrument, Verdict, change
from stewardship.domain.measurements import Line, Measured, Trend

_WIDTH, _LEFT, _RIGHT = 640, 56, 16
_SCORE_TOP, _SCORE_HEIGHT = 28, 150
_DOSE_TOP, _DOSE_HEIGHT = 222, 96
_HEIGHT = 360
_SHAPES = {Verdict.BETTER: "▲", Verdict.WORSE: "▼", Verdict.UNCHANGED: "●", Verdict.CANNOT_TELL: "○"}


@dataclass(frozen=True, slots=True)
class Row:
    """A measurement: its day, the score (``None``: none could be made), what became of it since the first,
    and the daily dose on that day (``None``: nothing in hand)."""

    on: date
    score: Decimal | None
    verdict: Verdict | None
    mme_per_day: Decimal | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """The picture, its table, and both in a sentence. ``complete`` is whether every daily dose is whole."""

    svg: str
    rows: tuple[Row, ...]
    summary: str
    complete: bool


def drawn(
    trend: Trend, steps: Iterable[Step], *, first: date, until: date, factor_set: str, name: str = "function"
) -> Drawn:
    """Draw the line of function of an instrument from ``first`` to ``until``, and the daily MME below it.

    ``name`` makes the ids inside the picture its own where a page has several.
    """
    here = [s for s in steps if s.first <= until and s.last >= first]
    line = trend.function
    inside = [m for m in trend.measurements if first <= m.taken_on <= until]
    rows = tuple(_row(trend, line, one, here) for one in inside)
    summary = _summary(trend, line, rows, here, first, until)
    return Drawn(
        _svg(trend.instrument, line, rows, here, first, until, factor_set, name, summary),
        rows,
        summary,
        all(s.complete for s in here),
    )


def _row(trend: Trend, line: Line, one: Measured, steps: Sequence[Step]) -> Row:
    value = next((p.value for p in line.points if p.measurement == one.id), None)
    mme = next((s.mme for s in steps if s.first <= one.taken_on <= s.last), None)
    start = next((p.measurement for p in line.points if p.value is not None), one.id)
    first = next(m for m in trend.measurements if m.id == start)
    if value is None or first.id == one.id or first.score is None or one.score is None:
        return Row(one.taken_on, value, None, mme)
    whole = change(trend.instrument, first.score, one.score)
    judged = whole.parts.get(line.part, whole) if line.part else whole
    return Row(one.taken_on, value, judged.verdict, mme)


def _summary(
    trend: Trend, line: Line, rows: Sequence[Row], steps: Sequence[Step], first: date, until: date
) -> str:
    scores = [r for r in rows if r.score is not None]
    better = "higher" if trend.instrument.better is Better.HIGHER else "lower"
    words = [f"{line.title}, {better} is better, {first:%d %b %Y} to {until:%d %b %Y}."]
    if not scores:
        words.append("No score in this time.")
    else:
        words.append(f"{len(scores)} {'score' if len(scores) == 1 else 'scores'}")
        if len(scores) > 1:
            last = scores[-1]
            words.append(f"from {scores[0].score} to {last.score}: {last.verdict or 'cannot-tell'}.")
        else:
            words.append(f"of {scores[0].score}.")
    doses = [s.mme for s in steps]
    if doses:
        least = "" if all(s.complete for s in steps) else "at least "
        words.append(f"Daily dose from {least}{_plain(min(doses))} to {least}{_plain(max(doses))} MME a day.")
    else:
        words.append("No opioid in hand.")
    return " ".join(words)


# --- drawing -----------------------------------------------------------------------------------------


class _Scale:
    """From days and values to places in the picture."""

    def __init__(self, first: date, until: date) -> None:
        self.first = first.toordinal()
        self.days = max(1, until.toordinal() - self.first)

    def x(self, day: date | int) -> str:
        ordinal = day if isinstance(day, int) else day.toordinal()
        inside = min(max(ordinal - self.first, 0), self.days)
        return _place(Decimal(_LEFT) + Decimal(_WIDTH - _LEFT - _RIGHT) * inside / self.days)


def _svg(
    instrument: Instrument,
    line: Line,
    rows: Sequence[Row],
    steps: Sequence[Step],
    first: date,
    until: date,
    factor_set: str,
    name: str,
    summary: str,
) -> str:
    scale = _Scale(first, until)
    title = f"{line.title}, and the daily dose"
    ident = escape(name, quote=True)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="{ident}-title {ident}-words" font-family="sans-serif" font-size="12" '
        'fill="currentColor" stroke="none">'
    )
    return "".join(
        (
            opening,
            f'<title id="{ident}-title">{escape(title)}</title>',
            f'<desc id="{ident}-words">{escape(summary)}</desc>',
            *_scores(instrument, line, rows, scale),
            *_doses(steps, scale, factor_set),
            *_days(first, until, scale),
            "</svg>",
        )
    )


def _scores(instrument: Instrument, line: Line, rows: Sequence[Row], scale: _Scale) -> list[str]:
    top, bottom = instrument.most, instrument.least
    if instrument.better is Better.LOWER:
        top, bottom = bottom, top

    def y(value: Decimal) -> str:
        return _place(_SCORE_TOP + _SCORE_HEIGHT * (top - value) / (top - bottom))

    made = [_words(_LEFT, _SCORE_TOP - 12, f"{line.title} (better is up)", "start")]
    made += _axis(_SCORE_TOP, _SCORE_HEIGHT, _plain(top), _plain(bottom))
    known = [(scale.x(r.on), y(r.score), r) for r in rows if r.score is not None]
    if len(known) > 1:
        path = " ".join(f"{x},{place}" for x, place, _ in known)
        made.append(f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-width="1.5"/>')
    for x, place, row in known:
        shape = _SHAPES[row.verdict or Verdict.UNCHANGED]
        made.append(
            f'<text x="{x}" y="{place}" dy="4" text-anchor="middle" font-size="13">{shape}</text>'
            f'<text x="{x}" y="{place}" dy="-9" text-anchor="middle">{row.score}</text>'
        )
    return made


def _doses(steps: Sequence[Step], scale: _Scale, factor_set: str) -> list[str]:
    most = max((s.mme for s in steps), default=Decimal(0))
    made = [_words(_LEFT, _DOSE_TOP - 12, f"MME a day ({factor_set})", "start")]
    made += _axis(_DOSE_TOP, _DOSE_HEIGHT, _plain(most) if most else "", "0")
    if not most:
        return made
    bottom = _place(Decimal(_DOSE_TOP + _DOSE_HEIGHT))
    for run in _runs(steps):
        points = [f"{scale.x(run[0].first)},{bottom}"]
        for step in run:
            place = _place(_DOSE_TOP + _DOSE_HEIGHT * (most - step.mme) / most)
            points += [f"{scale.x(step.first)},{place}", f"{scale.x(step.last.toordinal() + 1)},{place}"]
        points.append(f"{scale.x(run[-1].last.toordinal() + 1)},{bottom}")
        whole = all(s.complete for s in run)
        dashed = "" if whole else ' stroke-dasharray="4 3"'
        made.append(
            f'<polygon points="{" ".join(points)}" fill-opacity="0.15" stroke="currentColor"{dashed}/>'
        )
    return made


def _runs(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps that follow on one another without a day between them."""
    found: list[list[Step]] = []
    ordered = sorted(steps, key=lambda s: s.first)
    for before, step in pairwise([None, *ordered]):
        if step is None:
            continue
        if before is not None and step.first.toordinal() <= before.last.toordinal() + 1:
            found[-1].append(step)
        else:
            found.append([step])
    return found


def _axis(top: int, height: int, high: str, low: str) -> list[str]:
    line = f'x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" stroke="currentColor" stroke-opacity="0.35"'
    return [
        f'<line {line} y1="{top}" y2="{top}" stroke-dasharray="2 4"/>',
        f'<line {line} y1="{top + height}" y2="{top + height}"/>',
        _words(_LEFT - 6, top + 4, high, "end"),
        _words(_LEFT - 6, top + height + 4, low, "end"),
    ]


def _days(first: date, until: date, scale: _Scale) -> list[str]:
    middle = date.fromordinal((first.toordinal() + until.toordinal()) // 2)
    places = ((first, "start"), (middle, "middle"), (until, "end"))
    return [
        f'<text x="{scale.x(day)}" y="{_HEIGHT - 16}" text-anchor="{anchor}">{day:%d %b %Y}</text>'
        for day, anchor in places
    ]


def _words(x: int, y: int, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _place(value: Decimal) -> str:
    return f"{value:.1f}"


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
