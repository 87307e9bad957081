"""CSV files of dispensings, by a declared mapping: which column holds what, said in a small TOML file.

    [file]
    delimiter = ","              # "," when not said
    encoding = "utf-8"           # "utf-8" when not said
    date_format = "%m/%d/%Y"     # ISO dates when not said
    sender = "Example Health Plan"
    current_by = "reported_at"   # what tells how current a pharmacy's rows are, or filled_on

    [columns]                    # field of the row = name of the column in the file's first line
    prescription = "RxNumber"
    filled_on = "FillDate"

    [values.reporting]           # what a column's words stand for
    "P" = "new"
    "R" = "void"

    [constants]                  # what is the same for every row
    unit = "each"

Everything that a row needs and no column holds is refused with the names that there are. Nothing is guessed
from a column's name.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from itertools import islice

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from stewardship.domain.codes import NDC, RXNORM, Coding
from stewardship.domain.dispensings import (
    Address,
    Dispensed,
    DispensingReport,
    Identifier,
    Identity,
    Pharmacy,
    Prescriber,
    Reporting,
    RowFault,
    Species,
)
from stewardship.domain.drugs import Medication
from stewardship.domain.errors import InvalidInput
from stewardship.domain.feeds import Broken, Format, Heard, Item, Refusal, Row
from stewardship.intake.sources import Counted, Opener, line_digest

#: Fields that a row cannot be without.
REQUIRED = ("prescription", "filled_on", "quantity", "days_supply", "last", "first", "birth_date")
#: Who dispensed: one of these at least, an NCPDP number, a DEA number, an NPI.
DISPENSERS = ("pharmacy", "pharmacy_dea", "pharmacy_npi")
#: Fields that a column, or a constant, may hold besides.
OPTIONAL = (
    "pharmacy_name", "pharmacy_zip", "written_on", "fill", "partial", "refills", "ndc", "rxcui", "text",
    "unit", "reporting", "reported_at", "prescriber_npi", "prescriber_dea", "payment", "treatment_type",
    "sex", "street", "city", "state", "zip", "id_kind", "id_value", "id_jurisdiction",
)  # fmt: skip
_FIELDS = sorted({*REQUIRED, *DISPENSERS, *OPTIONAL})
#: Bytes of a mapping; an honest one has a hundredth of that.
MOST_OF_MAPPING = 1 << 16
_LONGEST_LINE = 1 << 20
_MOST_DIGITS = 12
_SHOWN = 5
#: What may tell how current a pharmacy's rows are.
_CURRENT_BY = ("reported_at", "filled_on")
_MASKED = frozenset({"last", "first", "birth_date", "street", "city", "zip", "id_value"})


class _File(Schema):
    class Meta:
        unknown = RAISE

    delimiter = fields.String(load_default=",", validate=validate.OneOf([",", ";", "\t", "|"]))
    encoding = fields.String(
        load_default="utf-8", validate=validate.OneOf(["utf-8", "utf-8-sig", "windows-1252"])
    )
    date_format = fields.String(load_default="%Y-%m-%d")
    sender = fields.String(required=True, validate=validate.Length(min=1, max=60))
    current_by = fields.String(load_default="", validate=validate.OneOf(["", *_CURRENT_BY]))


def _field() -> fields.String:
    return fields.String(validate=validate.OneOf(_FIELDS))


class _Mapping(Schema):
    class Meta:
        unknown = RAISE

    file = fields.Nested(_File, required=True)
    columns = fields.Dict(_field(), fields.String(), required=True)
    values = fields.Dict(_field(), fields.Dict(fields.String(), fields.String()), load_default=dict)
    constants = fields.Dict(_field(), fields.String(), load_default=dict)


@dataclass(frozen=True)
class CsvMapping:
    """Where each field of a row comes from. ``current_by`` names the field whose newest value tells how
    current a pharmacy's rows are; a file of which nothing says so is word of no pharmacy."""

    sender: str
    current_by: str
    delimiter: str
    encoding: str
    date_format: str
    columns: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]
    constants: Mapping[str, str]
    written: bytes = field(repr=False)


