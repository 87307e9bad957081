"""Plans for pain: started, added to, answered, referred from, and read with the next step that each suggests.

The domain says what may be and what comes next; here it is loaded, kept and audited. Every act names the
version of what somebody looked at (see ``plan_acts``), and nothing is recorded of a day to come.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from stewardship.db import charts, plan_tables
from stewardship.db.engine import new_id
from stewardship.db.plan_tables import Subject
from stewardship.domain import pain_plan
from stewardship.domain.alternatives import Recommendation, recommend
from stewardship.domain.bundles import Fitting, fitting
from stewardship.domain.care import Coverage, Preference
from stewardship.domain.codes import Coding
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.goals import FunctionGoal
from stewardship.domain.letter import Letter, letter
from stewardship.domain.next_step import Around, Suggestion, coverage_warnings, next_step
from stewardship.domain.orders import Phase
from stewardship.domain.pain_plan import Completeness, Contact, NewStep, PainPlan, PlanTerms
from stewardship.domain.people import Principal
from stewardship.domain.plan_referrals import Happened, Referral, ReferralStatus, due_on, moved
from stewardship.domain.plan_steps import Function, PlanStatus, StepStatus, outcome
from stewardship.domain.suitability import PatientFacts, Response
from stewardship.services import care, patient_wishes, plan_acts

_plans: Any = plan_tables.PainPlan.__table__
_referrals: Any = plan_tables.Referral.__table__


class Library(care.Library, Protocol):
    """The part of the library that plans need."""

    @property
    def plans(self) -> PlanTerms:
        """What plans hold to."""
        ...


@dataclass(frozen=True)
class NewPlan:
    """What a plan begins with. ``id`` makes a repetition safe; without one it gets its own."""

    codings: tuple[Coding, ...]
    goals: tuple[FunctionGoal, ...]
    owner: str
    on: date
    chronic: bool | None = None
    note: str = ""
    id: str = ""


@dataclass(frozen=True)
class Answered:
    """What is said of the response to a step; see ``plan_steps.outcome``. ``ends`` ends the step."""

    on: date
    response: Response | None = None
    relief_percent: int | None = None
    lasted_hours: Decimal | None = None
    function: Function | None = None
    target: str = ""
    note: str = ""
    ends: bool = False
    anaesthetic: str = ""
    attended: int | None = None


@dataclass(frozen=True)
class NewReferral:
    """A referral to be sent: to which discipline, why, how urgent, by what kind of referrer, for which step,
    and to whom (an id)."""

    discipline: str
    reason: str
    urgency: str
    source: str
    on: date
    step: str = ""
    to: str = ""
    id: str = ""


@dataclass(frozen=True)
class ReferralRead:
    """A referral, its version, and by when what comes next has to happen. ``patient`` is our own id,
    ``last_by`` who noted the last thing about it."""

    referral: Referral
    version: int
    due_on: date | None
    patient: str
    last_by: str


@dataclass(frozen=True)
class PlanRead:
    """A plan as it stands: what it suggests next, how whole it is, what a payer may not allow, and which
    treatments would go together with those that it has."""

    plan: PainPlan
    version: int
    suggestion: Suggestion | None
    whole: Completeness
    warnings: tuple[str, ...]
    bundles: tuple[Fitting, ...]
    referrals: tuple[ReferralRead, ...]
    preferences: tuple[Preference, ...]
    coverage: tuple[Coverage, ...]


# --- a plan and its steps ----------------------------------------------------------------------------


def start(
    session: Session, library: Library, patient_id: str, asked: NewPlan, *, by: Principal, now: datetime
) -> str:
    """Start a plan; its id. ``patient_id`` is the EHR's. The same again under one id is the same plan."""
    refuse_future(asked.on, now)
    plan_id = asked.id or new_id(now)
    plan = pain_plan.started(
        PainPlan(
            plan_id,
            patient_id,
            asked.codings,
            asked.on,
            asked.owner,
            asked.goals,
            asked.chronic,
            note=asked.note,
        ),
        library.plans,
    )
    return begin(session, plan, said=asked, by=by, now=now)


