"""``stewardship mme``: morphine milligram equivalents a day, with the arithmetic shown line by line."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stewardship.declarations import Library
    from stewardship.domain.dosage import (
        DailyDose,
        DosageInstruction,
        DoseGap,
        IngredientTotal,
        Quantity,
        Reason,
    )
    from stewardship.domain.drugs import Drug
    from stewardship.domain.mme import MME, FactorSet, Total
    from stewardship.domain.orders import Order, Supply

DEFAULT_SET = "cdc-2022"
INCOMPLETE = 3

_NUMBER = r"[0-9]{1,7}(?:\.[0-9]{1,6})?"
_SUPPLY = re.compile(rf"(?P<quantity>{_NUMBER})(?P<unit>[A-Za-z\[\]{{}}_/]*)/(?P<days>{_NUMBER})", re.ASCII)
_SIGNATURE = re.compile(
    rf"(?P<low>{_NUMBER})(?:-(?P<high>{_NUMBER}))?(?P<unit>[A-Za-wyz\[\]{{}}_/]*)"
    rf"x(?P<times>{_NUMBER})(?:-(?P<most>{_NUMBER}))?(?:/(?P<period>{_NUMBER})(?P<of>h|d|wk|mo))?(?P<prn>prn)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Item:
    """One medicine to count, and what is known of its dose; or a ``gap`` in a medication history, which
    may hide a medicine."""

    label: str
    drug: Drug | None
    dosage: tuple[DosageInstruction, ...] = ()
    quantity: Quantity | None = None
    days_supply: Decimal | None = None
    gap: str = ""

    @property
    def doses(self) -> tuple[DailyDose, ...]:
        """The daily dose by each road that is known."""
        from stewardship.domain.dosage import Basis, DailyDose, Reason, doses

        if self.gap:
            return (DailyDose(Basis.SIGNATURE, None, None, (), (Reason(self.gap, self.label),)),)
        return doses(self.drug, self.dosage, self.quantity, self.days_supply)


@dataclass(frozen=True, slots=True)
class Counted:
    """One medicine's daily doses, and its MME by each of them."""

    item: Item
    doses: tuple[DailyDose, ...]
    parts: tuple[MME, ...]
    part: MME
    gap: DoseGap | None


@click.command()
@click.argument("items", nargs=-1, required=True, metavar="ITEM...")
@click.option(
    "--factor-set", "set_id", metavar="ID", help=f"The table of factors; {DEFAULT_SET} unless named."
)
@click.option("--all-sets", is_flag=True, help="Under every table of factors, one after the other.")
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="What a FILE's patient takes on this day.")
@click.option("--json", "as_json", is_flag=True, help="For a program; numbers are exact decimals.")
def mme(
    items: Sequence[str], set_id: str | None, all_sets: bool, today: datetime | None, as_json: bool
) -> None:
    """MME a day of medicines taken together, as a range; policies use its high end.

    \b
    An ITEM is one of
      DRUG=QUANTITY/DAYS   as dispensed: 1049621=28/7, "oxycodone ... Tablet=120/30", DRUG=240mL/8
      DRUG@DOSExTIMES      as written: 1049621@1x4, DRUG@1-2x4-6prn, DRUG@10mgx3, 197696@1x1/3d
      FILE                 a FHIR resource or Bundle, or our own JSON: its drafts, and what is being taken
    DRUG is an RxNorm code, an NDC or an exact name. TIMES are a day, or a period: x1/3d is once in
    three days, x1/8h every eight hours. A number without a unit counts tablets, mL, patches or sprays.

    \b
    Exit codes:
      0  every medicine was counted
      3  at least one could not be counted: the total is "at least", or cannot be told
      2  the command was not understood
    """
    from stewardship.declarations import load
    from stewardship.declarations.factors import read_gap_tolerance
    from stewardship.declarations.places import REFERENCE
    from stewardship.domain.dosage import daily_ingredient

    library = load()
    sets = _sets(library, set_id, all_sets)
    asked = [item for written in items for item in _items(written, library, today)]
    taken = [(item, item.doses) for item in asked]
    tolerance = read_gap_tolerance(REFERENCE)
    answers = [_answer(factor_set, taken, tolerance) for factor_set in sets]
    rxcui = library.catalogue.tables.ingredients["acetaminophen"].rxcui
    acetaminophen = daily_ingredient(((item.drug, _greatest(of_item)) for item, of_item in taken), rxcui)
    if as_json:
        _tell_program(answers, acetaminophen)
    else:
        _tell_person(answers, acetaminophen)
    if not all(total.complete for _, _, total in answers):
        sys.exit(INCOMPLETE)


