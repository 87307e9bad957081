"""The ASAP format, in which pharmacies report to prescription monitoring programs: read and written."""

from stewardship.intake.asap.definitions import Definitions, read_definitions, shipped
from stewardship.intake.asap.events import (
    Accepted,
    Closed,
    Event,
    Noted,
    Opened,
    Rejected,
    Status,
    ZeroReport,
)
from stewardship.intake.asap.faults import in_words
from stewardship.intake.asap.reader import file_digest, read
from stewardship.intake.asap.writer import Entry, NothingDispensed, write, write_zero_report

__all__ = [
    "Accepted",
    "Closed",
    "Definitions",
    "Entry",
    "Event",
    "Noted",
    "NothingDispensed",
    "Opened",
    "Rejected",
    "Status",
    "ZeroReport",
    "file_digest",
    "in_words",
    "read",
    "read_definitions",
    "shipped",
    "write",
    "write_zero_report",
]
