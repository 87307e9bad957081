"""A CDS Hooks request -> the orders to judge and the chart that the client brought.

The envelope is checked by a schema and what is wrong with it is pointed at. The clinical content is not:
prefetch may come under any key, as Bundles, lone resources or wrapped, and what is absent or unreadable
becomes a gap of the chart, never an error, for an error is usually not shown to the prescriber. Fields
that the service does not use are dropped here, among them ``fhirServer`` and the client's own access
token: no call goes out, and nothing of them reaches an object that is kept.

What the client says about the medication history, by what it sends:

======================================  ==================================================================
``null`` or an empty Bundle             there is none: no gap
nothing at all about medications        ``history-missing``
an OperationOutcome, or no resource     ``history-error``
a Bundle with more than it holds        ``history-incomplete``
======================================  ==================================================================

The same for other kinds of resource is ``record-error`` and ``record-incomplete``. Nothing at all about
diagnoses is ``record-missing``, for what a diagnosis speaks against was then not looked for; nothing at all
about the others is no gap: a plan or a review that is not there is missed by the policy that asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, cast

import msgspec
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates_schema
from msgspec import UNSET, Meta, UnsetType

from stewardship.domain.chart import Chart, Gap
from stewardship.domain.codes import CodeSets
from stewardship.domain.drugs import Catalogue
from stewardship.domain.orders import Order
from stewardship.domain.units import Units
from stewardship.intake import fhir_r4
from stewardship.intake.fhir_r4 import Resources, tail
from stewardship.intake.fields import Said, read

#: The hooks that are understood, and whether they come with draft orders.
HOOKS = {"order-sign": True, "order-select": True, "patient-view": False}

#: What our prefetch keys ask for, by resource type.
MEDICATION_KEYS = {
    "medicationRequests": "MedicationRequest",
    "medicationDispenses": "MedicationDispense",
    "medicationStatements": "MedicationStatement",
}
PREFETCH_TYPES = MEDICATION_KEYS | {
    "patient": "Patient",
    "conditions": "Condition",
    "observations": "Observation",
    "procedures": "Procedure",
    "carePlans": "CarePlan",
    "goals": "Goal",
    "encounters": "Encounter",
}
_MEDICATION_TYPES = frozenset(MEDICATION_KEYS.values())


@dataclass(frozen=True, slots=True)
class HookRequest:
    """What a client asks. ``orders`` are all drafts, those not to be judged with ``selected`` false;
    ``unread`` are types of draft that order a medicine in a form that is not read. ``drafts`` are the
    orders' resources as they came, by their ids, for a suggestion that changes one; without those that
    have no id of their own, or share it."""

    hook: str
    patient_id: str
    orders: tuple[Order, ...]
    chart: Chart
    unread: tuple[str, ...] = ()
    drafts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def asks_for_nothing(self) -> bool:
        """Whether orders were to be judged and none of what was drafted or selected is a medicine's."""
        return HOOKS[self.hook] and not any(order.selected for order in self.orders)


def read_request(
    document: object,
    *,
    hook: str | None = None,
    catalogue: Catalogue,
    code_sets: CodeSets,
    units: Units,
    as_of: datetime,
) -> HookRequest:
    """Read a request for the hook given, or for the one that it names.

    Raises ``InvalidInput`` with the places where the envelope is wrong, and ``PatientMismatch`` when
    context, orders and prefetch are not all about one patient.
    """
    envelope = _read_envelope(document, hook)
    hook = envelope["hook"]
    context = envelope["context"]
    patient_id = tail(context["patient_id"])
    prefetch = envelope["prefetch"] or {}
    # What an error brings with it is no record of the patient.
    brought = Resources(*[value for value in prefetch.values() if not _is_error(value)])
    drafts = Resources(context.get("draft_orders"))
    orders, faults = fhir_r4.read_orders(
        drafts,
        brought,
        catalogue=catalogue,
        code_sets=code_sets,
        units=units,
        as_of=as_of,
        patient_id=patient_id,
    )
    chart = fhir_r4.read_history(
        brought,
        catalogue=catalogue,
        code_sets=code_sets,
        units=units,
        as_of=as_of,
        patient_id=patient_id,
        drafts={order.id: order for order in orders},
    )
    return HookRequest(
        hook,
        patient_id,
        _select(orders, context.get("selections")),
        replace(chart, gaps=(*faults, *_gaps(prefetch, brought), *chart.gaps)),
        unread=_unread(drafts),
        drafts=_named(drafts),
    )


# --- the envelope ---------------------------------------------------------------------------------


class _Lenient(Schema):
    """Unknown fields are dropped: clients add extensions and newer fields."""

    class Meta:
        """Later versions of the specification only add."""

        unknown = EXCLUDE


