"""A recommendation as plain values: the one form that every face shows, stores or sends.

Nothing is left to the face: what was not confirmed in a source says so, and every reason brings the
threshold that the fact was held against.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stewardship.domain.alternatives import Option, Recommendation
from stewardship.domain.suitability import Reason
from stewardship.domain.treatments import Source


def told(recommendation: Recommendation) -> dict[str, Any]:
    """The whole answer. ``reasons`` are whole sentences, ``grounds`` the same with their sources."""
    return {
        "conditions": [
            {
                "id": m.condition.id,
                "title": m.condition.title,
                "code": m.coding.code,
                "prefix": m.prefix,
                "prefix_verified": m.verified,
                "pain": m.condition.pain,
                "phases": sorted(m.condition.phases),
                "verified": m.condition.verified,
                "sources": sources(m.condition.sources),
            }
            for m in recommendation.matched
        ],
        "unmatched": [c.code for c in recommendation.unmatched],
        "pressed": recommendation.pressed,
        "exempt": recommendation.exempt,
        "opioid_only": recommendation.opioid_only,
        "urgent": list(recommendation.urgent),
        "notes": list(recommendation.notes),
        "asks": dict(recommendation.asks),
        "together": [o.treatment.id for o in recommendation.together],
        "offered": [_option(o) for o in recommendation.offered],
        "left_out": [
            {
                "treatment": entry.id,
                "title": f"{entry.treatment.title}, {entry.part}" if entry.part else entry.treatment.title,
                "rung": entry.treatment.rung,
                "reasons": [sentence(r) for r in entry.reasons],
                "grounds": [_reason(r) for r in entry.reasons],
            }
            for entry in recommendation.left_out
        ],
        "undecided": [
            {
                "treatment": entry.treatment.id,
                "title": entry.treatment.title,
                "rung": entry.treatment.rung,
                "needs": list(entry.needs),
            }
            for entry in recommendation.undecided
        ],
        "later": [
            {
                "treatment": entry.treatment.id,
                "title": entry.treatment.title,
                "rung": entry.treatment.rung,
                "after": [a.id for a in entry.after],
            }
            for entry in recommendation.later
        ],
        "skipped": [
            {"rung": rung.number, "title": rung.title, "why": rung.skipped}
            for rung in recommendation.ladder
            if rung.skipped
        ],
    }


def sentence(reason: Reason) -> str:
    """A reason with its threshold, and with a mark when the threshold was not confirmed in a source."""
    said = f"{reason.text} ({reason.threshold})" if reason.threshold else reason.text
    return said if reason.verified else f"{said} [not confirmed in a source]"


def sources(listed: Iterable[Source]) -> list[dict[str, str]]:
    """Sources as plain values."""
    return [
        {
            "id": s.id,
            "title": s.title,
            "publisher": s.publisher,
            "date": s.published.isoformat(),
            "url": s.url,
            "review_by": s.review_by.isoformat(),
        }
        for s in listed
    ]


def _option(option: Option) -> dict[str, Any]:
    treatment = option.treatment
    return {
        "treatment": treatment.id,
        "title": treatment.title,
        "rung": treatment.rung,
        "modality": treatment.modality,
        "line": option.line,
        "why": option.why,
        "for": treatment.used_for,
        "mechanism": treatment.mechanism,
        "strength": treatment.strength,
        "evidence": treatment.evidence,
        "contested": treatment.contested,
        "benefit": treatment.benefit,
        "review_days": treatment.review_days,
        "usual_dose": treatment.dose.usual if treatment.dose else "",
        "ceiling": option.ceiling,
        "ceiling_mg_per_day": option.ceiling_mg,
        "diagnostic": treatment.diagnostic,
        "cautions": [sentence(r) for r in option.cautions],
        "check_first": list(option.check_first),
        "prior": option.prior,
        "in_use": list(option.in_use),
        "codes": [{"system": c.system, "code": c.code, "display": c.display} for c in treatment.codes],
        "verified": option.verified,
        "sources": sources(option.sources),
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "rule": reason.rule,
        "text": reason.text,
        "threshold": reason.threshold,
        "verified": reason.verified,
        "sources": sources(reason.sources),
    }
