"""The hierarchy: TH, IS, { PHA, { PAT, { DSP, PRE, CDI*, AIR? }+ }+, TP }+, TT.

A row is judged when it is over, which the segment after it says. What is wrong in PRE, CDI or AIR is the
row's fault; what is wrong in PAT is the fault of every row of that patient; of a pharmacy only its
identifiers matter to rows, for they are part of the key. Everything else (a pharmacy's address, counts,
the header) is noted beside the rows and stops none.

A row at which a file breaks off is never given out: what was cut off could have been part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from stewardship.domain.dispensings import (
    CompoundIngredient,
    DispensingReport,
    Identity,
    Pharmacy,
    PickUp,
    Prescriber,
    RowFault,
    Species,
)
from stewardship.intake.asap import segments
from stewardship.intake.asap.decoding import DATES, Decoder
from stewardship.intake.asap.events import (
    Accepted,
    Closed,
    Event,
    Noted,
    Opened,
    Rejected,
    Status,
    ZeroReport,
)
from stewardship.intake.asap.lexer import SEPARATOR, Digest, Kind
from stewardship.intake.asap.readings import Reading

_UNKNOWN = "?"
_FLUSH = 1023  # segments between two steps of the digest, less one
_NOBODY = Prescriber()
_NO_REPORT = DispensingReport("", "", None)
_NO_SERIAL = ("", "")
_BROKEN = {
    Kind.UNENDED: "truncated",
    Kind.TOO_LONG: "segment-too-long",
    Kind.STRAY: "header-unreadable",
}


@dataclass(slots=True)
class _Row:
    """A row that is being read."""

    line: int
    offset: int
    position: int
    text: str
    values: tuple[str, ...] | None
    faults: list[RowFault]
    prescriber: Prescriber | None = None
    ingredients: tuple[CompoundIngredient, ...] = ()
    serial: tuple[str, str] = _NO_SERIAL
    pick_up: PickUp | None = None
    pharmacist: str = ""
    seen: str = ""
    """The last of its segments."""


@dataclass(slots=True)
class _Tally:
    accepted: int = 0
    rejected: int = 0
    zero_reports: int = 0
    rows: int = 0


class Transmission:
    """One transmission as it is read. ``out`` holds the events of the segment at hand."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.out: list[Event] = []
        self.digest = Digest()
        self._digested = self.digest.segment
        self.tally = _Tally()
        self.segments = 0
        self.pharmacy_begins = 0
        self.agrees = True
        self.trailed = False
        self.line = 1
        self.header: dict[str, str] = {}
        self.opened_at = 1
        self.report: DispensingReport | None = None
        self.header_faults: list[RowFault] = []
        self.pharmacy: Pharmacy | None = None
        self.pharmacy_faults: list[RowFault] = []
        self.patient: Identity | None = None
        self.species = Species.PERSON
        self.patient_faults: list[RowFault] = []
        self.patient_at: tuple[int, int] | None = None
        self.zero = False
        self.rx: tuple[str, ...] | None = None
        self.rx_at: tuple[int, int] | None = None
        self.row: _Row | None = None
        known = {
            "IS": self._is, "PHA": self._pha, "PAT": self._pat, "DSP": self._dsp, "PRE": self._pre,
            "CDI": self._cdi, "AIR": self._air, "CSR": self._air, "TP": self._tp, "TT": self._tt,
            "RX": self._rx, "RPH": self._rph, "IR": self._passed, "PLN": self._passed,
        }  # fmt: skip
        self._handlers: dict[str, Callable[[str, int, int], None]] = {
            id_ + SEPARATOR: take for id_, take in known.items() if id_ in reading.version.segments
        }

    # --- from outside --------------------------------------------------------------------------

    def open(self, text: str, line: int, offset: int) -> list[Event]:
        """The header."""
        self.digest.add(Kind.HEADER, text)
        self.line = self.opened_at = line
        self.segments = 1
        decoder = self.reading.plain["TH"]
        faults = decoder.faults(text, line, offset)
        self.header = decoder.readable(text)
        at = decoder.segment.position("transaction_type")
        element = decoder.segment.elements[at - 1].id if at else ""
        # Nothing in an answer, or in what takes a transmission back, has been dispensed.
        self.header_faults = [f for f in faults if f.element == element]
        if self.header.get("transaction_type", "") not in self.reading.words.sends:
            self.header_faults = [RowFault(line, "TH", element, "not-a-report", offset)]
            faults += self.header_faults
        return [Noted(fault) for fault in faults]

    def take(self, text: str, line: int, offset: int) -> list[Event]:
        """The next segment. The list is to be emptied before the next call."""
        self._digested(text.rstrip(SEPARATOR))
        self.segments += 1
        if not self.segments & _FLUSH:
            self.digest.flush()
        self.line = line
        # Nearly every segment has a name of three letters.
        take = self._handlers.get(text[:4]) or self._handlers.get(_name(text) + SEPARATOR)
        if self.trailed:
            self._note(RowFault(line, _UNKNOWN, _UNKNOWN, "after-trailer", offset))
        elif take is not None:
            take(text, line, offset)
        else:
            self._stray_segment(line, offset)
        return self.out

    def broken(self, kind: Kind, text: str, line: int, offset: int) -> list[Event]:
        """Something that is no whole segment."""
        self.digest.add(kind, text)
        self.line = line
        code = "after-trailer" if self.trailed else _BROKEN[kind]
        fault = RowFault(line, _UNKNOWN, _UNKNOWN, code, offset)
        if kind is Kind.TOO_LONG:
            self.segments += 1
        if self.row is not None:
            self.row.faults.append(fault)
        else:
            self._note(fault)
        out, self.out = self.out, []
        return out

    def close(self) -> list[Event]:
        """No more comes."""
        row = self.row
        if row is not None:
            row.faults.append(RowFault(row.line, "DSP", "DSP", "truncated", row.offset))
            self._end_row()
        self._end_prescription()
        if not self.trailed:
            self._open_report()
            self._note(RowFault(self.line, "TT", "TT", "required"))
            status = Status.TRUNCATED
        else:
            status = Status.COMPLETE if self.agrees else Status.MISCOUNTED
        counts = (self.tally.accepted, self.tally.rejected, self.tally.zero_reports)
        self.out.append(Closed(self.line, self.report, status, *counts, self.digest.hexdigest()))
        return self.out

    # --- the frame -----------------------------------------------------------------------------

    def _note(self, fault: RowFault) -> None:
        self.out.append(Noted(fault))

    def _disorder(self, segment: str, line: int, offset: int) -> None:
        self.agrees = False
        self._note(RowFault(line, segment, segment, "order", offset))

    def _stray_segment(self, line: int, offset: int) -> None:
        """A segment that the version does not have; a terminator inside a text makes one, too. It spoils the
        row in which it stands."""
        fault = RowFault(line, _UNKNOWN, _UNKNOWN, "segment-unknown", offset)
        if self.row is not None:
            self.row.faults.append(fault)
        else:
            self._note(fault)
            if self.patient_at is not None:
                self.patient_faults.append(fault)

    def _open_report(self, source: Mapping[str, str] | None = None) -> DispensingReport:
        if self.report is None:
            self.report = segments.report_of(self.header, source or {})
            self.out.append(Opened(self.opened_at, self.report))
        return self.report

    def _is(self, text: str, line: int, offset: int) -> None:
        decoder = self.reading.plain["IS"]
        for fault in decoder.faults(text, line, offset):
            self._note(fault)
        if self.pharmacy is not None:
            self._disorder("IS", line, offset)
        elif self.report is None:
            self._open_report(decoder.readable(text))

    def _passed(self, text: str, line: int, offset: int) -> None:
        """A segment of which nothing is used."""
        for fault in self.reading.plain[_name(text)].faults(text, line, offset):
            self._note(fault)

    def _pha(self, text: str, line: int, offset: int) -> None:
        self._end_patient()
        if self.pharmacy is not None:
            self._disorder("PHA", line, offset)
        if self.report is None:
            self._disorder("PHA", line, offset)
            self._open_report()
        decoder = self.reading.plain["PHA"]
        faults = decoder.faults(text, line, offset)
        keys = (*decoder.segment.one_of, decoder.segment.id)
        self.pharmacy_faults = [f for f in faults if f.element in keys]
        for fault in faults:
            self._note(fault)
        self.pharmacy = self.reading.pharmacy(text)
        self.pharmacy_begins = self.segments - 1

    def _tp(self, text: str, line: int, offset: int) -> None:
        self._end_patient()
        if self.pharmacy is None:
            self._disorder("TP", line, offset)
        else:
            self._count(self.reading.tp, text, self.segments - self.pharmacy_begins, line, offset)
        self.pharmacy = None
        self.pharmacy_faults = []

    def _tt(self, text: str, line: int, offset: int) -> None:
        self._end_patient()
        self._open_report()
        if self.pharmacy is not None:
            self._disorder("TT", line, offset)
        self._count(self.reading.tt, text, self.segments, line, offset)
        said = self.reading.tt.readable(text).get("control_number", "")
        if said != self.header.get("control_number", ""):
            self.agrees = False
            self._note(RowFault(line, "TT", "TT01", "control-number", offset))
        self.pharmacy = None
        self.trailed = True

    def _count(self, decoder: Decoder, text: str, counted: int, line: int, offset: int) -> None:
        values = decoder.values(text)
        if values is None:
            self.agrees = False
            for fault in decoder.refused(text, line, offset):
                self._note(fault)
        elif int(values[decoder.wanted.index("count")]) != counted:
            self.agrees = False
            element = decoder.segment.elements[-1].id
            self._note(RowFault(line, decoder.segment.id, element, "count", offset))

    # --- the patient and the rows --------------------------------------------------------------

    def _end_patient(self) -> None:
        if self.row is not None:
            self._end_row()
        self._end_prescription()
        if self.patient_at is not None:
            # A patient without a dispensing: a segment is missing, or one too many is there.
            for fault in self.patient_faults:
                self._note(fault)
            self._disorder("PAT", *self.patient_at)
        self.patient_at = None
        self.patient = None
        self.patient_faults = []
        self.zero = False

    def _end_prescription(self) -> None:
        """A prescription (3.0) that no dispensing followed is a row that is not whole."""
        if self.rx_at is not None:
            line, offset = self.rx_at
            self._begin_row("", None, line, offset, [RowFault(line, "DSP", "DSP", "required", offset)])
            self._end_row()

    def _pat(self, text: str, line: int, offset: int) -> None:
        self._end_patient()
        self.patient_at = (line, offset)
        values = self.reading.pat.values(text)
        last, first = self.reading.words.zero
        if self.reading.is_zero(text) if values is None else values[6] == last and values[7] == first:
            self.zero = True
            return
        if self.pharmacy is None:
            self.agrees = False
            self.patient_faults = [RowFault(line, "PAT", "PAT", "order", offset)]
        try:
            if values is None:
                raise ValueError
            self.patient = segments.identity_of(values, self.reading.words.animals)
            self.species = Species.ANIMAL if self.patient.is_animal else Species.PERSON
        except ValueError:
            self.patient_faults += self.reading.pat.refused(text, line, offset)

    def _rx(self, text: str, line: int, offset: int) -> None:
        """The prescription of a 3.0 row, which stands before the dispensing."""
        assert self.reading.rx is not None  # noqa: S101 - the version has the segment
        if self.row is not None:
            self._end_row()
        self._end_prescription()
        self.rx = self.reading.rx.values(text)
        self.rx_at = None if self.rx is None else (line, offset)
        if self.rx is None:
            self._begin_row("", None, line, offset, self.reading.rx.refused(text, line, offset))

    def _dsp(self, text: str, line: int, offset: int) -> None:
        if self.zero:
            self._zero_report(text, line)
            return
        reading, row = self.reading, self.row
        if row is not None and row.text:
            self._end_row()
            row = None
        values = reading.dsp.values(text)
        faults: list[RowFault] = [] if values is not None else reading.dsp.refused(text, line, offset)
        if reading.rx is not None and row is None:
            if self.rx is None:
                faults.append(RowFault(line, "RX", "RX", "required", offset))
            elif values is not None:
                values = tuple(own or written for own, written in zip(values, self.rx, strict=True))
            self.rx = None
        if row is not None:  # its RX was unreadable
            row.text, row.faults, row.seen = text, row.faults + faults, "DSP"
            return
        self._begin_row(text, values, line, offset, faults)

    def _begin_row(
        self, text: str, values: tuple[str, ...] | None, line: int, offset: int, faults: list[RowFault]
    ) -> None:
        if self.patient is None and not self.patient_faults:
            self.agrees = False
            faults.append(RowFault(line, "DSP", "DSP", "order", offset))
        self.patient_at = self.rx_at = None
        self.tally.rows += 1
        self.row = _Row(line, offset, self.tally.rows, text, values, faults, seen="DSP")

    def _hang(self, segment: str, after: str, line: int, offset: int) -> _Row | None:
        """The row on which a segment hangs, if its turn has come."""
        row = self.row
        if row is None:
            if not self.zero:
                self._disorder(segment, line, offset)
            return None
        if row.seen not in after.split():
            row.faults.append(RowFault(line, segment, segment, "order", offset))
        row.seen = segment
        return row

    def _pre(self, text: str, line: int, offset: int) -> None:
        row = self.row
        if row is None or row.seen != "DSP":
            row = self._hang("PRE", "DSP", line, offset)
            if row is None:
                return
        row.seen = "PRE"
        prescriber = self.reading.prescriber(text)
        if prescriber is None:
            row.faults += self.reading.pre.refused(text, line, offset)
            prescriber = _NOBODY
        row.prescriber = prescriber

    def _rph(self, text: str, line: int, offset: int) -> None:
        """The pharmacist of a 3.0 row."""
        assert self.reading.rph is not None  # noqa: S101 - the version has the segment
        row = self._hang("RPH", "PRE", line, offset)
        if row is None:
            return
        row.seen = "PRE"
        values = self.reading.rph.values(text)
        if values is None:
            row.faults += self.reading.rph.refused(text, line, offset)
        else:
            row.pharmacist = values[0]

    def _cdi(self, text: str, line: int, offset: int) -> None:
        row = self._hang("CDI", "PRE CDI", line, offset)
        if row is None:
            return
        values = self.reading.cdi.values(text)
        try:
            if values is None:
                raise ValueError
            row.ingredients += (segments.ingredient_of(values, self.reading.words),)
        except ValueError:
            row.faults += self.reading.cdi.refused(text, line, offset)

    def _air(self, text: str, line: int, offset: int) -> None:
        id_ = _name(text)
        row = self._hang(id_, "PRE CDI", line, offset)
        if row is None:
            return
        decoder = self.reading.air[id_]
        values = decoder.values(text)
        if values is None:
            row.faults += decoder.refused(text, line, offset)
        else:
            row.serial, row.pick_up = segments.pick_up_of(values)

    def _end_row(self) -> None:
        row, reading = self.row, self.reading
        assert row is not None  # noqa: S101
        self.row = None
        if row.prescriber is None:
            row.faults.append(RowFault(row.line, "PRE", "PRE", "required", row.offset))
        values = row.values
        if values is not None:
            if row.pharmacist:
                values = (*values[:13], row.pharmacist, *values[14:])
            if not row.ingredients and reading.rows.is_compound(values):
                row.faults.append(RowFault(row.line, "CDI", "CDI01", "required", row.offset))
        if not (row.faults or self.patient_faults or self.pharmacy_faults or self.header_faults):
            assert values is not None  # noqa: S101 - else there is a fault
            assert self.pharmacy is not None  # noqa: S101
            assert self.patient is not None  # noqa: S101
            assert row.prescriber is not None  # noqa: S101
            try:
                dispensed = reading.rows.build(
                    values,
                    self.report or _NO_REPORT,
                    row.position,
                    self.pharmacy,
                    row.prescriber,
                    self.species,
                    row.ingredients,
                    row.serial,
                )
            except ValueError:
                row.faults += reading.dsp.refused(row.text, row.line, row.offset)
            else:
                self.tally.accepted += 1
                self.out.append(Accepted(row.line, row.offset, dispensed, self.patient, row.pick_up))
                return
        self.tally.rejected += 1
        faults = (*self.header_faults, *self.pharmacy_faults, *self.patient_faults, *row.faults)
        self.out.append(Rejected(row.line, row.position, faults))

    def _zero_report(self, text: str, line: int) -> None:
        self.patient_at = None
        fields = text.split(SEPARATOR)
        at = self.reading.filled_on_at
        report = self._open_report()
        start, until = segments.period_of(report.message)
        self.tally.zero_reports += 1
        filled_on = _day(fields[at].strip()) if len(fields) > at else None
        pharmacy = self.pharmacy or Pharmacy()
        self.out.append(ZeroReport(line, report, pharmacy, filled_on, _day(start), _day(until)))


