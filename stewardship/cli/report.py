"""``stewardship report``: what the service does to those who work with it, counted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stewardship.declarations import Library
    from stewardship.demo import stream
    from stewardship.reports.alert_burden import Burden, Told

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def report() -> None:
    """Count what the service does: alert-burden."""


@report.command("alert-burden")
@click.option("--json", "as_json", is_flag=True, help="For a program; numbers are exact decimals.")
@click.option(
    "--orders", default=1000, show_default=True, type=click.IntRange(1, 100_000), help="Length of the stream."
)
@click.option("--today", type=_DAY, help="The day of the stream; today unless named.")
@click.option(
    "--database",
    is_flag=True,
    help="Count what is on record instead of a stream; needs --organisation.",
)
@click.option("--organisation", metavar="ID", help="Whose decisions of the database to count.")
@click.option("--since", type=_DAY, help="Decisions from this day on (UTC).")
@click.option("--until", type=_DAY, help="Decisions before this day (UTC).")
def alert_burden(
    *,
    as_json: bool,
    orders: int,
    today: datetime | None,
    database: bool,
    organisation: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Cards for each opioid order: by policy, before and after findings of one problem are one card.

    Runs a stream of orders over the synthetic clinic under the policies in force; it is the same for the
    same day. With --database it counts decisions on record, and what became of the cards that were shown.
    """
    from stewardship.intake import strict_json
    from stewardship.reports import alert_burden as counted

    if database != (organisation is not None):
        raise click.UsageError("--database and --organisation go together: whose decisions are meant?")
    if not database and (since or until):
        raise click.UsageError("--since and --until are for --database")
    if organisation is not None:
        burden = _stored(organisation, _utc(since), _utc(until))
    else:
        burden = counted.count(_streamed(orders, _utc(today) or datetime.now(UTC)))
    if as_json:
        click.echo(strict_json.dumps(counted.as_json(burden)).decode())
        return
    for line in counted.lines(burden):
        click.echo(line)


def _utc(day: datetime | None) -> datetime | None:
    return None if day is None else day.replace(tzinfo=UTC)


def _streamed(orders: int, now: datetime) -> Iterator[Told]:
    from stewardship.declarations import load
    from stewardship.demo import clinic, recipes
    from stewardship.demo.stream import read, stream

    library, written = load(), recipes.read()
    # At noon: no order of the day is before the records of its morning.
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
    people = clinic.make(written, library, now=noon)
    for signed in stream(read(), people, written, library, now=noon, orders=orders):
        yield _judged(signed, library)


def _judged(signed: stream.Signed, library: Library) -> Told:
    from stewardship.domain.signing import judge
    from stewardship.reports.alert_burden import Told

    policies = library.in_force(signed.order.written_on)
    (judged,) = judge(policies, [signed.order, *signed.beside], signed.chart)
    return Told(judged.decision.findings, signed.kind, signed.order.days)


def _stored(organisation: str, since: datetime | None, until: datetime | None) -> Burden:
    import os

    from stewardship.config import Settings
    from stewardship.db import connect, migrate, transaction
    from stewardship.reports import alert_burden as counted
    from stewardship.services import feedback

    sessions = connect(Settings.from_env(os.environ).database_url)
    migrate.require_current(sessions.kw["bind"])
    with transaction(sessions, write=False) as session:
        burden = counted.stored(session, organisation_id=organisation, since=since, until=until)
        ended = feedback.outcomes(session, organisation_id=organisation, since=since, until=until)
    burden.answered = counted.answers(ended)
    return burden
