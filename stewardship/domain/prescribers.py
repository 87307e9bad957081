"""Who prescribes, with which certifications, and whether they are enough for what a policy asks.

A certification counts on the days on which it is valid. One whose end nobody knows does not: what cannot
be told is no qualification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.treatments import Source

#: What the check digit of a National Provider Identifier is computed with: issuer and country.
_NPI_PREFIX = "80840"
_NPI_LENGTH = 10


class CertificationKind(StrEnum):
    """What a board certified."""

    PRIMARY = "primary"
    PAIN_MEDICINE = "pain-medicine"


@dataclass(frozen=True, slots=True)
class Board:
    """A certifying board: the ``primary`` specialties that it certifies, and whether pain medicine too."""

    id: str
    title: str
    primary: frozenset[str]
    pain_medicine: bool
    sources: tuple[Source, ...] = ()
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Qualification:
    """What a policy may ask for: all of these certifications, and a fellowship of so many months."""

    id: str
    title: str
    certifications: frozenset[CertificationKind]
    fellowship_months: int | None = None
    sources: tuple[Source, ...] = ()
    verified: bool = False


@dataclass(frozen=True, slots=True)
class BoardTerms:
    """All boards and qualifications (``reference/boards.toml``)."""

    boards: Mapping[str, Board]
    qualifications: Mapping[str, Qualification]


@dataclass(frozen=True, slots=True)
class Certification:
    """A certification by a board, valid from a day, until another or for life. Neither: not known."""

    kind: CertificationKind
    board: str
    specialty: str
    from_on: date
    until: date | None = None
    lifelong: bool = False

    def valid(self, on: date) -> bool:
        """Whether it is known to be valid on a day."""
        ends = self.lifelong or (self.until is not None and on <= self.until)
        return self.from_on <= on and ends


@dataclass(frozen=True, slots=True)
class Fellowship:
    """A fellowship in pain medicine: how long, whether the programme was accredited by the ACGME, and when it
    ended."""

    months: int
    accredited: bool
    completed_on: date


@dataclass(frozen=True, slots=True)
class Prescriber:
    """A prescriber. ``user_id`` is the user of ours who that is, empty when none."""

    id: str
    npi: str
    specialty: str
    user_id: str = ""
    certifications: tuple[Certification, ...] = ()
    fellowships: tuple[Fellowship, ...] = ()
    active: bool = True


def is_npi(text: str) -> bool:
    """Whether the text is a National Provider Identifier: ten digits, of which the last one checks the
    others (ISO/IEC 7812, with 80840 before them)."""
    if len(text) != _NPI_LENGTH or not text.isascii() or not text.isdigit() or text[0] not in "12":
        return False
    total = 0
    for place, digit in enumerate(reversed(_NPI_PREFIX + text)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def checked(prescriber: Prescriber, terms: BoardTerms) -> Prescriber:
    """The prescriber as stated, or ``InvalidInput`` with all that is wrong with it."""
    faults = []
    if not is_npi(prescriber.npi):
        faults.append(Fault("/npi", "npi", "ten digits whose check digit is right"))
    for place, one in enumerate(prescriber.certifications):
        where = f"/certifications/{place}"
        board = terms.boards.get(one.board)
        if board is None:
            faults.append(Fault(f"{where}/board", "unknown", f"one of: {', '.join(terms.boards)}"))
        elif one.kind is CertificationKind.PRIMARY and one.specialty not in board.primary:
            certified = ", ".join(sorted(board.primary)) or "none"
            faults.append(Fault(f"{where}/specialty", "not-certified", f"the board certifies: {certified}"))
        elif one.kind is CertificationKind.PAIN_MEDICINE and not board.pain_medicine:
            faults.append(Fault(f"{where}/board", "not-certified", "the board certifies no pain medicine"))
        if one.until is not None and one.until <= one.from_on:
            faults.append(Fault(f"{where}/until", "before-from", "it ends after it begins"))
        if one.until is not None and one.lifelong:
            faults.append(Fault(f"{where}/lifelong", "contradiction", "it ends, or it is for life"))
    if faults:
        raise InvalidInput("the prescriber is not as it may be", faults=tuple(faults))
    return prescriber


def lacking(prescriber: Prescriber | None, qualification: Qualification, on: date) -> tuple[str, ...]:
    """What is missing for a qualification on a day, in words; nothing when it is there."""
    if prescriber is None:
        return ("not in the registry of prescribers",)
    if not prescriber.active:
        return ("no longer active in the registry",)
    missing = []
    for kind in sorted(qualification.certifications):
        own = [c for c in prescriber.certifications if c.kind is kind]
        if any(c.valid(on) for c in own):
            continue
        ends = [c.until for c in own if c.until is not None and c.until < on]
        if ends:
            missing.append(f"{kind} certification ended on {max(ends)}")
        elif own:
            missing.append(f"{kind} certification is not known to be valid")
        else:
            missing.append(f"no {kind} certification on record")
    months = qualification.fellowship_months
    if months is not None and not any(
        f.months >= months and f.accredited and f.completed_on <= on for f in prescriber.fellowships
    ):
        missing.append(f"no accredited fellowship of {months} months on record")
    return tuple(missing)
