"""Dispensings -> an ASAP 4.2A file, so that a prescriber who dispenses can report.

What is written is what the reader reads back, equal, and every segment is checked by the same
definitions before it goes out. The format has no escape, so a text that holds the separator, the
terminator or a control character is refused and not changed: a name or a signature that was silently
altered would be a false report. Choose another terminator, or correct the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from stewardship.domain.codes import RXNORM
from stewardship.domain.dispensings import (
    Dispensed,
    DispensingReport,
    Identity,
    Pharmacy,
    PickUp,
    Species,
)
from stewardship.domain.drugs import Medication
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.intake.asap.decoding import decoder
from stewardship.intake.asap.definitions import Definitions, Segment, Version, shipped
from stewardship.intake.asap.lexer import SEPARATOR

VERSION = "4.2A"
Values = dict[str, str]


class Entry(NamedTuple):
    """A row to report, with whom it is about and who picked it up. What the reader accepts is one, too."""

    row: Dispensed
    patient: Identity
    pick_up: PickUp | None = None


@dataclass(frozen=True, slots=True)
class NothingDispensed:
    """What a zero report says: this pharmacy dispensed nothing to report on these days."""

    pharmacy: Pharmacy
    start: date
    until: date


def write(
    report: DispensingReport,
    entries: Iterable[Entry],
    *,
    terminator: str = "~",
    line_end: str = "\n",
    definitions: Definitions | None = None,
) -> Iterator[bytes]:
    """The transmission, segment by segment, in constant memory. ``position`` is counted anew, and rows
    that follow one another share their pharmacy and patient.

    Raises ``InvalidInput`` with the row (its position) and element for what 4.2A cannot say.
    """
    writer = _Writer(report, terminator, line_end, definitions)
    yield writer.opening(report)
    at: Pharmacy | None = None
    of: Identity | None = None
    for position, (row, patient, pick_up) in enumerate(entries, 1):
        writer.position = position
        if (row.species is Species.ANIMAL) is not patient.is_animal:
            raise writer.refusal("PAT20", "species", "row and patient disagree on whom it is for")
        if row.pharmacy != at:
            if at is not None:
                yield writer.trailer()
            yield writer.pharmacy(row.pharmacy)
            at, of = row.pharmacy, None
        if patient != of:
            yield writer.patient(patient)
            of = patient
        yield writer.row(row, pick_up)
    if at is not None:
        yield writer.trailer()
    yield writer.closing(report)


def write_zero_report(
    report: DispensingReport,
    nothing: NothingDispensed,
    *,
    terminator: str = "~",
    line_end: str = "\n",
    definitions: Definitions | None = None,
) -> bytes:
    """A report of no dispensings; its message names the days, whatever the report's own says."""
    writer = _Writer(report, terminator, line_end, definitions)
    period = f"#{_day(nothing.start)}#-#{_day(nothing.until)}#"
    last, first = writer.version.vocabulary.zero
    parts = [
        writer.opening(report, message=period),
        writer.pharmacy(nothing.pharmacy),
        writer.bare("PAT", {"last": last, "first": first}),
        writer.bare("DSP", {"reporting": "00", "filled_on": _day(nothing.until)}),
        writer.bare("PRE", {}),
        writer.bare("CDI", {}),
        writer.bare("AIR", {}),
        writer.trailer(),
        writer.closing(report),
    ]
    return b"".join(parts)


