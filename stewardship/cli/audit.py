"""``stewardship audit``: whether anybody has altered the record, and what bears witness to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stewardship.config import Settings
    from stewardship.services.notes import Signed, Verifier
    from stewardship.services.replay import Replayed
    from stewardship.services.verification import Verified
    from stewardship.witness import Witness

TAMPERED, CANNOT_TELL = 1, 2


@click.group()
def audit() -> None:
    """Verify the audit trail, sign how far it has come, change its keys."""


@audit.command()
@click.argument("organisation")
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with checkpoints, or a report that bears one; otherwise the checkpoint file.",
)
@click.option("--public", is_flag=True, help="Without any secret key: entries against checkpoints alone.")
@click.option("--key", "keys", multiple=True, metavar="PUBLIC-KEY", help="Whose checkpoints count, besides.")
@click.option("--json", "as_json", is_flag=True)
def verify(
    organisation: str, against: Path | None, public: bool, keys: tuple[str, ...], as_json: bool
) -> None:
    """Check ORGANISATION's audit trail, its checkpoints, and the rows that it bears witness to.

    \b
    Exit codes:
      0  whole, as far as its entries and the checkpoints reach
      1  altered: the first bad entry and its kind are named
      2  it could not be verified
    """
    from stewardship.domain.errors import StewardshipError
    from stewardship.services.notes import BadNote

    try:
        found = _verify(organisation, against, public, keys)
    except (StewardshipError, BadNote) as cause:
        _cannot(str(getattr(cause, "message", cause)))
    if as_json:
        fault = found.fault
        said = {"entries": found.entries, "head": found.head, "witnessed": found.witnessed, "fault": None}
        if fault is not None:
            said["fault"] = {"seq": fault.seq, "kind": fault.kind, "what": fault.what}
        click.echo(json.dumps(said))
    else:
        _tell(found)
    if found.fault is not None:
        raise SystemExit(TAMPERED)


def _verify(organisation: str, against: Path | None, public: bool, keys: Sequence[str]) -> Verified:
    from stewardship.db import migrate, transaction
    from stewardship.domain.errors import Unavailable
    from stewardship.services import verification
    from stewardship.services.notes import Verifier
    from stewardship.witness import open_database, witness_of

    settings = _settings()
    if not public and not settings.audit_key:
        raise Unavailable("the chain cannot be checked: STEWARDSHIP_AUDIT_KEY is not set")
    witness = witness_of(settings)
    known = [Verifier.of(line) for line in keys] + list(witness.keys if witness else ())
    signed = _checkpoints(against, witness, known)
    if public and not signed:
        raise Unavailable("there is no checkpoint to verify against; name one with --against")
    sessions = open_database(settings)
    migrate.require_current(sessions.kw["bind"])
    with transaction(sessions, write=False) as session:
        return verification.verify(session, organisation_id=organisation, checkpoints=signed, public=public)


def _checkpoints(against: Path | None, witness: Witness | None, known: Sequence[Verifier]) -> list[Signed]:
    """The checkpoints to hold the trail against. A file that the settings name and that is not there yet
    holds none."""
    from stewardship.cli.witnessed import words
    from stewardship.services.notes import found_in

    file = against or (witness.file if witness else None)
    if file is None or (against is None and not file.exists()):
        return []
    text = words(file.read_bytes())
    # A file that somebody names is a witness or it is not; the own one may be empty yet.
    return found_in(text, known) if against or text.strip() else []


def _tell(found: Verified) -> None:
    if found.fault is None:
        to = (
            f"{found.witnessed} of them witnessed"
            if found.witnessed
            else "no checkpoint to hold them against"
        )
        click.echo(f"{found.entries} entries, all as written, {to}; the last is {found.head[:16]}")
        return
    place = "" if found.fault.seq is None else f"first bad seq {found.fault.seq}: "
    click.echo(click.style(f"{place}{found.fault.what} [{found.fault.kind}]", fg="red", bold=True))
    click.echo(f"the last good checkpoint is of {found.witnessed} entries")


@audit.command()
@click.argument("organisation")
@click.argument("decisions", nargs=-1, metavar="[DECISION]...")
@click.option("--json", "as_json", is_flag=True)
def replay(organisation: str, decisions: tuple[str, ...], as_json: bool) -> None:
    """Decide ORGANISATION's stored decisions again (all, or those named) from their facts and policies.

    \b
    Exit codes:
      0  every one came out the same
      1  one came out otherwise: every value that differs is named
      2  it could not be done
    """
    from stewardship.db import migrate, transaction
    from stewardship.declarations import load
    from stewardship.domain.errors import StewardshipError
    from stewardship.domain.people import Principal, Role
    from stewardship.services import replay as replaying
    from stewardship.witness import open_database

    by = Principal("operator", organisation, Role.COMPLIANCE)
    other = 0
    try:
        settings = _settings()
        library = load(policies_dir=settings.policies_dir)
        sessions = open_database(settings)
        migrate.require_current(sessions.kw["bind"])
        with transaction(sessions, write=False) as session:
            for decision in decisions or replaying.all_of(session, by=by):
                found = replaying.replay(session, library, decision, by=by)
                other += not found.same
                _tell_replayed(found, as_json)
    except StewardshipError as cause:
        _cannot(cause.message)
    if other:
        raise SystemExit(TAMPERED)


def _tell_replayed(found: Replayed, as_json: bool) -> None:
    from stewardship.intake.strict_json import dumps

    if as_json:
        said = {
            "decision": found.decision_id,
            "same": found.same,
            "compared": found.compared,
            "missing": [list(version) for version in found.missing],
            "changed": [list(version) for version in found.changed],
            "differences": [
                {"policy": d.policy, "field": d.field, "then": d.then, "now": d.now}
                for d in found.differences
            ],
        }
        click.echo(dumps(said).decode())
        return
    if found.same:
        click.echo(f"{found.decision_id} of {found.as_of:%d %b %Y}: {found.compared} findings, all the same")
        return
    click.secho(f"{found.decision_id} of {found.as_of:%d %b %Y}: not the same", fg="red", bold=True)
    for policy, version in found.missing:
        click.echo(f"  {policy} version {version}: no file here holds it")
    for policy, version in found.changed:
        click.echo(f"  {policy} version {version}: its file is not what it was")
    for one in found.differences:
        click.echo(f"  {one.policy}: {one.field} was {one.then!r}, is {one.now!r}")


@audit.command()
@click.argument("organisation")
def checkpoint(organisation: str) -> None:
    """Sign how far ORGANISATION's trail has come, and print the checkpoint."""
    from stewardship.services.notes import Signer
    from stewardship.witness import open_database

    settings, witness = _settings(), _witness()
    reached = witness.checkpoint(open_database(settings), organisation)
    if reached is None:
        _cannot("there is no entry yet")
    signer: Signer = witness.signer
    click.echo(signer.sign(reached))


