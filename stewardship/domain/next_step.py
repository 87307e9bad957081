"""What a plan for pain suggests next, and why: the response to the last step decides.

A test that relieved opens the way to what it was a test for; one that did not sends back to look for another
source of the pain. What helps goes on, what helps in part gets something beside it, what does not is left
for the next option on the ladder. It is a suggestion with its reason, for people who may do otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from stewardship.domain.alternatives import Alternatives, Option, Recommendation
from stewardship.domain.care import Coverage, Preference, declined, newest
from stewardship.domain.pain_plan import Completeness, PainPlan, PlanTerms, SkippedRung, skipped_rungs
from stewardship.domain.plan_referrals import Referral
from stewardship.domain.plan_steps import Outcome, Step, StepStatus
from stewardship.domain.suitability import Response, Tried
from stewardship.domain.treatments import INTERVENTIONAL, Treatment


class Kind(StrEnum):
    """What is suggested."""

    RECORD = "record"  # say what a step did
    BEGIN = "begin"  # a planned step
    GO_ON = "go-on"
    PROCEED = "proceed"  # a test or trial opened the way
    CONFIRM = "confirm"  # a test that did not decide
    OTHER_TARGET = "other-target"  # a test that was negative
    REPEAT = "repeat"  # a benefit that faded
    ADD = "add"  # beside what there is
    REPLACE = "replace"  # in place of what did not help or did harm
    ASK = "ask"  # a fact that decides whether the next step suits
    NOTHING_LEFT = "nothing-left"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The next step: the ``treatment`` (empty when it is none), why, and about which ``step`` of the plan.
    ``by`` is the day for it, where there is one. ``skipped`` are the less invasive rungs that it passes over,
    ``check_first`` what to look at before."""

    kind: Kind
    because: str
    treatment: str = ""
    title: str = ""
    step: str = ""
    by: date | None = None
    skipped: tuple[SkippedRung, ...] = ()
    check_first: tuple[str, ...] = ()
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Around:
    """What the suggestion looks at besides the plan: what is offered to this patient now (with the plan's own
    responses counted), what was tried before the plan, and what the patient wants."""

    known: Recommendation
    whole: Completeness
    tried: tuple[Tried, ...] = ()
    preferences: tuple[Preference, ...] = ()


def next_step(
    plan: PainPlan, around: Around, *, declared: Alternatives, terms: PlanTerms, today: date
) -> Suggestion:
    """What comes next on the day."""
    return _Next(plan, around, declared, terms, today).suggestion()