def _text(name: str, *, required: bool = True, most: int = 256) -> fields.String:
    return fields.String(required=required, data_key=name, validate=validate.Length(min=1, max=most))


class _Bundle(fields.Field[dict[str, Any]]):
    """A FHIR Bundle whose entries hold resources; what those say is read later."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if type(value) is not dict or value.get("resourceType") != "Bundle":
            raise ValidationError([Said("Not a FHIR Bundle.", code="not-a-bundle")])
        entries = value.get("entry", [])
        if type(entries) is not list:
            raise ValidationError({"entry": [Said("Not a list of entries.", code="not-a-list")]})
        for place, entry in enumerate(entries):
            resource = entry.get("resource") if type(entry) is dict else None
            if type(resource) is not dict or type(resource.get("resourceType")) is not str:
                where = {
                    "entry": {place: {"resource": [Said("Not a FHIR resource.", code="not-a-resource")]}}
                }
                raise ValidationError(where)
        return value


class _Context(_Lenient):
    patient_id = _text("patientId")
    draft_orders = _Bundle(data_key="draftOrders")
    selections = fields.List(fields.String(validate=validate.Length(max=512)), data_key="selections")


class _Envelope(_Lenient):
    """The request. ``hookInstance`` is a UUID by the specification; clients send other ids, which do."""

    hook = _text("hook", most=64)
    hook_instance = _text("hookInstance")
    context = fields.Nested(_Context, required=True)
    prefetch = fields.Dict(allow_none=True, load_default=None)

    def __init__(self, hook: str | None) -> None:
        super().__init__()
        self.expected = hook

    @validates_schema(skip_on_field_errors=True)
    def fits_the_hook(self, loaded: Mapping[str, Any], **_kwargs: Any) -> None:
        """The hook is the service's own, and what it needs is there."""
        hook = loaded["hook"]
        if hook not in HOOKS or self.expected not in (None, hook):
            known = self.expected or ", ".join(HOOKS)
            raise ValidationError({"hook": [Said(f"This service answers {known}.", code="wrong-hook")]})
        if HOOKS[hook] and "draft_orders" not in loaded["context"]:
            missing = [Said("Missing data for required field.", code="required")]
            raise ValidationError({"context": {"draftOrders": missing}})


@lru_cache(maxsize=len(HOOKS) + 1)
def _envelope(hook: str | None) -> _Envelope:
    """Making a schema costs more than using it."""
    return _Envelope(hook)


class _FitResource(msgspec.Struct, rename="camel"):
    resource_type: str


class _FitEntry(msgspec.Struct):
    resource: _FitResource


class _FitBundle(msgspec.Struct, rename="camel"):
    resource_type: Literal["Bundle"]
    entry: list[_FitEntry] = []


class _FitContext(msgspec.Struct, rename="camel"):
    patient_id: Annotated[str, Meta(min_length=1, max_length=256)]
    draft_orders: _FitBundle | UnsetType = UNSET
    selections: list[Annotated[str, Meta(max_length=512)]] | UnsetType = UNSET


class _FitEnvelope(msgspec.Struct, rename="camel"):
    """What fits ``_Envelope``, for a compiled reader: it takes nothing that the schema refuses."""

    hook: Annotated[str, Meta(min_length=1, max_length=64)]
    hook_instance: Annotated[str, Meta(min_length=1, max_length=256)]
    context: _FitContext
    prefetch: dict[str, Any] | None = None


def _read_envelope(document: Any, hook: str | None) -> dict[str, Any]:
    """What the schema makes of a request. One that fits, as nearly all do, is spared the schema, which takes
    as long as reading ten dispensings; of any other the schema says what is wrong with it, and where."""
    try:
        fit = msgspec.convert(document, _FitEnvelope)
    except msgspec.ValidationError:
        return cast("dict[str, Any]", read(_envelope(hook), document))
    named, drafts = fit.hook, fit.context.draft_orders
    if named not in HOOKS or hook not in (None, named) or (HOOKS[named] and drafts is UNSET):
        return cast("dict[str, Any]", read(_envelope(hook), document))
    context: dict[str, Any] = {"patient_id": fit.context.patient_id}
    if drafts is not UNSET:
        context["draft_orders"] = document["context"]["draftOrders"]
    if fit.context.selections is not UNSET:
        context["selections"] = fit.context.selections
    return {
        "hook": named,
        "hook_instance": fit.hook_instance,
        "context": context,
        "prefetch": document.get("prefetch"),
    }


# --- what to judge --------------------------------------------------------------------------------


