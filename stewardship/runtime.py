"""What a request needs beside its own content: settings, the library, sessions, the clock.

``app`` makes it once; the faces read it, so that a test can run them on another clock or library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from flask import Flask, current_app
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from stewardship.config import Misconfigured, Settings
from stewardship.db import AuditKeys, Sessions, connect, migrate
from stewardship.declarations import Library, load
from stewardship.domain.errors import DeclarationError, Unavailable
from stewardship.domain.people import Principal

_NAME = "stewardship"


def utc_now() -> datetime:
    """The only clock; services and the domain are told the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whose a token is, since when that is known, and whether its use has been written down."""

    principal: Principal
    since: datetime
    noted: bool = False


@dataclass(frozen=True)
class Runtime:
    """One running application. ``trusted`` remembers tokens for a moment; ``auth`` alone uses it."""

    settings: Settings
    library: Library
    sessions: Sessions
    clock: Callable[[], datetime] = utc_now
    trusted: dict[str, Trusted] = field(default_factory=dict, repr=False)


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
    try:
        migrate.require_current(sessions.kw["bind"])
    except SQLAlchemyError as away:
        raise Unavailable("the database that STEWARDSHIP_DATABASE_URL names cannot be reached") from away
    return Runtime(settings, library, sessions, clock)


def _connect(settings: Settings) -> Sessions:
    key = settings.audit_key.encode()
    try:
        return connect(settings.database_url, audit_keys=AuditKeys.single(key) if key else None)
    except (ValueError, ArgumentError) as unreadable:
        raise Misconfigured(
            "STEWARDSHIP_DATABASE_URL begins with sqlite:/// or postgresql://"
        ) from unreadable


def install(app: Flask, running: Runtime) -> None:
    """Make it known to the application's requests."""
    app.extensions[_NAME] = running


def runtime() -> Runtime:
    """The one of the application that answers the current request."""
    return cast(Runtime, current_app.extensions[_NAME])
