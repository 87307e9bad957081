"""Flags for the service's tests: a clinic with patients on both databases, and what somebody saw of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import insert

from stewardship.db import Sessions, tables, transaction
from stewardship.declarations.factors import read_factor_sets
from stewardship.declarations.flags import read_flags
from stewardship.declarations.places import REFERENCE
from stewardship.domain.flags import Flag, Flags, Untold
from stewardship.domain.people import Principal, Role
from stewardship.services import flags
from stewardship.services.flag_raising import Changes
from tests.builders import NOW
from tests.services.declared import ORGANISATION, PHARMACIST

ANOTHER = Principal("u-pharmacist-2", ORGANISATION, Role.PHARMACIST)
WATCH = Principal("watch", ORGANISATION, Role.ADMIN)
PATIENT = "pat-1"
EARLY, BESIDE, HIGH = "early-refill", "opioid-with-benzodiazepine", "high-daily-mme"
KINDS = (EARLY, BESIDE, HIGH)


@dataclass(frozen=True)
class Declared:
    """A library of nothing but flags."""

    flags: Flags


@cache
def library() -> Declared:
    """The flags as the project ships them."""
    return Declared(read_flags(REFERENCE, read_factor_sets(REFERENCE)))


def a_flag(kind: str = BESIDE, label: str = "s-1", *more: str, on: date | None = None, **facts: Any) -> Flag:
    """A flag that labels a supply, with further ones as evidence."""
    first = on or date(2026, 11, 1)
    return Flag(kind, label, first, first + timedelta(len(more)), (label, *more), facts)


def see(
    sessions: Sessions,
    *found: Flag,
    untold: tuple[Untold, ...] = (),
    patient: str = PATIENT,
    now: datetime = NOW,
    by: Principal = WATCH,
) -> Changes:
    """A look at a patient that found this."""
    with transaction(sessions) as session:
        return flags.reconcile(
            session, library(), patient, found, untold, kinds=KINDS, source="watch", by=by, now=now
        )


def queue(sessions: Sessions, by: Principal = PHARMACIST, now: datetime = NOW, **asked: Any) -> list[Any]:
    """The flags that are listed."""
    with transaction(sessions, write=False) as session:
        return list(flags.listed(session, library(), flags.Asked(**asked), by=by, now=now).flags)


def act(
    sessions: Sessions, what: Any, flag_id: str, *args: Any, by: Principal = PHARMACIST, **more: Any
) -> Any:
    """One act in its own transaction, now unless it is said when."""
    with transaction(sessions) as session:
        return what(session, library(), flag_id, *args, by=by, now=more.pop("now", NOW), **more)


def opened(sessions: Sessions, *found: Flag, **more: Any) -> str:
    """The id of the one flag that a look opened."""
    (flag_id,) = see(sessions, *(found or (a_flag(),)), **more).opened
    return flag_id


def add_patients(sessions: Sessions, *ids: str, organisation: str = ORGANISATION) -> None:
    """Patients of whom nothing is known."""
    rows = [
        {"organisation_id": organisation, "id": one, "ehr_id": f"ehr-{one}", "sex": "", "deceased": False}
        | {"birth_date": None, "data_as_of": None, "recorded_at": NOW}
        for one in ids
    ]
    with transaction(sessions) as session:
        session.execute(insert(tables.Patient.__table__), rows)


def add_users(sessions: Sessions, *people: Principal) -> None:
    """People who work there."""
    with transaction(sessions) as session:
        for one in people:
            row = {"organisation_id": one.organisation_id, "id": one.user_id, "role": one.role.value}
            session.execute(insert(tables.User.__table__), row | {"active": True, "created_at": NOW})
