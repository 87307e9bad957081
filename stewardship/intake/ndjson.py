"""FHIR in bulk: files of one resource a line (NDJSON), and Bundles of any size, in constant memory.

Resources of record are told patient by patient, each by itself. A resource may name a Medication of the
same or of another file of the export; those are few, so they are collected first. What is not about a
patient's history (organisations, claims) is passed over.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, BinaryIO

from stewardship.domain.dispensings import Address, Identifier, Identity, RowFault
from stewardship.domain.errors import InvalidInput, MalformedInput, PatientMismatch, TooLarge
from stewardship.domain.feeds import UNREADABLE, Broken, Brought, FeedTerms, Format, Item, Refusal, Remark
from stewardship.intake import fhir_r4, strict_json
from stewardship.intake.fhir_r4 import Resources
from stewardship.intake.sources import Counted, Opener, line_digest

#: One resource is never larger; a line that is, is no resource.
LARGEST = 16 * 1024 * 1024
_MOST_KEYS = 200_000
_BLOCK = 1 << 18
#: Medications that are kept at hand, in number.
_MOST_MEDICATIONS = 100_000

#: What tells of a patient's history, and where it names him.
_SUBJECTS = {
    "Patient": "",
    "MedicationRequest": "subject",
    "MedicationDispense": "subject",
    "MedicationStatement": "subject",
    "Condition": "subject",
    "Observation": "subject",
    "Procedure": "subject",
    "ServiceRequest": "subject",
    "CarePlan": "subject",
    "Goal": "subject",
    "Encounter": "subject",
}
_PLAIN = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


@dataclass(frozen=True, slots=True)
class Found:
    """A resource of a file, or why there is none: ``fault`` is a code."""

    line: int
    resource: dict[str, Any] | None
    fault: str = ""


@dataclass(frozen=True)
class FhirFeed:
    """A file of an export. ``medications`` are those of all its files."""

    open: Opener
    name: str
    library: Any
    now: datetime
    medications: Resources
    format: Format = field(default=Format.FHIR, init=False)
    _counted: Counted = field(default_factory=Counted, init=False, repr=False)

    def digest(self) -> str:
        """The content's."""
        with self.open() as source:
            return line_digest(_bounded_lines(source))

    def items(self) -> Iterator[Item]:
        """Each resource of the history as an item."""
        with self.open() as source:
            self._counted.source = source
            for found in resources(source):
                if found.fault == "truncated":
                    yield Broken("truncated")
                elif found.fault == "empty":
                    yield Broken(UNREADABLE)
                elif found.resource is None:
                    yield Refusal((RowFault(found.line, "?", "?", found.fault),))
                else:
                    yield from self._read(found.line, found.resource)

    def read_so_far(self) -> int:
        """How many bytes were read."""
        return self._counted.read_so_far()

    def preview(self) -> Iterator[str]:
        """Nothing: the format leaves no choice."""
        return iter(())

    def _read(self, line: int, resource: dict[str, Any]) -> Iterator[Item]:
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or kind not in _SUBJECTS:
            return
        patient_id = self._patient_of(kind, resource)
        if not patient_id:
            yield Refusal((RowFault(line, kind, _SUBJECTS[kind] or "id", "required"),))
            return
        own = Resources(resource).beside(self.medications)
        library = self.library
        try:
            chart = fhir_r4.read_history(
                own,
                catalogue=library.catalogue,
                code_sets=library.code_sets,
                units=library.units,
                as_of=self.now,
                patient_id=patient_id,
            )
        except PatientMismatch:
            yield Refusal((RowFault(line, kind, "subject", "subject"),))
            return
        identity = identity_of(resource, library.feeds) if kind == "Patient" else None
        yield Brought(line, chart, identity)
        for gap in chart.gaps:
            element = gap.about.partition(".")[2] or kind
            yield Remark(RowFault(line, kind, element if _PLAIN.fullmatch(element) else "?", gap.code))

    @staticmethod
    def _patient_of(kind: str, resource: dict[str, Any]) -> str:
        if kind == "Patient":
            own = resource.get("id")
            return own if isinstance(own, str) else ""
        return Resources(resource).id_of(resource.get(_SUBJECTS[kind]))


