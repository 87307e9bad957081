"""``stewardship retention``: how long records are kept, what is past its time, and legal holds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stewardship.db import Sessions
    from stewardship.domain.people import Principal
    from stewardship.domain.retention import Retention
    from stewardship.services.holds import Hold
    from stewardship.services.retention import Past

_ORGANISATION = click.argument("organisation")
_REASON = click.option("--reason", required=True, help="Why; it is kept.")
_AS = click.option("--as", "user", default="operator", show_default=True, help="Who of compliance does it.")
_JSON = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")


@click.group()
def retention() -> None:
    """How long records are kept: see what is past its time, remove it, place and lift legal holds.

    Terms are in reference/retention.toml. The database is the one that STEWARDSHIP_DATABASE_URL names;
    STEWARDSHIP_AUDIT_KEY keys the record of what is done. Nothing is ever removed by itself.
    """


@retention.command()
@_JSON
def terms(as_json: bool) -> None:
    """Say how long each kind of record is kept, on what that rests, and what is never removed."""
    said = _terms()
    if as_json:
        from stewardship.services.retention import terms_json

        _print(terms_json(said))
        return
    for term in said.terms.values():
        age = f", and until the patient is {term.until_age}" if term.until_age else ""
        click.echo(f"{term.kind}: {term.years} years{age}. {term.title}. {term.what}")
        for source in term.sources:
            mark = "" if source.verified else " [not verified]"
            click.echo(f"    {source.title} ({source.date.isoformat()}){mark}")
    click.echo("never removed:")
    for one in said.kept:
        click.echo(f"    {one.title}. {one.why}")


@retention.command()
@_ORGANISATION
@_JSON
def report(organisation: str, as_json: bool) -> None:
    """Say what of ORGANISATION is past its time, and what would go. Nothing is changed."""
    from datetime import UTC, datetime

    from stewardship.db import transaction
    from stewardship.services import retention as service

    sessions, by = _place(organisation, "operator")
    with transaction(sessions, write=False) as session:
        found = service.past(session, _terms(), by=by, now=datetime.now(UTC))
    if as_json:
        _print({"kinds": [service.past_json(one) for one in found]})
        return
    _tell(found)


@retention.command()
@_ORGANISATION
@click.option("--kind", "kinds", multiple=True, help="Only this kind; all of them unless named.")
@click.option(
    "--portion", default=200, show_default=True, type=click.IntRange(1, 5_000), help="Records at once."
)
@click.option("--yes", is_flag=True, help="Without it, only what would go is said.")
@_AS
def apply(organisation: str, kinds: tuple[str, ...], portion: int, yes: bool, user: str) -> None:
    """Remove what of ORGANISATION is past its time and kept by no hold, portion by portion.

    Each portion is one transaction with its entry of the audit trail. Whoever is interrupted calls it again.
    """
    from datetime import UTC, datetime

    from stewardship.db import transaction
    from stewardship.services import retention as service

    sessions, by = _place(organisation, user)
    declared = _terms()
    if not yes:
        with transaction(sessions, write=False) as session:
            found = service.past(session, declared, by=by, now=datetime.now(UTC))
        _tell([one for one in found if not kinds or one.term.kind in kinds])
        click.echo("nothing was removed: say --yes to remove it", err=True)
        return
    for kind in kinds or declared.terms:
        rows = 0
        while True:
            with transaction(sessions) as session:
                gone = service.remove(session, declared, kind, by=by, now=datetime.now(UTC), most=portion)
            rows += gone.rows
            if not gone.rows:
                break
            if sys.stderr.isatty():
                click.echo(f"\r{kind}: {rows:,}", nl=False, err=True)
        click.echo(f"{kind}: {rows:,} removed")


@retention.command()
@_ORGANISATION
@click.option("--patient", metavar="EHR-ID", help="Only of this patient; everything unless named.")
@_REASON
@_AS
def hold(organisation: str, patient: str | None, reason: str, user: str) -> None:
    """Place a legal hold: nothing of the patient, or of ORGANISATION, is removed until it is lifted."""
    from datetime import UTC, datetime

    from stewardship.db import transaction
    from stewardship.services import holds

    sessions, by = _place(organisation, user)
    with transaction(sessions) as session:
        made = holds.place(session, patient=patient, reason=reason, by=by, now=datetime.now(UTC))
    click.echo(f"{made.id} holds {'everything' if patient is None else 'one patient'}")


@retention.command()
@_ORGANISATION
@click.argument("hold_id", metavar="HOLD")
@_REASON
@_AS
def lift(organisation: str, hold_id: str, reason: str, user: str) -> None:
    """Lift the legal hold HOLD. No hold ends by itself."""
    from datetime import UTC, datetime

    from stewardship.db import transaction
    from stewardship.services import holds

    sessions, by = _place(organisation, user)
    with transaction(sessions) as session:
        holds.lift(session, hold_id, reason=reason, by=by, now=datetime.now(UTC))
    click.echo(f"{hold_id} is lifted")


@retention.command("holds")
@_ORGANISATION
@click.option("--all", "every", is_flag=True, help="Those that were lifted, too.")
@_JSON
def list_holds(organisation: str, every: bool, as_json: bool) -> None:
    """List ORGANISATION's legal holds."""
    from stewardship.db import transaction
    from stewardship.services import holds

    sessions, by = _place(organisation, "operator")
    with transaction(sessions, write=False) as session:
        found = holds.listed(session, by=by, standing=not every)
    if as_json:
        _print({"holds": [holds.hold_json(one) for one in found]})
        return
    for one in found:
        _tell_hold(one)


