"""``stewardship check``: what the policies say about the order in a file, without a server or a database."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, BinaryIO

import click

if TYPE_CHECKING:
    from stewardship.cli.reading import Question
    from stewardship.declarations import Library
    from stewardship.domain.chart import Chart
    from stewardship.domain.drugs import Catalogue
    from stewardship.domain.orders import Order
    from stewardship.domain.policy import Decision


class ExactNumber(click.ParamType[Decimal]):
    """A number above zero, kept exactly as written."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """The number; anything but ASCII digits and a point is refused."""
        try:
            number = Decimal(value) if str(value).isascii() and "_" not in str(value) else None
        except InvalidOperation:
            number = None
        if number is None or not number.is_finite() or number <= 0:
            self.fail("write a number above zero, such as 20 or 2.5", param, ctx)
        return number


_NUMBER = ExactNumber()


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--order", "order_file", type=click.File("rb"), help="Judge this order: a MedicationRequest or our JSON."
)
@click.option("--drug", help="Judge a new order of this drug: RxNorm code, NDC, or exact name.")
@click.option("--quantity", type=_NUMBER, help="How much of it, in tablets, mL, patches ...")
@click.option("--days", type=_NUMBER, help="How many days it is to last.")
@click.option("--per-day", type=_NUMBER, help="How many units a day at the most.")
@click.option("--refills", type=click.IntRange(0, 99), help="Refills beyond the first fill.")
@click.option("--phase", type=click.Choice(["acute", "subacute", "chronic"]), help="The phase of the pain.")
@click.option(
    "--lost", type=click.Choice(["lost", "stolen", "destroyed"]), help="It replaces a prescription."
)
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="Judge as of this day, as 2026-11-21.")
@click.option(
    "--database", is_flag=True, help="Join with what the database knows of the patient; needs --organisation."
)
@click.option("--organisation", help="Whose records of the database to join with.")
@click.option("--all", "every", is_flag=True, help="Every finding in full, not five problems at the most.")
@click.option("--json", "as_json", is_flag=True, help="The decision as JSON, for a program: always complete.")
def check(
    file: BinaryIO,
    order_file: BinaryIO | None,
    today: datetime | None,
    database: bool,
    organisation: str | None,
    every: bool,
    as_json: bool,
    **order: Any,
) -> None:
    """Judge the order in FILE ("-" reads standard input) by the policies in force.

    FILE holds a CDS Hooks request, a FHIR R4 Bundle, or our own JSON; which of them is seen from its
    content. Of a Bundle the draft MedicationRequest is judged, or, when there is none, the active one
    written last. --order and --drug put a new order in the place of the file's.

    \b
    Exit codes:
      0   clear, or something to know: nothing to do before signing
      10  a policy asks for a coded reason, or a change
      20  a policy blocks the order
      30  could not be checked: nothing objects, but a fact was missing
      2   the input cannot be read, or the command was not understood
      3   the service's own files or its database are at fault
    Of several orders in one file, the gravest counts: 20, then 10, then 30.
    """
    from stewardship.cli.reading import at_noon
    from stewardship.config import Settings
    from stewardship.declarations import load
    from stewardship.domain.errors import Unavailable

    if bool(order_file) and bool(order["drug"]):
        raise click.UsageError("give either --order or --drug")
    if database and not organisation:
        raise click.UsageError("--database needs --organisation: whose records are meant?")
    settings = Settings.from_env(os.environ)
    library = load(policies_dir=settings.policies_dir)
    now = at_noon(today.date()) if today else datetime.now(UTC)
    if not library.in_force(now.date()):
        raise Unavailable(f"no policy is in force on {now.date()}: nothing would be checked")
    asked = _Asked(file, order_file, order, now)
    question, judged = (
        _joined(asked, library, settings.database_url, organisation)
        if database and organisation
        else _alone(asked, library)
    )
    if as_json:
        _tell_program(judged, library, question)
    else:
        _tell_person(judged, library, question, every=every)
    sys.exit(_exit_code(judged))


@dataclass(frozen=True)
class _Asked:
    """What was given on the command line, to be read once it is known by which catalogue."""

    file: BinaryIO
    order_file: BinaryIO | None
    options: Mapping[str, Any]
    now: datetime

    def read(self, library: Library) -> Question:
        """The question, and the new order if there is one."""
        from stewardship.cli.reading import Reader

        order = _document(self.order_file) if self.order_file else None
        order = order or _from_options(self.options, library.catalogue)
        return Reader(library, self.now).question(self.file.read(), new_order=order)


#: An order (``None``: only the chart was looked at), what was decided about it, and on which chart.
_Judged = tuple["Order | None", "Decision", "Chart | None"]


def _alone(asked: _Asked, library: Library) -> tuple[Question, list[_Judged]]:
    """What the policies say to the file alone."""
    from stewardship.domain.signing import judge

    question = asked.read(library)
    policies = library.in_force(question.chart.today)
    return question, [
        (j.order, j.decision, j.chart) for j in judge(policies, question.orders, question.chart)
    ]


def _joined(asked: _Asked, library: Library, url: str, organisation: str) -> tuple[Question, list[_Judged]]:
    """What they say to the file joined with what the organisation's records say; nothing is stored."""
    from stewardship.db import connect, migrate, transaction
    from stewardship.domain.people import Principal, Role
    from stewardship.services.catalogue import SiteCatalogues
    from stewardship.services.orders import screen

    by = Principal("command-line", organisation, Role.PRESCRIBER)
    sessions = connect(url)
    migrate.require_current(sessions.kw["bind"])
    with transaction(sessions, write=False) as session:
        own = SiteCatalogues(library.catalogue).of(session, organisation_id=organisation)
        library = replace(library, catalogue=own)
        question = asked.read(library)
        found = screen(session, library, question.orders, question.chart, by=by, now=asked.now)
    return question, [(checked.order, checked.decision, checked.chart) for checked in found]