class _Writer:
    """Keeps the counts, and checks each segment as it goes out."""

    def __init__(
        self, report: DispensingReport, terminator: str, line_end: str, definitions: Definitions | None
    ) -> None:
        if len(terminator) != 1 or terminator.isalnum() or terminator in SEPARATOR + " \t\r\n\x1a":
            raise InvalidInput("the terminator is one character, no letter, digit, space or separator")
        if not terminator.isascii() or line_end.strip("\r\n"):
            raise InvalidInput("the terminator is an ASCII character, and lines end in CR, LF or nothing")
        self.version: Version = (definitions or shipped()).versions[VERSION]
        words = self.version.vocabulary
        status_list = next(e.code_list for e in self._segment("DSP").elements if e.name == "reporting")
        self._reporting = {status: code for code, status in words.reporting[status_list].items() if code}
        self._units = {unit: code for code, unit in words.units.items()}
        self._qualifiers = {system: code for code, system in words.product_systems.items()}
        self._decoders = {id_: decoder(segment) for id_, segment in self.version.segments.items()}
        self._terminator = terminator
        self._end = terminator + line_end
        self._segments = 0
        self._in_pharmacy = 0
        self.position = 0
        if report.version not in ("", VERSION):
            raise self.refusal("TH01", "version", f"this writes {VERSION}")
        if report.created is None or report.created.microsecond or report.created.tzinfo:
            raise self.refusal("TH05", "required", "say when the report was made, to the second, local time")

    def _segment(self, id_: str) -> Segment:
        return self.version.segments[id_]

    def refusal(self, element: str, code: str, words: str) -> InvalidInput:
        where = f"row {self.position}, {element}" if self.position else element
        return InvalidInput(
            f"{where}: {words}", faults=(Fault(f"/rows/{self.position}/{element}", code, words),)
        )

    # --- segments ------------------------------------------------------------------------------

    def bare(self, id_: str, values: Values, *, end: str = "") -> bytes:
        """A segment as it is, unchecked but for characters that would break the file."""
        elements = self._segment(id_).elements
        for element in elements:
            value = values.get(element.name, "")
            if SEPARATOR in value or (self._terminator in value and element.name != ".terminator"):
                raise self.refusal(element.id, "separator-in-text", "holds the separator or the terminator")
        self._segments += 1
        self._in_pharmacy += 1
        text = SEPARATOR.join([id_, *(values.get(e.name, "") for e in elements)])
        return (text + (end or self._end)).encode()

    def _checked(self, id_: str, values: Values) -> bytes:
        stated = {name: value for name, value in values.items() if value}
        unsayable = stated.keys() - {e.name for e in self._segment(id_).elements}
        if unsayable:
            raise self.refusal(id_, "not-in-version", f"{VERSION} has no element for {min(unsayable)}")
        written = self.bare(id_, stated)
        text = SEPARATOR.join([id_, *(stated.get(e.name, "") for e in self._segment(id_).elements)])
        for fault in self._decoders[id_].faults(text, 0, 0):
            raise self.refusal(fault.element, fault.code, f"{fault.code.replace('-', ' ')} in {VERSION}")
        if any(value != value.strip(" ") for value in stated.values()):
            raise self.refusal(id_, "blank", "a text begins or ends with a blank, which is not kept")
        return written

    def opening(self, report: DispensingReport, *, message: str | None = None) -> bytes:
        """TH and IS."""
        assert report.created is not None  # noqa: S101 - refused before
        header: Values = {
            "version": VERSION,
            "control_number": report.control_number,
            "transaction_type": "01",
            "created_on": _day(report.created),
            "created_at": _time(report.created),
            "file_type": "T" if report.test else "P",
        }
        for fault in self._decoders["TH"].faults(
            SEPARATOR.join(["TH", *(header.get(e.name, "") for e in self._segment("TH").elements)]), 0, 0
        ):
            if fault.element != "TH09":
                raise self.refusal(fault.element, fault.code, fault.code.replace("-", " "))
        # The terminator is shown twice: as the last element, and as the end.
        first = self.bare("TH", header | {".terminator": self._terminator})
        source = {
            "sender_id": report.sender_id,
            "sender_name": report.sender_name,
            "message": report.message if message is None else message,
        }
        return first + self._checked("IS", source)

    def pharmacy(self, pharmacy: Pharmacy) -> bytes:
        """PHA."""
        self._in_pharmacy = 0
        values: Values = {
            "npi": pharmacy.npi,
            "ncpdp": pharmacy.ncpdp,
            "dea": pharmacy.dea,
            "name": pharmacy.name,
            "phone": pharmacy.phone,
            "contact": pharmacy.contact,
            "site_id": pharmacy.site_id,
            "permit": pharmacy.permit,
            "line1": pharmacy.address.line1,
            "line2": pharmacy.address.line2,
            "city": pharmacy.address.city,
            "state": pharmacy.address.state,
            "zip": pharmacy.address.zip,
        }
        return self._checked("PHA", values)

    def trailer(self) -> bytes:
        """TP, which counts itself."""
        return self._checked("TP", {"count": str(self._in_pharmacy + 1)})

    def closing(self, report: DispensingReport) -> bytes:
        """TT, which counts itself."""
        return self._checked(
            "TT", {"control_number": report.control_number, "count": str(self._segments + 1)}
        )

    def patient(self, patient: Identity) -> bytes:
        """PAT."""
        if len(patient.ids) > 2:
            raise self.refusal("PAT06", "too-many", "there is room for two identifiers")
        if (patient.last, patient.first) == self.version.vocabulary.zero:
            raise self.refusal("PAT07", "zero-report", "this name is that of a report of no dispensings")
        values: Values = {
            "last": patient.last,
            "first": patient.first,
            "middle": patient.middle,
            "prefix": patient.prefix,
            "suffix": patient.suffix,
            "line1": patient.address.line1,
            "line2": patient.address.line2,
            "city": patient.address.city,
            "state": patient.address.state,
            "zip": patient.address.zip,
            "phone": patient.phone,
            "birth_date": _day(patient.birth_date),
            "sex": patient.sex,
            "species": self._species(patient.species),
            "location": patient.location,
            "country": patient.country,
            "animal": patient.animal,
        }
        for id_, name in zip(patient.ids, ("id", "id2"), strict=False):
            values |= {
                f"{name}_kind": id_.kind,
                f"{name}_value": id_.value,
                f"{name}_jurisdiction": id_.jurisdiction,
            }
        return self._checked("PAT", values)

    def _species(self, species: Species | None) -> str:
        if species is None:
            return ""
        animals = self.version.vocabulary.animals
        element = next(e for e in self._segment("PAT").elements if e.name == "species")
        known = element.codes or frozenset()
        return min(known & animals if species is Species.ANIMAL else known - animals)

    # --- rows ----------------------------------------------------------------------------------

    def row(self, row: Dispensed, pick_up: PickUp | None) -> bytes:
        """DSP, PRE, CDI for each ingredient, AIR where there is something to say in it."""
        if row.partial < 0:
            raise self.refusal("DSP13", "part-unnumbered", f"{VERSION} numbers the parts of a fill")
        if row.compound and not row.ingredients:
            raise self.refusal("CDI01", "required", "a compound names its ingredients")
        parts = [self._checked("DSP", self._dispensing(row)), self._checked("PRE", _prescriber(row))]
        for ingredient in row.ingredients:
            qualifier, product_id = self._product(ingredient.medication)
            values = {
                "sequence": f"{ingredient.sequence:02d}",
                "qualifier": qualifier,
                "product_id": product_id,
                "quantity": _number(ingredient.quantity),
                "unit": self._unit(ingredient.unit, "CDI05"),
            }
            parts.append(self._checked("CDI", values))
        extra = _additional(row, pick_up)
        if any(extra.values()):
            parts.append(self._checked("AIR", extra))
        return b"".join(parts)

    def _dispensing(self, row: Dispensed) -> Values:
        rxnorm = next((c.code for c in row.medication.codings if c.system == RXNORM), "")
        coded = self._product(row.medication)
        qualifier, product_id = (row.product_qualifier, row.product_id) if row.product_id else coded
        if row.compound is not self._is_compound(qualifier, product_id):
            raise self.refusal("DSP07", "compound", "qualifier and product say otherwise")
        if coded not in (("", ""), (qualifier, product_id)) or (row.compound and row.medication.codings):
            raise self.refusal("DSP08", "product", "the medication names another product")
        return {
            "reporting": self._reporting[row.reporting],
            "prescription": row.prescription,
            "written_on": _day(row.written_on),
            "refills": str(row.refills),
            "filled_on": _day(row.filled_on),
            "fill": str(row.fill),
            "product_qualifier": qualifier,
            "product_id": product_id,
            "quantity": _number(row.quantity),
            "days_supply": str(row.days_supply),
            "unit": self._unit(row.unit, "DSP11"),
            "origin": row.origin,
            "partial": f"{row.partial:02d}",
            "pharmacist_npi": row.pharmacist_npi,
            "pharmacist_licence": row.pharmacist_licence,
            "payment": row.payment,
            "sold_on": _day(row.sold_on),
            "rxnorm_qualifier": row.rxnorm_qualifier,
            "rxnorm": rxnorm,
            "erx_reference": row.erx_reference,
            "erx_order": row.erx_order,
            "quantity_prescribed": ""
            if row.quantity_prescribed is None
            else _number(row.quantity_prescribed),
            "sig": row.sig,
            "treatment_type": row.treatment_type,
            "diagnosis": "" if row.diagnosis is None else row.diagnosis.code,
        }

    def _is_compound(self, qualifier: str, product_id: str) -> bool:
        version = self.version
        return qualifier == version.compound_qualifier or product_id.startswith(version.compound_prefix)

    def _unit(self, unit: str, element: str) -> str:
        code = self._units.get(unit)
        if code is None:
            raise self.refusal(element, "unit", "is counted in pieces, millilitres or grams")
        return code

    def _product(self, medication: Medication) -> tuple[str, str]:
        for coding in medication.codings:
            if coding.system in self._qualifiers:
                return self._qualifiers[coding.system], coding.code
        return "", ""


