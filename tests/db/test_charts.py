"""Joining what the database knows with what a request brought: nothing twice, nothing lost."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stewardship.db.charts import join
from stewardship.domain.chart import Condition, Gap, Patient
from stewardship.domain.orders import SupplyKind
from tests.builders import NOW, TODAY, a_chart, a_supply

EARLIER = NOW - timedelta(days=2)


def ids(chart):
    return [f"{s.kind.value} {s.id}" for s in chart.supplies]


def prescription(name, **more):
    return a_supply(id=name, kind=SupplyKind.PRESCRIPTION, **more)


def test_the_same_record_counts_once_as_the_request_brought_it():
    known = a_chart(prescription("rx-1", status="active"))
    brought = a_chart(prescription("rx-1", status="stopped"))
    assert [s.status for s in join(known, brought).supplies] == ["stopped"]


def test_a_dispensing_and_a_prescription_of_one_id_are_two_records():
    known, brought = a_chart(prescription("1")), a_chart(a_supply(id="1"))
    assert ids(join(known, brought)) == ["prescription 1", "dispensing 1"]


def test_a_prescription_known_by_its_number_counts_once():
    known = a_chart(prescription("ours", prescription="N-7"))
    brought = a_chart(prescription("theirs", prescription="N-7"))
    assert ids(join(known, brought)) == ["prescription theirs"]


def test_a_number_of_another_pharmacy_is_another_prescription():
    known = a_chart(prescription("ours", prescription="7", pharmacy="a"))
    brought = a_chart(prescription("theirs", prescription="7", pharmacy="b"))
    assert len(join(known, brought).supplies) == 2


def test_one_fill_told_by_two_sources_counts_once():
    fill = {"prescription": "N-7", "fill": 1, "pharmacy": "ph", "start": TODAY}
    known, brought = a_chart(a_supply(id="feed", **fill)), a_chart(a_supply(id="ehr", **fill))
    assert ids(join(known, brought)) == ["dispensing ehr"]


def test_the_next_fill_and_the_rest_of_a_part_fill_are_their_own():
    known = a_chart(
        a_supply(prescription="N-7", fill=0), a_supply(prescription="N-7", fill=1, start=date(2026, 11, 20))
    )
    brought = a_chart(a_supply(prescription="N-7", fill=1, start=TODAY))
    assert len(join(known, brought).supplies) == 3


def test_a_fill_whose_number_is_not_stated_is_never_taken_for_another():
    known, brought = a_chart(a_supply(prescription="N-7")), a_chart(a_supply(prescription="N-7"))
    assert len(join(known, brought).supplies) == 2


@given(st.integers(1, 7), st.integers(0, 7))
def test_identical_prescriptions_with_ids_of_their_own_all_count(known, brought):
    mine = a_chart(*(prescription(f"k-{n}") for n in range(known)))
    theirs = a_chart(*(prescription(f"b-{n}") for n in range(brought)))
    assert len(join(mine, theirs).supplies) == known + brought


@given(st.integers(0, 5))
def test_a_chart_joined_with_itself_is_itself(count):
    chart = a_chart(
        *(a_supply() for _ in range(count)),
        conditions=(Condition("c", ()),),
        gaps=(Gap("history-incomplete"),),
        data_as_of=EARLIER,
    )
    assert join(chart, chart) == chart


def test_that_no_diagnoses_were_brought_is_a_gap_until_some_are_known():
    brought = a_chart(gaps=(Gap("record-missing", "Condition"),))
    assert join(a_chart(), brought).gaps == brought.gaps
    assert join(a_chart(conditions=(Condition("a", ()),)), brought).gaps == ()


def test_facts_of_both_are_there_and_the_same_id_once():
    known = a_chart(conditions=(Condition("a", ()), Condition("b", (), active=True)))
    brought = a_chart(conditions=(Condition("b", (), active=False), Condition("c", ())))
    assert [(c.id, c.active) for c in join(known, brought).conditions] == [
        ("a", None),
        ("b", False),
        ("c", None),
    ]


def test_a_gap_in_what_was_brought_stays_a_gap():
    joined = join(a_chart(a_supply()), a_chart(gaps=(Gap("history-error", "MedicationRequest"),)))
    assert joined.gaps == (Gap("history-error", "MedicationRequest"),)


def test_the_chart_is_as_of_the_known_moment_and_as_fresh_as_its_older_source():
    joined = join(a_chart(as_of=NOW, data_as_of=EARLIER), a_chart(as_of=EARLIER, data_as_of=NOW))
    assert (joined.as_of, joined.data_as_of) == (NOW, EARLIER)
    assert join(a_chart(data_as_of=EARLIER), a_chart()).data_as_of == EARLIER


def test_what_is_stated_of_the_patient_is_not_lost_to_what_is_not():
    known = a_chart(patient=Patient("p-1", date(1950, 1, 1), "male", deceased=True))
    joined = join(known, a_chart(patient=Patient("p-1", sex="female")))
    assert joined.patient == Patient("p-1", date(1950, 1, 1), "female", deceased=True)
