"""Builders that say only what differs: an ordinary order of an ordinary opioid for an ordinary patient."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from stewardship.domain.chart import Chart, Patient
from stewardship.domain.codes import RXNORM, Coding
from stewardship.domain.dosage import DosageInstruction, Quantity
from stewardship.domain.drugs import Drug, DrugClass, Ingredient, Medication, Release, Schedule
from stewardship.domain.orders import Order, Pain, Phase, Setting, Supply, SupplyKind

TODAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OPIOID = frozenset({DrugClass.OPIOID, DrugClass.OPIOID_ANALGESIC})
LONG_ACTING = OPIOID | {DrugClass.LONG_ACTING_OPIOID}


def a_drug(
    ingredient: str = "oxycodone",
    rxcui: str = "7804",
    strength: str | None = "5",
    *,
    unit: str = "MG",
    code: str = "1049621",
    form: str = "oral tablet",
    release: Release = Release.IMMEDIATE,
    schedule: Schedule | None = Schedule.II,
    classes: frozenset[DrugClass] = OPIOID,
    others: tuple[Ingredient, ...] = (),
) -> Drug:
    """Oxycodone 5 mg tablets, unless said otherwise."""
    opioid = DrugClass.OPIOID in classes
    active = Ingredient(ingredient, rxcui, None if strength is None else Decimal(strength), unit, opioid)
    name = f"{ingredient} {strength} {unit} {form}"
    return Drug(Coding(RXNORM, code, name), name, (active, *others), form, release, schedule, classes)


def tablets(
    dose: int | str = 1, *, times: int | str = 1, every: int | str = 1, unit: str = "d", **more: Any
) -> DosageInstruction:
    """So many tablets, so many times in a period."""
    return DosageInstruction(
        dose_low=Decimal(dose),
        dose_high=Decimal(dose),
        dose_unit="tablet",
        frequency=Decimal(times),
        period=Decimal(every),
        period_unit=unit,
        **more,
    )


def an_order(
    *,
    drug: Drug | None = None,
    days: int | None = 3,
    quantity: int | None = None,
    phase: Phase = Phase.ACUTE,
    pain: Pain | None = None,
    unrecognised: bool = False,
    **more: Any,
) -> Order:
    """Three days of oxycodone 5 mg for acute pain, no refills, outpatient."""
    drug = drug or a_drug()
    given: dict[str, Any] = {
        "id": "order-1",
        "patient_id": "p-1",
        "medication": Medication((drug.code,), drug.name),
        "drug": None if unrecognised else drug,
        "written_on": TODAY,
        "days_supply": None if days is None else Decimal(days),
        "quantity": None if quantity is None else Quantity(Decimal(quantity), "tablet"),
        "refills": 0,
        "pain": pain or Pain(phase),
        "setting": Setting.OUTPATIENT,
    }
    return Order(**(given | more))


_COUNT = iter(range(1, 10_000_000))


def a_supply(
    *,
    start: date = TODAY,
    days: int | None = 3,
    drug: Drug | None = None,
    quantity: int | None = None,
    unrecognised: bool = False,
    kind: SupplyKind = SupplyKind.DISPENSING,
    **more: Any,
) -> Supply:
    """Three days of oxycodone 5 mg, dispensed today."""
    drug = drug or a_drug()
    given: dict[str, Any] = {
        "id": f"s-{next(_COUNT)}",
        "kind": kind,
        "medication": Medication((drug.code,), drug.name),
        "drug": None if unrecognised else drug,
        "start_on": start,
        "days_supply": None if days is None else Decimal(days),
        "quantity": None if quantity is None else Quantity(Decimal(quantity), "tablet"),
        "status": "completed",
    }
    return Supply(**(given | more))


def a_chart(*supplies: Supply, **more: Any) -> Chart:
    """A patient about whom everything that matters is known, as of now."""
    given: dict[str, Any] = {
        "patient": Patient("p-1", date(1980, 5, 1)),
        "as_of": NOW,
        "supplies": supplies,
    }
    return Chart(**(given | more))
