"""Bars beside a table that holds the same values: one group for each label, one bar for each series.

They stand where every label fits below its group; else, and on a narrow screen, they lie below their labels.

Colours are classes, so that a page draws them in its theme; each series has an edge of its own, and a
legend, so that nothing is told by colour alone. What is withheld or not known is a gap, never a zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from stewardship.pictures.svg import element, label, text

_WIDTH, _LEFT, _RIGHT = 720, 56, 12
_TOP, _PLOT, _BELOW, _LEGEND_LINE = 14, 200, 34, 22
_LETTER, _STEPS = 7, 4
#: Of bars that lie: the picture's width, room for a value behind its bar, a line of text, a bar, a gap.
_NARROW, _VALUE, _LINE, _THICK, _GAP = 400, 76, 20, 17, 6
#: So many series can be told apart.
MOST_SERIES = 4


def bars_svg(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[Decimal | int | None]],
    *,
    unit: str = "",
) -> str:
    """The picture as an ``svg`` element within a page; ``""`` when there is nothing to draw."""
    shown = dict(list(series.items())[:MOST_SERIES])
    values = [Decimal(v) for line in shown.values() for v in line if v is not None]
    if not labels or not values or max(values) <= 0:
        return ""
    top = _round_up(max(values))
    lying = _lying(title, labels, shown, top, unit)
    if max(map(len, labels)) * _LETTER > _room(labels):
        return lying
    return _standing(title, labels, shown, top, unit) + lying.replace(
        "bars--lying", "bars--lying bars--narrow"
    )


def _standing(
    title: str,
    labels: Sequence[str],
    shown: Mapping[str, Sequence[Decimal | int | None]],
    top: Decimal,
    unit: str,
) -> str:
    height = _TOP + _PLOT + _BELOW + _LEGEND_LINE * len(shown)
    return element(
        "svg",
        element("title", text(title)),
        *_axis(top, unit),
        *_groups(labels, shown, top),
        *_legend(tuple(shown), _LEFT, _TOP + _PLOT + _BELOW),
        xmlns="http://www.w3.org/2000/svg",
        view_box=f"0 0 {_WIDTH} {height}",
        role="img",
        class_="bars",
    )


def _lying(
    title: str,
    labels: Sequence[str],
    shown: Mapping[str, Sequence[Decimal | int | None]],
    top: Decimal,
    unit: str,
) -> str:
    one = _LINE + len(shown) * _THICK + _GAP
    height = len(labels) * one + _LEGEND_LINE * len(shown)
    drawn: list[str] = []
    for place, name in enumerate(labels):
        y = place * one
        drawn.append(label(0, y + _LINE - 5, name))
        for number, line in enumerate(shown.values()):
            value = line[place] if place < len(line) else None
            drawn.append(_bar(name, value, number, y + _LINE + number * _THICK, top, unit))
    return element(
        "svg",
        element("title", text(title)),
        *drawn,
        *_legend(tuple(shown), 0, len(labels) * one + 4),
        xmlns="http://www.w3.org/2000/svg",
        view_box=f"0 0 {_NARROW} {height}",
        role="img",
        class_="bars bars--lying",
    )


def _bar(name: str, value: Decimal | int | None, number: int, y: float, top: Decimal, unit: str) -> str:
    if value is None:
        return label(0, y + _THICK - 4, "no figure")
    length = float((_NARROW - _VALUE) * Decimal(value) / top)
    said = f"{value}{f' {unit}' if unit else ''}"
    drawn = element(
        "rect",
        element("title", text(f"{name}: {said}")),
        x=1,
        y=y + 1,
        width=max(1.0, length),
        height=_THICK - 3,
        class_=f"bar bar--{number + 1}",
    )
    return drawn + label(length + 8, y + _THICK - 4, said)


def _room(labels: Sequence[str]) -> float:
    """How wide a label of bars that stand may be."""
    return (_WIDTH - _LEFT - _RIGHT) / len(labels)


def _axis(top: Decimal, unit: str) -> Iterator[str]:
    for step in range(_STEPS + 1):
        value = top * step / _STEPS
        y = _y(value, top)
        yield element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
        yield label(_LEFT - 6, y + 4, f"{value.normalize():f}{f' {unit}' if unit else ''}", text_anchor="end")


def _groups(
    labels: Sequence[str], series: Mapping[str, Sequence[Decimal | int | None]], top: Decimal
) -> Iterator[str]:
    room = _room(labels)
    width = room * 0.8 / len(series)
    for place, name in enumerate(labels):
        left = _LEFT + place * room + room * 0.1
        for number, line in enumerate(series.values()):
            value = line[place] if place < len(line) else None
            if value is not None and value > 0:
                y = _y(Decimal(value), top)
                yield element(
                    "rect",
                    element("title", text(f"{name}: {value}")),
                    x=left + number * width,
                    y=y,
                    width=max(1.0, width - 1),
                    height=_TOP + _PLOT - y,
                    class_=f"bar bar--{number + 1}",
                )
        yield label(left + room * 0.4, _TOP + _PLOT + 18, name, text_anchor="middle")


def _legend(names: Sequence[str], x: float, below: float) -> Iterator[str]:
    for number, name in enumerate(names):
        y = below + number * _LEGEND_LINE
        yield element("rect", x=x + 1, y=y, width=22, height=12, class_=f"bar bar--{number + 1}")
        yield label(x + 30, y + 11, name)


def _y(value: Decimal, top: Decimal) -> float:
    return float(_TOP + _PLOT - _PLOT * value / top)


def _round_up(highest: Decimal) -> Decimal:
    """A round number at or over the highest value, which ``_STEPS`` divides."""
    size = Decimal(10) ** (highest.adjusted())
    for step in (Decimal(1), Decimal(2), Decimal(4), Decimal(8), Decimal(10)):
        if step * size >= highest:
            # Below four, steps would not be whole numbers.
            return max(step * size, Decimal(_STEPS))
    return size * 10
