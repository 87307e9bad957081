"""A reported dispensing as a supply of the patient's history."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from stewardship.domain.dispensings import Dispensed, Prescriber
from stewardship.domain.dosage import Quantity
from stewardship.domain.orders import Areas, Paid, Supply, SupplyKind

_AREA_DIGITS = 3


def supply_of(row: Dispensed, *, zip_code: str, payments: Mapping[str, Paid], known_as: str = "") -> Supply:
    """What the patient has of it, known by the id of the dispensing's key (``known_as``, for whoever has
    worked it out already). The product is not looked up here: ``drug`` is ``None``. ``zip_code`` is the
    patient's; three digits of it are kept.

    Zero days' supply means that nobody counted. The signature is free text and stays with the report: the
    dose comes from quantity and days' supply. An electronic prescription is linked by its order number, else
    by its reference; any other by pharmacy and prescription number, so that its fills belong together.
    """
    prescribed, pharmacy = row.quantity_prescribed, row.pharmacy.key
    return Supply(
        id=known_as or row.key.id,
        kind=SupplyKind.DISPENSING,
        medication=row.medication,
        drug=None,
        start_on=row.filled_on,
        quantity=Quantity(row.quantity, row.unit) if row.quantity > 0 else None,
        days_supply=Decimal(row.days_supply) if row.days_supply > 0 else None,
        refills=row.refills,
        fill=row.fill,
        status="completed",
        prescription=row.erx_order or row.erx_reference or f"{pharmacy}/{row.prescription}",
        prescriber=prescriber_id(row.prescriber),
        pharmacy=pharmacy,
        reasons=() if row.diagnosis is None else (row.diagnosis,),
        treatment_type=row.treatment_type,
        partial=row.partial,
        written_on=row.written_on,
        prescribed=Quantity(prescribed, row.unit) if prescribed else None,
        paid=payments.get(row.payment, Paid.UNKNOWN),
        areas=Areas(
            patient=_area(zip_code),
            pharmacy=_area(row.pharmacy.address.zip),
            prescriber=_area(row.prescriber.address.zip),
        ),
    )


def prescriber_id(prescriber: Prescriber) -> str:
    """What a prescriber is known by: the NPI, as in other records, else another identifier with its kind."""
    if prescriber.npi:
        return prescriber.npi
    for kind, value in (("dea", prescriber.dea), ("licence", prescriber.licence)):
        if value:
            return f"{kind}:{value}"
    return ""


def _area(zip_code: str) -> str:
    digits = zip_code[:_AREA_DIGITS]
    return digits if len(digits) == _AREA_DIGITS and digits.isdigit() and digits != "000" else ""
