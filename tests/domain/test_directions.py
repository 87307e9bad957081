"""Directions in words: what is written, and nothing else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stewardship.domain.directions import counted, directions, sentence
from stewardship.domain.dosage import DosageInstruction, Quantity
from tests.builders import tablets


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (tablets(1), "1 tablet once a day"),
        (tablets(2, times=2), "2 tablets twice a day"),
        (tablets(1, times=4), "1 tablet 4 times a day"),
        (tablets(1, every=6, unit="h"), "1 tablet every 6 hours"),
        (tablets(1, every=6, unit="h", as_needed=True), "1 tablet every 6 hours as needed"),
        (tablets(1, every=4, unit="h", period_max=Decimal(6)), "1 tablet every 4 to 6 hours"),
        (tablets(1, times=3, frequency_max=Decimal(4)), "1 tablet 3 to 4 times a day"),
        (tablets(1, times=2, every=2, unit="wk"), "1 tablet twice in 2 weeks"),
        (
            tablets(1, max_per_day=Quantity(Decimal(8), "tablet")),
            "1 tablet once a day, at most 8 tablets in a day",
        ),
        (tablets(1, duration_days=Decimal(5)), "1 tablet once a day for 5 days"),
        (tablets("2.50"), "2.5 tablets once a day"),
        (DosageInstruction(dose_low=Decimal(1), dose_high=Decimal(2), dose_unit="tablet"), "1 to 2 tablets"),
        (DosageInstruction(as_needed=True), "as needed"),
        (DosageInstruction(), ""),
    ],
    ids=lambda value: value if isinstance(value, str) and value else None,
)
def test_an_instruction_in_words(one, words):
    assert sentence(one) == words


def test_the_prescribers_own_words_stand_as_they_are():
    assert directions([tablets(1, text="One at night")]) == "One at night"


def test_several_instructions_stand_side_by_side():
    assert directions([tablets(1), tablets(2)]) == "1 tablet once a day; 2 tablets once a day"


def test_what_is_measured_has_no_plural():
    assert [counted(Decimal(5), unit) for unit in ("mL", "mg", "patch", "")] == [
        "5 mL",
        "5 mg",
        "5 patches",
        "5",
    ]
