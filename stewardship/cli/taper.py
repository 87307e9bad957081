"""``stewardship taper``: a slow schedule in real tablets, for those who choose to reduce an opioid."""

from __future__ import annotations

import re
import sys
import textwrap
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stewardship.declarations import Library
    from stewardship.domain.drugs import Drug
    from stewardship.domain.taper_schedule import NotPlanned, Schedule, TaperFacts

#: No schedule: a fact is missing, or none is made for this patient or medicine.
NOT_PLANNED = 3
_AMOUNT = re.compile(r"[0-9]{1,5}(\.[0-9]{1,4})?", re.ASCII)
#: A month is longer than 30 days; so many years and months are never taken for less.
_MONTHS_A_YEAR, _DAYS_A_YEAR = 12, 365


class _Amount(click.ParamType[Decimal]):
    """Milligrams, exactly as written."""

    name = "mg"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """The number, never a binary one."""
        if not isinstance(value, str) or not _AMOUNT.fullmatch(value) or not Decimal(value):
            self.fail(f"{value!r} is no amount; write it as 60 or 7.5", param, ctx)
        return Decimal(value)


@click.command()
@click.option("--drug", required=True, help="A product: RxNorm code, NDC, exact name; or an opioid's name.")
@click.option("--form", default="oral tablet", show_default=True, help="Of an opioid's name: the dose form.")
@click.option("--daily", type=_Amount(), help="Milligrams of the opioid a day, as taken now.")
@click.option("--months-on", type=click.IntRange(0, 600), help="For how many months opioids were taken.")
@click.option("--days-on", type=click.IntRange(0, 20_000), help="The same in days.")
@click.option("--times", type=click.IntRange(1, 12), default=1, help="At how many times a day.")
@click.option("--pieces", type=_Amount(), help="Pieces a day now; needed for combinations.")
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), help="The first day with less. [default: today]")
@click.option("--split", is_flag=True, help="Tablets may be halved.")
@click.option("--for-pain", is_flag=True, help="It is taken for pain: has to be said of methadone.")
@click.option("--benzodiazepine", type=click.Choice(["none", "unchanged", "being-reduced", "unknown"]),
              default="unknown", show_default=True)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def taper(
    drug: str, daily: Decimal | None, months_on: int | None, days_on: int | None, as_json: bool, **said: Any
) -> None:
    """A schedule to reduce an opioid in steps that real tablets make. It asks nobody to.

    \b
    stewardship taper --drug oxycodone --daily 60 --months-on 18 --times 4
    stewardship taper --drug 1049621 --daily 60 --days-on 200 --json

    Without a length of use the slowest pace is taken. A schedule becomes a plan only with a decision that
    patient and prescriber share (POST /api/v1/tapers).

    \b
    Exit codes:
      0  there is a schedule
      3  there is none, and it is said why
      2  the command was not understood
    """
    from stewardship.declarations import load
    from stewardship.domain.taper_schedule import Benzodiazepine, TaperFacts, plan
    from stewardship.domain.taper_told import schedule_told

    if months_on is not None and days_on is not None:
        raise click.UsageError("give either --months-on or --days-on")
    if months_on is not None:
        days_on = -(-months_on * _DAYS_A_YEAR // _MONTHS_A_YEAR)
    library = load()
    facts = TaperFacts(
        drug=_product(library, drug, said["form"]),
        mg_per_day=daily,
        days_on=days_on,
        for_pain=said["for_pain"],
        benzodiazepine=Benzodiazepine(said["benzodiazepine"]),
        pieces_a_day=said["pieces"],
        times_a_day=said["times"],
        splitting=said["split"],
    )
    starts_on = said["start"].date() if said["start"] else datetime.now(UTC).date()
    found = plan(facts, catalogue=library.catalogue, terms=library.tapers, starts_on=starts_on)
    if as_json:
        from stewardship.intake.strict_json import dumps

        click.echo(dumps(schedule_told(found)).decode())
    else:
        _show(found, facts)
    if not schedule_told(found)["planned"]:
        sys.exit(NOT_PLANNED)


def _product(library: Library, text: str, form: str) -> Drug | None:
    """The product of a code or a name; of an opioid's name, its plainest product of the form."""
    catalogue = library.catalogue
    written = " ".join(text.split())
    named = catalogue.by_rxcui(written) if written.isdecimal() else None
    named = named or catalogue.by_ndc(written) or catalogue.by_name(written)
    if named is not None:
        return named
    fitting = [
        d
        for d in catalogue.products()
        if d.form == form.casefold() and [i.name for i in d.ingredients] == [written.casefold()] and d.opioids
    ]
    return min(fitting, key=lambda d: (len(d.name), d.name), default=None)


def _show(found: Schedule | NotPlanned, facts: TaperFacts) -> None:
    from stewardship.domain.mme import plain
    from stewardship.domain.taper_schedule import NotPlanned, rounded, said_week

    if isinstance(found, NotPlanned):
        _line(f"No schedule: {found.because}.", colour="yellow")
        if found.missing:
            _line(f"Missing: {', '.join(found.missing)}")
        return
    _line(f"{found.drug.name}, from {plain(found.first_mg_per_day)} mg a day", bold=True)
    slowest = "" if facts.days_on is not None else " (for how long opioids were taken is not said)"
    unsure = "" if found.pace.verified else " [not confirmed in the final text of its source]"
    _line(f"Pace: {found.pace.title}{slowest}{unsure}")
    for note in found.notes:
        _line(note.text, colour="cyan" if note.id == "choice" else None)
    click.echo()
    for step in found.steps:
        take = "as it is now" if step.week is None else said_week(step.week)
        before = step.mg_per_week + step.drop
        fall = "" if not step.drop else f"{plain(rounded(step.drop * 100 / before))} % less"
        days = f"{step.days} days" if step.days else "end"
        head = f"{_day(step.starts_on)}  {days:>8}  {plain(step.mg_per_day):>7} mg/day  {fall:<12}"
        click.secho(f"{head}  {take}", fg="green" if step.last else None)
    click.echo()
    products = {piece.code: piece.name for piece in found.pieces}
    for code, number in found.supply.items():
        _line(f"{plain(number)} x {products[code]} ({code})")


def _day(day: date) -> str:
    return f"{day:%d %b %Y}"


def _line(text: str, *, colour: str | None = None, bold: bool = False) -> None:
    from stewardship.cli.words import plain, width

    click.secho(textwrap.fill(plain(text), width(), break_on_hyphens=False), fg=colour, bold=bold)
