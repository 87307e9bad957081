"""``stewardship asap``: what a prescriber who dispenses reports to a state's monitoring programme."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stewardship.domain.dispensings import DispensingReport, Pharmacy
    from stewardship.intake.asap import Entry
    from stewardship.intake.feeds import Feed

_MOST_SHOWN = 20
_AN_EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _reported(command: Any) -> Any:
    """The options of every transmission: who sends it, who dispensed, where it goes."""
    options = [
        click.option("--control", required=True, help="The sender's own number of this transmission (TH02)."),
        click.option("--sender-id", required=True, help="The sender's id at the programme (IS01)."),
        click.option("--sender-name", required=True, help="The sender's name (IS02)."),
        click.option("--npi", default="", help="NPI of whoever dispensed (PHA01)."),
        click.option("--ncpdp", default="", help="NCPDP number of whoever dispensed (PHA02)."),
        click.option("--dea", default="", help="DEA number of whoever dispensed (PHA03)."),
        click.option("--name", default="", help="Name of whoever dispensed (PHA04)."),
        click.option("--test", is_flag=True, help="Mark it as a test: nothing in it has happened."),
        click.option(
            "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def asap() -> None:
    """Write dispensings as an ASAP 4.2A file, for a prescriber who dispenses.

    A state's monitoring programme takes such files. `stewardship import` reads them back, equal.
    """


@asap.command("write")
@click.argument("file", type=_AN_EXISTING_FILE)
@click.option("--mapping", type=_AN_EXISTING_FILE, help="Which column of a CSV file holds what, as TOML.")
@_reported
def write_(file: Path, mapping: Path | None, out: Path, **said: Any) -> None:
    """Write the dispensings in FILE, a CSV file with its mapping or an ASAP file of another version.

    The column `reporting` of a row says whether it is new, a revision (revise) or taken back (void). The
    report is whole or not made at all: when a row cannot be read, or said in 4.2A, its line and element are
    named and nothing is written (exit code 2).
    """
    from datetime import UTC

    from stewardship.declarations import load
    from stewardship.intake.asap import write
    from stewardship.intake.feeds import Described, feeds_of

    described = Described(mapping=mapping.read_bytes() if mapping else None)
    (feed,) = feeds_of([(file.name, lambda: file.open("rb"))], described, load(), now=datetime.now(UTC))
    rows = _readable(feed)
    _put(out, write(_report(said), _entries(feed, _dispenser(said))))
    click.echo(f"{out}: {rows} {'dispensing' if rows == 1 else 'dispensings'} reported")


@asap.command()
@click.option("--from", "start", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The first day.")
@click.option("--until", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The last day.")
@_reported
def zero(start: datetime, until: datetime, out: Path, **said: Any) -> None:
    """Write a zero report: nothing was dispensed from one day until another."""
    from stewardship.domain.errors import InvalidInput
    from stewardship.intake.asap import NothingDispensed, write_zero_report

    if until < start:
        raise InvalidInput("the last day is before the first")
    nothing = NothingDispensed(_dispenser(said), start.date(), until.date())
    _put(out, [write_zero_report(_report(said), nothing)])
    click.echo(f"{out}: nothing dispensed from {start:%Y-%m-%d} until {until:%Y-%m-%d}")


def _report(said: dict[str, Any]) -> DispensingReport:
    from stewardship.domain.dispensings import DispensingReport
    from stewardship.intake.asap.writer import VERSION

    # The sender's own clock, as the format asks.
    created = datetime.now().replace(second=0, microsecond=0)  # noqa: DTZ005
    return DispensingReport(
        VERSION, said["control"], created, said["test"], said["sender_id"], said["sender_name"]
    )


def _dispenser(said: dict[str, Any]) -> Pharmacy:
    from stewardship.domain.dispensings import Pharmacy

    return Pharmacy(npi=said["npi"], ncpdp=said["ncpdp"], dea=said["dea"], name=said["name"])


def _readable(feed: Feed) -> int:
    """How many rows there are; ends the command with what is wrong when any of it cannot be reported."""
    from stewardship.domain.errors import InvalidInput
    from stewardship.domain.feeds import Broken, Brought, Refusal, Row

    rows, faults = 0, []
    for item in feed.items():
        if isinstance(item, Row):
            rows += 1
        elif isinstance(item, Refusal):
            faults += [f"line {f.line} {f.segment} {f.element}: {f.code}" for f in item.faults]
        elif isinstance(item, Broken):
            faults.append(f"the file is not whole: {item.reason}")
        elif isinstance(item, Brought):
            raise InvalidInput("a file of records: write dispensings from CSV or ASAP")
    for fault in faults[:_MOST_SHOWN]:
        click.echo(fault, err=True)
    if len(faults) > _MOST_SHOWN:
        click.echo(f"and {len(faults) - _MOST_SHOWN} more", err=True)
    if faults or not rows:
        raise InvalidInput(
            "nothing was written" if faults else "no dispensing is in it; `stewardship asap zero` says so"
        )
    return rows


def _entries(feed: Feed, dispenser: Pharmacy) -> Iterator[Entry]:
    """The rows; what was said of the dispenser goes before what the file says."""
    from stewardship.domain.feeds import Row
    from stewardship.intake.asap import Entry

    stated = {name: value for name in ("npi", "ncpdp", "dea", "name") if (value := getattr(dispenser, name))}
    for item in feed.items():
        if isinstance(item, Row):
            row = item.dispensed
            yield Entry(replace(row, pharmacy=replace(row.pharmacy, **stated)), item.patient)


def _put(out: Path, parts: Iterable[bytes]) -> None:
    """Write the file whole: what fails in the middle leaves nothing that looks like a report."""
    part = out.with_name(out.name + ".part")
    try:
        with part.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
