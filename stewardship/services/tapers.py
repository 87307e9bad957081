"""Tapers: planned on what is known of a patient, begun on a shared decision, changed as it goes, watched.

A plan rests on the chart: the dose that is dispensed, since when opioids are taken, what exempts, whether a
benzodiazepine is taken or already being reduced. What a request says of the dose stands before the chart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from stewardship.db import charts, plan_tables
from stewardship.db.engine import new_id
from stewardship.db.plan_tables import Subject
from stewardship.domain import taper as tapering
from stewardship.domain.chart import Chart
from stewardship.domain.dosage import DailyDose, highest_dose
from stewardship.domain.drugs import Catalogue, Drug, DrugClass
from stewardship.domain.episodes import Covered, Exposure
from stewardship.domain.errors import Conflict, InvalidInput
from stewardship.domain.exemptions import ExemptionRule, exempt_by
from stewardship.domain.flags import Flag, Untold
from stewardship.domain.people import Principal
from stewardship.domain.taper import AskedBy, SharedDecision, Taper, TaperAct, TaperStatus
from stewardship.domain.taper_schedule import (
    Benzodiazepine,
    NotPlanned,
    Schedule,
    TaperFacts,
    TaperTerms,
    plan,
)
from stewardship.domain.taper_watch import FasterThanPlanned, compare, flagged
from stewardship.domain.therapy import on_opioids_since
from stewardship.services import patient_wishes, plan_acts
from stewardship.services.plans import refuse_future

_tapers: Any = plan_tables.Taper.__table__
#: The exemption that says that the opioid is the treatment of the disorder, and the set of those who have it.
_TREATMENT = "opioid-use-disorder-treatment"
_DISORDER = "opioid-use-disorder"


class Library(charts.Meanings, Protocol):
    """The part of the library that tapers need."""

    @property
    def catalogue(self) -> Catalogue:
        """The products."""
        ...

    @property
    def tapers(self) -> TaperTerms:
        """How a taper is planned."""
        ...

    @property
    def exemptions(self) -> Mapping[str, ExemptionRule]:
        """For whom the guideline is not meant."""
        ...


@dataclass(frozen=True)
class Wanted:
    """What is to be reduced: a product by RxNorm code, and what is said of its use. ``None``: as the chart
    tells."""

    code: str
    starts_on: date
    mg_per_day: Decimal | None = None
    days_on: int | None = None
    pieces_a_day: Decimal | None = None
    times_a_day: int | None = None
    for_pain: bool = False
    splitting: bool = False


@dataclass(frozen=True)
class TaperRead:
    """A taper with its version, and what is dispensed faster than it."""

    taper: Taper
    version: int
    faster: tuple[FasterThanPlanned, ...] = ()
    cannot_tell: tuple[str, ...] = ()


def preview(
    session: Session,
    library: Library,
    patient_id: str,
    wanted: Wanted,
    *,
    asked_by: AskedBy,
    by: Principal,
    now: datetime,
) -> Schedule | NotPlanned:
    """The schedule that this would be, or why there is none; nothing is kept."""
    known = charts.known_patient(session, organisation_id=by.organisation_id, patient_id=patient_id)
    chart = charts.chart_of(session, library, known, organisation_id=by.organisation_id, as_of=now)
    facts = facts_of(chart, library, wanted, asked_by=asked_by)
    return plan(facts, catalogue=library.catalogue, terms=library.tapers, starts_on=wanted.starts_on)


def begin(
    session: Session,
    library: Library,
    patient_id: str,
    wanted: Wanted,
    decision: SharedDecision,
    *,
    taper_id: str = "",
    plan_id: str = "",
    by: Principal,
    now: datetime,
) -> str:
    """Begin a taper; its id. Raises ``InvalidInput`` without a shared decision or where none can be planned,
    ``Conflict`` while another one of the patient is under way."""
    refuse_future(decision.on, now)
    if plan_id:
        plan_acts.row_of(session, Subject.PLAN, plan_id, by=by)
    said = (patient_id, wanted, decision, plan_id)
    own_id = taper_id or new_id(now)
    patient = patient_wishes.known_id(session, patient_id, by=by)
    _refuse_second(session, patient, own_id, by)
    found = preview(session, library, patient_id, wanted, asked_by=decision.asked_by, by=by, now=now)
    if isinstance(found, NotPlanned):
        raise InvalidInput(f"no taper is planned: {found.because}", code=found.code)
    taper = tapering.begin(found, taper_id=own_id, patient_id=patient_id, decision=decision, plan_id=plan_id)
    columns = {"patient_id": patient, "plan_id": plan_id or None, **_columns(taper, now)}
    plan_acts.begin(
        session, Subject.TAPER, taper, record_id=own_id, columns=columns, said=said, by=by, now=now
    )
    return own_id


def pause(
    session: Session, taper_id: str, *, on: date, reason: str, version: int, by: Principal, now: datetime
) -> int:
    """Hold the dose; the taper's new version."""
    return _act(
        session,
        taper_id,
        TaperAct.PAUSE,
        (on, reason),
        lambda t: tapering.pause(t, on=on, reason=reason),
        on=on,
        version=version,
        by=by,
        now=now,
    )


