"""ASAP files as feeds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from stewardship.domain.dispensings import Pharmacy, RowFault
from stewardship.domain.feeds import UNREADABLE, Broken, Format, Heard, Item, Refusal, Remark, Row
from stewardship.intake import asap
from stewardship.intake.sources import Counted, Opener


@dataclass(frozen=True)
class AsapFeed:
    """An ASAP file. ``state`` names the state whose requirements hold. Rows of days after ``latest`` are
    refused: nobody has dispensed them yet."""

    open: Opener
    name: str
    latest: date
    state: str = ""
    format: Format = field(default=Format.ASAP, init=False)
    _counted: Counted = field(default_factory=Counted, init=False, repr=False)

    def digest(self) -> str:
        """The content's, and the state's by whose rules it is read."""
        with self.open() as source:
            content = asap.file_digest(source)
        return content if not self.state else hashlib.sha256(f"{self.state}:{content}".encode()).hexdigest()

    def items(self) -> Iterator[Item]:
        """The events of the file as items."""
        pharmacies: dict[str, Pharmacy] = {}
        with self.open() as source:
            self._counted.source = source
            for event in asap.read(source, state=self.state):
                if isinstance(event, asap.Accepted):
                    pharmacies.setdefault(event.row.pharmacy.key, event.row.pharmacy)
                    yield self._row(event)
                elif isinstance(event, asap.Rejected):
                    yield Refusal(event.faults)
                elif isinstance(event, asap.ZeroReport):
                    if event.pharmacy.key:
                        pharmacies.setdefault(event.pharmacy.key, event.pharmacy)
                elif isinstance(event, asap.Noted):
                    yield Remark(event.fault)
                elif isinstance(event, asap.Closed):
                    yield from _closed(event, pharmacies)
                    pharmacies.clear()
        # Behind everything else: where an import goes on does not depend on what is known of a state.
        yield from _reliance(self.state)

    def read_so_far(self) -> int:
        """How many bytes were read."""
        return self._counted.read_so_far()

    def preview(self) -> Iterator[str]:
        """Nothing: the format leaves no choice."""
        return iter(())

    def _row(self, event: asap.Accepted) -> Item:
        row = event.row
        if row.report.test:
            # A file that is made to try things out: nothing in it was dispensed.
            return Refusal((RowFault(event.line, "TH", "TH07", "test-file", event.offset),))
        if row.filled_on > self.latest:
            return Refusal((RowFault(event.line, "DSP", "DSP05", "in-future", event.offset),))
        return Row(event.line, row, event.patient)


def _reliance(state: str) -> Iterator[Item]:
    """How far the state's own requirements were looked at, where that is less than it seems."""
    overlay = asap.shipped().states.get(state.upper())
    if overlay is not None and not overlay.verified:
        yield Remark(RowFault(1, "TH", "TH", "state-not-verified" if overlay.asks else "state-not-on-file"))


def _closed(event: asap.Closed, pharmacies: dict[str, Pharmacy]) -> Iterator[Item]:
    if event.status is not asap.Status.COMPLETE:
        yield Broken(UNREADABLE if event.status is asap.Status.UNREADABLE else event.status.value)
    elif event.report is not None and not event.report.test and pharmacies:
        yield Heard(tuple(pharmacies.values()), event.report.created)
