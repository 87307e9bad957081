"""Which opioid, which formulation, is it long-acting, which schedule: the drug and the catalogue of drugs.

The catalogue is every product that the service recognises, looked up by RxCUI, by NDC or by name. It holds
rows of text and makes a ``Drug`` of one when it is first asked for, so that thousands of products cost
next to nothing to load. What it does not know is ``None``: an unknown code is never guessed at, and
codings that contradict each other are not settled by taking one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from stewardship.domain.codes import NDC, RXNORM, Coding

if TYPE_CHECKING:
    from stewardship.domain.classification import Tables


class Release(StrEnum):
    """How a product gives off its drug."""

    IMMEDIATE = "immediate"
    EXTENDED = "extended"


class Schedule(StrEnum):
    """DEA schedule; ``NONE`` means known not to be controlled, never "not known"."""

    I = "I"  # noqa: E741 - the law's own numeral
    II = "II"
    III = "III"
    IV = "IV"
    V = "V"
    NONE = "none"


class DrugClass(StrEnum):
    """What a product is, for the rules that ask. Derived from ingredient and form, never from names."""

    OPIOID = "opioid"  # any opioid agonist or partial agonist, whatever it is for
    OPIOID_ANALGESIC = "opioid-analgesic"  # an opioid product used for pain
    LONG_ACTING_OPIOID = "long-acting-opioid"  # extended-release, or long-acting by ingredient
    OUD_TREATMENT = "oud-treatment"  # a product approved for opioid use disorder only
    OPIOID_ANTITUSSIVE = "opioid-antitussive"  # cough and cold products
    OPIOID_REVERSAL = "opioid-reversal"  # naloxone or nalmefene alone, for overdose
    OPIOID_ANTAGONIST = "opioid-antagonist"  # naltrexone and the like
    BENZODIAZEPINE = "benzodiazepine"
    GABAPENTINOID = "gabapentinoid"
    MUSCLE_RELAXANT = "muscle-relaxant"
    BARBITURATE = "barbiturate"
    SEDATIVE_HYPNOTIC = "sedative-hypnotic"
    CNS_DEPRESSANT = "cns-depressant"  # the union that matters beside an opioid
    STIMULANT = "stimulant"
    NON_OPIOID_ANALGESIC = "non-opioid-analgesic"
    OTHER = "other"  # known, and none of the above


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One active ingredient of a product.

    ``strength`` is per unit of the dose form in ``unit``: ``MG`` a tablet, ``MG/ML``, ``MG/HR`` of a
    patch, ``MG/ACTUAT`` of a spray. ``None`` when the source does not say: then no dose can be told.
    ``rxcui`` is the RxNorm ingredient code, ``opioid`` whether the ingredient is an opioid agonist.
    """

    name: str
    rxcui: str
    strength: Decimal | None
    unit: str
    opioid: bool = False


@dataclass(frozen=True)
class Drug:
    """A recognised product. ``form`` is the RxNorm dose form in lower case, e.g. ``oral tablet``.

    ``wear_hours`` is how long one patch is worn (RxNorm names it: ``72 HR fentanyl ...``); ``None`` for
    everything that is not a patch, and for a patch whose source does not say. ``complete`` is false when
    the source names one ingredient and not all that is with it (an old brand of hydrocodone): the daily
    sum of another ingredient is then not known, and not zero.
    """

    code: Coding
    name: str
    ingredients: tuple[Ingredient, ...]
    form: str
    release: Release
    schedule: Schedule | None
    classes: frozenset[DrugClass]
    wear_hours: Decimal | None = None
    complete: bool = True

    def is_a(self, drug_class: DrugClass) -> bool:
        """Whether the product is of the class."""
        return drug_class in self.classes

    @cached_property
    def opioids(self) -> tuple[Ingredient, ...]:
        """The opioid ingredients; empty for other products."""
        return tuple(i for i in self.ingredients if i.opioid)

    @cached_property
    def opioid_codes(self) -> str:
        """The opioid ingredients as one text; empty for other products."""
        return " ".join(sorted(i.rxcui or i.name for i in self.opioids))

    @cached_property
    def strengths(self) -> frozenset[tuple[str, Decimal | None, str]]:
        """What "same ingredient and strength" compares: the opioid ingredients, or all of them for a
        product without one. Brand and generic are the same."""
        counted = self.opioids or self.ingredients
        return frozenset((i.rxcui or i.name, i.strength, i.unit) for i in counted)


@dataclass(frozen=True, slots=True)
class Medication:
    """A medicine as it was written: its codings, and the text beside them."""

    codings: tuple[Coding, ...] = ()
    text: str = ""

    @property
    def label(self) -> str:
        """What to call it when talking to a person."""
        for coding in self.codings:
            if coding.display:
                return coding.display
        return (
            self.text or ", ".join(f"{c.system} {c.code}" for c in self.codings) or "medicine without a code"
        )


# --- the catalogue -------------------------------------------------------------------------------

