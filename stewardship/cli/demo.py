"""``stewardship demo``: a synthetic clinic, some orders checked before the reader's eyes, the service up."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stewardship.config import Settings
    from stewardship.db import Sessions
    from stewardship.declarations import Library
    from stewardship.demo.house import House
    from stewardship.demo.opening import Opened
    from stewardship.demo.orders import Case

_HOST = "127.0.0.1"
#: Browser clients that may call CDS Hooks unless the environment names others.
_SANDBOX = "https://sandbox.cds-hooks.org"
#: The order that the commands to try at the end use, and the kind of patient that it is for.
_EXAMPLE = "example-order.json"
_EXAMPLE_KIND = "knee-arthritis-tramadol"


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Where the database, tokens.json and accounts.json are kept.",
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65_535))
@click.option("--no-serve", is_flag=True, help="Make the clinic and check the orders, but do not listen.")
@click.option(
    "--all", "every", is_flag=True, help="Every finding of each order, not five problems at the most."
)
def demo(folder: Path, port: int, no_serve: bool, every: bool) -> None:
    """Show everything on a synthetic clinic: no patient in it exists.

    The first start makes the clinic; every later one finds it as it was left. STEWARDSHIP_DATABASE_URL
    names another database than the one in the folder.
    """
    from stewardship.config import Settings
    from stewardship.declarations import load
    from stewardship.demo.house import House
    from stewardship.demo.opening import ORGANISATION, open_clinic
    from stewardship.demo.people import let_in
    from stewardship.witness import open_database

    if not no_serve:
        _refuse_taken(port)
    house = House.at(folder)
    environment = _environment(house, port)
    settings = Settings.from_env(environment)
    library = load(policies_dir=settings.policies_dir)
    sessions = open_database(settings)
    now = datetime.now(UTC)
    opened = open_clinic(house, sessions, library, now=now)
    _tell_clinic(opened)
    _check_orders(house, opened, library, sessions, now=now, every=every)
    _do_what_is_due(settings, library, sessions)
    people = let_in(house, sessions, library, organisation=ORGANISATION, now=now)
    sessions.kw["bind"].dispose()
    _tell_people(house, people)
    _tell_tokens(house, opened.tokens)
    if no_serve:
        return
    _tell_service(house, port)
    from stewardship.cli.serve import run

    # The server's workers are processes of their own, which read their settings from it.
    os.environ.update(environment)
    run(host=_HOST, port=port, workers=1)


def _do_what_is_due(settings: Settings, library: Library, sessions: Sessions) -> None:
    """What the scheduler does where it runs all the time: so that reviews that are due and missed show."""
    import logging

    from stewardship.db import transaction
    from stewardship.demo.opening import ORGANISATION
    from stewardship.domain.reviews import State
    from stewardship.observability import configure_logging
    from stewardship.runtime import Runtime
    from stewardship.scheduler import JOBS
    from stewardship.scheduler.running import run_all
    from stewardship.services import calendars, reassessments

    configure_logging(level=logging.WARNING)
    running = Runtime(settings, library, sessions)
    run_all(running, JOBS)
    with transaction(sessions, write=False) as session:
        today = calendars.today(session, library, ORGANISATION, now=running.clock())
        due = reassessments.worklist(session, ORGANISATION, today=today)
    missed = sum(item.state is State.MISSED for item in due)
    click.echo()
    click.echo(f"{len(due)} reviews of function are on the worklists, {missed} of them past their day.")


def _refuse_taken(port: int) -> None:
    """Say so before anything is made, rather than after."""
    import socket

    from stewardship.domain.errors import Unavailable

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            raise Unavailable(f"port {port} is in use; name another, for example --port {port + 1}") from None


def _environment(house: House, port: int) -> dict[str, str]:
    """The environment with the demonstration's own settings where it says nothing itself."""
    from stewardship.config import Environment

    keys = house.keys()
    own = {
        "STEWARDSHIP_ENV": Environment.DEMO.value,
        "STEWARDSHIP_DATABASE_URL": house.database_url,
        "STEWARDSHIP_SECRET_KEY": keys["secret_key"],
        "STEWARDSHIP_AUDIT_KEY": keys["audit_key"],
        "STEWARDSHIP_CHECKPOINT_FILE": str(house.checkpoints),
        "STEWARDSHIP_CHECKPOINT_KEY": keys["checkpoint_key"],
        "STEWARDSHIP_CDS_ALLOWED_ORIGINS": _SANDBOX,
        "STEWARDSHIP_PUBLIC_URL": f"http://{_HOST}:{port}",
    }
    return own | {name: value for name, value in os.environ.items() if value}


