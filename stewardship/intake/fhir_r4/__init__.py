"""FHIR R4 -> the service's own words.

Reading is tolerant: unknown elements are ignored, resources are taken by type whatever key or wrapper
they came in, and what one client leaves out another may write. It is not generous: a number in quotes,
a bound instead of an amount, a duration without a unit are not read. What could not be read is named as
a gap of the chart, ``Gap("resource-unreadable", "MedicationRequest[3].authoredOn")``, or as a problem of
the dosage instruction; never with a value, and never by failing. The gap's code is ``resource-unreadable``
for prescriptions and dispensings, ``record-unreadable`` for everything else in the history, and
``order-unreadable`` for the orders themselves.

Input is JSON as ``intake.strict_json`` reads it (numbers are ``int`` or ``Decimal``).

``read_bundle`` reads a whole document; ``read_orders`` and ``read_history`` are its two halves, for a
request in which drafts and history come apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from stewardship.domain.chart import Chart, Gap, Patient
from stewardship.domain.codes import CodeSets
from stewardship.domain.drugs import Catalogue
from stewardship.domain.errors import PatientMismatch
from stewardship.domain.orders import Order, Supply
from stewardship.domain.units import Units
from stewardship.intake.fhir_r4 import clinical, medications
from stewardship.intake.fhir_r4.elements import Faults, Json, words
from stewardship.intake.fhir_r4.resources import Desk, Resources, tail

__all__ = ["Reading", "Resources", "read_bundle", "read_history", "read_orders", "tail"]

T = TypeVar("T")
_NO_DRAFTS: Mapping[str, Order | None] = {}


@dataclass(frozen=True, slots=True)
class Reading:
    """A whole document: who it is about, the orders in it, and everything else as a chart."""

    patient: Patient | None
    orders: tuple[Order, ...]
    chart: Chart


def read_bundle(
    document: Any,
    *,
    catalogue: Catalogue,
    code_sets: CodeSets,
    units: Units,
    as_of: datetime,
    order_ids: Collection[str] | None = None,
) -> Reading:
    """A Bundle, or any resource or list of them, about one patient.

    The orders are the MedicationRequests named by ``order_ids``, or, when none are named, those of
    status draft. Raises ``PatientMismatch`` when the document speaks of more than one patient.
    """
    resources = Resources(document)
    patient_id = _only_patient(resources)
    desk = Desk(resources, catalogue, code_sets, units, as_of.date())
    drafts = [
        (own_id, resource)
        for own_id, resource in resources.of("MedicationRequest")
        if (resource.get("status") == "draft" if order_ids is None else own_id in order_ids)
    ]
    orders, faults = _orders(drafts, desk, patient_id)
    chart = read_history(
        resources,
        catalogue=catalogue,
        code_sets=code_sets,
        units=units,
        as_of=as_of,
        patient_id=patient_id,
        drafts=dict.fromkeys(own_id for own_id, _ in drafts),
    )
    chart = replace(chart, gaps=faults + chart.gaps)
    return Reading(chart.patient if resources.of("Patient") else None, orders, chart)


def read_orders(
    drafts: Resources,
    others: Resources,
    *,
    catalogue: Catalogue,
    code_sets: CodeSets,
    units: Units,
    as_of: datetime,
    patient_id: str,
) -> tuple[tuple[Order, ...], tuple[Gap, ...]]:
    """The MedicationRequests among the drafts, each as an order, and what could not be read of them.

    ``others`` is the rest of the request, where a draft's Medication or Condition may stand. Raises
    ``PatientMismatch`` when a draft names another patient. Drafts of other types are passed over, and
    so are those that say that something is *not* to be given.
    """
    desk = Desk(drafts.beside(others), catalogue, code_sets, units, as_of.date())
    found = drafts.of("MedicationRequest")
    _same_patient(desk.resources, found, patient_id)
    return _orders(found, desk, patient_id)


def _orders(
    drafts: Iterable[tuple[str, Json]], desk: Desk, patient_id: str
) -> tuple[tuple[Order, ...], tuple[Gap, ...]]:
    orders: list[Order] = []
    gaps: list[Gap] = []
    for place, (own_id, resource) in enumerate(drafts):
        if words(resource.get("status")) in medications.NO_ORDER or resource.get("doNotPerform") is True:
            continue
        faults = _faults(resource)
        name = own_id or f"draft-{place + 1}"
        orders.append(
            medications.read_order(resource, known_as=name, desk=desk, patient_id=patient_id, faults=faults)
        )
        gaps += [Gap("order-unreadable", f"MedicationRequest[{place}].{path}") for path in faults]
    return tuple(orders), tuple(gaps)


def read_history(
    resources: Resources,
    *,
    catalogue: Catalogue,
    code_sets: CodeSets,
    units: Units,
    as_of: datetime,
    patient_id: str,
    drafts: Mapping[str, Order | None] = _NO_DRAFTS,
) -> Chart:
    """Everything but the drafts as a chart, with a gap for each thing that could not be read.

    ``drafts`` are the orders by the ids of their MedicationRequests, which are not their own history. A
    prescription that has the id of a draft and is for another medicine is history all the same: to leave
    it out would lose what the patient takes. Raises ``PatientMismatch`` when any resource is about
    somebody else.
    """
    for kind in _ABOUT_A_PATIENT:
        _same_patient(resources, resources.of(kind), patient_id)
    desk = Desk(resources, catalogue, code_sets, units, as_of.date())
    gaps: list[Gap] = []
    patient = _patient(resources, patient_id, gaps)

    def each(kind: str, read: Callable[..., T | None], *, wanted: Callable[[Json], bool] = _any) -> list[T]:
        found = []
        for place, (own_id, resource) in enumerate(resources.of(kind)):
            if not wanted(resource):
                continue
            faults = _faults(resource)
            record = read(resource, known_as=own_id or f"{kind}[{place}]", desk=desk, faults=faults)
            if record is not None:
                found.append(record)
                gaps.extend(_unreadable(f"{kind}[{place}]", faults))
        return found

    prescriptions = each("MedicationRequest", medications.read_prescription, wanted=_is_prescription)
    dispensings = each("MedicationDispense", medications.read_dispensing, wanted=_is_dispensing)
    statements = each("MedicationStatement", medications.read_statement, wanted=_is_statement)
    supplies = [own for s in prescriptions if (own := _beside(s, drafts)) is not None]
    supplies += dispensings + statements
    observations = each("Observation", clinical.read_observations)
    return Chart(
        patient=patient,
        as_of=as_of,
        supplies=tuple(supplies),
        conditions=tuple(each("Condition", clinical.read_condition)),
        observations=tuple(one for several in observations for one in several),
        procedures=tuple(
            each("Procedure", clinical.read_procedure) + each("ServiceRequest", clinical.read_service_request)
        ),
        plans=tuple(each("CarePlan", clinical.read_plan)),
        goals=tuple(each("Goal", clinical.read_goal)),
        encounters=tuple(each("Encounter", clinical.read_encounter)),
        gaps=tuple(gaps),
    )


def _beside(supply: Supply, drafts: Mapping[str, Order | None]) -> Supply | None:
    """An earlier prescription, or nothing when it is a draft itself. One of another medicine under the id
    of a draft gets an id of its own, so that nobody takes it for the draft."""
    if supply.id not in drafts:
        return supply
    draft = drafts[supply.id]
    if draft is None or _same_medicine(supply, draft):
        return None
    return replace(supply, id=f"{supply.id}/history")


def _same_medicine(supply: Supply, draft: Order) -> bool:
    """By ingredients where both are recognised, for the strength may have been changed; else as written."""
    if supply.drug is None or draft.drug is None:
        return supply.medication == draft.medication
    return {i.name for i in supply.drug.ingredients} == {i.name for i in draft.drug.ingredients}


_ABOUT_A_PATIENT = (
    "MedicationRequest",
    "MedicationDispense",
    "MedicationStatement",
    "Condition",
    "Observation",
    "Procedure",
    "ServiceRequest",
    "CarePlan",
    "Goal",
    "Encounter",
)


def _any(_resource: Json) -> bool:
    return True


def _is_prescription(resource: Json) -> bool:
    return (
        words(resource.get("status")) not in medications.NO_PRESCRIPTION
        and words(resource.get("intent")) not in medications.NO_INTENT
        and resource.get("doNotPerform") is not True
    )


def _is_dispensing(resource: Json) -> bool:
    return words(resource.get("status")) not in medications.NO_DISPENSING


def _is_statement(resource: Json) -> bool:
    return words(resource.get("status")) not in medications.NO_STATEMENT


def _faults(resource: Json) -> Faults:
    """A resource with a modifier that nobody here understands may mean something else than it says."""
    return ["modifierExtension"] if "modifierExtension" in resource else []


def _patient(resources: Resources, patient_id: str, gaps: list[Gap]) -> Patient:
    found = resources.of("Patient")
    if any(own_id not in ("", patient_id) for own_id, _ in found):
        raise PatientMismatch("the request brings another patient")
    if not found:
        return Patient(patient_id)
    faults: Faults = []
    patient = clinical.read_patient(found[0][1], known_as=patient_id, faults=faults)
    gaps += _unreadable("Patient[0]", faults)
    return patient


def _unreadable(where: str, faults: Faults) -> list[Gap]:
    code = "resource-unreadable" if where.startswith("Medication") else "record-unreadable"
    return [Gap(code, f"{where}.{path}") for path in faults]


def _same_patient(resources: Resources, about: Iterable[tuple[str, Json]], patient_id: str) -> None:
    """Refuse a resource whose subject is not the patient; one that names no subject is taken as his.

    A subject that only repeats the resource's own id, without a type, names the resource itself (a slip
    of published data) and so no patient at all; every other text that is not the patient's id is refused.
    """
    for own_id, resource in about:
        subject = resource.get("subject")
        if subject is None or _is(resources, subject, patient_id):
            continue
        if own_id and type(subject) is dict and subject.get("reference") == own_id:
            continue
        raise PatientMismatch("a resource is about another patient")


def _is(resources: Resources, subject: Any, patient_id: str) -> bool:
    if type(subject) is not dict:
        return False
    reference = subject.get("reference")
    if reference is None:
        return True  # an identifier or a name alone: nothing that could be compared
    return type(reference) is str and resources.id_of(subject) == patient_id


def _only_patient(resources: Resources) -> str:
    """The one patient that a document is about; empty when it names none."""
    named = {own_id for own_id, _ in resources.of("Patient") if own_id}
    for kind in _ABOUT_A_PATIENT:
        for _, resource in resources.of(kind):
            subject = resource.get("subject")
            if type(subject) is dict and type(subject.get("reference")) is str:
                named.add(resources.id_of(subject))
    if len(named) > 1:
        raise PatientMismatch("the document is about more than one patient")
    return next(iter(named), "")
