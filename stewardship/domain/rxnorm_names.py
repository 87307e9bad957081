"""What the RxNorm name of a clinical drug says: ingredients, strengths, dose form, quantity factor.

RxNorm names follow one grammar (``72 HR fentanyl 0.025 MG/HR Transdermal System [Duragesic]``), so the
name of a product is a full and exact statement of what is in it. A name that does not follow the
grammar (a brand pack, an ingredient on its own) is answered with ``None``, never with a part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

# Words before the quantity factor that say nothing about content or strength.
_QUALIFIER = re.compile(
    r"^(?:Abuse-Deterrent|Once-Daily|Sprinkle|Preservative-Free|Breath-Actuated|Osmotic|Concentrated"
    r"|Sensor|Matrix Delivery|Modified|Biphasic|Micronized|Bx Rating|Evening Dosing|Smoking Cessation"
    r"|PMDD|\d+/\d+ Release|\d+-Month|\d+-Bead|A?NDA\d+|Reformulated \w+ \d{4}"
    # "0.25 MG, 0.5 MG Dose 1.5 ML semaglutide ..." lists the doses that a pen can be set to.
    r"|(?:[\d.]+ (?:MG|UNT),? )+Doses?),?\s+",
    re.IGNORECASE,
)
_FACTOR = re.compile(r"^(\d+(?:\.\d+)?) (HR|ML|ACTUAT|MG|GM|DAY)\s+(?=\D)", re.IGNORECASE)
_BRAND = re.compile(r"\s*\[([^\]]+)\]$")
_UNIT = (
    r"(?:MG|MCG|ML|UNT|MEQ|MMOL|CELLS|BAU|AU|PNU|IR|PFU|MCI|MBQ|LFU|VECTOR-GENOMES)"
    r"(?:/(?:MG|ML|HR|ACTUAT|DAY|MEQ|CM2))?|%"
)
_COMPONENT = re.compile(rf"^(?P<name>.+?) (?P<value>\d+(?:\.\d+)?) (?P<unit>{_UNIT})(?: (?P<form>.+))?$")
_PACK = re.compile(r"^\{(?P<items>.+)\}\s*Pack(?:\s*\[[^\]]+\])?$")


@dataclass(frozen=True, slots=True)
class Component:
    """One ingredient as the name writes it (with its salt), its strength and unit."""

    name: str
    strength: Decimal | None
    unit: str


@dataclass(frozen=True, slots=True)
class ParsedName:
    """A parsed name. ``form`` is in lower case; ``factor`` the amount in one unit of the product
    (72 ``HR`` of a patch, 1.5 ``ML`` of a syringe), ``None`` when the name has none."""

    components: tuple[Component, ...]
    form: str
    factor: Decimal | None = None
    factor_unit: str = ""
    brand: str = ""


def parse(name: str) -> ParsedName | None:
    """Read a name of RxNorm type SCD, SBD, GPCK or BPCK; ``None`` when it does not follow the grammar."""
    text = " ".join(name.split())
    pack = _PACK.match(text)
    if pack is not None:
        return _parse_pack(pack["items"], text)
    brand_match = _BRAND.search(text)
    brand = brand_match[1] if brand_match else ""
    if brand_match:
        text = text[: brand_match.start()]
    factor: Decimal | None = None
    factor_unit = ""
    while True:
        qualifier = _QUALIFIER.match(text)
        if qualifier is not None:
            text = text[qualifier.end() :]
            continue
        quantity = _FACTOR.match(text)
        if quantity is None:
            break
        factor, factor_unit = Decimal(quantity[1]), quantity[2].upper()
        text = text[quantity.end() :]
    components = []
    form = ""
    parts = text.split(" / ")
    for position, part in enumerate(parts):
        match = _COMPONENT.match(part)
        if match is None or (match["form"] is None) != (position < len(parts) - 1):
            return None
        components.append(Component(match["name"].lower(), Decimal(match["value"]), match["unit"]))
        form = (match["form"] or "").lower()
    return ParsedName(tuple(components), form, factor, factor_unit, brand)


def _parse_pack(items: str, text: str) -> ParsedName | None:
    """A pack of one product is that product; of a pack of several only the ingredients are known."""
    brand = _BRAND.search(text)
    inner = [parse(item) for item in _pack_items(items)]
    if not inner or any(item is None for item in inner):
        return None
    known = [item for item in inner if item is not None]
    first = known[0]
    if all((item.components, item.form) == (first.components, first.form) for item in known):
        return ParsedName(
            first.components, first.form, first.factor, first.factor_unit, brand[1] if brand else ""
        )
    seen: dict[str, Component] = {}
    for item in known:
        for component in item.components:
            # The strength differs from unit to unit, so there is no strength of the pack.
            seen.setdefault(component.name, Component(component.name, None, ""))
    return ParsedName(tuple(seen.values()), "pack", brand=brand[1] if brand else "")


def _pack_items(items: str) -> list[str]:
    """The bracketed product names of ``2 (a 5 MG Oral Tablet) / 3 (b 2 MG Oral Tablet)``."""
    found = []
    depth = 0
    start = 0
    for position, character in enumerate(items):
        if character == "(":
            depth += 1
            if depth == 1:
                start = position + 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                found.append(items[start:position])
    # "1 (0.1 ML) (diazepam ...)" states the volume of a unit in brackets of its own.
    return [item for item in found if not re.fullmatch(r"[\d.]+ ML", item)]
