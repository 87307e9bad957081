"""Directions as a patient would read them, and how the amounts of an order read on a prescription.

They say what is written and nothing else: what an instruction leaves out is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from stewardship.domain.dosage import DosageInstruction
from stewardship.domain.wording import said

_PERIODS = {"s": "second", "min": "minute", "h": "hour", "d": "day", "wk": "week", "mo": "month"}
_ONE = Decimal(1)
_UNCHANGED = frozenset({"mg", "mL", "ug", "g", "L", "each", "units"})


def directions(instructions: Sequence[DosageInstruction]) -> str:
    """All instructions of an order or a supply: as they were worded, or put into words; empty when nothing
    was written."""
    return "; ".join(text for one in instructions if (text := one.text or sentence(one)))


def sentence(one: DosageInstruction) -> str:
    """One instruction: ``1 to 2 tablets every 6 hours as needed, at most 8 tablets in a day``."""
    parts = [part for part in (_dose(one), _timing(one), "as needed" if one.as_needed else "") if part]
    words = " ".join(parts)
    if one.duration_days is not None:
        words += f" for {counted(one.duration_days, 'day')}"
    if one.max_per_day is not None:
        most = counted(one.max_per_day.value, one.max_per_day.unit or one.dose_unit or "dose")
        words += f", at most {most} in a day"
    return words


def counted(amount: Decimal, unit: str) -> str:
    """An amount and its unit: ``1 tablet``, ``2.5 mL``, ``3 patches``."""
    plural = "" if amount == _ONE or not unit.isalpha() or unit in _UNCHANGED else "s"
    plural = "es" if plural and unit.endswith("ch") else plural
    return f"{said(amount)} {unit}{plural}".strip()


def _dose(one: DosageInstruction) -> str:
    low, high = one.dose_low, one.dose_high
    if high is None:
        return ""
    if low is not None and low != high:
        return f"{said(low)} to {counted(high, one.dose_unit)}"
    return counted(high, one.dose_unit)


def _timing(one: DosageInstruction) -> str:
    if one.frequency is None or one.period is None:
        return ""
    unit = _PERIODS.get(one.period_unit, one.period_unit)
    often = one.frequency_max or one.frequency
    if often == _ONE and one.frequency == _ONE:
        return f"every {_length(one, unit)}" if one.period != _ONE or one.period_max else f"once a {unit}"
    times = f"{said(often)} times"
    if one.frequency_max is not None and one.frequency_max != one.frequency:
        times = f"{said(one.frequency)} to {times}"
    elif often == 2:
        times = "twice"
    return f"{times} a {unit}" if one.period == _ONE else f"{times} in {counted(one.period, unit)}"


def _length(one: DosageInstruction, unit: str) -> str:
    period = one.period or _ONE
    if one.period_max is not None and one.period_max != period:
        return f"{said(period)} to {counted(one.period_max, unit)}"
    return counted(period, unit)
