"""``stewardship catalogue``: find a product, and load a newer list of products."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stewardship.config import Settings
    from stewardship.db import Sessions
    from stewardship.domain.drugs import Catalogue, Drug
    from stewardship.intake.products import Products

#: Nothing is recognised: what was asked for is not in the catalogue.
UNKNOWN = 3

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def catalogue() -> None:
    """The drug catalogue: what is recognised, and what a site adds to it."""


@catalogue.command()
@click.argument("text")
@click.option("--organisation", help="Look through this organisation's own products too.")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def find(text: str, organisation: str | None, as_json: bool) -> None:
    """Look up TEXT: an RxNorm code, an NDC (10 digits with hyphens, or 11) or a name.

    Exit code 0: recognised; 3: not, with products of similar names if there are any. A product of a similar
    name is a suggestion, never an answer.
    """
    drugs = _catalogue(organisation)
    exact = drugs.by_rxcui(text) or drugs.by_ndc(text) or drugs.by_name(text)
    like: Sequence[Drug] = () if exact or _is_code(text) else drugs.suggest(text)
    if as_json:
        from stewardship.intake import strict_json

        shown: dict[str, Any] = {
            "asked": text,
            "outcome": "recognised" if exact else "cannot-tell",
            "drug": _json(exact) if exact else None,
            "suggestions": [_json(drug) for drug in like],
        }
        click.echo(strict_json.dumps(shown))
    elif exact:
        _show(exact)
    else:
        click.echo(click.style("cannot-tell: ", fg="yellow", bold=True) + f"{text} is not in the catalogue")
        for drug in like:
            click.echo(f"  {drug.code.code:>8}  {drug.name}")
    sys.exit(0 if exact else UNKNOWN)


@catalogue.command()
@click.option("--rxnorm", "release", type=click.Path(exists=True, path_type=Path), metavar="FOLDER_OR_ZIP",
              help="RxNorm Current Prescribable Content.")  # fmt: skip
@click.option("--fda-ndc", "directory", type=_FILE, nargs=2, metavar="PRODUCT_TXT PACKAGE_TXT",
              help="The FDA's NDC directory.")  # fmt: skip
@click.option("--organisation", required=True, help="Whose catalogue it is.")
@click.option("--named", default="", help="Name and date of the list, for the record.")
def load(release: Path | None, directory: tuple[Path, Path] | None, organisation: str, named: str) -> None:
    """Load a newer list of products, over the one that ships.

    Codes that the list has win over the shipped ones; codes that it lacks stay. Products with an ingredient
    that the ingredient table does not have are left out and counted: whether that ingredient is an opioid
    has not been said, so an order for it is answered with "cannot tell".
    """
    from datetime import UTC, datetime

    from stewardship.db import transaction
    from stewardship.domain.people import Principal, Role
    from stewardship.services import catalogue as service

    if (release is None) == (directory is None):
        raise click.UsageError("give --rxnorm or --fda-ndc, and not both")
    sessions = _sessions()
    found, files, kind = _read(release, directory)
    source = named or ", ".join(path.name for path in files)
    described = service.Load(kind, source, _sha256(files))
    by = Principal("operator", organisation, Role.ADMIN)
    with transaction(sessions) as session:
        codes = service.load(session, found.found, described, by=by, now=datetime.now(UTC))
    click.echo(f"{codes} codes loaded from {source}")
    if found.unreadable:
        click.echo(f"{found.unreadable} products left out: name or dose form not understood", err=True)
    if found.unknown_ingredients:
        left_out = sum(found.unknown_ingredients.values())
        most = ", ".join(name for name, _ in found.unknown_ingredients.most_common(10))
        click.echo(
            f"{left_out} products left out: {len(found.unknown_ingredients)} ingredients are not in the "
            f"ingredient table ({most} ...)",
            err=True,
        )


@catalogue.command()
def lint() -> None:
    """Check the reference files: known errors, contradictions, sources, review dates.

    Exit code 0: in order (files past their review date are named); 1: not.
    """
    from datetime import UTC, datetime

    from stewardship.declarations import lint as linter
    from stewardship.declarations.places import REFERENCE

    complaints = linter.lint(REFERENCE)
    for complaint in complaints:
        click.echo(f"{complaint.file}: {complaint.about} [{complaint.rule}]")
    for late in linter.overdue(REFERENCE, datetime.now(UTC).date()):
        click.echo(f"{late.file}: {late.about}", err=True)
    click.echo(f"{len(complaints)} complaints")
    sys.exit(1 if complaints else 0)


def _read(release: Path | None, directory: tuple[Path, Path] | None) -> tuple[Products, Sequence[Path], str]:
    from stewardship.intake import fda_ndc, rxnorm

    tables = _shipped().tables
    if release is not None:
        return rxnorm.read(release, tables), [release], "rxnorm"
    assert directory is not None  # noqa: S101 - one of the two was given
    return fda_ndc.read(*directory, tables), directory, "fda-ndc"


def _sha256(files: Sequence[Path]) -> str:
    """Over the files, or over all files of a folder in the order of their names."""
    from hashlib import sha256

    total = sha256()
    for path in files:
        for part in sorted(path.rglob("*.*")) if path.is_dir() else [path]:
            if part.is_file():
                with part.open("rb") as stream:
                    while block := stream.read(1 << 20):
                        total.update(block)
    return total.hexdigest()


def _is_code(text: str) -> bool:
    return text.replace("-", "").strip().isdecimal()


def _shipped() -> Catalogue:
    from stewardship.declarations.drugs import read_catalogue
    from stewardship.declarations.places import REFERENCE

    return read_catalogue(REFERENCE)


def _catalogue(organisation: str | None) -> Catalogue:
    shipped = _shipped()
    if organisation is None:
        return shipped
    from stewardship.db import transaction
    from stewardship.services.catalogue import SiteCatalogues

    with transaction(_sessions(), write=False) as session:
        return SiteCatalogues(shipped).of(session, organisation_id=organisation)


def _settings() -> Settings:
    import os

    from stewardship.config import Settings

    return Settings.from_env(os.environ)


def _sessions() -> Sessions:
    from stewardship.db import migrate
    from stewardship.domain.errors import Unavailable
    from stewardship.witness import open_database

    settings = _settings()
    if not settings.audit_key:
        raise Unavailable("nothing can be loaded: STEWARDSHIP_AUDIT_KEY is not set", code="audit-key-missing")
    sessions = open_database(settings)
    migrate.require_current(sessions.kw["bind"])
    return sessions


def _show(drug: Drug) -> None:
    click.echo(click.style(drug.name, bold=True))
    click.echo(f"  code         {drug.code.system} {drug.code.code}")
    for ingredient in drug.ingredients:
        strength = (
            "strength not stated"
            if ingredient.strength is None
            else f"{ingredient.strength} {ingredient.unit}"
        )
        click.echo(
            f"  ingredient   {ingredient.name}, {strength}{', an opioid' if ingredient.opioid else ''}"
        )
    if not drug.complete:
        click.echo("  ingredient   others, which the source does not name")
    click.echo(f"  form         {drug.form}, {drug.release.value} release")
    click.echo(f"  schedule     {drug.schedule.value if drug.schedule else 'not determinable'}")
    click.echo(f"  classes      {', '.join(sorted(c.value for c in drug.classes))}")


def _json(drug: Drug) -> dict[str, Any]:
    return {
        "system": drug.code.system,
        "code": drug.code.code,
        "name": drug.name,
        "form": drug.form,
        "release": drug.release.value,
        "schedule": drug.schedule.value if drug.schedule else None,
        "classes": sorted(c.value for c in drug.classes),
        "complete": drug.complete,
        "ingredients": [
            {
                "name": i.name,
                "rxcui": i.rxcui or None,
                "strength": i.strength,
                "unit": i.unit or None,
                "opioid": i.opioid,
            }
            for i in drug.ingredients
        ],
    }
