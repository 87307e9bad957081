"""A file, or several one after the other -> what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from stewardship.domain.dispensings import RowFault
from stewardship.intake.asap.definitions import Definitions, Version, shipped
from stewardship.intake.asap.events import Closed, Event, Noted, Status
from stewardship.intake.asap.lexer import SEPARATOR, Digest, Kind, Source, content_digest, pieces
from stewardship.intake.asap.readings import Reading
from stewardship.intake.asap.transmissions import Transmission, Unreadable


def read(source: Source, *, definitions: Definitions | None = None, state: str = "") -> Iterator[Event]:
    """What a file says, event by event, in constant memory.

    ``source`` is a binary file, bytes, or blocks of bytes of any size. ``state`` names the state whose
    requirements hold; raises ``InvalidInput`` for one that is not described. Nothing in the file raises.
    """
    versions = (definitions or shipped()).for_state(state)
    readings: dict[str, Reading] = {}
    reader: Transmission | Unreadable | None = None
    for kind, text, line, offset in pieces(source, _terminators(versions)):
        if kind is Kind.SEGMENT and reader is not None:
            out = reader.take(text, line, offset)
            if out:
                yield from out
                out.clear()
            continue
        if reader is not None and kind in (Kind.HEADER, Kind.STRAY):
            yield from reader.close()
            reader = None
        if kind is Kind.HEADER:
            version = text.split(SEPARATOR, 2)[1].strip()
            if version in versions and version not in readings:
                readings[version] = Reading(versions[version])
            reader = Transmission(readings[version]) if version in versions else Unreadable()
            yield from reader.open(text, line, offset)
        else:
            if reader is None:
                reader = Unreadable()
            yield from reader.broken(kind, text, line, offset)
    if reader is None:
        yield Noted(RowFault(1, "TH", "TH", "required"))
        yield Closed(1, None, Status.UNREADABLE, 0, 0, 0, Digest().hexdigest())
    else:
        yield from reader.close()


def file_digest(source: Source, *, definitions: Definitions | None = None) -> str:
    """What a whole file comes to: the same for a file that was renamed, whose lines end otherwise, that has
    another terminator, or writes its trailing empty elements or not."""
    return content_digest(source, _terminators((definitions or shipped()).versions))


def _terminators(versions: Mapping[str, Version]) -> Callable[[str], int]:
    positions = {name: version.terminator for name, version in versions.items()}
    usual = max(set(positions.values()), key=list(positions.values()).count)
    return lambda version: positions.get(version, usual)
