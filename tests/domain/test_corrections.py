"""New, Revise and Void: one and the same outcome for every order of arrival."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.domain.codes import NDC, Coding
from stewardship.domain.corrections import standings, stands, unmatched
from stewardship.domain.dispensings import (
    Dispensed,
    DispensingReport,
    Pharmacy,
    Prescriber,
    Reporting,
)
from stewardship.domain.drugs import Medication

NEW, REVISE, VOID = Reporting.NEW, Reporting.REVISE, Reporting.VOID


def a_row(reporting: Reporting, hour: int | None = 0, *, quantity: int = 20, **more: Any) -> Dispensed:
    """A row of the report made at this hour; ``None`` for a report without a time."""
    made = None if hour is None else datetime(2026, 1, 5, hour)  # noqa: DTZ001 - the sender's clock
    row = Dispensed(
        report=DispensingReport("4.2A", f"C{hour}", made),
        position=1,
        reporting=reporting,
        pharmacy=Pharmacy(ncpdp="1234567"),
        prescriber=Prescriber(dea="AB1234563"),
        prescription="RX1",
        written_on=date(2026, 1, 4),
        refills=0,
        filled_on=date(2026, 1, 5),
        fill=0,
        medication=Medication((Coding(NDC, "00406012301"),)),
        quantity=Decimal(quantity),
        unit="each",
        days_supply=5,
    )
    return replace(row, **more)


@pytest.mark.parametrize(
    ("rows", "void", "waiting", "quantity"),
    [
        ([a_row(NEW, 1, quantity=10)], False, False, 10),
        ([a_row(NEW, 1, quantity=10), a_row(REVISE, 2, quantity=20)], False, False, 20),
        ([a_row(NEW, 1), a_row(VOID, 2, quantity=9)], True, False, 9),
        # A Revise made after the Void does not bring it back; a New does.
        ([a_row(NEW, 1), a_row(VOID, 2, quantity=9), a_row(REVISE, 3)], True, False, 9),
        ([a_row(NEW, 1), a_row(VOID, 2), a_row(NEW, 3, quantity=7)], False, False, 7),
        # An old Revise that arrives late changes nothing.
        ([a_row(NEW, 1), a_row(REVISE, 2, quantity=5), a_row(REVISE, 3, quantity=6)], False, False, 6),
        # Corrections of what nobody reported.
        ([a_row(REVISE, 2, quantity=8)], False, True, 8),
        ([a_row(VOID, 2, quantity=8)], True, True, 8),
        ([a_row(REVISE, 1), a_row(VOID, 2, quantity=8), a_row(REVISE, 3)], True, True, 8),
        # Made at no known time: before everything else.
        ([a_row(NEW, None, quantity=1), a_row(REVISE, 1, quantity=2)], False, False, 2),
    ],
)
def test_what_stands_in_every_order_of_arrival(rows, void, waiting, quantity):
    for arrived in permutations(rows):
        standing = stands(arrived)
        assert (standing.void, standing.unmatched, standing.row.quantity) == (void, waiting, quantity)
        assert (standing.dispensed is None) is void


def test_within_one_file_the_later_position_wins():
    first, second = a_row(NEW, 1, position=1), a_row(REVISE, 1, position=2, quantity=3)
    assert stands([second, first]).row.quantity == 3


def test_other_keys_are_other_dispensings():
    rows = [a_row(NEW, 1), a_row(NEW, 1, fill=1), a_row(VOID, 2, fill=1), a_row(VOID, 2, partial=2)]
    found = standings(rows)
    assert sorted((k.fill, k.partial, s.void) for k, s in found.items()) == [
        (0, 0, False), (0, 2, True), (1, 0, True)
    ]  # fmt: skip
    assert [s.key.partial for s in unmatched(found)] == [2]


def test_the_name_of_a_dispensing_gives_nothing_away():
    key = a_row(NEW).key
    assert "RX1" not in key.id
    assert key.id == a_row(VOID, 3).key.id
    assert key.id != a_row(NEW, fill=1).key.id


some_rows = st.lists(
    st.builds(
        a_row,
        st.sampled_from(Reporting),
        st.one_of(st.none(), st.integers(0, 4)),
        quantity=st.integers(1, 3),
        position=st.integers(1, 3),
        fill=st.integers(0, 1),
    ),
    min_size=1,
    max_size=8,
)


@given(some_rows, st.data())
def test_arrival_and_repetition_change_nothing(rows, data):
    shuffled = data.draw(st.permutations(rows + data.draw(st.lists(st.sampled_from(rows)))))
    assert standings(rows) == standings(shuffled)


@given(some_rows)
def test_a_dispensing_is_void_exactly_if_a_void_follows_its_last_new(rows):
    for key, standing in standings(rows).items():
        ordered = sorted(
            (r for r in rows if r.key == key),
            key=lambda r: (r.report.created or datetime.min, r.report.control_number, r.position, repr(r)),  # noqa: DTZ901
        )
        void = False
        for row in ordered:
            void = row.reporting is VOID or (void and row.reporting is REVISE)
        assert standing.void is void
