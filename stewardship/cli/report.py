"""``stewardship report``: what is on record, counted; and what the service does to those who work with it."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from stewardship.declarations import Library
    from stewardship.demo import stream
    from stewardship.domain.people import Principal
    from stewardship.reports.alert_burden import Burden, Told
    from stewardship.reports.reporting import Listed, Made

_DAY = click.DateTime(["%Y-%m-%d"])
#: A report up to this size is not written to a file before it is given out.
_IN_MEMORY = 4 << 20


class Reports(click.Group):
    """The commands that are written here, and one for each report that there is."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Those that are written here first."""
        from stewardship.reports.listed import REPORTS

        return [*super().list_commands(ctx), *REPORTS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One that is written here, or the one of a report."""
        from stewardship.reports.listed import REPORTS

        written = super().get_command(ctx, cmd_name)
        return written or (_command(REPORTS[cmd_name]) if cmd_name in REPORTS else None)


@click.group(cls=Reports)
def report() -> None:
    """Draw reports from the record."""


def _command(listed: Listed) -> click.Command:
    """The command that makes a report."""
    narrowing = [
        click.Option([f"--{name}"], default="", metavar="ID", help=f"Only of this {name}.")
        for name in sorted(listed.filters)
    ]
    return click.Command(
        listed.id,
        help=f"{listed.title}. {listed.about}",
        params=[*_ASKED, *narrowing],
        callback=lambda **asked: _make(listed.id, **asked),
    )


_FORMATS = ("text", "json", "csv", "xlsx", "pdf")
_ASKED: list[click.Parameter] = [
    click.Option(["--organisation"], metavar="ID", required=True, help="Whose record."),
    click.Option(["--since"], type=_DAY, help="From this day on (UTC)."),
    click.Option(["--until"], type=_DAY, help="Before this day (UTC); the last 92 days unless named."),
    click.Option(["--format", "form"], type=click.Choice(_FORMATS), default="text", show_default=True),
    click.Option(
        ["--out"],
        type=click.Path(dir_okay=False, path_type=Path),
        help="The file to write; standard output unless named.",
    ),
]


def _make(
    report_id: str,
    *,
    organisation: str,
    since: datetime | None,
    until: datetime | None,
    form: str,
    out: Path | None,
    **narrowed: Any,
) -> None:
    """Make a report and give it out, as the API does; an event of the audit trail."""
    from stewardship import exporting
    from stewardship.reports.reporting import Asked

    now = datetime.now(UTC)
    first, last = exporting.period(since and since.date(), until and until.date(), now=now)
    asked = Asked(organisation, first, last, **narrowed)

    def make(session: Session, library: Library, by: Principal, note: str) -> Made:
        return exporting.made(session, library, report_id, asked, by=by, now=now, checkpoint=note)

    _give_out(make, organisation, form, out, now=now)


def _give_out(
    make: Callable[[Session, Library, Principal, str], Made],
    organisation: str,
    form: str,
    out: Path | None,
    *,
    now: datetime,
) -> None:
    import tempfile
    from dataclasses import replace

    from stewardship import exporting
    from stewardship.cli.placing import place
    from stewardship.db import transaction
    from stewardship.domain.people import Role

    if out is None and form in {"xlsx", "pdf"} and sys.stdout.isatty():
        raise click.UsageError(f"{form} is not for a terminal: name a file with --out")
    here = place(organisation)
    sessions, library, by = here.sessions, here.library, replace(here.by, role=Role.COMPLIANCE)
    note = exporting.checkpoint_note(sessions, organisation)
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spooled:
        with transaction(sessions, write=False) as session:
            made = make(session, library, by, note)
            written = exporting.write(made, exporting.Format(form), spooled, progress=_progress())
        with transaction(sessions) as session:
            exporting.record_export(session, made, exporting.Format(form), written, by=by, now=now)
        spooled.seek(0)
        if out is None:
            shutil.copyfileobj(spooled, sys.stdout.buffer)
        else:
            with out.open("wb") as file:
                shutil.copyfileobj(spooled, file)
            click.echo(f"{made.report.title}: {written.rows:,} rows, {out}", err=True)


@report.command("why")
@click.argument("decision")
@click.option("--organisation", metavar="ID", required=True, help="Whose decision.")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def why(*, decision: str, organisation: str, form: str, out: Path | None) -> None:
    """Why DECISION was made as it was: order, facts, policies of the day, findings, people, proof."""
    from stewardship import exporting

    now = datetime.now(UTC)

    def make(session: Session, library: Library, by: Principal, note: str) -> Made:
        return exporting.why(session, library, decision, by=by, now=now, checkpoint=note)

    _give_out(make, organisation, form, out, now=now)


@report.command("as-of")
@click.argument("patient")
@click.option("--at", required=True, help="The instant: 2026-03-12, or 2026-03-12T14:05+01:00.")
@click.option("--organisation", metavar="ID", required=True, help="Whose patient.")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def as_of(*, patient: str, at: str, organisation: str, form: str, out: Path | None) -> None:
    """The chart of PATIENT (our id, or the EHR's) and the policies in force, as they stood at an instant.

    A day alone is its end; a time without an offset is UTC.
    """
    from stewardship import exporting

    now, moment = datetime.now(UTC), _instant(at)

    def make(session: Session, library: Library, by: Principal, note: str) -> Made:
        return exporting.as_of(session, library, patient, moment, by=by, now=now, checkpoint=note)

    _give_out(make, organisation, form, out, now=now)


def _instant(words: str) -> datetime:
    from datetime import timedelta

    try:
        said = datetime.fromisoformat(words)
    except ValueError:
        raise click.BadParameter("write it as 2026-03-12 or 2026-03-12T14:05", param_hint="--at") from None
    if "T" not in words and " " not in words:
        return said.replace(tzinfo=UTC) + timedelta(days=1, microseconds=-1)
    return said if said.tzinfo else said.replace(tzinfo=UTC)


def _progress() -> Callable[[int], None] | None:
    """Rows counted on a terminal; nobody reads them elsewhere."""
    if not sys.stderr.isatty():
        return None
    return lambda rows: click.echo(f"\r{rows:,} rows", nl=False, err=True)


@report.command("list")
def list_reports() -> None:
    """The reports that there are, and what each can be narrowed to."""
    from stewardship.reports.listed import REPORTS

    for listed in REPORTS.values():
        filters = f" [{', '.join(sorted(listed.filters))}]" if listed.filters else ""
        click.echo(f"{listed.id:22} {listed.about}{filters}")


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
    from stewardship.domain.errors import InvalidInput
    from stewardship.reports import alert_burden as counted
    from stewardship.services import feedback, organisations

    sessions = connect(Settings.from_env(os.environ).database_url)
    migrate.require_current(sessions.kw["bind"])
    with transaction(sessions, write=False) as session:
        known = organisations.listed(session)
        if organisation not in known:
            raise InvalidInput(
                f"there is no such organisation: {', '.join(known) or 'none has been made yet'}"
            )
        burden = counted.stored(session, organisation_id=organisation, since=since, until=until)
        ended = feedback.outcomes(session, organisation_id=organisation, since=since, until=until)
    burden.answered = counted.answers(ended)
    return burden
