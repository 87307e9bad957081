"""FHIR R4 resources that say only what differs, as strict JSON gives them (``int`` and ``Decimal``)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
REPLACEMENT = "https://opioid-stewardship.example/StructureDefinition/replacement"
GONE = object()
"""Stands for: leave this element out."""


def _resource(kind: str, given: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    whole = {"resourceType": kind, **given, **said}
    return {key: value for key, value in whole.items() if value is not GONE}


def concept(code: str, system: str = RXNORM, display: str = "") -> dict[str, Any]:
    """A CodeableConcept with one coding."""
    return {"coding": [{"system": system, "code": code, **({"display": display} if display else {})}]}


def days(value: int | str) -> dict[str, Any]:
    """A Duration in days."""
    return {"value": Decimal(value), "unit": "days", "system": UCUM, "code": "d"}


def tablets(value: int | str) -> dict[str, Any]:
    """A Quantity of tablets."""
    return {"value": Decimal(value), "unit": "tablet", "system": UCUM, "code": "{tablet}"}


def dosage(times: int = 4, dose: int | str = 1, **said: Any) -> dict[str, Any]:
    """One tablet four times a day."""
    return {
        "timing": {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": tablets(dose)}],
        **said,
    }


def a_request(**said: Any) -> dict[str, Any]:
    """Three days of oxycodone 5 mg tablets, written today."""
    return _resource(
        "MedicationRequest",
        {
            "id": "rx-1",
            "status": "draft",
            "intent": "order",
            "category": [
                concept("community", "http://terminology.hl7.org/CodeSystem/medicationrequest-category")
            ],
            "medicationCodeableConcept": concept(
                "1049621", display="oxycodone hydrochloride 5 MG Oral Tablet"
            ),
            "subject": {"reference": "Patient/p-1"},
            "authoredOn": "2026-11-21",
            "requester": {"reference": "Practitioner/dr-1", "display": "Dr. Somebody"},
            "dosageInstruction": [dosage()],
            "dispenseRequest": {
                "numberOfRepeatsAllowed": 0,
                "quantity": tablets(12),
                "expectedSupplyDuration": days(3),
            },
        },
        said,
    )


def a_dispense(**said: Any) -> dict[str, Any]:
    """Thirty tablets handed over on the 1st of November."""
    return _resource(
        "MedicationDispense",
        {
            "id": "fill-1",
            "status": "completed",
            "medicationCodeableConcept": concept("1049621"),
            "subject": {"reference": "Patient/p-1"},
            "authorizingPrescription": [{"reference": "MedicationRequest/rx-0"}],
            "quantity": tablets(30),
            "daysSupply": days(5),
            "whenHandedOver": "2026-11-01T10:00:00-06:00",
        },
        said,
    )


def a_statement(**said: Any) -> dict[str, Any]:
    """Taken from the 1st of October until the 20th."""
    return _resource(
        "MedicationStatement",
        {
            "id": "said-1",
            "status": "completed",
            "medicationCodeableConcept": concept("1049621"),
            "subject": {"reference": "Patient/p-1"},
            "effectivePeriod": {"start": "2026-10-01", "end": "2026-10-20"},
        },
        said,
    )


def a_condition(**said: Any) -> dict[str, Any]:
    """Chronic pain, active, since January."""
    return _resource(
        "Condition",
        {
            "id": "cond-1",
            "clinicalStatus": concept("active", "http://terminology.hl7.org/CodeSystem/condition-clinical"),
            "code": concept("82423001", SNOMED, "Chronic pain"),
            "subject": {"reference": "Patient/p-1"},
            "onsetDateTime": "2026-01-10",
            "recordedDate": "2026-02-01",
        },
        said,
    )


def an_observation(**said: Any) -> dict[str, Any]:
    """A PEG score of 6.3."""
    return _resource(
        "Observation",
        {
            "id": "obs-1",
            "status": "final",
            "category": [concept("survey", "http://terminology.hl7.org/CodeSystem/observation-category")],
            "code": concept("91147-9", LOINC),
            "subject": {"reference": "Patient/p-1"},
            "effectiveDateTime": "2026-11-02T09:00:00Z",
            "valueQuantity": {"value": Decimal("6.3"), "unit": "{score}", "code": "{score}", "system": UCUM},
        },
        said,
    )


def a_patient(**said: Any) -> dict[str, Any]:
    """Born in 1980, with a name that must not be read."""
    return _resource(
        "Patient",
        {"id": "p-1", "birthDate": "1980-05-01", "gender": "female", "name": [{"family": "ZZQCANARY"}]},
        said,
    )


def other(kind: str, **said: Any) -> dict[str, Any]:
    """Any other resource of the patient."""
    return _resource(kind, {"id": f"{kind.lower()}-1", "subject": {"reference": "Patient/p-1"}}, said)


def bundle(*resources: dict[str, Any], type: str = "searchset", **said: Any) -> dict[str, Any]:  # noqa: A002
    """A Bundle of the resources."""
    return {
        "resourceType": "Bundle",
        "type": type,
        "entry": [
            {"fullUrl": f"urn:uuid:{r.get('id')}", "resource": r} if r.get("id") else {"resource": r}
            for r in resources
        ],
        **said,
    }
