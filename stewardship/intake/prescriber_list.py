"""A list of prescribers as CSV: a line for each certification or fellowship, joined by NPI.

Columns: ``npi``, ``specialty``, ``user``, ``kind`` (primary, pain-medicine, fellowship), ``board``,
``board_specialty``, ``from``, ``until`` (a day, or ``lifelong``), ``months``, ``accredited`` (yes, no),
``active`` (yes, no). A prescriber without either has one line with an empty ``kind``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date

from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.prescribers import Certification, CertificationKind, Fellowship, Prescriber

COLUMNS = (
    "npi",
    "specialty",
    "user",
    "kind",
    "board",
    "board_specialty",
    "from",
    "until",
    "months",
    "accredited",
    "active",
)
_FELLOWSHIP = "fellowship"
_MOST_BYTES = 5_000_000
_YES = {"yes": True, "no": False}


def read_prescribers(content: bytes) -> tuple[Prescriber, ...]:
    """The prescribers of a list; ``InvalidInput`` with every wrong line by number, never by its value."""
    try:
        text = content[: _MOST_BYTES + 1].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("the list is not UTF-8 text") from None
    if len(content) > _MOST_BYTES:
        raise InvalidInput(f"the list is larger than {_MOST_BYTES} bytes")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise InvalidInput(f"the first line reads {','.join(COLUMNS)}")
    found: dict[str, Prescriber] = {}
    faults: list[Fault] = []
    for number, row in _numbered(reader):
        try:
            _add(found, row)
        except ValueError as wrong:
            faults.append(Fault(f"/{number}", "line", str(wrong)))
    if faults:
        raise InvalidInput("some lines of the list cannot be read", faults=tuple(faults))
    return tuple(found.values())


def _numbered(reader: csv.DictReader[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        for row in reader:
            if None in row or None in row.values():
                raise InvalidInput(f"line {reader.line_num} has another number of fields than the first")
            yield reader.line_num, {name: value.strip() for name, value in row.items()}
    except csv.Error:
        raise InvalidInput(f"line {reader.line_num} is no line of CSV") from None


def _add(found: dict[str, Prescriber], row: Mapping[str, str]) -> None:
    stated = Prescriber("", row["npi"], row["specialty"], row["user"], active=_flag(row, "active"))
    known = found.get(row["npi"], stated)
    if (known.specialty, known.user_id, known.active) != (stated.specialty, stated.user_id, stated.active):
        raise ValueError("specialty, user and active are the same on every line of one identifier")
    if row["kind"] == _FELLOWSHIP:
        known = replace(known, fellowships=(*known.fellowships, _fellowship(row)))
    elif row["kind"]:
        known = replace(known, certifications=(*known.certifications, _certification(row)))
    found[row["npi"]] = known


def _certification(row: Mapping[str, str]) -> Certification:
    if row["kind"] not in set(CertificationKind):
        raise ValueError(f"kind is one of: {', '.join(CertificationKind)}, {_FELLOWSHIP}")
    lifelong = row["until"] == "lifelong"
    until = None if lifelong or not row["until"] else _day(row, "until")
    return Certification(
        CertificationKind(row["kind"]),
        row["board"],
        row["board_specialty"],
        _day(row, "from"),
        until,
        lifelong,
    )


def _fellowship(row: Mapping[str, str]) -> Fellowship:
    if not (row["months"].isascii() and row["months"].isdigit() and len(row["months"]) <= 3):
        raise ValueError("months of a fellowship are a whole number")
    return Fellowship(int(row["months"]), _flag(row, "accredited"), _day(row, "until"))


def _day(row: Mapping[str, str], name: str) -> date:
    try:
        return date.fromisoformat(row[name])
    except ValueError:
        raise ValueError(f"{name} is a day such as 2026-11-21") from None


def _flag(row: Mapping[str, str], name: str) -> bool:
    if row[name] not in _YES:
        raise ValueError(f"{name} is yes or no")
    return _YES[row[name]]
