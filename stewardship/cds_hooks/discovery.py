"""The services, one for each hook, as discovery tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Queries that any FHIR R4 server answers: a type, the patient, and token search; no includes.
_PATIENT = "patient={{context.patientId}}"
_PREFETCH = {
    "patient": "Patient/{{context.patientId}}",
    "medicationRequests": f"MedicationRequest?{_PATIENT}",
    "medicationDispenses": f"MedicationDispense?{_PATIENT}",
    "medicationStatements": f"MedicationStatement?{_PATIENT}",
    "conditions": f"Condition?{_PATIENT}",
    "observations": f"Observation?{_PATIENT}&category=survey,laboratory",
    "procedures": f"Procedure?{_PATIENT}",
    "carePlans": f"CarePlan?{_PATIENT}",
    "goals": f"Goal?{_PATIENT}",
    "encounters": f"Encounter?{_PATIENT}",
}


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of discovery. The id is part of its address and never changes."""

    id: str
    hook: str
    title: str
    description: str
    usage: str

    def as_json(self) -> dict[str, Any]:
        """As CDS Hooks writes it."""
        return {
            "hook": self.hook,
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "prefetch": dict(_PREFETCH),
            "usageRequirements": self.usage,
        }


_USAGE = (
    "Needs an API token of role ehr. Every prefetch key may be left out; what is then not checked is said."
)

SERVICES: dict[str, Service] = {
    service.id: service
    for service in (
        Service(
            "opioid-order-sign",
            "order-sign",
            "Opioid policies at signing",
            "Checks every medication order in the draft against opioid law and policy, and says which "
            "policy objects, on what facts, and what to do next.",
            _USAGE,
        ),
        Service(
            "opioid-order-select",
            "order-select",
            "Opioid policies while ordering",
            "Checks the medication orders that were just selected; the other drafts count too.",
            _USAGE,
        ),
        Service(
            "opioid-patient-view",
            "patient-view",
            "Opioid policies when a chart is opened",
            "Looks at a patient's chart for what opioid policies ask to be noticed without an order.",
            _USAGE,
        ),
    )
}
