"""Care besides opioids for one patient: what is known of the pain, what fits, and what was offered.

An assessment states only the facts that somebody looked at; the last statement of each fact counts, and
what nobody stated stays unknown. What the chart shows (medicines, conditions, kidney function) is never
asked of anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import Any, Protocol

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from stewardship.db import care_tables, charts, documents, follow_up_tables, plan_tables
from stewardship.db.engine import new_id
from stewardship.domain.alternatives import Alternatives, Recommendation, opioid_only, recommend
from stewardship.domain.benefit import Benefits, Offer, Reply, might_benefit
from stewardship.domain.care import Preference, declined
from stewardship.domain.chart import Chart
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.drugs import DrugClass
from stewardship.domain.errors import Fault, InvalidInput, NotFound
from stewardship.domain.evaluation import (
    NEUROLOGICAL,
    CameBecause,
    DocumentKind,
    DocumentState,
    Evaluation,
    ExamPart,
    Finding,
    PainType,
    Scored,
    Study,
    StudyKind,
    evaluation,
    positive_screen,
)
from stewardship.domain.exemptions import ExemptionRule
from stewardship.domain.measurements import Measured
from stewardship.domain.orders import Pain, Phase, PhaseBounds, phase_on
from stewardship.domain.pain_plan import PainPlan, PlanTerms
from stewardship.domain.patient_facts import facts_of, pain_codes
from stewardship.domain.people import Principal
from stewardship.domain.suitability import PatientFacts, Response, Tried
from stewardship.domain.treatments import INTERVENTIONAL
from stewardship.domain.triggers import Change, Limit, Pulled, Story, Triggers, follow_ups, pull
from stewardship.services import audit, measurements, patient_wishes, plan_acts

_assessments: Any = care_tables.PainAssessment.__table__
_offers: Any = care_tables.AlternativeOffer.__table__
_follow_ups: Any = follow_up_tables.PainFollowUp.__table__
_plans: Any = plan_tables.PainPlan.__table__
_TRIED = frozenset({Response.MEANINGFUL, Response.PARTIAL, Response.NONE, Response.HARM})


class Library(charts.Meanings, measurements.Measures, Protocol):
    """The part of the library that advice on alternatives needs."""

    @property
    def alternatives(self) -> Alternatives:
        """Conditions, treatments, and what speaks against them."""
        ...

    @property
    def triggers(self) -> Triggers:
        """When to look closer, refer, or act at once."""
        ...

    @property
    def exemptions(self) -> Mapping[str, ExemptionRule]:
        """Who is pressed to nothing."""
        ...

    @property
    def plans(self) -> PlanTerms:
        """What a patient may decline, among the terms of plans."""
        ...

    @property
    def phase_bounds(self) -> PhaseBounds:
        """What parts acute, subacute and chronic pain."""
        ...


class TriedBefore(msgspec.Struct, frozen=True, omit_defaults=True):
    """A treatment that was tried, by its id or a medicine's base name, and what it did: from ``began_on``
    until ``on``, at which ``dose``, with how much relief in percent, and why it ended."""

    what: str
    response: Response
    on: date | None = None
    note: str = ""
    began_on: date | None = None
    dose: str = ""
    relief_percent: int | None = None
    stopped_because: str = ""

    @property
    def words(self) -> str:
        """Everything that was said of it besides the response."""
        relief = "" if self.relief_percent is None else f"{self.relief_percent} % less pain"
        stopped = f"stopped: {self.stopped_because}" if self.stopped_because else ""
        since = "" if self.began_on is None else f"since {self.began_on}"
        return "; ".join(part for part in (since, self.dose, relief, stopped, self.note) if part)


class Examined(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found in one part of an examination."""

    part: ExamPart
    finding: Finding
    note: str = ""


