"""A reported dispensing as a supply in a patient's history."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from stewardship.declarations.drugs import read_catalogue
from stewardship.declarations.places import REFERENCE
from stewardship.domain.dosage import Quantity
from stewardship.domain.fills import supply_of
from stewardship.domain.orders import SupplyKind
from tests.intake.asap.files import PRESCRIBER, a_file, dispensing, patient, the_row


@pytest.fixture(scope="module")
def catalogue():
    """The shipped catalogue."""
    return read_catalogue(REFERENCE)


@pytest.fixture
def supply():
    """A dispensing with these elements, as a supply."""

    def made(*hanging, of=None, **elements):
        row = the_row(a_file(of or patient(), dispensing(**elements), PRESCRIBER, hanging))
        return supply_of(row, zip_code="", payments={})

    return made


def test_everything_that_a_chart_needs(supply, catalogue):
    known = next(iter(catalogue.ndcs()))
    found = supply(e08=known, e04="2", e06="1", e24="03", e25="C79.51")
    assert found.kind is SupplyKind.DISPENSING
    assert catalogue.recognise(found.medication) is not None
    assert found.start_on == date(2026, 1, 5)
    assert (found.quantity, found.days_supply) == (Quantity(Decimal(20), "each"), Decimal(5))
    assert (found.refills, found.fill, found.treatment_type, found.status) == (2, 1, "03", "completed")
    assert (found.pharmacy, found.prescriber) == ("ncpdp:1234567", "1234567893")
    assert [c.code for c in found.reasons] == ["C79.51"]


def test_a_product_that_is_not_known_stays_a_supply(supply, catalogue):
    assert catalogue.recognise(supply(e08="00000000000").medication) is None


def test_a_compound_is_none_of_its_ingredients(supply, catalogue):
    known = next(iter(catalogue.ndcs()))
    found = supply(f"CDI*01*01*{known}*1*01", e07="06", e08=known)
    assert found.drug is None
    assert found.medication.codings == ()


@pytest.mark.parametrize(("element", "field"), [("e10", "days_supply"), ("e09", "quantity")])
def test_zero_means_that_nobody_counted(supply, element, field):
    assert getattr(supply(**{element: "0"}), field) is None


def test_fills_of_one_prescription_belong_together(supply):
    first, second, other = supply(e06="0"), supply(e06="1"), supply(e02="RX9")
    assert first.prescription == second.prescription != other.prescription
    assert first.id != second.id


@pytest.mark.parametrize(
    ("elements", "prescription"),
    [({"e20": "REF1"}, "REF1"), ({"e20": "REF1", "e21": "ORDER1"}, "ORDER1"), ({}, "ncpdp:1234567/RX0001")],
)
def test_an_electronic_prescription_is_linked_by_its_own_number(supply, elements, prescription):
    assert supply(**elements).prescription == prescription


def test_ids_give_nothing_away(supply):
    assert "RX0001" not in supply().id
