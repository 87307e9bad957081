"""FHIR Dosage -> dosage instruction.

What cannot be translated is named in ``problems``, and an instruction with problems cannot tell: a dose
that is a number in quotes, a frequency given only by a code nobody defined, a list of clock times
without a rhythm. Nothing falls back to once a day.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from stewardship.domain.dosage import DosageInstruction, Quantity
from stewardship.domain.units import Units
from stewardship.intake.fhir_r4.elements import (
    HOURS,
    Faults,
    Json,
    day,
    days,
    hours,
    number,
    objects,
    quantity,
    whole,
    words,
)
from stewardship.intake.fhir_r4.kept import ByText
from stewardship.intake.fhir_r4.vocabulary import timing_codes

_PERIOD_UNITS = frozenset({"s", "min", "h", "d", "wk", "mo", "a"})


def read_dosages(value: Any, path: str, faults: Faults, units: Units) -> tuple[DosageInstruction, ...]:
    """The instructions of an order or a supply, in the order in which they were written."""
    if value is None:
        return ()
    if type(value) is dict:
        value = [value]
    if type(value) is not list:
        faults.append(path)
        return ()
    return tuple(
        read_dosage(item, units) if type(item) is dict else DosageInstruction(problems=(path,))
        for item in value
    )


def read_dosage(written: Json, units: Units) -> DosageInstruction:
    """One instruction; its ``problems`` are paths within it."""
    return _INSTRUCTIONS.of(written, units, lambda part: _read_dosage(part, units))


_INSTRUCTIONS: ByText[Units, DosageInstruction] = ByText()


def _read_dosage(written: Json, units: Units) -> DosageInstruction:
    problems: Faults = []
    said: dict[str, Any] = {
        "sequence": whole(written.get("sequence"), "sequence", problems),
        "text": words(written.get("text")),
        "as_needed": _as_needed(written, problems),
    }
    if "modifierExtension" in written:
        problems.append("modifierExtension")
    timing = written.get("timing")
    if timing is not None:
        _timing(timing, said, problems)
    _dose_and_rate(written, said, problems, units)
    if written.get("maxDosePerPeriod") is not None:
        said["max_per_day"] = _per_day(written["maxDosePerPeriod"], problems, units)
    return DosageInstruction(problems=tuple(problems), **said)


def _as_needed(written: Json, problems: Faults) -> bool:
    flag = written.get("asNeededBoolean")
    if flag is not None and type(flag) is not bool:
        problems.append("asNeededBoolean")
    return flag is True or written.get("asNeededCodeableConcept") is not None


def _timing(timing: Any, said: dict[str, Any], problems: Faults) -> None:
    if type(timing) is not dict:
        problems.append("timing")
        return
    if timing.get("event"):
        problems.append("timing.event")
    repeat = timing.get("repeat")
    if repeat is None:
        _by_code(timing.get("code"), said, problems)
    elif type(repeat) is dict:
        _repeat(repeat, said, problems)
        if _says_no_rhythm(said) and timing.get("code") is not None:
            _by_code(timing["code"], said, problems)
    else:
        problems.append("timing.repeat")


def _says_no_rhythm(said: dict[str, Any]) -> bool:
    return not any(said.get(name) for name in ("frequency", "period", "times_of_day", "when"))


def _repeat(repeat: Json, said: dict[str, Any], problems: Faults) -> None:
    for name, key, path in _NUMBERS:
        if key in repeat:
            said[name] = number(repeat[key], path, problems)
    unit = words(repeat.get("periodUnit"))
    if unit in _PERIOD_UNITS:
        said["period_unit"] = unit
    elif "periodUnit" in repeat or said.get("period") is not None:
        problems.append("timing.repeat.periodUnit")
    for name, key, path in _COUNTED:
        if key in repeat:
            said[name] = _count(repeat[key], path, problems)
    if repeat.get("count") is not None and said.get("frequency") is None:
        # So many times in all, but no telling how often in a day.
        problems.append("timing.repeat.count")
    said["duration_days"] = _bounds(repeat, problems)


#: Names of ours, elements of FHIR, and where they stand.
_NUMBERS = (
    ("frequency", "frequency", "timing.repeat.frequency"),
    ("frequency_max", "frequencyMax", "timing.repeat.frequencyMax"),
    ("period", "period", "timing.repeat.period"),
    ("period_max", "periodMax", "timing.repeat.periodMax"),
)
_COUNTED = (
    ("times_of_day", "timeOfDay", "timing.repeat.timeOfDay"),
    ("when", "when", "timing.repeat.when"),
    ("days_of_week", "dayOfWeek", "timing.repeat.dayOfWeek"),
)


def _count(value: Any, path: str, problems: Faults) -> int:
    if value is None:
        return 0
    if type(value) is str:
        return 1
    if type(value) is not list:
        problems.append(path)
        return 0
    return len(value)


def _bounds(repeat: Json, problems: Faults) -> Decimal | None:
    """How many days this step lasts; for a range of lengths the longest."""
    if repeat.get("boundsDuration") is not None:
        return days(repeat["boundsDuration"], "timing.repeat.boundsDuration", problems)
    bounds = repeat.get("boundsRange")
    if bounds is not None:
        high = bounds.get("high") if type(bounds) is dict else None
        found = days(high, "timing.repeat.boundsRange", problems)
        if found is None and high is None:
            problems.append("timing.repeat.boundsRange")
        return found
    bounds = repeat.get("boundsPeriod")
    if bounds is None:
        return None
    if type(bounds) is not dict:
        problems.append("timing.repeat.boundsPeriod")
        return None
    first = day(bounds.get("start"), "timing.repeat.boundsPeriod.start", problems)
    last = day(bounds.get("end"), "timing.repeat.boundsPeriod.end", problems)
    if first is None or last is None or last < first:
        return None  # open at one end: no length is stated
    return Decimal((last - first).days + 1)


def _by_code(concept: Any, said: dict[str, Any], problems: Faults) -> None:
    """A rhythm given only by a code: those that HL7 defines are read, the rest cannot tell."""
    if concept is None:
        return
    rhythms = timing_codes()
    for coding in objects(concept.get("coding") if type(concept) is dict else concept, "timing.code", []):
        rhythm = rhythms.get((words(coding.get("system")), words(coding.get("code"))))
        if rhythm is not None:
            said["frequency"], said["period"], said["period_unit"] = rhythm
            return
    problems.append("timing.code")


def _dose_and_rate(written: Json, said: dict[str, Any], problems: Faults, units: Units) -> None:
    if written.get("doseAndRate") is None:
        # Where STU3 wrote it.
        if "doseQuantity" in written or "doseRange" in written:
            _dose(written, "", said, problems, units)
        return
    entries = objects(written["doseAndRate"], "doseAndRate", problems)
    chosen = _chosen(entries, problems)
    if chosen is None:
        return
    _dose(chosen, "doseAndRate.", said, problems, units)
    _rate(chosen, said, problems, units)


def _chosen(entries: list[Json], problems: Faults) -> Json | None:
    """Several entries are alternative statements of one dose: what was ordered comes first. When no
    entry is marked so, they must agree."""
    if not entries:
        return None
    for entry in entries:
        kind = entry.get("type")
        if type(kind) is dict and any(
            coding.get("code") == "ordered" for coding in objects(kind.get("coding"), "doseAndRate.type", [])
        ):
            return entry
    stated = [{key: value for key, value in entry.items() if key != "type"} for entry in entries]
    if any(other != stated[0] for other in stated[1:]):
        problems.append("doseAndRate")
        return None
    return entries[0]


def _dose(entry: Json, path: str, said: dict[str, Any], problems: Faults, units: Units) -> None:
    if entry.get("doseQuantity") is not None:
        dose = quantity(entry["doseQuantity"], f"{path}doseQuantity", problems, units)
        if dose is not None:
            said["dose_low"] = said["dose_high"] = dose.value
            said["dose_unit"] = dose.unit
    elif entry.get("doseRange") is not None:
        ends = _range(entry["doseRange"], f"{path}doseRange", problems, units)
        if ends is not None:
            said["dose_low"], said["dose_high"], said["dose_unit"] = ends


def _range(value: Any, path: str, problems: Faults, units: Units) -> tuple[Decimal, Decimal, str] | None:
    """Both ends in one unit. Without a low end the high end stands for both; without a high end there
    is no telling."""
    if type(value) is not dict or value.get("high") is None:
        problems.append(path)
        return None
    high = quantity(value["high"], f"{path}.high", problems, units)
    low = quantity(value.get("low"), f"{path}.low", problems, units) or high
    if high is None or low is None:
        return None
    if low.unit != high.unit or low.value > high.value:
        problems.append(path)
        return None
    return low.value, high.value, high.unit


def _rate(entry: Json, said: dict[str, Any], problems: Faults, units: Units) -> None:
    low = high = None
    if entry.get("rateQuantity") is not None:
        low = high = quantity(entry["rateQuantity"], "doseAndRate.rateQuantity", problems, units)
    elif entry.get("rateRange") is not None:
        ends = _range(entry["rateRange"], "doseAndRate.rateRange", problems, units)
        if ends is not None:
            low, high = Quantity(ends[0], ends[2]), Quantity(ends[1], ends[2])
    elif entry.get("rateRatio") is not None:
        _rate_ratio(entry["rateRatio"], said, problems, units)
        return
    if low is None or high is None:
        return
    unit, _, time = high.unit.partition("/")
    if time not in HOURS:
        problems.append("doseAndRate.rate")
        return
    said.update(rate_low=low.value, rate_high=high.value, rate_unit=unit, rate_hours=HOURS[time])


def _rate_ratio(ratio: Any, said: dict[str, Any], problems: Faults, units: Units) -> None:
    parts = _ratio(ratio, "doseAndRate.rateRatio", problems, units)
    if parts is not None:
        amount, span = parts
        said.update(rate_low=amount.value, rate_high=amount.value, rate_unit=amount.unit, rate_hours=span)


def _per_day(ratio: Any, problems: Faults, units: Units) -> Quantity | None:
    if type(ratio) is list and len(ratio) == 1:
        ratio = ratio[0]  # as R5 writes it
    parts = _ratio(ratio, "maxDosePerPeriod", problems, units)
    if parts is None:
        return None
    amount, span = parts
    return Quantity(amount.value * 24 / span, amount.unit)


def _ratio(ratio: Any, path: str, problems: Faults, units: Units) -> tuple[Quantity, Decimal] | None:
    """An amount, and in how many hours it is given."""
    if type(ratio) is not dict:
        problems.append(path)
        return None
    amount = quantity(ratio.get("numerator"), f"{path}.numerator", problems, units)
    span = hours(ratio.get("denominator"), f"{path}.denominator", problems)
    if amount is None or not span:
        problems.append(path)
        return None
    return amount, span
