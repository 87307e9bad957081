"""``stewardship watch``: look at the whole population once, where somebody is due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stewardship.services.watch import Progress

_HELD = 5


@click.command()
@click.option("--organisation", help="Whose patients; the only one there is, if not said.")
@click.option("--json", "as_json", is_flag=True, help="What became of it as JSON.")
def watch(organisation: str | None, as_json: bool) -> None:
    """Watch over all patients of an organisation, once.

    Looks at those of whom something is new, and raises what a pharmacist should look at. What a watch that
    was interrupted has done stays done, and this one goes on behind it. The scheduler does the same by night.

    \b
    Exit code:
      0  everybody who was due was looked at
      1  somebody could not be looked at; there is a flag for each
      3  the service is not set up, or the database is away
      5  somebody else is at this watch now
    """
    from datetime import UTC, datetime

    from stewardship.cli.placing import place
    from stewardship.db import claims, transaction
    from stewardship.services import watch as service

    here = place(organisation)
    engine = here.sessions.kw["bind"]
    with claims.claim(engine, service.claim_of(here.by.organisation_id)) as mine:
        if not mine:
            click.echo("somebody else is at this watch now", err=True)
            raise SystemExit(_HELD)
        done = service.run(
            lambda: transaction(here.sessions, late=True),
            here.library,
            by=here.by,
            clock=lambda: datetime.now(UTC),
        )
    _tell(done, as_json=as_json)
    raise SystemExit(1 if done.failed else 0)


def _tell(done: Progress, *, as_json: bool) -> None:
    if as_json:
        from stewardship.intake.strict_json import dumps

        click.echo(dumps(progress_json(done)))
        return
    click.echo(
        f"{done.patients} patients passed, {done.looked} looked at: "
        f"{done.opened} flags opened, {done.closed} closed"
    )
    if done.failed:
        click.echo(click.style(f"{done.failed} could not be looked at", fg="red", bold=True))


def progress_json(done: Progress) -> dict[str, Any]:
    """How far a watch is, as plain JSON."""
    return {
        "watch": done.watch_id,
        "done": done.done,
        "patients": done.patients,
        "looked": done.looked,
        "opened": done.opened,
        "closed": done.closed,
        "failed": done.failed,
        "started_at": done.started_at.isoformat(),
        "ended_at": done.ended_at and done.ended_at.isoformat(),
    }