def _tell_clinic(opened: Opened) -> None:
    charts = opened.clinic.charts.values()
    records = sum(len(chart.supplies) for chart in charts)
    state = "made just now" if opened.made else "as it was left"
    click.secho("Opioid stewardship, on a synthetic clinic. No patient in it exists.", bold=True)
    click.echo(f"{len(charts)} patients with {records:,} prescriptions and dispensings, {state}.")


def _check_orders(
    house: House, opened: Opened, library: Library, sessions: Sessions, *, now: datetime, every: bool
) -> None:
    """Check each order and show what came out. The first time the decisions are stored, as an EHR's
    check would store them; later nothing is, so that starting again adds nothing."""
    from stewardship.cli.render import decision_lines
    from stewardship.db import transaction
    from stewardship.demo.opening import prescriber
    from stewardship.demo.orders import cases
    from stewardship.domain.chart import Chart, Patient
    from stewardship.services import orders

    shown = cases(opened.clinic, library, now=now)
    for number, case in enumerate(shown, 1):
        brought = Chart(Patient(case.order.patient_id), now)
        with transaction(sessions, write=opened.made) as session:
            if opened.made:
                (checked,) = orders.check(
                    session, library, [case.order], brought, channel="demo", by=prescriber(), now=now
                )
            else:
                (checked,) = orders.screen(session, library, [case.order], brought, by=prescriber(), now=now)
        policies = {f.policy: library.policy(f.policy, f.version) for f in checked.decision.findings}
        known = {name: policy for name, policy in policies.items() if policy}
        click.echo()
        click.secho(f"{number}. {case.title}", bold=True, underline=True)
        click.secho(f"   {case.order.patient_id}: {_story(case)}", fg="bright_black")
        for line in decision_lines(checked.order, checked.decision, known, brief=True, every=every):
            click.echo(line)
        if checked.chart is not None and checked.chart.pharmacy_data is not None:
            click.echo(f"  {checked.chart.pharmacy_data.in_words(now)}")
    _keep_example(house, next(case for case in shown if case.kind == _EXAMPLE_KIND))


def _story(case: Case) -> str:
    from stewardship.demo import recipes

    return next(kind.story for kind in recipes.read().kind if kind.id == case.kind)


def _keep_example(house: House, case: Case) -> None:
    from stewardship.intake import strict_json

    (house.folder / _EXAMPLE).write_bytes(strict_json.dumps(case.document))


def _tell_people(house: House, passwords: Mapping[str, str]) -> None:
    click.echo()
    click.secho(f"People who can sign in, kept in {_near(house.accounts_file)}", bold=True)
    for login, password in passwords.items():
        click.echo(f"  {login:<25} {password}")


def _tell_tokens(house: House, tokens: Mapping[str, str]) -> None:
    click.echo()
    click.secho(f"API tokens, kept in {_near(house.tokens_file)}", bold=True)
    for role, token in tokens.items():
        click.echo(f"  {role:<11} {token}")


def _tell_service(house: House, port: int) -> None:
    base = f"http://{_HOST}:{port}"
    click.echo()
    click.secho(f"The service is on {base}", bold=True)
    click.echo(f"  {base}/sign-in         the pages, for whoever is named above")
    click.echo(f"  {base}/api/v1/docs     the API, to browse")
    click.echo(f"  {base}/cds-services    CDS Hooks")
    click.echo()
    click.secho("To try, in another terminal", bold=True)
    example = _near(house.folder / _EXAMPLE)
    load = f"json.load(open('{_near(house.tokens_file)}'))['prescriber']"
    bearer = '-H "Authorization: Bearer $TOKEN"'
    click.echo(f'  TOKEN=$(python3 -c "import json; print({load})")')
    click.echo(
        f"  curl {bearer} -H 'Content-Type: application/json' -d @{example} {base}/api/v1/orders/screen"
    )
    click.echo(f"  curl {bearer} {base}/api/v1/policies")
    click.echo(f"  {_near(Path(sys.argv[0]))} check {example}")
    click.echo()
    click.echo("Ctrl-C stops the service; the clinic stays.")


def _near(path: Path) -> Path:
    """The path as one would type it from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
