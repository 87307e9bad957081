"""A reported dispensing -> a supply in a patient's history."""

from __future__ import annotations

from decimal import Decimal

from stewardship.domain.codes import CodeSets
from stewardship.domain.dispensings import Dispensed, Reporting, Species
from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Catalogue
from stewardship.domain.orders import Supply, SupplyKind


def to_supply(row: Dispensed, catalogue: Catalogue, code_sets: CodeSets) -> Supply | None:
    """What the patient has of it; ``None`` for a Void, and for an animal's medicine, which is nobody's.

    A compound is not recognised as any product, so its dose cannot be told; it is never left out. Zero
    days' supply means that nobody counted. The signature stays text: ``dosage`` is empty, and the daily
    dose is that of quantity and days' supply. An electronic prescription is linked by its order number,
    else by its reference; any other by pharmacy and prescription number, so that its fills belong
    together.
    """
    if row.reporting is Reporting.VOID or row.species is Species.ANIMAL:
        return None
    pharmacy = row.pharmacy.key
    reasons = (row.diagnosis,) if row.diagnosis is not None else ()
    return Supply(
        id=row.key.id,
        kind=SupplyKind.DISPENSING,
        medication=row.medication,
        drug=None if row.compound else catalogue.recognise(row.medication),
        start_on=row.filled_on,
        quantity=Quantity(row.quantity, row.unit) if row.quantity > 0 else None,
        days_supply=Decimal(row.days_supply) if row.days_supply > 0 else None,
        refills=row.refills,
        fill=row.fill,
        status="completed",
        prescription=row.erx_order or row.erx_reference or f"{pharmacy}/{row.prescription}",
        prescriber=row.prescriber.npi or row.prescriber.dea,
        pharmacy=pharmacy,
        reasons=reasons,
        reason_sets=code_sets.of_any(reasons),
        treatment_type=row.treatment_type,
    )
