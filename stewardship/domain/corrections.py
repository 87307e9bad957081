"""New, Revise and Void, in whatever order they arrive -> what stands.

The rows of one key are put in the order in which their senders made them (creation of the transmission,
its control number, position in it); then:

* the last New begins the dispensing anew: what was made before it no longer counts;
* a Void made after that New is final, whatever Revise is made after it;
* otherwise the newest row stands.

A Revise or Void of a dispensing that was never reported is *unmatched*. It is not lost and not obeyed in
silence: a Revise says what was dispensed, so its row stands and is listed; a Void stands as a void and is
listed. Both are settled by the New, whenever it comes. So the outcome depends on the rows alone, never on
the order in which files arrived, and the same row twice is one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from stewardship.domain.dispensings import Dispensed, DispensingKey, Reporting

#: What is made at no known time was made before everything else.
_NO_TIME = datetime.min  # noqa: DTZ901 - senders state their own local time


@dataclass(frozen=True, slots=True)
class Standing:
    """What the reports of one dispensing come to.

    ``row`` is the row that stands: the newest content, or the Void. ``void`` says that the dispensing is
    taken back, ``unmatched`` that no New of it was ever reported.
    """

    key: DispensingKey
    row: Dispensed
    void: bool
    unmatched: bool

    @property
    def dispensed(self) -> Dispensed | None:
        """What the patient has of it: nothing of a void."""
        return None if self.void else self.row


def made(row: Dispensed) -> tuple[datetime, str, int, str]:
    """Where a row stands in the order of making. What ties on everything is told apart by its content, so
    that the order is the same everywhere."""
    report = row.report
    return report.created or _NO_TIME, report.control_number, row.position, repr(row)


def stands(rows: Iterable[Dispensed]) -> Standing:
    """What the rows of one key come to; at least one row."""
    ordered = list(rows)
    if len(ordered) > 1:
        ordered.sort(key=made)
    last_new = max((n for n, row in enumerate(ordered) if row.reporting is Reporting.NEW), default=None)
    current = ordered[last_new or 0 :]
    voids = [row for row in current if row.reporting is Reporting.VOID]
    # The first Void ended it; a later one says nothing new.
    row = voids[0] if voids else current[-1]
    return Standing(row.key, row, bool(voids), unmatched=last_new is None)


def standings(rows: Iterable[Dispensed]) -> Mapping[DispensingKey, Standing]:
    """What all rows come to, by key."""
    by_key: dict[DispensingKey, list[Dispensed]] = {}
    for row in rows:
        by_key.setdefault(row.key, []).append(row)
    return {key: stands(of_key) for key, of_key in by_key.items()}


def unmatched(standings: Mapping[DispensingKey, Standing]) -> tuple[Standing, ...]:
    """The corrections of dispensings that nobody reported, in the order of their making."""
    waiting = (standing for standing in standings.values() if standing.unmatched)
    return tuple(sorted(waiting, key=lambda standing: made(standing.row)))
