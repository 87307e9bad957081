"""MedicationRequest, MedicationDispense and MedicationStatement -> orders and supplies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from stewardship.domain.codes import Coding
from stewardship.domain.dosage import DosageInstruction, Quantity
from stewardship.domain.drugs import Drug, Medication
from stewardship.domain.orders import Loss, Order, Pain, Phase, Replacement, Setting, Supply, SupplyKind
from stewardship.intake.fhir_r4.dosage import read_dosages
from stewardship.intake.fhir_r4.elements import (
    Faults,
    Json,
    all_codings,
    code_of,
    codings,
    day,
    days,
    objects,
    period,
    quantity,
    whole,
    words,
)
from stewardship.intake.fhir_r4.resources import Desk
from stewardship.intake.fhir_r4.vocabulary import replacement_codes

#: Records of these statuses tell of no medicine in anybody's hands.
NO_PRESCRIPTION = frozenset({"entered-in-error", "cancelled", "draft"})
NO_DISPENSING = frozenset({"entered-in-error", "cancelled", "declined"})
NO_STATEMENT = frozenset({"entered-in-error", "intended", "not-taken"})
#: Drafts of these statuses are not about to be signed.
NO_ORDER = frozenset({"entered-in-error", "cancelled", "stopped", "completed"})
#: Somebody's suggestion, not an order.
NO_INTENT = frozenset({"proposal", "plan", "option"})

#: The status of a supply by the status of its record. What is on hold, or being prepared, can be resumed
#: or handed over any day, so it counts as running.
_STATUS = {
    "active": "active",
    "on-hold": "active",
    "in-progress": "active",
    "preparation": "active",
    "completed": "completed",
    "stopped": "stopped",
}
_SETTINGS = {
    "community": Setting.OUTPATIENT,
    "outpatient": Setting.OUTPATIENT,
    "discharge": Setting.DISCHARGE,
    "inpatient": Setting.INPATIENT,
}
#: Of several categories the one under which most is checked.
_SETTING_ORDER = (Setting.OUTPATIENT, Setting.DISCHARGE, Setting.INPATIENT)


@dataclass(slots=True)
class _Prescribed:
    """What an order and a prescription of the history have in common."""

    medication: Medication
    drug: Drug | None
    written_on: date | None
    start_on: date | None
    dosage: tuple[DosageInstruction, ...]
    quantity: Quantity | None
    days_supply: Decimal | None
    refills: int | None
    reasons: tuple[Coding, ...]
    reason_sets: frozenset[str]
    onset: date | None
    setting: Setting
    replaces: Replacement | None
    prescriber: str


def read_order(resource: Json, *, known_as: str, desk: Desk, patient_id: str, faults: Faults) -> Order:
    """A draft MedicationRequest as an order.

    A date of issue that is absent is today: a draft is written now. One that cannot be read is a fault,
    and today is taken, so that the order is compared with the history at all.
    """
    said = _prescribed(resource, desk, faults)
    written_on = said.written_on or desk.today
    if _is_partial(resource.get("authoredOn")):
        faults.append("authoredOn")
        written_on = desk.today
    return Order(
        id=known_as,
        patient_id=patient_id,
        medication=said.medication,
        drug=said.drug,
        written_on=written_on,
        start_on=said.start_on,
        dosage=said.dosage,
        quantity=said.quantity,
        days_supply=said.days_supply,
        refills=said.refills,
        pain=Pain(_phase(said.reason_sets), said.onset, said.reasons, said.reason_sets),
        setting=said.setting,
        replaces=said.replaces,
        prescriber=said.prescriber,
        unread=("refills",) if not _REFILLS.isdisjoint(faults) else (),
    )


#: Where an order says how many refills it has.
_REFILLS = frozenset({"dispenseRequest", "dispenseRequest.numberOfRepeatsAllowed"})


def read_prescription(resource: Json, *, known_as: str, desk: Desk, faults: Faults) -> Supply:
    """A MedicationRequest of the history."""
    said = _prescribed(resource, desk, faults)
    return Supply(
        id=known_as,
        kind=SupplyKind.PRESCRIPTION,
        medication=said.medication,
        drug=said.drug,
        start_on=said.start_on or said.written_on,
        dosage=said.dosage,
        quantity=said.quantity,
        days_supply=said.days_supply,
        refills=said.refills,
        status=_STATUS.get(words(resource.get("status")), "unknown"),
        prescription=known_as,
        prescriber=said.prescriber,
        replaces=said.replaces,
        setting=said.setting,
        reasons=said.reasons,
        reason_sets=said.reason_sets,
    )


def read_dispensing(resource: Json, *, known_as: str, desk: Desk, faults: Faults) -> Supply:
    """A MedicationDispense of the history: what was handed over, on the day it was."""
    medication, drug = desk.medicine(resource, faults)
    handed_over = "whenHandedOver" if resource.get("whenHandedOver") is not None else "whenPrepared"
    fills = objects(resource.get("authorizingPrescription"), "authorizingPrescription", faults)
    supply = quantity(resource.get("daysSupply"), "daysSupply", faults, desk.units)
    by = [
        desk.resources.id_of(performer.get("actor"))
        for performer in objects(resource.get("performer"), "performer", faults)
    ]
    return Supply(
        id=known_as,
        kind=SupplyKind.DISPENSING,
        medication=medication,
        drug=drug,
        start_on=day(resource.get(handed_over), handed_over, faults, no_later_than=desk.today),
        dosage=read_dosages(resource.get("dosageInstruction"), "dosageInstruction", faults, desk.units),
        quantity=quantity(resource.get("quantity"), "quantity", faults, desk.units),
        days_supply=_days_of(resource.get("daysSupply"), supply, faults),
        status=_STATUS.get(words(resource.get("status")), "unknown"),
        prescription=desk.resources.id_of(fills[0]) if fills else "",
        pharmacy=desk.resources.id_of(resource.get("location")) or next((actor for actor in by if actor), ""),
    )


def read_statement(resource: Json, *, known_as: str, desk: Desk, faults: Faults) -> Supply:
    """A MedicationStatement of the history: what somebody said is taken, from when and until when."""
    medication, drug = desk.medicine(resource, faults)
    start, end = period(resource.get("effectivePeriod"), "effectivePeriod", faults)
    path = "effectivePeriod.start"
    if resource.get("effectiveDateTime") is not None:
        start, path = resource["effectiveDateTime"], "effectiveDateTime"
    reasons, reason_sets, _ = _reasons(resource, desk, faults)
    return Supply(
        id=known_as,
        kind=SupplyKind.STATEMENT,
        medication=medication,
        drug=drug,
        start_on=day(start, path, faults, no_later_than=desk.today),
        dosage=read_dosages(resource.get("dosage"), "dosage", faults, desk.units),
        status=_STATUS.get(words(resource.get("status")), "unknown"),
        ended_on=day(end, "effectivePeriod.end", faults, no_later_than=desk.today),
        reasons=reasons,
        reason_sets=reason_sets,
    )


def _prescribed(resource: Json, desk: Desk, faults: Faults) -> _Prescribed:
    medication, drug = desk.medicine(resource, faults)
    written = resource.get("authoredOn")
    written_on = day(written, "authoredOn", faults, no_later_than=desk.today)
    dispense = resource.get("dispenseRequest")
    if dispense is not None and type(dispense) is not dict:
        faults.append("dispenseRequest")
        dispense = None
    dispense = dispense or _NOTHING
    reasons, reason_sets, onset = _reasons(resource, desk, faults)
    return _Prescribed(
        medication,
        drug,
        written_on,
        _earliest_fill(dispense, written_on, faults),
        read_dosages(resource.get("dosageInstruction"), "dosageInstruction", faults, desk.units),
        quantity(dispense.get("quantity"), "dispenseRequest.quantity", faults, desk.units),
        days(dispense.get("expectedSupplyDuration"), "dispenseRequest.expectedSupplyDuration", faults),
        whole(dispense.get("numberOfRepeatsAllowed"), "dispenseRequest.numberOfRepeatsAllowed", faults),
        reasons,
        reason_sets,
        onset,
        _setting(resource, faults),
        _replacement(resource, desk, faults),
        desk.resources.id_of(resource.get("requester")),
    )


_NOTHING: Mapping[str, object] = {}


def _is_partial(value: object) -> bool:
    return type(value) is str and len(value) in (len("2026"), len("2026-11"))


def _earliest_fill(dispense: Json, written_on: date | None, faults: Faults) -> date | None:
    """The first day on which it may be filled, when one is written that is later than the date of issue
    and not after the end of the same period; otherwise it is not a date to wait for."""
    start, end = period(dispense.get("validityPeriod"), "dispenseRequest.validityPeriod", faults)
    first = day(start, "dispenseRequest.validityPeriod.start", faults)
    if first is None or written_on is None or first <= written_on:
        return None
    last = day(end, "dispenseRequest.validityPeriod.end", faults)
    if last is not None and last < first:
        faults.append("dispenseRequest.validityPeriod")
        return None
    return first


def _days_of(written: object, supply: Quantity | None, faults: Faults) -> Decimal | None:
    """daysSupply is a quantity of days; some write it without a unit, and then it is days all the same,
    for that is what the element is."""
    if supply is None:
        return None
    return days(written, "daysSupply", faults) if supply.unit else supply.value


def _reasons(
    resource: Json, desk: Desk, faults: Faults
) -> tuple[tuple[Coding, ...], frozenset[str], date | None]:
    """The coded indications, their code sets, and the latest onset among the conditions referred to:
    of several reasons the youngest makes the pain younger, and the check stricter."""
    found = all_codings(resource.get("reasonCode"), "reasonCode", faults)
    onset = None
    for reference in objects(resource.get("reasonReference"), "reasonReference", faults):
        condition = desk.resources.resolve(reference, within=resource)
        if condition is None or condition.get("resourceType") != "Condition":
            continue
        found += codings(condition.get("code"), "reasonReference", [])
        began = day(condition.get("onsetDateTime"), "", [], no_later_than=desk.today)
        if began is None:
            began = day(period(condition.get("onsetPeriod"), "", [])[0], "", [], no_later_than=desk.today)
        if began is not None and (onset is None or began > onset):
            onset = began
    return found, desk.code_sets.of_any(found) if found else frozenset(), onset


def _phase(reason_sets: frozenset[str]) -> Phase:
    """The phase that the indication states by its code; two that contradict each other state none."""
    chronic, acute = "chronic-pain" in reason_sets, "acute-pain" in reason_sets
    if chronic == acute:
        return Phase.UNKNOWN
    return Phase.CHRONIC if chronic else Phase.ACUTE


def _setting(resource: Json, faults: Faults) -> Setting:
    if resource.get("category") is None:
        return Setting.UNKNOWN
    said = set()
    for concept in objects(resource["category"], "category", faults):
        for coding in objects(concept.get("coding"), "category", faults):
            said.add(_SETTINGS.get(words(coding.get("code"))))
    return next((setting for setting in _SETTING_ORDER if setting in said), Setting.UNKNOWN)


def _replacement(resource: Json, desk: Desk, faults: Faults) -> Replacement | None:
    """Whether the order makes good a lost, stolen or destroyed prescription (``reference/fhir_r4.toml``)."""
    if "extension" not in resource and "identifier" not in resource:
        return None
    known = replacement_codes()
    loss = ""
    for extension in objects(resource.get("extension"), "extension", faults):
        if extension.get("url") == known.extension:
            loss = words(extension.get("valueCode"))
            if loss not in _LOSSES:
                faults.append("extension(replacement).valueCode")
                loss = ""
        for key in ("valueCoding", "valueCodeableConcept"):
            concept = extension.get(key)
            if type(concept) is dict:
                for coding in objects(concept.get("coding", concept), "extension", faults):
                    loss = loss or known.codes.get((words(coding.get("system")), code_of(coding)), "")
    for identifier in objects(resource.get("identifier"), "identifier", faults):
        named = (words(identifier.get("system")), words(identifier.get("value")))
        loss = loss or known.codes.get(named, "")
    if not loss:
        return None
    return Replacement(Loss(loss), desk.resources.id_of(resource.get("priorPrescription")))


_LOSSES = frozenset(Loss)
