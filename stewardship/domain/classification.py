"""What a product is - class, release, DEA schedule - told from its ingredients and dose form alone.

Never from a brand, never from membership of somebody's value set: a value set that forgets levorphanol,
or that counts a stimulant as a depressant, must not be able to change what a drug is. The facts (which
ingredient is what, which combination falls under which schedule) are data; the judgement is here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from stewardship.domain.drugs import DrugClass, Ingredient, Release, Schedule

#: From the strictest to the laxest, for products under several schedules.
STRICTEST_FIRST = (Schedule.I, Schedule.II, Schedule.III, Schedule.IV, Schedule.V, Schedule.NONE)

DEPRESSANTS = frozenset(
    {
        DrugClass.BENZODIAZEPINE,
        DrugClass.BARBITURATE,
        DrugClass.SEDATIVE_HYPNOTIC,
        DrugClass.GABAPENTINOID,
        DrugClass.MUSCLE_RELAXANT,
    }
)

_HOURS = re.compile(r"(\d+(?:\.\d+)?) HR ", re.ASCII)

# Classes that a product has only when nothing else is in it, or no opioid is.
_ALONE = frozenset({DrugClass.OPIOID_REVERSAL})
_WITHOUT_OPIOID = frozenset({DrugClass.OPIOID_ANTAGONIST, DrugClass.NON_OPIOID_ANALGESIC})


@dataclass(frozen=True, slots=True)
class IngredientFacts:
    """One row of the ingredient table. ``schedule`` is that of the ingredient on its own, ``None`` when
    not determinable; ``long_acting`` is true of an opioid that is long-acting in any form."""

    name: str
    rxcui: str
    classes: frozenset[DrugClass]
    schedule: Schedule | None
    opioid: bool = False
    long_acting: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """Which products a rule speaks of; every condition that is set must hold.

    ``partners`` and ``without`` name other ingredients (any of them; none of them), ``combined`` asks for
    any other active ingredient (true) or for none (false). Strength limits are in ``strength_unit`` of
    the ingredient; a product whose strength is not known, or is in another unit, does not match them.
    """

    ingredients: frozenset[str]
    forms: frozenset[str] = frozenset()
    partners: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    combined: bool | None = None
    strength_unit: str = ""
    strength_min: Decimal | None = None
    strength_max: Decimal | None = None

    def holds(self, ingredient: Ingredient, others: frozenset[str], form: str) -> bool:
        """Whether this ingredient, beside the named others and in this form, is meant."""
        if ingredient.name not in self.ingredients or (self.forms and form not in self.forms):
            return False
        if self.partners and not self.partners & others:
            return False
        if self.without & others or (self.combined is not None and self.combined != bool(others)):
            return False
        if self.strength_min is None and self.strength_max is None:
            return True
        if ingredient.strength is None or ingredient.unit != self.strength_unit:
            return False
        above = self.strength_min is None or ingredient.strength >= self.strength_min
        return above and (self.strength_max is None or ingredient.strength <= self.strength_max)


@dataclass(frozen=True, slots=True)
class UseRule:
    """What an opioid product is for, the first rule that matches: the classes it has besides ``opioid``,
    and, where the form does not say so, that it is long-acting or of extended release."""

    match: Match
    classes: frozenset[DrugClass]
    long_acting: bool = False
    release: Release | None = None


@dataclass(frozen=True, slots=True)
class ScheduleRule:
    """The schedule of a preparation that differs from the one of its ingredient alone; first match wins.
    ``schedule`` is ``None`` where the law decides product by product."""

    match: Match
    schedule: Schedule | None


@dataclass(frozen=True, slots=True)
class WearRule:
    """How many hours a patch is worn by its label, for sources whose names do not say."""

    match: Match
    hours: Decimal


@dataclass(frozen=True, slots=True)
class FormRule:
    """A dose form of the FDA's listing (``TABLET, FILM COATED, EXTENDED RELEASE``) in RxNorm's words: all of
    ``parts`` must be among its parts, and the route, where routes are named, one of them."""

    parts: frozenset[str]
    routes: frozenset[str]
    form: str


@dataclass(frozen=True, slots=True)
class Classified:
    """What the tables say of one product."""

    release: Release
    schedule: Schedule | None
    classes: frozenset[DrugClass]


@dataclass(frozen=True)
class Tables:
    """The ingredient table and the rules over it (``reference/drugs``)."""

    ingredients: Mapping[str, IngredientFacts]
    salts: frozenset[str]
    extended_forms: tuple[str, ...]
    uses: tuple[UseRule, ...]
    schedules: tuple[ScheduleRule, ...]
    wear: tuple[WearRule, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    listed_forms: tuple[FormRule, ...] = ()

    def form(self, listed: str, routes: str) -> str | None:
        """The RxNorm form of an FDA dose form and its routes, the first rule that fits; ``None`` if none."""
        parts = frozenset(part.strip() for part in listed.upper().split(","))
        ways = frozenset(way.strip() for way in routes.upper().split(";"))
        for rule in self.listed_forms:
            if rule.parts <= parts and (not rule.routes or rule.routes & ways):
                return rule.form
        return None

    def base(self, name: str) -> IngredientFacts | None:
        """The facts of an ingredient named with its salt or form (``codeine phosphate``)."""
        words = " ".join(name.lower().split())
        words = self.aliases.get(words, words)
        known = self.ingredients.get(words)
        # "heparin sodium, porcine": what follows a comma names an origin or a quality.
        words = words.split(",")[0]
        while known is None and words:
            known = self.ingredients.get(words)
            words, _, last = words.rpartition(" ")
            if last.strip("()") not in self.salts:
                break
        return known

    def classify(
        self,
        ingredients: Sequence[Ingredient],
        form: str,
        *,
        stated: Schedule | None = None,
        complete: bool = True,
    ) -> Classified:
        """Class, release and schedule of a product. ``stated`` is the schedule that its source gives; it
        is used where the rules cannot tell, and always when not all ingredients are known."""
        names = frozenset(i.name for i in ingredients)
        release = Release.EXTENDED if any(w in form for w in self.extended_forms) else Release.IMMEDIATE
        classes: set[DrugClass] = set()
        for ingredient in ingredients:
            facts = self.ingredients.get(ingredient.name)
            if facts is None:
                continue
            if not facts.opioid:
                classes |= facts.classes
                continue
            classes.add(DrugClass.OPIOID)
            use = self._use(ingredient, names - {ingredient.name}, form)
            long_acting = facts.long_acting
            if use is None:
                classes.add(DrugClass.OPIOID_ANALGESIC)
            else:
                classes |= use.classes
                release = use.release or release
                long_acting = long_acting or use.long_acting
            if long_acting or release is Release.EXTENDED:
                classes.add(DrugClass.LONG_ACTING_OPIOID)
        classes -= _ALONE if len(names) > 1 else frozenset()
        classes -= _WITHOUT_OPIOID if DrugClass.OPIOID in classes else frozenset()
        if classes & DEPRESSANTS:
            classes.add(DrugClass.CNS_DEPRESSANT)
        schedule = self._schedule(ingredients, names, form) if complete else None
        return Classified(
            release, schedule if schedule is not None else stated, frozenset(classes or {DrugClass.OTHER})
        )

    def wear_hours(self, name: str, ingredients: Sequence[Ingredient], form: str) -> Decimal | None:
        """How long one patch is worn: what its RxNorm name says, else what its label does."""
        if not any(i.unit == "MG/HR" for i in ingredients):
            return None
        said = _HOURS.match(name)
        if said is not None:
            return Decimal(said[1])
        for ingredient in ingredients:
            rule = next((w for w in self.wear if w.match.holds(ingredient, frozenset(), form)), None)
            if rule is not None:
                return rule.hours
        return None

    def _use(self, ingredient: Ingredient, others: frozenset[str], form: str) -> UseRule | None:
        return next((u for u in self.uses if u.match.holds(ingredient, others, form)), None)

    def _schedule(
        self, ingredients: Sequence[Ingredient], names: frozenset[str], form: str
    ) -> Schedule | None:
        found: list[Schedule] = []
        for ingredient in ingredients:
            others = names - {ingredient.name}
            rule = next((r for r in self.schedules if r.match.holds(ingredient, others, form)), None)
            facts = self.ingredients.get(ingredient.name)
            schedule = rule.schedule if rule else (facts.schedule if facts else None)
            if schedule is None:
                return None
            found.append(schedule)
        return min(found, key=STRICTEST_FIRST.index, default=None)
