"""A schedule and a taper as plain values: the one form that every face shows or sends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from stewardship.domain.tablets import Count, Week
from stewardship.domain.taper import Taper
from stewardship.domain.taper_schedule import NotPlanned, Pace, Schedule, Step, said_week


def schedule_told(schedule: Schedule | NotPlanned) -> dict[str, Any]:
    """A schedule, or why there is none."""
    if isinstance(schedule, NotPlanned):
        return {
            "planned": False,
            "code": schedule.code,
            "because": schedule.because,
            "missing": list(schedule.missing),
        }
    return {
        "planned": True,
        "medicine": schedule.drug.name,
        "code": schedule.drug.code.code,
        "mg_per_day": schedule.first_mg_per_day,
        "starts_on": schedule.starts_on.isoformat(),
        "ends_on": schedule.ends_on.isoformat(),
        "pace": pace_told(schedule.pace),
        "steps": [step_told(step) for step in schedule.steps],
        "supply": supply_told(count for step in schedule.steps for count in step.counts),
        "notes": [
            {"id": n.id, "text": n.text, "verified": n.verified, "sources": [s.id for s in n.sources]}
            for n in schedule.notes
        ],
    }


def pace_told(pace: Pace) -> dict[str, Any]:
    """A pace with where it comes from."""
    return {
        "id": pace.id,
        "title": pace.title,
        "percent": pace.percent,
        "step_days": pace.step_days,
        "verified": pace.verified,
        "sources": [s.id for s in pace.sources],
    }


def step_told(step: Step) -> dict[str, Any]:
    """One step: when, for how long, what a week of it holds, and what it takes in all."""
    return {
        "starts_on": step.starts_on.isoformat(),
        "days": step.days,
        "mg_per_day": step.mg_per_day,
        "mg_per_week": step.mg_per_week,
        "drop_percent": _drop_percent(step),
        "take": "as it is now" if step.week is None else said_week(step.week),
        "week": [] if step.week is None else _days(step.week),
        "supply": supply_told(step.counts),
        "last": step.last,
    }


def supply_told(counts: Iterable[Count]) -> list[dict[str, Any]]:
    """How many of each product; halves are of whole products."""
    found: dict[str, dict[str, Any]] = {}
    for count in counts:
        piece = count.piece
        row = found.setdefault(piece.code, {"code": piece.code, "product": piece.name, "number": 0})
        row["number"] += count.products
    return sorted(found.values(), key=lambda row: str(row["product"]))


def taper_told(taper: Taper, *, today: date, version: int) -> dict[str, Any]:
    """A taper as it stands on a day."""
    here, following = taper.step_on(today), taper.next_step(today)
    return {
        "id": taper.id,
        "patient_id": taper.patient_id,
        "plan_id": taper.plan_id or None,
        "version": version,
        "status": taper.status.value,
        "medicine": taper.medicine,
        "code": taper.code,
        "mg_per_day": taper.first_mg_per_day,
        "starts_on": taper.starts_on.isoformat(),
        "paused_on": taper.paused_on.isoformat() if taper.paused_on else None,
        "pace": pace_told(taper.pace),
        "decision": {
            "on": taper.decision.on.isoformat(),
            "asked_by": taper.decision.asked_by.value,
            "agreed": taper.decision.agreed,
            "words": taper.decision.words,
            "naloxone": taper.decision.naloxone,
        },
        "current": step_told(here) if here else None,
        "next_step_on": following.starts_on.isoformat() if following else None,
        "steps": [step_told(step) for step in taper.steps],
        "changes": [{"act": c.act.value, "on": c.on.isoformat(), "reason": c.reason} for c in taper.changes],
    }


def _drop_percent(step: Step) -> Any:
    before = step.mg_per_week + step.drop
    return round(step.drop * 100 / before, 1) if before else step.drop


def _days(week: Week) -> list[dict[str, Any]]:
    kinds = [(7 - week.fewer_days, week.usual)]
    if week.fewer is not None:
        kinds.append((week.fewer_days, week.fewer))
    return [
        {
            "days": number,
            "mg": day.mg,
            "take": [
                {"code": c.piece.code, "product": c.piece.name, "number": c.number, "part": c.piece.part}
                for c in day.pieces
            ],
        }
        for number, day in kinds
    ]
