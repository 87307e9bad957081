"""``stewardship prescribers``: who prescribes, and which certifications are known to be valid."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stewardship.domain.prescribers import Prescriber

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def prescribers() -> None:
    """The registry of prescribers: certifications and their validity, by National Provider Identifier.

    The database is the one that STEWARDSHIP_DATABASE_URL names; STEWARDSHIP_AUDIT_KEY keys the record of it.
    """


@prescribers.command("list")
@click.argument("organisation")
def list_(organisation: str) -> None:
    """List ORGANISATION's prescribers, and which qualifications each has today."""
    from stewardship.cli.pharmacies import place
    from stewardship.cli.words import plain
    from stewardship.db import transaction
    from stewardship.declarations import load
    from stewardship.domain.prescribers import lacking
    from stewardship.services import prescribers as service

    today = datetime.now(UTC).date()
    library = load()
    sessions, by = place(organisation)
    with transaction(sessions, write=False) as session:
        found = service.listed(session, by=by)
    for one in found:
        person = one.prescriber
        held = [q.id for q in library.boards.qualifications.values() if not lacking(person, q, today)]
        said = ", ".join(held) or "nothing that a policy may ask for"
        user = f" · user {plain(person.user_id)}" if person.user_id else ""
        click.echo(f"{person.npi}  {plain(person.specialty)}{user} · {said}")


@prescribers.command()
@click.argument("organisation")
@click.argument("npi")
@click.option("--specialty", required=True)
@click.option("--user", default="", help="The id of the user who that is. Never a name.")
@click.option("--primary", nargs=2, metavar="BOARD SPECIALTY", help="Certified in a primary specialty.")
@click.option("--primary-from", type=_DAY)
@click.option("--primary-until", type=_DAY, help="Left out: for life.")
@click.option("--pain", metavar="BOARD", help="Certified in pain medicine by this board.")
@click.option("--pain-from", type=_DAY)
@click.option("--pain-until", type=_DAY)
@click.option("--fellowship-months", type=click.IntRange(1, 60), help="Of an accredited fellowship.")
@click.option("--fellowship-until", type=_DAY)
def add(organisation: str, npi: str, specialty: str, user: str, **said: object) -> None:
    """Keep what is known of a prescriber in ORGANISATION, in place of what was known under this NPI."""
    from stewardship.domain.prescribers import Certification, CertificationKind, Fellowship, Prescriber

    certifications = []
    primary = said["primary"]
    if isinstance(primary, tuple):
        from_on, until = _needed(said, "primary_from"), _day(said["primary_until"])
        certifications.append(
            Certification(CertificationKind.PRIMARY, primary[0], primary[1], from_on, until, until is None)
        )
    if said["pain"]:
        from_on, ends = _needed(said, "pain_from"), _needed(said, "pain_until")
        kind = CertificationKind.PAIN_MEDICINE
        certifications.append(Certification(kind, str(said["pain"]), "pain-medicine", from_on, ends))
    fellowships: tuple[Fellowship, ...] = ()
    months = said["fellowship_months"]
    if isinstance(months, int):
        fellowships = (Fellowship(months, True, _needed(said, "fellowship_until")),)
    _keep(organisation, (Prescriber("", npi, specialty, user, tuple(certifications), fellowships),))


@prescribers.command("import")
@click.argument("organisation")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(organisation: str, file: Path) -> None:
    """Keep the prescribers of a CSV FILE in ORGANISATION: all of them, or none when a line is wrong."""
    from stewardship.intake.prescriber_list import read_prescribers

    _keep(organisation, read_prescribers(file.read_bytes()))


def _keep(organisation: str, stated: tuple[Prescriber, ...]) -> None:
    from stewardship.cli.pharmacies import place
    from stewardship.db import transaction
    from stewardship.declarations import load
    from stewardship.services import organisations
    from stewardship.services import prescribers as service

    now = datetime.now(UTC)
    sessions, by = place(organisation)
    with transaction(sessions) as session:
        organisations.ensure(session, organisation, name=organisation, by=by, now=now)
        changed, same = service.keep_all(session, load(), stated, by=by, now=now)
    click.echo(f"{changed} new or changed, {same} as they were")


def _day(value: object) -> date | None:
    return value.date() if isinstance(value, datetime) else None


def _needed(said: dict[str, object], name: str) -> date:
    day = _day(said[name])
    if day is None:
        raise click.UsageError(f"--{name.replace('_', '-')} is needed")
    return day