def _document(file: BinaryIO) -> Mapping[str, Any]:
    from stewardship.cli.reading import MOST_BYTES
    from stewardship.intake import strict_json

    document = strict_json.loads(file.read(), max_bytes=MOST_BYTES)
    if not isinstance(document, dict):
        raise click.BadParameter("the file holds no JSON object", param_hint="--order")
    return document


def _from_options(given: Mapping[str, Any], catalogue: Catalogue) -> Mapping[str, Any] | None:
    """The order that the options describe, in our own JSON; ``None`` when they describe none."""
    if not given["drug"]:
        named = [name for name, value in given.items() if value is not None and name != "drug"]
        if named:
            raise click.UsageError(f"--{named[0].replace('_', '-')} belongs to a new order: name its --drug")
        return None
    order: dict[str, Any] = {"medicine": _medicine(given["drug"], catalogue)}
    if given["per_day"] is not None:
        order["dosage"] = [{"dose": 1, "frequency": given["per_day"], "period": 1, "period_unit": "d"}]
    for name, field in (("quantity", "quantity"), ("days", "days_supply"), ("refills", "refills")):
        if given[name] is not None:
            order[field] = given[name]
    if given["phase"]:
        order["pain"] = {"phase": given["phase"]}
    if given["lost"]:
        order["replaces"] = {"loss": given["lost"]}
    return order


def _medicine(text: str, catalogue: Catalogue) -> Mapping[str, str]:
    """A drug as somebody types it: a code stays a code, a name must be one that the catalogue has."""
    bare = text.replace("-", "")
    if bare.isascii() and bare.isdigit():
        # RxNorm codes have up to eight digits, NDCs ten or eleven.
        return {"rxcui": text} if bare == text and len(text) <= 8 else {"ndc": text}
    if catalogue.by_name(text) is not None:
        return {"name": text}
    like = [f"  {drug.code.code}  {drug.name}" for drug in catalogue.suggest(text)]
    found = "\nIs it one of these?\n" + "\n".join(like) if like else ""
    raise click.BadParameter(f"no drug of exactly this name is in the catalogue.{found}", param_hint="--drug")


def _tell_program(judged: Sequence[_Judged], library: Library, question: Question) -> None:
    """One decision a line."""
    from stewardship.intake import strict_json
    from stewardship.services.answers import decision_json

    for _, decision, chart in judged:
        said = decision_json(decision, library, patient_id=question.chart.patient.id, chart=chart)
        click.echo(strict_json.dumps(said))


def _tell_person(judged: Sequence[_Judged], library: Library, question: Question, *, every: bool) -> None:
    from stewardship.cli.render import decision_lines
    from stewardship.cli.words import plain

    if question.note:
        click.secho(question.note, fg="yellow")
    for order, decision, chart in judged:
        policies = {f.policy: library.policy(f.policy, f.version) for f in decision.findings}
        known = {name: policy for name, policy in policies.items() if policy}
        for line in decision_lines(order, decision, known, every=every):
            click.echo(line)
        if chart is not None and chart.pharmacy_data is not None:
            click.echo(f"  {plain(chart.pharmacy_data.in_words(chart.as_of))}")
        click.echo()
    gaps = [f"{gap.code} {gap.about}".strip() for gap in question.chart.gaps]
    if gaps:
        click.secho(f"not known about the patient: {'; '.join(gaps)}", fg="magenta")
    earlier = len(question.chart.supplies)
    click.secho(
        f"judged as of {question.chart.today} by the policies in force, on {earlier} earlier "
        f"{'supply' if earlier == 1 else 'supplies'}; nothing was stored",
        fg="bright_black",
    )


def _exit_code(judged: Sequence[_Judged]) -> int:
    """The gravest of all: blocked, then a reason that is asked for, then what could not be checked."""
    from stewardship.cli.render import BLOCKED, CANNOT_TELL, NEEDS_REASON, standing

    found = {standing(decision) for _, decision, _ in judged}
    return next((s.exit_code for s in (BLOCKED, NEEDS_REASON, CANNOT_TELL) if s in found), 0)