def resume(
    session: Session, taper_id: str, *, on: date, reason: str, version: int, by: Principal, now: datetime
) -> int:
    """Go on from where it was paused."""
    return _act(
        session,
        taper_id,
        TaperAct.RESUME,
        (on, reason),
        lambda t: tapering.resume(t, on=on, reason=reason),
        on=on,
        version=version,
        by=by,
        now=now,
    )


def slow(
    session: Session,
    library: Library,
    taper_id: str,
    *,
    on: date,
    percent: Decimal,
    step_days: int,
    reason: str,
    version: int,
    by: Principal,
    now: datetime,
) -> int:
    """Go on more slowly."""
    return _act(
        session,
        taper_id,
        TaperAct.SLOW,
        (on, percent, step_days, reason),
        lambda t: tapering.slow(
            t, on=on, percent=percent, step_days=step_days, reason=reason, terms=library.tapers
        ),
        on=on,
        version=version,
        by=by,
        now=now,
    )


def reverse(
    session: Session,
    library: Library,
    taper_id: str,
    *,
    on: date,
    reason: str,
    version: int,
    by: Principal,
    now: datetime,
) -> int:
    """Go back to the dose of the step before."""
    return _act(
        session,
        taper_id,
        TaperAct.REVERSE,
        (on, reason),
        lambda t: tapering.reverse(t, on=on, reason=reason, terms=library.tapers),
        on=on,
        version=version,
        by=by,
        now=now,
    )


def stop(
    session: Session, taper_id: str, *, on: date, reason: str, version: int, by: Principal, now: datetime
) -> int:
    """Give it up; the dose stays."""
    return _act(
        session,
        taper_id,
        TaperAct.STOP,
        (on, reason),
        lambda t: tapering.stop(t, on=on, reason=reason),
        on=on,
        version=version,
        by=by,
        now=now,
    )


def complete(session: Session, taper_id: str, *, on: date, version: int, by: Principal, now: datetime) -> int:
    """It has come to its end."""
    return _act(
        session,
        taper_id,
        TaperAct.COMPLETE,
        (on,),
        lambda t: tapering.complete(t, on=on),
        on=on,
        version=version,
        by=by,
        now=now,
    )


def read(session: Session, library: Library, taper_id: str, *, by: Principal, now: datetime) -> TaperRead:
    """One taper of the caller's organisation, held against what was dispensed since it began."""
    return _read(session, library, plan_acts.row_of(session, Subject.TAPER, taper_id, by=by), by=by, now=now)


def of_patient(
    session: Session, library: Library, patient_id: str, *, by: Principal, now: datetime
) -> tuple[TaperRead, ...]:
    """The tapers of a patient, the newest first."""
    patient = patient_wishes.known_id(session, patient_id, by=by)
    asked = (
        select(_tapers)
        .where(_tapers.c.organisation_id == by.organisation_id, _tapers.c.patient_id == patient)
        .order_by(_tapers.c.created_at.desc(), _tapers.c.id.desc())
    )
    rows = list(session.connection().execute(asked))
    return tuple(_read(session, library, row, by=by, now=now) for row in rows)


