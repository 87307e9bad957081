"""A stream of bytes -> segments, in constant memory.

The character that ends a segment is discovered in each transaction header (``TH*``) and holds until the
next one, so files that were put one after the other are read as they are, each by its own terminator. A
new header is recognised where a segment, or a line, begins.

CR and LF around segments are cut off after splitting. A segment that is not ASCII is UTF-8, or else
Windows-1252. There is no escape in the format: a terminator inside a text ends the segment there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from enum import IntEnum
from typing import BinaryIO

#: What the reader takes at a time from a file.
BLOCK = 1 << 18
#: A segment longer than this is no segment: some terminator is missing. It is skipped, not held.
LONGEST_SEGMENT = 1 << 16

SEPARATOR = "*"
HEADER = "TH*"
#: Cut off around segments. The last is how DOS ended files.
_SPACE = " \t\r\n\x1a"
#: A byte order mark of UTF-8, byte for byte.
_BOM = "\xef\xbb\xbf"
_BLANK_BEFORE_HEADER = frozenset(_SPACE + _BOM[-1])
_LOOK_BACK = 64
#: Stands in a digest before what is no whole segment. No segment begins with it.
_NOT_WHOLE = "\x1d"
_HEADER_ALONE = re.compile(r"(?<![A-Za-z0-9])TH\*")


class Kind(IntEnum):
    """What was found."""

    SEGMENT = 0
    HEADER = 1  # a transaction header, without its terminators
    UNENDED = 2  # the stream, or the transmission, ends before the terminator
    TOO_LONG = 3
    STRAY = 4  # something where a header has to be, or a header that names no terminator


#: Kind, text, line from 1, byte offset. A stray or overlong piece has no text.
Piece = tuple[Kind, str, int, int]
#: For a version (TH01), the number of the header element that names the terminator.
TerminatorOf = Callable[[str], int]

Source = BinaryIO | bytes | Iterable[bytes]


def pieces(source: Source, terminator_of: TerminatorOf) -> Iterator[Piece]:
    """Everything in the stream, in order."""
    lexer = _Lexer(terminator_of)
    for block in _blocks(source):
        yield from lexer.feed(block)
    yield from lexer.end()


def _blocks(source: Source) -> Iterator[bytes]:
    if isinstance(source, bytes | bytearray | memoryview):
        for start in range(0, len(source), BLOCK):
            yield bytes(source[start : start + BLOCK])
    elif hasattr(source, "read"):
        while block := source.read(BLOCK):
            yield block
    else:
        yield from source


def _text(written: str) -> str:
    """Bytes were taken one for one as characters, so that offsets are those of bytes; here is what they
    say."""
    try:
        return written.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return written.encode("latin-1").decode("cp1252", errors="replace")


def _line_ends(text: str) -> int:
    """How many lines end in the text, be it in CR LF, in LF or in CR."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


