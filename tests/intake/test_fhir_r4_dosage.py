"""FHIR Dosage becomes a dosage instruction, or names what it could not read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from stewardship.domain.dosage import DosageInstruction, Quantity
from stewardship.domain.units import Units
from stewardship.intake.fhir_r4 import dosage as reader
from tests.intake.fhir import concept, dosage, tablets

GTS = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"


UNITS = Units({"{tablet}": "tablet", "tablet": "tablet", "mg": "mg"})


def read_dosage(written: Any) -> DosageInstruction:
    return reader.read_dosage(written, UNITS)


def timing(**repeat: Any) -> dict[str, Any]:
    return {"timing": {"repeat": repeat}}


def mg(value: str) -> dict[str, Any]:
    return {"value": Decimal(value), "unit": "mg", "code": "mg"}


def entry(dose: str, kind: str = "") -> dict[str, Any]:
    typed = {"type": concept(kind, "http://terminology.hl7.org/CodeSystem/dose-rate-type")} if kind else {}
    return {**typed, "doseQuantity": tablets(dose)}


def test_one_tablet_four_times_a_day():
    assert read_dosage(dosage()) == DosageInstruction(
        dose_low=Decimal(1),
        dose_high=Decimal(1),
        dose_unit="tablet",
        frequency=Decimal(4),
        period=Decimal(1),
        period_unit="d",
    )


def test_one_or_two_tablets_every_four_to_six_hours_as_needed():
    found = read_dosage(
        {
            **timing(frequency=1, frequencyMax=2, period=4, periodMax=6, periodUnit="h"),
            "asNeededCodeableConcept": concept("22253000", "http://snomed.info/sct"),
            "doseAndRate": [{"doseRange": {"low": tablets(1), "high": tablets(2)}}],
        }
    )
    assert (found.dose_low, found.dose_high, found.dose_unit) == (1, 2, "tablet")
    assert (found.frequency, found.frequency_max, found.period, found.period_max) == (1, 2, 4, 6)
    assert found.as_needed
    assert found.problems == ()


def test_a_range_without_a_low_end_is_read_as_its_high_end():
    found = read_dosage({"doseAndRate": [{"doseRange": {"high": tablets(2)}}]})
    assert (found.dose_low, found.dose_high) == (2, 2)


def test_of_alternative_statements_the_ordered_one_is_the_dose():
    found = read_dosage({"doseAndRate": [entry("3", "calculated"), entry("1", "ordered"), entry("2")]})
    assert (found.dose_high, found.problems) == (1, ())


def test_statements_that_agree_are_one_dose():
    found = read_dosage({"doseAndRate": [entry("1", "calculated"), entry("1", "admin-amount")]})
    assert (found.dose_high, found.problems) == (1, ())


def test_statements_that_do_not_agree_cannot_tell():
    found = read_dosage({"doseAndRate": [entry("1"), entry("2")]})
    assert (found.dose_high, found.problems) == (None, ("doseAndRate",))


def test_a_dose_where_the_earlier_release_of_fhir_wrote_it():
    assert read_dosage({"doseQuantity": tablets(2)}).dose_high == 2


def test_a_dose_without_a_unit_has_none():
    assert read_dosage({"doseAndRate": [{"doseQuantity": {"value": Decimal("1.0")}}]}).dose_unit == ""


def test_clock_times_meals_and_days_are_counted():
    found = read_dosage(
        timing(timeOfDay=["08:00:00", "20:00:00"], when=["HS"], dayOfWeek=["mon", "wed", "fri"])
    )
    assert (found.times_of_day, found.when, found.days_of_week) == (2, 1, 3)


def test_a_rhythm_by_a_code_that_hl7_defines():
    found = read_dosage({"timing": {"code": concept("TID", GTS)}})
    assert (found.frequency, found.period, found.period_unit, found.problems) == (3, 1, "d", ())


def test_a_rhythm_by_any_other_code_cannot_tell():
    assert read_dosage({"timing": {"code": concept("TID", "urn:ours")}}).problems == ("timing.code",)


def test_a_code_beside_a_rhythm_changes_nothing():
    written = timing(frequency=2, period=1, periodUnit="d")
    written["timing"]["code"] = concept("TID", GTS)
    assert read_dosage(written).frequency == 2


@pytest.mark.parametrize(
    ("bounds", "days"),
    [
        ({"boundsDuration": {"value": 7, "code": "d"}}, 7),
        ({"boundsDuration": {"value": 2, "code": "wk"}}, 14),
        ({"boundsPeriod": {"start": "2026-11-21", "end": "2026-11-23T08:00:00Z"}}, 3),
        ({"boundsPeriod": {"start": "2026-11-21"}}, None),
        ({"boundsRange": {"low": {"value": 3, "code": "d"}, "high": {"value": 5, "code": "d"}}}, 5),
    ],
)
def test_how_long_a_step_lasts(bounds, days):
    found = read_dosage(timing(frequency=1, period=1, periodUnit="d", **bounds))
    assert (found.duration_days, found.problems) == (days, ())


@pytest.mark.parametrize(
    ("ratio", "tablets_a_day"),
    [
        ({"numerator": tablets(6), "denominator": {"value": 1, "code": "d"}}, 6),
        ({"numerator": tablets(2), "denominator": {"value": 8, "code": "h"}}, 6),
        ([{"numerator": tablets(6), "denominator": {"value": 24, "code": "h"}}], 6),
    ],
)
def test_the_most_in_a_period_is_brought_to_a_day(ratio, tablets_a_day):
    assert read_dosage({"maxDosePerPeriod": ratio}).max_per_day == Quantity(Decimal(tablets_a_day), "tablet")


@pytest.mark.parametrize(
    "rate",
    [
        {"rateQuantity": {"value": Decimal("0.5"), "code": "mg/h"}},
        {"rateRatio": {"numerator": mg("0.5"), "denominator": {"value": 1, "code": "h"}}},
        {
            "rateRange": {
                "low": {"value": Decimal("0.5"), "code": "mg/h"},
                "high": {"value": Decimal("0.5"), "code": "mg/h"},
            }
        },
    ],
)
def test_a_rate_is_an_amount_in_so_many_hours(rate):
    found = read_dosage({"doseAndRate": [rate]})
    assert (found.rate_low, found.rate_high) == (Decimal("0.5"), Decimal("0.5"))
    assert (found.rate_unit, found.rate_hours, found.problems) == ("mg", 1, ())


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (
            {"doseAndRate": [{"doseQuantity": {"value": "1", "unit": "tablet"}}]},
            "doseAndRate.doseQuantity.value",
        ),
        ({"doseAndRate": [{"doseQuantity": {"unit": "tablet"}}]}, "doseAndRate.doseQuantity"),
        ({"doseAndRate": [{"doseQuantity": {**tablets(2), "comparator": "<"}}]}, "doseAndRate.doseQuantity"),
        ({"doseAndRate": [{"doseQuantity": tablets(-1)}]}, "doseAndRate.doseQuantity.value"),
        ({"doseAndRate": [{"doseRange": {"low": tablets(1)}}]}, "doseAndRate.doseRange"),
        ({"doseAndRate": [{"doseRange": {"low": tablets(3), "high": tablets(1)}}]}, "doseAndRate.doseRange"),
        ({"doseAndRate": [{"doseRange": {"low": mg("1"), "high": tablets(2)}}]}, "doseAndRate.doseRange"),
        ({"doseAndRate": "one"}, "doseAndRate"),
        ({"doseAndRate": [{"rateQuantity": {"value": 1, "code": "mg"}}]}, "doseAndRate.rate"),
        (timing(frequency="4", period=1, periodUnit="d"), "timing.repeat.frequency"),
        (timing(frequency=4, period=1), "timing.repeat.periodUnit"),
        (timing(frequency=4, period=1, periodUnit="days"), "timing.repeat.periodUnit"),
        (timing(count=3), "timing.repeat.count"),
        (
            timing(frequency=1, period=1, periodUnit="d", boundsDuration={"value": 7}),
            "timing.repeat.boundsDuration",
        ),
        ({"timing": {"event": ["2026-11-21T08:00:00Z"]}}, "timing.event"),
        ({"timing": "daily"}, "timing"),
        ({"asNeededBoolean": "true"}, "asNeededBoolean"),
        ({"sequence": "1"}, "sequence"),
        ({"modifierExtension": [{}]}, "modifierExtension"),
        ({"maxDosePerPeriod": {"numerator": tablets(6)}}, "maxDosePerPeriod"),
        (
            {"maxDosePerPeriod": {"numerator": tablets(6), "denominator": {"value": 0, "code": "d"}}},
            "maxDosePerPeriod",
        ),
    ],
)
def test_what_cannot_be_read_is_a_problem_of_the_instruction(written, problem):
    assert read_dosage(written).problems == (problem,)


def test_an_instruction_that_is_none_is_an_instruction_with_a_problem():
    faults: list[str] = []
    (found,) = reader.read_dosages(["one a day"], "dosageInstruction", faults, UNITS)
    assert found.problems == ("dosageInstruction",)
    assert reader.read_dosages("one a day", "dosageInstruction", faults, UNITS) == ()
    assert faults == ["dosageInstruction"]


def test_a_taper_keeps_its_steps_in_order():
    steps = [dosage(times, sequence=number) for number, times in ((1, 4), (2, 3), (3, 2))]
    assert [(s.sequence, s.frequency) for s in reader.read_dosages(steps, "", [], UNITS)] == [
        (1, 4),
        (2, 3),
        (3, 2),
    ]


def test_what_was_read_before_is_not_taken_for_what_is_written_otherwise():
    numbered = dosage(doseAndRate=[{"doseQuantity": {**tablets(1), "value": Decimal("1.5")}}])
    quoted = dosage(doseAndRate=[{"doseQuantity": {**tablets(1), "value": "1.5"}}])
    assert read_dosage(numbered).dose_high == Decimal("1.5")
    assert read_dosage(quoted).dose_high is None
    assert read_dosage(quoted).problems
    assert read_dosage(numbered) == read_dosage(dict(numbered))