_HYPHENATED_NDC = re.compile(r"(\d{4,5})-(\d{3,4})-(\d{1,2})", re.ASCII)
_SHORTEST_QUERY = 3
_PLAIN_NDC = re.compile(r"\d{11}", re.ASCII)


#: Given all names, a search over them: for a text and a number, the positions of the likeliest, best first.
Ranker = Callable[[Sequence[str]], Callable[[str, int], Sequence[int]]]


class Row(NamedTuple):
    """A product as its file or table holds it.

    ``ingredients`` reads ``acetaminophen=325 MG; hydrocodone=5 MG; caffeine=?``: base names, strength per
    unit of the form, ``?`` where the source does not say. ``schedule`` is what the source states, if it
    does; ``complete`` is ``no`` when there are ingredients that it does not name.
    """

    code: str
    name: str
    form: str
    ingredients: str
    schedule: str = ""
    complete: str = ""


class SiteProduct(NamedTuple):
    """A product that a site loaded. The row's own code is that of the product which the code stands for:
    the same as ``code`` for the product itself, another for each of its NDCs."""

    system: str
    code: str
    row: Row


class Catalogue:
    """Shipped products, with a site's own rows laid over them."""

    def __init__(
        self,
        tables: Tables,
        products: Mapping[str, Row],
        ndc_products: Sequence[Row] = (),
        ndcs: Mapping[str, int] | None = None,
        site_ndcs: Mapping[str, Row] | None = None,
        rank: Ranker | None = None,
    ) -> None:
        self.tables = tables
        self._products = products
        self._ndc_products = ndc_products
        self._ndcs = ndcs or {}
        self._site_ndcs = site_ndcs or {}
        self._rank = rank
        self._made: dict[tuple[str, str], Drug] = {}
        self._by_name: dict[str, str | None] | None = None
        self._search: Callable[[str, int], Sequence[int]] | None = None

    # --- look-ups ------------------------------------------------------------------------------

    def by_rxcui(self, code: str) -> Drug | None:
        """The product with this RxNorm code."""
        row = self._products.get(code.strip())
        return None if row is None else self._make(RXNORM, row.code, row)

    def by_ndc(self, text: str) -> Drug | None:
        """The product with this National Drug Code: 11 digits, or 10 or 11 with hyphens."""
        code = normal_ndc(text)
        if code is None:
            return None
        own = self._site_ndcs.get(code)
        if own is not None:
            return self._make(NDC, code, own)
        index = self._ndcs.get(code)
        return None if index is None else self._make(NDC, code, self._ndc_products[index])

    def by_code(self, coding: Coding) -> Drug | None:
        """The product of a coding in a system that names products; ``None`` for every other system."""
        if coding.system == RXNORM:
            return self.by_rxcui(coding.code)
        if coding.system == NDC:
            return self.by_ndc(coding.code)
        return None

    def by_name(self, text: str) -> Drug | None:
        """The product of exactly this RxNorm name, case and spaces aside; ``None`` if it names several."""
        if self._by_name is None:
            index: dict[str, str | None] = {}
            for row in self._products.values():
                name = fold(row.name)
                index[name] = row.code if name not in index else None
            self._by_name = index
        code = self._by_name.get(fold(text))
        return None if code is None else self.by_rxcui(code)

    def recognise(self, medication: Medication) -> Drug | None:
        """The product that a medicine's codings name: RxNorm before NDC, else the first that resolves.

        ``None`` when no coding resolves, and when two that do speak of different things (another
        ingredient, another strength, another release): nobody knows then which one was meant.
        """
        found = [d for d in map(self.by_code, medication.codings) if d is not None]
        if not found:
            return None
        chosen = next((d for d in found if d.code.system == RXNORM), found[0])
        return chosen if all(agree(chosen, other) for other in found) else None

    def suggest(self, text: str, limit: int = 8) -> tuple[Drug, ...]:
        """Products whose RxNorm names are like the text, the likeliest first: for people to choose from.
        The product of exactly that name alone, if there is one; none for less than three characters."""
        exact = self.by_name(text)
        if exact is not None:
            return (exact,)
        if self._rank is None or len(text.strip()) < _SHORTEST_QUERY:
            return ()
        codes = tuple(self._products)
        if self._search is None:
            self._search = self._rank([row.name for row in self._products.values()])
        found = (self.by_rxcui(codes[position]) for position in self._search(text, limit))
        return tuple(drug for drug in found if drug is not None)

    # --- the rows themselves -------------------------------------------------------------------

    def products(self) -> Iterator[Drug]:
        """Every product with an RxNorm code."""
        for code in self._products:
            drug = self.by_rxcui(code)
            if drug is not None:
                yield drug

    def ndcs(self) -> Iterator[str]:
        """Every NDC, in its 11-digit form."""
        yield from self._ndcs
        yield from (code for code in self._site_ndcs if code not in self._ndcs)

    def described(self) -> Iterator[Drug]:
        """One product for each description that the shipped NDCs point to, with one of its NDCs."""
        examples = {index: ndc for ndc, index in self._ndcs.items()}
        for index, row in enumerate(self._ndc_products):
            if index in examples:
                yield self._make(NDC, examples[index], row)

    def overlaid(self, site: Iterable[SiteProduct]) -> Catalogue:
        """This catalogue with a site's own products laid over it. A site's product wins; codes that the
        site does not have stay as shipped, so that old records are still read."""
        products = dict(self._products)
        site_ndcs = dict(self._site_ndcs)
        for system, code, row in site:
            if system == RXNORM:
                products[code] = row
            elif system == NDC:
                site_ndcs[code] = row
        return Catalogue(self.tables, products, self._ndc_products, self._ndcs, site_ndcs, self._rank)

    def _make(self, system: str, code: str, row: Row) -> Drug:
        key = (system, code)
        drug = self._made.get(key)
        if drug is None:
            drug = self._made[key] = make_drug(self.tables, system, code, row)
        return drug


