"""Which feed a file is: by what its sender says of it, else by what its content shows."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from stewardship.domain.codes import CodeSets
from stewardship.domain.drugs import Catalogue
from stewardship.domain.errors import InvalidInput
from stewardship.domain.feeds import FeedTerms, Format
from stewardship.domain.units import Units
from stewardship.intake.asap_files import AsapFeed
from stewardship.intake.csv_files import CsvFeed, read_mapping
from stewardship.intake.ndjson import FhirFeed, collect_medications
from stewardship.intake.sources import Feed, Opener

__all__ = [
    "AsapFeed",
    "CsvFeed",
    "Described",
    "Feed",
    "FhirFeed",
    "Meanings",
    "Opener",
    "csv_feed",
    "feeds_of",
]

#: Clocks and time zones differ: a day ahead of UTC is today somewhere.
AHEAD = timedelta(days=1)
_SHOWN = 4096


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
    files: Sequence[tuple[str, Opener]], described: Described, library: Meanings, *, now: datetime
) -> list[Feed]:
    """The files as feeds; raises ``InvalidInput`` for one that is in no known format. Files of FHIR belong
    together: a Medication may stand in another file than what names it."""
    kinds = [_kind_of(opener, described) for _, opener in files]
    latest = now.date() + AHEAD
    medications = collect_medications(
        [opener for (_, opener), kind in zip(files, kinds, strict=True) if kind is Format.FHIR]
    )
    mapping = read_mapping(described.mapping) if described.mapping is not None else None
    made: list[Feed] = []
    for (name, opener), kind in zip(files, kinds, strict=True):
        if kind is Format.ASAP:
            made.append(AsapFeed(opener, name, latest, state=described.state))
        elif kind is Format.FHIR:
            made.append(FhirFeed(opener, name, library, now, medications))
        elif mapping is None:
            raise InvalidInput("a CSV file needs a mapping that says which column holds what")
        else:
            made.append(CsvFeed(opener, name, mapping, latest).checked())
    return made


def csv_feed(opener: Opener, name: str, mapping: bytes, *, now: datetime) -> CsvFeed:
    """A CSV file with its mapping; ``InvalidInput`` for a mapping that is wrong, or not this file's."""
    return CsvFeed(opener, name, read_mapping(mapping), now.date() + AHEAD).checked()


def _kind_of(opener: Opener, described: Described) -> Format:
    if described.kind:
        return Format(described.kind)
    if described.mapping is not None:
        return Format.CSV
    with opener() as source:
        begin = source.read(_SHOWN).removeprefix(codecs.BOM_UTF8).lstrip()
    if begin.startswith(b"TH*"):
        return Format.ASAP
    if begin.startswith((b"{", b"[")):
        return Format.FHIR
    raise InvalidInput(
        "the content shows no known format; say which one it is with its name: asap, fhir, csv"
    )