def _tell(found: list[Past] | tuple[Past, ...]) -> None:
    from stewardship.services.retention import WHY_IT_STAYS

    for one in found:
        after = f"; more is past its time from {one.next_on.isoformat()} on" if one.next_on else ""
        click.echo(f"{one.term.kind}: from before {one.before.isoformat()}: {one.due:,} would go{after}")
        for year, count in sorted(one.years.items()):
            click.echo(f"    of {year}: {count:,}")
        for standing, words in WHY_IT_STAYS.items():
            if one.standing[standing]:
                click.echo(f"    {one.standing[standing]:,} stay: {words}")


def _tell_hold(one: Hold) -> None:
    from stewardship.cli.words import plain

    whose = "everything" if one.patient_id is None else f"patient {plain(one.patient_id)}"
    click.echo(f"{one.id}  {whose} · since {one.at:%d %b %Y} by {plain(one.by_user)}: {plain(one.reason)}")
    if one.lifted_at is not None:
        why = f"{plain(one.lifted_by or '')}: {plain(one.lifted_why or '')}"
        click.echo(f"    lifted {one.lifted_at:%d %b %Y} by {why}")


def _print(said: dict[str, Any]) -> None:
    from stewardship.intake.strict_json import dumps

    click.echo(dumps(said).decode())


def _terms() -> Retention:
    """The terms alone: nothing here needs the rest of what is declared, which takes longer to read."""
    from stewardship.declarations.places import REFERENCE
    from stewardship.declarations.retention import read_retention

    return read_retention(REFERENCE)


def _place(organisation: str, user: str) -> tuple[Sessions, Principal]:
    import os

    from stewardship.config import Settings
    from stewardship.db import migrate, transaction
    from stewardship.domain.errors import InvalidInput, Unavailable
    from stewardship.domain.people import Principal, Role
    from stewardship.services import organisations
    from stewardship.witness import open_database

    settings = Settings.from_env(os.environ)
    if not settings.audit_key:
        raise Unavailable("STEWARDSHIP_AUDIT_KEY is not set, and nothing is done that cannot be recorded")
    sessions = open_database(settings)
    migrate.require_current(sessions.kw["bind"])
    with transaction(sessions, write=False) as session:
        known = organisations.listed(session)
    if organisation not in known:
        raise InvalidInput(f"there is no such organisation: {', '.join(known) or 'none has been made yet'}")
    return sessions, Principal(user, organisation, Role.COMPLIANCE)