@audit.command()
def key() -> None:
    """Print the public key that checkpoints are verified with; hand it to whoever should be able to."""
    for known in _witness().keys:
        click.echo(known.line)


@audit.command()
@click.argument("name")
def rotate(name: str) -> None:
    """End the current audit key: its last entry in every trail says that the key NAME (k2, k3 ...) follows.

    Stop the service before, and start it after with STEWARDSHIP_AUDIT_KEY=NAME:NEWKEY and the key of now
    among STEWARDSHIP_AUDIT_RETIRED_KEYS.
    """
    from datetime import UTC, datetime

    from stewardship.db import transaction
    from stewardship.services import key_rotation
    from stewardship.witness import open_database

    sessions = open_database(_settings())
    with transaction(sessions) as session:
        ended = key_rotation.rotate(session, to=name, now=datetime.now(UTC))
    click.echo(f"{ended.was} ended in {len(ended.organisations)} trails; {name} follows")


def _witness() -> Witness:
    from stewardship.domain.errors import Unavailable
    from stewardship.witness import witness_of

    witness = witness_of(_settings())
    if witness is None:
        raise Unavailable("STEWARDSHIP_CHECKPOINT_FILE and STEWARDSHIP_CHECKPOINT_KEY are not both set")
    return witness


def _settings() -> Settings:
    import os

    from stewardship.config import Settings

    return Settings.from_env(os.environ)


def _cannot(words: str) -> NoReturn:
    click.echo(f"cannot verify: {words}", err=True)
    raise SystemExit(CANNOT_TELL)
