"""What a pharmacy reports: a dispensing, who dispensed and prescribed it, and which report said so.

The clinical row (``Dispensed``) names no patient. Who the patient is (``Identity``) travels beside it, is
never printed by ``repr``, and is for matching alone. ``None`` and ``""`` mean: not stated.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from stewardship.domain.codes import Coding
from stewardship.domain.drugs import Medication


class Reporting(StrEnum):
    """What a row does to the dispensing of its key."""

    NEW = "new"
    REVISE = "revise"  # takes the place of what was reported before
    VOID = "void"  # the dispensing did not happen


class Species(StrEnum):
    """Whom the dispensing is for. Animals stay out of every view of a person."""

    PERSON = "person"
    ANIMAL = "animal"


class DispensingKey(NamedTuple):
    """What one dispensing is known by: NEW, REVISE and VOID of the same key speak of the same one.

    ``pharmacy`` is ``ncpdp:…``, else ``dea:…``, else ``npi:…``. ``partial`` is 0 for a whole fill, n for
    the nth part, -1 for a part whose number the format could not say.
    """

    pharmacy: str
    prescription: str
    fill: int
    partial: int
    filled_on: date

    @property
    def id(self) -> str:
        """A name for the dispensing that gives nothing of it away: it may stand in a log or an address."""
        said = "\x1f".join((*map(str, self[:4]), self.filled_on.isoformat()))
        return f"dispensing-{hashlib.sha256(said.encode()).hexdigest()[:24]}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody is. ``zip`` has no hyphen in most feeds; it is kept as written."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""


@dataclass(frozen=True, slots=True)
class Pharmacy:
    """Who dispensed: a pharmacy, or a prescriber who dispenses."""

    npi: str = ""
    ncpdp: str = ""
    dea: str = ""
    name: str = ""
    address: Address = Address()
    phone: str = ""
    contact: str = ""
    site_id: str = ""
    permit: str = ""

    @property
    def key(self) -> str:
        """The identifier that keys are made of; empty when none is stated."""
        # Asked several times of every row.
        if self.ncpdp:
            return f"ncpdp:{self.ncpdp}"
        if self.dea:
            return f"dea:{self.dea}"
        return f"npi:{self.npi}" if self.npi else ""


@dataclass(frozen=True, slots=True)
class Prescriber:
    """Who prescribed, by the identifiers of the report."""

    npi: str = ""
    dea: str = ""
    dea_suffix: str = ""
    licence: str = ""
    last: str = ""
    first: str = ""
    middle: str = ""
    phone: str = ""
    xdea: str = ""
    licence_state: str = ""
    address: Address = Address()


@dataclass(frozen=True, slots=True, repr=False)
class Identifier:
    """An identifier of a person: its kind (ASAP id qualifier), who issued it, the value."""

    kind: str
    value: str
    jurisdiction: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """Who the patient is, as the report says it: for matching, and kept apart from clinical rows.

    ``species`` is ``None`` when it is not stated; an animal has its owner's name and, mostly, its own in
    ``animal``.
    """

    last: str
    first: str
    birth_date: date | None
    middle: str = ""
    prefix: str = ""
    suffix: str = ""
    sex: str = ""
    ids: tuple[Identifier, ...] = ()
    address: Address = Address()
    phone: str = ""
    country: str = ""
    location: str = ""
    species: Species | None = None
    animal: str = ""

    @property
    def is_animal(self) -> bool:
        """Whether the medicine is for an animal: the report says so, or names one."""
        return self.species is Species.ANIMAL or bool(self.animal)


@dataclass(frozen=True, slots=True, repr=False)
class PickUp:
    """Who dropped off the prescription or picked up the medicine (``relationship`` and ``drop_or_pick``
    are the codes of the report), and the pharmacist who saw them."""

    id: Identifier | None = None
    relationship: str = ""
    last: str = ""
    first: str = ""
    pharmacist_last: str = ""
    pharmacist_first: str = ""
    drop_or_pick: str = ""


@dataclass(frozen=True, slots=True)
class CompoundIngredient:
    """One ingredient of a compound. ``unit`` is canonical (``each``, ``mL``, ``g``) or empty."""

    sequence: int
    medication: Medication
    quantity: Decimal
    unit: str = ""


@dataclass(frozen=True, slots=True)
class DispensingReport:
    """The transmission that a row came in.

    ``created`` is when its sender made it, by the sender's own clock; ``None`` if it does not say so
    readably. ``test`` files are made to try things out: nothing of them has happened.
    """

    version: str
    control_number: str
    created: datetime | None
    test: bool = False
    sender_id: str = ""
    sender_name: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Dispensed:
    """One reported dispensing: what was handed over, for how long, on whose prescription.

    ``position`` counts the rows of the transmission from 1. ``fill`` is 0 for the first fill, ``refills``
    what the prescription allows beyond it. ``days_supply`` is as reported, 0 included. ``medication`` has
    no coding for a compound, whose ``ingredients`` say what is in it. ``partial`` is as in the key.
    ``payment``, ``origin`` and ``treatment_type`` are the codes of the report (ASAP DSP16, DSP12, DSP24).
    ``serial`` is the state and number of a state-issued prescription blank.
    """

    report: DispensingReport
    position: int
    reporting: Reporting
    pharmacy: Pharmacy
    prescriber: Prescriber
    prescription: str
    written_on: date
    refills: int
    filled_on: date
    fill: int
    medication: Medication
    quantity: Decimal
    unit: str
    days_supply: int
    partial: int = 0
    product_qualifier: str = ""
    product_id: str = ""
    rxnorm_qualifier: str = ""
    origin: str = ""
    pharmacist_npi: str = ""
    pharmacist_licence: str = ""
    payment: str = ""
    sold_on: date | None = None
    erx_reference: str = ""
    erx_order: str = ""
    quantity_prescribed: Decimal | None = None
    sig: str = ""
    treatment_type: str = ""
    diagnosis: Coding | None = None
    species: Species = Species.PERSON
    ingredients: tuple[CompoundIngredient, ...] = ()
    compound: bool = False
    serial: tuple[str, str] = ("", "")

    @property
    def key(self) -> DispensingKey:
        """Which dispensing the row speaks of."""
        return DispensingKey(self.pharmacy.key, self.prescription, self.fill, self.partial, self.filled_on)


@dataclass(frozen=True, slots=True)
class RowFault:
    """One thing wrong with a file of dispensings: where, and a code for programs.

    ``line`` counts from 1 and ``offset`` is the byte where the segment begins. ``element`` is the element
    (``DSP10``) or, when the segment as a whole is meant, the segment again; ``?`` is a segment that is
    not known. Never a value: what was written may be somebody's name.
    """

    line: int
    segment: str
    element: str
    code: str
    offset: int = 0
