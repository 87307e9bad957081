"""What a request needs beside its own content: settings, the library, sessions, the clock.

``app`` makes it once; the faces read it, so that a test can run them on another clock or library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from flask import Flask, current_app

from stewardship.config import Settings
from stewardship.db.engine import Sessions
from stewardship.declarations import Library

_NAME = "stewardship"


def utc_now() -> datetime:
    """The only clock; services and the domain are told the time."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Runtime:
    """One running application."""

    settings: Settings
    library: Library
    sessions: Sessions
    clock: Callable[[], datetime] = utc_now


def install(app: Flask, running: Runtime) -> None:
    """Make it known to the application's requests."""
    app.extensions[_NAME] = running


def runtime() -> Runtime:
    """The one of the application that answers the current request."""
    return cast(Runtime, current_app.extensions[_NAME])