def begin(session: Session, plan: PainPlan, *, said: object, by: Principal, now: datetime) -> str:
    """Keep a new plan as it is; its id."""
    patient = patient_wishes.known_id(session, plan.patient_id, by=by)
    columns = {"patient_id": patient, **_columns(plan)}
    plan_acts.begin(
        session, Subject.PLAN, plan, record_id=plan.id, columns=columns, said=said, by=by, now=now
    )
    return plan.id


def take_in(
    session: Session,
    library: Library,
    plan: PainPlan,
    referrals: Iterable[Referral],
    *,
    by: Principal,
    now: datetime,
) -> str:
    """Keep a plan that another system wrote, with its referrals; its id. Again it changes nothing; another
    plan or referral under a known id raises ``Conflict``, for those are changed by acts."""
    refuse_future(plan.started_on, now)
    pain_plan.started(plan, library.plans)
    for step in plan.steps:
        if step.discipline not in library.plans.disciplines:
            raise invalid("/steps/discipline", "unknown", f"one of: {', '.join(library.plans.disciplines)}")
    begin(session, plan, said=plan, by=by, now=now)
    patient = patient_wishes.known_id(session, plan.patient_id, by=by)
    for referral in referrals:
        begin_referral(session, library, referral, patient, said=referral, by=by, now=now)
    return plan.id


def add_step(
    session: Session,
    library: Library,
    plan_id: str,
    new: NewStep,
    *,
    version: int,
    by: Principal,
    now: datetime,
) -> int:
    """Add a step to a plan; the plan's new version. See ``pain_plan.with_step`` for what is refused."""
    refuse_future(new.on, now)
    said, new = new, replace(new, id=new.id or new_id(now))

    def added(plan: PainPlan, row: Row[Any]) -> PainPlan:
        around = _around(session, library, plan, row.patient_id, by=by, now=now)
        return pain_plan.with_step(
            plan,
            new,
            declared=library.alternatives,
            terms=library.plans,
            known=around.known,
            tried=around.tried,
            preferences=around.preferences,
        )

    return _act(session, plan_id, "add-step", said, added, version=version, by=by, now=now)


def begin_step(
    session: Session,
    library: Library,
    plan_id: str,
    step_id: str,
    *,
    on: date,
    version: int,
    by: Principal,
    now: datetime,
) -> int:
    """A planned step begins."""
    refuse_future(on, now)
    return _act(
        session,
        plan_id,
        "begin-step",
        (step_id, on),
        lambda plan, _: pain_plan.begun(plan, step_id, on=on, declared=library.alternatives),
        version=version,
        by=by,
        now=now,
    )


def record_response(
    session: Session,
    library: Library,
    plan_id: str,
    step_id: str,
    said: Answered,
    *,
    version: int,
    by: Principal,
    now: datetime,
) -> int:
    """What a step did."""
    refuse_future(said.on, now)

    def recorded(plan: PainPlan, _: Row[Any]) -> PainPlan:
        treatment = library.alternatives.treatments[plan.step(step_id).treatment]
        found = outcome(
            treatment,
            library.plans.responses,
            on=said.on,
            response=said.response,
            relief_percent=said.relief_percent,
            lasted_hours=said.lasted_hours,
            function=said.function,
            target=said.target,
            note=said.note,
            anaesthetic=said.anaesthetic,
            attended=said.attended,
        )
        return pain_plan.recorded(plan, step_id, found, ends=said.ends, declared=library.alternatives)

    return _act(
        session, plan_id, "record-response", (step_id, said), recorded, version=version, by=by, now=now
    )


def end_step(
    session: Session,
    plan_id: str,
    step_id: str,
    status: StepStatus,
    *,
    on: date,
    note: str = "",
    version: int,
    by: Principal,
    now: datetime,
) -> int:
    """A step is completed, stopped, or declined by the patient."""
    refuse_future(on, now)
    if status not in (StepStatus.COMPLETED, StepStatus.STOPPED, StepStatus.DECLINED):
        raise invalid("/status", "status", "a step ends completed, stopped or declined")
    return _act(
        session,
        plan_id,
        "end-step",
        (step_id, status, on, note),
        lambda plan, _: pain_plan.ended(plan, step_id, status, on=on, note=note),
        version=version,
        by=by,
        now=now,
    )