def make_drug(tables: Tables, system: str, code: str, row: Row) -> Drug:
    """A row as a ``Drug``, classified."""
    ingredients = ingredients_of(tables, row.ingredients)
    complete = row.complete != "no"
    stated = Schedule(row.schedule) if row.schedule else None
    classified = tables.classify(ingredients, row.form, stated=stated, complete=complete)
    name = row.name
    if system == NDC and row.form not in row.name.casefold():
        # A product name such as VICODIN says neither strength nor form; people need both.
        listed = " / ".join(_said(i) for i in ingredients) + ("" if complete else " / others not stated")
        name = f"{row.name} ({listed} {row.form})"
    return Drug(
        code=Coding(system, code, name),
        name=name,
        ingredients=ingredients,
        form=row.form,
        release=classified.release,
        schedule=classified.schedule,
        classes=classified.classes,
        wear_hours=tables.wear_hours(row.name, ingredients, row.form),
        complete=complete,
    )


def ingredients_of(tables: Tables, text: str) -> tuple[Ingredient, ...]:
    """The ingredients of a row's text; see ``Row``."""
    made = []
    for part in text.split("; "):
        name, _, said = part.rpartition("=")
        facts = tables.ingredients.get(name)
        strength, _, unit = said.partition(" ")
        made.append(
            Ingredient(
                name=name,
                rxcui=facts.rxcui if facts else "",
                strength=None if strength == "?" else Decimal(strength),
                unit=unit,
                opioid=facts.opioid if facts else False,
            )
        )
    return tuple(made)


def normal_ndc(text: str) -> str | None:
    """The 11-digit form (5-4-2) of an NDC; ``None`` when it is not one.

    Ten digits are only readable with hyphens (4-4-2, 5-3-2, 5-4-1): without them the same ten digits
    stand for three different products.
    """
    text = text.strip()
    if _PLAIN_NDC.fullmatch(text):
        return text
    match = _HYPHENATED_NDC.fullmatch(text)
    if match is None:
        return None
    labeler, product, package = match.groups()
    if (len(labeler), len(product), len(package)) not in {(4, 4, 2), (5, 3, 2), (5, 4, 1), (5, 4, 2)}:
        return None
    return labeler.zfill(5) + product.zfill(4) + package.zfill(2)


def fold(text: str) -> str:
    """A name without case and superfluous spaces."""
    return " ".join(text.split()).casefold()


def agree(one: Drug, other: Drug) -> bool:
    """Whether two products can be one and the same medicine: no ingredient, strength or release of one
    contradicts the other. An ingredient that an incomplete product leaves out is no contradiction."""
    if one is other:
        return True
    if one.release is not other.release:
        return False
    first, second = _amounts(one), _amounts(other)
    if not first.keys() <= second.keys() and other.complete:
        return False
    if not second.keys() <= first.keys() and one.complete:
        return False
    shared = first.keys() & second.keys()
    return bool(shared) and all(_same_amounts(first[name], second[name]) for name in shared)


def _amounts(drug: Drug) -> dict[str, list[tuple[Decimal, str] | None]]:
    amounts: dict[str, list[tuple[Decimal, str] | None]] = {}
    for i in drug.ingredients:
        amounts.setdefault(i.name, []).append(None if i.strength is None else (i.strength, i.unit))
    return amounts


def _same_amounts(
    one: Sequence[tuple[Decimal, str] | None], other: Sequence[tuple[Decimal, str] | None]
) -> bool:
    """Equal as far as both are known, in the same unit."""
    first = {unit: value for known in one if known is not None for value, unit in (known,)}
    second = {unit: value for known in other if known is not None for value, unit in (known,)}
    if len(one) != len(other):
        return True
    return all(value == second[unit] for unit, value in first.items() if unit in second)


def _said(ingredient: Ingredient) -> str:
    if ingredient.strength is None:
        return ingredient.name
    return f"{ingredient.name} {ingredient.strength} {ingredient.unit}"