def collect_medications(openers: Sequence[Opener]) -> Resources:
    """The Medication resources of all files of an export."""
    collected: list[dict[str, Any]] = []
    for opener in openers:
        with opener() as source:
            for found in resources(source, only=b'"Medication"'):
                if found.resource is not None and found.resource.get("resourceType") == "Medication":
                    collected.append(found.resource)
                    if len(collected) > _MOST_MEDICATIONS:
                        raise InvalidInput(f"the export has more than {_MOST_MEDICATIONS} Medications")
    return Resources(collected)


def identity_of(patient: dict[str, Any], terms: FeedTerms) -> Identity | None:
    """Who a Patient is, for matching; ``None`` when the name or the date of birth is missing."""
    names = [n for n in _objects(patient.get("name")) if isinstance(n.get("family"), str)]
    names.sort(key=lambda n: n.get("use") != "official")
    given = names[0].get("given") if names else None
    first = given[0] if isinstance(given, list) and given and isinstance(given[0], str) else ""
    born = _day(patient.get("birthDate"))
    if not names or not first or born is None:
        return None
    where = (_objects(patient.get("address")) or [{}])[0]
    lines = [text for text in where.get("line") or () if isinstance(text, str)]
    return Identity(
        last=names[0]["family"],
        first=first,
        birth_date=born,
        sex=_text(patient.get("gender")),
        ids=tuple(_identifiers(patient, terms)),
        address=Address(
            line1=lines[0] if lines else "",
            city=_text(where.get("city")),
            state=_text(where.get("state")),
            zip=_text(where.get("postalCode")),
        ),
    )


def _identifiers(patient: dict[str, Any], terms: FeedTerms) -> Iterator[Identifier]:
    for one in _objects(patient.get("identifier")):
        kind_of = one.get("type")
        codes = _objects(kind_of.get("coding")) if isinstance(kind_of, dict) else []
        named = [_text(one.get("system")), *(_text(coding.get("code")) for coding in codes)]
        kind = next((terms.numbers[name] for name in named if name in terms.numbers), "")
        value = _text(one.get("value"))
        if kind and value:
            yield Identifier(kind, value, terms.jurisdictions.get(named[0], ""))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


# --- taking a file apart ---------------------------------------------------------------------------


def resources(source: BinaryIO, *, only: bytes = b"") -> Iterator[Found]:
    """Every resource of a file, in its order: a line, an entry of a Bundle, or the whole.

    ``only`` passes over lines and entries without these bytes, unread.
    """
    first = source.readline(LARGEST + 1)
    line = 1
    while first and not first.strip():
        first = source.readline(LARGEST + 1)
        line += 1
    begin = first.removeprefix(codecs.BOM_UTF8).strip()
    if not begin:
        yield Found(line, None, "empty")
    elif begin.startswith(b"{") and begin.endswith(b"}") and len(first) <= LARGEST:
        yield from _lines(first.removeprefix(codecs.BOM_UTF8), source, line, only)
    else:
        yield from _entries(first.removeprefix(codecs.BOM_UTF8), source, line, only)


def _lines(written: bytes, source: BinaryIO, line: int, only: bytes) -> Iterator[Found]:
    while written:
        if len(written) > LARGEST:
            yield Found(line, None, "too-large")
            while written and not written.endswith(b"\n"):
                written = source.readline(LARGEST)
        elif written.strip() and only in written:
            cut = not written.endswith(b"\n") and not written.rstrip().endswith(b"}")
            yield from [Found(line, None, "truncated")] if cut else _read(written, line)
        written = source.readline(LARGEST + 1)
        line += 1


def _read(written: bytes, line: int) -> Iterator[Found]:
    try:
        document = strict_json.loads(written.strip(), max_bytes=LARGEST, max_keys=_MOST_KEYS)
    except (MalformedInput, TooLarge) as fault:
        yield Found(line, None, fault.code)
        return
    if not isinstance(document, dict) or not isinstance(document.get("resourceType"), str):
        yield Found(line, None, "no-resource")
    elif document["resourceType"] == "Bundle":
        for entry in _objects(document.get("entry")):
            if isinstance(entry.get("resource"), dict):
                yield Found(line, entry["resource"])
    else:
        yield Found(line, document)


