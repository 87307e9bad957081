"""The orders that the demonstration checks in front of the reader: ``orders.toml`` and a patient for each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from stewardship.declarations import Library
from stewardship.demo.clinic import Clinic
from stewardship.domain.codes import RXNORM
from stewardship.domain.drugs import DrugClass
from stewardship.domain.orders import Order, Supply, SupplyKind
from stewardship.intake.case import read_case


@dataclass(frozen=True)
class Case:
    """One order for one patient, why it is shown, and where it stands on the day the clinic is made.

    ``document`` is the order as a program would send it to the API. ``reported`` says that it stands there by
    what pharmacies have reported, and not by the clinic's own record.
    """

    title: str
    kind: str
    order: Order
    document: Mapping[str, Any]
    shows: str
    reported: bool = False


def cases(clinic: Clinic, library: Library, *, now: datetime) -> list[Case]:
    """All of them, in the order of the file, each written today."""
    return [_case(one, number, clinic, library, now) for number, one in enumerate(_written(), 1)]


def shown_patients(clinic: Clinic) -> frozenset[str]:
    """The patients whom the orders are for."""
    return frozenset(_patient(one, clinic) for one in _written())


def _patient(written: Mapping[str, Any], clinic: Clinic) -> str:
    return clinic.patient(written["kind"], written.get("which", 0))


def _written() -> list[Mapping[str, Any]]:
    text = (Path(__file__).parent / "orders.toml").read_text()
    found: list[Mapping[str, Any]] = tomllib.loads(text, parse_float=Decimal)["case"]
    return found


def _case(written: Mapping[str, Any], number: int, clinic: Clinic, library: Library, now: datetime) -> Case:
    patient = _patient(written, clinic)
    order = {"id": f"demo-order-{number}", **written["order"]}
    if written.get("same_as_last"):
        order |= _again(_last_prescription(clinic, patient))
    document = {"patient": {"id": patient}, "order": order, "history": {}}
    case = read_case(
        document, catalogue=library.catalogue, code_sets=library.code_sets, units=library.units, now=now
    )
    reported = written.get("reported", False)
    return Case(written["title"], written["kind"], case.order, document, written["shows"], reported)


def _last_prescription(clinic: Clinic, patient: str) -> Supply:
    """The opioid that the patient was prescribed last."""
    written = (s for s in clinic.charts[patient].supplies if s.kind is SupplyKind.PRESCRIPTION)
    return [s for s in written if s.drug is not None and s.drug.is_a(DrugClass.OPIOID_ANALGESIC)][-1]


def _again(supply: Supply) -> dict[str, Any]:
    """The same medicine, dose, quantity and days as before."""
    instruction = supply.dosage[0]
    assert supply.quantity is not None  # noqa: S101 - the kinds that are repeated have quantities
    (code,) = [c.code for c in supply.medication.codings if c.system == RXNORM]
    return {
        "medicine": {"rxcui": code},
        "dosage": [
            {
                "text": instruction.text,
                "dose": instruction.dose_high,
                "unit": instruction.dose_unit,
                "frequency": instruction.frequency,
                "period": instruction.period,
                "period_unit": instruction.period_unit,
            }
        ],
        "quantity": supply.quantity.value,
        "quantity_unit": supply.quantity.unit,
        "days_supply": supply.days_supply,
    }