class _Lexer:
    """``_held`` is what was read and not yet given out. Once a terminator is known, it begins where a
    segment does."""

    def __init__(self, terminator_of: TerminatorOf) -> None:
        self._terminator_of = terminator_of
        self._terminator = ""
        self._held = ""
        self._line = 1
        self._offset = 0
        self._after_cr = False
        self._skipping = False  # inside an overlong segment
        self._astray = False  # before a header, in what is none

    def feed(self, block: bytes) -> Iterator[Piece]:
        """The pieces that are complete with this block."""
        self._held += block.decode("latin-1")
        return self._drain(at_end=False)

    def end(self) -> Iterator[Piece]:
        """What is left when nothing more comes."""
        yield from self._drain(at_end=True)
        if self._held.strip(_SPACE) and not self._skipping and not self._astray:
            yield self._piece(Kind.UNENDED, self._held)

    def _drain(self, *, at_end: bool) -> Iterator[Piece]:
        while True:
            if not self._terminator:
                yield from self._strays(at_end=at_end)
                yield from self._header()
                if not self._terminator:
                    return
            start = self._next_header()
            if start < 0:
                yield from self._split(self._held)
                return
            left = yield from self._split(self._held[:start])
            # What stands before the new header, and was not given out, was never ended.
            before = self._held[:left]
            if before.strip(_SPACE + _BOM) and not self._skipping:
                yield self._piece(Kind.UNENDED, before)
            self._advance(left)
            self._terminator, self._skipping = "", False

    # --- segments ------------------------------------------------------------------------------

    def _split(self, text: str) -> Generator[Piece, None, int]:
        """The segments at the beginning of what is held; returns how many characters of the text are
        left after the last terminator."""
        *segments, rest = text.split(self._terminator)
        # The other half of a CR LF that was counted already is no further line.
        line, offset = self._line - (self._after_cr and text.startswith("\n")), self._offset
        with_cr, plain = "\r" in text, text.isascii()
        for raw in segments:
            segment = raw.strip(_SPACE)
            newlines = _line_ends(raw) if with_cr else raw.count("\n")
            if segment and not self._skipping:
                at, here = offset, line
                if len(segment) != len(raw):
                    lead = raw[: raw.index(segment[0])]
                    at += len(lead)
                    here += 1 if lead == "\n" else _line_ends(lead)
                if not plain and not segment.isascii():
                    segment = _text(segment)
                if len(segment) > LONGEST_SEGMENT:
                    yield Kind.TOO_LONG, "", here, at
                else:
                    yield Kind.SEGMENT, segment, here, at
            self._skipping = False
            line += newlines
            offset += len(raw) + 1
        self._held = self._held[offset - self._offset :]
        if segments:
            self._line, self._offset, self._after_cr = line, offset, False
        if len(rest) <= LONGEST_SEGMENT:
            return len(rest)
        if not self._skipping:
            _, _, line, offset = self._piece(Kind.TOO_LONG, rest)
            yield Kind.TOO_LONG, "", line, offset
        self._skipping = True
        # The last few characters may be the beginning of a header.
        self._advance(len(rest) - len(HEADER))
        return len(HEADER)

    def _next_header(self) -> int:
        """Where in the held text another header begins; -1 if none does."""
        held = self._held
        found = held.find(HEADER)
        while found > 0 and not self._begins(held, found):
            found = held.find(HEADER, found + 1)
        return found

    def _begins(self, held: str, found: int) -> bool:
        """Whether a segment or a line begins there: names such as SMITH end in the same letters."""
        if held[found - 1] not in _BLANK_BEFORE_HEADER and held[found - 1] != self._terminator:
            return False
        before = held[max(0, found - _LOOK_BACK) : found].removesuffix(_BOM)
        ended = before.rstrip(_SPACE)
        blank = before[len(ended) :]
        return not ended or ended[-1] == self._terminator or "\n" in blank or "\r" in blank

    # --- headers -------------------------------------------------------------------------------

    def _strays(self, *, at_end: bool) -> Iterator[Piece]:
        """Pass over what stands before a header: blanks in silence, anything else is told once."""
        held = self._held
        blank = len(held) - len(held.lstrip(_SPACE + _BOM))
        if blank == len(held) and not at_end and blank < LONGEST_SEGMENT:
            return  # CR and LF may come in two blocks and are still one line
        self._advance(blank)
        if self._held.startswith(HEADER):
            self._astray = False
        if self._held.startswith(HEADER) or (HEADER.startswith(self._held) and not at_end) or not self._held:
            return
        if not self._astray:
            yield Kind.STRAY, "", self._line, self._offset
        self._astray = True
        self._pass_over(1)

    def _pass_over(self, least: int) -> None:
        """Let go of everything before the next header, or the beginning of one."""
        found = _HEADER_ALONE.search(self._held, least)
        if found:
            self._astray = False
            self._advance(found.start())
        else:
            # What may yet become a header stays, with the character before it; what was refused does not.
            kept = 0 if self._held.endswith(HEADER) else len(HEADER)
            self._advance(max(0, len(self._held) - kept))

    def _header(self) -> Iterator[Piece]:
        """The header at the beginning of what is held, if it is there and whole: then the terminator is
        known. One that names no terminator is passed over, for nothing says how its segments end."""
        while self._held.startswith(HEADER):
            held = self._held
            version, _, more = held[len(HEADER) :].partition(SEPARATOR)
            number = self._terminator_of(version.strip())
            at = -1
            for _ in range(number):
                at = held.find(SEPARATOR, at + 1)
                if at < 0:
                    break
            written = held[: at + 1] if at >= 0 else held
            ending = held[at + 1 : at + 3]
            broken = "\n" in written or "\r" in written or len(written) > LONGEST_SEGMENT
            if not broken:
                if at < 0 or not more or len(ending) < len("~~"):
                    return
                if not ending[0].isalnum() and ending[0] not in _SPACE + SEPARATOR:
                    break
            yield Kind.STRAY, "", self._line, self._offset
            self._astray = True
            self._pass_over(len(HEADER))
        else:
            return
        self._terminator = ending[0]
        # The wire shows the terminator twice: as the element, and as the end. Once is taken for the end,
        # and the reader is told by the missing element.
        twice = ending[1] == ending[0]
        yield Kind.HEADER, _text(written) + (ending[0] if twice else ""), self._line, self._offset
        self._advance(at + 2 + twice)

    # --- places --------------------------------------------------------------------------------

    def _piece(self, kind: Kind, raw: str) -> Piece:
        lead = raw[: len(raw) - len(raw.lstrip(_SPACE))]
        return kind, _text(raw.strip(_SPACE)), self._line + _line_ends(lead), self._offset + len(lead)

    def _advance(self, length: int) -> None:
        """Let go of the beginning of what is held."""
        gone = self._held[:length]
        self._line += _line_ends(gone) - (self._after_cr and gone.startswith("\n"))
        self._after_cr = gone.endswith("\r") or (self._after_cr and not gone)
        self._offset += length
        self._held = self._held[length:]