def _select(orders: tuple[Order, ...], selections: list[str] | None) -> tuple[Order, ...]:
    """Mark what was selected; the other drafts lie beside it. Without selections all are to be judged,
    and so they are when a selection names a medicine's order that is not among the drafts."""
    if not selections:
        return orders
    named = {tail(selection) for selection in selections}
    chosen = tuple(order if order.id in named else replace(order, selected=False) for order in orders)
    if any(order.selected for order in chosen):
        return chosen
    elsewhere = any(s.startswith("MedicationRequest/") or "/" not in s for s in selections)
    return orders if elsewhere else chosen


def _named(drafts: Resources) -> dict[str, Mapping[str, Any]]:
    found = [resource for _, resource in drafts.of("MedicationRequest")]
    ids = [resource.get("id") for resource in found]
    return {r["id"]: r for r in found if type(r.get("id")) is str and ids.count(r["id"]) == 1}


def _unread(drafts: Resources) -> tuple[str, ...]:
    """Drafts that order a medicine as earlier releases of FHIR did."""
    return tuple(kind for kind in ("MedicationOrder", "MedicationPrescription") if drafts.of(kind))


# --- what was not brought -------------------------------------------------------------------------


def _gaps(prefetch: Mapping[str, Any], brought: Resources) -> list[Gap]:
    gaps = []
    answered = any(brought.of(kind) for kind in _MEDICATION_TYPES)
    diagnosed = bool(brought.of("Condition"))
    for key, value in prefetch.items():
        # A key of the client's own is not repeated: it may say anything.
        kind = PREFETCH_TYPES.get(key) or _kind_of(value)
        # What cannot be placed may have been the history.
        of_medications = kind in _MEDICATION_TYPES or not kind
        stem = "history" if of_medications else "record"
        diagnosed = diagnosed or kind == "Condition"
        is_bundle = type(value) is dict and value.get("resourceType") == "Bundle"
        if value is not None and (_holds_error(value) if is_bundle else _is_error(value)):
            gaps.append(Gap(f"{stem}-error", kind or "prefetch"))
            answered = answered or of_medications  # the better word than "missing"
        elif value is None or is_bundle:
            answered = answered or kind in _MEDICATION_TYPES
        if is_bundle and _is_incomplete(value):
            gaps.append(Gap(f"{stem}-incomplete", kind or "prefetch"))
    if not answered:
        gaps.append(Gap("history-missing", "medications"))
    if not diagnosed:
        gaps.append(Gap("record-missing", "Condition"))
    return gaps


def _kind_of(value: Any) -> str:
    """The type of resource that a Bundle holds, or that its own address asks for."""
    if type(value) is not dict:
        return ""
    kind = value.get("resourceType")
    if kind != "Bundle":
        return kind if type(kind) is str and kind != "OperationOutcome" else ""
    for resource in _matches(value):
        found = resource.get("resourceType")
        if type(found) is str and found != "OperationOutcome":
            return found
    for link in _list(value.get("link")):
        if type(link) is dict and link.get("relation") == "self" and type(link.get("url")) is str:
            return str(link["url"]).partition("?")[0].rsplit("/", 1)[-1]
    return ""


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []


def _matches(bundle: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a search found, without what it brought along."""
    found = []
    for entry in _list(bundle.get("entry")):
        if type(entry) is dict and type(entry.get("resource")) is dict:
            search = entry.get("search")
            if type(search) is not dict or search.get("mode") in (None, "match"):
                found.append(entry["resource"])
    return found


def _is_error(value: Any) -> bool:
    """An OperationOutcome where a resource is due, or something that is no resource at all."""
    if type(value) is list:
        return any(_is_error(item) for item in value)
    if type(value) is not dict:
        return value is not None
    inner = value.get("resource", value) if "resourceType" not in value else value
    kind = inner.get("resourceType") if type(inner) is dict else None
    return type(kind) is not str or kind == "OperationOutcome"


def _holds_error(bundle: Mapping[str, Any]) -> bool:
    """Whether a search, or a part of a batch, failed; a mere warning among its results is no failure."""
    return any(type(entry) is dict and _entry_failed(entry) for entry in _list(bundle.get("entry")))


def _entry_failed(entry: Mapping[str, Any]) -> bool:
    response = entry.get("response")
    if type(response) is dict and str(response.get("status", "2")).startswith(("4", "5")):
        return True
    resource = entry.get("resource")
    if type(resource) is not dict or resource.get("resourceType") != "OperationOutcome":
        return False
    issues = _list(resource.get("issue"))
    mild = ("warning", "information")
    return not issues or any(type(i) is not dict or i.get("severity") not in mild for i in issues)


def _is_incomplete(bundle: Mapping[str, Any]) -> bool:
    """Whether there is more than what was sent: a further page, or a total above what is here."""
    if any(type(link) is dict and link.get("relation") == "next" for link in _list(bundle.get("link"))):
        return True
    total = bundle.get("total")
    return type(total) is int and total > len(_matches(bundle))
