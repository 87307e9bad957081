"""The values of a segment -> what they are called in the field, one function for each segment.

Values come as ``decoding`` gives them: in the order named here, empty for what is not stated. What has
the form of a date or a number and is none raises ``ValueError``; which element it is, the decoder says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from stewardship.domain.codes import ICD10CM, RXNORM, Coding
from stewardship.domain.dispensings import (
    Address,
    CompoundIngredient,
    Dispensed,
    DispensingReport,
    Identifier,
    Identity,
    Pharmacy,
    PickUp,
    Prescriber,
    Species,
)
from stewardship.domain.drugs import Medication
from stewardship.intake.asap.decoding import DATES, DECIMALS
from stewardship.intake.asap.definitions import Vocabulary

DSP = (
    "reporting", "prescription", "written_on", "refills", "filled_on", "fill", "product_qualifier",
    "product_id", "quantity", "days_supply", "unit", "origin", "partial", "pharmacist_npi",
    "pharmacist_licence", "payment", "sold_on", "rxnorm_qualifier", "rxnorm", "erx_reference", "erx_order",
    "quantity_prescribed", "sig", "treatment_type", "diagnosis",
)  # fmt: skip
PAT = (
    "id_jurisdiction", "id_kind", "id_value", "id2_jurisdiction", "id2_kind", "id2_value", "last", "first",
    "middle", "prefix", "suffix", "line1", "line2", "city", "state", "zip", "phone", "birth_date", "sex",
    "species", "location", "country", "animal", "ssn", "drivers_licence",
)  # fmt: skip
PRE = (
    "npi", "dea", "dea_suffix", "licence", "last", "first", "middle", "phone", "xdea", "licence_state",
    "line1", "line2", "city", "state", "zip",
)  # fmt: skip
CDI = ("sequence", "qualifier", "product_id", "quantity", "unit")
AIR = (
    "blank_state", "blank_serial", "id_jurisdiction", "id_kind", "id_value", "relationship", "last", "first",
    "pharmacist_last", "pharmacist_first", "drop_or_pick",
)  # fmt: skip
COUNT = ("count",)
TT = ("control_number", "count")
RPH = ("npi",)

_SSN, _DRIVERS_LICENCE = "07", "06"
_NOWHERE = Address()
_NO_PICK_UP = PickUp()
_PERIOD = re.compile(r"#(\d{8})#-#(\d{8})#", re.ASCII)


def report_of(header: Mapping[str, str], source: Mapping[str, str]) -> DispensingReport:
    """The transmission, from what can be read of TH and IS."""
    return DispensingReport(
        version=header.get("version", ""),
        control_number=header.get("control_number", ""),
        created=_created(header.get("created_on", ""), header.get("created_at", "")),
        test=header.get("file_type") == "T",
        sender_id=source.get("sender_id", ""),
        sender_name=source.get("sender_name", ""),
        message=source.get("message", ""),
    )


def _created(day: str, time: str) -> datetime | None:
    """The sender's own clock. A time that cannot be read is the beginning of the day."""
    if not day:
        return None
    time = (time or "").ljust(6, "0")
    on = DATES[day]
    return datetime(  # noqa: DTZ001 - the sender's local time; the format has no zone
        on.year, on.month, on.day, int(time[:2]), int(time[2:4]), int(time[4:])
    )


def period_of(message: str) -> tuple[str, str]:
    """The days that a zero report is about, as CCYYMMDD; empty when its message does not say."""
    match = _PERIOD.search(message)
    return (match[1], match[2]) if match else ("", "")


def pharmacy_of(said: Mapping[str, str]) -> Pharmacy:
    """Who dispensed, from what can be read of PHA."""
    get = said.get
    where = (get("line1", ""), get("line2", ""), get("city", ""), get("state", ""), get("zip", ""))
    return Pharmacy(
        npi=get("npi", ""),
        ncpdp=get("ncpdp", ""),
        dea=get("dea", ""),
        name=get("name", ""),
        address=_address(*where),
        phone=get("phone", ""),
        contact=get("contact", ""),
        site_id=get("site_id", ""),
        permit=get("permit", ""),
    )


def _address(line1: str, line2: str, city: str, state: str, zip_code: str) -> Address:
    if line1 or city or zip_code or state or line2:
        return Address(line1, line2, city, state, zip_code)
    return _NOWHERE


def prescriber_of(values: tuple[str, ...]) -> Prescriber:
    """Who prescribed, from PRE."""
    npi, dea, dea_suffix, licence, last, first, middle, phone, xdea, licence_state, *where = values
    line1, line2, city, state, zip_code = where
    address = _address(line1, line2, city, state, zip_code)
    return Prescriber(npi, dea, dea_suffix, licence, last, first, middle, phone, xdea, licence_state, address)