def coordinate(
    session: Session,
    library: Library,
    plan_id: str,
    contact: Contact,
    *,
    version: int,
    by: Principal,
    now: datetime,
) -> int:
    """Who does what, when there was contact last, and whether a report came back."""
    for day in (contact.last_contact_on, contact.reported_on):
        if day is not None:
            refuse_future(day, now)
    return _act(
        session,
        plan_id,
        "coordinate",
        contact,
        lambda plan, _: pain_plan.with_contact(plan, contact, library.plans),
        version=version,
        by=by,
        now=now,
    )


def add_goal(
    session: Session, plan_id: str, goal: FunctionGoal, *, version: int, by: Principal, now: datetime
) -> int:
    """A further goal of function."""
    return _act(
        session,
        plan_id,
        "add-goal",
        goal,
        lambda plan, _: pain_plan.with_goal(plan, goal),
        version=version,
        by=by,
        now=now,
    )


def close(
    session: Session,
    plan_id: str,
    status: PlanStatus,
    *,
    on: date,
    note: str = "",
    version: int,
    by: Principal,
    now: datetime,
) -> int:
    """The plan is over."""
    refuse_future(on, now)
    if status is PlanStatus.ACTIVE:
        raise invalid("/status", "status", "a plan ends completed or stopped")
    return _act(
        session,
        plan_id,
        "close",
        (status, on, note),
        lambda plan, _: pain_plan.closed(plan, status, on=on, note=note),
        version=version,
        by=by,
        now=now,
    )


# --- referrals ---------------------------------------------------------------------------------------------


def refer(
    session: Session, library: Library, plan_id: str, asked: NewReferral, *, by: Principal, now: datetime
) -> str:
    """Send a referral of a plan; its id."""
    refuse_future(asked.on, now)
    row = plan_acts.row_of(session, Subject.PLAN, plan_id, by=by, lock=True)
    plan = plan_acts.decoded(row, PainPlan)
    terms = library.plans
    faults = [
        Fault(pointer, "unknown", f"one of: {', '.join(sorted(known))}")
        for pointer, given, known in (
            ("/discipline", asked.discipline, terms.disciplines),
            ("/urgency", asked.urgency, terms.urgencies),
            ("/source", asked.source, terms.referral_sources),
        )
        if given not in known
    ]
    if asked.step and asked.step not in {s.id for s in plan.steps}:
        faults.append(Fault("/step", "unknown", "there is no such step in the plan"))
    if not asked.reason.strip():
        faults.append(Fault("/reason", "required", "say why, for those who receive it"))
    if faults:
        raise InvalidInput("the referral does not say all that it must", faults=tuple(faults))
    referral = Referral(
        id=asked.id or new_id(now),
        plan_id=plan_id,
        patient_id=plan.patient_id,
        discipline=asked.discipline,
        reason=asked.reason,
        urgency=asked.urgency,
        source=asked.source,
        happened=(Happened(ReferralStatus.SENT, asked.on),),
        step=asked.step,
        to=asked.to,
    )
    return begin_referral(session, library, referral, row.patient_id, said=asked, by=by, now=now)


def begin_referral(
    session: Session,
    library: Library,
    referral: Referral,
    patient: str,
    *,
    said: object,
    by: Principal,
    now: datetime,
) -> str:
    """Keep a new referral as it is; its id. ``patient`` is our own id."""
    columns = {
        "patient_id": patient,
        "plan_id": referral.plan_id,
        "status": referral.status.value,
        "due_on": due_on(referral, library.plans.urgencies),
    }
    plan_acts.begin(
        session, Subject.REFERRAL, referral, record_id=referral.id, columns=columns, said=said, by=by, now=now
    )
    return referral.id


