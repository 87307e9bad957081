"""How much of a long piece of work goes into one transaction, so that others get their turn in between.

Whoever checks an order waits for the transaction that an import is just in: on SQLite for all of it, as there
is one writer. So the measure is not how many rows but how long. How many rows that is differs by the machine,
by what else it does, and by how large the database has become; it is learnt from one portion to the next.
"""

from __future__ import annotations

#: How long others may be kept waiting, in seconds: a fraction of what an order check takes.
HOLD = 0.01
#: The same where writers do not wait for each other, as on PostgreSQL: only its end is in the way of others.
HOLD_BESIDE = 0.25

#: With fewer items than this, beginning and ending a transaction is most of the work.
_FEWEST = 10
#: From one portion to the next it grows by half at the most, and is halved at the most: one slow write says
#: little.
_UP, _DOWN = 1.5, 0.5


class Pace:
    """The number of items of the next portion. Begins with few and goes by how long the last ones took."""

    def __init__(self, most: int, *, hold: float = HOLD) -> None:
        self._most, self._hold = most, hold
        self._items = float(min(_FEWEST, most))

    @property
    def items(self) -> int:
        """How many are next."""
        return int(self._items)

    def took(self, seconds: float, items: int) -> None:
        """A portion of so many items was stored in so long a transaction."""
        if items < self.items:
            return  # The end of the file: it says nothing about a whole portion.
        factor = min(_UP, max(_DOWN, self._hold / max(seconds, 1e-6)))
        self._items = min(float(self._most), max(float(min(_FEWEST, self._most)), self._items * factor))
