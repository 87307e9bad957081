"""What is declared of a flag beside its rule: how pressing it is, how it is recognised again, how it ends.

A kind is a word of ``reference/flags.toml``. Some have a rule here, some are raised by other parts of the
service (a review that was missed, an order that could not be checked), and some only by a pharmacist's eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class Status(StrEnum):
    """Where the work on a flag stands."""

    OPEN = "open"
    CLAIMED = "claimed"
    RESOLVED = "resolved"


class Event(StrEnum):
    """What happened to a flag. ``gone``: the facts on record no longer show the problem. ``merged``: a later
    report showed it to be part of another flag's."""

    OPENED = "opened"
    UPDATED = "updated"
    CLAIMED = "claimed"
    RELEASED = "released"
    NOTED = "noted"
    MESSAGED = "messaged"
    ANSWERED = "answered"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    GONE = "gone"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Weight:
    """How pressing flags of a weight are: what it is called, and within how many hours one is to be
    resolved."""

    weight: int
    title: str
    due_hours: int


@dataclass(frozen=True, slots=True)
class FlagKind:
    """A kind of flag.

    ``pattern``: it labels several supplies together and is the same problem while any of them is shared;
    without, the one that it labels says which problem it is. ``worse`` names the fact whose rise makes a
    problem that was settled a new one. ``by_hand``: a pharmacist may raise it.
    """

    kind: str
    title: str
    weight: int
    pattern: bool
    worse: str
    by_hand: bool
    source: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Resolution:
    """A coded way in which a flag ends. Within ``rest_days`` further supplies of the same problem do not
    bring it back, unless it is worse. ``by_hand`` is false for those that the record alone brings about."""

    code: str
    display: str
    rest_days: int
    needs_note: bool
    by_hand: bool


@dataclass(frozen=True)
class Work:
    """The terms of the work on flags.

    A claim older than ``claim_hours`` may be taken over; a problem is worse when its fact rose by
    ``worse_percent``; a void may wait ``void_hours`` for its original; a check that could not be made is
    looked for ``unchecked_days`` back. What ended more than ``fresh_days`` ago is history, and no flag.
    """

    kinds: Mapping[str, FlagKind]
    weights: Mapping[int, Weight]
    resolutions: Mapping[str, Resolution]
    claim_hours: int
    worse_percent: int
    void_hours: int
    unchecked_days: int
    fresh_days: int

    def due(self, kind: str, opened_at: datetime) -> datetime:
        """By when a flag of the kind is to be resolved."""
        return opened_at + timedelta(hours=self.weights[self.kinds[kind].weight].due_hours)

    def is_worse(self, kind: str, now: Mapping[str, object], before: Mapping[str, object]) -> bool:
        """Whether the facts of a problem are worse than those on which it was settled."""
        name = self.kinds[kind].worse
        new, old = now.get(name), before.get(name)
        if not name or not isinstance(new, int | Decimal) or not isinstance(old, int | Decimal):
            return False
        return new * 100 >= old * (100 + self.worse_percent) and new > old


#: The codes of what the record itself brings about.
GONE, MERGED = "record-corrected", "part-of-another"
