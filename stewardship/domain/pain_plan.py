"""A plan for one patient's pain: the ladder as it was started, who does what, and what may be added to it.

The acts here are pure: each takes a plan and answers with the next one, or says why it cannot be. Less
invasive comes first, and a rung that is passed over is passed over with words. What needs a test or a
trial before it is not added without one, an intervention never on imaging alone, and what failed or did
harm before only with a reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from stewardship.domain.alternatives import Alternatives, Recommendation
from stewardship.domain.care import Preference, PreferenceKind, declined
from stewardship.domain.codes import Coding
from stewardship.domain.errors import Conflict, Fault, InvalidInput, NotFound
from stewardship.domain.goals import FunctionGoal
from stewardship.domain.plan_referrals import Urgency
from stewardship.domain.plan_steps import Basis, Outcome, PlanStatus, ResponseTerms, Step, StepStatus
from stewardship.domain.suitability import Response, Tried
from stewardship.domain.treatments import INTERVENTIONAL, Source, Treatment


@dataclass(frozen=True, slots=True)
class Discipline:
    """Who works together: it gives the treatments of these modalities, unless a step says otherwise."""

    id: str
    title: str
    modalities: frozenset[str]
    sources: tuple[Source, ...] = ()
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Fade:
    """For how many days a benefit is expected to last, from and until."""

    treatment: str
    from_days: int
    until_days: int
    sources: tuple[Source, ...] = ()
    verified: bool = False


@dataclass(frozen=True, slots=True)
class BundlePart:
    """One treatment of these modalities, or of these ids."""

    id: str
    modalities: frozenset[str]
    treatments: frozenset[str]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Treatments that belong together; ``first`` is the part that comes before the others, if one does."""

    id: str
    title: str
    say: str
    first: str
    parts: tuple[BundlePart, ...]
    sources: tuple[Source, ...] = ()
    verified: bool = False


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """Everything declared about plans (``reference/plans.toml``). ``chronic_modalities`` and
    ``chronic_treatments`` are what a plan for pain of more than three months holds at least."""

    responses: ResponseTerms
    urgencies: Mapping[str, Urgency]
    referral_sources: frozenset[str]
    disciplines: Mapping[str, Discipline]
    preferences: Mapping[str, PreferenceKind]
    fades: Mapping[str, Fade]
    chronic_modalities: tuple[str, ...]
    chronic_treatments: tuple[str, ...]
    bundles: tuple[Bundle, ...] = ()

    def gives(self, treatment: Treatment) -> str:
        """The discipline that gives a treatment; empty when none is declared."""
        fitting = (d.id for d in self.disciplines.values() if treatment.modality in d.modalities)
        return next(fitting, "")


@dataclass(frozen=True, slots=True)
class Contact:
    """Who of a discipline does what (an id, never a name), when there was contact last, and when its report
    came back."""

    discipline: str
    who: str
    does: str
    last_contact_on: date | None = None
    reported_on: date | None = None


