"""The synthetic clinic, made relative to a day: the same seed and the same day give the same clinic."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from stewardship.declarations import Library
from stewardship.demo.prescribers import NUMBER, npi
from stewardship.demo.recipes import Course, Diagnosis, Kind, Lost, Product, Range, Recipes, Record
from stewardship.domain.chart import (
    Chart,
    Condition,
    Encounter,
    Goal,
    Observation,
    Patient,
    Plan,
    Procedure,
)
from stewardship.domain.codes import Coding
from stewardship.domain.dosage import DosageInstruction, Quantity
from stewardship.domain.orders import Loss, Replacement, Setting, Supply, SupplyKind

_PHARMACIES = 5
_REVIEWS_KEPT = 4
#: Odds over this are those of what most have.
_MOST = 50


@dataclass(frozen=True)
class Clinic:
    """All charts by patient id, and which kind of patient each is."""

    charts: Mapping[str, Chart]
    kinds: Mapping[str, str]

    def patient(self, kind: str, which: int = 0) -> str:
        """The id of one patient of a kind."""
        return [p for p, k in self.kinds.items() if k == kind][which]


def make(recipes: Recipes, library: Library, *, now: datetime) -> Clinic:
    """Every patient of the recipes, in a shuffled order, with ids from ``demo-0001``."""
    rng = random.Random(recipes.seed)  # noqa: S311 - to be repeatable is the point
    kinds = [kind for kind in recipes.kind for _ in range(kind.patients)]
    rng.shuffle(kinds)
    charts: dict[str, Chart] = {}
    names: dict[str, str] = {}
    for number, kind in enumerate(kinds, 1):
        patient = f"demo-{number:04d}"
        typical = kind.id not in names.values()
        charts[patient] = _Writer(recipes, library, rng, patient, now, typical=typical).chart(kind)
        names[patient] = kind.id
    return Clinic(charts, names)


class _Writer:
    """Writes one patient's chart; every draw comes from the clinic's one generator.

    The first patient of each kind is its ``typical`` one: with what most of the kind have, and without
    what most have not.
    """

    def __init__(
        self,
        recipes: Recipes,
        library: Library,
        rng: random.Random,
        patient: str,
        now: datetime,
        *,
        typical: bool,
    ) -> None:
        self.recipes = recipes
        self.library = library
        self.rng = rng
        self.patient = patient
        self.now = now
        self.typical = typical
        self.today = now.date()
        self.prescriber = npi(rng.randint(1, NUMBER))
        self.pharmacy = f"pharmacy-{rng.randint(1, _PHARMACIES)}"
        self.count = 0

    def chart(self, kind: Kind) -> Chart:
        """Everything that the clinic has on record about this patient."""
        conditions = tuple(self.conditions(kind))
        operations = tuple(self.operations(kind))
        operated_on = operations[0].on if operations else None
        reviews = self.reviews(kind)
        reasons = conditions[0].codings if conditions else ()
        care = [self.recipes.care[name] for name in kind.care]
        courses = [*kind.course, *(course for beside in care for course in beside.course)]
        supplies = [
            s
            for course in courses
            if self.has(course.odds)
            for s in self.course(course, reasons, operated_on)
        ]
        wanted = [*kind.records, *(record for beside in care for record in beside.records)]
        records = [r for record in wanted if self.has(record.odds) for r in self.records(record)]
        return Chart(
            patient=self.person(kind.ages),
            as_of=self.now,
            supplies=tuple(
                sorted(supplies, key=lambda s: (s.start_on or date.min, s.kind.value != "prescription", s.id))
            ),
            conditions=conditions,
            observations=(*self.scores(kind, reviews), *(r for r in records if isinstance(r, Observation))),
            procedures=(*operations, *(r for r in records if isinstance(r, Procedure))),
            plans=self.plan(reviews),
            goals=self.goals(reviews),
            encounters=tuple(self.visits(kind, reviews)),
            # The clinic's pharmacies report everything, so that silence is known to be absence here.
            data_as_of=self.now,
        )

    # --- drawing ---------------------------------------------------------------------------------

    def draw(self, bounds: Range) -> int:
        """One number of a range."""
        return self.rng.randint(*bounds)

    def ago(self, bounds: Range) -> date:
        """A day, so many days before today."""
        return self.today - timedelta(days=self.draw(bounds))

    def has(self, odds: int) -> bool:
        """Whether this patient is among the ``odds`` of a hundred."""
        drawn = self.draw((1, 100)) <= odds
        return odds > _MOST if self.typical else drawn

    def name(self, what: str) -> str:
        """The next id of this patient's records."""
        self.count += 1
        return f"{self.patient}-{what}-{self.count:03d}"

    def sets(self, codings: tuple[Coding, ...]) -> frozenset[str]:
        """The code sets that a record's codes are in."""
        return self.library.code_sets.of_any(codings)

    # --- who and why -----------------------------------------------------------------------------

    def person(self, ages: Range) -> Patient:
        """An id, a birth date and a sex; the clinic invents no names."""
        born = self.today - timedelta(days=self.draw(ages) * 365 + self.draw((0, 364)) + 20)
        return Patient(self.patient, born, self.rng.choice(["female", "male"]))

    def conditions(self, kind: Kind) -> Iterator[Condition]:
        """The diagnoses that this one has of those that the kind may have."""
        for recipe in kind.conditions:
            if self.has(recipe.odds):
                yield self.condition(recipe)

    def condition(self, recipe: Diagnosis) -> Condition:
        """One diagnosis, still active or over."""
        coding = self.recipes.diagnosed(self.rng.choice(recipe.any))
        began = self.ago(recipe.days_ago)
        over = began + timedelta(days=self.draw(recipe.lasting)) if recipe.lasting else None
        past = over is not None and over <= self.today
        return Condition(
            id=self.name("condition"),
            codings=(coding,),
            sets=self.sets((coding,)),
            active=not past,
            onset=began,
            recorded_on=began,
            abated_on=over if past else None,
            category="problem-list-item",
        )

    def operations(self, kind: Kind) -> Iterator[Procedure]:
        """What was done to the patient, if the kind had anything done."""
        if kind.operations:
            codings = self.recipes.finding[self.rng.choice(kind.operations.any)].codings
            done_on = self.ago(kind.operations.days_ago)
            yield Procedure(self.name("procedure"), codings, self.sets(codings), done_on, status="completed")

    def records(self, recipe: Record) -> Iterator[Procedure | Observation]:
        """What was done or measured beside the opioid, the latest first."""
        finding = self.recipes.finding[self.rng.choice(recipe.any)]
        result = self.recipes.finding[recipe.result].codings if recipe.result else ()
        codings, sets = finding.codings, self.sets(finding.codings)
        day = self.ago(recipe.days_ago)
        for _ in range(self.draw(recipe.count)):
            if finding.is_measured:
                yield Observation(self.name("result"), codings, sets, day, coded=result, status="final")
            else:
                yield Procedure(self.name("procedure"), codings, sets, day, status="completed")
            day -= timedelta(days=self.draw(recipe.every))

    # --- reviews: plan and function ----------------------------------------------------------------

    def reviews(self, kind: Kind) -> list[date]:
        """The days on which plan and function were reviewed, the latest first."""
        if kind.reviewed is None:
            return []
        days = [self.ago(kind.reviewed.days_ago)]
        while len(days) < _REVIEWS_KEPT:
            days.append(days[-1] - timedelta(days=self.draw(kind.reviewed.every)))
        return days

    def scores(self, kind: Kind, reviews: list[date]) -> Iterator[Observation]:
        """The PEG score of each review: the mean of three answers, to one decimal."""
        codings = self.recipes.finding["peg"].codings
        for day in reviews:
            answers = [self.draw(kind.reviewed.peg) for _ in range(3)] if kind.reviewed else []
            mean = (Decimal(sum(answers)) / 3).quantize(Decimal("0.1"))
            yield Observation(
                self.name("score"), codings, self.sets(codings), day, mean, "{score}", status="final"
            )

    def plan(self, reviews: list[date]) -> tuple[Plan, ...]:
        """One plan, begun at the first review and revised at the last."""
        if not reviews:
            return ()
        codings = self.recipes.finding["pain-plan"].codings
        return (
            Plan(
                self.name("plan"),
                codings,
                self.sets(codings),
                from_on=reviews[-1],
                reviewed_on=reviews[0],
            ),
        )

    def goals(self, reviews: list[date]) -> tuple[Goal, ...]:
        """What the patient wants to be able to do, where anybody asked."""
        if not reviews:
            return ()
        return (Goal(self.name("goal"), self.rng.choice(self.recipes.goals), from_on=reviews[-1]),)

    def visits(self, kind: Kind, reviews: list[date]) -> Iterator[Encounter]:
        """Office visits: one at each review, and those that the kind says."""
        days = list(reviews)
        if kind.visits:
            days += [self.ago(kind.visits.days_ago) for _ in range(self.draw(kind.visits.count))]
        codings = self.recipes.finding["office-visit"].codings
        for day in sorted(days):
            yield Encounter(self.name("visit"), codings, self.sets(codings), "outpatient", day, day)

    # --- prescriptions and dispensings ---------------------------------------------------------------

    def course(
        self, recipe: Course, reasons: tuple[Coding, ...], operated_on: date | None
    ) -> Iterator[Supply]:
        """Prescriptions of one drug, the latest first, each with its dispensing."""
        product = self.rng.choice(recipe.drugs)
        per_day = self.draw(recipe.per_day)
        fills = len(recipe.steps) or self.draw(recipe.fills)
        day = operated_on if recipe.with_operation and operated_on else self.ago(recipe.last)
        lost_at = self.draw(recipe.lost.fills_back) if recipe.lost else None
        for back in range(fills):
            dose = recipe.steps[-1 - back] if recipe.steps else per_day
            prescriber = self.prescriber if back % recipe.prescribers == 0 else self.another_prescriber()
            written = self.prescription(recipe, product, dose, day, prescriber, reasons)
            yield from self.filled(recipe, written, day)
            if recipe.lost and back == lost_at:
                yield from self.replacement(recipe, recipe.lost, written, day)
            day -= timedelta(days=self.draw(recipe.every))

    def another_prescriber(self) -> str:
        """Somebody else who prescribes."""
        return npi(self.rng.randint(1, NUMBER))

    def prescription(
        self,
        recipe: Course,
        product_key: str,
        per_day: int,
        day: date,
        prescriber: str,
        reasons: tuple[Coding, ...],
    ) -> Supply:
        """One prescription as written, with the arithmetic of its quantity done."""
        product = self.recipes.drug[product_key]
        days = self.draw(recipe.days)
        units = recipe.kept_ready or (days // recipe.every_days if recipe.every_days else per_day * days)
        amounts = not recipe.without_amounts
        dosed = amounts and not recipe.kept_ready
        over = day + timedelta(days=days) <= self.today
        rx = self.name("rx")
        return Supply(
            id=rx,
            kind=SupplyKind.PRESCRIPTION,
            medication=product.medication,
            drug=self.library.catalogue.recognise(product.medication),
            start_on=day,
            dosage=_dosage(recipe, per_day, product) if amounts else (),
            quantity=Quantity(Decimal(units), product.unit) if amounts else None,
            days_supply=Decimal(days) if dosed else None,
            refills=0,
            status="completed" if over else "active",
            prescription=rx,
            prescriber=prescriber,
            setting=Setting.DISCHARGE if recipe.with_operation else Setting.OUTPATIENT,
            reasons=reasons,
            reason_sets=self.sets(reasons),
            treatment_type=recipe.treatment_type,
        )

    def filled(self, recipe: Course, written: Supply, day: date) -> Iterator[Supply]:
        """The prescription, and the dispensing that fills it the same day or the next."""
        yield written
        if not recipe.only_written:
            filled_on = min(day + timedelta(days=self.draw((0, 3)) // 3), self.today)
            yield replace(
                written,
                id=self.name("fill"),
                kind=SupplyKind.DISPENSING,
                start_on=filled_on,
                refills=None,
                fill=0,
                status="completed",
                pharmacy=self.pharmacy,
            )

    def replacement(self, recipe: Course, lost: Lost, missing: Supply, day: date) -> Iterator[Supply]:
        """The prescription that replaced a lost one, and its dispensing."""
        again = day + timedelta(days=self.draw(lost.days_after))
        rx = self.name("rx")
        why = Replacement(Loss(lost.loss), prescription=missing.id, reported_on=again)
        written = replace(missing, id=rx, prescription=rx, start_on=again, replaces=why)
        yield from self.filled(recipe, written, again)


def _dosage(recipe: Course, per_day: int, product: Product) -> tuple[DosageInstruction, ...]:
    """One unit so many times a day, or one every so many days (a patch), or one in an emergency."""
    unit = product.unit
    if recipe.kept_ready:
        return (DosageInstruction(sequence=1, text=f"1 {unit} for a suspected overdose; call for help"),)
    period = recipe.every_days or 1
    times = 1 if recipe.every_days else per_day
    how_often = f"every {period} days" if recipe.every_days else f"{times} times a day"
    written = DosageInstruction(
        sequence=1,
        text=f"1 {unit} {how_often}{' as needed for pain' if recipe.as_needed else ''}",
        dose_low=Decimal(1),
        dose_high=Decimal(1),
        dose_unit=unit,
        frequency=Decimal(times),
        period=Decimal(period),
        period_unit="d",
        as_needed=recipe.as_needed,
    )
    return (written,)
