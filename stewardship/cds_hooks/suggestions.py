"""Suggestions on a card, with the FHIR R4 actions that carry them out.

What is created is a draft with what R4 requires and no more: directions and amounts are the prescriber's.
What is updated is the client's own draft, whole, with nothing changed but what the suggestion is about.
Nothing is applied by itself: there are no ``systemActions``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from stewardship.cds_hooks.telling import Spoken
from stewardship.cds_hooks.wording import plain
from stewardship.declarations import Library
from stewardship.domain.benefit import NOTHING, Benefits
from stewardship.domain.codes import ICD10CM, RXNORM, SNOMED, Coding
from stewardship.domain.drugs import Drug
from stewardship.domain.suggestions import Kind, Suggestion, suggestions
from stewardship.services import care
from stewardship.services.orders import Checked

_SYSTEMS = {RXNORM: "http://www.nlm.nih.gov/research/umls/rxnorm", SNOMED: "http://snomed.info/sct"}
_UCUM = "http://unitsofmeasure.org"
#: What an order of another product for the same purpose keeps: neither its dose nor its amount.
_KEPT = ("category", "reasonCode")

Json = dict[str, Any]


def of_card(
    card: str,
    spoken: Iterable[Spoken],
    checked: Checked,
    library: Library,
    *,
    draft: Mapping[str, Any] | None,
) -> Json:
    """``suggestions`` and ``selectionBehavior`` for a card, or nothing."""
    if checked.chart is None:
        return {}
    made: list[Json] = []
    for one in spoken:
        fitting = suggestions(
            library.suggestions,
            one.finding,
            one.policy,
            order=checked.order,
            chart=checked.chart,
            catalogue=library.catalogue,
            untried=lambda: _untried(checked, library),
        )
        for suggestion in fitting:
            actions = _actions(suggestion, checked.patient_id, draft)
            if actions:
                made.append(
                    {
                        "label": plain(suggestion.label),
                        "uuid": str(uuid.uuid5(uuid.UUID(card), _name(one.policy.id, suggestion))),
                        **({"isRecommended": True} if suggestion.recommended else {}),
                        "actions": actions,
                    }
                )
    if not made:
        return {}
    return {"suggestions": made, "selectionBehavior": _selection(made)}


def _name(policy: str, suggestion: Suggestion) -> str:
    """What is the same each time for the same suggestion."""
    named = f"{policy}/{suggestion.kind}"
    return f"{named}/{suggestion.id}" if suggestion.id else named


def _untried(checked: Checked, library: Library) -> Benefits:
    """What fits the patient of an order and is on record as tried by nobody."""
    if checked.chart is None:
        return NOTHING
    reasons = checked.order.pain.reasons if checked.order is not None else ()
    codes = [reason.code for reason in reasons if reason.system == ICD10CM]
    return care.advise_on(library, checked.chart, codes=codes).benefits


def _selection(made: Iterable[Json]) -> str:
    """Additions go together; of changes to the one order only one can be made."""
    only_adds = all(action["type"] == "create" for one in made for action in one["actions"])
    return "any" if only_adds else "at-most-one"


def _actions(suggestion: Suggestion, patient_id: str, draft: Mapping[str, Any] | None) -> list[Json]:
    words = plain(suggestion.description)
    if suggestion.medicine:
        return [_create(words, _some_medicine(suggestion, patient_id))]
    if suggestion.kind in {Kind.REFERRAL, Kind.ALTERNATIVES}:
        return [_create(words, _referral(suggestion, patient_id))]
    if suggestion.kind is Kind.SHORTER_COURSE:
        if draft is None or not _can_be_shortened(draft, suggestion):
            return []
        return [{"type": "update", "description": words, "resource": _shortened(draft, suggestion)}]
    if suggestion.drug is None:
        return []
    ordered = _medicine(suggestion.drug, patient_id)
    if suggestion.kind is Kind.MEDICINE:
        return [_create(words, ordered)]
    if draft is None:
        return []
    kept = {element: draft[element] for element in _KEPT if element in draft}
    gone = f"MedicationRequest/{draft['id']}"
    return [
        {"type": "delete", "description": "Take the long-acting order out", "resourceId": gone},
        _create(words, ordered | kept),
    ]


def _create(words: str, resource: Json) -> Json:
    return {"type": "create", "description": words, "resource": resource}


def _medicine(drug: Drug, patient_id: str) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"coding": [_coding(drug.code)], "text": drug.name},
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def _some_medicine(suggestion: Suggestion, patient_id: str) -> Json:
    """A medicine whose product is still to be chosen: named by its ingredient where it is one."""
    concept: Json = {"text": suggestion.text}
    if suggestion.ingredient is not None:
        concept["coding"] = [_coding(suggestion.ingredient)]
    return {
        "resourceType": "MedicationRequest",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": concept,
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def _referral(suggestion: Suggestion, patient_id: str) -> Json:
    code: Json = {"text": suggestion.text}
    if suggestion.referral is not None:
        code["coding"] = [_coding(suggestion.referral)]
    return {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "code": code,
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def _coding(coding: Coding) -> Json:
    system = _SYSTEMS.get(coding.system, coding.system)
    return {"system": system, "code": coding.code, "display": coding.display}


def _can_be_shortened(draft: Mapping[str, Any], suggestion: Suggestion) -> bool:
    """Not when the draft states an amount that could not be read: it would stay beside fewer days."""
    dispense = draft.get("dispenseRequest")
    return type(dispense) is dict and (dispense.get("quantity") is None) is (suggestion.quantity is None)


def _shortened(draft: Mapping[str, Any], suggestion: Suggestion) -> Json:
    """The draft with fewer days, and with the amount for them where one is stated. Its narrative, which
    would now say something else, is left out."""
    dispense = dict(draft["dispenseRequest"])
    dispense["expectedSupplyDuration"] = {
        "value": Decimal(suggestion.days or 0),
        "unit": "days",
        "system": _UCUM,
        "code": "d",
    }
    if suggestion.quantity is not None:
        dispense["quantity"] = {**dispense["quantity"], "value": suggestion.quantity.value}
    changed = {element: value for element, value in draft.items() if element != "text"}
    return {**changed, "dispenseRequest": dispense}
