"""What the rest of a request tells about the patient: the chart, and the gaps in it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.chart import Gap
from stewardship.domain.codes import RXNORM, CodeSets, Coding
from stewardship.domain.drugs import Medication
from stewardship.domain.errors import PatientMismatch
from stewardship.domain.orders import Loss, SupplyKind
from stewardship.domain.units import Units
from stewardship.intake import fhir_r4
from stewardship.intake.fhir_r4 import Resources
from tests.builders import NOW, TODAY, a_drug, an_order
from tests.intake.fhir import (
    GONE,
    LOINC,
    REPLACEMENT,
    SNOMED,
    a_condition,
    a_dispense,
    a_patient,
    a_request,
    a_statement,
    an_observation,
    bundle,
    concept,
    other,
)

CODE_SETS = CodeSets(exact={("snomed-ct", "82423001"): frozenset({"chronic-pain"})}, prefixes={})


UNITS = Units({"{tablet}": "tablet", "tablet": "tablet", "mg": "mg", "d": "d"})


class Shelf:
    """A catalogue of one product."""

    def recognise(self, medication: Medication):
        return a_drug() if any(c.code == "1049621" for c in medication.codings) else None


def chart(*documents: Any, **said: Any):
    given = {"catalogue": Shelf(), "code_sets": CODE_SETS, "units": UNITS, "as_of": NOW, "patient_id": "p-1"}
    return fhir_r4.read_history(Resources(*documents), **(given | said))


def an_active(**said: Any) -> dict[str, Any]:
    return a_request(**({"id": "rx-0", "status": "active", "authoredOn": "2026-10-01"} | said))


def supply(*documents: Any):
    (only,) = chart(*documents).supplies
    return only


# --- supplies -----------------------------------------------------------------------------------------


def test_a_prescription_of_the_history():
    found = supply(an_active())
    assert (found.id, found.prescription, found.kind) == ("rx-0", "rx-0", SupplyKind.PRESCRIPTION)
    assert (found.start_on, found.days_supply, found.status) == (date(2026, 10, 1), 3, "active")


def test_a_dispensing_fills_the_prescription_that_it_names():
    found = supply(a_dispense())
    assert (found.kind, found.prescription, found.start_on) == (
        SupplyKind.DISPENSING,
        "rx-0",
        date(2026, 11, 1),
    )
    assert (found.quantity.value, found.days_supply, found.status) == (30, 5, "completed")


def test_a_dispensing_that_names_its_prescription_by_urn_gets_the_same_id():
    both = chart(bundle(an_active(), a_dispense(authorizingPrescription=[{"reference": "urn:uuid:rx-0"}])))
    assert {s.prescription for s in both.supplies} == {"rx-0"}


def test_days_of_supply_without_a_unit_are_days():
    assert supply(a_dispense(daysSupply={"value": 5})).days_supply == 5


def test_a_dispensing_is_dated_by_its_preparation_when_nothing_else_is_known():
    assert supply(a_dispense(whenHandedOver=GONE, whenPrepared="2026-11-02")).start_on == date(2026, 11, 2)


def test_a_statement_says_from_when_until_when():
    found = supply(a_statement())
    assert (found.kind, found.start_on, found.ended_on) == (
        SupplyKind.STATEMENT,
        date(2026, 10, 1),
        date(2026, 10, 20),
    )


def test_an_earlier_replacement_is_remembered():
    assert (
        supply(an_active(extension=[{"url": REPLACEMENT, "valueCode": "stolen"}])).replaces.loss
        is Loss.STOLEN
    )


@pytest.mark.parametrize(
    "left_out",
    [
        an_active(status="entered-in-error"),
        an_active(status="cancelled"),
        an_active(status="draft"),
        an_active(intent="proposal"),
        an_active(intent="plan"),
        an_active(doNotPerform=True),
        a_dispense(status="declined"),
        a_dispense(status="cancelled"),
        a_dispense(status="entered-in-error"),
        a_statement(status="not-taken"),
        a_statement(status="intended"),
        a_statement(status="entered-in-error"),
    ],
)
def test_what_put_no_medicine_into_anybodys_hands_is_no_supply(left_out):
    assert chart(left_out) == chart()


@pytest.mark.parametrize(
    ("status", "read_as"),
    [
        ("active", "active"),
        ("on-hold", "active"),
        ("completed", "completed"),
        ("stopped", "stopped"),
        ("unknown", "unknown"),
        ("something-else", "unknown"),
        (GONE, "unknown"),
    ],
)
def test_the_status_of_a_supply(status, read_as):
    assert supply(an_active(status=status)).status == read_as


def test_seven_prescriptions_are_seven():
    assert len(chart(*[an_active(id=f"rx-{n}") for n in range(7)]).supplies) == 7


def test_seven_prescriptions_without_an_id_are_seven():
    found = chart(*[an_active(id=GONE) for _ in range(7)]).supplies
    assert len({s.id for s in found}) == 7


def test_the_same_prescription_under_two_keys_is_one():
    assert len(chart(an_active(), bundle(an_active())).supplies) == 1


def test_the_order_itself_is_not_its_own_history():
    assert chart(an_active(), drafts={"rx-0": None}).supplies == ()
    assert chart(an_active(), drafts={"rx-0": an_order(id="rx-0")}).supplies == ()


def test_a_prescription_of_another_medicine_under_the_id_of_a_draft_is_history():
    # Published requests name the draft and what the patient takes alike; to drop either loses a medicine.
    morphine = an_order(id="rx-0", drug=a_drug("morphine", "7052", "15"))
    (kept,) = chart(an_active(), drafts={"rx-0": morphine}).supplies
    assert kept.drug == a_drug()
    assert kept.id != "rx-0"
    assert kept.prescription == "rx-0"


def test_a_medicine_that_nobody_recognises_is_the_draft_only_when_it_is_written_alike():
    written = an_active(medicationCodeableConcept=concept("999", display="Wonderdrug"))
    unknown = Medication((Coding(RXNORM, "999", "Wonderdrug"),))
    alike = an_order(id="rx-0", unrecognised=True, medication=unknown)
    assert chart(written, drafts={"rx-0": alike}).supplies == ()
    assert len(chart(written, drafts={"rx-0": an_order(id="rx-0")}).supplies) == 1


@pytest.mark.parametrize(
    ("written", "start"),
    [("2026-10", date(2026, 10, 31)), ("2025", date(2025, 12, 31)), ("2026-11", TODAY), ("2026", TODAY)],
)
def test_of_an_incomplete_date_a_supply_takes_the_last_day_it_can_mean(written, start):
    assert supply(an_active(authoredOn=written)).start_on == start


# --- everything else ----------------------------------------------------------------------------------


def test_a_condition():
    (found,) = chart(a_condition()).conditions
    assert (found.active, found.onset, found.recorded_on) == (True, date(2026, 1, 10), date(2026, 2, 1))
    assert found.sets == {"chronic-pain"}


CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


@pytest.mark.parametrize(
    ("said", "active"),
    [
        ({"clinicalStatus": concept("relapse", CLINICAL)}, True),
        ({"clinicalStatus": concept("resolved", CLINICAL)}, False),
        ({"clinicalStatus": concept("remission", CLINICAL)}, False),
        ({"clinicalStatus": GONE}, None),
        ({"clinicalStatus": GONE, "abatementDateTime": "2026-05-01"}, False),
        ({"verificationStatus": concept("confirmed", CLINICAL)}, True),
        ({"verificationStatus": concept("provisional", CLINICAL)}, None),
    ],
)
def test_whether_a_condition_is_active(said, active):
    assert chart(a_condition(**said)).conditions[0].active is active


@pytest.mark.parametrize("verification", ["refuted", "entered-in-error"])
def test_a_refuted_condition_is_none(verification):
    assert chart(a_condition(verificationStatus=concept(verification, CLINICAL))).conditions == ()


def test_evidence_of_which_only_the_year_is_known_is_as_old_as_can_be():
    assert chart(a_condition(recordedDate="2026")).conditions[0].recorded_on == date(2026, 1, 1)


def test_an_observation_with_a_value():
    (found,) = chart(an_observation()).observations
    assert (found.value, found.unit, found.on, found.category) == (
        Decimal("6.3"),
        "{score}",
        date(2026, 11, 2),
        "survey",
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"valueString": "POS", "interpretation": [concept("POS", "urn:v2")]}, (None, "POS", ["POS"])),
        ({"valueCodeableConcept": concept("10828004", SNOMED)}, (None, "", ["10828004"])),
        ({"valueQuantity": {"value": 5, "code": "ng/mL", "comparator": "<"}}, (None, "<5", [])),
        ({"valueQuantity": {"value": -2, "code": "Cel"}}, (-2, "", [])),
        ({"valueInteger": 7}, (7, "", [])),
        ({"valueBoolean": False}, (None, "false", [])),
    ],
)
def test_the_result_of_an_observation(said, expected):
    (found,) = chart(an_observation(**({"valueQuantity": GONE} | said))).observations
    assert (found.value, found.said, [c.code for c in found.coded]) == expected


def test_each_component_is_an_observation():
    parts = [
        {"code": concept("75893-8", LOINC), "valueInteger": 6},
        {"code": concept("91145-3", LOINC), "valueInteger": 5},
    ]
    found = chart(an_observation(valueQuantity=GONE, component=parts)).observations
    assert [(o.id, o.value, o.on) for o in found[1:]] == [
        ("obs-1#1", 6, date(2026, 11, 2)),
        ("obs-1#2", 5, date(2026, 11, 2)),
    ]


PDMP = {"code": concept("461621000124108", SNOMED)}


def test_a_procedure_done_and_one_only_ordered():
    done = other(
        "Procedure", status="completed", performedPeriod={"start": "2026-10-01", "end": "2026-10-05"}, **PDMP
    )
    ordered = other("ServiceRequest", status="active", intent="order", authoredOn="2026-11-01", **PDMP)
    found = chart(done, ordered).procedures
    assert [(p.done, p.on) for p in found] == [(True, date(2026, 10, 1)), (False, date(2026, 11, 1))]


@pytest.mark.parametrize("status", ["not-done", "entered-in-error"])
def test_a_procedure_not_done_is_none(status):
    assert chart(other("Procedure", status=status, **PDMP)).procedures == ()


def test_a_plan_was_reviewed_when_it_was_written_or_progress_was_added():
    plan = other(
        "CarePlan",
        status="active",
        category=[concept("80764-4", LOINC)],
        created="2026-03-02",
        meta={"lastUpdated": "2026-11-20T00:00:00Z"},
        activity=[{"progress": [{"time": "2026-08-01T09:00:00Z", "text": "walks again"}]}],
    )
    (found,) = chart(plan).plans
    assert (found.active, found.reviewed_on) == (True, date(2026, 8, 1))


def test_a_goal():
    goal = other(
        "Goal",
        lifecycleStatus="active",
        description={"text": "climb the stairs"},
        startDate="2026-09-01",
        target=[{"dueDate": "2026-12-01"}],
    )
    (found,) = chart(goal).goals
    assert (found.said, found.active, found.due_on) == ("climb the stairs", True, date(2026, 12, 1))


def test_a_visit_that_is_only_planned_is_none():
    visit = {"type": [concept("99213", "http://www.ama-assn.org/go/cpt")], "period": {"start": "2026-11-01"}}
    assert chart(other("Encounter", status="planned", **visit)).encounters == ()
    (found,) = chart(other("Encounter", status="finished", **visit)).encounters
    assert (found.codings[0].system, found.from_on) == ("cpt", date(2026, 11, 1))


def test_a_patient_is_an_id_and_a_date_of_birth_and_never_a_name():
    found = chart(a_patient(deceasedDateTime="2026-11-01"))
    assert (found.patient.birth_date, found.patient.sex, found.patient.deceased) == (
        date(1980, 5, 1),
        "female",
        True,
    )
    assert "ZZQCANARY" not in repr(found)


def test_without_a_patient_resource_only_the_id_is_known():
    assert chart().patient.birth_date is None


# --- whatever it was wrapped in -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        an_active(),
        [an_active()],
        {"response": {"status": "200"}, "resource": an_active()},
        bundle(an_active()),
        bundle(an_active(), type="batch-response"),
        {"resourceType": "Bundle", "entry": {"resource": an_active()}},
        {"resourceType": "Bundle", "entry": [an_active()]},
        {"resourceType": "Bundle", "entry": [{"response": {}, "resource": {"resource": an_active()}}]},
        bundle(bundle(an_active())),
    ],
)
def test_a_resource_is_found_in_any_wrapper(document):
    assert supply(document).id == "rx-0"


@pytest.mark.parametrize(
    "document", [None, "text", 5, [], {}, {"resourceType": 7}, {"resourceType": "Bundle"}]
)
def test_what_is_no_resource_is_passed_over(document):
    assert chart(document) == chart()


# --- what could not be read ---------------------------------------------------------------------------


def test_a_fault_in_the_fourth_prescription_is_named_by_its_place():
    three = [an_active(id=f"rx-{n}") for n in range(3)]
    assert chart(*three, an_active(id="rx-9", authoredOn=20261001)).gaps == (
        Gap("resource-unreadable", "MedicationRequest[3].authoredOn"),
    )


def test_a_record_with_a_fault_still_counts():
    assert supply(an_active(authoredOn="yesterday")).start_on is None


@pytest.mark.parametrize(
    "stranger",
    [
        a_patient(id="p-2"),
        an_active(subject={"reference": "Patient/p-2"}),
        a_dispense(subject={"reference": "Patient/p-2"}),
        a_condition(subject={"reference": "p-2"}),
        an_observation(subject={"reference": "Group/p-9"}),
        an_active(subject="Patient/p-2"),
        an_active(subject={"reference": 2}),
        an_active(status="entered-in-error", subject={"reference": "Patient/p-2"}),
    ],
)
def test_anything_about_somebody_else_is_refused(stranger):
    with pytest.raises(PatientMismatch) as refused:
        chart(a_patient(), an_active(), stranger)
    assert "p-2" not in str(refused.value)


def test_a_record_that_names_nobody_is_the_patients():
    assert supply(an_active(subject=GONE)).id == "rx-0"


def test_a_subject_that_repeats_the_records_own_id_names_nobody():
    assert supply(an_active(subject={"reference": "rx-0"})).id == "rx-0"


@pytest.mark.parametrize("subject", ["Patient/rx-0", "MedicationRequest/rx-0", "rx-1", "rx-0 ", "#rx-0"])
def test_any_other_subject_that_is_not_the_patient_is_refused(subject):
    with pytest.raises(PatientMismatch):
        chart(an_active(subject={"reference": subject}))


# --- whatever comes -----------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SAMPLES = [
    a_request(),
    an_active(contained=[a_condition()], reasonReference=[{"reference": "#cond-1"}]),
    a_dispense(),
    a_statement(),
    a_condition(),
    an_observation(component=[{"code": concept("1", LOINC)}]),
    a_patient(),
    other("Procedure", status="completed", performer=[{"actor": {"reference": "x"}}], **PDMP),
    other("ServiceRequest", status="active", **PDMP),
    other("CarePlan", status="active", period={"start": "2026"}, note=[{"time": "2026"}]),
    other("Goal", lifecycleStatus="active", description={"text": "t"}, target=[{"dueDate": "2026"}]),
    other("Encounter", status="finished", **{"class": {"code": "AMB"}}, period={"start": "2026"}),
]


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *[place for key, value in inner for place in _places(value, (*path, key))]]


def _with(node: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copied = dict(node) if isinstance(node, dict) else list(node)
    copied[place[0]] = _with(node[place[0]], place[1:], value)
    return copied


@given(st.data())
def test_anything_at_all_in_any_place_is_read_or_named_and_never_fails(data):
    sample = data.draw(st.sampled_from(SAMPLES))
    place = data.draw(
        st.sampled_from([p for p in _places(sample) if p and p[0] not in ("subject", "resourceType")])
    )
    broken = _with(sample, place, data.draw(ANYTHING))
    if sample["resourceType"] == "Patient" and place == ("id",):
        return
    reading = fhir_r4.read_bundle(broken, catalogue=Shelf(), code_sets=CODE_SETS, units=UNITS, as_of=NOW)
    assert reading.chart.patient.id == "p-1"
