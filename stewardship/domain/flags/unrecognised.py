"""Dispensed medicines that nobody recognises: nothing could be checked about them; somebody has to look."""

from __future__ import annotations

from collections.abc import Iterator

from stewardship.domain.flags.history import Flag, History, Row
from stewardship.domain.wording import FactValue

UNCHECKED_DISPENSING = "unchecked-dispensing"


def unrecognised(history: History) -> Iterator[Flag]:
    """One flag for each medicine that was dispensed and is not in the catalogue."""
    by_label: dict[str, list[Row]] = {}
    for row in history.rows:
        if row.drug is None and row.dispensed:
            by_label.setdefault(row.supply.medication.label, []).append(row)
    for label, rows in by_label.items():
        first, last = rows[0], rows[-1]
        facts: dict[str, FactValue] = {"medicine": label, "dispensings": len(rows)}
        yield Flag(
            UNCHECKED_DISPENSING, first.id, first.on, last.on, history.by_id(rows), facts, complete=False
        )