class _Next:
    def __init__(
        self, plan: PainPlan, around: Around, declared: Alternatives, terms: PlanTerms, today: date
    ) -> None:
        self.plan = plan
        self.around = around
        self.declared = declared
        self.terms = terms
        self.today = today

    def suggestion(self) -> Suggestion:
        """The first of these that applies: a response that is due; what the last response asks for; a step
        that is planned; the first step of all."""
        due = [s for s in self.plan.steps if s.status is StepStatus.ACTIVE and _due(s, self.today)]
        if due:
            step = min(due, key=lambda s: s.review_on or self.today)
            title = self._of(step).title
            because = f"{title} was to be looked at on {step.review_on}: say what it did"
            return Suggestion(Kind.RECORD, because, step.treatment, title, step.id, step.review_on)
        answered = [(o.on, n, s, o) for n, s in enumerate(self.plan.steps) for o in s.outcomes[-1:]]
        if answered:
            _, _, step, outcome = max(answered, key=lambda found: found[:2])
            return self._after(step, outcome)
        return self._planned() or self._running() or self._first()

    # --- by response -----------------------------------------------------------------------------------

    def _after(self, step: Step, outcome: Outcome) -> Suggestion:
        treatment = self._of(step)
        if outcome.response is Response.HARM:
            because = f"{treatment.title} did harm on {outcome.on}: {outcome.note}"
            return self._other(Kind.REPLACE, because, step, family=treatment.family)
        if treatment.diagnostic:
            return self._after_test(step, treatment, outcome)
        if self._faded(step, treatment):
            because = (
                f"the benefit of {treatment.title.lower()} has faded, as expected: offer it again before "
                "anything else, and no opioid in its place"
            )
            return Suggestion(Kind.REPEAT, because, treatment.id, treatment.title, step.id)
        if outcome.response is Response.MEANINGFUL:
            return self._planned() or self._lacking(step) or self._go_on(step, treatment, outcome)
        if outcome.response is Response.PARTIAL:
            because = f"{treatment.title} helped in part{_relief(outcome)}: something beside it"
            return self._planned() or self._other(Kind.ADD, because, step)
        because = f"{treatment.title} did not help{_relief(outcome)}"
        return self._planned() or self._other(Kind.REPLACE, because, step)

    def _after_test(self, step: Step, treatment: Treatment, outcome: Outcome) -> Suggestion:
        about = f"{treatment.title} at {outcome.target}"
        if outcome.response is Response.MEANINGFUL:
            opened = [o for o in self._open_options() if treatment.id in o.treatment.requires]
            if opened:
                because = f"{about} relieved{_relief(outcome)}: {treatment.diagnostic.lower()}"
                return self._suggest(Kind.PROCEED, because, opened[0], step)
            unsure = [u for u in self.around.known.undecided if treatment.id in u.treatment.requires]
            if unsure:
                title = unsure[0].treatment.title
                because = (
                    f"{about} relieved{_relief(outcome)}; whether {title.lower()} suits is not known yet"
                )
                return Suggestion(
                    Kind.ASK, because, unsure[0].treatment.id, title, step.id, check_first=unsure[0].needs
                )
            because = f"{about} relieved{_relief(outcome)}, which shows the source; it goes into every letter"
            return self._planned() or self._other(Kind.ADD, because, step)
        if outcome.response is Response.PARTIAL:
            because = f"{about} relieved in part{_relief(outcome)}, which decides nothing: confirm it first"
            return Suggestion(Kind.CONFIRM, because, treatment.id, treatment.title, step.id)
        because = f"{about} brought no relief: the pain comes from elsewhere"
        tests = [
            o
            for o in self._open_options()
            if o.treatment.diagnostic and o.treatment.id not in {s.treatment for s in self.plan.steps}
        ]
        if tests:
            return self._suggest(Kind.OTHER_TARGET, because, tests[0], step)
        return Suggestion(
            Kind.OTHER_TARGET, f"{because}; another target, or the diagnosis looked at again", step=step.id
        )

    def _faded(self, step: Step, treatment: Treatment) -> bool:
        """Helped, and later did no more, within the time in which that is expected."""
        fade = self.terms.fades.get(treatment.id)
        helped = [o for o in step.outcomes if o.response is Response.MEANINGFUL]
        if fade is None or not helped or step.last is None or step.last.response is Response.MEANINGFUL:
            return False
        return (step.last.on - (step.started_on or helped[0].on)).days >= fade.from_days

    def _go_on(self, step: Step, treatment: Treatment, outcome: Outcome) -> Suggestion:
        because = f"{treatment.title} helps{_relief(outcome)}: go on with it"
        return Suggestion(Kind.GO_ON, because, treatment.id, treatment.title, step.id, self.plan.review_on)

    def _lacking(self, step: Step) -> Suggestion | None:
        """Of what a plan for chronic pain lacks, the first thing that suits the patient."""
        lacking = self.around.whole.lacking
        for option in self._candidates():
            wanted = option.treatment.modality in lacking or option.treatment.id in lacking
            if wanted and option.treatment.rung < INTERVENTIONAL:
                because = (
                    f"{self._of(step).title} helps; a plan for chronic pain has "
                    f"{option.treatment.modality} treatment as well"
                )
                return self._suggest(Kind.ADD, because, option, step)
        return None

    # --- from the plan and the ladder --------------------------------------------------------------------

    def _planned(self) -> Suggestion | None:
        """The least invasive planned step that waits for nothing."""
        answered = {s.id for s in self.plan.steps if s.outcomes}
        waiting = [
            s
            for s in self.plan.steps
            if s.status is StepStatus.PLANNED and (not s.after or s.after in answered)
        ]
        if not waiting:
            return None
        step = min(waiting, key=lambda s: self._of(s).rung)
        treatment = self._of(step)
        because = f"{treatment.title} is planned since {step.planned_on} and waits for nothing"
        return Suggestion(Kind.BEGIN, because, treatment.id, treatment.title, step.id)

    def _running(self) -> Suggestion | None:
        running = [s for s in self.plan.steps if s.status is StepStatus.ACTIVE]
        if not running:
            return None
        step = min(running, key=lambda s: s.review_on or date.max)
        because = f"{self._of(step).title} has begun; what it does is looked at on {step.review_on}"
        return Suggestion(Kind.GO_ON, because, step.treatment, self._of(step).title, step.id, step.review_on)

    def _first(self) -> Suggestion:
        return self._other(Kind.ADD, "the plan has no step yet", None)

    def _other(self, kind: Kind, because: str, step: Step | None, *, family: str = "") -> Suggestion:
        """The next option: of a modality that the plan has not, on a rung that was reached; else the lowest
        rung with anything left."""
        candidates = [o for o in self._candidates() if not family or o.treatment.family != family]
        reached = max((self._of(s).rung for s in self.plan.steps), default=0)
        fresh = [
            o
            for o in candidates
            if o.treatment.rung <= reached and o.treatment.modality not in self.around.whole.modalities
        ]
        left = fresh or candidates
        if not left:
            words = f"{because}; nothing that suits is left: look at the diagnosis and the goals again"
            return Suggestion(Kind.NOTHING_LEFT, words, step=step.id if step else "")
        return self._suggest(kind, because, left[0], step)

    def _candidates(self) -> list[Option]:
        """What is offered and not in the plan yet, from the least to the most invasive; of one rung, what
        nothing speaks against before what asks for care."""
        there = {s.treatment for s in self.plan.steps}
        known = [o for o in self._open_options() if o.treatment.id not in there and not o.in_use]
        return sorted(known, key=lambda o: (o.treatment.rung, bool(o.cautions)))

    def _open_options(self) -> list[Option]:
        """What is offered, and neither declined nor under way."""
        under_way = {s.treatment for s in self.plan.steps if s.is_open}
        return [
            o
            for o in self.around.known.offered
            if o.treatment.id not in under_way
            and declined(o.treatment, self.around.preferences, self.terms.preferences) is None
        ]

    def _suggest(self, kind: Kind, because: str, option: Option, step: Step | None) -> Suggestion:
        treatment = option.treatment
        tried = (*self.around.tried, *self.plan.tried)
        check = option.check_first
        if treatment.rung >= INTERVENTIONAL:
            check = (*check, "Not on imaging alone: history, examination or a block that fits the pain")
        return Suggestion(
            kind=kind,
            because=f"{because}. {option.why[:1].upper()}{option.why[1:]}",
            treatment=treatment.id,
            title=treatment.title,
            step=step.id if step else "",
            skipped=skipped_rungs(self.plan, treatment.rung, self.around.known, tried, self.declared),
            check_first=check,
            verified=option.verified,
        )

    def _of(self, step: Step) -> Treatment:
        return self.declared.treatments[step.treatment]