def note_referral(
    session: Session,
    library: Library,
    referral_id: str,
    to: ReferralStatus,
    *,
    on: date,
    note: str = "",
    version: int,
    by: Principal,
    now: datetime,
) -> ReferralRead:
    """A referral was accepted, seen, reported back, declined or cancelled."""
    refuse_future(on, now)
    said = (to, on, note)
    row = plan_acts.row_of(session, Subject.REFERRAL, referral_id, by=by, lock=True)
    if not plan_acts.again(session, Subject.REFERRAL, row, version=version, act=to.value, said=said, by=by):
        referral = moved(plan_acts.decoded(row, Referral), to, on=on, note=note)
        columns = {"status": referral.status.value, "due_on": due_on(referral, library.plans.urgencies)}
        plan_acts.change(
            session, Subject.REFERRAL, row, referral, act=to.value, said=said, columns=columns, by=by, now=now
        )
    return _referral_read(plan_acts.row_of(session, Subject.REFERRAL, referral_id, by=by))


def read_referral(session: Session, referral_id: str, *, by: Principal) -> ReferralRead:
    """One referral of the caller's organisation."""
    return _referral_read(plan_acts.row_of(session, Subject.REFERRAL, referral_id, by=by))


def letter_of(
    session: Session, library: Library, referral_id: str, *, by: Principal, now: datetime
) -> Letter:
    """What goes with a referral: what was tried and came of it, what tests showed, what is not on record."""
    row = plan_acts.row_of(session, Subject.REFERRAL, referral_id, by=by)
    referral = plan_acts.decoded(row, Referral)
    plan = plan_acts.decoded(plan_acts.row_of(session, Subject.PLAN, referral.plan_id, by=by), PainPlan)
    advice = _advice(session, library, plan, by=by, patient=row.patient_id, now=now)
    return letter(
        plan,
        referral,
        facts=advice.facts,
        preferences=patient_wishes.preferences_of(session, row.patient_id, by=by),
        imaging_agrees=advice.assessed.imaging_agrees,
        declared=library.alternatives,
        terms=library.plans,
    )


def overdue(
    session: Session, *, by: Principal, today: date, last_by: Collection[str] | None = None
) -> tuple[ReferralRead, ...]:
    """The open referrals for which something should have happened before today, the longest overdue first;
    ``last_by`` asks for those alone about which one of these noted the last thing."""
    asked = (
        select(_referrals)
        .where(_referrals.c.organisation_id == by.organisation_id, _referrals.c.due_on < today)
        .order_by(_referrals.c.due_on, _referrals.c.id)
    )
    if last_by is not None:
        asked = asked.where(_referrals.c.changed_by.in_(list(last_by)))
    return tuple(_referral_read(row) for row in session.connection().execute(asked))


# --- reading --------------------------------------------------------------------------------------------


def read(session: Session, library: Library, plan_id: str, *, by: Principal, now: datetime) -> PlanRead:
    """One plan of the caller's organisation, with its next step."""
    row = plan_acts.row_of(session, Subject.PLAN, plan_id, by=by)
    return _read(session, library, row, by=by, now=now)


def of_patient(
    session: Session, library: Library, patient_id: str, *, by: Principal, now: datetime
) -> tuple[PlanRead, ...]:
    """The plans of a patient, open ones first. ``NotFound`` for a patient of whom nothing is known."""
    patient = patient_wishes.known_id(session, patient_id, by=by)
    asked = (
        select(_plans)
        .where(_plans.c.organisation_id == by.organisation_id, _plans.c.patient_id == patient)
        .order_by(_plans.c.status, _plans.c.created_at, _plans.c.id)
    )
    rows = list(session.connection().execute(asked))
    return tuple(_read(session, library, row, by=by, now=now) for row in rows)