class Digest:
    """What a content comes to, whatever its file is called, however its lines end, whichever terminator
    it has and whether trailing empty elements were written. What is no whole segment is other content."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._waiting: list[str] = []
        #: Takes in a segment without its trailing separators. ``hexdigest`` and ``add`` keep the list short.
        self.segment = self._waiting.append

    def add(self, kind: Kind, text: str) -> None:
        """Take in one piece."""
        if kind is Kind.HEADER:
            text = text.rpartition(SEPARATOR)[0]
        elif kind is not Kind.SEGMENT:
            # A file that was cut behind its last letter is not the whole one yet.
            text = f"{_NOT_WHOLE}{kind}{text}"
        self._waiting.append(text.rstrip(SEPARATOR))
        self.flush()

    def extend(self, segments: Iterable[str]) -> None:
        """Take in several segments; empty ones are none."""
        self._waiting += [segment.rstrip(SEPARATOR) for segment in segments if segment]
        self.flush()

    def flush(self) -> None:
        """Hash what has come in."""
        if self._waiting:
            self._hash.update(("\x1e".join(self._waiting) + "\x1e").encode("utf-8", "surrogatepass"))
            self._waiting.clear()

    def hexdigest(self) -> str:
        """The SHA-256 of all pieces so far."""
        self.flush()
        return self._hash.hexdigest()


class _DigestLexer(_Lexer):
    """Takes a content in for its digest: where a segment stands does not matter, so that those of a block
    are taken together."""

    def __init__(self, terminator_of: TerminatorOf, digest: Digest) -> None:
        super().__init__(terminator_of)
        self._digest = digest

    def _split(self, text: str) -> Generator[Piece, None, int]:
        taken, terminator, rest = text.rpartition(self._terminator)
        # Whatever is not quite usual is looked at piece by piece.
        if terminator and not self._skipping and text.isascii() and len(rest) <= LONGEST_SEGMENT:
            segments = [raw.strip(_SPACE) for raw in taken.split(terminator)]
            if max(map(len, segments)) <= LONGEST_SEGMENT:
                self._digest.extend(segments)
                self._advance(len(taken) + len(terminator))
                return len(rest)
        return (yield from super()._split(text))


def content_digest(source: Source, terminator_of: TerminatorOf) -> str:
    """What a whole file comes to: equal for the same content in another dress."""
    digest = Digest()
    lexer = _DigestLexer(terminator_of, digest)
    for block in _blocks(source):
        for kind, text, _, _ in lexer.feed(block):
            digest.add(kind, text)
    for kind, text, _, _ in lexer.end():
        digest.add(kind, text)
    return digest.hexdigest()