def _sets(library: Library, set_id: str | None, all_sets: bool) -> list[FactorSet]:
    if all_sets and set_id:
        raise click.UsageError("give either --factor-set or --all-sets")
    if all_sets:
        return list(library.factor_sets.values())
    found = library.factor_sets.get(set_id or DEFAULT_SET)
    if found is None:
        raise click.UsageError(
            f"there is no factor set of that id; there are {', '.join(library.factor_sets)}"
        )
    return [found]


def _answer(
    factor_set: FactorSet, taken: Sequence[tuple[Item, tuple[DailyDose, ...]]], tolerance: Decimal
) -> tuple[FactorSet, list[Counted], Total]:
    from stewardship.domain.dosage import gap
    from stewardship.domain.mme import mme, total

    counted = []
    for item, of_item in taken:
        parts = tuple(mme(dose, item.drug, factor_set) for dose in of_item)
        used = next(part for dose, part in zip(of_item, parts, strict=True) if dose is _greatest(of_item))
        apart = gap(*of_item, tolerance_percent=tolerance) if len(of_item) > 1 else None
        counted.append(Counted(item, of_item, parts, used, apart))
    return factor_set, counted, total((c.part for c in counted), factor_set)


def _greatest(of_item: Sequence[DailyDose]) -> DailyDose:
    """The dose by the road that comes to most; of equals the one that is wholly told."""
    return max(
        of_item, key=lambda dose: (Decimal(-1) if dose.units_high is None else dose.units_high, dose.told)
    )


# --- what was asked -----------------------------------------------------------------------------------


def _items(written: str, library: Library, today: datetime | None) -> list[Item]:
    """One argument of the command; the last ``=`` or ``@`` parts the drug from its amount."""
    cut = max(written.rfind("="), written.rfind("@"))
    if cut > 0:
        drug_text, sign, amount = written[:cut], written[cut], written[cut + 1 :]
        pattern = _SUPPLY if sign == "=" else _SIGNATURE
        match = pattern.fullmatch(amount)
        if match is not None:
            drug = _drug(drug_text.strip(), library)
            label = drug.name if drug else drug_text.strip()
            make = _as_dispensed if sign == "=" else _as_written
            return [make(Item(label, drug), match, library)]
    path = Path(written)
    if path.is_file():
        return _of_file(path, library, today)
    raise click.UsageError(
        f"{written!r} is not DRUG=QUANTITY/DAYS (1049621=28/7), DRUG@DOSExTIMES (1049621@1x4), or a file"
    )


def _drug(text: str, library: Library) -> Drug | None:
    catalogue = library.catalogue
    found = catalogue.by_rxcui(text) if text.isdecimal() else None
    return found or catalogue.by_ndc(text) or catalogue.by_name(text)


def _unit(written: str, drug: Drug | None, library: Library) -> str:
    """A number alone counts what the product is counted in."""
    from stewardship.domain.units import Untold, counted_in

    if written or drug is None:
        return library.units.canonical(written)
    try:
        return counted_in(drug)
    except Untold:
        return ""


def _as_dispensed(item: Item, match: re.Match[str], library: Library) -> Item:
    from stewardship.domain.dosage import Quantity

    quantity = Quantity(Decimal(match["quantity"]), _unit(match["unit"], item.drug, library))
    return Item(item.label, item.drug, (), quantity, Decimal(match["days"]))


