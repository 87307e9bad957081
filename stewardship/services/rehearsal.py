"""What the rows of a file come to among themselves, with nothing else on record: for trying a file out.

Almost every row is the only one of its dispensing. Rows of the others are held against each other as an
import does it; so these are looked for first, in a table of bits that does not grow with the file. Where
dispensings share a bit they are looked at more closely without need, and nothing else.
"""

from __future__ import annotations

from stewardship.db import sparse
from stewardship.domain.dispensings import Dispensed
from stewardship.domain.feeds import FeedTerms, Row
from stewardship.domain.matching import traits
from stewardship.services import dispensed, matching

_BITS = 1 << 28


class Repeated:
    """Dispensings that a file speaks of more than once."""

    def __init__(self) -> None:
        self._seen = bytearray(_BITS // 8)
        self._again: set[int] = set()

    def note(self, row: Dispensed) -> None:
        """A row of the file."""
        bit = _bit(row)
        place, mask = bit >> 3, 1 << (bit & 7)
        if self._seen[place] & mask:
            self._again.add(bit)
        self._seen[place] |= mask

    def __contains__(self, row: Dispensed) -> bool:
        return _bit(row) in self._again


def _bit(row: Dispensed) -> int:
    return int(row.key.id[-16:], 16) % _BITS


class Rehearsal:
    """Takes the rows of a file in their order, and says of each whether it would change anything."""

    def __init__(self, repeated: Repeated, terms: FeedTerms) -> None:
        self._repeated = repeated
        self._terms = terms
        self._told: dict[str, list[dispensed.Told]] = {}

    def changes(self, row: Row) -> bool:
        """Whether the row says what no row before it said. People are the same here when their names and
        dates of birth are; an import has more to go by."""
        if row.dispensed not in self._repeated:
            return True
        name = row.dispensed.key.id
        before = self._told.get(name, [])
        digest = matching.digest_of(row.patient)
        animal = row.patient.is_animal
        patient = None if animal else traits(row.patient, self._terms.matching).key
        whose = matching.Resolved(digest, patient, row.patient.address.zip)
        version = f"{digest} {sparse.encode(row.dispensed)}"
        if any(told.version == version for told in before):
            return False
        after = [*before, dispensed.Told(row.dispensed, whose, version)]
        self._told[name] = after
        return dispensed.differs(name, before, after, self._terms)
