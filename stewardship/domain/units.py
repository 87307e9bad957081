"""Units: as they are written, what they come to of a product, and when nobody can say.

A product is counted in one of four things, which the unit of its strength tells: pieces (``MG`` a tablet),
millilitres (``MG/ML``), patches (``MG/HR``), actuations (``MG/ACTUAT``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from stewardship.domain.drugs import Drug, Ingredient

EACH, ML, PATCH, ACTUATION = "each", "mL", "patch", "actuation"

_ONE = Decimal(1)
_THOUSANDTH = Decimal("0.001")

#: What a product is counted in by the unit of its strength, and the milligrams that the unit stands for.
_STRENGTHS: dict[str, tuple[str, Decimal]] = {
    "MG": (EACH, _ONE),
    "MCG": (EACH, _THOUSANDTH),
    "MG/ML": (ML, _ONE),
    "MCG/ML": (ML, _THOUSANDTH),
    "MG/HR": (PATCH, _ONE),
    "MCG/HR": (PATCH, _THOUSANDTH),
    "MG/ACTUAT": (ACTUATION, _ONE),
    "MCG/ACTUAT": (ACTUATION, _THOUSANDTH),
}
_MASS = {"mg": _ONE, "ug": _THOUSANDTH, "g": Decimal(1000)}
_VOLUME = {"mL": _ONE, "L": Decimal(1000), "[tsp_m]": Decimal(5), "[tbs_m]": Decimal(15)}
_RELEASE = {"mg/h": _ONE, "ug/h": _THOUSANDTH}
_PIECES = frozenset({"tablet", "capsule", "film", "lozenge", "suppository", "implant"})
_KNOWN = frozenset({*_MASS, *_VOLUME, *_RELEASE, *_PIECES, EACH, PATCH, ACTUATION})
_SWALLOWED = ("tablet", "capsule")


class Untold(Exception):
    """Why an instruction or a quantity gives no dose: codes as in ``dosage.Reason``."""

    def __init__(self, *codes: str, unit: str | None = None) -> None:
        super().__init__(*codes)
        self.codes = codes
        self.unit = unit

    @property
    def written(self) -> str:
        """The unit in question for people. It comes from outside: what is not plain ASCII is shown by its
        code point, so that a look-alike letter is seen."""
        return (self.unit or "").encode("ascii", "backslashreplace").decode() or "no unit"


@dataclass(frozen=True, slots=True)
class Units:
    """The accepted spellings of ``reference/units.toml`` and the canonical unit of each.

    Look-up is exact: no case folding, no trimming, no normalising of look-alike characters. What is not
    in the table comes back as it was written, and no dose can be told in it.
    """

    spellings: Mapping[str, str]

    def canonical(self, code: str, text: str = "") -> str:
        """The unit of a coded quantity: by its code, or by the words beside it when it has no known code.

        A code and words that are both known and mean different units come back together as one unknown
        unit. ``""`` when nothing was written.
        """
        by_code, by_text = self.spellings.get(code), self.spellings.get(text)
        if by_code is not None and by_text is not None and by_code != by_text:
            return f"{code} or {text}"
        return by_code or by_text or code or text


def mg_in_one(ingredient: Ingredient) -> Decimal | None:
    """Milligrams in one of what the product is counted in (a patch: an hour); ``None`` if not known."""
    known = _STRENGTHS.get(ingredient.unit)
    strength = ingredient.strength
    if known is None or strength is None or strength <= 0:
        return None
    return strength if known[1] is _ONE else strength * known[1]


def counted_in(drug: Drug) -> str:
    """What the product is counted in; raises ``Untold`` when no strength says it."""
    counted = ""
    for ingredient in drug.ingredients:
        known = _STRENGTHS.get(ingredient.unit)
        if known is None or ingredient.strength is None:
            continue
        if counted and known[0] != counted:
            raise Untold("strength-unknown")
        counted = known[0]
    if not counted:
        raise Untold("strength-unknown")
    return counted


def unit_word(drug: Drug) -> str:
    """What to call one of what the product is counted in: ``tablet``, ``mL``, ``patch``; else ``unit``."""
    try:
        counted = counted_in(drug)
    except Untold:
        return "unit"
    if counted == ACTUATION:
        return "spray" if "spray" in drug.form else "actuation"
    return (
        counted if counted != EACH else next((word for word in sorted(_PIECES) if word in drug.form), "unit")
    )


def product_units(value: Decimal, unit: str, drug: Drug, counted: str, *, dispensed: bool = False) -> Decimal:
    """An amount as a number of what the product is counted in; raises ``Untold``.

    A unit fits if it is what the product is counted in, or the word for a piece that is part of the
    product's dose form (``tablet`` of an ``oral tablet``). A dispensed mass never fits: 240 g of a syrup
    are grams of the syrup.
    """
    if unit == counted or (counted == EACH and unit in _PIECES and unit in drug.form):
        return value
    if unit == EACH and counted == PATCH:
        return value
    if unit in _VOLUME and counted == ML:
        return value * _VOLUME[unit]
    if unit in _MASS and counted != PATCH and not dispensed:
        return _holding(value * _MASS[unit], unit, drug)
    if unit in _RELEASE and counted == PATCH and not dispensed:
        return _holding(value * _RELEASE[unit], unit, drug)
    if unit == "" and _bare_is_safe(drug, counted):
        return value
    raise Untold("unit-ambiguous" if unit in _KNOWN or unit == "" else "unit-unknown", unit=unit)


def _holding(mg: Decimal, unit: str, drug: Drug) -> Decimal:
    """How many hold so many milligrams. Of a combination, nobody can say which ingredient is meant."""
    if len(drug.ingredients) != 1:
        raise Untold("unit-ambiguous", unit=unit)
    in_one = mg_in_one(drug.ingredients[0])
    if in_one is None:
        raise Untold("strength-unknown")
    return mg / in_one


def _bare_is_safe(drug: Drug, counted: str) -> bool:
    """Whether a number without a unit may be read as tablets or capsules: only if a writer who meant
    milligrams is then over-, never under-estimated, which holds from 1 mg a piece upward."""
    if counted != EACH or not any(word in drug.form for word in _SWALLOWED):
        return False
    in_one = [mg_in_one(ingredient) for ingredient in drug.opioids or drug.ingredients]
    return all(mg is not None and mg >= 1 for mg in in_one)
