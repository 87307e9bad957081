"""Treatments that belong together: what of each bundle a plan has, and what suits the patient for the rest.

A bundle is a suggestion, not an order: it is shown only when every part of it is in the plan or has an
option that suits, and not once all of it is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stewardship.domain.alternatives import Alternatives, Recommendation
from stewardship.domain.care import Preference, declined
from stewardship.domain.pain_plan import Bundle, BundlePart, PainPlan, PlanTerms
from stewardship.domain.plan_steps import Outcome, StepStatus
from stewardship.domain.suitability import Response
from stewardship.domain.treatments import Treatment


@dataclass(frozen=True, slots=True)
class Filled:
    """One part of a bundle: the treatment that stands for it, and whether the plan has it."""

    part: BundlePart
    treatment: Treatment
    in_plan: bool


@dataclass(frozen=True, slots=True)
class Fitting:
    """A bundle that fits a plan, with every part of it."""

    bundle: Bundle
    parts: tuple[Filled, ...]


def fitting(
    plan: PainPlan,
    known: Recommendation,
    *,
    declared: Alternatives,
    terms: PlanTerms,
    preferences: Iterable[Preference] = (),
) -> tuple[Fitting, ...]:
    """The bundles that fit: something of each is in the plan already, and what is not suits the patient.
    ``known`` is what is offered, with the plan's own responses counted."""
    said = tuple(preferences)
    held = [declared.treatments[s.treatment] for s in plan.steps if s.is_open or _helps(s.status, s.last)]
    offered = [o.treatment for o in known.offered if declined(o.treatment, said, terms.preferences) is None]
    found = []
    for bundle in terms.bundles:
        parts = [_filled(part, held, offered) for part in bundle.parts]
        whole = [p for p in parts if p is not None]
        if len(whole) < len(parts) or all(p.in_plan for p in whole) or not any(p.in_plan for p in whole):
            continue
        found.append(Fitting(bundle, tuple(whole)))
    return tuple(found)


def _helps(status: StepStatus, last: Outcome | None) -> bool:
    helped = last is not None and last.response in (Response.MEANINGFUL, Response.PARTIAL)
    return status is StepStatus.COMPLETED and helped


def _filled(part: BundlePart, held: Iterable[Treatment], offered: Iterable[Treatment]) -> Filled | None:
    for treatments, in_plan in ((held, True), (offered, False)):
        for treatment in treatments:
            if treatment.modality in part.modalities or treatment.id in part.treatments:
                return Filled(part, treatment, in_plan)
    return None


def told(found: Iterable[Fitting]) -> list[dict[str, Any]]:
    """Bundles as plain values."""
    return [
        {
            "id": one.bundle.id,
            "title": one.bundle.title,
            "say": one.bundle.say,
            "first": one.bundle.first,
            "verified": one.bundle.verified,
            "parts": [
                {
                    "part": filled.part.id,
                    "treatment": filled.treatment.id,
                    "title": filled.treatment.title,
                    "in_plan": filled.in_plan,
                }
                for filled in one.parts
            ],
        }
        for one in found
    ]
