"""CDS Hooks requests that say only what differs."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

from tests.builders import TODAY
from tests.intake.fhir import SNOMED, a_patient, a_request, bundle, concept, days, dosage, other, tablets

SERVICES = {
    "order-sign": "opioid-order-sign",
    "order-select": "opioid-order-select",
    "patient-view": "opioid-patient-view",
}
OXYCODONE = concept("1049621", display="oxycodone hydrochloride 5 MG Oral Tablet")
OXYCODONE_ER = concept("1049502", display="12 HR oxycodone hydrochloride 10 MG Extended Release Oral Tablet")
IBUPROFEN = concept("310965", display="ibuprofen 200 MG Oral Tablet")
FLURAZEPAM = concept("1298088", display="flurazepam hydrochloride 15 MG Oral Capsule")
PDMP_REVIEW = "461621000124108"
PHYSICAL_THERAPY = "91251008"
NOBODY_KNOWS = concept("999999999", display="Wonderdrug 5 MG Oral Tablet")

_patients = count(1)


def a_new_patient() -> str:
    """The id of a patient whom no other test has spoken of."""
    return f"p-{next(_patients)}"


def a_draft(patient: str, *, length: int = 3, **said: Any) -> dict[str, Any]:
    """So many days of oxycodone 5 mg, four a day, for acute pain."""
    given = {
        "id": f"draft-of-{patient}",
        "subject": {"reference": f"Patient/{patient}"},
        "dispenseRequest": {
            "numberOfRepeatsAllowed": 0,
            "quantity": tablets(4 * length),
            "expectedSupplyDuration": days(length),
        },
        "dosageInstruction": [dosage()],
    }
    return a_request(**(given | said))


def a_past(patient: str, *, days_ago: int, length: int = 3, **said: Any) -> dict[str, Any]:
    """An earlier prescription."""
    given = {
        "id": f"rx-{patient}-{days_ago}",
        "status": "active",
        "authoredOn": (TODAY - timedelta(days=days_ago)).isoformat(),
    }
    return a_draft(patient, length=length, **(given | said))


def nothing_before(patient: str) -> dict[str, Any]:
    """A prefetch that says: there is no history."""
    return {
        "patient": a_patient(id=patient),
        "medicationRequests": None,
        "medicationDispenses": None,
        "medicationStatements": None,
        "conditions": None,
    }


def a_procedure(patient: str, code: str, *, days_ago: int = 1, **said: Any) -> dict[str, Any]:
    """Something done for the patient, by its SNOMED CT code."""
    given = {
        "id": f"proc-{patient}-{code}",
        "status": "completed",
        "code": concept(code, SNOMED),
        "performedDateTime": (TODAY - timedelta(days=days_ago)).isoformat(),
        "subject": {"reference": f"Patient/{patient}"},
    }
    return other("Procedure", **(given | said))


def looked_after(patient: str, *history: dict[str, Any], **said: Any) -> dict[str, Any]:
    """A prefetch without earlier opioids, in which everything was done that a first short course asks for:
    the PDMP was looked at yesterday, and physical therapy was tried. ``history`` is what else there was."""
    done = [a_procedure(patient, PDMP_REVIEW), a_procedure(patient, PHYSICAL_THERAPY)]
    procedures = bundle(*done)
    if history:
        said["history"] = bundle(*history)
    return nothing_before(patient) | {"procedures": procedures} | said


def a_hook(patient: str, *drafts: dict[str, Any], hook: str = "order-sign", **said: Any) -> dict[str, Any]:
    """Signing a short course for a patient without a history, for whom everything else was seen to."""
    context: dict[str, Any] = {"userId": "Practitioner/dr-1", "patientId": patient}
    if hook != "patient-view":
        context["draftOrders"] = bundle(*(drafts or (a_draft(patient),)), type="collection")
    return {
        "hook": hook,
        "hookInstance": "7d1c1c6e-3b1e-4c55-9d43-0f3c5a1f2b11",
        "context": {**context, **said.pop("context", {})},
        "prefetch": looked_after(patient),
    } | said


def topics(answer: dict[str, Any]) -> list[str]:
    """The policies of the cards, in their order."""
    return [card["source"]["topic"]["code"] for card in answer["cards"]]


def found(answer: dict[str, Any], policy: str) -> dict[str, Any]:
    """What a policy found."""
    (finding,) = (f for f in answer["extension"]["stewardship"]["findings"] if f["policy"] == policy)
    return finding
