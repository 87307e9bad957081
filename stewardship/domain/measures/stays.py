"""Answers of a measure that counts stays in hospital: what patients are given when they leave.

A prescription for discharge that was written during the stay is certain. What was written on the last day
without a setting, or is in hand from before, may have been meant to be taken or continued, and nobody said
so: it can leave an answer open and never settles one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from stewardship.domain.chart import Chart, Encounter
from stewardship.domain.drugs import Drug, DrugClass
from stewardship.domain.episodes import Covered
from stewardship.domain.measures import (
    Answer,
    Counted,
    Criterion,
    Measure,
    Medicines,
    Rate,
    Standing,
    adult,
    age_on,
    either,
    every,
    reached,
)
from stewardship.domain.measures.claims import NOT_RECOGNISED
from stewardship.domain.measures.exclusions import excluded
from stewardship.domain.orders import Setting, Supply, SupplyKind

#: HL7 ActCode of an encounter: inpatient, acute or not.
INPATIENT = frozenset({"IMP", "ACUTE", "NONAC"})
MAY_CONTINUE = "may-be-continued"


@dataclass(frozen=True)
class Given:
    """Medicines at discharge by product: those that are certain, and those that may be. ``unknown`` when one
    of either is a product that nobody recognises, which may be any."""

    opioids: frozenset[str]
    benzodiazepines: frozenset[str]
    maybe_opioids: frozenset[str]
    maybe_benzodiazepines: frozenset[str]
    records: tuple[str, ...]
    unknown: bool

    def lacking(self, maybe: frozenset[str]) -> str:
        """Why a count of products is a lower bound; empty when it is not."""
        return MAY_CONTINUE if maybe else NOT_RECOGNISED if self.unknown else ""


def stays(measure: Measure, chart: Chart, year: int, *, unknown_days: int) -> tuple[Answer, ...]:
    """One answer for each stay that ended in the period."""
    first, last = measure.window.of(year)
    ended = [
        e
        for e in chart.encounters
        if e.setting in INPATIENT
        and e.from_on is not None
        and e.until is not None
        and first <= e.until <= last
    ]
    return tuple(_answer(measure, chart, stay, unknown_days) for stay in sorted(ended, key=_in_order))


def _in_order(stay: Encounter) -> tuple[date, str]:
    return stay.until or date.min, stay.id


def _answer(measure: Measure, chart: Chart, stay: Encounter, unknown_days: int) -> Answer:
    begun, ended = stay.from_on or date.min, stay.until or date.min
    asked = measure.population
    given = _given(measure.medicines, chart, begun, ended, unknown_days)
    certain = len(given.opioids | given.benzodiazepines)
    maybe = given.lacking(given.maybe_opioids | given.maybe_benzodiazepines)
    long_ = (ended - begun).days
    criteria = (
        Criterion("stay-days", Fraction(long_), Fraction(asked.longest_stay), long_ <= asked.longest_stay),
        adult(asked, chart.patient.birth_date, begun),
        reached("medicines", certain, 1, maybe),
    )
    met = every(tuple(c.met for c in criteria))
    standing = {True: Standing.IN, False: Standing.OUT, None: Standing.UNTOLD}[met]
    reason = "" if met else next(c.name if c.met is False else c.why for c in criteria if c.met is met)
    evidence = excluded(measure, chart, begun, ended) if standing is not Standing.OUT else ()
    if evidence:
        standing, reason = Standing.EXCLUDED, evidence[0].kind
    born = chart.patient.birth_date
    return Answer(
        measure.id,
        measure.version,
        chart.patient.id,
        standing,
        reason,
        criteria,
        evidence,
        tuple(_counted(rate, given, ended) for rate in measure.rates) if standing is Standing.IN else (),
        given.records,
        None if born is None else age_on(born, begun),
        stay=stay.id,
    )


def _given(medicines: Medicines, chart: Chart, begun: date, ended: date, unknown_days: int) -> Given:
    certain, maybe = [], []
    supplies = [s for s in chart.supplies if s.treatment_type not in medicines.excluded_treatment_types]
    for supply in supplies:
        if supply.kind is SupplyKind.DRAFT or supply.start_on is None:
            continue
        if supply.setting is Setting.DISCHARGE and begun <= (supply.written_on or supply.start_on) <= ended:
            certain.append(supply)
        elif supply.kind is SupplyKind.PRESCRIPTION and supply.start_on == ended and _not_of_the_ward(supply):
            maybe.append(supply)
    known = {s.id for s in certain} | {s.id for s in maybe}
    looked_at = {s.id for s in supplies if _not_of_the_ward(s)} - known
    for exposure in chart.exposures:
        if exposure.supply.id not in looked_at or exposure.start >= begun:
            continue
        if exposure.reaches(ended, ended, unknown_days=unknown_days) is not Covered.NO:
            maybe.append(exposure.supply)
    is_opioid = (medicines, DrugClass.OPIOID_ANALGESIC, medicines.opioid_schedules)
    is_benzodiazepine = (medicines, DrugClass.BENZODIAZEPINE, medicines.benzodiazepine_schedules)
    sure = (_products(certain, *is_opioid), _products(certain, *is_benzodiazepine))
    perhaps = (_products(maybe, *is_opioid) - sure[0], _products(maybe, *is_benzodiazepine) - sure[1])
    counted = sure[0] | sure[1] | perhaps[0] | perhaps[1]
    either_way = (*certain, *maybe)
    records = (s.id for s in either_way if s.drug is None or s.drug.code.code in counted)
    return Given(*sure, *perhaps, tuple(records), any(s.drug is None for s in either_way))


def _not_of_the_ward(supply: Supply) -> bool:
    return supply.setting is not Setting.INPATIENT


def _products(
    supplies: Iterable[Supply], medicines: Medicines, drug_class: DrugClass, schedules: frozenset[str]
) -> frozenset[str]:
    """The codes of the products that count."""
    return frozenset(
        s.drug.code.code
        for s in supplies
        if s.drug is not None and is_given(s.drug, medicines, drug_class, schedules)
    )


def is_given(drug: Drug, medicines: Medicines, drug_class: DrugClass, schedules: frozenset[str]) -> bool:
    """Whether a product counts: of the class, of a schedule and in a dose form that count."""
    scheduled = not schedules or (drug.schedule is not None and drug.schedule.value in schedules)
    return drug.is_a(drug_class) and drug.form not in medicines.excluded_forms and scheduled


def _counted(rate: Rate, given: Given, ended: date) -> Counted:
    """Whether enough opioids, or an opioid beside a benzodiazepine, went home with the patient."""
    lacking = given.lacking(given.maybe_opioids)
    two = reached("opioids", len(given.opioids), rate.opioids or 1, lacking)
    if not rate.beside_benzodiazepine:
        return Counted(rate.id, two.met, (two,), claims=given.records, first=ended, last=ended)
    may_benzodiazepine = given.lacking(given.maybe_benzodiazepines)
    pair = (
        reached("opioid-beside", len(given.opioids), 1, lacking),
        reached("benzodiazepine-beside", len(given.benzodiazepines), 1, may_benzodiazepine),
    )
    met = either((two.met, every(tuple(c.met for c in pair))))
    return Counted(rate.id, met, (two, *pair), claims=given.records, first=ended, last=ended)