class Unreadable:
    """A stretch of a file that no version describes: nothing of it is taken, and that is said."""

    def __init__(self) -> None:
        self.digest = Digest()
        self.line = 1

    def open(self, text: str, line: int, offset: int) -> list[Event]:
        """A header of an unknown version."""
        self.digest.add(Kind.HEADER, text)
        self.line = line
        return [Noted(RowFault(line, "TH", "TH01", "version-unknown", offset))]

    def take(self, text: str, line: int, offset: int) -> list[Event]:
        """A segment of an unknown version."""
        self.digest.add(Kind.SEGMENT, text)
        self.line = line
        return []

    def broken(self, kind: Kind, text: str, line: int, offset: int) -> list[Event]:
        """Something that is no segment."""
        self.digest.add(kind, text)
        self.line = line
        segment = "TH" if kind is Kind.STRAY else _UNKNOWN
        return [Noted(RowFault(line, segment, segment, _BROKEN[kind], offset))]

    def close(self) -> list[Event]:
        """No more comes."""
        return [Closed(self.line, None, Status.UNREADABLE, 0, 0, 0, self.digest.hexdigest())]


def _name(text: str) -> str:
    return text.partition(SEPARATOR)[0].rstrip()


def _day(text: str) -> date | None:
    try:
        return DATES[text]
    except ValueError:
        return None
