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
@click.option(
    "--scope", "scopes", multiple=True, help="All that it may do, e.g. policies:read; may be repeated."
)
@click.option(
    "--from",
    "networks",
    multiple=True,
    metavar="NETWORK",
    help="Where it may be used from, e.g. 10.20.0.0/16 or one address; may be repeated. Else everywhere.",
)
@click.option(
    "--per-minute", type=int, help="How often a minute it may be used at the most; else any number."
)
def issue(
    role: str,
    organisation: str,
    user: str | None,
    days: int,
    scopes: tuple[str, ...],
    networks: tuple[str, ...],
    per_minute: int | None,
) -> None:
    """Make a token of a ROLE and print it, once: only its hash is kept.

    Without --scope it may do all that the role may. A program that has a fixed place should be bound to it.
    """
    import os
    from datetime import UTC, datetime, timedelta

    from stewardship.config import Settings
    from stewardship.db import migrate, transaction
    from stewardship.domain.errors import Unavailable
    from stewardship.domain.people import Principal, Role
    from stewardship.services import organisations
    from stewardship.services import tokens as service
    from stewardship.services.token_limits import limits_of
    from stewardship.witness import open_database

    _refuse_strange(role, scopes)
    limits = limits_of(networks, per_minute)
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
            scopes=scopes,
            expires_at=now + timedelta(days=days),
            by=by,
            now=now,
            user_id=user,
            limits=limits,
        )
    click.echo(token)


@tokens.command("list")
@click.option("--organisation", required=True, help="Whose tokens they are.")
@click.option("--all", "every", is_flag=True, help="Also those that are no longer good.")
def list_(organisation: str, every: bool) -> None:
    """List tokens: whose, for what, how long, and when one was used last."""
    from datetime import UTC, datetime

    from stewardship.cli.pharmacies import place
    from stewardship.db import transaction
    from stewardship.services import tokens as service

    sessions, by = place(organisation)
    with transaction(sessions, write=False) as session:
        found = service.listed(session, by=by, now=datetime.now(UTC), every=every)
    for one in found:
        state = "" if one.good else click.style("no longer good · ", fg="red")
        used = f"used {one.last_used_at:%d %b %Y, %H} h UTC" if one.last_used_at else "never used"
        scopes = ", ".join(one.scopes) or "all of the role"
        until = f"until {one.expires_at:%d %b %Y}"
        bounds = [f"from {', '.join(str(network) for network in one.limits.networks) or 'everywhere'}"]
        if one.limits.per_minute is not None:
            bounds.append(f"{one.limits.per_minute} a minute")
        told = " · ".join((until, scopes, *bounds, used))
        click.echo(f"{one.id}  {one.role.value}  {one.user_id}  {state}{told}")


@tokens.command()
@click.argument("token_id")
@click.option("--organisation", required=True, help="Whose token it is.")
def revoke(token_id: str, organisation: str) -> None:
    """End the token of that id, as `stewardship tokens list` shows it, now."""
    from datetime import UTC, datetime

    from stewardship.cli.pharmacies import place
    from stewardship.db import transaction
    from stewardship.services import tokens as service

    sessions, by = place(organisation)
    with transaction(sessions) as session:
        service.revoke(session, token_id, by=by, now=datetime.now(UTC))


def _refuse_strange(role: str, scopes: tuple[str, ...]) -> None:
    """A scope that the role does not have would only look like a permission."""
    from stewardship.auth import PERMISSIONS
    from stewardship.domain.errors import InvalidInput
    from stewardship.domain.people import Role

    allowed = sorted(PERMISSIONS[Role(role)])
    for scope in scopes:
        if scope not in allowed:
            raise InvalidInput(f"the scope {scope} is none of a {role}'s: {', '.join(allowed)}")