def _prescriber(row: Dispensed) -> Values:
    by = row.prescriber
    return {
        "npi": by.npi,
        "dea": by.dea,
        "dea_suffix": by.dea_suffix,
        "licence": by.licence,
        "last": by.last,
        "first": by.first,
        "middle": by.middle,
        "phone": by.phone,
        "xdea": by.xdea,
        "licence_state": by.licence_state,
        "line1": by.address.line1,
        "line2": by.address.line2,
        "city": by.address.city,
        "state": by.address.state,
        "zip": by.address.zip,
    }


def _additional(row: Dispensed, pick_up: PickUp | None) -> Values:
    state, serial = row.serial
    values = {"blank_state": state, "blank_serial": serial}
    if pick_up is not None:
        values |= {
            "relationship": pick_up.relationship,
            "last": pick_up.last,
            "first": pick_up.first,
            "pharmacist_last": pick_up.pharmacist_last,
            "pharmacist_first": pick_up.pharmacist_first,
            "drop_or_pick": pick_up.drop_or_pick,
        }
        if pick_up.id is not None:
            values |= {
                "id_jurisdiction": pick_up.id.jurisdiction,
                "id_kind": pick_up.id.kind,
                "id_value": pick_up.id.value,
            }
    return values


def _day(day: date | None) -> str:
    return "" if day is None else day.strftime("%Y%m%d").zfill(8)


def _time(at: datetime) -> str:
    return at.strftime("%H%M%S")


def _number(number: Decimal | None) -> str:
    return "" if number is None else format(number, "f")
