"""An order as a form: what was typed, kept as typed, and read into the same document as the API's.

The form speaks the words of a prescription (how often: "every 6 hours"); the one schema of orders judges
it. What is wrong is said beside the field that it is about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from stewardship.domain.codes import ICD10CM
from stewardship.domain.directions import directions
from stewardship.domain.dosage import DosageInstruction
from stewardship.domain.drugs import Drug, DrugClass, Schedule
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.orders import Order

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,4}", re.ASCII)
#: An ICD-10-CM code.
CODE = re.compile(r"[A-Za-z][0-9][0-9A-Za-z](\.[0-9A-Za-z]{1,4})?", re.ASCII)


class Often(NamedTuple):
    """One way in which a medicine is taken: how it reads, and so many times in a period."""

    label: str
    frequency: int
    period: int
    unit: str


#: The code of a fault whose pointer is a field of the form.
_OF_FORM = "field"

#: The timings that the form offers; the words and intervals of a prescription.
OFTEN: Mapping[str, Often] = {
    "1-d": Often("once a day", 1, 1, "d"),
    "2-d": Often("twice a day", 2, 1, "d"),
    "3-d": Often("3 times a day", 3, 1, "d"),
    "4-d": Often("4 times a day", 4, 1, "d"),
    "1-4h": Often("every 4 hours", 1, 4, "h"),
    "1-6h": Often("every 6 hours", 1, 6, "h"),
    "1-8h": Often("every 8 hours", 1, 8, "h"),
    "1-12h": Often("every 12 hours", 1, 12, "h"),
    "1-48h": Often("every 48 hours", 1, 48, "h"),
    "1-72h": Often("every 72 hours", 1, 72, "h"),
    "1-wk": Often("once a week", 1, 1, "wk"),
}
UNITS = ("tablet", "capsule", "mL", "patch", "film", "lozenge", "suppository", "spray", "mg")
PHASES = ("acute", "subacute", "chronic")
SETTINGS = ("outpatient", "discharge", "inpatient")
LOSSES = ("lost", "stolen", "destroyed")

#: The fields of the form, and where a fault of the document is shown.
FIELDS = (
    "order_id", "medicine", "rxcui", "dose", "dose_max", "unit", "often", "as_needed", "most",
    "quantity", "days", "refills", "phase", "reason", "other_reason", "setting", "start", "loss",
)  # fmt: skip
_PLACES = {
    "/order/id": "order_id",
    "/order/medicine": "medicine",
    "/order/dosage/0/dose": "dose",
    "/order/dosage/0/dose_max": "dose_max",
    "/order/dosage/0/unit": "unit",
    "/order/dosage/0/frequency": "often",
    "/order/dosage/0/max_per_day": "most",
    "/order/quantity": "quantity",
    "/order/days_supply": "days",
    "/order/refills": "refills",
    "/order/start_on": "start",
    "/order/pain/phase": "phase",
    "/order/pain/reasons": "other_reason",
    "/order/setting": "setting",
    "/order/replaces": "loss",
}
_FORM_UNITS = (("tablet", "tablet"), ("capsule", "capsule"), ("solution", "mL"), ("patch", "patch"),
               ("transdermal", "patch"), ("film", "film"), ("lozenge", "lozenge"),
               ("suppository", "suppository"), ("spray", "spray"))  # fmt: skip


@dataclass(frozen=True)
class Written:
    """The form as it was typed, and what is wrong with it by field."""

    typed: Mapping[str, str]
    faults: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """What was typed; empty when nothing was."""
        return self.typed.get(name, "")

    @property
    def empty(self) -> bool:
        """Whether no medicine was named yet."""
        return not (self["rxcui"] or self["medicine"])


def typed(form: Mapping[str, str]) -> Written:
    """What a request brings, cut down to the form's own fields."""
    return Written({name: form.get(name, "").strip()[:500] for name in FIELDS})


def document(written: Written, *, patient_id: str, order_id: str) -> dict[str, Any]:
    """The order as ``CaseSchema`` takes it. Raises ``InvalidInput`` for what is no number, day or code."""
    faults: list[Fault] = []
    order: dict[str, Any] = {"id": order_id, "medicine": _medicine(written)}
    dosage = _dosage(written, faults)
    if dosage:
        order["dosage"] = [dosage]
    for name, key in (("quantity", "quantity"), ("days", "days_supply")):
        if (value := _number(written, name, faults)) is not None:
            order[key] = value
    if "quantity" in order and written["unit"]:
        order["quantity_unit"] = written["unit"]
    if written["refills"]:
        if _WHOLE.fullmatch(written["refills"]):
            order["refills"] = int(written["refills"])
        else:
            faults.append(fault("refills", "Write a whole number; 0 for none."))
    if written["setting"]:
        order["setting"] = written["setting"]
    if written["start"]:
        order["start_on"] = written["start"]
    if written["loss"]:
        order["replaces"] = {"loss": written["loss"]}
    pain = _pain(written, faults)
    if pain:
        order["pain"] = pain
    if faults:
        raise InvalidInput("the order cannot be read", faults=tuple(faults))
    return {"patient": {"id": patient_id}, "order": order}


