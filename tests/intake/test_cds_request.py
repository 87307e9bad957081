"""A CDS Hooks request, whatever stands in it, is read, or refused with the place that is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.codes import CodeSets
from stewardship.domain.drugs import Medication
from stewardship.domain.errors import InvalidInput, PatientMismatch
from stewardship.domain.units import Units
from stewardship.intake.cds_request import read_request
from tests.builders import NOW, a_drug
from tests.cds_hooks.requests import a_draft, a_hook, a_past
from tests.intake.fhir import bundle


class Shelf:
    """A catalogue of one product."""

    def recognise(self, medication: Medication):
        return a_drug() if any(c.code == "1049621" for c in medication.codings) else None


def read(document: Any, **said: Any):
    return read_request(
        document, catalogue=Shelf(), code_sets=CodeSets({}, {}), units=Units({}), as_of=NOW, **said
    )


def test_the_request_says_which_hook_it_is_of():
    assert read(a_hook("p", hook="patient-view")).hook == "patient-view"
    assert read(a_hook("p")).hook == "order-sign"


@pytest.mark.parametrize("hook", ["medication-prescribe", "", None])
def test_a_hook_that_nobody_here_answers_is_refused(hook):
    with pytest.raises(InvalidInput) as refused:
        read({**a_hook("p"), "hook": hook})
    assert [fault.pointer for fault in refused.value.faults] == ["/hook"]


def test_the_clients_server_and_token_are_in_nothing_that_is_read():
    asked = read(
        a_hook("p", fhirServer="https://SECRET.example", fhirAuthorization={"access_token": "SECRET"})
    )
    assert "SECRET" not in repr(asked)


def test_a_medicine_may_stand_in_the_prefetch_of_its_order():
    draft = a_draft("p", medicationCodeableConcept=None, medicationReference={"reference": "Medication/m"})
    medicine = {"resourceType": "Medication", "id": "m", "code": {"coding": [{"code": "1049621"}]}}
    (order,) = read(a_hook("p", draft, prefetch={"anything": bundle(medicine)})).orders
    assert order.drug == a_drug()


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.text(max_size=8)
    | st.sampled_from(["Bundle", "Patient"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["resourceType", "entry", "resource", "link", "total", "id", "subject", "reference"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["medicationRequests", "patient", "x", "y"]), ANYTHING), ANYTHING)
def test_anything_at_all_is_read_or_refused(prefetch, context):
    past = a_past("p", days_ago=3)
    for request in (
        a_hook("p", prefetch={**prefetch, "past": past}),
        {**a_hook("p"), "context": context},
        {**a_hook("p"), "context": {"patientId": "p", "draftOrders": context, "selections": context}},
        {
            **a_hook("p"),
            "context": {"patientId": "p", "draftOrders": {"resourceType": "Bundle", "entry": context}},
        },
        context,
    ):
        try:
            asked = read(request)
        except (InvalidInput, PatientMismatch):
            continue
        assert asked.chart.patient.id == asked.patient_id


def test_what_was_brought_is_kept_whatever_else_came_with_it():
    asked = read(
        a_hook("p", prefetch={"broken": [1, "two", {"resourceType": 3}], "past": a_past("p", days_ago=3)})
    )
    assert len(asked.chart.supplies) == 1
    assert ("history-error", "prefetch") in {(gap.code, gap.about) for gap in asked.chart.gaps}
