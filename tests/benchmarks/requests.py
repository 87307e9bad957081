"""What is asked in the benchmarks: a chart of 30 supplies, and an order-sign request of about 12 KB.

Nobody in them exists. The request is what an EHR sends for an outpatient with a back injury: the draft, ten
earlier dispensings, two conditions and a measurement. Ids that differ from request to request
hold a mark of fixed length, so that a load generator can put a number there without reading JSON.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from stewardship.declarations import Library
from stewardship.domain.chart import Chart, Condition, Observation, Patient
from stewardship.domain.codes import ICD10CM, LOINC, RXNORM, Coding
from stewardship.domain.dosage import DosageInstruction, Quantity
from stewardship.domain.drugs import Drug, Medication
from stewardship.domain.orders import Order, Pain, Phase, Setting, Supply, SupplyKind
from stewardship.intake.strict_json import dumps
from tests.intake.fhir import LOINC as LOINC_ADDRESS
from tests.intake.fhir import SNOMED, bundle, concept, days, dosage, tablets

#: Stands for the number of the request, and for that of the patient.
ORDER_MARK = "@@order@"
PATIENT_MARK = "@patient"

_OXYCODONE = ("1049621", "oxycodone hydrochloride 5 MG Oral Tablet")
_HYDROCODONE = ("856987", "acetaminophen 300 MG / hydrocodone bitartrate 5 MG Oral Tablet")
_NAPROXEN = ("198014", "naproxen 500 MG Oral Tablet")
_GABAPENTIN = ("310430", "gabapentin 100 MG Oral Capsule")


# --- over HTTP ------------------------------------------------------------------------------------------


def order_sign(today: date) -> bytes:
    """The request, with ``ORDER_MARK`` and ``PATIENT_MARK`` where it differs from the next one."""
    subject = {"reference": f"Patient/{PATIENT_MARK}"}
    fills = [_fill(number, today, subject) for number in range(10)]
    document = {
        "hook": "order-sign",
        "hookInstance": f"7d1c1c6e-3b1e-4c55-9d43-{ORDER_MARK:0>12}",
        "fhirServer": "https://ehr.example/fhir",
        "context": {
            "userId": "Practitioner/dr-1",
            "patientId": PATIENT_MARK,
            "encounterId": "visit-1",
            "draftOrders": bundle(_draft(today, subject), type="collection"),
        },
        "prefetch": {
            "patient": _patient(),
            "medicationRequests": None,
            "medicationDispenses": bundle(*fills, total=len(fills)),
            "medicationStatements": None,
            "conditions": bundle(
                _condition("c-1", "279039007", "Low back pain", today - timedelta(days=9), subject),
                _condition("c-2", "38341003", "Hypertensive disorder", today - timedelta(days=900), subject),
            ),
            "observations": bundle(
                _observation("o-1", "91147-9", "PEG 3 item pain scale", "6", today, subject),
            ),
            "procedures": None,
            "carePlans": None,
            "goals": None,
            "encounters": None,
        },
    }
    return dumps(document)


def _draft(today: date, subject: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": f"draft-{ORDER_MARK}",
        "status": "draft",
        "intent": "order",
        "priority": "routine",
        "category": [
            concept(
                "outpatient",
                "http://terminology.hl7.org/CodeSystem/medicationrequest-category",
                "Outpatient",
            )
        ],
        "medicationCodeableConcept": concept(_OXYCODONE[0], display=_OXYCODONE[1]),
        "subject": subject,
        "encounter": {"reference": "Encounter/visit-1"},
        "authoredOn": today.isoformat(),
        "requester": {"reference": "Practitioner/dr-1"},
        "reasonCode": [concept("279039007", SNOMED, "Low back pain")],
        "dosageInstruction": [dosage(sequence=1, text="one tablet four times a day as needed for pain")],
        "dispenseRequest": {
            "validityPeriod": {"start": today.isoformat()},
            "numberOfRepeatsAllowed": 0,
            "quantity": tablets(20),
            "expectedSupplyDuration": days(5),
        },
    }


def _fill(number: int, today: date, subject: dict[str, Any]) -> dict[str, Any]:
    """One of ten earlier dispensings, a month apart; now an opioid, now something else."""
    code, name = (_NAPROXEN, _HYDROCODONE, _GABAPENTIN, _NAPROXEN, _NAPROXEN)[number % 5]
    on = today - timedelta(days=40 + 30 * number)
    return {
        "resourceType": "MedicationDispense",
        "id": f"fill-{PATIENT_MARK}-{number}",
        "status": "completed",
        "medicationCodeableConcept": concept(code, display=name),
        "subject": subject,
        "authorizingPrescription": [{"reference": f"MedicationRequest/rx-{PATIENT_MARK}-{number}"}],
        "quantity": tablets(20),
        "daysSupply": days(5),
        "whenHandedOver": f"{on.isoformat()}T16:20:00-06:00",
        "dosageInstruction": [dosage()],
    }


def _condition(own_id: str, code: str, name: str, began: date, subject: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": f"{own_id}-{PATIENT_MARK}",
        "clinicalStatus": concept("active", "http://terminology.hl7.org/CodeSystem/condition-clinical"),
        "verificationStatus": concept(
            "confirmed", "http://terminology.hl7.org/CodeSystem/condition-ver-status"
        ),
        "category": [
            concept("problem-list-item", "http://terminology.hl7.org/CodeSystem/condition-category")
        ],
        "code": concept(code, SNOMED, name),
        "subject": subject,
        "onsetDateTime": began.isoformat(),
        "recordedDate": began.isoformat(),
    }


def _observation(
    own_id: str, code: str, name: str, value: str, today: date, subject: dict[str, Any]
) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"{own_id}-{PATIENT_MARK}",
        "status": "final",
        "category": [concept("survey", "http://terminology.hl7.org/CodeSystem/observation-category")],
        "code": concept(code, LOINC_ADDRESS, name),
        "subject": subject,
        "effectiveDateTime": f"{(today - timedelta(days=3)).isoformat()}T09:00:00Z",
        "valueQuantity": {"value": Decimal(value), "unit": "1", "code": "1"},
    }


def _patient() -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": PATIENT_MARK,
        "active": True,
        "name": [{"use": "official", "family": "Example", "given": ["Nobody"]}],
        "gender": "female",
        "birthDate": "1984-03-14",
        "address": [{"city": "Denver", "state": "CO", "postalCode": "80203", "country": "US"}],
    }


# --- in process -----------------------------------------------------------------------------------------


def chart_of_thirty(library: Library, now: datetime) -> Chart:
    """Ten months of prescriptions with their dispensings, and other medicines beside them: 30 supplies."""
    today = now.date()
    supplies: list[Supply] = []
    for month in range(10):
        start = today - timedelta(days=40 + 30 * month)
        script = _supply(library, _HYDROCODONE, SupplyKind.PRESCRIPTION, f"rx-{month}", start)
        fill = _supply(
            library, _HYDROCODONE, SupplyKind.DISPENSING, f"fill-{month}", start + timedelta(days=1)
        )
        other = _supply(library, _NAPROXEN, SupplyKind.DISPENSING, f"other-{month}", start)
        supplies += [script, fill, other]
    return Chart(
        patient=Patient("p-1", date(1984, 3, 14), "female"),
        as_of=now,
        supplies=tuple(supplies),
        conditions=(
            Condition(
                "c-1", (Coding(ICD10CM, "M54.50"),), active=True, recorded_on=today - timedelta(days=9)
            ),
        ),
        observations=(Observation("o-1", (Coding(LOINC, "91147-9"),), on=today, value=Decimal(6)),),
    )


def short_order(library: Library, now: datetime) -> Order:
    """Five days of oxycodone for acute pain."""
    return _order(library, now, Phase.ACUTE, 5)


def long_order(library: Library, now: datetime) -> Order:
    """Forty-five days of oxycodone for chronic pain, which several policies stop."""
    return _order(library, now, Phase.CHRONIC, 45)


def _order(library: Library, now: datetime, phase: Phase, length: int) -> Order:
    medication, drug = _product(library, _OXYCODONE)
    return Order(
        id="order-1",
        patient_id="p-1",
        medication=medication,
        drug=drug,
        written_on=now.date(),
        dosage=(_four_a_day(),),
        quantity=Quantity(Decimal(4 * length), "tablet"),
        days_supply=Decimal(length),
        refills=0,
        pain=Pain(phase),
        setting=Setting.OUTPATIENT,
        prescriber="dr-1",
    )


def _supply(library: Library, product: tuple[str, str], kind: SupplyKind, own_id: str, start: date) -> Supply:
    medication, drug = _product(library, product)
    return Supply(
        id=own_id,
        kind=kind,
        medication=medication,
        drug=drug,
        start_on=start,
        dosage=(_four_a_day(),),
        quantity=Quantity(Decimal(20), "tablet"),
        days_supply=Decimal(5),
        refills=0,
        status="completed",
        prescription=f"rx-{own_id.rpartition('-')[2]}" if "other" not in own_id else "",
    )


def _product(library: Library, product: tuple[str, str]) -> tuple[Medication, Drug | None]:
    medication = Medication((Coding(RXNORM, *product),), product[1])
    return medication, library.catalogue.recognise(medication)


def _four_a_day() -> DosageInstruction:
    return DosageInstruction(
        dose_low=Decimal(1),
        dose_high=Decimal(1),
        dose_unit="tablet",
        frequency=Decimal(4),
        period=Decimal(1),
        period_unit="d",
    )
