"""``stewardship alternatives``: what else could help this patient, in what order, and why not the rest."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from stewardship.declarations import Library
    from stewardship.domain.alternatives import Option, Recommendation
    from stewardship.domain.codes import Coding
    from stewardship.domain.suitability import PatientFacts, Taken, Tried
    from stewardship.domain.treatments import Source

NO_CONDITION = 3
NONE = "none"
_RENAL = re.compile(r"[0-9]{1,3}(\.[0-9]{1,2})?", re.ASCII)
_PHASES = ("acute", "subacute", "chronic")


class _Renal(click.ParamType[Decimal]):
    """A kidney function, exactly as written."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """The number, never a binary one."""
        if not isinstance(value, str) or not _RENAL.fullmatch(value):
            self.fail(f"{value!r} is no kidney function; write it as 28 or 58.5", param, ctx)
        return Decimal(value)


class Said(NamedTuple):
    """What the options of the command say about the patient; ``None`` is not said."""

    age: int | None
    sex: str | None
    egfr: Decimal | None
    crcl: Decimal | None
    on: str | None
    has: str | None
    allergy: str | None
    pregnant: int | None
    not_pregnant: bool
    phase: str | None
    tried: Sequence[str]


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--condition", "conditions", multiple=True, metavar="CODES", help="ICD-10-CM codes: M54.50.")
@click.option("--age", type=click.IntRange(0, 120), help="In years.")
@click.option("--sex", type=click.Choice(["female", "male"]))
@click.option("--egfr", type=_Renal(), help="Estimated filtration, mL/min/1.73 m².")
@click.option("--crcl", type=_Renal(), help="Creatinine clearance, mL/min: what labels go by.")
@click.option("--on", metavar="MEDICINES", help=f"Taken now: names or RxNorm codes, or {NONE}.")
@click.option("--has", metavar="PROBLEMS", help=f"Such as heart-failure,liver-disease, or {NONE}.")
@click.option("--allergy", metavar="MEDICINES", help=f"Names, or {NONE}.")
@click.option("--pregnant", type=click.IntRange(1, 42), metavar="WEEKS", help="The week of pregnancy.")
@click.option("--not-pregnant", is_flag=True)
@click.option("--phase", type=click.Choice(_PHASES), help="How long the pain has lasted.")
@click.option(
    "--tried", multiple=True, metavar="WHAT:RESPONSE", help="meaningful, partial, none, harm, declined."
)
@click.option("--json", "as_json", is_flag=True, help="For a program: offered, left_out and the rest.")
def alternatives(file: Path | None, conditions: tuple[str, ...], as_json: bool, **said: object) -> None:
    """Non-opioid options for a condition and a patient, from the least to the most invasive.

    \b
    stewardship alternatives --condition M54.50 --age 70 --egfr 28 --on lorazepam,warfarin
    stewardship alternatives patient.json          a FHIR Bundle, or our own JSON: conditions and facts of it

    What is not said is not known: it is asked for, and what depends on it is not offered.

    \b
    Exit codes:
      0  there is an answer, be it that nothing suits
      3  none of the codes is a condition that is known here
      2  the command was not understood
    """
    from stewardship.declarations import load
    from stewardship.domain.alternatives import recommend
    from stewardship.domain.alternatives_told import told

    library = load()
    given = Said(**said)  # type: ignore[arg-type]
    if given.pregnant is not None and given.not_pregnant:
        raise click.UsageError("give either --pregnant or --not-pregnant")
    codes = _codes(",".join(conditions))
    if file is not None:
        facts, charted = _of_file(file, given, library)
        codes = codes or charted
    else:
        facts = _of_options(given, library)
    if not codes:
        where = "the file holds no pain condition that is known here; " if file is not None else ""
        raise click.UsageError(f"{where}name a condition, as in --condition M54.50")
    found = recommend(library.alternatives, codes, facts)
    if as_json:
        from stewardship.intake.strict_json import dumps

        click.echo(dumps(told(found)).decode())
    else:
        Page(found).show()
    if not found.matched:
        sys.exit(NO_CONDITION)


# --- what was said ----------------------------------------------------------------------------------------


def _codes(text: str) -> tuple[Coding, ...]:
    from stewardship.domain.codes import ICD10CM, Coding

    return tuple(Coding(ICD10CM, code.upper()) for code in _listed(text) or ())


def _listed(text: str | None) -> tuple[str, ...] | None:
    """The parts of a list; ``none`` is an empty list, and nothing said is ``None``."""
    if text is None:
        return None
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    return () if [p.casefold() for p in parts] == [NONE] else parts


def _medicines(names: Iterable[str], library: Library) -> tuple[tuple[Taken, ...], tuple[str, ...]]:
    """The medicines that the names stand for, and the names that stand for none."""
    from stewardship.domain.patient_facts import taken_by_name

    added = library.alternatives.added_ingredients
    read = [(name, taken_by_name(name, library.catalogue, added)) for name in names]
    return tuple(t for _, t in read if t is not None), tuple(name for name, t in read if t is None)


def _of_options(said: Said, library: Library) -> PatientFacts:
    from stewardship.domain.orders import Phase
    from stewardship.domain.suitability import PatientFacts

    on = _listed(said.on)
    taken, unknown = _medicines(on or (), library)
    allergies, unknown_allergies = _allergies(said, library)
    return PatientFacts(
        age=said.age,
        sex=said.sex or "",
        egfr=said.egfr,
        clearance=said.crcl,
        pregnant=True if said.pregnant is not None else (False if said.not_pregnant else None),
        pregnant_weeks=said.pregnant,
        medicines=None if on is None else taken,
        unknown_medicines=unknown,
        problems=_problems(said, library),
        allergies=allergies,
        unknown_allergies=unknown_allergies,
        tried=tuple(_tried(text) for text in said.tried),
        phase=Phase(said.phase) if said.phase else Phase.UNKNOWN,
    )


def _of_file(path: Path, said: Said, library: Library) -> tuple[PatientFacts, tuple[Coding, ...]]:
    """The facts of a file's patient; what the options say comes on top of them."""
    from dataclasses import replace

    from stewardship.cli.reading import Reader
    from stewardship.domain.patient_facts import facts_of, pain_codes

    chart = Reader(library, datetime.now(UTC)).question(path.read_bytes()).chart
    facts = facts_of(chart, library.alternatives.terms, exemptions=library.exemptions.values())
    options = _of_options(said, library)
    unset = _of_options(Said(None, None, None, None, None, None, None, None, False, None, ()), library)
    names = (name for name in facts.__dataclass_fields__ if getattr(options, name) != getattr(unset, name))
    codes = pain_codes(chart, library.alternatives.conditions)
    return replace(facts, **{name: getattr(options, name) for name in names}), codes


