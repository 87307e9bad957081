"""``stewardship import``: files of dispensings and of records into the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stewardship.importing import Imported
    from stewardship.intake.feeds import Feed

_MOST_SHOWN = 20
#: How far an import stands back for whoever else needs the processor: above all for orders that are checked.
_NICE = 10


@click.command("import")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--format", "kind", type=click.Choice(["asap", "fhir", "csv"]), help="Told by the content if not said."
)
@click.option("--state", default="", help="The state whose requirements ASAP files are held to, e.g. NY.")
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file that says which column of a CSV file holds what.",
)
@click.option("--organisation", help="Whose patients it is about; the only one there is, if not said.")
@click.option("--dry-run", is_flag=True, help="Read and report; store nothing. Shows the first rows of CSV.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON, one document a file.")
def import_(
    files: tuple[Path, ...],
    kind: str | None,
    state: str,
    mapping: Path | None,
    organisation: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take in FILES of dispensings (ASAP, CSV) or of records (FHIR NDJSON and Bundles).

    A file whose content was imported before, under whatever name, changes nothing. One that was interrupted
    is continued where it stopped.

    \b
    Exit code, of several files the highest:
      0  every row is stored
      1  stored, but for rows that were rejected; the report says why
      2  nothing could be read
      3  the service is not set up, or the database is away
      4  the file is not whole, or its counts do not agree; whole rows are stored
      5  somebody else is importing it now
    """
    from stewardship import importing
    from stewardship.intake.feeds import Described

    described = Described(kind=kind, state=state.upper(), mapping=mapping.read_bytes() if mapping else None)
    _warn(described.state)
    code = 0
    place = None if dry_run else _Place(organisation)
    _step_back()
    for file, feed in zip(files, _feeds(files, described), strict=True):
        if place is None:
            done = _rehearsed(feed, as_json=as_json)
        else:
            done = place.take_in(feed, file, quiet=as_json)
        _tell(file.name, done, as_json=as_json, dry_run=dry_run)
        code = max(code, importing.exit_code(done))
    raise SystemExit(code)


def _warn(state: str) -> None:
    """Say when nobody has compared what is on file for a state with the state's own guide."""
    from stewardship.intake.asap import shipped

    overlay = shipped().states.get(state)
    if overlay is not None and not overlay.verified:
        said = (
            f"what {state} asks for was not verified against its own guide"
            if overlay.asks
            else f"nothing is on file of what {state} asks for: the standard alone is checked, not the "
            "state's own requirements"
        )
        click.secho(f"note: {said}", fg="yellow", err=True)


def _feeds(files: tuple[Path, ...], described: Any) -> list[Feed]:
    from datetime import UTC, datetime

    from stewardship.declarations import load
    from stewardship.intake.feeds import feeds_of

    library = load()
    openers = [(file.name, lambda file=file: file.open("rb")) for file in files]
    return feeds_of(openers, described, library, now=datetime.now(UTC))


def _step_back() -> None:
    """Let others have the processor first, as ``nice`` does; it cannot be taken back in this process."""
    import os

    least = min(19, os.getpriority(os.PRIO_PROCESS, 0) + _NICE)
    os.setpriority(os.PRIO_PROCESS, 0, least)


class _Place:
    """The database and the organisation that files go to."""

    def __init__(self, organisation: str | None) -> None:
        import os

        from stewardship.config import Settings
        from stewardship.db import migrate, transaction
        from stewardship.declarations import load
        from stewardship.domain.errors import InvalidInput, Unavailable
        from stewardship.domain.people import Principal, Role
        from stewardship.services import organisations
        from stewardship.witness import open_database

        settings = Settings.from_env(os.environ)
        if not settings.audit_key:
            raise Unavailable("STEWARDSHIP_AUDIT_KEY is not set, and nothing is done that cannot be recorded")
        self.sessions = open_database(settings)
        migrate.require_current(self.sessions.kw["bind"])
        with transaction(self.sessions, write=False) as session:
            known = organisations.listed(session)
        if organisation is None and len(known) == 1:
            (organisation,) = known
        if organisation is None or organisation not in known:
            said = "name one with --organisation" if organisation is None else "there is no such organisation"
            raise InvalidInput(f"{said}: {', '.join(known) or 'none has been made yet'}")
        self.terms = load().feeds
        self.by = Principal("operator", organisation, Role.ADMIN)
        self.asked_to_end = False

    def take_in(self, feed: Feed, file: Path, *, quiet: bool) -> Imported:
        """Import one file, with a bar on a terminal."""
        import signal
        import sys
        from datetime import UTC, datetime

        from stewardship import importing

        # A polite end stops behind a whole portion, and says so in the database. A portion that is just being
        # stored is ended first, for it is soon over, and no driver can be interrupted anywhere.
        storing = False

        def end(*_: object) -> None:
            self.asked_to_end = True
            if not storing:
                sys.exit(128 + signal.SIGTERM)

        signal.signal(signal.SIGTERM, end)
        if self.asked_to_end:  # While the last portion of the file before was stored.
            sys.exit(128 + signal.SIGTERM)
        size = file.stat().st_size

        def take(show: Any) -> Imported:
            def progress(position: int) -> None:
                nonlocal storing
                storing = True
                if self.asked_to_end:
                    sys.exit(128 + signal.SIGTERM)
                show(position)

            return importing.take_in(
                self.sessions,
                self.terms,
                feed,
                by=self.by,
                clock=lambda: datetime.now(UTC),
                progress=progress,
            )

        if quiet or not sys.stderr.isatty():
            return take(lambda _: None)
        label = f"{_short(file.name)}"
        with click.progressbar(length=size, label=label, file=sys.stderr) as bar:
            done = take(lambda _: bar.update(max(0, feed.read_so_far() - bar.pos)))
            bar.update(size - bar.pos)
        return done


def _rehearsed(feed: Feed, *, as_json: bool) -> Imported:
    from datetime import UTC, datetime

    from stewardship import importing
    from stewardship.declarations import load

    if not as_json:
        for line in feed.preview():
            click.echo(line)
    return importing.rehearse(feed, load().feeds, now=datetime.now(UTC))


def _tell(name: str, done: Imported, *, as_json: bool, dry_run: bool) -> None:
    from stewardship import importing

    if as_json:
        from stewardship.intake.strict_json import dumps

        told = importing.report_json(done) | {"dry_run": dry_run}
        click.echo(dumps(told).decode())
        return
    report = done.report
    colour = "green" if importing.exit_code(done) == importing.COMPLETE else "yellow"
    status = report.status.value + (f" ({report.reason})" if report.reason else "")
    click.echo(f"{_short(name)}: " + click.style(status, fg=colour, bold=True))
    if done.same_as:
        click.echo(f"  already imported: the same content is import {done.same_as}; nothing was changed")
    known = "would be stored" if dry_run else "stored"
    click.echo(
        f"  {report.rows} rows: {report.stored} {known}, {report.unchanged} unchanged, "
        f"{report.rejected} rejected" + (f" · import {report.id}" if report.id else "")
    )
    shown = [*report.faults, *report.remarks]
    for fault in shown[:_MOST_SHOWN]:
        click.echo(f"  line {fault.line} {fault.segment} {fault.element}: {fault.code}")
    if len(shown) > _MOST_SHOWN:
        click.echo(f"  and {len(shown) - _MOST_SHOWN} more; --json lists them")
    for one in report.pending[:_MOST_SHOWN]:
        click.echo(f"  line {one['line']}: {one['reporting']} of a dispensing that nobody has reported")


def _short(name: str) -> str:
    from stewardship.cli.words import plain

    return plain(name)[:60]