def read_mapping(written: bytes) -> CsvMapping:
    """The mapping of a TOML file; ``InvalidInput`` says what is wrong with it."""
    try:
        said = _Mapping().load(tomllib.loads(written.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise InvalidInput("the mapping is not TOML") from fault
    except ValidationError as fault:
        raise InvalidInput(f"the mapping says what it may not say: {fault.messages}") from None
    columns, constants = said["columns"], said["constants"]
    missing = [name for name in REQUIRED if name not in columns and name not in constants]
    if missing:
        raise InvalidInput(f"the mapping names no column for {', '.join(missing)}")
    if not {*DISPENSERS} & {*columns, *constants}:
        raise InvalidInput(f"the mapping names no column for who dispensed: {', '.join(DISPENSERS)}")
    if not {"ndc", "rxcui", "text"} & {*columns, *constants}:
        raise InvalidInput("the mapping names no column for the product: ndc, rxcui or text")
    current_by = said["file"]["current_by"]
    if current_by and current_by not in columns and current_by not in constants:
        raise InvalidInput(f"the mapping says current_by {current_by}, and names no column for it")
    return CsvMapping(
        **said["file"], columns=columns, values=said["values"], constants=constants, written=written
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A row for somebody who wants to see that the file is read as it is meant, and what is wrong with it."""

    line: int
    fields: Mapping[str, str]
    faults: tuple[RowFault, ...] = ()


@dataclass(frozen=True)
class CsvFeed:
    """A CSV file with its mapping. Rows of days after ``latest`` are refused."""

    open: Opener
    name: str
    mapping: CsvMapping
    latest: date
    format: Format = field(default=Format.CSV, init=False)
    _counted: Counted = field(default_factory=Counted, init=False, repr=False)

    def digest(self) -> str:
        """The content's, as this mapping reads it."""
        with self.open() as source:
            return line_digest(source, also=self.mapping.written)

    def checked(self) -> CsvFeed:
        """The same, after a look whether it has the columns; ``InvalidInput`` names those that it lacks."""
        for _ in self._lines():
            break
        return self

    def items(self) -> Iterator[Item]:
        """Each line as a row; behind them how current each pharmacy is, when the mapping says what tells."""
        heard: dict[str, tuple[Pharmacy, datetime]] = {}
        for _, _, item in self._read():
            if isinstance(item, Row) and self.mapping.current_by:
                _hear(heard, item.dispensed, self.mapping.current_by)
            elif isinstance(item, Broken):
                # What is behind the break is not known, and may be newer.
                heard.clear()
            yield item
        for pharmacy, moment in heard.values():
            yield Heard((pharmacy,), moment)

    def _read(self) -> Iterator[tuple[int, Mapping[str, str], Item]]:
        """Line, fields and what they come to."""
        report = DispensingReport("csv", self.digest()[:40], None, sender_name=self.mapping.sender)
        position = 0
        for line, said in self._lines():
            if isinstance(said, str):
                broken = said == "encoding"
                yield line, {}, Broken(said) if broken else Refusal((RowFault(line, "CSV", "?", said),))
                continue
            position += 1
            faults: list[RowFault] = []
            row = _RowReader(said, self.mapping, line, faults).row(report, position, self.latest)
            yield line, said, Refusal(tuple(faults)) if row is None else row

    def read_so_far(self) -> int:
        """How many bytes were read."""
        return self._counted.read_so_far()

    def preview(self) -> Iterator[str]:
        """The first rows in words."""
        for shown in self.sample():
            words = " · ".join(f"{name}={value}" for name, value in shown.fields.items())
            wrong = ", ".join(f"{fault.element}: {fault.code}" for fault in shown.faults)
            yield f"line {shown.line}: {words}" + (f" [{wrong}]" if wrong else "")

    def sample(self) -> Iterator[Shown]:
        """The first rows as the mapping reads them; of what says who the patient is, only its shape."""
        for line, said, item in islice(self._read(), _SHOWN):
            shown = {
                name: masked(value) if name in _MASKED else value for name, value in said.items() if value
            }
            plain = {name: "".join(c if c.isprintable() else " " for c in v) for name, v in shown.items()}
            faults = item.faults if isinstance(item, Refusal) else ()
            if isinstance(item, Broken):
                faults = (RowFault(line, "CSV", "?", item.reason),)
            yield Shown(line, plain, faults)

    def _lines(self) -> Iterator[tuple[int, dict[str, str] | str]]:
        """Line and fields of each row, or a code for one that cannot be taken apart."""
        mapping = self.mapping
        with self.open() as source:
            self._counted.source = source
            written = io.TextIOWrapper(source, encoding=mapping.encoding, errors="strict", newline="")
            reader = csv.reader(_bounded(written), delimiter=mapping.delimiter, strict=True)
            names: list[str] | None = None
            while True:
                try:
                    cells = next(reader, None)
                except UnicodeDecodeError:
                    yield reader.line_num, "encoding"
                    return
                except csv.Error:
                    yield reader.line_num, "not-csv"
                    continue
                if cells is None:
                    if names is None:
                        raise InvalidInput("the file is empty: its first line names the columns")
                    return
                if names is None:
                    names = _header(cells, mapping)
                elif cells:
                    yield reader.line_num, _fields(cells, names, mapping)


def _hear(heard: dict[str, tuple[Pharmacy, datetime]], row: Dispensed, by: str) -> None:
    """Remember the newest moment of the row's pharmacy: the day of filling counts from its beginning."""
    moment = row.report.created if by == "reported_at" else datetime.combine(row.filled_on, time())
    known = heard.get(row.pharmacy.key)
    if moment is not None and (known is None or known[1] < moment):
        heard[row.pharmacy.key] = row.pharmacy, moment


def _bounded(written: io.TextIOWrapper) -> Iterator[str]:
    while line := written.readline(_LONGEST_LINE):
        yield line.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _header(cells: list[str], mapping: CsvMapping) -> list[str]:
    names = [cell.strip().removeprefix("\ufeff") for cell in cells]
    missing = sorted(column for column in mapping.columns.values() if column not in names)
    if missing:
        raise InvalidInput(f"the file has no column {', '.join(missing)}", code="column-missing")
    doubled = sorted(column for column in set(mapping.columns.values()) if names.count(column) > 1)
    if doubled:
        raise InvalidInput(f"the file has two columns {', '.join(doubled)}", code="column-twice")
    return names


def _fields(cells: list[str], names: list[str], mapping: CsvMapping) -> dict[str, str] | str:
    if len(cells) != len(names):
        return "columns"
    held = dict(zip(names, (cell.strip() for cell in cells), strict=True))
    said = dict(mapping.constants)
    for name, column in mapping.columns.items():
        value = held[column]
        said[name] = mapping.values[name].get(value, value) if name in mapping.values else value
    return said


def _shape(name: str, value: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in value)
    return masked(plain) if name in _MASKED else plain


def masked(value: str) -> str:
    """The first character of something that names a person, and how long it is."""
    return f"{value[:1]}{'•' * (len(value) - 1)}"


class _RowReader:
    """One row's fields -> the row; what is wrong is added to ``faults`` under the column's name."""

    def __init__(
        self, said: Mapping[str, str], mapping: CsvMapping, line: int, faults: list[RowFault]
    ) -> None:
        self._said = said
        self._mapping = mapping
        self._line = line
        self._faults = faults

    def row(self, report: DispensingReport, position: int, latest: date) -> Row | None:
        """The row; ``None`` when something is wrong with it."""
        for name in REQUIRED:
            if not self._said.get(name):
                self._fault(name, "required")
        if not any(self._said.get(name) for name in DISPENSERS):
            self._fault(next(name for name in DISPENSERS if name in self._said), "required")
        filled_on, born = self._day("filled_on"), self._day("birth_date")
        quantity, days = self._number("quantity"), self._whole("days_supply")
        written_on = self._day("written_on") or filled_on
        whole = [self._whole(name, default=0) for name in ("refills", "fill", "partial")]
        reporting = self._reporting()
        made = self._moment("reported_at")
        if filled_on and filled_on > latest:
            self._fault("filled_on", "in-future")
        if self._faults or filled_on is None or written_on is None or quantity is None or days is None:
            return None
        get = self._said.get
        dispensed = Dispensed(
            report=report
            if made is None
            else DispensingReport("csv", report.control_number, made, sender_name=report.sender_name),
            position=position,
            reporting=reporting,
            pharmacy=Pharmacy(
                npi=get("pharmacy_npi", ""),
                ncpdp=get("pharmacy", ""),
                dea=get("pharmacy_dea", ""),
                name=get("pharmacy_name", ""),
                address=Address(zip=get("pharmacy_zip", "")),
            ),
            prescriber=Prescriber(npi=get("prescriber_npi", ""), dea=get("prescriber_dea", "")),
            prescription=get("prescription", ""),
            written_on=written_on,
            refills=whole[0] or 0,
            filled_on=filled_on,
            fill=whole[1] or 0,
            medication=self._medication(),
            quantity=quantity,
            unit=get("unit", ""),
            days_supply=days,
            partial=whole[2] or 0,
            payment=get("payment", ""),
            treatment_type=get("treatment_type", ""),
            species=Species.PERSON,
        )
        return Row(self._line, dispensed, self._identity(born))

    def _medication(self) -> Medication:
        codings = tuple(
            Coding(system, code)
            for system, code in ((RXNORM, self._said.get("rxcui")), (NDC, self._said.get("ndc")))
            if code
        )
        return Medication(codings, self._said.get("text", ""))

    def _identity(self, born: date | None) -> Identity:
        get = self._said.get
        number = Identifier(get("id_kind", ""), get("id_value", ""), get("id_jurisdiction", ""))
        return Identity(
            last=get("last", ""),
            first=get("first", ""),
            birth_date=born,
            sex=get("sex", ""),
            ids=(number,) if number.kind and number.value else (),
            address=Address(get("street", ""), "", get("city", ""), get("state", ""), get("zip", "")),
        )

    def _reporting(self) -> Reporting:
        word = self._said.get("reporting", "") or Reporting.NEW.value
        try:
            return Reporting(word)
        except ValueError:
            self._fault("reporting", "code")
            return Reporting.NEW

    def _day(self, name: str) -> date | None:
        moment = self._moment(name)
        return None if moment is None else moment.date()

    def _moment(self, name: str) -> datetime | None:
        text = self._said.get(name, "")
        if not text:
            return None
        try:
            if name == "reported_at":
                return datetime.fromisoformat(text).replace(tzinfo=None)
            return datetime.strptime(text, self._mapping.date_format)  # noqa: DTZ007 - a day
        except ValueError:
            self._fault(name, "date")
            return None

    def _number(self, name: str) -> Decimal | None:
        text = self._said.get(name, "")
        try:
            if not text.isascii() or len(text) > _MOST_DIGITS or not set(text) <= set("0123456789."):
                raise InvalidOperation
            return Decimal(text) if text else None
        except InvalidOperation:
            self._fault(name, "number")
            return None

    def _whole(self, name: str, *, default: int | None = None) -> int | None:
        number = self._number(name)
        if number is None:
            return default
        if number != number.to_integral_value():
            self._fault(name, "number")
            return default
        return int(number)

    def _fault(self, name: str, code: str) -> None:
        element = self._mapping.columns.get(name, name)[:60]
        self._faults.append(RowFault(self._line, "CSV", element, code))