def _allergies(said: Said, library: Library) -> tuple[frozenset[str] | None, tuple[str, ...]]:
    names = _listed(said.allergy)
    if names is None:
        return None, ()
    families = {t.family for t in library.alternatives.treatments.values() if t.family}
    known = {name.casefold() for name in names if name.casefold() in families}
    taken, unknown = _medicines([n for n in names if n.casefold() not in known], library)
    return frozenset(known | {i for t in taken for i in t.ingredients}), unknown


def _problems(said: Said, library: Library) -> frozenset[str] | None:
    names = _listed(said.has)
    known = library.alternatives.terms.problems
    if names is None:
        return None
    if set(names) - known.keys():
        raise click.UsageError(f"--has takes {NONE}, or of these: {', '.join(known)}")
    return frozenset(names)


def _tried(text: str) -> Tried:
    from stewardship.domain.suitability import Response, Tried

    what, _, response = text.rpartition(":")
    if not what or response not in set(Response):
        raise click.UsageError(f"--tried takes WHAT:RESPONSE, a response being one of {', '.join(Response)}")
    name = what.strip().casefold()
    return Tried(name, Response(response))


# --- for a person -------------------------------------------------------------------------------------------


class Page:
    """The answer as a colleague would give it: what to ask, what to offer, what not and why."""

    def __init__(self, found: Recommendation) -> None:
        self.found = found

    def show(self) -> None:
        """All of it."""
        found = self.found
        for matched in found.matched:
            unsure = "" if matched.verified else " [code not confirmed in a source]"
            title = (
                f"{matched.condition.title} ({matched.coding.code}): {matched.condition.pain} pain{unsure}"
            )
            click.secho(title, bold=True)
        for code in found.unmatched:
            click.secho(f"{code.code}: not a condition that is known here", fg="yellow")
        if not found.matched:
            return
        if found.exempt:
            self._line(f"Offered, not pressed ({found.exempt}): nothing here is a reason to lower an opioid.")
        for text in found.urgent:
            self._line(text, colour="red")
        for text in found.notes:
            self._line(text)
        if found.opioid_only:
            self._line("The plan on record is an opioid and nothing else.", colour="yellow")
        self._asks()
        self._ladder()
        self._left_out()
        self._sources()

    def _asks(self) -> None:
        if self.found.asks:
            click.secho("\nAsk first", bold=True)
        for text in self.found.asks.values():
            self._line(text, indent=2)
        if self.found.together:
            click.secho("\nSide by side to begin with", bold=True)
            self._line(" + ".join(o.treatment.title for o in self.found.together), indent=2, colour="green")

    def _ladder(self) -> None:
        for rung in self.found.ladder:
            click.secho(f"\n{rung.number} {rung.title}", bold=True)
            if rung.skipped:
                self._line(rung.skipped, indent=2)
            for option in rung.options:
                self._option(option)
        for later in self.found.later:
            after = " or ".join(a.title for a in later.after)
            self._line(f"Not before a meaningful response to {after}: {later.treatment.title}")

    def _option(self, option: Option) -> None:
        treatment = option.treatment
        used = f" (takes {', '.join(option.in_use)})" if option.in_use else ""
        mark = "" if option.verified else " [not all of it confirmed in a source]"
        click.secho(f"  {treatment.title}{used}", fg="green")
        self._line(f"{option.why} Evidence: {treatment.strength}.{mark}", indent=4)
        if treatment.contested:
            self._line(f"Contested: {treatment.contested}", indent=4)
        if option.prior:
            self._line(option.prior, indent=4)
        if option.ceiling:
            self._line(option.ceiling, indent=4, colour="yellow")
        if treatment.diagnostic:
            self._line(f"A test as well: {treatment.diagnostic}.", indent=4)
        if option.cautions:
            from stewardship.domain.alternatives_told import sentence

            self._line("Care: " + "; ".join(sentence(r) for r in option.cautions), indent=4, colour="yellow")
        if option.check_first:
            self._line("Check first: " + "; ".join(option.check_first), indent=4)

    def _left_out(self) -> None:
        from stewardship.domain.alternatives_told import sentence

        if self.found.undecided:
            click.secho("\nCannot be told yet", bold=True)
        for open_entry in self.found.undecided:
            self._line(
                f"{open_entry.treatment.title}: {'; '.join(open_entry.needs)}", indent=2, colour="magenta"
            )
        if self.found.left_out:
            click.secho("\nLeft out", bold=True)
        for entry in self.found.left_out:
            part = f", {entry.part}" if entry.part else ""
            click.secho(f"  {entry.treatment.title}{part}", fg="red")
            for reason in entry.reasons:
                cited = ", ".join(s.id for s in reason.sources)
                self._line(sentence(reason) + (f" <{cited}>" if cited else ""), indent=4)

    def _sources(self) -> None:
        found = self.found
        cited: list[Source] = [s for o in found.offered for s in o.sources]
        cited += [s for entry in found.left_out for r in entry.reasons for s in r.sources]
        click.secho("\nSources", bold=True)
        for source in dict.fromkeys(cited):
            self._line(f"{source.id}: {source.title}. {source.publisher}, {source.published.year}.", indent=2)

    def _line(self, text: str, *, indent: int = 0, colour: str | None = None) -> None:
        from stewardship.cli.words import plain, width

        pad = " " * indent
        wrapped = textwrap.fill(
            plain(text), width(), initial_indent=pad, subsequent_indent=pad, break_on_hyphens=False
        )
        click.secho(wrapped, fg=colour)