def _as_written(item: Item, match: re.Match[str], library: Library) -> Item:
    from stewardship.domain.dosage import DosageInstruction

    most = match["most"]
    instruction = DosageInstruction(
        dose_low=Decimal(match["low"]),
        dose_high=Decimal(match["high"] or match["low"]),
        dose_unit=_unit(match["unit"], item.drug, library),
        frequency=Decimal(match["times"]),
        frequency_max=None if most is None else Decimal(most),
        period=Decimal(match["period"] or 1),
        period_unit=match["of"] or "d",
        as_needed=match["prn"] is not None,
    )
    return Item(item.label, item.drug, (instruction,))


def _of_file(path: Path, library: Library, today: datetime | None) -> list[Item]:
    """The drafts in a file, and what its patient is taking: supplies that reach the day, those of unknown
    length that are marked active, and what the history may hide."""
    from stewardship.cli.reading import Reader, at_noon
    from stewardship.domain.episodes import undated

    now = at_noon(today.date()) if today else datetime.now(UTC)
    question = Reader(library, now).question(path.read_bytes())
    day = question.chart.today
    current = [
        exposure.supply
        for exposure in question.chart.exposures
        if exposure.start <= day
        and (exposure.stopped_on is None or exposure.stopped_on > day)
        and (exposure.supply.status == "active" if exposure.last is None else exposure.last >= day)
    ]
    current += [supply for supply in undated(question.chart.supplies) if supply.status == "active"]
    gaps = [Item("medication history", None, gap=gap) for gap in question.chart.history_gaps]
    return [*map(_of_record, question.orders), *map(_of_record, current), *gaps]


def _of_record(record: Order | Supply) -> Item:
    label = record.drug.name if record.drug else record.medication.label
    return Item(label, record.drug, record.dosage, record.quantity, record.days_supply)


# --- for a person ---------------------------------------------------------------------------------------

_ROADS = {"signature": "as written", "supply": "as dispensed"}


def _tell_person(
    answers: Sequence[tuple[FactorSet, list[Counted], Total]], acetaminophen: IngredientTotal
) -> None:
    for factor_set, counted, total in answers:
        unverified = "" if factor_set.verified else " (not every factor is verified)"
        click.secho(f"{factor_set.id}: {factor_set.title}, {factor_set.date}{unverified}", bold=True)
        for one in counted:
            _tell_medicine(one)
        for line in total.together:
            click.echo(f"  {line}")
        colour = "green" if total.complete else "yellow"
        click.echo("  Total: " + click.style(total.words, fg=colour, bold=True))
        if total.uncounted:
            click.echo(f"    not counted: {total.uncounted} of {total.medicines}")
        click.echo()
    _tell_acetaminophen(acetaminophen)
    click.echo("MME are for judging risk; they do not convert one opioid into another.")


def _tell_acetaminophen(found: IngredientTotal) -> None:
    from stewardship.domain.mme import span

    if found.mg_low is None or found.mg_high is None:
        click.secho("Acetaminophen: cannot be told", fg="yellow")
    elif not found.complete:
        click.secho(
            f"Acetaminophen: at least {span(found.mg_low, found.mg_high)} mg/day, incomplete", fg="yellow"
        )
    elif found.mg_high:
        click.echo(f"Acetaminophen: {span(found.mg_low, found.mg_high)} mg/day")


def _tell_medicine(one: Counted) -> None:
    from stewardship.domain.mme import arithmetic, shown, span

    click.echo(f"  {one.item.label}")
    for dose, part in zip(one.doses, one.parts, strict=True):
        road = _ROADS[dose.basis]
        used = " (used: it comes to most)" if part is one.part and len(one.parts) > 1 else ""
        lines = arithmetic(part, one.item.drug) if one.item.drug else ()
        if part.complete and not lines:
            lines = ("no opioid",)
        for line in lines:
            click.echo(f"    {road}: {line}{used}")
        for reason in part.reasons:
            click.secho(f"    {road}: cannot tell: {_said(reason)}", fg="yellow")
        for note in dose.notes:
            click.echo(f"    {road}: note: {_said(note)}")
    if one.gap is not None:
        written = span(one.gap.signature_low, one.gap.signature_high)
        click.secho(f"    gap: {written} a day written, {shown(one.gap.supply)} a day dispensed", fg="yellow")