def standing(session: Session, patient: str, *, by: Principal) -> tuple[TaperRead, ...]:
    """The tapers of a patient (our own id) as they stand, the newest first; not held against what was
    dispensed, which takes the chart."""
    asked = (
        select(_tapers)
        .where(_tapers.c.organisation_id == by.organisation_id, _tapers.c.patient_id == patient)
        .order_by(_tapers.c.created_at.desc(), _tapers.c.id.desc())
    )
    rows = session.connection().execute(asked)
    return tuple(TaperRead(plan_acts.decoded(row, Taper), row.version) for row in rows)


def due(session: Session, *, by: Principal, until: date) -> tuple[TaperRead, ...]:
    """The tapers whose dose goes down up to a day, the earliest first."""
    asked = (
        select(_tapers)
        .where(_tapers.c.organisation_id == by.organisation_id, _tapers.c.next_step_on <= until)
        .order_by(_tapers.c.next_step_on, _tapers.c.id)
    )
    rows = session.connection().execute(asked)
    return tuple(TaperRead(plan_acts.decoded(row, Taper), row.version) for row in rows)


def flags_of(
    session: Session, library: Library, patient: str, chart: Chart, *, by: Principal
) -> tuple[tuple[Flag, ...], tuple[Untold, ...]]:
    """What a pharmacist should look at in the taper that is under way: everything of the kind
    ``taper-faster-than-planned``, as ``flags.reconcile`` takes it. ``patient`` is our own id."""
    asked = select(_tapers).where(
        _tapers.c.organisation_id == by.organisation_id,
        _tapers.c.patient_id == patient,
        _tapers.c.status.in_([TaperStatus.ACTIVE.value, TaperStatus.PAUSED.value]),
    )
    flags: list[Flag] = []
    untold: list[Untold] = []
    for row in session.connection().execute(asked):
        for seen in flagged(plan_acts.decoded(row, Taper), chart, library.tapers):
            if isinstance(seen, Flag):
                flags.append(seen)
            else:
                untold.append(seen)
    return tuple(flags), tuple(untold)


# --- what a plan rests on ----------------------------------------------------------------------


def facts_of(chart: Chart, library: Library, wanted: Wanted, *, asked_by: AskedBy) -> TaperFacts:
    """The facts of a chart as of its day, and what the request says before them."""
    drug = library.catalogue.by_rxcui(wanted.code)
    rules = library.exemptions
    exempt = next(
        (f for kind, rule in rules.items() if kind != _TREATMENT and (f := exempt_by(rule, None, chart))), ""
    )
    taken = _taken(chart, drug)
    return TaperFacts(
        drug=drug,
        mg_per_day=wanted.mg_per_day if wanted.mg_per_day is not None else _mg(taken),
        days_on=wanted.days_on if wanted.days_on is not None else _days_on(chart, library),
        for_pain=wanted.for_pain,
        asked_by_patient=asked_by is AskedBy.PATIENT,
        exempt=exempt,
        use_disorder=any(_DISORDER in c.sets and c.active is not False for c in chart.conditions),
        in_treatment=exempt_by(rules[_TREATMENT], None, chart) if _TREATMENT in rules else "",
        benzodiazepine=_benzodiazepine(chart, library.tapers),
        pieces_a_day=wanted.pieces_a_day if wanted.pieces_a_day is not None else _pieces(taken),
        times_a_day=wanted.times_a_day or 1,
        splitting=wanted.splitting,
    )


def _taken(chart: Chart, drug: Drug | None) -> list[Exposure]:
    """What is taken today of the product's opioid and form; empty when that is not told."""
    if drug is None or chart.history_gaps:
        return []
    return [
        e
        for e in chart.opioid_analgesics
        if e.drug is not None
        and e.drug.opioid_codes == drug.opioid_codes
        and e.drug.form == drug.form
        and e.reaches(chart.today, chart.today, unknown_days=1) is Covered.YES
    ]


def _doses(taken: list[Exposure]) -> list[DailyDose] | None:
    doses = [highest_dose(e.drug, e.supply.dosage, e.supply.quantity, e.supply.days_supply) for e in taken]
    return doses if doses and all(d.told for d in doses) else None


def _mg(taken: list[Exposure]) -> Decimal | None:
    doses = _doses(taken)
    return (
        None if doses is None else sum((a.mg_high for d in doses for a in d.amounts if a.opioid), Decimal(0))
    )


