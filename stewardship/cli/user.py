"""``stewardship user``: people who sign in; what is taken from somebody is gone at once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.orm import Session

    from stewardship.domain.people import Principal
    from stewardship.services.users import Account

T = TypeVar("T")

_ROLES = ("prescriber", "pharmacist", "compliance", "admin")
_LONGEST = 1_000
_here = click.option("--organisation", required=True, help="Whose user it is.")


@click.group()
def user() -> None:
    """People who sign in to the pages: who they are, in which role, and what ends their sessions.

    LOGIN is the name that somebody types to sign in. Passwords are asked for, or read from standard input;
    never from the command line, which others can see.
    """


@user.command()
@click.argument("login")
@click.argument("role", type=click.Choice(_ROLES))
@click.option("--organisation", required=True, help="Whose user it is; made when it is not there yet.")
@click.option("--id", "user_id", help="The id of a user who has API tokens already; a new one by itself.")
@click.option("--email", default="", help="Where digests and reminders go.")
@click.option("--generate", is_flag=True, help="Make a password and print it, once.")
@click.option("--keep", is_flag=True, help="Its owner typed the password: do not ask for another one.")
@click.option("--issuer", help="Signs in through this identity provider, without a password of ours.")
@click.option("--subject", help="What that provider calls this person.")
def add(
    login: str,
    role: str,
    organisation: str,
    user_id: str | None,
    email: str,
    generate: bool,
    keep: bool,
    issuer: str | None,
    subject: str | None,
) -> None:
    """Let somebody sign in as LOGIN, in a ROLE. A password that another person made has to be changed at the
    first sign-in."""
    from datetime import UTC, datetime

    from stewardship.cli.pharmacies import place
    from stewardship.db import transaction
    from stewardship.domain.errors import InvalidInput
    from stewardship.domain.people import Role
    from stewardship.services import organisations, users

    if bool(issuer) != bool(subject):
        raise InvalidInput("an identity elsewhere is --issuer and --subject, both")
    sessions, by = place(organisation)
    kept = made = None
    if not issuer:
        kept, made = _password(login, organisation, generate=generate)
    now = datetime.now(UTC)
    with transaction(sessions) as session:
        organisations.ensure(session, organisation, name=organisation, by=by, now=now)
        account = users.add(
            session,
            login=login,
            role=Role(role),
            email=email,
            password_hash=kept,
            must_change=kept is not None and not keep,
            user_id=user_id,
            issuer=issuer,
            subject=subject,
            by=by,
            now=now,
        )
    click.echo(f"{account.login} signs in as {account.role.value} {account.user_id}", err=True)
    if made:
        click.echo(made)


@user.command("list")
@_here
def list_(organisation: str) -> None:
    """List who can, or could, sign in."""
    from stewardship.cli.pharmacies import place
    from stewardship.db import transaction
    from stewardship.services import users

    sessions, by = place(organisation)
    with transaction(sessions, write=False) as session:
        found = users.listed(session, by=by)
    for one in found:
        click.echo(_line(one))


@user.command()
@click.argument("login")
@_here
def disable(login: str, organisation: str) -> None:
    """Let LOGIN in no longer, by any way: sessions end and API tokens stop, now."""
    from stewardship.services import users

    ended = _change(
        organisation, login, lambda session, one, by, now: users.disable(session, one.user_id, by=by, now=now)
    )
    click.echo(f"{login} is disabled; {_sessions(ended)} ended", err=True)


@user.command()
@click.argument("login")
@_here
def enable(login: str, organisation: str) -> None:
    """Let LOGIN in again."""
    from stewardship.services import users

    _change(
        organisation, login, lambda session, one, by, now: users.enable(session, one.user_id, by=by, now=now)
    )
    click.echo(f"{login} may sign in again", err=True)


@user.command()
@click.argument("login")
@click.argument("role", type=click.Choice(_ROLES))
@_here
def role(login: str, role: str, organisation: str) -> None:
    """Give LOGIN another ROLE. Sessions end, and API tokens of the old role are revoked."""
    from stewardship.domain.people import Role
    from stewardship.services import users

    ended = _change(
        organisation,
        login,
        lambda session, one, by, now: users.set_role(session, one.user_id, Role(role), by=by, now=now),
    )
    click.echo(f"{login} is {role} now; {_sessions(ended)} ended", err=True)


@user.command()
@click.argument("login")
@_here
@click.option("--generate", is_flag=True, help="Make a password and print it, once.")
@click.option("--keep", is_flag=True, help="Its owner typed it: do not ask for another one.")
def password(login: str, organisation: str, generate: bool, keep: bool) -> None:
    """Set the password of LOGIN. Sessions end."""
    from stewardship.services import users

    kept, made = _password(login, organisation, generate=generate)
    ended = _change(
        organisation,
        login,
        lambda session, one, by, now: users.set_password(
            session, one.user_id, kept, by=by, now=now, must_change=not keep
        ),
    )
    click.echo(f"the password of {login} is set; {_sessions(ended)} ended", err=True)
    if made:
        click.echo(made)


@user.command()
@click.argument("login")
@click.argument("address")
@_here
def email(login: str, address: str, organisation: str) -> None:
    """Say where digests and reminders for LOGIN go; '' for nowhere."""
    from stewardship.services import users

    _change(
        organisation,
        login,
        lambda session, one, by, now: users.set_email(session, one.user_id, address, by=by, now=now),
    )


@user.command("revoke-sessions")
@click.argument("login")
@_here
def revoke_sessions(login: str, organisation: str) -> None:
    """Sign LOGIN out everywhere, now."""
    from stewardship.services import users

    ended = _change(
        organisation,
        login,
        lambda session, one, by, now: users.revoke_sessions(session, one.user_id, by=by, now=now),
    )
    click.echo(f"{_sessions(ended)} ended", err=True)


@user.command()
@click.argument("login")
@_here
@click.option("--remove", is_flag=True, help="Phone and recovery codes are lost: a new one is set up.")
def totp(login: str, organisation: str, remove: bool) -> None:
    """Tell whether LOGIN has a second factor, or remove it; sessions end then."""
    from stewardship.services import users

    if remove:
        ended = _change(
            organisation,
            login,
            lambda session, one, by, now: users.remove_second_factor(session, one.user_id, by=by, now=now),
        )
        click.echo(f"the second factor of {login} is removed; {_sessions(ended)} ended", err=True)
        return
    has = _change(organisation, login, lambda _session, one, _by, _now: one.has_second_factor)
    click.echo("set up" if has else "not set up")


def _change(organisation: str, login: str, change: Callable[[Session, Account, Principal, datetime], T]) -> T:
    from datetime import UTC, datetime

    from stewardship.cli.pharmacies import place
    from stewardship.db import transaction
    from stewardship.services import users

    sessions, by = place(organisation)
    with transaction(sessions) as session:
        return change(session, users.named(session, login, by=by), by, datetime.now(UTC))


def _password(login: str, organisation: str, *, generate: bool) -> tuple[str, str | None]:
    """What is kept of a password, and the password if it was made here. Raises ``InvalidInput``."""
    import secrets

    from stewardship.declarations.identity import read_identity_terms
    from stewardship.declarations.places import REFERENCE
    from stewardship.services import passwords

    terms = read_identity_terms(REFERENCE)
    made = secrets.token_urlsafe(15) if generate else None
    chosen = made or _typed()
    passwords.refuse_weak(chosen, terms=terms.password, about=(login, organisation))
    return passwords.hashed(chosen, terms=terms.hashing), made


def _typed() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    return sys.stdin.readline(_LONGEST).rstrip("\r\n")


def _sessions(number: int) -> str:
    return f"{number} session{'' if number == 1 else 's'}"


def _line(one: Account) -> str:
    from stewardship.cli.words import plain

    how = [
        *(["password"] if one.has_password else []),
        *(["must be changed"] if one.must_change else []),
        *(["second factor"] if one.has_second_factor else []),
        *([f"through {one.issuer}"] if one.issuer else []),
    ]
    seen = f"last in {one.signed_in_at:%d %b %Y, %H:%M} UTC" if one.signed_in_at else "never in"
    state = "" if one.active else click.style("disabled · ", fg="red")
    who = f"{plain(one.login)}  {one.role.value}  {one.user_id}"
    return f"{who}  {state}{', '.join(how) or 'no way in'} · {seen}"