def _due(step: Step, today: date) -> bool:
    return step.review_on is not None and step.review_on <= today


def _relief(outcome: Outcome) -> str:
    parts = [] if outcome.relief_percent is None else [f"{outcome.relief_percent} % less pain"]
    if outcome.lasted_hours is not None:
        parts.append(f"for {outcome.lasted_hours} hours")
    if outcome.function is not None:
        parts.append(f"function {outcome.function}")
    return f" ({', '.join(parts)})" if parts else ""


# --- what a payer asks for ----------------------------------------------------------------------


def coverage_warnings(
    plan: PainPlan, facts: Iterable[Coverage], referrals: Iterable[Referral], *, today: date
) -> tuple[str, ...]:
    """Where the open steps ask for more than is allowed, for a referral that nobody sent, or for what nobody
    inquired about."""
    known: Mapping[str, Coverage] = newest(facts)
    sent = {r.discipline for r in referrals if r.status not in ("declined", "cancelled")}
    said = []
    for discipline in dict.fromkeys(s.discipline for s in plan.steps if s.is_open and s.discipline):
        coverage = known.get(discipline)
        if coverage is None or (coverage.until is not None and coverage.until < today):
            said.append(f"{discipline}: what the payer asks for and allows is not on record")
            continue
        if coverage.referral_needed and discipline not in sent:
            said.append(f"{discipline}: the payer asks for a referral, and none is on record")
        planned = sum(
            max(0, (s.visits or 0) - s.attended_by(coverage.on))
            for s in plan.steps
            if s.is_open and s.discipline == discipline
        )
        if coverage.visits_left is not None and planned > coverage.visits_left:
            said.append(f"{discipline}: {planned} visits are planned and {coverage.visits_left} are left")
    return tuple(said)
