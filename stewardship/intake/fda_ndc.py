"""The FDA's National Drug Code directory: ``product.txt`` and ``package.txt``, fields parted by tabs.

``product.txt`` has one line for a product (labeler and product number) with its substances and their
strengths in the same order; ``package.txt`` has the package codes of each. Both have their field names in
the first line. The files are UTF-8 in some years and Windows-1252 in others: either is read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

from stewardship.domain.classification import Tables
from stewardship.domain.codes import NDC
from stewardship.domain.drugs import Row, Schedule, SiteProduct, normal_ndc
from stewardship.domain.errors import InvalidInput
from stewardship.intake.products import Products, written

#: The system under which a product of the directory is kept, for its packages to point to.
LISTED = "fda-product"

_PRODUCT = (
    "PRODUCTID", "PRODUCTNDC", "PROPRIETARYNAME", "DOSAGEFORMNAME", "ROUTENAME", "SUBSTANCENAME",
    "ACTIVE_NUMERATOR_STRENGTH", "ACTIVE_INGRED_UNIT", "DEASCHEDULE",
)  # fmt: skip
_PACKAGE = ("PRODUCTID", "PRODUCTNDC", "NDCPACKAGECODE")

# "mg/5mL": a mass of substance in a number of units of the product, one if no number is written.
_UNIT = re.compile(
    r"(?P<mass>kg|g|mg|ug|mcg)/(?P<number>\d*\.?\d*)(?P<of>1|mL|h|mg|g)?", re.ASCII | re.IGNORECASE
)
_MILLIGRAMS = {
    "kg": Decimal(1_000_000), "g": Decimal(1000), "mg": Decimal(1),
    "ug": Decimal("0.001"), "mcg": Decimal("0.001"),
}  # fmt: skip
_PER = {"1": "MG", "": "MG", "ml": "MG/ML", "h": "MG/HR"}
_DECIMALS = Decimal("0.000001")


def read(product: Path, package: Path, tables: Tables) -> Products:
    """The products of a directory and the NDCs of their packages.

    Raises ``InvalidInput`` naming the file and what is missing from it.
    """
    products = Products()
    rows: dict[str, Row] = {}
    for line in _lines(product, _PRODUCT):
        row = _row(line, tables, products)
        if row is not None:
            rows[line["PRODUCTID"]] = row
            products.found.append(SiteProduct(LISTED, row.code, row))
    for line in _lines(package, _PACKAGE):
        code = normal_ndc(line["NDCPACKAGECODE"])
        owner = rows.get(line["PRODUCTID"])
        if code is not None and owner is not None:
            products.found.append(SiteProduct(NDC, code, owner))
    return products


def _row(line: Mapping[str, str], tables: Tables, products: Products) -> Row | None:
    substances = [s.strip() for s in line["SUBSTANCENAME"].split(";") if s.strip()]
    form = tables.form(line["DOSAGEFORMNAME"], line["ROUTENAME"])
    if form is None or not substances:
        products.unreadable += 1
        return None
    amounts = [a.strip() for a in line["ACTIVE_NUMERATOR_STRENGTH"].split(";")]
    units = [u.strip() for u in line["ACTIVE_INGRED_UNIT"].split(";")]
    paired = len(amounts) == len(units) == len(substances)
    parts = []
    for position, substance in enumerate(substances):
        facts = tables.base(substance)
        if facts is None:
            products.unknown_ingredients[substance.lower()] += 1
            return None
        strength = _strength(amounts[position], units[position]) if paired else None
        parts.append(f"{facts.name}={'?' if strength is None else written(*strength)}")
    schedule = line["DEASCHEDULE"].strip().upper().removeprefix("C")
    return Row(
        code=line["PRODUCTNDC"],
        name=" ".join(line["PROPRIETARYNAME"].split()) or ", ".join(substances).lower(),
        form=form,
        ingredients="; ".join(sorted(parts)),
        schedule=schedule if schedule in {s.value for s in Schedule} else "",
    )


def _strength(amount: str, unit: str) -> tuple[Decimal, str] | None:
    """Milligrams per unit of the form; ``None`` for what is not a mass, or not in a unit that is known."""
    match = _UNIT.fullmatch(unit)
    if match is None or re.fullmatch(r"\d*\.?\d+", amount, re.ASCII) is None:
        return None
    per = match["of"] or ""
    number = match["number"]
    # "mg/1" is per unit: there the 1 is the number and no unit follows.
    if not per and number in ("", "1"):
        per, number = "1", ""
    name = _PER.get(per.lower())
    if name is None:
        return None
    value = Decimal(amount) * _MILLIGRAMS[match["mass"].lower()]
    if number:
        if Decimal(number) == 0:
            return None
        value = (value / Decimal(number)).quantize(_DECIMALS)
    return value, name


def _lines(path: Path, wanted: tuple[str, ...]) -> Iterator[dict[str, str]]:
    try:
        content = path.read_bytes()
    except OSError:
        raise InvalidInput(f"{path.name} cannot be read") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    reader = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    missing = [name for name in wanted if name not in (reader.fieldnames or ())]
    if missing:
        raise InvalidInput(f"{path.name}: the first line lacks {', '.join(missing)}")
    for number, line in enumerate(reader, 2):
        if any(line[name] is None for name in wanted):
            raise InvalidInput(f"{path.name} line {number}: fewer fields than the first line names")
        yield line
