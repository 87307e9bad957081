"""RxNorm's Current Prescribable Content (Rich Release Format): products, ingredients and NDCs.

Three files of lines whose fields end with a bar. RXNCONSO has the names (types SCD, SBD, GPCK, BPCK for
products, IN for ingredients, SCDC for an ingredient with its strength), RXNREL says which ingredient an
SCDC has, RXNSAT has the NDCs of each product. The full release is read as well; of it only RxNorm's own
names are used. Field numbers are those of the RxNorm technical documentation (National Library of Medicine).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from stewardship.domain import rxnorm_names
from stewardship.domain.classification import Tables
from stewardship.domain.codes import NDC, RXNORM
from stewardship.domain.drugs import Row, SiteProduct, normal_ndc
from stewardship.domain.errors import InvalidInput, TooLarge
from stewardship.intake.products import Products, written

_PRODUCTS = frozenset({"SCD", "SBD", "GPCK", "BPCK"})
_OWN = "RXNORM"
_KEPT = "N"

# Positions of fields, and how many a line has at the least.
_CONSO = {"rxcui": 0, "source": 11, "type": 12, "name": 14, "suppress": 16}
_REL = {"first": 0, "second": 4, "relation": 7}
_SAT = {"rxcui": 0, "attribute": 8, "source": 9, "value": 10, "suppress": 11}

#: A whole release unpacks to less than a gigabyte a file.
_MOST_BYTES = 4 * 1024**3

Lines = Iterator[list[str]]


def read(release: Path, tables: Tables) -> Products:
    """The products of a release: a folder that holds the three files at any depth, or a zip archive of them.

    Raises ``InvalidInput`` naming the file (and line) that is missing or is not what it should be.
    """
    with ExitStack() as opened:
        lines = _opener(release, opened)
        names, ingredients, components = _concepts(lines("RXNCONSO.RRF", _CONSO))
        held = _relations(lines("RXNREL.RRF", _REL), ingredients, components)
        products = Products()
        rows: dict[str, Row] = {}
        for rxcui, name in names.items():
            row = _row(rxcui, name, tables, held, products)
            if row is not None:
                rows[rxcui] = row
                products.found.append(SiteProduct(RXNORM, rxcui, row))
        for rxcui, ndc in _ndcs(lines("RXNSAT.RRF", _SAT)):
            if rxcui in rows:
                products.found.append(SiteProduct(NDC, ndc, rows[rxcui]))
    return products


def _concepts(lines: Lines) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Names of products, of ingredients and of SCDCs, by RxCUI."""
    products: dict[str, str] = {}
    ingredients: dict[str, str] = {}
    components: dict[str, str] = {}
    for rxcui, source, kind, name, suppress in lines:
        if source != _OWN or suppress != _KEPT:
            continue
        if kind in _PRODUCTS:
            products[rxcui] = name
        elif kind == "IN":
            ingredients[rxcui] = name
        elif kind == "SCDC":
            components[rxcui] = name
    return products, ingredients, components


def _relations(lines: Lines, ingredients: Mapping[str, str], components: Mapping[str, str]) -> dict[str, str]:
    """The name of an SCDC ("codeine phosphate 30 MG") to the name of its ingredient ("codeine")."""
    held: dict[str, str] = {}
    for first, second, relation in lines:
        if relation not in ("has_ingredient", "ingredient_of"):
            continue
        # The types of the two say which is which, whatever direction the relation is written in.
        for component, ingredient in ((first, second), (second, first)):
            if component in components and ingredient in ingredients:
                held[components[component].casefold()] = ingredients[ingredient].casefold()
    return held


def _ndcs(lines: Lines) -> Iterator[tuple[str, str]]:
    for rxcui, attribute, source, value, suppress in lines:
        if attribute == "NDC" and source == _OWN and suppress == _KEPT:
            code = normal_ndc(value)
            if code is not None:
                yield rxcui, code


def _row(rxcui: str, name: str, tables: Tables, held: Mapping[str, str], products: Products) -> Row | None:
    parsed = rxnorm_names.parse(name)
    if parsed is None:
        products.unreadable += 1
        return None
    parts = []
    for component in parsed.components:
        strength = written(component.strength, component.unit)
        said = held.get(f"{component.name} {strength}".casefold())
        facts = (tables.ingredients.get(said) if said else None) or tables.base(component.name)
        if facts is None:
            products.unknown_ingredients[said or component.name] += 1
            return None
        parts.append(f"{facts.name}={strength}")
    return Row(rxcui, " ".join(name.split()), parsed.form, "; ".join(parts))


# --- files ------------------------------------------------------------------------------------------------


def _opener(release: Path, opened: ExitStack) -> Callable[[str, Mapping[str, int]], Lines]:
    if release.is_dir():
        paths = {path.name.upper(): path for path in sorted(release.rglob("*.[rR][rR][fF]"), reverse=True)}

        def from_folder(name: str, fields: Mapping[str, int]) -> Lines:
            if name not in paths:
                raise InvalidInput(f"{name} is not in the folder; give the one that the release unpacks to")
            text = paths[name].open(encoding="utf-8", errors="replace")
            return _fields(opened.enter_context(text), name, fields)

        return from_folder
    try:
        archive = opened.enter_context(zipfile.ZipFile(release))
    except (OSError, zipfile.BadZipFile):
        raise InvalidInput("the release is neither a folder nor a zip archive that can be read") from None

    def from_archive(name: str, fields: Mapping[str, int]) -> Lines:
        # A full release holds its prescribable part as well, deeper down: that is the one to take.
        there = [i for i in archive.infolist() if i.filename.upper().rpartition("/")[2] == name]
        if not there:
            raise InvalidInput(f"{name} is not in the archive")
        member = min(there, key=lambda i: ("prescribe" not in i.filename.lower(), i.filename))
        if member.file_size > _MOST_BYTES:
            raise TooLarge(f"{name} unpacks to more than {_MOST_BYTES} bytes")
        text = io.TextIOWrapper(archive.open(member), encoding="utf-8", errors="replace")
        return _fields(opened.enter_context(text), name, fields)

    return from_archive


def _fields(text: Iterable[str], name: str, wanted: Mapping[str, int]) -> Lines:
    """The wanted fields of each line."""
    positions = list(wanted.values())
    needed = max(positions) + 1
    for number, line in enumerate(text, 1):
        values = line.rstrip("\r\n").split("|")
        if len(values) < needed:
            raise InvalidInput(f"{name} line {number}: {len(values)} fields where {needed} are due")
        yield [values[position] for position in positions]