def _read(session: Session, library: Library, row: Row[Any], *, by: Principal, now: datetime) -> PlanRead:
    plan = plan_acts.decoded(row, PainPlan)
    around = _around(session, library, plan, row.patient_id, by=by, now=now)
    today = now.astimezone(UTC).date()
    suggestion: Suggestion | None = None
    bundles: tuple[Fitting, ...] = ()
    if plan.status is PlanStatus.ACTIVE:
        bundles = fitting(
            plan,
            around.known,
            declared=library.alternatives,
            terms=library.plans,
            preferences=around.preferences,
        )
        suggestion = next_step(plan, around, declared=library.alternatives, terms=library.plans, today=today)
    referrals = _referrals_of(session, plan.id, by=by)
    coverage = patient_wishes.coverage_of(session, row.patient_id, by=by)
    return PlanRead(
        plan=plan,
        version=row.version,
        suggestion=suggestion,
        whole=around.whole,
        warnings=coverage_warnings(plan, coverage, (r.referral for r in referrals), today=today),
        bundles=bundles,
        referrals=referrals,
        preferences=around.preferences,
        coverage=coverage,
    )


def _around(
    session: Session, library: Library, plan: PainPlan, patient: str, *, by: Principal, now: datetime
) -> Around:
    """What the plan stands in: the chart, what was tried before it, and what the patient wants."""
    facts = _advice(session, library, plan, by=by, patient=patient, now=now).facts
    before = facts.tried
    own = replace(facts, tried=(*before, *plan.tried))
    chronic = plan.chronic if plan.chronic is not None else _chronic(facts)
    return Around(
        known=_recommended(library, plan, own),
        whole=pain_plan.completeness(
            replace(plan, chronic=chronic),
            declared=library.alternatives,
            terms=library.plans,
            on_opioids=care.opioid_now(facts),
        ),
        tried=before,
        preferences=patient_wishes.preferences_of(session, patient, by=by),
    )


def _chronic(facts: PatientFacts) -> bool | None:
    return None if facts.phase is Phase.UNKNOWN else facts.phase is Phase.CHRONIC


def _advice(
    session: Session, library: Library, plan: PainPlan, *, by: Principal, patient: str, now: datetime
) -> care.Advice:
    """What the chart and the assessments tell; what plans record is not in it."""
    known = charts.known_patient(session, organisation_id=by.organisation_id, patient_id=plan.patient_id)
    chart = charts.chart_of(session, library, known, organisation_id=by.organisation_id, as_of=now)
    said = care.Beside(assessed=tuple(care.assessments(session, patient, by=by)))
    return care.advise_on(library, chart, said)


def _recommended(library: Library, plan: PainPlan, facts: PatientFacts) -> Recommendation:
    return recommend(library.alternatives, plan.codings, facts)


def _referrals_of(session: Session, plan_id: str, *, by: Principal) -> tuple[ReferralRead, ...]:
    asked = (
        select(_referrals)
        .where(_referrals.c.organisation_id == by.organisation_id, _referrals.c.plan_id == plan_id)
        .order_by(_referrals.c.created_at, _referrals.c.id)
    )
    return tuple(_referral_read(row) for row in session.connection().execute(asked))


def _referral_read(row: Row[Any]) -> ReferralRead:
    referral = plan_acts.decoded(row, Referral)
    return ReferralRead(referral, row.version, row.due_on, row.patient_id, row.changed_by)


# --- acts ------------------------------------------------------------------------------------------------


def _act(
    session: Session,
    plan_id: str,
    act: str,
    said: object,
    changed: Callable[[PainPlan, Row[Any]], PainPlan],
    *,
    version: int,
    by: Principal,
    now: datetime,
) -> int:
    row = plan_acts.row_of(session, Subject.PLAN, plan_id, by=by, lock=True)
    if plan_acts.again(session, Subject.PLAN, row, version=version, act=act, said=said, by=by):
        return int(row.version)
    plan = changed(plan_acts.decoded(row, PainPlan), row)
    return plan_acts.change(
        session, Subject.PLAN, row, plan, act=act, said=said, columns=_columns(plan), by=by, now=now
    )


def _columns(plan: PainPlan) -> dict[str, Any]:
    return {"status": plan.status.value, "review_on": plan.review_on}


def refuse_future(on: date, now: datetime) -> None:
    """Nothing has happened on a day to come."""
    if on > now.astimezone(UTC).date():
        raise invalid("/on", "in-the-future", "name a day up to today")


def invalid(pointer: str, code: str, message: str) -> InvalidInput:
    """What is wrong at one place of the input."""
    return InvalidInput(message, faults=(Fault(pointer, code, message),))
