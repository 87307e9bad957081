"""``stewardship mail``: where people get mail, and what could not be sent."""

from __future__ import annotations

import click

_ORGANISATION = click.option("--organisation", help="Whose; not needed while there is only one.")


@click.group()
def mail() -> None:
    """Say where clinicians get mail; see and retry what could not be sent.

    Mail is sent by `stewardship scheduler` through the server that STEWARDSHIP_SMTP_URL names. It holds ids
    and links, and no patient.
    """


@mail.command()
@_ORGANISATION
def contacts(organisation: str | None) -> None:
    """List who gets mail where."""
    from stewardship.cli.placing import place
    from stewardship.cli.words import plain
    from stewardship.db import transaction
    from stewardship.services import contacts as service

    here = place(organisation)
    with transaction(here.sessions, write=False) as session:
        rows = service.listed(session, by=here.by)
    for row in rows:
        told = "  told of every missed review" if row["escalations"] else ""
        click.echo(f"{plain(row['id'])}  {plain(row['email'])}{told}")


@mail.command()
@click.argument("person")
@click.argument("email")
@click.option("--escalations", is_flag=True, help="Told of every review that was missed, and of self-checks.")
@_ORGANISATION
def to(person: str, email: str, escalations: bool, organisation: str | None) -> None:
    """Send PERSON's mail to EMAIL. PERSON is the id by which orders and reviews know the clinician."""
    from datetime import UTC, datetime

    from stewardship.cli.placing import place
    from stewardship.db import transaction
    from stewardship.services import contacts as service

    here = place(organisation)
    with transaction(here.sessions) as session:
        service.keep(session, person, email=email, escalations=escalations, by=here.by, now=datetime.now(UTC))


@mail.command()
@click.argument("person")
@_ORGANISATION
def forget(person: str, organisation: str | None) -> None:
    """Forget where PERSON gets mail."""
    from datetime import UTC, datetime

    from stewardship.cli.placing import place
    from stewardship.db import transaction
    from stewardship.services import contacts as service

    here = place(organisation)
    with transaction(here.sessions) as session:
        service.remove(session, person, by=here.by, now=datetime.now(UTC))


@mail.command("given-up")
@_ORGANISATION
def given_up(organisation: str | None) -> None:
    """List messages that no server took. Exit code 1 if there is any."""
    from stewardship.cli.placing import place
    from stewardship.cli.words import plain
    from stewardship.db import transaction
    from stewardship.services import outbox

    here = place(organisation)
    with transaction(here.sessions, write=False) as session:
        rows = outbox.dead(session, by=here.by)
    for row in rows:
        to_whom = plain(row["recipient"])
        click.echo(f"{row['id']}  {row['created_at']}  {row['kind']} to {to_whom} [{row['code']}]")
    if rows:
        raise SystemExit(1)


@mail.command()
@click.argument("message")
@_ORGANISATION
def retry(message: str, organisation: str | None) -> None:
    """Try MESSAGE again, which was given up on."""
    from datetime import UTC, datetime

    from stewardship.cli.placing import place
    from stewardship.db import transaction
    from stewardship.services import outbox

    here = place(organisation)
    with transaction(here.sessions) as session:
        outbox.retry(session, message, by=here.by, now=datetime.now(UTC))
