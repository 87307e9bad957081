"""Who prescribes at the demonstration's clinic: synthetic people in the registry, under numbers of nobody.

A National Provider Identifier begins with 1 or 2, and its last digit checks the others. All that were ever
given out begin with 1; the row of 2 has not been begun (J. D. Cook, "NPI number and its checksum",
26 June 2024). So a number of that row passes every check of the service, and means nobody; of the row of 1
any number with a right check digit might be somebody's, and one with a wrong digit no service should take.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import msgspec
from sqlalchemy.orm import Session

from stewardship.declarations import Library
from stewardship.demo.recipes import Said
from stewardship.domain.people import Principal
from stewardship.domain.prescribers import Certification, CertificationKind, Fellowship, Prescriber, is_npi
from stewardship.services import prescribers

#: How many there are.
NUMBER = 14
_FILE = Path(__file__).parent / "prescribers.toml"
#: How long each certification is said to last; those that are older have lapsed, and are there to be seen.
_LASTS = timedelta(days=3650)


class _Person(Said, frozen=True):
    """One prescriber; days before the first start."""

    number: int
    specialty: str
    board: str
    certified_ago: int
    pain_medicine_ago: int = 0
    fellowship_months: int = 0
    user: str = ""


class _People(Said, frozen=True):
    """The whole of ``prescribers.toml``."""

    prescriber: list[_Person]


@lru_cache(maxsize=NUMBER * 2)
def npi(number: int) -> str:
    """The National Provider Identifier of one of the clinic's prescribers."""
    body = f"2{number:08d}"
    return next(body + digit for digit in "0123456789" if is_npi(body + digit))


def make(session: Session, library: Library, *, by: Principal, now: datetime) -> None:
    """Put them all into the registry."""
    people = msgspec.toml.decode(_FILE.read_bytes(), type=_People).prescriber
    stated = [_stated(person, now.date()) for person in people]
    prescribers.keep_all(session, library, stated, by=by, now=now)


def _stated(person: _Person, today: date) -> Prescriber:
    since = {CertificationKind.PRIMARY: person.certified_ago}
    if person.pain_medicine_ago:
        since[CertificationKind.PAIN_MEDICINE] = person.pain_medicine_ago
    certified = tuple(
        Certification(
            kind, person.board, person.specialty, today - timedelta(ago), today - timedelta(ago) + _LASTS
        )
        for kind, ago in since.items()
    )
    months, ago = person.fellowship_months, person.pain_medicine_ago
    fellowships = (Fellowship(months, True, today - timedelta(ago)),) if months else ()
    return Prescriber("", npi(person.number), person.specialty, person.user, certified, fellowships)
