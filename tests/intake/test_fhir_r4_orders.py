"""A draft MedicationRequest becomes an order: what each element means, and what is not guessed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from stewardship.domain.codes import CodeSets
from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Medication
from stewardship.domain.errors import PatientMismatch
from stewardship.domain.orders import Loss, Phase, Replacement, Setting
from stewardship.domain.units import Units
from stewardship.intake import fhir_r4
from tests.builders import NOW, TODAY, a_drug
from tests.intake.fhir import (
    GONE,
    REPLACEMENT,
    SNOMED,
    a_condition,
    a_patient,
    a_request,
    bundle,
    concept,
)

CODE_SETS = CodeSets(
    exact={
        ("snomed-ct", "82423001"): frozenset({"chronic-pain"}),
        ("snomed-ct", "274663001"): frozenset({"acute-pain"}),
    },
    prefixes={},
)


UNITS = Units({"{tablet}": "tablet", "tablet": "tablet", "mg": "mg", "d": "d"})


class Shelf:
    """A catalogue of one product: what these tests are about is the reader."""

    def recognise(self, medication: Medication):
        return a_drug() if any(c.code == "1049621" for c in medication.codings) else None


def read(document, **said):
    return fhir_r4.read_bundle(
        document, catalogue=Shelf(), code_sets=CODE_SETS, units=UNITS, as_of=NOW, **said
    )


def order(**said):
    (only,) = read(a_request(**said)).orders
    return only


def problems(**said):
    return {gap.about for gap in read(a_request(**said)).chart.gaps if gap.code == "order-unreadable"}


def dispense(**said):
    return {"dispenseRequest": said}


def test_what_an_order_says():
    found = order()
    assert (found.id, found.patient_id, found.prescriber) == ("rx-1", "p-1", "dr-1")
    assert found.drug == a_drug()
    assert (found.written_on, found.start_on) == (TODAY, None)
    assert found.quantity == Quantity(Decimal(12), "tablet")
    assert (found.days_supply, found.refills) == (Decimal(3), 0)
    assert found.setting is Setting.OUTPATIENT
    assert read(a_request()).chart.gaps == ()


def test_a_code_nobody_knows_leaves_the_medicine_as_written():
    found = order(medicationCodeableConcept=concept("999", display="something new"))
    assert found.drug is None
    assert found.medication.label == "something new"


def test_the_name_of_the_prescriber_is_not_read():
    assert "Somebody" not in repr(order())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"value": 30, "unit": "days", "code": "d"}, 30),
        ({"value": 30, "unit": "days"}, 30),
        ({"value": Decimal("4.0"), "code": "wk"}, 28),
        ({"value": 1, "code": "mo"}, 30),
        ({"value": 72, "code": "h"}, 3),
    ],
)
def test_the_days_of_supply_in_any_unit_of_time(written, expected):
    assert order(**dispense(expectedSupplyDuration=written)).days_supply == expected


@pytest.mark.parametrize(
    "written",
    [
        {"value": "30", "code": "d"},
        {"value": 30},
        {"value": 30, "code": "mg"},
        {"code": "d"},
        {"value": -3, "code": "d"},
        {"value": 3, "code": "d", "comparator": "<"},
        {"value": True, "code": "d"},
        "30 days",
        30,
    ],
)
def test_a_length_of_supply_that_cannot_be_read_is_not_stated_and_is_named(written):
    said = dispense(expectedSupplyDuration=written)
    assert order(**said).days_supply is None
    assert any(
        about.startswith("MedicationRequest[0].dispenseRequest.expected") for about in problems(**said)
    )


@pytest.mark.parametrize("refills", ["3", Decimal("1.5"), -1, [3], True])
def test_refills_that_are_no_count_are_not_stated_and_are_named(refills):
    said = dispense(numberOfRepeatsAllowed=refills)
    assert order(**said).refills is None
    assert order(**said).unread == ("refills",)
    assert problems(**said) == {"MedicationRequest[0].dispenseRequest.numberOfRepeatsAllowed"}


def test_refills_that_are_not_stated_are_not_unread():
    assert order(dispenseRequest=GONE).unread == ()
    assert order(dispenseRequest=["?"]).unread == ("refills",)


def test_nothing_of_a_fault_is_repeated():
    gaps = read(
        a_request(authoredOn="ZZQCANARY", category="ZZQCANARY", subject={"reference": "Patient/p-1"})
    ).chart.gaps
    assert gaps
    assert "ZZQCANARY" not in repr(gaps)


# --- dates ------------------------------------------------------------------------------------------


def test_the_day_is_the_one_written_in_the_writers_own_zone():
    assert order(authoredOn="2026-11-20T20:30:00-06:00").written_on == date(2026, 11, 20)


def test_a_draft_without_a_date_is_of_today():
    assert order(authoredOn=GONE).written_on == TODAY
    assert problems(authoredOn=GONE) == set()


@pytest.mark.parametrize(
    "written",
    ["2026", "2026-11", "21/11/2026", 20261121, "2026-02-30", "20261121", "2026-W47-6", "２０26-11-21"],
)
def test_a_date_of_issue_that_is_no_day_is_today_and_is_named(written):
    assert order(authoredOn=written).written_on == TODAY
    assert problems(authoredOn=written) == {"MedicationRequest[0].authoredOn"}


def period(start, end="2027-02-01"):
    return dispense(validityPeriod={"start": start, "end": end})


def test_an_earliest_fill_date_after_the_date_of_issue_is_when_supply_starts():
    assert order(**period("2026-12-20T00:00:00-06:00")).starts_on == date(2026, 12, 20)


@pytest.mark.parametrize("start", ["2026-11-21", "2026-08-30", None])
def test_a_period_that_begins_no_later_than_the_order_puts_nothing_off(start):
    assert order(**period(start)).start_on is None


def test_a_period_that_ends_before_it_begins_puts_nothing_off_and_is_named():
    said = period("2099-01-01", "2026-12-01")
    assert order(**said).start_on is None
    assert problems(**said) == {"MedicationRequest[0].dispenseRequest.validityPeriod"}


# --- what it is for -----------------------------------------------------------------------------------


def test_a_coded_indication_states_the_phase():
    found = order(reasonCode=[concept("82423001", SNOMED)]).pain
    assert found.phase is Phase.CHRONIC
    assert found.reason_sets == {"chronic-pain"}


def test_two_indications_that_contradict_each_other_state_no_phase():
    found = order(reasonCode=[concept("82423001", SNOMED), concept("274663001", SNOMED)]).pain
    assert found.phase is Phase.UNKNOWN


def test_a_condition_referred_to_gives_codes_and_onset():
    said = a_request(reasonReference=[{"reference": "Condition/cond-1"}])
    (found,) = read(bundle(said, a_condition(code=concept("1", SNOMED)))).orders
    assert [c.code for c in found.pain.reasons] == ["1"]
    assert found.pain.onset == date(2026, 1, 10)
    assert found.pain.phase is Phase.UNKNOWN


def test_of_several_conditions_the_latest_onset_counts():
    said = a_request(reasonReference=[{"reference": "Condition/a"}, {"reference": "urn:uuid:b"}])
    both = bundle(said, a_condition(id="a"), a_condition(id="b", onsetDateTime="2026-11-10"))
    assert read(both).orders[0].pain.onset == date(2026, 11, 10)


def test_an_onset_of_which_only_the_year_is_known_is_read_as_its_last_day_before_today():
    both = bundle(
        a_request(reasonReference=[{"reference": "Condition/cond-1"}]), a_condition(onsetDateTime="2026")
    )
    assert read(both).orders[0].pain.onset == TODAY


@pytest.mark.parametrize(
    ("codes", "setting"),
    [
        (["community"], Setting.OUTPATIENT),
        (["discharge"], Setting.DISCHARGE),
        (["inpatient"], Setting.INPATIENT),
        (["inpatient", "community"], Setting.OUTPATIENT),
        (["of-some-kind"], Setting.UNKNOWN),
        ([], Setting.UNKNOWN),
    ],
)
def test_the_category_says_where_it_will_be_taken(codes, setting):
    assert order(category=[concept(code, "any") for code in codes]).setting is setting


# --- a lost prescription ------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["lost", "stolen", "destroyed"])
def test_our_extension_says_what_the_order_replaces(loss):
    found = order(
        extension=[{"url": REPLACEMENT, "valueCode": loss}],
        priorPrescription={"reference": "MedicationRequest/rx-0"},
    )
    assert found.replaces == Replacement(Loss(loss), "rx-0")


NCPDP = "https://opioid-stewardship.example/CodeSystem/ncpdp-submission-clarification-code"


@pytest.mark.parametrize(
    "said",
    [
        {"identifier": [{"system": NCPDP, "value": "4"}]},
        {"extension": [{"url": "urn:any", "valueCoding": {"system": NCPDP, "code": "4"}}]},
        {"extension": [{"url": "urn:any", "valueCodeableConcept": concept("4", NCPDP)}]},
    ],
)
def test_the_pharmacys_code_for_a_lost_prescription_is_a_replacement(said):
    assert order(**said).replaces == Replacement(Loss.LOST)


def test_another_clarification_code_is_no_replacement():
    assert order(identifier=[{"system": NCPDP, "value": "3"}]).replaces is None


def test_an_earlier_prescription_alone_is_no_replacement():
    assert order(priorPrescription={"reference": "MedicationRequest/rx-0"}).replaces is None


def test_a_loss_that_nobody_defined_is_named():
    assert problems(extension=[{"url": REPLACEMENT, "valueCode": "eaten"}]) == {
        "MedicationRequest[0].extension(replacement).valueCode"
    }


# --- where the medicine stands ------------------------------------------------------------------------


def elsewhere(reference, **said):
    return a_request(medicationCodeableConcept=GONE, medicationReference={"reference": reference}, **said)


MEDICINE = {"resourceType": "Medication", "id": "med-1", "code": concept("1049621")}


@pytest.mark.parametrize(
    "document",
    [
        elsewhere("#med-1", contained=[MEDICINE]),
        bundle(elsewhere("Medication/med-1"), MEDICINE),
        bundle(elsewhere("urn:uuid:med-1"), MEDICINE),
        bundle(elsewhere("https://ehr.example/fhir/Medication/med-1/_history/3"), MEDICINE),
    ],
    ids=["contained", "relative", "urn", "absolute"],
)
def test_a_medicine_that_stands_elsewhere_is_found(document):
    assert read(document).orders[0].drug == a_drug()


def test_a_medicine_that_is_nowhere_is_named_and_not_guessed_from_its_name():
    said = a_request(
        medicationCodeableConcept=GONE,
        medicationReference={"reference": "Medication/x", "display": "oxycodone 5 mg"},
    )
    reading = read(said)
    assert reading.orders[0].drug is None
    assert reading.orders[0].medication.text == "oxycodone 5 mg"
    assert [gap.about for gap in reading.chart.gaps] == ["MedicationRequest[0].medicationReference"]


# --- which requests are orders, and whose -------------------------------------------------------------


def test_drafts_are_the_orders_and_the_others_are_history():
    reading = read(bundle(a_request(), a_request(id="rx-0", status="active", authoredOn="2026-10-01")))
    assert [o.id for o in reading.orders] == ["rx-1"]
    assert [s.id for s in reading.chart.supplies] == ["rx-0"]


def test_the_caller_may_name_the_orders():
    reading = read(bundle(a_request(), a_request(id="rx-0", status="active")), order_ids={"rx-0"})
    assert [o.id for o in reading.orders] == ["rx-0"]
    assert reading.chart.supplies == ()


def test_an_instruction_not_to_give_is_no_order():
    assert read(a_request(doNotPerform=True)).orders == ()


def test_a_modifier_that_nobody_understands_is_named():
    assert problems(modifierExtension=[{"url": "urn:any"}]) == {"MedicationRequest[0].modifierExtension"}


def test_two_patients_in_one_document_are_refused():
    with pytest.raises(PatientMismatch):
        read(bundle(a_patient(), a_request(subject={"reference": "Patient/p-2"})))


def test_a_patient_by_address_by_urn_and_by_id_is_one_patient():
    document = bundle(
        a_patient(),
        a_request(subject={"reference": "https://ehr.example/fhir/Patient/p-1"}),
        a_request(id="rx-2", subject={"reference": "urn:uuid:p-1"}),
        a_condition(),
    )
    assert read(document).patient.id == "p-1"
