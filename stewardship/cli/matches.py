"""``stewardship matches``: whether two descriptions are of one person, for a person to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_ORGANISATION = click.argument("organisation")
_IDENTITY = click.argument("identity")
_PATIENT = click.argument("patient")
_REASON = click.option("--reason", required=True, help="Why; it is kept with the match.")
_AS = click.option("--as", "user", required=True, help="Who says so, e.g. a pharmacist's user id.")
_JSON = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")


@click.group()
def matches() -> None:
    """Matches of patients that no rule is sure of: list, read side by side, settle, undo.

    IDENTITY is what one source says of somebody, PATIENT whose it may be; both are ids of the list. The
    database is the one that STEWARDSHIP_DATABASE_URL names; STEWARDSHIP_AUDIT_KEY keys the record of it.
    """


@matches.command("list")
@_ORGANISATION
@click.option(
    "--status", type=click.Choice(["open", "accepted", "declined"]), default="open", show_default=True
)
@_JSON
def list_(organisation: str, status: str, as_json: bool) -> None:
    """List ORGANISATION's matches. Exit code 1 if any has to be settled."""
    from stewardship.cli.words import plain
    from stewardship.db import transaction
    from stewardship.services import candidates
    from stewardship.services import matches as service

    sessions, by = _place(organisation)
    with transaction(sessions, write=False) as session:
        found = candidates.listed(session, status=status, by=by)
    told = [service.match_json(one) for one in found]
    if as_json:
        _print({"matches": told})
    for one in () if as_json else told:
        closed = f" · {one['status']} by {plain(one['closed_by'])}" if one["closed_by"] else ""
        sure = f"{one['rule']} ({one['confidence']:.2f})"
        click.echo(f"{one['identity']}  {one['patient']}  {sure} · since {one['since'][:10]}{closed}")
    if found and status == "open":
        raise SystemExit(1)


@matches.command()
@_ORGANISATION
@_IDENTITY
@_PATIENT
@_JSON
def show(organisation: str, identity: str, patient: str, as_json: bool) -> None:
    """Read a match side by side: it shows names."""
    sessions, by = _place(organisation)
    _tell_match(sessions, by, identity, patient, as_json=as_json)


@matches.command()
@_ORGANISATION
@click.argument("ehr_id")
@_JSON
def of(organisation: str, ehr_id: str, as_json: bool) -> None:
    """Read the identities of the patient whom the EHR calls EHR_ID: where a wrong match is found."""
    from stewardship.db import transaction
    from stewardship.services import matches as service

    sessions, by = _place(organisation)
    with transaction(sessions, write=False) as session:
        told = service.person_json(service.person_called(session, ehr_id, by=by))
    if as_json:
        _print(told)
        return
    for one in told["identities"]:
        _describe(one)


@matches.command()
@_ORGANISATION
@_IDENTITY
@_PATIENT
@_REASON
@_AS
def accept(organisation: str, identity: str, patient: str, reason: str, user: str) -> None:
    """They are one person: what was and will be dispensed under IDENTITY is PATIENT's."""
    from stewardship.declarations import load
    from stewardship.services import candidates

    terms = load().feeds
    _settle(organisation, user, candidates.accept, identity, patient, reason=reason, terms=terms)


@matches.command()
@_ORGANISATION
@_IDENTITY
@_PATIENT
@_REASON
@_AS
def decline(organisation: str, identity: str, patient: str, reason: str, user: str) -> None:
    """They are two."""
    from stewardship.services import candidates

    _settle(organisation, user, candidates.decline, identity, patient, reason=reason)


@matches.command()
@_ORGANISATION
@_IDENTITY
@_PATIENT
@_REASON
@_AS
def reopen(organisation: str, identity: str, patient: str, reason: str, user: str) -> None:
    """That they are two does not hold: the match has to be settled again."""
    from stewardship.services import candidates

    _settle(organisation, user, candidates.reopen, identity, patient, reason=reason)


@matches.command()
@_ORGANISATION
@_IDENTITY
@_REASON
@_AS
def part(organisation: str, identity: str, reason: str, user: str) -> None:
    """A match was wrong: IDENTITY gets a patient of its own, with what was dispensed under it."""
    from stewardship.declarations import load
    from stewardship.services import candidates

    terms = load().feeds
    patient = _settle(organisation, user, candidates.part, identity, reason=reason, terms=terms)
    click.echo(f"now of patient {patient}")