def identity_of(values: tuple[str, ...], animals: frozenset[str]) -> Identity:
    """Who the patient is, from PAT."""
    (
        jurisdiction, kind, value, jurisdiction2, kind2, value2, last, first, middle, prefix, suffix, line1,
        line2, city, state, zip_code, phone, birth, sex, species, location, country, animal, ssn, licence,
    ) = values  # fmt: skip
    ids: tuple[Identifier, ...] = ()
    if value:
        ids = (Identifier(kind, value, jurisdiction),)
    if value2:
        ids += (Identifier(kind2, value2, jurisdiction2),)
    if ssn:
        ids += (Identifier(_SSN, ssn),)
    if licence:
        ids += (Identifier(_DRIVERS_LICENCE, licence),)
    return Identity(
        last,
        first,
        DATES[birth],
        middle,
        prefix,
        suffix,
        sex,
        ids,
        Address(line1, line2, city, state, zip_code),
        phone,
        country,
        location,
        None if not species else Species.ANIMAL if species in animals else Species.PERSON,
        animal,
    )


def pick_up_of(values: tuple[str, ...]) -> tuple[tuple[str, str], PickUp | None]:
    """The serial number of the prescription blank, and who came with it, from AIR or CSR."""
    state, serial, jurisdiction, kind, value, relationship, *names = values
    last, first, pharmacist_last, pharmacist_first, drop_or_pick = names
    id_ = Identifier(kind, value, jurisdiction) if value or kind or jurisdiction else None
    who = PickUp(id_, relationship, last, first, pharmacist_last, pharmacist_first, drop_or_pick)
    return (state, serial), None if who == _NO_PICK_UP else who


def ingredient_of(values: tuple[str, ...], words: Vocabulary) -> CompoundIngredient:
    """One ingredient of a compound, from CDI."""
    sequence, qualifier, product_id, quantity, unit = values
    medication = medication_of(qualifier, product_id, "", words)
    return CompoundIngredient(int(sequence), medication, DECIMALS[quantity], words.units[unit])


def medication_of(qualifier: str, product_id: str, rxnorm: str, words: Vocabulary) -> Medication:
    """What was dispensed, by its codes. A qualifier without a system (a compound) gives no code."""
    system = words.product_systems.get(qualifier, "")
    codings = (Coding(system, product_id),) if system else ()
    if rxnorm:
        codings = (Coding(RXNORM, rxnorm), *codings)
    return Medication(codings, "" if codings else "compound")


_Medications = dict[tuple[str, str, str], Medication]
_REMEMBERED = 50_000


class RowBuilder:
    """DSP and what hangs on it -> the row. One for each version; products come again and again and are
    made once."""

    def __init__(
        self,
        words: Vocabulary,
        *,
        reporting_list: str,
        partial_list: str,
        compound_qualifier: str,
        compound_prefix: str,
    ) -> None:
        self.words = words
        self._reporting = words.reporting[reporting_list]
        self._partial = words.partial.get(partial_list)
        self._qualifier = compound_qualifier
        self._prefix = compound_prefix
        self._medications: _Medications = {}

    def is_compound(self, values: tuple[str, ...]) -> bool:
        """Whether the product is a compound: then its ingredients have to be named."""
        return values[6] == self._qualifier or values[7].startswith(self._prefix)

    def build(
        self,
        values: tuple[str, ...],
        report: DispensingReport,
        position: int,
        pharmacy: Pharmacy,
        prescriber: Prescriber,
        species: Species,
        ingredients: tuple[CompoundIngredient, ...],
        serial: tuple[str, str],
    ) -> Dispensed:
        """The row; raises ``ValueError`` for a date or a number that is none."""
        (
            reporting, prescription, written_on, refills, filled_on, fill, qualifier, product_id, quantity,
            days_supply, unit, origin, partial, pharmacist_npi, pharmacist_licence, payment, sold_on,
            rxnorm_qualifier, rxnorm, erx_reference, erx_order, quantity_prescribed, sig, treatment_type,
            diagnosis,
        ) = values  # fmt: skip
        product = (qualifier, product_id, rxnorm)
        medication = self._medications.get(product)
        compound = qualifier == self._qualifier or product_id.startswith(self._prefix)
        if medication is None:
            if len(self._medications) > _REMEMBERED:
                self._medications.clear()
            # A compound is none of its ingredients: whatever code came with it is not what it is.
            medication = Medication((), "compound") if compound else medication_of(*product, self.words)
            self._medications[product] = medication
        return Dispensed(
            report,
            position,
            self._reporting[reporting],
            pharmacy,
            prescriber,
            prescription,
            DATES[written_on],
            int(refills),
            DATES[filled_on],
            int(fill),
            medication,
            DECIMALS[quantity],
            self.words.units[unit],
            int(days_supply),
            (int(partial) if partial else 0) if self._partial is None else self._partial[partial],
            qualifier,
            product_id,
            "" if compound else rxnorm_qualifier,
            origin,
            pharmacist_npi,
            pharmacist_licence,
            payment,
            DATES[sold_on] if sold_on else None,
            erx_reference,
            erx_order,
            DECIMALS[quantity_prescribed] if quantity_prescribed else None,
            sig,
            treatment_type,
            Coding(ICD10CM, diagnosis) if diagnosis else None,
            species,
            ingredients,
            compound,
            serial,
        )
