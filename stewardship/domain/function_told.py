"""Measurements, trends and instruments in plain words and numbers, for programs: the same on every face."""

from __future__ import annotations

from typing import Any

from stewardship.domain.beside_dose import BesideDose
from stewardship.domain.instruments import Change, Instrument, Wording
from stewardship.domain.measurements import Line, Measured, Trend


def instrument(one: Instrument) -> dict[str, Any]:
    """An instrument without its items' texts; those are in its form. Of a licensed one nothing is printed."""
    return {
        "id": one.id,
        "version": one.version,
        "title": one.title,
        "measures": one.measures.value,
        "better": one.better.value,
        "least": one.least,
        "most": one.most,
        "satisfies_review": one.satisfies_review,
        "licensed": one.wording is Wording.NONE,
        "licence": one.licence,
        "items": [item.id for item in one.items],
        "caution": one.caution,
        "verified": one.source.verified,
    }


def measured(one: Measured) -> dict[str, Any]:
    """A measurement with its score; without one it says why."""
    score = one.score
    return {
        "id": one.id,
        "instrument": one.instrument,
        "version": one.version,
        "taken_at": one.taken_at.isoformat(),
        "taken_on": one.taken_on.isoformat(),
        "reported_by": one.reported_by.value,
        "answers": dict(one.answers),
        "function": one.function,
        "outcome": "scored" if score is not None and score.value is not None else "cannot-tell",
        "score": None if score is None else score.value,
        "exact": None if score is None or score.exact is None else str(score.exact),
        "band": "" if score is None else score.band,
        "missing": [] if score is None else list(score.missing),
        "reason": "this version of the instrument is not known here" if score is None else score.because,
        "parts": {} if score is None else {name: part.value for name, part in score.parts.items()},
        "in_error": one.in_error or None,
        "reviewed": one.reviewed,
    }


def trend(one: Trend) -> dict[str, Any]:
    """One instrument over time, its parts apart."""
    return {
        "instrument": one.instrument.id,
        "title": one.instrument.title,
        "measures": one.instrument.measures.value,
        "better": one.instrument.better.value,
        "least": one.instrument.least,
        "most": one.instrument.most,
        "lines": [_line(line) for line in one.lines],
    }


def beside_dose(seen: BesideDose) -> dict[str, Any]:
    """The table and the words of a picture."""
    return {
        "summary": seen.summary,
        "rows": [
            {
                "on": row.on.isoformat(),
                "score": row.score,
                "verdict": row.verdict and row.verdict.value,
                "mme_per_day": row.mme_per_day,
            }
            for row in seen.rows
        ],
        "complete": seen.complete,
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "part": line.part,
        "title": line.title,
        "points": [
            {
                "measurement": point.measurement,
                "on": point.on.isoformat(),
                "score": point.value,
                "reason": point.because,
            }
            for point in line.points
        ],
        "since_first": _change(line.since_first),
        "since_last": _change(line.since_last),
    }


def _change(change: Change | None) -> dict[str, Any] | None:
    if change is None:
        return None
    return {
        "verdict": change.verdict.value,
        "reason": change.because,
        "gain": change.gain,
        "percent": change.percent,
        "by_points": change.by_points and change.by_points.value,
        "by_percent": change.by_percent and change.by_percent.value,
    }