class DocumentSeen(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a document about earlier care is."""

    kind: DocumentKind
    state: DocumentState


class StudyMade(msgspec.Struct, frozen=True, omit_defaults=True):
    """A study that was made: which, of which region, when."""

    kind: StudyKind
    region: str
    on: date | None = None


class Assessed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The facts of one assessment; ``None`` is "not looked at".

    ``where``, ``eases`` and ``worsens`` are the patient's words about the pain, ``pain_type`` is its kind.
    ``limits`` are what the pain keeps the patient from, an empty list when from nothing. ``tried`` are
    treatments or medicines with what came of them. Pain that only an image explains is no diagnosis:
    ``imaging_agrees`` says whether history and examination fit what an image shows.
    """

    onset_on: date | None = None
    change: Change | None = None
    limits: tuple[Limit, ...] | None = None
    conservative: bool | None = None
    active_rehab: bool | None = None
    prevents_exercise: bool | None = None
    adequate_relief: bool | None = None
    neurological_deficit: bool | None = None
    residual_after_surgery: bool | None = None
    surgery_on: date | None = None
    surgical_candidate: bool | None = None
    declines_surgery: bool | None = None
    low_mood_or_fear: bool | None = None
    wants_to_reduce: bool | None = None
    imaging_agrees: bool | None = None
    allergies: tuple[str, ...] | None = None
    tried: tuple[TriedBefore, ...] | None = None
    where: str | None = None
    eases: str | None = None
    worsens: str | None = None
    pain_type: PainType | None = None
    came_because: CameBecause | None = None
    examined: tuple[Examined, ...] | None = None
    documents: tuple[DocumentSeen, ...] | None = None
    studies: tuple[StudyMade, ...] | None = None


@dataclass(frozen=True)
class Advice:
    """What fits this patient now. ``facts`` and ``story`` are what it rests on, ``assessed`` the last
    statement of each fact, ``assessed_on`` the day of the last assessment."""

    recommendation: Recommendation
    pulled: Pulled
    benefits: Benefits
    facts: PatientFacts
    story: Story
    assessed: Assessed
    assessed_on: date | None
    evaluation: Evaluation
    chart: Chart


@dataclass(frozen=True)
class Beside:
    """What is on record beside a chart: what was ``assessed``, each with its day, what was put to the
    patient, what plans and wishes say was ``tried`` or is not wanted, what is going on in a plan, and the
    ``scores`` that were measured here."""

    assessed: tuple[tuple[date, Assessed], ...] = ()
    offers: tuple[Offer, ...] = ()
    tried: tuple[Tried, ...] = ()
    in_plan: frozenset[str] = frozenset()
    scores: tuple[Scored, ...] = ()


NOTHING_BESIDE = Beside()


def assess(
    session: Session,
    library: Library,
    patient_id: str,
    assessed: Assessed,
    *,
    on: date,
    by: Principal,
    now: datetime,
) -> str:
    """Keep what was found on a day, and answer with its id. ``patient_id`` is the EHR's."""
    if on > now.astimezone(UTC).date():
        raise InvalidInput(
            "an assessment lies in the future", faults=(Fault("/on", "future", "Name a day up to today."),)
        )
    _known_treatments(library, assessed.tried or ())
    patient = _patient(session, patient_id, by=by)
    made = new_id(now)
    document = documents.encode(assessed)
    row = _stated(made, patient, on, by, now) | {"document": document}
    session.execute(insert(_assessments), row)
    _look_again(session, library, made, patient, by=by, now=now)
    stated = sorted(msgspec.to_builtins(assessed))
    audit.record(
        session,
        "pain.assessed",
        subject=patient,
        by=by,
        now=now,
        detail={"assessment": made, "stated": stated, "digest": documents.digest(document)},
    )
    return made


def _look_again(
    session: Session, library: Library, assessment: str, patient: str, *, by: Principal, now: datetime
) -> None:
    """Put the days on which time alone will ask for another look on the list of whoever assessed; those that
    the assessments before asked for count no more."""
    said, today = _latest(_assessed(session, patient, by.organisation_id)), now.astimezone(UTC).date()
    story = _told(said, Story(today, conservative=_conservative(said, library)))
    rows = [
        {
            "organisation_id": by.organisation_id,
            "assessment_id": assessment,
            "trigger": one.trigger.id,
            "patient_id": patient,
            "opens_on": one.opens_on,
            "due_on": one.due_on,
            "until_on": one.until_on,
            "clinician": by.user_id,
            "at": now,
        }
        for one in follow_ups(story, library.triggers.rules)
    ]
    if rows:
        session.execute(insert(_follow_ups), rows)


def offer(
    session: Session,
    library: Library,
    patient_id: str,
    treatment: str,
    *,
    reply: Reply,
    on: date,
    note: str = "",
    by: Principal,
    now: datetime,
) -> str:
    """Keep that a treatment was put to the patient, and the reply."""
    if treatment not in library.alternatives.treatments:
        raise InvalidInput(
            "a treatment that is not known",
            faults=(Fault("/treatment", "unknown-treatment", "Give the id of an offered treatment."),),
        )
    patient = _patient(session, patient_id, by=by)
    made = new_id(now)
    row = _stated(made, patient, on, by, now) | {"treatment": treatment, "reply": reply.value, "note": note}
    session.execute(insert(_offers), row)
    detail = {"offer": made, "treatment": treatment, "reply": reply.value}
    audit.record(session, "alternative.offered", subject=patient, by=by, now=now, detail=detail)
    return made


def advise(
    session: Session,
    library: Library,
    patient_id: str,
    *,
    codes: Iterable[str] = (),
    by: Principal,
    now: datetime,
) -> Advice:
    """What fits the patient as far as the record tells; ``codes`` are ICD-10-CM codes that stand for the
    pain, otherwise those of the chart. Raises ``NotFound`` for a patient of whom nothing is known."""
    known = charts.known_patient(session, organisation_id=by.organisation_id, patient_id=patient_id)
    if known.id is None:
        raise NotFound("no such patient")
    chart = charts.chart_of(session, library, known, organisation_id=by.organisation_id, as_of=now)
    return advise_known(session, library, known, chart, codes=codes, by=by)


def advise_known(
    session: Session,
    library: Library,
    known: charts.KnownPatient,
    chart: Chart,
    *,
    codes: Iterable[str] = (),
    by: Principal,
) -> Advice:
    """The same for a patient whose chart was read already. What plans for pain record, and what the patient
    wants, is known too."""
    found = beside(session, library, known.id or "", by=by)
    measured = measurements.of_known(session, library, known, organisation_id=by.organisation_id)
    return advise_on(library, chart, replace(found, scores=_scores(measured)), codes=codes)


def _scores(measured: Iterable[Measured]) -> tuple[Scored, ...]:
    """What was measured and is no mistake, where it came to a score."""
    return tuple(
        Scored(one.instrument, one.taken_on, one.score.value)
        for one in measured
        if not one.in_error and one.score is not None and one.score.value is not None
    )


def beside(session: Session, library: Library, patient: str, *, by: Principal) -> Beside:
    """What is on record of a patient (our own id) beside the chart."""
    plans = _plans_of(session, patient, by.organisation_id)
    wishes = patient_wishes.preferences_of(session, patient, by=by)
    return Beside(
        assessed=tuple(_assessed(session, patient, by.organisation_id)),
        offers=tuple(_offered(session, patient, by.organisation_id)),
        tried=(*(t for plan in plans for t in plan.tried), *_declined(library, wishes)),
        in_plan=frozenset(step.treatment for plan in plans for step in plan.steps if step.is_open),
    )


def advise_on(
    library: Library,
    chart: Chart,
    beside: Beside = NOTHING_BESIDE,
    *,
    codes: Iterable[str] = (),
    phase: Phase = Phase.UNKNOWN,
) -> Advice:
    """The same from a chart and what was stated beside it; nothing is read or written. ``phase`` is how long
    the pain has lasted where somebody just said so; otherwise the onset that was assessed tells."""
    said = _latest(beside.assessed)
    tried = (*(Tried(t.what, t.response, t.on, t.words) for t in said.tried or ()), *beside.tried)
    if phase is Phase.UNKNOWN:
        phase = phase_on(Pain(onset=said.onset_on), chart.today, library.phase_bounds)
    facts = facts_of(
        chart,
        library.alternatives.terms,
        exemptions=library.exemptions.values(),
        tried=tried,
        allergies=None if said.allergies is None else frozenset(said.allergies),
        phase=phase,
    )
    asked = tuple(Coding(ICD10CM, code) for code in codes)
    pain = asked or pain_codes(chart, library.alternatives.conditions)
    found = recommend(library.alternatives, pain, facts)
    story = _story(chart, said, found, facts, phase, library)
    if story.low_mood_or_fear is None and positive_screen(
        chart, beside.scores, library.triggers.evaluation.screens
    ):
        story = replace(story, low_mood_or_fear=True)
    if story.declines_surgery is None and _unwanted_surgery(tried, library):
        story = replace(story, declines_surgery=True)
    return Advice(
        recommendation=found,
        pulled=pull(story, library.triggers.rules),
        benefits=might_benefit(
            found,
            beside.offers,
            {*beside.in_plan, *(t.what for t in tried)},
            today=chart.today,
            declared=library.triggers,
        ),
        facts=facts,
        story=story,
        assessed=said,
        assessed_on=max((on for on, _ in beside.assessed), default=None),
        evaluation=evaluation(
            library.triggers.evaluation,
            _looked_at(said),
            documents={d.kind: d.state for d in said.documents or ()},
            studies=(Study(s.kind, s.region, s.on) for s in said.studies or ()),
            conditions=story.conditions,
        ),
        chart=chart,
    )


def assessments(session: Session, patient: str, *, by: Principal) -> list[tuple[date, Assessed]]:
    """What was stated of a patient (our own id), each with its day."""
    return _assessed(session, patient, by.organisation_id)


def offers(session: Session, patient: str, *, by: Principal) -> list[Offer]:
    """What was put to a patient (our own id), each with the reply."""
    return _offered(session, patient, by.organisation_id)


def _declined(library: Library, wishes: Iterable[Preference]) -> Iterator[Tried]:
    """What the patient does not want, treatment by treatment."""
    said = tuple(wishes)
    for treatment in library.alternatives.treatments.values():
        word = declined(treatment, said, library.plans.preferences)
        if word is not None:
            yield Tried(treatment.id, Response.DECLINED, word.said_on, word.note)


# --- from what is on record to one story ---------------------------------------------------------------


#: Facts of which every assessment adds to what was known, and by what one replaces an earlier one.
_ADDED: Mapping[str, Callable[[Any], object]] = {
    "tried": lambda one: one.what,
    "examined": lambda one: one.part,
    "documents": lambda one: one.kind,
    "studies": lambda one: (one.kind, one.region.casefold(), one.on),
}


def _latest(rows: Iterable[tuple[date, Assessed]]) -> Assessed:
    """The last statement of each fact; of what was ever tried, examined, sent or made everything is kept, the
    last word about each counting."""
    said = Assessed()
    added: dict[str, dict[object, Any]] = {}
    for _, row in sorted(rows, key=lambda r: r[0]):
        stated = {f: v for f in row.__struct_fields__ if (v := getattr(row, f)) is not None}
        for name, key in _ADDED.items():
            if name in stated:
                added.setdefault(name, {}).update({key(one): one for one in stated.pop(name)})
        said = msgspec.structs.replace(said, **stated)
    return msgspec.structs.replace(said, **{name: tuple(all_.values()) for name, all_ in added.items()})


def _looked_at(said: Assessed) -> set[str]:
    """The names of what was looked at, as ``reference/triggers.toml`` knows them."""
    names = {f for f in said.__struct_fields__ if getattr(said, f) is not None}
    names |= {f"examined:{one.part}" for one in said.examined or ()}
    return names | {f"document:{one.kind}" for one in said.documents or ()}


def _unwanted_surgery(tried: Iterable[Tried], library: Library) -> bool:
    """Whether the last word about surgery is that the patient does not want it."""
    surgical = {t.id for t in library.alternatives.treatments.values() if t.modality == "surgical"}
    words = [t.response for t in tried if t.what in surgical]
    return bool(words) and words[-1] is Response.DECLINED


def _story(
    chart: Chart,
    said: Assessed,
    found: Recommendation,
    facts: PatientFacts,
    phase: Phase,
    library: Library,
) -> Story:
    """What the assessment states, and what the record tells where it does not."""
    on_opioid = opioid_now(facts)
    story = Story(
        today=chart.today,
        phase=phase,
        on_opioid=on_opioid,
        conservative=_conservative(said, library),
        nothing_else_offered=opioid_only(library.alternatives, facts) if on_opioid else None,
        conditions=frozenset(m.condition.id for m in found.matched),
    )
    return _told(said, story)


def _told(said: Assessed, story: Story) -> Story:
    """The story with what was assessed in it."""
    if said.limits is not None:
        story = replace(story, limits=frozenset(said.limits))
    if said.came_because is CameBecause.NO_SURGERY_WANTED:
        story = replace(story, declines_surgery=True)
    if said.neurological_deficit is None:
        story = replace(story, neurological_sign=_neurological_sign(said.examined or ()))
    names = {f.name for f in fields(Story)} & set(Assessed.__struct_fields__) - {"limits"}
    stated = {name: value for name in names if (value := getattr(said, name)) is not None}
    return replace(story, **stated)


def _neurological_sign(examined: Iterable[Examined]) -> bool | None:
    """Whether a nerve shows a sign; ``None`` while a part is not examined and none that was shows one."""
    found = {one.part: one.finding for one in examined if one.part in NEUROLOGICAL}
    if Finding.ABNORMAL in found.values():
        return True
    return False if len(found) == len(NEUROLOGICAL) else None


def opioid_now(facts: PatientFacts) -> bool | None:
    """Whether an opioid is taken now; ``None`` when the record does not tell."""
    if facts.medicines is None:
        return None
    if any(DrugClass.OPIOID in m.classes for m in facts.medicines if m.days_ago == 0):
        return True
    return None if facts.unknown_medicines else False


def _conservative(said: Assessed, library: Library) -> bool | None:
    """Whether care without needles was tried, by what is on record; what is not there was perhaps tried."""
    rungs = {name: t.rung for name, t in library.alternatives.treatments.items()}
    tried = [t for t in said.tried or () if t.response in _TRIED]
    return True if any(rungs.get(t.what, INTERVENTIONAL) < INTERVENTIONAL for t in tried) else None


def _known_treatments(library: Library, tried: Iterable[TriedBefore]) -> None:
    treatments = library.alternatives.treatments.values()
    known = {name for t in treatments for name in (t.id, t.family, *t.ingredients)}
    faults = tuple(
        Fault(f"/tried/{place}/what", "unknown-treatment", "Name a treatment by its id, or a medicine.")
        for place, one in enumerate(tried)
        if one.what not in known
    )
    if faults:
        raise InvalidInput("a treatment that is not known", faults=faults)


# --- rows -----------------------------------------------------------------------------------------------


def _patient(session: Session, patient_id: str, *, by: Principal) -> str:
    known = charts.known_patient(session, organisation_id=by.organisation_id, patient_id=patient_id)
    if known.id is None:
        raise NotFound("no such patient")
    return known.id


def _stated(made: str, patient: str, on: date, by: Principal, now: datetime) -> dict[str, Any]:
    return {
        "organisation_id": by.organisation_id,
        "id": made,
        "patient_id": patient,
        "on_day": on,
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }


def _mine(table: Any, patient: str, organisation: str, *columns: Any) -> Any:
    return (
        select(*columns)
        .where(table.c.organisation_id == organisation, table.c.patient_id == patient)
        .order_by(table.c.on_day, table.c.at, table.c.id)
    )


def _assessed(session: Session, patient: str, organisation: str) -> list[tuple[date, Assessed]]:
    table = _assessments
    rows = session.execute(_mine(table, patient, organisation, table.c.on_day, table.c.document))
    return [(row.on_day, documents.decode(row.document, Assessed)) for row in rows]


def _plans_of(session: Session, patient: str, organisation: str) -> list[PainPlan]:
    c = _plans.c
    rows = session.execute(
        select(_plans)
        .where(c.organisation_id == organisation, c.patient_id == patient)
        .order_by(c.created_at)
    )
    return [plan_acts.decoded(row, PainPlan) for row in rows]


def _offered(session: Session, patient: str, organisation: str) -> list[Offer]:
    table = _offers
    rows = session.execute(
        _mine(table, patient, organisation, table.c.treatment, table.c.on_day, table.c.reply)
    )
    return [Offer(row.treatment, row.on_day, Reply(row.reply)) for row in rows]
