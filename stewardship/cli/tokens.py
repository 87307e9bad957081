"""``stewardship tokens``: let somebody in."""

from __future__ import annotations

import click

_LONGEST_DAYS = 90


@click.group()
def tokens() -> None:
    """API tokens: who may ask the service, and in which role.

    The database is the one that STEWARDSHIP_DATABASE_URL names; STEWARDSHIP_AUDIT_KEY keys the record of it.
    """


@tokens.command()
@click.argument("role", type=click.Choice(["prescriber", "pharmacist", "compliance", "ehr"]))
@click.option("--organisation", required=True, help="Whose user it is; made when it is not there yet.")
@click.option("--user", help="An existing or new user's id; a new one when none is named. Never a name.")
@click.option("--days", type=click.IntRange(1, _LONGEST_DAYS), default=_LONGEST_DAYS, show_default=True)
def issue(role: str, organisation: str, user: str | None, days: int) -> None:
    """Make a token of a ROLE and print it, once: only its hash is kept."""
    import os
    from datetime import UTC, datetime, timedelta

    from stewardship.config import Settings
    from stewardship.db import migrate, transaction
    from stewardship.domain.errors import Unavailable
    from stewardship.domain.people import Principal, Role
    from stewardship.services import organisations
    from stewardship.services import tokens as service
    from stewardship.witness import open_database

    settings = Settings.from_env(os.environ)
    if not settings.audit_key:
        raise Unavailable("STEWARDSHIP_AUDIT_KEY is not set, and nothing is done that cannot be recorded")
    sessions = open_database(settings)
    migrate.require_current(sessions.kw["bind"])
    by = Principal("operator", organisation, Role.ADMIN)
    now = datetime.now(UTC)
    with transaction(sessions) as session:
        organisations.ensure(session, organisation, name=organisation, by=by, now=now)
        token = service.issue(
            session,
            organisation_id=organisation,
            role=Role(role),
            scopes=(),
            expires_at=now + timedelta(days=days),
            by=by,
            now=now,
            user_id=user,
        )
    click.echo(token)
