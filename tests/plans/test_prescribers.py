"""Who prescribes, with which certifications: identifiers that check, boards that certify, days that count."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.db import Sessions, transaction
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.domain.prescribers import (
    Certification,
    CertificationKind,
    Fellowship,
    Prescriber,
    checked,
    is_npi,
    lacking,
)
from stewardship.services import prescribers
from tests.builders import NOW, TODAY
from tests.plans.tapering import declared
from tests.services.declared import ELSEWHERE, PRESCRIBER

BOARDS = declared().boards
#: The example of the standard: ten digits whose last one checks the others.
NPI = "1234567893"
PRIMARY = Certification(CertificationKind.PRIMARY, "aba", "anesthesiology", date(2015, 1, 1), lifelong=True)
PAIN = Certification(CertificationKind.PAIN_MEDICINE, "aba", "pain-medicine", date(2016, 1, 1), TODAY)
SOMEBODY = Prescriber("x", NPI, "anesthesiology", "u-1", (PRIMARY, PAIN), (Fellowship(12, True, TODAY),))


def test_the_check_digit_of_an_identifier() -> None:
    assert is_npi(NPI)
    assert [n for n in range(10) if is_npi(f"123456789{n}")] == [3]


@given(st.integers(0, 9), st.integers(0, 8))
def test_one_wrong_digit_is_always_found(digit: int, place: int) -> None:
    wrong = NPI[:place] + str(digit) + NPI[place + 1 :]
    assert is_npi(wrong) == (wrong == NPI)


@pytest.mark.parametrize(
    "text", ["", "123456789", "12345678931", "3234567893", "\u0661234567893", "12345 7893"]
)
def test_what_is_no_identifier(text: str) -> None:
    assert not is_npi(text)


def lacks(qualification: str, prescriber: Prescriber | None = SOMEBODY, on: date = TODAY) -> tuple[str, ...]:
    return lacking(prescriber, BOARDS.qualifications[qualification], on)


def test_a_certification_counts_to_its_last_day() -> None:
    assert lacks("double-board-certified") == ()
    assert lacks("double-board-certified", on=TODAY + timedelta(1)) == (
        f"pain-medicine certification ended on {TODAY}",
    )
    assert lacks("board-certified", on=TODAY + timedelta(9_000)) == ()


def test_one_whose_end_nobody_knows_does_not_count() -> None:
    unsure = replace(SOMEBODY, certifications=(replace(PAIN, until=None),))
    assert lacks("pain-medicine-certified", unsure) == (
        "pain-medicine certification is not known to be valid",
    )


@pytest.mark.parametrize("fellowship", [Fellowship(11, True, TODAY), Fellowship(12, False, TODAY)])
def test_a_fellowship_is_twelve_months_and_accredited(fellowship: Fellowship) -> None:
    assert lacks("pain-fellowship") == ()
    assert lacks("pain-fellowship", replace(SOMEBODY, fellowships=(fellowship,))) != ()


def test_who_is_not_there_or_not_active_any_more_is_not_qualified() -> None:
    assert lacks("board-certified", None) == ("not in the registry of prescribers",)
    assert lacks("board-certified", replace(SOMEBODY, active=False)) != ()


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"npi": "1234567890"}, "/npi"),
        ({"certifications": (replace(PRIMARY, board="abc"),)}, "/certifications/0/board"),
        ({"certifications": (replace(PRIMARY, specialty="neurology"),)}, "/certifications/0/specialty"),
        ({"certifications": (replace(PAIN, board="abfm"),)}, "/certifications/0/board"),
        ({"certifications": (replace(PAIN, until=date(2016, 1, 1)),)}, "/certifications/0/until"),
        ({"certifications": (replace(PAIN, lifelong=True),)}, "/certifications/0/lifelong"),
    ],
)
def test_what_cannot_be_is_refused_by_its_place(wrong: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked(replace(SOMEBODY, **wrong), BOARDS)
    assert [f.pointer for f in refused.value.faults] == [pointer]


# --- the registry ---------------------------------------------------------------------------------------


def keep(database: Sessions, prescriber: Prescriber) -> tuple[prescribers.PrescriberRead, bool]:
    with transaction(database) as session:
        return prescribers.keep(session, declared(), prescriber, by=PRESCRIBER, now=NOW)


def test_one_identifier_is_one_prescriber_and_the_same_again_changes_nothing(clinic: Sessions) -> None:
    (first, new), (second, again) = keep(clinic, SOMEBODY), keep(clinic, SOMEBODY)
    assert (first, new, again) == (second, True, False)
    third, changed = keep(clinic, replace(SOMEBODY, specialty="pain medicine"))
    assert (third.prescriber.id, third.version, changed) == (first.prescriber.id, 2, True)
    with transaction(clinic, write=False) as session:
        assert prescribers.listed(session, by=PRESCRIBER) == (third,)
        assert prescribers.listed(session, by=ELSEWHERE) == ()
        with pytest.raises(NotFound):
            prescribers.read(session, first.prescriber.id, by=ELSEWHERE)


def test_one_user_is_one_prescriber(clinic: Sessions) -> None:
    keep(clinic, SOMEBODY)
    with pytest.raises(Conflict, match="another identifier"):
        keep(clinic, replace(SOMEBODY, npi="1245319599"))
