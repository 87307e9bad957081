"""What arrives in files, whatever their format: rows, refusals, and word from pharmacies.

A reader turns its format into these items, in the order of the file, always the same for the same content:
an import that was interrupted goes on by counting them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from stewardship.domain.chart import Chart
from stewardship.domain.currency import Silence
from stewardship.domain.dispensings import Dispensed, Identity, Pharmacy, RowFault
from stewardship.domain.matching import MatchRules
from stewardship.domain.orders import Paid


class Format(StrEnum):
    """The formats that a feed may have."""

    ASAP = "asap"
    FHIR = "fhir"
    CSV = "csv"


class ImportStatus(StrEnum):
    """How far an import is. ``incomplete`` is a file that ended before it said that it would; what was
    whole in it is stored."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


class Row(NamedTuple):
    """A dispensing that was reported, and whose it is. ``line`` counts from 1."""

    line: int
    dispensed: Dispensed
    patient: Identity


class Brought(NamedTuple):
    """What a system of records says of one of its patients. ``patient`` is there when it says who that is."""

    line: int
    chart: Chart
    patient: Identity | None = None


class Refusal(NamedTuple):
    """A row that cannot be read, and everything that is wrong with it."""

    faults: tuple[RowFault, ...]


class Remark(NamedTuple):
    """Something wrong that belongs to no row."""

    fault: RowFault


class Heard(NamedTuple):
    """A whole transmission of these pharmacies, made at ``created``; one that reports nothing counts too."""

    pharmacies: tuple[Pharmacy, ...]
    created: datetime | None


class Broken(NamedTuple):
    """A transmission, or the file, is not whole: ``truncated``, ``miscounted``, ``unreadable``."""

    reason: str


Item = Row | Brought | Refusal | Remark | Heard | Broken

#: Why nothing at all could be read.
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class FeedTerms:
    """What taking in a feed needs to be told: when a pharmacy is silent, when two are one person, and what
    codes of payment come to. ``numbers`` gives the kind of an identifier of a record system by its type, and
    ``jurisdictions`` who issued it, by its system."""

    silence: Silence
    matching: MatchRules
    payments: Mapping[str, Paid]
    numbers: Mapping[str, str]
    jurisdictions: Mapping[str, str]
