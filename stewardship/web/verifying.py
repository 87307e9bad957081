"""The verification of a whole trail, told as it goes: a page that is sent while the entries are read.

A trail of a million entries takes a minute to read. The page begins at once, adds a line for each part that
was read, and ends with the result; it needs no script, and asks for nothing again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import SimpleQueue

from stewardship.db.engine import transaction
from stewardship.observability import report_fault
from stewardship.runtime import Runtime
from stewardship.services import verification
from stewardship.services.notes import Signed
from stewardship.services.verification import Verified

#: Trails that are read at the same time by one process; further readers wait for their turn.
_AT_ONCE = 2
_WALKS = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="verifying")
#: Lines that a whole trail is told in, at the most.
_LINES = 20
#: Bytes of the page that are sent together where nothing is waited for.
_TOGETHER = 8_192


@dataclass
class Walk:
    """One reading of a trail of ``total`` entries. ``verified`` is its result, once ``parts`` has ended; it
    stays empty when the reading broke off, which ``broken`` says."""

    running: Runtime
    organisation_id: str
    signed: Sequence[Signed]
    total: int
    began: datetime
    verified: Verified | None = None
    broken: bool = False
    under_way: bool = False
    took: timedelta = timedelta(0)
    _told: SimpleQueue[int | None] = field(default_factory=SimpleQueue)

    def parts(self) -> Iterator[int]:
        """Begin, and tell how many entries were read, as they are."""
        self.under_way = True
        reading = _WALKS.submit(self._read)
        due = step = max(self.total // _LINES, 1)
        while (read := self._told.get()) is not None:
            if read >= due:
                due = read + step
                yield read
        self.under_way = False
        fault = reading.exception()
        if isinstance(fault, Exception):
            self.broken = True
            report_fault(fault)
        else:
            self.verified = reading.result()
        self.took = self.running.clock() - self.began

    def _read(self) -> Verified:
        try:
            with transaction(self.running.sessions, write=False) as session:
                return verification.verify(
                    session,
                    organisation_id=self.organisation_id,
                    checkpoints=self.signed,
                    progress=self._told.put,
                )
        finally:
            # Whoever waits is told in any case that nothing more comes.
            self._told.put(None)


def sent(walk: Walk, pieces: Iterator[str]) -> Iterator[str]:
    """The pieces of the page, a few together; each line about the walk at once."""
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _TOGETHER or (walk.under_way and piece.endswith("</li>\n")):
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)