@matches.command()
@_ORGANISATION
@_IDENTITY
@_JSON
def history(organisation: str, identity: str, as_json: bool) -> None:
    """Whose IDENTITY was and is, and what was said about it."""
    from stewardship.db import transaction
    from stewardship.services import candidates
    from stewardship.services import matches as service

    sessions, by = _place(organisation)
    with transaction(sessions, write=False) as session:
        links = candidates.history(session, identity, by=by)
        said = candidates.settlements(session, identity, by=by)
    told = {
        "history": [service.link_json(one) for one in links],
        "said": [service.said_json(one) for one in said],
    }
    if as_json:
        _print(told)
    else:
        _tell_history(told)


# --- doing ---------------------------------------------------------------------------------------


def _settle(organisation: str, user: str, act: Callable[..., Any], *which: str, **more: Any) -> Any:
    from dataclasses import replace
    from datetime import UTC, datetime

    from stewardship.db import transaction

    sessions, operator = _place(organisation)
    by = replace(operator, user_id=user)
    with transaction(sessions) as session:
        done = act(session, *which, by=by, now=datetime.now(UTC), **more)
    click.echo("done")
    return done


def _place(organisation: str) -> tuple[Any, Any]:
    from stewardship.cli import pharmacies

    return pharmacies.place(organisation)


# --- telling -------------------------------------------------------------------------------------


def _tell_match(sessions: Any, by: Any, identity: str, patient: str, *, as_json: bool) -> None:
    from stewardship.db import transaction
    from stewardship.declarations import load
    from stewardship.services import matches as service

    rules = load().feeds.matching
    with transaction(sessions, write=False) as session:
        found = service.side_by_side(session, identity, patient, rules, by=by)
    told = service.side_by_side_json(found)
    if as_json:
        _print(told)
        return
    match, person = told["match"], told["person"]
    click.secho(f"{match['rule']}, {match['confidence']:.2f}, {match['status']}", bold=True)
    _describe(told["described"])
    click.echo()
    click.secho(
        "may be patient " + (_plain(person["ehr_id"] or "") or "whom only pharmacies know"), bold=True
    )
    for one in person["identities"]:
        _describe(one)
        words = ", ".join(f"{respect} {word}" for respect, word in one["compared"].items())
        click.echo(f"  compared: {words}")
    click.echo()
    _tell_history(told)


def _describe(one: Mapping[str, Any]) -> None:
    name = ", ".join(part for part in (one["last"], f"{one['first']} {one['middle']}".strip()) if part)
    kind = "the system of records" if one["own_record"] else "a pharmacy"
    click.echo(
        f"{one['id']}: {_plain(name)}, born {one['birth_date'] or '?'}, {one['sex'] or '?'}; by {kind}"
    )
    click.echo(
        f"  {_plain(', '.join(one[part] for part in ('street', 'city', 'state', 'zip') if one[part]))}"
    )
    for number in one["numbers"]:
        whose = f"{number['kind']} {number['jurisdiction']}".strip()
        click.echo(f"  number {_plain(whose)} … {_plain(number['ends_in'])}")
    for fill in one["fills"]:
        what = f"{fill['medicine']}, {fill['quantity'] or '?'} for {fill['days'] or '?'} days"
        click.echo(
            f"  {fill['on']}  {_plain(what)} · {_plain(fill['pharmacy'])}, by {_plain(fill['prescriber'])}"
        )


def _tell_history(told: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    for one in told["history"]:
        why = f": {_plain(one['reason'])}" if one["reason"] else ""
        click.echo(
            f"{one['at'][:16]}  of patient {one['patient']} by {one['rule']} ({_plain(one['by'])}){why}"
        )
    for one in told["said"]:
        why = _plain(one["reason"])
        click.echo(f"{one['at'][:16]}  {one['act']}: patient {one['patient']} ({_plain(one['by'])}): {why}")


def _plain(words: str) -> str:
    from stewardship.cli.words import plain

    return plain(words)


def _print(told: object) -> None:
    from stewardship.intake.strict_json import dumps

    click.echo(dumps(told).decode())
