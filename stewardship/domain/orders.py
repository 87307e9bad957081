"""What a prescriber is about to sign, and what a patient was prescribed or dispensed before."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from stewardship.domain.codes import Coding
from stewardship.domain.dosage import DailyDose, DosageInstruction, Quantity, doses, expected_days
from stewardship.domain.drugs import Drug, Medication
from stewardship.domain.values import quick


class Phase(StrEnum):
    """Phase of pain by the CDC 2022 guideline: acute < 1 month, subacute 1 to 3 months, chronic > 3."""

    ACUTE = "acute"
    SUBACUTE = "subacute"
    CHRONIC = "chronic"
    UNKNOWN = "unknown"


class Setting(StrEnum):
    """Where the medicine will be taken."""

    OUTPATIENT = "outpatient"
    DISCHARGE = "discharge"
    INPATIENT = "inpatient"
    UNKNOWN = "unknown"


class Loss(StrEnum):
    """Why an order replaces an earlier prescription."""

    LOST = "lost"
    STOLEN = "stolen"
    DESTROYED = "destroyed"


@quick
@dataclass(frozen=True, slots=True)
class Pain:
    """What the order is for. ``onset`` is when the pain began; ``reasons`` are its coded indications,
    ``reason_sets`` the code sets that those codes are in. ``phase_from`` says what an unstated phase was
    told from."""

    phase: Phase = Phase.UNKNOWN
    onset: date | None = None
    reasons: tuple[Coding, ...] = ()
    reason_sets: frozenset[str] = frozenset()
    phase_from: str = ""


@dataclass(frozen=True, slots=True)
class PhaseBounds:
    """Days since onset that part the phases (``reference/pain.toml``): acute below ``subacute_from``,
    chronic above ``subacute_until``. The rest says what counts as established therapy for pain that
    lasts: ``use_days`` on opioids with gaps of at most ``max_gap_days``, and a condition of the sets."""

    subacute_from: int
    subacute_until: int
    condition_sets: frozenset[str] = frozenset()
    use_days: int = 0
    max_gap_days: int = 0


def phase_on(pain: Pain, day: date, bounds: PhaseBounds) -> Phase:
    """The phase as stated; else counted from a known onset to the day; else unknown, never guessed."""
    if pain.phase is not Phase.UNKNOWN or pain.onset is None or pain.onset > day:
        return pain.phase
    days = (day - pain.onset).days
    if days < bounds.subacute_from:
        return Phase.ACUTE
    return Phase.SUBACUTE if days <= bounds.subacute_until else Phase.CHRONIC


@dataclass(frozen=True, slots=True)
class Replacement:
    """The order makes good an earlier prescription that was lost, stolen or destroyed."""

    loss: Loss
    prescription: str = ""
    reported_on: date | None = None
    police_report: str = ""


@dataclass(frozen=True)
class Order:
    """One medication order, as a draft. ``None`` always means: not stated.

    ``drug`` is ``None`` when no code of ``medication`` is in the catalogue. ``days_supply`` is what the
    order states (expectedSupplyDuration); ``refills`` are fills beyond the first. ``start_on`` is the
    first day it may be filled, ``written_on`` the date of issue. ``prescriber`` is an id, not a name.
    ``unread`` names fields that were written and could not be read: they are not known to be absent.
    """

    id: str
    patient_id: str
    medication: Medication
    drug: Drug | None
    written_on: date
    start_on: date | None = None
    dosage: tuple[DosageInstruction, ...] = ()
    quantity: Quantity | None = None
    days_supply: Decimal | None = None
    refills: int | None = None
    pain: Pain = field(default_factory=Pain)
    setting: Setting = Setting.UNKNOWN
    replaces: Replacement | None = None
    prescriber: str = ""
    selected: bool = True
    unread: tuple[str, ...] = ()

    @property
    def starts_on(self) -> date:
        """The first day of supply: the earliest fill date if one is written, else the date of issue."""
        return self.start_on or self.written_on

    @cached_property
    def days(self) -> int | None:
        """How many days it lasts: the longer of what it states and what its quantity yields when used up
        at the highest dose of its instructions. ``None`` when neither is known."""
        return longest_days(self.days_supply, expected_days(self.drug, self.dosage, self.quantity))

    @cached_property
    def doses(self) -> tuple[DailyDose, ...]:
        """The daily dose by every road for which something is stated: signature first, then supply."""
        return doses(self.drug, self.dosage, self.quantity, self.days_supply)


def longest_days(*known: Decimal | None) -> int | None:
    """The longest of the known supplies in whole days; a begun day is a day."""
    days = max((d for d in known if d is not None and d > 0), default=None)
    return None if days is None else math.ceil(days)


class Paid(StrEnum):
    """How a dispensing was paid for, as far as it matters here."""

    CASH = "cash"
    INSURANCE = "insurance"  # any plan, public or private, that pays for the patient
    UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Areas:
    """The first three digits of the ZIP codes that a dispensing names; ``""`` when not stated. Three
    digits tell an area, not an address."""

    patient: str = ""
    pharmacy: str = ""
    prescriber: str = ""


_NO_AREAS = Areas()


class SupplyKind(StrEnum):
    """Where a supply is known from; a dispensing is the strongest evidence."""

    DISPENSING = "dispensing"
    PRESCRIPTION = "prescription"
    STATEMENT = "statement"
    DRAFT = "draft"  # another order in the same signing, not yet signed


@quick
@dataclass(frozen=True, slots=True)
class Supply:
    """One prescription, dispensing or statement in the patient's history. ``None`` means: not stated.

    ``status`` is ``active``, ``completed``, ``stopped`` or ``unknown`` (cancelled, entered-in-error and
    draft records are not supplies and are left out by the reader). ``prescription`` links a dispensing
    to the prescription it fills (the same text on both), ``fill`` is 0 for the first fill.
    ``ended_on`` is when it was stopped, if a date is on record. Of a dispensing: ``partial`` is 0 when it
    is whole, else which part of the fill it is, from 1; ``written_on`` is the prescription's date of
    issue, ``prescribed`` the quantity that it orders.
    """

    id: str
    kind: SupplyKind
    medication: Medication
    drug: Drug | None
    start_on: date | None
    dosage: tuple[DosageInstruction, ...] = ()
    quantity: Quantity | None = None
    days_supply: Decimal | None = None
    refills: int | None = None
    fill: int | None = None
    status: str = "unknown"
    ended_on: date | None = None
    prescription: str = ""
    prescriber: str = ""
    pharmacy: str = ""
    replaces: Replacement | None = None
    setting: Setting = Setting.UNKNOWN
    reasons: tuple[Coding, ...] = ()
    reason_sets: frozenset[str] = frozenset()
    treatment_type: str = ""
    partial: int | None = None
    written_on: date | None = None
    prescribed: Quantity | None = None
    paid: Paid = Paid.UNKNOWN
    areas: Areas = _NO_AREAS