def _pieces(taken: list[Exposure]) -> Decimal | None:
    doses = _doses(taken)
    return None if doses is None else sum((d.units_high or Decimal(0) for d in doses), Decimal(0))


def _days_on(chart: Chart, library: Library) -> int | None:
    """For how long opioids have been taken; ``None`` with gaps in the history, which is the slowest pace."""
    if chart.history_gaps:
        return None
    since = on_opioids_since(chart, chart.today, max_gap_days=library.tapers.use_gap_days)
    return None if since is None else (chart.today - since).days + 1


def _benzodiazepine(chart: Chart, terms: TaperTerms) -> Benzodiazepine:
    """Whether one is taken, and whether less of it than before. Less than a fill before is being reduced."""
    fills = [e for e in chart.exposures if e.drug is not None and e.drug.is_a(DrugClass.BENZODIAZEPINE)]
    reach = [e.reaches(chart.today, chart.today, unknown_days=terms.unknown_supply_days) for e in fills]
    now = [e for e, reached in zip(fills, reach, strict=True) if reached is not Covered.NO]
    if not now:
        return Benzodiazepine.UNKNOWN if chart.history_gaps or chart.unknown_drugs else Benzodiazepine.NONE
    for current in now:
        before = [e for e in fills if e.start < current.start and _ingredients(e) == _ingredients(current)]
        if before and _daily(current) < _daily(before[-1]):
            return Benzodiazepine.BEING_REDUCED
    return Benzodiazepine.UNCHANGED


def _ingredients(exposure: Exposure) -> frozenset[str]:
    return frozenset() if exposure.drug is None else frozenset(i.name for i in exposure.drug.ingredients)


def _daily(exposure: Exposure) -> Decimal:
    """Milligrams a day of a fill, nothing where that is not told: then nothing is called less."""
    supply = exposure.supply
    dose = highest_dose(supply.drug, supply.dosage, supply.quantity, supply.days_supply)
    return sum((a.mg_high for a in dose.amounts), Decimal(0)) if dose.told else Decimal("Infinity")


# --- rows ------------------------------------------------------------------------------------------------


def _read(session: Session, library: Library, row: Row[Any], *, by: Principal, now: datetime) -> TaperRead:
    taper = plan_acts.decoded(row, Taper)
    known = charts.known_patient(session, organisation_id=by.organisation_id, patient_id=taper.patient_id)
    chart = charts.chart_of(session, library, known, organisation_id=by.organisation_id, as_of=now)
    seen = compare(taper, chart, library.tapers)
    return TaperRead(
        taper,
        row.version,
        tuple(s for s in seen if isinstance(s, FasterThanPlanned)),
        tuple(dict.fromkeys(m for s in seen if not isinstance(s, FasterThanPlanned) for m in s.missing)),
    )


def _refuse_second(session: Session, patient: str, own_id: str, by: Principal) -> None:
    asked = select(_tapers.c.id).where(
        _tapers.c.organisation_id == by.organisation_id,
        _tapers.c.patient_id == patient,
        _tapers.c.id != own_id,
        _tapers.c.status.in_([TaperStatus.ACTIVE.value, TaperStatus.PAUSED.value]),
    )
    if session.connection().execute(asked).first() is not None:
        raise Conflict(
            "another taper of this patient is under way: one medicine at a time", code="one-at-a-time"
        )


def _act(
    session: Session,
    taper_id: str,
    act: TaperAct,
    said: object,
    changed: Callable[[Taper], Taper],
    *,
    on: date,
    version: int,
    by: Principal,
    now: datetime,
) -> int:
    refuse_future(on, now)
    row = plan_acts.row_of(session, Subject.TAPER, taper_id, by=by, lock=True)
    if plan_acts.again(session, Subject.TAPER, row, version=version, act=act.value, said=said, by=by):
        return int(row.version)
    taper = changed(plan_acts.decoded(row, Taper))
    columns = _columns(taper, now)
    return plan_acts.change(
        session, Subject.TAPER, row, taper, act=act.value, said=said, columns=columns, by=by, now=now
    )


def _columns(taper: Taper, now: datetime) -> dict[str, Any]:
    following = taper.next_step(now.astimezone(UTC).date())
    return {"status": taper.status.value, "next_step_on": following.starts_on if following else None}
