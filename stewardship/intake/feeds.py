"""A file as a feed: which format it is in, what its content comes to, and its items in their order.

The same content gives the same items in the same order and number, today and tomorrow, for an import that
was interrupted counts them to find its place.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import BinaryIO, Protocol

from stewardship.domain.codes import CodeSets
from stewardship.domain.dispensings import Pharmacy, RowFault
from stewardship.domain.drugs import Catalogue
from stewardship.domain.errors import InvalidInput
from stewardship.domain.feeds import UNREADABLE, Broken, FeedTerms, Format, Heard, Item, Refusal, Remark, Row
from stewardship.domain.units import Units
from stewardship.intake import asap

#: Opens the content anew, from its beginning.
Opener = Callable[[], BinaryIO]


class Feed(Protocol):
    """A file that can be read again and again."""

    @property
    def format(self) -> Format:
        """The format that it is in."""
        ...

    @property
    def name(self) -> str:
        """What its sender calls it: data, never a path."""
        ...

    def digest(self) -> str:
        """The SHA-256 of its content, whatever it is called and however its lines end."""
        ...

    def items(self) -> Iterator[Item]:
        """What is in it."""
        ...

    def read_so_far(self) -> int:
        """How many bytes were read of it, for a progress bar."""
        ...

    def preview(self) -> Iterator[str]:
        """The first rows in words, for somebody who wants to see that they are read as they are meant."""
        ...


@dataclass(frozen=True, slots=True)
class Described:
    """What the sender says of a file: its format, if he does, the state, the mapping of its columns."""

    kind: str | None = None
    state: str = ""
    mapping: bytes | None = None


class Meanings(Protocol):
    """What codes and units mean, for the formats that carry records."""

    @property
    def catalogue(self) -> Catalogue:
        """The products."""
        ...

    @property
    def code_sets(self) -> CodeSets:
        """The named code sets."""
        ...

    @property
    def units(self) -> Units:
        """The accepted spellings of units."""
        ...

    @property
    def feeds(self) -> FeedTerms:
        """The terms of feeds."""
        ...


def feeds_of(
    files: Sequence[tuple[str, Opener]], described: Described, library: Meanings, *, now: datetime  # noqa: ARG001
) -> list[Feed]:
    """The files as feeds; raises ``InvalidInput`` for one that is in no known format."""
    return [_feed(name, opener, described, now=now) for name, opener in files]


def _feed(name: str, opener: Opener, described: Described, *, now: datetime) -> Feed:
    kind = Format(described.kind) if described.kind else _told_by(opener)
    if kind is not Format.ASAP:
        raise InvalidInput(f"files of the format {kind} cannot be read")
    return AsapFeed(opener, name, now.date() + AHEAD, state=described.state)


def _told_by(opener: Opener) -> Format:
    """The format that the content shows."""
    with opener() as source:
        begin = source.read(_SHOWN).removeprefix(codecs.BOM_UTF8).lstrip()
    if begin.startswith(b"TH*"):
        return Format.ASAP
    if begin.startswith((b"{", b"[")):
        return Format.FHIR
    raise InvalidInput("the content shows no known format; say which one it is with --format")


#: Clocks and time zones differ: a day ahead of UTC is today somewhere.
AHEAD = timedelta(days=1)
_SHOWN = 4096


@dataclass
class _Counted:
    """How far the last opened source was read."""

    source: BinaryIO | None = None
    bytes: int = 0

    def read_so_far(self) -> int:
        if self.source is not None and not self.source.closed:
            self.bytes = self.source.tell()
        return self.bytes


@dataclass(frozen=True)
class AsapFeed:
    """An ASAP file. ``state`` names the state whose requirements hold. Rows of days after ``latest`` are
    refused: nobody has dispensed them yet."""

    open: Opener
    name: str
    latest: date
    state: str = ""
    format: Format = field(default=Format.ASAP, init=False)
    _counted: _Counted = field(default_factory=_Counted, init=False, repr=False)

    def read_so_far(self) -> int:
        """How many bytes were read."""
        return self._counted.read_so_far()

    def preview(self) -> Iterator[str]:
        """Nothing: the format leaves no choice."""
        return iter(())

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

    def _row(self, event: asap.Accepted) -> Item:
        row = event.row
        if row.report.test:
            # A file that is made to try things out: nothing in it was dispensed.
            return Refusal((RowFault(event.line, "TH", "TH07", "test-file", event.offset),))
        if row.filled_on > self.latest:
            return Refusal((RowFault(event.line, "DSP", "DSP05", "in-future", event.offset),))
        return Row(event.line, row, event.patient)


def _closed(event: asap.Closed, pharmacies: dict[str, Pharmacy]) -> Iterator[Item]:
    if event.status is not asap.Status.COMPLETE:
        yield Broken(UNREADABLE if event.status is asap.Status.UNREADABLE else event.status.value)
    elif event.report is not None and not event.report.test and pharmacies:
        yield Heard(tuple(pharmacies.values()), event.report.created)


def line_digest(source: Iterable[bytes]) -> str:
    """What a file of lines comes to: blank lines and how lines end do not count."""
    digest = hashlib.sha256()
    for line in source:
        said = line.strip()
        if said:
            digest.update(said + b"\n")
    return digest.hexdigest()
