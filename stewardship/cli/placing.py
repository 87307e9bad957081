"""Where a command works: the database that the environment names, and one of its organisations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stewardship.db import Sessions
    from stewardship.declarations import Library
    from stewardship.domain.people import Principal


@dataclass(frozen=True)
class Place:
    """The database, what is declared for the organisation, and who works there."""

    sessions: Sessions
    library: Library
    by: Principal


def place(organisation: str | None, *, as_user: str = "operator") -> Place:
    """The organisation of that id, or the only one there is.

    Raises ``Unavailable`` when the service is not set up, ``InvalidInput`` with the organisations there are.
    """
    import os
    from dataclasses import replace

    from stewardship.config import Settings
    from stewardship.db import migrate, transaction
    from stewardship.declarations import load
    from stewardship.domain.errors import InvalidInput, Unavailable
    from stewardship.domain.people import Principal, Role
    from stewardship.services import organisations
    from stewardship.services.catalogue import SiteCatalogues
    from stewardship.witness import open_database

    settings = Settings.from_env(os.environ)
    if not settings.audit_key:
        raise Unavailable("STEWARDSHIP_AUDIT_KEY is not set, and nothing is done that cannot be recorded")
    sessions = open_database(settings)
    migrate.require_current(sessions.kw["bind"])
    library = load(policies_dir=settings.policies_dir)
    with transaction(sessions, write=False) as session:
        known = organisations.listed(session)
        if organisation is None and len(known) == 1:
            (organisation,) = known
        if organisation is None or organisation not in known:
            said = "name one with --organisation" if organisation is None else "there is no such organisation"
            raise InvalidInput(f"{said}: {', '.join(known) or 'none has been made yet'}")
        own = SiteCatalogues(library.catalogue).of(session, organisation_id=organisation)
    return Place(sessions, replace(library, catalogue=own), Principal(as_user, organisation, Role.ADMIN))
