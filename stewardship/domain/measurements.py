"""What was measured of a patient, and what became of it over time.

Each instrument has a trend of its own, and each of its parts; they are never put together. A change is judged
on exact scores against the first measurement and against the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from stewardship.domain.instruments import Change, Instrument, Score, Verdict, change, score


class Reporter(StrEnum):
    """Who gave the answers: a clinician together with the patient, the patient alone, or a system."""

    CLINICIAN = "clinician"
    PATIENT = "patient"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement with its score, made from the answers just now.

    ``taken_on`` is the day where the organisation is. ``function`` says that function or goals were
    measured, not pain alone: a review can rest on it. ``score`` is ``None`` when the instrument, in that
    version, is not known here any more. ``in_error`` is why it counts for nothing, if it was a mistake;
    ``reviewed`` whether a review looked at it.
    """

    id: str
    instrument: str
    version: int
    taken_at: datetime
    taken_on: date
    answers: Mapping[str, Decimal]
    reported_by: Reporter
    function: bool
    score: Score | None
    in_error: str = ""
    reviewed: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """A score on a day; without a ``value`` for the reason in ``because``."""

    measurement: str
    on: date
    value: Decimal | None
    because: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """The scores of an instrument, or of a ``part`` of it, in order of their days, and what became of them.
    ``since_first`` and ``since_last`` are ``None`` until there is something to compare."""

    part: str
    title: str
    points: tuple[Point, ...]
    since_first: Change | None = None
    since_last: Change | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """One instrument over time: the whole first, then its parts."""

    instrument: Instrument
    lines: tuple[Line, ...]
    measurements: tuple[Measured, ...] = field(default=())

    @property
    def whole(self) -> Line:
        """The line of the whole instrument."""
        return self.lines[0]

    @property
    def function(self) -> Line:
        """The line that speaks of function: where pain is mixed in, the part without it."""
        return next((line for line in self.lines if line.part == "function"), self.whole)


def scored(
    instruments: Mapping[str, Instrument],
    instrument_id: str,
    version: int,
    answers: Mapping[str, Decimal],
    *,
    sex: str,
) -> Score | None:
    """The score of stored answers; ``None`` when that version of the instrument is not known here."""
    known = instruments.get(instrument_id)
    if known is None or known.version != version:
        return None
    return score(known, answers, sex=sex)


def measures_function(instrument: Instrument, found: Score) -> bool:
    """Whether answers measured function or goals. Of an instrument that mixes in pain, the pain item alone
    does not, nor do so few answers that there is no score."""
    if not instrument.satisfies_review:
        return False
    function = found.parts.get("function")
    return found.exact is not None or (function is not None and function.exact is not None)


def trends(instruments: Mapping[str, Instrument], measured: Iterable[Measured]) -> tuple[Trend, ...]:
    """A trend of each instrument that was measured, in the order of the instruments' ids. What was entered
    in error, and answers to a version that is not known here, are left out."""
    kept: dict[str, list[Measured]] = {}
    for one in measured:
        if not one.in_error and one.score is not None:
            kept.setdefault(one.instrument, []).append(one)
    return tuple(_trend(instruments[name], kept[name]) for name in sorted(kept))


def _trend(instrument: Instrument, found: list[Measured]) -> Trend:
    found.sort(key=lambda m: (m.taken_at, m.id))
    parts = [("", instrument.title), *((part.id, part.title) for part in instrument.parts)]
    return Trend(instrument, tuple(_line(instrument, found, *part) for part in parts), tuple(found))


def _line(instrument: Instrument, found: Sequence[Measured], part: str, title: str) -> Line:
    points = tuple(_point(one, part) for one in found)
    earlier = [one for one, point in zip(found[:-1], points, strict=False) if point.value is not None]
    if not earlier:
        return Line(part, title, points)
    return Line(
        part,
        title,
        points,
        _judged(instrument, earlier[0], found[-1], part),
        _judged(instrument, earlier[-1], found[-1], part),
    )


def _judged(instrument: Instrument, before: Measured, after: Measured, part: str) -> Change:
    assert before.score is not None  # noqa: S101 - left out above
    assert after.score is not None  # noqa: S101 - left out above
    whole = change(instrument, before.score, after.score)
    if not part:
        return whole
    return whole.parts.get(part) or Change(Verdict.CANNOT_TELL, "this part was not scored")


def _point(one: Measured, part: str) -> Point:
    assert one.score is not None  # noqa: S101 - left out above
    found = one.score.parts[part] if part else one.score
    return Point(one.id, one.taken_on, found.value, found.because)
