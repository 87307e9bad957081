"""What comes out of a file of dispensings, in the order of the file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from stewardship.domain.dispensings import (
    Dispensed,
    DispensingReport,
    Identity,
    Pharmacy,
    PickUp,
    RowFault,
)


class Status(StrEnum):
    """How a transmission ended. Only ``COMPLETE`` says that nothing of it is missing."""

    COMPLETE = "complete"  # a trailer whose control number and counts agree with what was read
    TRUNCATED = "truncated"  # no trailer
    MISCOUNTED = "miscounted"  # a trailer, and a count, the control number or the order disagrees
    UNREADABLE = "unreadable"  # no header, or one of an unknown version


@dataclass(frozen=True, slots=True)
class Opened:
    """A transmission begins."""

    line: int
    report: DispensingReport


class Accepted(NamedTuple):
    """A row that is as it should be, with the patient and whoever picked it up beside it."""

    line: int
    offset: int
    row: Dispensed
    patient: Identity
    pick_up: PickUp | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row with something wrong in it, or in the patient or pharmacy above it. ``line`` is that of its
    dispensing segment, ``position`` as in ``Dispensed``."""

    line: int
    position: int
    faults: tuple[RowFault, ...]


@dataclass(frozen=True, slots=True)
class ZeroReport:
    """A pharmacy says that it dispensed nothing to report from ``start`` to ``until``; ``None`` where it
    does not say readably. ``on`` is its date of filling."""

    line: int
    report: DispensingReport
    pharmacy: Pharmacy
    on: date | None
    start: date | None
    until: date | None


@dataclass(frozen=True, slots=True)
class Noted:
    """Something wrong that belongs to no row: in the header, a pharmacy's address, the order or a count."""

    fault: RowFault


@dataclass(frozen=True, slots=True)
class Closed:
    """A transmission ends. ``digest`` is that of its content, equal for the same content under other
    line ends and another terminator; ``report`` is ``None`` when there was no header to read."""

    line: int
    report: DispensingReport | None
    status: Status
    accepted: int
    rejected: int
    zero_reports: int
    digest: str


Event = Opened | Accepted | Rejected | ZeroReport | Noted | Closed
