"""The generated population as pharmacies would report it: ASAP 4.2A, one transmission a pharmacy and week.

Written piece by piece, so that a file of any size takes as much memory as its columns. Every name in it is
made up to be seen as such; patient, prescriber and pharmacy are told by number alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np

from stewardship.population.columns import PAID
from tests.population.generator import DRUGS, FIRST

#: A package of each product of the population. Injected nalbuphine and what nobody recognises have numbers
#: that no catalogue knows.
NDCS = {
    "h5": "00023600201", "h10": "00023602201", "o5": "00007032020", "o10": "00228298311",
    "o30": "00054466525", "oer": "00115155901", "mer": "00034051510", "m10": "00054421725",
    "t50": "00045065910", "c30": "00002101002", "hm2": "00044102202", "n10": "00000000010",
    "b8": "00054017713", "d5": "00003023850", "a1": "00005334231", "s350": "00037200101",
}  # fmt: skip
_UNKNOWN = "00000000001"
_PAYMENT = {number: {"cash": "01", "insurance": "04"}.get(paid.value, "99") for paid, number in PAID.items()}


def pieces(columns: Any) -> Iterator[bytes]:
    """The rows of the columns as transmissions, in the order of weeks and of pharmacies."""
    week = (columns.day - FIRST.toordinal()) // 7
    order = np.lexsort((columns.day, columns.patient, columns.pharmacy, week))
    ndcs = [_UNKNOWN if drug is None else NDCS[drug.code.code] for drug in DRUGS]
    days = _Days()
    named = {name: getattr(columns, name)[order].tolist() for name in _USED}
    named["week"] = week[order].tolist()
    transmission: _Transmission | None = None
    for values in zip(*named.values(), strict=True):
        row = dict(zip(named, values, strict=True))
        if transmission is None or not transmission.is_of(row["week"], row["pharmacy"]):
            if transmission is not None:
                yield transmission.whole()
            transmission = _Transmission(row["week"], row["pharmacy"])
        transmission.add(row, ndcs[row["product"]], days)
    if transmission is not None:
        yield transmission.whole()


_USED = (
    "patient", "day", "stated", "product", "prescriber", "pharmacy", "rx", "fill", "refills", "partial",
    "written", "quantity", "paid", "zip_patient", "zip_pharmacy",
)  # fmt: skip


class _Days(dict[int, str]):
    """Ordinals as CCYYMMDD."""

    def __missing__(self, ordinal: int) -> str:
        text = self[ordinal] = date.fromordinal(ordinal).strftime("%Y%m%d")
        return text


class _Transmission:
    """What one pharmacy reports of a week, on the Monday after it."""

    def __init__(self, week: int, pharmacy: int) -> None:
        self._of = (week, pharmacy)
        self._patient = -1
        self._segments: list[str] = []

    def is_of(self, week: int, pharmacy: int) -> bool:
        return self._of == (week, pharmacy)

    def add(self, row: dict[str, int], ndc: str, days: _Days) -> None:
        if not self._segments:
            self._segments.append(_pharmacy(row["pharmacy"], row["zip_pharmacy"]))
        if row["patient"] != self._patient:
            self._patient = row["patient"]
            self._segments.append(_patient(row["patient"], row["zip_patient"]))
        filled = days[row["day"]]
        written = days[row["written"]] if row["written"] > 0 else filled
        quantity = max(row["quantity"], 0) / 1000
        self._segments.append(
            f"DSP*00*R{row['rx']:08}*{written}*{row['refills']}*{filled}*{max(row['fill'], 0)}*01*{ndc}*"
            f"{quantity:g}*{max(row['stated'], 0)}*01*05*{row['partial']:02}***{_PAYMENT[row['paid']]}"
        )
        self._segments.append(_prescriber(row["prescriber"]))

    def whole(self) -> bytes:
        week, pharmacy = self._of
        created = FIRST + timedelta(days=7 * week + 7)
        control = f"W{week:04}P{pharmacy:06}"
        head = f"TH*4.2A*{control}*01**{created:%Y%m%d}*0930*P**~~\nIS*5550001111*TEST SENDER*~\n"
        body = "".join(f"{segment}~\n" for segment in self._segments)
        count = len(self._segments)
        return f"{head}{body}TP*{count + 1}~\nTT*{control}*{count + 4}~\n".encode()


def _pharmacy(number: int, area: int) -> str:
    return f"PHA**{5_000_000 + number}**TEST PHARMACY {number}*1 TEST ST**TESTTOWN**{area:03}01*"


def _patient(number: int, area: int) -> str:
    born = date(1935, 1, 1) + timedelta(days=number * 37 % 29_000)
    sex = "FM"[number % 2]
    return (
        f"PAT*NY*06*S{number:08}****TESTPATIENT{number}*TESTNAME{number % 97}****{number} TEST AVE**TESTTOWN*"
        f"NY*{area:03}01**{born:%Y%m%d}*{sex}*01"
    )


def _prescriber(number: int) -> str:
    return f"PRE*{1_000_000_000 + max(number, 0)}*AB{1_000_000 + max(number, 0)}**L1*TESTPRESCRIBER*ONE"
