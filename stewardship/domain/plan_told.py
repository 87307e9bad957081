"""A plan, its next step and its referrals as plain values: the one form that every face shows or sends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from stewardship.domain.alternatives import Alternatives
from stewardship.domain.care import Coverage, Preference
from stewardship.domain.next_step import Suggestion
from stewardship.domain.pain_plan import Completeness, PainPlan
from stewardship.domain.plan_referrals import Referral, waits_for
from stewardship.domain.plan_steps import Outcome, Step
from stewardship.domain.prescribers import BoardTerms, Prescriber, lacking


def plan_told(plan: PainPlan, declared: Alternatives, *, version: int) -> dict[str, Any]:
    """The plan itself."""
    return {
        "id": plan.id,
        "patient_id": plan.patient_id,
        "version": version,
        "status": plan.status.value,
        "started_on": plan.started_on.isoformat(),
        "ended_on": _day(plan.ended_on),
        "owner": plan.owner,
        "chronic": plan.chronic,
        "note": plan.note,
        "review_on": _day(plan.review_on),
        "conditions": [{"system": c.system, "code": c.code, "display": c.display} for c in plan.codings],
        "goals": [
            {"activity": g.activity, "baseline": g.baseline, "target": g.target, "due_on": _day(g.due_on)}
            for g in plan.goals
        ],
        "steps": [step_told(step, declared) for step in plan.steps],
        "contacts": [
            {
                "discipline": c.discipline,
                "who": c.who,
                "does": c.does,
                "last_contact_on": _day(c.last_contact_on),
                "reported_on": _day(c.reported_on),
            }
            for c in plan.contacts
        ],
    }


def step_told(step: Step, declared: Alternatives) -> dict[str, Any]:
    """One step and what it did."""
    treatment = declared.treatments[step.treatment]
    return {
        "id": step.id,
        "treatment": step.treatment,
        "title": treatment.title,
        "rung": treatment.rung,
        "modality": treatment.modality,
        "discipline": step.discipline,
        "status": step.status.value,
        "planned_on": _day(step.planned_on),
        "started_on": _day(step.started_on),
        "ended_on": _day(step.ended_on),
        "review_on": _day(step.review_on),
        "after": step.after or None,
        "basis": [b.value for b in step.basis],
        "skipped": step.skipped,
        "visits": step.visits,
        "target": step.target,
        "note": step.note,
        "responses": [_outcome(o) for o in step.outcomes],
    }


def suggestion_told(suggestion: Suggestion | None) -> dict[str, Any] | None:
    """What comes next, and why."""
    if suggestion is None:
        return None
    return {
        "kind": suggestion.kind.value,
        "because": suggestion.because,
        "treatment": suggestion.treatment or None,
        "title": suggestion.title,
        "step": suggestion.step or None,
        "by": _day(suggestion.by),
        "skipped": [{"rung": r.number, "title": r.title, "why": r.why} for r in suggestion.skipped],
        "check_first": list(suggestion.check_first),
        "verified": suggestion.verified,
    }


def whole_told(whole: Completeness) -> dict[str, Any]:
    """What the plan consists of, and what it lacks."""
    return {
        "modalities": dict(whole.modalities),
        "opioid_only": whole.opioid_only,
        "multimodal": whole.multimodal,
        "lacking": list(whole.lacking),
    }


def referral_told(referral: Referral, *, version: int, due_on: date | None, today: date) -> dict[str, Any]:
    """A referral: where it stands, what has to happen next, and by when."""
    return {
        "id": referral.id,
        "plan_id": referral.plan_id,
        "patient_id": referral.patient_id,
        "version": version,
        "discipline": referral.discipline,
        "reason": referral.reason,
        "urgency": referral.urgency,
        "source": referral.source,
        "step": referral.step or None,
        "to": referral.to,
        "status": referral.status.value,
        "waits": waits_for(referral),
        "due_on": _day(due_on),
        "overdue": due_on is not None and due_on < today,
        "events": [{"status": h.status.value, "on": _day(h.on), "note": h.note} for h in referral.happened],
    }


def preference_told(said: Preference) -> dict[str, Any]:
    """What was said of a kind of treatment."""
    return {
        "about": said.about,
        "stance": said.stance.value,
        "said_on": _day(said.said_on),
        "said_by": said.said_by.value,
        "note": said.note,
    }


def coverage_told(facts: Coverage) -> dict[str, Any]:
    """What a payer was found to ask for."""
    return {
        "discipline": facts.discipline,
        "on": _day(facts.on),
        "referral_needed": facts.referral_needed,
        "visits_left": facts.visits_left,
        "until": _day(facts.until),
        "note": facts.note,
    }


def prescriber_told(
    prescriber: Prescriber, terms: BoardTerms, *, version: int, today: date
) -> dict[str, Any]:
    """A prescriber, and of each qualification what is missing today."""
    missing: Mapping[str, tuple[str, ...]] = {
        q.id: lacking(prescriber, q, today) for q in terms.qualifications.values()
    }
    return {
        "id": prescriber.id,
        "version": version,
        "npi": prescriber.npi,
        "specialty": prescriber.specialty,
        "user": prescriber.user_id or None,
        "active": prescriber.active,
        "certifications": [
            {
                "kind": c.kind.value,
                "board": c.board,
                "specialty": c.specialty,
                "from": _day(c.from_on),
                "until": _day(c.until),
                "lifelong": c.lifelong,
            }
            for c in prescriber.certifications
        ],
        "fellowships": [
            {"months": f.months, "accredited": f.accredited, "completed_on": _day(f.completed_on)}
            for f in prescriber.fellowships
        ],
        "qualified": [name for name, words in missing.items() if not words],
        "lacking": {name: list(words) for name, words in missing.items() if words},
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "on": _day(outcome.on),
        "response": outcome.response.value,
        "computed": outcome.computed.value if outcome.computed else None,
        "relief_percent": outcome.relief_percent,
        "lasted_hours": outcome.lasted_hours,
        "function": outcome.function.value if outcome.function else None,
        "target": outcome.target,
        "anaesthetic": outcome.anaesthetic,
        "attended": outcome.attended,
        "note": outcome.note,
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
