"""Opening the demonstration: a migrated database, the clinic in it, a token for each role.

The clinic is made in one transaction: a first start that is interrupted leaves nothing half made, and the
next one begins again. What pharmacies report comes in afterwards, as any file does, and is continued.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from stewardship.db import Sessions, migrate, transaction
from stewardship.declarations import Library
from stewardship.demo import dispensings, function, looks, orders, past, plans, prescribers, recipes
from stewardship.demo.clinic import Clinic, make
from stewardship.demo.house import House
from stewardship.domain.people import Principal, Role
from stewardship.services import history, organisations, tokens

ORGANISATION = "demo-clinic"

_SETUP = Principal("demo-setup", ORGANISATION, Role.ADMIN)
_TOKEN_LIFE = timedelta(days=90)


@dataclass(frozen=True)
class Opened:
    """The clinic, whether it was made just now, and the API tokens by role."""

    clinic: Clinic
    made: bool
    tokens: Mapping[str, str]


def open_clinic(house: House, sessions: Sessions, library: Library, *, now: datetime) -> Opened:
    """Make the clinic unless it is there already, and see to it that every role has a token."""
    migrate.upgrade(sessions.kw["bind"])
    clinic = make(recipes.read(), library, now=now)
    with transaction(sessions) as session:
        made = organisations.ensure(session, ORGANISATION, name="Demonstration clinic", by=_SETUP, now=now)
        if made:
            cared_for = looks.looked_at(
                clinic, recipes.read(), library, function.CALENDAR, left=orders.shown_patients(clinic)
            )
            prescribers.make(session, library, by=_SETUP, now=now)
            history.store(session, cared_for.charts.values(), source="demonstration", by=_SETUP, now=now)
            past.make(session, cared_for, library, recipes.read(), by=_SETUP, now=now)
            plans.make(session, clinic, library, by=prescriber(), now=now)
            function.make(session, library, recipes.read(), setup=_SETUP, prescriber=prescriber(), now=now)
        held = house.tokens(
            still_good=lambda token: _is_good(session, token, now),
            issue=lambda role: _issue(session, role, now),
        )
        made_at = organisations.made_at(session, ORGANISATION)
    # The same files at every start, also on a later day.
    as_made = clinic if made_at.date() == now.date() else make(recipes.read(), library, now=made_at)
    dispensings.take_in(sessions, library, as_made, by=_SETUP, made_at=made_at, now=now)
    return Opened(clinic, made, held)


def prescriber() -> Principal:
    """The demonstration's prescriber, as the token of that role acts."""
    return Principal(_user("prescriber"), ORGANISATION, Role.PRESCRIBER)


def _user(role: str) -> str:
    return f"demo-{role}"


def _is_good(session: Session, token: str, now: datetime) -> bool:
    owner = tokens.authenticate(session, token, now=now)
    return owner is not None and owner.organisation_id == ORGANISATION


def _issue(session: Session, role: str, now: datetime) -> str:
    return tokens.issue(
        session,
        organisation_id=ORGANISATION,
        role=Role(role),
        scopes=(),
        expires_at=now + _TOKEN_LIFE,
        by=_SETUP,
        now=now,
        user_id=_user(role),
    )
