"""A stream of opioid orders as a clinic signs them, for counting alerts: seeded, so that it can be repeated.

Each order is of a kind in ``stream.toml`` and for a patient of the synthetic clinic; it is written when it
would be: a refill when the last supply runs out, which may be some days after the clinic's day.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from stewardship.declarations import Library
from stewardship.demo.clinic import Clinic
from stewardship.demo.recipes import Product, Range, Recipes, Said
from stewardship.domain.chart import Chart, Condition, Procedure
from stewardship.domain.codes import ICD10CM, Coding
from stewardship.domain.dosage import DosageInstruction, Quantity
from stewardship.domain.drugs import DrugClass
from stewardship.domain.orders import Loss, Order, Pain, Phase, Replacement, Setting, Supply, SupplyKind


class Ordered(Said, frozen=True):
    """A kind of order; see the head of ``stream.toml``. ``kind_weights`` say how often each of ``kinds`` is
    drawn, alike when there are none."""

    id: str
    share: int
    kinds: list[str]
    phase: Phase
    kind_weights: tuple[int, ...] = ()
    again: bool = False
    left: Range = (0, 0)
    more: int | Range = 0
    replaces: Loss | None = None
    drugs: tuple[str, ...] = ()
    per_day: Range = (1, 1)
    days: Range = (1, 1)
    as_needed: bool = False
    setting: Setting = Setting.OUTPATIENT
    beside: int = 0
    beside_drugs: tuple[str, ...] = ()
    complaints: tuple[str, ...] = ()
    looked_up: int = 0


class Mix(Said, frozen=True):
    """The whole of ``stream.toml``."""

    seed: int
    phase_said: int
    problem_named: int
    code_given: int
    order: list[Ordered]


@dataclass(frozen=True)
class Signed:
    """An order of a kind, what is signed together with it, and the patient's chart at that moment.

    The orders beside it are not ``selected``: they count, and are not judged themselves.
    """

    kind: str
    order: Order
    beside: tuple[Order, ...]
    chart: Chart


def read() -> Mix:
    """The stream's kinds of order, as shipped."""
    return msgspec.toml.decode((Path(__file__).parent / "stream.toml").read_bytes(), type=Mix)


def stream(
    mix: Mix, clinic: Clinic, recipes: Recipes, library: Library, *, now: datetime, orders: int
) -> Iterator[Signed]:
    """So many orders, their kinds in the proportions of the mix."""
    rng = random.Random(mix.seed)  # noqa: S311 - to be repeatable is the point
    shares = [kind.share for kind in mix.order]
    for number in range(1, orders + 1):
        (kind,) = rng.choices(mix.order, shares)
        yield _Desk(mix, clinic, recipes, library, rng, now).sign(kind, f"order-{number:05d}")


