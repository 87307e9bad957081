"""A file as a feed: which format it is in, what its content comes to, and its items in their order.

The same content gives the same items in the same order and number, today and tomorrow, for an import that
was interrupted counts them to find its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from stewardship.domain.feeds import Format, Item

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


@dataclass
class Counted:
    """How far the source that was opened last was read."""

    source: BinaryIO | None = None
    bytes: int = 0

    def read_so_far(self) -> int:
        """The bytes read, also after the source was closed."""
        if self.source is not None and not self.source.closed:
            self.bytes = self.source.tell()
        return self.bytes


def line_digest(source: Iterable[bytes], *, also: bytes = b"") -> str:
    """What a file of lines comes to: blank lines and how lines end do not count. ``also`` is what else it is
    read by."""
    digest = hashlib.sha256(also)
    for line in source:
        said = line.strip()
        if said:
            digest.update(said)
            digest.update(b"\n")
    return digest.hexdigest()