_WORDS = {
    "drug-unknown": "the medicine is not in the catalogue",
    "strength-unknown": "the strength is not known",
    "dose-missing": "no dose is stated",
    "frequency-missing": "how often is not stated",
    "unit-unknown": "the unit is not known",
    "unit-ambiguous": "the unit does not fit the product",
    "wear-time-missing": "how long the patch is worn is not known",
    "factor-missing": "there is no factor",
    "quantity-missing": "the quantity is not stated",
    "days-supply-missing": "the days' supply is not stated",
    "instruction-not-understood": "the instruction was not understood",
    "unit-assumed": "a dose without a unit was read as a number of pieces",
    "ceiling-used": "only the maximum a day is stated, and was used",
    "steps-added": "numbered steps without lengths were added up",
}


def _said(reason: Reason) -> str:
    return f"{_WORDS.get(reason.code, reason.code)} ({reason.about})"


# --- for a program ----------------------------------------------------------------------------------------


def _tell_program(
    answers: Sequence[tuple[FactorSet, list[Counted], Total]], acetaminophen: IngredientTotal
) -> None:
    from stewardship.intake.strict_json import dumps

    document = {
        "answers": [
            {
                "factor_set": {
                    "id": factor_set.id,
                    "title": factor_set.title,
                    "date": factor_set.date.isoformat(),
                    "verified": factor_set.verified,
                },
                "items": [_item_json(one) for one in counted],
                "total": {
                    "low": _number(total.low),
                    "high": _number(total.high),
                    "complete": total.complete,
                    "words": total.words,
                    "medicines": total.medicines,
                    "uncounted": total.uncounted,
                    "reasons": _reasons_json(total.reasons),
                    "excluded": list(total.excluded),
                    "together": list(total.together),
                },
            }
            for factor_set, counted, total in answers
        ],
        "acetaminophen_mg_per_day": {
            "low": _number(acetaminophen.mg_low),
            "high": _number(acetaminophen.mg_high),
            "complete": acetaminophen.complete,
        },
    }
    click.echo(dumps(document).decode())


def _item_json(one: Counted) -> dict[str, Any]:
    from stewardship.domain.mme import arithmetic

    drug = one.item.drug
    return {
        "medicine": one.item.label,
        "code": None if drug is None else {"system": drug.code.system, "code": drug.code.code},
        "gap": None
        if one.gap is None
        else {
            "written_per_day": [_number(one.gap.signature_low), _number(one.gap.signature_high)],
            "dispensed_per_day": _number(one.gap.supply),
        },
        "by": [
            {
                "basis": str(dose.basis),
                "used": part is one.part,
                "units_per_day": [_number(dose.units_low), _number(dose.units_high)],
                "ingredients": [
                    {
                        "name": amount.ingredient,
                        "rxcui": amount.rxcui,
                        "mg_per_day": [_number(amount.mg_low), _number(amount.mg_high)],
                    }
                    for amount in dose.amounts
                ],
                "mme_per_day": [_number(part.low), _number(part.high)],
                "complete": part.complete,
                "excluded": list(part.excluded),
                "arithmetic": list(arithmetic(part, drug)) if drug else [],
                "reasons": _reasons_json(part.reasons),
                "notes": _reasons_json(dose.notes),
            }
            for dose, part in zip(one.doses, one.parts, strict=True)
        ],
    }


def _reasons_json(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    return [{"code": reason.code, "about": reason.about} for reason in reasons]


def _number(value: Decimal | None) -> Decimal | None:
    """The number without exponent or trailing zeros."""
    from stewardship.domain.mme import plain

    return None if value is None else Decimal(plain(value))
