"""What goes with a referral: for what, to what end, what was tried and came of it, and what tests showed.

Whoever receives it should not have to begin anew, and a surgeon has to see the conservative care and the
responses to diagnostic blocks. What is not on record is said as such, never left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from stewardship.domain.alternatives import Alternatives
from stewardship.domain.care import Preference, Stance, latest
from stewardship.domain.codes import Coding
from stewardship.domain.goals import FunctionGoal
from stewardship.domain.pain_plan import PainPlan, PlanTerms
from stewardship.domain.plan_referrals import Referral
from stewardship.domain.plan_steps import Outcome, StepStatus
from stewardship.domain.suitability import PatientFacts, Response, Tried
from stewardship.domain.treatments import INTERVENTIONAL, Treatment, match

#: What a response is called in a letter.
RESPONSES = {
    Response.MEANINGFUL: "helped",
    Response.PARTIAL: "helped in part",
    Response.NONE: "did not help",
    Response.HARM: "did harm",
    Response.DECLINED: "was not wanted",
}


@dataclass(frozen=True, slots=True)
class Course:
    """A treatment in the past or going on. ``response`` is ``None`` while nobody said what it did; ``reads``
    is what a test tells, where it is one, and ``target`` what it was aimed at."""

    what: str
    title: str
    rung: int | None
    began_on: date | None = None
    ended_on: date | None = None
    response: Response | None = None
    outcome: Outcome | None = None
    target: str = ""
    note: str = ""
    reads: str = ""

    @property
    def conservative(self) -> bool:
        """Whether it is care without needles that was carried out."""
        done = self.response is not Response.DECLINED
        return self.rung is not None and self.rung < INTERVENTIONAL and done


@dataclass(frozen=True, slots=True)
class Letter:
    """Everything that goes along. ``medicines`` are in hand today, those of ``ended`` were within so many
    days. ``wanting`` says what its reader would miss, in words."""

    referral: Referral
    discipline: str
    conditions: tuple[Coding, ...]
    titles: Mapping[Coding, str]
    goals: tuple[FunctionGoal, ...]
    courses: tuple[Course, ...]
    preferences: tuple[Preference, ...]
    medicines: tuple[str, ...] | None
    ended: tuple[tuple[str, int], ...]
    wanting: tuple[str, ...]

    @property
    def tests(self) -> tuple[Course, ...]:
        """The diagnostic blocks and trials among what was done."""
        return tuple(c for c in self.courses if c.reads and c.outcome is not None)

    @property
    def conservative(self) -> tuple[Course, ...]:
        """The care without needles among what was done."""
        return tuple(c for c in self.courses if c.conservative)


def letter(
    plan: PainPlan,
    referral: Referral,
    *,
    facts: PatientFacts,
    preferences: Iterable[Preference],
    imaging_agrees: bool | None,
    declared: Alternatives,
    terms: PlanTerms,
) -> Letter:
    """What goes with a referral of a plan. ``facts`` are those of the chart, with what was tried before."""
    courses = (*_before(facts.tried, declared), *_of_plan(plan, declared))
    said = tuple(p for p in latest(preferences).values() if p.stance is not Stance.OPEN)
    taken = None
    if facts.medicines is not None:
        taken = tuple(m.name for m in facts.medicines if m.days_ago == 0) + facts.unknown_medicines
    surgical = any(
        t.modality == "surgical" and terms.gives(t) == referral.discipline
        for t in declared.treatments.values()
    )
    return Letter(
        referral=referral,
        discipline=terms.disciplines[referral.discipline].title,
        conditions=plan.codings,
        titles={c: _title(c, declared) for c in plan.codings},
        goals=plan.goals,
        courses=courses,
        preferences=said,
        medicines=taken,
        ended=tuple((m.name, m.days_ago) for m in facts.medicines or () if m.days_ago > 0),
        wanting=_wanting(courses, taken, imaging_agrees, surgical=surgical),
    )


def _title(coding: Coding, declared: Alternatives) -> str:
    """What the code stands for: in the words of whoever wrote it, else in those of the map."""
    titles = [m.condition.title for m in match(declared.conditions, (coding,))]
    return coding.display or " or ".join(titles) or "a condition that is not known here"


def _before(tried: Iterable[Tried], declared: Alternatives) -> Iterable[Course]:
    for one in tried:
        treatment = declared.treatments.get(one.what) or _with(one.what, declared)
        yield Course(
            one.what,
            one.what if treatment is None or treatment.id != one.what else treatment.title,
            None if treatment is None else treatment.rung,
            ended_on=one.on,
            response=one.response,
            note=one.note,
        )


def _with(ingredient: str, declared: Alternatives) -> Treatment | None:
    """The treatment that a medicine is one of."""
    return next((t for t in declared.treatments.values() if ingredient in (t.family, *t.ingredients)), None)


def _of_plan(plan: PainPlan, declared: Alternatives) -> Iterable[Course]:
    for step in plan.steps:
        treatment = declared.treatments[step.treatment]
        last = step.last
        response = last.response if last is not None else None
        if step.status is StepStatus.DECLINED:
            response = Response.DECLINED
        elif step.status is StepStatus.PLANNED:
            continue
        yield Course(
            step.treatment,
            treatment.title,
            treatment.rung,
            step.started_on,
            step.ended_on,
            response,
            last,
            (last.target if last is not None else "") or step.target,
            (last.note if last is not None else "") or step.note,
            treatment.diagnostic,
        )


def _wanting(
    courses: tuple[Course, ...],
    medicines: tuple[str, ...] | None,
    imaging_agrees: bool | None,
    *,
    surgical: bool,
) -> tuple[str, ...]:
    said = []
    if not any(c.conservative for c in courses):
        said.append("no care without needles is on record: what was tried, and what came of it?")
    open_ends = [c.title for c in courses if c.response is None]
    if open_ends:
        said.append(f"nobody said yet what it did: {', '.join(open_ends)}")
    if surgical and not any(c.reads and c.outcome is not None for c in courses):
        said.append("no response to a diagnostic block is on record")
    if imaging_agrees is None:
        said.append("whether history and examination fit what an image shows is not on record")
    elif not imaging_agrees:
        said.append("history and examination do not fit what the image shows")
    if medicines is None:
        said.append("what the patient takes is not wholly known")
    return tuple(said)


# --- as values, and as text -----------------------------------------------------------------------------


def told(found: Letter) -> dict[str, Any]:
    """The letter as plain values, and as text for people."""
    return {
        "referral": found.referral.id,
        "discipline": found.referral.discipline,
        "reason": found.referral.reason,
        "urgency": found.referral.urgency,
        "source": found.referral.source,
        "sent_on": found.referral.happened[0].on.isoformat(),
        "conditions": [{"system": c.system, "code": c.code, "display": c.display} for c in found.conditions],
        "goals": [{"activity": g.activity, "baseline": g.baseline, "target": g.target} for g in found.goals],
        "conservative": [_course(c) for c in found.conservative],
        "tests": [_course(c) for c in found.tests],
        "courses": [_course(c) for c in found.courses],
        "preferences": [
            {"about": p.about, "stance": p.stance.value, "said_on": p.said_on.isoformat()}
            for p in found.preferences
        ],
        "medicines": None if found.medicines is None else list(found.medicines),
        "ended": [{"medicine": name, "within_days": days} for name, days in found.ended],
        "wanting": list(found.wanting),
        "text": text(found),
    }


def text(found: Letter) -> str:
    """The letter in words, a line for each thing; whom it is about is not in it."""
    lines = [
        f"Referral to: {found.discipline} ({found.referral.urgency}), sent {found.referral.happened[0].on}",
        f"Why: {found.referral.reason}",
        f"For: {', '.join(f'{found.titles[c]} ({c.code})' for c in found.conditions)}",
        *(f"Goal: {g.activity}: from {g.baseline} to {g.target}" for g in found.goals),
        *_listed("Care without needles", found.conservative),
        *_listed("Tests", found.tests),
        *_listed("Else", [c for c in found.courses if c not in (*found.conservative, *found.tests)]),
        *(f"The patient: {p.about} {p.stance.value} ({p.said_on})" for p in found.preferences),
    ]
    if found.medicines is not None:
        lines.append(f"Takes: {', '.join(found.medicines) or 'nothing in hand today on record'}")
    lines += [f"Taken within the last {days} days: {name}" for name, days in found.ended]
    lines += [f"Not on record: {words}" for words in found.wanting]
    return "\n".join(lines)


def _listed(title: str, courses: Iterable[Course]) -> Iterable[str]:
    listed = [_words(c) for c in courses]
    return [f"{title}:", *(f"  {words}" for words in listed)] if listed else []


def _words(course: Course) -> str:
    days = dict.fromkeys(str(day) for day in (course.began_on, course.ended_on) if day is not None)
    parts = [f"{course.title}{f' at {course.target}' if course.target else ''}"]
    if days:
        parts.append(" to ".join(days))
    parts.append("nobody said yet what it did" if course.response is None else RESPONSES[course.response])
    outcome = course.outcome
    if outcome is not None and outcome.relief_percent is not None:
        parts.append(f"{outcome.relief_percent} % less pain")
    if outcome is not None and outcome.lasted_hours is not None:
        parts.append(f"for {outcome.lasted_hours} hours")
    if outcome is not None and outcome.function is not None:
        parts.append(f"function {outcome.function}")
    if outcome is not None and outcome.anaesthetic:
        parts.append(f"with {outcome.anaesthetic}")
    if course.note:
        parts.append(course.note)
    return "; ".join(parts)


def _course(course: Course) -> Mapping[str, Any]:
    outcome = course.outcome
    return {
        "treatment": course.what,
        "title": course.title,
        "rung": course.rung,
        "began_on": _day(course.began_on),
        "ended_on": _day(course.ended_on),
        "response": course.response.value if course.response else None,
        "relief_percent": outcome.relief_percent if outcome else None,
        "lasted_hours": outcome.lasted_hours if outcome else None,
        "function": outcome.function.value if outcome and outcome.function else None,
        "target": course.target,
        "anaesthetic": outcome.anaesthetic if outcome else "",
        "reads": course.reads,
        "note": course.note,
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
