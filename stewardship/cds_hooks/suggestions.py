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
from stewardship.domain.orders import Pain
from stewardship.domain.policy import Outcome
from stewardship.domain.suggestions import Kind, Suggestion, suggestions
from stewardship.intake.fhir_r4.plan_words import TREATMENTS
from stewardship.services import care
from stewardship.services.care import NOTHING_BESIDE, Beside
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
    beside: Beside = NOTHING_BESIDE,
) -> Json:
    """``suggestions`` and ``selectionBehavior`` for a card, or nothing. ``beside`` is what is on record of
    the patient's care besides opioids: what did harm or was declined is not suggested."""
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
            untried=lambda: _untried(checked, library, beside),
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


def answered_by_alternatives(checked: Iterable[Checked], library: Library) -> bool:
    """Whether alternatives would be suggested for what was found: then what was tried has to be known."""
    policies = {p for offer in library.suggestions if offer.kind is Kind.ALTERNATIVES for p in offer.policies}
    return any(
        finding.outcome is Outcome.BREACH and finding.policy in policies
        for one in checked
        for finding in one.decision.findings
    )


def _untried(checked: Checked, library: Library, beside: Beside) -> Benefits:
    """What fits the patient of an order and is on record as tried by nobody."""
    if checked.chart is None:
        return NOTHING
    pain = checked.order.pain if checked.order is not None else Pain()
    codes = [reason.code for reason in pain.reasons if reason.system == ICD10CM]
    return care.advise_on(library, checked.chart, beside, codes=codes, phase=pain.phase).benefits


def _selection(made: Iterable[Json]) -> str:
    """Additions go together; of changes to the one order only one can be made."""
    only_adds = all(action["type"] == "create" for one in made for action in one["actions"])
    return "any" if only_adds else "at-most-one"


def _actions(suggestion: Suggestion, patient_id: str, draft: Mapping[str, Any] | None) -> list[Json]:
    words = plain(suggestion.description)
    if suggestion.kind in {Kind.REFERRAL, Kind.ALTERNATIVES}:
        return [_create(words, draft_of(suggestion, patient_id))]
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


def draft_of(suggestion: Suggestion, patient_id: str) -> Json:
    """What is added by a referral or an alternative: a medicine whose product is still to be chosen (named by
    its ingredient where it is one), or a service."""
    return (_some_medicine if suggestion.medicine else _referral)(suggestion, patient_id)


def _some_medicine(suggestion: Suggestion, patient_id: str) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": _concept(suggestion, suggestion.ingredient),
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def _referral(suggestion: Suggestion, patient_id: str) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "code": _concept(suggestion, suggestion.referral),
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def _concept(suggestion: Suggestion, standard: Coding | None) -> Json:
    """What is ordered: the code of a standard where one was confirmed, and of an alternative always our own,
    by which a record system finds its own order for it. The words say the same to people."""
    own = Coding(TREATMENTS, suggestion.id, suggestion.text) if suggestion.id else None
    coded = [_coding(one) for one in (standard, own) if one is not None]
    return {"text": suggestion.text, **({"coding": coded} if coded else {})}


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
