"""``stewardship instruments``: what can be measured, a score of answers, and what became of a score."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stewardship.domain.instruments import Change, Instrument, Score

CANNOT_TELL = 3
_OPEN = {"-", "?"}
_YES_NO = {"yes": Decimal(1), "no": Decimal(0)}
_NUMBER = re.compile(r"-?[0-9]{1,4}(\.[0-9]{1,3})?", re.ASCII)
_ANSWERS = {"ignore_unknown_options": True}


@click.group()
def instruments() -> None:
    """Measure function, pain, mood and risk: list the instruments, score answers, judge a change."""


@instruments.command("list")
@click.option("--json", "as_json", is_flag=True, help="For a program; numbers are exact decimals.")
def list_(as_json: bool) -> None:
    """Every instrument with its items."""
    known = _known().values()
    if as_json:
        _tell_program([_described(one) for one in known])
        return
    for one in known:
        click.secho(f"{one.id}  {one.title}", bold=True)
        click.echo(
            f"  measures {one.measures}, {_plain(one.least)} to {_plain(one.most)}, {one.better} is better"
            f"{'' if one.satisfies_review else '; does not satisfy a review'}"
        )
        click.echo("  items: " + ", ".join(item.id for item in one.items))
        if one.caution:
            click.echo(f"  {one.caution}")


@instruments.command("score", context_settings=_ANSWERS)
@click.argument("instrument_id", metavar="ID")
@click.argument("answers", nargs=-1, metavar="[ANSWER]...")
@click.option("--sex", default="", metavar="WORD", help="female or male, where the points differ by sex.")
@click.option("--json", "as_json", is_flag=True, help="For a program; numbers are exact decimals.")
def score_(instrument_id: str, answers: Sequence[str], sex: str, as_json: bool) -> None:
    """The score of answers, given in the order of the items or as ITEM=ANSWER.

    \b
    An ANSWER is a number, yes or no, or - for an item left open.

    \b
    Exit codes:
      0  there is a score
      3  cannot tell: an item, or the sex, is missing
      2  the command was not understood, or an item does not take the answer
    """
    from stewardship.domain.instruments import score

    one = _instrument(instrument_id)
    found = score(one, _given(one, answers), sex=sex.strip().casefold())
    if as_json:
        _tell_program(_scored(one, found))
    else:
        _tell_score(one, found)
    if found.value is None:
        sys.exit(CANNOT_TELL)


@instruments.command("change", context_settings=_ANSWERS)
@click.argument("instrument_id", metavar="ID")
@click.argument("before")
@click.argument("after")
@click.option("--json", "as_json", is_flag=True, help="For a program; numbers are exact decimals.")
def change_(instrument_id: str, before: str, after: str, as_json: bool) -> None:
    """What became of a score: better, unchanged or worse, or cannot-tell (exit code 3)."""
    from stewardship.domain.instruments import Verdict, change, entered

    one = _instrument(instrument_id)
    found = change(one, entered(one, _number(before)), entered(one, _number(after)))
    if as_json:
        _tell_program(_changed(one, found))
    else:
        click.secho(f"{one.title}: {found.verdict}", bold=True)
        click.echo(f"  {found.because}")
        if found.gain is not None:
            share = "" if found.percent is None else f", {found.percent} % of the limitation before"
            click.echo(f"  gain {found.gain:+}{share}")
    if found.verdict is Verdict.CANNOT_TELL:
        sys.exit(CANNOT_TELL)


# --- what was asked ----------------------------------------------------------------------------------


def _known() -> dict[str, Instrument]:
    from stewardship.declarations.instruments import read_instruments
    from stewardship.declarations.places import REFERENCE

    return read_instruments(REFERENCE)


def _instrument(instrument_id: str) -> Instrument:
    known = _known()
    found = known.get(instrument_id)
    if found is None:
        raise click.UsageError(f"there is no instrument of that id; there are {', '.join(known)}")
    return found


def _given(one: Instrument, written: Sequence[str]) -> dict[str, Decimal | None]:
    """The answers by item: named ones where they say, the others in the order of the items."""
    ids = [item.id for item in one.items]
    if len(written) > len(ids):
        raise click.UsageError(f"{one.id} has {len(ids)} items: {', '.join(ids)}")
    given: dict[str, Decimal | None] = {}
    in_order = iter(ids)
    for word in written:
        name, named, answer = word.rpartition("=")
        name = name if named else next(in_order)
        if name not in ids:
            raise click.UsageError(f"{one.id} has no item of that name; it has {', '.join(ids)}")
        if name in given:
            raise click.UsageError(f"item {name} is answered twice")
        given[name] = None if answer in _OPEN else _number(answer)
    return given


def _number(word: str) -> Decimal:
    if word.casefold() in _YES_NO:
        return _YES_NO[word.casefold()]
    if not _NUMBER.fullmatch(word):
        raise click.UsageError("an answer is a number, yes or no, or - for an item left open")
    return Decimal(word)


# --- for a person --------------------------------------------------------------------------------------


def _tell_score(one: Instrument, found: Score) -> None:
    if found.value is None:
        click.secho(f"{one.title}: cannot-tell", bold=True)
        click.echo(f"  {found.because}; missing: {', '.join(found.missing)}")
    else:
        band = f", {found.band}" if found.band else ""
        click.secho(f"{one.title}: {found.value}{band}", bold=True)
        click.echo(f"  of {_plain(one.least)} to {_plain(one.most)}, {one.better} is better")
    for part in one.parts:
        value = found.parts[part.id].value
        if value is not None:
            click.echo(f"  {part.title}: {value}")
    if one.caution:
        click.echo(f"  {one.caution}")


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


# --- for a program ---------------------------------------------------------------------------------------


def _tell_program(answer: Any) -> None:
    from stewardship.intake.strict_json import dumps

    click.echo(dumps(answer).decode())


def _described(one: Instrument) -> dict[str, Any]:
    return {
        "id": one.id,
        "version": one.version,
        "title": one.title,
        "measures": one.measures.value,
        "better": one.better.value,
        "range": [one.least, one.most],
        "satisfies_review": one.satisfies_review,
        "wording": one.wording.value,
        "licence": one.licence,
        "items": [
            {"id": i.id, "text": i.text, "least": i.least, "most": i.most, "step": i.step} for i in one.items
        ],
        "verified": one.source.verified,
    }


def _scored(one: Instrument, found: Score) -> dict[str, Any]:
    return {
        "instrument": one.id,
        "version": one.version,
        "outcome": "cannot-tell" if found.value is None else "scored",
        "score": found.value,
        "exact": None if found.exact is None else str(found.exact),
        "band": found.band,
        "missing": found.missing,
        "reason": found.because,
        "parts": {name: part.value for name, part in found.parts.items()},
        "better": one.better.value,
        "satisfies_review": one.satisfies_review,
    }


def _changed(one: Instrument, found: Change) -> dict[str, Any]:
    return {
        "instrument": one.id,
        "version": one.version,
        "verdict": found.verdict.value,
        "reason": found.because,
        "by_points": found.by_points and found.by_points.value,
        "by_percent": found.by_percent and found.by_percent.value,
        "gain": found.gain,
        "percent": found.percent,
    }
