"""``stewardship measures``: quality measures over an organisation's records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stewardship.domain.measures.totals import Run


@click.group()
def measures() -> None:
    """Quality measures: HEDIS, PQA and CMS506, with who is counted and why."""


@measures.command("list")
@click.option("--json", "as_json", is_flag=True, help="The definitions as JSON.")
def list_(*, as_json: bool) -> None:
    """Every measure and version, with where its definition comes from."""
    from stewardship.declarations import load
    from stewardship.domain.measures.told import measure_told
    from stewardship.intake.strict_json import dumps

    known = load().measures
    if as_json:
        click.echo(dumps({"measures": [measure_told(m) for m in known]}).decode())
        return
    for one in known:
        said = "" if one.verified else "  (not verified in full)"
        click.echo(f"{one.id:12} v{one.version}  {one.title}; {one.steward}{said}")


@measures.command("run")
@click.argument("measure_id", metavar="MEASURE")
@click.option("--organisation", help="Whose patients; the only one there is, if not said.")
@click.option("--period", required=True, type=click.IntRange(2000, 2200), help="The measurement year.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, with each patient's evidence.")
@click.option("--fhir", "as_fhir", is_flag=True, help="A FHIR R4 Bundle of MeasureReports.")
def run(*, measure_id: str, organisation: str | None, period: int, as_json: bool, as_fhir: bool) -> None:
    """Run one measure over a year, as of now.

    Prints the totals; with --json and --fhir also every patient who is counted, excluded or cannot be told,
    by the service's own id, with claims and days. What stands in for data that are not on record is printed
    with the answer.
    """
    from datetime import UTC, datetime

    from stewardship.cli.placing import place
    from stewardship.db import transaction
    from stewardship.domain.measures import as_fhir as fhir
    from stewardship.domain.measures.told import run_told
    from stewardship.intake.strict_json import dumps
    from stewardship.services import measures as service

    if as_json and as_fhir:
        raise click.UsageError("--json and --fhir exclude each other")
    here, now = place(organisation), datetime.now(UTC)
    with transaction(here.sessions) as session:
        found = service.measure(session, here.library, measure_id, period, by=here.by, now=now)
    if as_json:
        click.echo(dumps(run_told(found, patients=True)).decode())
    elif as_fhir:
        click.echo(dumps(fhir.bundle(found, now=now, organisation=here.by.organisation_id)).decode())
    else:
        _print(found)


def _print(found: Run) -> None:
    from stewardship.domain.measures.told import percent

    told, totals = found.measure, found.totals
    click.echo(f"{told.title}; {told.steward}, definition v{told.version}")
    click.echo(f"{found.first:%d %b %Y} to {found.last:%d %b %Y}{'' if found.ended else ', not over yet'}")
    counted = ", ".join(f"{standing.value} {count}" for standing, count in sorted(totals.standing.items()))
    click.echo(f"population: {counted or 'nobody'}")
    for name, reasons in (("excluded", totals.excluded), ("cannot tell", totals.untold)):
        for reason, count in sorted(reasons.items()):
            click.echo(f"  {name} {reason}: {count}")
    titles = {r.id: r for r in told.rates}
    for (rate, stratum), share in sorted(totals.shares.items()):
        official = "" if titles[rate].official else " (beside the published rate)"
        named = f"{rate}, {stratum}" if stratum else rate
        click.echo(
            f"{named}: {share.counted} of {share.asked} = {percent(share)} %, "
            f"cannot tell {share.untold}, near {share.near}{official}"
        )
    click.echo("what stands in for data that are not on record:")
    for assumption in told.assumptions:
        click.echo(f"  - {assumption}")
    if told.unverified:
        click.echo(f"not verified: {told.unverified}")