@dataclass(frozen=True)
class _Desk:
    """Where an order is written; every draw comes from the stream's one generator."""

    mix: Mix
    clinic: Clinic
    recipes: Recipes
    library: Library
    rng: random.Random
    now: datetime

    def sign(self, kind: Ordered, name: str) -> Signed:
        """The next order of a kind, for a patient of one of its kinds of patient."""
        (group,) = self.rng.choices(kind.kinds, kind.kind_weights or None)
        patient = self.rng.choice([p for p, k in self.clinic.kinds.items() if k == group])
        chart = self.clinic.charts[patient]
        if kind.again:
            order = self.again(kind, name, chart, self.rng.choice(_opioids(chart)))
            chart = self.gone_on(chart, order)
        else:
            order = self.new(kind, name, chart)
            chart = self.visited(kind, chart)
        order = self.explained(kind, order, chart)
        beside = (self.non_opioid(kind, order),) if self.odds(kind.beside) else ()
        return Signed(kind.id, order, beside, replace(chart, as_of=_at(order.written_on, self.now)))

    def odds(self, of_hundred: int) -> bool:
        """Whether this one is among so many of a hundred."""
        return self.rng.randint(1, 100) <= of_hundred

    def again(self, kind: Ordered, name: str, chart: Chart, last: Supply) -> Order:
        """What was prescribed last, when it runs out or a little off that day."""
        assert last.start_on is not None  # noqa: S101 - the clinic dates all of its prescriptions
        until = last.start_on + timedelta(days=int(last.days_supply or 0))
        due = until - timedelta(days=self.rng.randint(*kind.left))
        order = Order(
            id=name,
            patient_id=chart.patient.id,
            medication=last.medication,
            drug=last.drug,
            written_on=max(due, self.now.date()),
            dosage=last.dosage,
            quantity=last.quantity,
            days_supply=last.days_supply,
            refills=0,
            setting=Setting.OUTPATIENT,
            replaces=Replacement(kind.replaces, prescription=last.id) if kind.replaces else None,
            prescriber=last.prescriber,
        )
        more = kind.more if isinstance(kind.more, int) else self.rng.randint(*kind.more)
        return _changed(order, more) if more else order

    def new(self, kind: Ordered, name: str, chart: Chart) -> Order:
        """A course that begins today."""
        product = self.recipes.drug[self.rng.choice(kind.drugs)]
        per_day, days = self.rng.randint(*kind.per_day), self.rng.randint(*kind.days)
        return self.written(name, chart, product, per_day, days, kind)

    def non_opioid(self, kind: Ordered, order: Order) -> Order:
        """Something without an opioid, signed together with it."""
        product = self.recipes.drug[self.rng.choice(kind.beside_drugs)]
        chart = self.clinic.charts[order.patient_id]
        beside = self.written(f"{order.id}-beside", chart, product, 3, 7, kind)
        return replace(beside, written_on=order.written_on, selected=False)

    def written(
        self, name: str, chart: Chart, product: Product, per_day: int, days: int, kind: Ordered
    ) -> Order:
        """An order of a product, one unit so many times a day."""
        instruction = DosageInstruction(
            dose_low=Decimal(1),
            dose_high=Decimal(1),
            dose_unit=product.unit,
            frequency=Decimal(per_day),
            period=Decimal(1),
            period_unit="d",
            as_needed=kind.as_needed,
        )
        return Order(
            id=name,
            patient_id=chart.patient.id,
            medication=product.medication,
            drug=self.library.catalogue.recognise(product.medication),
            written_on=self.now.date(),
            dosage=(instruction,),
            quantity=Quantity(Decimal(per_day * days), product.unit),
            days_supply=Decimal(days),
            refills=0,
            setting=kind.setting,
        )

    # --- what happened before it is signed ---------------------------------------------------------

    def visited(self, kind: Ordered, chart: Chart) -> Chart:
        """The chart after the visit for a new complaint: the diagnosis, and the program read or not."""
        if not kind.complaints:
            return chart
        today = self.now.date()
        coding = Coding(ICD10CM, self.rng.choice(kind.complaints))
        since = today - timedelta(days=self.rng.randint(0, 3))
        complaint = Condition(
            id="complaint",
            codings=(coding,),
            sets=self.library.code_sets.sets_of(coding),
            active=True,
            onset=since,
            recorded_on=today,
            category="encounter-diagnosis",
        )
        chart = replace(chart, conditions=(complaint, *chart.conditions))
        if not self.odds(kind.looked_up):
            return chart
        codings = self.recipes.finding["pdmp-review"].codings
        review = Procedure(
            "review", codings, self.library.code_sets.of_any(codings), today, status="completed"
        )
        return replace(chart, procedures=(*chart.procedures, review))

    def gone_on(self, chart: Chart, order: Order) -> Chart:
        """The chart on the day of the order: other medicines that run out before it were filled again."""
        refilled: list[Supply] = []
        for last in _last_of_each(chart):
            if last.medication == order.medication or last.start_on is None or not last.days_supply:
                continue
            until = last.start_on + timedelta(days=int(last.days_supply))
            if self.now.date() <= until <= order.written_on:
                refilled.append(replace(last, id=f"{last.id}-again", prescription="", start_on=until))
        return replace(chart, supplies=(*chart.supplies, *refilled)) if refilled else chart

    def explained(self, kind: Ordered, order: Order, chart: Chart) -> Order:
        """The order with its reason and the phase of pain, as far as the prescriber wrote them down."""
        (how,) = self.rng.choices(
            ("said", "named", "coded", "nothing"),
            (
                self.mix.phase_said,
                self.mix.problem_named,
                self.mix.code_given,
                100 - self.mix.phase_said - self.mix.problem_named - self.mix.code_given,
            ),
        )
        if not chart.conditions or how == "nothing":
            return order
        reason = chart.conditions[0]
        phase = kind.phase if how == "said" else _phase_of(reason.sets)
        onset = reason.onset if how == "named" else None
        return replace(order, pain=Pain(phase, onset, reason.codings, reason.sets))


def _last_of_each(chart: Chart) -> list[Supply]:
    """The patient's last prescription of each medicine."""
    written = (s for s in chart.supplies if s.kind is SupplyKind.PRESCRIPTION)
    return list({supply.medication.label: supply for supply in written}.values())


def _opioids(chart: Chart) -> list[Supply]:
    """Those that are opioids for pain, or may be."""
    found = _last_of_each(chart)
    return [s for s in found if s.drug is None or s.drug.is_a(DrugClass.OPIOID_ANALGESIC)]


def _phase_of(sets: frozenset[str]) -> Phase:
    """The phase that a diagnosis says by its code, as the readers of orders take it."""
    said = [phase for name, phase in _PHASES.items() if name in sets]
    return said[0] if len(said) == 1 else Phase.UNKNOWN


_PHASES = {"chronic-pain": Phase.CHRONIC, "acute-pain": Phase.ACUTE}


def _changed(order: Order, more: int) -> Order:
    """So many units a day more or fewer, never less than one, for as many days."""
    (instruction,) = order.dosage
    assert instruction.frequency is not None  # noqa: S101 - the clinic's instructions say how often
    assert order.quantity is not None  # noqa: S101 - and come with a quantity
    times = max(instruction.frequency + more, Decimal(1))
    quantity = order.quantity.value / instruction.frequency * times
    return replace(
        order,
        dosage=(replace(instruction, frequency=times),),
        quantity=Quantity(quantity, order.quantity.unit),
    )


def _at(day: date, now: datetime) -> datetime:
    return now + timedelta(days=(day - now.date()).days)
