"""What a request needs beside its own content: settings, the library, sessions, the clock.

``app`` makes it once; the faces read it, so that a test can run them on another clock or library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import cast

from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from stewardship.afterwards import Afterwards
from stewardship.config import Environment, Misconfigured, Settings
from stewardship.db import Sessions, migrate, transaction
from stewardship.declarations import Library, load
from stewardship.declarations.connections import read_connections
from stewardship.domain.connections import Connections
from stewardship.domain.errors import DeclarationError, Unavailable
from stewardship.record_keys import KeyRing
from stewardship.services import organisations
from stewardship.services.catalogue import SiteCatalogues, organisations_with_products
from stewardship.services.tokens import Known
from stewardship.token_use import Meters
from stewardship.witness import open_database

_NAME = "stewardship"

#: How long an organisation's catalogue is used before the database is asked whether a newer list was loaded.
LOOKED_FOR = timedelta(seconds=5)


def utc_now() -> datetime:
    """The only clock; services and the domain are told the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Trusted:
    """A token that is known, since when, and whether its use has been written down."""

    known: Known
    since: datetime
    noted: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """An organisation's library, and when the database was last asked what it has loaded."""

    library: Library
    since: datetime


@dataclass(frozen=True)
class Runtime:
    """One running application. ``trusted`` remembers tokens for a moment, ``meters`` how often they came;
    ``auth`` alone uses both.

    ``library`` is as shipped. What an order is read and judged by is ``library_of`` its organisation.
    """

    settings: Settings
    library: Library
    sessions: Sessions
    clock: Callable[[], datetime] = utc_now
    trusted: dict[str, Trusted] = field(default_factory=dict, repr=False)
    meters: Meters = field(default_factory=Meters, repr=False)
    #: What is still to be written down of checks that were not made.
    afterwards: Afterwards = field(default_factory=Afterwards, repr=False)
    #: Whom the installation is connected to, and the keys of the record systems among them.
    connections: Connections = field(default_factory=Connections)
    key_ring: KeyRing = field(default_factory=KeyRing, repr=False)
    _catalogues: SiteCatalogues = field(init=False, repr=False)
    _looked: dict[str, Looked] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_catalogues", SiteCatalogues(self.library.catalogue))

    def library_of(self, organisation_id: str) -> Library:
        """The library with the products that the organisation has loaded, as of ``LOOKED_FOR`` ago or later.

        Raises ``Unavailable`` when it was never read and the database is away.
        """
        now = self.clock()
        known = self._looked.get(organisation_id)
        if known is not None:
            if timedelta(0) <= now - known.since < LOOKED_FOR:
                return known.library
            # One request looks; those beside it go on with what is known.
            self._looked[organisation_id] = Looked(known.library, now)
        with transaction(self.sessions, write=False) as session:
            own = self._catalogues.of(session, organisation_id=organisation_id)
        library = known.library if known is not None else self.library
        if library.catalogue is not own:
            library = replace(self.library, catalogue=own)
        self._looked[organisation_id] = Looked(library, now)
        return library


def prepare(
    settings: Settings,
    *,
    library: Library | None = None,
    sessions: Sessions | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Runtime:
    """Everything that an application needs before it may answer, or a refusal with words for the operator.

    Raises ``Misconfigured`` for settings unfit for production, ``DeclarationError`` for a policy or
    reference file that is wrong and when no policy is in force, ``Unavailable`` for a database that does
    not have this version's schema.
    """
    settings.refuse_unsafe()
    library = library or load(policies_dir=settings.policies_dir)
    if not library.in_force(clock().date()):
        raise DeclarationError("no policy is in force today: nothing would be checked")
    sessions = sessions or _connect(settings)
    connections = _connections(settings)
    running = Runtime(settings, library, sessions, clock, connections=connections)
    try:
        migrate.require_current(sessions.kw["bind"])
        with transaction(sessions, write=False) as session:
            with_products = organisations_with_products(session)
            _refuse_strange_organisations(connections, organisations.listed(session))
    except SQLAlchemyError as away:
        raise Unavailable("the database that STEWARDSHIP_DATABASE_URL names cannot be reached") from away
    # A whole list takes a second to read: now, and not while a prescriber waits.
    for organisation in with_products:
        running.library_of(organisation)
    return running


def _connections(settings: Settings) -> Connections:
    """Whom the installation is connected to. They must know us by an address that no request can change."""
    found = read_connections(settings.connections_file)
    named = found.record_systems or found.providers
    if named and not settings.public_url and settings.environment is Environment.PRODUCTION:
        raise Misconfigured(
            "STEWARDSHIP_CONNECTIONS names others; say in STEWARDSHIP_PUBLIC_URL by which address they know "
            "this service"
        )
    return found


def _refuse_strange_organisations(connections: Connections, known: list[str]) -> None:
    named = [(one.id, one.organisation_id) for one in connections.record_systems]
    named += [(one.id, one.organisation_id) for one in connections.providers]
    for name, organisation in named:
        if organisation not in known:
            raise Misconfigured(
                f"STEWARDSHIP_CONNECTIONS: {name} is of the organisation {organisation}, which does "
                "not exist; `stewardship user add` makes it with its first user"
            )


def _connect(settings: Settings) -> Sessions:
    try:
        return open_database(settings)
    except Unavailable as unreadable:
        raise Misconfigured(unreadable.message) from None


def install(app: Flask, running: Runtime) -> None:
    """Make it known to the application's requests."""
    app.extensions[_NAME] = running


def runtime() -> Runtime:
    """The one of the application that answers the current request."""
    return cast(Runtime, current_app.extensions[_NAME])
