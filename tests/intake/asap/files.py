"""Files of dispensings that say only what differs. Every name in them is made up to be seen as such."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stewardship.domain.dispensings import Dispensed, RowFault
from stewardship.intake.asap import Accepted, Closed, Event, Noted, Rejected, read

PHARMACY = "PHA*1234567893*1234567*AB1234563*TEST PHARMACY*1 TEST ST**ALBANY*NY*12207*5185550100"
PRESCRIBER = "PRE*1234567893*AB1234563**L1*TESTPRESCRIBER*ONE"


def segment(name: str, length: int, **elements: Any) -> str:
    """A segment by its elements' numbers: ``segment("TP", 1, e01=5)``."""
    fields = [""] * length
    for key, value in elements.items():
        fields[int(key[1:]) - 1] = str(value)
    return "*".join([name, *fields])


def patient(number: int = 1, **elements: Any) -> str:
    """PAT of a made-up patient."""
    given = {
        "e01": "NY", "e02": "06", "e03": f"S{number:04d}", "e07": f"TESTPATIENT{number}", "e08": "TESTNAME",
        "e12": f"{number} TEST AVE", "e14": "ALBANY", "e15": "NY", "e16": "12207", "e18": "19700101",
        "e19": "F", "e20": "01",
    }  # fmt: skip
    return segment("PAT", 23, **(given | elements))


def dispensing(number: int = 1, length: int = 25, **elements: Any) -> str:
    """DSP of five days of twenty tablets."""
    given = {
        "e01": "00", "e02": f"RX{number:04d}", "e03": "20260104", "e04": "0", "e05": "20260105", "e06": "0",
        "e07": "01", "e08": "00406012301", "e09": "20", "e10": "5", "e11": "01", "e12": "05", "e13": "00",
        "e16": "04",
    }  # fmt: skip
    given |= elements
    return segment("DSP", length, **{key: value for key, value in given.items() if int(key[1:]) <= length})


def rows(count: int) -> list[str]:
    """So many patients with one dispensing each."""
    return [
        segment for number in range(1, count + 1)
        for segment in (patient(number), dispensing(number), PRESCRIBER)
    ]  # fmt: skip


def a_file(
    *body: str | Iterable[str],
    version: str = "4.2A",
    control: str = "0001",
    created: str = "20260105*0930",
    terminator: str = "~",
    line_end: str = "\n",
    pharmacy: str = PHARMACY,
    header: str | None = None,
    tp: int | None = None,
    tt: int | None = None,
) -> bytes:
    """A transmission of one pharmacy, with the counts that it needs unless others are given."""
    middle = [s for part in body for s in ([part] if isinstance(part, str) else part)]
    segments = [
        "IS*5550001111*TEST SENDER*",
        pharmacy,
        *middle,
        f"TP*{len(middle) + 2 if tp is None else tp}",
        f"TT*{control}*{len(middle) + 5 if tt is None else tt}",
    ]
    begin = header or f"TH*{version}*{control}*01**{created}*P**"
    text = begin + terminator * 2 + line_end + "".join(s + terminator + line_end for s in segments)
    return text.encode()


def events(content: bytes, **more: Any) -> list[Event]:
    """Everything that a file says."""
    return list(read(content, **more))


def accepted(found: Iterable[Event]) -> list[Accepted]:
    """The good rows."""
    return [event for event in found if isinstance(event, Accepted)]


def rejected(found: Iterable[Event]) -> list[Rejected]:
    """The bad rows."""
    return [event for event in found if isinstance(event, Rejected)]


def noted(found: Iterable[Event]) -> list[RowFault]:
    """What is wrong beside the rows."""
    return [event.fault for event in found if isinstance(event, Noted)]


def closed(found: Iterable[Event]) -> Closed:
    """How the only transmission ended."""
    (end,) = [event for event in found if isinstance(event, Closed)]
    return end


def the_row(content: bytes, **more: Any) -> Dispensed:
    """The only row of a file in which nothing is wrong."""
    found = events(content, **more)
    assert not noted(found)
    assert not rejected(found), rejected(found)
    ((*_, row, _, _),) = accepted(found)
    return row


def faults(content: bytes, **more: Any) -> list[tuple[int, str, str, str]]:
    """Line, segment, element and code of everything that is wrong with rows."""
    return [(f.line, f.segment, f.element, f.code) for r in rejected(read(content, **more)) for f in r.faults]