@dataclass(frozen=True, slots=True)
class PainPlan:
    """The plan. ``codings`` are the conditions that it is for; ``owner`` is the discipline that holds it
    together; ``chronic`` whether the pain has lasted for more than three months (``None``: not known)."""

    id: str
    patient_id: str
    codings: tuple[Coding, ...]
    started_on: date
    owner: str
    goals: tuple[FunctionGoal, ...]
    chronic: bool | None = None
    steps: tuple[Step, ...] = ()
    contacts: tuple[Contact, ...] = ()
    status: PlanStatus = PlanStatus.ACTIVE
    ended_on: date | None = None
    note: str = ""

    def step(self, step_id: str) -> Step:
        """One of its steps; ``NotFound`` when there is none of that id."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise NotFound("there is no such step")

    @property
    def tried(self) -> tuple[Tried, ...]:
        """What became of its steps, in the order in which it was recorded: what is suggested rests on it."""
        found = [
            (o.on, Tried(s.treatment, o.response, o.on, o.note or o.target))
            for s in self.steps
            for o in s.outcomes
        ]
        found += [
            (s.ended_on or s.planned_on, Tried(s.treatment, Response.DECLINED, s.ended_on, s.note))
            for s in self.steps
            if s.status is StepStatus.DECLINED
        ]
        return tuple(tried for _, tried in sorted(found, key=lambda pair: pair[0]))

    @property
    def review_on(self) -> date | None:
        """The next day on which somebody looks at a step."""
        return min((s.review_on for s in self.steps if s.is_open and s.review_on is not None), default=None)


def started(plan: PainPlan, terms: PlanTerms) -> PainPlan:
    """A new plan that says what it must: for which condition, to what end, and who holds it together.
    Raises ``InvalidInput``."""
    faults = []
    if not plan.codings:
        faults.append(Fault("/conditions", "required", "name the condition that the plan is for"))
    if not plan.goals:
        faults.append(Fault("/goals", "required", "name what the patient wants to be able to do"))
    if plan.owner not in terms.disciplines:
        faults.append(_one_of("/owner", terms.disciplines))
    if faults:
        raise InvalidInput("the plan does not say all that it must", faults=tuple(faults))
    return plan


@dataclass(frozen=True, slots=True)
class NewStep:
    """What is to be added. ``despite`` is why something that failed or did harm before is tried again,
    ``skipped`` why less invasive rungs are passed over."""

    id: str
    treatment: str
    on: date
    discipline: str = ""
    after: str = ""
    basis: tuple[Basis, ...] = ()
    skipped: str = ""
    despite: str = ""
    visits: int | None = None
    target: str = ""
    note: str = ""


def with_step(
    plan: PainPlan,
    new: NewStep,
    *,
    declared: Alternatives,
    terms: PlanTerms,
    known: Recommendation,
    tried: Iterable[Tried] = (),
    preferences: Iterable[Preference] = (),
) -> PainPlan:
    """The plan with a further step, planned and not begun.

    ``known`` is what is offered to this patient, ``tried`` what was tried outside of the plan. Raises
    ``InvalidInput`` for what the step has to say and does not, ``Conflict`` for what cannot come now.
    """
    _refuse_closed(plan)
    treatment = declared.treatments.get(new.treatment)
    if treatment is None:
        words = "there is no such treatment; see the list of treatments"
        raise InvalidInput(words, faults=(Fault("/treatment", "unknown", words),))
    before = (*tried, *plan.tried)
    _refuse_out_of_turn(plan, treatment, before, declared)
    unwanted = declined(treatment, preferences, terms.preferences)
    if unwanted is not None:
        raise Conflict(
            f"the patient declined {unwanted.about} on {unwanted.said_on}: record another wish first",
            code="declined",
        )
    passed = skipped_rungs(plan, treatment.rung, known, before, declared)
    faults = _faults_of(plan, new, treatment, terms, before, passed, declared)
    faults += _spoken_against(new, treatment, known, faults)
    if faults:
        raise InvalidInput("the step does not say all that it must", faults=tuple(faults))
    said = new.skipped or "; ".join(f"{rung.title}: {rung.why}" for rung in passed)
    step = Step(
        id=new.id,
        treatment=treatment.id,
        discipline=new.discipline or terms.gives(treatment),
        status=StepStatus.PLANNED,
        planned_on=new.on,
        after=new.after,
        basis=new.basis,
        skipped=said,
        visits=new.visits,
        target=new.target,
        note="; ".join(part for part in (new.note, new.despite) if part),
    )
    return replace(plan, steps=(*plan.steps, step))


@dataclass(frozen=True, slots=True)
class SkippedRung:
    """A less invasive rung of which nothing was tried, and why."""

    number: int
    title: str
    why: str
    options: tuple[str, ...] = ()


def skipped_rungs(
    plan: PainPlan, rung: int, known: Recommendation, tried: Iterable[Tried], declared: Alternatives
) -> tuple[SkippedRung, ...]:
    """The rungs below one of which neither the plan nor the past holds anything."""
    ids = {s.treatment for s in plan.steps} | {t.what for t in tried}
    reached = {t.rung for t in declared.treatments.values() if t.id in ids}
    found = []
    for lower in known.ladder:
        if lower.number >= rung or lower.number in reached:
            continue
        options = tuple(o.treatment.title for o in lower.options if not o.in_use)
        if len(options) < len(lower.options):
            continue  # something of the rung is taken already
        why = f"offered and not tried: {', '.join(options)}" if options else lower.skipped
        found.append(SkippedRung(lower.number, lower.title, why, options))
    return tuple(found)


def _refuse_out_of_turn(
    plan: PainPlan, treatment: Treatment, before: tuple[Tried, ...], declared: Alternatives
) -> None:
    """A test is read before it is repeated; what needs a test or a trial waits for a meaningful response."""
    own = [s for s in plan.steps if s.treatment == treatment.id]
    if any(s.is_open for s in own):
        raise Conflict("the treatment is in the plan already", code="already-planned")
    if treatment.diagnostic and own and own[-1].status is not StepStatus.DECLINED and not own[-1].outcomes:
        raise Conflict("record what the test showed before it is repeated", code="response-first")
    if treatment.requires:
        last = {t.what: t.response for t in before}
        if not any(last.get(name) is Response.MEANINGFUL for name in treatment.requires):
            needed = " or ".join(declared.treatments[name].title.lower() for name in treatment.requires)
            raise Conflict(f"not before a meaningful response to {needed}", code="requires")


def _faults_of(
    plan: PainPlan,
    new: NewStep,
    treatment: Treatment,
    terms: PlanTerms,
    before: tuple[Tried, ...],
    passed: tuple[SkippedRung, ...],
    declared: Alternatives,
) -> list[Fault]:
    faults = []
    if new.discipline and new.discipline not in terms.disciplines:
        faults.append(_one_of("/discipline", terms.disciplines))
    if new.after and new.after not in {s.id for s in plan.steps}:
        faults.append(Fault("/after", "unknown", "there is no such step in the plan"))
    if treatment.rung >= INTERVENTIONAL:
        if not set(new.basis) - {Basis.IMAGING}:
            words = "imaging alone never suffices: say what in history, examination or a block fits the pain"
            faults.append(Fault("/basis", "imaging-alone" if new.basis else "required", words))
        # What an earlier intervention was given a reason for is not asked for again.
        told = max((r for r in _rungs(plan, declared) if r >= INTERVENTIONAL), default=-1)
        titles = ", ".join(rung.title for rung in passed if rung.options and rung.number > told)
        if titles and not new.skipped.strip():
            faults.append(Fault("/skipped", "required", f"say why this is passed over: {titles}"))
    if treatment.diagnostic and not new.target.strip():
        faults.append(Fault("/target", "required", "say what the test is aimed at"))
    last = next((t for t in reversed(before) if t.what == treatment.id), None)
    if last is not None and last.response in (Response.HARM, Response.NONE) and not new.despite.strip():
        what = "did harm" if last.response is Response.HARM else "did not help"
        if not (treatment.diagnostic and last.response is Response.NONE):
            words = f"it {what} before: say why it is tried again"
            faults.append(Fault("/despite", "required", words))
    return faults


def _rungs(plan: PainPlan, declared: Alternatives) -> list[int]:
    return [declared.treatments[step.treatment].rung for step in plan.steps]


def _spoken_against(
    new: NewStep, treatment: Treatment, known: Recommendation, faults: list[Fault]
) -> list[Fault]:
    """What is not offered to this patient is added with a reason only; what speaks against it is said."""
    against = [
        r.text for e in known.left_out if e.treatment.id == treatment.id and not e.part for r in e.reasons
    ]
    if not against or new.despite.strip() or any(f.pointer == "/despite" for f in faults):
        return []
    return [Fault("/despite", "spoken-against", f"say why nevertheless: {'; '.join(against)}")]


# --- a step goes its way ---------------------------------------------------------------------------------


def begun(plan: PainPlan, step_id: str, *, on: date, declared: Alternatives) -> PainPlan:
    """The step begins; its first review is due after the treatment's own interval. ``Conflict`` while it
    waits for another."""
    _refuse_closed(plan)
    step = plan.step(step_id)
    if step.status is not StepStatus.PLANNED:
        raise Conflict(f"the step is {step.status}", code="status")
    first = plan.step(step.after) if step.after else None
    if first is not None and not first.outcomes:
        raise Conflict("the step that comes first has no recorded response yet", code="waits")
    review = on + timedelta(declared.treatments[step.treatment].review_days)
    return _changed(plan, replace(step, status=StepStatus.ACTIVE, started_on=on, review_on=review))


def recorded(plan: PainPlan, step_id: str, found: Outcome, *, ends: bool, declared: Alternatives) -> PainPlan:
    """What a step did. A test is over with it, and so is what did harm; anything else goes on to its next
    review unless it ``ends``."""
    _refuse_closed(plan)
    step = plan.step(step_id)
    if step.status in (StepStatus.PLANNED, StepStatus.DECLINED):
        raise Conflict(f"the step is {step.status}: nothing can have come of it", code="status")
    if step.last is not None and found.on < step.last.on:
        words = f"the last response is of {step.last.on}"
        raise InvalidInput(words, faults=(Fault("/on", "before-last-response", words),))
    if step.started_on is not None and found.on < step.started_on:
        words = f"the step began on {step.started_on}"
        raise InvalidInput(words, faults=(Fault("/on", "before-start", words),))
    treatment = declared.treatments[step.treatment]
    outcomes = (*step.outcomes, found)
    if found.response is Response.HARM:
        step = replace(step, outcomes=outcomes, status=StepStatus.STOPPED, ended_on=found.on, review_on=None)
    elif treatment.diagnostic or ends or step.status is not StepStatus.ACTIVE:
        ended = step.ended_on or found.on
        over = StepStatus.COMPLETED if step.status is StepStatus.ACTIVE else step.status
        step = replace(step, outcomes=outcomes, status=over, ended_on=ended, review_on=None)
    else:
        step = replace(step, outcomes=outcomes, review_on=found.on + timedelta(treatment.review_days))
    return _changed(plan, step)


def ended(plan: PainPlan, step_id: str, status: StepStatus, *, on: date, note: str = "") -> PainPlan:
    """The step is over: completed, stopped, or declined by the patient before it began."""
    _refuse_closed(plan)
    step = plan.step(step_id)
    if not step.is_open or (step.status is StepStatus.PLANNED and status is StepStatus.COMPLETED):
        raise Conflict(f"the step is {step.status}", code="status")
    said = "; ".join(part for part in (step.note, note) if part)
    return _changed(plan, replace(step, status=status, ended_on=on, review_on=None, note=said))


def with_contact(plan: PainPlan, contact: Contact, terms: PlanTerms) -> PainPlan:
    """Who does what, or what is new of them: one entry for each person of a discipline."""
    _refuse_closed(plan)
    if contact.discipline not in terms.disciplines:
        fault = _one_of("/discipline", terms.disciplines)
        raise InvalidInput(fault.message, faults=(fault,))
    same = (contact.discipline, contact.who)
    known = next((c for c in plan.contacts if (c.discipline, c.who) == same), None)
    if known is not None:
        contact = replace(
            contact,
            does=contact.does or known.does,
            last_contact_on=contact.last_contact_on or known.last_contact_on,
            reported_on=contact.reported_on or known.reported_on,
        )
    others = tuple(c for c in plan.contacts if (c.discipline, c.who) != same)
    return replace(plan, contacts=(*others, contact))


def with_goal(plan: PainPlan, goal: FunctionGoal) -> PainPlan:
    """The plan with a further goal."""
    _refuse_closed(plan)
    return replace(plan, goals=(*plan.goals, goal))


def closed(plan: PainPlan, status: PlanStatus, *, on: date, note: str = "") -> PainPlan:
    """The plan is over; open steps are stopped with it."""
    _refuse_closed(plan)
    steps = tuple(
        replace(s, status=StepStatus.STOPPED, ended_on=on, review_on=None) if s.is_open else s
        for s in plan.steps
    )
    return replace(plan, status=status, ended_on=on, steps=steps, note=note or plan.note)


def _changed(plan: PainPlan, step: Step) -> PainPlan:
    return replace(plan, steps=tuple(step if s.id == step.id else s for s in plan.steps))


def _refuse_closed(plan: PainPlan) -> None:
    if plan.status is not PlanStatus.ACTIVE:
        raise Conflict(f"the plan is {plan.status} since {plan.ended_on}", code="closed")


def _one_of(pointer: str, known: Iterable[str]) -> Fault:
    return Fault(pointer, "unknown", f"one of: {', '.join(known)}")


# --- how whole it is ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Completeness:
    """How many treatments of each modality a plan has that are open or helped. ``opioid_only`` is ``None``
    when it is not known whether an opioid is taken; ``lacking`` are the modalities and treatments that a
    plan for chronic pain has and this one has not."""

    modalities: Mapping[str, int]
    opioid_only: bool | None
    multimodal: bool
    lacking: tuple[str, ...]


def modalities(plan: PainPlan, declared: Alternatives) -> dict[str, int]:
    """How many steps of each modality the plan consists of."""
    return dict(Counter(declared.treatments[step.treatment].modality for step in _standing(plan)))


def _standing(plan: PainPlan) -> list[Step]:
    """The steps that are planned or under way, and those that ended having helped."""
    helped = (Response.MEANINGFUL, Response.PARTIAL)
    return [
        step
        for step in plan.steps
        if step.is_open
        or (step.status is StepStatus.COMPLETED and step.last is not None and step.last.response in helped)
    ]


def completeness(
    plan: PainPlan, *, declared: Alternatives, terms: PlanTerms, on_opioids: bool | None
) -> Completeness:
    """What the plan consists of. What was declined, did harm or did not help is no part of it."""
    counts = modalities(plan, declared)
    held = {step.treatment for step in _standing(plan)}
    lacking: tuple[str, ...] = ()
    if plan.chronic:
        lacking = tuple(m for m in terms.chronic_modalities if m not in counts)
        lacking += tuple(t for t in terms.chronic_treatments if t not in held)
    opioid_only = None if on_opioids is None else on_opioids and not counts
    return Completeness(counts, opioid_only, len(counts) > 1, lacking)
