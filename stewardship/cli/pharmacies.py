"""``stewardship pharmacies``: who reports, how current each one is, and what is expected of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.orm import Session

    from stewardship.db import Sessions
    from stewardship.domain.people import Principal


@click.group()
def pharmacies() -> None:
    """Pharmacies that report to an organisation: which are silent, and what is expected of them.

    The database is the one that STEWARDSHIP_DATABASE_URL names; STEWARDSHIP_AUDIT_KEY keys the record of it.
    """


@pharmacies.command("list")
@click.argument("organisation")
def list_(organisation: str) -> None:
    """List ORGANISATION's pharmacies, those that are silent for too long first. Exit code 1 if any is."""
    from datetime import UTC, datetime

    from stewardship.cli.words import plain
    from stewardship.db import transaction
    from stewardship.services import pharmacies as service

    now = datetime.now(UTC)
    sessions, by = place(organisation)
    with transaction(sessions, write=False) as session:
        found = service.listed(session, by=by, now=now)
    for row in found:
        known = f"data to {row['data_as_of']:%d %b %Y, %H:%M} UTC" if row["data_as_of"] else "no whole report"
        said = "retired" if row["retired"] else "silent" if row["silent"] else "reports"
        colour = "red" if said == "silent" else None
        bound = " · bound" if row["bound"] else ""
        click.echo(f"{row['id']}  {plain(row['name'])}  {known} · " + click.style(said, fg=colour) + bound)
    if any(row["silent"] for row in found):
        raise SystemExit(1)


@pharmacies.command()
@click.argument("organisation")
@click.argument("pharmacy")
@click.option("--undo", is_flag=True, help="It may report to any organisation again.")
def bind(organisation: str, pharmacy: str, undo: bool) -> None:
    """Say that PHARMACY reports to ORGANISATION alone: no other organisation's file may speak for it."""
    from stewardship.services import pharmacies as service

    _change(
        organisation, lambda session, by, now: service.bind(session, pharmacy, bound=not undo, by=by, now=now)
    )


@pharmacies.command()
@click.argument("organisation")
@click.argument("pharmacy")
@click.option("--undo", is_flag=True, help="Reports are expected of it again.")
def retire(organisation: str, pharmacy: str, undo: bool) -> None:
    """Say that PHARMACY has closed: its silence makes nobody's history stale."""
    from stewardship.services import pharmacies as service

    _change(
        organisation,
        lambda session, by, now: service.retire(session, pharmacy, retired=not undo, by=by, now=now),
    )


def _change(organisation: str, change: Callable[[Session, Principal, datetime], None]) -> None:
    from datetime import UTC, datetime

    from stewardship.db import transaction

    sessions, by = place(organisation)
    with transaction(sessions) as session:
        change(session, by, datetime.now(UTC))


def place(organisation: str) -> tuple[Sessions, Principal]:
    """The database that the environment names, and its operator, as somebody of that organisation."""
    import os

    from stewardship.config import Settings
    from stewardship.db import migrate
    from stewardship.domain.errors import Unavailable
    from stewardship.domain.people import Principal, Role
    from stewardship.witness import open_database

    settings = Settings.from_env(os.environ)
    if not settings.audit_key:
        raise Unavailable("STEWARDSHIP_AUDIT_KEY is not set, and nothing is done that cannot be recorded")
    sessions = open_database(settings)
    migrate.require_current(sessions.kw["bind"])
    return sessions, Principal("operator", organisation, Role.ADMIN)
