"""Who works at the demonstration's clinic: an account for each role, and two where it takes two.

Nobody has a name: people are called what they are. A countersignature is never one's own, and a queue is
worked by several; so there are two prescribers and two pharmacists.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime

from stewardship.db import Sessions, transaction
from stewardship.declarations import Library
from stewardship.demo.house import House
from stewardship.domain.errors import NotFound
from stewardship.domain.people import Principal, Role
from stewardship.services import login, passwords, users

#: What everybody is called, and in which role. Their ids are those that the API tokens act as.
PEOPLE: Mapping[str, Role] = {
    "prescriber": Role.PRESCRIBER,
    "prescriber-2": Role.PRESCRIBER,
    "pharmacist": Role.PHARMACIST,
    "pharmacist-2": Role.PHARMACIST,
    "compliance": Role.COMPLIANCE,
    "admin": Role.ADMIN,
}


def login_of(name: str) -> str:
    """What somebody types to sign in."""
    return f"{name}@demo.example"


def let_in(
    house: House, sessions: Sessions, library: Library, *, organisation: str, now: datetime
) -> Mapping[str, str]:
    """See to it that everybody can sign in; the passwords by login, kept in the folder.

    One that somebody has changed since is left alone, and is not among them.
    """
    by = Principal("demo-setup", organisation, Role.ADMIN)
    terms = library.identity.hashing
    held = house.passwords(tuple(login_of(name) for name in PEOPLE), make=lambda: secrets.token_urlsafe(12))
    good = {}
    for name, role in PEOPLE.items():
        named, password = login_of(name), held[login_of(name)]
        with transaction(sessions, write=False) as session:
            try:
                kept = login.kept_password(session, by=users.named(session, named, by=by).principal)
            except NotFound:
                kept = None
        if kept is None:
            kept = passwords.hashed(password, terms=terms)
            with transaction(sessions) as session:
                users.add(
                    session,
                    login=named,
                    role=role,
                    email=named,
                    password_hash=kept,
                    user_id=f"demo-{name}",
                    by=by,
                    now=now,
                )
            good[named] = password
        elif passwords.fits(kept, password, terms=terms):
            good[named] = password
    return good
