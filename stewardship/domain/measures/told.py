"""Measures and their answers as plain values, for every face that writes JSON."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from stewardship.domain.measures import Answer, Criterion, Measure
from stewardship.domain.measures.totals import Run, Share


def measure_told(measure: Measure) -> dict[str, Any]:
    """The definition: where it comes from, what it counts, and what stands in for data that are not here."""
    return {
        "id": measure.id,
        "version": measure.version,
        "effective": measure.effective.isoformat(),
        "title": measure.title,
        "steward": measure.steward,
        "identifiers": dict(measure.identifiers),
        "counts": "stays" if measure.kind.value == "discharge" else "patients",
        "lower_is_better": measure.lower_is_better,
        "factor_set": measure.factor_set,
        "rates": [{"id": r.id, "title": r.title, "official": r.official} for r in measure.rates],
        "exclusions": [{"kind": e.kind, "title": e.title} for e in measure.exclusions],
        "assumptions": list(measure.assumptions),
        "verified": measure.verified,
        "unverified": measure.unverified,
        "source": {
            "title": measure.source.title,
            "publisher": measure.source.publisher,
            "date": measure.source.date.isoformat(),
            "url": measure.source.url,
        },
    }


def run_told(run: Run, *, patients: bool) -> dict[str, Any]:
    """A run; with ``patients`` the answer of everybody who is not simply out."""
    titles = {r.id: r for r in run.measure.rates}
    told: dict[str, Any] = {
        "measure": measure_told(run.measure),
        "period": {"year": run.year, "first": run.first.isoformat(), "last": run.last.isoformat()},
        "period_ended": run.ended,
        "dispensings_known_from": None if run.known_from is None else run.known_from.isoformat(),
        "population": {standing.value: count for standing, count in sorted(run.totals.standing.items())},
        "out": dict(sorted(run.totals.out.items())),
        "excluded": dict(sorted(run.totals.excluded.items())),
        "cannot_tell": dict(sorted(run.totals.untold.items())),
        "caveats": dict(sorted(run.totals.caveats.items())),
        "rates": [
            {
                "rate": rate,
                "title": titles[rate].title,
                "official": titles[rate].official,
                "stratum": stratum or None,
                "denominator": share.asked,
                "numerator": share.counted,
                "cannot_tell": share.untold,
                "near": share.near,
                "percent": percent(share),
            }
            for (rate, stratum), share in sorted(run.totals.shares.items())
        ],
    }
    if patients:
        told["answers"] = [answer_told(one) for one in run.answers]
    return told


def percent(share: Share) -> Decimal | None:
    """Per cent of those who are in, with two digits; who cannot be told is among them and not counted, so it
    is at least so much. ``None`` of nobody."""
    if not share.asked:
        return None
    return (Decimal(share.counted) * 100 / share.asked).quantize(Decimal("0.01"), ROUND_HALF_UP)


def answer_told(one: Answer) -> dict[str, Any]:
    """One patient's or stay's answer, with the claims, days and records on which it stands."""
    return {
        "patient": one.patient,
        "stay": one.stay or None,
        "standing": one.standing.value,
        "reason": one.reason or None,
        "age": one.age,
        "criteria": [_criterion(c) for c in one.criteria],
        "exclusions": [
            {
                "kind": e.kind,
                "record": e.record,
                "said": e.said,
                "on": None if e.on is None else e.on.isoformat(),
            }
            for e in one.exclusions
        ],
        "rates": [
            {
                "rate": r.rate,
                "met": r.met,
                "near": r.near,
                "criteria": [_criterion(c) for c in r.criteria],
                "claims": list(r.claims),
                "first": None if r.first is None else r.first.isoformat(),
                "last": None if r.last is None else r.last.isoformat(),
            }
            for r in one.rates
        ],
        "claims": list(one.claims),
        "caveats": list(one.caveats),
    }


def _criterion(found: Criterion) -> dict[str, Any]:
    return {
        "name": found.name,
        "value": None if found.value is None else shown(found.value),
        "limit": shown(found.limit),
        "met": found.met,
        "why": found.why or None,
    }


def shown(value: Fraction) -> Decimal:
    """A number for people, with two digits at most; limits were compared before it was rounded."""
    if value.denominator == 1:
        return Decimal(value.numerator)
    return (Decimal(value.numerator) / value.denominator).quantize(Decimal("0.01"), ROUND_HALF_UP)