_STRUCTURE = re.compile(rb'["{}\[\]]')
_STRING_END = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ENTRY_ARRAY = re.compile(rb'"entry"\s*:\s*\Z')
_ARRAY, _ENTRY = 2, 3
_NEAR = 100


def _entries(begin: bytes, source: BinaryIO, line: int, only: bytes) -> Iterator[Found]:
    """The entries of one Bundle, each read by itself as it comes; another resource is read as a whole."""
    scanner = _Scanner(begin, source, line)
    whole = True
    for where, written in scanner.entries():
        whole = False
        if written is None:
            yield Found(where, None, "too-large")
        elif only in written:
            yield from _entry(written, where)
    if scanner.cut:
        yield Found(scanner.line, None, "truncated")
    elif whole and scanner.kept is not None:
        yield from _read(scanner.kept, line)


def _entry(written: bytes, line: int) -> Iterator[Found]:
    try:
        entry = strict_json.loads(written, max_bytes=LARGEST, max_keys=_MOST_KEYS)
    except (MalformedInput, TooLarge) as fault:
        yield Found(line, None, fault.code)
        return
    resource = entry.get("resource") if isinstance(entry, dict) else None
    if isinstance(resource, dict):
        yield Found(line, resource)


class _Scanner:
    """Follows brackets and strings, and holds no more than one entry. ``cut`` says that the document does
    not end; ``kept`` is the whole of it, when it is small enough to be one resource."""

    def __init__(self, begin: bytes, source: BinaryIO, line: int) -> None:
        self._held = begin
        self._source = source
        #: Where the entry at hand begins in what is held.
        self._start: int | None = None
        self._oversized = False
        self.line = line
        self.cut = True
        self.kept: bytes | None = begin

    def entries(self) -> Iterator[tuple[int, bytes | None]]:
        """Line and text of each entry; no text for one that is too large."""
        depth = 0
        in_entries = False
        for mark, at in self._marks():
            if mark in b"{[":
                depth += 1
                if depth == _ARRAY:
                    before = self._held[max(0, at - _NEAR) : at - 1]
                    in_entries = mark == b"[" and bool(_ENTRY_ARRAY.search(before))
                elif depth == _ENTRY and in_entries:
                    self._start, self._oversized = at - 1, False
                continue
            depth -= 1
            if depth == _ARRAY and in_entries:
                start = at if self._start is None else self._start
                where = self.line + self._held.count(b"\n", 0, start)
                yield where, None if self._oversized else self._held[start:at]
                self._start = None
            elif depth == 0:
                self.cut = False
                return

    def _marks(self) -> Iterator[tuple[bytes, int]]:
        """Each bracket outside of strings, and where what is held goes on behind it."""
        at = 0
        while True:
            found = _STRUCTURE.search(self._held, at)
            if found is not None and found[0] != b'"':
                at = found.end()
                yield found[0], at
                continue
            end = found and _STRING_END.match(self._held, found.end())
            if end:
                at = end.end()
                continue
            at = len(self._held) if found is None else found.start()
            keep = self._start if self._start is not None else max(0, at - _NEAR)
            if len(self._held) - keep > LARGEST:
                keep, self._start, self._oversized = max(0, at - _NEAR), None, True
            if len(self._held) - keep > 2 * LARGEST or not self._more(keep):
                return
            at -= keep

    def _more(self, keep: int) -> bool:
        """Let go of what is before ``keep`` and read on; whether there was more."""
        self.line += self._held.count(b"\n", 0, keep)
        block = self._source.read(_BLOCK)
        self._held = self._held[keep:] + block
        self._start = None if self._start is None else self._start - keep
        if self.kept is not None:
            self.kept = self.kept + block if len(self.kept) + len(block) <= LARGEST else None
        return bool(block)


def _bounded_lines(source: BinaryIO) -> Iterator[bytes]:
    """Lines, or pieces of lines that are too long to be held."""
    while line := source.readline(_BLOCK):
        yield line
