"""Sparse documents come back as they were, and hold nothing that is not stated."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from stewardship.db import sparse
from stewardship.domain.codes import Coding
from stewardship.domain.dispensings import (
    Address,
    CompoundIngredient,
    Dispensed,
    DispensingReport,
    Identifier,
    Identity,
    Pharmacy,
    Prescriber,
    Reporting,
)
from stewardship.domain.drugs import Medication

REPORT = DispensingReport("4.2", "0001", datetime(2026, 1, 5, 9, 30))  # noqa: DTZ001 - a sender's own clock
PHARMACY = Pharmacy(ncpdp="1234567", address=Address(zip="12207"))
ROW = Dispensed(
    REPORT, 1, Reporting.REVISE, PHARMACY, Prescriber(npi="1"), "RX1",
    date(2026, 1, 4), 0, date(2026, 1, 5), 0,
    Medication((Coding("ndc", "00406055201"),)), Decimal("20.50"), "each", 5,
    ingredients=(CompoundIngredient(1, Medication((Coding("ndc", "1"),)), Decimal("1.0"), "g"),),
    serial=("NY", "7"),
)  # fmt: skip


def test_a_row_comes_back_with_what_was_kept_elsewhere():
    document = sparse.encode(ROW, without=frozenset({"report", "pharmacy"}))
    assert sparse.decode(document, Dispensed, report=REPORT, pharmacy=PHARMACY) == ROW
    assert "control_number" not in document


def test_an_identity_comes_back():
    identity = Identity("DOE", "TEST", date(1970, 1, 1), ids=(Identifier("06", "S1", "NY"),))
    assert sparse.decode(sparse.encode(identity), Identity) == identity


def test_what_is_not_stated_takes_no_room():
    assert sparse.encode(Pharmacy(npi="1")) == '{"npi":"1"}'
    assert sparse.encode(Pharmacy(npi="1", address=Address())) == '{"npi":"1"}'