def with_faults(written: Written, refused: InvalidInput) -> Written:
    """The form with each fault beside the field that it is about; what has no field is said at the top."""
    said: dict[str, str] = {}
    for one in refused.faults:
        name = _PLACES.get(one.pointer) or next(
            (place for pointer, place in _PLACES.items() if one.pointer.startswith(pointer)), "medicine"
        )
        said.setdefault(one.pointer if one.code == _OF_FORM else name, one.message)
    return Written(written.typed, said)


def again(order: Order) -> Written:
    """A form filled with an order that was written before, so that it can be changed."""
    said: dict[str, str] = {
        "medicine": order.medication.label if order.drug is None else order.drug.name,
        "rxcui": "" if order.drug is None else order.drug.code.code,
        "quantity": _said(order.quantity.value) if order.quantity else "",
        "days": _said(order.days_supply),
        "refills": "" if order.refills is None else str(order.refills),
        "setting": order.setting.value if order.setting.value in SETTINGS else "",
        "phase": order.pain.phase.value if order.pain.phase.value in PHASES else "",
        "start": order.start_on.isoformat() if order.start_on else "",
        "loss": order.replaces.loss.value if order.replaces else "",
        "other_reason": next((c.code for c in order.pain.reasons if c.system == ICD10CM), ""),
        "unit": order.quantity.unit if order.quantity else "",
    }
    if len(order.dosage) == 1:
        said |= _dosage_again(order.dosage[0])
    return Written({name: value for name, value in said.items() if value})


def reads(order: Order) -> str:
    """The directions of an order as a patient would read them; empty when none are written."""
    return directions(order.dosage)


def unit_of(drug: Drug | None) -> str:
    """What a product is counted in, by its dose form; empty when the form does not tell."""
    form = "" if drug is None else drug.form.casefold()
    return next((unit for word, unit in _FORM_UNITS if word in form), "")


def drug_words(drug: Drug) -> str:
    """What a prescriber has to know of a product beside its name: schedule, long-acting or not, no opioid."""
    said = []
    if drug.schedule is not None and drug.schedule is not Schedule.NONE:
        said.append(f"schedule {drug.schedule.value}")
    if drug.is_a(DrugClass.LONG_ACTING_OPIOID):
        said.append("long-acting")
    if not drug.is_a(DrugClass.OPIOID):
        said.append("not an opioid")
    return ", ".join(said)


def _medicine(written: Written) -> dict[str, str]:
    if written["rxcui"]:
        return {"rxcui": written["rxcui"]}
    return {"text": written["medicine"]}


def _dosage(written: Written, faults: list[Fault]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, key in (("dose", "dose"), ("dose_max", "dose_max"), ("most", "max_per_day")):
        if (value := _number(written, name, faults)) is not None:
            made[key] = value
    if "dose_max" in made and "dose" not in made:
        made["dose"] = made["dose_max"]
    if written["often"] in OFTEN:
        often = OFTEN[written["often"]]
        made |= {"frequency": often.frequency, "period": often.period, "period_unit": often.unit}
    elif written["often"]:
        faults.append(fault("often", "Choose one of the times offered."))
    if made and written["unit"]:
        made["unit"] = written["unit"]
    if made and written["as_needed"]:
        made["as_needed"] = True
    return made


def _pain(written: Written, faults: list[Fault]) -> dict[str, Any]:
    pain: dict[str, Any] = {"phase": written["phase"]} if written["phase"] else {}
    name = "other_reason" if written["other_reason"] else "reason"
    code = written[name].upper()
    if code and CODE.fullmatch(code):
        pain["reasons"] = [{"system": ICD10CM, "code": code}]
    elif code:
        faults.append(fault(name, "Write an ICD-10-CM code, such as M54.50."))
    return pain


def _number(written: Written, name: str, faults: list[Fault]) -> Decimal | int | None:
    text = written[name]
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        faults.append(fault(name, "Write a number, such as 12 or 1.5."))
        return None
    return Decimal(text) if "." in text else int(text)


def fault(name: str, words: str) -> Fault:
    """What is wrong with one field, in words for whoever fills it in."""
    return Fault(name, _OF_FORM, words)


def _dosage_again(one: DosageInstruction) -> dict[str, str]:
    said = {
        "dose": _said(one.dose_low),
        "dose_max": _said(one.dose_high) if one.dose_high != one.dose_low else "",
        "unit": one.dose_unit,
        "as_needed": "yes" if one.as_needed else "",
        "most": _said(one.max_per_day.value) if one.max_per_day else "",
    }
    for code, often in OFTEN.items():
        if one.period_unit == often.unit and one.frequency == often.frequency and one.period == often.period:
            said["often"] = code
    return said


def _said(value: Decimal | None) -> str:
    return "" if value is None else f"{value.normalize():f}"
